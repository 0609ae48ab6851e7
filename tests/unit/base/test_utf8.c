/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

#include "base/utf8.h"
#include "base/util.h"

#include "base/banned.h"

static void test_valid(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n; /* bytes, for what has a NUL; 0: to the end */
        bool valid;
    } rows[] = {
        {"", 0, true},
        {"plain", 0, true},
        {"a\0b", 3, true},
        {"caf\xc3\xa9", 0, true},
        {"\xdf\xbf", 0, true},         /* U+07FF */
        {"\xe0\xa0\x80", 0, true},     /* U+0800 */
        {"\xed\x9f\xbf", 0, true},     /* U+D7FF */
        {"\xee\x80\x80", 0, true},     /* U+E000 */
        {"\xf0\x90\x80\x80", 0, true}, /* U+10000 */
        {"\xf4\x8f\xbf\xbf", 0, true}, /* U+10FFFF */
        {"caf\xe9", 0, false},
        {"\x80", 0, false},             /* begins with a continuation */
        {"\xc0\x80", 0, false},         /* overlong */
        {"\xc1\xbf", 0, false},         /* overlong */
        {"\xe0\x9f\xbf", 0, false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0, false}, /* overlong */
        {"\xed\xa0\x80", 0, false},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0, false}, /* behind the last */
        {"\xf5\x80\x80\x80", 0, false},
        {"\xff", 0, false},
        {"\xc3", 0, false},         /* cut */
        {"\xe2\x82", 0, false},     /* cut */
        {"\xf0\x9f\x98", 0, false}, /* cut */
        {"\xe2\x28\xa1", 0, false},
        {"ok\xc3\xa9 then \xc3(", 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice text =
            rows[i].n ? slice_make(rows[i].text, rows[i].n) : slice_cstr(rows[i].text);
        if (utf8_valid(text) != rows[i].valid)
            fail_msg("row %zu", i);
    }
    assert_true(utf8_valid(SLICE_NONE));
}

static void test_length(void **state)
{
    (void)state;
    const unsigned char *text = (const unsigned char *)"\xe2\x82\xac and more";
    assert_int_equal(utf8_len(text, 12), 3);
    assert_int_equal(utf8_len(text, 3), 3);
    assert_int_equal(utf8_len(text, 2), 0); /* what is behind the end is not looked at */
    assert_int_equal(utf8_len(text + 3, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
