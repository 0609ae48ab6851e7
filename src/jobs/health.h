/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks (registry's `health`): a thread of their own asks each in its interval; a check
 * that failed `threshold` times in a row is unhealthy until it succeeds once. */
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
    uint64_t timeout_ms;  /* 0: 5 s */
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
int health_new(const struct health_config *config, struct health **out, struct error *err);
/* One atomic load. */
bool health_ok(const struct health *h);
/* {"storagedriver_filesystem":"...","/path":"..."}: the checks that fail, {} for none, as
 * registry's /debug/health. Any thread. */
void health_print(struct health *h, struct buf *out);
void health_free(struct health *h); /* NULL is fine */

#endif
