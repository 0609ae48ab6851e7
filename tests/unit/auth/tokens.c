/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "auth/encoding.h"
#include "base/buf.h"
#include "base/util.h"

/* ---- text ---- */

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *fmt, ...)
{
    char *out = NULL;
    va_list args;
    va_start(args, fmt);
    assert_true(vasprintf(&out, fmt, args) >= 0);
    va_end(args);
    return out;
}

static char *b64(const void *p, size_t n, enum b64_kind kind)
{
    char *out = calloc(1, b64_encoded_room(n));
    assert_non_null(out);
    b64_encode(p, n, kind, out);
    return out;
}

/* ---- keys and certificates ---- */

EVP_PKEY *key_new(const char *type, const char *curve, unsigned bits)
{
    EVP_PKEY *key = NULL;
    if (strcmp(type, "RSA") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)bits);
    else if (curve)
        key = EVP_PKEY_Q_keygen(NULL, NULL, type, curve);
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    assert_non_null(key);
    return key;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

X509 *certificate(EVP_PKEY *key, const char *name, EVP_PKEY *issuer_key, X509 *issuer, bool ca,
                  int64_t from, int64_t until, const EVP_MD *md)
{
    static const unsigned char serials[] = "0123456789abcdef";
    X509 *cert = X509_new();
    BIGNUM *serial = BN_bin2bn(serials, 8, NULL);
    assert_true(cert && serial);
    (void)X509_set_version(cert, 2);
    (void)BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));
    BN_free(serial);
    (void)ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from);
    (void)ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until);
    X509_NAME *subject = X509_get_subject_name(cert);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
    (void)X509_set_pubkey(cert, key);
    extend(cert, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    assert_true(X509_sign(cert, issuer_key ? issuer_key : key, md) > 0);
    return cert;
}

char *pem_of(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
    long n = BIO_get_mem_data(bio, &p);
    char *out = format("%.*s", (int)n, p);
    BIO_free(bio);
    return out;
}

char *der64_of(X509 *cert)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    assert_true(n > 0);
    char *out = b64(der, (size_t)n, B64_STANDARD);
    OPENSSL_free(der);
    return out;
}

static char *number_of(EVP_PKEY *key, const char *param, unsigned width)
{
    BIGNUM *v = NULL;
    unsigned char raw[1024];
    assert_int_equal(EVP_PKEY_get_bn_param(key, param, &v), 1);
    unsigned n = (unsigned)BN_num_bytes(v);
    n = n < width ? width : n;
    assert_int_equal(BN_bn2binpad(v, raw, (int)n), (int)n);
    BN_free(v);
    return b64(raw, n, B64_URL);
}

char *jwk_of(EVP_PKEY *key, const char *more)
{
    char *a = NULL, *b = NULL, *out = NULL;
    char curve[32] = "";
    size_t n = 0;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        a = number_of(key, OSSL_PKEY_PARAM_RSA_N, 0);
        b = number_of(key, OSSL_PKEY_PARAM_RSA_E, 0);
        out = format("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", a, b, more);
        break;
    case EVP_PKEY_EC: {
        unsigned width = (unsigned)(EVP_PKEY_get_bits(key) + 7) / 8;
        assert_int_equal(EVP_PKEY_get_group_name(key, curve, sizeof curve, &n), 1);
        const char *name = strcmp(curve, "prime256v1") == 0  ? "P-256"
                           : strcmp(curve, "secp384r1") == 0 ? "P-384"
                           : strcmp(curve, "secp521r1") == 0 ? "P-521"
                                                             : curve;
        a = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, width);
        b = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
        out =
            format("{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s}", name, a, b, more);
        break;
    }
    default: {
        unsigned char raw[64];
        n = sizeof raw;
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
        a = b64(raw, n, B64_URL);
        out = format("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"%s}", a, more);
        break;
    }
    }
    free(a);
    free(b);
    return out;
}

/* ---- names: computed here by themselves, not by the code under test ---- */

static char *libtrust_of(EVP_PKEY *key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char *der = NULL, hash[32];
    int n = i2d_PUBKEY(key, &der);
    assert_true(n > 0);
    (void)SHA256(der, (size_t)n, hash);
    OPENSSL_free(der);
    char *out = calloc(1, 64);
    assert_non_null(out);
    size_t at = 0;
    for (unsigned bit = 0; bit < 240; bit += 5) {
        unsigned v = 0;
        for (unsigned i = bit; i < bit + 5; i++)
            v = v << 1 | (hash[i / 8] >> (7 - i % 8) & 1U);
        if (bit && bit % 20 == 0)
            out[at++] = ':';
        out[at++] = digits[v];
    }
    return out;
}

