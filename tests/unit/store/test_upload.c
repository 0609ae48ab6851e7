/* SPDX-License-Identifier: Apache-2.0 */
#include "store/upload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "store_conformance.h"
#include "tmp_dir.h"

#include "base/banned.h"

enum { INLINE_MAX = 4096, IDLE_MAX = 4 };

#define REPO SLICE_LIT("team/app")

struct fixture {
    struct store *s;
    struct uploads *u;
    char *root; /* NULL: in memory */
};

static int setup_mem(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    assert_int_equal(store_mem_open(&f->s, NULL), 0);
    f->u = uploads_new(f->s, INLINE_MAX, IDLE_MAX);
    *state = f;
    return 0;
}

static int setup_fs(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->root = tmp_dir_make();
    assert_int_equal(store_fs_open(f->root, 8, NULL, &f->s, NULL), 0);
    f->u = uploads_new(f->s, INLINE_MAX, IDLE_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(uploads_active(f->u), 0);
    uploads_free(f->u);
    store_close(f->s);
    if (f->root)
        tmp_dir_remove(f->root);
    free(f);
    return 0;
}

static struct upload *adopt_any(struct fixture *f, const char *id, bool staged, uint64_t offset,
                                struct slice bytes)
{
    struct upload *up = NULL;
    enum upload_acquire got = UPLOAD_ABSENT;
    struct error err;
    assert_int_equal(upload_adopt(f->u, REPO, slice_cstr(id), HASH_SHA256, staged, offset, bytes,
                                  &up, &got, &err),
                     0);
    assert_int_equal(got, UPLOAD_ACQUIRED);
    return up;
}

static struct upload *adopt_row(struct fixture *f, const char *id, struct slice bytes)
{
    return adopt_any(f, id, false, bytes.n, bytes);
}

static struct upload *adopt_staged(struct fixture *f, const char *id, uint64_t offset)
{
    return adopt_any(f, id, true, offset, SLICE_NONE);
}

static struct upload *adopt_new(struct fixture *f, const char *id)
{
    return adopt_row(f, id, SLICE_NONE);
}

static enum upload_acquire try_acquire(struct fixture *f, const char *id, struct upload **up)
{
    *up = NULL;
    return upload_acquire(f->u, REPO, slice_cstr(id), up);
}

static struct upload *acquire(struct fixture *f, const char *id)
{
    struct upload *up = NULL;
    assert_int_equal(try_acquire(f, id, &up), UPLOAD_ACQUIRED);
    return up;
}

/* In the table or not; leaves it idle (and so the newest of the idle ones). */
static bool remembered(struct fixture *f, const char *id)
{
    struct upload *up = NULL;
    enum upload_acquire got = try_acquire(f, id, &up);
    assert_int_not_equal(got, UPLOAD_BUSY);
    upload_release(up);
    return got == UPLOAD_ACQUIRED;
}

static void append(struct upload *up, const void *p, size_t n)
{
    struct error err;
    assert_int_equal(upload_append(up, p, n, &err), 0);
}

static void hash_all(struct upload *up, enum hash_alg alg)
{
    struct error err;
    bool done = false;
    assert_int_equal(upload_hash(up, alg, UINT64_MAX, &done, &err), 0);
    assert_true(done);
}

static void assert_digest(struct upload *up, enum hash_alg alg, const void *p, size_t n)
{
    struct digest want, have;
    digest_of(alg, slice_make(p, n), &want);
    assert_int_equal(upload_digest(up, &have), 0);
    assert_string_equal(have.text, want.text);
    assert_int_equal(upload_digest(up, &have), 0); /* as often as you like */
    assert_string_equal(have.text, want.text);
}

static void stage_is(struct fixture *f, const char *id, const void *p, size_t n)
{
    struct stage *st = NULL;
    struct error err;
    assert_int_equal(stage_open(f->s, slice_cstr(id), false, &st, &err), 0);
    assert_int_equal(stage_size(st), n);
    char *have = xcalloc(n + 1, 1);
    assert_int_equal(stage_read(st, have, n + 1, 0, &err), n);
    assert_memory_equal(have, p, n);
    free(have);
    stage_close(st);
}

static void test_ids(void **state)
{
    (void)state;
    char a[UPLOAD_ID_LEN + 1], b[UPLOAD_ID_LEN + 1];
    for (int i = 0; i < 200; i++) {
        upload_id_make(a);
        upload_id_make(b);
        assert_int_equal(strlen(a), UPLOAD_ID_LEN);
        assert_true(upload_id_valid(slice_cstr(a)));
        assert_string_not_equal(a, b);
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
    }
    assert_true(upload_id_valid(SLICE_LIT(ID_A)));
    static const char *const bad[] = {
        "",
        "aaaaaaaa-0000-4000-8000-00000000000",
        "aaaaaaaa-0000-4000-8000-0000000000011",
        "AAAAAAAA-0000-4000-8000-000000000001",
        "aaaaaaaa0000-4000-8000-0000000000011",
        "aaaaaaaa-0000-4000-8000-00000000-001",
        "aaaaaaaa-0000-4000-8000-00000000000g",
        "------------------------------------",
        "../../../../../../../../etc/passwd/.",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(upload_id_valid(slice_cstr(bad[i])));
}

static void test_small(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct upload *up = adopt_new(f, ID_A);
    assert_true(slice_is(upload_id(up), ID_A));
    assert_true(slice_eq(upload_repo(up), REPO));
    assert_int_equal(upload_offset(up), 0);
    assert_int_equal(upload_bytes(up).n, 0);
    append(up, "", 0);
    append(up, "hello ", 6);
    append(up, "world", 5);
    assert_int_equal(upload_offset(up), 11);
    assert_false(upload_staged(up));
    assert_true(slice_is(upload_bytes(up), "hello world"));
    assert_digest(up, HASH_SHA256, "hello world", 11);
    assert_int_equal(upload_sync(up, &err), 0);
    /* Another algorithm is asked for at the end; and the client goes on after that. */
    hash_all(up, HASH_SHA512);
    assert_digest(up, HASH_SHA512, "hello world", 11);
    append(up, "!", 1);
    assert_digest(up, HASH_SHA512, "hello world!", 12);
    hash_all(up, HASH_SHA256);
    assert_digest(up, HASH_SHA256, "hello world!", 12);
    assert_int_equal(upload_digest(up, &d), 0);
    upload_forget(up);
    assert_false(remembered(f, ID_A));
    upload_forget(NULL);
    upload_release(NULL);
}

static void test_empty(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct upload *up = adopt_new(f, ID_A);
    assert_digest(up, HASH_SHA256, "", 0);
    hash_all(up, HASH_SHA512);
    assert_digest(up, HASH_SHA512, "", 0);
    upload_forget(up);
    /* Staged, and the stage is gone. */
    up = adopt_staged(f, ID_A, 0);
    assert_true(upload_staged(up));
    assert_true(upload_is_saved(up));
    assert_int_equal(upload_offset(up), 0);
    assert_int_equal(upload_sync(up, &err), 0);
    assert_digest(up, HASH_SHA256, "", 0);
    stage_is(f, ID_A, "", 0);
    upload_forget(up);
}

static void test_staging(void **state)
{
    struct fixture *f = *state;
    struct error err;
    size_t n = 3 * INLINE_MAX;
    char *p = content_make(n, 1);
    struct upload *up = adopt_new(f, ID_A);
    append(up, p, INLINE_MAX);
    assert_false(upload_staged(up));
    append(up, p + INLINE_MAX, 1);
    assert_true(upload_staged(up));
    assert_null(upload_bytes(up).p);
    append(up, p + INLINE_MAX + 1, n - INLINE_MAX - 1);
    assert_int_equal(upload_offset(up), n);
    /* All was hashed as it came: nothing is left to read. */
    bool done = false;
    assert_int_equal(upload_hash(up, HASH_SHA256, 0, &done, &err), 0);
    assert_true(done);
    assert_digest(up, HASH_SHA256, p, n);
    assert_int_equal(upload_sync(up, &err), 0);
    stage_is(f, ID_A, p, n);
    upload_forget(up);
    assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
    free(p);
}

static void test_expect(void **state)
{
    struct fixture *f = *state;
    struct upload *up = adopt_new(f, ID_A);
    upload_expect(up, INLINE_MAX);
    append(up, "a", 1);
    assert_false(upload_staged(up));
    upload_expect(up, INLINE_MAX - 1);
    append(up, "b", 1);
    assert_false(upload_staged(up));
    upload_expect(up, INLINE_MAX - 1);
    append(up, "c", 1);
    assert_true(upload_staged(up));
    stage_is(f, ID_A, "abc", 3);
    assert_digest(up, HASH_SHA256, "abc", 3);
    upload_forget(up);
    up = adopt_new(f, ID_B);
    upload_expect(up, UINT64_MAX);
    append(up, "a", 1);
    assert_true(upload_staged(up));
    /* An announcement holds for one request only. */
    upload_forget(up);
    up = adopt_new(f, ID_C);
    upload_expect(up, UINT64_MAX);
    upload_release(up);
    up = acquire(f, ID_C);
    append(up, "a", 1);
    assert_false(upload_staged(up));
    upload_forget(up);
}

/* What a process left that died after making the stage and before recording it. */
static void test_stale_stage(void **state)
{
    struct fixture *f = *state;
    stage_put(f->s, ID_A, "left over by somebody", 21);
    struct upload *up = adopt_row(f, ID_A, SLICE_LIT("row "));
    upload_expect(up, INLINE_MAX);
    append(up, "and more", 8);
    stage_is(f, ID_A, "row and more", 12);
    assert_digest(up, HASH_SHA256, "row and more", 12);
    upload_forget(up);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct upload *up = adopt_new(f, ID_A);
    append(up, "a", 1);
    assert_int_equal(upload_append(up, "b", SIZE_MAX, &err), -1);
    assert_int_equal(err.code, ERR_SIZE_EXCEEDED);
    assert_int_equal(upload_append(up, "b", (size_t)INT64_MAX, &err), -1);
    assert_int_equal(err.code, ERR_SIZE_EXCEEDED);
    assert_true(slice_is(upload_bytes(up), "a"));
    upload_forget(up);
}

static void test_rewind(void **state)
{
    struct fixture *f = *state;
    char *p = content_make(20000, 2);
    struct error err;
    static const size_t first[] = {100, 10000}; /* in memory, and staged */
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct upload *up = adopt_new(f, ID_A);
        append(up, p, first[i]);
        upload_rewind(up, first[i] + 1); /* not forward */
        assert_int_equal(upload_offset(up), first[i]);
        upload_rewind(up, 0);
        assert_int_equal(upload_offset(up), 0);
        assert_digest(up, HASH_SHA256, "", 0);
        append(up, p + 5, first[i]);
        assert_digest(up, HASH_SHA256, p + 5, first[i]); /* hashed as it came, after 0 */
        upload_rewind(up, 50);
        append(up, p + 55, 30);
        assert_int_equal(upload_offset(up), 80);
        struct digest d;
        if (upload_staged(up))
            assert_int_equal(upload_digest(up, &d), -1); /* to be read back first */
        hash_all(up, HASH_SHA256);
        assert_digest(up, HASH_SHA256, p + 5, 80);
        /* Its space is given back at once when that is asked for. */
        upload_rewind(up, 70);
        assert_int_equal(upload_cut(up, &err), 0);
        if (upload_staged(up))
            stage_is(f, ID_A, p + 5, 70);
        assert_int_equal(upload_cut(up, &err), 0);
        assert_int_equal(upload_offset(up), 70);
        hash_all(up, HASH_SHA256);
        assert_digest(up, HASH_SHA256, p + 5, 70);
        /* The last word is a rewind, also for sync and hash. */
        upload_rewind(up, 10);
        assert_int_equal(upload_sync(up, &err), 0);
        if (upload_staged(up))
            stage_is(f, ID_A, p + 5, 10);
        upload_rewind(up, 5);
        hash_all(up, HASH_SHA512);
        assert_digest(up, HASH_SHA512, p + 5, 5);
        upload_forget(up);
        assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
    }
    free(p);
}

/* A rewind that nobody has carried out yet is not undone by an eviction. */
static void test_rewind_evicted(void **state)
{
    struct fixture *f = *state;
    char *p = content_make(10000, 2);
    struct upload *up = adopt_new(f, ID_A);
    append(up, p, 10000);
    upload_rewind(up, 10);
    upload_release(up);
    char id[] = "dddddddd-0000-4000-8000-000000000000";
    for (unsigned i = 0; i < IDLE_MAX; i++) {
        id[35] = (char)('0' + i);
        upload_release(adopt_new(f, id));
    }
    assert_false(remembered(f, ID_A));
    up = adopt_staged(f, ID_A, 10000);
    assert_int_equal(upload_offset(up), 10);
    assert_false(upload_is_saved(up)); /* the row says more */
    hash_all(up, HASH_SHA256);
    assert_digest(up, HASH_SHA256, p, 10);
    upload_rewind(up, 4);
    upload_release(up);
    /* Nor by an orderly end of the process. */
    uploads_free(f->u);
    f->u = uploads_new(f->s, INLINE_MAX, IDLE_MAX);
    stage_is(f, ID_A, p, 4);
    free(p);
}

/* After a restart: the bytes are read back in slices, then hashed as they come again. */
static void test_adopt_staged(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    size_t n = 700000;
    char *p = content_make(n, 3);
    stage_put(f->s, ID_A, p, n);
    struct upload *up = adopt_staged(f, ID_A, n);
    assert_true(upload_staged(up));
    assert_true(upload_is_saved(up));
    assert_int_equal(upload_offset(up), n);
    assert_int_equal(upload_digest(up, &d), -1);
    bool done = true;
    unsigned steps = 0;
    do {
        assert_int_equal(upload_hash(up, HASH_SHA256, 300000, &done, &err), 0);
        steps++;
    } while (!done);
    assert_int_equal(steps, 3);
    append(up, "tail", 4);
    char *all = xcalloc(n + 4, 1);
    memcpy(all, p, n);
    memcpy(all + n, "tail", 4);
    assert_digest(up, HASH_SHA256, all, n + 4);
    upload_forget(up);
    free(all);
    free(p);
}

/* Adopted from the row, then much more: the large rest is not read back. */
static void test_adopt_inline(void **state)
{
    struct fixture *f = *state;
    char *p = content_make(10000, 4);
    struct upload *up = adopt_row(f, ID_A, slice_make(p, 1000));
    assert_int_equal(upload_offset(up), 1000);
    append(up, p + 1000, 9000);
    assert_true(upload_staged(up));
    assert_digest(up, HASH_SHA256, p, 10000);
    stage_is(f, ID_A, p, 10000);
    upload_forget(up);
    free(p);
}

/* The stage lost bytes behind our back. */
static void test_stage_shrank(void **state)
{
    struct fixture *f = *state;
    struct error err;
    stage_put(f->s, ID_A, "0123456789", 10);
    struct upload *up = adopt_staged(f, ID_A, 10);
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), 0);
    assert_int_equal(stage_truncate(st, 4, &err), 0);
    stage_close(st);
    bool done = false;
    assert_int_equal(upload_hash(up, HASH_SHA256, 100, &done, &err), -1);
    assert_false(done);
    upload_forget(up);
}

