/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "http/field.h"

#include "base/banned.h"

#define HUGE_NUMBER "1000000000000000000000000000000000000000"

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        enum range_result want;
        uint64_t first, length;
    } rows[] = {
        /* The seven of the OCI conformance suite. */
        {"bytes=500-1499", 2048, RANGE_ONE, 500, 1000},
        {"bytes=500-", 2048, RANGE_ONE, 500, 1548},
        {"bytes=-500", 2048, RANGE_ONE, 1548, 500},
        {"bytes=2000-5000", 2048, RANGE_ONE, 2000, 48},
        {"bytes=500-0", 2048, RANGE_BAD, 0, 0},
        {"bytes=5000-10000", 2048, RANGE_BAD, 0, 0},
        {"bytes=0-2047", 2048, RANGE_ONE, 0, 2048},
        /* Edges. */
        {"bytes=0-0", 2048, RANGE_ONE, 0, 1},
        {"bytes=2047-", 2048, RANGE_ONE, 2047, 1},
        {"bytes=2048-", 2048, RANGE_BAD, 0, 0},
        {"bytes=2047-2048", 2048, RANGE_ONE, 2047, 1},
        {"bytes=-0", 2048, RANGE_BAD, 0, 0},
        {"bytes=-1", 2048, RANGE_ONE, 2047, 1},
        {"bytes=-2048", 2048, RANGE_ONE, 0, 2048},
        {"bytes=-2049", 2048, RANGE_ONE, 0, 2048},
        {"bytes=-" HUGE_NUMBER, 2048, RANGE_ONE, 0, 2048},
        {"bytes=0-" HUGE_NUMBER, 2048, RANGE_ONE, 0, 2048},
        {"bytes=" HUGE_NUMBER "-", 2048, RANGE_BAD, 0, 0},
        {"bytes=" HUGE_NUMBER "-" HUGE_NUMBER, 2048, RANGE_BAD, 0, 0},
        {"bytes=18446744073709551616-18446744073709551617", 2048, RANGE_BAD, 0, 0},
        {"bytes=9223372036854775807-", 2048, RANGE_BAD, 0, 0},
        {"bytes=9223372036854775806-", INT64_MAX, RANGE_ONE, INT64_MAX - 1, 1},
        {"bytes=9223372036854775807-", INT64_MAX, RANGE_BAD, 0, 0},
        {"bytes=0-9223372036854775807", INT64_MAX, RANGE_ONE, 0, INT64_MAX},
        {"bytes=4294967295-4294967296", UINT64_C(1) << 33, RANGE_ONE, 4294967295, 2},
        {"bytes=000-001", 2048, RANGE_ONE, 0, 2},
        {"BYTES=1-2", 2048, RANGE_ONE, 1, 2},
        {" bytes=1-2\t", 2048, RANGE_ONE, 1, 2},
        {"bytes=0-0", 1, RANGE_ONE, 0, 1},
        {"bytes=1-1", 1, RANGE_BAD, 0, 0},
        {"bytes=0-", 0, RANGE_BAD, 0, 0},
        {"bytes=0-0", 0, RANGE_BAD, 0, 0},
        {"bytes=-0", 0, RANGE_BAD, 0, 0},
        {"bytes=-5", 0, RANGE_NONE, 0, 0},
        /* Ignored: several, another unit, bad syntax. */
        {"bytes=0-1,3-4", 2048, RANGE_NONE, 0, 0},
        {"bytes=0-1,", 2048, RANGE_NONE, 0, 0},
        {"bytes=-1,-2", 2048, RANGE_NONE, 0, 0},
        {"items=0-1", 2048, RANGE_NONE, 0, 0},
        {"bytes", 2048, RANGE_NONE, 0, 0},
        {"bytes=", 2048, RANGE_NONE, 0, 0},
        {"bytes=-", 2048, RANGE_NONE, 0, 0},
        {"bytes=--1", 2048, RANGE_NONE, 0, 0},
        {"bytes=1", 2048, RANGE_NONE, 0, 0},
        {"bytes=1-2-3", 2048, RANGE_NONE, 0, 0},
        {"bytes=1-x", 2048, RANGE_NONE, 0, 0},
        {"bytes=1-2x", 2048, RANGE_NONE, 0, 0},
        {"bytes=x-2", 2048, RANGE_NONE, 0, 0},
        {"bytes=-2x", 2048, RANGE_NONE, 0, 0},
        {"bytes=+1-2", 2048, RANGE_NONE, 0, 0},
        {"bytes= 1-2", 2048, RANGE_NONE, 0, 0},
        {"bytes=1 -2", 2048, RANGE_NONE, 0, 0},
        {"bytes=1- 2", 2048, RANGE_NONE, 0, 0},
        {"bytes =1-2", 2048, RANGE_NONE, 0, 0},
        {"bytes:1-2", 2048, RANGE_NONE, 0, 0},
        {"bytes=0x1-2", 2048, RANGE_NONE, 0, 0},
        {"1-2", 2048, RANGE_NONE, 0, 0},
        {"", 2048, RANGE_NONE, 0, 0},
        {NULL, 2048, RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t first = 77, length = 78;
        enum range_result r = http_range(slice_cstr(rows[i].value), rows[i].size, &first, &length);
        if (r != rows[i].want)
            fail_msg("%d for %s", (int)r, rows[i].value);
        assert_int_equal(first, r == RANGE_ONE ? rows[i].first : 77);
        assert_int_equal(length, r == RANGE_ONE ? rows[i].length : 78);
    }
}

