/* SPDX-License-Identifier: Apache-2.0 */
/* One error object, filled in by whoever fails, passed as the last parameter and returned upwards;
 * the edge logs it once. A function that can fail returns 0, or -1 with *err filled in.
 * Out-parameters stay untouched on failure. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>

/* X(symbol, code on the wire, HTTP status, message on the wire).
 * The codes are those of the OCI distribution specification and of CNCF distribution; the messages
 * are the latter's. */
#define ERROR_CODES(X)                                                                             \
    X(ERR_BLOB_UNKNOWN, "BLOB_UNKNOWN", 404, "blob unknown to registry")                           \
    X(ERR_BLOB_UPLOAD_INVALID, "BLOB_UPLOAD_INVALID", 404, "blob upload invalid")                  \
    X(ERR_BLOB_UPLOAD_UNKNOWN, "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry")      \
    X(ERR_DIGEST_INVALID, "DIGEST_INVALID", 400, "provided digest did not match uploaded content") \
    X(ERR_MANIFEST_BLOB_UNKNOWN, "MANIFEST_BLOB_UNKNOWN", 400, "blob unknown to registry")         \
    X(ERR_MANIFEST_INVALID, "MANIFEST_INVALID", 400, "manifest invalid")                           \
    X(ERR_MANIFEST_UNKNOWN, "MANIFEST_UNKNOWN", 404, "manifest unknown")                           \
    X(ERR_NAME_INVALID, "NAME_INVALID", 400, "invalid repository name")                            \
    X(ERR_NAME_UNKNOWN, "NAME_UNKNOWN", 404, "repository name not known to registry")              \
    X(ERR_SIZE_INVALID, "SIZE_INVALID", 400, "provided length did not match content length")       \
    X(ERR_SIZE_EXCEEDED, "SIZE_INVALID", 413, "the body is larger than the registry accepts here") \
    X(ERR_UNAUTHORIZED, "UNAUTHORIZED", 401, "authentication required")                            \
    X(ERR_DENIED, "DENIED", 403, "requested access to the resource is denied")                     \
    X(ERR_UNSUPPORTED, "UNSUPPORTED", 405, "The operation is unsupported.")                        \
    X(ERR_TOOMANYREQUESTS, "TOOMANYREQUESTS", 429, "too many requests")                            \
    X(ERR_RANGE_INVALID, "RANGE_INVALID", 416, "invalid content range")                            \
    X(ERR_TAG_INVALID, "TAG_INVALID", 400, "manifest tag did not match URI")                       \
    X(ERR_MANIFEST_TOO_LARGE, "MANIFEST_INVALID", 413,                                             \
      "manifest is larger than the registry accepts")                                              \
    X(ERR_PAGINATION, "PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested")     \
    X(ERR_PRECONDITION, "PRECONDITION_FAILED", 412,                                                \
      "the resource is not in the state that the request requires")                                \
    X(ERR_CONFLICT, "CONFLICT", 409, "the resource is being changed by another request")           \
    X(ERR_NOT_FOUND, "NOT_FOUND", 404, "there is nothing at this path")                            \
    X(ERR_BAD_REQUEST, "BAD_REQUEST", 400, "the request is malformed")                             \
    X(ERR_URI_TOO_LONG, "BAD_REQUEST", 414, "the request target is too long")                      \
    X(ERR_HEADERS_TOO_LARGE, "BAD_REQUEST", 431, "the request header fields are too large")        \
    X(ERR_EXPECTATION, "BAD_REQUEST", 417, "the expectation cannot be met")                        \
    X(ERR_VERSION, "BAD_REQUEST", 505, "the HTTP version is not supported")                        \
    X(ERR_NOT_IMPLEMENTED, "BAD_REQUEST", 501,                                                     \
      "the request method or transfer coding is not implemented")                                  \
    X(ERR_TIMEOUT, "TIMEOUT", 408, "the request made no progress in time")                         \
    X(ERR_UNKNOWN, "UNKNOWN", 500, "unknown error")                                                \
    X(ERR_NO_SPACE, "NO_SPACE", 507, "no space left in the registry's storage")                    \
    X(ERR_READ_ONLY, "UNAVAILABLE", 503, "the registry's storage is read-only")                    \
    X(ERR_UNAVAILABLE, "UNAVAILABLE", 503, "service unavailable")

enum error_code {
    ERR_NONE = 0,
#define ERROR_ENUM(sym, wire, status, msg) sym,
    ERROR_CODES(ERROR_ENUM)
#undef ERROR_ENUM
        ERR_CODE_COUNT
};

struct error {
    enum error_code code;
    int sys;           /* errno of the failing call, or 0 */
    char message[320]; /* for the log: what failed. Never sent to a client */
    char detail[512]; /* for the person at the client: what is wrong and what to do. May be empty */
};

struct error_info {
    const char *code;    /* on the wire, e.g. "BLOB_UNKNOWN" */
    int status;          /* HTTP */
    const char *message; /* on the wire */
};

/* Never NULL; unknown codes give UNKNOWN 500. Static storage. */
const struct error_info *error_info(enum error_code code);

/* Each fills *err (when not NULL) and returns -1, so that `return error_set(...)` reads well. */
int error_set(struct error *err, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As error_set; the text goes to `detail`, which the client sees, and to `message`. */
int error_detail(struct error *err, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* From errno value `sys` (ENOSPC and EDQUOT become ERR_NO_SPACE, EROFS ERR_READ_ONLY, EMFILE and
 * ENFILE ERR_UNAVAILABLE, else ERR_UNKNOWN); `fmt` says what was tried. */
int error_sys(struct error *err, int sys, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void error_clear(struct error *err);

#endif
