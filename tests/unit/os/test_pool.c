/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/pool.h"

#include "base/banned.h"

static struct pool *new_pool(unsigned threads, unsigned queue_max)
{
    struct pool *p = NULL;
    assert_int_equal(pool_new("test", threads, queue_max, &p, NULL), 0);
    assert_int_equal(pool_threads(p), threads);
    return p;
}

/* A task that says when it runs and waits to be let go. */
struct gate {
    struct task task;
    sem_t started, go;
};

static void wait_at_gate(struct task *t)
{
    struct gate *g = CONTAINER_OF(t, struct gate, task);
    sem_post(&g->started);
    while (sem_wait(&g->go) && errno == EINTR)
        ;
}

static void gate_init(struct gate *g)
{
    *g = (struct gate){.task = {.fn = wait_at_gate}};
    sem_init(&g->started, 0, 0);
    sem_init(&g->go, 0, 0);
}

static void gate_release(struct gate *g)
{
    sem_destroy(&g->started);
    sem_destroy(&g->go);
}

struct count {
    struct task task;
    atomic_uint *total;
    unsigned *order; /* where to note the place, or NULL */
};

static void add_one(struct task *t)
{
    struct count *c = CONTAINER_OF(t, struct count, task);
    unsigned place = atomic_fetch_add(c->total, 1);
    if (c->order)
        *c->order = place;
}

static void everything_posted_runs(void **state)
{
    (void)state;
    enum { N = 10000 };
    struct pool *p = new_pool(4, N);
    atomic_uint total = 0;
    struct count *tasks = xcalloc(N, sizeof *tasks);
    for (unsigned i = 0; i < N; i++) {
        tasks[i] = (struct count){{.fn = add_one}, &total, NULL};
        assert_true(pool_post(p, &tasks[i].task));
    }
    pool_free(p); /* waits for what is queued */
    assert_int_equal(atomic_load(&total), N);
    free(tasks);
    pool_free(NULL);
}

static void one_thread_keeps_the_order(void **state)
{
    (void)state;
    enum { N = 100 };
    struct pool *p = new_pool(1, N);
    struct gate g;
    gate_init(&g);
    assert_true(pool_post(p, &g.task));
    atomic_uint total = 0;
    struct count tasks[N];
    unsigned order[N];
    for (unsigned i = 0; i < N; i++) {
        tasks[i] = (struct count){{.fn = add_one}, &total, &order[i]};
        assert_true(pool_post(p, &tasks[i].task));
    }
    sem_post(&g.go);
    pool_free(p);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(order[i], i);
    gate_release(&g);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct pool *p = new_pool(2, 3);
    struct gate gates[2];
    atomic_uint total = 0;
    struct count tasks[6];
    for (unsigned i = 0; i < 6; i++)
        tasks[i] = (struct count){{.fn = add_one}, &total, NULL};
    for (unsigned i = 0; i < 2; i++) {
        gate_init(&gates[i]);
        assert_true(pool_post(p, &gates[i].task));
    }
    for (unsigned i = 0; i < 2; i++)
        sem_wait(&gates[i].started);
    assert_int_equal(pool_busy(p), 2);
    assert_int_equal(pool_depth(p), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(pool_post(p, &tasks[i].task));
    assert_int_equal(pool_depth(p), 3);
    assert_false(pool_post(p, &tasks[3].task));
    assert_int_equal(pool_depth(p), 3);
    pool_post_always(p, &tasks[4].task);
    assert_int_equal(pool_depth(p), 4);
    assert_false(pool_post(p, &tasks[5].task));
    for (unsigned i = 0; i < 2; i++)
        sem_post(&gates[i].go);
    pool_free(p);
    assert_int_equal(atomic_load(&total), 4);
    for (unsigned i = 0; i < 2; i++)
        gate_release(&gates[i]);
}

/* The bound is on what waits: as many tasks as there are free threads come on top of it. */
static void a_burst_for_free_threads_is_taken(void **state)
{
    (void)state;
    struct pool *p = new_pool(3, 0);
    struct gate gates[4];
    for (unsigned i = 0; i < 4; i++) {
        gate_init(&gates[i]);
        assert_int_equal(pool_post(p, &gates[i].task), i < 3);
    }
    for (unsigned i = 0; i < 3; i++)
        sem_post(&gates[i].go);
    pool_free(p);
    for (unsigned i = 0; i < 4; i++)
        gate_release(&gates[i]);
}

static void all_threads_work_at_once(void **state)
{
    (void)state;
    enum { N = 8 };
    struct pool *p = new_pool(N, N);
    struct gate gates[N];
    for (int round = 0; round < 50; round++) {
        for (unsigned i = 0; i < N; i++) {
            gate_init(&gates[i]);
            assert_true(pool_post(p, &gates[i].task));
        }
        /* Hangs when one of the posts woke nobody. */
        for (unsigned i = 0; i < N; i++)
            sem_wait(&gates[i].started);
        assert_int_equal(pool_busy(p), N);
        for (unsigned i = 0; i < N; i++)
            sem_post(&gates[i].go);
        while (pool_busy(p))
            sched_yield();
        for (unsigned i = 0; i < N; i++)
            gate_release(&gates[i]);
    }
    pool_free(p);
}

struct chain {
    struct task task;
    struct pool *pool;
    unsigned left;
};

static void next_in_chain(struct task *t)
{
    struct chain *c = CONTAINER_OF(t, struct chain, task);
    if (--c->left)
        pool_post_always(c->pool, t);
}

static void freeing_waits_for_continuations_too(void **state)
{
    (void)state;
    struct pool *p = new_pool(3, 1);
    struct chain c = {{.fn = next_in_chain}, p, 5000};
    pool_post_always(p, &c.task);
    pool_free(p);
    assert_int_equal(c.left, 0);
}

struct look {
    struct task task;
    char name[16];
    sigset_t blocked;
};

static void look_around(struct task *t)
{
    struct look *l = CONTAINER_OF(t, struct look, task);
    pthread_getname_np(pthread_self(), l->name, sizeof l->name);
    pthread_sigmask(SIG_BLOCK, NULL, &l->blocked);
}

static void threads_have_a_name_and_no_signals(void **state)
{
    (void)state;
    struct pool *p = NULL;
    assert_int_equal(pool_new("a-name-of-more-than-15", 1, 1, &p, NULL), 0);
    struct look l = {.task = {.fn = look_around}};
    assert_true(pool_post(p, &l.task));
    pool_free(p);
    assert_string_equal(l.name, "a-name-of-more-");
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        assert_int_equal(sigismember(&l.blocked, signals[i]), 1);
    sigset_t mine;
    pthread_sigmask(SIG_BLOCK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGTERM), 0);
}

