/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in front of the server: proxies that forward, the PROXY protocol, a prefix; and what
 * is changed while it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include "tls_client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "http/forwarded.h"

#include "base/banned.h"

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct fixture f;
static struct trusted_peers *loopback;

static int setup(void **state)
{
    (void)state;
    static const char *const entries[] = {"127.0.0.0/8", "10.0.0.0/8", "unix"};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGPIPE, &ignore, NULL), 0);
    struct error err;
    assert_int_equal(trusted_peers_new(entries, ARRAY_LEN(entries), &loopback, &err), 0);
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    trusted_peers_free(loopback);
    return 0;
}

static void start_with(struct http_listener l)
{
    struct error err;
    if (!l.address)
        l.address = "127.0.0.1:0";
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_open(f.server, &l, &test_site, &f.bound, &err), 0);
    if (strncmp(f.bound, "unix:", 5) != 0)
        f.port = (int)strtol(strrchr(f.bound, ':') + 1, NULL, 10);
    fixture_run(&f);
}

static int64_t counted(const char *labels)
{
    CLEANUP_BUF struct buf b;
    char line[128];
    buf_init(&b, 1 << 20);
    assert_int_equal(metrics_print(f.metrics, &b), 0);
    (void)snprintf(line, sizeof line, "berth_http_rejected_total{reason=\"%s\"} ", labels);
    const char *at = strstr(b.p, line);
    assert_non_null(at);
    return strtoll(at + strlen(line), NULL, 10);
}

static void wait_counted(const char *labels, int64_t n)
{
    for (int i = 0; i < 5000 && counted(labels) < n; i++)
        sleep_ms(2);
    assert_int_equal(counted(labels), n);
}

/* The answer of /who to a request with these field lines. */
static char *who(int fd, const char *path, const char *fields)
{
    char text[2048];
    struct reply r;
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: own.example\r\n%s\r\n", path,
                   fields);
    send_text(fd, text);
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    return r.body;
}

static void expect_who(int fd, const char *path, const char *fields, const char *want)
{
    CLEANUP_FREE char *text = who(fd, path, fields);
    if (!strstr(text, want))
        fail_msg("\"%s\" is not in \"%s\"", want, text);
}

static void expect_reply(int fd, const char *request, int status, struct reply *out)
{
    send_text(fd, request);
    receive(fd, out, strncmp(request, "HEAD", 4) == 0);
    assert_int_equal(out->status, status);
}

/* ---- forwarding fields ---- */

static void test_forwarded_fields(void **state)
{
    (void)state;
    f.config.trusted = loopback;
    start_with((struct http_listener){.fd = -1});
    int fd = client(&f);
    expect_who(fd, "/who", "", " scheme=http secure=0 host=own.example prefix= path=/who");
    CLEANUP_FREE char *text = who(fd, "/who",
                                  "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
                                  "X-Forwarded-Host: reg.example\r\nX-Forwarded-Port: 8443\r\n");
    assert_non_null(strstr(text, "peer=203.0.113.7 socket=127.0.0.1:"));
    assert_non_null(strstr(text, " scheme=https secure=1 host=reg.example:8443 "));
    expect_who(fd, "/who", "Forwarded: for=203.0.113.9;proto=https;host=r.example\r\n",
               "peer=203.0.113.9 socket=127.0.0.1:");
    /* The next request of the connection is another client's. */
    expect_who(fd, "/who", "", " scheme=http secure=0 host=own.example ");
    close(fd);
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "\"peer\":\"203.0.113.7\""));
    assert_non_null(strstr(log, "\"socket_peer\":\"127.0.0.1:"));
    free(log);
}

