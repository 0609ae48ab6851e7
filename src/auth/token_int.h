/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of token share. OpenSSL is known to them alone. */
#ifndef AUTH_TOKEN_INT_H
#define AUTH_TOKEN_INT_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "auth/token.h"
#include "base/json.h"

enum {
    KEYS_MAX = 1000,     /* trusted keys */
    KEYS_TRIED_MAX = 16, /* of those that a token may mean: it costs a signature each */
    KEY_IDS = 5,         /* names that one key may go by */
    CHAIN_MAX = 10,      /* certificates in x5c */
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 8192, /* more only costs time */
    SECRET_MIN = 32      /* bytes of an HS key (RFC 7518 3.2) */
};

enum token_family { FAMILY_RSA, FAMILY_PSS, FAMILY_EC, FAMILY_ED, FAMILY_HMAC };

/* One row of RFC 7518 3.1 and RFC 8037. */
struct token_alg {
    const char *name;
    enum token_family family;
    const char *md;    /* OpenSSL's name of the hash; NULL for EdDSA */
    const char *curve; /* FAMILY_EC: JWK's name */
    unsigned field;    /* FAMILY_EC: bytes of r and of s */
};

enum { TOKEN_ALGS = 13 };
extern const struct token_alg token_algs[TOKEN_ALGS];
/* Its row; NULL. Exactly as it is spelt. */
const struct token_alg *token_alg_find(struct slice name);

/* A key that the administrator trusts. */
struct token_key {
    EVP_PKEY *pkey;        /* owned; NULL for a shared secret */
    unsigned char *secret; /* owned */
    size_t n_secret;
    const struct token_alg *only; /* JWK's alg: nothing else with this key; NULL */
    char *ids[KEY_IDS];           /* owned; what `kid` may say */
    unsigned n_ids;
};

struct token_keys {
    struct token_key *v;
    unsigned n;
    X509_STORE *roots; /* NULL: no certificates, so x5c is of no use */
    unsigned allowed;  /* bit i: token_algs[i] */
};

void token_key_release(struct token_key *k);
/* May this algorithm be used with this key? Decided by the key. */
bool token_key_fits(const struct token_key *k, const struct token_alg *alg);
/* Is this a public key that tokens may be signed with? Else an error that says why not. */
int token_pkey_check(EVP_PKEY *pkey, struct error *err);
/* "P-256", "P-384", "P-521"; NULL for everything else. */
const char *token_curve(EVP_PKEY *pkey);
bool token_signed(const struct token_key *k, const struct token_alg *alg, struct slice input,
                  const unsigned char *signature, size_t n);

/* JWK (RFC 7517). 1: of a kind that is of no use for signatures here; 0: *out filled; -1: wrong.
 * secrets: are shared secrets accepted? They are only from the administrator. */
int token_jwk(const struct json_value *jwk, bool secrets, struct token_key *out, struct error *err);
/* All the names of a public key: libtrust's fingerprint, RFC 7638's thumbprint, and what releases
 * of registry 3 take for the latter. */
void token_key_name(struct token_key *k);

/* The key of the first certificate of x5c, once the chain leads to a trusted one. */
int token_chain(const struct token_keys *keys, const struct json_value *x5c, int64_t now_s,
                EVP_PKEY **out, struct error *err);

#endif
