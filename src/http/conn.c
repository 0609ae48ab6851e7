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
    c->depth++;
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
    free(c);
    http_loop_quiet(l);
}

void conn_leave(struct conn *c)
{
    CHECK(c->depth > 0);
    if (c->depth == 1 && !c->closed)
        c->codec->settle(c);
    if (--c->depth == 0 && c->closed && !c->posted)
        conn_free(c);
}

static void again_due(struct task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, again);
    conn_enter(c);
    c->posted = false;
    if (!c->closed)
        c->codec->again(c);
    conn_leave(c);
}

void conn_again(struct conn *c)
{
    if (c->posted)
        return;
    c->posted = true;
    c->again.fn = again_due;
    loop_post(c->l->loop, &c->again);
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
    c->codec->gone(c); /* first, so that a step knows no later than the peer */
    timer_clear(c->l->loop, &c->timer);
    loop_del(c->l->loop, &c->io);
    c->top->ops->close(c->top);
    admission_leave(conn_admission(c->l->server, c->site), c->unix_peer ? NULL : &c->ip);
    if (c->l->server->m.connections)
        metric_add(c->l->server->m.connections, -1);
}

static void conn_event(struct loop_io *io, unsigned ready)
{
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    conn_enter(c);
    if (ready & LOOP_READ) {
        c->codec->readable(c);
        /* What a filter has taken from the socket already, epoll does not tell of. */
        while (!c->closed && (c->io.events & LOOP_READ) && c->top->ops->pending(c->top) > 0)
            c->codec->readable(c);
    } else if (ready & LOOP_HANGUP) {
        conn_close(c);
    }
    if (!c->closed && (ready & LOOP_WRITE))
        c->codec->writable(c);
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
    c->codec->timeout(c, kind);
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
    if (!c->closed)
        loop_mod(c->l->loop, &c->io, interest);
}

ssize_t conn_read(struct conn *c, void *p, size_t n)
{
    ssize_t got = c->top->ops->recv(c->top, p, n);
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

bool conn_new(struct http_loop *l, int fd, struct site_state *site, const char *peer,
              const struct ip_key *ip, bool unix_peer)
{
    struct conn *c = xcalloc(1, sizeof *c);
    c->magic = CONN_MAGIC;
    c->l = l;
    c->site = site;
    c->codec = &h1_codec;
    c->unix_peer = unix_peer;
    c->ip = *ip;
    size_t n = strnlen(peer, sizeof c->peer - 1);
    memcpy(c->peer, peer, n);
    filter_plain_init(&c->plain, fd);
    c->top = &c->plain.filter;
    c->io.fd = fd;
    c->io.fn = conn_event;
    c->timer.fn = conn_timeout;
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
    if (site->site->drains)
        l->n_draining++;
    conn_enter(c);
    c->codec->open(c);
    conn_leave(c); /* c may be gone */
    return true;
}
