/* SPDX-License-Identifier: Apache-2.0 */
#include "store_conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#include "tmp_dir.h"

#include "base/banned.h"

char *content_make(size_t n, unsigned seed)
{
    char *p = xcalloc(n ? n : 1, 1);
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (char)(x >> 24);
    }
    return p;
}

void stage_put(struct store *s, const char *id, const void *p, size_t n)
{
    struct stage *st = NULL;
    struct error err;
    assert_int_equal(stage_open(s, slice_cstr(id), true, &st, &err), 0);
    assert_int_equal(stage_write(st, p, n, &err), 0);
    assert_int_equal(stage_sync(st, &err), 0);
    stage_close(st);
}

void blob_put(struct store *s, const char *id, const struct digest *d, const void *p, size_t n)
{
    struct error err;
    stage_put(s, id, p, n);
    assert_int_equal(store_publish(s, slice_cstr(id), d, n, &err), 0);
    assert_int_equal(stage_remove(s, slice_cstr(id), &err), 0);
}

bool object_is(const struct store_object *o, const void *p, size_t n)
{
    assert_true((o->file != NULL) != (o->bytes != NULL));
    if (o->size != n)
        return false;
    if (o->bytes)
        return slice_eq(shared_view(o->bytes), slice_make(p, n));
    char *have = xcalloc(n + 1, 1);
    size_t got = 0;
    ssize_t r;
    while (got <= n && (r = pread(o->file->fd, have + got, n + 1 - got, (off_t)got)) > 0)
        got += (size_t)r;
    bool same = got == n && memcmp(have, p, n) == 0;
    free(have);
    return same;
}

void assert_blob(struct store *s, const struct digest *d, const void *p, size_t n)
{
    struct store_object o = {0};
    struct error err;
    bool ok = false;
    assert_int_equal(store_open(s, d, &o, &err), 0);
    assert_true(object_is(&o, p, n));
    store_object_release(&o);
    assert_int_equal(store_verify(s, d, n, &ok, &err), 0);
    assert_true(ok);
    uint64_t size = UINT64_MAX;
    assert_int_equal(store_stat(s, d, &size, &err), 0);
    assert_int_equal(size, n);
}

