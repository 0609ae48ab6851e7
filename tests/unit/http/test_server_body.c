/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies: in memory, dropped, streamed with back-pressure; 100-continue; what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.config.limits.buffer_min = 4096;
    f.config.limits.buffer_max = 64 * 1024;
    f.config.limits.flush_ms = 20;
    fixture_start(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static void expect_sum(const struct reply *r, const void *p, size_t n)
{
    char want[64];
    (void)snprintf(want, sizeof want, "%zu %016jx", n, (uintmax_t)checksum(0, p, n));
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, want);
}

static char *data_new(size_t n)
{
    char *p = xcalloc(1, n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)pattern(i);
    return p;
}

static void put_head(int fd, const char *path, const char *fields)
{
    char text[512];
    (void)snprintf(text, sizeof text, "PUT %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, fields);
    send_text(fd, text);
}

static void put_length(int fd, const char *path, size_t n)
{
    char field[64];
    (void)snprintf(field, sizeof field, "Content-Length: %zu\r\n", n);
    put_head(fd, path, field);
}

static void send_chunked(int fd, const char *p, size_t n, size_t piece)
{
    for (size_t at = 0; at < n; at += piece) {
        size_t k = MIN(piece, n - at);
        char line[32];
        (void)snprintf(line, sizeof line, "%zx%s\r\n", k, at ? "" : ";x=y");
        send_text(fd, line);
        send_all(fd, p + at, k);
        send_text(fd, "\r\n");
    }
    send_text(fd, "0\r\nTrailer: x\r\n\r\n");
}

static void base_follows(int fd)
{
    struct reply r;
    send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "base");
    reply_free(&r);
}

static void test_stream_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,    1,     4095,   4096,        4097,
                                   8192, 12000, 300000, 2 * 1000000, 5 * 1000000};
    int fd = client(&f);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        char *p = data_new(n);
        struct reply r;
        put_length(fd, "/v2/sink", n);
        send_all(fd, p, n);
        receive(fd, &r, false);
        expect_sum(&r, p, n);
        reply_free(&r);
        free(p);
    }
    base_follows(fd);
    close(fd);
    assert_true(atomic_load(&f.chunk_max) <= 64 * 1024);
    assert_true(atomic_load(&f.chunk_max) > 4096); /* buffers grew */
    wait_for(&f.destroyed, ARRAY_LEN(sizes) + 1);
    assert_int_equal(atomic_load(&f.incomplete), 0);
}

static void test_stream_chunked(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5000, 100000, 1000000};
    static const size_t pieces[] = {1000, 1, 7, 4096, 70000};
    int fd = client(&f);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        char *p = data_new(n);
        struct reply r;
        put_head(fd, "/v2/sink", "Transfer-Encoding: chunked\r\n");
        send_chunked(fd, p, n, pieces[i]);
        if (i % 2)
            send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"); /* right behind it */
        receive(fd, &r, false);
        expect_sum(&r, p, n);
        reply_free(&r);
        if (i % 2) {
            receive(fd, &r, false);
            assert_string_equal(r.body, "base");
            reply_free(&r);
        }
        free(p);
    }
    base_follows(fd);
    close(fd);
}

static void test_back_pressure(void **state)
{
    (void)state;
    enum { N = 32 * 1024 * 1024 };
    atomic_store(&f.sink_held, true);
    int fd = client(&f);
    int small = 64 * 1024;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    char *p = data_new(N);
    put_length(fd, "/v2/sink", N);
    /* While the sink works on its first chunk, the server takes no more than two buffers, and the
     * kernel's do the rest. */
    size_t sent = 0;
    for (;;) {
        ssize_t k = send(fd, p + sent, N - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k > 0) {
            sent += (size_t)k;
            continue;
        }
        struct pollfd pf = {fd, POLLOUT, 0};
        if (poll(&pf, 1, 300) == 0)
            break;
    }
    assert_true(sent < N);
    assert_int_equal(atomic_load(&f.sink_calls), 1);
    atomic_store(&f.sink_held, false);
    send_all(fd, p + sent, N - sent);
    struct reply r;
    receive(fd, &r, false);
    expect_sum(&r, p, N);
    reply_free(&r);
    free(p);
    close(fd);
}

