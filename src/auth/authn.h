/* SPDX-License-Identifier: Apache-2.0 */
/* Who is it? One authenticator per server, of one kind; replaced as a whole by a reload. From an
 * Authorization header to a principal, or to a challenge. Knows nothing of HTTP requests.
 *
 * Two steps, so that the usual case costs no worker: authn_quick never blocks (caches, no
 * credentials, malformed credentials, plain refusals) and runs on a loop; when it says
 * AUTHN_SLOW, authn_verify does the work (bcrypt, signatures) in a worker. */
#ifndef AUTH_AUTHN_H
#define AUTH_AUTHN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/policy.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/slice.h"

enum authn_kind { AUTHN_NONE, AUTHN_SILLY, AUTHN_HTPASSWD, AUTHN_TOKEN };

struct authn_config {
    enum authn_kind kind;
    const char *realm, *service, *issuer;
    const char *path;                    /* htpasswd */
    bool must_exist;                     /* the htpasswd file is not made when it is missing */
    const char *root_cert_bundle, *jwks; /* token; NULL or empty when not given */
    const char *const *algorithms;       /* token: none for all */
    unsigned n_algorithms;
    bool autoredirect; /* token: realm is https://<Host><autoredirect_path>, or http where a
                          proxy says that the client speaks that */
    const char *autoredirect_path; /* default /auth/token */
    struct metrics *metrics;       /* may be NULL */
};

struct authn; /* reference counted; any thread */

/* Reads the files. A missing htpasswd file is made with the user `docker` and a random password,
 * which is given out once: *password (caller frees; else NULL), for the log as registry does it;
 * unless it must exist. */
int authn_new(const struct authn_config *config, struct authn **out, char **password,
              struct error *err);
struct authn *authn_ref(struct authn *a);
void authn_unref(struct authn *a);
enum authn_kind authn_kind_of(const struct authn *a);

/* What an administrator should know. */
struct authn_status {
    unsigned entries;     /* users, or keys */
    unsigned ignored;     /* lines of the htpasswd file that are no bcrypt */
    bool failed;          /* a changed file could not be read: what was there before counts */
    struct error problem; /* why */
};
void authn_status(struct authn *a, struct authn_status *out); /* any thread */
/* For who watches the files: reads them again when they have changed, or could not be read the last
 * time. What is known of logins stays but for entries that changed, and so do the limits on
 * failures. True once for each change, also for one that authn_verify has read by itself meanwhile:
 * *out says what came of it. Blocks. */
bool authn_refresh(struct authn *a, struct authn_status *out);

/* What a request wants, for tokens' scopes and challenges. */
struct authn_question {
    struct slice authorization; /* the header's value; SLICE_NONE when there is none */
    struct slice peer;          /* address without port, for the limit on failures */
    enum action action;
    struct slice repo; /* empty where there is none */
    struct slice from; /* repository that a mount reads from, or empty */
    struct slice host; /* Host as the client sees it, for autoredirect */
    bool plain;        /* a proxy says that the client speaks http, for autoredirect */
    int64_t now_s;     /* seconds since 1970 */
};

enum authn_result {
    AUTHN_OK,      /* *who is filled */
    AUTHN_REFUSED, /* err (ERR_UNAUTHORIZED, or ERR_TOOMANYREQUESTS), and the challenge */
    AUTHN_SLOW     /* ask authn_verify in a worker: POOL_SLOW for passwords, POOL_AUTH for tokens */
};

/* Fills *who (in the arena; with AUTHN_REFUSED its name may be what the client claims, for the log)
 * or the text of WWW-Authenticate (*challenge, in the arena; empty for
 * none: kind NONE, and 429). */
enum authn_result authn_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                              struct principal *who, struct slice *challenge, struct error *err);
enum authn_result authn_verify(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, struct slice *challenge, struct error *err);
/* The challenge for a principal that is known but not allowed by its token (insufficient_scope). */
struct slice authn_challenge(struct authn *a, const struct authn_question *q, const char *error,
                             struct arena *arena);

#endif
