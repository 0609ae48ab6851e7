/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "wire.h"

#include "base/banned.h"

enum {
    RECV_BYTES = 256 * 1024,
    DISCARD_BYTES = 1024 * 1024,
    EVENTS = 256,
    MAX_ERRORS = 20,
    STUCK_MS = 60 * 1000,
};

struct conn {
    struct run *run;
    unsigned slot;
    int fd;
    bool busy;     /* an operation is under way */
    bool wait_out; /* EPOLLOUT is armed */
    uint64_t began;
    uint64_t sent;  /* bytes of this request that the kernel took */
    uint64_t total; /* bytes of this request on the wire */
    struct exchange x;
    struct response r;
};

struct run {
    const struct client_options *o;
    const struct scenario *s;
    struct client_result *res;
    int epoll;
    unsigned active;
    uint64_t begun;
    uint64_t deadline; /* 0: none */
    uint64_t interval; /* of an open loop, in ns; 0: closed */
    uint64_t due;      /* of an open loop: when the next operation is */
    struct conn **idle;
    unsigned idle_n;
    uint64_t last_done;
    char *in;
    struct conn *conns;
};

uint64_t client_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int client_connect(const struct sockaddr_in *addr, struct error *err)
{
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_sys(err, errno, "socket");
    if (connect(fd, (const struct sockaddr *)addr, sizeof *addr) < 0)
        return error_sys(err, errno, "connect to port %u", ntohs(addr->sin_port));
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        return error_sys(err, errno, "TCP_NODELAY");
    int out = fd;
    fd = -1;
    return out;
}

static void pass_body(void *arg, const void *p, size_t n)
{
    struct conn *c = arg;
    c->run->s->body(c->run->s->self, c->slot, p, n);
}

static int conn_open(struct conn *c, struct error *err)
{
    util_closep(&c->fd);
    c->fd = client_connect(&c->run->o->addr, err);
    if (c->fd < 0)
        return -1;
    c->wait_out = false;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(c->run->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        return error_sys(err, errno, "epoll_ctl");
    return 0;
}

static void conn_want_out(struct conn *c, bool want)
{
    if (c->wait_out == want)
        return;
    c->wait_out = want;
    struct epoll_event ev = {.events = EPOLLIN | (want ? EPOLLOUT : 0u), .data.ptr = c};
    int rc = epoll_ctl(c->run->epoll, EPOLL_CTL_MOD, c->fd, &ev);
    CHECK(rc == 0);
}

/* Sends what the socket takes. 0, or -1. */
static int conn_send(struct conn *c, struct error *err)
{
    while (c->sent < c->total) {
        struct iovec iov[WIRE_IOV];
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = wire_fill(&c->x, c->sent, iov)};
        ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            conn_want_out(c, true);
            return 0;
        }
        if (n < 0)
            return error_sys(err, errno, "send");
        c->sent += (uint64_t)n;
    }
    conn_want_out(c, false);
    return 0;
}

static int conn_request(struct conn *c, struct error *err)
{
    response_reset(&c->r, c->x.no_body);
    c->sent = 0;
    c->total = wire_length(&c->x);
    c->run->res->requests++;
    c->run->res->bytes_out += c->x.part[0].n + c->x.part[1].n;
    return conn_send(c, err);
}

static void run_error(struct run *run, const struct error *err)
{
    if (run->res->errors++ == 0)
        run->res->first = *err;
}

static bool run_over(const struct run *run, uint64_t now)
{
    return (run->o->count && run->begun >= run->o->count) ||
           (run->deadline && now >= run->deadline) || run->res->errors >= MAX_ERRORS;
}

/* Begins the next operation on c: 0, 1 when there is none, -1 when the connection failed at it. */
static int conn_begin(struct conn *c, uint64_t due)
{
    struct run *run = c->run;
    struct error err;
    error_clear(&err);
    c->x = (struct exchange){0};
    if (run_over(run, client_now()) ||
        run->s->step(run->s->self, c->slot, NULL, &c->x, &err) == STEP_END)
        return 1;
    run->begun++;
    c->busy = true;
    c->began = due ? due : client_now();
    if (conn_request(c, &err) == 0)
        return 0;
    run_error(run, &err);
    return -1;
}

/* What c does after an operation. A connection that failed or was closed is replaced. */
static void conn_next(struct conn *c, bool renew)
{
    struct run *run = c->run;
    struct error err;
    int rc = -1;
    while (rc < 0) {
        c->busy = false;
        error_clear(&err);
        if (renew && conn_open(c, &err) < 0) {
            run_error(run, &err);
            break;
        }
        if (run->interval) {
            run->idle[run->idle_n++] = c;
            return;
        }
        rc = conn_begin(c, 0);
        renew = true;
    }
    run->active -= rc != 0;
}

/* The open loop: begins what is due, ends the idle connections when the run is over. */
static void run_dispatch(struct run *run)
{
    if (!run->interval)
        return;
    uint64_t now = client_now();
    while (run->idle_n && run->due <= now && !run_over(run, now)) {
        struct conn *c = run->idle[--run->idle_n];
        int rc = conn_begin(c, run->due);
        run->due += run->interval;
        if (rc < 0)
            conn_next(c, true);
        else if (rc > 0)
            run->active--;
    }
    if (run_over(run, now)) {
        run->active -= run->idle_n;
        run->idle_n = 0;
    }
}

static void conn_fail(struct conn *c, const struct error *err)
{
    run_error(c->run, err);
    conn_next(c, true);
}

