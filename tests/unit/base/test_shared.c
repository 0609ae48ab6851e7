/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/shared.h"

#include "base/banned.h"

static void bytes_are_copied(void **state)
{
    (void)state;
    char data[] = "a\0b";
    struct shared *s = shared_new(data, 3);
    data[0] = 'x';
    assert_true(slice_eq(shared_view(s), SLICE_LIT("a\0b")));
    assert_int_equal(s->p[3], '\0');
    shared_unref(s);
    shared_unref(NULL);
}

static void the_caller_may_fill_it_in(void **state)
{
    (void)state;
    struct shared *s = shared_new(NULL, 4);
    memcpy(s->p, "abcd", 4);
    assert_true(slice_is(shared_view(s), "abcd"));
    shared_unref(s);
    s = shared_new(NULL, 0);
    assert_int_equal(shared_view(s).n, 0);
    shared_unref(s);
}

static void a_size_that_cannot_be_is_refused(void **state)
{
    (void)state;
    assert_null(shared_new(NULL, SIZE_MAX));
    assert_null(shared_new(NULL, SIZE_MAX - 16));
    assert_null(shared_new(NULL, SIZE_MAX / 2));
}

static void *churn(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 10000; i++)
        shared_unref(shared_ref(s));
    assert_true(slice_is(shared_view(s), "shared"));
    shared_unref(s);
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct shared *s = shared_new("shared", 6);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, shared_ref(s)), 0);
    shared_unref(s); /* the last thread frees it: the leak checker and ASan watch */
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void ref_of_the_dead(void *arg)
{
    struct shared *s = arg;
    atomic_store(&s->refs, 0);
    shared_ref(s);
}

static void unref_of_the_dead(void *arg)
{
    struct shared *s = arg;
    atomic_store(&s->refs, 0);
    shared_unref(s);
}

static void a_wrong_count_aborts(void **state)
{
    (void)state;
    struct shared *s = shared_new("x", 1);
    assert_int_equal(signal_that_kills(ref_of_the_dead, s), SIGABRT);
    assert_int_equal(signal_that_kills(unref_of_the_dead, s), SIGABRT);
    shared_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_copied),
        cmocka_unit_test(the_caller_may_fill_it_in),
        cmocka_unit_test(a_size_that_cannot_be_is_refused),
        cmocka_unit_test(a_wrong_count_aborts),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
