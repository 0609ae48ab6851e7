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
#include "http/head.h"

#include "base/banned.h"

#define HOST "Host: h\r\n"

/* A head on the heap, to the byte, so that ASan sees a read past its end. */
struct input {
    char *p;
    size_t n;
};

static struct input input_new(const void *p, size_t n)
{
    struct input in = {malloc(n ? n : 1), n};
    assert_non_null(in.p);
    if (n)
        memcpy(in.p, p, n);
    return in;
}

/* The status that a head gets: 200, that of the error, or 0 when it is not complete. The scan gets
 * the bytes `piece` at a time, and must answer what it answers to all of them at once. */
static int status_in_pieces(const char *p, size_t n, size_t piece, struct http_head *out,
                            struct error *err)
{
    struct http_scan scan = {0};
    int64_t len = 0;
    for (size_t have = 0; len == 0 && have < n;) {
        have = MIN(have + piece, n);
        len = http_head_scan(p, have, &scan, err);
        assert_true(scan.at <= have);
    }
    if (len < 0)
        return error_info(err->code)->status;
    if (len == 0)
        return 0;
    assert_true((size_t)len <= n);
    if (http_head_parse(slice_make(p, (size_t)len), out, err))
        return error_info(err->code)->status;
    return 200;
}

static int status_of(const void *p, size_t n)
{
    struct input in = input_new(p, n);
    struct http_head head;
    struct error err = {0};
    int whole = status_in_pieces(in.p, n, n ? n : 1, &head, &err);
    if (whole >= 400)
        assert_true(err.detail[0] != '\0');
    if (n < 600)
        assert_int_equal(status_in_pieces(in.p, n, 1, &head, &err), whole);
    free(in.p);
    return whole;
}

static int status_str(const char *s)
{
    return status_of(s, strlen(s));
}

static void check_table(const char *const *rows, int status)
{
    for (; *rows; rows++)
        if (status_str(*rows) != status)
            fail_msg("%d instead of %d for: %s", status_str(*rows), status, *rows);
}

/* A parsed head; `head` and the text live until the next call of free(text). */
static char *parse_ok(const char *s, struct http_head *head)
{
    char *text = xstrdup(s);
    struct error err = {0};
    struct http_scan scan = {0};
    int64_t n = http_head_scan(text, strlen(s), &scan, &err);
    if (n != (int64_t)strlen(s))
        fail_msg("scan gives %lld for: %s (%s)", (long long)n, s, err.detail);
    if (http_head_parse(slice_make(text, (size_t)n), head, &err))
        fail_msg("refused (%s): %s", err.detail, s);
    return text;
}

static void assert_slice(struct slice s, const char *want)
{
    if (!slice_is(s, want))
        fail_msg("\"%.*s\" instead of \"%s\"", SLICE_ARG(s), want);
}

