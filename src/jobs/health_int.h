/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the health checks: what a check asks, without when and how often. */
#ifndef JOBS_HEALTH_INT_H
#define JOBS_HEALTH_INT_H

#include <stdatomic.h>

#include "jobs/health.h"
#include "remote/client.h"

enum { HEALTH_REASON_MAX = 512 };

struct health_target {
    enum health_kind kind;
    char *target;
    char *host, *port;             /* TCP; no host: this one */
    struct client_header *headers; /* HTTP; names and values are ours */
    unsigned n_headers;
    int status_code;
    struct client *client;
    uint64_t timeout_ms;
    struct store *store;     /* borrowed, as both below */
    const atomic_bool *quit; /* set, and quit_fd readable: give up */
    int quit_fd;
};

/* Copies. -1 with a detail when the target cannot be asked; release is due in any case. */
int health_target_init(struct health_target *t, const struct health_check *from,
                       uint64_t timeout_ms, struct store *store, const atomic_bool *quit,
                       int quit_fd, struct error *err);
void health_target_release(struct health_target *t);
/* As registry calls it: storagedriver_<driver>, the path, the URI (without credentials), the
 * address. The caller's. */
char *health_target_name(const struct health_target *t);
/* Asks; false with the reason. Blocks, for about timeout_ms at the most but for a name server and a
 * disk. One thread at a time. */
bool health_ask(struct health_target *t, char reason[HEALTH_REASON_MAX]);

#endif
