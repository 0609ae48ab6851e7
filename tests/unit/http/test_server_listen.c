/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners and the parts of the engine that stand alone: addresses, the table of clients, a filter
 * that has to see the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "http/address_int.h"
#include "http/engine_int.h"

#include "base/banned.h"

static struct fixture f;
static char dir[64], path[96], spec[128];

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    struct error err;
    assert_int_equal(http_server_new(&f.config, &f.server, &err), 0);
    (void)snprintf(dir, sizeof dir, "/tmp/berth-test-listen-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/sock", dir);
    (void)snprintf(spec, sizeof spec, "unix:%s", path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&f);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

static void expect_base(int fd)
{
    struct reply r;
    send_text(fd, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n");
    receive(fd, &r, false);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "base");
    reply_free(&r);
}

static void test_unix(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(http_server_listen(f.server, spec, &test_site, &f.bound, &err), 0);
    assert_string_equal(f.bound, spec);
    fixture_run(&f);
    int fds[8];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = client_unix(path);
        assert_true(fds[i] >= 0);
        expect_base(fds[i]);
    }
    char *log = NULL;
    for (int i = 0; i < 10000; i++) {
        free(log);
        log = fixture_log(&f);
        if (strstr(log, "\"peer\":\"unix\""))
            break;
        sleep_ms(1);
    }
    assert_non_null(strstr(log, "\"peer\":\"unix\""));
    free(log);
    /* Another server does not take it away. */
    struct http_server *other;
    f.config.metrics = NULL;
    assert_int_equal(http_server_new(&f.config, &other, &err), 0);
    assert_int_equal(http_server_listen(other, spec, &test_site, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "another server listens"));
    http_server_free(other);
    http_server_drain(f.server);
    fixture_join(&f);
    http_server_free(f.server);
    f.server = NULL;
    assert_int_equal(access(path, F_OK), -1); /* removed */
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static void test_stale_unix(void **state)
{
    (void)state;
    struct error err;
    int dead = address_listen_unix(path, &err);
    assert_true(dead >= 0);
    close(dead); /* the file stays, as after a kill */
    assert_int_equal(http_server_listen(f.server, spec, &test_site, NULL, &err), 0);
    fixture_run(&f);
    int fd = client_unix(path);
    expect_base(fd);
    close(fd);
}

static void test_unix_taken_over(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(http_server_listen(f.server, spec, &test_site, NULL, &err), 0);
    /* A successor has put its own socket there: it is not ours to remove. */
    assert_int_equal(unlink(path), 0);
    int keeper = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    http_server_free(f.server);
    f.server = NULL;
    assert_int_equal(access(path, F_OK), 0);
    close(keeper);
}

static void test_unix_errors(void **state)
{
    (void)state;
    struct error err;
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(http_server_listen(f.server, spec, &test_site, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "is not a socket"));
    assert_int_equal(http_server_listen(f.server, "unix:", &test_site, NULL, &err), -1);
    char longer[300] = "unix:";
    memset(longer + 5, 'a', sizeof longer - 6);
    assert_int_equal(http_server_listen(f.server, longer, &test_site, NULL, &err), -1);
    assert_int_equal(
        http_server_listen(f.server, "unix:/nonexistent/dir/sock", &test_site, NULL, &err), -1);
    assert_int_equal(http_server_listen(f.server, "unix:/dev/null/sock", &test_site, NULL, &err),
                     -1);
}

static void test_tcp_addresses(void **state)
{
    (void)state;
    struct error err;
    static const char *const good[] = {"127.0.0.1:0", "[::1]:0", ":0", "localhost:0",
                                       "[::ffff:127.0.0.1]:0"};
    char *bound[ARRAY_LEN(good)];
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(http_server_listen(f.server, good[i], &test_site, &bound[i], &err), 0);
    assert_memory_equal(bound[0], "127.0.0.1:", 10);
    assert_memory_equal(bound[1], "[::1]:", 6);
    assert_memory_equal(bound[2], "[::]:", 5);
    assert_memory_equal(bound[3], "127.0.0.1:", 10);
    assert_memory_equal(bound[4], "127.0.0.1:", 10); /* IPv4 written as IPv6 */
    fixture_run(&f);
    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        if (i == 1)
            continue;
        f.port = (int)strtol(strrchr(bound[i], ':') + 1, NULL, 10);
        int fd = client(&f);
        expect_base(fd);
        close(fd);
    }
    /* A port that is taken is an error, also between servers that both share ports. */
    f.config.metrics = NULL;
    struct http_server *other;
    assert_int_equal(http_server_new(&f.config, &other, &err), 0);
    assert_int_equal(http_server_listen(other, bound[0], &test_site, NULL, &err), -1);
    assert_non_null(strstr(err.message, "in use"));
    http_server_free(other);
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        free(bound[i]);
}

