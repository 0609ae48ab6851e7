/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1.1 codec: cuts a connection's bytes into heads and bodies, one request at a time, and
 * decides when the connection can be kept. Input that is not consumed is kept in memory of its own
 * only until the entry that consumes it; an idle connection has none. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "http/h1_int.h"

#include "base/banned.h"

enum {
    INPUT_MIN = 1024,
    DROP_MS = 10 * 1000, /* for what is left of a body after its answer, in all */
    HEADS_TURN = 64,     /* requests of a connection before others have their turn */
    LINE_KEPT = 1024     /* of a request line that has no end */
};

size_t h1_avail(const struct h1 *h)
{
    return h->in_n - h->in_at;
}

/* ---- input buffer ---- */

/* What is left moves into memory of its own, with room for `cap` bytes. */
static void input_own(struct h1 *h, size_t cap)
{
    size_t n = h1_avail(h);
    char *p = xcalloc(1, cap);
    memcpy(p, h->in + h->in_at, n);
    if (h->in_cap)
        free(h->in);
    h->in = p;
    h->in_at = 0;
    h->in_n = n;
    h->in_cap = cap;
}

void h1_stash(struct h1 *h, const char *p, size_t n)
{
    CHECK(h1_avail(h) == 0);
    size_t cap = MAX(n, (size_t)INPUT_MIN);
    char *own = xcalloc(1, cap);
    memcpy(own, p, n);
    if (h->in_cap)
        free(h->in);
    h->in = own;
    h->in_at = 0;
    h->in_n = n;
    h->in_cap = cap;
}

enum { FILL_FULL = -3 };

static void h1_settle(struct conn *c);

static ssize_t input_fill(struct conn *c)
{
    struct h1 *h = &c->h1;
    h1_settle(c); /* only own memory can be appended to */
    if (h1_avail(h) == 0 && !h->in_cap) {
        ssize_t got = conn_read(c, c->l->scratch, INPUT_FIRST);
        h->in = c->l->scratch;
        h->in_at = 0;
        h->in_n = got > 0 ? (size_t)got : 0;
        return got;
    }
    if (h->in_at) {
        memmove(h->in, h->in + h->in_at, h1_avail(h));
        h->in_n -= h->in_at;
        /* The scan's offsets are relative to in_at, so they stay right. */
        h->in_at = 0;
    }
    if (h->in_n == h->in_cap) {
        if (h->in_cap >= INPUT_MAX)
            return FILL_FULL;
        input_own(h, MIN(h->in_cap * 2, (size_t)INPUT_MAX));
    }
    ssize_t got = conn_read(c, h->in + h->in_n, h->in_cap - h->in_n);
    if (got > 0)
        h->in_n += (size_t)got;
    return got;
}

static void h1_settle(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h1_avail(h) == 0) {
        if (h->in_cap)
            free(h->in);
        h->in = NULL;
        h->in_at = h->in_n = h->in_cap = 0;
    } else if (!h->in_cap) {
        input_own(h, MAX(h1_avail(h), (size_t)INPUT_MIN));
    }
}

/* ---- heads ---- */

/* What there is of the request line tells whether the answer may have a body, and the log who asked
 * for what. */
static struct slice first_line(const struct h1 *h)
{
    struct slice in = slice_make(h->in + h->in_at, h1_avail(h));
    size_t from = slice_starts(in, SLICE_LIT("\r\n")) ? 2 : 0;
    const char *end = in.n > from ? memchr(in.p + from, '\n', in.n - from) : NULL;
    if (end)
        return slice_first(in, (size_t)(end + 1 - in.p));
    return slice_first(in, LINE_KEPT);
}

static void h1_reject(struct conn *c, const struct error *err)
{
    struct h1 *h = &c->h1;
    struct stream *s;
    (void)stream_new(c, first_line(h), &s, NULL);
    h->stream = s;
    h->serial++;
    h->state = H1_REQUEST;
    h->reject = true;
    h->body_left = false;
    stream_reject(s, err);
}

static void take_head(struct conn *c, size_t n)
{
    struct h1 *h = &c->h1;
    struct stream *s;
    struct error err;
    int rc = stream_new(c, slice_make(h->in + h->in_at, n), &s, &err);
    h->in_at += n;
    h->scan = (struct http_scan){0};
    h->stream = s;
    h->serial++;
    h->state = H1_REQUEST;
    c->served = true;
    conn_timer(c, TIMER_NONE, 0);
    if (rc) {
        h->reject = true;
        stream_reject(s, &err);
        return;
    }
    const struct http_head *head = s->r.head;
    h->close = !head->keep_alive;
    h->chunked = head->chunked;
    h->left = head->has_length ? head->length : 0;
    h->body_left = h->chunked || h->left > 0;
    h->expect = head->expect_continue && h->body_left;
    if (h->chunked)
        chunked_init(&h->dec);
    stream_begin(s);
}

