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
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN,
          meta_blob_commit(m, other, &d, bytes.n, &bytes, S("u1"), NULL, &err));
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
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("u1"), NULL, &err));
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
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN,
          meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("u1"), NULL, &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN,
          meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("no"), NULL, &err));
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

/* What is stale is exactly this, in this order, separated by spaces. */
static void assert_stale(void **state, int64_t before_ms, unsigned max, const char *want)
{
    struct meta_stale *list = NULL;
    unsigned n = 99;
    const char *got = "";
    OK(meta_upload_stale(meta_of(state), before_ms, max, arena_of(state), &list, &n, &err));
    for (unsigned i = 0; i < n; i++) {
        assert_true(slice_eq(list[i].repo, REPO));
        got = arena_printf(arena_of(state), "%s%s%.*s", got, i ? " " : "", SLICE_ARG(list[i].id));
    }
    assert_string_equal(got, want);
}

static bool is_open(struct meta *m, struct slice id)
{
    bool open = false;
    OK(meta_upload_exists(m, id, &open, &err));
    return open;
}

/* Three that are 0, 10 and 20 seconds younger than t0, of which it is now 30; and a tombstone. */
static int64_t make_aged(struct meta *m, struct arena *a)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(a, 1);
    int64_t t0 = os_wall_ms();
    OK(meta_upload_create(m, REPO, S("done"), HASH_SHA256, &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("done"), NULL, &err));
    for (unsigned i = 0; i < 3; i++) {
        os_wall_shift(i * 10000);
        OK(meta_upload_create(m, REPO, slice_cstr(ids[i]), HASH_SHA256, &err));
    }
    os_wall_shift(30000);
    return t0;
}

/* Open uploads by their last touch, the oldest first, no more than asked for; nothing goes. */
static void test_stale(void **state)
{
    struct meta *m = meta_of(state);
    int64_t t0 = make_aged(m, arena_of(state));
    assert_stale(state, t0, 10, "");
    assert_stale(state, t0 + 5000, 10, "a");
    assert_stale(state, t0 + 25000, 10, "a b c");
    assert_stale(state, t0 + 25000, 2, "a b");
    assert_stale(state, t0 + 25000, 0, "");
    assert_stale(state, t0 + 25000, 1000000, "a b c");
    OK(meta_upload_save(m, REPO, S("a"), 1, false, S("x"), &err));
    assert_stale(state, t0 + 25000, 10, "b c");
    OK(meta_upload_touch(m, REPO, S("b"), &err));
    assert_stale(state, t0 + 25000, 10, "c");
    assert_stale(state, t0 + 40000, 1, "c");
    assert_stats(m, 1, 0, 0, 1, 3);
}

