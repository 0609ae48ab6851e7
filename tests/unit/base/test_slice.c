/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <stdio.h>

#include "base/slice.h"

#include "base/banned.h"

static void equality(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE_NONE, SLICE_LIT("")));
    assert_true(slice_eq(SLICE_LIT("a\0b"), SLICE_LIT("a\0b")));
    assert_false(slice_eq(SLICE_LIT("a\0b"), SLICE_LIT("a\0c")));
    assert_false(slice_eq(SLICE_LIT("ab"), SLICE_LIT("a")));
    assert_true(slice_is(SLICE_LIT("tag"), "tag"));
    assert_true(slice_is(slice_cstr(NULL), ""));
}

static void equality_without_case(void **state)
{
    (void)state;
    assert_true(slice_ieq(SLICE_LIT("Content-LENGTH"), SLICE_LIT("content-length")));
    assert_true(slice_ieq(SLICE_LIT("@[`{"), SLICE_LIT("@[`{")));
    assert_false(slice_ieq(SLICE_LIT("@"), SLICE_LIT("`"))); /* differ by the case bit alone */
    assert_false(slice_ieq(SLICE_LIT("["), SLICE_LIT("{")));
    assert_false(slice_ieq(SLICE_LIT("\xc3\x89"), SLICE_LIT("\xc3\xa9"))); /* ASCII only */
    assert_false(slice_ieq(SLICE_LIT("ab"), SLICE_LIT("abc")));
    assert_true(slice_ieq(SLICE_NONE, SLICE_LIT("")));
    /* A NUL does not end the comparison. */
    assert_false(slice_ieq(SLICE_LIT("a\0b"), SLICE_LIT("a\0c")));
}

static void starts_and_ends(void **state)
{
    (void)state;
    struct slice s = SLICE_LIT("sha256:abc");
    assert_true(slice_starts(s, SLICE_LIT("sha256:")));
    assert_true(slice_starts(s, SLICE_NONE));
    assert_false(slice_starts(s, SLICE_LIT("sha512:")));
    assert_false(slice_starts(SLICE_LIT("sha"), SLICE_LIT("sha256")));
    assert_true(slice_ends(s, SLICE_LIT(":abc")));
    assert_true(slice_ends(s, SLICE_NONE));
    assert_false(slice_ends(s, SLICE_LIT("xbc")));
    assert_false(slice_ends(SLICE_LIT("c"), SLICE_LIT("bc")));
    assert_true(slice_ends(SLICE_NONE, SLICE_NONE));
}

static void parts(void **state)
{
    (void)state;
    struct slice s = SLICE_LIT("abc");
    assert_true(slice_is(slice_from(s, 1), "bc"));
    assert_true(slice_is(slice_from(s, 3), ""));
    assert_ptr_equal(slice_from(s, 99).p, s.p + 3);
    assert_null(slice_from(SLICE_NONE, 5).p);
    assert_true(slice_is(slice_first(s, 2), "ab"));
    assert_true(slice_is(slice_first(s, 99), "abc"));
}

static void order(void **state)
{
    (void)state;
    assert_true(slice_cmp(SLICE_LIT("a"), SLICE_LIT("b")) < 0);
    assert_true(slice_cmp(SLICE_LIT("b"), SLICE_LIT("a")) > 0);
    assert_true(slice_cmp(SLICE_LIT("a"), SLICE_LIT("ab")) < 0);
    assert_true(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("a")) > 0);
    assert_int_equal(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("ab")), 0);
    assert_true(slice_cmp(SLICE_NONE, SLICE_LIT("a")) < 0);
    assert_int_equal(slice_cmp(SLICE_NONE, SLICE_LIT("")), 0);
    assert_true(slice_cmp(SLICE_LIT("\x80"), SLICE_LIT("a")) > 0); /* bytes are unsigned */
}

static void cutting(void **state)
{
    (void)state;
    struct slice rest = SLICE_LIT("a,,b,");
    const char *want[] = {"a", "", "b", ""};
    size_t n = 0;
    while (rest.p) {
        assert_true(n < 4);
        assert_true(slice_is(slice_cut(&rest, ','), want[n]));
        n++;
    }
    assert_int_equal(n, 4);
    rest = SLICE_LIT("whole");
    assert_true(slice_is(slice_cut(&rest, ','), "whole"));
    assert_null(rest.p);
    assert_null(slice_cut(&rest, ',').p);
}

static void trimming(void **state)
{
    (void)state;
    assert_true(slice_is(slice_trim(SLICE_LIT(" \t a b \t")), "a b"));
    assert_true(slice_is(slice_trim(SLICE_LIT(" \t ")), ""));
    assert_true(slice_is(slice_trim(SLICE_LIT("\na\r")), "\na\r"));
    assert_true(slice_is(slice_trim(SLICE_NONE), ""));
}

static void printing(void **state)
{
    (void)state;
    char out[32];
    (void)snprintf(out, sizeof out, "[%.*s][%.*s]", SLICE_ARG(slice_first(SLICE_LIT("abc"), 2)),
                   SLICE_ARG(SLICE_NONE));
    assert_string_equal(out, "[ab][]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),        cmocka_unit_test(equality_without_case),
        cmocka_unit_test(starts_and_ends), cmocka_unit_test(parts),
        cmocka_unit_test(order),           cmocka_unit_test(cutting),
        cmocka_unit_test(trimming),        cmocka_unit_test(printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