static char *thumbprint(const char *json)
{
    unsigned char hash[32];
    (void)SHA256((const unsigned char *)json, strlen(json), hash);
    return b64(hash, sizeof hash, B64_URL);
}

static char *thumbprint_of(EVP_PKEY *key)
{
    char *a, *b, *json;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        a = number_of(key, OSSL_PKEY_PARAM_RSA_E, 0);
        b = number_of(key, OSSL_PKEY_PARAM_RSA_N, 0);
        json = format("{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", a, b);
    } else {
        unsigned width = (unsigned)(EVP_PKEY_get_bits(key) + 7) / 8;
        a = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, width);
        b = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
        json = format("{\"crv\":\"P-%d\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
                      EVP_PKEY_get_bits(key), a, b);
    }
    char *out = thumbprint(json);
    free(a);
    free(b);
    free(json);
    return out;
}

/* ---- tokens ---- */

static const EVP_MD *hash_of(const char *as)
{
    const char *bits = as + 2;
    return strcmp(bits, "256") == 0   ? EVP_sha256()
           : strcmp(bits, "384") == 0 ? EVP_sha384()
           : strcmp(bits, "512") == 0 ? EVP_sha512()
                                      : NULL;
}

static unsigned char *hmac(const char *secret, size_t n_secret, const char *input, const char *md,
                           size_t *n)
{
    unsigned char *out = calloc(1, EVP_MAX_MD_SIZE);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, md, NULL, secret, n_secret,
                              (const unsigned char *)input, strlen(input), out, EVP_MAX_MD_SIZE,
                              n));
    return out;
}

unsigned char *sign_der(const struct world *w, const char *input, enum who who, const char *as,
                        size_t *n)
{
    if (strcmp(as, "none") == 0) {
        *n = 0;
        return calloc(1, 1);
    }
    if (strcmp(as, "confused") == 0)
        return hmac(w->pem, strlen(w->pem), input, "SHA256", n);
    if (strncmp(as, "HS", 2) == 0)
        return hmac(SECRET, strlen(SECRET), input, EVP_MD_get0_name(hash_of(as)), n);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;
    const EVP_MD *md = strcmp(as, "EdDSA") == 0 ? NULL : hash_of(as);
    assert_int_equal(EVP_DigestSignInit(ctx, &settings, md, NULL, w->key[who]), 1);
    if (strncmp(as, "PS", 2) == 0) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, NULL, n, (const unsigned char *)input, strlen(input)), 1);
    unsigned char *out = calloc(1, *n);
    assert_non_null(out);
    assert_int_equal(EVP_DigestSign(ctx, out, n, (const unsigned char *)input, strlen(input)), 1);
    EVP_MD_CTX_free(ctx);
    return out;
}

/* DER of an ECDSA signature as r and s. */
static unsigned char *raw_of(EVP_PKEY *key, unsigned char *der, size_t *n)
{
    const unsigned char *p = der;
    unsigned width = (unsigned)(EVP_PKEY_get_bits(key) + 7) / 8;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)*n);
    assert_non_null(sig);
    unsigned char *raw = calloc(2, width);
    assert_non_null(raw);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)width), (int)width);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + width, (int)width), (int)width);
    ECDSA_SIG_free(sig);
    free(der);
    *n = (size_t)width * 2;
    return raw;
}

char *join_token(const char *header, const char *payload, const unsigned char *signature, size_t n)
{
    char *h = b64(header, strlen(header), B64_URL), *p = b64(payload, strlen(payload), B64_URL);
    char *s = b64(signature, n, B64_URL);
    char *out = format("%s.%s.%s", h, p, s);
    free(h);
    free(p);
    free(s);
    return out;
}

char *token_make(const struct world *w, const char *header, const char *payload, enum who who,
                 const char *as)
{
    char *head = expand(w, header), *body = expand(w, payload);
    char *unsigned_token = join_token(head, body, (const unsigned char *)"", 0);
    unsigned_token[strlen(unsigned_token) - 1] = '\0';
    size_t n = 0;
    unsigned char *sig = sign_der(w, unsigned_token, who, as, &n);
    if (strncmp(as, "ES", 2) == 0)
        sig = raw_of(w->key[who], sig, &n);
    char *out = join_token(head, body, sig, n);
    free(sig);
    free(unsigned_token);
    free(head);
    free(body);
    return out;
}

