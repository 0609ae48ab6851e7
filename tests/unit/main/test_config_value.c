/* SPDX-License-Identifier: Apache-2.0 */
#include "config_help.h"

#include "base/banned.h"

#define TEST(fn) cmocka_unit_test(fn)

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
        uint64_t ns;
    } rows[] = {
        {"0", 0, 0},
        {"10s", 0, 10000000000},
        {"1h30m", 0, 5400000000000},
        {"250ms", 0, 250000000},
        {"1.5h", 0, 5400000000000},
        {".5s", 0, 500000000},
        {"1.s", 0, 1000000000},
        {"1us", 0, 1000},
        {"1\302\265s", 0, 1000},
        {"1\316\274s", 0, 1000},
        {"7ns", 0, 7},
        {"0.000000001s", 0, 1},
        {"1h1m1s1ms1us1ns", 0, 3661001001001},
        {"2562047h47m16s", 0, 9223372036000000000},
        {"2562048h", -1, 0},
        {"9223372036854775807h", -1, 0},
        {"99999999999999999999s", -1, 0},
        {"", -1, 0},
        {"s", -1, 0},
        {".s", -1, 0},
        {"10", -1, 0},
        {"10x", -1, 0},
        {"10s ", -1, 0},
        {"-1s", -1, 0},
        {"+1s", -1, 0},
        {"1 s", -1, 0},
        {"1S", -1, 0},
        {"1..5s", -1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t ns = 0;
        if (duration_parse(slice_cstr(rows[i].text), &ns) != rows[i].want || ns != rows[i].ns)
            fail_msg("%s: %ju", rows[i].text, (uintmax_t)ns);
    }
}

static void test_durations_printed(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0"},           {1, "1ms"},      {1000, "1s"},
                {61001, "1m1s1ms"}, {3600000, "1h"}, {604800000, "168h"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 64);
        duration_print(&b, rows[i].ms);
        assert_string_equal(b.p, rows[i].text);
    }
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *row, *text;
        int want;
        int64_t number;
    } rows[] = {
        {"http.loops", "4", 0, 4},
        {"http.loops", "0x1F", 0, 31},
        {"http.loops", "0b101", 0, 5},
        {"http.loops", "0o17", 0, 15},
        {"http.loops", "+7", 0, 7},
        /* As registry: a float that is whole, and 08, which is no octal number, are integers. */
        {"http.loops", "08", 0, 8},
        {"http.loops", "010", 0, 8},
        {"http.loops", "1.0", 0, 1},
        {"http.loops", "1e1", 0, 10},
        {"http.loops", "+1.2E+1", 0, 12},
        {"http.loops", "2.7", -1, 0}, /* registry cuts it */
        {"http.loops", "1e", -1, 0},
        {"http.loops", "e1", -1, 0},
        {"http.loops", "1e400", -1, 0},
        {"http.loops", ".", -1, 0},
        {"http.loops", "inf", -1, 0},
        {"http.loops", "0x1p3", -1, 0},
        {"catalog.maxentries", "-1e3", 0, -1000},
        {"catalog.maxentries", "1e18", -1, 0}, /* more than a double counts one by one */
        {"http.loops", "_1", -1, 0},
        {"http.loops", "0x", -1, 0},
        {"http.loops", "-", -1, 0},
        {"http.loops", "", -1, 0},
        {"http.loops", "-1", -1, 0},
        {"http.limits.connections", "2147483647", 0, 2147483647},
        {"http.limits.connections", "2147483648", -1, 0},
        {"http.limits.connections", "99999999999999999999", -1, 0},
        {"catalog.maxentries", "-9223372036854775807", 0, -9223372036854775807},
        {"storage.cache.manifests", "7", 0, 7},
        {"storage.cache.manifests", "3KiB", 0, 3072},
        {"storage.cache.manifests", "16MiB", 0, 16 << 20},
        {"storage.cache.manifests", "1GiB", 0, 1 << 30},
        {"storage.cache.manifests", "1TiB", 0, (int64_t)1 << 40},
        {"storage.cache.manifests", "9223372036854775807GiB", -1, 0},
        {"storage.cache.manifests", "MiB", -1, 0},
        {"storage.cache.manifests", "16MB", -1, 0},
        {"storage.cache.manifests", "-1", -1, 0},
        {"http.draintimeout", "1500us", 0, 2}, /* rounded up */
        {"http.draintimeout", "1", 0, 1},
        {"http.draintimeout", "1e9", 0, 1000},
        {"http.draintimeout", "1.5", -1, 0},
        {"http.draintimeout", "-1", -1, 0},
        {"storage.maintenance.uploadpurging.age", "168h", 0, 604800000},
        {"storage.maintenance.uploadpurging.age", "168", -1, 0},
        {"storage.maintenance.uploadpurging.age", "0", -1, 0},
        {"storage.maintenance.uploadpurging.interval", "3600000000000", -1, 0},
        {"http.timeouts.head", "100ms", 0, 100},
        {"http.timeouts.head", "99ms", -1, 0},
        {"log.level", "Error", 0, 0},
        {"log.formatter", "Text", -1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct value v;
        char why[400] = "";
        struct node n = {.kind = NODE_SCALAR, .text = slice_cstr(rows[i].text)};
        int r = value_read(schema_find(rows[i].row), &n, &v, why, sizeof why);
        if (r != rows[i].want || (!r && v.number != rows[i].number) || (r != 0) != (why[0] != 0))
            fail_msg("%s: %s: %d %jd %s", rows[i].row, rows[i].text, r, (intmax_t)v.number, why);
    }
}

