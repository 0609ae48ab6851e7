/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of every kind in a directory of the test's own, and an OpenSSL client that talks to
 * a tls_conn through two queues in memory. */
#ifndef TESTS_UNIT_TLS_FIXTURE_H
#define TESTS_UNIT_TLS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/tls.h"

/* --- certificates */

struct dir {
    char path[64];
    char *text[64]; /* what `in` gives, in turn */
    unsigned at;
};
int dir_setup(void **state);    /* *state is a struct dir */
int dir_teardown(void **state); /* removes it with what is in it */
/* The path of a file in it; good for 63 more calls. */
const char *in(struct dir *d, const char *name);
void put_file(struct dir *d, const char *name, const void *p, size_t n);

struct made {
    X509 *cert;
    EVP_PKEY *key;
};
/* What differs from an ECDSA certificate for "localhost" that is valid for 90 days, signed by
 * itself. */
struct make {
    const char *cn;         /* "localhost" */
    const char *names;      /* "DNS:localhost,IP:127.0.0.1"; "" for none */
    const char *eku;        /* "serverAuth"; "" for none */
    const struct made *by;  /* the issuer */
    int from_days, to_days; /* of now; 0, 0: -1 and 90 */
    bool ca;
    const char *md;  /* "SHA256" */
    int rsa_bits;    /* 0: ECDSA */
    EVP_PKEY *reuse; /* this key instead of a new one */
};
struct made make(const struct make *m);
void made_free(struct made *m);
/* Each certificate up to NULL into one PEM file. */
void save_chain(struct dir *d, const char *name, X509 *first, ...);
void save_key(struct dir *d, const char *name, EVP_PKEY *key, const char *password);
/* ca.crt, server.crt and server.key (with the CA's chain of one) in the directory. */
void save_default(struct dir *d);
struct tls_context *default_context(struct dir *d);

/* --- the wire */

struct queue {
    char *p; /* n bytes from `at` on; whoever empties a queue sets both to 0 */
    size_t at, n, cap;
};

struct wire {
    struct queue to_server, to_client;
    size_t recv_max, send_max; /* at most so many a call; 0: all */
    size_t room;               /* to_client takes no more than this in all; 0: any */
    bool random;               /* short by chance */
    bool end;                  /* the client has closed its side */
    bool broken;               /* every send and recv fails */
    unsigned recvs, sends;     /* calls */
    size_t largest;            /* send */
    unsigned empty;            /* recv calls that found nothing */
};

struct peer {
    struct wire wire;
    struct tls_conn *server;
    SSL_CTX *ctx;
    SSL *client;
};

/* A client that trusts ca.crt in the directory; it may be changed before the handshake. */
void peer_init(struct peer *p, struct dir *d, struct tls_context *c);
void peer_release(struct peer *p);
void push_to_server(struct peer *p, const void *data, size_t n);
/* Carries what the client wrote to the wire, and what the server wrote to the client. */
void carry(struct peer *p);
/* Until both are done: 1, or one has failed: -1. */
int shake(struct peer *p);
/* Client to server and back, all bytes of it. */
void talk(struct peer *p);
/* Client writes this; not carried. */
void client_write(struct peer *p, const void *data, size_t n);
/* Reads what the client can have at once. */
size_t client_read(struct peer *p, void *out, size_t n);
unsigned next_random(unsigned below);

#endif
