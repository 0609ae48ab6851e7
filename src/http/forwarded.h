/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding: whose word counts, and what it says. X-Forwarded-For, -Proto, -Host, -Port,
 * X-Real-Ip, and Forwarded (RFC 7239), from peers that are listed and from nobody else. Pure. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "http/head.h"

struct trusted_peers;

/* Entries: "10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "unix" (every Unix socket), "*" (everybody).
 * -1 with a detail that names the entry. */
int trusted_peers_new(const char *const *entries, unsigned n, struct trusted_peers **out,
                      struct error *err);
void trusted_peers_free(struct trusted_peers *t);
/* An address in text, with or without a port ("127.0.0.1:41234", "[::1]:80", "::1", "unix"). */
bool trusted_peer(const struct trusted_peers *t, struct slice address);

struct forwarded {
    struct slice
        peer; /* the client: the last address of the list that is not a trusted peer's own */
    struct slice proto; /* "http" or "https" */
    struct slice host;
}; /* each empty when not said (or not validly said) */
/* What the head says; the caller has asked trusted_peer about the socket's peer. Values that are no
 * address, scheme or authority are dropped. */
void forwarded_read(const struct trusted_peers *t, const struct http_head *head, struct arena *a,
                    struct forwarded *out);

#endif
