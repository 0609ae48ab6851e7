/* SPDX-License-Identifier: Apache-2.0 */
#include "meta_conformance.h"

#include "base/banned.h"

#define REPO S("team/app")
#define OTHER S("team/other")

enum { HOUR = 3600 * 1000 };

static void assert_no_blob(struct meta *m, struct slice repo, unsigned n)
{
    struct meta_blob b;
    struct digest d = blob_digest(n);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_get(m, repo, &d, false, &b, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_get(m, repo, &d, true, &b, &err));
}

static struct meta_blob get(struct meta *m, struct slice repo, unsigned n)
{
    struct meta_blob b = {0};
    struct digest d = blob_digest(n);
    OK(meta_blob_get(m, repo, &d, false, &b, &err));
    assert_null(b.bytes);
    return b;
}

/* A blob whose bytes are in the database. */
static void test_inline(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_blob b;
    struct digest d = blob_digest(1);
    assert_no_blob(m, REPO, 1);
    push_blob(m, REPO, 1);
    reopen(state);
    m = meta_of(state);
    b = get(m, REPO, 1);
    assert_true(b.is_inline);
    assert_false(b.wants_lease);
    assert_int_equal(b.size, 6);
    OK(meta_blob_get(m, REPO, &d, true, &b, &err));
    assert_true(slice_is(shared_view(b.bytes), "blob 1"));
    shared_unref(b.bytes);
    assert_no_blob(m, OTHER, 1);
    assert_no_blob(m, REPO, 2);
}

/* No bytes are bytes too. */
static void test_inline_empty_and_largest(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_blob b;
    struct digest d;
    struct slice none = S(""),
                 all = {arena_alloc(arena_of(state), META_INLINE_MAX), META_INLINE_MAX};
    struct slice both[] = {none, all};
    for (unsigned i = 0; i < 2; i++) {
        digest_of(HASH_SHA512, both[i], &d);
        OK(meta_blob_commit(m, REPO, &d, both[i].n, &both[i], SLICE_NONE, NULL, &err));
        OK(meta_blob_get(m, REPO, &d, true, &b, &err));
        assert_true(b.is_inline);
        assert_int_equal(b.size, both[i].n);
        assert_true(slice_eq(shared_view(b.bytes), both[i]));
        shared_unref(b.bytes);
    }
    struct meta_stats st;
    OK(meta_stats_get(m, &st, &err));
    assert_int_equal(st.blob_bytes, META_INLINE_MAX);
}

static void pend(struct meta *m, unsigned n, uint64_t size, bool want_live, int64_t want_epoch)
{
    struct digest d = blob_digest(n);
    struct meta_pend got = {.live = !want_live, .is_inline = true, .epoch = -1};
    OK(meta_blob_pend(m, &d, size, &got, &err));
    assert_int_equal(got.live, want_live);
    assert_false(got.is_inline);
    assert_int_equal(got.epoch, want_epoch);
}

static void commit(struct meta *m, struct slice repo, unsigned n, uint64_t size)
{
    struct digest d = blob_digest(n);
    OK(meta_blob_commit(m, repo, &d, size, NULL, SLICE_NONE, NULL, &err));
}

/* A blob that is a file: nothing of it shows before the commit. */
static void test_file(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    struct meta_blob b;
    uint64_t size = 5ull << 30;
    pend(m, 1, size, false, 1);
    assert_no_blob(m, REPO, 1);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_lease(m, REPO, &d, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, SLICE_NONE, REPO, &d, NULL, &err));
    assert_stats(m, 0, 0, 0, 0, 0);
    commit(m, REPO, 1, size);
    OK(meta_blob_get(m, REPO, &d, true, &b, &err));
    assert_false(b.is_inline);
    assert_null(b.bytes);
    assert_true(b.size == size);
    pend(m, 1, size, true, 1);
    commit(m, OTHER, 1, size);
    assert_int_equal(get(m, OTHER, 1).size, size);
    assert_stats(m, 2, 0, 0, 1, 0);
}

