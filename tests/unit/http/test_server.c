/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and responses against a running server. */
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
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    f.config.loops = 1;
    fixture_start(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    return 0;
}

static void expect(const char *request, int status, const char *body)
{
    struct reply r;
    ask(&f, request, &r);
    assert_int_equal(r.status, status);
    if (body)
        assert_string_equal(r.body, body);
    reply_free(&r);
}

static void test_head_of_a_response(void **state)
{
    (void)state;
    struct reply r;
    ask(&f, "GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Request-Id: my.id_1-2\r\n\r\n", &r);
    assert_int_equal(r.status, 200);
    assert_memory_equal(r.head, "HTTP/1.1 200 OK\r\n", 17);
    assert_string_equal(r.body, "base");
    assert_string_equal(reply_field(&r, "Content-Length"), "4");
    assert_string_equal(reply_field(&r, "Content-Type"), "text/plain");
    assert_string_equal(reply_field(&r, "X-Request-Id"), "my.id_1-2");
    assert_string_equal(reply_field(&r, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(reply_field(&r, "Docker-Distribution-Api-Version"), "registry/2.0");
    assert_int_equal(strlen(reply_field(&r, "Date")), 29);
    assert_null(reply_field(&r, "Connection"));
    reply_free(&r);

    /* An id that is not harmless is replaced. */
    ask(&f, "GET /v2 HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n", &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(strlen(reply_field(&r, "X-Request-Id")), 24);
    reply_free(&r);
}

static void test_keep_alive_and_pipelining(void **state)
{
    (void)state;
    int fd = client(&f);
    struct reply r;
    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET /v2/echo/one HTTP/1.1\r\nHost: a\r\n\r\n");
        receive(fd, &r, false);
        assert_string_equal(r.body, "one");
        reply_free(&r);
    }
    /* A step in a pool between two that the loop answers: the order stays. */
    send_text(fd, "GET /v2/echo/a HTTP/1.1\r\nHost: a\r\n\r\n"
                  "PUT /v2/echo/b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
                  "DELETE /v2/echo/c HTTP/1.1\r\nHost: a\r\n\r\n"
                  "GET /v2/echo/d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    static const char *const want[] = {"a", "body", "base", "d"};
    for (int i = 0; i < 4; i++) {
        receive(fd, &r, false);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, want[i]);
        if (i == 3)
            assert_string_equal(reply_field(&r, "Connection"), "close");
        reply_free(&r);
    }
    assert_true(closed_by_peer(fd));
    close(fd);
}

static void test_many_pipelined(void **state)
{
    (void)state;
    enum { N = 2000 };
    int fd = client(&f);
    /* More than the input buffer while the first one waits in a pool: reading stops and goes on. */
    send_text(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&f.entered, 1);
    char *all = xcalloc(N, 64);
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(all + n, 64, "GET /v2/echo/%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    send_all(fd, all, n);
    free(all);
    sleep_ms(20);
    sem_post(&f.gate);
    struct reply r;
    receive(fd, &r, false);
    assert_string_equal(r.body, "slow");
    reply_free(&r);
    for (int i = 0; i < N; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "%d", i);
        receive(fd, &r, false);
        assert_string_equal(r.body, want);
        reply_free(&r);
    }
    close(fd);
}

static void test_head_byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = "GET /v2/echo/x?q=%61 HTTP/1.1\r\nHost: a\r\nX-Echo: yes\r\n\r\n";
    int fd = client(&f);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i + 1 < sizeof text; i++) {
            send_all(fd, text + i, 1);
            if (i % 16 == 0)
                sleep_ms(1);
        }
        struct reply r;
        receive(fd, &r, false);
        assert_string_equal(r.body, "a");
        assert_string_equal(reply_field(&r, "X-Echo"), "yes");
        reply_free(&r);
    }
    close(fd);
}

static void test_large_head(void **state)
{
    (void)state;
    char *text = xcalloc(1, 40000);
    size_t n = (size_t)snprintf(text, 100, "GET /v2/echo/x HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 4; i++) {
        n += (size_t)snprintf(text + n, 16, "X-%d: ", i);
        memset(text + n, 'v', 7000);
        n += 7000;
        memcpy(text + n, "\r\n", 2);
        n += 2;
    }
    memcpy(text + n, "\r\n", 2);
    expect(text, 200, "x");
    memset(text + n, 'v', 9000);
    memcpy(text + n, "X: ", 3);
    expect(text, 431, NULL);
    free(text);
}

