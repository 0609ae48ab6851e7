/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/util.h"

#include "base/banned.h"

static void expect_text(struct metrics *m, const char *want)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100000);
    assert_int_equal(metrics_print(m, &b), 0);
    assert_string_equal(b.p ? b.p : "", want);
}

static void nothing_prints_nothing(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    expect_text(m, "");
    metrics_free(m);
    metrics_free(NULL);
}

static void families_are_sorted_and_told_once(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct metric *b = metrics_counter(m, "b_total", "back\\slash\nand line", "code=\"200\"");
    struct metric *b2 = metrics_counter(m, "b_total", "back\\slash\nand line", "code=\"404\"");
    struct metric *c = metrics_gauge(m, "c", "c", "");
    struct metric *a = metrics_counter(m, "a_total", "a", "");
    assert_ptr_equal(metrics_counter(m, "b_total", "back\\slash\nand line", "code=\"200\""), b);
    assert_ptr_equal(metrics_gauge(m, "c", "c", ""), c);
    metric_add(a, 1);
    metric_add(b, 2);
    metric_add(b, 3);
    metric_add(b2, INT64_MAX);
    metric_set(c, -7);
    metric_add(c, -1);
    assert_int_equal(metric_value(b), 5);
    assert_int_equal(metric_value(c), -8);
    expect_text(m, "# HELP a_total a\n# TYPE a_total counter\na_total 1\n"
                   "# HELP b_total back\\\\slash\\nand line\n# TYPE b_total counter\n"
                   "b_total{code=\"200\"} 5\nb_total{code=\"404\"} 9223372036854775807\n"
                   "# HELP c c\n# TYPE c gauge\nc -8\n");
    metrics_free(m);
}

static void histograms_cumulate(void **state)
{
    (void)state;
    static const double bounds[] = {0.1, 1, 2.5};
    struct metrics *m = metrics_new();
    struct metric *h = metrics_histogram(m, "h", "help", "", bounds, 3);
    struct metric *l = metrics_histogram(m, "h", "help", "x=\"y\"", bounds, 3);
    assert_ptr_equal(metrics_histogram(m, "h", "help", "", bounds, 3), h);
    metric_observe(h, 0.1); /* a bound belongs to its bucket */
    metric_observe(h, 0.5);
    metric_observe(h, 0.5);
    metric_observe(h, 3);
    metric_observe(l, -1);
    assert_int_equal(metric_value(h), 4);
    expect_text(m, "# HELP h help\n# TYPE h histogram\n"
                   "h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2.5\"} 3\n"
                   "h_bucket{le=\"+Inf\"} 4\nh_sum 4.1\nh_count 4\n"
                   "h_bucket{x=\"y\",le=\"0.1\"} 1\nh_bucket{x=\"y\",le=\"1\"} 1\n"
                   "h_bucket{x=\"y\",le=\"2.5\"} 1\nh_bucket{x=\"y\",le=\"+Inf\"} 1\n"
                   "h_sum{x=\"y\"} -1\nh_count{x=\"y\"} 1\n");
    metric_observe(h, (double)NAN);
    assert_int_equal(metric_value(h), 5);
    metrics_free(m);
}

static void bounds_look_like_those_of_other_registries(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    metrics_histogram(m, "b", "b", "", metrics_bytes, ARRAY_LEN(metrics_bytes));
    metrics_histogram(m, "s", "s", "", metrics_seconds, ARRAY_LEN(metrics_seconds));
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100000);
    assert_int_equal(metrics_print(m, &b), 0);
    static const char *const les[] = {
        "100",   "1000", "10000", "100000", "1e+06", "1e+07", "1e+08", "1e+09", "0.005", "0.01",
        "0.025", "0.05", "0.1",   "0.25",   "0.5",   "1",     "2.5",   "5",     "10",    "+Inf"};
    for (size_t i = 0; i < ARRAY_LEN(les); i++) {
        CLEANUP_BUF struct buf want;
        buf_init(&want, 100);
        buf_printf(&want, "_bucket{le=\"%s\"} 0\n", les[i]);
        if (!strstr(b.p, want.p))
            fail_msg("no %s", want.p);
    }
    metrics_free(m);
}

static double answer(void *arg)
{
    return *(double *)arg;
}

