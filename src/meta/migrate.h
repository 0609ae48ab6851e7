/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a database to the current schema. Private to the backend. */
#ifndef META_MIGRATE_H
#define META_MIGRATE_H

#include "base/error.h"
#include "meta/sqlite_db.h"

/* Step i of a list (from 0) makes version i + 1 of the schema out of version i. A step that was
 * released is never edited. */
struct migration {
    const char *what;   /* for errors: "first schema" */
    const char *sql[6]; /* run one after the other; NULL ends them */
};

/* Runs the steps that are missing, each in a transaction of its own together with its row in the
 * table `schema`, so that half a step cannot be. ERR_UNKNOWN with a message that says what to do
 * for a database of a newer program or of another one. Safe when two processes do it at once. */
int migrate(struct sqdb *db, const struct migration *steps, unsigned n, struct error *err);

/* Changes nothing: 0 when the database is at version n already, otherwise ERR_UNKNOWN with a detail
 * that says what to do. */
int migrate_check(struct sqdb *db, unsigned n, struct error *err);

/* The schema of this program. */
extern const struct migration meta_migrations[];
extern const unsigned meta_migrations_n;

#endif
