/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks (registry's `health`): each is asked at the start and then in its interval, on a
 * thread of its own, because a name server or a disk may hang for longer than any timeout. A check
 * that failed `threshold` times in a row is unhealthy until it succeeds once; one that has not come
 * back after its timeout has failed, and fails again in each interval that it hangs. */
#ifndef JOBS_HEALTH_H
#define JOBS_HEALTH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/store.h"

enum health_kind { HEALTH_STORAGE, HEALTH_FILE, HEALTH_HTTP, HEALTH_TCP };

struct health_check {
    enum health_kind kind;
    const char *target; /* path (unhealthy when it exists), URI (HEAD), host:port; unused for the
                           storage, which is probed by a durable write */
    const char *const (*headers)[2];
    unsigned n_headers;
    unsigned status_code; /* 0: 200 */
    uint64_t timeout_ms; /* 0: 5 s; of the storage 30 s, since a sync may wait for others' writes */
    uint64_t interval_ms; /* 0: 10 s */
    unsigned threshold;   /* 0: 1 */
};

struct health_config { /* copied */
    const struct health_check *checks;
    unsigned n;
    struct store *store; /* borrowed, as all below */
    struct log *log;     /* a line when a check turns */
    struct metrics *metrics;
};

struct health;
/* Starts the threads. -1 with a detail: a target that cannot be asked, or one that is there twice.
 */
int health_new(const struct health_config *config, struct health **out, struct error *err);
/* One atomic load. */
bool health_ok(const struct health *h);
/* {"storagedriver_filesystem":"...","/path":"..."}: the checks that fail, {} for none, as
 * registry's /debug/health. Any thread. */
void health_print(struct health *h, struct buf *out);
/* Waits for what is being asked: connections and requests are given up at once, a name server's
 * answer or a write that hangs is waited for. NULL is fine. */
void health_free(struct health *h);

#endif