static void test_bad_addresses(void **state)
{
    (void)state;
    struct error err;
    char host[400];
    memset(host, 'a', sizeof host);
    memcpy(host + sizeof host - 4, ":80", 4);
    const char *const bad[] = {"",         "nonsense", "127.0.0.1:", "127.0.0.1:x",
                               "h:70000",  "::1:80",   "1.2.3.4:-1", host,
                               host + 320, "[::1:80",  "192.0.2.1:0"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err = (struct error){0};
        assert_int_equal(http_server_listen(f.server, bad[i], &test_site, NULL, &err), -1);
        assert_true(err.code != ERR_NONE);
    }
}

static int adopt(int fd, char **bound)
{
    struct error err;
    struct http_listener l = {.fd = fd};
    return http_server_open(f.server, &l, &test_site, bound, &err);
}

static void test_adopted(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(adopt(fd, NULL), -1); /* does not listen */
    assert_int_equal(listen(fd, 10), 0);
    char *bound = NULL, want[64];
    assert_int_equal(adopt(fd, &bound), 0);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(adopt(file, NULL), -1);
    close(file);
    /* It listens, but what of a packet is not read at once is lost. */
    int packets = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    assert_int_equal(bind(packets, (struct sockaddr *)&any, sizeof any.sun_family), 0);
    assert_int_equal(listen(packets, 10), 0);
    assert_int_equal(adopt(packets, NULL), -1);
    close(packets);
    socklen_t n = sizeof in;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    f.port = ntohs(in.sin_port);
    (void)snprintf(want, sizeof want, "127.0.0.1:%d", f.port);
    assert_string_equal(bound, want);
    free(bound);
    fixture_run(&f);
    for (int i = 0; i < 10; i++) {
        int c = client(&f);
        expect_base(c);
        close(c);
    }
}

static int unix_listener(const char *name, size_t n)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, name, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
    assert_int_equal(listen(fd, 10), 0);
    return fd;
}

static void test_adopted_unix(void **state)
{
    (void)state;
    char want[128], *bound = NULL;
    assert_int_equal(adopt(unix_listener(path, strlen(path) + 1), &bound), 0);
    (void)snprintf(want, sizeof want, "unix:%s", path);
    assert_string_equal(bound, want);
    free(bound);
    (void)snprintf(want, sizeof want, "%cberth-test-%d", 0, (int)getpid());
    size_t n = 1 + strlen(want + 1);
    int abstract = unix_listener(want, n);
    assert_int_equal(adopt(abstract, &bound), 0);
    assert_memory_equal(bound, "unix:@berth-test-", 17);
    assert_int_equal(strlen(bound), 5 + n);
    free(bound);
    fixture_run(&f);
    int c = client_unix(path);
    assert_true(c >= 0);
    expect_base(c);
    close(c);
    http_server_unlink(f.server);
    assert_int_equal(unlink(path), 0); /* it is not ours to remove */
}

static void test_peers(void **state)
{
    (void)state;
    struct ip_key a, b;
    char text[ADDRESS_TEXT];
    struct sockaddr_storage ss = {.ss_family = AF_INET};
    struct sockaddr_in *in = (struct sockaddr_in *)&ss;
    in->sin_port = htons(80);
    in->sin_addr.s_addr = htonl(0x7f000001);
    address_peer(&ss, &a, text);
    assert_string_equal(text, "127.0.0.1:80");
    ss = (struct sockaddr_storage){.ss_family = AF_INET6};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
    in6->sin6_port = htons(80);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6->sin6_addr), 1);
    address_peer(&ss, &b, text);
    assert_string_equal(text, "127.0.0.1:80");
    assert_memory_equal(&a, &b, sizeof a); /* the same client */
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &in6->sin6_addr), 1);
    address_peer(&ss, &a, text);
    assert_string_equal(text, "[2001:db8::1]:80");
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::2", &in6->sin6_addr), 1);
    address_peer(&ss, &b, text);
    assert_memory_equal(&a, &b, sizeof a); /* the same /64 */
    assert_int_equal(inet_pton(AF_INET6, "2001:db8:0:1::1", &in6->sin6_addr), 1);
    address_peer(&ss, &b, text);
    assert_memory_not_equal(&a, &b, sizeof a);
}

static struct ip_key key(unsigned i)
{
    struct ip_key k = {0};
    memcpy(k.b, &i, sizeof i);
    return k;
}

