/* SPDX-License-Identifier: Apache-2.0 */
/* Every case is fed whole, and again cut at every byte: both must agree. */
#include "response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"

#include "base/banned.h"

struct row {
    const char *wire;
    bool head;
    int status; /* -1: refused */
    uint64_t body;
    const char *text; /* what the sink saw */
};

static const struct row rows[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, 5, "hello"},
    {"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", false, 200, 0, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 200, 0, ""},
    {"HTTP/1.1 204 No Content\r\n\r\n", false, 204, 0, ""},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", false, 304, 0, ""},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", false, 201,
     1, "x"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n"
     "\r\n",
     false, -1, 0, NULL}, /* extensions are not expected from the servers measured here */
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
     false, 200, 13, "abc0123456789"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", false, 200,
     1, "a"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", false, -1, 0,
     NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", false, -1, 0, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", false, -1, 0,
     NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", false, -1, 0,
     NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", false, -1, 0,
     NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", false, -1, 0, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", false, -1, 0, NULL},
    {"HTTP/1.1 200 OK\r\n\r\nends with the connection", false, -1, 0, NULL},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, -1, 0, NULL},
    {"HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\nx", false, -1, 0, NULL},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", false, -1, 0, NULL},
    {"HTTP/1.1 200 OK\nContent-Length: 1\n\r\n\r\nx", false, -1, 0, NULL},
};

static void collect(void *arg, const void *p, size_t n)
{
    assert_int_equal(buf_add(arg, p, n), 0);
}

static void feed(const struct row *row, size_t step)
{
    CLEANUP_FREE struct response *r = xcalloc(1, sizeof *r);
    CLEANUP_BUF struct buf seen;
    buf_init(&seen, 1024);
    r->sink = collect;
    r->sink_arg = &seen;
    response_reset(r, row->head);
    size_t n = strlen(row->wire);
    ssize_t used = 0;
    for (size_t at = 0; at < n && r->state != RESPONSE_DONE; at += step) {
        used = response_feed(r, row->wire + at, MIN(step, n - at));
        if (used < 0)
            break;
    }
    if (row->status < 0) {
        assert_int_equal(used, -1);
        return;
    }
    assert_true(used >= 0);
    assert_int_equal(r->state, RESPONSE_DONE);
    assert_int_equal(r->status, row->status);
    assert_int_equal(r->body, row->body);
    assert_true(slice_is(buf_view(&seen), row->text));
}

static void rows_hold_whole_and_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= strlen(rows[i].wire); step++)
            feed(&rows[i], step);
}

static void fields_are_kept(void **state)
{
    (void)state;
    const char *wire = "HTTP/1.1 202 Accepted\r\nLocation:  http://h/v2/x?a=b \r\n"
                       "docker-content-digest: sha256:ab\r\nLink: </n>; rel=\"next\"\r\n"
                       "Connection: close\r\nContent-Length: 7\r\n\r\n";
    CLEANUP_FREE struct response *r = xcalloc(1, sizeof *r);
    response_reset(r, false);
    assert_int_equal(response_feed(r, wire, strlen(wire)), strlen(wire));
    assert_true(slice_is(r->location, "http://h/v2/x?a=b"));
    assert_true(slice_is(r->digest, "sha256:ab"));
    assert_true(slice_is(r->link, "</n>; rel=\"next\""));
    assert_true(r->close);
    assert_int_equal(response_skippable(r), 7);
    response_skip(r, 3);
    assert_int_equal(response_skippable(r), 4);
    assert_int_equal(response_feed(r, "4567next", 8), 4);
    assert_int_equal(r->state, RESPONSE_DONE);
    assert_int_equal(r->body, 7);
}

static void head_has_a_limit(void **state)
{
    (void)state;
    CLEANUP_FREE char *wire = xcalloc(1, RESPONSE_HEAD_MAX + 100);
    memset(wire, 'a', RESPONSE_HEAD_MAX + 100);
    CLEANUP_FREE struct response *r = xcalloc(1, sizeof *r);
    response_reset(r, false);
    assert_int_equal(response_feed(r, wire, RESPONSE_HEAD_MAX + 100), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_hold_whole_and_cut),
        cmocka_unit_test(fields_are_kept),
        cmocka_unit_test(head_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
