/* SPDX-License-Identifier: Apache-2.0 */
/* HAProxy's PROXY protocol, versions 1 and 2 (its specification, proxy-protocol.txt). Pure. */
#ifndef HTTP_PROXY_PROTOCOL_H
#define HTTP_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum { PROXY_HEADER_MAX = 536 };

struct proxy_header {
    size_t length; /* bytes to take off */
    bool local;    /* LOCAL, UNKNOWN: the connection is the proxy's own, peer is empty */
    bool tls;      /* version 2 with a PP2_TYPE_SSL that says so */
    char peer[56]; /* "192.0.2.1:5555" or "[2001:db8::1]:5555" */
};
/* 1: *out is filled; 0: more bytes are needed (n < PROXY_HEADER_MAX); -1: this is no PROXY header.
 */
int proxy_header_parse(struct slice input, struct proxy_header *out);

#endif
