/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/migrate.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

/* "brth": tells our file from any other SQLite database. */
#define APPLICATION_ID "1651668072"
enum { APPLICATION_NUMBER = 1651668072 };

/* 1 when the table of versions is there, 0 when the database is new. */
static int recognise(struct sqdb *db, struct error *err)
{
    int64_t id = 0, tables = 0;
    if (sqdb_number(db, "PRAGMA application_id", &id, err) < 0 ||
        sqdb_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err) < 0)
        return -1;
    if (id == APPLICATION_NUMBER)
        return 1;
    if (id == 0 && tables == 0)
        return 0;
    return error_set(err, ERR_UNKNOWN,
                     "database: this file belongs to another program (application id %" PRId64
                     "); move it away or choose another path",
                     id);
}

static int step(struct sqdb *db, const struct migration *m, unsigned version, struct error *err)
{
    struct error cause = {0};
    char note[128];
    (void)snprintf(note, sizeof note,
                   "INSERT INTO schema (version, applied_ms) VALUES (%u, %" PRId64 ")", version,
                   os_wall_ms());
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(m->sql) && m->sql[i]; i++)
        r = sqdb_exec(db, m->sql[i], &cause);
    if (r == 0 && sqdb_exec(db, note, &cause) == 0)
        return 0;
    error_set(err, cause.code, "schema version %u (%s): %.100s", version, m->what, cause.message);
    return -1;
}

/* Inside a transaction: the version is read under the write lock. 1 when there is nothing left. */
static int next_step(struct sqdb *db, const struct migration *steps, unsigned n, struct error *err)
{
    static const char first[] =
        "PRAGMA application_id = " APPLICATION_ID ";"
        "CREATE TABLE schema (version INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL) STRICT";
    int64_t version = 0;
    int known = recognise(db, err);
    if (known < 0 || (known == 0 && sqdb_exec(db, first, err) < 0) ||
        sqdb_number(db, "SELECT coalesce(max(version), 0) FROM schema", &version, err) < 0)
        return -1;
    if (version > n)
        return error_set(err, ERR_UNKNOWN,
                         "database: its schema version %" PRId64 " is newer than this program "
                         "knows (%u); run the version that wrote it, or a later one",
                         version, n);
    return version == n ? 1 : step(db, &steps[version], (unsigned)version + 1, err);
}

int migrate(struct sqdb *db, const struct migration *steps, unsigned n, struct error *err)
{
    int r;
    do {
        if (sqdb_exec(db, "BEGIN IMMEDIATE", err) < 0)
            return -1;
        r = next_step(db, steps, n, err);
        if (r == 0 && sqdb_exec(db, "COMMIT", err) < 0)
            r = -1;
        if (sqdb_in_transaction(db))
            (void)sqdb_exec(db, "ROLLBACK", NULL);
    } while (r == 0);
    return r < 0 ? -1 : 0;
}

int migrate_check(struct sqdb *db, unsigned n, struct error *err)
{
    struct error why = {0};
    int64_t version = 0;
    int known = recognise(db, &why);
    if (known > 0 &&
        sqdb_number(db, "SELECT coalesce(max(version), 0) FROM schema", &version, &why) < 0)
        known = -1;
    if (known < 0)
        return error_detail(err, why.code, "%s", why.message);
    if (version == n)
        return 0;
    return error_detail(err, ERR_UNKNOWN,
                        "the database has schema version %" PRId64 ", this program has %u: %s",
                        version, n,
                        version < n ? "start the server of this version once, which migrates it"
                                    : "use the version of the program that wrote it");
}
