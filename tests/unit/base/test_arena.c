/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <signal.h>
#include <string.h>

#include "base/arena.h"
#include "base/util.h"

#include "base/banned.h"

static void allocations_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena *a = arena_new(256);
    unsigned char *at[200];
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        size_t n = i * 37 % 300;
        at[i] = arena_alloc(a, n);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        for (size_t j = 0; j < n; j++)
            assert_int_equal(at[i][j], 0);
        memset(at[i], (int)i, n);
    }
    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        for (size_t j = 0; j < i * 37 % 300; j++)
            assert_int_equal(at[i][j], (unsigned char)i);
    arena_free(a);
}

static void reused_memory_is_zeroed_again(void **state)
{
    (void)state;
    struct arena *a = arena_new(256);
    char *first = arena_alloc(a, 128);
    memset(first, 'x', 128);
    memset(arena_alloc(a, 100000), 'y', 100000);
    arena_reset(a);
    char *again = arena_alloc(a, 128);
    assert_ptr_equal(again, first); /* the first block stays */
    for (size_t i = 0; i < 128; i++)
        assert_int_equal(again[i], 0);
    arena_free(a);
    arena_free(NULL);
}

static void larger_than_a_block(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    char *big = arena_alloc(a, 1000000);
    memset(big, 'y', 1000000);
    char *small = arena_alloc(a, 1);
    *small = 'z';
    assert_int_equal(big[999999], 'y');
    arena_free(a);
}

static void strings(void **state)
{
    (void)state;
    struct arena *a = arena_new(64);
    assert_string_equal(arena_strndup(a, "hello", 3), "hel");
    assert_string_equal(arena_strndup(a, NULL, 0), "");
    struct slice s = arena_slice(a, SLICE_LIT("a\0b"));
    assert_true(slice_eq(s, SLICE_LIT("a\0b")));
    assert_int_equal(s.p[3], '\0');
    char *long_one = arena_printf(a, "%0500d-%s", 7, "end");
    assert_int_equal(strlen(long_one), 504);
    assert_string_equal(long_one + 499, "7-end");
    arena_free(a);
}

static char order[8];

static void note(void *arg)
{
    const char *text = arg;
    order[strlen(order)] = *text;
}

static void cleanups_run_newest_first_and_once(void **state)
{
    (void)state;
    static char one[] = "1", two[] = "2", three[] = "3", four[] = "4";
    memset(order, 0, sizeof order);
    struct arena *a = arena_new(64);
    arena_on_free(a, note, one);
    arena_on_free(a, note, two);
    arena_on_free(a, note, three);
    arena_reset(a);
    assert_string_equal(order, "321");
    arena_on_free(a, note, four);
    arena_free(a);
    assert_string_equal(order, "3214");
}

static void overflow(void *arg)
{
    struct arena *a = arena_new(64);
    uint64_t *p = ARENA_ARRAY(a, uint64_t, *(size_t *)arg);
    p[0] = 1;
}

static void an_array_too_large_for_size_t_aborts(void **state)
{
    (void)state;
    struct arena *a = arena_new(64);
    uint64_t *p = ARENA_ARRAY(a, uint64_t, 1000);
    assert_int_equal(p[0] + p[999], 0);
    arena_free(a);
    size_t wraps = SIZE_MAX / 8 + 2, huge = SIZE_MAX / 16, fine = 8;
    assert_int_equal(signal_that_kills(overflow, &wraps), SIGABRT);
    assert_int_equal(signal_that_kills(overflow, &huge), SIGABRT);
    assert_int_equal(signal_that_kills(overflow, &fine), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_zeroed_and_apart),
        cmocka_unit_test(reused_memory_is_zeroed_again),
        cmocka_unit_test(larger_than_a_block),
        cmocka_unit_test(strings),
        cmocka_unit_test(cleanups_run_newest_first_and_once),
        cmocka_unit_test(an_array_too_large_for_size_t_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
