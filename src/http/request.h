/* SPDX-License-Identifier: Apache-2.0 */
/* The request interface: all that a handler sees of HTTP. A request is apart from its connection,
 * so that HTTP/2 can carry it too.
 *
 * Life: head parsed -> route matched -> config.authorize -> (BODY_MEMORY: body read) -> route->fast
 * on the loop -> route->handler in its pool -> more steps
 * -> response sent -> destroyed (access-log line, metrics, arena cleanups).
 * A request belongs to one thread at a time: its loop, or the worker that runs its step. Steps may
 * block shortly, never wait for the client, and never touch the socket. When the client leaves, a
 * running step finishes and is discarded; `dead` tells long steps to stop early. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/shared.h"
#include "http/head.h"
#include "http/route.h"
#include "os/fdcache.h"

enum { RESPONSE_FIELDS_MAX = 24 };

enum response_body { RESPONSE_EMPTY, RESPONSE_BYTES, RESPONSE_SHARED, RESPONSE_FILE };

struct response {
    int status; /* 0 until decided */
    struct http_field fields[RESPONSE_FIELDS_MAX];
    unsigned n_fields;
    struct slice raw_fields; /* ready-made field lines, each with its CRLF, sent as they are */
    enum response_body kind;
    struct slice bytes; /* RESPONSE_BYTES: in the arena, or static */
    struct shared *
        shared; /* RESPONSE_SHARED: owns a reference; raw_fields may point into what `keep` holds */
    struct shared *keep; /* another reference to hold until the end, or NULL */
    struct fdref *file;  /* RESPONSE_FILE: owns a reference */
    uint64_t offset;     /* RESPONSE_FILE */
    uint64_t length;     /* Content-Length of every kind; HEAD sends it and no body */
    bool no_length;      /* 1xx, 204, 304: no Content-Length */
    bool close;          /* Connection: close */
};

struct sink;

struct request {
    unsigned magic;
    struct http_head *head;
    struct arena *arena;
    const struct route *route;
    struct slice param[ROUTE_PARAMS_MAX]; /* the route's parameters */
    struct slice body;                    /* BODY_MEMORY */
    uint64_t body_received;               /* bytes of body that the sink has taken */
    struct response resp;
    void *app;         /* http_config.app */
    void *loop_local;  /* what http_config.loop_open made for this loop; only in steps that run on
                          the loop */
    struct slice id;   /* request id, also sent as X-Request-Id */
    struct slice peer; /* who asked: "127.0.0.1:41234" or "unix"; what a trusted peer forwarded, as
                          it gave it (with or without a port) */
    struct slice socket_peer; /* the other end of the connection */
    bool secure;              /* the client speaks https: TLS here, or as a trusted peer says */
    struct slice scheme;      /* "http" or "https", likewise */
    struct slice host;   /* as the client wrote it: the Host field, or what a trusted peer says.
                            May be empty (HTTP/1.0) */
    struct slice prefix; /* http_config.prefix without its last slash; empty for none */
    struct slice
        tls_client;         /* subject of the client's certificate when it was verified, or empty */
    struct slice principal; /* who it is, for the log; empty when anonymous */
    struct slice log_detail; /* one more field of the access line, e.g. the error's cause */
    atomic_bool dead;        /* the client is gone */
    bool incomplete; /* set before on_loop and before the cleanups when the body did not arrive
                        whole (or its sink failed) */
    void *state;     /* the handler's own, in the arena */
    void *context;   /* the application's own, from authorize to the end, in the arena */
    /* Runs once, on the loop, when the response is decided (by a step or by the engine: look at
     * resp.status) and before it is sent; may fill a per-loop cache. NULL for none. Not called when
     * the client is gone. */
    void (*on_loop)(struct request *r);
    /* Engine's own: the next step, set by request_next and request_body. */
    step_fn next;
    enum pool_id next_pool;
    const struct sink *sink;
};

/* Takes the body in order, in the pool, never two calls at once for a request. 0, or -1 with err,
 * which becomes the response (what is left of the body is dropped, the connection closed if it is
 * long). n > 0. */
struct sink {
    enum pool_id pool;
    int (*write)(struct request *r, const char *p, size_t n, struct error *err);
};

/* `return request_next(r, POOL_DB, fn);` goes on with fn in that pool. A full pool answers 503. */
enum step request_next(struct request *r, enum pool_id pool, step_fn fn);
/* `return request_body(r, &sink, POOL_IO, fn);` reads the body into the sink (100-continue is sent
 * now if it was asked for), then goes on with fn. r->body_received counts. Without a body, fn is
 * next at once. */
enum step request_body(struct request *r, const struct sink *sink, enum pool_id pool, step_fn fn);
/* True when the request announces a body (a length above 0, or chunked); its length, or -1 when
 * chunked. */
bool request_has_body(const struct request *r);
int64_t request_length(const struct request *r);

struct slice request_field(const struct request *r, const char *name);
/* Percent-decoded; true when present. A malformed one is treated as absent, *bad (may be NULL)
 * tells. */
bool request_query(struct request *r, const char *name, struct slice *out, bool *bad);

/* Each of these sets the response; the last call wins. */
void response_status(struct request *r, int status);
/* Copies the value into the arena. CR, LF, NUL and other controls in it are replaced by '?' (nobody
 * splits a response). Aborts above RESPONSE_FIELDS_MAX. */
void response_field(struct request *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void response_bytes(struct request *r, const char *content_type,
                    struct slice body); /* body: arena or static */
void response_shared(struct request *r, const char *content_type,
                     struct shared *body); /* takes the reference */
void response_file(struct request *r, const char *content_type, struct fdref *file, uint64_t offset,
                   uint64_t length); /* takes the reference */
/* {"errors":[{"code","message","detail"}]} by err->code; drops a body and fields that were set
 * before. Cause goes to the access log. */
void response_error(struct request *r, const struct error *err);
/* As response_error with `detail` as ready JSON (object, array or string). */
void response_error_json(struct request *r, const struct error *err, struct slice detail_json);
/* `return step_error(r, &err);` */
enum step step_error(struct request *r, const struct error *err);

#endif
