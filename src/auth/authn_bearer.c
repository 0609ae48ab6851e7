/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of an outside server (RFC 6750, Docker's token protocol). A token that verified is known
 * by its keyed hash until it expires, so that its later requests cost a hash and no signature. */
#include <stdlib.h>

#include "auth/authn_int.h"
#include "base/util.h"

#include "base/banned.h"

enum { GOOD = 1 };

/* What a token says, shared by the memo and the requests under way. */
struct bearer {
    atomic_uint refs;
    struct arena *arena;
    struct token_claims claims;
};

static void bearer_ref(void *p)
{
    struct bearer *b = p;
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

static void bearer_unref(void *p)
{
    struct bearer *b = p;
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(b->arena);
    free(b);
}

const struct memo_value bearer_value = {.ref = bearer_ref, .unref = bearer_unref};

/* Takes the reference. */
static enum authn_result admitted(struct authn *a, struct bearer *b, struct arena *arena,
                                  struct principal *who, enum outcome outcome)
{
    arena_on_free(arena, bearer_unref, b);
    *who = (struct principal){.name = b->claims.subject,
                              .limited = true,
                              .grants = b->claims.grants,
                              .n_grants = b->claims.n_grants};
    count(a, outcome);
    return AUTHN_OK;
}

static int token_of(const struct authn_question *q, struct slice *token, const char **why,
                    struct error *err)
{
    *why = NULL;
    if (!credentials_of(q->authorization, "Bearer", token))
        return error_detail(err, ERR_UNAUTHORIZED,
                            q->authorization.n
                                ? "the login has to be a token, of the scheme Bearer"
                                : "this needs a token: ask the server that the challenge names");
    *why = "invalid_token";
    if (token->n == 0 || token->n > TOKEN_BYTES_MAX)
        return error_detail(err, ERR_UNAUTHORIZED, "the token has %zu bytes: 1 to %d are accepted",
                            token->n, TOKEN_BYTES_MAX);
    return 0;
}

/* Other keys, other hash: nothing is remembered of what other keys verified. */
static void key_of(const struct authn *a, const struct material *m, struct slice token,
                   struct mac *out)
{
    struct slice parts[] = {SLICE_LIT("token"), slice_cstr(m->generation), token};
    secret_mac(&a->secret, parts, ARRAY_LEN(parts), out);
}

static struct bearer *known(struct authn *a, const struct material *m,
                            const struct authn_question *q, struct slice token, struct mac *key)
{
    void *value = NULL;
    key_of(a, m, token, key);
    return memo_get(a->good, key, q->now_s, 0, &value) ? value : NULL;
}

enum authn_result bearer_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, const char **why, struct error *err)
{
    struct slice token;
    struct mac key;
    if (token_of(q, &token, why, err)) {
        count(a, OUTCOME_REFUSED);
        return AUTHN_REFUSED;
    }
    struct material *m = material_get(a);
    struct bearer *b = known(a, m, q, token, &key);
    material_unref(m);
    return b ? admitted(a, b, arena, who, OUTCOME_CACHED) : AUTHN_SLOW;
}

static struct bearer *verify(struct authn *a, const struct material *m,
                             const struct authn_question *q, struct slice token,
                             const struct mac *key, struct error *err)
{
    struct bearer *b = xcalloc(1, sizeof *b);
    atomic_init(&b->refs, 1);
    b->arena = arena_new(1024);
    if (token_verify(m->keys, token, a->issuer, a->service, q->now_s, b->arena, &b->claims, err)) {
        bearer_unref(b);
        return NULL;
    }
    if (b->claims.expires_s > q->now_s)
        memo_put(a->good, key, GOOD, q->now_s, b->claims.expires_s, b);
    return b;
}

enum authn_result bearer_verify(struct authn *a, const struct authn_question *q,
                                struct arena *arena, struct principal *who, const char **why,
                                struct error *err)
{
    struct slice token;
    struct mac key;
    enum outcome outcome = OUTCOME_CACHED;
    struct bearer *b = NULL;
    material_refresh(a, q->now_s);
    if (!token_of(q, &token, why, err)) {
        struct material *m = material_get(a);
        b = known(a, m, q, token, &key);
        if (!b) {
            outcome = OUTCOME_OK;
            b = verify(a, m, q, token, &key, err);
        }
        material_unref(m);
    }
    if (b)
        return admitted(a, b, arena, who, outcome);
    count(a, OUTCOME_REFUSED);
    return AUTHN_REFUSED;
}
