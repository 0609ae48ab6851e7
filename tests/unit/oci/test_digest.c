/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "oci/oci_int.h"
#include "positions.h"

#include "base/banned.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define EMPTY256_HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EMPTY256 "sha256:" EMPTY256_HEX

/* algorithm ":" encoded, as the image specification writes it. */
static uint64_t alg_component(struct slice s, uint64_t at)
{
    return pos_class(s, at, LOWER DIGIT);
}

static uint64_t alg_tail(struct slice s, uint64_t at)
{
    return pos_plus(s, pos_class(s, at, "+._-"), alg_component);
}

static uint64_t encoded(struct slice s, uint64_t at)
{
    return pos_class(s, at, LOWER UPPER DIGIT "=_-");
}

static uint64_t digest_expression(struct slice s, uint64_t at)
{
    at = pos_star(s, pos_plus(s, at, alg_component), alg_tail);
    return pos_plus(s, pos_class(s, at, ":"), encoded);
}

static void compare(struct slice s)
{
    struct error err;
    struct digest d;
    if (digest_grammar(s) != pos_match(s, digest_expression))
        fail_msg("digest_grammar differs on \"%.*s\"", SLICE_ARG(s));
    assert_int_equal(digest_parse(s, &d, &err), -1); /* all of them are too short */
    assert_int_equal(err.code, ERR_DIGEST_INVALID);
    if (!printable(err.detail))
        fail_msg("detail: %s", err.detail);
}

static void exhaustive(void **state)
{
    (void)state;
    assert_int_equal(all_strings(significant, 20, 4, compare), 168420 + 1);
    assert_int_equal(all_strings("a+:=A", 5, 7, compare), (78125 * 5 - 1) / 4);
}

static void grammar_limits(void **state)
{
    char text[300];
    (void)state;
    memset(text, 'a', sizeof text);
    text[3] = ':';
    assert_true(digest_grammar(slice_make(text, 256)));
    assert_false(digest_grammar(slice_make(text, 257)));
    assert_true(
        digest_grammar(slice_cstr("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564")));
    assert_true(digest_grammar(
        slice_cstr("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8")));
    assert_false(digest_grammar(SLICE_NONE));
}

/* Each byte value at each place of a digest: right only for the digits. */
static void substitution(struct slice good)
{
    char text[DIGEST_TEXT_MAX + 1];
    struct digest d;
    for (size_t at = 0; at < good.n; at++) {
        for (int c = 0; c < 256; c++) {
            memcpy(text, good.p, good.n);
            text[at] = (char)c;
            bool digit = c != 0 && strchr(DIGIT "abcdef", c) != NULL;
            bool want = at < 7 ? c == (unsigned char)good.p[at] : digit;
            if ((digest_parse(slice_make(text, good.n), &d, NULL) == 0) != want)
                fail_msg("byte %d at %zu", c, at);
        }
    }
}

static void parse_digits(void **state)
{
    (void)state;
    substitution(slice_cstr("sha256:" HEX64));
    substitution(slice_cstr("sha512:" HEX64 HEX64));
}

static void parse_lengths(void **state)
{
    char text[256];
    struct digest d;
    (void)state;
    memset(text, 'a', sizeof text);
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++) {
        memcpy(text, alg ? "sha512:" : "sha256:", 7);
        for (size_t n = 0; n < sizeof text; n++) {
            bool want = n == 7 + hash_hex_len((enum hash_alg)alg);
            assert_int_equal(digest_parse(slice_make(text, n), &d, NULL), want ? 0 : -1);
        }
    }
}