static void callbacks_are_asked_at_print_time(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {123456, "123456"},
        {999999, "999999"},
        {1234567, "1.234567e+06"},
        {24576000, "2.4576e+07"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {12.5, "12.5"},
        {100000.25, "100000.25"},
        {-2e300, "-2e+300"},
        {(double)INFINITY, "+Inf"},
        {-(double)INFINITY, "-Inf"},
        {(double)NAN, "NaN"},
    };
    double v = 0;
    struct metrics *m = metrics_new();
    metrics_callback(m, "gauge", "g", "g", "", answer, &v);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf want;
        buf_init(&want, 1000);
        buf_printf(&want, "# HELP g g\n# TYPE g gauge\ng %s\n", rows[i].text);
        v = rows[i].v;
        expect_text(m, want.p);
    }
    metrics_free(m);
    m = metrics_new();
    v = 3;
    metrics_callback(m, "counter", "n_total", "n", "k=\"v\"", answer, &v);
    expect_text(m, "# HELP n_total n\n# TYPE n_total counter\nn_total{k=\"v\"} 3\n");
    metrics_free(m);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    metrics_counter(m, "a_total", "a", "");
    CLEANUP_BUF struct buf b;
    buf_init(&b, 20);
    assert_int_equal(metrics_print(m, &b), -1);
    metrics_free(m);
}

static void other_type(void *m)
{
    metrics_gauge(m, "a_total", "a", "x=\"y\"");
}

static void other_help(void *m)
{
    metrics_counter(m, "a_total", "b", "");
}

static void other_bounds(void *m)
{
    metrics_histogram(m, "h", "h", "", metrics_bytes, 3);
}

static void falling_bounds(void *m)
{
    static const double bounds[] = {1, 1};
    metrics_histogram(m, "falling", "h", "", bounds, 2);
}

static void counting_down(void *m)
{
    metric_add(metrics_counter(m, "a_total", "a", ""), -1);
}

static void setting_a_counter(void *m)
{
    metric_set(metrics_counter(m, "a_total", "a", ""), 1);
}

static void observing_a_counter(void *m)
{
    metric_observe(metrics_counter(m, "a_total", "a", ""), 1);
}

static void odd_callback(void *m)
{
    metrics_callback(m, "histogram", "x", "x", "", answer, NULL);
}

static void misuse_aborts(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    metrics_counter(m, "a_total", "a", "");
    metrics_histogram(m, "h", "h", "", metrics_seconds, 3);
    void (*const bad[])(void *) = {other_type,          other_help,    other_bounds,
                                   falling_bounds,      counting_down, setting_a_counter,
                                   observing_a_counter, odd_callback};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(signal_that_kills(bad[i], m), SIGABRT);
    metrics_free(m);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *use_everything(void *arg)
{
    struct metrics *m = arg;
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(metrics_counter(m, "n_total", "n", i % 2 ? "odd=\"1\"" : "odd=\"0\""), 1);
        metric_observe(metrics_histogram(m, "h", "h", "", metrics_seconds, 11), 0.25);
        if (i % 500 == 0) {
            CLEANUP_BUF struct buf b;
            buf_init(&b, 10000);
            assert_int_equal(metrics_print(m, &b), 0);
        }
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_everything, m), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_value(metrics_counter(m, "n_total", "n", "odd=\"1\"")),
                     THREADS * ROUNDS / 2);
    CLEANUP_BUF struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(metrics_print(m, &b), 0);
    assert_non_null(strstr(b.p, "h_bucket{le=\"0.1\"} 0\nh_bucket{le=\"0.25\"} 8000\n"));
    assert_non_null(strstr(b.p, "h_sum 2000\nh_count 8000\n"));
    metrics_free(m);
}

struct meeting {
    struct metrics *m;
    atomic_bool asked, registered;
    bool met;
};

static double ask_slowly(void *arg)
{
    struct meeting *t = arg;
    atomic_store(&t->asked, true);
    for (int i = 0; i < 10000 && !atomic_load(&t->registered); i++)
        (void)usleep(1000);
    t->met = atomic_load(&t->registered);
    return 1;
}

static void *print_it(void *arg)
{
    struct meeting *t = arg;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(metrics_print(t->m, &b), 0);
    assert_non_null(strstr(b.p, "slow 1\n"));
    return NULL;
}

/* A loop registers what it counts for the first time: it does not wait for what others ask. */
static void nobody_waits_for_a_callback(void **state)
{
    (void)state;
    struct meeting t = {.m = metrics_new()};
    pthread_t thread;
    metrics_callback(t.m, "gauge", "slow", "s", "", ask_slowly, &t);
    assert_int_equal(pthread_create(&thread, NULL, print_it, &t), 0);
    for (int i = 0; i < 5000 && !atomic_load(&t.asked); i++)
        (void)usleep(1000);
    metric_add(metrics_counter(t.m, "n_total", "n", ""), 1);
    atomic_store(&t.registered, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(t.met);
    metrics_free(t.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_a_callback),
        cmocka_unit_test(nothing_prints_nothing),
        cmocka_unit_test(families_are_sorted_and_told_once),
        cmocka_unit_test(histograms_cumulate),
        cmocka_unit_test(bounds_look_like_those_of_other_registries),
        cmocka_unit_test(callbacks_are_asked_at_print_time),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
