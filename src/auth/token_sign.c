/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: the algorithms, which key may be used with which, and the verification itself. */
#include <stdlib.h>
#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "auth/secret.h"
#include "auth/token_int.h"
#include "base/util.h"

#include "base/banned.h"

const struct token_alg token_algs[TOKEN_ALGS] = {
    {"EdDSA", FAMILY_ED, NULL, NULL, 0},         {"HS256", FAMILY_HMAC, "SHA256", NULL, 0},
    {"HS384", FAMILY_HMAC, "SHA384", NULL, 0},   {"HS512", FAMILY_HMAC, "SHA512", NULL, 0},
    {"RS256", FAMILY_RSA, "SHA256", NULL, 0},    {"RS384", FAMILY_RSA, "SHA384", NULL, 0},
    {"RS512", FAMILY_RSA, "SHA512", NULL, 0},    {"ES256", FAMILY_EC, "SHA256", "P-256", 32},
    {"ES384", FAMILY_EC, "SHA384", "P-384", 48}, {"ES512", FAMILY_EC, "SHA512", "P-521", 66},
    {"PS256", FAMILY_PSS, "SHA256", NULL, 0},    {"PS384", FAMILY_PSS, "SHA384", NULL, 0},
    {"PS512", FAMILY_PSS, "SHA512", NULL, 0},
};

const struct token_alg *token_alg_find(struct slice name)
{
    for (size_t i = 0; i < TOKEN_ALGS; i++)
        if (slice_is(name, token_algs[i].name))
            return &token_algs[i];
    return NULL;
}

const char *token_curve(EVP_PKEY *pkey)
{
    static const struct {
        const char *ours, *theirs;
    } curves[] = {{"P-256", "prime256v1"}, {"P-384", "secp384r1"}, {"P-521", "secp521r1"}};
    char name[64];
    size_t n = 0;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(pkey, name, sizeof name, &n) != 1)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (strcmp(name, curves[i].theirs) == 0 || strcmp(name, curves[i].ours) == 0)
            return curves[i].ours;
    return NULL;
}

int token_pkey_check(EVP_PKEY *pkey, struct error *err)
{
    int bits = EVP_PKEY_get_bits(pkey);
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            return error_detail(err, ERR_UNAUTHORIZED,
                                "an RSA key of %d bits: %d to %d are accepted", bits, RSA_BITS_MIN,
                                RSA_BITS_MAX);
        return 0;
    case EVP_PKEY_EC:
        if (token_curve(pkey))
            return 0;
        return error_detail(err, ERR_UNAUTHORIZED,
                            "a key on a curve other than P-256, P-384 and P-521");
    case EVP_PKEY_ED25519:
        return 0;
    default:
        return error_detail(err, ERR_UNAUTHORIZED, "a key that is not RSA, ECDSA or Ed25519");
    }
}

bool token_key_fits(const struct token_key *k, const struct token_alg *alg)
{
    if (k->only && k->only != alg)
        return false;
    if (!k->pkey)
        return alg->family == FAMILY_HMAC;
    switch (EVP_PKEY_get_base_id(k->pkey)) {
    case EVP_PKEY_RSA:
        return alg->family == FAMILY_RSA || alg->family == FAMILY_PSS;
    case EVP_PKEY_RSA_PSS:
        return alg->family == FAMILY_PSS;
    case EVP_PKEY_ED25519:
        return alg->family == FAMILY_ED;
    case EVP_PKEY_EC: {
        const char *curve = token_curve(k->pkey);
        return alg->family == FAMILY_EC && curve && strcmp(curve, alg->curve) == 0;
    }
    default:
        return false;
    }
}

/* r and s, each as long as the field (RFC 7518 3.4), as the DER that OpenSSL wants. NULL when they
 * are not. Free with OPENSSL_free. */
static unsigned char *ecdsa_der(const struct token_alg *alg, const unsigned char *raw, size_t n,
                                size_t *out_n)
{
    if (n != (size_t)alg->field * 2)
        return NULL;
    unsigned char *der = NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)alg->field, NULL);
    BIGNUM *s = BN_bin2bn(raw + alg->field, (int)alg->field, NULL);
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* the signature's now */
        int len = i2d_ECDSA_SIG(sig, &der);
        *out_n = len > 0 ? (size_t)len : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return der;
}

static bool hmac_ok(const struct token_key *k, const struct token_alg *alg, struct slice input,
                    const unsigned char *signature, size_t n)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (!EVP_Q_mac(NULL, "HMAC", NULL, alg->md, NULL, k->secret, k->n_secret,
                   (const unsigned char *)input.p, input.n, mac, sizeof mac, &len))
        return false;
    bool ok = n == len && secret_equal(mac, signature, len);
    OPENSSL_cleanse(mac, sizeof mac);
    return ok;
}

static bool public_ok(const struct token_key *k, const struct token_alg *alg, struct slice input,
                      const unsigned char *signature, size_t n)
{
    bool ok = false;
    EVP_PKEY_CTX *settings = NULL; /* the context's */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestVerifyInit_ex(ctx, &settings, alg->md, NULL, NULL, k->pkey, NULL) == 1 &&
        (alg->family != FAMILY_PSS ||
         (EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) == 1)))
        ok = EVP_DigestVerify(ctx, signature, n, (const unsigned char *)input.p, input.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

bool token_signed(const struct token_key *k, const struct token_alg *alg, struct slice input,
                  const unsigned char *signature, size_t n)
{
    if (!token_key_fits(k, alg) || n == 0)
        return false;
    bool ok;
    if (!k->pkey) {
        ok = hmac_ok(k, alg, input, signature, n);
    } else if (alg->family == FAMILY_EC) {
        size_t der_n = 0;
        unsigned char *der = ecdsa_der(alg, signature, n, &der_n);
        ok = der && der_n && public_ok(k, alg, input, der, der_n);
        OPENSSL_free(der);
    } else {
        ok = public_ok(k, alg, input, signature, n);
    }
    ERR_clear_error();
    return ok;
}
