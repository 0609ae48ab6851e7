/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "os/signals.h"

#include "base/banned.h"

/* ---- handlers ---- */

static void on_destroy(void *arg)
{
    struct request *r = arg;
    struct fixture *f = r->app;
    if (r->incomplete)
        atomic_fetch_add(&f->incomplete, 1);
    atomic_fetch_add(&f->destroyed, 1);
}

static enum step text(struct request *r, struct slice body)
{
    arena_on_free(r->arena, on_destroy, r);
    response_bytes(r, "text/plain", body);
    return STEP_DONE;
}

static enum step h_base(struct request *r)
{
    return text(r, SLICE_LIT("base"));
}

static enum step h_echo(struct request *r)
{
    struct slice field = request_field(r, "x-echo");
    if (field.n)
        response_field(r, "X-Echo", "%.*s", SLICE_ARG(field));
    struct slice q;
    bool bad = false;
    if (request_query(r, "q", &q, &bad))
        return text(r, q);
    if (bad)
        return text(r, SLICE_LIT("bad query"));
    return text(r, r->body.p ? r->body : r->param[0]);
}

static enum step slow_2(struct request *r)
{
    return text(r, SLICE_LIT("slow"));
}

static enum step slow_1(struct request *r)
{
    struct fixture *f = r->app;
    atomic_fetch_add(&f->entered, 1);
    while (sem_wait(&f->gate) && errno == EINTR)
        ;
    if (atomic_load(&r->dead))
        atomic_fetch_add(&f->dead_seen, 1);
    return request_next(r, POOL_DB, slow_2);
}

static int sink_write(struct request *r, const char *p, size_t n, struct error *err)
{
    struct fixture *f = r->app;
    uint64_t *sum = r->state;
    atomic_fetch_add(&f->sink_calls, 1);
    while (atomic_load(&f->sink_held))
        sleep_ms(1);
    if (atomic_load(&f->sink_delay_ms))
        sleep_ms(atomic_load(&f->sink_delay_ms));
    atomic_fetch_add(&f->chunks, 1);
    if (n > atomic_load(&f->chunk_max))
        atomic_store(&f->chunk_max, (unsigned)n);
    if (atomic_load(&f->sink_fails))
        return error_detail(err, ERR_NO_SPACE, "the test's disk is full");
    *sum = checksum(*sum, p, n);
    return 0;
}

static const struct sink test_sink = {POOL_IO, sink_write};

static enum step sink_end(struct request *r)
{
    const char *s = arena_printf(r->arena, "%ju %016jx", (uintmax_t)r->body_received,
                                 (uintmax_t) * (uint64_t *)r->state);
    return text(r, slice_cstr(s));
}

static enum step sink_again(struct request *r)
{
    return request_body(r, &test_sink, POOL_IO, sink_end); /* it is there already */
}

static enum step h_sink(struct request *r)
{
    r->state = ARENA_NEW(r->arena, uint64_t);
    arena_on_free(r->arena, on_destroy, r);
    return request_body(r, &test_sink, POOL_IO, sink_again);
}

static enum step h_refuse(struct request *r)
{
    struct error err;
    error_detail(&err, ERR_UNAUTHORIZED, "log in first");
    response_error(r, &err);
    response_field(r, "WWW-Authenticate", "Basic realm=\"test\"");
    return STEP_DONE;
}

static enum step h_file(struct request *r)
{
    struct fixture *f = r->app;
    uint64_t n = FILE_BYTES;
    struct slice q;
    if (request_query(r, "n", &q, NULL) && parse_u63(q, &n))
        n = 0;
    struct fdref *file = fdref_new(dup(f->file_fd), FILE_BYTES);
    response_file(r, "application/octet-stream", file, 1, n - 1);
    response_file(r, "application/octet-stream", fdref_ref(file), 0, n); /* the last one wins */
    return STEP_DONE;
}

static enum step h_shared(struct request *r)
{
    struct shared *s = shared_new("shared body", 11);
    r->resp.keep = shared_new("ETag: \"x\"\r\nX-Ready: own\r\n", 25);
    r->resp.raw_fields = shared_view(r->resp.keep);
    response_shared(r, "text/a", shared_ref(s));
    response_shared(r, "text/b", s);
    return STEP_DONE;
}

/* What the request is made of, for whoever wants to compare. */
static enum step h_who(struct request *r)
{
    const char *s =
        arena_printf(r->arena,
                     "peer=%.*s socket=%.*s scheme=%.*s secure=%d host=%.*s prefix=%.*s path=%.*s "
                     "client=%.*s",
                     SLICE_ARG(r->peer), SLICE_ARG(r->socket_peer), SLICE_ARG(r->scheme),
                     (int)r->secure, SLICE_ARG(r->host), SLICE_ARG(r->prefix),
                     SLICE_ARG(r->head->path), SLICE_ARG(r->tls_client));
    return text(r, slice_cstr(s));
}

