/* SPDX-License-Identifier: Apache-2.0 */
/* The decision for every action under every policy, as a table: a new action without a row fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/policy.h"
#include "base/buf.h"
#include "base/util.h"

static const struct {
    enum action action;
    bool read_only, delete_enabled;
    enum error_code want; /* ERR_NONE: allowed */
} rows[] = {
    {ACTION_NONE, false, true, ERR_DENIED},         {ACTION_NONE, true, true, ERR_DENIED},
    {ACTION_NONE, false, false, ERR_DENIED},        {ACTION_NONE, true, false, ERR_DENIED},
    {ACTION_PING, false, true, ERR_NONE},           {ACTION_PING, true, true, ERR_NONE},
    {ACTION_PING, false, false, ERR_NONE},          {ACTION_PING, true, false, ERR_NONE},
    {ACTION_PULL, false, true, ERR_NONE},           {ACTION_PULL, true, true, ERR_NONE},
    {ACTION_PULL, false, false, ERR_NONE},          {ACTION_PULL, true, false, ERR_NONE},
    {ACTION_PUSH, false, true, ERR_NONE},           {ACTION_PUSH, true, true, ERR_UNSUPPORTED},
    {ACTION_PUSH, false, false, ERR_NONE},          {ACTION_PUSH, true, false, ERR_UNSUPPORTED},
    {ACTION_DELETE, false, true, ERR_NONE},         {ACTION_DELETE, true, true, ERR_UNSUPPORTED},
    {ACTION_DELETE, false, false, ERR_UNSUPPORTED}, {ACTION_DELETE, true, false, ERR_UNSUPPORTED},
    {ACTION_CATALOG, false, true, ERR_NONE},        {ACTION_CATALOG, true, true, ERR_NONE},
    {ACTION_CATALOG, false, false, ERR_NONE},       {ACTION_CATALOG, true, false, ERR_NONE},
    {ACTION_HEALTH, false, true, ERR_NONE},         {ACTION_HEALTH, true, true, ERR_NONE},
    {ACTION_HEALTH, false, false, ERR_NONE},        {ACTION_HEALTH, true, false, ERR_NONE},
    {ACTION_METRICS, false, true, ERR_NONE},        {ACTION_METRICS, true, true, ERR_NONE},
    {ACTION_METRICS, false, false, ERR_NONE},       {ACTION_METRICS, true, false, ERR_NONE},
};

static void test_every_cell(void **state)
{
    (void)state;
    unsigned seen[ACTION_COUNT] = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy p = {.read_only = rows[i].read_only,
                           .delete_enabled = rows[i].delete_enabled};
        struct principal who = {.name = SLICE_NONE};
        struct error err = {0};
        int got = policy_decide(&p, &who, rows[i].action, SLICE_LIT("a/b"), &err);
        assert_int_equal(got, rows[i].want == ERR_NONE ? 0 : -1);
        assert_int_equal(err.code, rows[i].want);
        if (rows[i].want != ERR_NONE)
            assert_true(err.detail[0] != '\0');
        seen[rows[i].action]++;
    }
    for (unsigned a = 0; a < ACTION_COUNT; a++)
        assert_int_equal(seen[a], 4);
}

static void test_unknown_action_is_denied(void **state)
{
    (void)state;
    struct policy p = {.delete_enabled = true};
    struct principal who = {.name = SLICE_NONE};
    struct error err = {0};
    assert_int_equal(policy_decide(&p, &who, ACTION_COUNT, SLICE_NONE, &err), -1);
    assert_int_equal(err.code, ERR_DENIED);
}

/* ---- who asks ---- */

enum who { ANONYMOUS, USER, PULLER, PUSHER, PUSH_ONLY, DELETER, LISTER, STAR, NOTHING, OTHER, WHO };

