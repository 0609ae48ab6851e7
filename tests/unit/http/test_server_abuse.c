/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that mean harm, or are broken in a way that does some. Each test is a finding of a
 * review. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "os/fault.h"

#include "base/banned.h"

static struct fixture f;
static atomic_uint on_loops, on_loops_incomplete, on_loop_status;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.config.loops = 1;
    f.config.log = f.log;
    atomic_store(&on_loops, 0);
    atomic_store(&on_loops_incomplete, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void expect(int fd, int status, const char *body)
{
    struct reply r;
    receive(fd, &r, false);
    assert_int_equal(r.status, status);
    if (body)
        assert_string_equal(r.body, body);
    reply_free(&r);
}

static void still_serves(void)
{
    int fd = client(&f);
    send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(fd, 200, "base");
    close(fd);
}

static void wait_log(const char *what)
{
    for (int i = 0; i < 5000; i++) {
        CLEANUP_FREE char *log = fixture_log(&f);
        if (strstr(log, what))
            return;
        sleep_ms(1);
    }
    CLEANUP_FREE char *log = fixture_log(&f);
    fail_msg("not logged: %s\n%s", what, log);
}

static void start_with(const struct http_site *site)
{
    struct error err;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", site, &f.bound, &err), 0);
    f.port = (int)strtol(strrchr(f.bound, ':') + 1, NULL, 10);
    fixture_run(&f);
}

/* ---- bodies ---- */

/* The read that makes the body too large also brings its end and the next request. The first
 * request ends in there, and the next one may get its memory. */
static void test_a_refused_body_ends_with_the_next_request(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST /drop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    static const char *const next[] = {
        "\r\n0\r\n\r\nDELETE /v2/echo/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n0\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n0\r\n\r\nPUT /v2/echo/y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbase",
    };
    fixture_start(&f);
    char *x = malloc(0xf000);
    memset(x, 'x', 0xf000);
    for (size_t k = 0; k < ARRAY_LEN(heads) * ARRAY_LEN(next); k++) {
        int fd = client(&f);
        send_text(fd, heads[k / ARRAY_LEN(next)]);
        if (k < ARRAY_LEN(next)) {
            sleep_ms(20);
            send_text(fd, "F000\r\n");
            send_all(fd, x, 0xf000);
            send_text(fd, "\r\n");
        }
        sleep_ms(50); /* all that was sent is taken: what follows comes in one read */
        char last[0x2200];
        int n = snprintf(last, sizeof last, "2000\r\n%.*s%s", 0x2000, x, next[k % ARRAY_LEN(next)]);
        send_all(fd, last, (size_t)n);
        expect(fd, 413, NULL);
        expect(fd, 200, "base");
        close(fd);
    }
    free(x);
    still_serves();
}

static void test_bodies_have_a_budget(void **state)
{
    (void)state;
    f.config.limits.body_memory_max = 64 * 1024;
    fixture_start(&f);
    char *p = malloc(200 * 1024);
    memset(p, 'x', 200 * 1024);
    /* A length that was announced takes nothing: what has come does. */
    int waiting[8];
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
        waiting[i] = client(&f);
        send_text(waiting[i],
                  "PUT /v2/manifest HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    }
    sleep_ms(20);
    int first = client(&f), second = client(&f);
    send_text(first, "PUT /v2/manifest HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
    send_all(first, p, 39999);
    for (int i = 0; i < 10000 && atomic_load(&f.server->memory.used) < 40000; i++)
        sleep_ms(1);
    struct reply r;
    send_text(second, "PUT /v2/manifest HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
    send_all(second, p, 40000);
    receive(second, &r, false);
    assert_int_equal(r.status, 503);
    assert_string_equal(reply_field(&r, "Retry-After"), "1");
    reply_free(&r);
    send_text(second, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"); /* the connection goes on */
    expect(second, 200, "base");
    wait_log("\"level\":\"warning\",\"msg\":\"request failed\"");
    /* Uploads go on with small buffers. */
    int up = client(&f);
    send_text(up, "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 204800\r\n\r\n");
    send_all(up, p, 200 * 1024);
    expect(up, 200, NULL);
    close(up);
    send_text(first, "x");
    expect(first, 200, NULL);
    /* And all of it comes back. */
    close(first);
    close(second);
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
        close(waiting[i]);
    for (int i = 0; i < 5000 && atomic_load(&f.server->memory.used); i++)
        sleep_ms(1);
    assert_int_equal(atomic_load(&f.server->memory.used), 0);
    free(p);
}

static void test_a_body_has_a_least_rate(void **state)
{
    (void)state;
    f.config.limits.read_stall_ms = 800;
    f.config.limits.read_min_rate = 100; /* 80 bytes in that time */
    fixture_start(&f);
    static const char *const heads[] = {
        "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n",
        "PUT /v2/manifest HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n",
    };
    int slow[ARRAY_LEN(heads)], fast[ARRAY_LEN(heads)];
    for (size_t k = 0; k < ARRAY_LEN(heads); k++) {
        slow[k] = client(&f);
        send_text(slow[k], heads[k]);
        fast[k] = client(&f);
        send_text(fast[k], heads[k]);
    }
    double start = now();
    for (int i = 0; i < 100; i++) {
        for (size_t k = 0; k < ARRAY_LEN(heads); k++) {
            char c;
            if (i % 3 == 0 && recv(slow[k], &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
                send_text(slow[k], "x");
            /* Ten times as fast is fast enough, for as long as it takes. */
            send_text(fast[k], "01234567890123456789");
        }
        sleep_ms(15);
    }
    for (size_t k = 0; k < ARRAY_LEN(heads); k++) {
        expect(slow[k], 408, NULL);
        close(slow[k]);
        expect(fast[k], 200, NULL);
        close(fast[k]);
    }
    assert_true(now() - start < 8);
}

/* What is left of a body after its answer may take a while, but not one byte at a time for ever. */
static void test_what_is_dropped_has_a_time_in_all(void **state)
{
    (void)state;
    f.config.limits.read_stall_ms = 300;
    fixture_start(&f);
    int fd = client(&f);
    send_text(fd, "PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    expect(fd, 401, NULL);
    double start = now();
    char c;
    while (now() - start < 5 && recv(fd, &c, 1, MSG_DONTWAIT) < 0 && send(fd, "x", 1, MSG_NOSIGNAL))
        sleep_ms(20);
    assert_true(now() - start < 3);
    close(fd);
}

/* Closing with unread input would reset the connection, and with it an answer that is on its way.
 */
static void test_who_is_refused_may_go_on_sending(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {"PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 401},
        {"GET /v2/ HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n", 400},
        {"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET", 200},
    };
    fixture_start(&f);
    int64_t received = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = client(&f);
        send_text(fd, rows[i].request);
        expect(fd, rows[i].status, NULL);
        assert_true(closed_by_peer(fd));
        send_text(fd, "more");
        received += (int64_t)strlen(rows[i].request) + 4;
        wait_received(&f, received);
        close(fd);
    }
}

/* ---- the end ---- */

static void test_a_dripping_body_does_not_hold_a_drain_up(void **state)
{
    (void)state;
    fixture_start(&f);
    static const char refused[] =
        "PUT /v2/refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    static const char taken[] = "PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    int before = client(&f), during = client(&f);
    send_text(before, refused);
    expect(before, 401, NULL);
    send_text(during, taken);
    wait_received(&f, (int64_t)(strlen(refused) + strlen(taken))); /* else it is an idle one */
    http_server_drain(f.server);
    assert_true(closed_by_peer(before)); /* it lingers: the client may still be sending */
    send_text(before, "x");
    close(before);
    atomic_store(&f.sink_fails, true);
    send_text(during, "x");
    expect(during, 507, NULL);
    assert_true(closed_by_peer(during));
    close(during);
    double start = now();
    fixture_join(&f);
    assert_true(now() - start < 8);
}

static enum step h_blocked(struct request *r);

static const struct route blocked_rows[] = {
    {"blocked", HTTP_PUT, "/blocked", 0, BODY_STREAM, 0, POOL_LOOP, h_blocked, NULL}};
static const struct http_site blocked_site = {"blocked", blocked_rows, 1, true, false};

static atomic_uint not_written;

static ssize_t nothing(struct filter *fl, const struct iovec *iov, int n, bool more)
{
    atomic_fetch_add(&not_written, 1);
    (void)fl;
    (void)iov;
    (void)n;
    (void)more;
    return FILTER_AGAIN;
}

static int blocked_write(struct request *r, const char *p, size_t n, struct error *err)
{
    (void)r;
    (void)p;
    (void)n;
    (void)err;
    return 0;
}

static enum step blocked_end(struct request *r)
{
    response_status(r, 200);
    return STEP_DONE;
}

static const struct sink blocked_sink = {POOL_IO, blocked_write};

/* A client whose receive window is closed before the 100, for good. */
static enum step h_blocked(struct request *r)
{
    static struct filter_ops ops; /* one connection in this test */
    struct filter *top = stream_of(r)->conn->top;
    ops = *top->ops;
    ops.writev = nothing;
    top->ops = &ops;
    return request_body(r, &blocked_sink, POOL_LOOP, blocked_end);
}

static void test_a_blocked_100_has_a_time(void **state)
{
    (void)state;
    f.config.limits.write_stall_ms = 100;
    start_with(&blocked_site);
    int fd = client(&f);
    send_text(fd, "PUT /blocked HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                  "Content-Length: 2\r\n\r\n");
    wait_for(&not_written, 1); /* what comes with the head is not asked for */
    send_text(fd, "ab");
    assert_true(closed_by_peer(fd));
    close(fd);
}

/* A filter that has to see the bytes: the file is read into the memory where the rest of the input
 * may be. */
static enum step h_copied(struct request *r)
{
    static struct filter_ops ops;
    struct fixture *fx = r->app;
    struct filter *top = stream_of(r)->conn->top;
    if (top->ops != &ops) {
        ops = *top->ops;
        ops.sendfile = NULL;
        top->ops = &ops;
    }
    response_file(r, "x/y", fdref_new(dup(fx->file_fd), FILE_BYTES), 0, 100000);
    return STEP_DONE;
}

static void test_a_copied_file_leaves_the_input_alone(void **state)
{
    (void)state;
    static const struct route rows[] = {
        {"copied", HTTP_GET, "/copied", 0, BODY_NONE, 0, POOL_LOOP, h_copied, NULL}};
    static const struct http_site site = {"copied", rows, 1, true, false};
    start_with(&site);
    int fd = client(&f);
    send_text(fd, "GET /copied HTTP/1.1\r\nHost: a\r\n\r\n"
                  "GET /copied HTTP/1.1\r\nHost: a\r\n\r\n"
                  "GET /copied HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        struct reply r;
        receive(fd, &r, false);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.n, 100000);
        reply_free(&r);
    }
    close(fd);
}

static void test_a_drained_unix_socket_is_gone(void **state)
{
    (void)state;
    f.config.loops = 2;
    char address[80], dir[] = "/tmp/berth-test-unix-XXXXXX";
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address, sizeof address, "unix:%s/s", dir);
    struct error err;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, address, &test_site, NULL, &err), 0);
    fixture_run(&f);
    int fd = client_unix(address + 5);
    assert_true(fd >= 0);
    send_text(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&f.entered, 1);
    http_server_drain(f.server);
    int other = 0;
    for (int i = 0; i < 5000 && other >= 0; i++) {
        sleep_ms(1);
        other = client_unix(address + 5);
        if (other >= 0)
            (void)close(other);
    }
    assert_true(other < 0); /* although a request still runs */
    assert_int_equal(access(address + 5, F_OK), -1);
    sem_post(&f.gate);
    expect(fd, 200, "slow");
    close(fd);
    fixture_join(&f);
    http_server_unlink(f.server); /* nothing is left to do */
    assert_int_equal(rmdir(dir), 0);
}

static void test_unlink_for_a_sudden_end(void **state)
{
    (void)state;
    char address[80], dir[] = "/tmp/berth-test-unix-XXXXXX";
    assert_non_null(mkdtemp(dir));
    (void)snprintf(address, sizeof address, "unix:%s/s", dir);
    struct error err;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, address, &test_site, NULL, &err), 0);
    assert_int_equal(access(address + 5, F_OK), 0);
    http_server_unlink(f.server);
    assert_int_equal(access(address + 5, F_OK), -1);
    assert_int_equal(rmdir(dir), 0);
    fixture_run(&f);
}

/* ---- connections ---- */

static void test_a_site_with_a_limit_of_its_own(void **state)
{
    (void)state;
    static const struct route rows[] = {
        {"base", HTTP_GET, "/x", 0, BODY_NONE, 0, POOL_LOOP, blocked_end, NULL}};
    static const struct http_site own = {
        .name = "own", .routes = rows, .n = 1, .connections_max = 2};
    f.config.limits.connections_max = 1;
    struct error err;
    CLEANUP_FREE char *other = NULL;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &test_site, &f.bound, &err), 0);
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &own, &other, &err), 0);
    int port = (int)strtol(strrchr(f.bound, ':') + 1, NULL, 10);
    int other_port = (int)strtol(strrchr(other, ':') + 1, NULL, 10);
    fixture_run(&f);
    f.port = port;
    int a = client(&f), b = client(&f);
    expect(b, 503, NULL);
    f.port = other_port;
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client(&f);
        send_text(fds[i], "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        expect(fds[i], i < 2 ? 200 : 503, NULL);
    }
    close(fds[0]); /* it is given back to whom it was taken from */
    for (int i = 0, status = 0; status != 200; i++) {
        assert_true(i < 5000);
        sleep_ms(2);
        struct reply r;
        ask(&f, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &r);
        status = r.status;
        reply_free(&r);
    }
    f.port = port;
    int c = client(&f);
    expect(c, 503, NULL);
    close(a);
    close(b);
    close(c);
    close(fds[1]);
    close(fds[2]);
}