static void test_one_writer(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct upload *up = adopt_new(f, ID_A), *other = NULL;
    enum upload_acquire got = UPLOAD_ACQUIRED;
    assert_int_equal(uploads_active(f->u), 1);
    assert_int_equal(try_acquire(f, ID_A, &other), UPLOAD_BUSY);
    assert_int_equal(upload_adopt(f->u, REPO, SLICE_LIT(ID_A), HASH_SHA256, false, 0, SLICE_NONE,
                                  &other, &got, &err),
                     0);
    assert_int_equal(got, UPLOAD_BUSY);
    assert_null(other);
    /* A3: the id alone opens nothing, and tells nothing. */
    assert_int_equal(upload_acquire(f->u, SLICE_LIT("team/ap"), SLICE_LIT(ID_A), &other),
                     UPLOAD_ABSENT);
    assert_int_equal(upload_acquire(f->u, SLICE_LIT("team/apps"), SLICE_LIT(ID_A), &other),
                     UPLOAD_ABSENT);
    append(up, "x", 1);
    upload_release(up);
    assert_int_equal(uploads_active(f->u), 0);
    /* Another was faster and is done with it: nobody is to be told "busy", and the caller's row is
     * not the last word. */
    for (int staged = 0; staged < 2; staged++) {
        assert_int_equal(upload_adopt(f->u, REPO, SLICE_LIT(ID_A), HASH_SHA256, staged, 0,
                                      SLICE_NONE, &other, &got, &err),
                         0);
        assert_int_equal(got, UPLOAD_ABSENT);
        assert_null(other);
    }
    up = acquire(f, ID_A);
    assert_true(slice_is(upload_bytes(up), "x"));
    upload_release(up);
    assert_int_equal(upload_acquire(f->u, SLICE_LIT("evil/app"), SLICE_LIT(ID_A), &other),
                     UPLOAD_ABSENT);
    assert_int_equal(upload_acquire(f->u, REPO, SLICE_LIT("no id"), &other), UPLOAD_ABSENT);
    assert_int_equal(upload_adopt(f->u, REPO, SLICE_LIT("no id"), HASH_SHA256, false, 0, SLICE_NONE,
                                  &other, &got, &err),
                     -1);
    assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
    up = acquire(f, ID_A);
    upload_forget(up);
    assert_int_equal(try_acquire(f, ID_A, &other), UPLOAD_ABSENT);
}

