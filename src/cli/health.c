/* SPDX-License-Identifier: Apache-2.0 */
/* The health check of a container: asks the server beside it whether it is ready. No library and no
 * certificate is needed: it asks the debug listener, and when that is off, the registry itself. */
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"
#include "cli/argument.h"
#include "cli/command.h"
#include "main/config.h"

#include "base/banned.h"

extern char **environ;

enum { TIMEOUT_SECONDS = 5 };

struct target {
    char host[256]; /* or the path of a Unix socket */
    char port[16];  /* empty: a Unix socket */
    char path[512];
    bool connect_only; /* TLS: that somebody listens has to do */
};

static int copy(char *to, size_t size, struct slice from)
{
    if (from.n >= size || (from.n && memchr(from.p, 0, from.n)))
        return -1;
    if (from.n)
        memcpy(to, from.p, from.n);
    to[from.n] = '\0';
    return 0;
}

/* host:port, [v6]:port, :port or unix:/path. What means every address is asked on loopback. */
static int parse_address(struct slice s, const char *default_port, struct target *t)
{
    if (slice_starts(s, SLICE_LIT("unix:"))) {
        t->port[0] = '\0';
        return copy(t->host, sizeof t->host, slice_from(s, 5));
    }
    struct slice host = s, port = slice_cstr(default_port);
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
    bool bracket = s.n && s.p[s.n - 1] == ']';
    if (colon && !bracket) {
        host = slice_first(s, (size_t)(colon - s.p));
        port = slice_from(s, host.n + 1);
    }
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = slice_first(slice_from(host, 1), host.n - 2);
    if (slice_is(host, "") || slice_is(host, "0.0.0.0") || slice_is(host, "::"))
        host = SLICE_LIT("127.0.0.1");
    if (port.n == 0 || copy(t->host, sizeof t->host, host))
        return -1;
    return copy(t->port, sizeof t->port, port);
}

static int parse_url(struct slice url, struct target *t, struct error *err)
{
    if (!slice_starts(url, SLICE_LIT("http://")))
        return error_detail(err, ERR_BAD_REQUEST,
                            "%.*s: the check speaks plain HTTP only; give it the address of the "
                            "debug listener, such as http://127.0.0.1:5001/readyz",
                            SLICE_ARG(slice_first(url, 200)));
    struct slice rest = slice_from(url, 7);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/')
        n++;
    struct slice path = n < rest.n ? slice_from(rest, n) : SLICE_LIT("/");
    if (parse_address(slice_first(rest, n), "80", t) || copy(t->path, sizeof t->path, path) ||
        strpbrk(t->path, " \r\n"))
        return error_detail(err, ERR_BAD_REQUEST, "%.*s is no URL that can be asked",
                            SLICE_ARG(slice_first(url, 200)));
    return 0;
}

/* Where the server of this configuration answers. */
static int from_config(const char *file, struct target *t, struct error *err)
{
    struct config_source source = {.file = file, .environment = environ};
    struct config *c = NULL;
    int failed = config_load(&source, &c, err);
    if (!failed) {
        const struct settings *s = config_settings(c);
        bool debug = s->debug_addr && *s->debug_addr;
        struct slice address = slice_cstr(debug ? s->debug_addr : s->http_addr);
        t->connect_only = !debug && s->tls.certificate && *s->tls.certificate;
        failed = parse_address(address, "5000", t);
        if (failed)
            (void)error_detail(err, ERR_BAD_REQUEST, "the address %.*s cannot be asked",
                               SLICE_ARG(address));
        (void)snprintf(t->path, sizeof t->path, "%s%s", debug ? "" : s->http_prefix,
                       debug ? "/readyz" : "v2/");
    }
    config_free(c);
    return failed;
}

/* Of connecting too. */
static void limit_time(int fd)
{
    const struct timeval limit = {.tv_sec = TIMEOUT_SECONDS};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static int dial_unix(const struct target *t)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (copy(to.sun_path, sizeof to.sun_path, slice_cstr(t->host)))
        return -1;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    limit_time(fd);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to))
        return -1;
    int made = fd;
    fd = -1;
    return made;
}

