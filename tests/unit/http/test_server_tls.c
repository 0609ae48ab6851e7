/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over TLS: what the plain tests ask of it, and what only TLS has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "tls_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

#define BASE_REQUEST "GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"

#define BEGUN "\x16\x03\x01\x02\x00\x01\x00" /* of a ClientHello */

static struct fixture f;
static struct test_cert cert;
static struct tls_server *tls;

static int group_setup(void **state)
{
    (void)state;
    struct sigaction ignore = {.sa_handler = SIG_IGN}; /* OpenSSL's clients write with write(2) */
    assert_int_equal(sigaction(SIGPIPE, &ignore, NULL), 0);
    test_cert_make(&cert, "one");
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    test_cert_remove(&cert);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    tls = tls_server_new(test_context(&cert, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    tls_server_free(tls);
    return 0;
}

static void start(void)
{
    struct error err;
    struct http_listener l = {.address = "127.0.0.1:0", .fd = -1, .tls = tls};
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_open(f.server, &l, &test_site, &f.bound, &err), 0);
    f.port = (int)strtol(strrchr(f.bound, ':') + 1, NULL, 10);
    fixture_run(&f);
}

static void connect_tls(struct tls_peer *p)
{
    assert_true(tls_open(p, client(&f), NULL, 0));
}

static void expect(struct tls_peer *p, int status, const char *body)
{
    struct reply r;
    tls_receive(p, &r, false);
    assert_int_equal(r.status, status);
    if (body)
        assert_string_equal(r.body, body);
    reply_free(&r);
}

static bool has_metric(const char *line)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(metrics_print(f.metrics, &b), 0);
    return strstr(b.p, line) != NULL;
}

static void wait_metric(const char *line)
{
    for (int i = 0; i < 5000; i++) {
        if (has_metric(line))
            return;
        sleep_ms(2);
    }
    fail_msg("no such metric: %s", line);
}

/* ---- requests ---- */

static void test_requests(void **state)
{
    (void)state;
    start();
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct tls_peer p;
        assert_true(tls_open(&p, client(&f), NULL, versions[i]));
        for (int k = 0; k < 5; k++) { /* keep-alive */
            tls_text(&p, BASE_REQUEST);
            expect(&p, 200, "base");
        }
        tls_text(&p, "HEAD /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
        struct reply r;
        tls_receive(&p, &r, true);
        assert_int_equal(r.status, 200);
        reply_free(&r);
        tls_text(&p, "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        expect(&p, 200, "base");
        assert_true(tls_ended(&p)); /* by a close_notify */
        tls_close(&p);
    }
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "\"tls\":\"TLSv1.2\""));
    assert_non_null(strstr(log, "\"tls\":\"TLSv1.3\""));
    assert_null(strstr(log, "tls_client"));
    assert_null(strstr(log, "socket_peer"));
    free(log);
}

static void test_what_the_request_knows(void **state)
{
    (void)state;
    struct test_cert own, other;
    test_cert_make(&own, "builder");
    test_cert_make(&other, "stranger");
    tls_server_replace(tls, test_context(&cert, &own));
    start();
    struct tls_peer p;
    connect_tls(&p);
    tls_text(&p, "GET /who HTTP/1.1\r\nHost: reg.example:444\r\n\r\n");
    struct reply r;
    tls_receive(&p, &r, false);
    assert_non_null(strstr(r.body, " scheme=https secure=1 host=reg.example:444 prefix= path=/who "
                                   "client="));
    assert_true(slice_ends(slice_make(r.body, r.n), SLICE_LIT("client=")));
    reply_free(&r);
    tls_close(&p);

    assert_true(tls_open(&p, client(&f), &own, 0));
    tls_text(&p, "GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
    tls_receive(&p, &r, false);
    assert_non_null(strstr(r.body, "client=CN=builder"));
    reply_free(&r);
    tls_close(&p);

    /* Of TLS 1.3 the client is through before its certificate is looked at. */
    if (tls_open(&p, client(&f), &other, 0)) {
        tls_text(&p, BASE_REQUEST);
        expect(&p, 0, NULL);
    }
    tls_close(&p);
    wait_metric("berth_tls_handshake_failures_total 1\n");
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "\"tls_client\":\"CN=builder\""));
    assert_null(strstr(log, "stranger"));
    free(log);
    test_cert_remove(&own);
    test_cert_remove(&other);
}