void assert_no_blob(struct store *s, const struct digest *d)
{
    struct store_object o = {0};
    struct error err;
    bool ok = true;
    assert_int_equal(store_open(s, d, &o, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    assert_false(store_peek(s, d, &o));
    assert_int_equal(store_verify(s, d, 1, &ok, &err), 0);
    assert_false(ok);
    uint64_t size = 4711;
    assert_int_equal(store_stat(s, d, &size, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    assert_int_equal(store_stat(s, d, &size, NULL), -1);
    assert_int_equal(size, 4711); /* untouched on failure */
}

bool stage_exists(struct store *s, const char *id)
{
    struct stage *st = NULL;
    struct error err;
    if (stage_open(s, slice_cstr(id), false, &st, &err) != 0) {
        assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
        return false;
    }
    stage_close(st);
    return true;
}

static void test_stage_bytes(void **state)
{
    struct store *s = *state;
    struct stage *st = NULL;
    struct error err;
    char buf[64];
    assert_int_equal(stage_open(s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_size(st), 0);
    assert_int_equal(stage_read(st, buf, sizeof buf, 0, &err), 0);
    assert_int_equal(stage_write(st, "hello ", 6, &err), 0);
    assert_int_equal(stage_write(st, "", 0, &err), 0);
    assert_int_equal(stage_write(st, "world", 5, &err), 0);
    assert_int_equal(stage_size(st), 11);
    assert_int_equal(stage_read(st, buf, sizeof buf, 0, &err), 11);
    assert_memory_equal(buf, "hello world", 11);
    assert_int_equal(stage_read(st, buf, 3, 4, &err), 3);
    assert_memory_equal(buf, "o w", 3);
    assert_int_equal(stage_read(st, buf, sizeof buf, 9, &err), 2);
    assert_int_equal(stage_read(st, buf, sizeof buf, 11, &err), 0);
    assert_int_equal(stage_read(st, buf, sizeof buf, 1u << 30, &err), 0);
    stage_close(st);
    stage_close(NULL);

    st = NULL;
    assert_int_equal(stage_open(s, SLICE_LIT(ID_A), false, &st, &err), 0);
    assert_int_equal(stage_size(st), 11);
    assert_int_equal(stage_write(st, "!", 1, &err), 0);
    assert_int_equal(stage_truncate(st, 12, &err), 0);
    assert_int_equal(stage_truncate(st, 5, &err), 0);
    assert_int_equal(stage_size(st), 5);
    assert_int_equal(stage_truncate(st, 6, &err), -1); /* it does not grow */
    assert_int_equal(stage_write(st, "XY", 2, &err), 0);
    assert_int_equal(stage_read(st, buf, sizeof buf, 0, &err), 7);
    assert_memory_equal(buf, "helloXY", 7);
    /* More than any stage can hold: refused, and nothing changed. */
    assert_int_equal(stage_write(st, "x", (size_t)INT64_MAX, &err), -1);
    assert_int_equal(stage_size(st), 7);
    assert_int_equal(stage_write(st, "Z", 1, &err), 0);
    assert_int_equal(stage_size(st), 8);
    assert_int_equal(stage_sync(st, &err), 0);
    stage_close(st);
}

static void test_stage_names(void **state)
{
    struct store *s = *state;
    struct stage *st = NULL;
    struct error err;
    assert_false(stage_exists(s, ID_A));
    assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
    assert_int_equal(stage_open(s, SLICE_LIT(ID_A), true, &st, &err), 0);
    struct stage *again = NULL;
    assert_int_equal(stage_open(s, SLICE_LIT(ID_A), true, &again, &err), -1);
    assert_int_equal(err.sys, EEXIST);
    assert_null(again);
    /* Removed while it is open: it goes on, and nobody else finds it. */
    assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
    assert_int_equal(stage_write(st, "x", 1, &err), 0);
    assert_false(stage_exists(s, ID_A));
    stage_close(st);

    static const char *const bad[] = {
        "",
        "aaaaaaaa-0000-4000-8000-00000000000",
        "aaaaaaaa-0000-4000-8000-0000000000011",
        "AAAAAAAA-0000-4000-8000-000000000001",
        "../../../../../../../../../etc/passwd",
        "aaaaaaaa-0000-4000-8000-00000000000/",
        "aaaaaaaa-0000-4000-8000-0000000000\0001",
        "gaaaaaaa-0000-4000-8000-000000000001",
    };
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("x"), &d);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice id = slice_make(bad[i], i == 6 ? 36 : strlen(bad[i]));
        assert_int_equal(stage_open(s, id, true, &again, &err), -1);
        assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
        assert_int_equal(stage_open(s, id, false, &again, &err), -1);
        assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
        assert_int_equal(store_publish(s, id, &d, 1, &err), -1);
        assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
    }
    assert_no_blob(s, &d);
}

struct seen {
    unsigned a, b, other, stop_after;
};

static int see(void *arg, struct slice id)
{
    struct seen *seen = arg;
    if (slice_is(id, ID_A))
        seen->a++;
    else if (slice_is(id, ID_B))
        seen->b++;
    else
        seen->other++;
    return seen->a + seen->b + seen->other == seen->stop_after;
}

static void test_stage_list(void **state)
{
    struct store *s = *state;
    struct error err;
    struct seen seen = {0};
    assert_int_equal(stage_list(s, see, &seen, &err), 0);
    assert_int_equal(seen.a + seen.b + seen.other, 0);
    stage_put(s, ID_A, "a", 1);
    stage_put(s, ID_B, "b", 1);
    assert_int_equal(stage_list(s, see, &seen, &err), 0);
    assert_int_equal(seen.a, 1);
    assert_int_equal(seen.b, 1);
    assert_int_equal(seen.other, 0);
    seen = (struct seen){.stop_after = 1};
    assert_int_equal(stage_list(s, see, &seen, &err), 0);
    assert_int_equal(seen.a + seen.b, 1);
}

static void test_publish(void **state)
{
    struct store *s = *state;
    struct error err;
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++) {
        char *p = content_make(100000, (unsigned)alg);
        struct digest d;
        digest_of((enum hash_alg)alg, slice_make(p, 100000), &d);
        assert_no_blob(s, &d);
        stage_put(s, ID_A, p, 100000);
        assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 100000, &err), 0);
        assert_true(stage_exists(s, ID_A));
        assert_blob(s, &d, p, 100000);
        assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
        assert_blob(s, &d, p, 100000);
        /* Opened a moment ago, so a loop gets it without a system call. */
        struct store_object o = {0};
        assert_true(store_peek(s, &d, &o));
        assert_true(object_is(&o, p, 100000));
        store_object_release(&o);
        assert_null(o.file);
        assert_null(o.bytes);
        bool ok = true;
        assert_int_equal(store_verify(s, &d, 99999, &ok, &err), 0);
        assert_false(ok);
        assert_int_equal(store_remove(s, &d, &err), 0);
        assert_no_blob(s, &d);
        assert_int_equal(store_remove(s, &d, &err), 0);
        free(p);
    }
}

