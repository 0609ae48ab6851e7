/* SPDX-License-Identifier: Apache-2.0 */
/* The token itself: compact JWS (RFC 7515 7.1), its header, and the claims (RFC 7519) once the
 * signature is good. Nothing of the payload is believed before. */
#include "auth/token.h"

#include <inttypes.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "auth/encoding.h"
#include "auth/token_int.h"
#include "base/util.h"

#include "base/banned.h"

enum {
    ACCESS_MAX = 1000, /* entries */
    ACTIONS_MAX = 64,  /* of an entry */
    AUDIENCES_MAX = 100,
    SHOWN = 80 /* bytes of what a token says that an error repeats */
};

struct parts {
    struct slice input; /* what is signed: header, dot, payload, as they came */
    struct slice header, payload;
    unsigned char *signature;
    size_t n_signature;
};

#define REFUSE(err, ...) error_detail((err), ERR_UNAUTHORIZED, __VA_ARGS__)

/* ---- form ---- */

static int decode(struct slice text, const char *what, struct arena *a, struct slice *out,
                  struct error *err)
{
    unsigned char *p = arena_alloc(a, b64_decoded_room(text.n));
    size_t n = 0;
    if (text.n == 0 || b64_decode(text, B64_URL, p, &n))
        return REFUSE(err, "the token's %s is not base64url", what);
    *out = slice_make((const char *)p, n);
    return 0;
}

static int split(struct slice token, struct arena *a, struct parts *out, struct error *err)
{
    if (token.n > TOKEN_BYTES_MAX)
        return REFUSE(err, "the token is larger than %d bytes", TOKEN_BYTES_MAX);
    struct slice rest = token;
    struct slice header = slice_cut(&rest, '.');
    struct slice payload = rest.p ? slice_cut(&rest, '.') : SLICE_NONE;
    if (!payload.p || !rest.p || memchr(rest.p, '.', rest.n))
        return REFUSE(err, "the token does not have three parts");
    struct slice signature = SLICE_NONE;
    if (decode(header, "header", a, &out->header, err) ||
        decode(payload, "payload", a, &out->payload, err) ||
        decode(rest, "signature", a, &signature, err))
        return -1;
    out->input = slice_first(token, header.n + 1 + payload.n);
    out->signature = (unsigned char *)(uintptr_t)signature.p;
    out->n_signature = signature.n;
    return 0;
}

static int parse_object(struct slice text, const char *what, struct json_doc **doc,
                        struct error *err)
{
    if (jdoc_parse(text, ERR_UNAUTHORIZED, doc, NULL))
        return REFUSE(err, "the token's %s is not JSON", what);
    if (jv_kind(jdoc_root(*doc)) != JSON_OBJECT_)
        return REFUSE(err, "the token's %s is not a JSON object", what);
    return 0;
}

/* ---- key ---- */

static bool is_named(const struct token_key *k, struct slice kid)
{
    for (unsigned i = 0; i < k->n_ids; i++)
        if (slice_is(kid, k->ids[i]))
            return true;
    return false;
}

static int wrong_signature(struct error *err)
{
    return REFUSE(err, "the token's signature is wrong");
}

/* Against one key, which the token itself led to. */
static int verify_one(const struct token_key *key, const struct token_alg *alg,
                      const struct parts *p, struct error *err)
{
    if (!token_key_fits(key, alg))
        return REFUSE(err, "the token's alg %s does not fit its key", alg->name);
    return token_signed(key, alg, p->input, p->signature, p->n_signature) ? 0
                                                                          : wrong_signature(err);
}

/* Against the trusted keys of that name, or all when it names none; but for anybody's garbage no
 * more than some. */
static int verify_trusted(const struct token_keys *keys, const struct json_value *kid,
                          const struct token_alg *alg, const struct parts *p, struct error *err)
{
    struct slice name = jv_string(kid);
    unsigned named = 0, fit = 0;
    if (kid && !name.p)
        return REFUSE(err, "the token's kid is not a string");
    for (unsigned i = 0; i < keys->n; i++) {
        const struct token_key *k = &keys->v[i];
        if (name.n && !is_named(k, name))
            continue;
        named++;
        if (!token_key_fits(k, alg))
            continue;
        if (++fit > KEYS_TRIED_MAX)
            return REFUSE(err,
                          "more than %d trusted keys may have signed the token: it has to name one "
                          "by a kid of its own",
                          KEYS_TRIED_MAX);
        if (token_signed(k, alg, p->input, p->signature, p->n_signature))
            return 0;
    }
    if (!named)
        return REFUSE(err, "no trusted key has the token's kid \"%.*s\"",
                      SLICE_ARG(slice_first(name, SHOWN)));
    if (!fit)
        return REFUSE(err, "the token's alg %s does not fit its key", alg->name);
    return wrong_signature(err);
}