/* A response is complete: go on with the operation, or end it. */
static void conn_answered(struct conn *c)
{
    struct run *run = c->run;
    struct error err;
    error_clear(&err);
    run->res->bytes_in += c->r.body;
    if (c->sent < c->total) {
        error_set(&err, ERR_UNKNOWN, "answer %d before the request was sent", c->r.status);
        conn_fail(c, &err);
        return;
    }
    bool renew = c->r.close;
    c->x = (struct exchange){0};
    enum step step = run->s->step(run->s->self, c->slot, &c->r, &c->x, &err);
    if (step == STEP_FAIL) {
        conn_fail(c, &err);
        return;
    }
    run->res->reconnects += renew;
    if (step == STEP_DONE) {
        uint64_t now = client_now();
        run->last_done = now;
        run->res->ops++;
        histogram_add(&run->res->latency, now - c->began);
        conn_next(c, renew);
        return;
    }
    if ((renew && conn_open(c, &err) < 0) || conn_request(c, &err) < 0)
        conn_fail(c, &err);
}

/* Reads once. Returns 1 when the response is complete, 0 when not, -1 on error. */
static int conn_recv(struct conn *c, struct error *err)
{
    /* From Linux's tcp(7): MSG_TRUNC drops the bytes in the kernel without copying them. */
    uint64_t skip = c->run->s->body ? 0 : response_skippable(&c->r);
    if (skip >= RECV_BYTES) {
        ssize_t n = recv(c->fd, c->run->in, (size_t)MIN(skip, (uint64_t)DISCARD_BYTES),
                         MSG_TRUNC | MSG_DONTWAIT);
        if (n > 0) {
            response_skip(&c->r, (uint64_t)n);
            return c->r.state == RESPONSE_DONE;
        }
        if (n < 0 && errno == EAGAIN)
            return 0;
        return error_sys(err, n < 0 ? errno : ECONNRESET, "recv");
    }
    ssize_t n = recv(c->fd, c->run->in, RECV_BYTES, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return error_sys(err, n < 0 ? errno : ECONNRESET, "recv");
    if (!c->busy)
        return error_set(err, ERR_UNKNOWN, "bytes without a request");
    ssize_t used = response_feed(&c->r, c->run->in, (size_t)n);
    if (used < 0)
        return error_set(err, ERR_UNKNOWN, "malformed response (status %d)", c->r.status);
    if (used < n)
        return error_set(err, ERR_UNKNOWN, "bytes after a response");
    return c->r.state == RESPONSE_DONE;
}

static void conn_event(struct conn *c, uint32_t events)
{
    struct error err;
    error_clear(&err);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        int rc = conn_recv(c, &err);
        if (rc < 0 && !c->busy) { /* an idle server may close; it has nothing of ours */
            util_closep(&c->fd);
            return;
        }
        if (rc < 0) {
            conn_fail(c, &err);
            return;
        }
        if (rc > 0) {
            conn_answered(c);
            return;
        }
    }
    if ((events & EPOLLOUT) && conn_send(c, &err) < 0)
        conn_fail(c, &err);
}

static int run_loop(struct run *run, struct error *err)
{
    struct epoll_event ev[EVENTS];
    for (run_dispatch(run); run->active > 0; run_dispatch(run)) {
        struct timespec wait = {.tv_sec = STUCK_MS / 1000};
        uint64_t now = client_now();
        if (run->idle_n) {
            uint64_t ns = run->due > now ? run->due - now : 0;
            wait = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
        }
        int n = epoll_pwait2(run->epoll, ev, EVENTS, &wait, NULL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_sys(err, errno, "epoll_wait");
        if (n == 0 && !run->idle_n)
            return error_set(err, ERR_TIMEOUT, "nothing moved for %d s", STUCK_MS / 1000);
        for (int i = 0; i < n; i++)
            conn_event(ev[i].data.ptr, ev[i].events);
    }
    return 0;
}

static int run_go(struct run *run, struct error *err)
{
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run->epoll < 0)
        return error_sys(err, errno, "epoll_create1");
    for (unsigned i = 0; i < run->o->conns; i++) {
        struct conn *c = &run->conns[i];
        c->run = run;
        c->slot = i;
        c->r.sink = run->s->body ? pass_body : NULL;
        c->r.sink_arg = c;
        if (conn_open(c, err) < 0)
            return -1;
    }
    uint64_t start = client_now();
    run->last_done = start;
    run->deadline = run->o->seconds > 0 ? start + (uint64_t)(run->o->seconds * 1e9) : 0;
    run->interval = run->o->rate > 0 ? (uint64_t)(1e9 / run->o->rate) : 0;
    run->due = start;
    run->active = run->o->conns;
    for (unsigned i = 0; i < run->o->conns; i++)
        conn_next(&run->conns[i], false);
    int rc = run_loop(run, err);
    run->res->seconds = (double)(run->last_done - start) / 1e9;
    return rc;
}

int client_run(const struct client_options *o, const struct scenario *s, struct client_result *res,
               struct error *err)
{
    struct run run = {.o = o, .s = s, .res = res, .epoll = -1};
    run.in = xcalloc(1, DISCARD_BYTES);
    run.conns = xcalloc(o->conns, sizeof *run.conns);
    run.idle = xcalloc(o->conns, sizeof(struct conn *));
    for (unsigned i = 0; i < o->conns; i++)
        run.conns[i].fd = -1;
    int rc = run_go(&run, err);
    for (unsigned i = 0; i < o->conns; i++)
        util_closep(&run.conns[i].fd);
    util_closep(&run.epoll);
    free(run.idle);
    free(run.conns);
    free(run.in);
    return rc;
}