static void test_publish_empty(void **state)
{
    struct store *s = *state;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_NONE, &d);
    blob_put(s, ID_A, &d, "", 0);
    assert_blob(s, &d, "", 0);
}

static void test_publish_refused(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 3, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
    stage_put(s, ID_A, "abc", 3);
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 4, &err), -1);
    assert_no_blob(s, &d);
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 4, NULL), -1);
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 3, NULL), 0);
    assert_blob(s, &d, "abc", 3);
}

static void test_publish_again(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    struct store_object o = {0};
    digest_of(HASH_SHA512, SLICE_LIT("same"), &d);
    stage_put(s, ID_A, "same", 4);
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 4, &err), 0);
    assert_int_equal(store_open(s, &d, &o, &err), 0);
    /* By the same upload (a repeated PUT) and by another one. */
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 4, &err), 0);
    blob_put(s, ID_B, &d, "same", 4);
    assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
    assert_true(object_is(&o, "same", 4));
    store_object_release(&o);
    assert_blob(s, &d, "same", 4);
}

/* A blob that a crash before our time left torn. publish believes its caller about the bytes, so
 * a wrong one can be planted through the interface. */
static void test_torn(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    struct store_object old = {0};
    static const char *const torn[] = {"righ", "wrong", ""};
    digest_of(HASH_SHA256, SLICE_LIT("right"), &d);
    for (size_t i = 0; i < ARRAY_LEN(torn); i++) {
        size_t n = strlen(torn[i]);
        bool ok = true;
        blob_put(s, ID_A, &d, torn[i], n);
        assert_int_equal(store_verify(s, &d, 5, &ok, &err), 0);
        assert_false(ok);
        /* stat tells of the file, not of its content. */
        uint64_t size = UINT64_MAX;
        assert_int_equal(store_stat(s, &d, &size, &err), 0);
        assert_int_equal(size, n);
        assert_int_equal(store_open(s, &d, &old, &err), 0);
        blob_put(s, ID_B, &d, "right", 5);
        assert_true(object_is(&old, torn[i], n)); /* who reads it, goes on with what he has */
        assert_blob(s, &d, "right", 5);
        store_object_release(&old);
        assert_int_equal(store_remove(s, &d, &err), 0);
    }
    struct seen seen = {0};
    assert_int_equal(stage_list(s, see, &seen, &err), 0);
    assert_int_equal(seen.a + seen.b + seen.other, 0);
}

/* The push failed after its publish, and the client goes on with the session: whatever happens to
 * the stage, the blob keeps its bytes. */