static void test_slow_upload_flushes(void **state)
{
    (void)state;
    int fd = client(&f);
    put_length(fd, "/v2/sink", 30);
    for (unsigned i = 0; i < 3; i++) {
        send_text(fd, "0123456789");
        wait_for(&f.chunks, i + 1); /* although the buffer is far from full */
    }
    struct reply r;
    receive(fd, &r, false);
    expect_sum(&r, "012345678901234567890123456789", 30);
    reply_free(&r);
    base_follows(fd);
    close(fd);
}

static void test_sink_fails(void **state)
{
    (void)state;
    atomic_store(&f.sink_fails, true);
    struct reply r;
    int fd = client(&f);
    put_length(fd, "/v2/sink", 10);
    send_text(fd, "0123456789");
    receive(fd, &r, false);
    assert_int_equal(r.status, 507);
    assert_non_null(strstr(r.body, "the test's disk is full"));
    assert_null(reply_field(&r, "Connection")); /* the body was short: the connection goes on */
    reply_free(&r);
    base_follows(fd);
    close(fd);

    size_t n = 3000000;
    char *p = data_new(n);
    fd = client(&f);
    put_length(fd, "/v2/sink", n);
    send_all(fd, p, n);
    receive(fd, &r, false); /* seen although the client never stopped sending */
    assert_int_equal(r.status, 507);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    free(p);
    close(fd);
    wait_for(&f.destroyed, 3);
    assert_int_equal(atomic_load(&f.incomplete), 2);
}

