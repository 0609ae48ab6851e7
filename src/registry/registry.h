/* SPDX-License-Identifier: Apache-2.0 */
/* The /v2 API (OCI distribution 1.1 and its main branch), and the health and metrics end-points. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdatomic.h>

#include "auth/policy.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/route.h"
#include "meta/meta.h"
#include "os/pool.h"
#include "store/store.h"
#include "store/upload.h"

enum registry_state { REGISTRY_STARTING, REGISTRY_READY, REGISTRY_DRAINING };

struct registry_config {
    struct meta *meta; /* borrowed, as all below */
    struct store *store;
    struct uploads *uploads;
    struct pool *io;         /* for clearing away what an aborted upload leaves */
    struct metrics *metrics; /* may be NULL */
    struct policy policy;
    unsigned tags_page;      /* tags in a page when the client names no n, and the most it gets */
    unsigned catalog_page;   /* repositories, likewise */
    unsigned referrers_page; /* descriptors in one answer */
    size_t cache_bytes;      /* of the manifest cache of each loop; 0: no cache */
};

struct registry;

struct registry *registry_new(const struct registry_config *config);
void registry_free(struct registry *r);
void registry_set_state(struct registry *r, enum registry_state state); /* any thread */

/* The public site and the debug site. Static tables; aborts when a row has no action. */
const struct route *registry_routes(unsigned *n);
const struct route *registry_debug_routes(unsigned *n);

/* For http_config. app is the struct registry. */
enum step registry_authorize(struct request *r);
void *registry_loop_open(void *app, unsigned loop);
void registry_loop_close(void *app, void *loop_local);

#endif
