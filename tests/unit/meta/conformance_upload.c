/* SPDX-License-Identifier: Apache-2.0 */
#include "meta_conformance.h"

#include "base/banned.h"

#define REPO S("team/app")

static void test_life(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct meta_upload u;
    int64_t before = os_wall_ms();
    OK(meta_upload_create(m, REPO, S("u1"), HASH_SHA512, &err));
    OK(meta_upload_get(m, REPO, S("u1"), a, &u, &err));
    assert_int_equal(u.state, UPLOAD_OPEN);
    assert_int_equal(u.offset, 0);
    assert_int_equal(u.bytes.n, 0);
    assert_int_equal(u.alg, HASH_SHA512);
    assert_false(u.staged);
    assert_true(u.started_ms >= before && u.started_ms <= os_wall_ms());

    struct slice binary = S("a\0b\xff");
    OK(meta_upload_save(m, REPO, S("u1"), binary.n, false, binary, &err));
    reopen(state);
    m = meta_of(state);
    OK(meta_upload_get(m, REPO, S("u1"), a, &u, &err));
    assert_int_equal(u.offset, 4);
    assert_true(slice_eq(u.bytes, binary));

    OK(meta_upload_save(m, REPO, S("u1"), 1ull << 40, true, SLICE_NONE, &err));
    OK(meta_upload_get(m, REPO, S("u1"), a, &u, &err));
    assert_true(u.staged);
    assert_true(u.offset == 1ull << 40);
    assert_int_equal(u.bytes.n, 0);

    OK(meta_upload_delete(m, REPO, S("u1"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_get(m, REPO, S("u1"), a, &u, &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_delete(m, REPO, S("u1"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_save(m, REPO, S("u1"), 0, false, SLICE_NONE, &err));
}

/* The largest that is kept outside of the store. */
static void test_inline_max(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct meta_upload u;
    char *p = arena_alloc(a, META_INLINE_MAX);
    memset(p, 'x', META_INLINE_MAX);
    p[META_INLINE_MAX - 1] = 'y';
    OK(meta_upload_create(m, REPO, S("u1"), HASH_SHA256, &err));
    OK(meta_upload_save(m, REPO, S("u1"), META_INLINE_MAX, false, slice_make(p, META_INLINE_MAX),
                        &err));
    OK(meta_upload_get(m, REPO, S("u1"), a, &u, &err));
    assert_true(slice_eq(u.bytes, slice_make(p, META_INLINE_MAX)));
}

/* An id belongs to one repository, and is there once. */
static void test_names(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_upload u;
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(arena_of(state), 1), other = S("team/other");
    OK(meta_upload_create(m, REPO, S("u1"), HASH_SHA256, &err));
    FAILS(ERR_CONFLICT, meta_upload_create(m, REPO, S("u1"), HASH_SHA256, &err));
    FAILS(ERR_CONFLICT, meta_upload_create(m, other, S("u1"), HASH_SHA256, &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_get(m, other, S("u1"), arena_of(state), &u, &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_save(m, other, S("u1"), 1, false, S("x"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_delete(m, other, S("u1"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_blob_commit(m, other, &d, bytes.n, &bytes, S("u1"), &err));
    OK(meta_upload_get(m, REPO, S("u1"), arena_of(state), &u, &err));
    assert_int_equal(u.offset, 0);
    /* The commit that failed has left nothing, not even its repository. */
    assert_stats(m, 0, 0, 0, 0, 1);
}

static void test_tombstone(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_upload u;
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(arena_of(state), 1);
    bool open;
    OK(meta_upload_create(m, REPO, S("u1"), HASH_SHA256, &err));
    OK(meta_upload_save(m, REPO, S("u1"), 3, false, S("blo"), &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("u1"), &err));
    reopen(state);
    m = meta_of(state);
    OK(meta_upload_get(m, REPO, S("u1"), arena_of(state), &u, &err));
    assert_int_equal(u.state, UPLOAD_DONE);
    assert_int_equal(u.offset, bytes.n);
    assert_int_equal(u.bytes.n, 0);
    assert_false(u.staged);
    assert_true(digest_eq(&u.digest, &d));
    OK(meta_upload_exists(m, S("u1"), &open, &err));
    assert_false(open);
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_save(m, REPO, S("u1"), 1, false, S("x"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_delete(m, REPO, S("u1"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("u1"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("no"), &err));
}

static void test_exists(void **state)
{
    struct meta *m = meta_of(state);
    bool open = true;
    OK(meta_upload_exists(m, S("u1"), &open, &err));
    assert_false(open);
    OK(meta_upload_create(m, REPO, S("u1"), HASH_SHA256, &err));
    OK(meta_upload_exists(m, S("u1"), &open, &err));
    assert_true(open);
}

static bool among(struct slice *ids, unsigned n, const char *id)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_is(ids[i], id))
            return true;
    return false;
}

/* Open uploads by their last touch, tombstones by theirs, no more than asked for at a time. */
static void test_expire(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(a, 1), *ids;
    unsigned n;
    int64_t t0 = os_wall_ms();
    OK(meta_upload_create(m, REPO, S("old"), HASH_SHA256, &err));
    OK(meta_upload_create(m, REPO, S("touched"), HASH_SHA256, &err));
    OK(meta_upload_create(m, REPO, S("done"), HASH_SHA256, &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("done"), &err));
    os_wall_shift(10000);
    OK(meta_upload_save(m, REPO, S("touched"), 1, false, S("x"), &err));

    OK(meta_upload_expire(m, t0, t0, 10, a, &ids, &n, &err));
    assert_int_equal(n, 0);
    OK(meta_upload_expire(m, t0 + 5000, t0, 10, a, &ids, &n, &err));
    assert_int_equal(n, 1);
    assert_true(among(ids, n, "old"));
    OK(meta_upload_expire(m, 0, t0 + 5000, 10, a, &ids, &n, &err));
    assert_int_equal(n, 1);
    assert_true(among(ids, n, "done"));
    OK(meta_upload_create(m, REPO, S("more"), HASH_SHA256, &err));
    OK(meta_upload_expire(m, t0 + 20000, t0 + 20000, 1, a, &ids, &n, &err));
    assert_int_equal(n, 1);
    bool touched_first = among(ids, n, "touched");
    OK(meta_upload_expire(m, t0 + 20000, t0 + 20000, 1000000, a, &ids, &n, &err));
    assert_int_equal(n, 1);
    assert_true(among(ids, n, touched_first ? "more" : "touched"));
    OK(meta_upload_expire(m, t0 + 20000, t0 + 20000, 0, a, &ids, &n, &err));
    assert_int_equal(n, 0);
    os_wall_shift(0);
    assert_stats(m, 1, 0, 0, 1, 0);
}

void meta_conformance_uploads(struct meta_suite *s)
{
    meta_conformance_add_one(s, "upload: life", test_life);
    meta_conformance_add_one(s, "upload: largest inline", test_inline_max);
    meta_conformance_add_one(s, "upload: names", test_names);
    meta_conformance_add_one(s, "upload: tombstone", test_tombstone);
    meta_conformance_add_one(s, "upload: exists", test_exists);
    meta_conformance_add_one(s, "upload: expire", test_expire);
}
