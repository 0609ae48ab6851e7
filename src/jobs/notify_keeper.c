/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that writes pulls, many in one transaction, keeps the backlogs within their bound, and
 * tells the metrics how long they are. */
#include <stdlib.h>

#include "base/util.h"
#include "jobs/notify_int.h"

#include "base/banned.h"

enum {
    GATHER_MS = 200,   /* what comes within this time is written together */
    RECOUNT_MS = 1000, /* while something waits */
    QUIET_MS = 60 * 1000,
    BATCH = 500 /* pulls in one transaction */
};

struct keeper {
    struct notify *n;
    struct throttle write_log, lost_log, database_log;
};

/* --- pulls --- */

static struct pull *take_pulls(struct notify *n, uint64_t *lost)
{
    (void)pthread_mutex_lock(&n->lock);
    struct pull *list = n->pulls;
    n->pulls = NULL;
    n->pulls_end = &n->pulls;
    *lost = n->pulls_lost;
    n->pulls_lost = 0;
    (void)pthread_mutex_unlock(&n->lock);
    return list;
}

/* What could not be written goes before what came meanwhile. */
static void give_back(struct notify *n, struct pull *list)
{
    struct pull **end = &list;
    while (*end)
        end = &(*end)->next;
    (void)pthread_mutex_lock(&n->lock);
    if (!n->pulls)
        n->pulls_end = end;
    *end = n->pulls;
    n->pulls = list;
    (void)pthread_mutex_unlock(&n->lock);
}

/* Up to `end`, which stays. */
static void free_pulls(struct notify *n, struct pull *list, const struct pull *end)
{
    unsigned count = 0;
    size_t bytes = 0;
    while (list != end) {
        struct pull *p = list;
        list = p->next;
        count++;
        bytes += p->bytes;
        free(p);
    }
    (void)pthread_mutex_lock(&n->lock);
    n->n_pulls -= count;
    n->pull_bytes -= bytes;
    (void)pthread_mutex_unlock(&n->lock);
}

static void say_lost(struct keeper *k, uint64_t lost)
{
    struct notify *n = k->n;
    for (unsigned i = 0; i < n->n_endpoints; i++)
        if (!endpoint_ignores_action(&n->endpoints[i], SLICE_LIT("pull")))
            notify_count(n->endpoints[i].dropped, (int64_t)lost);
    if (throttle_pass(&k->lost_log))
        LOG(n->c.log, LOG_LEVEL_WARN,
            "more pulls than can be written: endpoints are not told of some",
            F_INT("dropped", lost));
}

/* True when all is written. */
static bool flush(struct keeper *k)
{
    struct notify *n = k->n;
    uint64_t lost = 0;
    struct error err = {0};
    struct pull *list = take_pulls(n, &lost);
    bool any = list != NULL;
    if (lost)
        say_lost(k, lost);
    while (list) {
        struct meta_event_row rows[BATCH];
        unsigned count = 0;
        struct pull *end = list;
        for (; end && count < BATCH; end = end->next)
            rows[count++] = end->row;
        if (meta_events_add(n->c.meta, rows, count, &err) < 0) {
            give_back(n, list);
            if (throttle_pass(&k->write_log))
                log_error(n->c.log, LOG_LEVEL_ERROR, "notifications: pulls cannot be written",
                          &err);
            return false;
        }
        free_pulls(n, list, end);
        list = end;
    }
    if (any)
        notify_wake(n);
    return true;
}

/* --- backlogs --- */

static struct endpoint *find(struct notify *n, struct slice name)
{
    for (unsigned i = 0; i < n->n_endpoints; i++)
        if (slice_eq(n->endpoints[i].name, name))
            return &n->endpoints[i];
    return NULL;
}

/* The oldest go. What the thread has done and not written yet is not dropped, and does not wait. */
static int bound(struct endpoint *ep, const struct meta_cursor *c, struct arena *a,
                 struct error *err)
{
    struct notify *n = ep->n;
    struct meta_events first = {0};
    uint64_t skipped = 0;
    if (meta_events_after(n->c.meta, c->position, 1, a, &first, err) < 0)
        return -1;
    if (first.n == 0)
        return 0;
    int64_t before = first.list[0].id - 1, newest = before + (int64_t)c->backlog;
    int64_t done = MAX((int64_t)atomic_load(&ep->done), before);
    int64_t last = newest - (int64_t)n->c.backlog_max;
    if (last <= done)
        return 0;
    if (meta_events_drop(n->c.meta, ep->name, last, &skipped, err) < 0)
        return -1;
    int64_t dropped = MIN((int64_t)skipped, last - done);
    notify_count(ep->dropped, dropped);
    if (dropped && throttle_pass(&ep->drop_log))
        LOG(n->c.log, LOG_LEVEL_ERROR,
            "too many events wait for an endpoint: it is not told of the oldest",
            F_STR("endpoint", ep->name), F_INT("dropped", dropped),
            F_INT("backlog", n->c.backlog_max));
    return 0;
}

/* True when something waits. */
static bool look(struct keeper *k)
{
    struct notify *n = k->n;
    struct arena *a = arena_new(4096);
    struct meta_cursor *list = NULL;
    struct error err = {0};
    unsigned count = 0;
    bool waiting = false;
    int r = meta_cursors(n->c.meta, a, &list, &count, &err);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        struct endpoint *ep = find(n, list[i].name);
        if (!ep)
            continue;
        if (ep->pending)
            metric_set(ep->pending, (int64_t)MIN(list[i].backlog, n->c.backlog_max));
        waiting = waiting || list[i].backlog > 0;
        if (list[i].backlog > n->c.backlog_max)
            r = bound(ep, &list[i], a, &err);
    }
    if (r < 0 && throttle_pass(&k->database_log))
        log_error(n->c.log, LOG_LEVEL_ERROR, "notifications: the database does not answer", &err);
    arena_free(a);
    return waiting || r < 0;
}

void *keeper_main(void *arg)
{
    struct keeper k = {.n = arg};
    struct notify *n = k.n;
    while (!atomic_load(&n->stop)) {
        uint64_t seen = notify_wakes(n);
        bool written = flush(&k);
        bool waiting = look(&k);
        notify_wait(n, seen, waiting || !written ? RECOUNT_MS : QUIET_MS);
        notify_pause(n, GATHER_MS);
    }
    (void)flush(&k);
    return NULL;
}