/* false: nothing to do until more comes. */
static bool advance_head(struct conn *c)
{
    struct h1 *h = &c->h1;
    size_t n = h1_avail(h);
    if (n == 0)
        return false;
    struct error err;
    int64_t len = http_head_scan(h->in + h->in_at, n, &h->scan, &err);
    if (len > 0) {
        take_head(c, (size_t)len);
        return true;
    }
    if (len < 0) {
        h1_reject(c, &err);
        return true;
    }
    if (h->state == H1_IDLE) {
        h->state = H1_HEAD;
        conn_timer(c, TIMER_HEAD, c->l->limits.head_timeout_ms);
    }
    return false;
}

void h1_idle(struct conn *c)
{
    struct h1 *h = &c->h1;
    h->state = H1_IDLE;
    h->wants = h->expect = h->body_seen = h->chunked = false;
    if (h1_avail(h) == 0 && (conn_draining(c) || c->eof)) {
        conn_close(c);
        return;
    }
    conn_timer(c, TIMER_IDLE, c->l->limits.idle_timeout_ms);
    conn_interest(c, c->eof ? 0 : LOOP_READ);
}

/* The client gets the answer although it has not read it yet and may still be sending: closing with
 * unread input would make the kernel reset the connection. */
void h1_linger(struct conn *c)
{
    struct h1 *h = &c->h1;
    h->state = H1_LINGER;
    h->dropped = 0;
    h->in_at = h->in_n;
    c->top->ops->shutdown(c->top);
    conn_timer(c, TIMER_LINGER, LINGER_MS);
    conn_interest(c, LOOP_READ);
}

void h1_run(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h->running)
        return; /* it is further up the stack, and goes on */
    h->running = true;
    unsigned heads = 0;
    for (bool more = true; more && !c->closed;) {
        switch (h->state) {
        case H1_IDLE:
        case H1_HEAD:
            if (heads++ == HEADS_TURN && h1_avail(h) > 0) {
                conn_again(c);
                more = false;
            } else {
                more = advance_head(c);
            }
            break;
        case H1_REQUEST:
            more = h->body_left && h->wants && h1_avail(h) > 0 && h1_feed_body(c);
            break;
        case H1_DRAIN:
            more = h1_feed_drain(c);
            break;
        case H1_LINGER:
            h->in_at = h->in_n;
            more = false;
            break;
        }
    }
    h->running = false;
    /* All that the client sent is answered, or never will be a request. */
    if (c->eof && !c->posted && (h->state == H1_IDLE || h->state == H1_HEAD))
        conn_close(c);
}

/* ---- the codec's entries ---- */

/* It may send what it came with, but not hold a drain up. */
static void grace(struct conn *c)
{
    conn_timer(c, TIMER_IDLE, MIN(c->l->limits.idle_timeout_ms, (uint64_t)DRAIN_GRACE_MS));
}

static void h1_open(struct conn *c)
{
    conn_timer(c, TIMER_IDLE, c->l->limits.idle_timeout_ms);
    if (conn_draining(c)) /* taken from the queue of a listener that is being closed */
        grace(c);
}

/* false: the connection is broken. At the end of the stream the client may still be reading: what
 * it has asked for is answered. Whether it left altogether shows when something is sent. */
static bool read_ahead(struct conn *c)
{
    ssize_t got = input_fill(c);
    if (got == FILTER_ERROR) {
        conn_close(c);
        return false;
    }
    if (got == 0)
        c->eof = true;
    if (got == 0 || got == FILL_FULL)
        conn_interest(c, c->interest & ~(unsigned)LOOP_READ);
    return true;
}

static void h1_readable(struct conn *c)
{
    struct h1 *h = &c->h1;
    switch (h->state) {
    case H1_IDLE:
    case H1_HEAD:
        if (read_ahead(c))
            h1_run(c);
        break;
    case H1_REQUEST: /* what comes behind it is the next one */
        if (!h->body_left)
            (void)read_ahead(c);
        else if (h->wants)
            h1_read_body(c);
        else /* not wanted, or not now */
            conn_interest(c, c->interest & ~(unsigned)LOOP_READ);
        break;
    case H1_DRAIN:
    case H1_LINGER:
        h1_read_drain(c);
        break;
    }
}

static bool flush_interim(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h->interim.n == 0)
        return true;
    struct iovec iov = {(void *)(uintptr_t)h->interim.p, h->interim.n};
    ssize_t put = conn_writev(c, &iov, 1, false);
    if (put > 0)
        h->interim = slice_from(h->interim, (size_t)put);
    else if (put == FILTER_ERROR)
        conn_close(c);
    if (c->closed)
        return false;
    int out = h->interim.n ? 0 : conn_flush(c);
    if (out < 0)
        conn_close(c);
    else if (out == 0)
        conn_interest(c, c->interest | LOOP_WRITE);
    return out > 0;
}

