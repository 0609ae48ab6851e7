/* SPDX-License-Identifier: Apache-2.0 */
/* The push of a manifest: one transaction. */
#include <stdlib.h>

#include "meta/sqlite_int.h"

#include "base/banned.h"

/* What the manifest refers to, each thing once. */
struct want {
    struct slice digest;
    unsigned at; /* the first place in the document */
    bool child;  /* a manifest, not a blob */
    bool required, missing;
    int64_t blob; /* id, when it is there */
};

struct put_txn {
    struct txn txn;
    struct meta_sqlite *s;
    const struct meta_manifest_put *in;
    struct want *wants;
    unsigned n_wants, n_required;
    char sha256[HASH_HEX_MAX + 1]; /* of the body: the key of its payload */
    bool created;
    unsigned n_missing;
};

/* --- before the transaction, in the caller's thread --- */

static int by_digest(const void *x, const void *y)
{
    const struct want *a = x, *b = y;
    if (a->child != b->child)
        return a->child - b->child;
    int c = slice_cmp(a->digest, b->digest);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

static int by_place(const void *x, const void *y)
{
    const struct want *a = x, *b = y;
    return (a->at > b->at) - (a->at < b->at);
}

/* A manifest may name one layer many times; it is looked up and reported once. Sorting instead of
 * comparing all with all, because a client may send 20,000. */
static void collect_wants(struct put_txn *p, const struct manifest *m, struct arena *a)
{
    if (m->n_edges == 0)
        return;
    struct want *w = ARENA_ARRAY(a, struct want, m->n_edges);
    for (unsigned i = 0; i < m->n_edges; i++)
        w[i] = (struct want){.digest = m->edges[i].digest,
                             .at = i,
                             .child = m->edges[i].kind == EDGE_CHILD,
                             .required = m->edges[i].required};
    qsort(w, m->n_edges, sizeof *w, by_digest);
    unsigned n = 1;
    for (unsigned i = 1; i < m->n_edges; i++) {
        struct want *last = &w[n - 1];
        if (last->child == w[i].child && slice_eq(last->digest, w[i].digest))
            last->required = last->required || w[i].required;
        else
            w[n++] = w[i];
    }
    qsort(w, n, sizeof *w, by_place);
    for (unsigned i = 0; i < n; i++)
        p->n_required += w[i].required;
    p->wants = w;
    p->n_wants = n;
}

/* repo < 0: there is no such repository yet, so nothing is in it. */
static int find_want(struct sqdb *db, int64_t repo, struct want *w, struct error *err)
{
    int found = 0;
    if (repo >= 0)
        found = SQ_FIND(db, w->child ? SQL_MANIFEST_ID : SQL_LINKED_BLOB, &w->blob, err, sq_i(repo),
                        sq_t(w->digest));
    w->missing = !found;
    return found < 0 ? -1 : 0;
}

/* All, or only what is required. */
static int look_up_wants(struct put_txn *p, struct sqdb *db, int64_t repo, bool all,
                         struct error *err)
{
    p->n_missing = 0;
    for (unsigned i = 0; i < p->n_wants; i++) {
        struct want *w = &p->wants[i];
        if (!all && !w->required)
            continue;
        if (find_want(db, repo, w, err) < 0)
            return -1;
        p->n_missing += w->missing && w->required;
    }
    return p->n_missing == 0 ? 0
                             : error_set(err, ERR_MANIFEST_BLOB_UNKNOWN,
                                         "%u of what the manifest refers to is not in %.*s",
                                         p->n_missing, SLICE_ARG(p->in->repo));
}

/* --- on a reader: a push that cannot succeed does not make the others wait for the writer --- */

static int look_up_first(struct put_txn *p, struct error *err)
{
    if (p->n_required == 0)
        return 0;
    struct sqdb *db = readers_take(p->s->readers, err);
    if (!db)
        return -1;
    int64_t repo = -1;
    int r = sqlite_repo_find(db, p->in->repo, &repo, err);
    if (r >= 0)
        r = look_up_wants(p, db, repo, false, err);
    readers_give(p->s->readers, db);
    return r;
}

/* --- the transaction --- */

/* About tags[0], or without tags about the digest itself. */
static int check_condition(struct put_txn *p, struct sqdb *db, int64_t repo, struct error *err)
{
    const struct meta_manifest_put *in = p->in;
    int64_t id;
    if (!in->condition)
        return 0;
    if (in->n_tags)
        return sqlite_condition_on_tag(in->condition, db, repo, in->tags[0], err);
    int r = 0;
    if (repo >= 0)
        r = SQ_FIND(db, SQL_MANIFEST_ID, &id, err, sq_i(repo), sq_t(slice_cstr(in->digest.text)));
    return r < 0 ? -1 : sqlite_condition_on_digest(in->condition, &in->digest, r > 0, err);
}

static int put_payload(struct put_txn *p, struct sqdb *db, int64_t *id, struct error *err)
{
    struct slice key = slice_cstr(p->sha256);
    int r = SQ_FIND(db, SQL_PAYLOAD_ID, id, err, sq_t(key));
    if (r == 0)
        r = SQ_FIND(db, SQL_PAYLOAD_ADD, id, err, sq_t(key), sq_b(p->in->body));
    return r < 0 ? -1 : 0;
}

/* The row; p->created tells whether it is new. */
static int put_row(struct put_txn *p, struct sqdb *db, int64_t repo, int64_t *id, struct error *err)
{
    const struct manifest *m = p->in->manifest;
    struct slice digest = slice_cstr(p->in->digest.text);
    int64_t payload;
    int r = SQ_FIND(db, SQL_MANIFEST_ID, id, err, sq_i(repo), sq_t(digest));
    p->created = r == 0;
    if (r != 0)
        return r < 0 ? -1 : 0;
    if (put_payload(p, db, &payload, err) < 0)
        return -1;
    r = SQ_FIND(db, SQL_MANIFEST_ADD, id, err, sq_i(repo), sq_t(digest), sq_i(payload),
                sq_i((int64_t)p->in->body.n), sq_t(m->media_type), sq_t_or_null(m->artifact_type),
                m->has_subject ? sq_t(m->subject) : sq_null(), sq_t_or_null(m->annotations),
                sq_i(os_wall_ms()));
    return r < 0 ? -1 : 0;
}

/* Of a manifest that was there already, only the edges that it could not have then: to things that
 * were optional and have been pushed since. */
static int put_edges(struct put_txn *p, struct sqdb *db, int64_t repo, int64_t id,
                     struct error *err)
{
    for (unsigned i = 0; i < p->n_wants; i++) {
        const struct want *w = &p->wants[i];
        if (!p->created && w->required)
            continue;
        int r = 0;
        if (w->child)
            r = SQ_RUN(db, SQL_EDGE_CHILD, NULL, err, sq_i(repo), sq_t(w->digest), sq_i(id));
        else if (!w->missing)
            r = SQ_RUN(db, SQL_EDGE_BLOB, NULL, err, sq_i(id), sq_i(w->blob));
        if (r < 0)
            return -1;
    }
    return 0;
}

static int put_tags(struct put_txn *p, struct sqdb *db, int64_t repo, int64_t id, struct error *err)
{
    for (unsigned i = 0; i < p->in->n_tags; i++)
        if (SQ_RUN(db, SQL_TAG_PUT, NULL, err, sq_i(repo), sq_t(p->in->tags[i]), sq_i(id),
                   sq_i(p->in->tag_times ? p->in->tag_times[i] : os_wall_ms())) < 0)
            return -1;
    return 0;
}

static int put_events(struct put_txn *p, struct sqdb *db, struct error *err)
{
    if (!p->in->event || p->in->n_tags == 0)
        return sqlite_event_put(p->s, db, p->in->event, err);
    struct meta_event event = *p->in->event;
    for (unsigned i = 0; i < p->in->n_tags; i++) {
        event.tag = p->in->tags[i];
        if (sqlite_event_put(p->s, db, &event, err) < 0)
            return -1;
    }
    return 0;
}

static int run_put(struct txn *t, struct sqdb *db, struct error *err)
{
    struct put_txn *p = TXN_SELF(t, struct put_txn);
    int64_t repo = -1, id;
    if (sqlite_repo_find(db, p->in->repo, &repo, err) < 0 ||
        look_up_wants(p, db, repo, true, err) < 0 || check_condition(p, db, repo, err) < 0)
        return -1;
    if (repo < 0 && sqlite_repo_make(db, p->in->repo, &repo, err) < 0)
        return -1;
    if (put_row(p, db, repo, &id, err) < 0 || put_edges(p, db, repo, id, err) < 0)
        return -1;
    return put_tags(p, db, repo, id, err) < 0 ? -1 : put_events(p, db, err);
}

static void put_committed(struct txn *t)
{
    struct put_txn *p = TXN_SELF(t, struct put_txn);
    meta_sqlite_bump(p->s, p->in->repo);
}

/* --- after it --- */

static void report_missing(const struct put_txn *p, struct arena *a,
                           struct meta_manifest_put_result *out)
{
    out->missing = ARENA_ARRAY(a, struct slice, p->n_missing);
    out->n_missing = 0;
    for (unsigned i = 0; i < p->n_wants; i++)
        if (p->wants[i].required && p->wants[i].missing)
            out->missing[out->n_missing++] = arena_slice(a, p->wants[i].digest);
}

static void prepare(struct put_txn *p, struct arena *a)
{
    const struct meta_manifest_put *in = p->in;
    collect_wants(p, in->manifest, a);
    if (in->digest.alg == HASH_SHA256) {
        struct slice hex = digest_hex(&in->digest);
        memcpy(p->sha256, hex.p, hex.n);
    } else {
        hash_hex(HASH_SHA256, in->body.p, in->body.n, p->sha256);
    }
}

int sqlite_manifest_put(struct meta *m, const struct meta_manifest_put *in, struct arena *a,
                        struct meta_manifest_put_result *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_PUT_CONTENT);
    struct put_txn p = {
        .txn = {.run = run_put, .committed = put_committed}, .s = meta_sqlite(m), .in = in};
    struct error local = {0};
    prepare(&p, a);
    if (look_up_first(&p, &local) < 0 || writer_run(p.s->writer, &p.txn, &local) < 0) {
        if (local.code == ERR_MANIFEST_BLOB_UNKNOWN)
            report_missing(&p, a, out);
        if (err)
            *err = local;
        return -1;
    }
    *out = (struct meta_manifest_put_result){.created = p.created};
    return 0;
}

int sqlite_manifest_put_in(struct meta_sqlite *s, struct sqdb *db,
                           const struct meta_manifest_put *in, struct arena *a, struct error *err)
{
    struct put_txn p = {.s = s, .in = in};
    prepare(&p, a);
    return run_put(&p.txn, db, err);
}
