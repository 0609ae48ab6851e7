/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/loop.h"

#include "base/banned.h"

static struct loop *new_loop(void)
{
    struct loop *l = NULL;
    assert_int_equal(loop_new(&l, NULL), 0);
    return l;
}

static void new_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
}

static void put(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

/* Ends the test's loop after a time, and after some turns more: a process that had to wait for a
 * processor has had none of them when its time is up. */
struct end {
    struct timer timer;
    struct task task;
    struct loop *loop;
    unsigned turns;
};

static void stop_after_turns(struct task *t)
{
    struct end *end = CONTAINER_OF(t, struct end, task);
    if (end->turns--)
        loop_post(end->loop, t);
    else
        loop_stop(end->loop);
}

static void count_turns(struct timer *t)
{
    struct end *end = CONTAINER_OF(t, struct end, timer);
    loop_post(end->loop, &end->task);
}

static void run_for(struct loop *l, uint64_t ms)
{
    struct end end = {
        .timer = {.fn = count_turns}, .task = {.fn = stop_after_turns}, .loop = l, .turns = 10};
    timer_set(l, &end.timer, ms);
    loop_run(l);
    timer_clear(l, &end.timer);
}

/* ---- tasks ---- */

struct job {
    struct task task;
    struct loop *loop;
    struct job *again; /* to post when this one runs */
    char name;
    char *trace;
    unsigned left;
};

static void run_job(struct task *t)
{
    struct job *j = CONTAINER_OF(t, struct job, task);
    if (j->trace)
        j->trace[strlen(j->trace)] = j->name;
    if (j->left) {
        j->left--;
        loop_post(j->loop, t);
    } else if (j->again) {
        loop_post(j->loop, &j->again->task);
    } else {
        loop_stop(j->loop);
    }
}

static void tasks_run_in_order(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    char trace[16] = "";
    struct job last = {{.fn = run_job}, l, NULL, 'z', trace, 0};
    struct job jobs[3];
    for (unsigned i = 0; i < 3; i++) {
        jobs[i] =
            (struct job){{.fn = run_job}, l, i == 2 ? &last : NULL, (char)('a' + i), trace, 0};
        loop_post(l, &jobs[i].task);
    }
    loop_run(l); /* a and b stop it, but the turn goes to its end */
    assert_string_equal(trace, "abc");
    loop_run(l);
    assert_string_equal(trace, "abcz"); /* posted by c: the next turn */
    loop_free(l);
    loop_free(NULL);
}

struct reader {
    struct loop_io io;
    struct loop *loop;
    unsigned calls, ready;
};

static void read_one(struct loop_io *io, unsigned ready)
{
    struct reader *r = CONTAINER_OF(io, struct reader, io);
    char c;
    r->calls++;
    r->ready |= ready;
    if (ready & LOOP_READ)
        assert_int_equal(read(io->fd, &c, 1), 1);
}

static void read_and_stop(struct loop_io *io, unsigned ready)
{
    read_one(io, ready);
    loop_stop(CONTAINER_OF(io, struct reader, io)->loop);
}

static void a_task_that_posts_itself_does_not_starve_io(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int fds[2];
    new_pair(fds);
    struct reader r = {.io = {.fd = fds[0], .fn = read_and_stop}, .loop = l};
    assert_int_equal(loop_add(l, &r.io, LOOP_READ, NULL), 0);
    struct job forever = {{.fn = run_job}, l, NULL, 'f', NULL, UINT32_MAX};
    loop_post(l, &forever.task);
    put(fds[1]);
    loop_run(l);
    assert_int_equal(r.calls, 1);
    loop_del(l, &r.io);
    loop_free(l);
    close(fds[0]);
    close(fds[1]);
}

/* ---- posting from threads ---- */

enum { POSTERS = 4, POSTS = 5000 };

struct numbered {
    struct task task;
    struct poster *poster;
    unsigned number;
};

struct poster {
    struct loop *loop;
    pthread_t thread;
    unsigned next; /* the loop's thread */
    unsigned *total;
    struct numbered tasks[POSTS];
};

static void take_numbered(struct task *t)
{
    struct numbered *n = CONTAINER_OF(t, struct numbered, task);
    struct poster *p = n->poster;
    assert_int_equal(n->number, p->next);
    p->next++;
    if (++*p->total == POSTERS * POSTS)
        loop_stop(p->loop);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        p->tasks[i] = (struct numbered){{.fn = take_numbered}, p, i};
        loop_post(p->loop, &p->tasks[i].task);
        if (i % 512 == 0) { /* let the loop fall asleep in between */
            struct timespec nap = {0, 1000000};
            nanosleep(&nap, NULL);
        }
    }
    return NULL;
}

