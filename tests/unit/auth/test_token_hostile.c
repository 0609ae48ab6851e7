/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that have to be refused, each for the reason that it was made for. All are as good as
 * their maker could make them but for that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens.h"

#include "auth/encoding.h"
#include "base/buf.h"
#include "base/util.h"

#define BASE                                                                 \
    "\"iss\":\"the issuer\",\"aud\":\"registry.example\",\"sub\":\"alice\"," \
    "\"exp\":1700000300,\"nbf\":1699999990"
#define GOOD "{" BASE "}"
#define ED_HEADER "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}"
#define FOR "\"iss\":\"the issuer\",\"aud\":\"registry.example\""

/* What is done to the token once it is signed. */
enum bend {
    AS_IS,
    NO_SIGNATURE,  /* nothing after the second dot */
    FLIPPED,       /* a bit of the signature */
    OTHER_PAYLOAD, /* another payload under the same signature */
    OTHER_HEADER,  /* alg none under the same signature */
    CUT,           /* the signature without its last bytes */
    LONGER,        /* zeros behind the signature */
    DER,           /* ECDSA as OpenSSL makes it */
    ZERO,          /* r = s = 0 (CVE-2022-21449) */
    FIELD,         /* r = s = all ones */
    PADDED,        /* '=' at the end */
    LOOSE_BITS,    /* unused bits of the last digit set */
    STANDARD,      /* + and / */
    SPACE,         /* a space in front of the signature */
    NEWLINE,       /* at the end */
    TWO_PARTS,
    FOUR_PARTS,
    FIVE_PARTS,
    NO_PARTS,
    EMPTY,
    NUL, /* at the end */
    LARGE,
    DOTS
};

