/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: their states, and the links that make them visible in a repository. */
#include "meta/sqlite_int.h"

#include "base/banned.h"

enum { PENDING_MAX = 1000 /* rows that one call of blob_pending lists */ };

/* Arguments and results of all of this file's transactions. */
struct blob_txn {
    struct txn txn;
    struct meta_sqlite *s;
    struct slice from, repo, upload_id;
    struct slice digest;
    uint64_t size;
    const struct slice *bytes;
    bool exists; /* blob_resolve */
    int64_t epoch;
    struct meta_pend pend; /* blob_pend */
    const struct meta_event *event;
};

/* A row of `blobs`. */
struct blob_row {
    int64_t id, state, epoch, lease_ms, generation;
    uint64_t size;
    bool is_inline;
};

static int unknown(struct slice digest, struct error *err)
{
    return error_set(err, ERR_BLOB_UNKNOWN, "no blob %.*s there", SLICE_ARG(digest));
}

static int run(struct meta *m, struct blob_txn *b, struct error *err)
{
    b->s = meta_sqlite(m);
    return writer_run(b->s->writer, &b->txn, err);
}

/* 1, 0 when there is no row, or -1. */
static int row_find(struct sqdb *db, struct slice digest, struct blob_row *out, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_BLOB_ROW, err, sq_t(digest));
    int r = q ? sq_next(q, err) : -1;
    if (r > 0)
        *out = (struct blob_row){.id = sq_int(q, 0),
                                 .size = (uint64_t)sq_int(q, 1),
                                 .state = sq_int(q, 2),
                                 .epoch = sq_int(q, 3),
                                 .lease_ms = sq_int(q, 4),
                                 .generation = sq_int(q, 5),
                                 .is_inline = sq_int(q, 6) != 0};
    return r;
}

static int row_add(struct sqdb *db, struct slice digest, struct blob_row *row, struct error *err)
{
    return SQ_FIND(db, SQL_BLOB_ADD, &row->id, err, sq_t(digest), sq_i((int64_t)row->size),
                   sq_i(row->state), sq_i(row->lease_ms), sq_i(row->generation), sq_i(os_wall_ms()),
                   sq_i(row->is_inline)) < 0
               ? -1
               : 0;
}

static int row_save(struct sqdb *db, const struct blob_row *row, struct error *err)
{
    return SQ_RUN(db, SQL_BLOB_SET, NULL, err, sq_i((int64_t)row->size), sq_i(row->state),
                  sq_i(row->epoch), sq_i(row->lease_ms), sq_i(row->generation),
                  sq_i(row->is_inline), sq_i(row->id));
}

static int check_size(const struct blob_row *row, uint64_t size, struct error *err)
{
    if (row->size == size)
        return 0;
    return error_set(err, ERR_DIGEST_INVALID,
                     "the blob is known with %llu bytes, not %llu: the same digest of other bytes",
                     (unsigned long long)row->size, (unsigned long long)size);
}

static int link_put(struct sqdb *db, struct slice repo, int64_t blob, struct error *err)
{
    int64_t id;
    if (sqlite_repo_make(db, repo, &id, err) < 0)
        return -1;
    return SQ_RUN(db, SQL_LINK_PUT, NULL, err, sq_i(id), sq_i(blob),
                  sq_i(os_wall_ms() + META_LINK_LEASE_MS));
}

/* --- reading --- */

static int read_blob(struct sqlite3_stmt *q, bool want_bytes, struct meta_blob *out,
                     struct error *err)
{
    struct meta_blob b = {.size = (uint64_t)sq_int(q, 0),
                          .is_inline = sq_int(q, 1) != 0,
                          .wants_lease = sq_int(q, 2) != 0};
    if (b.is_inline && want_bytes) {
        struct slice data = sq_bytes(q, 3);
        if (!data.p || data.n != b.size)
            return meta_sqlite_damaged(err, "an inline blob");
        b.bytes = shared_new(data.p, data.n);
        if (!b.bytes)
            return error_set(err, ERR_UNAVAILABLE, "no memory for a blob");
    }
    *out = b;
    return 0;
}

