/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads at once. An assertion of cmocka works in the test's thread only, so the others count
 * what went wrong. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "meta_conformance.h"

#include "base/banned.h"

enum { THREADS = 8, ROUNDS = 20 };
#define REPO S("team/app")

struct shared_state {
    struct meta *m;
    pthread_barrier_t start;
    struct image same[ROUNDS];
    atomic_uint created[ROUNDS]; /* of same[] */
    atomic_uint wrong;
    atomic_bool done;
};

struct worker {
    struct shared_state *x;
    unsigned number;
    struct arena *a;
    pthread_t thread;
};

static void expect(struct shared_state *x, bool ok, const char *what)
{
    if (ok)
        return;
    atomic_fetch_add(&x->wrong, 1);
    (void)fprintf(stderr, "# thread: %s\n", what);
}

/* As image_push(), for a thread. */
static bool push(struct worker *w, struct slice repo, const struct image *im, const char *tag,
                 bool *created)
{
    struct error err;
    struct meta_manifest_put in = put_of(w->a, repo, im, tag);
    struct meta_manifest_put_result out = {0};
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(w->a, 1);
    if (meta_blob_commit(w->x->m, repo, &d, bytes.n, &bytes, SLICE_NONE, NULL, &err) < 0 ||
        meta_manifest_put(w->x->m, &in, w->a, &out, &err) < 0) {
        (void)fprintf(stderr, "# %s\n", err.message);
        return false;
    }
    *created = out.created;
    return true;
}

/* What a thread has been told is there, is there for it. */
static bool reads_back(struct worker *w, const char *tag, const struct image *im)
{
    struct error err;
    struct meta_manifest got;
    struct reference ref = ref_tag(tag);
    if (meta_manifest_get(w->x->m, REPO, &ref, true, &got, &err) < 0)
        return false;
    bool ok = digest_eq(&got.digest, &im->digest) && slice_eq(shared_view(got.bytes), im->body);
    shared_unref(got.bytes);
    return ok;
}

static void *run_pusher(void *arg)
{
    struct worker *w = arg;
    struct shared_state *x = w->x;
    (void)pthread_barrier_wait(&x->start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool created = false;
        expect(x, push(w, REPO, &x->same[i], "same", &created), "push of the same");
        atomic_fetch_add(&x->created[i], created);
        struct image own = image_make(w->a, 1000 + w->number * ROUNDS + i, HASH_SHA256);
        const char *tag = arena_printf(w->a, "t%u-%u", w->number, i);
        uint64_t before = meta_epoch(x->m, REPO);
        expect(x, push(w, REPO, &own, tag, &created), "push of an own one");
        expect(x, created, "an own one is new");
        expect(x, before == 0 || meta_epoch(x->m, REPO) != before, "the epoch has changed");
        expect(x, reads_back(w, tag, &own), "reading back");
    }
    return NULL;
}