static struct slice pull[] = {SLICE_LIT("pull")};
static struct slice push_pull[] = {SLICE_LIT("push"), SLICE_LIT("pull")};
static struct slice push[] = {SLICE_LIT("push")};
static struct slice delete[] = {SLICE_LIT("delete")};
static struct slice star[] = {SLICE_LIT("*")};

#define REPO(name, list)                                                \
    {                                                                   \
        SLICE_LIT("repository"), SLICE_LIT(name), list, ARRAY_LEN(list) \
    }
static const struct grant puller[] = {REPO("x", push_pull), REPO("a/b", pull)};
static const struct grant pusher[] = {REPO("a/b", push), REPO("a/b", pull)}; /* in two entries */
static const struct grant push_only[] = {REPO("a/b", push)};
static const struct grant deleter[] = {REPO("a/b", delete)};
static const struct grant lister[] = {
    {SLICE_LIT("registry"), SLICE_LIT("catalog"), star, ARRAY_LEN(star)}};
static const struct grant starred[] = {REPO("a/b", star)};
static const struct grant nothing[] = {{SLICE_LIT("repository"), SLICE_LIT("a/b"), NULL, 0}};
static const struct grant other[] = {REPO("a/bb", push_pull),
                                     REPO("A/b", push_pull),
                                     REPO("a", push_pull),
                                     REPO("*", push_pull),
                                     {SLICE_LIT("Repository"), SLICE_LIT("a/b"), push_pull, 2},
                                     {SLICE_LIT("repository(plugin)"), SLICE_LIT("a/b"), pull, 1},
                                     {SLICE_LIT("registry"), SLICE_LIT("catalog"), pull, 1}};
#define LIMITED(g)                                               \
    {                                                            \
        .limited = true, .grants = (g), .n_grants = ARRAY_LEN(g) \
    }
static const struct principal people[WHO] = {
    [ANONYMOUS] = {.limited = false}, [USER] = {.name = SLICE_LIT("alice")},
    [PULLER] = LIMITED(puller),       [PUSHER] = LIMITED(pusher),
    [PUSH_ONLY] = LIMITED(push_only), [DELETER] = LIMITED(deleter),
    [LISTER] = LIMITED(lister),       [STAR] = LIMITED(starred),
    [NOTHING] = LIMITED(nothing),     [OTHER] = LIMITED(other),
};

/* Where a login is configured: y, or n for 401. */
static const struct {
    enum action action;
    const char *may; /* in the order of enum who */
} logged_in[] = {
    {ACTION_PING, "nyyyyyyyyy"},    {ACTION_PULL, "nyyynnnynn"},    {ACTION_PUSH, "nynynnnynn"},
    {ACTION_DELETE, "nynnnynynn"},  {ACTION_CATALOG, "nynnnnynnn"}, {ACTION_HEALTH, "yyyyyyyyyy"},
    {ACTION_METRICS, "yyyyyyyyyy"},
};

static void test_every_principal(void **state)
{
    (void)state;
    struct policy p = {.login = true, .delete_enabled = true};
    assert_int_equal(ARRAY_LEN(logged_in), ACTION_COUNT - 1); /* all but ACTION_NONE */
    for (size_t i = 0; i < ARRAY_LEN(logged_in); i++) {
        assert_int_equal(strlen(logged_in[i].may), WHO);
        for (unsigned w = 0; w < WHO; w++) {
            struct error err = {0};
            int got = policy_decide(&p, &people[w], logged_in[i].action, SLICE_LIT("a/b"), &err);
            bool may = logged_in[i].may[w] == 'y';
            if (got != (may ? 0 : -1) || err.code != (may ? ERR_NONE : ERR_UNAUTHORIZED))
                fail_msg("%s by %u: %d, code %d", action_name(logged_in[i].action), w, got,
                         err.code);
            assert_int_equal(err.detail[0] != '\0', !may);
        }
    }
}

