/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/policy.h"

#include "base/buf.h"
#include "base/util.h"
#include "oci/digest.h"

#include "base/banned.h"

const char *action_name(enum action a)
{
    static const char *const names[ACTION_COUNT] = {
#define ACTION_NAME(sym, name) [sym] = (name),
        POLICY_ACTIONS(ACTION_NAME)
#undef ACTION_NAME
    };
    return (unsigned)a < ACTION_COUNT ? names[a] : "unknown";
}

/* ---- what a token grants ---- */

/* "*" is every action, as registry has it (actionSet.contains in registry/auth/token/util.go). */
static bool grants(const struct grant *g, const char *action)
{
    for (unsigned i = 0; i < g->n_actions; i++)
        if (slice_is(g->actions[i], action) || slice_is(g->actions[i], "*"))
            return true;
    return false;
}

bool policy_holds(const struct principal *who, const char *type, struct slice name,
                  const char *action)
{
    if (!who->limited)
        return true;
    for (unsigned i = 0; i < who->n_grants; i++) {
        const struct grant *g = &who->grants[i];
        if (slice_is(g->type, type) && slice_eq(g->name, name) && grants(g, action))
            return true;
    }
    return false;
}

/* What the actions need, in Docker's words. NULL: nothing of the kind. */
static const char *needed(enum action action, bool *push)
{
    *push = action == ACTION_PUSH;
    switch (action) {
    case ACTION_PULL:
    case ACTION_PUSH:
        return "pull";
    case ACTION_DELETE:
        return "delete";
    default:
        return NULL;
    }
}

void policy_scope(enum action action, struct slice repo, struct slice from, struct buf *out)
{
    bool push;
    const char *need = needed(action, &push);
    if (action == ACTION_CATALOG)
        buf_puts(out, "registry:catalog:*");
    if (!need || repo.n == 0)
        return;
    buf_printf(out, "repository:%.*s:%s%s", SLICE_ARG(repo), need, push ? ",push" : "");
    /* `from` is the client's word: only what can be a name stands in a challenge. */
    if (from.n && !slice_eq(from, repo) && oci_name_check(from, NULL) == 0)
        buf_printf(out, " repository:%.*s:pull", SLICE_ARG(from));
}

static bool may(const struct principal *who, enum action action, struct slice repo)
{
    bool push;
    const char *need = needed(action, &push);
    if (action == ACTION_PING) /* "is this login right": any */
        return true;
    if (action == ACTION_CATALOG)
        return policy_holds(who, "registry", SLICE_LIT("catalog"), "*");
    return need && policy_holds(who, "repository", repo, need) &&
           (!push || policy_holds(who, "repository", repo, "push"));
}

static int lacks_scope(enum action action, struct slice repo, struct error *err)
{
    CLEANUP_BUF struct buf scope = {0};
    buf_init(&scope, 1024);
    policy_scope(action, repo, SLICE_NONE, &scope);
    return error_detail(err, ERR_UNAUTHORIZED, "the token does not grant %.*s",
                        SLICE_ARG(buf_view(&scope)));
}

/* ---- the decision ---- */

/* May they, as far as it depends on who asks? Before anything that depends on the settings: they
 * are nobody's business who may not do it anyway. */
static int decide_who(const struct policy *p, const struct principal *who, enum action action,
                      struct slice repo, struct error *err)
{
    if (action == ACTION_HEALTH || action == ACTION_METRICS)
        return 0;
    if (p->login && !who->limited && who->name.n == 0)
        return error_detail(err, ERR_UNAUTHORIZED, "this needs a login");
    return may(who, action, repo) ? 0 : lacks_scope(action, repo, err);
}

int policy_decide(const struct policy *p, const struct principal *who, enum action action,
                  struct slice repo, struct error *err)
{
    if (action == ACTION_NONE || (unsigned)action >= ACTION_COUNT)
        return error_detail(err, ERR_DENIED, "no rule allows this action");
    if (decide_who(p, who, action, repo, err))
        return -1;
    if (action == ACTION_PUSH && p->read_only)
        return error_detail(err, ERR_UNSUPPORTED,
                            "the registry is read-only: nothing can be pushed to %.*s now",
                            SLICE_ARG(repo));
    if (action == ACTION_DELETE && p->read_only)
        return error_detail(err, ERR_UNSUPPORTED,
                            "the registry is read-only: nothing can be deleted from %.*s now",
                            SLICE_ARG(repo));
    if (action == ACTION_DELETE && !p->delete_enabled)
        return error_detail(err, ERR_UNSUPPORTED,
                            "deletes are switched off: set storage.delete.enabled to true");
    return 0;
}