static void test_nobody_is_believed(void **state)
{
    (void)state;
    static const char *const entries[] = {"10.0.0.0/8"};
    struct error err;
    trusted_peers_free(loopback);
    assert_int_equal(trusted_peers_new(entries, 1, &loopback, &err), 0);
    f.config.trusted = loopback;
    start_with((struct http_listener){.fd = -1});
    int fd = client(&f);
    CLEANUP_FREE char *text =
        who(fd, "/who",
            "X-Forwarded-For: 10.0.0.1\r\nX-Real-Ip: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n"
            "Forwarded: for=10.0.0.1;host=evil;proto=https\r\n");
    assert_non_null(strstr(text, "peer=127.0.0.1:"));
    assert_non_null(strstr(text, " scheme=http secure=0 host=own.example "));
    expect_who(fd, "/who", "Connection: close\r\n", "peer=127.0.0.1:");
    assert_true(closed_by_peer(fd));
    close(fd);
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "\"peer\":\"127.0.0.1:"));
    assert_null(strstr(log, "socket_peer"));
    free(log);
}

static void test_a_unix_peer(void **state)
{
    (void)state;
    char address[64];
    (void)snprintf(address, sizeof address, "unix:/tmp/berth-test-front-%d", (int)getpid());
    f.config.trusted = loopback;
    start_with((struct http_listener){.address = address, .fd = -1});
    int fd = client_unix(address + 5);
    assert_true(fd >= 0);
    expect_who(fd, "/who", "X-Real-Ip: 203.0.113.7\r\n", "peer=203.0.113.7 socket=unix ");
    close(fd);
}

/* A proxy is one address for everybody. */
static void test_the_limit_for_an_address(void **state)
{
    (void)state;
    f.config.limits.connections_per_ip = 1;
    f.config.trusted = loopback;
    start_with((struct http_listener){.fd = -1});
    int fds[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = client(&f);
        expect_who(fds[i], "/who", "", "socket=127.0.0.1:");
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}

/* ---- the PROXY protocol ---- */

static void test_proxy_headers(void **state)
{
    (void)state;
    f.config.trusted = loopback;
    start_with((struct http_listener){.fd = -1, .proxy_protocol = true});
    int fd = client(&f);
    send_text(fd, "PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n");
    expect_who(fd, "/who", "", "peer=203.0.113.7:4711 socket=127.0.0.1:");
    /* The client is not one of ours, whoever brought it. */
    expect_who(fd, "/who", "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n",
               "peer=203.0.113.7:4711 ");
    close(fd);

    fd = client(&f); /* two proxies, the inner one speaks TCP only */
    send_text(fd, "PROXY TCP4 10.0.0.5 127.0.0.1 4711 80\r\n");
    expect_who(fd, "/who", "X-Forwarded-For: 9.9.9.9\r\n", "peer=9.9.9.9 ");
    close(fd);

    fd = client(&f);
    send_text(fd, "PROXY UNKNOWN\r\n");
    expect_who(fd, "/who", "", "peer=127.0.0.1:");
    close(fd);

    static const char v2[] = V2_SIGNATURE "\x21\x11\x00\x14\xcb\x00\x71\x07\x7f\x00\x00\x01\x12\x67"
                                          "\x00\x50\x20\x00\x05\x01\0\0\0\0";
    fd = client(&f);
    send_all(fd, v2, sizeof v2 - 1);
    expect_who(fd, "/who", "", "peer=203.0.113.7:4711 ");
    expect_who(fd, "/who", "", " scheme=https secure=1 ");
    close(fd);

    fd = client(&f); /* in pieces, the last with the request */
    const char *text = "PROXY TCP6 2001:db8::7 ::1 4711 80\r\n";
    for (size_t i = 0; i + 3 < strlen(text); i += 3) {
        send_all(fd, text + i, 3);
        sleep_ms(1);
    }
    size_t sent = (strlen(text) - 1) / 3 * 3;
    char rest[256];
    (void)snprintf(rest, sizeof rest, "%sGET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                   text + sent);
    send_text(fd, rest);
    struct reply r;
    receive(fd, &r, false);
    assert_non_null(strstr(r.body, "peer=[2001:db8::7]:4711 "));
    reply_free(&r);
    assert_true(closed_by_peer(fd)); /* after its line is written */
    close(fd);
    assert_int_equal(counted("proxy_header"), 0);
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "\"peer\":\"[2001:db8::7]:4711\""));
    assert_non_null(strstr(log, "\"socket_peer\":\"127.0.0.1:"));
    free(log);
}

