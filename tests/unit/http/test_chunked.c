/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"
#include "http/chunked.h"

#include "base/banned.h"

/* What a whole input decodes to. */
struct decoded {
    enum chunked_result result;
    enum error_code code;
    size_t used;
    struct buf body;
};

/* Feeds the input `piece` bytes at a time, each piece in memory of its own. */
static struct decoded decode(const char *p, size_t n, size_t piece)
{
    struct decoded d = {.result = CHUNKED_MORE};
    struct chunked c;
    chunked_init(&c);
    buf_init(&d.body, 1 << 20);
    while (d.used < n && (d.result == CHUNKED_MORE || d.result == CHUNKED_DATA)) {
        size_t have = MIN(piece, n - d.used), used = 0;
        char *heap = malloc(have);
        assert_non_null(heap);
        memcpy(heap, p + d.used, have);
        struct slice data = SLICE_NONE;
        struct error err = {0};
        d.result = chunked_next(&c, heap, have, &used, &data, &err);
        assert_true(used <= have);
        if (d.result == CHUNKED_MORE)
            assert_int_equal(used, have);
        if (d.result == CHUNKED_DATA) {
            assert_true(data.n > 0 && data.p >= heap && data.p + data.n == heap + used);
            assert_int_equal(buf_slice(&d.body, data), 0);
        }
        if (d.result == CHUNKED_BAD) {
            d.code = err.code;
            assert_true(err.detail[0] != '\0');
        }
        d.used += used;
        free(heap);
    }
    if (d.result == CHUNKED_DATA)
        d.result = CHUNKED_MORE;
    return d;
}

