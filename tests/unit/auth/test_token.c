/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that have to be accepted: every algorithm, every way to name a key, tokens in the form of
 * registry 2.8 and of 3; and what the sets of keys accept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens.h"

#include <openssl/pem.h>

#include "auth/token_int.h"
#include "base/buf.h"
#include "base/util.h"

#define CLAIMS                                                               \
    "\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"sub\":\"alice\"," \
    "\"exp\":1700000300,\"nbf\":1699999990,\"iat\":1699999990,\"jti\":\"x\""
#define ACCESS                                                                                \
    ",\"access\":[{\"type\":\"repository\",\"class\":\"image\",\"name\":\"a/b\",\"actions\":" \
    "[\"pull\",\"push\"]},{\"type\":\"registry\",\"name\":\"catalog\",\"actions\":[\"*\"]}]"
#define GOOD "{" CLAIMS ACCESS "}"

static const struct {
    const char *name, *header, *payload;
    enum who who;
    const char *as;
} rows[] = {
    /* registry 2.8: kid is libtrust's fingerprint of a certificate's key */
    {"2.8 RS256", "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"$KID2_RSA2048\"}", GOOD, RSA2048,
     "RS256"},
    {"2.8 ES256", "{\"typ\":\"JWT\",\"alg\":\"ES256\",\"kid\":\"$KID2_ROOT\"}", GOOD, ROOT,
     "ES256"},
    {"2.8 ES384", "{\"typ\":\"JWT\",\"alg\":\"ES384\",\"kid\":\"$KID2_EC384\"}", GOOD, EC384,
     "ES384"},
    {"2.8 ES512", "{\"alg\":\"ES512\",\"kid\":\"$KID2_EC521\"}", GOOD, EC521, "ES512"},
    /* registry 3: RFC 7638 */
    {"3 RS256", "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"$KID3_RSA2048\"}", GOOD, RSA2048,
     "RS256"},
    {"3 RS384", "{\"alg\":\"RS384\",\"kid\":\"$KID3_RSA2048\"}", GOOD, RSA2048, "RS384"},
    {"3 RS512", "{\"alg\":\"RS512\",\"kid\":\"$KID3_RSA2048\"}", GOOD, RSA2048, "RS512"},
    {"3 PS256", "{\"alg\":\"PS256\",\"kid\":\"$KID3_RSA2048\"}", GOOD, RSA2048, "PS256"},
    {"3 PS384", "{\"alg\":\"PS384\",\"kid\":\"$KID3_RSA2048\"}", GOOD, RSA2048, "PS384"},
    {"3 PS512", "{\"alg\":\"PS512\",\"kid\":\"$KID3_RSA2048\"}", GOOD, RSA2048, "PS512"},
    {"3 ES256", "{\"alg\":\"ES256\",\"kid\":\"$KID3_ROOT\"}", GOOD, ROOT, "ES256"},
    {"3 ES384", "{\"alg\":\"ES384\",\"kid\":\"$KID3_EC384\"}", GOOD, EC384, "ES384"},
    /* 3.0.0 names every P-256 key by the generator of the curve */
    {"3.0 ES256", "{\"alg\":\"ES256\",\"kid\":\"xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M\"}",
     GOOD, ROOT, "ES256"},
    /* JWKS */
    {"kid ES512", "{\"alg\":\"ES512\",\"kid\":\"five-two-one\"}", GOOD, EC521, "ES512"},
    {"kid EdDSA", "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", GOOD, ED, "EdDSA"},
    {"kid RS256", "{\"alg\":\"RS256\",\"kid\":\"rs256-only\"}", GOOD, RSAONLY, "RS256"},
    {"kid HS256", "{\"alg\":\"HS256\",\"kid\":\"shared\"}", GOOD, SHARED, "HS256"},
    {"kid HS384", "{\"alg\":\"HS384\",\"kid\":\"shared\"}", GOOD, SHARED, "HS384"},
    {"kid HS512", "{\"alg\":\"HS512\",\"kid\":\"shared\"}", GOOD, SHARED, "HS512"},
    /* no name at all */
    {"bare RS256", "{\"alg\":\"RS256\"}", GOOD, RSA2048, "RS256"},
    {"bare ES512", "{\"alg\":\"ES512\"}", GOOD, EC521, "ES512"},
    {"bare EdDSA", "{\"alg\":\"EdDSA\"}", GOOD, ED, "EdDSA"},
    {"bare HS256", "{\"alg\":\"HS256\"}", GOOD, SHARED, "HS256"},
    {"kid empty", "{\"alg\":\"EdDSA\",\"kid\":\"\"}", GOOD, ED, "EdDSA"},
    /* x5c, jwk */
    {"x5c", "{\"alg\":\"ES256\",\"x5c\":$X5C_GOOD}", GOOD, LEAF, "ES256"},
    {"x5c before kid", "{\"alg\":\"ES256\",\"kid\":\"nonsense\",\"x5c\":$X5C_GOOD}", GOOD, LEAF,
     "ES256"},
    {"x5c root", "{\"alg\":\"ES256\",\"x5c\":$X5C_ROOT}", GOOD, ROOT, "ES256"},
    {"jwk", "{\"alg\":\"ES256\",\"jwk\":$JWK_ROOT}", GOOD, ROOT, "ES256"},
    {"jwk RSA", "{\"alg\":\"PS256\",\"jwk\":$JWK_RSA2048}", GOOD, RSA2048, "PS256"},
    {"jwk Ed25519", "{\"alg\":\"EdDSA\",\"jwk\":$JWK_ED}", GOOD, ED, "EdDSA"},
    {"jwk with x5c", "{\"alg\":\"ES256\",\"jwk\":$JWKX_LEAF}", GOOD, LEAF, "ES256"},
    /* claims */
    {"aud list", "{\"alg\":\"EdDSA\"}",
     "{\"iss\":\"the issuer\",\"aud\":[\"x\",\"registry.example\"],\"exp\":1700000300}", ED,
     "EdDSA"},
    {"exp with a fraction", "{\"alg\":\"EdDSA\"}",
     "{\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"exp\":1700000300.75,\"nbf\":1.5e9}",
     ED, "EdDSA"},
    {"exp within the leeway", "{\"alg\":\"EdDSA\"}",
     "{\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"exp\":1699999940}", ED, "EdDSA"},
    {"nbf within the leeway", "{\"alg\":\"EdDSA\"}",
     "{\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"exp\":1700000300,\"nbf\":1700000060}",
     ED, "EdDSA"},
    {"empty sub, null access", "{\"alg\":\"EdDSA\"}",
     "{\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"exp\":1700000300,\"sub\":\"\","
     "\"access\":null}",
     ED, "EdDSA"},
    {"access without actions", "{\"alg\":\"EdDSA\"}",
     "{" CLAIMS ",\"access\":[{\"type\":\"repository\",\"name\":\"a\"},{\"type\":\"repository\","
     "\"name\":\"b\",\"actions\":null}]}",
     ED, "EdDSA"},
    {"unknown members", "{\"alg\":\"EdDSA\",\"cty\":\"x\",\"jku\":\"https://evil.example/k\"}",
     "{" CLAIMS ",\"more\":{\"a\":[1,2]}}", ED, "EdDSA"},
};

