/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection begins with, before the codec has it: the PROXY header, then the TLS handshake,
 * each of them optional. head_timeout_ms is for both together. Who fails is closed, counted, and
 * named in the log at level debug: these are scanners, or a wrong configuration on the other side,
 * and there can be thousands a second of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "http/forwarded.h"
#include "http/proxy_protocol.h"

#include "base/banned.h"

enum { SINK_BYTES = 4096 };

struct proxy_input { /* the beginning of a header */
    size_t n;
    char p[PROXY_HEADER_MAX];
};

static void count(struct metric *m)
{
    if (m)
        metric_add(m, 1);
}

static void give_up(struct conn *c, const char *what, const char *why)
{
    LOG(c->l->server->config.log, LOG_LEVEL_DEBUG, what, F_CSTR("peer", c->peer),
        F_CSTR("cause", why));
    conn_close(c);
}

/* ---- the PROXY header ---- */

static void proxy_failed(struct conn *c, const char *why)
{
    count(c->l->server->m.proxy_header);
    give_up(c, "no PROXY header", why);
}

static void proxy_take(struct conn *c, const struct proxy_header *h)
{
    free(STEAL(c->proxy));
    c->phase = c->tls ? CONN_TLS : CONN_OPEN;
    if (h->local)
        return;
    size_t n = strnlen(h->peer, sizeof c->peer - 1);
    memcpy(c->peer, h->peer, n);
    c->peer[n] = '\0';
    /* From here on it is the client's word: whether that one is a proxy too is another question. */
    c->trusted = trusted_peer(c->l->server->config.trusted, slice_make(c->peer, n));
    c->secure = c->secure || h->tls;
}

/* Of the socket no more is taken than belongs to the header, so that nothing has to be kept for
 * whoever comes next: it is looked at first. */
static void proxy_read(struct conn *c)
{
    char p[PROXY_HEADER_MAX];
    size_t had = c->proxy ? c->proxy->n : 0;
    if (had)
        memcpy(p, c->proxy->p, had);
    ssize_t got;
    do
        got = recv(c->plain.fd, p + had, sizeof p - had, MSG_PEEK | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (got <= 0 && had == 0) { /* somebody looked whether the port is open */
        conn_close(c);
        return;
    }
    if (got <= 0) {
        proxy_failed(c, "the connection ended in the header");
        return;
    }
    struct proxy_header h;
    size_t n = had + (size_t)got;
    int rc = proxy_header_parse(slice_make(p, n), &h);
    if (rc < 0 || (rc == 0 && n == sizeof p)) {
        proxy_failed(c, "the first bytes are not one");
        return;
    }
    size_t take = rc ? h.length - had : (size_t)got;
    CHECK(take <= (size_t)got);
    if (recv(c->plain.fd, p + had, take, MSG_DONTWAIT) != (ssize_t)take) {
        proxy_failed(c, "the connection failed");
    } else if (rc) {
        proxy_take(c, &h);
    } else {
        if (!c->proxy)
            c->proxy = xcalloc(1, sizeof *c->proxy);
        c->proxy->n = n;
        memcpy(c->proxy->p, p, n);
    }
}

/* ---- the handshake ---- */

/* The TLS layer has told the client why; that is lost when the connection is closed with unread
 * input. */
static void tls_failed(struct conn *c, const char *why)
{
    char sink[SINK_BYTES];
    struct filter *f = &c->plain.filter;
    f->ops->shutdown(f);
    (void)f->ops->recv(f, sink, sizeof sink);
    count(c->l->server->m.handshake_failures);
    give_up(c, "TLS handshake failed", why);
}

static void tls_shake(struct conn *c)
{
    struct error err = {0};
    int rc = tls_conn_handshake(c->tls->conn, &err);
    if (rc > 0)
        c->phase = CONN_OPEN;
    else if (rc < 0 && !c->tls->begun)
        conn_close(c); /* as above */
    else if (rc < 0)
        tls_failed(c, err.message);
}

/* ---- the connection's entries ---- */

void conn_open(struct conn *c, struct tls_server *tls)
{
    if (tls) {
        c->tls = filter_tls_new(tls, &c->plain.filter);
        c->top = &c->tls->filter;
        c->secure = true;
        if (c->phase == CONN_OPEN)
            c->phase = CONN_TLS;
    }
    if (c->phase == CONN_OPEN) {
        conn_opened(c);
        return;
    }
    conn_timer(c, TIMER_HEAD, c->l->limits.head_timeout_ms);
    if (conn_draining(c))
        conn_drain(c);
}

void conn_open_event(struct conn *c)
{
    if (c->phase == CONN_PROXY)
        proxy_read(c);
    if (!c->closed && c->phase == CONN_TLS)
        tls_shake(c);
    if (!c->closed && c->phase == CONN_OPEN)
        conn_opened(c);
}

void conn_open_timeout(struct conn *c)
{
    bool began = c->phase == CONN_PROXY ? c->proxy != NULL : c->tls->begun;
    if (!began)
        conn_close(c); /* idle from the first moment on */
    else if (c->phase == CONN_PROXY)
        proxy_failed(c, "it did not arrive in time");
    else
        tls_failed(c, "it did not end in time");
}

void conn_open_release(struct conn *c)
{
    free(STEAL(c->proxy));
    filter_tls_free(STEAL(c->tls));
}