static const char *nth(unsigned i)
{
    static const char *const ids[] = {
        "00000000-0000-4000-8000-000000000000", "11111111-0000-4000-8000-000000000000",
        "22222222-0000-4000-8000-000000000000", "33333333-0000-4000-8000-000000000000",
        "44444444-0000-4000-8000-000000000000", "55555555-0000-4000-8000-000000000000",
    };
    return ids[i];
}

/* IDLE_MAX sessions are remembered, the least recently used forgotten first. */
static void test_idle(void **state)
{
    struct fixture *f = *state;
    char *p = content_make(5000, 6);
    for (unsigned i = 0; i < IDLE_MAX; i++) {
        struct upload *up = adopt_new(f, nth(i));
        append(up, p, 5000);
        upload_release(up);
    }
    assert_true(remembered(f, nth(0)));
    struct upload *up = adopt_new(f, nth(4));
    struct upload *held = acquire(f, nth(2)); /* held ones do not count */
    upload_release(up);
    assert_true(remembered(f, nth(1)));
    upload_release(adopt_new(f, nth(5))); /* now 3 is the oldest */
    assert_false(remembered(f, nth(3)));
    upload_release(held); /* now 0 is */
    assert_false(remembered(f, nth(0)));
    /* Evicted is not lost: the row knows it. */
    up = adopt_staged(f, nth(3), 5000);
    assert_int_equal(upload_offset(up), 5000);
    hash_all(up, HASH_SHA256);
    assert_digest(up, HASH_SHA256, p, 5000);
    upload_release(up);
    free(p);
}