static void test_http_1_0(void **state)
{
    (void)state;
    struct reply r;
    int fd = client(&f);
    send_text(fd, "GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    receive(fd, &r, false);
    assert_string_equal(reply_field(&r, "Connection"), "keep-alive");
    reply_free(&r);
    send_text(fd, "GET /v2/ HTTP/1.0\r\n\r\n");
    receive(fd, &r, false);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    assert_true(closed_by_peer(fd));
    close(fd);
}

static void test_routing(void **state)
{
    (void)state;
    struct reply r;
    ask(&f, "GET /v2/nowhere HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 404);
    assert_string_equal(r.body,
                        "{\"errors\":[{\"code\":\"NOT_FOUND\",\"message\":\"there is nothing "
                        "at this path\",\"detail\":\"the registry's API is below /v2/: see the "
                        "path\"}]}\n");
    assert_string_equal(reply_field(&r, "Content-Type"), "application/json");
    assert_string_equal(reply_field(&r, "Docker-Distribution-Api-Version"), "registry/2.0");
    reply_free(&r);
    ask(&f, "GET /v2x HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 404);
    assert_null(reply_field(&r, "Docker-Distribution-Api-Version"));
    reply_free(&r);
    ask(&f, "PATCH /v2/echo/x HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 405);
    assert_string_equal(reply_field(&r, "Allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    assert_non_null(strstr(r.body, "\"code\":\"UNSUPPORTED\""));
    reply_free(&r);
    ask(&f, "BREW /v2/echo/x HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 405);
    reply_free(&r);
    ask(&f, "OPTIONS /v2/echo/x HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "Allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    assert_string_equal(reply_field(&r, "Content-Length"), "0");
    reply_free(&r);
    ask(&f, "OPTIONS /v2/sink HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_string_equal(reply_field(&r, "Allow"), "PUT, OPTIONS");
    reply_free(&r);
    expect("OPTIONS /v2/echo/x HTTP/1.1\r\nHost: a\r\nX-Auth: deny\r\n\r\n", 401, NULL);
    expect("OPTIONS /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, NULL);
    ask(&f, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_field(&r, "Allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    reply_free(&r);
}

static void test_head_method(void **state)
{
    (void)state;
    int fd = client(&f);
    struct reply r;
    static const char *const paths[] = {"/v2/file?n=1000", "/shared", "/v2/echo/four", "/error"};
    static const char *const lengths[] = {"1000", "11", "4", "102"};
    for (int i = 0; i < 4; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        send_text(fd, text);
        receive(fd, &r, true);
        assert_string_equal(reply_field(&r, "Content-Length"), lengths[i]);
        reply_free(&r);
    }
    /* No body came: the next response begins where it should. */
    send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n");
    receive(fd, &r, false);
    assert_string_equal(r.body, "base");
    reply_free(&r);
    close(fd);
}

static void test_authorize(void **state)
{
    (void)state;
    struct reply r;
    ask(&f, "GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Auth: deny\r\n\r\n", &r);
    assert_int_equal(r.status, 401);
    assert_string_equal(reply_field(&r, "WWW-Authenticate"), "Basic realm=\"test\"");
    assert_string_equal(r.body, "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":"
                                "\"authentication required\",\"detail\":\"log in first\"}]}\n");
    reply_free(&r);
    expect("GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Auth: pool-deny\r\n\r\n", 401, NULL);
    expect("GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Auth: pool\r\n\r\n", 200, "base");
}

static void test_error_bodies(void **state)
{
    (void)state;
    struct reply r;
    ask(&f, "GET /error HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 404);
    assert_null(reply_field(&r, "X-Dropped"));
    assert_string_equal(r.body,
                        "{\"errors\":[{\"code\":\"BLOB_UNKNOWN\",\"message\":\"blob unknown "
                        "to registry\",\"detail\":\"no \\\"blob\\\" here\"}]}\n");
    reply_free(&r);
    ask(&f, "GET /internal HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.status, 500);
    assert_null(strstr(r.body, "secret"));
    reply_free(&r);
    expect("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 500, NULL);
    expect("GET /detail/x HTTP/1.1\r\nHost: a\r\n\r\n", 403,
           "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"requested access to the resource is "
           "denied\",\"detail\":[{\"a\":1}]}]}\n");
    expect("GET /detail/big HTTP/1.1\r\nHost: a\r\n\r\n", 403,
           "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"requested access to the resource is "
           "denied\"}]}\n");
}

static void test_nobody_splits_a_response(void **state)
{
    (void)state;
    int fd = client(&f);
    struct reply r;
    send_text(fd, "GET /inject HTTP/1.1\r\nHost: a\r\n\r\n");
    receive(fd, &r, false);
    assert_memory_equal(r.head, "HTTP/1.1 299 Unknown\r\n", 22);
    assert_string_equal(reply_field(&r, "X-Value"), "a??X-Evil: 1?");
    assert_int_equal(strlen(reply_field(&r, "X-Big")), 999);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    reply_free(&r);
    assert_true(closed_by_peer(fd));
    close(fd);
}

static void test_statuses_without_a_body(void **state)
{
    (void)state;
    int fd = client(&f);
    struct reply r;
    static const int codes[] = {204, 304, 202, 503};
    for (int i = 0; i < 4; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "GET /status/%d HTTP/1.1\r\nHost: a\r\n\r\n", codes[i]);
        send_text(fd, text);
        receive(fd, &r, false);
        assert_int_equal(r.status, codes[i]);
        const char *length = reply_field(&r, "Content-Length");
        if (i < 2)
            assert_null(length);
        else
            assert_string_equal(length, "0");
        if (codes[i] == 503)
            assert_string_equal(reply_field(&r, "Retry-After"), "1");
        reply_free(&r);
    }
    close(fd);
}

static void test_kinds_of_body(void **state)
{
    (void)state;
    struct reply r;
    ask(&f, "GET /shared HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_string_equal(r.body, "shared body");
    assert_string_equal(reply_field(&r, "ETag"), "\"x\"");
    assert_string_equal(reply_field(&r, "Content-Type"), "text/b");
    reply_free(&r);
    ask(&f, "GET /v2/file HTTP/1.1\r\nHost: a\r\n\r\n", &r);
    assert_int_equal(r.n, FILE_BYTES);
    for (size_t i = 0; i < r.n; i++) {
        if ((unsigned char)r.body[i] != pattern(i))
            fail_msg("byte %zu is wrong", i);
    }
    reply_free(&r);
    expect("GET /v2/file?n=0 HTTP/1.1\r\nHost: a\r\n\r\n", 200, "");
    expect("GET /v2/echo/x?q=%zz HTTP/1.1\r\nHost: a\r\n\r\n", 200, "bad query");
}

static void test_file_that_became_shorter(void **state)
{
    (void)state;
    int fd = client(&f);
    struct reply r;
    send_text(fd, "GET /v2/file?n=99999999 HTTP/1.1\r\nHost: a\r\n\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 0); /* cut off: the client sees that it is not whole */
    assert_int_equal(r.n, FILE_BYTES);
    reply_free(&r);
    close(fd);
}

static void test_fast_and_loop_cache(void **state)
{
    (void)state;
    expect("GET /cached HTTP/1.1\r\nHost: a\r\n\r\n", 200, "fresh");
    expect("GET /cached HTTP/1.1\r\nHost: a\r\n\r\n", 200, "cached");
    expect("GET /cached HTTP/1.1\r\nHost: a\r\n\r\n", 200, "cached");
    assert_int_equal(atomic_load(&f.local_hits), 2);
    expect("GET /next HTTP/1.1\r\nHost: a\r\n\r\n", 200, "base");
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"GET /v2/\r\n\r\n", 400},
        {"GET /v2/ HTTP/1.1\r\n\r\n", 400},
        {"GET /v2/ HTTP/1.1\nHost: a\n\n", 400},
        {"GET /v2/ HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n", 400},
        {"GET /v2/ HTTP/3.0\r\nHost: a\r\n\r\n", 505},
        {"PUT /v2/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"PUT /v2/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"GET /v2/ HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n", 417},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = client(&f);
        struct reply r;
        send_text(fd, rows[i].text);
        send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"); /* never looked at */
        receive(fd, &r, false);
        assert_int_equal(r.status, rows[i].status);
        assert_string_equal(reply_field(&r, "Connection"), "close");
        assert_non_null(strstr(r.body, "{\"errors\":[{\"code\":\"BAD_REQUEST\""));
        reply_free(&r);
        shutdown(fd, SHUT_WR);
        receive(fd, &r, false);
        assert_int_equal(r.status, 0);
        reply_free(&r);
        close(fd);
    }
}

/* Clients try TLS first, and fall back to plain HTTP when what comes back begins with "HTTP/". */
static void test_tls_hello_is_answered(void **state)
{
    (void)state;
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    int fd = client(&f);
    struct reply r;
    send_all(fd, hello, sizeof hello - 1);
    receive(fd, &r, false);
    assert_int_equal(r.status, 400);
    assert_string_equal(reply_field(&r, "Connection"), "close");
    assert_non_null(strstr(r.body, "TLS"));
    reply_free(&r);
    assert_true(closed_by_peer(fd));
    close(fd);
    expect("GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, "base");
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
    char *log = fixture_log(&f);
    fail_msg("%s is not in the log:\n%s", what, log);
}

static void test_access_log_and_metrics(void **state)
{
    (void)state;
    expect("GET /v2/echo/x?q=a HTTP/1.1\r\nHost: a\r\nX-Request-Id: id1\r\nX-Auth: pool\r\n"
           "User-Agent: tester\r\n\r\n",
           200, "a");
    expect("GET /internal HTTP/1.1\r\nHost: a\r\nX-Request-Id: id2\r\n\r\n", 500, NULL);
    expect("PUT /v2/echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345", 200, "12345");
    expect("nonsense\r\n\r\n", 400, NULL);
    expect("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, NULL);
    wait_log("\"msg\":\"request\",\"id\":\"id1\",\"peer\":\"127.0.0.1:");
    wait_log("\"method\":\"GET\",\"path\":\"/v2/echo/x\",\"proto\":\"HTTP/1.1\",\"status\":200,"
             "\"bytes\":1,\"received\":0,\"ms\":\"");
    wait_log("\"route\":\"echo\",\"agent\":\"tester\",\"principal\":\"alice\"}");
    wait_log("\"principal\":\"\",\"cause\":\"the secret place broke\"}");
    wait_log("\"method\":\"PUT\",\"path\":\"/v2/echo/x\",\"proto\":\"HTTP/1.1\",\"status\":200,"
             "\"bytes\":5,\"received\":5,");
    wait_log("\"method\":\"-\",\"path\":\"-\",\"proto\":\"HTTP/1.0\",\"status\":400,");
    wait_log("\"status\":404,");

    CLEANUP_BUF struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(metrics_print(f.metrics, &b), 0);
    static const char *const want[] = {
        "registry_http_requests_total{code=\"200\",handler=\"echo\",method=\"get\"} 1\n",
        "registry_http_requests_total{code=\"200\",handler=\"echo\",method=\"put\"} 1\n",
        "registry_http_requests_total{code=\"500\",handler=\"internal\",method=\"get\"} 1\n",
        "registry_http_requests_total{code=\"404\",handler=\"none\",method=\"get\"} 1\n",
        "registry_http_requests_total{code=\"400\",handler=\"none\",method=\"other\"} 1\n",
        "registry_http_in_flight_requests{handler=\"echo\"} 0\n",
        "registry_http_request_duration_seconds_count{handler=\"echo\",method=\"get\"} 1\n",
        "registry_http_request_size_bytes_sum{handler=\"echo\"} 5\n",
        "registry_http_response_size_bytes_count{handler=\"echo\"} 2\n",
        "berth_http_connections_total 5\n",
        "berth_http_rejected_total{reason=\"pool_full\"} 0\n",
        "berth_pool_queue{pool=\"io\"} 0\n",
        "berth_pool_busy{pool=\"auth\"} 0\n",
        "berth_http_bytes_received_total ",
        "berth_http_bytes_sent_total ",
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        if (!strstr(b.p, want[i]))
            fail_msg("%s is not in\n%s", want[i], b.p);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_head_of_a_response),
        T(test_keep_alive_and_pipelining),
        T(test_many_pipelined),
        T(test_head_byte_by_byte),
        T(test_large_head),
        T(test_http_1_0),
        T(test_routing),
        T(test_head_method),
        T(test_authorize),
        T(test_error_bodies),
        T(test_nobody_splits_a_response),
        T(test_statuses_without_a_body),
        T(test_kinds_of_body),
        T(test_file_that_became_shorter),
        T(test_fast_and_loop_cache),
        T(test_malformed),
        T(test_tls_hello_is_answered),
        T(test_access_log_and_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