/* Shut down, a listening socket fails every accept and is hung up all the time. */
static void test_a_broken_listener_does_not_spin(void **state)
{
    (void)state;
    fixture_start(&f);
    still_serves();
    assert_int_equal(shutdown(f.server->loops[0].acceptors->io.fd, SHUT_RDWR), 0);
    sleep_ms(50);
    clock_t before = clock();
    sleep_ms(400);
    assert_true((double)(clock() - before) / CLOCKS_PER_SEC < 0.2);
}

static void test_a_half_closed_client_is_answered(void **state)
{
    (void)state;
    fixture_start(&f);
    int fd = client(&f);
    send_text(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
                  "DELETE /v2/echo/x HTTP/1.1\r\nHost: a\r\n\r\n"
                  "GET /v2/echo/last HTTP/1.1\r\nHost: a\r\n\r\nGET /half");
    wait_for(&f.entered, 1);
    shutdown(fd, SHUT_WR);
    sleep_ms(50);
    sem_post(&f.gate);
    expect(fd, 200, "slow");
    expect(fd, 200, "base");
    expect(fd, 200, "last");
    assert_true(closed_by_peer(fd));
    close(fd);
    /* The same when nothing has to be waited for. */
    fd = client(&f);
    send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    expect(fd, 200, "base");
    assert_true(closed_by_peer(fd));
    close(fd);
}

