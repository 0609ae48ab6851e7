/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies on the consumer's side: dropped, kept in memory, or handed to a sink in chunks.
 *
 * A sink's body has at most two buffers: `job` is with a worker, `fill` takes what arrives. fill
 * goes to the sink when it is full, flush_ms old, or the last; while job is out and fill is full
 * body_room answers 0 and the client has to wait. A buffer that runs full makes the next one twice
 * as large, up to buffer_max; one that only got old makes it smaller again: slow clients stay at
 * buffer_min, and so do all while a loop's uploads hold more than UPLOAD_BUDGET. */
#include <stdlib.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "os/pool.h"

#include "base/banned.h"

enum { SPARE_SMALL = 64, SPARE_LARGE = 4, KEEP_FIRST = 16 * 1024 };

/* ---- buffers: the two usual sizes are kept for the next upload ---- */

static struct upbuf *upbuf_get(struct http_loop *l, size_t cap)
{
    const struct http_limits *lim = &l->limits;
    struct upbuf *b = NULL;
    /* Large buffers make a few uploads fast; many uploads at once have to do with small ones. */
    bool counted = cap > lim->buffer_min;
    if (counted &&
        (l->upload_bytes + cap > UPLOAD_BUDGET || !memory_take(&l->server->memory, cap))) {
        counted = false;
        cap = lim->buffer_min;
    }
    if (cap == lim->buffer_min && l->small) {
        b = l->small;
        l->small = b->next;
        l->n_small--;
    } else if (cap == lim->buffer_max && l->large) {
        b = l->large;
        l->large = b->next;
        l->n_large--;
    } else {
        b = malloc(sizeof *b + cap);
        if (!b) {
            if (counted)
                memory_give(&l->server->memory, cap);
            return NULL;
        }
    }
    b->next = NULL;
    b->n = 0;
    b->cap = cap;
    b->counted = counted;
    l->upload_bytes += cap;
    return b;
}

static void upbuf_put(struct http_loop *l, struct upbuf *b)
{
    if (!b)
        return;
    const struct http_limits *lim = &l->limits;
    l->upload_bytes -= b->cap;
    if (b->counted)
        memory_give(&l->server->memory, b->cap);
    if (b->cap == lim->buffer_min && l->n_small < SPARE_SMALL) {
        b->next = l->small;
        l->small = b;
        l->n_small++;
    } else if (b->cap == lim->buffer_max && l->n_large < SPARE_LARGE) {
        b->next = l->large;
        l->large = b;
        l->n_large++;
    } else {
        free(b);
    }
}

static void upbuf_list_free(struct upbuf *b)
{
    while (b) {
        struct upbuf *next = b->next;
        free(b);
        b = next;
    }
}

void upbufs_release(struct http_loop *l)
{
    upbuf_list_free(l->small);
    upbuf_list_free(l->large);
    l->small = l->large = NULL;
    l->n_small = l->n_large = 0;
}

/* ---- chunk jobs ---- */

static const struct http_limits *limits_of(const struct stream *s)
{
    return &s->l->limits;
}

static void job_back(struct task *t);

/* In a worker of the sink's pool. */
static void job_work(struct task *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, body.task);
    struct body *b = &s->body;
    CHECK(s->r.magic == REQUEST_MAGIC);
    b->rc = s->r.sink->write(&s->r, b->job->p, b->job->n, b->err);
    b->task.fn = job_back;
    http_loop_post(s->l, &b->task);
}

static void job_submit(struct stream *s)
{
    struct body *b = &s->body;
    const struct http_limits *lim = limits_of(s);
    struct pool *p = s->l->server->config.pools[s->r.sink->pool];
    CHECK(!b->job && b->fill && b->fill->n && p);
    if (b->fill->n == b->fill->cap)
        b->cap = MIN(b->fill->cap * 2, (size_t)lim->buffer_max);
    else if (!b->ended)
        b->cap = MAX(b->fill->cap / 2, (size_t)lim->buffer_min);
    b->job = b->fill;
    b->fill = NULL;
    b->task.fn = job_work;
    s->out++;
    pool_post_always(p, &b->task);
}

/* Submits when it is time to. */
static void sink_turn(struct stream *s)
{
    struct body *b = &s->body;
    if (b->job || !b->fill || b->fill->n == 0)
        return;
    if (!s->conn || s->fail || s->phase == PHASE_RESPOND)
        return; /* nobody wants it any more */
    uint64_t age = loop_now(s->l->loop) - b->since, flush = limits_of(s)->flush_ms;
    if (b->ended || b->fill->n == b->fill->cap || age >= flush)
        job_submit(s);
    else if (!timer_is_set(&b->flush))
        timer_set(s->l->loop, &b->flush, flush - age);
}

static void flush_due(struct timer *t)
{
    sink_turn(CONTAINER_OF(t, struct stream, body.flush));
}

static void job_done(struct stream *s)
{
    struct body *b = &s->body;
    if (b->rc || s->fail) {
        stream_task_back(s);
        return;
    }
    sink_turn(s);
    if (b->ended && !b->job) {
        stream_body_done(s);
        return;
    }
    if (b->stalled) {
        b->stalled = false;
        s->conn->codec->want_body(s);
    }
}

