/* SPDX-License-Identifier: Apache-2.0 */
/* Routes are data. A row is a method and a pattern; matching works on the raw path, component by
 * component, without decoding anything but what route_path does. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "http/head.h"

struct request;

enum { ROUTE_PARAMS_MAX = 3 };

/* POOL_DB reads metadata; POOL_WRITE changes it (a step there waits for a commit, so that a slow
 * disk never keeps the readers' workers). */
enum pool_id {
    POOL_LOOP,
    POOL_DB,
    POOL_WRITE,
    POOL_IO,
    POOL_AUTH,
    POOL_SLOW,
    POOL_JOBS,
    POOL_COUNT
};

/* What a step returns (http/request.h makes NEXT and BODY). */
enum step { STEP_DONE, STEP_NEXT, STEP_BODY };
typedef enum step (*step_fn)(struct request *r);

enum body_policy {
    BODY_NONE, /* none is expected; one of at most 64 KiB is read and dropped, a larger one refused
                */
    BODY_MEMORY, /* read whole, at most body_max bytes (413), before the handler runs: r->body */
    BODY_STREAM  /* the handler runs first and may ask for the body with request_body() */
};

struct route {
    const char *name; /* for metrics and logs: base, manifest, tags, blob, blob_upload, … */
    enum http_method method; /* a GET row serves HEAD too */
    /* Components: literals, and parameters in angle brackets. <name> takes one component or more,
     * every other parameter exactly one. A trailing slash in the pattern is optional in the path.
     * At most one <name>. Parameters are numbered from the left. */
    const char *pattern;
    unsigned action; /* the policy's; opaque here */
    enum body_policy body;
    uint64_t body_max; /* bytes, for BODY_MEMORY */
    enum pool_id pool; /* where the handler runs; POOL_LOOP for what needs no I/O */
    step_fn handler;
    step_fn fast; /* may be NULL: tried first, on the loop; STEP_DONE with a status is the answer,
                     with status 0 go on to the handler */
};

struct route_match {
    const struct route *route; /* NULL: no row for this method */
    struct slice param[ROUTE_PARAMS_MAX];
    unsigned allowed; /* bit set of methods (1 << enum http_method) that rows with a matching
                         pattern have, HEAD and OPTIONS included; 0: 404 */
};

/* The path with every "%3A" of its last component as ':' (in the arena, if there is any): clients
 * that percent-encode send digests so. No other escape has a meaning in a path. Pure. */
struct slice route_path(struct arena *a, struct slice path);

/* Empty components ("//"), "." and "..", '%' and bytes outside printable ASCII never match
 * anything. Pure. */
void route_match(const struct route *routes, unsigned n, enum http_method method, struct slice path,
                 struct route_match *out);

#endif