/* Bytes that are nowhere else outlive sessions that lose nothing, up to their own bound. */
static void test_idle_unsaved(void **state)
{
    struct fixture *f = *state;
    char *p = content_make(4096, 6);
    struct upload *up = adopt_new(f, ID_A);
    append(up, p, 4096);
    upload_release(up);
    for (unsigned i = 0; i < 6; i++)
        upload_release(adopt_new(f, nth(i)));
    assert_true(remembered(f, ID_A));
    assert_false(remembered(f, nth(2)));
    assert_true(remembered(f, nth(3)));
    /* 4 * 4 KiB are all that fits, whatever the number of sessions. */
    for (unsigned i = 0; i < 3; i++) {
        up = adopt_new(f, nth(i));
        append(up, p, 4096);
        upload_release(up);
    }
    assert_true(remembered(f, ID_A));
    up = adopt_new(f, nth(3));
    append(up, p, 1);
    upload_release(up);
    assert_true(remembered(f, nth(3)));
    assert_false(remembered(f, nth(0)));
    /* No sessions but unsaved ones: then they go by their number too. */
    uploads_free(f->u);
    f->u = uploads_new(f->s, INLINE_MAX, 2);
    for (unsigned i = 0; i < 3; i++) {
        up = adopt_new(f, nth(i));
        append(up, p, 10);
        upload_release(up);
    }
    assert_false(remembered(f, nth(0)));
    assert_true(remembered(f, nth(1)));
    assert_true(remembered(f, nth(2)));
    free(p);
}