static void test_memory_bodies(void **state)
{
    (void)state;
    char *p = data_new(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++)
        p[i] = (char)('a' + i % 26);
    int fd = client(&f);
    struct reply r;
    static const size_t sizes[] = {1, 100, 50000, 1 << 20};
    for (int chunked = 0; chunked < 2; chunked++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            if (chunked) {
                put_head(fd, "/v2/manifest", "Transfer-Encoding: chunked\r\n");
                send_chunked(fd, p, sizes[i], 3333);
            } else {
                put_length(fd, "/v2/manifest", sizes[i]);
                send_all(fd, p, sizes[i]);
            }
            receive(fd, &r, false);
            assert_int_equal(r.status, 200);
            assert_int_equal(r.n, sizes[i]);
            assert_memory_equal(r.body, p, r.n);
            reply_free(&r);
        }
    }
    put_head(fd, "/v2/manifest", "Content-Length: 0\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    put_head(fd, "/v2/manifest", "Transfer-Encoding: chunked\r\n");
    send_text(fd, "0\r\n\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.n, 0);
    reply_free(&r);
    close(fd);
    free(p);
}

static void test_too_large(void **state)
{
    (void)state;
    struct reply r;
    /* By the length, before anything of the body was sent. */
    int fd = client(&f);
    put_length(fd, "/v2/echo/x", 101);
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    assert_non_null(strstr(r.body, "\"code\":\"SIZE_INVALID\""));
    assert_null(reply_field(&r, "Connection"));
    reply_free(&r);
    char *p = data_new(8 << 20);
    send_all(fd, p, 101); /* dropped */
    base_follows(fd);
    close(fd);

    fd = client(&f);
    put_length(fd, "/v2/manifest", 8 << 20);
    send_all(fd, p, 8 << 20);
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    assert_non_null(strstr(r.body, "\"code\":\"MANIFEST_INVALID\""));
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    close(fd);

    /* A client that goes on sending for ever after the answer is cut off. */
    fd = client(&f);
    put_length(fd, "/v2/manifest", (size_t)1 << 40);
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    reply_free(&r);
    for (int i = 0; i < 4; i++)
        send_all(fd, p, 8 << 20);
    assert_true(closed_by_peer(fd));
    close(fd);

    /* While reading. */
    fd = client(&f);
    put_head(fd, "/v2/echo/x", "Transfer-Encoding: chunked\r\n");
    send_chunked(fd, p, 101, 50);
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    reply_free(&r);
    base_follows(fd);
    close(fd);
    fd = client(&f);
    put_head(fd, "/v2/manifest", "Transfer-Encoding: chunked\r\n");
    send_chunked(fd, p, 4 << 20, 100000);
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    reply_free(&r);
    assert_true(closed_by_peer(fd));
    close(fd);
    free(p);
}

static void test_body_of_a_route_without(void **state)
{
    (void)state;
    struct reply r;
    char *p = data_new(100000);
    int fd = client(&f);
    send_text(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    send_all(fd, p, 60000);
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    send_text(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    send_chunked(fd, p, 60000, 1000);
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    send_text(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    reply_free(&r);
    close(fd);
    fd = client(&f);
    send_text(fd, "POST /drop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    send_chunked(fd, p, 66000, 1000);
    receive(fd, &r, false);
    assert_int_equal(r.status, 413);
    reply_free(&r);
    close(fd);
    free(p);
}

static bool readable(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, ms) == 1;
}

static void expect_100(int fd)
{
    char text[25];
    size_t n = 0;
    while (n < sizeof text) {
        ssize_t got = recv(fd, text + n, sizeof text - n, 0);
        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_memory_equal(text, "HTTP/1.1 100 Continue\r\n\r\n", sizeof text);
}

static void test_expect_continue(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v2/sink", "/v2/echo/x", "/v2/manifest"};
    int fd = client(&f);
    struct reply r;
    for (int i = 0; i < 3; i++) {
        put_head(fd, paths[i], "Content-Length: 5\r\nExpect: 100-continue\r\n");
        expect_100(fd);
        send_text(fd, "hello");
        receive(fd, &r, false);
        assert_int_equal(r.status, 200);
        reply_free(&r);
    }
    /* The body is there already: no need to ask for it. */
    send_text(fd, "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                  "Expect: 100-continue\r\n\r\nhello");
    receive(fd, &r, false);
    assert_string_equal(r.body, "hello");
    reply_free(&r);
    /* Refused: no 100, and nobody knows whether the body comes, so the connection ends. */
    static const char *const refused[] = {
        "PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nX-Auth: deny\r\nContent-Length: 5\r\n"
        "Expect: 100-continue\r\n\r\n",
        "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n"
        "Expect: 100-continue\r\n\r\n",
    };
    static const int status[] = {401, 401, 413};
    close(fd);
    for (int i = 0; i < 3; i++) {
        fd = client(&f);
        send_text(fd, refused[i]);
        receive(fd, &r, false);
        assert_int_equal(r.status, status[i]);
        assert_string_equal(reply_field(&r, "Connection"), "close");
        reply_free(&r);
        close(fd);
    }
}

static void test_continue_waits_for_the_handler(void **state)
{
    (void)state;
    /* Both workers are busy, so the handler of the upload has not asked for the body yet. */
    int busy[2];
    for (unsigned i = 0; i < 2; i++) {
        busy[i] = client(&f);
        send_text(busy[i], "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_for(&f.entered, i + 1);
    }
    int fd = client(&f);
    put_head(fd, "/v2/sink", "Content-Length: 5\r\nExpect: 100-continue\r\n");
    assert_false(readable(fd, 50));
    sem_post(&f.gate);
    sem_post(&f.gate);
    expect_100(fd);
    send_text(fd, "hello");
    struct reply r;
    receive(fd, &r, false);
    expect_sum(&r, "hello", 5);
    reply_free(&r);
    close(fd);
    for (int i = 0; i < 2; i++)
        close(busy[i]);
}

static void test_unread_bodies(void **state)
{
    (void)state;
    struct reply r;
    char *p = data_new(200000);
    /* Short: dropped, the connection goes on; in pieces that come after the answer. */
    int fd = client(&f);
    put_length(fd, "/v2/refuse", 60000);
    receive(fd, &r, false);
    assert_int_equal(r.status, 401);
    reply_free(&r);
    send_all(fd, p, 30000);
    sleep_ms(5);
    send_all(fd, p, 30000);
    base_follows(fd);
    put_head(fd, "/v2/refuse", "Transfer-Encoding: chunked\r\n");
    send_chunked(fd, p, 60000, 5000);
    receive(fd, &r, false);
    assert_int_equal(r.status, 401);
    reply_free(&r);
    base_follows(fd);
    /* Chunked and long: noticed while dropping. */
    put_head(fd, "/v2/refuse", "Transfer-Encoding: chunked\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 401);
    reply_free(&r);
    send_chunked(fd, p, 200000, 5000);
    assert_true(closed_by_peer(fd));
    close(fd);
    /* Chunked and broken. */
    fd = client(&f);
    put_head(fd, "/v2/refuse", "Transfer-Encoding: chunked\r\n");
    receive(fd, &r, false);
    reply_free(&r);
    send_text(fd, "nonsense\r\n");
    assert_true(closed_by_peer(fd));
    close(fd);
    free(p);
}

static void test_broken_chunks(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v2/sink", "/v2/echo/x"};
    for (int i = 0; i < 4; i++) {
        struct reply r;
        int fd = client(&f);
        put_head(fd, paths[i % 2], "Transfer-Encoding: chunked\r\n");
        send_text(fd, "5\r\nhello\r\n");
        if (i >= 2)
            sleep_ms(40); /* the first part is with the sink already */
        send_text(fd, "zz\r\n");
        receive(fd, &r, false);
        assert_int_equal(r.status, 400);
        assert_string_equal(reply_field(&r, "Connection"), "close");
        assert_non_null(strstr(r.body, "chunked body is malformed"));
        reply_free(&r);
        close(fd);
    }
}

static void test_broken_chunk_while_the_sink_works(void **state)
{
    (void)state;
    atomic_store(&f.sink_held, true);
    struct reply r;
    int fd = client(&f);
    put_head(fd, "/v2/sink", "Transfer-Encoding: chunked\r\n");
    send_text(fd, "5\r\nhello\r\n");
    wait_for(&f.sink_calls, 1); /* flushed: a job is out */
    send_text(fd, "zz\r\n");
    sleep_ms(20);
    atomic_store(&f.sink_held, false);
    receive(fd, &r, false);
    assert_int_equal(r.status, 400);
    reply_free(&r);
    close(fd);
    wait_for(&f.destroyed, 1);
    assert_int_equal(atomic_load(&f.incomplete), 1);
}

static void test_client_leaves_in_the_body(void **state)
{
    (void)state;
    char *p = data_new(100000);
    for (unsigned i = 0; i < 4; i++) {
        bool held = i >= 2; /* with a job out, and without */
        unsigned before = atomic_load(&f.sink_calls);
        atomic_store(&f.sink_held, held);
        int fd = client(&f);
        put_length(fd, "/v2/sink", 1000000);
        send_all(fd, p, 100000);
        if (i % 2) {
            struct linger l = {1, 0};
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        }
        wait_for(&f.sink_calls, before + 1); /* a reset takes away what was not read yet */
        if (!held)
            sleep_ms(50);
        close(fd);
        if (held)
            sleep_ms(30);
        atomic_store(&f.sink_held, false);
        wait_for(&f.destroyed, i + 1);
        assert_int_equal(atomic_load(&f.incomplete), i + 1);
    }
    free(p);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_stream_sizes),
        T(test_stream_chunked),
        T(test_back_pressure),
        T(test_slow_upload_flushes),
        T(test_sink_fails),
        T(test_memory_bodies),
        T(test_too_large),
        T(test_body_of_a_route_without),
        T(test_expect_continue),
        T(test_continue_waits_for_the_handler),
        T(test_unread_bodies),
        T(test_broken_chunks),
        T(test_broken_chunk_while_the_sink_works),
        T(test_client_leaves_in_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
