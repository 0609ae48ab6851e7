/* SPDX-License-Identifier: Apache-2.0 */
/* Writes responses: the head, then bytes in the same call, or a file by sendfile in turns. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "http/engine_int.h"

#include "base/banned.h"

/* Fixed text of a head without status line, fields and id; with room to spare. */
enum { HEAD_FIXED = 320, LINE_EXTRA = 4, STATUS_MAX = 64 };

static char *put(char *at, const char *p, size_t n)
{
    if (n)
        memcpy(at, p, n);
    return at + n;
}

#define PUT_LIT(at, lit) put((at), "" lit, sizeof(lit) - 1)

static char *put_u64(char *at, uint64_t v)
{
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return put(at, digits + i, sizeof digits - i);
}

static char *put_status(char *at, int status)
{
    const char *line = status_line(status);
    if (line)
        return put(at, line, strlen(line));
    int n = snprintf(at, STATUS_MAX, "HTTP/1.1 %d Unknown\r\n", status);
    return at + n;
}

/* Lines of a handler, less those that the configuration has its own of. */
static char *put_lines(char *at, struct slice lines, const struct header_set *extra)
{
    while (lines.n) {
        const char *end = memchr(lines.p, '\n', lines.n);
        struct slice line = slice_first(lines, end ? (size_t)(end + 1 - lines.p) : lines.n);
        struct slice rest = line, name = slice_cut(&rest, ':');
        lines = slice_from(lines, line.n);
        if (!header_set_has(extra, name))
            at = put(at, line.p, line.n);
    }
    return at;
}

static char *put_fields(char *at, const struct request *r, const struct header_set *extra)
{
    bool replaced = extra && extra->others;
    for (unsigned i = 0; i < r->resp.n_fields; i++) {
        const struct http_field *f = &r->resp.fields[i];
        if (replaced && header_set_has(extra, f->name))
            continue;
        at = put(at, f->name.p, f->name.n);
        at = PUT_LIT(at, ": ");
        at = put(at, f->value.p, f->value.n);
        at = PUT_LIT(at, "\r\n");
    }
    if (replaced)
        at = put_lines(at, r->resp.raw_fields, extra);
    else
        at = put(at, r->resp.raw_fields.p, r->resp.raw_fields.n);
    return extra ? put(at, extra->raw.p, extra->raw.n) : at;
}

static bool is_v2(struct slice path)
{
    return slice_starts(path, SLICE_LIT("/v2")) && (path.n == 3 || path.p[3] == '/');
}

void send_begin(struct stream *s, bool close)
{
    struct request *r = &s->r;
    struct response *p = &r->resp;
    const struct header_set *extra = s->headers;
    bool head_only = r->head->method == HTTP_HEAD;
    bool no_length = p->no_length || p->status < 200 || p->status == 204 || p->status == 304;
    if (no_length || (p->kind == RESPONSE_EMPTY && !head_only))
        p->length = 0;

    size_t max = HEAD_FIXED + STATUS_MAX + r->id.n + p->raw_fields.n + (extra ? extra->raw.n : 0);
    for (unsigned i = 0; i < p->n_fields; i++)
        max += p->fields[i].name.n + p->fields[i].value.n + LINE_EXTRA;
    char *start = arena_alloc(r->arena, max), *at = put_status(start, p->status);
    at = PUT_LIT(at, "Date: ");
    at = put(at, http_loop_date(s->l), 29);
    if (!no_length) {
        at = PUT_LIT(at, "\r\nContent-Length: ");
        at = put_u64(at, p->length);
    }
    at = PUT_LIT(at, "\r\nX-Request-Id: ");
    at = put(at, r->id.p, r->id.n);
    at = PUT_LIT(at, "\r\n");
    if (!extra || !extra->nosniff)
        at = PUT_LIT(at, "X-Content-Type-Options: nosniff\r\n");
    if (is_v2(r->head->path) && (!extra || !extra->api_version))
        at = PUT_LIT(at, "Docker-Distribution-Api-Version: registry/2.0\r\n");
    at = put_fields(at, r, extra);
    if (p->status == 503 && !response_has(r, "Retry-After") && (!extra || !extra->retry_after))
        at = PUT_LIT(at, "Retry-After: 1\r\n");
    if (close)
        at = PUT_LIT(at, "Connection: close\r\n");
    else if (r->head->minor == 0)
        at = PUT_LIT(at, "Connection: keep-alive\r\n");
    at = PUT_LIT(at, "\r\n");
    CHECK((size_t)(at - start) <= max);

    s->send = (struct send){
        .head = {start, (size_t)(at - start)},
        .offset = p->offset,
        .left = head_only ? 0 : p->length,
        .began = loop_now(s->l->loop),
        .started = true,
    };
}

static enum send_result failed(ssize_t rc)
{
    return rc == FILTER_AGAIN ? SEND_BLOCKED : SEND_FAILED;
}