static void test_sizes(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    struct meta_pend got = {.epoch = 77};
    push_blob(m, REPO, 1);
    FAILS(ERR_DIGEST_INVALID, meta_blob_pend(m, &d, 7, &got, &err));
    assert_int_equal(got.epoch, 77);
    FAILS(ERR_DIGEST_INVALID, meta_blob_commit(m, REPO, &d, 7, NULL, SLICE_NONE, NULL, &err));
    pend(m, 2, 10, false, 1);
    struct digest d2 = blob_digest(2);
    FAILS(ERR_DIGEST_INVALID, meta_blob_commit(m, REPO, &d2, 11, NULL, SLICE_NONE, NULL, &err));
    assert_no_blob(m, REPO, 2);
}

/* A file that nobody announced may be gone already. */
static void test_commit_without_pend(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    FAILS(ERR_CONFLICT, meta_blob_commit(m, REPO, &d, 6, NULL, SLICE_NONE, NULL, &err));
    assert_no_blob(m, REPO, 1);
    assert_stats(m, 0, 0, 0, 0, 0);
}

/* Bytes in the database stay there, and take the place of a file: that may be lost, and nobody has
 * looked, but the client is told 201. */
static void test_both_places(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    struct meta_blob b;
    push_blob(m, REPO, 1);
    commit(m, OTHER, 1, 6);
    assert_true(get(m, OTHER, 1).is_inline);
    pend(m, 2, 6, false, 1);
    commit(m, REPO, 2, 6);
    push_blob(m, OTHER, 2);
    assert_true(get(m, OTHER, 2).is_inline);
    struct digest second = blob_digest(2);
    OK(meta_blob_get(m, REPO, &second, true, &b, &err));
    assert_true(slice_is(shared_view(b.bytes), "blob 2"));
    shared_unref(b.bytes);
    /* Who would write a file is told that the bytes are in the database. */
    struct meta_pend got = {0};
    OK(meta_blob_pend(m, &d, 6, &got, &err));
    assert_true(got.live && got.is_inline && got.epoch == 1);
    /* Small bytes end what another push has pending. */
    pend(m, 3, 6, false, 1);
    push_blob(m, REPO, 3);
    commit(m, OTHER, 3, 6);
    d = blob_digest(3);
    OK(meta_blob_get(m, OTHER, &d, true, &b, &err));
    assert_true(slice_is(shared_view(b.bytes), "blob 3"));
    shared_unref(b.bytes);
}

static void test_mount(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    push_blob(m, REPO, 1);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, OTHER, S("x"), &d, NULL, &err));
    assert_no_blob(m, S("x"), 1);
    OK(meta_blob_mount(m, REPO, OTHER, &d, NULL, &err));
    assert_true(get(m, OTHER, 1).is_inline);
    OK(meta_blob_mount(m, SLICE_NONE, S("any"), &d, NULL, &err));
    assert_int_equal(get(m, S("any"), 1).size, 6);
    OK(meta_blob_mount(m, REPO, REPO, &d, NULL, &err));
    struct digest no = blob_digest(2);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, REPO, S("y"), &no, NULL, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, SLICE_NONE, S("y"), &no, NULL, &err));
    /* In no repository: nobody may take it. */
    OK(meta_blob_delete(m, REPO, &d, NULL, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, REPO, S("y"), &d, NULL, &err));
    OK(meta_blob_delete(m, OTHER, &d, NULL, &err));
    OK(meta_blob_delete(m, S("any"), &d, NULL, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, SLICE_NONE, S("y"), &d, NULL, &err));
    assert_stats(m, 3, 0, 0, 1, 0);
}

static void test_delete(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    FAILS(ERR_NAME_UNKNOWN, meta_blob_delete(m, REPO, &d, NULL, &err));
    push_blob(m, REPO, 1);
    push_blob(m, OTHER, 1);
    struct digest no = blob_digest(2);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_delete(m, REPO, &no, NULL, &err));
    OK(meta_blob_delete(m, REPO, &d, NULL, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_delete(m, REPO, &d, NULL, &err));
    assert_no_blob(m, REPO, 1);
    get(m, OTHER, 1);
    push_blob(m, REPO, 1);
    get(m, REPO, 1);
}

