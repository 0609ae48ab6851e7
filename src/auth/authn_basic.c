/* SPDX-License-Identifier: Apache-2.0 */
/* Names and passwords (RFC 7617) against an htpasswd file.
 *
 * bcrypt is slow by design, so it is rationed: what was right or wrong is remembered under a keyed
 * hash for a while, requests with the same credentials wait for one verification, and who fails too
 * often is refused before it. The keyed hash covers the entry of the file, so that nothing is
 * remembered of an entry that has changed. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/authn_int.h"
#include "auth/encoding.h"
#include "base/util.h"

#include "base/banned.h"

enum { TRIED_ADMITTED = 1, TRIED_BAD };
enum { GOOD = 1 };
enum { CREDENTIALS_MAX = 1024 }; /* base64 characters */

struct login {
    char text[CREDENTIALS_MAX]; /* decoded */
    struct slice user, password;
    struct material *material; /* a reference */
    const char *hash;          /* of the file; NULL: no such user */
    struct mac key;            /* of user, password and hash */
    struct mac address_key, user_key;
};

bool credentials_of(struct slice authorization, const char *scheme, struct slice *out)
{
    struct slice rest = slice_trim(authorization);
    struct slice name = slice_cut(&rest, ' ');
    if (!rest.p || !slice_ieq(name, slice_cstr(scheme)))
        return false;
    *out = slice_trim(rest);
    return true;
}

static int parse(struct slice authorization, struct login *l, struct error *err)
{
    struct slice encoded;
    size_t n;
    if (!authorization.n)
        return error_detail(err, ERR_UNAUTHORIZED, "this needs a login with name and password");
    if (!credentials_of(authorization, "Basic", &encoded))
        return error_detail(err, ERR_UNAUTHORIZED, "the login has to be of the scheme Basic");
    if (encoded.n > CREDENTIALS_MAX ||
        b64_decode(encoded, B64_STANDARD, (unsigned char *)l->text, &n))
        return error_detail(err, ERR_UNAUTHORIZED,
                            "the credentials are not base64 of USER:PASSWORD");
    struct slice password = slice_make(l->text, n);
    struct slice user = slice_cut(&password, ':');
    if (!password.p || memchr(l->text, '\0', n))
        return error_detail(err, ERR_UNAUTHORIZED, "the credentials are not USER:PASSWORD");
    if (user.n == 0)
        return error_detail(err, ERR_UNAUTHORIZED, "the name of the user is empty");
    if (password.n > HTPASSWD_PASSWORD_MAX)
        return error_detail(err, ERR_UNAUTHORIZED, "the password is longer than %d bytes",
                            HTPASSWD_PASSWORD_MAX);
    l->user = user;
    l->password = password;
    return 0;
}

/* Who owns an IPv6 address owns its /64. */
static void address_key(struct authn *a, struct slice peer, struct mac *out)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct slice parts[2] = {SLICE_LIT("address"), peer};
    if (peer.n > 2 && peer.p[0] == '[' && peer.p[peer.n - 1] == ']')
        peer = slice_make(peer.p + 1, peer.n - 2);
    peer = slice_cut(&peer, '%');
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(peer));
    if (inet_pton(AF_INET6, text, &v6) == 1)
        parts[1] = IN6_IS_ADDR_V4MAPPED(&v6) ? slice_make((const char *)&v6.s6_addr[12], 4)
                                             : slice_make((const char *)v6.s6_addr, 8);
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1)
        parts[1] = slice_make((const char *)&v4, sizeof v4);
    secret_mac(&a->secret, parts, ARRAY_LEN(parts), out);
}

static void look_up(struct authn *a, const struct authn_question *q, struct login *l)
{
    material_unref(l->material);
    l->material = material_get(a);
    l->hash = htpasswd_find(l->material->passwords, l->user);
    struct slice parts[] = {SLICE_LIT("login"), l->user, l->password,
                            l->hash ? slice_cstr(l->hash) : SLICE_LIT("")};
    struct slice user[] = {SLICE_LIT("user"), l->user};
    secret_mac(&a->secret, parts, ARRAY_LEN(parts), &l->key);
    secret_mac(&a->secret, user, ARRAY_LEN(user), &l->user_key);
    address_key(a, q->peer, &l->address_key);
}

static void login_release(struct login *l)
{
    material_unref(l->material);
    explicit_bzero(l, sizeof *l);
}

static enum authn_result admitted(struct authn *a, const struct login *l, struct arena *arena,
                                  struct principal *who, enum outcome outcome)
{
    *who = (struct principal){.name = arena_slice(arena, l->user)};
    count(a, outcome);
    return AUTHN_OK;
}

