/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that end: clients that leave, time-outs, limits, drain and stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "http/engine_int.h"

#include "base/banned.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static const char slow[] = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
static const char base[] = "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n";

static void expect_base(int fd)
{
    struct reply r;
    send_text(fd, base);
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "base");
    reply_free(&r);
}

static void still_serves(void)
{
    int fd = client(&f);
    expect_base(fd);
    close(fd);
}

static void hang_up(int fd, bool reset)
{
    if (reset) {
        struct linger l = {1, 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(fd);
}

static void wait_log(const char *what)
{
    for (int i = 0; i < 10000; i++) {
        char *log = fixture_log(&f);
        bool found = strstr(log, what);
        free(log);
        if (found)
            return;
        sleep_ms(1);
    }
    fail_msg("%s is not in the log", what);
}

static void test_client_leaves_during_a_step(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = client(&f);
    send_text(fd, slow);
    wait_for(&f.entered, 1);
    hang_up(fd,
            true); /* without a reset it could be one that still reads: see test_server_abuse.c */
    wait_connections(&f, 0);
    sem_post(&f.gate);
    wait_for(&f.dead_seen, 1);
    wait_log("\"status\":499");
    assert_int_equal(atomic_load(&f.destroyed), 0); /* the step after it was not run */
    still_serves();
}

static void wait_depth(enum pool_id pool, unsigned n)
{
    for (int i = 0; i < 10000 && pool_depth(f.config.pools[pool]) < n; i++)
        sleep_ms(1);
    assert_true(pool_depth(f.config.pools[pool]) >= n);
}

/* Its step waits for a thread meanwhile: nobody needs what it would read, and those behind it wait;
 * what it changes is changed. */
static void leaves_before_a_step(const char *request, unsigned runs)
{
    struct error err;
    pool_free(f.config.pools[POOL_IO]);
    assert_int_equal(pool_new("one", 1, 8, &f.config.pools[POOL_IO], &err), 0);
    fixture_start(&f);
    int first = client(&f), gone = client(&f), last = client(&f);
    send_text(first, slow);
    wait_for(&f.entered, 1);
    send_text(gone, request);
    wait_depth(POOL_IO, 1);
    wait_connections(&f, 3);
    send_text(last, "GET /v2/file?n=3 HTTP/1.1\r\nHost: a\r\n\r\n");
    hang_up(gone, true);
    wait_connections(&f, 2);
    sem_post(&f.gate); /* for the first */
    for (unsigned i = 0; i < runs; i++)
        sem_post(&f.gate);
    struct reply r;
    receive(last, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    wait_log("\"status\":499");
    assert_int_equal(atomic_load(&f.entered), 1 + runs);
    receive(first, &r, false);
    assert_string_equal(r.body, "slow");
    reply_free(&r);
    close(first);
    close(last);
}

static void test_client_leaves_before_a_step(void **state)
{
    (void)state;
    leaves_before_a_step(slow, 0);
}

static void test_client_leaves_before_a_change(void **state)
{
    (void)state;
    leaves_before_a_step("DELETE /slow HTTP/1.1\r\nHost: a\r\n\r\n", 1);
}

/* A login that was begun counts as failed until its end is told. */
static void test_client_leaves_before_a_login(void **state)
{
    (void)state;
    static const char login[] = "GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Auth: pool-slow\r\n\r\n";
    struct error err;
    pool_free(f.config.pools[POOL_AUTH]);
    assert_int_equal(pool_new("one", 1, 8, &f.config.pools[POOL_AUTH], &err), 0);
    fixture_start(&f);
    int first = client(&f), gone = client(&f);
    send_text(first, login);
    wait_for(&f.entered, 1);
    send_text(gone, login);
    wait_depth(POOL_AUTH, 1);
    hang_up(gone, true);
    wait_connections(&f, 1);
    sem_post(&f.gate);
    sem_post(&f.gate);
    wait_for(&f.entered, 2);
    struct reply r;
    receive(first, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    close(first);
}

static void test_client_leaves_in_a_download(void **state)
{
    (void)state;
    fixture_start(&f);
    for (int i = 0; i < 2; i++) {
        int fd = client(&f);
        send_text(fd, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
        char c[100];
        assert_true(recv(fd, c, sizeof c, MSG_WAITALL) == sizeof c);
        hang_up(fd, i == 1);
    }
    wait_log("\"cause\":\"the client left while the response was being sent\"");
    still_serves();
}

static void test_half_closed_download(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = client(&f);
    send_text(fd, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    char first;
    assert_int_equal(recv(fd, &first, 1, MSG_PEEK), 1); /* the response is on its way */
    shutdown(fd, SHUT_WR);                              /* sends no more, but reads on */
    sleep_ms(20);
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.n, FILE_BYTES);
    reply_free(&r);
    assert_true(closed_by_peer(fd));
    close(fd);
}

static void cut(const char *script, bool reset)
{
    size_t n = strlen(script);
    for (size_t i = 0; i <= n; i++) {
        int fd = client(&f);
        send_all(fd, script, i);
        if (i % 3 == 0)
            sleep_ms(1);
        hang_up(fd, reset);
    }
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    f.config.limits.buffer_min = 8;
    f.config.limits.buffer_max = 32;
    f.config.limits.flush_ms = 1;
    fixture_start(&f);
    for (int i = 0; i < 64; i++)
        sem_post(&f.gate);
    static const char *const scripts[] = {
        "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n"
        "0123456789012345678901234567890123456789012345678901234567890"
        "GET /v2/ HTTP/1.1\r\n",
        "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "10;e=1\r\n0123456789abcdef\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\nGET /v2/ HTTP/1.1\r\n",
        "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "10\r\n0123456789abcdef\r\n0\r\n\r\nDELETE /v2/echo/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n"
        "Expect: 100-continue\r\n\r\n01234567890123456789",
        "GET /cached HTTP/1.1\r\nHost: a\r\nX-Auth: pool\r\n\r\nOPTIONS * HTTP/1.1\r\n"
        "Host: a\r\n\r\nHEAD /shared HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        cut(scripts[i], false);
        cut(scripts[i], true);
    }
    still_serves();
}

static void test_pool_full(void **state)
{
    (void)state;
    struct error err;
    pool_free(f.config.pools[POOL_IO]);
    assert_int_equal(pool_new("one", 1, 1, &f.config.pools[POOL_IO], &err), 0);
    fixture_start(&f);
    int a = client(&f), b = client(&f), c = client(&f);
    send_text(a, slow);
    wait_for(&f.entered, 1);
    send_text(b, slow);
    wait_depth(POOL_IO, 1);
    struct reply r;
    send_text(c, slow);
    receive(c, &r, false);
    assert_int_equal(r.status, 503);
    assert_string_equal(reply_field(&r, "Retry-After"), "1");
    assert_non_null(strstr(r.body, "\"code\":\"UNAVAILABLE\""));
    assert_null(reply_field(&r, "Connection"));
    reply_free(&r);
    expect_base(c);
    sem_post(&f.gate);
    sem_post(&f.gate);
    receive(a, &r, false);
    assert_string_equal(r.body, "slow");
    reply_free(&r);
    receive(b, &r, false);
    assert_string_equal(r.body, "slow");
    reply_free(&r);
    close(a);
    close(b);
    close(c);
}

/* ---- time-outs ---- */

static void expect_408(int fd)
{
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, 408);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    close(fd);
}

/* The times are long enough for a client that waits for a processor; so all run out together. */
static void test_timeouts(void **state)
{
    (void)state;
    f.config.limits.head_timeout_ms = 1000;
    f.config.limits.idle_timeout_ms = 1200;
    f.config.limits.read_stall_ms = 1000;
    fixture_start(&f);
    int silent = client(&f); /* never sends anything */
    int idle = client(&f);   /* idle after a request */
    expect_base(idle);
    static const char *const stalled[] = {
        "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234",
        "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234",
    };
    int fds[ARRAY_LEN(stalled)];
    for (size_t i = 0; i < ARRAY_LEN(stalled); i++) {
        fds[i] = client(&f);
        send_text(fds[i], stalled[i]);
    }
    int refused = client(&f); /* what is left of a body after the answer */
    struct reply r;
    send_text(refused, "PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234");
    receive(refused, &r, false);
    assert_int_equal(r.status, 401);
    reply_free(&r);
    int half = client(&f); /* half a head; the time runs from its first byte */
    char c;
    send_text(half, "GET /");
    for (int i = 0; i < 500 && recv(half, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++) {
        send_text(half, "A");
        sleep_ms(10);
    }
    expect_408(half);
    assert_true(closed_by_peer(silent));
    close(silent);
    assert_true(closed_by_peer(idle));
    close(idle);
    for (size_t i = 0; i < ARRAY_LEN(stalled); i++)
        expect_408(fds[i]);
    assert_true(closed_by_peer(refused));
    close(refused);
}

static void test_progress_is_no_stall(void **state)
{
    (void)state;
    f.config.limits.read_stall_ms = 600;
    f.config.limits.read_min_rate = 1;
    f.config.limits.flush_ms = 10;
    fixture_start(&f);
    int fd = client(&f);
    send_text(fd, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 10; i++) { /* longer than the limit in all */
        send_text(fd, "x");
        sleep_ms(70);
    }
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    /* A sink that takes long is our stall, not the client's. */
    atomic_store(&f.sink_delay_ms, 800);
    send_text(fd, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    reply_free(&r);
    close(fd);
}

static int unconnected(struct sockaddr_in *in)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval tv = {10, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port)};
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd;
}

static void test_slow_reader(void **state)
{
    (void)state;
    f.config.limits.write_stall_ms = 1000;
    fixture_start(&f);
    struct sockaddr_in in;
    int fd = unconnected(&in), n_buf = 32 * 1024;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n_buf, sizeof n_buf);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    send_text(fd, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    char *p = malloc(65536);
    size_t n = 0;
    for (int i = 0; i < 60; i++) { /* slow for longer than the limit, but it goes on */
        ssize_t got = recv(fd, p, 4096, 0);
        assert_true(got > 0);
        n += (size_t)got;
        sleep_ms(20);
    }
    for (;;) {
        ssize_t got = recv(fd, p, 65536, 0);
        assert_true(got > 0);
        n += (size_t)got;
        if (n > FILE_BYTES)
            break;
    }
    close(fd);
    /* One that does not read at all is cut off. */
    fd = unconnected(&in);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n_buf, sizeof n_buf);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    send_text(fd, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_log("\"cause\":\"the client left while the response was being sent\"");
    close(fd);
    free(p);
    still_serves();
}

/* ---- limits ---- */

static void expect_busy(int fd)
{
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, 503);
    assert_string_equal(reply_field(&r, "Retry-After"), "1");
    assert_string_equal(reply_field(&r, "Connection"), "close");
    assert_int_equal(r.body[r.n - 1], '\n');
    reply_free(&r);
    assert_true(closed_by_peer(fd));
    close(fd);
}

static void expect_metric(const char *line)
{
    for (int i = 0; i < 10000; i++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 1 << 20);
        assert_int_equal(metrics_print(f.metrics, &b), 0);
        if (strstr(b.p, line))
            return;
        sleep_ms(1);
    }
    fail_msg("no metric %s", line);
}

static void limit_holds(const char *metric)
{
    int a = client(&f), b = client(&f);
    expect_base(a);
    expect_base(b);
    int c = client(&f);
    expect_busy(c);
    expect_metric(metric);
    close(a);
    expect_metric("berth_http_connections 1\n");
    c = client(&f);
    expect_base(c);
    close(b);
    close(c);
}

static void test_connections_max(void **state)
{
    (void)state;
    f.config.limits.connections_max = 2;
    fixture_start(&f);
    limit_holds("berth_http_rejected_total{reason=\"connections_max\"} 1\n");
}

static void test_connections_per_ip(void **state)
{
    (void)state;
    f.config.limits.connections_per_ip = 2;
    fixture_start(&f);
    limit_holds("berth_http_rejected_total{reason=\"connections_per_ip\"} 1\n");
}

/* No descriptor can be made any more; returns the limit to restore. */
static rlim_t no_more_fds(void)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    rlim_t old = r.rlim_cur;
    int next = dup(0);
    close(next);
    r.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
    return old;
}

static void restore_fds(rlim_t old)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    r.rlim_cur = old;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static void test_no_descriptors(void **state)
{
    (void)state;
    f.config.loops = 1;
    fixture_start(&f);
    struct sockaddr_in in;
    int fd = unconnected(&in);
    rlim_t old = no_more_fds();
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    expect_busy(fd);
    restore_fds(old);
    expect_metric("berth_http_rejected_total{reason=\"descriptors\"} 1\n");
    /* An accept that found no descriptor may be on its way still: it takes one more. */
    struct reply r = {0};
    for (int i = 0; i < 100 && r.status != 200; i++) {
        ask(&f, base, &r);
        reply_free(&r);
    }
    assert_int_equal(r.status, 200);
    still_serves();
}

static void test_no_descriptors_and_no_reserve(void **state)
{
    (void)state;
    struct error err;
    f.config.loops = 1;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    util_closep(&f.server->loops[0].reserve);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &test_site, &f.bound, &err), 0);
    f.port = (int)strtol(strchr(f.bound, ':') + 1, NULL, 10);
    fixture_run(&f);
    struct sockaddr_in in;
    int fd = unconnected(&in);
    wait_for(&f.locals, 1);
    rlim_t old = no_more_fds();
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    for (int i = 0; i < 10000 && metric_value(f.server->m.rejected_fds) == 0; i++)
        sleep_ms(1); /* it is tried again in a while, so it may be more than one */
    assert_true(metric_value(f.server->m.rejected_fds) > 0);
    restore_fds(old);
    expect_base(fd); /* the listener was paused, and the client had to wait */
    close(fd);
    assert_true(f.server->loops[0].reserve >= 0);
}