static void many_posters_lose_nothing(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    unsigned total = 0;
    struct poster *posters = xcalloc(POSTERS, sizeof *posters);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i].loop = l;
        posters[i].total = &total;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(l); /* hangs here, until the test's time is up, when a wake-up is lost */
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].next, POSTS);
    }
    free(posters);
    loop_free(l);
}

/* Two loops pass a task to and fro: each post meets a loop that sleeps or is about to. */
struct ball {
    struct task task;
    struct loop *loops[2];
    unsigned passes;
};

static void pass(struct task *t)
{
    struct ball *b = CONTAINER_OF(t, struct ball, task);
    unsigned n = ++b->passes;
    if (n >= 4000)
        loop_stop(b->loops[n % 2 ? 0 : 1]);
    if (n <= 4000)
        loop_post(b->loops[n % 2], t);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void two_loops_play(void **state)
{
    (void)state;
    struct ball b = {.task = {.fn = pass}, .loops = {new_loop(), new_loop()}};
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, run_loop, b.loops[1]), 0);
    loop_post(b.loops[0], &b.task);
    loop_run(b.loops[0]);
    pthread_join(other, NULL);
    assert_int_equal(b.passes, 4001);
    loop_free(b.loops[0]);
    loop_free(b.loops[1]);
}

/* ---- stopping ---- */

static struct loop *loop_of_handler;

static void stop_in_handler(int sig)
{
    (void)sig;
    loop_stop(loop_of_handler);
}

static void *kill_later(void *arg)
{
    struct timespec nap = {0, 20000000};
    nanosleep(&nap, NULL);
    pthread_kill(*(pthread_t *)arg, SIGUSR2);
    return NULL;
}

static void a_signal_handler_may_stop(void **state)
{
    (void)state;
    loop_of_handler = new_loop();
    struct sigaction act = {.sa_handler = stop_in_handler};
    sigaction(SIGUSR2, &act, NULL);
    pthread_t self = pthread_self(), killer;
    assert_int_equal(pthread_create(&killer, NULL, kill_later, &self), 0);
    loop_run(loop_of_handler);
    pthread_join(killer, NULL);
    loop_free(loop_of_handler);
}

static void stopping_before_running_counts_once(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    char trace[8] = "";
    struct job j = {{.fn = run_job}, l, NULL, 'j', trace, 0};
    loop_stop(l);
    loop_post(l, &j.task);
    loop_run(l);
    assert_string_equal(trace, "");
    loop_run(l);
    assert_string_equal(trace, "j");
    loop_free(l);
}

static void an_idle_loop_sleeps(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    loop_stop(l);
    loop_run(l); /* leaves a wake-up behind */
    uint64_t wall = os_mono_ns();
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    run_for(l, 100);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    int64_t cpu = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    assert_true(os_mono_ns() - wall >= 98000000);
    assert_true(cpu < 20000000);
    loop_free(l);
}

/* ---- I/O ---- */

static void readiness_is_level_triggered(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int fds[2];
    new_pair(fds);
    struct reader r = {.io = {.fd = fds[0], .fn = read_one}, .loop = l};
    assert_int_equal(loop_add(l, &r.io, LOOP_READ, NULL), 0);
    assert_int_equal(r.io.events, LOOP_READ);
    for (int i = 0; i < 3; i++)
        put(fds[1]);
    run_for(l, 10);
    assert_int_equal(r.calls, 3); /* one byte a call, and called until they are gone */
    assert_int_equal(r.ready, LOOP_READ);

    loop_mod(l, &r.io, 0);
    put(fds[1]);
    run_for(l, 5);
    assert_int_equal(r.calls, 3);
    loop_mod(l, &r.io, LOOP_READ);
    loop_mod(l, &r.io, LOOP_READ);
    run_for(l, 5);
    assert_int_equal(r.calls, 4);

    loop_del(l, &r.io);
    loop_del(l, &r.io); /* once more does nothing */
    put(fds[1]);
    run_for(l, 5);
    assert_int_equal(r.calls, 4);
    loop_free(l);
    close(fds[0]);
    close(fds[1]);
}

static void write_once(struct loop_io *io, unsigned ready)
{
    struct reader *r = CONTAINER_OF(io, struct reader, io);
    r->calls++;
    r->ready |= ready;
    loop_mod(r->loop, io, LOOP_READ);
}