/* A token binds also where no login is configured; an unlimited one holds everything. */
static void test_holds(void **state)
{
    (void)state;
    assert_true(policy_holds(&people[USER], "repository", SLICE_LIT("any"), "push"));
    assert_true(policy_holds(&people[ANONYMOUS], "registry", SLICE_LIT("catalog"), "*"));
    assert_true(policy_holds(&people[PULLER], "repository", SLICE_LIT("a/b"), "pull"));
    assert_true(policy_holds(&people[PULLER], "repository", SLICE_LIT("x"), "push"));
    assert_false(policy_holds(&people[PULLER], "repository", SLICE_LIT("a/b"), "push"));
    assert_false(policy_holds(&people[PULLER], "registry", SLICE_LIT("a/b"), "pull"));
    assert_true(policy_holds(&people[STAR], "repository", SLICE_LIT("a/b"), "pull"));
    assert_false(policy_holds(&people[STAR], "repository", SLICE_LIT("a"), "pull"));
}

static void test_missing_scope_is_named(void **state)
{
    (void)state;
    struct policy p = {.login = true};
    struct error err = {0};
    assert_int_equal(policy_decide(&p, &people[PULLER], ACTION_PUSH, SLICE_LIT("a/b"), &err), -1);
    assert_string_equal(err.detail, "the token does not grant repository:a/b:pull,push");
    assert_int_equal(policy_decide(&p, &people[PULLER], ACTION_CATALOG, SLICE_NONE, &err), -1);
    assert_string_equal(err.detail, "the token does not grant registry:catalog:*");
}

/* Who may not do it is not told whether anybody could. */
static void test_settings_are_not_told(void **state)
{
    (void)state;
    struct policy p = {.login = true, .read_only = true};
    struct error err = {0};
    assert_int_equal(policy_decide(&p, &people[ANONYMOUS], ACTION_DELETE, SLICE_LIT("a"), &err),
                     -1);
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    assert_int_equal(policy_decide(&p, &people[PULLER], ACTION_PUSH, SLICE_LIT("a/b"), &err), -1);
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
    assert_int_equal(policy_decide(&p, &people[PUSHER], ACTION_PUSH, SLICE_LIT("a/b"), &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_int_equal(policy_decide(&p, &people[DELETER], ACTION_DELETE, SLICE_LIT("a/b"), &err),
                     -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
}

static void test_scope(void **state)
{
    (void)state;
    static const struct {
        enum action action;
        const char *repo, *from, *want;
    } scopes[] = {
        {ACTION_PING, "", "", ""},
        {ACTION_HEALTH, "", "", ""},
        {ACTION_CATALOG, "", "", "registry:catalog:*"},
        {ACTION_PULL, "a/b", "", "repository:a/b:pull"},
        {ACTION_PUSH, "a/b", "", "repository:a/b:pull,push"},
        {ACTION_DELETE, "a/b", "", "repository:a/b:delete"},
        {ACTION_PUSH, "a/b", "c/d", "repository:a/b:pull,push repository:c/d:pull"},
        {ACTION_PUSH, "a/b", "a/b", "repository:a/b:pull,push"},
        {ACTION_PUSH, "a/b", "C\",error=\"x", "repository:a/b:pull,push"},
        {ACTION_PULL, "", "", ""},
        {ACTION_NONE, "a/b", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        struct buf b;
        buf_init(&b, 1024);
        buf_puts(&b, "");
        policy_scope(scopes[i].action, slice_cstr(scopes[i].repo), slice_cstr(scopes[i].from), &b);
        assert_string_equal(b.p, scopes[i].want);
        buf_release(&b);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(action_name(ACTION_PULL), "pull");
    assert_string_equal(action_name(ACTION_DELETE), "delete");
    assert_string_equal(action_name(ACTION_COUNT), "unknown");
    for (unsigned a = 0; a < ACTION_COUNT; a++)
        assert_non_null(action_name((enum action)a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_unknown_action_is_denied),
        cmocka_unit_test(test_every_principal),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_missing_scope_is_named),
        cmocka_unit_test(test_settings_are_not_told),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
