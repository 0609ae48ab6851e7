/* SPDX-License-Identifier: Apache-2.0 */
/* Makes keys, certificates and tokens, good ones and bad ones, for the tests. */
#ifndef TESTS_UNIT_AUTH_TOKENS_H
#define TESTS_UNIT_AUTH_TOKENS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "auth/token.h"

#define NOW INT64_C(1700000000)
#define ISSUER "the issuer"
#define SERVICE "registry.example"

/* Everything is made once; strings are NUL-terminated and live as long as the world. */
enum who {
    NOBODY,
    ROOT,    /* P-256, CA, in the bundle */
    RSA2048, /* self-signed, in the bundle */
    EC384,   /* self-signed, in the bundle */
    EC521,   /* in the JWKS as "five-two-one" */
    ED,      /* in the JWKS as "ed" */
    RSAONLY, /* in the JWKS as "rs256-only", with alg RS256 */
    SHARED,  /* a secret, in the JWKS as "shared" */
    LEAF,    /* P-256, certificate by an intermediate of ROOT */
    EVILRSA, /* nobody trusts it */
    EVILEC,
    RSA1024,
    CURVE_K, /* secp256k1 */
    WHO
};

struct world {
    EVP_PKEY *key[WHO];
    char *pem, *jwks;        /* what is trusted */
    struct token_keys *keys; /* of both */
};

/* One for all tests of a program (cmocka's group state). */
int world_setup(void **state);
int world_teardown(void **state);

#define SECRET "a shared secret of some forty-two bytes..."

/* Replaces $NAMES in text (the list is in tokens.c). malloc'ed. */
char *expand(const struct world *w, const char *text);
/* header and payload are JSON with $NAMES. Signed by the key as the algorithm says, whatever the
 * header says; as "none", the signature is empty; as "confused", HS256 with the bundle as secret.
 * malloc'ed. */
char *token_make(const struct world *w, const char *header, const char *payload, enum who who,
                 const char *as);
char *join_token(const char *header, const char *payload, const unsigned char *signature, size_t n);
/* The signature as OpenSSL makes it (ECDSA: DER). malloc'ed. */
unsigned char *sign_der(const struct world *w, const char *input, enum who who, const char *as,
                        size_t *n);
X509 *certificate(EVP_PKEY *key, const char *name, EVP_PKEY *issuer_key, X509 *issuer, bool ca,
                  int64_t from, int64_t until, const EVP_MD *md);
char *pem_of(X509 *cert);
char *der64_of(X509 *cert); /* base64 */
char *jwk_of(EVP_PKEY *key, const char *more);
EVP_PKEY *key_new(const char *type, const char *curve, unsigned bits);

#endif