static const struct row {
    const char *name, *header, *payload;
    enum who who;
    const char *as;
    enum bend bend;
    const char *why;
} rows[] = {
    /* form */
    {"empty", ED_HEADER, GOOD, ED, "EdDSA", EMPTY, "three parts"},
    {"one part", ED_HEADER, GOOD, ED, "EdDSA", NO_PARTS, "three parts"},
    {"two parts", ED_HEADER, GOOD, ED, "EdDSA", TWO_PARTS, "three parts"},
    {"four parts", ED_HEADER, GOOD, ED, "EdDSA", FOUR_PARTS, "three parts"},
    {"five parts, as encrypted ones", ED_HEADER, GOOD, ED, "EdDSA", FIVE_PARTS, "three parts"},
    {"dots", ED_HEADER, GOOD, ED, "EdDSA", DOTS, "header is not base64url"},
    {"padding", ED_HEADER, GOOD, ED, "EdDSA", PADDED, "signature is not base64url"},
    {"loose bits", ED_HEADER, GOOD, ED, "EdDSA", LOOSE_BITS, "signature is not base64url"},
    {"standard alphabet", ED_HEADER, GOOD, ED, "EdDSA", STANDARD, "signature is not base64url"},
    {"a space", ED_HEADER, GOOD, ED, "EdDSA", SPACE, "signature is not base64url"},
    {"a newline", ED_HEADER, GOOD, ED, "EdDSA", NEWLINE, "signature is not base64url"},
    {"a NUL", ED_HEADER, GOOD, ED, "EdDSA", NUL, "signature is not base64url"},
    {"too large", ED_HEADER, GOOD, ED, "EdDSA", LARGE, "larger than"},
    {"no signature", ED_HEADER, GOOD, ED, "EdDSA", NO_SIGNATURE, "signature is not base64url"},
    /* header */
    {"header no JSON", "alg=EdDSA", GOOD, ED, "EdDSA", AS_IS, "header is not JSON"},
    {"header a list", "[\"EdDSA\"]", GOOD, ED, "EdDSA", AS_IS, "header is not a JSON object"},
    {"header with two algs", "{\"alg\":\"none\",\"alg\":\"EdDSA\"}", GOOD, ED, "EdDSA", AS_IS,
     "header is not JSON"},
    {"header with more behind", "{\"alg\":\"EdDSA\"}{}", GOOD, ED, "EdDSA", AS_IS,
     "header is not JSON"},
    {"header not UTF-8", "{\"alg\":\"EdDSA\",\"x\":\"\xff\"}", GOOD, ED, "EdDSA", AS_IS,
     "header is not JSON"},
    {"header with a NUL", "{\"alg\":\"EdDSA\",\"kid\":\"ed\\u0000\"}", GOOD, ED, "EdDSA", AS_IS,
     "header is not JSON"},
    {"no alg", "{\"kid\":\"ed\"}", GOOD, ED, "EdDSA", AS_IS, "no alg"},
    {"alg a number", "{\"alg\":256}", GOOD, ED, "EdDSA", AS_IS, "no alg"},
    {"alg null", "{\"alg\":null}", GOOD, ED, "EdDSA", AS_IS, "no alg"},
    {"typ a number", "{\"alg\":\"EdDSA\",\"typ\":1}", GOOD, ED, "EdDSA", AS_IS, "typ"},
    {"crit", "{\"alg\":\"EdDSA\",\"crit\":[\"exp\"],\"exp\":1}", GOOD, ED, "EdDSA", AS_IS, "crit"},
    {"crit empty", "{\"alg\":\"EdDSA\",\"crit\":[]}", GOOD, ED, "EdDSA", AS_IS, "crit"},
    {"b64 false", "{\"alg\":\"EdDSA\",\"b64\":false}", GOOD, ED, "EdDSA", AS_IS, "b64"},
    /* no signature at all */
    {"none", "{\"alg\":\"none\"}", GOOD, NOBODY, "none", AS_IS, "signature is not base64url"},
    {"none with a signature", "{\"alg\":\"none\"}", GOOD, ED, "EdDSA", AS_IS,
     "alg \"none\" is not accepted"},
    {"None", "{\"alg\":\"None\"}", GOOD, ED, "EdDSA", AS_IS, "alg \"None\" is not accepted"},
    {"nOnE", "{\"alg\":\"nOnE\"}", GOOD, ED, "EdDSA", AS_IS, "is not accepted"},
    {"empty alg", "{\"alg\":\"\"}", GOOD, ED, "EdDSA", AS_IS, "is not accepted"},
    {"alg in another case", "{\"alg\":\"eddsa\"}", GOOD, ED, "EdDSA", AS_IS, "is not accepted"},
    {"alg nobody knows", "{\"alg\":\"RS1\"}", GOOD, ED, "EdDSA", AS_IS, "is not accepted"},
    {"alg with a blank", "{\"alg\":\"EdDSA \"}", GOOD, ED, "EdDSA", AS_IS, "is not accepted"},
    {"ES256K", "{\"alg\":\"ES256K\"}", GOOD, CURVE_K, "ES256", AS_IS, "is not accepted"},
    {"alg none put in later", "{\"alg\":\"EdDSA\"}", GOOD, ED, "EdDSA", OTHER_HEADER,
     "alg \"none\" is not accepted"},
    /* the algorithm is the key's, not the token's */
    {"the certificates as HS256 secret", "{\"alg\":\"HS256\",\"kid\":\"$KID2_RSA2048\"}", GOOD,
     NOBODY, "confused", AS_IS, "alg HS256 does not fit its key"},
    {"the same without kid", "{\"alg\":\"HS256\"}", GOOD, NOBODY, "confused", AS_IS,
     "signature is wrong"},
    {"the same with another kid", "{\"alg\":\"HS256\",\"kid\":\"shared\"}", GOOD, NOBODY,
     "confused", AS_IS, "signature is wrong"},
    {"HS256 with a jwk", "{\"alg\":\"HS256\",\"jwk\":$JWK_RSA2048}", GOOD, NOBODY, "confused",
     AS_IS, "does not fit its key"},
    {"RS256 for a P-256 key", "{\"alg\":\"RS256\",\"kid\":\"$KID3_ROOT\"}", GOOD, RSA2048, "RS256",
     AS_IS, "alg RS256 does not fit"},
    {"ES256 for an RSA key", "{\"alg\":\"ES256\",\"kid\":\"$KID3_RSA2048\"}", GOOD, ROOT, "ES256",
     AS_IS, "alg ES256 does not fit"},
    {"ES256 by a P-384 key", "{\"alg\":\"ES256\",\"kid\":\"$KID3_EC384\"}", GOOD, EC384, "ES256",
     AS_IS, "alg ES256 does not fit"},
    {"ES512 by a P-256 key", "{\"alg\":\"ES512\",\"kid\":\"$KID3_ROOT\"}", GOOD, ROOT, "ES512",
     AS_IS, "alg ES512 does not fit"},
    {"EdDSA for an RSA key", "{\"alg\":\"EdDSA\",\"kid\":\"$KID2_RSA2048\"}", GOOD, ED, "EdDSA",
     AS_IS, "alg EdDSA does not fit"},
    {"PS256 as RS256", "{\"alg\":\"RS256\",\"kid\":\"$KID2_RSA2048\"}", GOOD, RSA2048, "PS256",
     AS_IS, "signature is wrong"},
    {"RS256 as PS256", "{\"alg\":\"PS256\",\"kid\":\"$KID2_RSA2048\"}", GOOD, RSA2048, "RS256",
     AS_IS, "signature is wrong"},
    {"RS512 as RS256", "{\"alg\":\"RS256\",\"kid\":\"$KID2_RSA2048\"}", GOOD, RSA2048, "RS512",
     AS_IS, "signature is wrong"},
    {"HS512 as HS256", "{\"alg\":\"HS256\",\"kid\":\"shared\"}", GOOD, SHARED, "HS512", AS_IS,
     "signature is wrong"},
    {"RS512 where the JWKS says RS256", "{\"alg\":\"RS512\",\"kid\":\"rs256-only\"}", GOOD, RSAONLY,
     "RS512", AS_IS, "alg RS512 does not fit"},
    {"PS256 where the JWKS says RS256", "{\"alg\":\"PS256\"}", GOOD, RSAONLY, "PS256", AS_IS,
     "signature is wrong"},
    /* signatures */
    {"a bit of the signature", ED_HEADER, GOOD, ED, "EdDSA", FLIPPED, "signature is wrong"},
    {"a bit, RSA", "{\"alg\":\"RS256\"}", GOOD, RSA2048, "RS256", FLIPPED, "signature is wrong"},
    {"a bit, ECDSA", "{\"alg\":\"ES384\"}", GOOD, EC384, "ES384", FLIPPED, "signature is wrong"},
    {"a bit, HMAC", "{\"alg\":\"HS256\"}", GOOD, SHARED, "HS256", FLIPPED, "signature is wrong"},
    {"another payload", ED_HEADER, GOOD, ED, "EdDSA", OTHER_PAYLOAD, "signature is wrong"},
    {"cut", ED_HEADER, GOOD, ED, "EdDSA", CUT, "signature is wrong"},
    {"cut HMAC", "{\"alg\":\"HS256\"}", GOOD, SHARED, "HS256", CUT, "signature is wrong"},
    {"longer", ED_HEADER, GOOD, ED, "EdDSA", LONGER, "signature is wrong"},
    {"longer HMAC", "{\"alg\":\"HS256\"}", GOOD, SHARED, "HS256", LONGER, "signature is wrong"},
    {"longer RSA", "{\"alg\":\"RS256\"}", GOOD, RSA2048, "RS256", LONGER, "signature is wrong"},
    {"ECDSA in DER", "{\"alg\":\"ES256\"}", GOOD, ROOT, "ES256", DER, "signature is wrong"},
    {"ECDSA of zeros", "{\"alg\":\"ES256\"}", GOOD, ROOT, "ES256", ZERO, "signature is wrong"},
    {"ECDSA of ones", "{\"alg\":\"ES256\"}", GOOD, ROOT, "ES256", FIELD, "signature is wrong"},
    {"ECDSA longer", "{\"alg\":\"ES256\"}", GOOD, ROOT, "ES256", LONGER, "signature is wrong"},
    {"Ed25519 of zeros", ED_HEADER, GOOD, ED, "EdDSA", ZERO, "signature is wrong"},
    /* keys that nobody trusts */
    {"somebody else's key", "{\"alg\":\"RS256\"}", GOOD, EVILRSA, "RS256", AS_IS,
     "signature is wrong"},
    {"somebody else under a good kid", "{\"alg\":\"RS256\",\"kid\":\"$KID2_RSA2048\"}", GOOD,
     EVILRSA, "RS256", AS_IS, "signature is wrong"},
    {"an unknown kid", "{\"alg\":\"RS256\",\"kid\":\"$KID2_EVILRSA\"}", GOOD, EVILRSA, "RS256",
     AS_IS, "no trusted key has the token's kid"},
    {"a kid for encryption", "{\"alg\":\"RS256\",\"kid\":\"enc\"}", GOOD, EVILRSA, "RS256", AS_IS,
     "no trusted key has the token's kid"},
    {"a good key under a wrong kid", "{\"alg\":\"EdDSA\",\"kid\":\"ED\"}", GOOD, ED, "EdDSA", AS_IS,
     "no trusted key has the token's kid"},
    {"kid a path", "{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}", GOOD, SHARED, "HS256",
     AS_IS, "no trusted key has the token's kid"},
    {"kid SQL", "{\"alg\":\"HS256\",\"kid\":\"x' UNION SELECT 'a\"}", GOOD, SHARED, "HS256", AS_IS,
     "no trusted key has the token's kid"},
    {"kid a number", "{\"alg\":\"EdDSA\",\"kid\":7}", GOOD, ED, "EdDSA", AS_IS, "kid is not"},
    {"kid a list", "{\"alg\":\"EdDSA\",\"kid\":[\"ed\"]}", GOOD, ED, "EdDSA", AS_IS, "kid is not"},
    /* keys in the token (CVE-2025-24976) */
    {"its own key", "{\"alg\":\"ES256\",\"jwk\":$JWK_EVILEC}", GOOD, EVILEC, "ES256", AS_IS,
     "jwk is not a trusted key"},
    {"its own key, RSA", "{\"alg\":\"RS256\",\"jwk\":$JWK_EVILRSA}", GOOD, EVILRSA, "RS256", AS_IS,
     "jwk is not a trusted key"},
    {"its own key under a trusted name", "{\"alg\":\"ES256\",\"jwk\":$JWKAS_EVILEC}", GOOD, EVILEC,
     "ES256", AS_IS, "jwk is not a trusted key"},
    {"the same with kid", "{\"alg\":\"ES256\",\"kid\":\"$KID3_ROOT\",\"jwk\":$JWKAS_EVILEC}", GOOD,
     EVILEC, "ES256", AS_IS, "jwk is not a trusted key"},
    {"a trusted jwk, another signature", "{\"alg\":\"ES256\",\"jwk\":$JWK_ROOT}", GOOD, EVILEC,
     "ES256", AS_IS, "signature is wrong"},
    {"jwk a secret",
     "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":"
     "\"YSBzaGFyZWQgc2VjcmV0IG9mIHNvbWUgZm9ydHktdHdvIGJ5dGVzLi4u\"}}",
     GOOD, SHARED, "HS256", AS_IS, "shared secret cannot be named"},
    {"jwk empty", "{\"alg\":\"ES256\",\"jwk\":{}}", GOOD, ROOT, "ES256", AS_IS, "no kty"},
    {"jwk null", "{\"alg\":\"ES256\",\"jwk\":null}", GOOD, ROOT, "ES256", AS_IS,
     "jwk is not an object"},
    {"jwk a string", "{\"alg\":\"ES256\",\"jwk\":\"ed\"}", GOOD, ROOT, "ES256", AS_IS,
     "jwk is not an object"},
    {"jwk small", "{\"alg\":\"RS256\",\"jwk\":$JWK_RSA1024}", GOOD, RSA1024, "RS256", AS_IS,
     "RSA key of 1024 bits"},
    {"jwk of a kind nobody knows", "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"XYZ\"}}", GOOD, ROOT,
     "ES256", AS_IS, "not a key for signatures"},
    {"jwk with somebody's certificate", "{\"alg\":\"ES256\",\"jwk\":$JWKX_EVILEC}", GOOD, EVILEC,
     "ES256", AS_IS, "jwk is not the key of its certificate"},
    /* certificates in the token */
    {"x5c of its own root", "{\"alg\":\"ES256\",\"x5c\":$X5C_EVIL}", GOOD, LEAF, "ES256", AS_IS,
     "(x5c) are not trusted"},
    {"x5c of itself", "{\"alg\":\"ES256\",\"x5c\":$X5C_SELF}", GOOD, EVILEC, "ES256", AS_IS,
     "(x5c) are not trusted"},
    {"x5c with a forged signature", "{\"alg\":\"ES256\",\"x5c\":$X5C_FORGED}", GOOD, LEAF, "ES256",
     AS_IS, "certificate signature failure"},
    {"x5c without its intermediate", "{\"alg\":\"ES256\",\"x5c\":$X5C_GAP}", GOOD, LEAF, "ES256",
     AS_IS, "unable to get local issuer"},
    {"x5c by one who is no CA", "{\"alg\":\"ES256\",\"x5c\":$X5C_NOTCA}", GOOD, LEAF, "ES256",
     AS_IS, "invalid CA certificate"},
    {"x5c expired", "{\"alg\":\"ES256\",\"x5c\":$X5C_EXPIRED}", GOOD, LEAF, "ES256", AS_IS,
     "certificate has expired"},
    {"x5c by an expired CA", "{\"alg\":\"ES256\",\"x5c\":$X5C_OLDMIDDLE}", GOOD, LEAF, "ES256",
     AS_IS, "certificate has expired"},
    {"x5c not yet valid", "{\"alg\":\"ES256\",\"x5c\":$X5C_EARLY}", GOOD, LEAF, "ES256", AS_IS,
     "certificate is not yet valid"},
    {"x5c by SHA-1", "{\"alg\":\"ES256\",\"x5c\":$X5C_SHA1}", GOOD, LEAF, "ES256", AS_IS,
     "digest algorithm too weak"},
    {"x5c with RSA 1024", "{\"alg\":\"RS256\",\"x5c\":$X5C_SMALL}", GOOD, RSA1024, "RS256", AS_IS,
     "certificate key too weak"},
    {"x5c on another curve", "{\"alg\":\"ES256\",\"x5c\":$X5C_CURVE}", GOOD, CURVE_K, "ES256",
     AS_IS, "a curve other than"},
    {"x5c for another alg", "{\"alg\":\"RS256\",\"x5c\":$X5C_GOOD}", GOOD, RSA2048, "RS256", AS_IS,
     "alg RS256 does not fit"},
    {"x5c, signed by a trusted key", "{\"alg\":\"ES256\",\"x5c\":$X5C_GOOD}", GOOD, ROOT, "ES256",
     AS_IS, "signature is wrong"},
    {"bad x5c, good kid", "{\"alg\":\"ES256\",\"kid\":\"$KID3_ROOT\",\"x5c\":$X5C_EVIL}", GOOD,
     ROOT, "ES256", AS_IS, "(x5c) are not trusted"},
    {"x5c with eleven", "{\"alg\":\"ES256\",\"x5c\":$X5C_MANY}", GOOD, LEAF, "ES256", AS_IS,
     "x5c of the token is not a list of 1 to 10"},
    {"x5c empty", "{\"alg\":\"ES256\",\"x5c\":[]}", GOOD, ROOT, "ES256", AS_IS, "not a list"},
    {"x5c a string", "{\"alg\":\"ES256\",\"x5c\":\"MIIB\"}", GOOD, ROOT, "ES256", AS_IS,
     "not a list"},
    {"x5c of numbers", "{\"alg\":\"ES256\",\"x5c\":[1]}", GOOD, ROOT, "ES256", AS_IS,
     "certificate 1 of the token"},
    {"x5c no DER", "{\"alg\":\"ES256\",\"x5c\":[\"AAAA\"]}", GOOD, ROOT, "ES256", AS_IS,
     "certificate 1 of the token"},
    {"x5c in base64url", "{\"alg\":\"ES256\",\"x5c\":[\"__--\"]}", GOOD, ROOT, "ES256", AS_IS,
     "certificate 1 of the token"},
    /* claims */
    {"payload no JSON", ED_HEADER, "alice", ED, "EdDSA", AS_IS, "payload is not JSON"},
    {"payload a string", ED_HEADER, "[\"alice\"]", ED, "EdDSA", AS_IS,
     "payload is not a JSON object"},
    {"payload with two sub", ED_HEADER, "{" BASE ",\"sub\":\"root\"}", ED, "EdDSA", AS_IS,
     "payload is not JSON"},
    {"no iss", ED_HEADER, "{\"aud\":\"registry.example\",\"exp\":1700000300}", ED, "EdDSA", AS_IS,
     "issuer"},
    {"another iss", ED_HEADER,
     "{\"iss\":\"The issuer\",\"aud\":\"registry.example\",\"exp\":1700000300}", ED, "EdDSA", AS_IS,
     "issuer"},
    {"iss longer", ED_HEADER,
     "{\"iss\":\"the issuer2\",\"aud\":\"registry.example\",\"exp\":1700000300}", ED, "EdDSA",
     AS_IS, "issuer"},
    {"iss a list", ED_HEADER,
     "{\"iss\":[\"the issuer\"],\"aud\":\"registry.example\",\"exp\":1700000300}", ED, "EdDSA",
     AS_IS, "issuer"},
    {"no aud", ED_HEADER, "{\"iss\":\"the issuer\",\"exp\":1700000300}", ED, "EdDSA", AS_IS, "aud"},
    {"another aud", ED_HEADER, "{\"iss\":\"the issuer\",\"aud\":\"registry\",\"exp\":1700000300}",
     ED, "EdDSA", AS_IS, "another service"},
    {"aud empty list", ED_HEADER, "{\"iss\":\"the issuer\",\"aud\":[],\"exp\":1700000300}", ED,
     "EdDSA", AS_IS, "another service"},
    {"aud other list", ED_HEADER,
     "{\"iss\":\"the issuer\",\"aud\":[\"a\",\"Registry.example\"],\"exp\":1700000300}", ED,
     "EdDSA", AS_IS, "another service"},
    {"aud list of others", ED_HEADER,
     "{\"iss\":\"the issuer\",\"aud\":[\"registry.example\",7],\"exp\":1700000300}", ED, "EdDSA",
     AS_IS, "not a list of strings"},
    {"aud a number", ED_HEADER, "{\"iss\":\"the issuer\",\"aud\":7,\"exp\":1700000300}", ED,
     "EdDSA", AS_IS, "neither a string nor a list"},
    {"no exp", ED_HEADER, "{" FOR "}", ED, "EdDSA", AS_IS, "no exp"},
    {"exp past the leeway", ED_HEADER, "{" FOR ",\"exp\":1699999939}", ED, "EdDSA", AS_IS,
     "has expired"},
    {"exp zero", ED_HEADER, "{" FOR ",\"exp\":0}", ED, "EdDSA", AS_IS, "has expired"},
    {"exp negative", ED_HEADER, "{" FOR ",\"exp\":-9223372036854775808}", ED, "EdDSA", AS_IS,
     "has expired"},
    {"exp a string", ED_HEADER, "{" FOR ",\"exp\":\"1700000300\"}", ED, "EdDSA", AS_IS,
     "exp is not a number"},
    {"exp null", ED_HEADER, "{" FOR ",\"exp\":null}", ED, "EdDSA", AS_IS, "exp is not a number"},
    {"exp true", ED_HEADER, "{" FOR ",\"exp\":true}", ED, "EdDSA", AS_IS, "exp is not a number"},
    {"exp beyond all", ED_HEADER, "{" FOR ",\"exp\":1e300}", ED, "EdDSA", AS_IS, "exp is no date"},
    {"exp of twenty digits", ED_HEADER, "{" FOR ",\"exp\":17000003000000000000}", ED, "EdDSA",
     AS_IS, "payload is not JSON"},
    {"nbf past the leeway", ED_HEADER, "{" FOR ",\"exp\":1700000300,\"nbf\":1700000061}", ED,
     "EdDSA", AS_IS, "not valid yet"},
    {"nbf far", ED_HEADER, "{" FOR ",\"exp\":1700000300,\"nbf\":9223372036854775807}", ED, "EdDSA",
     AS_IS, "not valid yet"},
    {"nbf a string", ED_HEADER, "{" FOR ",\"exp\":1700000300,\"nbf\":\"0\"}", ED, "EdDSA", AS_IS,
     "nbf is not a number"},
    {"sub a number", ED_HEADER, "{" FOR ",\"exp\":1700000300,\"sub\":0}", ED, "EdDSA", AS_IS,
     "sub is not a string"},
    {"access a string", ED_HEADER, "{" BASE ",\"access\":\"*\"}", ED, "EdDSA", AS_IS,
     "access is not a list"},
    {"access an object", ED_HEADER, "{" BASE ",\"access\":{\"type\":\"repository\"}}", ED, "EdDSA",
     AS_IS, "access is not a list"},
    {"access of strings", ED_HEADER, "{" BASE ",\"access\":[\"repository:a:pull\"]}", ED, "EdDSA",
     AS_IS, "no type or no name"},
    {"access without name", ED_HEADER,
     "{" BASE ",\"access\":[{\"type\":\"repository\",\"actions\":[\"pull\"]}]}", ED, "EdDSA", AS_IS,
     "no type or no name"},
    {"access with actions as text", ED_HEADER,
     "{" BASE ",\"access\":[{\"type\":\"repository\",\"name\":\"a\",\"actions\":\"pull\"}]}", ED,
     "EdDSA", AS_IS, "are not a list"},
    {"access with a number", ED_HEADER,
     "{" BASE ",\"access\":[{\"type\":\"repository\",\"name\":\"a\",\"actions\":[1]}]}", ED,
     "EdDSA", AS_IS, "is not a string"},
};

