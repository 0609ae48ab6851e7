/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/media_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "positions.h"

#include "base/banned.h"

/* [A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/ and the same again. */
static uint64_t rest(struct slice s, uint64_t at)
{
    return pos_class(s, at, LOWER UPPER DIGIT "!#$&^_.+-");
}

static uint64_t restricted_name(struct slice s, uint64_t at)
{
    return pos_star(s, pos_class(s, at, LOWER UPPER DIGIT), rest);
}

static uint64_t type_expression(struct slice s, uint64_t at)
{
    return restricted_name(s, pos_class(s, restricted_name(s, at), "/"));
}

static void compare(struct slice s)
{
    if (media_type_valid(s) != pos_match(s, type_expression))
        fail_msg("media_type_valid differs on \"%.*s\"", SLICE_ARG(s));
}

static void exhaustive(void **state)
{
    (void)state;
    assert_int_equal(all_strings(significant, 20, 4, compare), 168420 + 1);
}

static void every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[4] = {'a', '/', 'b', (char)c};
        bool want = c != 0 && strchr(LOWER UPPER DIGIT "!#$&^_.+-", c) != NULL;
        assert_int_equal(media_type_valid(slice_make(text, 4)), want);
    }
}

static void lengths(void **state)
{
    char text[300];
    (void)state;
    memset(text, 'a', sizeof text);
    text[127] = '/';
    assert_true(media_type_valid(slice_make(text, 255)));
    assert_false(media_type_valid(slice_make(text, 256)));
    assert_false(media_type_valid(slice_make(text, 128)));
    text[127] = 'a';
    text[128] = '/';
    assert_false(media_type_valid(slice_make(text, 140)));
    assert_false(media_type_valid(SLICE_NONE));
}

static void bare(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a/b", "a/b"},
        {"a/b;charset=utf-8", "a/b"},
        {" \ta/b \t; x=\"; y\"", "a/b"},
        {"a/b, c/d", "a/b, c/d"},
        {";", ""},
        {"", ""},
        {"  ", ""},
        {"a/b;;;", "a/b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(slice_is(media_type_bare(slice_cstr(rows[i].text)), rows[i].want));
    assert_int_equal(media_type_bare(SLICE_NONE).n, 0);
}

static void kinds(void **state)
{
    static const struct {
        const char *type;
        int index, manifest, foreign;
    } rows[] = {
        {MT_OCI_MANIFEST, 0, 1, 0},
        {MT_DOCKER_MANIFEST, 0, 1, 0},
        {MT_OCI_INDEX, 1, 0, 0},
        {MT_DOCKER_LIST, 1, 0, 0},
        {"Application/VND.OCI.image.index.v1+json", 1, 0, 0},
        {MT_DOCKER_SCHEMA1, 0, 0, 0},
        {MT_OCI_CONFIG, 0, 0, 0},
        {"", 0, 0, 0},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", 0, 0, 1},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", 0, 0, 1},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", 0, 0, 1},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted", 0, 0, 1},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar", 0, 0, 1},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 0, 0, 1},
        {"application/vnd.oci.image.layer.v1.tar+gzip", 0, 0, 0},
        {"application/vnd.docker.image.rootfs.diff.tar.gzip", 0, 0, 0},
        {"application/vnd.oci.image.layer.nondistributable", 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice s = slice_cstr(rows[i].type);
        assert_int_equal(media_type_is_index(s), rows[i].index);
        assert_int_equal(media_type_is_manifest(s), rows[i].manifest);
        assert_int_equal(media_type_is_nondistributable(s), rows[i].foreign);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhaustive), cmocka_unit_test(every_byte), cmocka_unit_test(lengths),
        cmocka_unit_test(bare),       cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