static enum authn_result refused(struct authn *a, struct error *err)
{
    error_detail(err, ERR_UNAUTHORIZED, "the name or the password is wrong");
    count(a, OUTCOME_REFUSED);
    return AUTHN_REFUSED;
}

static enum authn_result quick(struct authn *a, const struct authn_question *q, struct login *l,
                               struct arena *arena, struct principal *who, struct error *err)
{
    look_up(a, q, l);
    if (memo_get(a->good, &l->key, q->now_s, GOOD_S, NULL))
        return admitted(a, l, arena, who, OUTCOME_CACHED);
    switch (memo_get(a->tried_passwords, &l->key, q->now_s, 0, NULL)) {
    case TRIED_BAD:
        return refused(a, err);
    case TRIED_ADMITTED: /* the same credentials are on their way to bcrypt */
        return AUTHN_SLOW;
    default:
        break;
    }
    if (!limiter_admit(a->limiter, &l->address_key, &l->user_key, q->now_s)) {
        error_detail(err, ERR_TOOMANYREQUESTS,
                     "too many logins from this address or for this user failed, or are being "
                     "checked: wait a second");
        count(a, OUTCOME_LIMITED);
        return AUTHN_REFUSED;
    }
    memo_put(a->tried_passwords, &l->key, TRIED_ADMITTED, q->now_s, q->now_s + ADMITTED_S, NULL);
    return AUTHN_SLOW;
}

/* Who said to be it, for the log. */
static void name_refused(enum authn_result result, const struct login *l, struct arena *arena,
                         struct principal *who)
{
    if (result == AUTHN_REFUSED)
        *who = (struct principal){.name = arena_slice(arena, l->user)};
}

enum authn_result basic_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                              struct principal *who, struct error *err)
{
    struct login l;
    memset(&l, 0, sizeof l);
    enum authn_result result = AUTHN_REFUSED;
    if (parse(q->authorization, &l, err))
        count(a, OUTCOME_REFUSED);
    else
        result = quick(a, q, &l, arena, who, err);
    name_refused(result, &l, arena, who);
    login_release(&l);
    return result;
}

/* ---- in a worker ---- */

/* Waits until nobody else verifies these credentials; then they are ours to verify. */
static void flight_begin(struct authn *a, struct flight *f)
{
    pthread_mutex_lock(&a->flights_lock);
    for (;;) {
        struct flight *at = a->flights;
        while (at && !secret_equal(at->key.p, f->key.p, MAC_BYTES))
            at = at->next;
        if (!at)
            break;
        pthread_cond_wait(&a->flights_ended, &a->flights_lock);
    }
    f->next = a->flights;
    a->flights = f;
    pthread_mutex_unlock(&a->flights_lock);
}

static void flight_end(struct authn *a, const struct flight *f)
{
    pthread_mutex_lock(&a->flights_lock);
    struct flight **at = &a->flights;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    pthread_cond_broadcast(&a->flights_ended);
    pthread_mutex_unlock(&a->flights_lock);
}

static enum authn_result verify(struct authn *a, const struct authn_question *q,
                                const struct login *l, struct arena *arena, struct principal *who,
                                struct error *err)
{
    /* Another request with the same credentials may have been first. */
    if (memo_get(a->good, &l->key, q->now_s, GOOD_S, NULL))
        return admitted(a, l, arena, who, OUTCOME_CACHED);
    if (memo_get(a->tried_passwords, &l->key, q->now_s, 0, NULL) == TRIED_BAD)
        return refused(a, err);
    const char *hash = l->hash ? l->hash : htpasswd_decoy(l->material->passwords);
    bool right = password_verify(hash, l->password) && l->hash;
    if (!right) {
        memo_put(a->tried_passwords, &l->key, TRIED_BAD, q->now_s, q->now_s + BAD_S, NULL);
        limiter_blame(a->limiter, &l->address_key, &l->user_key, q->now_s);
        return refused(a, err);
    }
    memo_put(a->good, &l->key, GOOD, q->now_s, q->now_s + GOOD_S, NULL);
    limiter_forgive(a->limiter, &l->address_key, &l->user_key, q->now_s);
    return admitted(a, l, arena, who, OUTCOME_OK);
}

enum authn_result basic_verify(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, struct error *err)
{
    struct login l;
    memset(&l, 0, sizeof l);
    material_refresh(a, q->now_s);
    enum authn_result result = AUTHN_REFUSED;
    if (parse(q->authorization, &l, err)) {
        count(a, OUTCOME_REFUSED);
    } else {
        look_up(a, q, &l);
        struct flight f = {.key = l.key};
        flight_begin(a, &f);
        result = verify(a, q, &l, arena, who, err);
        flight_end(a, &f);
    }
    name_refused(result, &l, arena, who);
    login_release(&l);
    return result;
}