static void test_good(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = {0};
        struct token_claims claims = {0};
        struct arena *a = arena_new(512);
        char *token = token_make(w, rows[i].header, rows[i].payload, rows[i].who, rows[i].as);
        if (token_verify(w->keys, slice_cstr(token), ISSUER, SERVICE, NOW, a, &claims, &err))
            fail_msg("%s: refused: %s", rows[i].name, err.detail);
        free(token);
        arena_free(a);
    }
}

static void test_claims(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct token_claims c = {0};
    struct arena *a = arena_new(512);
    char *token = token_make(w, "{\"alg\":\"EdDSA\"}", GOOD, ED, "EdDSA");
    assert_int_equal(token_verify(w->keys, slice_cstr(token), ISSUER, SERVICE, NOW, a, &c, &err),
                     0);
    free(token); /* nothing points into it */
    assert_true(slice_is(c.subject, "alice"));
    assert_true(c.expires_s == NOW + 300);
    assert_int_equal(c.n_grants, 2);
    assert_true(slice_is(c.grants[0].type, "repository") && slice_is(c.grants[0].name, "a/b"));
    assert_int_equal(c.grants[0].n_actions, 2);
    assert_true(slice_is(c.grants[0].actions[1], "push"));
    assert_true(slice_is(c.grants[1].type, "registry") && slice_is(c.grants[1].actions[0], "*"));
    arena_free(a);
}

