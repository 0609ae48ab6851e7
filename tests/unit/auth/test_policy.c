/* SPDX-License-Identifier: Apache-2.0 */
/* The decision for every action under every policy, as a table: a new action without a row fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/policy.h"
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
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
