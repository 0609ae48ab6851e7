/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations, each compared with a model that is simple enough to be right. */
#include <stdio.h>

#include "meta_conformance.h"

#include "base/banned.h"

enum { REPOS = 4, BLOBS = 10, MANIFESTS = 12, TAGS = 5, OPERATIONS = 2000, EVERY = 100 };

struct model {
    struct meta *m;
    struct arena *a; /* for one operation */
    uint32_t random;
    struct image images[MANIFESTS];
    bool live[BLOBS], repo[REPOS];
    bool link[REPOS][BLOBS], manifest[REPOS][MANIFESTS];
    int tag[REPOS][TAGS]; /* manifest, or -1 */
};

static const char *const repo_names[REPOS] = {"a", "a/b", "b", "team/app"};
static const char *const tag_names[TAGS] = {"1", "10", "2", "latest", "v"};

/* xorshift: the same operations in every run. */
static unsigned pick(struct model *x, unsigned n)
{
    x->random ^= x->random << 13;
    x->random ^= x->random >> 17;
    x->random ^= x->random << 5;
    return x->random % n;
}

/* Manifest i: two blobs; from the 8th on an index of two of the others; odd ones have manifest 0 as
 * their subject. */
static void make_images(struct model *x, struct arena *a)
{
    for (unsigned i = 0; i < MANIFESTS; i++) {
        struct image *im = &x->images[i];
        *im = image_make(a, i, i % 4 ? HASH_SHA256 : HASH_SHA512);
        for (unsigned k = 0; k < 2; k++) {
            struct digest d = blob_digest((i + k * 3) % BLOBS);
            if (i >= 8)
                image_edge(a, im, EDGE_CHILD, digest_slice(&x->images[i - 8 + k].digest), true);
            else
                image_edge(a, im, k ? EDGE_LAYER : EDGE_CONFIG, digest_slice(&d), true);
        }
        im->m.has_subject = i % 2;
        im->m.subject = digest_slice(&x->images[0].digest);
    }
}

static unsigned missing_of(const struct model *x, unsigned r, unsigned i)
{
    unsigned n = 0;
    for (unsigned k = 0; k < 2; k++)
        n += i >= 8 ? !x->manifest[r][i - 8 + k]
                    : !(x->link[r][(i + k * 3) % BLOBS] && x->live[(i + k * 3) % BLOBS]);
    return n;
}

static void do_commit(struct model *x, unsigned r, unsigned b)
{
    struct digest d = blob_digest(b);
    struct slice bytes = blob_bytes(x->a, b);
    struct meta_pend row;
    if (pick(x, 2)) {
        push_blob(x->m, slice_cstr(repo_names[r]), b);
    } else {
        OK(meta_blob_pend(x->m, &d, bytes.n, &row, &err));
        assert_int_equal(row.live, x->live[b]);
        OK(meta_blob_commit(x->m, slice_cstr(repo_names[r]), &d, bytes.n, NULL, SLICE_NONE, NULL,
                            &err));
    }
    x->live[b] = x->link[r][b] = x->repo[r] = true;
}

static void do_mount(struct model *x, unsigned r, unsigned b)
{
    struct digest d = blob_digest(b);
    unsigned from = pick(x, REPOS + 1);
    bool there = false;
    for (unsigned i = 0; i < REPOS; i++)
        there |= (from == REPOS || from == i) && x->link[i][b];
    struct slice name = from == REPOS ? SLICE_NONE : slice_cstr(repo_names[from]);
    if (!there) {
        FAILS(ERR_BLOB_UNKNOWN,
              meta_blob_mount(x->m, name, slice_cstr(repo_names[r]), &d, NULL, &err));
        return;
    }
    OK(meta_blob_mount(x->m, name, slice_cstr(repo_names[r]), &d, NULL, &err));
    x->link[r][b] = x->repo[r] = true;
}

static void do_blob_delete(struct model *x, unsigned r, unsigned b)
{
    struct digest d = blob_digest(b);
    struct slice name = slice_cstr(repo_names[r]);
    if (!x->repo[r])
        FAILS(ERR_NAME_UNKNOWN, meta_blob_delete(x->m, name, &d, NULL, &err));
    else if (!x->link[r][b])
        FAILS(ERR_BLOB_UNKNOWN, meta_blob_delete(x->m, name, &d, NULL, &err));
    else
        OK(meta_blob_delete(x->m, name, &d, NULL, &err));
    x->link[r][b] = false;
}

