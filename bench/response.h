/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 response, parsed as its bytes come in: status line, the few fields a client of a
 * registry follows, and a body framed by Content-Length or by chunks. Does no I/O. A body that ends
 * with the connection is refused: it would hide a cut answer and cannot be kept alive. */
#ifndef BENCH_RESPONSE_H
#define BENCH_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

enum { RESPONSE_HEAD_MAX = 16 * 1024 };

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_BODY,       /* `left` bytes of a body with a length */
    RESPONSE_CHUNK_SIZE, /* in a line with a chunk size */
    RESPONSE_CHUNK_DATA, /* `left` bytes of this chunk */
    RESPONSE_CHUNK_END,  /* the CRLF after a chunk */
    RESPONSE_TRAILER,    /* lines after the last chunk, up to an empty one */
    RESPONSE_DONE,
};

/* Told of body bytes as they pass, without framing. */
typedef void response_sink(void *arg, const void *p, size_t n);

struct response {
    enum response_state state;
    bool no_body; /* the request was HEAD: Content-Length tells of bytes that do not come */
    bool close;   /* "Connection: close" */
    bool chunked;
    int status;
    int64_t length;                      /* Content-Length, or -1 */
    uint64_t body;                       /* body bytes so far */
    struct slice location, link, digest; /* into `head`, valid until the next reset */
    response_sink *sink;                 /* or NULL */
    void *sink_arg;

    uint64_t left;
    size_t line; /* bytes of the chunk-size or trailer line so far */
    size_t head_n;
    char head[RESPONSE_HEAD_MAX];
};

/* Ready for the answer to one request. Keeps the sink. */
void response_reset(struct response *r, bool no_body);
/* Takes bytes up to the end of this response: returns how many were used (fewer than n only when
 * state is RESPONSE_DONE), or -1 when this is not a response that a client can rely on. */
ssize_t response_feed(struct response *r, const char *p, size_t n);
/* How many of the next bytes on the wire are nothing but body, so that they need not be copied. */
uint64_t response_skippable(const struct response *r);
/* n <= response_skippable() bytes of body went by unseen. */
void response_skip(struct response *r, uint64_t n);

#endif
