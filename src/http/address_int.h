/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of listeners and peers, and the sockets that are bound to them. */
#ifndef HTTP_ADDRESS_INT_H
#define HTTP_ADDRESS_INT_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/error.h"
#include "http/limits_int.h"

enum { ADDRESS_TEXT = 56 };

struct address {
    struct sockaddr_storage ss;
    socklen_t n;
    bool any; /* no host was given: all of IPv6 and IPv4 */
};

/* "host:port", "[v6]:port", ":port". A name is looked up, IPv4 preferred (blocking). */
int address_parse(const char *text, struct address *out, struct error *err);
/* A non-blocking listening socket with SO_REUSEPORT, or -1. `first`: the address must be free for
 * us alone, and port 0 is replaced by the one that was found. */
int address_listen_tcp(struct address *a, bool first, struct error *err);
int address_listen_unix(const char *path, struct error *err);
/* Makes an adopted listening socket like one of ours. */
int address_prepare(int fd, struct error *err);
/* Where a listening socket of somebody else's is bound: as address_text, or "unix:/path"
 * ("unix:@name" for an abstract one). *out is the caller's. */
int address_of_socket(int fd, char **out, struct error *err);
char *address_text(const struct address *a); /* the caller's; "127.0.0.1:5000" */
/* Text and key of a peer; "unix" and zeros for what is not IP. */
void address_peer(const struct sockaddr_storage *ss, struct ip_key *ip, char text[ADDRESS_TEXT]);
int address_unix_identity(const char *path, dev_t *dev, ino_t *ino);

#endif
