/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP client over libcurl, for what berth itself asks of others: webhooks and health checks
 * now, other registries later. Blocking; one client per thread. Never follows a redirect. */
#ifndef REMOTE_CLIENT_H
#define REMOTE_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct client;

struct client_header {
    const char *name, *value;
};

struct client_request {
    const char *method; /* GET, HEAD, POST */
    const char *url;    /* http or https; user:password@ is taken as basic authentication */
    const struct client_header *headers;
    unsigned n_headers;
    struct slice body;
    uint64_t timeout_ms;       /* of the whole exchange; 0: 30 s */
    struct buf *response;      /* gets the body up to its maximum (the rest is dropped); or NULL */
    const atomic_bool *cancel; /* set by another thread: gives up within a second; or NULL */
};

/* Call once in main before there are threads. */
void client_global_init(void);
struct client *client_new(void);
void client_free(struct client *c);
/* 0 and the status, or -1 with a message without secrets. */
int client_do(struct client *c, const struct client_request *request, int *status,
              struct error *err);
/* Is it an absolute http or https URL? For the configuration. */
bool client_url_valid(const char *url);

#endif