/* Against a plain array of counts. */
static void test_admission_table(void **state)
{
    (void)state;
    enum { KEYS = 500, STEPS = 60000 };
    struct admission a;
    unsigned counts[KEYS] = {0}, total = 0;
    uint64_t random = 42;
    bool counted;
    admission_init(&a, 700, 3);
    for (int i = 0; i < STEPS; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        unsigned k = (unsigned)(random >> 33) % KEYS;
        struct ip_key ip = key(k);
        if (random >> 62 == 0 && counts[k]) {
            admission_leave(&a, &ip);
            counts[k]--;
            total--;
            continue;
        }
        enum admission_result want = total >= 700     ? REFUSED_MAX
                                     : counts[k] >= 3 ? REFUSED_IP
                                                      : ADMITTED;
        assert_int_equal(admission_enter(&a, &ip, &counted), want);
        assert_int_equal(counted, want == ADMITTED);
        if (want == ADMITTED) {
            counts[k]++;
            total++;
        }
        if (i % 1000 == 999) { /* empty it now and then: holes in clusters */
            for (unsigned j = 0; j < KEYS; j++) {
                for (struct ip_key ipj = key(j); counts[j] && j % 3; counts[j]--, total--)
                    admission_leave(&a, &ipj);
            }
        }
    }
    for (unsigned j = 0; j < KEYS; j++) {
        for (struct ip_key ipj = key(j); counts[j]; counts[j]--)
            admission_leave(&a, &ipj);
    }
    assert_int_equal(a.used, 0);
    assert_int_equal(atomic_load(&a.total), 0);
    assert_int_equal(admission_enter(&a, NULL, &counted), ADMITTED);
    assert_false(counted);
    admission_leave(&a, NULL);
    /* A limit that comes and goes: who was not counted does not leave the table. */
    admission_set(&a, 10, 0);
    struct ip_key one = {{1}};
    assert_int_equal(admission_enter(&a, &one, &counted), ADMITTED);
    assert_false(counted);
    admission_set(&a, 10, 1);
    admission_leave(&a, NULL);
    assert_int_equal(admission_enter(&a, &one, &counted), ADMITTED);
    assert_true(counted);
    assert_int_equal(admission_enter(&a, &one, &counted), REFUSED_IP);
    admission_set(&a, 1, 0);
    assert_int_equal(admission_enter(&a, &one, &counted), REFUSED_MAX);
    admission_leave(&a, &one);
    assert_int_equal(a.used, 0);
    admission_release(&a);
}

static void test_config(void **state)
{
    (void)state;
    struct http_limits l;
    http_limits_default(&l);
    assert_int_equal(l.drain_bytes, 65536);
    struct error err;
    struct http_server *s;
    struct http_config c = {.limits = l};
    assert_int_equal(http_server_new(&c, &s, &err), 0); /* a loop per CPU, no pools, no metrics */
    assert_true(s->n_loops >= 1);
    assert_ptr_equal(http_server_loop(s), s->loops[0].loop);
    http_server_free(s);
    c.limits.buffer_max = c.limits.buffer_min - 1;
    assert_int_equal(http_server_new(&c, &s, &err), -1);
    http_server_free(NULL);
}

/* ---- a filter without sendfile, like TLS: swapped in by a handler, which runs on the loop ---- */

static struct filter_ops copying;
static size_t at_once;

static ssize_t few(struct filter *fl, const struct iovec *iov, int n, bool more)
{
    (void)n;
    (void)more;
    struct iovec part = {iov[0].iov_base, MIN(iov[0].iov_len, at_once)};
    ssize_t put = writev(CONTAINER_OF(fl, struct filter_plain, filter)->fd, &part, 1);
    return put < 0 ? FILTER_AGAIN : put;
}

static enum step h_copying(struct request *r)
{
    struct fixture *fx = r->app;
    struct filter *top = stream_of(r)->conn->top;
    if (top->ops != &copying) {
        copying = *top->ops;
        copying.sendfile = NULL;
        copying.writev = few;
        top->ops = &copying;
    }
    uint64_t n = 100000;
    (void)parse_u63(r->param[0], &n);
    response_file(r, "x/y", fdref_new(dup(fx->file_fd), FILE_BYTES), 0, n);
    return STEP_DONE;
}

static void test_filter_that_copies(void **state)
{
    (void)state;
    static const struct route rows[] = {
        {"copy", HTTP_GET, "/copy/<n>", 0, BODY_NONE, 0, POOL_LOOP, h_copying, NULL}};
    static const struct http_site site = {"copy", rows, 1, true, false};
    struct error err;
    at_once = 1000;
    assert_int_equal(http_server_listen(f.server, "127.0.0.1:0", &site, &f.bound, &err), 0);
    f.port = (int)strtol(strrchr(f.bound, ':') + 1, NULL, 10);
    fixture_run(&f);
    int fd = client(&f);
    struct reply r;
    for (int i = 0; i < 2; i++) {
        send_text(fd, "GET /copy/100000 HTTP/1.1\r\nHost: a\r\n\r\n");
        receive(fd, &r, false);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.n, 100000);
        for (size_t k = 0; k < r.n; k++) {
            if ((unsigned char)r.body[k] != pattern(k))
                fail_msg("byte %zu is wrong", k);
        }
        reply_free(&r);
    }
    send_text(fd, "GET /copy/9999999 HTTP/1.1\r\nHost: a\r\n\r\n"); /* longer than the file */
    receive(fd, &r, false);
    assert_int_equal(r.status, 0);
    reply_free(&r);
    close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_unix),
        T(test_stale_unix),
        T(test_unix_taken_over),
        T(test_unix_errors),
        T(test_tcp_addresses),
        T(test_bad_addresses),
        T(test_adopted),
        T(test_adopted_unix),
        T(test_filter_that_copies),
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_admission_table),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