static void test_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown, *url, *query;
    } rows[] = {
        {"", "", "", ""},
        {"plain", "plain", "plain", "plain"},
        {"u:p@h", "******", "u:p@h", "u:p@h"},
        {"http://h/a?b#c", "http://h/a?b#c", "http://h/a?b#c", "http://h/a?******"},
        {"http://h?", "http://h?", "http://h?", "http://h?"},
        {"http://u:p@h:1/a?b", "******", "http://******@h:1/a?b", "http://******@h:1/a?******"},
        {"http://u:p@q@h", "******", "http://******@h", "http://******@h"},
        {"http://@h", "******", "http://******@h", "http://******@h"},
        {"http://h/@a", "******", "http://h/@a", "http://h/@a"},
        {"http://u@", "******", "http://******@", "http://******@"},
        {"://", "://", "://", "://"},
        {"?a://b", "?a://b", "?a://b", "?a://b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *const want[] = {rows[i].url, rows[i].query};
        struct slice shown = text_shown(slice_cstr(rows[i].text));
        assert_true(slice_is(shown, rows[i].shown));
        for (unsigned query = 0; query < 2; query++) {
            CLEANUP_BUF struct buf b;
            CLEANUP_BUF struct buf again;
            buf_init(&b, 256);
            buf_init(&again, 256);
            url_print(slice_cstr(rows[i].text), query, &b);
            assert_true(slice_is(buf_view(&b), want[query]));
            url_print(buf_view(&b), query, &again);
            assert_true(slice_eq(buf_view(&b), buf_view(&again)));
        }
    }
}

static void test_nulls(void **state)
{
    (void)state;
    const struct node null = {.kind = NODE_NULL};
    struct value v;
    char why[400];
    assert_int_equal(value_read(schema_find("http.loops"), &null, &v, why, sizeof why), 0);
    assert_true(v.empty);
    assert_int_equal(value_read(schema_find("http.addr"), &null, &v, why, sizeof why), 0);
    assert_false(v.empty); /* Go's zero value */
    assert_int_equal(v.text.n, 0);
    /* Quoted digits are no bare integer. */
    const struct node quoted = {.kind = NODE_SCALAR, .quoted = true, .text = SLICE_LIT("60")};
    assert_int_equal(value_read(schema_find("http.draintimeout"), &quoted, &v, why, sizeof why),
                     -1);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {
        "127.0.0.1:5000",      ":5000",       "[::1]:80", "localhost:0",
        "a.example.com:65535", "unix:/run/x", "[::]:1"};
    static const char *const bad[] = {"127.0.0.1", "",         "h:",        "h:99999", "h:65536",
                                      "::1:80",    "unix:",    "h:80x",     "a b:80",  "a/b:80",
                                      "h:+80",     "h:000080", "unix:/a\nb"};
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (address_check(slice_cstr(good[i]), &why))
            fail_msg("%s: %s", good[i], why);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why = NULL;
        if (!address_check(slice_cstr(bad[i]), &why) || !why)
            fail_msg("%s is taken", bad[i]);
    }
}