/* ---- drain and stop ---- */

static bool refused(void)
{
    struct sockaddr_in in;
    int fd = unconnected(&in);
    bool no = connect(fd, (struct sockaddr *)&in, sizeof in) != 0;
    close(fd);
    return no;
}

static void test_drain(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    CLEANUP_FREE char *debug = NULL;
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &test_site, &f.bound, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &debug_site, &debug, &err), 0);
    f.port = (int)strtol(strchr(f.bound, ':') + 1, NULL, 10);
    fixture_run(&f);
    int idle = client(&f), busy = client(&f), half = client(&f), upload = client(&f);
    static const char begun[] = "GET /v2/ HTTP/1.1\r\n";
    static const char put[] = "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12";
    int64_t received = (int64_t)(strlen(base) + strlen(slow) + strlen(begun) + strlen(put));
    expect_base(idle);
    send_text(busy, slow);
    send_text(half, begun);
    send_text(upload, put);
    wait_for(&f.entered, 1);
    assert_false(http_server_draining(f.server));
    wait_received(&f, received); /* else a connection is an idle one, which is closed */
    http_server_drain(f.server);
    http_server_drain(f.server); /* once is enough */
    assert_true(http_server_draining(f.server));
    assert_true(closed_by_peer(idle));
    for (int i = 0; i < 10000 && !refused(); i++)
        sleep_ms(1);
    assert_true(refused());

    int port = f.port; /* the debug listener goes on */
    f.port = (int)strtol(strchr(debug, ':') + 1, NULL, 10);
    int dbg = client(&f);
    expect_base(dbg);
    expect_base(dbg);
    f.port = port;

    struct reply r;
    send_text(half, "Host: a\r\n\r\n");
    receive(half, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    send_text(upload, "34");
    receive(upload, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    sem_post(&f.gate);
    receive(busy, &r, false);
    assert_string_equal(r.body, "slow");
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    fixture_join(&f); /* returns by itself, although the debug connection is open */
    assert_true(closed_by_peer(dbg));
    close(idle);
    close(busy);
    close(half);
    close(upload);
    close(dbg);
}

static void test_drain_serves_the_queue(void **state)
{
    (void)state;
    struct error err;
    f.config.loops = 1;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &test_site, &f.bound, &err), 0);
    f.port = (int)strtol(strchr(f.bound, ':') + 1, NULL, 10);
    int fd = client(&f), silent = client(&f);
    send_text(fd, base);
    http_server_drain(f.server);
    fixture_run(&f);
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    fixture_join(&f); /* the silent one does not hold it up for long */
    close(fd);
    close(silent);
}

