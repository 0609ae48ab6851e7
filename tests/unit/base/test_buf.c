/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"

#include "base/banned.h"

static void appends_keep_a_nul_behind(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    assert_int_equal(buf_putc(&b, 'd'), 0);
    assert_int_equal(buf_slice(&b, SLICE_LIT("e\0f")), 0);
    assert_int_equal(buf_printf(&b, "%d", 12345), 0);
    assert_true(slice_eq(buf_view(&b), SLICE_LIT("abcde\0f12345")));
    assert_int_equal(b.p[b.n], '\0');
    assert_int_equal(buf_add(&b, NULL, 0), 0);
    assert_int_equal(b.n, 12);
}

static void the_maximum_holds_exactly(void **state)
{
    (void)state;
    for (size_t max = 0; max < 200; max++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(buf_putc(&b, 'x'), 0);
        assert_int_equal(buf_putc(&b, 'y'), -1);
        assert_true(b.failed);
        assert_int_equal(b.n, max);
        assert_true(b.cap <= max + 1);
    }
}

static void a_failure_keeps_what_is_there_and_sticks(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 5);
    buf_puts(&b, "abc");
    assert_int_equal(buf_puts(&b, "def"), -1);
    assert_int_equal(buf_printf(&b, "%s", "z"), -1); /* would fit, but the failure sticks */
    assert_string_equal(b.p, "abc");
    buf_clear(&b);
    assert_false(b.failed);
    assert_string_equal(b.p, "");
    assert_int_equal(buf_printf(&b, "%s", "12345"), 0);
    assert_int_equal(buf_printf(&b, "%s", "6"), -1);
    assert_string_equal(b.p, "12345");
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -1);
}

static void a_shadow_agrees(void **state)
{
    (void)state;
    enum { MAX_BYTES = 5000 };
    char shadow[MAX_BYTES];
    size_t n = 0;
    uint32_t x = 1;
    CLEANUP_BUF struct buf b;
    buf_init(&b, MAX_BYTES);
    for (int i = 0; i < 3000; i++) {
        x = x * 1664525u + 1013904223u;
        size_t k = x >> 24;
        if (x & 0x100) {
            char piece[256];
            memset(piece, (int)(x >> 9 & 0x7f), sizeof piece);
            int want = n + k <= MAX_BYTES ? 0 : -1;
            assert_int_equal(buf_add(&b, piece, k), want);
            if (want == 0) {
                memcpy(shadow + n, piece, k);
                n += k;
            }
            b.failed = false;
        } else {
            k = MIN(k, n);
            buf_consume(&b, k);
            memmove(shadow, shadow + k, n - k);
            n -= k;
        }
        assert_true(slice_eq(buf_view(&b), slice_make(shadow, n)));
        assert_true(!b.p || b.p[b.n] == '\0');
    }
}

static void a_maximum_without_limit_does_not_wrap(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    assert_true(b.cap >= 4);
    assert_string_equal(b.p, "abc");
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 1), -1);
    assert_string_equal(b.p, "abc");
}

static void no_memory_is_a_failure(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_puts(&b, "abc");
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 8), -1);
    assert_true(b.failed);
    assert_string_equal(b.p, "abc");
}

static void stealing_hands_the_memory_over(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    size_t n = 99;
    assert_null(buf_steal(&b, &n));
    assert_int_equal(n, 0);
    buf_puts(&b, "mine");
    char *p = buf_steal(&b, &n);
    assert_string_equal(p, "mine");
    assert_int_equal(n, 4);
    free(p);
    assert_null(b.p);
    assert_int_equal(b.max, 100);
    buf_puts(&b, "again");
    buf_clear(&b);
    assert_null(buf_steal(&b, NULL)); /* empty, though it holds memory */
    assert_null(b.p);
}

static void consume_too_much(void *arg)
{
    buf_consume(arg, 4);
}

static void consuming_more_than_there_is_aborts(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    buf_puts(&b, "abc");
    assert_int_equal(signal_that_kills(consume_too_much, &b), SIGABRT);
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    assert_string_equal(b.p, "c");
    buf_release(&b);
    assert_int_equal(b.max, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_keep_a_nul_behind),
        cmocka_unit_test(the_maximum_holds_exactly),
        cmocka_unit_test(a_failure_keeps_what_is_there_and_sticks),
        cmocka_unit_test(a_shadow_agrees),
        cmocka_unit_test(a_maximum_without_limit_does_not_wrap),
        cmocka_unit_test(no_memory_is_a_failure),
        cmocka_unit_test(stealing_hands_the_memory_over),
        cmocka_unit_test(consuming_more_than_there_is_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