/* All ranges over small numbers, against the definition: the set of positions that are asked for
 * (RFC 9110 14.1.2), here counted one by one. */
static void test_range_model(void **state)
{
    (void)state;
    for (uint64_t size = 0; size < 9; size++) {
        for (int a = -1; a < 11; a++) {
            for (int b = -1; b < 11; b++) {
                if (a < 0 && b < 0)
                    continue;
                char sa[16] = "", sb[16] = "", text[64];
                if (a >= 0)
                    (void)snprintf(sa, sizeof sa, "%d", a);
                if (b >= 0)
                    (void)snprintf(sb, sizeof sb, "%d", b);
                (void)snprintf(text, sizeof text, "bytes=%s-%s", sa, sb);
                uint64_t lowest = UINT64_MAX, n = 0;
                for (uint64_t i = 0; i < size; i++) {
                    bool in = a < 0 ? size - i <= (uint64_t)b
                                    : i >= (uint64_t)a && (b < 0 || i <= (uint64_t)b);
                    if (in && n++ == 0)
                        lowest = i;
                }
                uint64_t first = 0, length = 0;
                enum range_result r = http_range(slice_cstr(text), size, &first, &length);
                if (n > 0) {
                    assert_int_equal(r, RANGE_ONE);
                    assert_int_equal(first, lowest);
                    assert_int_equal(length, n);
                } else {
                    assert_int_equal(r, size == 0 && a < 0 && b > 0 ? RANGE_NONE : RANGE_BAD);
                }
            }
        }
    }
}