static void test_saved(void **state)
{
    struct fixture *f = *state;
    struct upload *up = adopt_new(f, ID_A);
    upload_saved(up); /* nothing to save: the session is as good as its row */
    upload_release(up);
    up = acquire(f, ID_A);
    append(up, "bytes", 5);
    upload_saved(up);
    append(up, "!", 1); /* not saved any more */
    upload_release(up);
    up = acquire(f, ID_A);
    upload_saved(up);
    upload_rewind(up, 5);
    upload_release(up);
    up = acquire(f, ID_A);
    upload_saved(up);
    upload_release(up);
    assert_false(remembered(f, ID_A));
    /* From the row, and unchanged. */
    up = adopt_row(f, ID_A, SLICE_LIT("bytes"));
    assert_true(upload_is_saved(up));
    upload_release(up);
    assert_false(remembered(f, ID_A));
    /* A staged session has nothing in memory to drop. */
    up = adopt_new(f, ID_B);
    assert_true(upload_is_saved(up));
    upload_expect(up, INLINE_MAX + 1);
    append(up, "x", 1);
    assert_false(upload_is_saved(up));
    upload_saved(up);
    assert_true(upload_is_saved(up));
    upload_release(up);
    assert_true(remembered(f, ID_B));
}

/* Which changes the row does not have. */
static void test_is_saved(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char *p = content_make(INLINE_MAX, 1);
    for (int staged = 0; staged < 2; staged++) {
        struct upload *up = adopt_new(f, ID_A);
        assert_true(upload_is_saved(up));
        if (staged)
            upload_expect(up, INLINE_MAX + 1);
        append(up, p, 100);
        assert_int_equal(upload_staged(up), staged);
        assert_false(upload_is_saved(up));
        assert_int_equal(upload_sync(up, &err), 0);
        assert_false(upload_is_saved(up)); /* durable, but acknowledged to nobody */
        upload_saved(up);
        append(up, p, 0);
        upload_rewind(up, 100);
        hash_all(up, HASH_SHA512);
        assert_true(upload_is_saved(up));
        upload_rewind(up, 99);
        assert_false(upload_is_saved(up));
        upload_saved(up);
        append(up, p, 1);
        assert_false(upload_is_saved(up));
        /* The row of a session in memory has no file. */
        if (!staged) {
            upload_saved(up);
            append(up, p, INLINE_MAX);
            assert_true(upload_staged(up));
            assert_false(upload_is_saved(up));
        }
        upload_release(up);
        up = acquire(f, ID_A);
        assert_false(upload_is_saved(up));
        upload_forget(up);
        assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
    }
    free(p);
}