/* Every poster posts to the pool, every task answers to a loop: the way of a request. */
enum { POSTERS = 3, REQUESTS = 3000 };

struct request {
    struct task task;
    struct pool *pool;
    struct loop *loop;
    unsigned *left;
    unsigned work; /* written by the worker, read by the loop */
};

static void answered(struct task *t)
{
    struct request *r = CONTAINER_OF(t, struct request, task);
    assert_int_equal(r->work, 1);
    if (--*r->left == 0)
        loop_stop(r->loop);
}

static void serve(struct task *t)
{
    struct request *r = CONTAINER_OF(t, struct request, task);
    r->work++;
    t->fn = answered;
    loop_post(r->loop, t);
}

static void *send_requests(void *arg)
{
    struct request *r = arg;
    for (unsigned i = 0; i < REQUESTS; i++)
        pool_post_always(r[i].pool, &r[i].task);
    return NULL;
}

static void requests_go_to_the_pool_and_back(void **state)
{
    (void)state;
    struct pool *p = new_pool(3, 1);
    struct loop *l = NULL;
    assert_int_equal(loop_new(&l, NULL), 0);
    unsigned left = POSTERS * REQUESTS;
    struct request *all = xcalloc(left, sizeof *all);
    for (unsigned i = 0; i < POSTERS * REQUESTS; i++)
        all[i] = (struct request){{.fn = serve}, p, l, &left, 0};
    pthread_t posters[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(
            pthread_create(&posters[i], NULL, send_requests, all + (size_t)i * REQUESTS), 0);
    loop_run(l);
    assert_int_equal(left, 0);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(posters[i], NULL);
    pool_free(p);
    loop_free(l);
    free(all);
}

static void an_idle_pool_sleeps(void **state)
{
    (void)state;
    struct pool *p = new_pool(4, 4);
    struct timespec nap = {0, 100000000};
    nanosleep(&nap, NULL);
    uint64_t cpu = os_cpu_ns();
    nanosleep(&nap, NULL);
    assert_true(os_cpu_ns() - cpu < 50000000);
    pool_free(p);
}

static void threads_that_cannot_start_are_an_error(void **state)
{
    (void)state;
    pthread_attr_t was, attr;
    pthread_getattr_default_np(&was);
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 46), 0);
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
    struct pool *p = NULL;
    struct error err;
    assert_int_equal(pool_new("huge", 2, 1, &p, &err), -1);
    assert_null(p);
    assert_true(err.sys == EAGAIN || err.sys == ENOMEM);
    assert_non_null(strstr(err.message, "huge"));
    pthread_setattr_default_np(&was);
    pthread_attr_destroy(&attr);
    pthread_attr_destroy(&was);
}

struct niceness {
    struct task task;
    sem_t done;
    int value;
};

static void look_at_niceness(struct task *t)
{
    struct niceness *n = CONTAINER_OF(t, struct niceness, task);
    n->value = getpriority(PRIO_PROCESS, (id_t)gettid());
    sem_post(&n->done);
}

static int niceness_in(struct pool *p)
{
    struct niceness n = {.task.fn = look_at_niceness};
    sem_init(&n.done, 0, 0);
    assert_true(pool_post(p, &n.task));
    while (sem_wait(&n.done) && errno == EINTR)
        ;
    sem_destroy(&n.done);
    return n.value;
}

static void a_nice_pool_gives_way(void **state)
{
    (void)state;
    struct pool *nice = NULL;
    struct pool *usual = new_pool(1, 1);
    int own = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(pool_new_nice("nice", 1, 1, &nice, NULL), 0);
    assert_int_equal(niceness_in(nice), MIN(own + 10, 19));
    assert_int_equal(niceness_in(usual), own);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
    pool_free(nice);
    pool_free(usual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_posted_runs),
        cmocka_unit_test(one_thread_keeps_the_order),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(a_burst_for_free_threads_is_taken),
        cmocka_unit_test(all_threads_work_at_once),
        cmocka_unit_test(freeing_waits_for_continuations_too),
        cmocka_unit_test(threads_have_a_name_and_no_signals),
        cmocka_unit_test(requests_go_to_the_pool_and_back),
        cmocka_unit_test(an_idle_pool_sleeps),
        cmocka_unit_test(threads_that_cannot_start_are_an_error),
        cmocka_unit_test(a_nice_pool_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