static void do_put(struct model *x, unsigned r, unsigned i)
{
    unsigned t = pick(x, TAGS + 1), condition = pick(x, 6);
    struct meta_manifest_put in =
        put_of(x->a, slice_cstr(repo_names[r]), &x->images[i], t < TAGS ? tag_names[t] : NULL);
    struct meta_manifest_put_result out = {0};
    bool there = t < TAGS ? x->tag[r][t] >= 0 : x->manifest[r][i], stop = false;
    if (condition == 0) {
        in.condition = &expect_now(x->a, NULL)->condition;
        stop = there;
    } else if (condition == 1) {
        unsigned want = pick(x, MANIFESTS);
        in.condition = &expect_now(x->a, &x->images[want].digest)->condition;
        stop = !there || want != (t < TAGS ? (unsigned)x->tag[r][t] : i);
    }
    unsigned missing = missing_of(x, r, i);
    if (missing) {
        FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(x->m, &in, x->a, &out, &err));
        assert_int_equal(out.n_missing, missing);
        return;
    }
    if (stop) {
        FAILS(ERR_PRECONDITION, meta_manifest_put(x->m, &in, x->a, &out, &err));
        return;
    }
    OK(meta_manifest_put(x->m, &in, x->a, &out, &err));
    assert_int_equal(out.created, !x->manifest[r][i]);
    x->manifest[r][i] = true;
    if (t < TAGS)
        x->tag[r][t] = (int)i;
}

static void do_manifest_delete(struct model *x, unsigned r, unsigned i)
{
    struct slice name = slice_cstr(repo_names[r]);
    const struct digest *d = &x->images[i].digest;
    if (pick(x, 4) == 0) { /* if it is not there */
        struct expect_now *none = expect_now(x->a, NULL);
        if (x->manifest[r][i]) {
            FAILS(ERR_PRECONDITION,
                  meta_manifest_delete(x->m, name, d, &none->condition, NULL, &err));
            return;
        }
    }
    if (!x->repo[r])
        FAILS(ERR_NAME_UNKNOWN, meta_manifest_delete(x->m, name, d, NULL, NULL, &err));
    else if (!x->manifest[r][i])
        FAILS(ERR_MANIFEST_UNKNOWN, meta_manifest_delete(x->m, name, d, NULL, NULL, &err));
    else
        OK(meta_manifest_delete(x->m, name, d, NULL, NULL, &err));
    x->manifest[r][i] = false;
    for (unsigned t = 0; t < TAGS; t++)
        if (x->tag[r][t] == (int)i)
            x->tag[r][t] = -1;
}

static void do_tag_delete(struct model *x, unsigned r, unsigned t)
{
    struct slice name = slice_cstr(repo_names[r]), tag = slice_cstr(tag_names[t]);
    unsigned want = pick(x, MANIFESTS);
    if (x->tag[r][t] != (int)want && pick(x, 4) == 0) {
        struct expect_now *e = expect_now(x->a, &x->images[want].digest);
        FAILS(ERR_PRECONDITION, meta_tag_delete(x->m, name, tag, &e->condition, NULL, &err));
        return;
    }
    if (!x->repo[r])
        FAILS(ERR_NAME_UNKNOWN, meta_tag_delete(x->m, name, tag, NULL, NULL, &err));
    else if (x->tag[r][t] < 0)
        FAILS(ERR_MANIFEST_UNKNOWN, meta_tag_delete(x->m, name, tag, NULL, NULL, &err));
    else
        OK(meta_tag_delete(x->m, name, tag, NULL, NULL, &err));
    x->tag[r][t] = -1;
}

static void operate(struct model *x)
{
    unsigned r = pick(x, REPOS), what = pick(x, 16);
    if (what < 4)
        do_commit(x, r, pick(x, BLOBS));
    else if (what < 6)
        do_mount(x, r, pick(x, BLOBS));
    else if (what < 7)
        do_blob_delete(x, r, pick(x, BLOBS));
    else if (what < 13)
        do_put(x, r, pick(x, MANIFESTS));
    else if (what < 14)
        do_manifest_delete(x, r, pick(x, MANIFESTS));
    else
        do_tag_delete(x, r, pick(x, TAGS));
}