static uint64_t stage_length(struct fixture *f, const char *id)
{
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, slice_cstr(id), false, &st, NULL), 0);
    uint64_t n = stage_size(st);
    stage_close(st);
    return n;
}

/* The stage has more than the row acknowledged: the tail may be anything, and goes before anything
 * else is done to it. */
static void test_adopt_offset(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char *p = content_make(10000, 5);
    enum { APPEND, SYNC, HASH, FREE, NOTHING, WAYS };
    for (int way = APPEND; way < WAYS; way++) {
        static const uint64_t offsets[] = {0, 6000, 9999, 10000};
        for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
            uint64_t at = offsets[i];
            stage_put(f->s, ID_A, p, 10000);
            struct upload *up = adopt_staged(f, ID_A, at);
            assert_true(upload_staged(up));
            assert_true(upload_is_saved(up));
            assert_int_equal(upload_offset(up), at);
            if (way == APPEND) {
                append(up, "tail", 4);
                assert_int_equal(upload_offset(up), at + 4);
                assert_int_equal(stage_length(f, ID_A), at + 4);
                hash_all(up, HASH_SHA256);
                char *want = xcalloc(at + 4, 1);
                memcpy(want, p, at);
                memcpy(want + at, "tail", 4);
                assert_digest(up, HASH_SHA256, want, at + 4);
                stage_is(f, ID_A, want, at + 4);
                free(want);
            } else if (way == SYNC) {
                assert_int_equal(upload_sync(up, &err), 0);
                stage_is(f, ID_A, p, at);
            } else if (way == HASH) {
                hash_all(up, HASH_SHA512);
                assert_digest(up, HASH_SHA512, p, at);
                stage_is(f, ID_A, p, at);
            } else if (way == FREE) {
                upload_release(up);
                uploads_free(f->u);
                f->u = uploads_new(f->s, INLINE_MAX, IDLE_MAX);
                up = adopt_staged(f, ID_A, at);
                stage_is(f, ID_A, p, at);
            }
            upload_forget(up);
            assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
        }
    }
    /* The stage has less, or is gone: what there is counts, and the row does not know it. */
    stage_put(f->s, ID_A, p, 5000);
    struct upload *up = adopt_staged(f, ID_A, 5001);
    assert_int_equal(upload_offset(up), 5000);
    assert_false(upload_is_saved(up));
    append(up, p + 5000, 5000);
    hash_all(up, HASH_SHA256);
    assert_digest(up, HASH_SHA256, p, 10000);
    upload_forget(up);
    assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
    up = adopt_staged(f, ID_A, 1);
    assert_int_equal(upload_offset(up), 0);
    assert_false(upload_is_saved(up));
    append(up, p, 10000);
    assert_digest(up, HASH_SHA256, p, 10000);
    upload_forget(up);
    free(p);
}

/* A push failed after its publish and was purged; the one who still holds the session, and the cut
 * that its eviction makes, must leave the blob alone. */
static void test_purged_after_publish(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    char *p = content_make(10000, 6);
    digest_of(HASH_SHA256, slice_make(p, 10000), &d);
    for (int reopened = 0; reopened < 2; reopened++) {
        for (int evicted = 0; evicted < 2; evicted++) {
            struct upload *up = adopt_new(f, ID_A);
            append(up, p, 10000);
            assert_int_equal(upload_sync(up, &err), 0);
            assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 10000, &err), 0);
            if (reopened) {
                upload_forget(up);
                up = adopt_staged(f, ID_A, 10000);
            }
            assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
            upload_rewind(up, 3);
            if (evicted) {
                upload_release(up);
                uploads_free(f->u);
                f->u = uploads_new(f->s, INLINE_MAX, IDLE_MAX);
            } else {
                (void)upload_append(up, "other", 5, &err);
                (void)upload_sync(up, &err);
                upload_rewind(up, 0);
                (void)upload_append(up, "other", 5, &err);
                upload_forget(up);
            }
            assert_blob(f->s, &d, p, 10000);
            assert_false(stage_exists(f->s, ID_A));
            assert_int_equal(store_remove(f->s, &d, &err), 0);
        }
    }
    free(p);
}

