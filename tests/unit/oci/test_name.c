/* SPDX-License-Identifier: Apache-2.0 */
/* Names, tags and references (src/oci/name.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "oci/digest.h"
#include "positions.h"

#include "base/banned.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)* */
static uint64_t alnum(struct slice s, uint64_t at)
{
    return pos_class(s, at, LOWER DIGIT);
}

static uint64_t dash(struct slice s, uint64_t at)
{
    return pos_class(s, at, "-");
}

static uint64_t separated(struct slice s, uint64_t at)
{
    uint64_t one = pos_class(s, at, "_");
    uint64_t after = pos_class(s, at, ".") | one | pos_class(s, one, "_") | pos_plus(s, at, dash);
    return pos_plus(s, after, alnum);
}

static uint64_t component(struct slice s, uint64_t at)
{
    return pos_star(s, pos_plus(s, at, alnum), separated);
}

static uint64_t more(struct slice s, uint64_t at)
{
    return component(s, pos_class(s, at, "/"));
}

static uint64_t name_expression(struct slice s, uint64_t at)
{
    return pos_star(s, component(s, at), more);
}

/* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
static uint64_t tag_rest(struct slice s, uint64_t at)
{
    return pos_class(s, at, LOWER UPPER DIGIT "._-");
}

static uint64_t tag_expression(struct slice s, uint64_t at)
{
    return pos_star(s, pos_class(s, at, LOWER UPPER DIGIT "_"), tag_rest);
}

static void compare_one(struct slice s, int (*check)(struct slice, struct error *), pos_fn *want,
                        enum error_code code)
{
    struct error err = {0};
    bool good = check(s, &err) == 0;
    if (good != pos_match(s, want))
        fail_msg("differs on \"%.*s\": %s", SLICE_ARG(s), err.detail);
    if (!good && (err.code != code || !printable(err.detail)))
        fail_msg("\"%.*s\": code %d, %s", SLICE_ARG(s), (int)err.code, err.detail);
}

static void compare(struct slice s)
{
    compare_one(s, oci_name_check, name_expression, ERR_NAME_INVALID);
    compare_one(s, oci_tag_check, tag_expression, ERR_TAG_INVALID);
}

static void exhaustive(void **state)
{
    (void)state;
    assert_int_equal(all_strings(significant, 20, 4, compare), 168420 + 1);
    assert_int_equal(all_strings("a._-/", 5, 8, compare), (390625 * 5 - 1) / 4);
}

static void name_limits(void **state)
{
    char text[300];
    struct error err;
    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(oci_name_check(slice_make(text, 255), &err), 0);
    assert_int_equal(oci_name_check(slice_make(text, 256), &err), -1);
    assert_int_equal(err.code, ERR_NAME_INVALID);
    assert_non_null(strstr(err.detail, "aaa...\" has 256 bytes, at most 255 are allowed"));
    memset(text + 1, '-', 200);
    assert_int_equal(oci_name_check(slice_make(text, 255), &err), 0);
    assert_int_equal(oci_name_check(slice_make(text, 200), NULL), -1);
    assert_int_equal(oci_name_check(SLICE_NONE, NULL), -1);
}

static void name_details(void **state)
{
    static const struct {
        const char *text, *detail;
    } rows[] = {
        {"Foo/bar", "repository name \"Foo/bar\" is not allowed at \"F\" (offset 0): use "
                    "lower-case letters, digits, and the separators . _ __ - between them"},
        {"", "the repository name is empty: use lower-case"},
        {"foo-", "repository name \"foo-\" may not end in \"-\": use lower-case"},
        {"foo/", "may not end in \"/\""},
        {"foo__", "may not end in \"_\""},
        {"a//b", "is not allowed at \"/\" (offset 2)"},
        {"a/../b", "is not allowed at \".\" (offset 2)"},
        {"a/_catalog", "is not allowed at \"_\" (offset 2)"},
        {"a___b", "is not allowed at \"_\" (offset 3)"},
        {"a._b", "is not allowed at \"_\" (offset 2)"},
        {"caf\xc3\xa9", "name \"caf\\xc3\\xa9\" is not allowed at \"\\xc3\" (offset 3)"},
    };
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(oci_name_check(slice_cstr(rows[i].text), &err), -1);
        assert_int_equal(err.code, ERR_NAME_INVALID);
        if (!strstr(err.detail, rows[i].detail))
            fail_msg("\"%s\": %s", rows[i].text, err.detail);
    }
}

static void tag_limits(void **state)
{
    char text[200];
    struct error err;
    (void)state;
    memset(text, '.', sizeof text);
    text[0] = '_';
    assert_int_equal(oci_tag_check(slice_make(text, 128), &err), 0);
    assert_int_equal(oci_tag_check(slice_make(text, 129), &err), -1);
    assert_int_equal(err.code, ERR_TAG_INVALID);
    assert_non_null(strstr(err.detail, "has 129 bytes, at most 128 are allowed"));
    assert_int_equal(oci_tag_check(slice_cstr("-x"), &err), -1);
    assert_string_equal(err.detail, "tag \"-x\" is not allowed at \"-\" (offset 0): use letters, "
                                    "digits and _ . - (not . or - at its start)");
    assert_int_equal(oci_tag_check(SLICE_NONE, &err), -1);
    assert_non_null(strstr(err.detail, "the tag is empty"));
}

/* Each byte at each of the first places, against the grammar written as lists of characters. */
static void every_byte(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char text[4] = {(char)c, 'a', 'a'};
        bool name_in = strchr(LOWER DIGIT, c) != NULL;
        bool tag_first = strchr(LOWER UPPER DIGIT "_", c) != NULL;
        assert_int_equal(oci_name_check(slice_make(text, 3), NULL), name_in ? 0 : -1);
        assert_int_equal(oci_tag_check(slice_make(text, 3), NULL), tag_first ? 0 : -1);
        text[0] = 'a';
        text[1] = (char)c;
        assert_int_equal(oci_name_check(slice_make(text, 3), NULL),
                         name_in || strchr("./_-", c) ? 0 : -1);
        assert_int_equal(oci_tag_check(slice_make(text, 3), NULL),
                         tag_first || strchr(".-", c) ? 0 : -1);
    }
}

