/* SPDX-License-Identifier: Apache-2.0 */
/* The /v2 API (OCI distribution 1.1 and its main branch), and the health and metrics end-points. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdatomic.h>

#include "auth/policy.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/route.h"
#include "meta/meta.h"
#include "os/pool.h"
#include "store/store.h"
#include "store/upload.h"

enum registry_state { REGISTRY_STARTING, REGISTRY_READY, REGISTRY_DRAINING };

struct authn;
struct validator;

/* What a reload may replace while requests run: reference counted, a request keeps the one that it
 * began with. */
struct registry_live {
    struct policy policy;
    struct authn *authn;         /* owned; NULL: nobody has to log in */
    struct validator *validator; /* owned; NULL: everything may be pushed */
    unsigned tags_page;      /* the most tags in a page for a client that names n; more without */
    unsigned catalog_page;   /* repositories in a page when the client names no n, and the most */
    bool include_references; /* events of manifests list what they refer to */
};

/* What the registry tells and asks of those who run beside it; each may be NULL. Any thread. */
struct registry_hooks {
    void *arg;
    bool (*wants)(void *arg,
                  const char *action); /* is an event of this action to be made at all? */
    void (*changed)(void *arg);        /* events were committed with a change */
    void (*pulled)(void *arg, const struct meta_event *event); /* never blocks */
    bool (*healthy)(void *arg); /* false: every request is answered 503; never blocks */
    void (*health_print)(void *arg, struct buf *out); /* the body of /debug/health */
};

struct registry_config {
    struct meta *meta; /* borrowed, as all below */
    struct store *store;
    struct uploads *uploads;
    struct pool *io;           /* for clearing away what an aborted upload leaves */
    struct metrics *metrics;   /* may be NULL */
    struct registry_live live; /* the first one: what it owns becomes the registry's */
    unsigned referrers_page;   /* descriptors in one answer */
    size_t cache_bytes;        /* of the manifest cache of each loop; 0: no cache */
    bool absolute_urls;        /* Location and Link as absolute URLs of the client's view */
    const char *host;          /* http.host: in front of every such URL; NULL or empty: as asked */
    struct registry_hooks hooks;
};

struct registry;

struct registry *registry_new(const struct registry_config *config);
void registry_free(struct registry *r);
void registry_set_state(struct registry *r, enum registry_state state); /* any thread */

/* Any thread; takes what it owns. */
void registry_set_live(struct registry *r, const struct registry_live *live);
/* The public site and the debug site. Static tables; aborts when a row has no action. */
const struct route *registry_routes(unsigned *n);
const struct route *registry_debug_routes(unsigned *n);

/* For http_config. app is the struct registry. */
enum step registry_authorize(struct request *r);
void *registry_loop_open(void *app, unsigned loop);
void registry_loop_close(void *app, void *loop_local);

#endif
