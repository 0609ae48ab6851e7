/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PEERS_INT_H
#define HTTP_PEERS_INT_H

#include "http/forwarded.h"

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80" into an IPv6
 * address, in which IPv4 is mapped. */
bool peer_parse(struct slice text, unsigned char out[16]);

#endif
