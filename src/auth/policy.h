/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that decides: principal x action x resource -> allow, or a reason. Pure, any
 * thread. */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

/* X(symbol, name): what a route does, in the words of Docker's token scopes where it has one. */
#define POLICY_ACTIONS(X)                                                                        \
    X(ACTION_NONE, "none") /* no row may have this: a route without a decision does not start */ \
    X(ACTION_PING, "ping") /* the base path */                                                   \
    X(ACTION_PULL, "pull") /* read a repository */                                               \
    X(ACTION_PUSH, "push") /* write to a repository */                                           \
    X(ACTION_DELETE, "delete")   /* delete from a repository */                                  \
    X(ACTION_CATALOG, "catalog") /* list repositories */                                         \
    X(ACTION_HEALTH, "health")   /* liveness and readiness */                                    \
    X(ACTION_METRICS, "metrics") /* the debug listener's metrics */

enum action {
#define ACTION_ENUM(sym, name) sym,
    POLICY_ACTIONS(ACTION_ENUM)
#undef ACTION_ENUM
        ACTION_COUNT
};

/* One entry of a token's `access`: type ("repository", "registry"), name, and actions. */
struct grant {
    struct slice type, name;
    struct slice *actions;
    unsigned n_actions;
};

struct principal {
    struct slice name; /* empty: anonymous */
    bool limited;      /* may do what the grants say and nothing else (a token); otherwise all that
                          the policy allows to a login */
    const struct grant *grants;
    unsigned n_grants;
};

struct policy {
    bool login;          /* some login is configured: who is anonymous may do nothing */
    bool read_only;      /* no push, no delete */
    bool delete_enabled; /* deletes of manifests, tags and blobs */
};

const char *action_name(enum action a);
/* 0 to allow, or -1 with ERR_UNAUTHORIZED, ERR_DENIED or ERR_UNSUPPORTED and a detail that says
 * why. `repo` is empty where there is none. */
int policy_decide(const struct policy *p, const struct principal *who, enum action action,
                  struct slice repo, struct error *err);
/* Does the principal hold this, by a grant or because it is not limited? As Docker's tokens have
 * it: GET and HEAD need pull, POST, PUT and PATCH pull and push, DELETE delete, the catalog
 * registry:catalog:*; names match exactly, "*" among the actions is every action. */
bool policy_holds(const struct principal *who, const char *type, struct slice name,
                  const char *action);
/* "repository:a/b:pull,push" for a challenge; empty where no scope is needed. `from` (or empty)
 * adds its own pull. Into `out`. */
struct buf;
void policy_scope(enum action action, struct slice repo, struct slice from, struct buf *out);

#endif
