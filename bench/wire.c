/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <stdio.h>

#include "base/util.h"

#include "base/banned.h"

static const char crlf[] = "\r\n";
static const char last_chunk[] = "0\r\n\r\n";

enum {
    CRLF_BYTES = sizeof crlf - 1,
    CHUNK_IOV = 4, /* size line, data in up to two pieces, CRLF */
};

struct cursor {
    struct iovec *iov;
    size_t n;
    uint64_t skip; /* bytes to leave out before the first entry */
};

static void add(struct cursor *cur, const void *p, size_t n)
{
    if (cur->skip >= n) {
        cur->skip -= n;
        return;
    }
    CHECK(cur->n < WIRE_IOV);
    cur->iov[cur->n++] = (struct iovec){(char *)p + cur->skip, n - (size_t)cur->skip};
    cur->skip = 0;
}

/* Body bytes [from, from + n), which may lie in both parts. */
static void add_body(struct cursor *cur, const struct exchange *x, size_t from, size_t n)
{
    struct slice first = slice_first(slice_from(x->part[0], from), n);
    size_t in_second = n - first.n;
    size_t second_from = from > x->part[0].n ? from - x->part[0].n : 0;
    if (first.n)
        add(cur, first.p, first.n);
    if (in_second)
        add(cur, x->part[1].p + second_from, in_second);
}

static size_t body_length(const struct exchange *x)
{
    return x->part[0].n + x->part[1].n;
}

uint64_t wire_length(struct exchange *x)
{
    size_t body = body_length(x);
    if (x->chunk == 0)
        return x->head.n + body;
    size_t full = body / x->chunk;
    size_t rest = body % x->chunk;
    int f = snprintf(x->frame[0], sizeof x->frame[0], "%zx\r\n", x->chunk);
    int l = snprintf(x->frame[1], sizeof x->frame[1], "%zx\r\n", rest);
    uint64_t total = x->head.n + full * ((size_t)f + x->chunk + CRLF_BYTES);
    if (rest)
        total += (size_t)l + rest + CRLF_BYTES;
    return total + sizeof last_chunk - 1;
}

static void add_chunks(struct cursor *cur, const struct exchange *x, size_t i)
{
    size_t body = body_length(x);
    for (; i * x->chunk < body; i++) {
        if (cur->n + CHUNK_IOV > WIRE_IOV)
            return;
        size_t n = MIN(x->chunk, body - i * x->chunk);
        const char *frame = x->frame[n < x->chunk];
        add(cur, frame, strlen(frame));
        /* add() must see the data as one run to skip over, also when it is two pieces. */
        if (cur->skip >= n) {
            cur->skip -= n;
        } else {
            size_t skip = (size_t)cur->skip;
            cur->skip = 0;
            add_body(cur, x, i * x->chunk + skip, n - skip);
        }
        add(cur, crlf, CRLF_BYTES);
    }
    if (cur->n < WIRE_IOV)
        add(cur, last_chunk, sizeof last_chunk - 1);
}

size_t wire_fill(const struct exchange *x, uint64_t at, struct iovec iov[WIRE_IOV])
{
    struct cursor cur = {iov, 0, at};
    add(&cur, x->head.p, x->head.n);
    if (x->chunk == 0) {
        add(&cur, x->part[0].p, x->part[0].n);
        add(&cur, x->part[1].p, x->part[1].n);
        return cur.n;
    }
    /* Straight to the chunk that `at` is in: a large body has thousands before it. */
    uint64_t pos = cur.n ? 0 : cur.skip;
    size_t encoded = strlen(x->frame[0]) + x->chunk + CRLF_BYTES;
    size_t i = (size_t)MIN(pos / encoded, (uint64_t)(body_length(x) / x->chunk));
    if (cur.n == 0)
        cur.skip = pos - i * encoded;
    add_chunks(&cur, x, i);
    return cur.n;
}
