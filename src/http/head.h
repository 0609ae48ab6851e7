/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 request heads (RFC 9112), strict: what the RFC lets a server reject is rejected. Pure:
 * bytes in, a struct out. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER, /* a valid token that is none of these: 501 or 405 is the caller's decision */
    HTTP_METHOD_COUNT
};

enum {
    HTTP_LINE_MAX = 8192,  /* request target, and each field line, in bytes without CRLF */
    HTTP_FIELDS_MAX = 100, /* field lines */
    HTTP_HEAD_MAX = 32768  /* the whole head with its last CRLF CRLF */
};

struct http_field {
    struct slice name;  /* as sent */
    struct slice value; /* without surrounding white space */
};

struct http_head {
    enum http_method method;
    struct slice method_text;
    struct slice target; /* raw: origin-form, or "*" for OPTIONS; absolute-form is reduced to its
                            path and query */
    struct slice path;   /* raw, begins with '/'; "*" when the target is that. Handlers see it
                            without the prefix, and as route_path makes it */
    struct slice query;  /* raw, without '?'; p is NULL when there is no '?' */
    int minor;           /* 0 or 1 */
    struct http_field fields[HTTP_FIELDS_MAX];
    unsigned n_fields;
    struct slice host;
    bool chunked;         /* Transfer-Encoding: chunked */
    bool has_length;      /* Content-Length */
    uint64_t length;      /* at most INT64_MAX */
    bool keep_alive;      /* by version and Connection */
    bool expect_continue; /* Expect: 100-continue and HTTP/1.1 */
};

/* Where the scan for the end of a head stands; zero-initialised for each head. */
struct http_scan {
    size_t at;         /* bytes already looked at */
    size_t line_start; /* offset of the line that is being read */
    unsigned lines;
};

/* Looks for the end of the head in p[0..n), going on where the last call with the same scan
 * stopped. Leading empty lines (CRLF only, at most one, RFC 9112 2.2) are part of the head. Returns
 * the head's length with its last CRLF CRLF; 0 when more bytes are needed; -1 with err when it can
 * never become valid: over a limit (414 for the request line, 431 for fields), a bare CR or LF,
 * NUL, or first bytes that no HTTP request has (a TLS ClientHello: err->code == ERR_BAD_REQUEST
 * with a detail that says so). */
int64_t http_head_scan(const char *p, size_t n, struct http_scan *scan, struct error *err);

/* Parses a complete head (as delimited by http_head_scan). Slices in *out point into `head`, except
 * for the target and path of an absolute-form without a path, which are static. 0, or -1 with err:
 * BAD_REQUEST 400, 414, 431, 417, 501 (transfer coding other than chunked, a method over 32 bytes,
 * CONNECT), 505. After a failure the method (and its text) is set when the head begins with one,
 * the path, target, query and version when the request line is good; all else in *out is undefined
 * (it is filled in place, being large), and the connection must be closed. */
int http_head_parse(struct slice head, struct http_head *out, struct error *err);

/* First field of that name (case-insensitive), or SLICE_NONE. */
struct slice http_field_get(const struct http_head *h, const char *name);
/* The next field of that name after *pos (start with 0); false at the end. */
bool http_field_next(const struct http_head *h, const char *name, unsigned *pos,
                     struct slice *value);
/* "GET" …; "OTHER" for the rest. */
const char *http_method_name(enum http_method m);

#endif
