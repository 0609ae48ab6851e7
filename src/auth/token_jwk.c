/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Keys (RFC 7517, 7518 6, 8037). */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "auth/encoding.h"
#include "auth/token_int.h"
#include "base/util.h"

#include "base/banned.h"

enum { MEMBER_MAX = 2048 /* bytes of a number in a key */, KID_MAX = 1024 };

struct octets {
    unsigned char p[MEMBER_MAX];
    size_t n;
};

/* ---- reading ---- */

static int member(const struct json_value *jwk, const char *name, struct octets *out,
                  struct error *err)
{
    struct slice text = jv_string(jv_get(jwk, name));
    if (text.n == 0 || b64_decoded_room(text.n) > sizeof out->p ||
        b64_decode(text, B64_URL, out->p, &out->n))
        return error_detail(err, ERR_UNAUTHORIZED, "%s of the key is not base64url", name);
    return 0;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *make_rsa(const struct octets *n, const struct octets *e)
{
    EVP_PKEY *pkey = NULL;
    BIGNUM *modulus = BN_bin2bn(n->p, (int)n->n, NULL);
    BIGNUM *exponent = BN_bin2bn(e->p, (int)e->n, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (modulus && exponent && build && BN_is_odd(modulus) && BN_is_odd(exponent) &&
        !BN_is_one(exponent) && BN_num_bits(exponent) <= 64 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        pkey = from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return pkey;
}

/* NULL also when the point is not on the curve. */
static EVP_PKEY *make_ec(const struct token_alg *alg, const struct octets *x,
                         const struct octets *y)
{
    unsigned char point[1 + 2 * 66];
    EVP_PKEY *pkey = NULL;
    size_t field = alg->field;
    if (x->n != field || y->n != field)
        return NULL;
    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x->p, field);
    memcpy(point + 1 + field, y->p, field);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, alg->curve, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * field) == 1)
        pkey = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

static const struct token_alg *alg_of_curve(struct slice curve)
{
    for (size_t i = 0; i < TOKEN_ALGS; i++)
        if (token_algs[i].curve && slice_is(curve, token_algs[i].curve))
            return &token_algs[i];
    return NULL;
}

/* 1: of no use; 0; -1. */
static int read_public(const struct json_value *jwk, struct slice type, EVP_PKEY **out,
                       struct error *err)
{
    struct octets one, two;
    struct slice curve = jv_string(jv_get(jwk, "crv"));
    EVP_PKEY *pkey;
    if (slice_is(type, "RSA")) {
        if (member(jwk, "n", &one, err) || member(jwk, "e", &two, err))
            return -1;
        pkey = make_rsa(&one, &two);
    } else if (slice_is(type, "EC")) {
        const struct token_alg *alg = alg_of_curve(curve);
        if (!alg)
            return 1;
        if (member(jwk, "x", &one, err) || member(jwk, "y", &two, err))
            return -1;
        pkey = make_ec(alg, &one, &two);
    } else if (slice_is(type, "OKP") && slice_is(curve, "Ed25519")) {
        if (member(jwk, "x", &one, err))
            return -1;
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, one.p, one.n);
    } else {
        return 1;
    }
    ERR_clear_error();
    if (!pkey)
        return error_detail(err, ERR_UNAUTHORIZED, "the numbers of the key make no %.*s key",
                            SLICE_ARG(type));
    if (token_pkey_check(pkey, err)) {
        EVP_PKEY_free(pkey);
        return -1;
    }
    *out = pkey;
    return 0;
}

static int read_secret(const struct json_value *jwk, struct token_key *out, struct error *err)
{
    struct octets k = {0};
    int failed = member(jwk, "k", &k, err);
    if (!failed && k.n < SECRET_MIN)
        failed =
            error_detail(err, ERR_UNAUTHORIZED,
                         "a shared secret of %zu bytes: at least %d are needed", k.n, SECRET_MIN);
    if (!failed) {
        out->secret = xcalloc(1, k.n);
        out->n_secret = k.n;
        memcpy(out->secret, k.p, k.n);
    }
    OPENSSL_cleanse(&k, sizeof k);
    return failed;
}

/* Is the key for signatures, by its own word (RFC 7517 4.2, 4.3)? */
static bool for_signatures(const struct json_value *jwk)
{
    const struct json_value *use = jv_get(jwk, "use"), *ops = jv_get(jwk, "key_ops");
    if (use && !slice_is(jv_string(use), "sig"))
        return false;
    for (size_t i = 0; i < jv_count(ops); i++)
        if (slice_is(jv_string(jv_at(ops, i)), "verify"))
            return true;
    return !ops || jv_count(ops) == 0;
}

int token_jwk(const struct json_value *jwk, bool secrets, struct token_key *out, struct error *err)
{
    struct slice type = jv_string(jv_get(jwk, "kty"));
    const struct json_value *alg = jv_get(jwk, "alg");
    struct slice kid = jv_string(jv_get(jwk, "kid"));
    struct token_key key = {0};
    if (type.n == 0)
        return error_detail(err, ERR_UNAUTHORIZED, "the key has no kty");
    if (kid.n > KID_MAX)
        return error_detail(err, ERR_UNAUTHORIZED, "the key has a kid of %zu bytes", kid.n);
    if (!for_signatures(jwk))
        return 1;
    if (alg && !(key.only = token_alg_find(jv_string(alg))))
        return 1;
    bool secret = slice_is(type, "oct");
    if (secret && !secrets)
        return error_detail(err, ERR_UNAUTHORIZED, "a shared secret cannot be named by a token");
    int failed = secret ? read_secret(jwk, &key, err) : read_public(jwk, type, &key.pkey, err);
    if (failed)
        return failed;
    if (key.only && !token_key_fits(&key, key.only)) {
        token_key_release(&key);
        return error_detail(err, ERR_UNAUTHORIZED, "alg of the key does not fit its kty");
    }
    if (kid.n)
        key.ids[key.n_ids++] = xstrndup(kid.p, kid.n);
    token_key_name(&key);
    *out = key;
    return 0;
}

void token_key_release(struct token_key *k)
{
    EVP_PKEY_free(k->pkey);
    if (k->secret)
        OPENSSL_cleanse(k->secret, k->n_secret);
    free(k->secret);
    for (unsigned i = 0; i < k->n_ids; i++)
        free(k->ids[i]);
    *k = (struct token_key){0};
}