/* Wanted in the last hour of the lease, and not while a manifest protects the blob. */
static void test_wants_lease(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1), no = blob_digest(2);
    push_blob(m, REPO, 1);
    push_blob(m, OTHER, 1);
    os_wall_shift(META_LINK_LEASE_MS - HOUR - 60 * 1000);
    assert_false(get(m, REPO, 1).wants_lease);
    os_wall_shift(META_LINK_LEASE_MS - HOUR + 60 * 1000);
    assert_true(get(m, REPO, 1).wants_lease);
    OK(meta_blob_lease(m, REPO, &d, &err));
    assert_false(get(m, REPO, 1).wants_lease);
    assert_true(get(m, OTHER, 1).wants_lease);
    os_wall_shift(10 * META_LINK_LEASE_MS);
    assert_true(get(m, REPO, 1).wants_lease);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_lease(m, REPO, &no, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_lease(m, S("no"), &d, &err));

    struct image im = image_make(arena_of(state), 1, HASH_SHA256);
    image_edge(arena_of(state), &im, EDGE_LAYER, digest_slice(&d), true);
    put_image(m, arena_of(state), REPO, &im, NULL);
    assert_false(get(m, REPO, 1).wants_lease);
    assert_false(get(m, OTHER, 1).wants_lease);
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    assert_true(get(m, REPO, 1).wants_lease);
    OK(meta_blob_mount(m, OTHER, REPO, &d, NULL, &err));
    assert_false(get(m, REPO, 1).wants_lease);
    os_wall_shift(0);
}

static unsigned pending_after(void **state, struct slice after, unsigned max,
                              struct meta_pending **list)
{
    unsigned n = 99;
    OK(meta_blob_pending(meta_of(state), after, max, arena_of(state), list, &n, &err));
    return n;
}

static unsigned pending(void **state, unsigned max, struct meta_pending **list)
{
    return pending_after(state, SLICE_NONE, max, list);
}

static void test_pending(void **state)
{
    struct meta_pending *list;
    assert_int_equal(pending(state, 10, &list), 0);
    pend(meta_of(state), 1, 100, false, 1);
    pend(meta_of(state), 1, 100, false, 1); /* shared */
    assert_int_equal(pending(state, 10, &list), 0);
    os_wall_shift(META_PENDING_LEASE_MS + 1);
    assert_int_equal(pending(state, 10, &list), 1);
    struct digest d = blob_digest(1);
    assert_true(digest_eq(&list[0].digest, &d));
    assert_int_equal(list[0].size, 100);
    assert_int_equal(list[0].epoch, 1);
    os_wall_shift(0);

    reopen(state);
    pend(meta_of(state), 2, 200, false, 1);
    assert_int_equal(pending(state, 10, &list), 1);
    reopen(state);
    assert_int_equal(pending(state, 10, &list), 2);
    assert_int_equal(pending(state, 1, &list), 1);
    assert_int_equal(pending(state, 1000000, &list), 2);
    assert_int_equal(pending(state, 0, &list), 0);
    commit(meta_of(state), REPO, 1, 100);
    assert_int_equal(pending(state, 10, &list), 1);
    assert_int_equal(list[0].size, 200);
    assert_stats(meta_of(state), 1, 0, 0, 1, 0);
}