static char *with_signature(const char *token, const unsigned char *sig, size_t n)
{
    const char *dot = strrchr(token, '.') + 1;
    char *text = calloc(1, b64_encoded_room(n)), *out = NULL;
    assert_non_null(text);
    b64_encode(sig, n, B64_URL, text);
    assert_true(asprintf(&out, "%.*s%s", (int)(dot - token), token, text) > 0);
    free(text);
    return out;
}

/* The signature decoded, with room for more behind it. */
static unsigned char *signature_of(const char *token, size_t *n)
{
    struct slice text = slice_cstr(strrchr(token, '.') + 1);
    unsigned char *sig = calloc(1, b64_decoded_room(text.n) + 64);
    assert_non_null(sig);
    assert_int_equal(b64_decode(text, B64_URL, sig, n), 0);
    return sig;
}

static char *bend_signature(const struct world *w, const struct row *r, const char *token)
{
    size_t n = 0;
    unsigned char *sig = signature_of(token, &n);
    switch (r->bend) {
    case FLIPPED:
        sig[n / 2] ^= 1;
        break;
    case CUT:
        n -= 4;
        break;
    case LONGER:
        n += 3;
        break;
    case ZERO:
        memset(sig, 0, n);
        break;
    case FIELD:
        memset(sig, 0xff, n);
        break;
    case DER: {
        char *input = strndup(token, (size_t)(strrchr(token, '.') - token));
        free(sig);
        sig = sign_der(w, input, r->who, r->as, &n);
        free(input);
        break;
    }
    default:
        break;
    }
    char *out = with_signature(token, sig, n);
    free(sig);
    return out;
}

