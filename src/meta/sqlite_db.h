/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to SQLite with its prepared statements. sqlite_db.c is the only file that knows
 * sqlite3.h. One thread at a time uses a connection. Private to the SQLite backend. */
#ifndef META_SQLITE_DB_H
#define META_SQLITE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "meta/sql.h"

struct sqdb;
struct sqlite3_stmt; /* a statement that has been started; borrowed from its connection */

enum sqdb_mode { SQDB_WRITER, SQDB_READER };

/* Opens `path`; the writer makes the file (mode 0600) when there is none. */
int sqdb_open(const char *path, enum sqdb_mode mode, struct sqdb **out, struct error *err);
void sqdb_close(struct sqdb *db); /* NULL is fine */
/* Runs a fixed text of one or more statements without parameters: settings and migrations. */
int sqdb_exec(struct sqdb *db, const char *sql, struct error *err);
/* A setting or a query with one number as its answer: 1 and *out, 0 when there is no row, or -1. */
int sqdb_number(struct sqdb *db, const char *sql, int64_t *out, struct error *err);
/* Is a transaction open? SQLite ends it by itself on some errors. */
bool sqdb_in_transaction(struct sqdb *db);
/* Frames (pages) in the write-ahead log at the end of this connection's last commit. */
int sqdb_wal_frames(const struct sqdb *db);
/* Moves frames into the database file. Passive: as many as it can without waiting for anyone.
 * Otherwise: all of them, waiting for readers for at most 200 ms, and the log is cut. */
int sqdb_checkpoint(struct sqdb *db, bool passive, struct error *err);

/* What the statements of a connection have cost since the last call: for tests. */
struct sqdb_work {
    int64_t steps, fullscan_steps, sorts;
};
void sqdb_work(struct sqdb *db, struct sqdb_work *out);

/* A parameter. Its bytes must live until the statement has ended. */
struct sqval {
    enum { SQ_NULL, SQ_INT, SQ_TEXT, SQ_BLOB } type;
    int64_t i;
    struct slice s;
};
static inline struct sqval sq_i(int64_t v)
{
    return (struct sqval){.type = SQ_INT, .i = v};
}
static inline struct sqval sq_t(struct slice s)
{
    return (struct sqval){.type = SQ_TEXT, .s = s};
}
static inline struct sqval sq_b(struct slice s)
{
    return (struct sqval){.type = SQ_BLOB, .s = s};
}
static inline struct sqval sq_null(void)
{
    return (struct sqval){.type = SQ_NULL};
}
/* Text, or NULL when it is empty. */
static inline struct sqval sq_t_or_null(struct slice s)
{
    return s.n ? sq_t(s) : sq_null();
}

/* Binds and gets ready to step; NULL on failure. End it with sq_end on every way out (SQ_CLEANUP).
 */
struct sqlite3_stmt *sq_start(struct sqdb *db, enum sql_id id, const struct sqval *v, unsigned n,
                              struct error *err);
/* 1: a row, 0: no more, -1. */
int sq_next(struct sqlite3_stmt *q, struct error *err);
void sq_end(struct sqlite3_stmt **q);
#define SQ_CLEANUP __attribute__((cleanup(sq_end)))
/* Columns of the row, from 0. A slice is valid until the next step. */
int64_t sq_int(struct sqlite3_stmt *q, int col);
struct slice sq_bytes(struct sqlite3_stmt *q, int col); /* p == NULL only for NULL */

/* Runs to the end. The number of rows changed in *changes (may be NULL). */
int sq_run(struct sqdb *db, enum sql_id id, const struct sqval *v, unsigned n, int *changes,
           struct error *err);
/* Runs to the end; the first row's first column. 1: there was one, 0: no row, -1. */
int sq_find(struct sqdb *db, enum sql_id id, const struct sqval *v, unsigned n, int64_t *out,
            struct error *err);

/* SQ_RUN(db, SQL_X, &changes, err, sq_i(1), sq_t(name)) */
#define SQ_VALUES(...)                     \
    ((const struct sqval[]){__VA_ARGS__}), \
        (unsigned)(sizeof((const struct sqval[]){__VA_ARGS__}) / sizeof(struct sqval))
#define SQ_START(db, id, err, ...) sq_start((db), (id), SQ_VALUES(__VA_ARGS__), (err))
#define SQ_RUN(db, id, changes, err, ...) \
    sq_run((db), (id), SQ_VALUES(__VA_ARGS__), (changes), (err))
#define SQ_FIND(db, id, out, err, ...) sq_find((db), (id), SQ_VALUES(__VA_ARGS__), (out), (err))

#endif