static void writing_is_reported_while_wanted(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int fds[2];
    new_pair(fds);
    struct reader r = {.io = {.fd = fds[0], .fn = write_once}, .loop = l};
    assert_int_equal(loop_add(l, &r.io, LOOP_READ | LOOP_WRITE, NULL), 0);
    run_for(l, 10);
    assert_int_equal(r.calls, 1);
    assert_int_equal(r.ready, LOOP_WRITE);
    loop_del(l, &r.io);
    loop_free(l);
    close(fds[0]);
    close(fds[1]);
}

static void note_and_remove(struct loop_io *io, unsigned ready)
{
    struct reader *r = CONTAINER_OF(io, struct reader, io);
    r->calls++;
    r->ready |= ready;
    loop_del(r->loop, io);
}

static void a_hangup_is_reported_without_interest(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int fds[2];
    new_pair(fds);
    struct reader r = {.io = {.fd = fds[0], .fn = note_and_remove}, .loop = l};
    assert_int_equal(loop_add(l, &r.io, 0, NULL), 0);
    put(fds[1]);
    shutdown(fds[1], SHUT_WR); /* half closed is no hangup */
    run_for(l, 10);
    assert_int_equal(r.calls, 0);
    close(fds[1]);
    run_for(l, 10);
    assert_int_equal(r.calls, 1);
    assert_int_equal(r.ready, LOOP_HANGUP);
    loop_free(l);
    close(fds[0]);
}

/* What one callback may do to the other, of which both are ready in the same turn. */
enum deed { REMOVE, FREE, REPLACE, LESS };

struct pair {
    struct loop *loop;
    enum deed deed;
    struct side {
        struct loop_io io;
        struct pair *pair;
        int peer;
    } * side[2];
    struct side fresh; /* takes the slot of the one that was removed; is never ready */
    unsigned calls;
};

static void never(struct loop_io *io, unsigned ready)
{
    (void)io;
    fail_msg("called with %u", ready);
}

static void harm_the_other(struct loop_io *io, unsigned ready)
{
    struct pair *p = CONTAINER_OF(io, struct side, io)->pair;
    (void)ready;
    p->calls++;
    unsigned me = io == &p->side[0]->io ? 0 : 1;
    struct side *other = p->side[1 - me];
    if (p->calls > 1)
        return;
    if (p->deed == LESS) {
        loop_mod(p->loop, &other->io, LOOP_WRITE);
        return;
    }
    unsigned slot = other->io.slot;
    loop_del(p->loop, &other->io);
    if (p->deed == FREE) {
        close(other->io.fd);
        close(other->peer);
        free(other);
        p->side[1 - me] = NULL;
    } else if (p->deed == REPLACE) {
        int fds[2];
        new_pair(fds);
        p->fresh = (struct side){{.fd = fds[0], .fn = never}, p, fds[1]};
        assert_int_equal(loop_add(p->loop, &p->fresh.io, LOOP_READ, NULL), 0);
        assert_int_equal(p->fresh.io.slot, slot); /* else this test shows nothing */
    }
}

static void the_other_is_not_called_in_the_same_turn(void **state)
{
    (void)state;
    for (enum deed deed = REMOVE; deed <= LESS; deed++) {
        struct pair p = {.loop = new_loop(), .deed = deed, .fresh = {.io = {.fd = -1}}};
        for (unsigned i = 0; i < 2; i++) {
            int fds[2];
            new_pair(fds);
            p.side[i] = xcalloc(1, sizeof *p.side[i]);
            *p.side[i] = (struct side){{.fd = fds[0], .fn = harm_the_other}, &p, fds[1]};
            put(fds[1]);
            if (deed == LESS) { /* full, so that writing is not ready either */
                char junk[4096] = {0};
                while (write(fds[0], junk, sizeof junk) > 0)
                    ;
            }
            assert_int_equal(loop_add(p.loop, &p.side[i]->io, LOOP_READ, NULL), 0);
        }
        /* Exactly one turn. */
        struct job once = {{.fn = run_job}, p.loop, NULL, 'o', NULL, 0};
        loop_post(p.loop, &once.task);
        loop_run(p.loop);
        assert_int_equal(p.calls, 1);
        loop_free(p.loop);
        for (unsigned i = 0; i < 2; i++)
            if (p.side[i]) {
                close(p.side[i]->io.fd);
                close(p.side[i]->peer);
                free(p.side[i]);
            }
        if (p.fresh.io.fd >= 0) {
            close(p.fresh.io.fd);
            close(p.fresh.peer);
        }
    }
}