static void test_stage_after_publish(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    char *p = content_make(600000, 7);
    digest_of(HASH_SHA256, slice_make(p, 600000), &d);
    for (int reopened = 0; reopened < 2; reopened++) {
        for (int cut = 0; cut < 3; cut++) {
            static const uint64_t to[] = {600000, 0, 300001};
            struct stage *st = NULL;
            assert_int_equal(stage_open(s, SLICE_LIT(ID_A), true, &st, &err), 0);
            assert_int_equal(stage_write(st, p, 600000, &err), 0);
            assert_int_equal(stage_sync(st, &err), 0);
            assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 600000, &err), 0);
            if (reopened) {
                stage_close(st);
                st = NULL;
                assert_int_equal(stage_open(s, SLICE_LIT(ID_A), false, &st, &err), 0);
            }
            assert_int_equal(stage_truncate(st, to[cut], &err), 0);
            assert_int_equal(stage_write(st, "more", 4, &err), 0);
            assert_int_equal(stage_size(st), to[cut] + 4);
            char *have = xcalloc(700000, 1);
            assert_int_equal(stage_read(st, have, 700000, 0, &err), to[cut] + 4);
            assert_memory_equal(have, p, to[cut]);
            assert_memory_equal(have + to[cut], "more", 4);
            free(have);
            stage_close(st);
            assert_blob(s, &d, p, 600000);
            assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
            assert_int_equal(store_remove(s, &d, &err), 0);
        }
    }
    free(p);
}

/* The upload was purged after its publish: its name is gone, and the only link that is left may be
 * the blob's. Whatever the one who still holds the stage calls, and whatever it answers, the blob
 * keeps its bytes. */
static void test_stage_purged(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    char *p = content_make(300000, 8);
    digest_of(HASH_SHA256, slice_make(p, 300000), &d);
    for (unsigned i = 0; i < 8; i++) {
        bool reopened = i & 1;
        bool cut_first = i & 2;
        bool name_taken = i & 4;
        struct stage *st = NULL;
        assert_int_equal(stage_open(s, SLICE_LIT(ID_A), true, &st, &err), 0);
        assert_int_equal(stage_write(st, p, 300000, &err), 0);
        assert_int_equal(stage_sync(st, &err), 0);
        assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, 300000, &err), 0);
        if (reopened) {
            stage_close(st);
            st = NULL;
            assert_int_equal(stage_open(s, SLICE_LIT(ID_A), false, &st, &err), 0);
        }
        assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
        if (name_taken)
            stage_put(s, ID_A, "another's", 9);
        if (cut_first)
            (void)stage_truncate(st, 10, NULL);
        (void)stage_write(st, "overwritten", 11, NULL);
        (void)stage_truncate(st, 0, NULL);
        (void)stage_write(st, "overwritten", 11, NULL);
        (void)stage_sync(st, NULL);
        (void)stage_write(st, "overwritten", 11, NULL);
        stage_close(st);
        assert_blob(s, &d, p, 300000);
        assert_int_equal(stage_exists(s, ID_A), name_taken);
        if (name_taken) {
            char buf[16];
            st = NULL;
            assert_int_equal(stage_open(s, SLICE_LIT(ID_A), false, &st, &err), 0);
            assert_int_equal(stage_read(st, buf, sizeof buf, 0, &err), 9);
            assert_memory_equal(buf, "another's", 9);
            stage_close(st);
        }
        assert_int_equal(stage_remove(s, SLICE_LIT(ID_A), &err), 0);
        assert_int_equal(store_remove(s, &d, &err), 0);
    }
    free(p);
}

static void test_remove_while_read(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    struct store_object o = {0};
    digest_of(HASH_SHA256, SLICE_LIT("bytes"), &d);
    blob_put(s, ID_A, &d, "bytes", 5);
    assert_int_equal(store_open(s, &d, &o, &err), 0);
    assert_int_equal(store_remove(s, &d, &err), 0);
    assert_no_blob(s, &d);
    assert_true(object_is(&o, "bytes", 5));
    blob_put(s, ID_A, &d, "bytes", 5);
    assert_blob(s, &d, "bytes", 5);
    store_object_release(&o);
    assert_blob(s, &d, "bytes", 5);
}

