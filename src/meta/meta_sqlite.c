/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "meta/migrate.h"
#include "meta/sqlite_int.h"

#include "base/banned.h"

enum { STUCK_MS = 30 * 1000 };

static atomic_uint_fast64_t *epoch_of(struct meta_sqlite *s, struct slice repo)
{
    return &s->epochs[hash_bytes(repo.p, repo.n, 0) % META_EPOCHS];
}

void meta_sqlite_bump(struct meta_sqlite *s, struct slice repo)
{
    atomic_fetch_add_explicit(epoch_of(s, repo), 1, memory_order_acq_rel);
}

int meta_sqlite_damaged(struct error *err, const char *what)
{
    return error_set(err, ERR_UNKNOWN, "database: %s is damaged", what);
}

static uint64_t get_epoch(struct meta *m, struct slice repo)
{
    return atomic_load_explicit(epoch_of(meta_sqlite(m), repo), memory_order_acquire);
}

int sqlite_repo_find(struct sqdb *db, struct slice name, int64_t *id, struct error *err)
{
    return SQ_FIND(db, SQL_REPO_ID, id, err, sq_t(name));
}

int sqlite_repo_make(struct sqdb *db, struct slice name, int64_t *id, struct error *err)
{
    int r = sqlite_repo_find(db, name, id, err);
    return r ? r : SQ_FIND(db, SQL_REPO_ADD, id, err, sq_t(name), sq_i(os_wall_ms()));
}

int sqlite_repo_unknown_or(struct sqdb *db, struct slice name, enum error_code code,
                           struct error *err)
{
    int64_t id;
    int r = sqlite_repo_find(db, name, &id, err);
    if (r < 0)
        return -1;
    return error_set(err, r ? code : ERR_NAME_UNKNOWN, "%s: %.*s",
                     r ? "not in the repository" : "no such repository", SLICE_ARG(name));
}

static int ping(struct meta *m, struct error *err)
{
    struct meta_sqlite *s = meta_sqlite(m);
    if (writer_alive(s->writer, STUCK_MS, err) < 0)
        return -1;
    struct sqdb *db = readers_take(s->readers, err);
    if (!db)
        return -1;
    int64_t n;
    int r = sq_find(db, SQL_PING, NULL, 0, &n, err);
    readers_give(s->readers, db);
    return r < 0 ? -1 : 0;
}

static int read_stats(struct sqdb *db, struct meta_stats *out, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = sq_start(db, SQL_STATS, NULL, 0, err);
    if (!q || sq_next(q, err) < 0)
        return -1;
    *out = (struct meta_stats){
        .repositories = (uint64_t)sq_int(q, 0),
        .manifests = (uint64_t)sq_int(q, 1),
        .tags = (uint64_t)sq_int(q, 2),
        .blobs = (uint64_t)sq_int(q, 3),
        .uploads = (uint64_t)sq_int(q, 4),
        .blob_bytes = (uint64_t)sq_int(q, 5),
    };
    return 0;
}

static int stats(struct meta *m, struct meta_stats *out, struct error *err)
{
    struct meta_sqlite *s = meta_sqlite(m);
    struct sqdb *db = readers_take(s->readers, err);
    if (!db)
        return -1;
    int r = read_stats(db, out, err);
    readers_give(s->readers, db);
    return r;
}

static void close_all(struct meta *m)
{
    struct meta_sqlite *s = meta_sqlite(m);
    /* The writer last: the last connection moves the log into the database and removes it. */
    readers_free(s->readers);
    writer_stop(s->writer);
    free(s);
}