static void h1_sent(struct conn *c)
{
    struct h1 *h = &c->h1;
    stream_sent(STEAL(h->stream));
    if (h->close) {
        if (!c->eof && (h->body_left || h->reject || h1_avail(h) > 0))
            h1_linger(c);
        else
            conn_close(c);
    } else if (h->body_left && conn_draining(c)) {
        h1_linger(c);
    } else if (h->body_left) {
        h->state = H1_DRAIN;
        h->dropped = 0;
        conn_timer(c, TIMER_LINGER, MIN(c->l->limits.read_stall_ms, (uint64_t)DROP_MS));
        conn_interest(c, LOOP_READ);
    } else {
        h1_idle(c);
    }
    h1_run(c);
}

static void write_timer(struct conn *c)
{
    c->queued = c->top->ops->queued(c->top);
    conn_timer(c, TIMER_WRITE, c->l->limits.write_stall_ms);
}

static void h1_send(struct conn *c)
{
    struct stream *s = c->h1.stream;
    if (!flush_interim(c)) {
        if (!c->closed && c->timing != TIMER_WRITE)
            write_timer(c);
        return;
    }
    switch (send_more(s)) {
    case SEND_DONE:
        h1_sent(c);
        break;
    case SEND_BLOCKED:
    case SEND_YIELD:
        write_timer(c);
        conn_interest(c, c->interest | LOOP_WRITE);
        break;
    case SEND_FAILED:
        conn_close(c);
        break;
    }
}

static void h1_writable(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h->stream && h->stream->phase == PHASE_RESPOND)
        h1_send(c);
    else if (flush_interim(c))
        conn_interest(c, c->interest & ~(unsigned)LOOP_WRITE);
}

static void body_timer(struct conn *c)
{
    c->h1.arrived = 0;
    c->h1.stall_ms = c->l->limits.read_stall_ms;
    conn_timer(c, TIMER_READ, c->h1.stall_ms);
}

/* Since the timer was set. The time in which we did not want anything is not in it. */
static bool body_moves(const struct conn *c)
{
    uint64_t arrived = c->h1.arrived;
    return arrived > 0 && arrived * 1000 / MAX(c->h1.stall_ms, 1) >= c->l->limits.read_min_rate;
}

static void h1_timeout(struct conn *c, int kind)
{
    struct h1 *h = &c->h1;
    if (kind == TIMER_HEAD) {
        struct error err;
        error_detail(&err, ERR_TIMEOUT, "the request's head did not arrive in time");
        h1_reject(c, &err);
        h1_run(c);
    } else if (kind == TIMER_READ && body_moves(c)) {
        body_timer(c);
    } else if (kind == TIMER_READ) {
        h->close = true;
        h->wants = false;
        stream_fail(h->stream, ERR_TIMEOUT, "the request's body made no progress");
    } else if (kind == TIMER_WRITE && c->top->ops->queued(c->top) < c->queued) {
        /* Nothing could be added to the socket's buffer, but the client does read. */
        write_timer(c);
    } else {
        conn_close(c);
    }
}

static void h1_drain(struct conn *c)
{
    if (c->h1.state == H1_DRAIN)
        h1_linger(c);
    if (c->h1.state != H1_IDLE || c->posted)
        return; /* the answer that comes says that it is the last */
    if (!c->served) {
        grace(c);
        return;
    }
    h1_readable(c); /* a request may be there already */
    if (!c->closed && c->h1.state == H1_IDLE)
        conn_close(c);
}

static void h1_gone(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h->in_cap)
        free(h->in);
    h->in = NULL;
    h->in_at = h->in_n = h->in_cap = 0;
    if (h->stream)
        stream_gone(STEAL(h->stream));
}

static void h1_respond(struct stream *s)
{
    struct conn *c = s->conn;
    struct h1 *h = &c->h1;
    h->wants = false;
    bool close = h->close;
    if (h->reject || s->r.resp.close || conn_draining(c))
        close = true;
    /* Without a 100 the client may send the body or not: nobody can tell what comes next. */
    if (h->body_left && (h->expect || (!h->chunked && h->left > c->l->limits.drain_bytes)))
        close = true;
    h->close = close;
    conn_timer(c, TIMER_NONE, 0);
    send_begin(s, close);
    h1_send(c);
}

static void h1_want_body(struct stream *s)
{
    struct conn *c = s->conn;
    struct h1 *h = &c->h1;
    h->wants = true;
    if (h->expect) {
        h->expect = false;
        if (!h->body_seen && h1_avail(h) == 0) {
            h->interim = SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n");
            (void)flush_interim(c);
            if (c->closed)
                return;
        }
    }
    body_timer(c);
    conn_interest(c, c->interest | LOOP_READ);
    h1_run(c);
}

const struct codec h1_codec = {
    .open = h1_open,
    .readable = h1_readable,
    .writable = h1_writable,
    .timeout = h1_timeout,
    .settle = h1_settle,
    .drain = h1_drain,
    .again = h1_run,
    .gone = h1_gone,
    .respond = h1_respond,
    .want_body = h1_want_body,
};
