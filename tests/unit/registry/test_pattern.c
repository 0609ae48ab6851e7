/* SPDX-License-Identifier: Apache-2.0 */
/* Go's regular expressions. The answers in the tables are those of Go's regexp.MatchString. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"
#include "registry/pattern.h"

#include "base/banned.h"

static const struct {
    const char *expression, *text;
    bool matches;
} answers[] = {
    {"", "", true},
    {"", "abc", true},
    {"b", "abc", true},
    {"^b", "abc", false},
    {"^$", "", true},
    {"^$", "a", false},
    {"c$", "abc", true},
    {"b$", "abc", false},
    {"\\Aabc\\z", "abc", true},
    {"a.c", "abc", true},
    {"a\\.c", "abc", false},
    {"a|b|cd", "xcd", true},
    {"^(a|b|cd)$", "c", false},
    {"^(a|b|cd)$", "cd", true},
    {"^(|a)$", "", true},
    {"^a*$", "aaa", true},
    {"^a+$", "", false},
    {"^a?b$", "aab", false},
    {"^(ab)*$", "ababab", true},
    {"^(ab)*$", "ababa", false},
    {"^(a*)*$", "aaaa", true},
    {"^(a*|b)*c$", "abac", true},
    {"^()*$", "", true},
    {"^a{3}$", "aaa", true},
    {"^a{3}$", "aaaa", false},
    {"^a{2,3}$", "aaaa", false},
    {"^a{2,3}$", "aa", true},
    {"^a{2,}$", "a", false},
    {"^a{2,}$", "aaaaa", true},
    {"^a{0}$", "a", false},
    {"^a{0}$", "", true},
    {"^(a|b{2}){2}c$", "abbc", true},
    {"^(a|b{2}){2}c$", "abc", false},
    {"a{,2}", "a{,2}", true},
    {"a{,2}", "aa", false},
    {"^{$", "{", true},
    {"^a*?b+?c??$", "aabb", true},
    {"^a{1,2}?$", "aa", true},
    {"[a-c]x", "bx", true},
    {"[^a-c]x", "bx", false},
    {"[]a]", "]", true},
    {"[^]a]", "]", false},
    {"[a-]", "-", true},
    {"[-a]", "-", true},
    {"^[a\\]b]$", "]", true},
    {"^[\\d.]+$", "1.2.3", true},
    {"^[^\\D]$", "7", true},
    {"^[[:alpha:]]+$", "abC", true},
    {"^[[:alpha:]]+$", "ab1", false},
    {"^[[:^digit:]x1]+$", "a1x", true},
    {"^[[:^digit:]]+$", "a1", false},
    {"^[[:word:]-]+$", "a-_9", true},
    {"^[[:xdigit:]]+$", "09afAF", true},
    {"^[[:punct:]]+$", "!/:@[`{~", true},
    {"^[\\x61-\\x63]$", "c", true},
    {"^[\\x61-\\x63]$", "d", false},
    {"^\\d\\D\\w\\W\\s\\S$", "1aa- x", true},
    {"^\\d\\D\\w\\W\\s\\S$", "1aaa x", false},
    {"\\bfoo\\b", "a foo b", true},
    {"\\bfoo\\b", "afoo b", false},
    {"\\Bfoo", "afoo", true},
    {"\\Bfoo", "foo", false},
    {"\\b", "", false},
    {"\\B", "", true},
    {"^\\x61\\x{62}\\143$", "abc", true},
    {"^\\/\\-\\_\\:$", "/-_:", true},
    {"\\n|\\t|\\r|\\f|\\v|\\a", "ntrfva", false},
    {"\\012", "012", false},
    {"^\\Qa.b*\\E$", "a.b*", true},
    {"^\\Qa.b*\\E$", "axb", false},
    {"^\\Qab\\E+$", "abbb", true},
    {"^\\Qab", "ab", true},
    {"(?i)abc", "xABCx", true},
    {"(?i)[a-c]X", "Bx", true},
    {"(?i)[^a]", "A", false},
    {"(?i:a)b", "Ab", true},
    {"(?i:a)b", "AB", false},
    {"((?i)a)b", "AB", false},
    {"((?i)a)b", "Ab", true},
    {"(?i)a(?-i)b", "AB", false},
    {"(?i)a(?-i)b", "Ab", true},
    {"(?ims-U:^a.b$)", "A/B", true},
    {"(?P<name>a)(?<other_1>b)", "ab", true},
    {"(?:a|b)+c", "ababc", true},
    {"^https?://([a-z0-9-]+\\.)*example\\.com(:\\d+)?/", "https://a.b.example.com:8080/x", true},
    {"^https?://([a-z0-9-]+\\.)*example\\.com(:\\d+)?/", "https://example.com.evil/x", false},
    {"^https?://([a-z0-9-]+\\.)*example\\.com(:\\d+)?/", "ftp://example.com/x", false},
    {"^https://(?:mcr|mcrflow)\\.(microsoft|azure)\\.com/", "https://mcr.microsoft.com/v2/x", true},
    {"^(a|b|c)$|^d$", "d", true},
    {"(a|(b|(c|(d))))$", "xd", true},
    {"x*y*z*$", "", true},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct pattern *p = NULL;
        struct error err = {0};
        if (pattern_new(slice_cstr(answers[i].expression), &p, &err))
            fail_msg("%s: %s", answers[i].expression, err.detail);
        if (pattern_match(p, slice_cstr(answers[i].text)) != answers[i].matches)
            fail_msg("%s on \"%s\": expected %s", answers[i].expression, answers[i].text,
                     answers[i].matches ? "a match" : "none");
        pattern_free(p);
    }
    pattern_free(NULL);
}

static const struct {
    const char *expression, *because;
} refused[] = {
    {"*a", "nothing here to repeat"},
    {"a**", "nothing here to repeat"},
    {"a+?+", "nothing here to repeat"},
    {"a{2}{3}", "nothing here to repeat"},
    {"(+)", "nothing here to repeat"},
    {"a|?", "nothing here to repeat"},
    {"(?i)*", "nothing here to repeat"},
    {"{2}", "nothing here to repeat"},
    {"a{1001}", "above 1000"},
    {"a{3,2}", "runs backwards"},
    {"a{99999999999999999999}", "above 1000"},
    {"(a", "( is not closed"},
    {"a)", "a ) without its ("},
    {"a|b)", "a ) without its ("},
    {"[a", "[ is not closed"},
    {"[]", "[ is not closed"},
    {"[a-", "[ is not closed"},
    {"[z-a]", "runs backwards"},
    {"[a-\\d]", "escape"},
    {"[[:foo:]]", "no such class"},
    {"[\\x{100}]", "outside ASCII"},
    {"a\\", "backslash at the end"},
    {"\\pL", "escape"},
    {"\\p{Greek}", "escape"},
    {"\\C", "escape"},
    {"\\1", "escape"},
    {"\\8", "escape"},
    {"\\Z", "escape"},
    {"\\x", "\\x is followed"},
    {"\\x4", "\\x is followed"},
    {"\\x{}", "\\x is followed"},
    {"\\x{41", "\\x is followed"},
    {"\\x{fffffffffff}", "\\x is followed"},
    {"\\xff", "outside ASCII"},
    {"\\377", "outside ASCII"},
    {"caf\xc3\xa9", "outside ASCII"},
    {"(?=a)", "look-around"},
    {"(?!a)", "look-around"},
    {"(?<!a)", "proper name"},
    {"(?P<>a)", "proper name"},
    {"(?P=n)", "look-around"},
    {"(?i", "look-around"},
    {"(?i--s)", "flag is not known"},
    {"(?x)", "look-around"},
    {"((a{100}){100}){100}", "too large"},
    {"(a{1000}){2,}", "too large"},
    {"(a{700}|b){3}", "too large"},
    {"(a{900}b{900}|c){1}[a-z]{300}", "too large"},
    {"(a|b){999}|c", "too large"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct pattern *p = NULL;
        struct error err = {0};
        if (pattern_new(slice_cstr(refused[i].expression), &p, &err) != -1)
            fail_msg("%s was taken", refused[i].expression);
        assert_null(p);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        if (!strstr(err.detail, refused[i].because))
            fail_msg("%s: %s", refused[i].expression, err.detail);
        assert_non_null(strstr(err.detail, refused[i].expression));
    }
}

static void test_too_long(void **state)
{
    (void)state;
    char text[PATTERN_TEXT_MAX + 1];
    struct pattern *p = NULL;
    struct error err = {0};
    memset(text, 'a', sizeof text);
    assert_int_equal(pattern_new(slice_make(text, sizeof text), &p, &err), -1);
    assert_non_null(strstr(err.detail, "longer than"));
    assert_int_equal(pattern_new(SLICE_LIT("a\0b"), &p, &err), -1);
    memset(text, '(', 100);
    assert_int_equal(pattern_new(slice_make(text, 100), &p, &err), -1);
    assert_non_null(strstr(err.detail, "too many groups"));
}

/* Each pair of characters is a set of its own. */
static void test_too_many_sets(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    struct pattern *p = NULL;
    struct error err = {0};
    buf_init(&b, 64 * 1024);
    for (char i = 'a'; i <= 'w'; i++)
        for (char k = 'A'; k <= 'V'; k++)
            buf_printf(&b, "[%c%c]", i, k);
    assert_int_equal(b.n, 4 * 23 * 22);
    assert_int_equal(pattern_new(buf_view(&b), &p, &err), 0);
    pattern_free(p);
    buf_puts(&b, "0123456789");
    assert_int_equal(pattern_new(buf_view(&b), &p, &err), -1);
    assert_non_null(strstr(err.detail, "too many different sets"));
}

/* A program as large as it may be, on a long text of which every byte keeps all of it alive. */
static void test_time_is_bounded(void **state)
{
    (void)state;
    static const char *const hostile[] = {"(a|b)*a(a|b){12}c", "(a+a+)+b", "(a*)*(a*)*b",
                                          "(a?){30}a{30}b", "([ab]{0,400}){2}c"};
    enum { N = 4 * 1024 }; /* the longest URL that is looked at */
    char *text = malloc(N);
    assert_non_null(text);
    for (size_t i = 0; i < N; i++)
        text[i] = "ab"[(i * 2654435761u >> 13) & 1];
    clock_t start = clock();
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct pattern *p = NULL;
        assert_int_equal(pattern_new(slice_cstr(hostile[i]), &p, NULL), 0);
        (void)pattern_match(p, slice_make(text, N));
        memset(text, 'a', N);
        assert_false(pattern_match(p, slice_make(text, N)));
        pattern_free(p);
    }
    /* Backtracking would not end in this century. */
    assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),        cmocka_unit_test(test_too_many_sets),
        cmocka_unit_test(test_time_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