static void test_allowed_algorithms(void **state)
{
    struct world *w = *state;
    const char *const only[] = {"ES256", "EdDSA"}, *const wrong[] = {"ES256", "none"};
    struct error err = {0};
    struct token_claims c = {0};
    struct token_keys *k = NULL;
    struct arena *a = arena_new(512);
    assert_int_equal(token_keys_new(slice_cstr(w->pem), slice_cstr(w->jwks), only, 2, &k, &err), 0);
    char *yes = token_make(w, "{\"alg\":\"EdDSA\"}", GOOD, ED, "EdDSA");
    char *no = token_make(w, "{\"alg\":\"RS256\"}", GOOD, RSA2048, "RS256");
    assert_int_equal(token_verify(k, slice_cstr(yes), ISSUER, SERVICE, NOW, a, &c, &err), 0);
    assert_int_equal(token_verify(k, slice_cstr(no), ISSUER, SERVICE, NOW, a, &c, &err), -1);
    assert_non_null(strstr(err.detail, "alg \"RS256\" is not accepted"));
    token_keys_free(k);
    assert_int_equal(token_keys_new(slice_cstr(w->pem), SLICE_NONE, wrong, 2, &k, &err), -1);
    assert_non_null(strstr(err.detail, "none"));
    free(yes);
    free(no);
    arena_free(a);
}

/* With keys of a JWKS only, certificates in a token are of no use, and its kid counts. */
static void test_x5c_without_roots(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct token_claims c = {0};
    struct token_keys *k = NULL;
    struct arena *a = arena_new(512);
    assert_int_equal(token_keys_new(SLICE_NONE, slice_cstr(w->jwks), NULL, 0, &k, &err), 0);
    assert_int_equal(token_keys_count(k), 4);
    char *good =
        token_make(w, "{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"x5c\":$X5C_GOOD}", GOOD, ED, "EdDSA");
    char *bad = token_make(w, "{\"alg\":\"ES256\",\"x5c\":$X5C_GOOD}", GOOD, LEAF, "ES256");
    char *jwk = token_make(w, "{\"alg\":\"ES256\",\"jwk\":$JWKX_LEAF}", GOOD, LEAF, "ES256");
    assert_int_equal(token_verify(k, slice_cstr(good), ISSUER, SERVICE, NOW, a, &c, &err), 0);
    assert_int_equal(token_verify(k, slice_cstr(bad), ISSUER, SERVICE, NOW, a, &c, &err), -1);
    assert_int_equal(token_verify(k, slice_cstr(jwk), ISSUER, SERVICE, NOW, a, &c, &err), -1);
    assert_non_null(strstr(err.detail, "jwk is not a trusted key"));
    free(good);
    free(bad);
    free(jwk);
    token_keys_free(k);
    arena_free(a);
}