static int verify_chain(const struct token_keys *keys, const struct json_value *x5c,
                        const struct token_alg *alg, const struct parts *p, int64_t now_s,
                        EVP_PKEY *claimed, struct error *err)
{
    struct token_key key = {0};
    if (token_chain(keys, x5c, now_s, &key.pkey, err))
        return -1;
    int failed = claimed && EVP_PKEY_eq(claimed, key.pkey) != 1
                     ? REFUSE(err, "the token's jwk is not the key of its certificate")
                     : verify_one(&key, alg, p, err);
    token_key_release(&key);
    return failed;
}

/* A key inside of the token proves nothing (CVE-2025-24976). It has to be one that is trusted, by
 * its numbers and not by its name, or that of a certificate which is. */
static int verify_jwk(const struct token_keys *keys, const struct json_value *jwk,
                      const struct token_alg *alg, const struct parts *p, int64_t now_s,
                      struct error *err)
{
    struct token_key claimed = {0};
    struct error why = {0};
    if (jv_kind(jwk) != JSON_OBJECT_)
        return REFUSE(err, "the token's jwk is not an object");
    int r = token_jwk(jwk, false, &claimed, &why);
    if (r)
        return REFUSE(err, "the token's jwk is of no use: %s",
                      r < 0 ? why.detail : "not a key for signatures");
    const struct json_value *x5c = jv_get(jwk, "x5c");
    int failed = -1;
    if (x5c && keys->roots) {
        failed = verify_chain(keys, x5c, alg, p, now_s, claimed.pkey, err);
    } else {
        const struct token_key *trusted = NULL;
        for (unsigned i = 0; i < keys->n && !trusted; i++)
            if (keys->v[i].pkey && EVP_PKEY_eq(keys->v[i].pkey, claimed.pkey) == 1)
                trusted = &keys->v[i];
        failed = trusted ? verify_one(trusted, alg, p, err)
                         : REFUSE(err, "the token's jwk is not a trusted key");
    }
    token_key_release(&claimed);
    ERR_clear_error();
    return failed;
}

static int check_header(const struct token_keys *keys, const struct json_value *header,
                        const struct token_alg **out, struct error *err)
{
    struct slice name = jv_string(jv_get(header, "alg"));
    if (!name.p)
        return REFUSE(err, "the token's header has no alg");
    const struct token_alg *alg = token_alg_find(name);
    if (!alg || !(keys->allowed & 1U << (unsigned)(alg - token_algs)))
        return REFUSE(err, "the token's alg \"%.*s\" is not accepted",
                      SLICE_ARG(slice_first(name, SHOWN)));
    /* Whoever sends one asks that it be understood or the token refused (RFC 7515 4.1.11). */
    if (jv_get(header, "crit"))
        return REFUSE(err, "the token has critical header parameters (crit), and none is known");
    if (jv_get(header, "b64"))
        return REFUSE(err, "the token's payload is not encoded as tokens are (b64)");
    if (jv_get(header, "typ") && !jv_string(jv_get(header, "typ")).p)
        return REFUSE(err, "the token's typ is not a string");
    *out = alg;
    return 0;
}

static int verify_signature(const struct token_keys *keys, const struct parts *p, int64_t now_s,
                            struct error *err)
{
    CLEANUP_JSON struct json_doc *doc = NULL;
    const struct token_alg *alg = NULL;
    if (parse_object(p->header, "header", &doc, err))
        return -1;
    const struct json_value *header = jdoc_root(doc);
    if (check_header(keys, header, &alg, err))
        return -1;
    CHECK(alg);
    const struct json_value *x5c = jv_get(header, "x5c"), *jwk = jv_get(header, "jwk");
    if (x5c && keys->roots)
        return verify_chain(keys, x5c, alg, p, now_s, NULL, err);
    if (jwk)
        return verify_jwk(keys, jwk, alg, p, now_s, err);
    return verify_trusted(keys, jv_get(header, "kid"), alg, p, err);
}

/* ---- claims ---- */

/* NumericDate (RFC 7519 2): a number, also with a fraction, which is cut off. */
static int numeric_date(const struct json_value *v, const char *what, int64_t *out,
                        struct error *err)
{
    if (jv_int(v, out) == 0)
        return 0;
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, 64);
    if (jv_kind(v) != JSON_REAL_ || jv_dump(v, &text) || text.failed)
        return REFUSE(err, "the token's %s is not a number", what);
    double d = strtod(text.p, NULL);
    if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0))
        return REFUSE(err, "the token's %s is no date", what);
    *out = (int64_t)d;
    return 0;
}