static enum step h_error(struct request *r)
{
    struct error err;
    response_field(r, "X-Dropped", "yes");
    response_shared(r, "text/plain", shared_new("dropped", 7));
    error_detail(&err, ERR_BLOB_UNKNOWN, "no \"blob\" here");
    return step_error(r, &err);
}

static enum step h_internal(struct request *r)
{
    struct error err;
    error_set(&err, ERR_UNKNOWN, "the secret place broke");
    return step_error(r, &err);
}

static enum step h_detail(struct request *r)
{
    struct error err;
    error_set(&err, ERR_DENIED, "policy");
    struct slice big = {NULL, 100 * 1024};
    char *p = arena_alloc(r->arena, big.n);
    memset(p, '1', big.n);
    big.p = p;
    response_error_json(r, &err, r->param[0].n == 3 ? big : SLICE_LIT("[{\"a\":1}]"));
    return STEP_DONE;
}

static enum step h_inject(struct request *r)
{
    char big[1000];
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    response_field(r, "X-Value", "a\r\nX-Evil: 1%c", 0x7f);
    response_field(r, "X-Big", "%s", big);
    response_status(r, 299);
    r->resp.close = true;
    return STEP_DONE;
}

static enum step h_status(struct request *r)
{
    uint64_t v = 0;
    (void)parse_u63(r->param[0], &v);
    response_status(r, (int)v);
    return STEP_DONE;
}

static enum step h_nothing(struct request *r)
{
    (void)r;
    return STEP_DONE;
}

/* A per-loop cache: the first answer of a loop comes from the pool, the next from its cache. */
static void fill_cache(struct request *r)
{
    *(bool *)r->loop_local = true;
}

static enum step f_cached(struct request *r)
{
    struct fixture *f = r->app;
    if (!*(bool *)r->loop_local)
        return STEP_DONE;
    atomic_fetch_add(&f->local_hits, 1);
    response_bytes(r, "text/plain", SLICE_LIT("cached"));
    return STEP_DONE;
}

static enum step h_cached(struct request *r)
{
    r->on_loop = fill_cache;
    response_bytes(r, "text/plain", SLICE_LIT("fresh"));
    return STEP_DONE;
}

static enum step f_next(struct request *r)
{
    return request_next(r, POOL_IO, h_base);
}

static enum step auth_pool(struct request *r)
{
    struct fixture *f = r->app;
    if (slice_is(request_field(r, "x-auth"), "pool-slow")) {
        atomic_fetch_add(&f->entered, 1);
        while (sem_wait(&f->gate) && errno == EINTR)
            ;
    }
    if (slice_is(request_field(r, "x-auth"), "pool-deny"))
        return h_refuse(r);
    r->principal = SLICE_LIT("alice");
    return STEP_DONE;
}

static enum step authorize(struct request *r)
{
    struct slice a = request_field(r, "x-auth");
    if (slice_is(a, "deny"))
        return h_refuse(r);
    if (slice_starts(a, SLICE_LIT("pool")))
        return request_next(r, POOL_AUTH, auth_pool);
    return STEP_DONE;
}

