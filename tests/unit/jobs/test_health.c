/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks against a store, files and listeners of the test's own. Intervals are a few
 * milliseconds; what is waited for has many times the time that it needs. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "jobs/health.h"
#include "os/clock.h"
#include "remote/client.h"

#include "base/banned.h"

enum { WAIT_MS = 20000, TICK_MS = 20 };

/* ---- a store that does as it is told ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t turn;
    bool fails, hangs;
    unsigned probes;
    const char *script; /* one character for each probe, F: it fails; then as `fails` says */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};

static int probe(struct store *s, struct error *err)
{
    (void)s;
    pthread_mutex_lock(&disk.lock);
    disk.probes++;
    while (disk.hangs)
        pthread_cond_wait(&disk.turn, &disk.lock);
    bool fails = disk.fails;
    if (disk.script && *disk.script)
        fails = *disk.script++ == 'F';
    pthread_mutex_unlock(&disk.lock);
    return fails ? error_sys(err, ENOSPC, "write the probe") : 0;
}

static void disk_set(bool fails, bool hangs)
{
    pthread_mutex_lock(&disk.lock);
    disk.fails = fails;
    disk.hangs = hangs;
    pthread_cond_broadcast(&disk.turn);
    pthread_mutex_unlock(&disk.lock);
}

static unsigned probes(void)
{
    pthread_mutex_lock(&disk.lock);
    unsigned n = disk.probes;
    pthread_mutex_unlock(&disk.lock);
    return n;
}

static const struct store_ops ops = {.name = "filesystem", .probe = probe};
static struct store store = {.ops = &ops};

/* ---- listeners ---- */

static int listen_on(int backlog, char address[32])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    (void)snprintf(address, 32, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

/* Connections beyond the backlog get no answer: a connect to it hangs. */
struct black_hole {
    int listener, filler[8];
    char address[32];
};

static void black_hole_make(struct black_hole *b)
{
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    b->listener = listen_on(0, b->address);
    assert_int_equal(getsockname(b->listener, (struct sockaddr *)&in, &n), 0);
    for (size_t i = 0; i < ARRAY_LEN(b->filler); i++) {
        b->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(b->filler[i], (struct sockaddr *)&in, n);
    }
}

static void black_hole_close(struct black_hole *b)
{
    for (size_t i = 0; i < ARRAY_LEN(b->filler); i++)
        close(b->filler[i]);
    close(b->listener);
}

/* An HTTP server of one thread: answers every request with `status`, 0: never. */
struct web {
    int listener;
    char address[32], uri[96];
    pthread_t thread;
    atomic_int status;
    pthread_mutex_t lock;
    char last[2048]; /* the request */
};

static void web_serve(struct web *w, int fd)
{
    char in[sizeof w->last];
    char out[128];
    ssize_t n = read(fd, in, sizeof in - 1);
    int status = atomic_load(&w->status);
    if (n <= 0)
        return;
    in[n] = '\0';
    pthread_mutex_lock(&w->lock);
    memcpy(w->last, in, (size_t)n + 1);
    pthread_mutex_unlock(&w->lock);
    if (status == 0) {
        while (read(fd, in, sizeof in) > 0) /* until the other side gives up */
            continue;
        return;
    }
    int len = snprintf(out, sizeof out,
                       "HTTP/1.1 %d X\r\nContent-Length: 7\r\nConnection: close\r\n\r\n", status);
    (void)!write(fd, out, (size_t)len);
}

static void *web_main(void *arg)
{
    struct web *w = arg;
    for (;;) {
        int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        web_serve(w, fd);
        close(fd);
    }
}

static void web_start(struct web *w, const char *before_host, int status)
{
    *w = (struct web){.listener = -1};
    w->listener = listen_on(16, w->address);
    atomic_init(&w->status, status);
    pthread_mutex_init(&w->lock, NULL);
    (void)snprintf(w->uri, sizeof w->uri, "http://%s%s/health?x=1", before_host, w->address);
    assert_int_equal(pthread_create(&w->thread, NULL, web_main, w), 0);
}

static void web_stop(struct web *w)
{
    shutdown(w->listener, SHUT_RDWR);
    pthread_join(w->thread, NULL);
    close(w->listener);
    pthread_mutex_destroy(&w->lock);
}

/* Until it was asked. */
static void web_wait(struct web *w)
{
    uint64_t end = os_mono_ms() + WAIT_MS;
    bool asked = false;
    while (!asked) {
        assert_true(os_mono_ms() < end);
        usleep(1000);
        pthread_mutex_lock(&w->lock);
        asked = w->last[0] != '\0';
        pthread_mutex_unlock(&w->lock);
    }
}

/* ---- help ---- */

static struct health *make(const struct health_check *checks, unsigned n, struct log *log,
                           struct metrics *metrics)
{
    struct health *h = NULL;
    struct error err = {0};
    struct health_config c = {
        .checks = checks, .n = n, .store = &store, .log = log, .metrics = metrics};
    if (health_new(&c, &h, &err))
        fail_msg("%s", *err.detail ? err.detail : err.message);
    return h;
}

static char *printed(struct health *h)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    health_print(h, &b);
    assert_false(b.failed);
    return buf_steal(&b, NULL);
}

