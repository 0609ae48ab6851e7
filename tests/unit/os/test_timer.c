/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "os/loop.h"

#include "base/banned.h"

struct alarm {
    struct timer timer;
    struct loop *loop;
    unsigned fired;
    uint64_t at; /* when it fired last */
    uint64_t *last;
};

static void fire(struct timer *t)
{
    struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
    assert_false(timer_is_set(t));
    a->fired++;
    a->at = loop_now(a->loop);
    assert_true(a->at >= t->at_ms);
    if (a->last) {
        assert_true(t->at_ms >= *a->last); /* in the order of their deadlines */
        *a->last = t->at_ms;
    }
}

static void fire_and_stop(struct timer *t)
{
    fire(t);
    loop_stop(CONTAINER_OF(t, struct alarm, timer)->loop);
}

static struct loop *new_loop(void)
{
    struct loop *l = NULL;
    assert_int_equal(loop_new(&l, NULL), 0);
    return l;
}

/* Never too soon; too late is also who waits for a processor, so one time of several has to be on
 * time. */
static void on_time(bool (*try)(void))
{
    for (int i = 0; !try(); i++)
        assert_true(i < 50);
}

static bool fires_on_time(void)
{
    struct loop *l = new_loop();
    struct alarm a = {.timer = {.fn = fire}, .loop = l};
    struct alarm end = {.timer = {.fn = fire_and_stop}, .loop = l};
    assert_false(timer_is_set(&a.timer));
    uint64_t start = loop_now(l);
    timer_set(l, &a.timer, 10);
    assert_true(timer_is_set(&a.timer));
    timer_set(l, &end.timer, 60);
    loop_run(l);
    loop_free(l);
    assert_int_equal(a.fired, 1);
    assert_true(a.at >= start + 10);
    return a.at < start + 60;
}

static void a_timer_fires_once_and_on_time(void **state)
{
    (void)state;
    on_time(fires_on_time);
}

static bool moved_ones_fire_on_time(void)
{
    struct loop *l = new_loop();
    struct alarm later = {.timer = {.fn = fire}, .loop = l};
    struct alarm sooner = {.timer = {.fn = fire}, .loop = l};
    struct alarm back = {.timer = {.fn = fire}, .loop = l};
    struct alarm end = {.timer = {.fn = fire_and_stop}, .loop = l};
    uint64_t start = loop_now(l);
    timer_set(l, &later.timer, 5);
    timer_set(l, &sooner.timer, 100000);
    timer_set(l, &back.timer, 5);
    timer_set(l, &end.timer, 80);
    unsigned place = later.timer.index;
    timer_set(l, &later.timer, 50);
    assert_int_equal(later.timer.index, place); /* O(1): nothing moved */
    timer_set(l, &sooner.timer, 1);
    timer_set(l, &back.timer, 100000); /* to later, and to sooner than that again */
    timer_set(l, &back.timer, 20);
    loop_run(l);
    loop_free(l);
    assert_int_equal(later.fired, 1);
    assert_true(later.at >= start + 50);
    assert_int_equal(sooner.fired, 1);
    assert_true(sooner.at >= start + 1);
    assert_int_equal(back.fired, 1);
    assert_true(back.at >= start + 20);
    return later.at <= start + 80 && sooner.at < start + 50 && back.at < start + 80;
}

static void a_deadline_can_be_moved_both_ways(void **state)
{
    (void)state;
    on_time(moved_ones_fire_on_time);
}

static void a_cleared_timer_does_not_fire(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct alarm *gone = xcalloc(1, sizeof *gone);
    *gone = (struct alarm){.timer = {.fn = fire}, .loop = l};
    struct alarm end = {.timer = {.fn = fire_and_stop}, .loop = l};
    timer_set(l, &gone->timer, 5);
    timer_set(l, &end.timer, 20);
    timer_clear(l, &gone->timer);
    assert_false(timer_is_set(&gone->timer));
    timer_clear(l, &gone->timer); /* once more does nothing */
    free(gone);
    loop_run(l);
    assert_int_equal(end.fired, 1);
    loop_free(l);
}

/* A timer whose callback clears and frees one that is due in the same turn. */
struct killer {
    struct alarm alarm;
    struct alarm *victim;
};

static void kill_victim(struct timer *t)
{
    struct killer *k = CONTAINER_OF(t, struct killer, alarm.timer);
    fire(t);
    timer_clear(k->alarm.loop, &k->victim->timer);
    free(k->victim);
    loop_stop(k->alarm.loop);
}

static void never(struct timer *t)
{
    (void)t;
    fail();
}

