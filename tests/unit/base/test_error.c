/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

#include "base/banned.h"

static void every_code_has_a_row(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_CODE_COUNT; i++) {
        const struct error_info *info = error_info((enum error_code)i);
        assert_non_null(info->code);
        assert_non_null(info->message);
        assert_in_range(info->status, 400, 599);
        assert_int_equal(strspn(info->code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(info->code));
    }
    assert_string_equal(error_info(ERR_BLOB_UNKNOWN)->code, "BLOB_UNKNOWN");
    assert_int_equal(error_info(ERR_BLOB_UNKNOWN)->status, 404);
    assert_int_equal(error_info(ERR_CODE_COUNT)->status, 500);
    assert_int_equal(error_info((enum error_code) - 1)->status, 500);
}

static void set_replaces_everything(void **state)
{
    (void)state;
    struct error err;
    memset(&err, 'x', sizeof err);
    assert_int_equal(error_set(&err, ERR_DENIED, "no %s", "way"), -1);
    assert_int_equal(err.code, ERR_DENIED);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.message, "no way");
    assert_string_equal(err.detail, "");
    error_clear(&err);
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(err.message, "");
}

static void a_null_error_is_fine(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERR_DENIED, "x"), -1);
    assert_int_equal(error_detail(NULL, ERR_DENIED, "x"), -1);
    assert_int_equal(error_sys(NULL, EIO, "x"), -1);
    error_clear(NULL);
}

static void detail_is_also_the_message(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_detail(&err, ERR_NAME_INVALID, "bad name %d", 3), -1);
    assert_string_equal(err.detail, "bad name 3");
    assert_string_equal(err.message, "bad name 3");
    char text[1000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_detail(&err, ERR_NAME_INVALID, "%s", text);
    assert_int_equal(strlen(err.detail), sizeof err.detail - 1);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void errno_decides_the_code(void **state)
{
    (void)state;
    static const struct {
        int sys;
        enum error_code code;
    } rows[] = {{ENOSPC, ERR_NO_SPACE},    {EDQUOT, ERR_NO_SPACE},    {EROFS, ERR_READ_ONLY},
                {EMFILE, ERR_UNAVAILABLE}, {ENFILE, ERR_UNAVAILABLE}, {EIO, ERR_UNKNOWN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error err;
        assert_int_equal(error_sys(&err, rows[i].sys, "open %s", "a"), -1);
        assert_int_equal(err.code, rows[i].code);
        assert_int_equal(err.sys, rows[i].sys);
    }
    struct error err;
    error_sys(&err, ENOENT, "open %s", "a");
    assert_string_equal(err.message, "open a: No such file or directory");
    error_sys(&err, 99999, "open");
    assert_string_equal(err.message, "open: unknown error");
}

static void a_long_path_does_not_push_out_the_reason(void **state)
{
    (void)state;
    char path[600];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct error err;
    error_sys(&err, ENOSPC, "write %s", path);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_non_null(strstr(err.message, "pp: No space left on device"));
}

/* Callers put words before what came from below. */
static void arguments_may_come_from_the_same_error(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERR_UNKNOWN, "inner");
    error_set(&err, ERR_UNKNOWN, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
    error_detail(&err, ERR_UNKNOWN, "more: %s", err.message);
    assert_string_equal(err.detail, "more: outer: inner");
    error_sys(&err, EIO, "most: %s", err.detail);
    assert_string_equal(err.message, "most: more: outer: inner: Input/output error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_row),
        cmocka_unit_test(set_replaces_everything),
        cmocka_unit_test(a_null_error_is_fine),
        cmocka_unit_test(detail_is_also_the_message),
        cmocka_unit_test(errno_decides_the_code),
        cmocka_unit_test(a_long_path_does_not_push_out_the_reason),
        cmocka_unit_test(arguments_may_come_from_the_same_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