static void parse_result(void **state)
{
    struct digest d, same, other;
    struct error err;
    (void)state;
    assert_int_equal(digest_parse(slice_cstr(EMPTY256), &d, &err), 0);
    assert_int_equal(d.alg, HASH_SHA256);
    assert_string_equal(d.text, EMPTY256);
    assert_true(slice_is(digest_slice(&d), EMPTY256));
    assert_true(slice_is(digest_hex(&d), EMPTY256_HEX));
    digest_of(HASH_SHA256, SLICE_NONE, &same);
    assert_true(digest_eq(&d, &same));
    digest_of(HASH_SHA256, SLICE_LIT("x"), &other);
    assert_false(digest_eq(&d, &other));
    digest_make(HASH_SHA512, HEX64 HEX64, &other);
    assert_false(digest_eq(&d, &other));
    assert_string_equal(other.text, "sha512:" HEX64 HEX64);
    assert_int_equal(digest_slice(&other).n, DIGEST_TEXT_MAX);
    assert_int_equal(digest_hex(&other).n, 128);
    same = other;
    assert_int_equal(digest_parse(slice_cstr("sha256:baddigeststring"), &same, &err), -1);
    assert_memory_equal(&same, &other, sizeof same);
}

static void details(void **state)
{
    static const struct {
        const char *text, *detail;
    } rows[] = {
        {"", "the digest is empty: expected \"sha256:\" and 64, or \"sha512:\" and 128 lower-case "
             "hex digits"},
        {"sha256:AB/", "digest \"sha256:AB/\" is not allowed at \"/\" (offset 9): expected "
                       "\"sha256:\" and 64, or \"sha512:\" and 128 lower-case hex digits"},
        {"sha256", "digest \"sha256\" ends too early: expected"},
        {"sha256:", "digest \"sha256:\" ends too early: expected"},
        {"sha256:abc", "digest \"sha256:abc\" has 3 digits after the colon, sha256 has 64"},
        {"sha512:" HEX64, "\" has 64 digits after the colon, sha512 has 128"},
        {"sha256:A" HEX64, "has 65 digits"},
        {"md5:d41d8cd98f00b204e9800998ecf8427e",
         "is of an algorithm that this registry does not compute: use sha256 or sha512"},
        {"..:aa", "is not allowed at \".\" (offset 0)"},
        {"a+:aa", "is not allowed at \":\" (offset 2)"},
        {"sha256:\xc3\n", "digest \"sha256:\\xc3\\x0a\" is not allowed at \"\\xc3\" (offset 7)"},
    };
    struct digest d;
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(digest_parse(slice_cstr(rows[i].text), &d, &err), -1);
        assert_int_equal(err.code, ERR_DIGEST_INVALID);
        if (!strstr(err.detail, rows[i].detail))
            fail_msg("\"%s\": %s", rows[i].text, err.detail);
    }
    char text[300];
    memset(text, 'a', sizeof text);
    assert_int_equal(digest_parse(slice_make(text, sizeof text), &d, &err), -1);
    assert_non_null(strstr(err.detail, "...\" has 300 bytes: expected"));
    memcpy(text, "sha256:", 7);
    text[8] = 'F';
    assert_int_equal(digest_parse(slice_make(text, 71), &d, &err), -1);
    assert_non_null(strstr(err.detail, "is not allowed at \"F\" (offset 8): expected"));
}

static void echo(void **state)
{
    char out[OCI_ECHO_SIZE];
    char text[200];
    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(strlen(oci_echo(slice_make(text, 80), out)), 80);
    assert_int_equal(strlen(oci_echo(slice_make(text, 81), out)), 83);
    assert_string_equal(out + 78, "xx...");
    memset(text, '\0', sizeof text);
    assert_int_equal(strlen(oci_echo(slice_make(text, 20), out)), 80);
    assert_int_equal(strlen(oci_echo(slice_make(text, 21), out)), 83);
    assert_string_equal(out + 76, "\\x00...");
    memset(text, 'x', 78);
    assert_string_equal(oci_echo(slice_make(text, 80), out) + 76, "xx...");
    assert_string_equal(oci_echo(SLICE_NONE, out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhaustive),   cmocka_unit_test(grammar_limits),
        cmocka_unit_test(parse_digits), cmocka_unit_test(parse_lengths),
        cmocka_unit_test(parse_result), cmocka_unit_test(details),
        cmocka_unit_test(echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