/* What was promised cannot be sent, and that is not the client's doing. */
static enum send_result file_failed(struct stream *s, ssize_t rc)
{
    char why[128] = "the file is shorter than it was";
    const char *text = rc == 0 ? why : strerrordesc(errno, why, sizeof why);
    s->fault = true;
    s->r.log_detail = slice_cstr(
        arena_printf(s->r.arena, "the file could not be read while it was being sent: %s", text));
    return SEND_FAILED;
}

static void took(struct stream *s, size_t n)
{
    struct send *o = &s->send;
    size_t head = MIN(n, o->head.n);
    o->head = slice_from(o->head, head);
    o->offset += n - head;
    o->left -= n - head;
    o->sent += n - head;
}

/* Head and bytes in one call. */
static enum send_result send_bytes(struct stream *s, const char *body)
{
    struct send *o = &s->send;
    while (o->head.n || o->left) {
        struct iovec iov[2];
        int n = 0;
        if (o->head.n)
            iov[n++] = (struct iovec){(void *)(uintptr_t)o->head.p, o->head.n};
        if (o->left)
            iov[n++] = (struct iovec){(void *)(uintptr_t)(body + o->offset), (size_t)o->left};
        ssize_t rc = conn_writev(s->conn, iov, n, false);
        if (rc <= 0)
            return failed(rc);
        took(s, (size_t)rc);
    }
    return SEND_DONE;
}

/* For filters that have to see the bytes; with the head, as long as there is one. What they do not
 * take is read again. */
static ssize_t send_copied(struct stream *s, int fd, size_t n)
{
    struct http_loop *l = s->l;
    struct send *o = &s->send;
    if (!l->copy)
        l->copy = xcalloc(1, COPY_BYTES);
    ssize_t got;
    do
        got = pread(fd, l->copy, MIN(n, (size_t)COPY_BYTES), (off_t)o->offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got == 0 ? 0 : FILTER_FILE;
    struct iovec iov[2] = {{(void *)(uintptr_t)o->head.p, o->head.n}, {l->copy, (size_t)got}};
    bool head = o->head.n > 0;
    return conn_writev(s->conn, head ? iov : iov + 1, head ? 2 : 1, (uint64_t)got < o->left);
}

static ssize_t send_part(struct stream *s, int fd, size_t n)
{
    struct filter *top = s->conn->top;
    if (!top->ops->sendfile)
        return send_copied(s, fd, n);
    ssize_t rc = top->ops->sendfile(top, fd, s->send.offset, n);
    if (rc > 0 && s->l->server->m.sent)
        metric_add(s->l->server->m.sent, rc);
    return rc;
}

static void cork(struct stream *s, bool on)
{
    struct filter *top = s->conn->top;
    if (top->ops->cork)
        top->ops->cork(top, on);
    s->send.corked = on;
}

static void hurry(struct stream *s)
{
    struct conn *c = s->conn;
    if (c->hurried || s->send.sent < FAST_BYTES ||
        loop_now(s->l->loop) - s->send.began > FAST_MS * (s->send.sent / FAST_BYTES))
        return;
    c->hurried = true;
    if (c->top->ops->hurry)
        c->top->ops->hurry(c->top);
}

static enum send_result send_file(struct stream *s)
{
    struct send *o = &s->send;
    while (o->head.n && (o->left == 0 || s->conn->top->ops->sendfile)) {
        struct iovec iov = {(void *)(uintptr_t)o->head.p, o->head.n};
        ssize_t rc = conn_writev(s->conn, &iov, 1, o->left > 0);
        if (rc <= 0)
            return failed(rc);
        took(s, (size_t)rc);
    }
    if (o->left >= CORK_BYTES && !o->corked)
        cork(s, true);
    hurry(s);
    size_t budget = TURN_BYTES;
    while (o->left) {
        if (budget == 0)
            return SEND_YIELD;
        ssize_t rc = send_part(s, s->r.resp.file->fd, (size_t)MIN((uint64_t)budget, o->left));
        if (rc == 0 || rc == FILTER_FILE)
            return file_failed(s, rc);
        if (rc < 0)
            return failed(rc);
        took(s, (size_t)rc);
        budget -= MIN((size_t)rc, budget); /* the head may be in it */
    }
    if (o->corked)
        cork(s, false);
    return SEND_DONE;
}

static enum send_result send_body(struct stream *s)
{
    const struct response *p = &s->r.resp;
    switch (p->kind) {
    case RESPONSE_FILE:
        return send_file(s);
    case RESPONSE_SHARED:
        CHECK(s->send.offset + s->send.left <= p->shared->n);
        return send_bytes(s, p->shared->p);
    case RESPONSE_EMPTY:
    case RESPONSE_BYTES:
        break;
    }
    CHECK(s->send.offset + s->send.left <= p->bytes.n);
    return send_bytes(s, p->bytes.p);
}

/* What a filter has taken and not handed on is not sent yet. */
enum send_result send_more(struct stream *s)
{
    enum send_result rc = send_body(s);
    if (rc != SEND_DONE)
        return rc;
    int out = conn_flush(s->conn);
    return out > 0 ? SEND_DONE : out == 0 ? SEND_BLOCKED : SEND_FAILED;
}