static const struct meta_ops ops = {
    .name = "sqlite",
    .close = close_all,
    .ping = ping,
    .epoch = get_epoch,
    .upload_create = sqlite_upload_create,
    .upload_get = sqlite_upload_get,
    .upload_save = sqlite_upload_save,
    .upload_delete = sqlite_upload_delete,
    .upload_touch = sqlite_upload_touch,
    .upload_stale = sqlite_upload_stale,
    .upload_expire = sqlite_upload_expire,
    .tombstones_expire = sqlite_tombstones_expire,
    .upload_exists = sqlite_upload_exists,
    .blob_get = sqlite_blob_get,
    .blob_lease = sqlite_blob_lease,
    .blob_pend = sqlite_blob_pend,
    .blob_commit = sqlite_blob_commit,
    .blob_mount = sqlite_blob_mount,
    .blob_delete = sqlite_blob_delete,
    .blob_pending = sqlite_blob_pending,
    .blob_resolve = sqlite_blob_resolve,
    .manifest_put = sqlite_manifest_put,
    .manifest_get = sqlite_manifest_get,
    .manifest_delete = sqlite_manifest_delete,
    .tag_delete = sqlite_tag_delete,
    .tags = sqlite_tags,
    .repositories = sqlite_repositories,
    .referrers = sqlite_referrers,
    .stats = stats,
    .cursor_ensure = sqlite_cursor_ensure,
    .cursor_remove = sqlite_cursor_remove,
    .cursors = sqlite_cursors,
    .cursor_get = sqlite_cursor_get,
    .cursor_advance = sqlite_cursor_advance,
    .events_after = sqlite_events_after,
    .events_add = sqlite_events_add,
    .events_replay = sqlite_events_replay,
    .events_drop = sqlite_events_drop,
    .import_pend = sqlite_import_pend,
    .import_live = sqlite_import_live,
    .import_repo = sqlite_import_repo,
};

/* The steps of the schema are acknowledged to nobody, so they need not be durable by themselves:
 * NORMAL leaves out the syncs of a commit and keeps the log consistent. The generation is the
 * commit that is synced, and with it all that stands before it in the log: the steps, and what a
 * process before us had written when it was killed and not synced yet. That is read and told from
 * now on (a repeated PUT is answered 201 from its tombstone), so a power cut must not take it away;
 * and a later sync that fails must not lose what only it would have made durable. */
static int prepare_database(struct sqdb *db, int64_t *generation, struct error *err)
{
    if (sqdb_exec(db, "PRAGMA synchronous = NORMAL", err) < 0 ||
        migrate(db, meta_migrations, meta_migrations_n, err) < 0 ||
        sqdb_exec(db, "PRAGMA synchronous = FULL", err) < 0)
        return -1;
    return sq_find(db, SQL_GENERATION, NULL, 0, generation, err) < 0 ? -1 : 0;
}

/* Owns `db`, also when it fails. */
static int start(struct sqdb *db, const char *path, unsigned readers_max, struct metrics *metrics,
                 int64_t generation, struct meta **out, struct error *err)
{
    struct writer *writer = NULL;
    if (writer_start(db, WRITER_QUEUE_MAX, metrics, &writer, err) < 0)
        return -1;
    struct meta_sqlite *s = xcalloc(1, sizeof *s);
    s->base.ops = &ops;
    s->writer = writer;
    s->readers = readers_new(path, readers_max);
    storage_times_init(&s->times, metrics);
    s->generation = generation;
    s->listeners = -1;
    for (unsigned i = 0; i < META_EPOCHS; i++)
        atomic_init(&s->epochs[i], 1);
    *out = &s->base;
    return 0;
}

int meta_sqlite_open(const char *path, unsigned readers_max, struct metrics *metrics,
                     struct meta **out, struct error *err)
{
    struct sqdb *db = NULL;
    int64_t generation = 0;
    if (sqdb_open(path, SQDB_WRITER, &db, err) < 0)
        return -1;
    if (prepare_database(db, &generation, err) < 0) {
        sqdb_close(db);
        return -1;
    }
    return start(db, path, readers_max, metrics, generation, out, err);
}

/* A reader looks first: the settings of a writer would change a database that is not ours. */
static int check_database(const char *path, struct error *err)
{
    struct sqdb *db = NULL;
    struct error why = {0};
    if (access(path, R_OK | W_OK) < 0)
        return error_detail(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_UNKNOWN,
                            errno == ENOENT ? "there is no database %s: is that the data directory?"
                                            : "the database %s may not be read and written by this "
                                              "user",
                            path);
    if (sqdb_open(path, SQDB_READER, &db, &why) < 0)
        return error_detail(err, why.code, "%s", why.message);
    int r = migrate_check(db, meta_migrations_n, err);
    sqdb_close(db);
    return r;
}

int meta_sqlite_tool(const char *path, struct meta **out, struct error *err)
{
    struct sqdb *db = NULL;
    struct error why = {0};
    if (check_database(path, err) < 0)
        return -1;
    if (sqdb_open(path, SQDB_WRITER, &db, &why) < 0 || start(db, path, 1, NULL, 0, out, &why) < 0)
        return error_detail(err, why.code, "%s", why.message);
    return 0;
}
