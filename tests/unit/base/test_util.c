/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

static void numbers(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        int result;
        uint64_t value;
    } rows[] = {
        {SLICE_LIT("0"), 0, 0},
        {SLICE_LIT("0000000000000000007"), 0, 7},
        {SLICE_LIT("9223372036854775807"), 0, INT64_MAX},
        {SLICE_LIT("9223372036854775808"), -1, 0},
        {SLICE_LIT("9999999999999999999"), -1, 0},
        {SLICE_LIT("18446744073709551616"), -1, 0},
        {SLICE_LIT("00000000000000000000"), -1, 0}, /* 20 digits */
        {SLICE_LIT(""), -1, 0},
        {{NULL, 0}, -1, 0},
        {SLICE_LIT("+1"), -1, 0},
        {SLICE_LIT("-1"), -1, 0},
        {SLICE_LIT(" 1"), -1, 0},
        {SLICE_LIT("1 "), -1, 0},
        {SLICE_LIT("0x1"), -1, 0},
        {SLICE_LIT("1\0"), -1, 0},
        {SLICE_LIT("1:"), -1, 0},
        {SLICE_LIT("1/"), -1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 12345;
        assert_int_equal(parse_u63(rows[i].text, &v), rows[i].result);
        assert_int_equal(v, rows[i].result == 0 ? rows[i].value : 12345);
    }
}

static void addition(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(u64_add(UINT64_MAX, 1, &v), -1);
    assert_int_equal(v, 7);
    assert_int_equal(u64_add(UINT64_MAX - 1, 1, &v), 0);
    assert_true(v == UINT64_MAX);
}

static void hex(void **state)
{
    (void)state;
    unsigned char all[256], back[256];
    char text[513];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    hex_encode(all, sizeof all, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102", 6);
    assert_string_equal(text + 508, "feff");
    assert_int_equal(hex_decode(slice_cstr(text), back, sizeof back), 0);
    assert_memory_equal(all, back, sizeof all);
    hex_encode(all, 0, text);
    assert_string_equal(text, "");
}

static void hex_refuses_and_leaves_the_output(void **state)
{
    (void)state;
    static const struct slice bad[] = {SLICE_LIT("0"),    SLICE_LIT("000"),  SLICE_LIT("00000"),
                                       SLICE_LIT("00FF"), SLICE_LIT("0g00"), SLICE_LIT("000`"),
                                       SLICE_LIT("00:0"), SLICE_LIT("00/0"), SLICE_LIT("")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        unsigned char out[2] = {0x55, 0x66};
        assert_int_equal(hex_decode(bad[i], out, 2), -1);
        assert_int_equal(out[0], 0x55);
        assert_int_equal(out[1], 0x66);
    }
}

static char *made_and_stolen(void)
{
    CLEANUP_FREE char *p = xstrdup("kept");
    CLEANUP_FREE char *q = xstrndup("dropped", 4); /* a leak if the attribute did nothing */
    assert_string_equal(q, "drop");
    return STEAL(p);
}

static void cleanup_and_steal(void **state)
{
    (void)state;
    char *p = made_and_stolen();
    assert_string_equal(p, "kept");
    free(p);
    int fd = dup(STDERR_FILENO);
    int closed = fd;
    errno = 77;
    util_closep(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(errno, 77);
    assert_int_equal(fcntl(closed, F_GETFD), -1);
    util_closep(&fd);
}

static void allocation(void **state)
{
    (void)state;
    unsigned char *p = xcalloc(0, 0);
    free(p);
    p = xcalloc(10, 10);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    free(p);
    char *s = xstrndup(NULL, 0);
    assert_string_equal(s, "");
    free(s);
}

static void huge(void *arg)
{
    free(xcalloc(*(size_t *)arg, 16));
}

static void broken(void *arg)
{
    CHECK(*(size_t *)arg == 0);
}

static void what_must_not_be_aborts(void **state)
{
    (void)state;
    size_t n = SIZE_MAX / 4;
    assert_int_equal(signal_that_kills(huge, &n), SIGABRT);
    assert_int_equal(signal_that_kills(broken, &n), SIGABRT);
    n = 0;
    assert_int_equal(signal_that_kills(broken, &n), 0);
}

static void errno_texts(void **state)
{
    (void)state;
    char out[40];
    assert_string_equal(strerrordesc(ENOENT, out, sizeof out), "No such file or directory");
    assert_string_equal(strerrordesc(-5, out, sizeof out), "unknown error");
    assert_string_equal(strerrordesc(ENOENT, out, 8), "No such");
}

static void hash_spreads(void **state)
{
    (void)state;
    assert_true(hash_bytes("a", 1, 1) == hash_bytes("a", 1, 1));
    assert_true(hash_bytes("a", 1, 1) != hash_bytes("a", 1, 2));
    assert_true(hash_bytes("a", 1, 1) != hash_bytes("a\0", 2, 1));
    /* Low and high bits pick buckets and shards: none may stay empty over 4096 similar keys. */
    unsigned low[16] = {0}, high[16] = {0};
    for (unsigned i = 0; i < 4096; i++) {
        char key[] = "sha256:0000";
        hex_encode((unsigned char[]){(unsigned char)(i >> 8), (unsigned char)i}, 2, key + 7);
        uint64_t h = hash_bytes(key, sizeof key - 1, 42);
        low[h & 15]++;
        high[h >> 60]++;
    }
    for (size_t i = 0; i < 16; i++) {
        assert_in_range(low[i], 150, 370);
        assert_in_range(high[i], 150, 370);
    }
}

struct holder {
    int before;
    int member;
};

static void macros(void **state)
{
    (void)state;
    struct holder h = {1, 2};
    assert_ptr_equal(CONTAINER_OF(&h.member, struct holder, member), &h);
    assert_int_equal(MIN(3, 4), 3);
    assert_int_equal(MAX(3, 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(addition),
        cmocka_unit_test(hex),
        cmocka_unit_test(hex_refuses_and_leaves_the_output),
        cmocka_unit_test(cleanup_and_steal),
        cmocka_unit_test(allocation),
        cmocka_unit_test(what_must_not_be_aborts),
        cmocka_unit_test(errno_texts),
        cmocka_unit_test(hash_spreads),
        cmocka_unit_test(macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