static int check_times(const struct json_value *claims, int64_t now_s, int64_t *expires,
                       struct error *err)
{
    const struct json_value *nbf = jv_get(claims, "nbf"), *exp = jv_get(claims, "exp");
    int64_t from;
    if (!exp)
        return REFUSE(err, "the token has no exp");
    if (numeric_date(exp, "exp", expires, err))
        return -1;
    if (now_s - TOKEN_LEEWAY_S > *expires)
        return REFUSE(err, "the token has expired: exp is %" PRId64 ", it is now %" PRId64,
                      *expires, now_s);
    if (!nbf)
        return 0;
    if (numeric_date(nbf, "nbf", &from, err))
        return -1;
    if (now_s + TOKEN_LEEWAY_S < from)
        return REFUSE(err, "the token is not valid yet: nbf is %" PRId64 ", it is now %" PRId64,
                      from, now_s);
    return 0;
}

static int check_audience(const struct json_value *aud, const char *service, struct error *err)
{
    bool found = slice_is(jv_string(aud), service);
    if (jv_kind(aud) == JSON_ARRAY_) {
        if (jv_count(aud) > AUDIENCES_MAX)
            return REFUSE(err, "the token has more than %d audiences", AUDIENCES_MAX);
        for (size_t i = 0; i < jv_count(aud); i++) {
            struct slice one = jv_string(jv_at(aud, i));
            if (!one.p)
                return REFUSE(err, "the token's aud is not a list of strings");
            found = found || slice_is(one, service);
        }
    } else if (jv_kind(aud) != JSON_STRING_) {
        return REFUSE(err, "the token's aud is neither a string nor a list");
    }
    return found ? 0 : REFUSE(err, "the token is for another service than \"%s\" (aud)", service);
}

static int read_grant(const struct json_value *entry, struct arena *a, struct grant *out,
                      struct error *err)
{
    struct slice type = jv_string(jv_get(entry, "type")), name = jv_string(jv_get(entry, "name"));
    const struct json_value *actions = jv_get(entry, "actions");
    size_t n = jv_count(actions);
    if (!type.p || !name.p)
        return REFUSE(err, "an entry of the token's access has no type or no name");
    if (actions && jv_kind(actions) != JSON_NULL_ && jv_kind(actions) != JSON_ARRAY_)
        return REFUSE(err, "the actions of an entry of the token's access are not a list");
    if (n > ACTIONS_MAX)
        return REFUSE(err, "an entry of the token's access has more than %d actions", ACTIONS_MAX);
    struct slice *list = ARENA_ARRAY(a, struct slice, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct slice action = jv_string(jv_at(actions, i));
        if (!action.p)
            return REFUSE(err, "an action of the token's access is not a string");
        list[i] = arena_slice(a, action);
    }
    *out = (struct grant){.type = arena_slice(a, type),
                          .name = arena_slice(a, name),
                          .actions = list,
                          .n_actions = (unsigned)n};
    return 0;
}

static int read_access(const struct json_value *access, struct arena *a, struct token_claims *out,
                       struct error *err)
{
    size_t n = jv_count(access);
    if (!access || jv_kind(access) == JSON_NULL_)
        return 0;
    if (jv_kind(access) != JSON_ARRAY_)
        return REFUSE(err, "the token's access is not a list");
    if (n > ACCESS_MAX)
        return REFUSE(err, "the token's access has more than %d entries", ACCESS_MAX);
    out->grants = ARENA_ARRAY(a, struct grant, n + 1);
    for (size_t i = 0; i < n; i++)
        if (read_grant(jv_at(access, i), a, &out->grants[i], err))
            return -1;
    out->n_grants = (unsigned)n;
    return 0;
}

static int read_claims(struct slice payload, const char *issuer, const char *service, int64_t now_s,
                       struct arena *a, struct token_claims *out, struct error *err)
{
    CLEANUP_JSON struct json_doc *doc = NULL;
    struct token_claims claims = {0};
    if (parse_object(payload, "payload", &doc, err))
        return -1;
    const struct json_value *root = jdoc_root(doc), *sub = jv_get(root, "sub");
    struct slice iss = jv_string(jv_get(root, "iss"));
    if (!iss.p || !slice_is(iss, issuer))
        return REFUSE(err, "the token is of another issuer than \"%s\" (iss)", issuer);
    if (check_audience(jv_get(root, "aud"), service, err) ||
        check_times(root, now_s, &claims.expires_s, err))
        return -1;
    if (sub && jv_kind(sub) != JSON_NULL_ && !jv_string(sub).p)
        return REFUSE(err, "the token's sub is not a string");
    claims.subject = arena_slice(a, jv_string(sub));
    if (read_access(jv_get(root, "access"), a, &claims, err))
        return -1;
    *out = claims;
    return 0;
}

int token_verify(const struct token_keys *k, struct slice token, const char *issuer,
                 const char *service, int64_t now_s, struct arena *a, struct token_claims *out,
                 struct error *err)
{
    struct parts p = {0};
    return split(token, a, &p, err) || verify_signature(k, &p, now_s, err) ||
                   read_claims(p.payload, issuer, service, now_s, a, out, err)
               ? -1
               : 0;
}
