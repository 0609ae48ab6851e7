/* SPDX-License-Identifier: Apache-2.0 */
/* Field values and queries: ranges, entity tags, percent-encoding. Pure. */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum range_result {
    RANGE_NONE, /* no range, or one to ignore (another unit, several ranges, bad syntax): the whole
                   body, 200 */
    RANGE_ONE,  /* 206 */
    RANGE_BAD   /* not satisfiable: 416 with Content-Range: bytes and a star, slash, size (RFC
                   9110 15.5.17) */
};

/* Range header of a GET (RFC 9110 14.2) against a body of `size` bytes. "500-0" (last before first)
 * and a range that begins past the end are RANGE_BAD, as the OCI conformance suite prefers. *first
 * and *length are set for RANGE_ONE. */
enum range_result http_range(struct slice value, uint64_t size, uint64_t *first, uint64_t *length);

/* The request's Content-Range in the form of the OCI distribution spec, `^[0-9]+-[0-9]+$`; the
 * RFC's form `bytes a-b/total|*` is accepted too. 0 with the inclusive bounds (last >= first), or
 * -1 with ERR_RANGE_INVALID. */
int http_upload_range(struct slice value, uint64_t *first, uint64_t *last, struct error *err);

/* Does a list of entity tags (If-None-Match, If-Match) contain `etag` (given without quotes)? "*"
 * matches anything that exists; tags are accepted quoted, weak (W/) when `weak_ok`, or bare, as
 * distribution does. */
bool http_etag_match(struct slice value, struct slice etag, bool weak_ok);

/* Value of a parameter of a raw query, percent-decoded ('+' is a space) into the arena: true when
 * it is there (possibly empty). A malformed escape or a NUL in the value: false with *bad = true.
 * Names are compared after decoding. The first wins. */
bool http_query_get(struct slice query, const char *name, struct arena *a, struct slice *out,
                    bool *bad);
/* As above for the parameter's k-th occurrence (0-based), for ?tag=a&tag=b. */
bool http_query_nth(struct slice query, const char *name, unsigned k, struct arena *a,
                    struct slice *out, bool *bad);
/* Percent-encodes all but unreserved characters (RFC 3986 2.3). */
int http_query_encode(struct buf *out, struct slice s);

#endif
