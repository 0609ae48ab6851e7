/* SPDX-License-Identifier: Apache-2.0 */
/* Upload sessions and their tombstones. */
#include "meta/sqlite_int.h"

#include "base/banned.h"

enum { EXPIRE_MAX = 1000 /* rows that one transaction removes */ };

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
    struct upload_txn u = {.txn.run = run_delete, .repo = repo, .id = id};
    return writer_run(meta_sqlite(m)->writer, &u.txn, err);
}

struct expire_txn {
    struct txn txn;
    int64_t before_ms[2]; /* by state */
    unsigned max;
    struct arena *a;
    struct slice *ids;
    unsigned n;
};

static int expire_state(struct expire_txn *e, int state, struct sqdb *db, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_UPLOAD_EXPIRE, err, sq_i(state),
                                                 sq_i(e->before_ms[state]), sq_i(e->max - e->n));
    int r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0)
        e->ids[e->n++] = arena_slice(e->a, sq_bytes(q, 0));
    return r;
}

static int run_expire(struct txn *t, struct sqdb *db, struct error *err)
{
    struct expire_txn *e = TXN_SELF(t, struct expire_txn);
    return expire_state(e, 0, db, err) < 0 ? -1 : expire_state(e, 1, db, err);
}

int sqlite_upload_expire(struct meta *m, int64_t open_before_ms, int64_t done_before_ms,
                         unsigned max, struct arena *a, struct slice **ids, unsigned *n,
                         struct error *err)
{
    max = MIN(max, (unsigned)EXPIRE_MAX);
    struct expire_txn e = {.txn.run = run_expire,
                           .before_ms = {open_before_ms, done_before_ms},
                           .max = max,
                           .a = a,
                           .ids = ARENA_ARRAY(a, struct slice, max)};
    if (writer_run(meta_sqlite(m)->writer, &e.txn, err) < 0)
        return -1;
    *ids = e.ids;
    *n = e.n;
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
