/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include "cli/usage.h"

#include "base/banned.h"

static void is(struct slice got, const char *want)
{
    char text[128] = "";
    assert_true(got.n < sizeof text);
    if (got.n)
        memcpy(text, got.p, got.n);
    assert_string_equal(text, want);
}

static void item_is(const struct usage_item *item, const char *option, const char *value,
                    bool attached)
{
    is(item->option, option);
    is(item->value, value);
    assert_int_equal(item->attached, attached);
}

static void nothing(void **state)
{
    struct usage u;
    (void)state;
    usage_parse("", &u);
    assert_int_equal(u.n, 0);
    usage_parse("[]", &u);
    assert_int_equal(u.n, 0);
}

static void one_form(void **state)
{
    struct usage u;
    (void)state;
    usage_parse("[CONFIG] [--OPTION=VALUE...]", &u);
    assert_int_equal(u.n, 1);
    is(u.forms[0].name, "");
    assert_int_equal(u.forms[0].n, 1); /* the placeholder is none */
    item_is(&u.forms[0].items[0], "", "CONFIG", false);
}

static void subcommands(void **state)
{
    struct usage u;
    (void)state;
    usage_parse("check [--strict] FILE... | dump [--format=yaml|json] | create|show [--days N] "
                "[-n|--dry-run] DIR",
                &u);
    assert_int_equal(u.n, 4);
    is(u.forms[0].name, "check");
    assert_int_equal(u.forms[0].n, 2);
    item_is(&u.forms[0].items[0], "--strict", "", false);
    item_is(&u.forms[0].items[1], "", "FILE", false);
    is(u.forms[1].name, "dump");
    assert_int_equal(u.forms[1].n, 1);
    item_is(&u.forms[1].items[0], "--format", "yaml|json", true);
    is(u.forms[2].name, "create");
    is(u.forms[3].name, "show");
    for (unsigned i = 2; i < 4; i++) {
        assert_int_equal(u.forms[i].n, 4);
        item_is(&u.forms[i].items[0], "--days", "N", false);
        item_is(&u.forms[i].items[1], "-n", "", false);
        item_is(&u.forms[i].items[2], "--dry-run", "", false);
        item_is(&u.forms[i].items[3], "", "DIR", false);
    }
}

static void brackets_around_all(void **state)
{
    struct usage u;
    (void)state;
    usage_parse("[COMMAND | options [--markdown] | man [NAME]]", &u);
    assert_int_equal(u.n, 3);
    is(u.forms[0].name, "");
    item_is(&u.forms[0].items[0], "", "COMMAND", false);
    is(u.forms[1].name, "options");
    item_is(&u.forms[1].items[0], "--markdown", "", false);
    is(u.forms[2].name, "man");
    item_is(&u.forms[2].items[0], "", "NAME", false);
    /* Two brackets are no pair. */
    usage_parse("[-B] FILE [USER]", &u);
    assert_int_equal(u.n, 1);
    assert_int_equal(u.forms[0].n, 3);
    item_is(&u.forms[0].items[0], "-B", "", false);
}

static void bars_within_brackets(void **state)
{
    struct usage u;
    (void)state;
    usage_parse("registry2 DIR [--verify full|size | --no-verify] [--to DIR]", &u);
    assert_int_equal(u.n, 1);
    is(u.forms[0].name, "registry2");
    assert_int_equal(u.forms[0].n, 4);
    item_is(&u.forms[0].items[0], "", "DIR", false);
    item_is(&u.forms[0].items[1], "--verify", "full|size", false);
    item_is(&u.forms[0].items[2], "--no-verify", "", false);
    item_is(&u.forms[0].items[3], "--to", "DIR", false);
}

static void values(void **state)
{
    (void)state;
    assert_true(usage_is_file(SLICE_LIT("FILE")));
    assert_true(usage_is_file(SLICE_LIT("DIR")));
    assert_false(usage_is_file(SLICE_LIT("USER")));
    assert_true(usage_is_choice(SLICE_LIT("full|size")));
    assert_false(usage_is_choice(SLICE_LIT("FILE|DIR")));
    assert_false(usage_is_choice(SLICE_LIT("full")));
    assert_false(usage_is_choice(SLICE_NONE));
}

static void descriptions(void **state)
{
    static const char help[] = "Looks at a file; --strict is explained below.\n\n"
                               "  --strict        unknown keys are errors\n"
                               "  -n, --dry-run   changes nothing\n"
                               "  --to=DIR  where to\n"
                               "  --alone\n";
    (void)state;
    is(usage_describe(help, SLICE_LIT("--strict")), "unknown keys are errors");
    is(usage_describe(help, SLICE_LIT("-n")), "changes nothing");
    is(usage_describe(help, SLICE_LIT("--dry-run")), "changes nothing");
    is(usage_describe(help, SLICE_LIT("--to")), "where to");
    is(usage_describe(help, SLICE_LIT("--alone")), "");
    is(usage_describe(help, SLICE_LIT("--str")), "");
    is(usage_describe(NULL, SLICE_LIT("--strict")), "");
}

static void too_many(void *arg)
{
    struct usage u;
    (void)arg;
    usage_parse("a | b | c | d | e | f | g | h | i | j | k | l | m | n | o | p | q", &u);
}

static void a_table_that_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(signal_that_kills(too_many, NULL), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing),
        cmocka_unit_test(one_form),
        cmocka_unit_test(subcommands),
        cmocka_unit_test(brackets_around_all),
        cmocka_unit_test(bars_within_brackets),
        cmocka_unit_test(values),
        cmocka_unit_test(descriptions),
        cmocka_unit_test(a_table_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
