/* SPDX-License-Identifier: Apache-2.0 */
#include "http_stub.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

enum { REQUESTS_MAX = 20000, REQUEST_BYTES = 8 * 1024 * 1024, TEXTS_MAX = 16 };

struct stub {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stop;
    int status;
    unsigned left; /* requests that get it; 0: all */
    char **heads, **bodies;
    unsigned n, connections;
    char *urls[TEXTS_MAX];
    unsigned n_urls;
};

static bool stopped(struct stub *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    (void)pthread_mutex_unlock(&s->lock);
    return stop;
}

/* False at the end of the connection or of the stub. */
static bool read_some(struct stub *s, int fd, struct buf *in)
{
    char piece[16384];
    while (!stopped(s)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0)
            return false;
        return buf_add(in, piece, (size_t)n) == 0;
    }
    return false;
}

static size_t content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");
    return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* One request; what is left in the buffer belongs to the next. */
static bool read_request(struct stub *s, int fd, struct buf *in, char **head, char **body)
{
    const char *end;
    while (!in->n || !(end = strstr(in->p, "\r\n\r\n")))
        if (!read_some(s, fd, in))
            return false;
    size_t head_n = (size_t)(end - in->p) + 4;
    *head = xstrndup(in->p, head_n);
    size_t body_n = content_length(*head);
    while (in->n < head_n + body_n)
        if (!read_some(s, fd, in)) {
            free(*head);
            return false;
        }
    *body = xstrndup(in->p + head_n, body_n);
    buf_consume(in, head_n + body_n);
    return true;
}

static int record(struct stub *s, char *head, char *body)
{
    (void)pthread_mutex_lock(&s->lock);
    CHECK(s->n < REQUESTS_MAX);
    s->heads[s->n] = head;
    s->bodies[s->n++] = body;
    int status = s->status;
    if (s->left && --s->left == 0)
        s->status = 200;
    (void)pthread_mutex_unlock(&s->lock);
    return status;
}

static bool send_text(int fd, const char *text, size_t n)
{
    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Until it is told to do something else. */
static bool hangs(struct stub *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool hang = !s->stop && s->status == STUB_HANG;
    (void)pthread_mutex_unlock(&s->lock);
    return hang;
}

static bool answer(struct stub *s, int fd, int status, bool is_head)
{
    char text[256];
    if (status == STUB_CLOSE)
        return false;
    while (status == STUB_HANG && hangs(s))
        (void)usleep(5000);
    if (status == STUB_HANG)
        return false;
    if (status == STUB_ENDLESS) {
        static const char zeroes[65536];
        int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n\r\n");
        bool good = send_text(fd, text, (size_t)n);
        while (good && !stopped(s))
            good = send_text(fd, zeroes, sizeof zeroes);
        return false;
    }
    if (status == STUB_STALLED || status == STUB_CUT || status == STUB_NO_HEAD) {
        int n = snprintf(text, sizeof text, "HTTP/1.1 201 X\r\nContent-Length: 60\r\n%s",
                         status == STUB_NO_HEAD ? "" : "\r\nbegun");
        return send_text(fd, text, (size_t)n) && status != STUB_CUT;
    }
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d X\r\nContent-Length: 6\r\nLocation: /elsewhere\r\n\r\n%s", status,
                     is_head ? "" : "answer");
    return send_text(fd, text, (size_t)n);
}

static void serve(struct stub *s, int fd)
{
    struct buf in;
    buf_init(&in, REQUEST_BYTES);
    char *head, *body;
    bool on = true;
    while (on && read_request(s, fd, &in, &head, &body)) {
        bool is_head = strncmp(head, "HEAD ", 5) == 0;
        on = answer(s, fd, record(s, head, body), is_head);
    }
    buf_release(&in);
    (void)close(fd);
}

/* One connection at a time: there is one client. */
static void *stub_main(void *arg)
{
    struct stub *s = arg;
    while (!stopped(s)) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            continue;
        (void)pthread_mutex_lock(&s->lock);
        s->connections++;
        (void)pthread_mutex_unlock(&s->lock);
        serve(s, fd);
    }
    return NULL;
}

struct stub *stub_new(void)
{
    struct stub *s = xcalloc(1, sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->status = 200;
    s->heads = xcalloc(REQUESTS_MAX, sizeof *s->heads);
    s->bodies = xcalloc(REQUESTS_MAX, sizeof *s->bodies);
    CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0 &&
          listen(s->fd, 16) == 0 && getsockname(s->fd, (struct sockaddr *)&a, &n) == 0);
    s->port = ntohs(a.sin_port);
    CHECK(pthread_create(&s->thread, NULL, stub_main, s) == 0);
    return s;
}

void stub_free(struct stub *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
    for (unsigned i = 0; i < s->n; i++) {
        free(s->heads[i]);
        free(s->bodies[i]);
    }
    for (unsigned i = 0; i < s->n_urls; i++)
        free(s->urls[i]);
    free(s->heads);
    free(s->bodies);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *stub_url(struct stub *s, const char *user, const char *path)
{
    CHECK(s->n_urls < TEXTS_MAX);
    char **at = &s->urls[s->n_urls++];
    CHECK(asprintf(at, "http://%s127.0.0.1:%d%s", user, s->port, path) > 0);
    return *at;
}

void stub_answer(struct stub *s, int status, unsigned n)
{
    (void)pthread_mutex_lock(&s->lock);
    s->status = status;
    s->left = n;
    (void)pthread_mutex_unlock(&s->lock);
}

unsigned stub_count(struct stub *s)
{
    (void)pthread_mutex_lock(&s->lock);
    unsigned n = s->n;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static const char *at(struct stub *s, char **list, unsigned i)
{
    (void)pthread_mutex_lock(&s->lock);
    CHECK(i < s->n);
    const char *text = list[i];
    (void)pthread_mutex_unlock(&s->lock);
    return text;
}

const char *stub_head(struct stub *s, unsigned i)
{
    return at(s, s->heads, i);
}

const char *stub_body(struct stub *s, unsigned i)
{
    return at(s, s->bodies, i);
}

unsigned stub_connections(struct stub *s)
{
    (void)pthread_mutex_lock(&s->lock);
    unsigned n = s->connections;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

bool stub_wait(struct stub *s, unsigned count, unsigned ms)
{
    uint64_t end = os_mono_ms() + ms;
    while (stub_count(s) < count && os_mono_ms() < end)
        (void)usleep(2000);
    return stub_count(s) >= count;
}