static int dial_one(const struct addrinfo *a)
{
    CLEANUP_CLOSE int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    limit_time(fd);
    if (connect(fd, a->ai_addr, a->ai_addrlen))
        return -1;
    int made = fd;
    fd = -1;
    return made;
}

static int dial(const struct target *t, struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -1;
    if (!t->port[0]) {
        fd = dial_unix(t);
    } else {
        int r = getaddrinfo(t->host, t->port, &hints, &list);
        if (r)
            return error_detail(err, ERR_UNAVAILABLE, "%s port %s: %s", t->host, t->port,
                                gai_strerror(r));
        for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
            fd = dial_one(a);
        int saved = errno;
        freeaddrinfo(list);
        errno = saved;
    }
    if (fd < 0) {
        char text[128];
        return error_detail(err, ERR_UNAVAILABLE, "nobody answers on %s%s%s: %s", t->host,
                            t->port[0] ? " port " : "", t->port,
                            strerrordesc(errno, text, sizeof text));
    }
    return fd;
}

/* The status of a GET, or -1. */
static int ask(int fd, const struct target *t, struct error *err)
{
    CLEANUP_BUF struct buf request = {0};
    char answer[16] = "";
    size_t n = 0;
    bool v6 = strchr(t->host, ':') != NULL;
    buf_init(&request, 2048);
    buf_printf(&request,
               "GET %s HTTP/1.1\r\nHost: %s%s%s\r\nUser-Agent: berth-health/%s\r\n"
               "Connection: close\r\n\r\n",
               t->path, v6 ? "[" : "", t->port[0] ? t->host : "localhost", v6 ? "]" : "",
               BERTH_VERSION);
    for (size_t done = 0; done < request.n;) {
        ssize_t sent = send(fd, request.p + done, request.n - done, MSG_NOSIGNAL);
        if (sent <= 0)
            return error_sys(err, errno, "send the request");
        done += (size_t)sent;
    }
    while (n < sizeof "HTTP/1.1 200" - 1) {
        ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
        if (got <= 0)
            return error_detail(err, ERR_UNAVAILABLE, "no answer in %d seconds", TIMEOUT_SECONDS);
        n += (size_t)got;
    }
    uint64_t status = 0;
    if (!slice_starts(slice_cstr(answer), SLICE_LIT("HTTP/1.")) ||
        parse_u63(slice_make(answer + 9, 3), &status))
        return error_detail(err, ERR_UNAVAILABLE, "the answer is no HTTP");
    return (int)status;
}

static int check(const struct target *t, struct error *err)
{
    CLEANUP_CLOSE int fd = dial(t, err);
    if (fd < 0)
        return -1;
    if (t->connect_only)
        return 0;
    int status = ask(fd, t, err);
    if (status < 0)
        return -1;
    /* A registry that asks for a login is well. */
    if ((status >= 200 && status < 400) || status == 401)
        return 0;
    return error_detail(err, ERR_UNAVAILABLE, "it answers %s with status %d", t->path, status);
}

static int run(int argc, char **argv)
{
    struct target t = {0};
    struct error err = {0};
    const char *what = argc > 1 ? argv[1] : getenv("REGISTRY_CONFIGURATION_PATH");
    if (argc > 2) {
        fprintf(stderr, "berth: health takes one argument: berth health [URL | CONFIG]\n");
        return 2;
    }
    if (what && !*what)
        what = NULL;
    int bad = what && strstr(what, "://") ? parse_url(slice_cstr(what), &t, &err)
                                          : from_config(what, &t, &err);
    if (bad || check(&t, &err))
        return command_failed(&err); /* 1: Docker keeps 2 for itself */
    puts("healthy");
    return 0;
}

const struct command command_health = {
    "health", "[URL | CONFIG]", "ask a running server whether it is well",
    "For the health check of a container. Asks /readyz of the debug listener that the "
    "configuration names (without one: what\n"
    "REGISTRY_CONFIGURATION_PATH names, and the environment), or the URL. Exit status 0 when it is "
    "well, 1 when it is not.",
    run};
