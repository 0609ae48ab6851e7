/* SPDX-License-Identifier: Apache-2.0 */
/* Upload sessions and their tombstones. */
#include "meta/sqlite_int.h"

#include "base/banned.h"

enum { EXPIRE_MAX = 1000 /* rows that one call lists or removes */ };

/* The arguments of those transactions that have the same shape. */
struct upload_txn {
    struct txn txn;
    struct slice repo, id;
    enum hash_alg alg;
    uint64_t offset;
    bool staged;
    struct slice bytes;
};

static int unknown(struct slice id, struct error *err)
{
    return error_set(err, ERR_BLOB_UPLOAD_UNKNOWN, "no open upload %.*s", SLICE_ARG(id));
}

static int run_create(struct txn *t, struct sqdb *db, struct error *err)
{
    struct upload_txn *u = TXN_SELF(t, struct upload_txn);
    int changes = 0;
    if (SQ_RUN(db, SQL_UPLOAD_ADD, &changes, err, sq_t(u->id), sq_t(u->repo), sq_i(u->alg),
               sq_i(os_wall_ms()), sq_b(SLICE_LIT(""))) < 0)
        return -1;
    return changes ? 0
                   : error_set(err, ERR_CONFLICT, "upload %.*s exists already", SLICE_ARG(u->id));
}

int sqlite_upload_create(struct meta *m, struct slice repo, struct slice id, enum hash_alg alg,
                         struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    struct upload_txn u = {.txn.run = run_create, .repo = repo, .id = id, .alg = alg};
    return writer_run(meta_sqlite(m)->writer, &u.txn, err);
}

static int read_upload(struct sqlite3_stmt *q, struct arena *a, struct meta_upload *out,
                       struct error *err)
{
    struct meta_upload u = {
        .state = sq_int(q, 0) ? UPLOAD_DONE : UPLOAD_OPEN,
        .offset = (uint64_t)sq_int(q, 1),
        .staged = sq_int(q, 2) != 0,
        .alg = (enum hash_alg)sq_int(q, 3),
        .started_ms = sq_int(q, 5),
    };
    if (u.state == UPLOAD_DONE && digest_parse(sq_bytes(q, 4), &u.digest, err) < 0)
        return meta_sqlite_damaged(err, "the digest of an upload");
    struct slice bytes = sq_bytes(q, 6);
    if (bytes.n)
        u.bytes = arena_slice(a, bytes);
    *out = u;
    return 0;
}

static int find_upload(struct sqdb *db, struct slice repo, struct slice id, struct arena *a,
                       struct meta_upload *out, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_UPLOAD_GET, err, sq_t(id), sq_t(repo));
    int r = q ? sq_next(q, err) : -1;
    if (r < 0)
        return -1;
    return r ? read_upload(q, a, out, err) : unknown(id, err);
}

int sqlite_upload_get(struct meta *m, struct slice repo, struct slice id, struct arena *a,
                      struct meta_upload *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_GET_CONTENT);
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = find_upload(db, repo, id, a, out, err);
    readers_give(readers, db);
    return r;
}

static int run_save(struct txn *t, struct sqdb *db, struct error *err)
{
    struct upload_txn *u = TXN_SELF(t, struct upload_txn);
    int changes = 0;
    if (SQ_RUN(db, SQL_UPLOAD_SAVE, &changes, err, sq_i((int64_t)u->offset), sq_i(u->staged),
               u->staged ? sq_null() : sq_b(u->bytes), sq_i(os_wall_ms()), sq_t(u->id),
               sq_t(u->repo)) < 0)
        return -1;
    return changes ? 0 : unknown(u->id, err);
}

int sqlite_upload_save(struct meta *m, struct slice repo, struct slice id, uint64_t offset,
                       bool staged, struct slice bytes, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    CHECK(staged || (bytes.n <= META_INLINE_MAX && bytes.n == offset));
    struct upload_txn u = {.txn.run = run_save,
                           .repo = repo,
                           .id = id,
                           .offset = offset,
                           .staged = staged,
                           .bytes = bytes};
    return writer_run(meta_sqlite(m)->writer, &u.txn, err);
}