static void references(void **state)
{
    struct reference r;
    struct reference before;
    struct error err;
    (void)state;
    const char *tag = "v1.2_3-x";
    assert_int_equal(reference_parse(slice_cstr(tag), &r, &err), 0);
    assert_false(r.is_digest);
    assert_ptr_equal(r.tag.p, tag);
    assert_int_equal(r.tag.n, 8);
    assert_int_equal(reference_parse(slice_cstr("sha256:" HEX64), &r, &err), 0);
    assert_true(r.is_digest);
    assert_null(r.tag.p);
    assert_string_equal(r.digest.text, "sha256:" HEX64);

    memset(&before, 0x5a, sizeof before);
    memcpy(&r, &before, sizeof r);
    assert_int_equal(reference_parse(slice_cstr("sha256:baddigeststring"), &r, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_INVALID);
    assert_int_equal(reference_parse(slice_cstr("a:b"), &r, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_INVALID);
    assert_int_equal(reference_parse(slice_cstr(":"), &r, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_INVALID);
    assert_int_equal(reference_parse(slice_cstr("a/b"), &r, &err), -1);
    assert_int_equal(err.code, ERR_TAG_INVALID);
    assert_int_equal(reference_parse(SLICE_NONE, &r, &err), -1);
    assert_int_equal(err.code, ERR_TAG_INVALID);
    assert_memory_equal(&r, &before, sizeof r);
}

static void fallback_tag(void **state)
{
    char out[OCI_TAG_MAX + 1];
    struct digest d;
    (void)state;
    digest_make(HASH_SHA256, HEX64, &d);
    reference_fallback_tag(&d, out);
    assert_string_equal(out, "sha256-" HEX64);
    assert_int_equal(oci_tag_check(slice_cstr(out), NULL), 0);
    digest_make(HASH_SHA512, HEX64 HEX64, &d);
    reference_fallback_tag(&d, out);
    assert_string_equal(out, "sha512-" HEX64); /* cut to 64 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhaustive),   cmocka_unit_test(name_limits),
        cmocka_unit_test(name_details), cmocka_unit_test(tag_limits),
        cmocka_unit_test(every_byte),   cmocka_unit_test(references),
        cmocka_unit_test(fallback_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