static void test_request(void **state)
{
    (void)state;
    struct http_head h;
    char *text = parse_ok("PUT /v2/a/blobs/uploads/x?digest=sha256%3Aab&b HTTP/1.1\r\n"
                          "Host: registry.example:5000\r\nContent-Length: 12\r\n"
                          "X-Empty:\r\nX-Tabs:\t a\tb \t\r\naccept: a\r\nAccept: b\r\n\r\n",
                          &h);
    assert_int_equal(h.method, HTTP_PUT);
    assert_slice(h.method_text, "PUT");
    assert_slice(h.target, "/v2/a/blobs/uploads/x?digest=sha256%3Aab&b");
    assert_slice(h.path, "/v2/a/blobs/uploads/x");
    assert_slice(h.query, "digest=sha256%3Aab&b");
    assert_slice(h.host, "registry.example:5000");
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.n_fields, 6);
    assert_true(h.has_length);
    assert_int_equal(h.length, 12);
    assert_false(h.chunked);
    assert_true(h.keep_alive);
    assert_false(h.expect_continue);
    assert_slice(h.fields[2].name, "X-Empty");
    assert_int_equal(h.fields[2].value.n, 0);
    assert_slice(http_field_get(&h, "x-tabs"), "a\tb");
    assert_slice(http_field_get(&h, "ACCEPT"), "a");
    assert_null(http_field_get(&h, "accep").p);
    assert_null(http_field_get(&h, "accept-").p);
    unsigned pos = 0;
    struct slice v;
    assert_true(http_field_next(&h, "Accept", &pos, &v));
    assert_slice(v, "a");
    assert_true(http_field_next(&h, "Accept", &pos, &v));
    assert_slice(v, "b");
    assert_false(http_field_next(&h, "Accept", &pos, &v));
    assert_slice(v, "b");
    free(text);
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum http_method method;
    } rows[] = {{"GET", HTTP_GET},
                {"HEAD", HTTP_HEAD},
                {"POST", HTTP_POST},
                {"PUT", HTTP_PUT},
                {"PATCH", HTTP_PATCH},
                {"DELETE", HTTP_DELETE},
                {"OPTIONS", HTTP_OPTIONS},
                {"get", HTTP_OTHER},
                {"GEt", HTTP_OTHER},
                {"TRACE", HTTP_OTHER},
                {"PRI", HTTP_OTHER},
                {"G", HTTP_OTHER},
                {"DELETED", HTTP_OTHER},
                {"OPTION", HTTP_OTHER},
                {"HEAR", HTTP_OTHER},
                {"PATCX", HTTP_OTHER},
                {"OPTIONZ", HTTP_OTHER},
                {"!#$%&'*+-.^_`|~09", HTTP_OTHER},
                {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", HTTP_OTHER}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" HOST "\r\n", rows[i].text);
        struct http_head h;
        char *p = parse_ok(text, &h);
        assert_int_equal(h.method, rows[i].method);
        assert_slice(h.method_text, rows[i].text);
        if (rows[i].method != HTTP_OTHER)
            assert_string_equal(http_method_name(h.method), rows[i].text);
        free(p);
    }
    assert_string_equal(http_method_name(HTTP_OTHER), "OTHER");
    assert_string_equal(http_method_name(HTTP_METHOD_COUNT), "OTHER");
    assert_int_equal(status_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1\r\n" HOST "\r\n"),
                     501);
}

