/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 and base32 by the vectors of RFC 4648 10, and what strict means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auth/encoding.h"
#include "base/util.h"

static const struct {
    const char *plain, *standard, *url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff\xff\xff\xff", "/////w==", "_____w"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const char *texts[] = {vectors[i].standard, vectors[i].url};
        size_t plain = strlen(vectors[i].plain);
        for (unsigned kind = 0; kind < 2; kind++) {
            char text[32];
            unsigned char back[32];
            size_t n = 99;
            b64_encode(vectors[i].plain, plain, (enum b64_kind)kind, text);
            assert_string_equal(text, texts[kind]);
            assert_int_equal(b64_decode(slice_cstr(text), (enum b64_kind)kind, back, &n), 0);
            assert_int_equal(n, plain);
            assert_memory_equal(back, vectors[i].plain, n);
        }
    }
}

static void test_all_lengths(void **state)
{
    (void)state;
    unsigned char in[100], out[104];
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof in; n++) {
        char text[160];
        size_t back = 0;
        assert_true(b64_encoded_room(n) <= sizeof text);
        b64_encode(in, n, B64_URL, text);
        assert_true(strlen(text) < b64_encoded_room(n) && b64_decoded_room(strlen(text)) >= n);
        assert_int_equal(b64_decode(slice_cstr(text), B64_URL, out, &back), 0);
        assert_int_equal(back, n);
        assert_memory_equal(in, out, n);
    }
}

static void test_strict(void **state)
{
    (void)state;
    static const char *const bad_url[] = {"A",    "Zg==", "Zh", "Zm9=",  "Zm9v\n", "Zm 9v",
                                          "Zm+v", "Zm/v", "=",  "Zm9vY", "Zm9",    "\xc3\xa9zz"};
    static const char *const bad_standard[] = {"Zg",   "Zg=",  "Zh==",     "Zm9v=", "Zm-v", "Zm_v",
                                               "====", "Z===", "Zg==Zg==", "=Zg=",  "A",    "Zm9="};
    unsigned char out[32];
    size_t n = 42;
    for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
        if (b64_decode(slice_cstr(bad_url[i]), B64_URL, out, &n) == 0)
            fail_msg("accepted: %s", bad_url[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad_standard); i++)
        if (b64_decode(slice_cstr(bad_standard[i]), B64_STANDARD, out, &n) == 0)
            fail_msg("accepted: %s", bad_standard[i]);
    assert_int_equal(b64_decode(slice_make("Zm\0v", 4), B64_URL, out, &n), -1);
    assert_int_equal(n, 42);
}

static void test_base32(void **state)
{
    (void)state;
    char out[17];
    b32_encode("fooba", 5, out);
    assert_string_equal(out, "MZXW6YTB");
    b32_encode("\0\0\0\0\0\xff\xff\xff\xff\xff", 10, out);
    assert_string_equal(out, "AAAAAAAA77777777");
    b32_encode("", 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_all_lengths),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_base32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