/* Decodes whole, in bytes and in threes; the answers must be the same. */
static enum chunked_result run(const char *p, size_t n, const char *body, size_t *used,
                               enum error_code *code)
{
    struct decoded whole = decode(p, n, n ? n : 1);
    for (size_t piece = 1; piece <= 3; piece += 2) {
        struct decoded d = decode(p, n, piece);
        assert_int_equal(d.result, whole.result);
        assert_int_equal(d.used, whole.used);
        assert_int_equal(d.code, whole.code);
        assert_true(slice_eq(buf_view(&d.body), buf_view(&whole.body)));
        buf_release(&d.body);
    }
    if (body)
        assert_true(slice_is(buf_view(&whole.body), body));
    *used = whole.used;
    *code = whole.code;
    buf_release(&whole.body);
    return whole.result;
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *in, *body;
    } rows[] = {
        {"0\r\n\r\n", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
        {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc"},
        {"3\r\n\r\n0\r\n0\r\n\r\n", "\r\n0"},
        {"3;a\r\nabc\r\n0;b=c;d=\"e\\\";\t\"\r\n\r\n", "abc"},
        {"3;a=\"\"\r\nabc\r\n0\r\n\r\n", "abc"},
        {"0\r\nX: y\r\nTransfer-Encoding: chunked\r\nEmpty:\r\n\r\n", ""},
        {"0\r\nX:\t\x80 y\r\n\r\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t used, n = strlen(rows[i].in);
        enum error_code code;
        if (run(rows[i].in, n, rows[i].body, &used, &code) != CHUNKED_END || used != n)
            fail_msg("not decoded: %s", rows[i].in);
        /* What follows belongs to the next request. */
        char more[128];
        (void)snprintf(more, sizeof more, "%sGET /", rows[i].in);
        assert_int_equal(run(more, strlen(more), rows[i].body, &used, &code), CHUNKED_END);
        assert_int_equal(used, n);
        /* Every proper prefix wants more. */
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(run(rows[i].in, k, NULL, &used, &code), CHUNKED_MORE);
            assert_int_equal(used, k);
        }
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\r\n",
        "\n",
        "g\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\n",
        "-1\r\n",
        "+5\r\n",
        "0x5\r\n",
        "5\nhello\n0\n\n",
        "5\nhello",
        "5\r\rhello",
        "5\rhello",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "00000000000000005\r\n",
        "00000000000000000\r\n",
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "FFFFFFFFFFFFFFFF0\r\n",
        "10000000000000005\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5; a\r\n",
        "5 ;a\r\n",
        "5;a \r\n",
        "5;a =b\r\n",
        "5;a=\r\n",
        "5;a= b\r\n",
        "5;=b\r\n",
        "5;a;;b\r\n",
        "5;a=b\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a=\"b\r\n",
        "5;a=\"b\"c\r\n",
        "5;a=\"\\\r\"\r\n",
        "5;a=\"\n\"\r\n",
        "5;a=b\rX",
        "5,a\r\n",
        "5.0\r\n",
        "0\r\n\n",
        "0\r\n\r\r",
        "0\r\nX\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\rZ",
        "0\r\nX: \x01\r\n\r\n",
        "0\r\nX: \x7f\r\n\r\n",
        "0\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t used;
        enum error_code code;
        if (run(rows[i], strlen(rows[i]), NULL, &used, &code) != CHUNKED_BAD)
            fail_msg("not refused: %s", rows[i]);
        assert_int_equal(code, ERR_BAD_REQUEST);
    }
    size_t used;
    enum error_code code;
    assert_int_equal(run("0\r\nX: \0\r\n\r\n", 11, NULL, &used, &code), CHUNKED_BAD);
    assert_int_equal(run("\0", 1, NULL, &used, &code), CHUNKED_BAD);
}

/* The largest size is taken, and the state after it counts in 64 bits. */
static void test_large(void **state)
{
    (void)state;
    struct chunked c;
    struct slice data;
    struct error err = {0};
    size_t used;
    chunked_init(&c);
    static const char head[] = "7fffffffffffffff\r\nabc";
    assert_int_equal(chunked_next(&c, head, sizeof head - 1, &used, &data, &err), CHUNKED_DATA);
    assert_int_equal(used, sizeof head - 1);
    assert_int_equal(data.n, 3);
    assert_true(c.left == (uint64_t)INT64_MAX - 3);
}

static void test_sticky(void **state)
{
    (void)state;
    struct chunked c;
    struct slice data;
    struct error err = {0};
    size_t used = 99;
    chunked_init(&c);
    assert_int_equal(chunked_next(&c, "x", 1, &used, &data, &err), CHUNKED_BAD);
    assert_int_equal(chunked_next(&c, "0\r\n\r\n", 5, &used, &data, &err), CHUNKED_BAD);
    assert_int_equal(used, 0);
    chunked_init(&c);
    assert_int_equal(chunked_next(&c, "", 0, &used, &data, &err), CHUNKED_MORE);
    assert_int_equal(chunked_next(&c, "0\r\n\r\nGET", 8, &used, &data, &err), CHUNKED_END);
    assert_int_equal(used, 5);
    assert_int_equal(chunked_next(&c, "GET", 3, &used, &data, &err), CHUNKED_END);
    assert_int_equal(used, 0);
}

/* `chunks` chunks of one byte with an extension of `ext` bytes each, and one of `last` bytes. */
static enum chunked_result extensions(unsigned chunks, unsigned ext, unsigned last)
{
    struct buf b CLEANUP_BUF;
    buf_init(&b, 1 << 16);
    for (unsigned i = 0; i <= chunks; i++) {
        unsigned n = i < chunks ? ext : last;
        (void)buf_puts(&b, i < chunks ? "1" : "0");
        for (unsigned k = 0; k < n; k++)
            (void)buf_putc(&b, k == 0 ? ';' : 'x');
        (void)buf_puts(&b, i < chunks ? "\r\nz\r\n" : "\r\n\r\n");
    }
    size_t used;
    enum error_code code;
    return run(b.p, b.n, NULL, &used, &code);
}

static void test_extension_limit(void **state)
{
    (void)state;
    assert_int_equal(extensions(0, 0, 256), CHUNKED_END);
    assert_int_equal(extensions(0, 0, 257), CHUNKED_BAD);
    assert_int_equal(extensions(8, 32, 0), CHUNKED_END);
    assert_int_equal(extensions(8, 32, 2), CHUNKED_BAD);
    assert_int_equal(extensions(85, 3, 0), CHUNKED_END);
    assert_int_equal(extensions(86, 3, 0), CHUNKED_BAD);
}

/* Trailers of `total` bytes in lines of `line` bytes, CRLF included. */
static enum chunked_result trailers(unsigned total, unsigned line, enum error_code *code)
{
    struct buf b CLEANUP_BUF;
    buf_init(&b, 1 << 16);
    (void)buf_puts(&b, "0\r\n");
    while (total > 0) {
        unsigned n = total >= 2 * line ? line : total;
        (void)buf_puts(&b, "X:");
        for (unsigned k = 4; k < n; k++)
            (void)buf_putc(&b, 'x');
        (void)buf_puts(&b, "\r\n");
        total -= n;
    }
    (void)buf_puts(&b, "\r\n");
    size_t used;
    return run(b.p, b.n, "", &used, code);
}

static void test_trailer_limit(void **state)
{
    (void)state;
    enum error_code code;
    assert_int_equal(trailers(8192, 8192, &code), CHUNKED_END);
    assert_int_equal(trailers(8193, 8193, &code), CHUNKED_BAD);
    assert_int_equal(code, ERR_HEADERS_TOO_LARGE);
    assert_int_equal(trailers(8192, 64, &code), CHUNKED_END);
    assert_int_equal(trailers(8193, 64, &code), CHUNKED_BAD);
    assert_int_equal(code, ERR_HEADERS_TOO_LARGE);
}

/* Each byte at each position of a template: the outcome is what the byte's class says. */
static void test_every_byte(void **state)
{
    (void)state;
    /* x: hex digit or ';' is judged apart; s: only itself; e: token; b: body; n: name; v: value */
    static const char text[] = "3;e=f\r\nabc\r\n0\r\nN: v\r\n\r\n";
    static const char kind[] = "xsesessbbbssxssnsvvssss";
    /* the '=' may also be a token or ';', the 'f' a quote, the ':' a token: all incomplete or bad
     */
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (int c = 0; c < 256; c++) {
            char copy[sizeof text];
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            struct decoded d = decode(copy, sizeof text - 1, sizeof text);
            bool ok = d.result == CHUNKED_END && d.used == sizeof text - 1;
            bool token = c && strchr("!#$%&'*+-.^_`|~", c);
            token |= (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
            bool want = c == (unsigned char)text[i];
            if (kind[i] == 'b')
                want = true;
            if (kind[i] == 'e' || kind[i] == 'n')
                want = token;
            if (kind[i] == 'v')
                want = c == '\t' || (c >= 32 && c != 127);
            if (i == 3) /* "=": "e" may go on, or another extension begin */
                want = token || c == ';' || c == '=';
            if (ok != want)
                fail_msg("byte 0x%02x at %zu: %d", (unsigned)c, i, (int)d.result);
            buf_release(&d.body);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_extension_limit),
        cmocka_unit_test(test_trailer_limit),
        cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests_name("http_chunked", tests, NULL, NULL);
}
