/* SPDX-License-Identifier: Apache-2.0 */
/* The names that a public key goes by in `kid`. A name only selects a key, and the key then has to
 * verify: it may be ambiguous without harm. */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "auth/encoding.h"
#include "auth/token_int.h"
#include "base/buf.h"
#include "base/util.h"

#include "base/banned.h"

enum { NUMBER_MAX = RSA_BITS_MAX / 8, ED25519_LEN = 32 };

static void add_name(struct token_key *k, const char *name)
{
    for (unsigned i = 0; i < k->n_ids; i++)
        if (strcmp(k->ids[i], name) == 0)
            return;
    CHECK(k->n_ids < KEY_IDS);
    k->ids[k->n_ids++] = xstrdup(name);
}

/* libtrust: 240 bits of SHA-256 of the SubjectPublicKeyInfo, base32, in groups of four. */
static void name_libtrust(struct token_key *k)
{
    unsigned char *der = NULL, hash[SHA256_DIGEST_LENGTH];
    char digits[49], name[60];
    int n = i2d_PUBKEY(k->pkey, &der);
    if (n > 0) {
        (void)SHA256(der, (size_t)n, hash);
        b32_encode(hash, 30, digits);
        for (unsigned i = 0, at = 0; i < 48; i += 4) {
            memcpy(name + at, digits + i, 4);
            at += 4;
            name[at++] = i == 44 ? '\0' : ':';
        }
        add_name(k, name);
    }
    OPENSSL_free(der);
}

/* ---- RFC 7638 ---- */

static void put_bytes(struct buf *b, const unsigned char *p, size_t n)
{
    char text[NUMBER_MAX / 3 * 4 + 8];
    CHECK(b64_encoded_room(n) <= sizeof text);
    b64_encode(p, n, B64_URL, text);
    buf_puts(b, text);
}

/* At least `width` bytes: a coordinate keeps its zeros in front, the numbers of RSA do not. */
static void put_number(struct buf *b, const BIGNUM *v, unsigned width)
{
    unsigned char bytes[NUMBER_MAX];
    unsigned n = (unsigned)BN_num_bytes(v);
    n = MAX(n, width);
    CHECK(n <= sizeof bytes);
    int rc = BN_bn2binpad(v, bytes, (int)n);
    CHECK(rc == (int)n);
    put_bytes(b, bytes, n);
}

/* SHA-256 of the canonical JSON, base64url. */
static void add_thumbprint(struct token_key *k, const struct buf *json)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char name[48];
    CHECK(!json->failed);
    (void)SHA256((const unsigned char *)json->p, json->n, hash);
    b64_encode(hash, sizeof hash, B64_URL, name);
    add_name(k, name);
}

static void name_rsa(struct token_key *k)
{
    BIGNUM *n = NULL, *e = NULL;
    CLEANUP_BUF struct buf json = {0};
    buf_init(&json, 8192);
    if (EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
        BN_num_bytes(e) <= NUMBER_MAX) {
        buf_puts(&json, "{\"e\":\"");
        put_number(&json, e, 0);
        buf_puts(&json, "\",\"kty\":\"RSA\",\"n\":\"");
        put_number(&json, n, 0);
        buf_puts(&json, "\"}");
        add_thumbprint(k, &json);
    }
    BN_free(n);
    BN_free(e);
}

static void add_point(struct token_key *k, const char *curve, const BIGNUM *x, const BIGNUM *y,
                      unsigned width)
{
    CLEANUP_BUF struct buf json = {0};
    buf_init(&json, 1024);
    buf_printf(&json, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", curve);
    put_number(&json, x, width);
    buf_puts(&json, "\",\"y\":\"");
    put_number(&json, y, width);
    buf_puts(&json, "\"}");
    add_thumbprint(k, &json);
}

/* registry 3.0 takes the curve's generator for the key's point, so that there every key of a curve
 * has one name, which servers made for it send. */
static void name_generator(struct token_key *k, const char *curve)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(EC_curve_nist2nid(curve));
    BIGNUM *x = BN_new(), *y = BN_new();
    if (group && x && y &&
        EC_POINT_get_affine_coordinates(group, EC_GROUP_get0_generator(group), x, y, NULL) == 1)
        add_point(k, curve, x, y, 0);
    BN_free(x);
    BN_free(y);
    EC_GROUP_free(group);
}

static void name_ec(struct token_key *k)
{
    const char *curve = token_curve(k->pkey);
    unsigned field = (unsigned)(EVP_PKEY_get_bits(k->pkey) + 7) / 8;
    BIGNUM *x = NULL, *y = NULL;
    if (curve && EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
        EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1) {
        add_point(k, curve, x, y, field);
        add_point(k, curve, x, y, 0); /* registry 3.1: without zeros in front */
        name_generator(k, curve);
    }
    BN_free(x);
    BN_free(y);
}

static void name_ed25519(struct token_key *k)
{
    unsigned char raw[ED25519_LEN];
    size_t n = sizeof raw;
    CLEANUP_BUF struct buf json = {0};
    buf_init(&json, 256);
    if (EVP_PKEY_get_raw_public_key(k->pkey, raw, &n) == 1) {
        buf_puts(&json, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
        put_bytes(&json, raw, n);
        buf_puts(&json, "\"}");
        add_thumbprint(k, &json);
    }
}

void token_key_name(struct token_key *k)
{
    if (!k->pkey)
        return; /* what is derived from a secret is not told */
    name_libtrust(k);
    switch (EVP_PKEY_get_base_id(k->pkey)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        name_rsa(k);
        break;
    case EVP_PKEY_EC:
        name_ec(k);
        break;
    case EVP_PKEY_ED25519:
        name_ed25519(k);
        break;
    default:
        break;
    }
    ERR_clear_error();
}
