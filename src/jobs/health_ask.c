/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "jobs/health_int.h"
#include "os/clock.h"

#include "base/banned.h"

/* ---- making ---- */

/* host:port, [v6]:port or :port, as Go's net.Dial. */
static int split_address(struct health_target *t, struct error *err)
{
    const char *host = t->target;
    const char *port = strrchr(host, ':');
    if (!port || !port[1])
        return error_detail(err, ERR_BAD_REQUEST,
                            "health.tcp: the address \"%.200s\" has no port: write host:port",
                            t->target);
    size_t n = (size_t)(port - host);
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    } else if (memchr(host, ':', n)) {
        return error_detail(err, ERR_BAD_REQUEST,
                            "health.tcp: the address \"%.200s\" has too many colons: write "
                            "[address]:port for IPv6",
                            t->target);
    }
    t->host = n ? xstrndup(host, n) : NULL;
    t->port = xstrdup(port + 1);
    return 0;
}

static int http_init(struct health_target *t, const struct health_check *from, struct error *err)
{
    if (!client_url_valid(t->target)) {
        CLEANUP_FREE char *name = health_target_name(t);
        return error_detail(err, ERR_BAD_REQUEST,
                            "health.http: \"%.200s\" is not an http or https URI", name);
    }
    t->status_code = from->status_code ? (int)from->status_code : 200;
    t->headers = xcalloc(from->n_headers, sizeof *t->headers);
    for (; t->n_headers < from->n_headers; t->n_headers++)
        t->headers[t->n_headers] =
            (struct client_header){.name = xstrdup(from->headers[t->n_headers][0]),
                                   .value = xstrdup(from->headers[t->n_headers][1])};
    t->client = client_new();
    return 0;
}

int health_target_init(struct health_target *t, const struct health_check *from,
                       uint64_t timeout_ms, struct store *store, const atomic_bool *quit,
                       int quit_fd, struct error *err)
{
    *t = (struct health_target){.kind = from->kind,
                                .target = xstrdup(from->target ? from->target : ""),
                                .timeout_ms = timeout_ms,
                                .store = store,
                                .quit = quit,
                                .quit_fd = quit_fd};
    if (t->kind == HEALTH_TCP)
        return split_address(t, err);
    if (t->kind == HEALTH_HTTP)
        return http_init(t, from, err);
    if (t->kind == HEALTH_FILE && !*t->target)
        return error_detail(err, ERR_BAD_REQUEST, "health.file: an entry has no file");
    return 0;
}

void health_target_release(struct health_target *t)
{
    for (unsigned i = 0; i < t->n_headers; i++) {
        free((char *)(uintptr_t)t->headers[i].name);
        free((char *)(uintptr_t)t->headers[i].value);
    }
    free(t->headers);
    client_free(t->client);
    free(t->host);
    free(t->port);
    free(t->target);
}

char *health_target_name(const struct health_target *t)
{
    char *name = NULL;
    if (t->kind == HEALTH_STORAGE) {
        CHECK(asprintf(&name, "storagedriver_%s", t->store->ops->name) > 0);
        return name;
    }
    const char *authority = strstr(t->target, "://");
    if (t->kind != HEALTH_HTTP || !authority)
        return xstrdup(t->target);
    authority += strlen("://");
    size_t n = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', n);
    const char *rest = at ? at + 1 : authority;
    CHECK(asprintf(&name, "%.*s%s", (int)(authority - t->target), t->target, rest) > 0);
    return name;
}

/* ---- asking ---- */

__attribute__((format(printf, 2, 3))) static bool fails(char reason[HEALTH_REASON_MAX],
                                                        const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(reason, HEALTH_REASON_MAX, fmt, args);
    va_end(args);
    return false;
}

static bool ask_storage(struct health_target *t, char reason[HEALTH_REASON_MAX])
{
    struct error err = {0};
    if (store_probe(t->store, &err) == 0)
        return true;
    return fails(reason, "%s", *err.detail ? err.detail : err.message);
}

static bool ask_file(struct health_target *t, char reason[HEALTH_REASON_MAX])
{
    struct stat st; /* it is anybody's file: links are followed, as registry does */
    char text[128];
    if (stat(t->target, &st) == 0)
        return fails(reason, "file exists");
    if (errno == ENOENT)
        return true;
    return fails(reason, "stat %s: %s", t->target, strerrordesc(errno, text, sizeof text));
}

static bool ask_http(struct health_target *t, char reason[HEALTH_REASON_MAX])
{
    int status = 0;
    struct error err = {0};
    CLEANUP_FREE char *name = health_target_name(t);
    struct client_request request = {.method = "HEAD",
                                     .url = t->target,
                                     .headers = t->headers,
                                     .n_headers = t->n_headers,
                                     .timeout_ms = t->timeout_ms,
                                     .cancel = t->quit};
    if (client_do(t->client, &request, &status, &err))
        return fails(reason, "%s: error while checking: %s", name,
                     *err.detail ? err.detail : err.message);
    if (status != t->status_code)
        return fails(reason, "%s: downstream service returned unexpected status: %d", name, status);
    return true;
}

/* 0 when the connection stands, else an errno. */
static int wait_connected(const struct health_target *t, int fd, uint64_t deadline)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLOUT}, {.fd = t->quit_fd, .events = POLLIN}};
    int sys = 0;
    socklen_t n = sizeof sys;
    for (;;) {
        uint64_t now = os_mono_ms();
        if (now >= deadline)
            return ETIMEDOUT;
        int got = poll(fds, ARRAY_LEN(fds), (int)MIN(deadline - now, 60000u));
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0 && fds[1].revents)
            return ECANCELED;
        if (got > 0)
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &n) ? errno : sys;
    }
}

static int connect_to(const struct health_target *t, const struct addrinfo *a, uint64_t deadline)
{
    CLEANUP_CLOSE int fd =
        socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    return errno == EINPROGRESS ? wait_connected(t, fd, deadline) : errno;
}

static bool ask_tcp(struct health_target *t, char reason[HEALTH_REASON_MAX])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char text[128];
    uint64_t deadline = os_mono_ms() + t->timeout_ms;
    int r = getaddrinfo(t->host, t->port, &hints, &list);
    if (r)
        return fails(reason, "%s: connection failed: lookup: %s", t->target, gai_strerror(r));
    int sys = ETIMEDOUT;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        sys = connect_to(t, a, deadline);
        if (sys == 0 || sys == ETIMEDOUT || sys == ECANCELED)
            break;
    }
    freeaddrinfo(list);
    if (sys == 0)
        return true;
    return fails(reason, "%s: connection failed: %s", t->target,
                 strerrordesc(sys, text, sizeof text));
}

bool health_ask(struct health_target *t, char reason[HEALTH_REASON_MAX])
{
    static bool (*const ask[])(struct health_target *, char *) = {
        [HEALTH_STORAGE] = ask_storage,
        [HEALTH_FILE] = ask_file,
        [HEALTH_HTTP] = ask_http,
        [HEALTH_TCP] = ask_tcp,
    };
    return ask[t->kind](t, reason);
}