/* ---- the world ---- */

static char *chain_of(X509 *const *certs, unsigned n)
{
    char *out = format("[");
    for (unsigned i = 0; i < n; i++) {
        char *one = der64_of(certs[i]);
        char *more = format("%s%s\"%s\"", out, i ? "," : "", one);
        free(out);
        free(one);
        out = more;
    }
    char *closed = format("%s]", out);
    free(out);
    return closed;
}

/* The certificates are made when they are asked for; the root is in the bundle. */
static X509 *root_of(const struct world *w)
{
    BIO *bio = BIO_new_mem_buf(w->pem, -1);
    X509 *root = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(root);
    return root;
}

enum { DAY = 86400 };

static char *chain(const struct world *w, const char *name)
{
    const EVP_MD *sha256 = EVP_sha256();
    EVP_PKEY *middle_key = key_new("EC", "P-256", 0);
    X509 *root = root_of(w);
    bool not_ca = strcmp(name, "NOTCA") == 0, expired = strcmp(name, "EXPIRED") == 0;
    bool early = strcmp(name, "EARLY") == 0;
    X509 *middle = certificate(middle_key, "middle", w->key[ROOT], root, !not_ca, NOW - DAY,
                               strcmp(name, "OLDMIDDLE") == 0 ? NOW - 1 : NOW + DAY, sha256);
    EVP_PKEY *key = strcmp(name, "SMALL") == 0   ? w->key[RSA1024]
                    : strcmp(name, "CURVE") == 0 ? w->key[CURVE_K]
                                                 : w->key[LEAF];
    EVP_PKEY *by = strcmp(name, "FORGED") == 0 ? w->key[EVILEC] : middle_key;
    X509 *leaf = certificate(key, "leaf", by, middle, false, early ? NOW + 1000 : NOW - DAY,
                             expired ? NOW - 1000 : NOW + DAY,
                             strcmp(name, "SHA1") == 0 ? EVP_sha1() : sha256);
    X509 *evil =
        certificate(w->key[EVILEC], "root", NULL, NULL, true, NOW - DAY, NOW + DAY, sha256);
    X509 *evil_leaf = certificate(w->key[LEAF], "leaf", w->key[EVILEC], evil, false, NOW - DAY,
                                  NOW + DAY, sha256);
    X509 *good[] = {leaf, middle}, *bad[] = {evil_leaf, evil}, *many[11], *rooted[] = {root};
    for (unsigned i = 0; i < 11; i++)
        many[i] = i ? middle : leaf;
    char *out = strcmp(name, "EVIL") == 0   ? chain_of(bad, 2)
                : strcmp(name, "SELF") == 0 ? chain_of(bad + 1, 1)
                : strcmp(name, "GAP") == 0  ? chain_of(good, 1)
                : strcmp(name, "MANY") == 0 ? chain_of(many, 11)
                : strcmp(name, "ROOT") == 0 ? chain_of(rooted, 1)
                                            : chain_of(good, 2);
    X509_free(leaf);
    X509_free(middle);
    X509_free(evil);
    X509_free(evil_leaf);
    X509_free(root);
    EVP_PKEY_free(middle_key);
    return out;
}

/* $X5C_NAME; $KID2_WHO (libtrust), $KID3_WHO (RFC 7638), $JWK_WHO. */
static char *value_of(const struct world *w, struct slice name)
{
    static const char *const names[WHO] = {
        [ROOT] = "ROOT",     [RSA2048] = "RSA2048", [EC384] = "EC384", [EC521] = "EC521",
        [ED] = "ED",         [RSAONLY] = "RSAONLY", [LEAF] = "LEAF",   [EVILRSA] = "EVILRSA",
        [EVILEC] = "EVILEC", [RSA1024] = "RSA1024",
    };
    if (slice_starts(name, SLICE_LIT("X5C_"))) {
        char *text = format("%.*s", SLICE_ARG(slice_from(name, 4)));
        char *out = chain(w, text);
        free(text);
        return out;
    }
    for (unsigned i = 0; i < WHO; i++) {
        if (!names[i] || !slice_ends(name, slice_cstr(names[i])))
            continue;
        if (slice_starts(name, SLICE_LIT("KID2_")))
            return libtrust_of(w->key[i]);
        if (slice_starts(name, SLICE_LIT("KID3_")))
            return thumbprint_of(w->key[i]);
        if (slice_starts(name, SLICE_LIT("JWK_")))
            return jwk_of(w->key[i], "");
        if (slice_starts(name, SLICE_LIT("JWKAS_"))) /* with the name of one that is trusted */
            return jwk_of(w->key[i], ",\"kid\":\"five-two-one\"");
        if (slice_starts(name, SLICE_LIT("JWKX_"))) {
            char *x5c = chain(w, "GOOD"), *more = format(",\"x5c\":%s", x5c);
            char *out = jwk_of(w->key[i], more);
            free(x5c);
            free(more);
            return out;
        }
    }
    fail_msg("nothing is called $%.*s", SLICE_ARG(name));
    return NULL;
}