static int get_blob(struct sqdb *db, struct slice repo, struct slice digest, bool want_bytes,
                    struct meta_blob *out, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q =
        SQ_START(db, want_bytes ? SQL_BLOB_GET_BYTES : SQL_BLOB_GET, err,
                 sq_i(os_wall_ms() + META_WANTS_LEASE_MS), sq_t(repo), sq_t(digest));
    int r = q ? sq_next(q, err) : -1;
    if (r < 0)
        return -1;
    return r ? read_blob(q, want_bytes, out, err) : unknown(digest, err);
}

int sqlite_blob_get(struct meta *m, struct slice repo, const struct digest *d, bool want_bytes,
                    struct meta_blob *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, want_bytes ? STORAGE_GET_CONTENT : STORAGE_STAT);
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = get_blob(db, repo, slice_cstr(d->text), want_bytes, out, err);
    readers_give(readers, db);
    return r;
}

static int list_pending(struct sqdb *db, int64_t generation, struct slice after, unsigned max,
                        struct arena *a, struct meta_pending **list, unsigned *n, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_BLOB_PENDING, err, sq_t(after),
                                                 sq_i(os_wall_ms()), sq_i(generation), sq_i(max));
    struct meta_pending *found = ARENA_ARRAY(a, struct meta_pending, max);
    unsigned count = 0;
    int r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0) {
        struct meta_pending *p = &found[count++];
        if (digest_parse(sq_bytes(q, 0), &p->digest, err) < 0)
            return meta_sqlite_damaged(err, "the digest of a blob");
        p->size = (uint64_t)sq_int(q, 1);
        p->epoch = sq_int(q, 2);
    }
    if (r < 0)
        return -1;
    *list = found;
    *n = count;
    return 0;
}

int sqlite_blob_pending(struct meta *m, struct slice after, unsigned max, struct arena *a,
                        struct meta_pending **list, unsigned *n, struct error *err)
{
    struct meta_sqlite *s = meta_sqlite(m);
    struct sqdb *db = readers_take(s->readers, err);
    if (!db)
        return -1;
    int r =
        list_pending(db, s->generation, after, MIN(max, (unsigned)PENDING_MAX), a, list, n, err);
    readers_give(s->readers, db);
    return r;
}

/* --- the protocol of a push (DESIGN.md, part 5) --- */

static int run_pend(struct txn *t, struct sqdb *db, struct error *err)
{
    struct blob_txn *b = TXN_SELF(t, struct blob_txn);
    int64_t now = os_wall_ms();
    struct blob_row row = {.size = b->size,
                           .state = BLOB_PENDING,
                           .epoch = 1,
                           .lease_ms = now + META_PENDING_LEASE_MS,
                           .generation = b->s->generation};
    struct blob_row old;
    int r = row_find(db, b->digest, &old, err);
    if (r < 0)
        return -1;
    b->pend = (struct meta_pend){.epoch = 1};
    if (r == 0)
        return row_add(db, b->digest, &row, err);
    if (old.state != BLOB_DELETING && check_size(&old, b->size, err) < 0)
        return -1;
    row.id = old.id;
    row.epoch = old.epoch;
    if (old.state == BLOB_LIVE) {
        /* The collector has to leave it alone until the push has made its link. */
        b->pend.live = true;
        b->pend.is_inline = old.is_inline;
        row = old;
        row.lease_ms = MAX(old.lease_ms, now + META_PENDING_LEASE_MS);
    } else if (old.state == BLOB_DELETING) {
        row.epoch++; /* disarms the collector */
        if (old.is_inline && SQ_RUN(db, SQL_BLOB_DATA_DELETE, NULL, err, sq_i(old.id)) < 0)
            return -1;
    } else if (old.lease_ms <= now || old.generation != b->s->generation) {
        row.epoch++; /* recovery may be looking at it: disarms that */
    }
    b->pend.epoch = row.epoch;
    return row_save(db, &row, err);
}

int sqlite_blob_pend(struct meta *m, const struct digest *d, uint64_t size, struct meta_pend *out,
                     struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    struct blob_txn b = {.txn.run = run_pend, .digest = slice_cstr(d->text), .size = size};
    if (run(m, &b, err) < 0)
        return -1;
    *out = b.pend;
    return 0;
}