/* A pipeline that never ends leaves the others their turn, and loses nothing to a drain. */
static void test_long_pipelines_have_turns(void **state)
{
    (void)state;
    enum { N = 200 };
    fixture_start(&f);
    char all[N * 32];
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "GET /v2/ HTTP/1.1\r\nHost:a\r\n\r\n");
    int fd = client(&f);
    send_all(fd, all, n);
    http_server_drain(f.server);
    int answered = 0;
    for (;;) {
        struct reply r;
        receive(fd, &r, false);
        int status = r.status;
        bool last = status && reply_field(&r, "Connection");
        reply_free(&r);
        answered += status == 200;
        if (last || !status)
            break;
    }
    assert_true(answered > 0);
    assert_true(closed_by_peer(fd)); /* after an answer that said so */
    close(fd);
    fixture_join(&f);
}

/* ---- answers ---- */

static void test_no_body_for_a_malformed_head(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "HEAD /v2/ HTTP/1.1\r\n\r\n",                        /* no Host */
        "HEAD /v2/x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",   /* white space before the colon */
        "HEAD /v2/y HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", /* found by the scan */
        "HEAD /v2/z HTTP/2.0\r\nHost: a\r\n\r\n",
        "HEAD relative HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /v2/w HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
    };
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        int fd = client(&f);
        send_text(fd, heads[i]);
        shutdown(fd, SHUT_WR);
        char answer[4096];
        size_t n = 0;
        for (ssize_t got = 1; got > 0; n += got > 0 ? (size_t)got : 0)
            got = recv(fd, answer + n, sizeof answer - n - 1, 0);
        answer[n] = '\0';
        assert_true(n > 4);
        if (strncmp(answer, "HTTP/1.1 4", 10) != 0 && strncmp(answer, "HTTP/1.1 505", 12) != 0)
            fail_msg("%s: %s", heads[i], answer);
        assert_string_equal(answer + n - 4, "\r\n\r\n");
        assert_non_null(strstr(answer, "Content-Length: "));
        close(fd);
    }
    wait_log("\"method\":\"HEAD\",\"path\":\"/v2/x\"");
    wait_log("\"method\":\"HEAD\",\"path\":\"/v2/y\"");
    CLEANUP_FREE char *log = fixture_log(&f);
    assert_null(strstr(log, "request failed")); /* 505 is the client's mistake */
}