static void test_upload_range(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t first, last;
    } good[] = {{"0-0", 0, 0},
                {"0-1023", 0, 1023},
                {"1024-2047", 1024, 2047},
                {"0-9223372036854775807", 0, INT64_MAX},
                {"9223372036854775807-9223372036854775807", INT64_MAX, INT64_MAX},
                {"0010-0011", 10, 11},
                {"bytes 0-9/10", 0, 9},
                {"bytes 0-9/*", 0, 9},
                {"Bytes 5-9/100", 5, 9}};
    static const char *const bad[] = {"",
                                      "-",
                                      "5",
                                      "5-",
                                      "-5",
                                      "5-4",
                                      "a-b",
                                      "1-2-3",
                                      "1--2",
                                      "1 - 2",
                                      "1-2 3",
                                      "+1-2",
                                      "0x1-2",
                                      "1-9223372036854775808",
                                      "18446744073709551616-18446744073709551617",
                                      HUGE_NUMBER "-" HUGE_NUMBER,
                                      "bytes=0-9",
                                      "bytes=0-9/10",
                                      "bytes 0-9",
                                      "bytes 0-9/",
                                      "bytes 0-9/9",
                                      "bytes 0-9/x",
                                      "bytes 0-9/10/10",
                                      "bytes */10",
                                      "bytes */*",
                                      "bytes  0-9/10",
                                      "bytes\t0-9/10",
                                      "items 0-9/10",
                                      "0-9/10",
                                      "0-9,10-19",
                                      NULL};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t first = 0, last = 0;
        struct error err = {0};
        assert_int_equal(http_upload_range(slice_cstr(good[i].value), &first, &last, &err), 0);
        assert_int_equal(first, good[i].first);
        assert_int_equal(last, good[i].last);
    }
    for (const char *const *p = bad; *p; p++) {
        uint64_t first = 77, last = 78;
        struct error err = {0};
        if (http_upload_range(slice_cstr(*p), &first, &last, &err) != -1)
            fail_msg("accepted: %s", *p);
        assert_int_equal(err.code, ERR_RANGE_INVALID);
        assert_int_equal(first, 77);
        assert_int_equal(last, 78);
    }
}

static void test_etags(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool strong, weak; /* what is expected with weak_ok false, true */
    } rows[] = {
        {"\"sha256:ab\"", true, true},
        {"sha256:ab", true, true},
        {"*", true, true},
        {" * ", true, true},
        {"W/\"sha256:ab\"", false, true},
        {"W/\"sha256:ab\", \"sha256:ab\"", true, true},
        {"\"x\", \"sha256:ab\"", true, true},
        {"\"x\",\"sha256:ab\"", true, true},
        {"\"x\" ,\t\"sha256:ab\" ", true, true},
        {"x, sha256:ab", true, true},
        {"sha256:ab ,x", true, true},
        {",,\"sha256:ab\"", true, true},
        {"\"a,b\", \"sha256:ab\"", true, true},
        {"\"a, sha256:ab, b\"", false, false},
        {"\"sha256:ab", false, false},
        {"\"x\", \"sha256:ab", false, false},
        {"sha256:ab\"", false, false},
        {"\"sha256:ab\"x", false, false},
        {"\"sha256:ab\"x, \"sha256:ab\"", true, true},
        {"\"sha256:abc\"", false, false},
        {"\"sha256:a\"", false, false},
        {"\"SHA256:AB\"", false, false},
        {"w/\"sha256:ab\"", false, false},
        {"W/sha256:ab", false, false},
        {"*, x", false, false},
        {"\"*\"", false, false},
        {"\"\"", false, false},
        {"\"", false, false},
        {"W/\"", false, false},
        {",", false, false},
        {"", false, false},
        {NULL, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice v = slice_cstr(rows[i].value);
        if (http_etag_match(v, SLICE_LIT("sha256:ab"), false) != rows[i].strong ||
            http_etag_match(v, SLICE_LIT("sha256:ab"), true) != rows[i].weak)
            fail_msg("wrong for %s", rows[i].value);
    }
}

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *query, *name;
        unsigned k;
        const char *want; /* NULL: absent */
        bool bad;
    } rows[] = {
        {"digest=sha256%3Aab", "digest", 0, "sha256:ab", false},
        {"mount=sha256:ab&from=a/b", "from", 0, "a/b", false},
        {"mount=sha256%3aab&from=a%2Fb", "from", 0, "a/b", false},
        {"a=1+2", "a", 0, "1 2", false},
        {"a=1%2B2", "a", 0, "1+2", false},
        {"a=", "a", 0, "", false},
        {"a", "a", 0, "", false},
        {"a&b", "b", 0, "", false},
        {"&&a=1", "a", 0, "1", false},
        {"a=b=c", "a", 0, "b=c", false},
        {"a=1&a=2", "a", 0, "1", false},
        {"a=1&a=2", "a", 1, "2", false},
        {"a=1&b=9&a=2&a=3", "a", 2, "3", false},
        {"a=1&a=2", "a", 2, NULL, false},
        {"%61=1", "a", 0, "1", false},
        {"a%62c=1", "abc", 0, "1", false},
        {"a+b=1", "a b", 0, "1", false},
        {"A=1", "a", 0, NULL, false},
        {"ab=1", "a", 0, NULL, false},
        {"a=1", "ab", 0, NULL, false},
        {"=1", "", 0, NULL, false},
        {"a%zz=1", "a", 0, NULL, false},
        {"a%00=1", "a", 0, NULL, false},
        {"a=%", "a", 0, NULL, true},
        {"a=%4", "a", 0, NULL, true},
        {"a=%zz", "a", 0, NULL, true},
        {"a=%4g", "a", 0, NULL, true},
        {"a=%g4", "a", 0, NULL, true},
        {"a=x%00y", "a", 0, NULL, true},
        {"a=%&b=1", "b", 0, "1", false},
        {"a=%&a=1", "a", 0, NULL, true},
        {"a=%&a=1", "a", 1, "1", false},
        {"a=%ff%7F", "a", 0, "\xff\x7f", false},
        {"", "a", 0, NULL, false},
        {NULL, "a", 0, NULL, false},
    };
    struct arena *arena = arena_new(256);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice out = SLICE_LIT("untouched");
        bool bad = !rows[i].bad;
        bool found =
            http_query_nth(slice_cstr(rows[i].query), rows[i].name, rows[i].k, arena, &out, &bad);
        if (found != (rows[i].want != NULL) || bad != rows[i].bad)
            fail_msg("wrong for %s", rows[i].query);
        assert_true(slice_is(out, found ? rows[i].want : "untouched"));
        if (rows[i].k == 0)
            assert_int_equal(
                http_query_get(slice_cstr(rows[i].query), rows[i].name, arena, &out, NULL), found);
    }
    arena_free(arena);
}

