/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

/* How long to wait for a lock that another process holds (a backup, the sqlite3 shell): inside this
 * process nobody waits for a lock of SQLite's. */
enum { BUSY_MS = 5000, CHECKPOINT_BUSY_MS = 200 };

struct sqdb {
    sqlite3 *h;
    int wal_frames;
    sqlite3_stmt *stmts[SQL_COUNT];
};

static const char *const texts[SQL_COUNT] = {
#define SQL_TEXT(id, text) [id] = (text),
    SQL_STATEMENTS(SQL_TEXT)
#undef SQL_TEXT
};

/* Settings of every connection. temp_store: the journals of savepoints stay in memory, nothing is
 * written outside the database's directory. secure_delete is on in Debian's build and would write
 * zeroes over what is freed. The cache is small, the kernel's page cache is the large one: a
 * process has many readers and has to stay small. */
static const char settings_all[] = "PRAGMA foreign_keys = ON;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA secure_delete = OFF;"
                                   "PRAGMA recursive_triggers = OFF;";
static const char settings_reader[] = "PRAGMA query_only = ON;"
                                      "PRAGMA cache_size = -512;";
static const char settings_writer[] = "PRAGMA page_size = 4096;"
                                      "PRAGMA journal_mode = WAL;"
                                      "PRAGMA journal_size_limit = 16777216;"
                                      "PRAGMA cache_size = -2048;";

/* The errno of the write that failed. sqlite3_system_errno() is read too late to be true after a
 * write; the file itself remembers. Transactions write to the log. */
static int last_errno(sqlite3 *h, int rc)
{
    sqlite3_file *log = NULL;
    int sys = 0;
    bool writing =
        rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_TRUNCATE;
    if (writing &&
        sqlite3_file_control(h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log &&
        log->pMethods && log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &sys) == 0)
        return sys;
    return sqlite3_system_errno(h);
}

/* SQLite knows ENOSPC as a full disk, and neither a quota nor a limit on the size of files
 * (RLIMIT_FSIZE), nor that its index (shared memory) cannot grow. */
static bool is_full(int rc, int sys)
{
    return (rc & 0xff) == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE ||
           ((rc & 0xff) == SQLITE_IOERR && (sys == ENOSPC || sys == EDQUOT || sys == EFBIG));
}

/* What SQLite says, in our terms. */
static int fail(sqlite3 *h, int rc, const char *what, struct error *err)
{
    int sys = last_errno(h, rc);
    enum error_code code = is_full(rc, sys) ? ERR_NO_SPACE : ERR_UNKNOWN;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
        code = ERR_UNAVAILABLE;
        break;
    case SQLITE_READONLY:
        code = ERR_READ_ONLY;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        error_set(err, code, "database: %s: %s (%d, errno %d)", what, sqlite3_errmsg(h), rc, sys);
        if (err)
            err->sys = sys;
        return -1;
    default:
        break;
    }
    return error_set(err, code, "database: %s: %s (%d)", what, sqlite3_errmsg(h), rc);
}

static int on_commit(void *arg, sqlite3 *h, const char *name, int frames)
{
    (void)h;
    (void)name;
    ((struct sqdb *)arg)->wal_frames = frames;
    return SQLITE_OK;
}

/* SQLite would make the file readable for everyone; its log and index take the mode of the file. */
static int make_file(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, errno, "database: open %s", path);
    (void)close(fd);
    return 0;
}

/* SQLite answers with the mode that it is in, and that is another one where the file system cannot
 * map memory that is shared. */
static int check_wal(struct sqdb *db, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db->h, "PRAGMA journal_mode", -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    bool wal = rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(q, 0), "wal") == 0;
    (void)sqlite3_finalize(q);
    return wal ? 0
               : error_set(
                     err, ERR_UNKNOWN,
                     "database: no write-ahead log on this file system; a local one is needed");
}

static int configure(struct sqdb *db, enum sqdb_mode mode, struct error *err)
{
    (void)sqlite3_busy_timeout(db->h, BUSY_MS);
    if (sqdb_exec(db, mode == SQDB_WRITER ? settings_writer : settings_reader, err) < 0 ||
        sqdb_exec(db, settings_all, err) < 0 || check_wal(db, err) < 0)
        return -1;
    /* After the settings, because it takes the place of the automatic checkpoint. */
    if (mode == SQDB_WRITER)
        (void)sqlite3_wal_hook(db->h, on_commit, db);
    return 0;
}