static void test_a_file_that_cannot_be_read_is_our_fault(void **state)
{
    (void)state;
    fixture_start(&f);
    struct reply r;
    ask(&f, "GET /v2/file?n=9999999 HTTP/1.1\r\nHost: a\r\n\r\n", &r); /* shorter than that */
    assert_int_equal(r.status, 0);
    reply_free(&r);
    wait_log("\"level\":\"error\",\"msg\":\"request failed\"");
    wait_log("\"path\":\"/v2/file\",\"status\":200,\"cause\":\"the file could not be read while it "
             "was being sent: the file is shorter than it was\"");
#if defined(BERTH_FAULT) && BERTH_FAULT
    assert_int_equal(fault_configure("net.sendfile=EIO"), 0);
    ask(&f, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(fault_configure(""), 0);
    assert_int_equal(r.status, 0);
    reply_free(&r);
    wait_log("while it was being sent: Input/output error\"");
#endif
    CLEANUP_FREE char *log = fixture_log(&f);
    assert_null(strstr(log, "the client left"));
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(metrics_print(f.metrics, &b), 0);
    assert_null(strstr(b.p, "berth_http_send_faults_total 0\n"));
    still_serves();
}

static void test_failures_are_logged_once(void **state)
{
    (void)state;
    f.config.access_log = NULL;
    fixture_start(&f);
    struct reply r;
    ask(&f, "GET /internal HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n", &r);
    assert_int_equal(r.status, 500);
    reply_free(&r);
    wait_log("\"level\":\"error\",\"msg\":\"request failed\",\"id\":\"mine\",\"method\":\"GET\","
             "\"path\":\"/internal\",\"status\":500,\"cause\":\"the secret place broke\"");
    ask(&f, "GET /error HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 404);
    reply_free(&r);
    CLEANUP_FREE char *log = fixture_log(&f);
    assert_null(strstr(log, "/error"));
    assert_ptr_equal(strstr(strstr(log, "request failed") + 1, "request failed"), NULL);
}

/* ---- on_loop ---- */

static void count_on_loop(struct request *r)
{
    atomic_fetch_add(&on_loops, 1);
    if (r->incomplete)
        atomic_fetch_add(&on_loops_incomplete, 1);
    atomic_store(&on_loop_status, (unsigned)r->resp.status);
}

static int full_write(struct request *r, const char *p, size_t n, struct error *err)
{
    (void)r;
    (void)n;
    return p[0] == '!' ? error_detail(err, ERR_NO_SPACE, "full") : 0;
}

static const struct sink full_sink = {POOL_IO, full_write};

static enum step h_on_loop(struct request *r)
{
    r->on_loop = count_on_loop;
    return request_body(r, &full_sink, POOL_IO, blocked_end);
}

static void expect_on_loop(const char *request, int status, bool incomplete)
{
    unsigned before = atomic_load(&on_loops), parts = atomic_load(&on_loops_incomplete);
    struct reply r;
    ask(&f, request, &r);
    assert_int_equal(r.status, status);
    reply_free(&r);
    assert_int_equal(atomic_load(&on_loops), before + 1);
    assert_int_equal(atomic_load(&on_loops_incomplete), parts + incomplete);
    assert_int_equal(atomic_load(&on_loop_status), status);
}

static void test_on_loop_runs_once_before_every_answer(void **state)
{
    (void)state;
    static const struct route rows[] = {
        {"on", HTTP_PUT, "/on", 0, BODY_STREAM, 0, POOL_IO, h_on_loop, NULL}};
    static const struct http_site site = {"on", rows, 1, true, false};
    f.config.limits.read_stall_ms = 100;
    start_with(&site);
    expect_on_loop("PUT /on HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", 200, false);
    expect_on_loop("PUT /on HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200, false);
    expect_on_loop("PUT /on HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n!b", 507, true);
    expect_on_loop("PUT /on HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na", 408, true);
    expect_on_loop("PUT /on HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400,
                   true);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_refused_body_ends_with_the_next_request),
        T(test_bodies_have_a_budget),
        T(test_a_body_has_a_least_rate),
        T(test_what_is_dropped_has_a_time_in_all),
        T(test_who_is_refused_may_go_on_sending),
        T(test_a_dripping_body_does_not_hold_a_drain_up),
        T(test_a_blocked_100_has_a_time),
        T(test_a_copied_file_leaves_the_input_alone),
        T(test_a_drained_unix_socket_is_gone),
        T(test_unlink_for_a_sudden_end),
        T(test_a_site_with_a_limit_of_its_own),
        T(test_a_broken_listener_does_not_spin),
        T(test_a_half_closed_client_is_answered),
        T(test_long_pipelines_have_turns),
        T(test_no_body_for_a_malformed_head),
        T(test_a_file_that_cannot_be_read_is_our_fault),
        T(test_failures_are_logged_once),
        T(test_on_loop_runs_once_before_every_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