/* The row becomes (or is) live; its id. */
static int make_live(struct blob_txn *b, struct sqdb *db, int64_t *id, struct error *err)
{
    struct blob_row row = {.size = b->size};
    int r = row_find(db, b->digest, &row, err);
    if (r < 0)
        return -1;
    /* Bytes that are at hand take the place of a file: nobody has looked whether that is still
     * there, and who is told 201 does not push them again. */
    bool stays = r && row.state == BLOB_LIVE && (row.is_inline || !b->bytes);
    bool deleting = r && row.state == BLOB_DELETING;
    *id = row.id;
    if (r && !deleting && check_size(&row, b->size, err) < 0)
        return -1;
    if (stays)
        return 0;
    /* Without a pending row nobody keeps the collector and recovery away from the file. */
    if (!b->bytes && (r == 0 || deleting))
        return error_set(err, ERR_CONFLICT, "blob %.*s is not pending any more",
                         SLICE_ARG(b->digest));
    bool had_data = r && row.is_inline;
    row.state = BLOB_LIVE;
    row.size = b->size;
    row.epoch += deleting;
    row.is_inline = b->bytes != NULL;
    if ((r ? row_save(db, &row, err) : row_add(db, b->digest, &row, err)) < 0)
        return -1;
    *id = row.id;
    if (had_data && SQ_RUN(db, SQL_BLOB_DATA_DELETE, NULL, err, sq_i(row.id)) < 0)
        return -1;
    return b->bytes ? SQ_RUN(db, SQL_BLOB_DATA_ADD, NULL, err, sq_i(row.id), sq_b(*b->bytes)) : 0;
}

static int run_commit(struct txn *t, struct sqdb *db, struct error *err)
{
    struct blob_txn *b = TXN_SELF(t, struct blob_txn);
    int64_t blob = 0;
    int changes = 1;
    if (b->upload_id.n &&
        SQ_RUN(db, SQL_UPLOAD_DONE, &changes, err, sq_t(b->digest), sq_i((int64_t)b->size),
               sq_i(os_wall_ms()), sq_t(b->upload_id), sq_t(b->repo)) < 0)
        return -1;
    if (!changes)
        return error_set(err, ERR_BLOB_UPLOAD_UNKNOWN, "no open upload %.*s",
                         SLICE_ARG(b->upload_id));
    if (make_live(b, db, &blob, err) < 0 || link_put(db, b->repo, blob, err) < 0)
        return -1;
    return sqlite_event_put(b->s, db, b->event, err);
}

int sqlite_blob_commit(struct meta *m, struct slice repo, const struct digest *d, uint64_t size,
                       const struct slice *bytes, struct slice upload_id,
                       const struct meta_event *event, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    CHECK(!bytes || (bytes->n <= META_INLINE_MAX && bytes->n == size));
    struct blob_txn b = {.txn.run = run_commit,
                         .repo = repo,
                         .upload_id = upload_id,
                         .digest = slice_cstr(d->text),
                         .size = size,
                         .bytes = bytes,
                         .event = event};
    return run(m, &b, err);
}

static int run_resolve(struct txn *t, struct sqdb *db, struct error *err)
{
    struct blob_txn *b = TXN_SELF(t, struct blob_txn);
    struct blob_row row;
    int r = row_find(db, b->digest, &row, err);
    if (r < 0)
        return -1;
    if (r == 0 || row.state != BLOB_PENDING || row.epoch != b->epoch)
        return 0; /* a push, or another recovery, was there first */
    if (!b->exists)
        return SQ_RUN(db, SQL_BLOB_REMOVE, NULL, err, sq_i(row.id));
    row.state = BLOB_LIVE;
    /* Nothing refers to it. The client whose push this was comes back for it, or the collector. */
    row.lease_ms = os_wall_ms() + META_LINK_LEASE_MS;
    return row_save(db, &row, err);
}

int sqlite_blob_resolve(struct meta *m, const struct digest *d, int64_t epoch, bool exists,
                        struct error *err)
{
    struct blob_txn b = {
        .txn.run = run_resolve, .digest = slice_cstr(d->text), .epoch = epoch, .exists = exists};
    return run(m, &b, err);
}

/* --- links --- */

static int run_lease(struct txn *t, struct sqdb *db, struct error *err)
{
    struct blob_txn *b = TXN_SELF(t, struct blob_txn);
    int changes = 0;
    if (SQ_RUN(db, SQL_LINK_LEASE, &changes, err, sq_i(os_wall_ms() + META_LINK_LEASE_MS),
               sq_t(b->repo), sq_t(b->digest)) < 0)
        return -1;
    return changes ? 0 : unknown(b->digest, err);
}