static void expect(struct health *h, bool ok)
{
    uint64_t end = os_mono_ms() + WAIT_MS;
    while (health_ok(h) != ok) {
        if (os_mono_ms() > end)
            fail_msg("it did not become %s", ok ? "healthy" : "unhealthy");
        usleep(1000);
    }
}

/* What is printed, once it has `part` in it. */
static void expect_text(struct health *h, const char *part)
{
    uint64_t end = os_mono_ms() + WAIT_MS;
    for (;;) {
        CLEANUP_FREE char *text = printed(h);
        if (strstr(text, part))
            return;
        if (os_mono_ms() > end)
            fail_msg("%s has no %s", text, part);
        usleep(1000);
    }
}

static void expect_metric(struct metrics *metrics, const char *part)
{
    CLEANUP_BUF struct buf b;
    buf_init(&b, 64 * 1024);
    assert_int_equal(metrics_print(metrics, &b), 0);
    if (!strstr(b.p, part))
        fail_msg("%s has no %s", b.p, part);
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static char *temporary(void)
{
    char path[] = "/tmp/berth-health-XXXXXX";
    assert_non_null(mkdtemp(path));
    char *name = xcalloc(1, sizeof path + sizeof "/down");
    memcpy(name, path, sizeof path - 1);
    memcpy(name + sizeof path - 1, "/down", sizeof "/down");
    return name;
}

static void forget(char *path)
{
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    free(path);
}

/* ---- tests ---- */

static void test_storage(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct log *log = log_new(fds[1], LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO);
    struct health_check check = {.kind = HEALTH_STORAGE, .interval_ms = TICK_MS};
    disk_set(false, false);
    unsigned before = probes();
    struct health *h = make(&check, 1, log, metrics);
    assert_true(health_ok(h));
    while (probes() < before + 3)
        usleep(1000);
    assert_true(health_ok(h));
    CLEANUP_FREE char *none = printed(h);
    assert_string_equal(none, "{}");
    expect_metric(metrics, "{check=\"storagedriver_filesystem\"} 1\n");
    disk_set(true, false);
    expect(h, false);
    expect_text(h, "{\"storagedriver_filesystem\":\"");
    expect_text(h, "No space left");
    expect_metric(metrics, "{check=\"storagedriver_filesystem\"} 0\n");
    disk_set(false, false);
    expect(h, true);
    expect_text(h, "{}");
    expect_metric(metrics, "{check=\"storagedriver_filesystem\"} 1\n");
    health_free(h);
    log_free(log);
    close(fds[1]);
    char lines[4096] = "";
    ssize_t n = read(fds[0], lines, sizeof lines - 1);
    assert_true(n > 0);
    close(fds[0]);
    assert_non_null(strstr(lines, "storagedriver_filesystem"));
    assert_non_null(strstr(lines, "No space left"));
    assert_non_null(strstr(lines, "succeeds again"));
    metrics_free(metrics);
}

/* The threshold counts failures in a row. */
static void test_threshold(void **state)
{
    (void)state;
    struct health_check check = {.kind = HEALTH_STORAGE, .interval_ms = 100, .threshold = 3};
    disk_set(true, false);
    pthread_mutex_lock(&disk.lock);
    disk.script = "FFoFoFF";
    pthread_mutex_unlock(&disk.lock);
    unsigned before = probes();
    struct health *h = make(&check, 1, NULL, NULL);
    expect(h, false);
    assert_true(probes() - before >= 8); /* those seven, and the third failure in a row */
    disk_set(false, false);
    expect(h, true);
    health_free(h);
}

static void test_file(void **state)
{
    (void)state;
    char *path = temporary();
    char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    char *below = NULL;
    assert_true(asprintf(&below, "%s/x", path) > 0);
    struct health_check checks[] = {
        {.kind = HEALTH_FILE, .target = path, .interval_ms = TICK_MS},
        {.kind = HEALTH_FILE, .target = below, .interval_ms = TICK_MS},
    };
    make_file(path);
    struct health *h = make(checks, 2, NULL, NULL);
    expect(h, false);
    expect_text(h, "/down\":\"file exists\"");
    expect_text(h, "/down/x: Not a directory");
    unlink(path);
    expect(h, true);
    assert_int_equal(symlink("nowhere", path), 0); /* a link to nothing is no file */
    usleep(5 * TICK_MS * 1000);
    assert_true(health_ok(h));
    unlink(path);
    assert_int_equal(symlink(folder, path), 0);
    expect(h, false);
    health_free(h);
    free(folder);
    free(below);
    forget(path);
}

static void test_tcp(void **state)
{
    (void)state;
    char address[32];
    int fd = listen_on(64, address);
    char port_only[32];
    char named[64];
    (void)snprintf(port_only, sizeof port_only, "%s", strchr(address, ':'));
    (void)snprintf(named, sizeof named, "localhost%s", port_only);
    struct health_check checks[] = {
        {.kind = HEALTH_TCP, .target = address, .interval_ms = TICK_MS},
        {.kind = HEALTH_TCP, .target = port_only, .interval_ms = TICK_MS},
        {.kind = HEALTH_TCP, .target = named, .interval_ms = TICK_MS},
        {.kind = HEALTH_TCP, .target = "[::1]:1", .interval_ms = TICK_MS, .threshold = 1000000},
        {.kind = HEALTH_TCP, .target = "127.0.0.1:nosuchservice", .threshold = 1000000},
    };
    struct health *h = make(checks, ARRAY_LEN(checks), NULL, NULL);
    usleep(5 * TICK_MS * 1000);
    CLEANUP_FREE char *text = printed(h);
    assert_string_equal(text, "{}");
    close(fd);
    expect(h, false);
    char part[128];
    (void)snprintf(part, sizeof part, "\"%s\":\"%s: connection failed: Connection refused\"",
                   address, address);
    expect_text(h, part);
    health_free(h);
    struct health_check lookup = {.kind = HEALTH_TCP, .target = "127.0.0.1:nosuchservice"};
    h = make(&lookup, 1, NULL, NULL);
    expect(h, false);
    expect_text(h, "connection failed: lookup: ");
    health_free(h);
}

/* A connect that gets no answer fails at its timeout, and keeps nobody else waiting. */
static void test_tcp_hangs(void **state)
{
    (void)state;
    struct black_hole hole;
    char *path = temporary();
    black_hole_make(&hole);
    struct health_check checks[] = {
        {.kind = HEALTH_TCP, .target = hole.address, .interval_ms = TICK_MS, .timeout_ms = 3000},
        {.kind = HEALTH_FILE, .target = path, .interval_ms = TICK_MS},
    };
    uint64_t start = os_mono_ms();
    struct health *h = make(checks, 2, NULL, NULL);
    make_file(path);
    expect(h, false);
    assert_true(os_mono_ms() - start < 3000);
    expect_text(h, "file exists");
    unlink(path);
    expect_text(h, "connection failed: Connection timed out");
    assert_true(os_mono_ms() - start >= 3000);
    health_free(h); /* while it hangs again */
    black_hole_close(&hole);
    forget(path);
}

static void test_http(void **state)
{
    (void)state;
    static const char *const headers[][2] = {{"X-One", "1"}, {"X-Two", "a: b"}};
    struct web w;
    web_start(&w, "", 200);
    struct health_check check = {.kind = HEALTH_HTTP,
                                 .target = w.uri,
                                 .headers = headers,
                                 .n_headers = 2,
                                 .interval_ms = TICK_MS};
    struct health *h = make(&check, 1, NULL, NULL);
    web_wait(&w);
    usleep(5 * TICK_MS * 1000);
    assert_true(health_ok(h));
    pthread_mutex_lock(&w.lock);
    assert_non_null(strstr(w.last, "HEAD /health?x=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(w.last, "X-One: 1\r\n"));
    assert_non_null(strstr(w.last, "X-Two: a: b\r\n"));
    pthread_mutex_unlock(&w.lock);
    atomic_store(&w.status, 503);
    expect(h, false);
    expect_text(h, "/health?x=1: downstream service returned unexpected status: 503");
    atomic_store(&w.status, 200);
    expect(h, true);
    web_stop(&w);
    expect(h, false);
    expect_text(h, "error while checking: ");
    health_free(h);
}

/* Another status than 200 may be the good one; credentials are sent and never shown. */
static void test_http_login(void **state)
{
    (void)state;
    struct web w;
    web_start(&w, "user:hunter2@", 401);
    struct metrics *metrics = metrics_new();
    struct health_check check = {
        .kind = HEALTH_HTTP, .target = w.uri, .status_code = 401, .interval_ms = TICK_MS};
    struct health *h = make(&check, 1, NULL, metrics);
    web_wait(&w);
    usleep(5 * TICK_MS * 1000);
    assert_true(health_ok(h));
    pthread_mutex_lock(&w.lock);
    assert_non_null(strstr(w.last, "Authorization: Basic dXNlcjpodW50ZXIy\r\n"));
    pthread_mutex_unlock(&w.lock);
    atomic_store(&w.status, 200);
    expect(h, false);
    CLEANUP_FREE char *text = printed(h);
    assert_null(strstr(text, "hunter2"));
    char part[128];
    (void)snprintf(part, sizeof part, "{\"http://%s/health?x=1\":", w.address);
    assert_non_null(strstr(text, part));
    struct buf b;
    buf_init(&b, 64 * 1024);
    metrics_print(metrics, &b);
    assert_null(strstr(b.p, "hunter2"));
    assert_non_null(strstr(b.p, "/health?x=1\"} 0"));
    buf_release(&b);
    health_free(h);
    metrics_free(metrics);
    web_stop(&w);
}

static void test_http_hangs(void **state)
{
    (void)state;
    struct web w;
    web_start(&w, "", 0);
    struct health_check check = {
        .kind = HEALTH_HTTP, .target = w.uri, .interval_ms = TICK_MS, .timeout_ms = 300};
    struct health *h = make(&check, 1, NULL, NULL);
    uint64_t start = os_mono_ms();
    expect(h, false);
    assert_true(os_mono_ms() - start < WAIT_MS / 2);
    health_free(h);
    check.timeout_ms = 600000;
    h = make(&check, 1, NULL, NULL);
    usleep(50000);
    start = os_mono_ms();
    health_free(h); /* the request is given up */
    assert_true(os_mono_ms() - start < 10000);
    web_stop(&w);
}

/* Nobody can interrupt a write that hangs: after the timeout it counts as a failure, and in each
 * interval as one more. */
static void test_storage_hangs(void **state)
{
    (void)state;
    struct health_check checks[] = {
        {.kind = HEALTH_STORAGE, .interval_ms = 50, .timeout_ms = 50, .threshold = 3},
        {.kind = HEALTH_FILE, .target = "/nonexistent/file", .interval_ms = TICK_MS},
    };
    disk_set(false, true);
    struct health *h = make(checks, 2, NULL, NULL);
    expect(h, false);
    expect_text(h, "storagedriver_filesystem: no answer for ");
    disk_set(true, false); /* it comes back with an error: the reason changes */
    expect_text(h, "No space left");
    assert_false(health_ok(h));
    disk_set(false, false);
    expect(h, true);
    health_free(h);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        struct health_check check;
        const char *because;
    } rows[] = {
        {{.kind = HEALTH_TCP, .target = "localhost"}, "has no port"},
        {{.kind = HEALTH_TCP, .target = "localhost:"}, "has no port"},
        {{.kind = HEALTH_TCP, .target = "::1:80"}, "too many colons"},
        {{.kind = HEALTH_TCP}, "has no port"},
        {{.kind = HEALTH_FILE, .target = ""}, "has no file"},
        {{.kind = HEALTH_FILE}, "has no file"},
        {{.kind = HEALTH_HTTP, .target = "ftp://u:hunter2@x/"}, "not an http or https URI"},
        {{.kind = HEALTH_HTTP, .target = "localhost"}, "not an http or https URI"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct health *h = NULL;
        struct error err = {0};
        struct health_config c = {.checks = &rows[i].check, .n = 1, .store = &store};
        assert_int_equal(health_new(&c, &h, &err), -1);
        assert_null(h);
        if (!strstr(err.detail, rows[i].because) || strstr(err.detail, "hunter2"))
            fail_msg("%s", err.detail);
    }
    struct health_check twice[65] = {{.kind = HEALTH_FILE, .target = "/a"},
                                     {.kind = HEALTH_FILE, .target = "/b"},
                                     {.kind = HEALTH_FILE, .target = "/a"}};
    struct health *h = NULL;
    struct error err = {0};
    struct health_config c = {.checks = twice, .n = 3, .store = &store};
    assert_int_equal(health_new(&c, &h, &err), -1);
    assert_non_null(strstr(err.detail, "/a is there twice"));
    c.n = 65;
    assert_int_equal(health_new(&c, &h, &err), -1);
    assert_non_null(strstr(err.detail, "at most"));
}

/* Names are anybody's: they are escaped where they are printed, and printed in their order. */
static void test_names(void **state)
{
    (void)state;
    char *path = temporary();
    char *odd = NULL;
    assert_true(asprintf(&odd, "%.*s/./\"\\\ndown", (int)(strrchr(path, '/') - path), path) > 0);
    make_file(path);
    make_file(odd);
    struct metrics *metrics = metrics_new();
    struct health_check checks[] = {
        {.kind = HEALTH_FILE, .target = path, .interval_ms = TICK_MS},
        {.kind = HEALTH_FILE, .target = odd, .interval_ms = TICK_MS},
        {.kind = HEALTH_STORAGE, .interval_ms = TICK_MS},
    };
    struct health *h = make(checks, 3, NULL, metrics);
    expect_text(h, "/./\\\"\\\\\\ndown\":\"file exists\",");
    expect_text(h, "/down\":\"file exists\"}");
    expect_metric(metrics, "/./\\\"\\\\\\ndown\"} 0\n");
    expect_metric(metrics, "{check=\"storagedriver_filesystem\"} 1\n");
    health_free(h);
    metrics_free(metrics);
    unlink(odd);
    free(odd);
    forget(path);
}

static void test_none(void **state)
{
    (void)state;
    struct health *h = make(NULL, 0, NULL, NULL);
    CLEANUP_FREE char *text = printed(h);
    assert_true(health_ok(h));
    assert_string_equal(text, "{}");
    health_free(h);
    health_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage),       cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_file),          cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_hangs),     cmocka_unit_test(test_http),
        cmocka_unit_test(test_http_login),    cmocka_unit_test(test_http_hangs),
        cmocka_unit_test(test_storage_hangs), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_none),
    };
    client_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