/* Parts exchanged, added, left out. */
static char *bend_parts(enum bend bend, const char *token)
{
    const char *dot = strchr(token, '.'), *last = strrchr(token, '.');
    char *out = NULL;
    int head = (int)(dot - token), signed_part = (int)(last - token);
    int n = -1;
    switch (bend) {
    case NO_SIGNATURE:
        n = asprintf(&out, "%.*s.", signed_part, token);
        break;
    case OTHER_PAYLOAD: /* {"sub":"root"} */
        n = asprintf(&out, "%.*s.eyJzdWIiOiJyb290In0%s", head, token, last);
        break;
    case OTHER_HEADER: /* {"alg":"none"} */
        n = asprintf(&out, "eyJhbGciOiJub25lIn0%s", dot);
        break;
    case PADDED:
        n = asprintf(&out, "%s==", token);
        break;
    case SPACE:
        n = asprintf(&out, "%.*s. %s", signed_part, token, last + 1);
        break;
    case NEWLINE:
        n = asprintf(&out, "%s\n", token);
        break;
    case TWO_PARTS:
        n = asprintf(&out, "%.*s", signed_part, token);
        break;
    case FOUR_PARTS:
        n = asprintf(&out, "%s.AAAA", token);
        break;
    case FIVE_PARTS:
        n = asprintf(&out, "%s.AAAA.AAAA", token);
        break;
    case NO_PARTS:
        n = asprintf(&out, "%.*s", head, token);
        break;
    case LARGE:
        n = asprintf(&out, "%s%0*d", token, TOKEN_BYTES_MAX, 0);
        break;
    case DOTS:
        n = asprintf(&out, "..");
        break;
    default:
        n = asprintf(&out, "%s", bend == EMPTY ? "" : token);
        break;
    }
    assert_true(n >= 0);
    return out;
}

