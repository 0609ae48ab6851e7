/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and tags: reading and removing. */
#include "meta/sqlite_int.h"

#include "base/banned.h"

struct remove_txn {
    struct txn txn;
    struct meta_sqlite *s;
    struct slice repo, tag;
    const struct digest *digest; /* or this */
    const struct meta_condition *condition;
    const struct meta_event *event;
};

/* --- reading --- */

static int read_manifest(struct sqlite3_stmt *q, bool want_bytes, struct meta_manifest *out,
                         struct error *err)
{
    struct meta_manifest m = {.size = (uint64_t)sq_int(q, 2), .tagged_ms = sq_int(q, 3)};
    struct slice type = sq_bytes(q, 1);
    if (digest_parse(sq_bytes(q, 0), &m.digest, err) < 0 || type.n >= sizeof m.media_type)
        return meta_sqlite_damaged(err, "a manifest's row");
    memcpy(m.media_type, type.p, type.n);
    if (want_bytes) {
        struct slice body = sq_bytes(q, 4);
        if (body.n != m.size)
            return meta_sqlite_damaged(err, "a manifest's payload");
        m.bytes = shared_new(body.p, body.n);
        if (!m.bytes)
            return error_set(err, ERR_UNAVAILABLE, "no memory for a manifest");
    }
    *out = m;
    return 0;
}

static int get_manifest(struct sqdb *db, struct slice repo, const struct reference *ref,
                        bool want_bytes, struct meta_manifest *out, struct error *err)
{
    struct slice which = ref->is_digest ? slice_cstr(ref->digest.text) : ref->tag;
    enum sql_id id = ref->is_digest ? (want_bytes ? SQL_MANIFEST_DIGEST_BODY : SQL_MANIFEST_DIGEST)
                                    : (want_bytes ? SQL_MANIFEST_TAG_BODY : SQL_MANIFEST_TAG);
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, id, err, sq_t(repo), sq_t(which));
    int r = q ? sq_next(q, err) : -1;
    if (r < 0)
        return -1;
    return r ? read_manifest(q, want_bytes, out, err)
             : sqlite_repo_unknown_or(db, repo, ERR_MANIFEST_UNKNOWN, err);
}

int sqlite_manifest_get(struct meta *m, struct slice repo, const struct reference *ref,
                        bool want_bytes, struct meta_manifest *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, want_bytes ? STORAGE_GET_CONTENT : STORAGE_STAT);
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = get_manifest(db, repo, ref, want_bytes, out, err);
    readers_give(readers, db);
    return r;
}

/* --- conditions --- */

int sqlite_condition_on_tag(const struct meta_condition *c, struct sqdb *db, int64_t repo_id,
                            struct slice tag, struct error *err)
{
    if (!c)
        return 0;
    if (repo_id < 0)
        return c->check(c->arg, NULL, err);
    struct digest now;
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_TAG_DIGEST, err, sq_i(repo_id), sq_t(tag));
    int r = q ? sq_next(q, err) : -1;
    if (r < 0)
        return -1;
    if (r > 0 && digest_parse(sq_bytes(q, 0), &now, err) < 0)
        return meta_sqlite_damaged(err, "the digest of a manifest");
    return c->check(c->arg, r ? &now : NULL, err);
}

int sqlite_condition_on_digest(const struct meta_condition *c, const struct digest *d, bool there,
                               struct error *err)
{
    return c ? c->check(c->arg, there ? d : NULL, err) : 0;
}

/* --- removing --- */

/* Before the tags of the manifest are gone. As registry has it: the manifest, then each tag. */
static int put_delete_events(struct remove_txn *d, struct sqdb *db, int64_t manifest,
                             struct error *err)
{
    int r = sqlite_event_wanted(d->s, db, d->event, err);
    if (r <= 0)
        return r;
    if (sqlite_event_put(d->s, db, d->event, err) < 0)
        return -1;
    struct meta_event event = *d->event;
    event.digest = event.media_type = event.references = event.url = SLICE_NONE;
    event.size = 0;
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_TAGS_OF, err, sq_i(manifest));
    r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0) {
        event.tag = sq_bytes(q, 0);
        if (sqlite_event_put(d->s, db, &event, err) < 0)
            return -1;
    }
    return r;
}

static int run_manifest_delete(struct txn *t, struct sqdb *db, struct error *err)
{
    struct remove_txn *d = TXN_SELF(t, struct remove_txn);
    int64_t repo, id, payload;
    int r = sqlite_repo_find(db, d->repo, &repo, err);
    if (r > 0)
        r = SQ_FIND(db, SQL_MANIFEST_ID, &id, err, sq_i(repo), sq_t(slice_cstr(d->digest->text)));
    if (r < 0 || sqlite_condition_on_digest(d->condition, d->digest, r > 0, err) < 0)
        return -1;
    if (r == 0)
        return sqlite_repo_unknown_or(db, d->repo, ERR_MANIFEST_UNKNOWN, err);
    if (put_delete_events(d, db, id, err) < 0)
        return -1;
    /* A client that has just seen one of its blobs counts on it: the grace period starts now. Tags
     * and edges go with the row. */
    if (SQ_RUN(db, SQL_BLOB_GRACE, NULL, err, sq_i(os_wall_ms() + META_LINK_LEASE_MS), sq_i(id)) <
            0 ||
        SQ_FIND(db, SQL_MANIFEST_REMOVE, &payload, err, sq_i(id)) < 0)
        return -1;
    return SQ_RUN(db, SQL_PAYLOAD_DROP, NULL, err, sq_i(payload));
}

static int run_tag_delete(struct txn *t, struct sqdb *db, struct error *err)
{
    struct remove_txn *d = TXN_SELF(t, struct remove_txn);
    int64_t repo = -1;
    int changes = 0, r = sqlite_repo_find(db, d->repo, &repo, err);
    if (r < 0 || sqlite_condition_on_tag(d->condition, db, repo, d->tag, err) < 0 ||
        (r > 0 && SQ_RUN(db, SQL_TAG_DELETE, &changes, err, sq_i(repo), sq_t(d->tag)) < 0))
        return -1;
    return changes ? sqlite_event_put(d->s, db, d->event, err)
                   : sqlite_repo_unknown_or(db, d->repo, ERR_MANIFEST_UNKNOWN, err);
}

static void removed(struct txn *t)
{
    struct remove_txn *d = TXN_SELF(t, struct remove_txn);
    meta_sqlite_bump(d->s, d->repo);
}

static int run(struct meta *m, struct remove_txn *d, struct error *err)
{
    d->s = meta_sqlite(m);
    d->txn.committed = removed;
    return writer_run(d->s->writer, &d->txn, err);
}

int sqlite_manifest_delete(struct meta *m, struct slice repo, const struct digest *d,
                           const struct meta_condition *condition, const struct meta_event *event,
                           struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_DELETE);
    struct remove_txn t = {.txn.run = run_manifest_delete,
                           .repo = repo,
                           .digest = d,
                           .condition = condition,
                           .event = event};
    return run(m, &t, err);
}

int sqlite_tag_delete(struct meta *m, struct slice repo, struct slice tag,
                      const struct meta_condition *condition, const struct meta_event *event,
                      struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_DELETE);
    struct remove_txn t = {.txn.run = run_tag_delete,
                           .repo = repo,
                           .tag = tag,
                           .condition = condition,
                           .event = event};
    return run(m, &t, err);
}
