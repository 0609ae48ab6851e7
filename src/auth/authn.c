/* SPDX-License-Identifier: Apache-2.0 */
/* Placeholder until the authenticators are in: nobody has to log in. */
#include "auth/authn.h"

#include "base/util.h"

#include "base/banned.h"

int authn_new(const struct authn_config *config, struct authn **out, char **password,
              struct error *err)
{
    (void)config, (void)out, (void)password;
    return error_set(err, ERR_NOT_IMPLEMENTED, "no authenticators in this build");
}
struct authn *authn_ref(struct authn *a)
{
    return a;
}
void authn_unref(struct authn *a)
{
    (void)a;
}
enum authn_kind authn_kind_of(const struct authn *a)
{
    (void)a;
    return AUTHN_NONE;
}
bool authn_stale(struct authn *a)
{
    (void)a;
    return false;
}
enum authn_result authn_quick(struct authn *a, const struct authn_question *q, struct arena *arena,
                              struct principal *who, struct slice *challenge, struct error *err)
{
    (void)a, (void)q, (void)arena, (void)who, (void)challenge, (void)err;
    return AUTHN_OK;
}
enum authn_result authn_verify(struct authn *a, const struct authn_question *q, struct arena *arena,
                               struct principal *who, struct slice *challenge, struct error *err)
{
    return authn_quick(a, q, arena, who, challenge, err);
}
struct slice authn_challenge(struct authn *a, const struct authn_question *q, const char *error,
                             struct arena *arena)
{
    (void)a, (void)q, (void)error, (void)arena;
    return SLICE_NONE;
}
