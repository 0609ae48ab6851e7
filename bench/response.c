/* SPDX-License-Identifier: Apache-2.0 */
#include "response.h"

#include "base/util.h"

#include "base/banned.h"

enum { LINE_MAX_BYTES = 256 };

void response_reset(struct response *r, bool no_body)
{
    r->state = RESPONSE_HEAD;
    r->no_body = no_body;
    r->close = false;
    r->chunked = false;
    r->status = 0;
    r->length = -1;
    r->body = 0;
    r->location = r->link = r->digest = SLICE_NONE;
    r->left = 0;
    r->line = 0;
    r->head_n = 0;
}

static struct slice trim(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_from(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static int parse_field(struct response *r, struct slice line)
{
    struct slice value = line;
    struct slice name = slice_cut(&value, ':');
    if (!value.p || name.n == 0)
        return -1;
    value = trim(value);
    if (slice_ieq(name, SLICE_LIT("content-length"))) {
        uint64_t n;
        if (parse_u63(value, &n) < 0 || (r->length >= 0 && (uint64_t)r->length != n))
            return -1;
        r->length = (int64_t)n;
    } else if (slice_ieq(name, SLICE_LIT("transfer-encoding"))) {
        if (!slice_ieq(value, SLICE_LIT("chunked")))
            return -1;
        r->chunked = true;
    } else if (slice_ieq(name, SLICE_LIT("connection"))) {
        r->close = slice_ieq(value, SLICE_LIT("close"));
    } else if (slice_ieq(name, SLICE_LIT("location"))) {
        r->location = value;
    } else if (slice_ieq(name, SLICE_LIT("link"))) {
        r->link = value;
    } else if (slice_ieq(name, SLICE_LIT("docker-content-digest"))) {
        r->digest = value;
    }
    return 0;
}

/* The status line and the fields, without the empty line that ends them. */
static int parse_head(struct response *r, struct slice head)
{
    struct slice line = slice_cut(&head, '\n');
    if (!slice_starts(line, SLICE_LIT("HTTP/1.1 ")) || line.n < 13)
        return -1;
    uint64_t status;
    if (parse_u63(slice_first(slice_from(line, 9), 3), &status) < 0 || status < 100)
        return -1;
    r->status = (int)status;
    while (head.n) {
        line = slice_cut(&head, '\n');
        if (line.n == 0 || line.p[line.n - 1] != '\r')
            return -1;
        line.n--;
        if (line.n && parse_field(r, line) < 0)
            return -1;
    }
    return 0;
}

/* Decides what follows the head. */
static int begin_body(struct response *r)
{
    if (r->status < 200) { /* 100 Continue and the like: the real answer comes next */
        bool no_body = r->no_body;
        response_reset(r, no_body);
        return 0;
    }
    if (r->no_body || r->status == 204 || r->status == 304) {
        r->state = RESPONSE_DONE;
    } else if (r->chunked) {
        if (r->length >= 0)
            return -1;
        r->state = RESPONSE_CHUNK_SIZE;
    } else if (r->length >= 0) {
        r->left = (uint64_t)r->length;
        r->state = r->left ? RESPONSE_BODY : RESPONSE_DONE;
    } else {
        return -1;
    }
    return 0;
}

static ssize_t feed_head(struct response *r, const char *p, size_t n)
{
    size_t take = MIN(n, sizeof r->head - r->head_n);
    size_t from = r->head_n > 3 ? r->head_n - 3 : 0;
    memcpy(r->head + r->head_n, p, take);
    const char *end = memmem(r->head + from, r->head_n + take - from, "\r\n\r\n", 4);
    if (!end) {
        r->head_n += take;
        return take < n ? -1 : (ssize_t)take;
    }
    size_t head_n = (size_t)(end - r->head) + 2;
    size_t used = head_n + 2 - r->head_n;
    r->head_n = head_n + 2;
    if (parse_head(r, slice_make(r->head, head_n)) < 0 || begin_body(r) < 0)
        return -1;
    return (ssize_t)used;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of framing, one at a time: they are few beside the data. */
static int feed_framing(struct response *r, char c)
{
    if (++r->line > LINE_MAX_BYTES)
        return -1;
    if (r->state == RESPONSE_CHUNK_SIZE && c != '\r' && c != '\n') {
        int digit = hex_digit(c);
        if (digit < 0 || r->left >> 56)
            return -1;
        r->left = r->left << 4 | (unsigned)digit;
    }
    if (c != '\n')
        return 0;
    size_t line = r->line;
    r->line = 0;
    switch (r->state) {
    case RESPONSE_CHUNK_SIZE:
        if (line < 3)
            return -1;
        r->state = r->left ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
        return 0;
    case RESPONSE_CHUNK_END:
        r->state = RESPONSE_CHUNK_SIZE;
        return line == 2 ? 0 : -1;
    default:
        if (line == 2)
            r->state = RESPONSE_DONE;
        return 0;
    }
}

uint64_t response_skippable(const struct response *r)
{
    return r->state == RESPONSE_BODY || r->state == RESPONSE_CHUNK_DATA ? r->left : 0;
}

void response_skip(struct response *r, uint64_t n)
{
    CHECK(n <= response_skippable(r));
    r->left -= n;
    r->body += n;
    if (r->left == 0)
        r->state = r->state == RESPONSE_BODY ? RESPONSE_DONE : RESPONSE_CHUNK_END;
}

ssize_t response_feed(struct response *r, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n && r->state != RESPONSE_DONE) {
        if (r->state == RESPONSE_HEAD) {
            ssize_t got = feed_head(r, p + used, n - used);
            if (got < 0)
                return -1;
            used += (size_t)got;
        } else if (response_skippable(r)) {
            size_t take = (size_t)MIN((uint64_t)(n - used), r->left);
            if (r->sink)
                r->sink(r->sink_arg, p + used, take);
            response_skip(r, take);
            used += take;
        } else if (feed_framing(r, p[used++]) < 0) {
            return -1;
        }
    }
    return (ssize_t)used;
}