static void test_pipelining(void **state)
{
    (void)state;
    start();
    struct tls_peer p;
    connect_tls(&p);
    /* More than fits into a turn, and into a record: what the TLS layer holds, epoll does not
     * tell of. */
    enum { N = 500 };
    char *all = xcalloc(N, 64), *at = all;
    for (int i = 0; i < N; i++)
        at += snprintf(at, 64, "GET /v2/echo/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    tls_send(&p, all, (size_t)(at - all));
    for (int i = 0; i < N; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "%d", i);
        expect(&p, 200, want);
    }
    free(all);
    tls_close(&p);
}

/* The pool has the first request, so the input waits; when it is wanted the socket is long empty.
 */
static void test_a_pipeline_behind_a_step(void **state)
{
    (void)state;
    start();
    struct tls_peer p;
    connect_tls(&p);
    tls_text(&p, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" BASE_REQUEST
                 "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    wait_for(&f.entered, 1);
    sleep_ms(20);
    (void)sem_post(&f.gate);
    expect(&p, 200, "slow");
    expect(&p, 200, "base");
    expect(&p, 200, "hi");
    tls_close(&p);
}

/* ---- large bodies ---- */

static void expect_file(struct tls_peer *p, size_t want)
{
    struct reply r;
    tls_receive(p, &r, false);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.n, want);
    for (size_t i = 0; i < r.n; i++) {
        if ((unsigned char)r.body[i] != pattern(i))
            fail_msg("byte %zu is wrong", i);
    }
    reply_free(&r);
}

static void test_files(void **state)
{
    (void)state;
    start();
    struct tls_peer p;
    connect_tls(&p);
    const size_t sizes[] = {0, 1, 100, 16384, 65537, 262144, 262145, 1048576, FILE_BYTES};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char text[96];
        (void)snprintf(text, sizeof text, "GET /v2/file?n=%zu HTTP/1.1\r\nHost: a\r\n\r\n",
                       sizes[i]);
        tls_text(&p, text);
        expect_file(&p, sizes[i]);
    }
    tls_text(&p, "HEAD /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    struct reply r;
    tls_receive(&p, &r, true);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    tls_text(&p, "GET /v2/file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_file(&p, FILE_BYTES);
    assert_true(tls_ended(&p));
    tls_close(&p);
}

static void small_buffers(int fd)
{
    int n = 65536; /* smaller ones take minutes over loopback: its segments are 64 KiB */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n, sizeof n);
}

static void test_a_slow_reader(void **state)
{
    (void)state;
    f.config.limits.write_stall_ms = 5000; /* stalls, but not for as long as that */
    start();
    struct tls_peer p;
    int fd = client(&f);
    small_buffers(fd);
    assert_true(tls_open(&p, fd, NULL, 0));
    tls_text(&p, "GET /v2/file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    sleep_ms(100);
    /* Another one is served meanwhile. */
    struct tls_peer q;
    connect_tls(&q);
    tls_text(&q, BASE_REQUEST);
    expect(&q, 200, "base");
    tls_close(&q);
    char head[4096];
    size_t total = 0, got;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(SSL_read_ex(p.ssl, head, sizeof head, &got), 1);
        total += got;
        sleep_ms(20);
    }
    while (SSL_read_ex(p.ssl, head, sizeof head, &got) == 1)
        total += got;
    assert_true(total > FILE_BYTES);
    assert_int_equal(SSL_get_error(p.ssl, 0), SSL_ERROR_ZERO_RETURN);
    tls_close(&p);
}