/* 64 bytes of Ed25519 end in a digit of which two bits count. */
static char *bend_digits(enum bend bend, const char *token)
{
    char *out = strdup(token);
    assert_non_null(out);
    size_t n = strlen(out);
    if (bend == LOOSE_BITS)
        out[n - 1] = out[n - 1] == 'A'   ? 'B'
                     : out[n - 1] == 'Q' ? 'R'
                     : out[n - 1] == 'g' ? 'h'
                                         : 'x';
    if (bend == STANDARD)
        out[n - 5] = '+';
    return out;
}

static char *make(const struct world *w, const struct row *r)
{
    char *token = token_make(w, r->header, r->payload, r->who, r->as), *bent = NULL;
    switch (r->bend) {
    case FLIPPED:
    case CUT:
    case LONGER:
    case DER:
    case ZERO:
    case FIELD:
        bent = bend_signature(w, r, token);
        break;
    case LOOSE_BITS:
    case STANDARD:
        bent = bend_digits(r->bend, token);
        break;
    default:
        bent = bend_parts(r->bend, token);
        break;
    }
    free(token);
    return bent;
}

static void test_hostile(void **state)
{
    const struct world *w = *state;
    assert_true(ARRAY_LEN(rows) >= 60);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct token_claims claims = {.n_grants = 7};
        struct error err = {0};
        struct arena *a = arena_new(512);
        char *token = make(w, r);
        size_t n = strlen(token) + (r->bend == NUL ? 1 : 0);
        int rc =
            token_verify(w->keys, slice_make(token, n), ISSUER, SERVICE, NOW, a, &claims, &err);
        if (rc != -1 || err.code != ERR_UNAUTHORIZED || !strstr(err.detail, r->why))
            fail_msg("%s: %d, code %d, \"%s\" (expected: %s)", r->name, rc, err.code, err.detail,
                     r->why);
        assert_int_equal(claims.n_grants, 7); /* untouched */
        free(token);
        arena_free(a);
    }
}