static void test_stop_waits_for_steps(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = client(&f), up = client(&f);
    send_text(fd, slow);
    atomic_store(&f.sink_delay_ms, 50);
    send_text(up, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n1234");
    wait_for(&f.entered, 1);
    http_server_stop(f.server);
    assert_true(closed_by_peer(fd));
    assert_true(closed_by_peer(up));
    sem_post(&f.gate);
    fixture_join(&f);
    assert_int_equal(atomic_load(&f.dead_seen), 1);
    close(fd);
    close(up);
}

static void test_stop_before_run(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &test_site, NULL, &err), 0);
    http_server_stop(f.server);
    fixture_run(&f);
    fixture_join(&f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_client_leaves_during_a_step),
        T(test_client_leaves_before_a_step),
        T(test_client_leaves_before_a_change),
        T(test_client_leaves_before_a_login),
        T(test_client_leaves_in_a_download),
        T(test_half_closed_download),
        T(test_cut_at_every_byte),
        T(test_pool_full),
        T(test_timeouts),
        T(test_progress_is_no_stall),
        T(test_slow_reader),
        T(test_connections_max),
        T(test_connections_per_ip),
        T(test_no_descriptors),
        T(test_no_descriptors_and_no_reserve),
        T(test_drain),
        T(test_drain_serves_the_queue),
        T(test_stop_waits_for_steps),
        T(test_stop_before_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