/* Who names no key has as many tried as one request may cost, not all that there are. */
static void test_no_name_of_many(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct token_claims c = {0};
    struct arena *a = arena_new(512);
    char *nameless = token_make(w, "{\"alg\":\"HS256\"}", GOOD, SHARED, "HS256");
    char *named = token_make(w, "{\"alg\":\"HS256\",\"kid\":\"last\"}", GOOD, SHARED, "HS256");
    for (unsigned others = KEYS_TRIED_MAX - 1; others <= KEYS_TRIED_MAX; others++) {
        struct token_keys *k = NULL;
        CLEANUP_BUF struct buf b = {0};
        buf_init(&b, 1 << 16);
        buf_puts(&b, "{\"keys\":[");
        for (unsigned i = 0; i < others; i++)
            buf_printf(&b, "{\"kty\":\"oct\",\"k\":\"%044u\"},", i);
        buf_puts(&b, "{\"kty\":\"oct\",\"kid\":\"last\",\"k\":"
                     "\"YSBzaGFyZWQgc2VjcmV0IG9mIHNvbWUgZm9ydHktdHdvIGJ5dGVzLi4u\"}]}");
        assert_int_equal(token_keys_new(SLICE_NONE, buf_view(&b), NULL, 0, &k, &err), 0);
        assert_int_equal(token_verify(k, slice_cstr(named), ISSUER, SERVICE, NOW, a, &c, &err), 0);
        int rc = token_verify(k, slice_cstr(nameless), ISSUER, SERVICE, NOW, a, &c, &err);
        assert_int_equal(rc, others < KEYS_TRIED_MAX ? 0 : -1);
        token_keys_free(k);
    }
    assert_non_null(strstr(err.detail, "kid"));
    free(nameless);
    free(named);
    arena_free(a);
}

/* RFC 7638 3.1 has this key and its thumbprint. */
static void test_thumbprint_vector(void **state)
{
    (void)state;
    static const char jwks[] =
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":"
        "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfA"
        "AtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-"
        "5JsGY4Hc5n9yBXArwl93lqt7"
        "_RN5w6Cf0h4QyQ5v-65YGjQR0_"
        "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOp"
        "bISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awap"
        "JzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}]}";
    struct error err = {0};
    struct token_keys *k = NULL;
    assert_int_equal(token_keys_new(SLICE_NONE, SLICE_LIT(jwks), NULL, 0, &k, &err), 0);
    assert_string_equal(k->v[0].ids[0], "2011-04-29");
    bool found = false;
    for (unsigned i = 0; i < k->v[0].n_ids; i++)
        found = found || strcmp(k->v[0].ids[i], "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs") == 0;
    assert_true(found);
    token_keys_free(k);
}

/* RFC 8037 A.3 and A.4: an Ed25519 key, its thumbprint, and a signature by somebody else. */
static void test_ed25519_vector(void **state)
{
    (void)state;
    static const char jwk[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
                              "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
    static const char input[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    static const char signature[] =
        "860c98d2297f3060a33f42739672d61b53cf3adefed3d3c672f320dc021b411e"
        "9d59b8628dc351e248b88b29468e0e41855b0fb7d83bb15be902bfccb8cd0a02";
    struct json_doc *doc = NULL;
    struct error err = {0};
    struct token_key key;
    unsigned char raw[64];
    assert_int_equal(jdoc_parse(SLICE_LIT(jwk), ERR_UNKNOWN, &doc, &err), 0);
    assert_int_equal(token_jwk(jdoc_root(doc), false, &key, &err), 0);
    assert_string_equal(key.ids[1], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_int_equal(hex_decode(SLICE_LIT(signature), raw, sizeof raw), 0);
    const struct token_alg *alg = token_alg_find(SLICE_LIT("EdDSA"));
    assert_true(token_signed(&key, alg, SLICE_LIT(input), raw, sizeof raw));
    raw[0] ^= 1;
    assert_false(token_signed(&key, alg, SLICE_LIT(input), raw, sizeof raw));
    token_key_release(&key);
    jdoc_free(doc);
}

/* What an administrator may get wrong, each with what he is told. $NAMES as in tokens.c. */
static const struct {
    const char *pem, *jwks, *why;
} bad_keys[] = {
    {"", "", "neither rootcertbundle nor jwks"},
    {"no certificate at all\n", "", "neither rootcertbundle nor jwks"},
    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "",
     "block of the certificates 1: not a certificate"},
    {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "",
     "block of the certificates 1: not a public key"},
    {"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "",
     "block 1 of the certificates is not valid PEM"},
    {"", "[]", "not an object with a list"},
    {"", "{\"keys\":{}}", "not an object with a list"},
    {"", "{\"keys\":[],\"keys\":[]}", "duplicate"},
    {"", "{", "not valid JSON"},
    {"", "{\"keys\":[]}", "neither rootcertbundle nor jwks"},
    {"", "{\"keys\":[{}]}", "key of the JWKS 1: the key has no kty"},
    {"", "{\"keys\":[$JWK_ED,{\"kty\":\"RSA\"}]}", "key of the JWKS 2: n of the key"},
    {"", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQ\"}]}", "make no RSA key"},
    {"", "{\"keys\":[$JWK_RSA1024]}", "RSA key of 1024 bits"},
    {"", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
     "make no EC key"},
    {"",
     "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
     "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"y\":"
     "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}]}",
     "make no EC key"}, /* not on the curve */
    {"", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA==\",\"y\":\"AA\"}]}",
     "x of the key is not base64url"},
    {"", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", "make no OKP key"},
    {"", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}", "a shared secret of 5 bytes"},
    {"", "{\"keys\":[{\"kty\":\"oct\",\"k\":7}]}", "k of the key"},
    {"",
     "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"RS256\",\"x\":"
     "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
     "alg of the key does not fit its kty"},
    /* of no use, so nothing is left */
    {"", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}]}",
     "neither rootcertbundle nor jwks"},
    {"", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}]}",
     "neither rootcertbundle nor jwks"},
    {"", "{\"keys\":[{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"]}]}",
     "neither rootcertbundle nor jwks"},
    {"", "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\"}]}", "neither rootcertbundle nor jwks"},
    {"", "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\"}]}", "neither rootcertbundle nor jwks"},
};

