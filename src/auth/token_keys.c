/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that the administrator trusts: rootcertbundle (PEM) and JWKS. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "auth/token_int.h"
#include "base/util.h"

#include "base/banned.h"

static int add_key(struct token_keys *keys, struct token_key *key, struct error *err)
{
    if (keys->n == KEYS_MAX) {
        token_key_release(key);
        return error_detail(err, ERR_BAD_REQUEST, "more than %d keys", KEYS_MAX);
    }
    keys->v[keys->n++] = *key;
    return 0;
}

/* err with the place in front of what is wrong there. */
static int at(struct error *err, const char *what, size_t number)
{
    if (!err)
        return -1;
    return error_detail(err, ERR_BAD_REQUEST, "%s %zu: %s", what, number, err->detail);
}

/* ---- PEM ---- */

static int add_certificate(struct token_keys *keys, const unsigned char *der, long n,
                           struct error *err)
{
    const unsigned char *end = der;
    X509 *cert = d2i_X509(NULL, &end, n);
    if (!cert || end != der + n) {
        X509_free(cert);
        return error_detail(err, ERR_BAD_REQUEST, "not a certificate");
    }
    if (!keys->roots)
        keys->roots = X509_STORE_new();
    int added = keys->roots ? X509_STORE_add_cert(keys->roots, cert) : 0;
    struct token_key key = {.pkey = X509_get_pubkey(cert)};
    X509_free(cert);
    if (!added || !key.pkey) {
        EVP_PKEY_free(key.pkey);
        return error_detail(err, ERR_BAD_REQUEST, "a certificate with a key of an unknown kind");
    }
    if (token_pkey_check(key.pkey, err)) {
        EVP_PKEY_free(key.pkey);
        return -1;
    }
    token_key_name(&key);
    return add_key(keys, &key, err);
}

static int add_public(struct token_keys *keys, const unsigned char *der, long n, struct error *err)
{
    const unsigned char *end = der;
    struct token_key key = {.pkey = d2i_PUBKEY(NULL, &end, n)};
    if (!key.pkey || end != der + n) {
        EVP_PKEY_free(key.pkey);
        return error_detail(err, ERR_BAD_REQUEST, "not a public key");
    }
    if (token_pkey_check(key.pkey, err)) {
        EVP_PKEY_free(key.pkey);
        return -1;
    }
    token_key_name(&key);
    return add_key(keys, &key, err);
}

static int add_block(struct token_keys *keys, const char *name, const unsigned char *der, long n,
                     struct error *err)
{
    if (strcmp(name, PEM_STRING_X509) == 0)
        return add_certificate(keys, der, n, err);
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        return add_public(keys, der, n, err);
    return 0; /* as registry: whatever else is in the file */
}

static int read_pem(struct token_keys *keys, struct slice pem, struct error *err)
{
    int failed = 0;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    for (size_t i = 1; bio && !failed; i++) {
        char *name = NULL, *header = NULL;
        unsigned char *der = NULL;
        long n = 0;
        if (!PEM_read_bio(bio, &name, &header, &der, &n)) {
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                failed = error_detail(err, ERR_BAD_REQUEST,
                                      "block %zu of the certificates is not valid PEM", i);
            break;
        }
        if (add_block(keys, name, der, n, err))
            failed = at(err, "block of the certificates", i);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)n);
    }
    BIO_free(bio);
    ERR_clear_error();
    return failed;
}

/* ---- JWKS ---- */

static int read_jwks(struct token_keys *keys, struct slice text, struct error *err)
{
    CLEANUP_JSON struct json_doc *doc = NULL;
    if (jdoc_parse(text, ERR_BAD_REQUEST, &doc, err))
        return -1;
    const struct json_value *list = jv_get(jdoc_root(doc), "keys");
    if (jv_kind(list) != JSON_ARRAY_)
        return error_detail(err, ERR_BAD_REQUEST, "the JWKS is not an object with a list `keys`");
    for (size_t i = 0; i < jv_count(list); i++) {
        struct token_key key = {0};
        int r = token_jwk(jv_at(list, i), true, &key, err);
        if (r < 0)
            return at(err, "key of the JWKS", i + 1);
        /* RFC 7517 5: keys of unknown kinds are passed over. */
        if (r == 0 && add_key(keys, &key, err))
            return -1;
    }
    return 0;
}

/* ---- all ---- */

static int read_algorithms(struct token_keys *keys, const char *const *names, unsigned n,
                           struct error *err)
{
    for (unsigned i = 0; i < n; i++) {
        const struct token_alg *alg = token_alg_find(slice_cstr(names[i]));
        if (!alg)
            return error_detail(err, ERR_BAD_REQUEST,
                                "signingalgorithms: %s is none of EdDSA and HS, RS, ES, PS with "
                                "256, 384, 512",
                                names[i]);
        keys->allowed |= 1U << (unsigned)(alg - token_algs);
    }
    if (n == 0)
        keys->allowed = (1U << TOKEN_ALGS) - 1;
    return 0;
}

int token_keys_new(struct slice pem, struct slice jwks, const char *const *algorithms, unsigned n,
                   struct token_keys **out, struct error *err)
{
    struct token_keys *keys = xcalloc(1, sizeof *keys);
    keys->v = xcalloc(KEYS_MAX, sizeof *keys->v);
    int failed = read_algorithms(keys, algorithms, n, err);
    if (!failed && pem.n > INT32_MAX)
        failed = error_detail(err, ERR_BAD_REQUEST, "the certificates are too large");
    if (!failed && pem.n)
        failed = read_pem(keys, pem, err);
    if (!failed && jwks.n)
        failed = read_jwks(keys, jwks, err);
    if (!failed && keys->n == 0)
        failed = error_detail(err, ERR_BAD_REQUEST,
                              "neither rootcertbundle nor jwks has a key to verify tokens with");
    if (failed) {
        token_keys_free(keys);
        return -1;
    }
    *out = keys;
    return 0;
}

void token_keys_free(struct token_keys *k)
{
    if (!k)
        return;
    for (unsigned i = 0; i < k->n; i++)
        token_key_release(&k->v[i]);
    free(k->v);
    X509_STORE_free(k->roots);
    free(k);
}

unsigned token_keys_count(const struct token_keys *k)
{
    return k->n;
}
