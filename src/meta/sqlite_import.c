/* SPDX-License-Identifier: Apache-2.0 */
/* Import: the steps of a push, many in one transaction. */
#include "meta/sqlite_int.h"

#include "base/banned.h"

struct import_txn {
    struct txn txn;
    struct meta_sqlite *s;
    struct meta_import_blob *blobs; /* run_pend */
    const struct meta_import_blob *live;
    unsigned n;
    const struct meta_import_repo *in;
    struct arena *a;
};

static int pend_one(struct meta_sqlite *s, struct sqdb *db, struct meta_import_blob *b,
                    struct error *err)
{
    struct error why = {0};
    b->conflict = false;
    b->pend = (struct meta_pend){0};
    if (b->size <= META_INLINE_MAX) {
        int64_t id;
        int r = SQ_FIND(db, SQL_BLOB_LIVE, &id, err, sq_t(slice_cstr(b->digest.text)));
        if (r <= 0)
            return r;
    }
    if (sqlite_blob_pend_in(s, db, &b->digest, b->size, &b->pend, &why) == 0)
        return 0;
    b->conflict = why.code == ERR_DIGEST_INVALID;
    if (!b->conflict && err)
        *err = why;
    return b->conflict ? 0 : -1;
}

static int run_pend(struct txn *t, struct sqdb *db, struct error *err)
{
    struct import_txn *x = TXN_SELF(t, struct import_txn);
    for (unsigned i = 0; i < x->n; i++)
        if (pend_one(x->s, db, &x->blobs[i], err) < 0)
            return -1;
    return 0;
}

int sqlite_import_pend(struct meta *m, struct meta_import_blob *list, unsigned n, struct error *err)
{
    struct import_txn x = {.txn.run = run_pend, .s = meta_sqlite(m), .blobs = list, .n = n};
    return writer_run(x.s->writer, &x.txn, err);
}

static int run_live(struct txn *t, struct sqdb *db, struct error *err)
{
    struct import_txn *x = TXN_SELF(t, struct import_txn);
    for (unsigned i = 0; i < x->n; i++) {
        const struct meta_import_blob *b = &x->live[i];
        CHECK(!b->bytes.p || (b->bytes.n <= META_INLINE_MAX && b->bytes.n == b->size));
        if (sqlite_blob_live_in(x->s, db, &b->digest, b->size, b->bytes.p ? &b->bytes : NULL, err) <
            0)
            return -1;
    }
    return 0;
}

int sqlite_import_live(struct meta *m, const struct meta_import_blob *list, unsigned n,
                       struct error *err)
{
    struct import_txn x = {.txn.run = run_live, .s = meta_sqlite(m), .live = list, .n = n};
    return writer_run(x.s->writer, &x.txn, err);
}

static int run_repo(struct txn *t, struct sqdb *db, struct error *err)
{
    struct import_txn *x = TXN_SELF(t, struct import_txn);
    const struct meta_import_repo *in = x->in;
    int64_t repo;
    if (sqlite_repo_make(db, in->repo, &repo, err) < 0)
        return -1;
    int64_t lease = os_wall_ms() + META_LINK_LEASE_MS;
    for (unsigned i = 0; i < in->n_links; i++)
        if (SQ_RUN(db, SQL_LINK_ADD, NULL, err, sq_i(repo), sq_i(lease),
                   sq_t(slice_cstr(in->links[i].text))) < 0)
            return -1;
    for (unsigned i = 0; i < in->n_manifests; i++) {
        struct meta_manifest_put put = in->manifests[i];
        put.repo = in->repo;
        put.condition = NULL;
        put.event = NULL;
        if (sqlite_manifest_put_in(x->s, db, &put, x->a, err) < 0)
            return -1;
    }
    return 0;
}

static void repo_committed(struct txn *t)
{
    struct import_txn *x = TXN_SELF(t, struct import_txn);
    meta_sqlite_bump(x->s, x->in->repo);
}

int sqlite_import_repo(struct meta *m, const struct meta_import_repo *in, struct arena *a,
                       struct error *err)
{
    struct import_txn x = {.txn = {.run = run_repo, .committed = repo_committed},
                           .s = meta_sqlite(m),
                           .in = in,
                           .a = a};
    return writer_run(x.s->writer, &x.txn, err);
}