static void job_back(struct task *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, body.task);
    struct body *b = &s->body;
    CHECK(s->r.magic == REQUEST_MAGIC && s->out > 0);
    s->out--;
    if (b->rc == 0)
        s->r.body_received += b->job->n;
    upbuf_put(s->l, b->job);
    b->job = NULL;
    struct conn *c = s->conn;
    if (!c) {
        stream_release(s);
        return;
    }
    conn_enter(c);
    job_done(s);
    conn_leave(c);
}

/* ---- the consumer's interface to the codec ---- */

void body_start(struct stream *s, enum body_mode mode, size_t max)
{
    struct body *b = &s->body;
    b->mode = mode;
    b->mem_max = max;
    if (mode == BODY_SINK) {
        b->cap = limits_of(s)->buffer_min;
        b->err = ARENA_NEW(s->r.arena, struct error);
        b->flush.fn = flush_due;
    }
    s->conn->codec->want_body(s);
}

/* A body that the request has now. */
struct kept {
    struct memory *memory;
    char *p;
    size_t cap;
};

static void kept_free(void *arg)
{
    struct kept *k = arg;
    free(k->p);
    memory_give(k->memory, k->cap);
}

/* Room for at least one byte more than the maximum, so that a longer body is noticed. A length that
 * was announced is a promise only: the memory grows with what has come. */
static bool keep_grow(struct stream *s)
{
    struct body *b = &s->body;
    struct memory *memory = &s->l->server->memory;
    int64_t length = request_length(&s->r);
    size_t top = length >= 0 ? (size_t)length : b->mem_max + 1;
    size_t cap = MIN(top, b->mem_cap ? b->mem_cap * 2 : (size_t)KEEP_FIRST);
    size_t more = cap - b->mem_cap;
    if (!memory_take(memory, more))
        return false;
    char *p = realloc(b->mem, cap);
    if (!p) {
        memory_give(memory, more);
        return false;
    }
    b->mem = p;
    b->mem_cap = cap;
    return true;
}

static void no_memory(struct stream *s)
{
    s->busy = true;
    if (s->l->server->m.rejected_memory)
        metric_add(s->l->server->m.rejected_memory, 1);
    stream_fail(s, ERR_UNAVAILABLE, "the server has no memory left for this body; try again");
}

static size_t sink_room(struct stream *s, char **p)
{
    struct body *b = &s->body;
    if (b->fill && b->fill->n == b->fill->cap) {
        b->stalled = true; /* a job is out, otherwise it would have been submitted */
        return 0;
    }
    if (!b->fill) {
        b->fill = upbuf_get(s->l, b->cap);
        if (!b->fill) {
            no_memory(s);
            return 0;
        }
    }
    *p = b->fill->p + b->fill->n;
    return b->fill->cap - b->fill->n;
}

size_t body_room(struct stream *s, char **p)
{
    struct body *b = &s->body;
    switch (b->mode) {
    case BODY_IDLE:
        break;
    case BODY_DROP:
        *p = s->l->scratch;
        return SCRATCH_BYTES;
    case BODY_KEEP:
        if (b->mem_n == b->mem_cap && !keep_grow(s)) {
            no_memory(s);
            return 0;
        }
        *p = b->mem + b->mem_n;
        return b->mem_cap - b->mem_n;
    case BODY_SINK:
        return sink_room(s, p);
    }
    return 0;
}

void body_took(struct stream *s, size_t n)
{
    struct body *b = &s->body;
    b->wire += n;
    switch (b->mode) {
    case BODY_IDLE:
        break;
    case BODY_DROP:
        if (b->wire > b->mem_max)
            stream_too_large(s);
        break;
    case BODY_KEEP:
        b->mem_n += n;
        if (b->mem_n > b->mem_max)
            stream_too_large(s);
        break;
    case BODY_SINK:
        if (b->fill->n == 0)
            b->since = loop_now(s->l->loop);
        b->fill->n += n;
        sink_turn(s);
        break;
    }
}

void body_end(struct stream *s)
{
    struct body *b = &s->body;
    b->ended = true;
    if (b->mode == BODY_SINK) {
        sink_turn(s);
        if (b->job)
            return; /* goes on when the last chunk is written */
    } else if (b->mode == BODY_KEEP) {
        s->r.body = slice_make(b->mem ? b->mem : "", b->mem_n);
        s->r.body_received = b->mem_n;
        if (b->mem) {
            struct kept *k = ARENA_NEW(s->r.arena, struct kept);
            *k = (struct kept){&s->l->server->memory, b->mem, b->mem_cap};
            b->mem = NULL;
            arena_on_free(s->r.arena, kept_free, k);
        }
    }
    stream_body_done(s);
}

void body_idle(struct stream *s)
{
    struct body *b = &s->body;
    if (b->mode == BODY_SINK && b->fill && b->fill->n == 0) {
        upbuf_put(s->l, b->fill);
        b->fill = NULL;
    }
}

void body_release(struct stream *s)
{
    struct body *b = &s->body;
    CHECK(!b->job);
    timer_clear(s->l->loop, &b->flush);
    upbuf_put(s->l, b->fill);
    b->fill = NULL;
    if (b->mem) {
        memory_give(&s->l->server->memory, b->mem_cap);
        free(STEAL(b->mem));
    }
}
