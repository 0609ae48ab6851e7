/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this directory share, and nobody else sees. */
#ifndef TLS_TLS_INT_H
#define TLS_TLS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/error.h"
#include "tls/tls.h"

/* No zeroing of what is about to be overwritten (the build zeroes every local otherwise). */
#define TLS_UNINITIALIZED __attribute__((uninitialized))

enum {
    TLS_PLAIN = 16384,         /* plain bytes of a full record */
    TLS_WIRE = TLS_PLAIN + 64, /* at most so many encrypted; RFC 8446 5.2 adds 22, AES-CBC 53 */
    TLS_BURST = 8 * TLS_WIRE,  /* encrypted bytes that go to one send */
    TLS_SLACK = 8 * 1024,      /* alerts, key updates and tickets, which come on top */
    TLS_BUFFER = TLS_BURST + TLS_SLACK,
    TLS_POOL_KEPT = 8 /* free buffers that a context keeps */
};

/* --- buffers: what only busy connections have. Any thread. */

struct tls_pool {
    pthread_mutex_t lock;
    char *free[TLS_POOL_KEPT]; /* the last one given back is in the cache still, and goes first */
    unsigned n;
};
void tls_pool_init(struct tls_pool *p);
void tls_pool_release(struct tls_pool *p);
char *tls_pool_take(struct tls_pool *p); /* TLS_BUFFER bytes, not zeroed; NULL without memory */
void tls_pool_give(struct tls_pool *p, char *buffer);

/* --- session tickets (RFC 5077, RFC 8446 4.6.1): stateless, under keys that change. Any thread. */

struct tls_ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};
struct tls_tickets {
    pthread_mutex_t lock;
    struct tls_ticket_key current, previous;
    bool has_previous;
    uint64_t made_ms; /* os_mono_ms of current */
    EVP_CIPHER *cipher;
};
enum { TLS_TICKET_ROTATE_MS = 4 * 3600 * 1000, TLS_SESSION_S = 2 * 3600 };
int tls_tickets_init(struct tls_tickets *t, struct error *err);
void tls_tickets_release(struct tls_tickets *t);
/* The key to seal with (name NULL) or to open with. 1: found, 2: found and old (renew the ticket),
 * 0: not known. */
int tls_tickets_find(struct tls_tickets *t, const unsigned char *name, uint64_t now_ms,
                     struct tls_ticket_key *out);
void tls_tickets_install(struct tls_tickets *t, SSL_CTX *ssl);

/* --- cipher suites */

struct tls_suites {
    struct buf list; /* for SSL_CTX_set_cipher_list; empty: none of TLS 1.2 */
    bool ecdsa, rsa; /* there is one for such a key */
    bool only_13;
};
/* From Go names, or the default when there is none. */
int tls_suites_parse(const char *const *names, unsigned n, struct tls_suites *out,
                     struct error *err);

/* --- files */

/* The whole file, at most 1 MiB; symbolic links are followed, as certificates often are. */
int tls_read_file(const char *path, struct buf *out, struct error *err);
/* All certificates of a PEM file, at least one. */
int tls_pem_certificates(const char *path, STACK_OF(X509) * *out, struct error *err);
int tls_pem_key(const char *path, EVP_PKEY **out, struct error *err);

/* --- certificates */

/* Seconds since 1970; the beginning of year 0 when it cannot be read. */
int64_t tls_time(const ASN1_TIME *t);
void tls_date(int64_t seconds, char out[11]); /* 2006-01-02 */
bool tls_issued(X509 *issuer, X509 *subject);
/* Puts the certificates behind the first one into the order of issue. Those that do not belong stay
 * at the end. True when something was moved. */
bool tls_chain_sort(STACK_OF(X509) * chain, unsigned *strangers);
/* In RFC 2253 form; control characters and what is not ASCII are escaped. */
void tls_name_text(const X509_NAME *name, struct buf *out);
bool tls_has_names(X509 *cert); /* a subject alternative name of a kind that clients compare */

/* The reason of the last call that failed, by OpenSSL's error queue, which is empty afterwards. */
const char *tls_reason(char *out, size_t n);

struct tls_context {
    atomic_uint refs;
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    struct tls_pool pool;
    struct tls_tickets tickets;
    bool verifies;        /* the certificate of a client has been checked when there is one */
    int64_t made, expiry; /* of the leaf, in seconds since 1970 */
    char *warning;        /* or NULL */
};

/* conn.c: how OpenSSL reads and writes. */
BIO_METHOD *tls_bio_method(void);

/* --- cleanup */

static inline void tls_x509p(X509 **p)
{
    X509_free(*p);
}
static inline void tls_x509sp(STACK_OF(X509) * *p)
{
    sk_X509_pop_free(*p, X509_free);
}
static inline void tls_pkeyp(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static inline void tls_biop(BIO **p)
{
    BIO_free(*p);
}
static inline void tls_secretp(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
    buf_release(b);
}
#define CLEANUP_X509 __attribute__((cleanup(tls_x509p)))
#define CLEANUP_X509S __attribute__((cleanup(tls_x509sp)))
#define CLEANUP_PKEY __attribute__((cleanup(tls_pkeyp)))
#define CLEANUP_BIO __attribute__((cleanup(tls_biop)))
#define CLEANUP_SECRET __attribute__((cleanup(tls_secretp)))

#endif