static void test_large(void **state)
{
    struct store *s = *state;
    struct error err;
    struct stage *st = NULL;
    struct digest d;
    size_t n = 20u << 20;
    char *p = content_make(n, 3);
    digest_of(HASH_SHA256, slice_make(p, n), &d);
    assert_int_equal(stage_open(s, SLICE_LIT(ID_A), true, &st, &err), 0);
    for (size_t at = 0; at < n; at += 1u << 19)
        assert_int_equal(stage_write(st, p + at, 1u << 19, &err), 0);
    assert_int_equal(stage_sync(st, &err), 0);
    stage_close(st);
    assert_int_equal(store_publish(s, SLICE_LIT(ID_A), &d, n, &err), 0);
    assert_blob(s, &d, p, n);
    free(p);
}

static void test_writable(void **state)
{
    struct store *s = *state;
    struct error err;
    assert_non_null(s->ops->name);
    assert_false(store_read_only(s));
    assert_int_equal(store_probe(s, &err), 0);
    assert_int_equal(store_probe(s, NULL), 0);
    struct seen seen = {0};
    assert_int_equal(stage_list(s, see, &seen, &err), 0);
    assert_int_equal(seen.other, 0); /* the probe leaves nothing */
}

/* A file of somebody else's with these bytes, in a directory of its own. */
void source_make(struct source *f, const void *p, size_t n)
{
    f->path = tmp_dir_make();
    f->source.dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->source.dir >= 0);
    f->source.name = "data";
    int fd = openat(f->source.dir, "data", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
    f->source.fd = openat(f->source.dir, "data", O_RDONLY | O_CLOEXEC);
    assert_true(f->source.fd >= 0);
}

void source_remove(struct source *f)
{
    close(f->source.fd);
    close(f->source.dir);
    tmp_dir_remove(f->path);
}

static void test_adopt(void **state)
{
    struct store *s = *state;
    struct error err = {0};
    struct store_batch batch = {0};
    struct source f, g;
    enum store_adopted how = STORE_ADOPT_PRESENT;
    enum { N = 100000 };
    struct digest d, e;
    char *p = content_make(N, 9);
    digest_of(HASH_SHA256, slice_make(p, N), &d);
    digest_of(HASH_SHA512, SLICE_NONE, &e);
    source_make(&f, p, N);
    source_make(&g, "", 0);
    assert_int_equal(store_adopt(s, &batch, &f.source, &d, N, &how, &err), 0);
    assert_int_not_equal(how, STORE_ADOPT_PRESENT);
    assert_int_equal(store_adopt(s, &batch, &g.source, &e, 0, &how, NULL), 0);
    assert_int_equal(store_adopt_sync(s, &batch, &err), 0);
    const struct store_batch none = {0};
    assert_memory_equal(&batch, &none, sizeof none);
    assert_blob(s, &d, p, N);
    assert_blob(s, &e, "", 0);
    /* Again. */
    assert_int_equal(store_adopt(s, &batch, &f.source, &d, N, &how, &err), 0);
    assert_int_equal(how, STORE_ADOPT_PRESENT);
    assert_int_equal(store_adopt_sync(s, &batch, &err), 0);
    /* The source is as it was, also when the blob goes. */
    assert_int_equal(store_remove(s, &d, &err), 0);
    char *have = xcalloc(1, N + 1);
    assert_int_equal(pread(f.source.fd, have, N + 1, 0), N);
    assert_memory_equal(have, p, N);
    free(have);
    free(p);
    source_remove(&f);
    source_remove(&g);
}

/* What is in the place is believed only when its bytes are right. */
static void test_adopt_over(void **state)
{
    struct store *s = *state;
    struct error err = {0};
    struct store_batch batch = {0};
    struct source f;
    enum store_adopted how = STORE_ADOPT_PRESENT;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("good"), &d);
    source_make(&f, "good", 4);
    blob_put(s, ID_A, &d, "evil", 4);
    assert_int_equal(store_adopt(s, &batch, &f.source, &d, 4, &how, &err), 0);
    assert_int_not_equal(how, STORE_ADOPT_PRESENT);
    assert_int_equal(store_adopt_sync(s, &batch, &err), 0);
    assert_blob(s, &d, "good", 4);
    /* Another file with the right bytes. */
    assert_int_equal(store_remove(s, &d, &err), 0);
    blob_put(s, ID_A, &d, "good", 4);
    assert_int_equal(store_adopt(s, &batch, &f.source, &d, 4, &how, &err), 0);
    assert_int_equal(how, STORE_ADOPT_PRESENT);
    assert_int_equal(store_adopt_sync(s, &batch, &err), 0);
    source_remove(&f);
}