static void test_proxy_headers_that_fail(void **state)
{
    (void)state;
    f.config.trusted = loopback;
    f.config.limits.head_timeout_ms = 1000;
    start_with((struct http_listener){.fd = -1, .proxy_protocol = true});
    int fd = client(&f);
    send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); /* somebody who knows nothing of it */
    assert_true(closed_by_peer(fd));
    close(fd);
    wait_counted("proxy_header", 1);

    fd = client(&f);
    send_text(fd, "PROXY TCP4 ");
    sleep_ms(20);
    (void)shutdown(fd, SHUT_WR);
    assert_true(closed_by_peer(fd));
    close(fd);
    wait_counted("proxy_header", 2);

    fd = client(&f); /* a check whether the port is open */
    close(fd);
    int silent = client(&f); /* one that says nothing */
    fd = client(&f);
    send_text(fd, "PROXY TCP4 "); /* and one of which no more comes */
    assert_true(closed_by_peer(silent));
    close(silent);
    assert_true(closed_by_peer(fd));
    close(fd);
    wait_connections(&f, 0);
    wait_counted("proxy_header", 3);
    assert_int_equal(counted("proxy_untrusted"), 0);
}

static void test_proxies_that_are_not_ours(void **state)
{
    (void)state;
    start_with((struct http_listener){.fd = -1, .proxy_protocol = true});
    int fd = client(&f);
    send_text(fd, "PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n" /* it could be anybody */
                  "GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(closed_by_peer(fd));
    close(fd);
    wait_counted("proxy_untrusted", 1);
}

static void test_proxy_header_before_tls(void **state)
{
    (void)state;
    struct test_cert cert;
    test_cert_make(&cert, "front");
    struct tls_server *tls = tls_server_new(test_context(&cert, NULL));
    f.config.trusted = loopback;
    start_with((struct http_listener){.fd = -1, .tls = tls, .proxy_protocol = true});
    int fd = client(&f);
    send_text(fd, "PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n");
    struct tls_peer p;
    assert_true(tls_open(&p, fd, NULL, 0));
    tls_text(&p, "GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
    struct reply r;
    tls_receive(&p, &r, false);
    assert_non_null(strstr(r.body, "peer=203.0.113.7:4711 "));
    assert_non_null(strstr(r.body, " scheme=https secure=1 "));
    reply_free(&r);
    tls_close(&p);
    fd = client(&f); /* without the header */
    assert_false(tls_open(&p, fd, NULL, 0));
    tls_close(&p);
    wait_counted("proxy_header", 1);
    fixture_stop(&f);
    tls_server_free(tls);
    test_cert_remove(&cert);
    fixture_init(&f);
}

/* ---- the prefix ---- */

static void test_prefix(void **state)
{
    (void)state;
    f.config.prefix = SLICE_LIT("/reg/x/");
    start_with((struct http_listener){.fd = -1});
    int fd = client(&f);
    struct reply r;
    expect_reply(fd, "GET /reg/x/v2/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, &r);
    assert_string_equal(reply_field(&r, "Docker-Distribution-Api-Version"), "registry/2.0");
    reply_free(&r);
    expect_who(fd, "/reg/x/who?a=b", "", " prefix=/reg/x path=/who ");
    expect_who(fd, "http://b.example/reg/x/who", "", " host=b.example prefix=/reg/x path=/who ");
    expect_who(fd, "/reg/x/", "", " prefix=/reg/x path=/ ");
    expect_who(fd, "/", "", " prefix= path=/ ");
    static const char *const missing[] = {"/v2/",     "/who",        "/reg/x",       "/reg/xwho",
                                          "/reg//x/", "/reg/x//who", "/reg/x/x/who", "/REG/x/who"};
    for (size_t i = 0; i < ARRAY_LEN(missing); i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", missing[i]);
        expect_reply(fd, text, 404, &r);
        reply_free(&r);
    }
    expect_reply(fd, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, &r);
    reply_free(&r);
    expect_reply(fd, "OPTIONS /reg/x/v2/echo/1 HTTP/1.1\r\nHost: a\r\n\r\n", 200, &r);
    assert_string_equal(reply_field(&r, "Allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    reply_free(&r);
    expect_reply(fd, "POST /reg/x/v2/echo/1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, &r);
    reply_free(&r);
    close(fd);
    char *log = fixture_log(&f);
    assert_non_null(strstr(log, "\"path\":\"/reg/x/who\"")); /* as it was sent */
    assert_non_null(strstr(log, "\"path\":\"/REG/x/who\""));
    free(log);
}

static void test_prefix_is_for_some_sites(void **state)
{
    (void)state;
    f.config.prefix = SLICE_LIT("/reg/");
    struct error err;
    char *bound = NULL;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &debug_site, &bound, &err), 0);
    http_server_set_headers(f.server, SLICE_LIT("X-A: 1\r\n"));
    f.port = (int)strtol(strrchr(bound, ':') + 1, NULL, 10);
    free(bound);
    fixture_run(&f);
    struct reply r;
    ask(&f, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 200);
    assert_null(reply_field(&r, "X-A"));
    reply_free(&r);
}

static void test_root_prefix(void **state)
{
    (void)state;
    f.config.prefix = SLICE_LIT("/");
    start_with((struct http_listener){.fd = -1});
    int fd = client(&f);
    expect_who(fd, "/who", "", " prefix= path=/who ");
    close(fd);
}

/* ---- response headers ---- */

static unsigned times(const struct reply *r, const char *name)
{
    unsigned n = 0;
    char line[64];
    (void)snprintf(line, sizeof line, "\r\n%s:", name);
    for (const char *at = r->head; (at = strcasestr(at, line)); at++)
        n++;
    return n;
}

static void test_headers(void **state)
{
    (void)state;
    start_with((struct http_listener){.fd = -1});
    http_server_set_headers(
        f.server,
        SLICE_LIT("Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
                  "x-content-type-options: other\r\nX-Echo: configured\r\nx-ready: mine\r\n"
                  "X-Two: 1\r\nX-Two: 2\r\nretry-after: 9\r\n"
                  "docker-distribution-api-version: registry/9\r\n"
                  /* what is not to be set, or is no field */
                  "Content-Length: 1\r\ncontent-type: a/b\r\nDate: x\r\nConnection: close\r\n"
                  "Transfer-Encoding: chunked\r\nX-Request-Id: 1\r\netag: \"mine\"\r\n"
                  "WWW-Authenticate: Custom\r\nLOCATION: /mine\r\nNo colon\r\n: empty\r\n"
                  "Bad name: 1\r\nX-Control: a\x01\r\n\r\nX-Cut: 1"));
    int fd = client(&f);
    struct reply r;
    expect_reply(fd, "GET /v2/echo/1 HTTP/1.1\r\nHost: a\r\nX-Echo: own\r\n\r\n", 200, &r);
    assert_string_equal(reply_field(&r, "Strict-Transport-Security"),
                        "max-age=31536000; includeSubDomains");
    assert_string_equal(reply_field(&r, "X-Content-Type-Options"), "other");
    assert_string_equal(reply_field(&r, "X-Echo"), "configured");
    assert_string_equal(reply_field(&r, "Content-Type"), "text/plain");
    assert_string_equal(reply_field(&r, "Docker-Distribution-Api-Version"), "registry/9");
    static const char *const once[] = {"X-Content-Type-Options",
                                       "X-Echo",
                                       "Docker-Distribution-Api-Version",
                                       "Content-Length",
                                       "Content-Type",
                                       "Date",
                                       "X-Request-Id"};
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        assert_int_equal(times(&r, once[i]), 1);
    assert_int_equal(times(&r, "X-Two"), 2);
    static const char *const never[] = {
        "Connection", "Transfer-Encoding", "No colon", "Bad name", "X-Control", "X-Cut", "\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(never) - 1; i++)
        assert_int_equal(times(&r, never[i]), 0);
    reply_free(&r);
    /* Ready-made lines of a handler, errors of matched routes, 405, OPTIONS. */
    expect_reply(fd, "GET /shared HTTP/1.1\r\nHost: a\r\n\r\n", 200, &r);
    assert_string_equal(reply_field(&r, "X-Ready"), "mine");
    assert_int_equal(times(&r, "X-Ready"), 1);
    assert_string_equal(reply_field(&r, "ETag"), "\"x\"");
    assert_int_equal(times(&r, "ETag"), 1);
    assert_int_equal(times(&r, "Location"), 0);
    reply_free(&r);
    expect_reply(fd, "GET /error HTTP/1.1\r\nHost: a\r\n\r\n", 404, &r);
    assert_int_equal(times(&r, "X-Two"), 2);
    reply_free(&r);
    expect_reply(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Auth: deny\r\n\r\n", 401, &r);
    assert_string_equal(reply_field(&r, "WWW-Authenticate"), "Basic realm=\"test\"");
    assert_int_equal(times(&r, "WWW-Authenticate"), 1);
    reply_free(&r);
    expect_reply(fd, "POST /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", 405, &r);
    assert_int_equal(times(&r, "X-Two"), 2);
    reply_free(&r);
    expect_reply(fd, "OPTIONS /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, &r);
    assert_int_equal(times(&r, "X-Two"), 2);
    reply_free(&r);
    expect_reply(fd, "GET /status/503 HTTP/1.1\r\nHost: a\r\n\r\n", 503, &r);
    assert_int_equal(times(&r, "Retry-After"), 1);
    reply_free(&r);
    /* No route: nobody's. */
    expect_reply(fd, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404, &r);
    assert_int_equal(times(&r, "X-Two"), 0);
    reply_free(&r);
    /* Replaced and taken away, also while a request waits with the old ones. */
    send_text(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&f.entered, 1);
    http_server_set_headers(f.server, SLICE_LIT("X-Content-Type-Options: nosniff\r\n"));
    struct reply other;
    ask(&f, "GET /v2/echo/1 HTTP/1.1\r\nHost: a\r\nX-Echo: own\r\n\r\n", &other);
    assert_int_equal(times(&other, "X-Content-Type-Options"), 1);
    assert_string_equal(reply_field(&other, "X-Echo"), "own");
    reply_free(&other);
    (void)sem_post(&f.gate);
    receive(fd, &r, false);
    assert_int_equal(times(&r, "X-Two"), 2);
    reply_free(&r);
    http_server_set_headers(f.server, SLICE_NONE);
    expect_reply(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, &r);
    assert_string_equal(reply_field(&r, "X-Content-Type-Options"), "nosniff");
    reply_free(&r);
    close(fd);
}

/* ---- limits ---- */

static void *change(void *arg)
{
    struct http_limits l = f.config.limits;
    for (unsigned i = 0; i < 200; i++) {
        l.buffer_min = 4096U << (i % 3);
        l.buffer_max = 65536U << (i % 3);
        l.connections_per_ip = i % 2 ? 0 : 1000;
        http_server_set_limits(f.server, &l);
        char text[64];
        http_server_set_headers(
            f.server, slice_make(text, (size_t)snprintf(text, sizeof text, "X-N: %u\r\n", i)));
        sleep_ms(1);
    }
    return arg;
}

static void test_changes_while_uploads_run(void **state)
{
    (void)state;
    f.config.limits.body_memory_max = 1 << 20;
    start_with((struct http_listener){.fd = -1});
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, change, NULL), 0);
    enum { BYTES = 300000 };
    char *body = xcalloc(1, BYTES);
    for (int i = 0; i < 40; i++) {
        int fd = client(&f);
        char text[128];
        (void)snprintf(text, sizeof text,
                       "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BYTES);
        send_text(fd, text);
        send_all(fd, body, BYTES);
        struct reply r;
        receive(fd, &r, false);
        assert_int_equal(r.status, 200);
        assert_int_equal(strtoull(r.body, NULL, 10), BYTES);
        reply_free(&r);
        close(fd);
    }
    free(body);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* A timer that runs keeps its time, and what came is held against that, not against a longer one
 * which was set meanwhile. */
static void test_a_longer_time_cuts_nobody_off(void **state)
{
    (void)state;
    f.config.loops = 1;
    f.config.limits.read_stall_ms = 800;
    f.config.limits.read_min_rate = 100;
    start_with((struct http_listener){.fd = -1});
    int fd = client(&f);
    send_text(fd, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1200\r\n\r\n");
    for (int i = 0; i < 60; i++) { /* ten times as fast as it has to be */
        struct http_limits l = f.config.limits;
        l.read_stall_ms = 60000;
        if (i == 5)
            http_server_set_limits(f.server, &l);
        send_text(fd, "01234567890123456789");
        sleep_ms(20);
    }
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    close(fd);
}

static void test_limits(void **state)
{
    (void)state;
    f.config.loops = 1;
    start_with((struct http_listener){.fd = -1});
    int fd = client(&f), other;
    expect_who(fd, "/who", "", "peer=");
    struct http_limits l = f.config.limits;
    l.connections_max = 1;
    l.idle_timeout_ms = 50;
    l.buffer_min = 0; /* left as it is */
    http_server_set_limits(f.server, &l);
    other = client(&f);
    struct reply r;
    receive(other, &r, false);
    assert_int_equal(r.status, 503);
    assert_int_equal(strlen(reply_field(&r, "X-Request-Id")), 24);
    reply_free(&r);
    close(other);
    expect_who(fd, "/who", "", "peer="); /* it is there already */
    assert_true(closed_by_peer(fd));     /* and waits no longer than it may now */
    close(fd);
    l.connections_max = 0;
    l.idle_timeout_ms = 10000;
    l.connections_per_ip = 1;
    http_server_set_limits(f.server, &l);
    for (int i = 0;; i++) {
        fd = client(&f);
        send_text(fd, "GET /who HTTP/1.1\r\nHost: a\r\n\r\n");
        receive(fd, &r, false);
        reply_free(&r);
        if (r.status == 200 || i == 1000)
            break;
        close(fd);
        sleep_ms(1);
    }
    assert_int_equal(r.status, 200);
    other = client(&f);
    receive(other, &r, false);
    assert_int_equal(r.status, 503);
    reply_free(&r);
    close(other);
    close(fd);
    char *body = xcalloc(1, 100000);
    fd = client(&f);
    send_text(fd, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    send_all(fd, body, 100000);
    free(body);
    close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_forwarded_fields),
        T(test_nobody_is_believed),
        T(test_a_unix_peer),
        T(test_the_limit_for_an_address),
        T(test_proxy_headers),
        T(test_proxy_headers_that_fail),
        T(test_proxies_that_are_not_ours),
        T(test_proxy_header_before_tls),
        T(test_prefix),
        T(test_prefix_is_for_some_sites),
        T(test_root_prefix),
        T(test_headers),
        T(test_changes_while_uploads_run),
        T(test_a_longer_time_cuts_nobody_off),
        T(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
