/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of HTTP/1.1 requests: on their way to the stream, or dropped.
 *
 * body_took and body_end may answer and end the stream; whoever calls them looks at h1.stream
 * again. */
#include <string.h>

#include "base/util.h"
#include "http/h1_int.h"

#include "base/banned.h"

static void no_room(struct conn *c)
{
    /* No stall of the client's: the clock stands still while we do not want anything. */
    c->h1.wants = false;
    conn_timer(c, TIMER_NONE, 0);
}

/* s was answered by what has just been called, and may be gone. Its address alone does not tell: a
 * request that began meanwhile may have it. */
static bool answered(const struct h1 *h, const struct stream *s, uint64_t serial)
{
    return h->stream != s || h->serial != serial || s->phase == PHASE_RESPOND;
}

/* The stream gets n bytes that are in its buffer already, and what follows from `end`. */
static void pass(struct conn *c, struct stream *s, size_t n, enum chunked_result end)
{
    struct h1 *h = &c->h1;
    uint64_t serial = h->serial;
    CHECK(h->running); /* so that no other request begins in here */
    h->body_seen = true;
    if (end == CHUNKED_END) {
        h->body_left = false;
        conn_timer(c, TIMER_NONE, 0);
    }
    if (n)
        body_took(s, n);
    if (answered(h, s, serial))
        return;
    if (end == CHUNKED_END) {
        body_end(s);
    } else if (end == CHUNKED_BAD) {
        h->reject = true;
        h->wants = false;
        stream_fail(s, ERR_BAD_REQUEST, "the chunked body is malformed");
    }
}

bool h1_feed_body(struct conn *c)
{
    struct h1 *h = &c->h1;
    struct stream *s = h->stream;
    uint64_t serial = h->serial;
    char *to;
    size_t room = body_room(s, &to);
    if (room == 0) {
        if (answered(h, s, serial))
            return true;
        no_room(c);
        return false;
    }
    const char *p = h->in + h->in_at;
    size_t n = MIN(h1_avail(h), room);
    struct slice data;
    enum chunked_result end = CHUNKED_DATA;
    if (h->chunked) {
        size_t used = 0;
        struct error err;
        data = SLICE_NONE;
        end = chunked_next(&h->dec, p, n, &used, &data, &err);
        if (end != CHUNKED_DATA)
            data = SLICE_NONE;
        h->in_at += used;
    } else {
        data = slice_make(p, (size_t)MIN((uint64_t)n, h->left));
        h->in_at += data.n;
        h->left -= data.n;
        if (h->left == 0)
            end = CHUNKED_END;
    }
    if (data.n && s->body.mode != BODY_DROP) /* dropped bytes need no copy */
        memcpy(to, data.p, data.n);
    pass(c, s, data.n, end);
    return true;
}

/* Decodes got bytes at p in place; what follows the body becomes the input. The decoded length. */
static size_t decode(struct h1 *h, char *p, size_t got, enum chunked_result *end)
{
    size_t at = 0, out = 0;
    *end = CHUNKED_MORE;
    while (at < got) {
        size_t used = 0;
        struct slice data = SLICE_NONE;
        struct error err;
        *end = chunked_next(&h->dec, p + at, got - at, &used, &data, &err);
        at += used;
        if (*end != CHUNKED_DATA)
            break;
        memmove(p + out, data.p, data.n);
        out += data.n;
    }
    if (*end == CHUNKED_END && at < got)
        h1_stash(h, p + at, got - at);
    return out;
}

static void read_body(struct conn *c)
{
    struct h1 *h = &c->h1;
    struct stream *s = h->stream;
    uint64_t serial = h->serial;
    char *p;
    size_t room = body_room(s, &p);
    if (room == 0) {
        if (answered(h, s, serial))
            return;
        no_room(c);
        conn_interest(c, c->interest & ~(unsigned)LOOP_READ);
        return;
    }
    /* Of a chunked body nobody knows where it ends: what follows it has to fit into the input. */
    ssize_t got = conn_read(
        c, p, h->chunked ? MIN(room, (size_t)INPUT_MAX) : (size_t)MIN((uint64_t)room, h->left));
    if (got == FILTER_AGAIN) {
        body_idle(s);
        return;
    }
    if (got <= 0) {
        conn_close(c);
        return;
    }
    size_t n = (size_t)got;
    h->arrived += n;
    enum chunked_result end = CHUNKED_DATA;
    if (h->chunked) {
        n = decode(h, p, n, &end);
    } else {
        h->left -= n;
        if (h->left == 0)
            end = CHUNKED_END;
    }
    pass(c, s, n, end);
}

void h1_read_body(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h1_avail(h) == 0) {
        h->running = true;
        read_body(c);
        h->running = false;
    }
    h1_run(c);
}

/* ---- after the response: what is left of the body is dropped ---- */

static void dropped(struct conn *c, size_t n)
{
    c->h1.dropped += n;
    if (c->h1.dropped > c->l->limits.drain_bytes)
        h1_linger(c);
}

bool h1_feed_drain(struct conn *c)
{
    struct h1 *h = &c->h1;
    size_t n = h1_avail(h);
    if (n == 0)
        return false;
    size_t used = 0;
    enum chunked_result end = CHUNKED_DATA;
    if (h->chunked) {
        struct slice data;
        struct error err;
        end = chunked_next(&h->dec, h->in + h->in_at, n, &used, &data, &err);
    } else {
        used = (size_t)MIN((uint64_t)n, h->left);
        h->left -= used;
        if (h->left == 0)
            end = CHUNKED_END;
    }
    h->in_at += used;
    if (end == CHUNKED_BAD) {
        h1_linger(c);
        return false;
    }
    if (end == CHUNKED_END) {
        h->body_left = false;
        h1_idle(c);
        return true;
    }
    dropped(c, used);
    return true;
}

void h1_read_drain(struct conn *c)
{
    struct h1 *h = &c->h1;
    if (h1_avail(h) > 0) {
        h1_run(c);
        return;
    }
    ssize_t got = conn_read(c, c->l->scratch, SCRATCH_BYTES);
    if (got == FILTER_AGAIN)
        return;
    if (got <= 0) {
        conn_close(c);
        return;
    }
    if (h->state == H1_LINGER) {
        h->dropped += (size_t)got;
        if (h->dropped > LINGER_BYTES)
            conn_close(c);
        return;
    }
    /* Through the input, so that what follows the body is seen. Settling would copy the rest, but
     * h1_run leaves none unless it is a part of the next head. */
    if (h->in_cap) {
        h1_stash(h, c->l->scratch, (size_t)got);
    } else {
        h->in = c->l->scratch;
        h->in_at = 0;
        h->in_n = (size_t)got;
    }
    h1_run(c);
}