/* Every byte survives encoding and decoding; only unreserved ones stay as they are. */
static void test_encode(void **state)
{
    (void)state;
    struct buf b CLEANUP_BUF;
    char all[255];
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    buf_init(&b, 4096);
    assert_int_equal(buf_puts(&b, "v="), 0);
    assert_int_equal(http_query_encode(&b, slice_make(all, sizeof all)), 0);
    assert_int_equal(b.n, 2 + 66 + (255 - 66) * 3);
    struct arena *arena = arena_new(256);
    struct slice out;
    assert_true(http_query_get(buf_view(&b), "v", arena, &out, NULL));
    assert_true(slice_eq(out, slice_make(all, sizeof all)));
    arena_free(arena);
    buf_clear(&b);
    assert_int_equal(http_query_encode(&b, SLICE_LIT("a/b:c d~")), 0);
    assert_true(slice_is(buf_view(&b), "a%2Fb%3Ac%20d~"));

    struct buf small CLEANUP_BUF;
    buf_init(&small, 3);
    assert_int_equal(http_query_encode(&small, SLICE_LIT("aaaa")), -1);
    assert_true(small.failed);
    struct buf tiny CLEANUP_BUF;
    buf_init(&tiny, 2);
    assert_int_equal(http_query_encode(&tiny, SLICE_LIT("/")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),       cmocka_unit_test(test_range_model),
        cmocka_unit_test(test_upload_range), cmocka_unit_test(test_etags),
        cmocka_unit_test(test_query),        cmocka_unit_test(test_encode),
    };
    return cmocka_run_group_tests_name("http_field", tests, NULL, NULL);
}