int sqdb_open(const char *path, enum sqdb_mode mode, struct sqdb **out, struct error *err)
{
    if (mode == SQDB_WRITER && make_file(path, err) < 0)
        return -1;
    struct sqdb *db = xcalloc(1, sizeof *db);
    int rc = sqlite3_open_v2(path, &db->h,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                 SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (rc != SQLITE_OK)
        (void)fail(db->h, rc, "open", err);
    if (rc != SQLITE_OK || configure(db, mode, err) < 0) {
        sqdb_close(db);
        return -1;
    }
    *out = db;
    return 0;
}

void sqdb_close(struct sqdb *db)
{
    if (!db)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(db->stmts[i]);
    int rc = sqlite3_close(db->h);
    CHECK(rc == SQLITE_OK);
    free(db);
}

int sqdb_exec(struct sqdb *db, const char *sql, struct error *err)
{
    int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(db->h, rc, "setting or migration", err);
}

int sqdb_number(struct sqdb *db, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(db->h, sql, -1, &q, NULL);
    if (rc != SQLITE_OK)
        return fail(db->h, rc, sql, err);
    rc = sqlite3_step(q);
    int found = rc == SQLITE_ROW;
    if (found)
        *out = sqlite3_column_int64(q, 0);
    else if (rc != SQLITE_DONE)
        found = fail(db->h, rc, sql, err);
    (void)sqlite3_finalize(q);
    return found;
}

bool sqdb_in_transaction(struct sqdb *db)
{
    return !sqlite3_get_autocommit(db->h);
}

int sqdb_wal_frames(const struct sqdb *db)
{
    return db->wal_frames;
}

int sqdb_checkpoint(struct sqdb *db, bool passive, struct error *err)
{
    int mode = passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
    (void)sqlite3_busy_timeout(db->h, CHECKPOINT_BUSY_MS);
    int rc = sqlite3_wal_checkpoint_v2(db->h, NULL, mode, NULL, NULL);
    (void)sqlite3_busy_timeout(db->h, BUSY_MS);
    return rc == SQLITE_OK ? 0 : fail(db->h, rc, "checkpoint", err);
}

void sqdb_work(struct sqdb *db, struct sqdb_work *out)
{
    *out = (struct sqdb_work){0};
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_stmt *q = db->stmts[i];
        if (!q)
            continue;
        out->steps += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_VM_STEP, 1);
        out->fullscan_steps += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
        out->sorts += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_SORT, 1);
    }
}

/* $1 has to be SQLite's first parameter, and so on: sql.h. */
static void check_parameters(sqlite3_stmt *q)
{
    for (int i = 1, n = sqlite3_bind_parameter_count(q); i <= n; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "$%d", i);
        CHECK(strcmp(sqlite3_bind_parameter_name(q, i), want) == 0);
    }
}

static sqlite3_stmt *prepared(struct sqdb *db, enum sql_id id, struct error *err)
{
    if (!db->stmts[id]) {
        sqlite3_stmt *q = NULL;
        int rc = sqlite3_prepare_v3(db->h, texts[id], -1, SQLITE_PREPARE_PERSISTENT, &q, NULL);
        if (rc != SQLITE_OK) {
            (void)fail(db->h, rc, texts[id], err);
            return NULL;
        }
        check_parameters(q);
        db->stmts[id] = q;
    }
    return db->stmts[id];
}

static int bind(sqlite3_stmt *q, int at, const struct sqval *v)
{
    /* A NULL pointer would bind NULL. */
    const char *p = v->s.p ? v->s.p : "";
    switch (v->type) {
    case SQ_INT:
        return sqlite3_bind_int64(q, at, v->i);
    case SQ_TEXT:
        return sqlite3_bind_text64(q, at, p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case SQ_BLOB:
        return sqlite3_bind_blob64(q, at, p, v->s.n, SQLITE_STATIC);
    case SQ_NULL:
        break;
    }
    return sqlite3_bind_null(q, at);
}

struct sqlite3_stmt *sq_start(struct sqdb *db, enum sql_id id, const struct sqval *v, unsigned n,
                              struct error *err)
{
    sqlite3_stmt *q = prepared(db, id, err);
    if (!q)
        return NULL;
    CHECK(sqlite3_bind_parameter_count(q) == (int)n);
    for (unsigned i = 0; i < n; i++) {
        int rc = bind(q, (int)i + 1, &v[i]);
        if (rc != SQLITE_OK) {
            (void)fail(db->h, rc, texts[id], err);
            sq_end(&q);
            return NULL;
        }
    }
    return q;
}

int sq_next(struct sqlite3_stmt *q, struct error *err)
{
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(sqlite3_db_handle(q), rc, sqlite3_sql(q), err);
}

void sq_end(struct sqlite3_stmt **q)
{
    if (!*q)
        return;
    (void)sqlite3_reset(*q); /* repeats the error of the last step, which was reported */
    (void)sqlite3_clear_bindings(*q);
    *q = NULL;
}

int64_t sq_int(struct sqlite3_stmt *q, int col)
{
    return sqlite3_column_int64(q, col);
}

struct slice sq_bytes(struct sqlite3_stmt *q, int col)
{
    if (sqlite3_column_type(q, col) == SQLITE_NULL)
        return SLICE_NONE;
    /* For text this gives the UTF-8 bytes; no conversion, the database is UTF-8. */
    const char *p = sqlite3_column_blob(q, col);
    return (struct slice){p ? p : "", (size_t)sqlite3_column_bytes(q, col)};
}

int sq_run(struct sqdb *db, enum sql_id id, const struct sqval *v, unsigned n, int *changes,
           struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = sq_start(db, id, v, n, err);
    if (!q)
        return -1;
    int r;
    do
        r = sq_next(q, err);
    while (r > 0);
    if (r == 0 && changes)
        *changes = sqlite3_changes(db->h);
    return r;
}

int sq_find(struct sqdb *db, enum sql_id id, const struct sqval *v, unsigned n, int64_t *out,
            struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = sq_start(db, id, v, n, err);
    if (!q)
        return -1;
    int found = 0, r;
    /* To the end even when one row is enough: foreign keys are checked there. */
    while ((r = sq_next(q, err)) > 0) {
        if (!found)
            *out = sq_int(q, 0);
        found = 1;
    }
    return r < 0 ? -1 : found;
}