int sqlite_blob_lease(struct meta *m, struct slice repo, const struct digest *d, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    struct blob_txn b = {.txn.run = run_lease, .repo = repo, .digest = slice_cstr(d->text)};
    return run(m, &b, err);
}

static int put_mount_event(struct blob_txn *b, struct sqdb *db, int64_t blob, struct error *err)
{
    int64_t size = 0;
    int r = sqlite_event_wanted(b->s, db, b->event, err);
    if (r <= 0)
        return r;
    struct meta_event event = *b->event;
    if (SQ_FIND(db, SQL_BLOB_SIZE, &size, err, sq_i(blob)) < 0)
        return -1;
    event.size = (uint64_t)size;
    return sqlite_event_put(b->s, db, &event, err);
}

static int run_mount(struct txn *t, struct sqdb *db, struct error *err)
{
    struct blob_txn *b = TXN_SELF(t, struct blob_txn);
    int64_t from, blob;
    int r = 1;
    if (b->from.n) {
        r = sqlite_repo_find(db, b->from, &from, err);
        if (r > 0)
            r = SQ_FIND(db, SQL_LINKED_BLOB, &blob, err, sq_i(from), sq_t(b->digest));
    } else {
        r = SQ_FIND(db, SQL_LINKED_ANYWHERE, &blob, err, sq_t(b->digest));
    }
    if (r < 0)
        return -1;
    if (r == 0)
        return unknown(b->digest, err);
    return link_put(db, b->repo, blob, err) < 0 ? -1 : put_mount_event(b, db, blob, err);
}

int sqlite_blob_mount(struct meta *m, struct slice from, struct slice repo, const struct digest *d,
                      const struct meta_event *event, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    struct blob_txn b = {.txn.run = run_mount,
                         .from = from,
                         .repo = repo,
                         .digest = slice_cstr(d->text),
                         .event = event};
    return run(m, &b, err);
}

static int run_delete(struct txn *t, struct sqdb *db, struct error *err)
{
    struct blob_txn *b = TXN_SELF(t, struct blob_txn);
    int64_t repo;
    int changes = 0, r = sqlite_repo_find(db, b->repo, &repo, err);
    if (r == 0)
        return error_set(err, ERR_NAME_UNKNOWN, "no such repository: %.*s", SLICE_ARG(b->repo));
    if (r < 0 || SQ_RUN(db, SQL_LINK_DELETE, &changes, err, sq_i(repo), sq_t(b->digest)) < 0)
        return -1;
    if (!changes)
        return unknown(b->digest, err);
    /* This may have been the last link. A push that has just been told that the blob is there
     * counts on it: the grace period starts now. */
    if (SQ_RUN(db, SQL_BLOB_GRACE_ONE, NULL, err, sq_i(os_wall_ms() + META_LINK_LEASE_MS),
               sq_t(b->digest)) < 0)
        return -1;
    return sqlite_event_put(b->s, db, b->event, err);
}

int sqlite_blob_delete(struct meta *m, struct slice repo, const struct digest *d,
                       const struct meta_event *event, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_DELETE);
    struct blob_txn b = {
        .txn.run = run_delete, .repo = repo, .digest = slice_cstr(d->text), .event = event};
    return run(m, &b, err);
}

/* --- steps of a push inside another transaction --- */

int sqlite_blob_pend_in(struct meta_sqlite *s, struct sqdb *db, const struct digest *d,
                        uint64_t size, struct meta_pend *out, struct error *err)
{
    struct blob_txn b = {.s = s, .digest = slice_cstr(d->text), .size = size};
    if (run_pend(&b.txn, db, err) < 0)
        return -1;
    *out = b.pend;
    return 0;
}

int sqlite_blob_live_in(struct meta_sqlite *s, struct sqdb *db, const struct digest *d,
                        uint64_t size, const struct slice *bytes, struct error *err)
{
    struct blob_txn b = {.s = s, .digest = slice_cstr(d->text), .size = size, .bytes = bytes};
    int64_t id;
    return make_live(&b, db, &id, err);
}
