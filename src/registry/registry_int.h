/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_REGISTRY_INT_H
#define REGISTRY_REGISTRY_INT_H

#include <pthread.h>

#include "auth/authn.h"
#include "http/field.h"
#include "http/request.h"
#include "oci/media_type.h"
#include "registry/registry.h"

/* Cache-Control of what a digest names, and of what a tag names. */
#define IMMUTABLE "max-age=31536000, immutable"
#define REVALIDATE "no-cache"

/* A registry_live that is in force, or that some request still goes by. */
struct live {
    atomic_uint refs;
    struct registry_live l;
};

/* A loop's own: requests begin there, so that taking the settings in force meets no other loop. */
struct loop_local {
    struct loop_local *next; /* under registry.lock */
    struct registry *registry;
    struct manifest_cache *cache; /* NULL: none */
    pthread_mutex_t lock;
    struct live *live; /* under lock */
};

struct registry {
    struct registry_config c;
    atomic_int state;
    struct metric *cache_hits, *cache_misses;
    pthread_mutex_t lock;
    struct live *live;        /* under lock: for loops that open */
    struct loop_local *loops; /* under lock */
};

/* Of one request, from authorize on: r->context. */
struct req_context {
    struct live *live; /* a reference */
    struct principal who;
};

static inline struct registry *registry_of(const struct request *r)
{
    return r->app;
}

static inline const struct registry_live *live_of(const struct request *r)
{
    return &((const struct req_context *)r->context)->live->l;
}
/* The manifest cache of the loop that runs this; NULL when there is none. */
static inline struct manifest_cache *cache_of(const struct request *r)
{
    const struct loop_local *l = r->loop_local;
    return l ? l->cache : NULL;
}

/* Parameter 0 is the repository in every route that has one; registry_authorize has checked its
 * grammar. */
static inline struct slice req_repo(const struct request *r)
{
    return r->param[0];
}

/* Who asks. */
struct principal req_principal(const struct request *r);
/* Parameter 1 as a digest; ERR_DIGEST_INVALID. */
int req_digest(const struct request *r, struct digest *out, struct error *err);
/* ?n= and ?last=. *n is at most `most` and is `most` when the client names none; *last may be
 * empty. ERR_PAGINATION. */
int req_page(struct request *r, unsigned most, unsigned *n, struct slice *last, struct error *err);
/* A Location: the path, below the prefix, and absolute where the configuration asks for it. */
void resp_location(struct request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same into a buffer, always absolute when the request names a host: for events. */
void req_url(const struct request *r, bool absolute, struct buf *out);
/* Link: <path?last=..&n=..[&extra]>; rel="next" */
void resp_next_link(struct request *r, struct slice last, unsigned n, const char *extra_name,
                    struct slice extra);
/* The request's If-Match and If-None-Match as a condition on a change (RFC 9110 13.1): a digest
 * that is given bare or quoted, in a list, or
 * `*`. NULL when there is none. In the arena. */
const struct meta_condition *req_condition(struct request *r);
/* Content negotiation of conditional requests for something with this digest: true when the answer
 * (304 or 412) was given. */
bool resp_conditional(struct request *r, const struct digest *d, const char *cache_control);
/* A buffer's bytes become the body; `failed` gives 500. The memory goes into the request's care. */
enum step resp_json(struct request *r, const char *content_type, struct buf *b);

/* The handlers, one file each. */
enum step base_get(struct request *r);
enum step blob_get(struct request *r);
enum step blob_delete(struct request *r);
enum step upload_start(struct request *r);
enum step upload_patch(struct request *r);
enum step upload_put(struct request *r);
enum step upload_status(struct request *r);
enum step upload_cancel(struct request *r);
enum step manifest_fast(struct request *r);
enum step manifest_get(struct request *r);
enum step manifest_put(struct request *r);
enum step manifest_delete(struct request *r);
enum step tags_get(struct request *r);
enum step catalog_get(struct request *r);
enum step referrers_get(struct request *r);
enum step root_get(struct request *r);
enum step health_live(struct request *r);
enum step health_ready(struct request *r);
enum step health_startup(struct request *r);
enum step health_checks(struct request *r);
enum step metrics_get(struct request *r);

#endif