static void test_adopt_refused(void **state)
{
    struct store *s = *state;
    struct error err = {0};
    struct store_batch batch = {0};
    struct source f;
    enum store_adopted how = STORE_ADOPT_PRESENT;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("good"), &d);
    source_make(&f, "good", 4);
    for (uint64_t size = 3; size <= 5; size += 2) {
        assert_int_equal(store_adopt(s, &batch, &f.source, &d, size, &how, &err), -1);
        assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    }
    assert_no_blob(s, &d);
    assert_int_equal(store_adopt_sync(s, &batch, &err), 0);
    source_remove(&f);
}

enum { PUSHERS = 4, ROUNDS = 12, RACE_BYTES = 200000 };

struct race {
    struct store *s;
    const struct digest *d;
    const char *p;
    pthread_barrier_t gate;
    atomic_uint failed;
    unsigned n;
};

struct pusher {
    struct race *race;
    char id[37];
};

static void *push_same(void *arg)
{
    struct pusher *me = arg;
    struct race *r = me->race;
    struct error err;
    struct slice id = slice_cstr(me->id);
    for (int i = 0; i < ROUNDS; i++) {
        struct stage *st = NULL;
        struct store_object o = {0};
        bool ok = stage_open(r->s, id, true, &st, &err) == 0 &&
                  stage_write(st, r->p, RACE_BYTES, &err) == 0 && stage_sync(st, &err) == 0;
        stage_close(st);
        (void)pthread_barrier_wait(&r->gate);
        ok = ok && store_publish(r->s, id, r->d, RACE_BYTES, &err) == 0;
        /* What was acknowledged is there, whoever linked it. */
        ok = ok && store_open(r->s, r->d, &o, &err) == 0 && object_is(&o, r->p, RACE_BYTES);
        store_object_release(&o);
        ok = stage_remove(r->s, id, &err) == 0 && ok;
        if (!ok)
            atomic_fetch_add(&r->failed, 1);
        /* One removes it, so that the next round links anew. */
        if (pthread_barrier_wait(&r->gate) == PTHREAD_BARRIER_SERIAL_THREAD &&
            store_remove(r->s, r->d, &err) != 0)
            atomic_fetch_add(&r->failed, 1);
        (void)pthread_barrier_wait(&r->gate);
    }
    return NULL;
}

static void test_race(void **state)
{
    struct digest d;
    char *p = content_make(RACE_BYTES, 5);
    digest_of(HASH_SHA256, slice_make(p, RACE_BYTES), &d);
    struct race race = {.s = *state, .d = &d, .p = p};
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    pthread_barrier_init(&race.gate, NULL, PUSHERS);
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.race = &race};
        memcpy(pushers[i].id, ID_A, 37);
        pushers[i].id[0] = (char)('0' + i);
        assert_int_equal(pthread_create(&threads[i], NULL, push_same, &pushers[i]), 0);
    }
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.gate);
    assert_int_equal(atomic_load(&race.failed), 0);
    assert_no_blob(*state, &d);
    free(p);
}

void store_conformance_add(struct CMUnitTest *out, size_t *n, CMFixtureFunction setup,
                           CMFixtureFunction teardown)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stage_bytes),
        cmocka_unit_test(test_stage_names),
        cmocka_unit_test(test_stage_list),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_publish_empty),
        cmocka_unit_test(test_publish_refused),
        cmocka_unit_test(test_publish_again),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_stage_after_publish),
        cmocka_unit_test(test_stage_purged),
        cmocka_unit_test(test_remove_while_read),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_writable),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_adopt_over),
        cmocka_unit_test(test_adopt_refused),
        cmocka_unit_test(test_race),
    };
    _Static_assert(ARRAY_LEN(tests) <= STORE_CONFORMANCE_MAX, "room for all");
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        out[*n] = tests[i];
        out[*n].setup_func = setup;
        out[*n].teardown_func = teardown;
        (*n)++;
    }
}