static void test_targets(void **state)
{
    (void)state;
    struct http_head h;
    char *p = parse_ok("GET / HTTP/1.0\r\n\r\n", &h);
    assert_slice(h.path, "/");
    assert_null(h.query.p);
    assert_null(h.host.p);
    assert_int_equal(h.minor, 0);
    assert_false(h.keep_alive);
    free(p);
    p = parse_ok("GET /? HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_slice(h.path, "/");
    assert_non_null(h.query.p);
    assert_int_equal(h.query.n, 0);
    free(p);
    p = parse_ok("GET /a/../b//c%2f?x?y HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_slice(h.path, "/a/../b//c%2f");
    assert_slice(h.query, "x?y");
    free(p);
    p = parse_ok("GET HTTP://Other:80/v2/?n=1 HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_slice(h.host, "Other:80");
    assert_slice(h.target, "/v2/?n=1");
    assert_slice(h.path, "/v2/");
    assert_slice(h.query, "n=1");
    free(p);
    p = parse_ok("GET https://[::1] HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_slice(h.host, "[::1]");
    assert_slice(h.target, "/");
    assert_slice(h.path, "/");
    free(p);
    p = parse_ok("OPTIONS http://o HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_slice(h.target, "*");
    free(p);
    p = parse_ok("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_int_equal(h.method, HTTP_OPTIONS);
    assert_slice(h.target, "*");
    assert_slice(h.path, "*");
    assert_null(h.query.p);
    free(p);
    p = parse_ok("\r\nGET / HTTP/1.1\r\n" HOST "\r\n", &h);
    assert_int_equal(h.method, HTTP_GET);
    free(p);
}

static const char *const bad_lines[] = {" GET / HTTP/1.1\r\n" HOST "\r\n",
                                        "\tGET / HTTP/1.1\r\n" HOST "\r\n",
                                        "GET  / HTTP/1.1\r\n" HOST "\r\n",
                                        "GET /  HTTP/1.1\r\n" HOST "\r\n",
                                        "GET\t/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET /\tHTTP/1.1\r\n" HOST "\r\n",
                                        "GET / HTTP/1.1 \r\n" HOST "\r\n",
                                        "GET / HTTP/1.1\t\r\n" HOST "\r\n",
                                        "GET / a HTTP/1.1\r\n" HOST "\r\n",
                                        "GET /\r\n" HOST "\r\n",
                                        "GET / \r\n" HOST "\r\n",
                                        "GET\r\n" HOST "\r\n",
                                        "GET \r\n" HOST "\r\n",
                                        "/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET HTTP/1.1\r\n" HOST "\r\n",
                                        "G(T / HTTP/1.1\r\n" HOST "\r\n",
                                        "GET / http/1.1\r\n" HOST "\r\n",
                                        "GET / Http/1.1\r\n" HOST "\r\n",
                                        "GET / HTTP/1.1x\r\n" HOST "\r\n",
                                        "GET / HTTP/1.10\r\n" HOST "\r\n",
                                        "GET / HTTP/01.1\r\n" HOST "\r\n",
                                        "GET / HTTP/1\r\n" HOST "\r\n",
                                        "GET / HTTP/2\r\n" HOST "\r\n",
                                        "GET / HTTP/1,1\r\n" HOST "\r\n",
                                        "GET / HTTP/a.1\r\n" HOST "\r\n",
                                        "GET / HTTP/1.a\r\n" HOST "\r\n",
                                        "GET / HTTP-1.1\r\n" HOST "\r\n",
                                        "GET / SHTTP/1.1\r\n" HOST "\r\n",
                                        "GET /#a HTTP/1.1\r\n" HOST "\r\n",
                                        "GET /\x7f HTTP/1.1\r\n" HOST "\r\n",
                                        "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n",
                                        "GET v2/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET * HTTP/1.1\r\n" HOST "\r\n",
                                        "OPTIONS ** HTTP/1.1\r\n" HOST "\r\n",
                                        "OPTIONS *?a HTTP/1.1\r\n" HOST "\r\n",
                                        "GET h:80 HTTP/1.1\r\n" HOST "\r\n",
                                        "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http:/h/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http:///v2/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http:// HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http://h:x/ HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http://h?q HTTP/1.1\r\n" HOST "\r\n",
                                        "GET http://h/ HTTP/1.1\r\n\r\n",
                                        "GET http://h/ HTTP/1.1\r\nHost: a b\r\n\r\n",
                                        "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
                                        "\nGET / HTTP/1.1\r\n" HOST "\r\n",
                                        "\rGET / HTTP/1.1\r\n" HOST "\r\n",
                                        "\x16\x03\x01\x02",
                                        "\x80\x2e\x01",
                                        "{}",
                                        NULL};

static const char *const bad_fields[] = {"GET / HTTP/1.1\nHost: h\n\n",
                                         "GET / HTTP/1.1\nHost: h\r\n\r\n",
                                         "GET / HTTP/1.1\r\nHost: h\n\r\n",
                                         "GET / HTTP/1.1\r\nHost: h\r\n\n",
                                         "GET / HTTP/1.1\r\n" HOST "\n",
                                         "GET / HTTP/1.1\r\n" HOST "\rX",
                                         "GET / HTTP/1.1\rHost: h\r\n\r\n",
                                         "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
                                         "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
                                         "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
                                         "GET / HTTP/1.1\r\nHost\t: h\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X : y\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST " X: y\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X: y\r\n z\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X: y\r\n\tz\r\n\r\n",
                                         "GET / HTTP/1.1\r\n X: y\r\n" HOST "\r\n",
                                         "GET / HTTP/1.1\r\n" HOST ": y\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X Y: z\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X(: z\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X\xc3\xa9: z\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X: \x01\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X: \x1f\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X: \x7f\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "X: 12345678\x0b"
                                         "12345678\r\n\r\n",
                                         "GET / HTTP/1.1\r\n\r\n",
                                         "GET / HTTP/1.1\r\nX: y\r\n\r\n",
                                         "GET / HTTP/1.1\r\n" HOST HOST "\r\n",
                                         "GET / HTTP/1.0\r\n" HOST HOST "\r\n",
                                         "GET / HTTP/1.1\r\n" HOST "hOST: i\r\n\r\n",
                                         NULL};

static const char *const bad_framing[] = {
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\ncontent-length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1_0\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: \xc2\xb2\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000000000000000000000000000000000000\r\n\r\n",
    "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked,\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: ,chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;a=b\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\x80\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chun ked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n",
    NULL};

static void test_bad(void **state)
{
    (void)state;
    check_table(bad_lines, 400);
    check_table(bad_fields, 400);
    check_table(bad_framing, 400);
    /* In the middle of eight bytes that are looked at together. */
    assert_int_equal(status_str("GET / HTTP/1.1\r\n" HOST "X: abcdefghij\x7f"
                                "abcdefghijklmnop\r\n\r\n"),
                     400);
    assert_int_equal(status_str("GET / HTTP/1.1\r\n" HOST "X: abcdefghij\x1f"
                                "abcdefghijklmnop\r\n\r\n"),
                     400);
    assert_int_equal(status_of("GET /\0 HTTP/1.1\r\n" HOST "\r\n", 27), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nX: \0\r\n", 22), 400);
    assert_int_equal(status_of("\0GET", 4), 400);
}

/* What is wrong is told before the head is complete: a slow or hostile client holds nothing. */
static void test_early(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "GET / HTTP/1.1\n", "GET / HTTP/1.1\rX", "G\x01", "GET /\x7f", "\x16",
        "\r\n\r\n",         "\r\n\x16",          NULL};
    check_table(rows, 400);
    static const char *const more[] = {"",
                                       "G",
                                       "\r",
                                       "\r\n",
                                       "GET / HTTP/1.1\r\n",
                                       "GET /\r",
                                       "X:\t",
                                       "GET / HTTP/1.1\r\nHost: h\r\n\r",
                                       NULL};
    check_table(more, 0);
    struct http_scan scan = {0};
    struct error err = {0};
    assert_int_equal(http_head_scan("\x16\x03\x01", 3, &scan, &err), -1);
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    assert_non_null(strstr(err.detail, "plain HTTP"));
}

static void test_other_statuses(void **state)
{
    (void)state;
    static const char *const version[] = {
        "GET / HTTP/2.0\r\n" HOST "\r\n", "GET / HTTP/0.9\r\n" HOST "\r\n",
        "GET / HTTP/1.2\r\n" HOST "\r\n", "GET / HTTP/9.9\r\n" HOST "\r\n",
        "PRI * HTTP/2.0\r\n\r\n",         NULL};
    check_table(version, 505);
    static const char *const coding[] = {
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunke\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n",
        "CONNECT / HTTP/1.1\r\n" HOST "\r\n",
        NULL};
    check_table(coding, 501);
    static const char *const expect[] = {
        "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Expect:\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue, x\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nExpect: x\r\n\r\n", NULL};
    check_table(expect, 417);
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const good[] = {
        "h",     "a.b-c_d~e.example", "127.0.0.1",       "127.0.0.1:5000", "h:",   "h:0", "h:65535",
        "[::1]", "[::1]:80",          "[fe80::1.2.3.4]", "H.EXAMPLE",      "[::]", NULL};
    static const char *const bad[] = {"",
                                      ":80",
                                      "h:65536",
                                      "h:123456",
                                      "h:-1",
                                      "h:8a",
                                      "h:80:80",
                                      "a b",
                                      "a,b",
                                      "a/b",
                                      "u@h",
                                      "h?",
                                      "h#",
                                      "\"h\"",
                                      "a%41",
                                      "[::1",
                                      "::1",
                                      "[]",
                                      "[:]",
                                      "[g::1]",
                                      "[::1]x",
                                      "[::1]:x",
                                      "[fe80::1%25eth0]",
                                      "a\\b",
                                      "<h>",
                                      "h\x80",
                                      "http://h",
                                      "*",
                                      "h;a=b",
                                      NULL};
    char text[512];
    struct http_head h;
    for (const char *const *p = good; *p; p++) {
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", *p);
        char *heap = parse_ok(text, &h);
        assert_slice(h.host, *p);
        free(heap);
    }
    for (const char *const *p = bad; *p; p++) {
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", *p);
        if (status_str(text) != 400)
            fail_msg("Host accepted: %s", *p);
    }
    for (int n = 255; n <= 256; n++) {
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n", n, 0);
        assert_int_equal(status_str(text), n == 255 ? 200 : 400);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "0",          "1",          "007",        "2147483647",
        "2147483648", "4294967295", "4294967296", "9223372036854775807",
        NULL};
    for (const char *const *p = rows; *p; p++) {
        char text[128];
        (void)snprintf(text, sizeof text, "PUT / HTTP/1.1\r\n" HOST "CONTENT-LENGTH:\t%s \r\n\r\n",
                       *p);
        struct http_head h;
        char *heap = parse_ok(text, &h);
        assert_true(h.has_length);
        assert_int_equal(h.length, strtoull(*p, NULL, 10));
        assert_false(h.chunked);
        free(heap);
    }
    struct http_head h;
    char *heap = parse_ok("PUT / HTTP/1.1\r\n" HOST "transfer-encoding:CHUNKED\r\n\r\n", &h);
    assert_true(h.chunked);
    assert_false(h.has_length);
    free(heap);
    /* Names that only resemble those that frame. */
    heap = parse_ok("PUT / HTTP/1.1\r\n" HOST "Content_Length: a\r\nTransfer.Encoding: b\r\n"
                    "Hose: c\r\nExpecr: d\r\nConnectioN-: e\r\nConnectiom: close\r\n\r\n",
                    &h);
    assert_false(h.chunked || h.has_length || h.expect_continue);
    assert_true(h.keep_alive);
    free(heap);
}

static void test_connection(void **state)
{
    (void)state;
    static const struct {
        const char *version, *fields;
        bool keep_alive, expect;
    } rows[] = {{"1.1", "", true, false},
                {"1.1", "Connection: close\r\n", false, false},
                {"1.1", "Connection: Close\r\n", false, false},
                {"1.1", "Connection: keep-alive\r\n", true, false},
                {"1.1", "Connection: keep-alive, close\r\n", false, false},
                {"1.1", "Connection: close\r\nConnection: keep-alive\r\n", false, false},
                {"1.1", "Connection: TE ,\tclose\r\n", false, false},
                {"1.1", "Connection: closed\r\n", true, false},
                {"1.1", "Connection:\r\n", true, false},
                {"1.1", "Connection: ,,\r\n", true, false},
                {"1.0", "", false, false},
                {"1.0", "Connection: Keep-Alive\r\n", true, false},
                {"1.0", "Connection: keep-alive, close\r\n", false, false},
                {"1.1", "Expect: 100-Continue\r\n", true, true},
                {"1.0", "Expect: 100-continue\r\n", false, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "PUT / HTTP/%s\r\n" HOST "%s\r\n", rows[i].version,
                       rows[i].fields);
        struct http_head h;
        char *heap = parse_ok(text, &h);
        assert_int_equal(h.keep_alive, rows[i].keep_alive);
        assert_int_equal(h.expect_continue, rows[i].expect);
        free(heap);
    }
}

/* A request with the given sizes, each of which may be at a limit. */
static int sized(size_t target, size_t line, unsigned fields, size_t total)
{
    struct buf b CLEANUP_BUF;
    buf_init(&b, 1 << 20);
    (void)buf_puts(&b, "GET /");
    for (size_t i = 1; i < target; i++)
        (void)buf_putc(&b, 'a');
    (void)buf_puts(&b, " HTTP/1.1\r\n" HOST);
    if (line > 0) {
        (void)buf_puts(&b, "X:");
        for (size_t i = 2; i < line; i++)
            (void)buf_putc(&b, 'b');
        (void)buf_puts(&b, "\r\n");
    }
    for (unsigned i = 1 + (line > 0); i < fields; i++)
        (void)buf_puts(&b, "Y: z\r\n");
    while (total > b.n + 2) {
        size_t n = MIN(total - b.n - 2, (size_t)8000);
        if (total - b.n - 2 - n < 10 && total - b.n - 2 > n)
            n -= 10; /* leave room for another whole line */
        (void)buf_puts(&b, "Z:");
        for (size_t i = 4; i < n; i++)
            (void)buf_putc(&b, 'c');
        (void)buf_puts(&b, "\r\n");
    }
    (void)buf_puts(&b, "\r\n");
    assert_false(b.failed);
    if (total)
        assert_int_equal(b.n, total);
    struct http_head h;
    struct error err = {0};
    int a = status_of(b.p, b.n);
    assert_int_equal(status_in_pieces(b.p, b.n, 4099, &h, &err), a);
    return a;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(sized(HTTP_LINE_MAX, 0, 1, 0), 200);
    assert_int_equal(sized(HTTP_LINE_MAX + 1, 0, 1, 0), 414);
    assert_int_equal(sized(HTTP_LINE_MAX + 100, 0, 1, 0), 414);
    assert_int_equal(sized(5, HTTP_LINE_MAX, 2, 0), 200);
    assert_int_equal(sized(5, HTTP_LINE_MAX + 1, 2, 0), 431);
    assert_int_equal(sized(5, 0, HTTP_FIELDS_MAX, 0), 200);
    assert_int_equal(sized(5, 0, HTTP_FIELDS_MAX + 1, 0), 431);
    assert_int_equal(sized(5, 0, 1, HTTP_HEAD_MAX), 200);
    assert_int_equal(sized(5, 0, 1, HTTP_HEAD_MAX + 1), 431);
    assert_int_equal(sized(5, 0, 1, HTTP_HEAD_MAX + 2), 431);
    assert_int_equal(sized(5, 0, 1, HTTP_HEAD_MAX + 4000), 431);
}

/* Limits are felt while the line still comes, and by the parser alone as well. */
static void test_limits_alone(void **state)
{
    (void)state;
    static char big[HTTP_HEAD_MAX + 64];
    struct http_scan scan = {0};
    struct error err = {0};
    memset(big, 'a', sizeof big);
    assert_int_equal(http_head_scan(big, HTTP_LINE_MAX, &scan, &err), 0);
    assert_int_equal(http_head_scan(big, HTTP_LINE_MAX + 43, &scan, &err), -1);
    assert_int_equal(err.code, ERR_URI_TOO_LONG);

    static const char start[] = "GET / HTTP/1.1\r\n";
    memcpy(big, start, sizeof start - 1);
    scan = (struct http_scan){0};
    size_t edge = sizeof start - 1 + HTTP_LINE_MAX;
    assert_int_equal(http_head_scan(big, edge, &scan, &err), 0);
    assert_int_equal(http_head_scan(big, edge + 1, &scan, &err), -1);
    assert_int_equal(err.code, ERR_HEADERS_TOO_LARGE);

    struct http_head h;
    assert_int_equal(http_head_parse(slice_make(big, sizeof big), &h, &err), -1);
    assert_int_equal(err.code, ERR_HEADERS_TOO_LARGE);
    memcpy(big + edge + 10, "\r\n\r\n", 4);
    memcpy(big + sizeof start - 1, "X:", 2);
    assert_int_equal(http_head_parse(slice_make(big, edge + 14), &h, &err), -1);
    assert_int_equal(err.code, ERR_HEADERS_TOO_LARGE);

    size_t n = sizeof start - 1;
    for (int i = 0; i <= HTTP_FIELDS_MAX; i++, n += 4)
        memcpy(big + n, "A:\r\n", 4);
    memcpy(big + n, "\r\n", 2);
    assert_int_equal(http_head_parse(slice_make(big, n + 2), &h, &err), -1);
    assert_int_equal(err.code, ERR_HEADERS_TOO_LARGE);
}

/* The parser by itself, on what the scan would never hand it. */
static void test_parser_alone(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "\r\n",
                                       "GET",
                                       "GET /",
                                       "GET / HTTP/1.1",
                                       "GET / HTTP/1.1\r",
                                       "GET / HTTP/1.1\r\n",
                                       "GET / HTTP/1.1\r\nHost",
                                       "GET / HTTP/1.1\r\nHost:",
                                       "GET / HTTP/1.1\r\nHost: h",
                                       "GET / HTTP/1.1\r\nHost: h\r\n",
                                       "GET / HTTP/1.1\r\nHost: h\r\n\r",
                                       "GET / HTTP/1.1\r\nHost: h\r\n\r\nx",
                                       "GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
                                       "GET / HTTP/1.1\nHost: h\r\n\r\n",
                                       "GET / HTTP/1.1\r\nHost: h\n\r\n",
                                       "GET / HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n",
                                       NULL};
    for (const char *const *p = rows; *p; p++) {
        struct input in = input_new(*p, strlen(*p));
        struct http_head h;
        struct error err = {0};
        assert_int_equal(http_head_parse(slice_make(in.p, in.n), &h, &err), -1);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        free(in.p);
    }
    struct http_head h;
    assert_int_equal(http_head_parse(SLICE_NONE, &h, NULL), -1);
}

/* Each byte at each position of a template. What is accepted must be explained by the class of the
 * byte and of the position alone, and never changes how the message is framed. */
static bool may_be(char position, unsigned char c)
{
    bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    bool token = c && (alnum || strchr("!#$%&'*+-.^_`|~", c));
    switch (position) {
    case 'm': /* method */
    case 'n': /* first byte of a field name */
        return token;
    case 'N': /* others, where the name may also end */
        return token || c == ':';
    case 't': /* target */
        return c > 0x20 && c < 0x7f && c != '#';
    case 'h': /* host */
        return c && (alnum || strchr("-._~", c));
    case 'H': /* its first byte, where white space belongs to the line */
        return c && (alnum || strchr("-._~ \t", c));
    case 'L': /* its last, where a port may also begin that stays empty */
        return c && (alnum || strchr("-._~ \t:", c));
    case 'v': /* value */
        return c == '\t' || (c >= 0x20 && c != 0x7f);
    case 'd': /* digit of a length */
        return c >= '0' && c <= '9';
    case 'D': /* its first or last, where white space belongs to the line */
        return (c >= '0' && c <= '9') || c == ' ' || c == '\t';
    default:
        return false;
    }
}

static void test_every_byte(void **state)
{
    (void)state;
    /* 's' stands for the byte itself and no other. */
    static const char text[] =
        "QUX /ab HTTP/1.1\r\nHost: abc\r\nX-Y: abc\r\nContent-Length: 123\r\n\r\n";
    static const char kind[] = "mmmssttsssssssssss"
                               "ssssssHhLss"
                               "nNNssvvvss"
                               "sssssssssssssssDDdDssss";
    _Static_assert(sizeof text == sizeof kind, "one kind for each byte");
    unsigned accepted = 0;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (int c = 0; c < 256; c++) {
            char copy[sizeof text];
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            if (c == (unsigned char)text[i])
                continue;
            struct http_head h;
            struct error err = {0};
            int status = status_in_pieces(copy, sizeof text - 1, sizeof text, &h, &err);
            bool ok = status == 200;
            if (kind[i] != 's' && ok != may_be(kind[i], (unsigned char)c))
                fail_msg("byte 0x%02x at %zu: %d", (unsigned)c, i, status);
            if (!ok)
                continue;
            accepted++;
            assert_false(h.chunked);
            if (kind[i] == 's') {
                /* A changed letter of a field's name makes another field, a changed letter's case
                 * the same; "HTTP/1.0"; a colon or space that moves. Never other framing. */
                assert_int_equal(h.n_fields, 3);
                assert_true(!h.has_length || h.length == 123);
            }
        }
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),      cmocka_unit_test(test_methods),
        cmocka_unit_test(test_targets),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_early),        cmocka_unit_test(test_other_statuses),
        cmocka_unit_test(test_hosts),        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_connection),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_alone), cmocka_unit_test(test_parser_alone),
        cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests_name("http_head", tests, NULL, NULL);
}