static void free_oneself(struct loop_io *io, unsigned ready)
{
    (void)ready;
    struct reader *r = CONTAINER_OF(io, struct reader, io);
    loop_del(r->loop, io);
    loop_stop(r->loop);
    close(io->fd);
    free(r);
}

static void an_io_may_free_itself(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int fds[2];
    new_pair(fds);
    struct reader *r = xcalloc(1, sizeof *r);
    *r = (struct reader){.io = {.fd = fds[0], .fn = free_oneself}, .loop = l};
    assert_int_equal(loop_add(l, &r->io, LOOP_READ, NULL), 0);
    put(fds[1]);
    loop_run(l);
    loop_free(l);
    close(fds[1]);
}

static void many_descriptors(void **state)
{
    (void)state;
    enum { N = 300 };
    struct loop *l = new_loop();
    static struct reader r[N];
    int peers[N];
    for (int round = 0; round < 2; round++) { /* the second time over the slots of the first */
        for (unsigned i = 0; i < N; i++) {
            int fds[2];
            new_pair(fds);
            peers[i] = fds[1];
            r[i] = (struct reader){.io = {.fd = fds[0], .fn = read_one}, .loop = l};
            assert_int_equal(loop_add(l, &r[i].io, LOOP_READ, NULL), 0);
        }
        for (unsigned i = 0; i < N; i += 3)
            put(peers[i]);
        run_for(l, 20);
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(r[i].calls, i % 3 == 0);
            assert_in_range(r[i].io.slot, 1, 511);
            loop_del(l, &r[i].io);
            close(r[i].io.fd);
            close(peers[i]);
        }
    }
    loop_free(l);
}

/* ---- failures ---- */

static void errors_are_answers(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct error err;
    struct reader r = {.io = {.fd = -1, .fn = read_one}, .loop = l};
    assert_int_equal(loop_add(l, &r.io, LOOP_READ, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_int_equal(r.io.slot, 0);
    loop_free(l);

    struct rlimit was, low;
    getrlimit(RLIMIT_NOFILE, &was);
    int next = dup(0);
    close(next);
    for (unsigned more = 0; more < 2; more++) {
        low = (struct rlimit){(rlim_t)next + more, was.rlim_max};
        setrlimit(RLIMIT_NOFILE, &low);
        l = NULL;
        int failed = loop_new(&l, &err);
        setrlimit(RLIMIT_NOFILE, &was);
        assert_int_equal(failed, -1);
        assert_int_equal(err.sys, EMFILE);
        assert_null(l);
    }
    int again = dup(0);
    assert_int_equal(again, next); /* nothing leaked */
    close(again);
}

static void close_first(void *arg)
{
    struct reader *r = arg;
    close(r->io.fd);
    loop_del(r->loop, &r->io);
}

static void delete_a_copy(void *arg)
{
    struct reader copy = *(struct reader *)arg;
    loop_del(copy.loop, &copy.io);
}

static void post_to_garbage(void *arg)
{
    (void)arg;
    static struct {
        _Alignas(64) char bytes[8192];
    } garbage;
    struct task t = {.fn = NULL};
    loop_post((struct loop *)(void *)&garbage, &t);
}

static void misuse_aborts(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    int fds[2];
    new_pair(fds);
    struct reader r = {.io = {.fd = fds[0], .fn = read_one}, .loop = l};
    assert_int_equal(loop_add(l, &r.io, LOOP_READ, NULL), 0);
    assert_int_equal(signal_that_kills(close_first, &r), SIGABRT);
    assert_int_equal(signal_that_kills(delete_a_copy, &r), SIGABRT);
    assert_int_equal(signal_that_kills(post_to_garbage, NULL), SIGABRT);
    loop_free(l);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_order),
        cmocka_unit_test(a_task_that_posts_itself_does_not_starve_io),
        cmocka_unit_test(many_posters_lose_nothing),
        cmocka_unit_test(two_loops_play),
        cmocka_unit_test(a_signal_handler_may_stop),
        cmocka_unit_test(stopping_before_running_counts_once),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(readiness_is_level_triggered),
        cmocka_unit_test(writing_is_reported_while_wanted),
        cmocka_unit_test(a_hangup_is_reported_without_interest),
        cmocka_unit_test(the_other_is_not_called_in_the_same_turn),
        cmocka_unit_test(an_io_may_free_itself),
        cmocka_unit_test(many_descriptors),
        cmocka_unit_test(errors_are_answers),
        cmocka_unit_test(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