/* Each is listed once in pages of any size, though none of them is settled. */
static void test_pending_pages(void **state)
{
    enum { N = 7 };
    struct meta_pending *list;
    for (unsigned i = 0; i < N; i++)
        pend(meta_of(state), i, 100 + i, false, 1);
    push_blob(meta_of(state), REPO, 50);
    reopen(state);
    pend(meta_of(state), 60, 100, false, 1); /* somebody's, in this process */
    for (unsigned max = 1; max <= N + 1; max++) {
        struct digest last = {0};
        bool seen[N] = {0};
        unsigned total = 0, n;
        while ((n = pending_after(state, slice_cstr(last.text), max, &list)) > 0) {
            assert_true(n <= max);
            for (unsigned i = 0; i < n; i++) {
                assert_true(slice_cmp(slice_cstr(last.text), digest_slice(&list[i].digest)) < 0);
                last = list[i].digest;
                assert_in_range(list[i].size, 100, 100 + N - 1);
                seen[list[i].size - 100] = true;
            }
            total += n;
        }
        assert_int_equal(total, N);
        for (unsigned i = 0; i < N; i++)
            assert_true(seen[i]);
    }
    /* The cursor need not be one of them. */
    assert_int_equal(pending_after(state, S("sha256:"), 10, &list), N);
    assert_int_equal(pending_after(state, S("sha512:"), 10, &list), 0);
}

static void test_resolve(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d1 = blob_digest(1), d2 = blob_digest(2);
    struct meta_pending *list;
    pend(m, 1, 100, false, 1);
    pend(m, 2, 200, false, 1);
    OK(meta_blob_resolve(m, &d1, 2, true, &err)); /* another epoch: nothing */
    reopen(state);
    m = meta_of(state);
    assert_int_equal(pending(state, 10, &list), 2);
    OK(meta_blob_resolve(m, &d1, 1, true, &err));
    OK(meta_blob_resolve(m, &d2, 1, false, &err));
    assert_int_equal(pending(state, 10, &list), 0);
    assert_stats(m, 0, 0, 0, 1, 0);
    /* Live, but in no repository. */
    assert_no_blob(m, REPO, 1);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, SLICE_NONE, REPO, &d1, NULL, &err));
    pend(m, 1, 100, true, 1);
    commit(m, REPO, 1, 100);
    get(m, REPO, 1);
    OK(meta_blob_resolve(m, &d1, 1, false, &err)); /* not pending: nothing */
    get(m, REPO, 1);
    OK(meta_blob_resolve(m, &d2, 1, true, &err)); /* no row: nothing */
    pend(m, 2, 200, false, 1);
}

/* A push that takes over what an earlier process left disarms the recovery that is looking at it.
 */
static void test_take_over(void **state)
{
    struct digest d = blob_digest(1);
    struct meta_pending *list;
    pend(meta_of(state), 1, 100, false, 1);
    reopen(state);
    assert_int_equal(pending(state, 10, &list), 1);
    pend(meta_of(state), 1, 100, false, 2);
    OK(meta_blob_resolve(meta_of(state), &d, list[0].epoch, false, &err));
    commit(meta_of(state), REPO, 1, 100);
    get(meta_of(state), REPO, 1);
    pend(meta_of(state), 2, 100, false, 1);
    os_wall_shift(META_PENDING_LEASE_MS + 1);
    pend(meta_of(state), 2, 100, false, 2);
    assert_int_equal(pending(state, 10, &list), 0);
    os_wall_shift(0);
}

void meta_conformance_blobs(struct meta_suite *s)
{
    meta_conformance_add_one(s, "blob: inline", test_inline);
    meta_conformance_add_one(s, "blob: empty and largest inline", test_inline_empty_and_largest);
    meta_conformance_add_one(s, "blob: file", test_file);
    meta_conformance_add_one(s, "blob: sizes", test_sizes);
    meta_conformance_add_one(s, "blob: commit without pend", test_commit_without_pend);
    meta_conformance_add_one(s, "blob: both places", test_both_places);
    meta_conformance_add_one(s, "blob: mount", test_mount);
    meta_conformance_add_one(s, "blob: delete", test_delete);
    meta_conformance_add_one(s, "blob: wants lease", test_wants_lease);
    meta_conformance_add_one(s, "blob: pending", test_pending);
    meta_conformance_add_one(s, "blob: pages of pending", test_pending_pages);
    meta_conformance_add_one(s, "blob: resolve", test_resolve);
    meta_conformance_add_one(s, "blob: take over", test_take_over);
}