static void compare_blobs(struct model *x, unsigned r)
{
    for (unsigned b = 0; b < BLOBS; b++) {
        struct digest d = blob_digest(b);
        struct meta_blob got;
        struct error err;
        int rc = meta_blob_get(x->m, slice_cstr(repo_names[r]), &d, true, &got, &err);
        assert_int_equal(rc == 0, x->link[r][b]);
        if (rc == 0 && got.is_inline)
            assert_true(slice_eq(shared_view(got.bytes), blob_bytes(x->a, b)));
        if (rc == 0)
            shared_unref(got.bytes);
    }
}

/* The tags in pages of every size; they are sorted in tag_names. */
static void compare_tags(struct model *x, unsigned r)
{
    const char *want[TAGS];
    unsigned n_want = 0;
    for (unsigned t = 0; t < TAGS; t++)
        if (x->tag[r][t] >= 0)
            want[n_want++] = tag_names[t];
    for (unsigned n = 1; n <= TAGS; n++) {
        struct meta_names page = {0};
        struct slice last = SLICE_NONE;
        unsigned at = 0;
        do {
            OK(meta_tags(x->m, slice_cstr(repo_names[r]), last, n, x->a, &page, &err));
            for (unsigned i = 0; i < page.n; i++, at++)
                assert_true(at < n_want && slice_is(page.names[i], want[at]));
            assert_true(page.n == n || !page.more);
            if (page.more)
                last = page.names[page.n - 1];
        } while (page.more);
        assert_int_equal(at, n_want);
    }
}

static void compare_manifests(struct model *x, unsigned r)
{
    struct slice name = slice_cstr(repo_names[r]);
    unsigned referrers = 0;
    struct meta_referrers page = {0};
    for (unsigned i = 0; i < MANIFESTS; i++) {
        if (x->manifest[r][i])
            assert_is(x->m, name, ref_digest(&x->images[i].digest), &x->images[i]);
        else
            assert_unknown(x->m, name, ref_digest(&x->images[i].digest));
        referrers += x->manifest[r][i] && i % 2;
    }
    for (unsigned t = 0; t < TAGS; t++) {
        if (x->tag[r][t] >= 0)
            assert_is(x->m, name, ref_tag(tag_names[t]), &x->images[x->tag[r][t]]);
        else
            assert_unknown(x->m, name, ref_tag(tag_names[t]));
    }
    OK(meta_referrers(x->m, name, digest_slice(&x->images[0].digest), SLICE_NONE, SLICE_NONE, 100,
                      x->a, &page, &err));
    assert_int_equal(page.n, referrers);
    compare_tags(x, r);
}

static void compare(struct model *x)
{
    unsigned repos = 0, manifests = 0, tags = 0, blobs = 0;
    struct meta_names page = {0};
    OK(meta_repositories(x->m, SLICE_NONE, 100, x->a, &page, &err));
    for (unsigned b = 0; b < BLOBS; b++)
        blobs += x->live[b];
    for (unsigned r = 0; r < REPOS; r++) {
        compare_blobs(x, r);
        if (!x->repo[r])
            continue;
        assert_true(repos < page.n && slice_is(page.names[repos], repo_names[r]));
        repos++;
        compare_manifests(x, r);
        for (unsigned i = 0; i < MANIFESTS; i++)
            manifests += x->manifest[r][i];
        for (unsigned t = 0; t < TAGS; t++)
            tags += x->tag[r][t] >= 0;
    }
    assert_int_equal(page.n, repos);
    assert_stats(x->m, repos, manifests, tags, blobs, 0);
}

static void test_model(void **state)
{
    static const uint32_t seeds[] = {1, 20260101};
    struct model x = {.m = meta_of(state), .a = arena_new(4096)};
    memset(x.tag, 0xff, sizeof x.tag);
    make_images(&x, arena_of(state));
    for (unsigned s = 0; s < ARRAY_LEN(seeds); s++) {
        x.random = seeds[s];
        for (unsigned i = 1; i <= OPERATIONS / ARRAY_LEN(seeds); i++) {
            operate(&x);
            if (i % EVERY == 0)
                compare(&x);
            arena_reset(x.a);
        }
        reopen(state);
        x.m = meta_of(state);
        compare(&x);
    }
    arena_free(x.a);
}

void meta_conformance_model(struct meta_suite *s)
{
    meta_conformance_add_one(s, "model: random operations", test_model);
}