static void a_callback_may_free_another_timer(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct killer k = {.alarm = {.timer = {.fn = kill_victim}, .loop = l}};
    k.victim = xcalloc(1, sizeof *k.victim);
    *k.victim = (struct alarm){.timer = {.fn = never}, .loop = l};
    timer_set(l, &k.alarm.timer, 1);
    timer_set(l, &k.victim->timer, 2);
    struct timespec nap = {0, 5000000};
    nanosleep(&nap, NULL); /* now both are due */
    loop_run(l);
    assert_int_equal(k.alarm.fired, 1);
    loop_free(l);
}

/* A timer that sets itself for at once, and a task that stops the loop after some turns. */
struct eager {
    struct alarm alarm;
    struct task task;
    unsigned turns;
};

static void set_again(struct timer *t)
{
    struct eager *e = CONTAINER_OF(t, struct eager, alarm.timer);
    fire(t);
    timer_set(e->alarm.loop, t, 0);
}

static void count_turn(struct task *t)
{
    struct eager *e = CONTAINER_OF(t, struct eager, task);
    if (++e->turns == 200)
        loop_stop(e->alarm.loop);
    else
        loop_post(e->alarm.loop, t);
}

static void a_timer_set_for_now_lets_the_turn_end(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct eager e = {.alarm = {.timer = {.fn = set_again}, .loop = l}, .task = {.fn = count_turn}};
    timer_set(l, &e.alarm.timer, 0);
    loop_post(l, &e.task);
    loop_run(l);
    assert_int_equal(e.turns, 200);
    assert_in_range(e.alarm.fired, 1, 200);
    timer_clear(l, &e.alarm.timer);
    loop_free(l);
}

static void the_end_of_time_does_not_wrap(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct alarm far = {.timer = {.fn = never}, .loop = l};
    struct alarm day = {.timer = {.fn = never}, .loop = l};
    struct alarm end = {.timer = {.fn = fire_and_stop}, .loop = l};
    timer_set(l, &far.timer, UINT64_MAX);
    assert_true(far.timer.at_ms == UINT64_MAX);
    timer_set(l, &day.timer, (uint64_t)1 << 40); /* more milliseconds than epoll_wait takes */
    timer_set(l, &end.timer, 5);
    loop_run(l);
    timer_clear(l, &far.timer);
    timer_clear(l, &day.timer);
    loop_free(l);
}

/* Many timers set, moved and cleared at random; the model is what was asked of each. */
static void random_use_agrees_with_a_model(void **state)
{
    (void)state;
    enum { N = 400 };
    struct loop *l = new_loop();
    static struct alarm alarms[N];
    bool expected[N] = {false};
    uint64_t last = 0;
    uint32_t x = 12345;
    for (unsigned i = 0; i < N; i++)
        alarms[i] = (struct alarm){.timer = {.fn = fire}, .loop = l, .last = &last};
    for (unsigned step = 0; step < 20000; step++) {
        x = x * 1664525u + 1013904223u;
        unsigned i = (x >> 8) % N;
        if (x >> 30 == 0) {
            timer_clear(l, &alarms[i].timer);
            expected[i] = false;
        } else {
            timer_set(l, &alarms[i].timer, (x >> 16) % 40);
            expected[i] = true;
        }
        assert_int_equal(timer_is_set(&alarms[i].timer), expected[i]);
    }
    struct alarm end = {.timer = {.fn = fire_and_stop}, .loop = l};
    timer_set(l, &end.timer, 60);
    loop_run(l);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(alarms[i].fired, expected[i]);
    loop_free(l);
}

static void forge(void *arg)
{
    struct alarm *a = arg;
    a->timer.index = 1; /* a copy of a set timer, or one that was never zeroed */
    timer_clear(a->loop, &a->timer);
}

static void a_timer_that_is_not_the_loops_aborts(void **state)
{
    (void)state;
    struct loop *l = new_loop();
    struct alarm a = {.timer = {.fn = fire}, .loop = l};
    assert_int_equal(signal_that_kills(forge, &a), SIGABRT);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_on_time),
        cmocka_unit_test(a_deadline_can_be_moved_both_ways),
        cmocka_unit_test(a_cleared_timer_does_not_fire),
        cmocka_unit_test(a_callback_may_free_another_timer),
        cmocka_unit_test(a_timer_set_for_now_lets_the_turn_end),
        cmocka_unit_test(the_end_of_time_does_not_wrap),
        cmocka_unit_test(random_use_agrees_with_a_model),
        cmocka_unit_test(a_timer_that_is_not_the_loops_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
