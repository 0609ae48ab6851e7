/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks (registry's `notifications`): one thread for each endpoint takes events in order, one in
 * flight at a time, until the endpoint says 2xx or 3xx; after `threshold` failures in a row one try
 * per `backoff`. At least once: the cursor moves after the answer. Nothing is lost by a restart. */
#ifndef JOBS_NOTIFY_H
#define JOBS_NOTIFY_H

#include "base/log.h"
#include "base/metrics.h"
#include "meta/meta.h"

struct notify_endpoint {
    const char *name, *url;
    const char *const (*headers)[2]; /* name, value */
    unsigned n_headers;
    uint64_t timeout_ms; /* 0: 1 s */
    unsigned threshold;  /* 0: 10 */
    uint64_t backoff_ms; /* 0: 1 s */
    const char *const *ignored_media_types;
    unsigned n_ignored_media_types;
    const char *const *ignored_actions;
    unsigned n_ignored_actions;
};

struct notify_config {                       /* copied by notify_new */
    const struct notify_endpoint *endpoints; /* enabled ones */
    unsigned n_endpoints;
    uint64_t
        backlog_max; /* events of one endpoint; the oldest are dropped beyond, counted, logged */
    const char *source_addr;     /* "hostname:port" */
    const char *source_instance; /* a UUID of this process */
    bool envelope_v3; /* Content-Type ...events.v2+json and always mediaType, digest, size (registry
                         3); otherwise as 2.8 */
    struct meta *meta; /* borrowed, as all below */
    struct log *log;
    struct metrics *metrics;
};

struct notify;

/* Makes the cursors (an endpoint that is new begins with the next event; a cursor whose endpoint is
 * gone is removed) and the threads. */
int notify_new(const struct notify_config *config, struct notify **out, struct error *err);
/* After a commit: there may be something to deliver. Any thread, cheap. */
void notify_wake(struct notify *n);
/* Gives a pull to be told of: kept in memory (bounded) and written with others within a second; a
 * crash may lose it, a push never. Does nothing when every endpoint ignores pulls. Any thread,
 * never blocks. */
void notify_pull(struct notify *n, const struct meta_event *event);
bool notify_wants(const struct notify *n, const char *action); /* does any endpoint take it? */
/* Ends the threads: what is in flight is given up, what waits in memory is written. NULL is fine.
 */
void notify_free(struct notify *n);

/* The envelope of one event as registry has it. Pure; for tests and `berth events list`. */
void notify_envelope(const struct meta_event_row *row, bool v3, const char *source_addr,
                     const char *source_instance, struct buf *out);

#endif
