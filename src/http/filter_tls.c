/* SPDX-License-Identifier: Apache-2.0 */
#include "http/filter_tls.h"

#include <stdlib.h>

#include "base/util.h"

#include "base/banned.h"

_Static_assert((int)FILTER_AGAIN == (int)TLS_AGAIN && (int)FILTER_ERROR == (int)TLS_ERROR,
               "results are passed on as they are");

/* ---- what the TLS layer reads and writes with ---- */

static ssize_t io_recv(void *arg, void *p, size_t n)
{
    struct filter_tls *t = arg;
    struct filter *below = t->filter.below;
    ssize_t got = below->ops->recv(below, p, n);
    if (got > 0)
        t->begun = true;
    return got;
}

static ssize_t io_send(void *arg, const void *p, size_t n, bool more)
{
    struct filter *below = ((struct filter_tls *)arg)->filter.below;
    struct iovec iov = {(void *)(uintptr_t)p, n};
    return below->ops->writev(below, &iov, 1, more);
}

/* ---- the filter ---- */

static struct tls_conn *conn_of(struct filter *f)
{
    return CONTAINER_OF(f, struct filter_tls, filter)->conn;
}

static ssize_t tls_recv(struct filter *f, void *p, size_t n)
{
    return tls_conn_recv(conn_of(f), p, n);
}

static ssize_t tls_writev(struct filter *f, const struct iovec *iov, int n, bool more)
{
    return tls_conn_writev(conn_of(f), iov, n, more);
}

static int tls_flush(struct filter *f)
{
    return tls_conn_flush(conn_of(f));
}

static bool tls_wants_write(struct filter *f)
{
    return tls_conn_wants_write(conn_of(f));
}

static void tls_cork(struct filter *f, bool on)
{
    if (f->below->ops->cork)
        f->below->ops->cork(f->below, on);
}

static void tls_hurry(struct filter *f)
{
    if (f->below->ops->hurry)
        f->below->ops->hurry(f->below);
}

static void tls_shutdown(struct filter *f)
{
    tls_conn_shutdown(conn_of(f));
    f->below->ops->shutdown(f->below);
}

static size_t tls_pending(struct filter *f)
{
    return tls_conn_pending(conn_of(f));
}

static size_t tls_queued(struct filter *f)
{
    return tls_conn_queued(conn_of(f)) + f->below->ops->queued(f->below);
}

static void tls_close(struct filter *f)
{
    tls_conn_shutdown(conn_of(f));
    f->below->ops->close(f->below);
}

static const struct filter_ops tls_ops = {
    .recv = tls_recv,
    .writev = tls_writev,
    .flush = tls_flush,
    .wants_write = tls_wants_write,
    .cork = tls_cork,
    .hurry = tls_hurry,
    .shutdown = tls_shutdown,
    .pending = tls_pending,
    .queued = tls_queued,
    .close = tls_close,
};

struct filter_tls *filter_tls_new(struct tls_server *server, struct filter *below)
{
    struct filter_tls *t = xcalloc(1, sizeof *t);
    t->filter = (struct filter){.ops = &tls_ops, .below = below};
    struct tls_io io = {.recv = io_recv, .send = io_send, .arg = t};
    struct tls_context *context = tls_server_current(server);
    t->conn = tls_conn_new(context, &io);
    tls_context_unref(context);
    return t;
}

void filter_tls_free(struct filter_tls *f)
{
    if (!f)
        return;
    tls_conn_free(f->conn);
    free(f);
}