static int run_delete(struct txn *t, struct sqdb *db, struct error *err)
{
    struct upload_txn *u = TXN_SELF(t, struct upload_txn);
    int changes = 0;
    if (SQ_RUN(db, SQL_UPLOAD_DELETE, &changes, err, sq_t(u->id), sq_t(u->repo)) < 0)
        return -1;
    return changes ? 0 : unknown(u->id, err);
}

int sqlite_upload_delete(struct meta *m, struct slice repo, struct slice id, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_DELETE);
    struct upload_txn u = {.txn.run = run_delete, .repo = repo, .id = id};
    return writer_run(meta_sqlite(m)->writer, &u.txn, err);
}

static int run_touch(struct txn *t, struct sqdb *db, struct error *err)
{
    struct upload_txn *u = TXN_SELF(t, struct upload_txn);
    int changes = 0;
    if (SQ_RUN(db, SQL_UPLOAD_TOUCH, &changes, err, sq_i(os_wall_ms()), sq_t(u->id),
               sq_t(u->repo)) < 0)
        return -1;
    return changes ? 0 : unknown(u->id, err);
}

int sqlite_upload_touch(struct meta *m, struct slice repo, struct slice id, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    struct upload_txn u = {.txn.run = run_touch, .repo = repo, .id = id};
    return writer_run(meta_sqlite(m)->writer, &u.txn, err);
}

/* --- what nobody has gone on with --- */

static int list_stale(struct sqdb *db, int64_t before_ms, unsigned max, struct arena *a,
                      struct meta_stale **list, unsigned *n, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q =
        SQ_START(db, SQL_UPLOAD_STALE, err, sq_i(before_ms), sq_i(max));
    struct meta_stale *found = ARENA_ARRAY(a, struct meta_stale, max);
    unsigned count = 0;
    int r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0)
        found[count++] = (struct meta_stale){.repo = arena_slice(a, sq_bytes(q, 0)),
                                             .id = arena_slice(a, sq_bytes(q, 1))};
    if (r < 0)
        return -1;
    *list = found;
    *n = count;
    return 0;
}

int sqlite_upload_stale(struct meta *m, int64_t before_ms, unsigned max, struct arena *a,
                        struct meta_stale **list, unsigned *n, struct error *err)
{
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = list_stale(db, before_ms, MIN(max, (unsigned)EXPIRE_MAX), a, list, n, err);
    readers_give(readers, db);
    return r;
}

struct expire_txn {
    struct txn txn;
    struct slice id; /* of one; tombstones: up to max */
    int64_t before_ms;
    unsigned max;
    int removed;
};

static int run_expire(struct txn *t, struct sqdb *db, struct error *err)
{
    struct expire_txn *e = TXN_SELF(t, struct expire_txn);
    return SQ_RUN(db, SQL_UPLOAD_EXPIRE, &e->removed, err, sq_t(e->id), sq_i(e->before_ms));
}

int sqlite_upload_expire(struct meta *m, struct slice id, int64_t before_ms, bool *gone,
                         struct error *err)
{
    struct expire_txn e = {.txn.run = run_expire, .id = id, .before_ms = before_ms};
    if (writer_run(meta_sqlite(m)->writer, &e.txn, err) < 0)
        return -1;
    *gone = e.removed > 0;
    return 0;
}

static int run_tombstones(struct txn *t, struct sqdb *db, struct error *err)
{
    struct expire_txn *e = TXN_SELF(t, struct expire_txn);
    return SQ_RUN(db, SQL_TOMBSTONES_EXPIRE, &e->removed, err, sq_i(e->before_ms), sq_i(e->max));
}

int sqlite_tombstones_expire(struct meta *m, int64_t before_ms, unsigned max, unsigned *removed,
                             struct error *err)
{
    struct expire_txn e = {
        .txn.run = run_tombstones, .before_ms = before_ms, .max = MIN(max, (unsigned)EXPIRE_MAX)};
    if (writer_run(meta_sqlite(m)->writer, &e.txn, err) < 0)
        return -1;
    *removed = (unsigned)e.removed;
    return 0;
}

int sqlite_upload_exists(struct meta *m, struct slice id, bool *open, struct error *err)
{
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int64_t state = 0;
    int r = SQ_FIND(db, SQL_UPLOAD_STATE, &state, err, sq_t(id));
    readers_give(readers, db);
    if (r < 0)
        return -1;
    *open = r && state == 0;
    return 0;
}
