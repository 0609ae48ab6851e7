/* SPDX-License-Identifier: Apache-2.0 */
/* Decoder of the chunked transfer coding (RFC 9112 7.1), strict: lines end in CRLF alone, sizes are
 * 1 to 16 hex digits whose value fits 63 bits, chunk extensions are ignored and limited to 256
 * bytes over the whole body, trailers are ignored and limited to 8 KiB. Pure. */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct chunked {
    int state;
    uint64_t left;    /* bytes of the current chunk still to come */
    unsigned digits;  /* of the size being read */
    unsigned ext;     /* bytes of extensions so far */
    unsigned trailer; /* bytes of trailers so far */
    unsigned line;    /* bytes of the current trailer line */
};

enum chunked_result {
    CHUNKED_MORE, /* all of the input is consumed, more is needed */
    CHUNKED_DATA, /* *data is a piece of the body */
    CHUNKED_END, /* the body and its trailers are complete; bytes after *consumed belong to the next
                    request */
    CHUNKED_BAD  /* err is set; close the connection */
};

void chunked_init(struct chunked *c);
/* Takes from p[0..n); *consumed is how much was used (data included). *data points into p. */
enum chunked_result chunked_next(struct chunked *c, const char *p, size_t n, size_t *consumed,
                                 struct slice *data, struct error *err);

#endif