static void test_many(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 1000 };
    static char ids[MANY][UPLOAD_ID_LEN + 1];
    uploads_free(f->u);
    f->u = uploads_new(f->s, INLINE_MAX, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        upload_id_make(ids[i]);
        struct upload *up = adopt_new(f, ids[i]);
        append(up, ids[i], 36);
        upload_release(up);
    }
    for (unsigned i = 0; i < MANY; i++) {
        struct upload *up = acquire(f, ids[i]);
        assert_true(slice_is(upload_bytes(up), ids[i]));
        if (i % 2)
            upload_forget(up);
        else
            upload_release(up);
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(remembered(f, ids[i]), i % 2 == 0);
    uploads_free(NULL);
}

/* What the server would keep beside a session, and what the session must be. */
struct model {
    char id[UPLOAD_ID_LEN + 1];
    struct buf now;      /* the session's bytes */
    struct buf row;      /* the row: the bytes that are in it */
    uint64_t row_offset; /* how many are acknowledged */
    bool row_staged;     /* they are in a stage */
    bool saved;          /* the row has what the session has */
};

enum { SESSIONS = 9, OPS = 2500 };

static uint32_t next(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static struct upload *model_take(struct fixture *f, struct model *m)
{
    struct upload *up = NULL;
    enum upload_acquire got = try_acquire(f, m->id, &up);
    assert_int_not_equal(got, UPLOAD_BUSY);
    if (got == UPLOAD_ACQUIRED)
        return up;
    if (m->row_staged) {
        /* What was written and not acknowledged is cut; what was acknowledged and cut off by a
         * rewind is not there. */
        up = adopt_staged(f, m->id, m->row_offset);
        m->saved = m->now.n >= m->row_offset;
        m->now.n = (size_t)MIN((uint64_t)m->now.n, m->row_offset);
    } else {
        up = adopt_row(f, m->id, buf_view(&m->row));
        m->saved = true;
        buf_clear(&m->now);
        assert_int_equal(buf_slice(&m->now, buf_view(&m->row)), 0);
    }
    return up;
}

static void model_append(struct upload *up, struct model *m, uint32_t *x)
{
    static const unsigned most[] = {10, 700, 3000, 9000};
    size_t n = next(x) % most[next(x) % ARRAY_LEN(most)];
    char *p = content_make(n, next(x));
    if (next(x) % 4 == 0)
        upload_expect(up, n);
    append(up, p, n);
    assert_int_equal(buf_add(&m->now, p, n), 0);
    m->saved = m->saved && n == 0;
    free(p);
}

static void model_digest(struct upload *up, struct model *m, uint32_t *x)
{
    struct error err;
    enum hash_alg alg = next(x) % 3 ? HASH_SHA256 : HASH_SHA512;
    uint64_t slice = 1 + next(x) % 20000;
    bool done = false;
    while (!done)
        assert_int_equal(upload_hash(up, alg, slice, &done, &err), 0);
    assert_digest(up, alg, m->now.p, m->now.n);
}

static void model_save(struct upload *up, struct model *m)
{
    struct error err;
    assert_int_equal(upload_sync(up, &err), 0);
    buf_clear(&m->row);
    assert_int_equal(buf_slice(&m->row, upload_bytes(up)), 0);
    m->row_staged = upload_staged(up);
    m->row_offset = upload_offset(up);
    m->saved = true;
    upload_saved(up);
}

static void model_check(struct upload *up, struct model *m)
{
    assert_int_equal(upload_offset(up), m->now.n);
    assert_int_equal(upload_is_saved(up), m->saved);
    if (!upload_staged(up))
        assert_true(slice_eq(upload_bytes(up), buf_view(&m->now)));
}

static void model_step(struct fixture *f, struct model *m, uint32_t *x)
{
    struct error err;
    struct upload *up = model_take(f, m);
    model_check(up, m);
    bool forget = false;
    switch (next(x) % 12) {
    case 0: {
        size_t to = next(x) % 3 && m->now.n ? next(x) % m->now.n : 0;
        m->saved = m->saved && to == m->now.n;
        m->now.n = to;
        upload_rewind(up, to);
        break;
    }
    case 1:
    case 2:
        model_digest(up, m, x);
        break;
    case 3:
    case 4:
        model_save(up, m);
        break;
    case 5:
        assert_int_equal(upload_sync(up, &err), 0);
        break;
    case 6:
        forget = next(x) % 4 == 0 || m->now.n > 100000;
        break;
    default:
        model_append(up, m, x);
    }
    model_check(up, m);
    if (!forget) {
        upload_release(up);
        return;
    }
    upload_forget(up);
    assert_int_equal(stage_remove(f->s, slice_cstr(m->id), &err), 0);
    m->row_staged = false;
    m->row_offset = 0;
    m->now.n = 0;
    m->row.n = 0;
}

static void test_model(void **state)
{
    struct fixture *f = *state;
    struct model models[SESSIONS];
    uint32_t x = 2463534242u;
    for (unsigned i = 0; i < SESSIONS; i++) {
        models[i] = (struct model){0};
        upload_id_make(models[i].id);
        buf_init(&models[i].now, 1u << 24);
        buf_init(&models[i].row, 1u << 24);
    }
    for (unsigned i = 0; i < OPS; i++) {
        if (next(&x) % 50 == 0) { /* a restart */
            uploads_free(f->u);
            f->u = uploads_new(f->s, INLINE_MAX, IDLE_MAX);
        }
        model_step(f, &models[next(&x) % SESSIONS], &x);
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct upload *up = model_take(f, &models[i]);
        hash_all(up, HASH_SHA256);
        assert_digest(up, HASH_SHA256, models[i].now.p, models[i].now.n);
        upload_forget(up);
        buf_release(&models[i].now);
        buf_release(&models[i].row);
    }
}

enum { THREADS = 4, SHARED = 3, TURNS = 300 };

struct crowd {
    struct fixture *f;
    atomic_uint appended[SHARED];
    atomic_uint failed;
};

/* Whoever gets the session appends a byte; nobody gets it twice at once, and no byte is lost. */
static void *crowd_run(void *arg)
{
    struct crowd *c = arg;
    struct error err;
    for (unsigned i = 0; i < TURNS; i++) {
        unsigned k = i % SHARED;
        struct upload *up = NULL;
        enum upload_acquire got = upload_acquire(c->f->u, REPO, slice_cstr(nth(k)), &up);
        /* As if the row knew of every byte; one that another thread releases now is ABSENT. */
        if (got == UPLOAD_ABSENT &&
            upload_adopt(c->f->u, REPO, slice_cstr(nth(k)), HASH_SHA256, true, UINT64_MAX,
                         SLICE_NONE, &up, &got, &err) != 0)
            atomic_fetch_add(&c->failed, 1);
        if (got != UPLOAD_ACQUIRED)
            continue;
        if (upload_append(up, "x", 1, &err) == 0)
            atomic_fetch_add(&c->appended[k], 1);
        else
            atomic_fetch_add(&c->failed, 1);
        (void)uploads_active(c->f->u);
        upload_release(up);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct crowd c = {.f = f};
    pthread_t threads[THREADS];
    /* One is remembered, so that they evict each other's sessions all the time. */
    uploads_free(f->u);
    f->u = uploads_new(f->s, INLINE_MAX, 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c.failed), 0);
    unsigned total = 0;
    for (unsigned k = 0; k < SHARED; k++) {
        struct upload *up = NULL;
        if (try_acquire(f, nth(k), &up) == UPLOAD_ABSENT)
            up = adopt_staged(f, nth(k), UINT64_MAX);
        assert_int_equal(upload_offset(up), atomic_load(&c.appended[k]));
        total += atomic_load(&c.appended[k]);
        upload_forget(up);
    }
    assert_true(total > 0);
}

#define MEM(test) cmocka_unit_test_setup_teardown(test, setup_mem, teardown)
#define BOTH(test)                                   \
    {#test "_mem", test, setup_mem, teardown, NULL}, \
    {                                                \
#test "_fs", test, setup_fs, teardown, NULL  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        BOTH(test_small),
        BOTH(test_empty),
        BOTH(test_staging),
        BOTH(test_expect),
        BOTH(test_stale_stage),
        MEM(test_limits),
        BOTH(test_rewind),
        BOTH(test_rewind_evicted),
        BOTH(test_adopt_staged),
        BOTH(test_adopt_inline),
        BOTH(test_stage_shrank),
        MEM(test_one_writer),
        BOTH(test_idle),
        MEM(test_idle_unsaved),
        MEM(test_saved),
        BOTH(test_is_saved),
        BOTH(test_adopt_offset),
        BOTH(test_purged_after_publish),
        MEM(test_many),
        BOTH(test_model),
        BOTH(test_threads),
    };
    return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