static void test_bad_keys(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(bad_keys); i++) {
        struct error err = {0};
        struct token_keys *k = NULL;
        char *jwks = expand(w, bad_keys[i].jwks);
        int rc = token_keys_new(slice_cstr(bad_keys[i].pem), slice_cstr(jwks), NULL, 0, &k, &err);
        free(jwks);
        if (rc == 0 || !strstr(err.detail, bad_keys[i].why))
            fail_msg("row %zu: %d, %s (expected: %s)", i, rc, err.detail, bad_keys[i].why);
        assert_null(k);
    }
}

/* Certificates whose keys are not for tokens. */
static void test_bad_certificates(void **state)
{
    struct world *w = *state;
    static const struct {
        enum who who;
        const char *why;
    } certs[] = {{RSA1024, "RSA key of 1024 bits"}, {CURVE_K, "a curve other than"}};
    for (size_t i = 0; i < ARRAY_LEN(certs); i++) {
        struct error err = {0};
        struct token_keys *k = NULL;
        X509 *cert =
            certificate(w->key[certs[i].who], "x", NULL, NULL, true, NOW, NOW + 1, EVP_sha256());
        char *pem = pem_of(cert);
        assert_int_equal(token_keys_new(slice_cstr(pem), SLICE_NONE, NULL, 0, &k, &err), -1);
        assert_non_null(strstr(err.detail, certs[i].why));
        free(pem);
        X509_free(cert);
    }
}

static void test_public_key_in_bundle(void **state)
{
    struct world *w = *state;
    static const char pem[] =
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        "-----END PUBLIC KEY-----\n"
        "-----BEGIN SOMETHING ELSE-----\nAAAA\n-----END SOMETHING ELSE-----\n";
    struct error err = {0};
    struct token_keys *k = NULL;
    (void)w;
    assert_int_equal(token_keys_new(SLICE_LIT(pem), SLICE_NONE, NULL, 0, &k, &err), 0);
    assert_int_equal(token_keys_count(k), 1);
    token_keys_free(k);
    token_keys_free(NULL);
}

static char *public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    long n = BIO_get_mem_data(bio, &p);
    char *out = xstrndup(p, (size_t)n);
    BIO_free(bio);
    return out;
}