char *expand(const struct world *w, const char *text)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (const char *p = text; *p;) {
        size_t plain = strcspn(p, "$");
        (void)buf_add(&b, p, plain);
        p += plain;
        if (!*p)
            break;
        size_t n = strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        char *value = value_of(w, slice_make(p + 1, n));
        buf_puts(&b, value);
        free(value);
        p += 1 + n;
    }
    buf_puts(&b, "");
    char *out = buf_steal(&b, &(size_t){0});
    return out ? out : xstrdup("");
}

static char *make_bundle(struct world *w)
{
    static const enum who self_signed[] = {ROOT, RSA2048, EC384};
    static const char *const names[] = {"root", "rsa", "ec384"};
    char *all = format("a text that is no certificate\n");
    for (unsigned i = 0; i < ARRAY_LEN(self_signed); i++) {
        X509 *cert = certificate(w->key[self_signed[i]], names[i], NULL, NULL, i == 0, NOW - DAY,
                                 NOW + DAY, EVP_sha256());
        char *one = pem_of(cert), *more = format("%s%s", all, one);
        free(all);
        free(one);
        X509_free(cert);
        all = more;
    }
    return all;
}

static char *make_jwks(struct world *w)
{
    char *secret = b64(SECRET, strlen(SECRET), B64_URL);
    char *k521 = jwk_of(w->key[EC521], ",\"kid\":\"five-two-one\",\"use\":\"sig\"");
    char *ed = jwk_of(w->key[ED], ",\"kid\":\"ed\",\"key_ops\":[\"verify\"]");
    char *only = jwk_of(w->key[RSAONLY], ",\"kid\":\"rs256-only\",\"alg\":\"RS256\"");
    char *useless = jwk_of(w->key[EVILRSA], ",\"kid\":\"enc\",\"use\":\"enc\"");
    char *out = format("{\"keys\":[%s,%s,%s,%s,{\"kty\":\"oct\",\"kid\":\"shared\",\"k\":\"%s\"},"
                       "{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"}]}",
                       k521, ed, only, useless, secret);
    free(secret);
    free(k521);
    free(ed);
    free(only);
    free(useless);
    return out;
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct error err = {0};
    assert_non_null(w);
    w->key[ROOT] = key_new("EC", "P-256", 0);
    w->key[RSA2048] = key_new("RSA", NULL, 2048);
    w->key[EC384] = key_new("EC", "P-384", 0);
    w->key[EC521] = key_new("EC", "P-521", 0);
    w->key[ED] = key_new("ED25519", NULL, 0);
    w->key[RSAONLY] = key_new("RSA", NULL, 2048);
    w->key[LEAF] = key_new("EC", "P-256", 0);
    w->key[EVILRSA] = key_new("RSA", NULL, 2048);
    w->key[EVILEC] = key_new("EC", "P-256", 0);
    w->key[RSA1024] = key_new("RSA", NULL, 1024);
    w->key[CURVE_K] = key_new("EC", "secp256k1", 0);
    w->pem = make_bundle(w);
    w->jwks = make_jwks(w);
    if (token_keys_new(slice_cstr(w->pem), slice_cstr(w->jwks), NULL, 0, &w->keys, &err)) {
        fprintf(stderr, "# %s\n", err.message);
        return -1;
    }
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < WHO; i++)
        EVP_PKEY_free(w->key[i]);
    token_keys_free(w->keys);
    free(w->pem);
    free(w->jwks);
    free(w);
    return 0;
}