/* A touch counts as one, changes nothing else, and only for what is open, here. */
static void test_touch(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_upload u;
    int64_t t0 = make_aged(m, arena_of(state));
    OK(meta_upload_save(m, REPO, S("a"), 3, false, S("abc"), &err));
    os_wall_shift(60000);
    assert_stale(state, t0 + 50000, 10, "b c a");
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_touch(m, S("team/other"), S("a"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_touch(m, REPO, S("no"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_touch(m, REPO, S("done"), &err));
    assert_stale(state, t0 + 50000, 10, "b c a");
    OK(meta_upload_touch(m, REPO, S("a"), &err));
    reopen(state);
    m = meta_of(state);
    assert_stale(state, t0 + 50000, 10, "b c");
    OK(meta_upload_get(m, REPO, S("a"), arena_of(state), &u, &err));
    assert_int_equal(u.state, UPLOAD_OPEN);
    assert_true(slice_is(u.bytes, "abc"));
    assert_true(u.started_ms < t0 + 5000);
    /* A touch of a tombstone would have kept it. */
    unsigned removed = 0;
    OK(meta_tombstones_expire(m, t0 + 5000, 10, &removed, &err));
    assert_int_equal(removed, 1);
}

/* One goes if it still is as old as it was. */
static void test_expire(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_upload u;
    int64_t t0 = make_aged(m, arena_of(state));
    bool gone = true;
    OK(meta_upload_expire(m, S("a"), t0, &gone, &err));
    assert_false(gone);
    OK(meta_upload_touch(m, REPO, S("b"), &err));
    gone = true;
    OK(meta_upload_expire(m, S("b"), t0 + 25000, &gone, &err));
    assert_false(gone);
    gone = true;
    OK(meta_upload_expire(m, S("no"), t0 + 25000, &gone, &err));
    assert_false(gone);
    /* A tombstone is no open upload, however old. */
    gone = true;
    OK(meta_upload_expire(m, S("done"), t0 + 25000, &gone, &err));
    assert_false(gone);
    OK(meta_upload_get(m, REPO, S("done"), arena_of(state), &u, &err));
    assert_stats(m, 1, 0, 0, 1, 3);

    OK(meta_upload_expire(m, S("a"), t0 + 25000, &gone, &err));
    assert_true(gone);
    OK(meta_upload_expire(m, S("a"), t0 + 25000, &gone, &err));
    assert_false(gone);
    reopen(state);
    m = meta_of(state);
    assert_false(is_open(m, S("a")));
    assert_true(is_open(m, S("b")) && is_open(m, S("c")));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_touch(m, REPO, S("a"), &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_save(m, REPO, S("a"), 1, false, S("x"), &err));
    assert_stats(m, 1, 0, 0, 1, 2);
}

/* Tombstones by the time they were made, the oldest first; open uploads stay. */
static void test_tombstones(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(a, 1);
    struct meta_upload u;
    int64_t t0 = os_wall_ms();
    unsigned removed = 99;
    OK(meta_upload_create(m, REPO, S("open"), HASH_SHA256, &err));
    for (unsigned i = 0; i < 4; i++) {
        struct slice id = slice_cstr(arena_printf(a, "done%u", i));
        OK(meta_upload_create(m, REPO, id, HASH_SHA256, &err));
        os_wall_shift((i + 1) * 10000);
        OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, id, NULL, &err));
    }
    OK(meta_tombstones_expire(m, t0 + 5000, 10, &removed, &err));
    assert_int_equal(removed, 0);
    OK(meta_tombstones_expire(m, t0 + 35000, 2, &removed, &err));
    assert_int_equal(removed, 2);
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_get(m, REPO, S("done0"), a, &u, &err));
    FAILS(ERR_BLOB_UPLOAD_UNKNOWN, meta_upload_get(m, REPO, S("done1"), a, &u, &err));
    OK(meta_upload_get(m, REPO, S("done2"), a, &u, &err));
    OK(meta_tombstones_expire(m, t0 + 35000, 0, &removed, &err));
    assert_int_equal(removed, 0);
    OK(meta_tombstones_expire(m, t0 + 35000, 1000000, &removed, &err));
    assert_int_equal(removed, 1);
    OK(meta_upload_get(m, REPO, S("done3"), a, &u, &err));
    OK(meta_tombstones_expire(m, t0 + 90000, 1000000, &removed, &err));
    assert_int_equal(removed, 1);
    assert_true(is_open(m, S("open")));
    assert_stats(m, 1, 0, 0, 1, 1);
}

void meta_conformance_uploads(struct meta_suite *s)
{
    meta_conformance_add_one(s, "upload: life", test_life);
    meta_conformance_add_one(s, "upload: largest inline", test_inline_max);
    meta_conformance_add_one(s, "upload: names", test_names);
    meta_conformance_add_one(s, "upload: tombstone", test_tombstone);
    meta_conformance_add_one(s, "upload: exists", test_exists);
    meta_conformance_add_one(s, "upload: stale", test_stale);
    meta_conformance_add_one(s, "upload: touch", test_touch);
    meta_conformance_add_one(s, "upload: expire", test_expire);
    meta_conformance_add_one(s, "upload: tombstones", test_tombstones);
}