static void test_urls(void **state)
{
    (void)state;
    static const char *const good[] = {"http://a", "https://a:5000/", "https://[::1]/x?y"};
    static const char *const bad[] = {"",           "a",           "ftp://a",   "http://",
                                      "https:///x", "http://:80",  "http://?x", "http://#x",
                                      "http://a b", "http://a\nb", "//a"};
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(url_check(slice_cstr(good[i]), &why), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!url_check(slice_cstr(bad[i]), &why))
            fail_msg("%s is taken", bad[i]);
}

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned d;
    } rows[] = {{"", "", 0},         {"addr", "addr", 0},      {"addr", "ADDR", 0},
                {"adr", "addr", 1},  {"addrr", "addr", 1},     {"adrd", "addr", 1},
                {"htpt", "http", 1}, {"kitten", "sitting", 3}, {"abc", "xyz", 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(edit_distance(slice_cstr(rows[i].a), slice_cstr(rows[i].b), 9), rows[i].d);
        assert_int_equal(edit_distance(slice_cstr(rows[i].b), slice_cstr(rows[i].a), 9), rows[i].d);
    }
    assert_int_equal(edit_distance(SLICE_LIT("abcdef"), SLICE_LIT("ghijkl"), 2), 3);
    char *longer = xcalloc(1, 200);
    memset(longer, 'a', 199);
    assert_int_equal(edit_distance(slice_cstr(longer), slice_cstr(longer), 3), 4);
    free(longer);
    struct suggestion s;
    suggest_init(&s, SLICE_LIT("adr"));
    suggest_try(&s, SLICE_LIT("net"));
    assert_int_equal(s.best.n, 0);
    suggest_try(&s, SLICE_LIT("addr"));
    suggest_try(&s, SLICE_LIT(""));
    assert_true(slice_is(s.best, "addr"));
}

static void test_quoting(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "\"\""},
        {"abc", "abc"},
        {"/a/b", "/a/b"},
        {"true", "\"true\""},
        {"NO", "\"NO\""},
        {"null", "\"null\""},
        {"12", "\"12\""},
        {"1.5", "\"1.5\""},
        {"0x1f", "\"0x1f\""},
        {"10s", "10s"},
        {"127.0.0.1:80", "127.0.0.1:80"},
        {":80", "\":80\""},
        {"a: b", "\"a: b\""},
        {"a:", "\"a:\""},
        {"a #b", "\"a #b\""},
        {"a,b", "\"a,b\""},
        {"[a]", "\"[a]\""},
        {"-a", "\"-a\""},
        {"*a", "\"*a\""},
        {"a\nb", "\"a\\nb\""},
        {"say \"x\"", "\"say \\\"x\\\"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf b;
        buf_init(&b, 256);
        yaml_quote(&b, slice_cstr(rows[i].text));
        assert_string_equal(b.p, rows[i].want);
        /* It reads back as the string that it was. */
        struct arena *a = arena_new(1024);
        struct node *n;
        struct yaml_problem why;
        struct origin o = {.kind = FROM_DEFAULT};
        assert_int_equal(yaml_load(a, o, buf_view(&b), &n, &why), 0);
        assert_int_equal(n->kind, NODE_SCALAR);
        assert_true(slice_is(n->text, rows[i].text));
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_durations), TEST(test_durations_printed), TEST(test_values), TEST(test_shown),
        TEST(test_nulls),     TEST(test_addresses),         TEST(test_urls),   TEST(test_distance),
        TEST(test_quoting),
    };
    return cmocka_run_group_tests_name("config_value", tests, NULL, NULL);
}
