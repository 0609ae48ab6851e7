/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for `berth cert`: making a CA and a server certificate, and looking at a chain as a
 * client would. Blocking. */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum cert_key { CERT_ECDSA_P256, CERT_RSA_4096 };

struct cert_request {
    const char *const
        *names; /* DNS names (also *.example.org), IPv4 and IPv6 addresses; one or more */
    unsigned n_names;
    enum cert_key key;
    unsigned days; /* of the server certificate; at most 825 (what clients accept) */
    unsigned ca_days;
    const char *ca_certificate, *ca_key;   /* PEM files; made when they are not there */
    const char *certificate, *private_key; /* PEM files to write: key 0600, renamed into place */
    bool replace;                          /* overwrite certificate and key */
};
/* -1 with a detail; nothing half-made stays. *ca_made tells whether the CA is new. */
int cert_create(const struct cert_request *request, bool *ca_made, struct error *err);

struct cert_check {
    const char *certificate; /* PEM file with the chain */
    const char *key;         /* or NULL */
    const char *ca;          /* PEM file, or NULL: the system's */
    const char *name;        /* host name or address that a client uses, or NULL */
};
/* Prints what the chain is (subject, issuer, names, dates, key, fingerprint) and every problem that
 * a client would have; *problems counts them. -1 when nothing can be read. */
int cert_show(const struct cert_check *check, struct buf *out, unsigned *problems,
              struct error *err);

#endif