static const struct route routes[] = {
    {"base", HTTP_GET, "/v2/", 0, BODY_NONE, 0, POOL_LOOP, h_base, NULL},
    {"echo", HTTP_GET, "/v2/echo/<x>", 0, BODY_NONE, 0, POOL_LOOP, h_echo, NULL},
    {"echo", HTTP_PUT, "/v2/echo/<x>", 0, BODY_MEMORY, 100, POOL_IO, h_echo, NULL},
    {"echo", HTTP_DELETE, "/v2/echo/<x>", 0, BODY_NONE, 0, POOL_DB, h_base, NULL},
    {"manifest", HTTP_PUT, "/v2/manifest", 0, BODY_MEMORY, 1 << 20, POOL_LOOP, h_echo, NULL},
    {"slow", HTTP_GET, "/slow", 0, BODY_NONE, 0, POOL_IO, slow_1, NULL},
    {"slow", HTTP_DELETE, "/slow", 0, BODY_NONE, 0, POOL_IO, slow_1, NULL},
    {"sink", HTTP_PUT, "/v2/sink", 0, BODY_STREAM, 0, POOL_IO, h_sink, NULL},
    {"refuse", HTTP_PUT, "/v2/refuse", 0, BODY_STREAM, 0, POOL_LOOP, h_refuse, NULL},
    {"file", HTTP_GET, "/v2/file", 0, BODY_NONE, 0, POOL_IO, h_file, NULL},
    {"shared", HTTP_GET, "/shared", 0, BODY_NONE, 0, POOL_LOOP, h_shared, NULL},
    {"error", HTTP_GET, "/error", 0, BODY_NONE, 0, POOL_LOOP, h_error, NULL},
    {"internal", HTTP_GET, "/internal", 0, BODY_NONE, 0, POOL_LOOP, h_internal, NULL},
    {"detail", HTTP_GET, "/detail/<x>", 0, BODY_NONE, 0, POOL_LOOP, h_detail, NULL},
    {"inject", HTTP_GET, "/inject", 0, BODY_NONE, 0, POOL_LOOP, h_inject, NULL},
    {"status", HTTP_GET, "/status/<x>", 0, BODY_NONE, 0, POOL_LOOP, h_status, NULL},
    {"nothing", HTTP_GET, "/nothing", 0, BODY_NONE, 0, POOL_LOOP, h_nothing, NULL},
    {"cached", HTTP_GET, "/cached", 0, BODY_NONE, 0, POOL_DB, h_cached, f_cached},
    {"next", HTTP_GET, "/next", 0, BODY_NONE, 0, POOL_DB, h_nothing, f_next},
    {"who", HTTP_GET, "/who", 0, BODY_NONE, 0, POOL_DB, h_who, NULL},
    {"root", HTTP_GET, "/", 0, BODY_NONE, 0, POOL_LOOP, h_who, NULL},
    {"drop", HTTP_POST, "/drop", 0, BODY_NONE, 0, POOL_LOOP, h_base, NULL},
};

const struct http_site test_site = {.name = "test",
                                    .routes = routes,
                                    .n = ARRAY_LEN(routes),
                                    .drains = true,
                                    .metrics = true,
                                    .prefixed = true};
const struct http_site debug_site = {.name = "debug", .routes = routes, .n = 1};

/* ---- the server ---- */

static void *local_open(void *app, unsigned loop)
{
    struct fixture *f = app;
    (void)loop;
    atomic_fetch_add(&f->locals, 1);
    return xcalloc(1, sizeof(bool));
}

static void local_close(void *app, void *local)
{
    struct fixture *f = app;
    atomic_fetch_sub(&f->locals, 1);
    free(local);
}

unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 7 + i / 251);
}

static int make_file(void)
{
    char path[] = "/tmp/berth-test-http-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    unsigned char *p = xcalloc(1, FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; i++)
        p[i] = pattern(i);
    assert_int_equal(write(fd, p, FILE_BYTES), FILE_BYTES);
    free(p);
    return fd;
}

void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    signals_block();
    struct error err;
    f->metrics = metrics_new();
    assert_int_equal(sem_init(&f->gate, 0, 0), 0);
    for (int i = POOL_DB; i < POOL_COUNT; i++)
        assert_int_equal(pool_new("test", 2, 64, &f->config.pools[i], &err), 0);
    (void)snprintf(f->log_path, sizeof f->log_path, "/tmp/berth-test-log-XXXXXX");
    f->log_fd = mkstemp(f->log_path);
    assert_true(f->log_fd >= 0);
    f->log = log_new(f->log_fd, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    f->file_fd = make_file();
    f->config.loops = 2;
    f->config.app = f;
    f->config.authorize = authorize;
    f->config.loop_open = local_open;
    f->config.loop_close = local_close;
    f->config.access_log = f->log;
    f->config.metrics = f->metrics;
    http_limits_default(&f->config.limits);
}

static void *server_thread(void *arg)
{
    struct fixture *f = arg;
    struct error err;
    f->rc = http_server_run(f->server, &err);
    return NULL;
}

void fixture_run(struct fixture *f)
{
    assert_int_equal(pthread_create(&f->thread, NULL, server_thread, f), 0);
    f->running = true;
}

void fixture_start(struct fixture *f)
{
    struct error err;
    assert_int_equal(http_server_new(&f->config, &f->server, &err), 0);
    assert_int_equal(http_server_listen(f->server, "127.0.0.1:0", &test_site, &f->bound, &err), 0);
    uint64_t port;
    assert_int_equal(parse_u63(slice_cstr(strchr(f->bound, ':') + 1), &port), 0);
    f->port = (int)port;
    fixture_run(f);
}

void fixture_join(struct fixture *f)
{
    assert_true(f->running);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    f->running = false;
    assert_int_equal(f->rc, 0);
}

