/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "http_stub.h"
#include "os/clock.h"
#include "remote/client.h"

#include "base/banned.h"

struct fixture {
    struct stub *stub;
    struct client *client;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->stub = stub_new();
    f->client = client_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    client_free(f->client);
    stub_free(f->stub);
    free(f);
    return 0;
}

static struct client_request request(const char *method, const char *url)
{
    return (struct client_request){.method = method, .url = url, .timeout_ms = 20000};
}

static void assert_status(struct fixture *f, const struct client_request *r, int want)
{
    int status = 0;
    struct error err = {0};
    if (client_do(f->client, r, &status, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(status, want);
}

static void test_methods(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    buf_init(&b, 100);
    struct client_request r = request("GET", stub_url(f->stub, "", "/a?b=c"));
    r.response = &b;
    assert_status(f, &r, 200);
    assert_true(slice_is(buf_view(&b), "answer"));
    assert_non_null(strstr(stub_head(f->stub, 0), "GET /a?b=c HTTP/1.1\r\n"));
    assert_non_null(strstr(stub_head(f->stub, 0), "User-Agent: berth/"));
    r = request("HEAD", stub_url(f->stub, "", "/h"));
    assert_status(f, &r, 200);
    assert_non_null(strstr(stub_head(f->stub, 1), "HEAD /h HTTP/1.1\r\n"));
    r = request("POST", stub_url(f->stub, "", "/p"));
    r.body = SLICE_LIT("{\"a\": 1}");
    assert_status(f, &r, 200);
    assert_non_null(strstr(stub_head(f->stub, 2), "POST /p HTTP/1.1\r\n"));
    assert_string_equal(stub_body(f->stub, 2), "{\"a\": 1}");
    r.body = SLICE_NONE;
    assert_status(f, &r, 200);
    assert_string_equal(stub_body(f->stub, 3), "");
    /* A GET after a POST is one again, and all went over one connection. */
    r = request("GET", stub_url(f->stub, "", "/"));
    assert_status(f, &r, 200);
    assert_null(strstr(stub_head(f->stub, 4), "Content-Length"));
    assert_int_equal(stub_connections(f->stub), 1);
    buf_release(&b);
}

static void test_large_body(void **state)
{
    struct fixture *f = *state;
    size_t n = 3 * 1024 * 1024;
    char *p = malloc(n + 1);
    assert_non_null(p);
    memset(p, 'x', n);
    p[n] = '\0';
    struct client_request r = request("POST", stub_url(f->stub, "", "/"));
    r.body = slice_make(p, n);
    assert_status(f, &r, 200);
    assert_string_equal(stub_body(f->stub, 0), p);
    assert_null(strstr(stub_head(f->stub, 0), "Expect"));
    free(p);
}

static void test_headers(void **state)
{
    struct fixture *f = *state;
    const struct client_header headers[] = {{"X-A", "one"},
                                            {"X-A", "two"},
                                            {"Content-Type", "text/x"},
                                            {"X-Empty", ""},
                                            {"X-Split", "a\r\nX-Bad: b"}};
    struct client_request r = request("POST", stub_url(f->stub, "u:p%20w@", "/"));
    r.headers = headers;
    r.n_headers = ARRAY_LEN(headers);
    assert_status(f, &r, 200);
    const char *head = stub_head(f->stub, 0);
    assert_non_null(strstr(head, "\r\nX-A: one\r\n"));
    assert_non_null(strstr(head, "\r\nX-A: two\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Type: text/x\r\n"));
    assert_non_null(strstr(head, "\r\nX-Empty:\r\n"));
    assert_null(strstr(head, "\r\nX-Bad"));
    assert_null(strstr(head, "www-form-urlencoded"));
    assert_non_null(strstr(head, "\r\nAuthorization: Basic dTpwIHc=\r\n"));
    /* Not kept for the next. */
    r = request("GET", stub_url(f->stub, "", "/"));
    assert_status(f, &r, 200);
    assert_null(strstr(stub_head(f->stub, 1), "X-A"));
    assert_null(strstr(stub_head(f->stub, 1), "Authorization"));
}

static void test_statuses(void **state)
{
    static const int statuses[] = {204, 301, 302, 307, 404, 500, 503};
    struct fixture *f = *state;
    struct client_request r = request("POST", stub_url(f->stub, "", "/"));
    for (unsigned i = 0; i < ARRAY_LEN(statuses); i++) {
        stub_answer(f->stub, statuses[i], 0);
        /* 204 has no body: what the stub sends after it spoils the connection. */
        if (statuses[i] == 204)
            r.method = "HEAD";
        else
            r.method = "POST";
        assert_status(f, &r, statuses[i]);
        assert_int_equal(stub_count(f->stub), i + 1); /* no redirect was followed */
    }
}

/* The buffer gets what fits; what nobody wants is dropped, and not for ever. */
static void test_bounded(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    buf_init(&b, 4);
    struct client_request r = request("GET", stub_url(f->stub, "", "/"));
    r.response = &b;
    assert_status(f, &r, 200);
    assert_true(slice_is(buf_view(&b), "answ"));
    assert_false(b.failed);
    buf_release(&b);
    stub_answer(f->stub, STUB_ENDLESS, 0);
    buf_init(&b, 4 * 1024 * 1024);
    uint64_t start = os_mono_ms();
    assert_status(f, &r, 200);
    assert_int_equal(b.n, 4 * 1024 * 1024);
    r.response = NULL;
    assert_status(f, &r, 200);
    assert_true(os_mono_ms() - start < 15000);
    buf_release(&b);
}

static void assert_fails(struct fixture *f, const struct client_request *r, const char *says)
{
    int status = 77;
    struct error err = {0};
    assert_int_equal(client_do(f->client, r, &status, &err), -1);
    assert_int_equal(status, 77);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    if (!strstr(err.message, says))
        fail_msg("%s", err.message);
    assert_null(strstr(err.message, "secret"));
    assert_int_equal(err.detail[0], '\0');
    assert_int_equal(client_do(f->client, r, &status, NULL), -1);
}

static void test_failures(void **state)
{
    struct fixture *f = *state;
    struct client_request r = request("POST", stub_url(f->stub, "u:secret@", "/secret?t=secret"));
    stub_answer(f->stub, STUB_CLOSE, 0);
    assert_fails(f, &r, "POST http://127.0.0.1:");
    r.url = "http://u:secret@127.0.0.1:1/secret";
    assert_fails(f, &r, "http://127.0.0.1:1: Couldn't connect to server: Connection refused");
    r.url = "ftp://127.0.0.1/secret";
    assert_fails(f, &r, "ftp://127.0.0.1:21: Unsupported protocol");
    r.url = "http://:secret";
    assert_fails(f, &r, "its URL");
    r.url = "file:///etc/secret";
    assert_fails(f, &r, "Unsupported protocol");
    r.url = "https://127.0.0.1:1/secret";
    assert_fails(f, &r, "https://127.0.0.1:1");
}

static void test_timeout(void **state)
{
    struct fixture *f = *state;
    struct client_request r = request("POST", stub_url(f->stub, "", "/"));
    stub_answer(f->stub, STUB_HANG, 0);
    r.timeout_ms = 150;
    uint64_t start = os_mono_ms();
    assert_fails(f, &r, "Timeout was reached");
    assert_in_range(os_mono_ms() - start, 280, 10000);
}

/* The status is the answer: what becomes of a body that nobody wants does not undo it. Without the
 * whole head there is none. */
static void test_unfinished(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    struct client_request r = request("POST", stub_url(f->stub, "", "/"));
    r.timeout_ms = 1000; /* enough for the head */
    stub_answer(f->stub, STUB_STALLED, 0);
    assert_status(f, &r, 201);
    stub_answer(f->stub, STUB_CUT, 0);
    assert_status(f, &r, 201);
    buf_init(&b, 100);
    r.response = &b;
    assert_fails(f, &r, "");
    r.response = NULL;
    buf_release(&b);
    stub_answer(f->stub, STUB_NO_HEAD, 0);
    r.timeout_ms = 150;
    assert_fails(f, &r, "Timeout was reached");
}

struct cancel {
    atomic_bool flag;
    struct stub *stub;
};

static void *cancel_later(void *arg)
{
    struct cancel *c = arg;
    (void)stub_wait(c->stub, 1, 10000);
    atomic_store(&c->flag, true);
    return NULL;
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct cancel c = {.stub = f->stub};
    struct client_request r = request("POST", stub_url(f->stub, "", "/"));
    struct error err;
    pthread_t t;
    int status;
    atomic_init(&c.flag, false);
    r.cancel = &c.flag;
    assert_status(f, &r, 200);
    stub_answer(f->stub, STUB_HANG, 0);
    assert_int_equal(pthread_create(&t, NULL, cancel_later, &c), 0);
    uint64_t start = os_mono_ms();
    assert_int_equal(client_do(f->client, &r, &status, &err), -1);
    (void)pthread_join(t, NULL);
    assert_true(os_mono_ms() - start < 10000);
    assert_int_equal(client_do(f->client, &r, &status, &err), -1);
}

static void test_urls(void **state)
{
    static const char *const good[] = {"http://a",      "https://a.b:1/c?d",   "HTTP://a/",
                                       "http://u:p@a/", "http://[::1]:5000/x", "http://1.2.3.4"};
    static const char *const bad[] = {"",          "a",           "a/b",       "/x",
                                      "http://",   "http:a b",    "ftp://a",   "http://a:99999",
                                      "file:///x", "http://a b/", "http:///x", "unix:/x",
                                      "mailto:x"};
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        if (!client_url_valid(good[i]))
            fail_msg("%s", good[i]);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        if (client_url_valid(bad[i]))
            fail_msg("%s", bad[i]);
}

/* What is for this machine does not go to a proxy, as with Go's client. */
static void test_proxies(void **state)
{
    struct fixture *f = *state;
    struct client_request r = request("GET", stub_url(f->stub, "u:p@", "/"));
    static const char *const lists[] = {"", "a.example", "*"};
    (void)unsetenv("NO_PROXY");
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
        assert_int_equal(setenv("no_proxy", lists[i], 1), 0);
        assert_status(f, &r, 200);
    }
    r.url = "http://other.invalid/";
    assert_int_equal(setenv("no_proxy", "a.example", 1), 0);
    assert_fails(f, &r, "Connection refused");
    (void)unsetenv("no_proxy");
    (void)unsetenv("http_proxy");
}

/* Authorities of the environment, as Go's client: what is not there is an error of that exchange.
 */
static void test_authorities(void **state)
{
    struct fixture *f = *state;
    struct client_request r = request("GET", "https://127.0.0.1:1/");
    assert_int_equal(setenv("SSL_CERT_FILE", "/nonexistent/ca.pem", 1), 0);
    assert_int_equal(setenv("SSL_CERT_DIR", "/nonexistent", 1), 0);
    assert_fails(f, &r, "https://127.0.0.1:1");
    r.url = stub_url(f->stub, "", "/");
    assert_status(f, &r, 200);
    (void)unsetenv("SSL_CERT_FILE");
    (void)unsetenv("SSL_CERT_DIR");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_methods), TEST(test_large_body),  TEST(test_headers),    TEST(test_statuses),
        TEST(test_bounded), TEST(test_failures),    TEST(test_timeout),    TEST(test_cancel),
        TEST(test_urls),    TEST(test_authorities), TEST(test_unfinished), TEST(test_proxies),
    };
    client_global_init();
    client_free(NULL);
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