/* Pages are consistent while they grow. */
static void *run_lister(void *arg)
{
    struct worker *w = arg;
    while (!atomic_load(&w->x->done)) {
        struct error err;
        struct meta_names page = {0};
        if (meta_tags(w->x->m, REPO, SLICE_NONE, 50, w->a, &page, &err) < 0)
            expect(w->x, err.code == ERR_NAME_UNKNOWN, "a listing");
        for (unsigned i = 1; i < page.n; i++)
            expect(w->x, slice_cmp(page.names[i - 1], page.names[i]) < 0, "order");
        arena_reset(w->a);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct shared_state *x = ARENA_NEW(arena_of(state), struct shared_state);
    struct worker w[THREADS + 1];
    x->m = meta_of(state);
    (void)pthread_barrier_init(&x->start, NULL, THREADS);
    for (unsigned i = 0; i < ROUNDS; i++)
        x->same[i] = image_make(arena_of(state), i, HASH_SHA256);
    for (unsigned i = 0; i <= THREADS; i++) {
        w[i] = (struct worker){.x = x, .number = i, .a = arena_new(4096)};
        assert_int_equal(
            pthread_create(&w[i].thread, NULL, i == THREADS ? run_lister : run_pusher, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(w[i].thread, NULL);
    atomic_store(&x->done, true);
    (void)pthread_join(w[THREADS].thread, NULL);
    for (unsigned i = 0; i <= THREADS; i++)
        arena_free(w[i].a);
    (void)pthread_barrier_destroy(&x->start);

    assert_int_equal(x->wrong, 0);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(x->created[i], 1);
    reopen(state);
    assert_stats(meta_of(state), 1, ROUNDS * (1 + THREADS), 1 + THREADS * ROUNDS, 1, 0);
}

/* Several for one tag that must not exist: one gets it. */
static void *run_racer(void *arg)
{
    struct worker *w = arg;
    (void)pthread_barrier_wait(&w->x->start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct error err;
        struct image own = image_make(w->a, 1000 + w->number, HASH_SHA256);
        struct meta_manifest_put_result out;
        struct meta_manifest_put in = put_of(w->a, REPO, &own, arena_printf(w->a, "round%u", i));
        in.condition = &expect_now(w->a, NULL)->condition;
        if (meta_manifest_put(w->x->m, &in, w->a, &out, &err) == 0)
            atomic_fetch_add(&w->x->created[i], 1);
        else
            expect(w->x, err.code == ERR_PRECONDITION, "lost the race");
    }
    return NULL;
}

static void test_race(void **state)
{
    struct shared_state *x = ARENA_NEW(arena_of(state), struct shared_state);
    struct worker w[THREADS];
    x->m = meta_of(state);
    (void)pthread_barrier_init(&x->start, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.x = x, .number = i, .a = arena_new(4096)};
        assert_int_equal(pthread_create(&w[i].thread, NULL, run_racer, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(w[i].thread, NULL);
        arena_free(w[i].a);
    }
    (void)pthread_barrier_destroy(&x->start);
    assert_int_equal(x->wrong, 0);
    for (unsigned i = 0; i < ROUNDS; i++)
        assert_int_equal(x->created[i], 1);
}

/* --- somebody comes back to an upload in the moment in which it expires: one of both wins --- */

struct purge {
    struct meta *m;
    pthread_barrier_t round;
    int64_t before_ms;
    bool gone[ROUNDS], kept[ROUNDS];
    atomic_uint wrong;
};

static void upload_name(char id[16], unsigned i)
{
    (void)snprintf(id, 16, "u%u", i);
}

static void *run_purger(void *arg)
{
    struct purge *x = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct error err;
        char id[16];
        upload_name(id, i);
        (void)pthread_barrier_wait(&x->round);
        if (meta_upload_expire(x->m, slice_cstr(id), x->before_ms, &x->gone[i], &err) < 0)
            atomic_fetch_add(&x->wrong, 1);
    }
    return NULL;
}

static void *run_toucher(void *arg)
{
    struct purge *x = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct error err = {0};
        char id[16];
        upload_name(id, i);
        (void)pthread_barrier_wait(&x->round);
        x->kept[i] = meta_upload_touch(x->m, REPO, slice_cstr(id), &err) == 0;
        if (!x->kept[i] && err.code != ERR_BLOB_UPLOAD_UNKNOWN)
            atomic_fetch_add(&x->wrong, 1);
    }
    return NULL;
}

static void test_expire_or_touch(void **state)
{
    struct purge *x = ARENA_NEW(arena_of(state), struct purge);
    pthread_t purger, toucher;
    char id[16];
    *x = (struct purge){.m = meta_of(state)};
    for (unsigned i = 0; i < ROUNDS; i++) {
        upload_name(id, i);
        OK(meta_upload_create(x->m, REPO, slice_cstr(id), HASH_SHA256, &err));
    }
    x->before_ms = os_wall_ms() + 10000;
    os_wall_shift(20000);
    (void)pthread_barrier_init(&x->round, NULL, 2);
    assert_int_equal(pthread_create(&purger, NULL, run_purger, x), 0);
    assert_int_equal(pthread_create(&toucher, NULL, run_toucher, x), 0);
    (void)pthread_join(purger, NULL);
    (void)pthread_join(toucher, NULL);
    (void)pthread_barrier_destroy(&x->round);
    os_wall_shift(0);

    assert_int_equal(x->wrong, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool open;
        upload_name(id, i);
        OK(meta_upload_exists(x->m, slice_cstr(id), &open, &err));
        assert_int_equal(x->gone[i], !x->kept[i]);
        assert_int_equal(open, x->kept[i]);
    }
}

void meta_conformance_threads(struct meta_suite *s)
{
    meta_conformance_add_one(s, "threads: same and different", test_threads);
    meta_conformance_add_one(s, "threads: race for a tag", test_race);
    meta_conformance_add_one(s, "threads: expire or touch", test_expire_or_touch);
}