void fixture_stop(struct fixture *f)
{
    if (!f->server)
        f->running = false;
    if (f->running) {
        http_server_stop(f->server);
        atomic_store(&f->sink_held, false);
        for (int i = 0; i < 64; i++) /* nobody waits at the gate any more */
            (void)sem_post(&f->gate);
        fixture_join(f);
    }
    assert_int_equal(atomic_load(&f->locals), 0);
    http_server_free(f->server);
    for (int i = POOL_DB; i < POOL_COUNT; i++)
        pool_free(f->config.pools[i]);
    metrics_free(f->metrics);
    log_flush(f->log, 10000); /* log_free would not wait for a slow disk, and its file goes now */
    log_free(f->log);
    (void)close(f->log_fd);
    (void)unlink(f->log_path);
    (void)close(f->file_fd);
    (void)sem_destroy(&f->gate);
    free(f->bound);
}

char *fixture_log(struct fixture *f)
{
    struct stat st;
    log_flush(f->log, 5000);
    assert_int_equal(fstat(f->log_fd, &st), 0);
    char *p = xcalloc(1, (size_t)st.st_size + 1);
    assert_int_equal(pread(f->log_fd, p, (size_t)st.st_size, 0), st.st_size);
    return p;
}

void sleep_ms(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&ts, NULL);
}

void wait_for(atomic_uint *v, unsigned n)
{
    for (int i = 0; i < 10000 && atomic_load(v) < n; i++)
        sleep_ms(1);
    assert_true(atomic_load(v) >= n);
}

void wait_received(struct fixture *f, int64_t n)
{
    const struct metric *m = metrics_counter(f->metrics, "berth_http_bytes_received_total",
                                             "Bytes received from clients.", "");
    for (int i = 0; i < 10000 && metric_value(m) < n; i++)
        sleep_ms(1);
    assert_true(metric_value(m) >= n);
}

void wait_connections(struct fixture *f, int64_t n)
{
    const struct metric *m =
        metrics_gauge(f->metrics, "berth_http_connections", "Open connections of clients.", "");
    for (int i = 0; i < 10000 && metric_value(m) != n; i++)
        sleep_ms(1);
    assert_int_equal(metric_value(m), n);
}

/* ---- client ---- */

static void set_timeouts(int fd)
{
    struct timeval tv = {10, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

int client(const struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    set_timeouts(fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

int client_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path));
    set_timeouts(fd);
    if (connect(fd, (struct sockaddr *)&un, sizeof un)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

void send_all(int fd, const void *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        ssize_t put = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);
        if (put <= 0)
            return; /* the server may close early: the answer tells */
        at += (size_t)put;
    }
}

void send_text(int fd, const char *s)
{
    send_all(fd, s, strlen(s));
}

const char *reply_field(const struct reply *r, const char *name)
{
    static char value[8192];
    size_t n = strlen(name);
    for (const char *at = strstr(r->head, "\r\n"); at && at[2]; at = strstr(at + 2, "\r\n")) {
        const char *line = at + 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            const char *v = line + n + 2, *end = strstr(v, "\r\n");
            size_t len = end ? (size_t)(end - v) : strlen(v);
            memcpy(value, v, len);
            value[len] = '\0';
            return value;
        }
    }
    return NULL;
}

void receive(int fd, struct reply *out, bool head_only)
{
    memset(out, 0, sizeof *out);
    size_t n = 0;
    /* Byte by byte, so that nothing of the next response is taken. */
    while (n < sizeof out->head - 1) {
        ssize_t got = recv(fd, out->head + n, 1, 0);
        if (got <= 0)
            return;
        n++;
        if (n >= 4 && memcmp(out->head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    int status = (int)strtol(out->head + 9, NULL, 10);
    const char *length = reply_field(out, "Content-Length");
    size_t want = length && !head_only ? strtoull(length, NULL, 10) : 0;
    out->body = xcalloc(1, want + 1);
    while (out->n < want) {
        ssize_t got = recv(fd, out->body + out->n, want - out->n, 0);
        if (got <= 0)
            return;
        out->n += (size_t)got;
    }
    out->status = status;
}

void reply_free(struct reply *r)
{
    free(r->body);
    r->body = NULL;
}

void ask(const struct fixture *f, const char *request, struct reply *out)
{
    int fd = client(f);
    send_text(fd, request);
    receive(fd, out, strncmp(request, "HEAD", 4) == 0);
    (void)close(fd);
}

bool closed_by_peer(int fd)
{
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 10000) <= 0)
            return false;
        char sink[4096];
        ssize_t got = recv(fd, sink, sizeof sink, 0);
        if (got <= 0)
            return got == 0 || errno == ECONNRESET;
    }
}

uint64_t checksum(uint64_t sum, const void *p, size_t n)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ b[i]) * 0x100000001b3U + 1;
    return sum;
}