/* Keys of kinds that sign nothing here, and one that signs with PSS only. */
static void test_other_keys(void **state)
{
    struct world w = *(struct world *)*state;
    struct error err = {0};
    struct token_keys *k = NULL;
    struct token_claims c;
    struct arena *a = arena_new(512);
    EVP_PKEY *x = key_new("X25519", NULL, 0), *pss = EVP_PKEY_Q_keygen(NULL, NULL, "RSA-PSS", 2048);
    if (!pss) { /* OpenSSL 3.0 has no short way to this kind */
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
        assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
        assert_int_equal(EVP_PKEY_generate(ctx, &pss), 1);
        EVP_PKEY_CTX_free(ctx);
    }
    char *x_pem = public_pem(x), *pss_pem = public_pem(pss);
    assert_int_equal(token_keys_new(slice_cstr(x_pem), SLICE_NONE, NULL, 0, &k, &err), -1);
    assert_non_null(strstr(err.detail, "not RSA, ECDSA or Ed25519"));
    assert_int_equal(token_keys_new(slice_cstr(pss_pem), SLICE_NONE, NULL, 0, &k, &err), 0);
    w.key[NOBODY] = pss;
    char *yes = token_make(&w, "{\"alg\":\"PS256\"}", GOOD, NOBODY, "PS256");
    char *no = token_make(&w, "{\"alg\":\"RS256\"}", GOOD, RSA2048, "RS256");
    assert_int_equal(token_verify(k, slice_cstr(yes), ISSUER, SERVICE, NOW, a, &c, &err), 0);
    assert_int_equal(token_verify(k, slice_cstr(no), ISSUER, SERVICE, NOW, a, &c, &err), -1);
    assert_non_null(strstr(err.detail, "does not fit"));
    token_keys_free(k);
    EVP_PKEY_free(x);
    EVP_PKEY_free(pss);
    free(x_pem);
    free(pss_pem);
    free(yes);
    free(no);
    arena_free(a);
}

/* A certificate with bytes behind it is none; nor is a set of more keys than anybody has. */
static void test_key_bounds(void **state)
{
    struct world *w = *state;
    struct error err = {0};
    struct token_keys *k = NULL;
    struct buf b;
    unsigned char *der = NULL;
    X509 *cert = certificate(w->key[ROOT], "x", NULL, NULL, true, NOW, NOW + 1, EVP_sha256());
    int n = i2d_X509(cert, &der);
    BIO *bio = BIO_new(BIO_s_mem());
    der = OPENSSL_realloc(der, (size_t)n + 1);
    der[n] = 0;
    assert_true(PEM_write_bio(bio, PEM_STRING_X509, "", der, n + 1) > 0);
    char *p;
    long pem_n = BIO_get_mem_data(bio, &p);
    assert_int_equal(token_keys_new(slice_make(p, (size_t)pem_n), SLICE_NONE, NULL, 0, &k, &err),
                     -1);
    assert_non_null(strstr(err.detail, "not a certificate"));
    BIO_free(bio);
    OPENSSL_free(der);
    X509_free(cert);
    for (unsigned more = 0; more < 2; more++) {
        buf_init(&b, 1 << 20);
        buf_puts(&b, "{\"keys\":[");
        for (unsigned i = 0; i < KEYS_MAX + more; i++)
            buf_printf(&b,
                       "%s{\"kty\":\"oct\",\"kid\":\"%u\",\"k\":"
                       "\"YSBzaGFyZWQgc2VjcmV0IG9mIHNvbWUgZm9ydHktdHdvIGJ5dGVzLi4u\"}",
                       i ? "," : "", i);
        buf_puts(&b, "]}");
        int rc = token_keys_new(SLICE_NONE, buf_view(&b), NULL, 0, &k, &err);
        assert_int_equal(rc, more ? -1 : 0);
        buf_release(&b);
        if (rc == 0)
            token_keys_free(k);
    }
    assert_non_null(strstr(err.detail, "more than 1000 keys"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_no_name_of_many),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_allowed_algorithms),
        cmocka_unit_test(test_x5c_without_roots),
        cmocka_unit_test(test_thumbprint_vector),
        cmocka_unit_test(test_ed25519_vector),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_public_key_in_bundle),
        cmocka_unit_test(test_other_keys),
        cmocka_unit_test(test_key_bounds),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
