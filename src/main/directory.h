/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAIN_DIRECTORY_H
#define MAIN_DIRECTORY_H

#include "base/error.h"

/* The data directory: `wanted` when not empty; else /var/lib/berth when it may be made and written,
 * else $XDG_DATA_HOME/berth, else
 * ~/.local/share/berth. It is made. *out is the caller's. -1 with a detail that names what was
 * tried. */
int directory_choose(const char *wanted, char **out, struct error *err);
/* storage: inmemory: a new directory in memory (/dev/shm), or among the temporary files where there
 * is none of 1 GiB. */
int directory_temporary(char **out, struct error *err);
/* Removes it with all that is in it; what cannot be removed stays. */
void directory_remove(const char *path);

#endif
