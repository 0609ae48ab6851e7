/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/policy.h"

#include "base/util.h"

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

int policy_decide(const struct policy *p, const struct principal *who, enum action action,
                  struct slice repo, struct error *err)
{
    (void)
        who; /* everybody is anonymous until accounts arrive: the question is asked all the same */
    switch (action) {
    case ACTION_PING:
    case ACTION_PULL:
    case ACTION_CATALOG:
    case ACTION_HEALTH:
    case ACTION_METRICS:
        return 0;
    case ACTION_PUSH:
        if (p->read_only)
            return error_detail(err, ERR_UNSUPPORTED,
                                "the registry is read-only: nothing can be pushed to %.*s now",
                                SLICE_ARG(repo));
        return 0;
    case ACTION_DELETE:
        if (p->read_only)
            return error_detail(err, ERR_UNSUPPORTED,
                                "the registry is read-only: nothing can be deleted from %.*s now",
                                SLICE_ARG(repo));
        if (!p->delete_enabled)
            return error_detail(err, ERR_UNSUPPORTED,
                                "deletes are switched off: set storage.delete.enabled to true");
        return 0;
    case ACTION_NONE:
    case ACTION_COUNT:
        break;
    }
    return error_detail(err, ERR_DENIED, "no rule allows this action");
}