/* A good one between the bad: nothing sticks to the keys or to OpenSSL's queue of errors. */
static void test_good_after_hostile(void **state)
{
    const struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i += 10) {
        struct token_claims claims = {0};
        struct error err = {0};
        struct arena *a = arena_new(512);
        char *bad = make(w, &rows[i]), *good = token_make(w, ED_HEADER, GOOD, ED, "EdDSA");
        (void)token_verify(w->keys, slice_cstr(bad), ISSUER, SERVICE, NOW, a, &claims, &err);
        assert_int_equal(
            token_verify(w->keys, slice_cstr(good), ISSUER, SERVICE, NOW, a, &claims, &err), 0);
        free(bad);
        free(good);
        arena_free(a);
    }
}

/* Lists of a hostile length, just below and just above what is accepted. */
static char *many(const char *head, const char *one, unsigned n, const char *tail)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, head);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? "," : "", one);
    buf_puts(&b, tail);
    char *out = buf_steal(&b, &(size_t){0});
    assert_non_null(out);
    return out;
}

static void test_bounds(void **state)
{
    const struct world *w = *state;
    static const struct {
        const char *head, *one, *tail, *why;
        unsigned most;
    } lists[] = {
        {"{" FOR ",\"exp\":1700000300,\"access\":[", "{\"type\":\"\",\"name\":\"\"}", "]}",
         "access has more than", 1000},
        {"{" FOR ",\"exp\":1700000300,\"access\":[{\"type\":\"r\",\"name\":\"a\",\"actions\":[",
         "\"pull\"", "]}]}", "more than 64 actions", 64},
        {"{\"iss\":\"the issuer\",\"exp\":1700000300,\"aud\":[\"registry.example\",", "\"x\"", "]}",
         "more than 100 audiences", 99},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (unsigned more = 0; more < 2; more++) {
            struct token_claims claims = {0};
            struct error err = {0};
            struct arena *a = arena_new(512);
            char *payload = many(lists[i].head, lists[i].one, lists[i].most + more, lists[i].tail);
            char *token = token_make(w, ED_HEADER, payload, ED, "EdDSA");
            int rc =
                token_verify(w->keys, slice_cstr(token), ISSUER, SERVICE, NOW, a, &claims, &err);
            /* 1000 entries are larger than a token may be */
            if (rc != (more ? -1 : 0) && !strstr(err.detail, "larger than"))
                fail_msg("list %zu, %u more: %d, %s", i, more, rc, err.detail);
            if (more && !strstr(err.detail, lists[i].why) && !strstr(err.detail, "larger than"))
                fail_msg("list %zu: %s", i, err.detail);
            free(token);
            free(payload);
            arena_free(a);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_good_after_hostile),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
