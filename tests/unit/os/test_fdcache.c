/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "os/fdcache.h"

#include "base/banned.h"

/* What a test's file is opened by: an anonymous file of `size` bytes. */
struct source {
    unsigned opened;
    uint64_t size;
    struct fdcache *drop_from; /* forget the key while it is being opened */
    int fixed;                 /* a descriptor to answer with, when not 0 */
};

static int open_source(void *arg, struct error *err)
{
    struct source *s = arg;
    s->opened++;
    if (s->drop_from)
        fdcache_drop(s->drop_from, SLICE_LIT("k"));
    if (s->fixed)
        return s->fixed;
    int fd = memfd_create("source", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)s->size))
        return error_sys(err, errno, "make a file");
    return fd;
}

static int open_fails(void *arg, struct error *err)
{
    (void)arg;
    return error_sys(err, ENOENT, "open x");
}

static struct fdref *get(struct fdcache *c, const char *key, struct source *s)
{
    struct fdref *f = NULL;
    assert_int_equal(fdcache_get(c, slice_cstr(key), open_source, s, &f, NULL), 0);
    assert_non_null(f);
    return f;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void one_descriptor_serves_all(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(4);
    struct source s = {.size = 12345};
    struct fdref *a = get(c, "k", &s);
    struct fdref *b = get(c, "k", &s);
    assert_ptr_equal(a, b);
    assert_int_equal(s.opened, 1);
    assert_int_equal(a->size, 12345);
    assert_int_equal(fdcache_open(c), 1);
    assert_ptr_equal(fdref_ref(a), a);
    for (int i = 0; i < 3; i++)
        fdref_unref(a);
    assert_true(is_open(a->fd)); /* idle */
    assert_ptr_equal(get(c, "k", &s), a);
    assert_int_equal(s.opened, 1);
    fdref_unref(a);
    int fd = a->fd;
    fdcache_free(c);
    assert_false(is_open(fd));
    fdcache_free(NULL);
    fdref_unref(NULL);
}

static void peek_opens_nothing(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(4);
    struct source s = {0};
    assert_null(fdcache_peek(c, SLICE_LIT("k")));
    struct fdref *a = get(c, "k", &s);
    assert_ptr_equal(fdcache_peek(c, SLICE_LIT("k")), a);
    assert_null(fdcache_peek(c, SLICE_LIT("K")));
    fdref_unref(a);
    fdref_unref(a);
    assert_ptr_equal(fdcache_peek(c, SLICE_LIT("k")), a); /* out of idleness */
    fdref_unref(a);
    fdcache_free(c);
}

static void the_least_recently_used_is_closed(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(3);
    struct source s = {0};
    const char *keys[] = {"a", "b", "c", "d"};
    struct fdref *f[4];
    for (int i = 0; i < 4; i++)
        f[i] = get(c, keys[i], &s);
    assert_int_equal(fdcache_open(c), 4); /* those in use do not count */
    for (int i = 0; i < 3; i++)
        fdref_unref(f[i]);
    fdref_unref(fdcache_peek(c, SLICE_LIT("a"))); /* a is younger than b now */
    fdref_unref(f[3]);
    assert_int_equal(fdcache_open(c), 3);
    assert_null(fdcache_peek(c, SLICE_LIT("b")));
    const char *left[] = {"a", "c", "d"};
    for (int i = 0; i < 3; i++) {
        struct fdref *r = fdcache_peek(c, slice_cstr(left[i]));
        assert_non_null(r);
        fdref_unref(r);
    }
    fdcache_free(c);
}

static void a_cache_without_idle_files_closes_at_once(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(0);
    struct source s = {0};
    struct fdref *f = get(c, "k", &s);
    assert_ptr_equal(get(c, "k", &s), f);
    int fd = f->fd;
    fdref_unref(f);
    assert_true(is_open(fd));
    fdref_unref(f);
    assert_false(is_open(fd));
    assert_int_equal(fdcache_open(c), 0);
    fdcache_free(c);
}

static void a_dropped_file_stays_with_its_holders(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(4);
    struct source s = {.size = 1};
    struct fdref *old = get(c, "k", &s);
    fdcache_drop(c, SLICE_LIT("k"));
    fdcache_drop(c, SLICE_LIT("k"));
    fdcache_drop(c, SLICE_LIT("unknown"));
    assert_null(fdcache_peek(c, SLICE_LIT("k")));
    s.size = 2;
    struct fdref *fresh = get(c, "k", &s);
    assert_ptr_not_equal(old, fresh);
    assert_int_equal(old->size, 1);
    assert_int_equal(fresh->size, 2);
    assert_int_equal(fdcache_open(c), 2);
    int fd = old->fd;
    fdref_unref(old);
    assert_false(is_open(fd)); /* not to be found again, so not kept */
    fd = fresh->fd;
    fdref_unref(fresh);
    fdcache_drop(c, SLICE_LIT("k")); /* an idle one is closed */
    assert_false(is_open(fd));
    assert_int_equal(fdcache_open(c), 0);
    fdcache_free(c);
}

static void a_drop_while_opening_is_not_lost(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(4);
    struct source s = {.drop_from = c};
    struct fdref *stale = get(c, "k", &s);
    assert_null(fdcache_peek(c, SLICE_LIT("k")));
    s.drop_from = NULL;
    struct fdref *fresh = get(c, "k", &s);
    assert_ptr_not_equal(stale, fresh);
    fdref_unref(stale);
    fdref_unref(fresh);
    assert_int_equal(fdcache_open(c), 1);
    fdcache_free(c);
}

/* Opens the key itself while it is being opened: what two threads that miss at once do. */
struct nested {
    struct fdcache *cache;
    struct source source;
    struct fdref *inner;
};

static int open_nested(void *arg, struct error *err)
{
    struct nested *n = arg;
    n->inner = get(n->cache, "k", &n->source);
    return open_source(&n->source, err);
}

static void of_two_that_miss_one_descriptor_is_kept(void **state)
{
    (void)state;
    struct nested n = {.cache = fdcache_new(4)};
    struct fdref *outer = NULL;
    assert_int_equal(fdcache_get(n.cache, SLICE_LIT("k"), open_nested, &n, &outer, NULL), 0);
    assert_ptr_equal(outer, n.inner);
    assert_int_equal(n.source.opened, 2);
    assert_int_equal(fdcache_open(n.cache), 1);
    fdref_unref(outer);
    fdref_unref(outer);
    fdcache_free(n.cache);
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(4);
    struct fdref *f = NULL;
    struct error err;
    assert_int_equal(fdcache_get(c, SLICE_LIT("k"), open_fails, NULL, &f, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    struct source closed = {.fixed = 987654};
    assert_int_equal(fdcache_get(c, SLICE_LIT("k"), open_source, &closed, &f, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_null(f);
    assert_null(fdcache_peek(c, SLICE_LIT("k")));
    assert_int_equal(fdcache_open(c), 0);
    fdcache_free(c);
}

static void a_file_outside_any_cache(void **state)
{
    (void)state;
    int fd = memfd_create("lone", MFD_CLOEXEC);
    struct fdref *f = fdref_new(fd, 42);
    assert_int_equal(f->fd, fd);
    assert_int_equal(f->size, 42);
    fdref_unref(fdref_ref(f));
    assert_true(is_open(fd));
    fdref_unref(f);
    assert_false(is_open(fd));
}

static void a_large_cache_finds_every_key(void **state)
{
    (void)state;
    enum { N = 800 };
    struct fdcache *c = fdcache_new(100000);
    struct source s = {0};
    struct fdref *f[N];
    char key[32];
    for (unsigned i = 0; i < N; i++) {
        s.size = i;
        (void)snprintf(key, sizeof key, "sha256:%06x", i);
        f[i] = get(c, key, &s);
    }
    assert_int_equal(fdcache_open(c), N);
    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(key, sizeof key, "sha256:%06x", i);
        struct fdref *again = fdcache_peek(c, slice_cstr(key));
        assert_ptr_equal(again, f[i]);
        assert_int_equal(again->size, i);
        fdref_unref(again);
        fdref_unref(f[i]);
    }
    assert_int_equal(fdcache_open(c), N);
    fdcache_free(c);
}

/* Threads that get, peek, drop and let go of few keys, with room for fewer idle ones. */
enum { THREADS = 4, ROUNDS = 3000, KEYS = 6 };

static int open_by_size(void *arg, struct error *err)
{
    struct source s = {.size = *(uint64_t *)arg};
    return open_source(&s, err);
}

static void *churn(void *arg)
{
    struct fdcache *c = arg;
    uint32_t x = (uint32_t)(uintptr_t)&x;
    struct fdref *held = NULL;
    for (int i = 0; i < ROUNDS; i++) {
        x = x * 1664525u + 1013904223u;
        uint64_t size = (x >> 8) % KEYS;
        char key[2] = {(char)('a' + size), '\0'};
        struct fdref *f = NULL;
        switch (x >> 28) {
        case 0:
            fdcache_drop(c, slice_cstr(key));
            break;
        case 1:
        case 2:
        case 3:
            f = fdcache_peek(c, slice_cstr(key));
            break;
        default:
            assert_int_equal(fdcache_get(c, slice_cstr(key), open_by_size, &size, &f, NULL), 0);
        }
        if (f) {
            assert_int_equal(f->size, size);
            assert_true(is_open(f->fd));
        }
        fdref_unref(held);
        held = f ? fdref_ref(f) : NULL;
        fdref_unref(f);
    }
    fdref_unref(held);
    return NULL;
}

static void threads_share_a_cache(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(3);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(fdcache_open(c), 0, 3);
    fdcache_free(c);
}

static void free_too_early(void *arg)
{
    fdcache_free(arg);
}

static void unref_too_often(void *arg)
{
    fdref_unref(arg);
    fdref_unref(arg); /* idle since the first: still there to be looked at */
}

static void misuse_aborts(void **state)
{
    (void)state;
    struct fdcache *c = fdcache_new(3);
    struct source s = {0};
    struct fdref *f = get(c, "k", &s);
    assert_int_equal(signal_that_kills(free_too_early, c), SIGABRT);
    assert_int_equal(signal_that_kills(unref_too_often, f), SIGABRT);
    fdref_unref(f);
    fdcache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_descriptor_serves_all),
        cmocka_unit_test(peek_opens_nothing),
        cmocka_unit_test(the_least_recently_used_is_closed),
        cmocka_unit_test(a_cache_without_idle_files_closes_at_once),
        cmocka_unit_test(a_dropped_file_stays_with_its_holders),
        cmocka_unit_test(a_drop_while_opening_is_not_lost),
        cmocka_unit_test(of_two_that_miss_one_descriptor_is_kept),
        cmocka_unit_test(failures_leave_nothing_behind),
        cmocka_unit_test(a_file_outside_any_cache),
        cmocka_unit_test(a_large_cache_finds_every_key),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(threads_share_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