static void test_a_reader_that_stops(void **state)
{
    (void)state;
    f.config.limits.write_stall_ms = 100;
    start();
    struct tls_peer p;
    int fd = client(&f);
    small_buffers(fd);
    assert_true(tls_open(&p, fd, NULL, 0));
    tls_text(&p, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_metric("berth_http_connections 0\n");
    tls_close(&p);
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "the client left while the response was being sent"));
    free(log);
}

static uint64_t body_sum(const char *body, size_t n)
{
    return checksum(0, body, n);
}

static void test_uploads(void **state)
{
    (void)state;
    start();
    size_t n = 2 * 1024 * 1024 + 3;
    char *body = xcalloc(1, n);
    for (size_t i = 0; i < n; i++)
        body[i] = (char)pattern(i);
    struct tls_peer p;
    connect_tls(&p);
    for (int slow = 0; slow < 2; slow++) {
        atomic_store(&f.sink_delay_ms, slow ? 2 : 0); /* both buffers full: it is not read */
        char text[128], want[64];
        (void)snprintf(text, sizeof text,
                       "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", n);
        tls_text(&p, text);
        tls_send(&p, body, n);
        (void)snprintf(want, sizeof want, "%zu %016jx", n, (uintmax_t)body_sum(body, n));
        expect(&p, 200, want);
    }
    /* Chunked, after a 100. */
    tls_text(&p, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                 "Expect: 100-continue\r\n\r\n");
    expect(&p, 100, NULL);
    for (size_t at = 0; at < n;) {
        char size[16];
        size_t piece = MIN((size_t)50000, n - at);
        tls_send(&p, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", piece));
        tls_send(&p, body + at, piece);
        tls_text(&p, "\r\n");
        at += piece;
    }
    tls_text(&p, "0\r\n\r\n");
    struct reply r;
    tls_receive(&p, &r, false);
    assert_int_equal(r.status, 200);
    assert_int_equal(strtoull(r.body, NULL, 10), n);
    reply_free(&r);
    tls_text(&p, BASE_REQUEST);
    expect(&p, 200, "base");
    tls_close(&p);
    free(body);
}

/* The answer comes before the body has: it is seen, although the client goes on sending. */
static void test_refused_upload(void **state)
{
    (void)state;
    start();
    struct tls_peer p;
    connect_tls(&p);
    tls_text(&p, "PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    char junk[16384] = "";
    for (int i = 0; i < 20; i++)
        tls_send(&p, junk, sizeof junk);
    expect(&p, 401, NULL);
    assert_true(tls_ended(&p));
    tls_close(&p);
}

static void test_half_close(void **state)
{
    (void)state;
    start();
    for (int notify = 0; notify < 2; notify++) {
        struct tls_peer p;
        connect_tls(&p);
        tls_text(&p, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
        if (notify)
            assert_true(SSL_shutdown(p.ssl) >= 0);
        (void)shutdown(p.fd, SHUT_WR);
        expect_file(&p, FILE_BYTES);
        assert_true(tls_ended(&p));
        tls_close(&p);
    }
}

/* ---- handshakes ---- */

static void test_handshakes_that_fail(void **state)
{
    (void)state;
    f.config.log = f.log;
    log_set_level(f.log, LOG_LEVEL_DEBUG);
    start();
    int fd = client(&f); /* comes and goes: that is not counted */
    (void)close(fd);

    fd = client(&f);
    send_text(fd, BASE_REQUEST);
    char answer[256] = "";
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_non_null(strstr(answer, "400 Bad Request"));
    assert_non_null(strstr(answer, "HTTPS server"));
    assert_true(closed_by_peer(fd));
    (void)close(fd);
    wait_metric("berth_tls_handshake_failures_total 1\n");

    fd = client(&f);
    send_all(fd, BEGUN, sizeof BEGUN - 1);
    (void)shutdown(fd, SHUT_WR);
    assert_true(closed_by_peer(fd));
    (void)close(fd);
    wait_metric("berth_tls_handshake_failures_total 2\n");

    /* Reset in the middle. When that comes before the server has read, nothing was begun: then once
     * more. */
    struct linger now = {1, 0};
    for (int i = 0; i < 20 && has_metric("berth_tls_handshake_failures_total 2\n"); i++) {
        fd = client(&f);
        send_all(fd, BEGUN, sizeof BEGUN - 1);
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        wait_connections(&f, 1);
        sleep_ms(20);
        (void)close(fd);
        wait_connections(&f, 0);
    }
    wait_metric("berth_tls_handshake_failures_total 3\n");

    struct tls_peer p; /* an old version: the alert comes through */
    p.ssl = NULL;
    fd = client(&f);
    assert_false(tls_open(&p, fd, NULL, TLS1_1_VERSION));
    tls_close(&p);
    char *text = fixture_log(&f);
    assert_non_null(strstr(text, "\"level\":\"debug\",\"msg\":\"TLS handshake failed\""));
    assert_null(strstr(text, "it did not end in time"));
    assert_null(strstr(text, "\"level\":\"error\""));
    free(text);
}

static void test_handshakes_that_end_never(void **state)
{
    (void)state;
    f.config.log = f.log;
    log_set_level(f.log, LOG_LEVEL_DEBUG);
    f.config.limits.head_timeout_ms = 1000;
    start();
    int silent = client(&f), begun = client(&f); /* who says nothing is not counted */
    send_all(begun, BEGUN, sizeof BEGUN - 1);
    assert_true(closed_by_peer(silent));
    (void)close(silent);
    assert_true(closed_by_peer(begun));
    (void)close(begun);
    wait_connections(&f, 0);
    wait_metric("berth_tls_handshake_failures_total 1\n");
    char *text = fixture_log(&f);
    assert_non_null(strstr(text, "\"level\":\"debug\",\"msg\":\"TLS handshake failed\""));
    assert_non_null(strstr(text, "it did not end in time"));
    assert_null(strstr(text, "\"level\":\"error\""));
    free(text);
}

/* One byte at a time, both ways. */
static void test_a_slow_handshake(void **state)
{
    (void)state;
    start();
    int fd = client(&f), on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    bool asked = false, answered = false;
    for (int turn = 0; turn < 100000 && !answered; turn++) {
        char c;
        int rc = SSL_is_init_finished(ssl) ? 1 : SSL_connect(ssl);
        if (rc == 1 && !asked) {
            assert_true(SSL_write(ssl, BASE_REQUEST, sizeof BASE_REQUEST - 1) > 0);
            asked = true;
        }
        while (BIO_read(out, &c, 1) == 1)
            send_all(fd, &c, 1);
        char answer[512];
        int n = asked ? SSL_read(ssl, answer, sizeof answer) : 0;
        answered = n > 0 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
        if (!answered && recv(fd, &c, 1, asked || rc != 1 ? 0 : MSG_DONTWAIT) == 1)
            assert_int_equal(BIO_write(in, &c, 1), 1);
    }
    assert_true(answered);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    (void)close(fd);
}

static size_t resident(void)
{
    char text[256] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    (void)close(fd);
    char *end;
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_many_connections(void **state)
{
    (void)state;
    start();
    enum { N = 300 };
    struct tls_peer *all = xcalloc(N, sizeof *all);
    size_t before = resident();
    for (int i = 0; i < N; i++) {
        connect_tls(&all[i]);
        tls_text(&all[i], BASE_REQUEST);
        expect(&all[i], 200, "base");
    }
    print_message("%zu bytes for both ends of a connection\n", (resident() - before) / N);
    for (int i = 0; i < N; i++) { /* all are there */
        tls_text(&all[i], BASE_REQUEST);
        expect(&all[i], 200, "base");
    }
    for (int i = 0; i < N; i++)
        tls_close(&all[i]);
    free(all);
    wait_metric("berth_http_connections 0\n");
}

static void test_too_many(void **state)
{
    (void)state;
    f.config.limits.connections_max = 1;
    start();
    struct tls_peer p;
    connect_tls(&p);
    tls_text(&p, BASE_REQUEST);
    expect(&p, 200, "base");
    int fd = client(&f);
    char c;
    assert_true(recv(fd, &c, 1, 0) <= 0); /* no answer that it could not read */
    (void)close(fd);
    tls_close(&p);
}

/* ---- while it runs ---- */

static void subject(const struct tls_peer *p, char out[64])
{
    X509 *x = SSL_get1_peer_certificate(p->ssl);
    assert_non_null(x);
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, 64);
    X509_free(x);
}

static void test_certificates_are_replaced(void **state)
{
    (void)state;
    start();
    struct test_cert two;
    test_cert_make(&two, "two");
    struct tls_peer p, q;
    int fd = client(&f);
    small_buffers(fd);
    assert_true(tls_open(&p, fd, NULL, 0));
    tls_text(&p, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep_ms(20);
    tls_server_replace(tls, test_context(&two, NULL));
    connect_tls(&q);
    char name[64];
    subject(&q, name);
    assert_string_equal(name, "two");
    tls_text(&q, BASE_REQUEST);
    expect(&q, 200, "base");
    expect_file(&p, FILE_BYTES);
    subject(&p, name);
    assert_string_equal(name, "one");
    tls_text(&p, BASE_REQUEST);
    expect(&p, 200, "base");
    tls_close(&p);
    tls_close(&q);
    test_cert_remove(&two);
}

static void test_drain(void **state)
{
    (void)state;
    start();
    struct tls_peer idle, busy, loading;
    connect_tls(&idle);
    tls_text(&idle, BASE_REQUEST);
    expect(&idle, 200, "base");
    connect_tls(&busy);
    tls_text(&busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&f.entered, 1);
    int fd = client(&f);
    small_buffers(fd);
    assert_true(tls_open(&loading, fd, NULL, 0));
    tls_text(&loading, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    char first;
    assert_int_equal(SSL_peek(loading.ssl, &first, 1), 1); /* it is being answered */
    int silent = client(&f);                               /* in its handshake: it gets a second */
    wait_connections(&f, 4);
    http_server_drain(f.server);
    assert_true(tls_ended(&idle));
    (void)sem_post(&f.gate);
    struct reply r;
    tls_receive(&busy, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    assert_true(tls_ended(&busy));
    expect_file(&loading, FILE_BYTES);
    assert_true(tls_ended(&loading));
    fixture_join(&f);
    assert_true(closed_by_peer(silent));
    tls_close(&idle);
    tls_close(&busy);
    tls_close(&loading);
    (void)close(silent);
}

/* The answer to a key update has to be written in the middle of reading. */
static void test_key_updates(void **state)
{
    (void)state;
    start();
    struct tls_peer p;
    assert_true(tls_open(&p, client(&f), NULL, TLS1_3_VERSION));
    tls_text(&p, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    char junk[10000] = "";
    for (int i = 0; i < 20; i++) {
        assert_int_equal(SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        tls_send(&p, junk, sizeof junk);
    }
    struct reply r;
    tls_receive(&p, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    tls_close(&p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_requests),
        T(test_what_the_request_knows),
        T(test_pipelining),
        T(test_a_pipeline_behind_a_step),
        T(test_files),
        T(test_a_slow_reader),
        T(test_a_reader_that_stops),
        T(test_uploads),
        T(test_refused_upload),
        T(test_half_close),
        T(test_handshakes_that_fail),
        T(test_handshakes_that_end_never),
        T(test_a_slow_handshake),
        T(test_many_connections),
        T(test_too_many),
        T(test_certificates_are_replaced),
        T(test_drain),
        T(test_key_updates),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
