/* SPDX-License-Identifier: Apache-2.0 */
/* Connections for reading: opened when needed, up to a maximum, the last one used first, so that a
 * quiet process has one. Private to the SQLite backend. */
#ifndef META_SQLITE_READERS_H
#define META_SQLITE_READERS_H

#include "base/error.h"
#include "meta/sqlite_db.h"

struct readers;

struct readers *readers_new(const char *path, unsigned max);
void readers_free(struct readers *r); /* all must be back; NULL is fine */
/* Waits until one is free. NULL when one could not be opened. Any thread. */
struct sqdb *readers_take(struct readers *r, struct error *err);
void readers_give(struct readers *r, struct sqdb *db);

#endif
