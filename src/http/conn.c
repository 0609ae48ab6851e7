/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: events, the one timer, and their life. What the bytes mean is the codec's. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/engine_int.h"

#include "base/banned.h"

void conn_enter(struct conn *c)
{
    CHECK(c->magic == CONN_MAGIC);
    if (c->depth++ == 0)
        live_check(c->l);
}

static void conn_free(struct conn *c)
{
    struct http_loop *l = c->l;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    l->n_conns--;
    if (c->site->site->drains)
        l->n_draining--;
    c->magic = 0;
    conn_open_release(c);
    free(c);
    http_loop_quiet(l);
}

static bool wants_write(const struct conn *c)
{
    return c->top->ops->wants_write && c->top->ops->wants_write(c->top);
}

/* What the codec wants, and what the filters want besides. A filter that can neither read nor write
 * until there is room for its output waits for that alone: input would be reported in every turn.
 */
static void update_interest(struct conn *c)
{
    unsigned wanted = c->interest;
    if (wants_write(c)) {
        wanted |= LOOP_WRITE;
        if (c->starved)
            wanted &= ~(unsigned)LOOP_READ;
    }
    loop_mod(c->l->loop, &c->io, wanted);
}

/* A filter has something for the codec that epoll does not tell of. */
static bool can_pump(const struct conn *c)
{
    return !c->closed && c->phase == CONN_OPEN && !c->starved && (c->interest & LOOP_READ) &&
           c->top->ops->pending(c->top) > 0;
}

static void post_again(struct conn *c)
{
    if (c->posted)
        return;
    c->posted = true;
    loop_post(c->l->loop, &c->again);
}

void conn_leave(struct conn *c)
{
    CHECK(c->depth > 0);
    if (c->depth == 1 && !c->closed) {
        if (c->phase == CONN_OPEN)
            c->codec->settle(c);
        if (c->tls) {
            update_interest(c);
            if (can_pump(c))
                post_again(c);
        }
    }
    if (--c->depth == 0 && c->closed && !c->posted)
        conn_free(c);
}

static void pump(struct conn *c)
{
    for (int turn = PUMP_TURN; turn > 0 && can_pump(c); turn--)
        c->codec->readable(c);
}

static void again_due(struct task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, again);
    conn_enter(c);
    c->posted = false;
    /* Whoever saw the end of the stream meanwhile has left it to this. */
    if (!c->closed && (c->again_codec || (c->eof && c->phase == CONN_OPEN))) {
        c->again_codec = false;
        c->codec->again(c);
    }
    pump(c);
    if (!c->closed && c->phase == CONN_OPEN && conn_draining(c))
        c->codec->drain(c); /* it may have come while this was posted, and passed by */
    conn_leave(c);
}

void conn_again(struct conn *c)
{
    c->again_codec = true;
    post_again(c);
}

struct admission *conn_admission(struct http_server *s, struct site_state *site)
{
    return site->site->connections_max ? &site->own : &s->admission;
}

void conn_close(struct conn *c)
{
    if (c->closed)
        return;
    CHECK(c->depth > 0);
    c->closed = true;
    if (c->phase == CONN_OPEN)
        c->codec->gone(c); /* first, so that a step knows no later than the peer */
    timer_clear(c->l->loop, &c->timer);
    loop_del(c->l->loop, &c->io);
    c->top->ops->close(c->top);
    admission_leave(conn_admission(c->l->server, c->site), c->ip_counted ? &c->ip : NULL);
    if (c->l->server->m.connections)
        metric_add(c->l->server->m.connections, -1);
}

static void open_event(struct conn *c, unsigned ready)
{
    if (ready & LOOP_READ)
        c->codec->readable(c);
    else if (ready & LOOP_HANGUP)
        conn_close(c);
    pump(c);
    if (c->closed || !(ready & LOOP_WRITE))
        return;
    if (conn_flush(c) < 0)
        conn_close(c);
    else
        c->codec->writable(c);
}

static void conn_event(struct loop_io *io, unsigned ready)
{
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    conn_enter(c);
    c->starved = false;
    if (c->phase == CONN_OPEN)
        open_event(c, ready);
    else if (ready & (LOOP_READ | LOOP_WRITE))
        conn_open_event(c);
    else
        conn_close(c);
    conn_leave(c);
}

static void conn_timeout(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    int kind = c->timing;
    if (kind == TIMER_NONE)
        return;
    conn_enter(c);
    c->timing = TIMER_NONE;
    if (c->phase == CONN_OPEN)
        c->codec->timeout(c, kind);
    else
        conn_open_timeout(c);
    conn_leave(c);
}

void conn_timer(struct conn *c, int kind, uint64_t ms)
{
    c->timing = kind;
    if (kind != TIMER_NONE && !c->closed)
        timer_set(c->l->loop, &c->timer, ms);
}

void conn_interest(struct conn *c, unsigned interest)
{
    c->interest = interest;
    if (!c->closed && !c->tls) /* of TLS conn_leave does it, once for the whole entry */
        loop_mod(c->l->loop, &c->io, interest);
}

ssize_t conn_read(struct conn *c, void *p, size_t n)
{
    ssize_t got = c->top->ops->recv(c->top, p, n);
    c->starved = got == FILTER_AGAIN;
    if (got > 0 && c->l->server->m.received)
        metric_add(c->l->server->m.received, got);
    return got;
}

ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n, bool more)
{
    ssize_t put = c->top->ops->writev(c->top, iov, n, more);
    if (put > 0 && c->l->server->m.sent)
        metric_add(c->l->server->m.sent, put);
    return put;
}

int conn_flush(struct conn *c)
{
    return c->top->ops->flush ? c->top->ops->flush(c->top) : 1;
}

void conn_opened(struct conn *c)
{
    c->codec->open(c);
    if (c->tls)
        pump(c); /* the first request may have come with the end of the handshake */
}

void conn_drain(struct conn *c)
{
    if (c->phase == CONN_OPEN)
        c->codec->drain(c);
    else /* it has not had its chance yet */
        conn_timer(c, TIMER_HEAD, MIN(c->l->limits.head_timeout_ms, (uint64_t)DRAIN_GRACE_MS));
}

bool conn_new(const struct acceptor *a, const struct accepted *in)
{
    struct http_loop *l = a->l;
    struct conn *c = xcalloc(1, sizeof *c);
    c->magic = CONN_MAGIC;
    c->l = l;
    c->site = a->site;
    c->codec = &h1_codec;
    c->ip_counted = in->ip_counted;
    c->trusted = in->trusted;
    c->ip = in->ip;
    memcpy(c->peer, in->peer, sizeof c->peer);
    memcpy(c->socket_peer, in->peer, sizeof c->socket_peer);
    filter_plain_init(&c->plain, in->fd);
    c->top = &c->plain.filter;
    c->phase = a->proxy_protocol ? CONN_PROXY : CONN_OPEN;
    c->io.fd = in->fd;
    c->io.fn = conn_event;
    c->timer.fn = conn_timeout;
    c->again.fn = again_due;
    c->interest = LOOP_READ;
    struct error err;
    if (loop_add(l->loop, &c->io, LOOP_READ, &err)) {
        c->top->ops->close(c->top);
        free(c);
        return false;
    }
    c->next = l->conns;
    if (c->next)
        c->next->prev = c;
    l->conns = c;
    l->n_conns++;
    if (a->site->site->drains)
        l->n_draining++;
    conn_enter(c);
    conn_open(c, a->tls);
    conn_leave(c); /* c may be gone */
    return true;
}
