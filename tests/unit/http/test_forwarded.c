/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/forwarded.h"

#include "base/banned.h"

static struct trusted_peers *peers(const char *list)
{
    CLEANUP_FREE char *copy = xstrdup(list);
    const char *v[16];
    unsigned n = 0;
    struct slice rest = slice_cstr(copy);
    while (rest.p && rest.n) {
        struct slice one = slice_cut(&rest, ' ');
        copy[one.p + one.n - copy] = '\0';
        v[n++] = one.p;
    }
    struct trusted_peers *t = NULL;
    struct error err;
    assert_int_equal(trusted_peers_new(v, n, &t, &err), 0);
    return t;
}

static void expect_trust(const char *list, const char *address, bool want)
{
    struct trusted_peers *t = peers(list);
    if (trusted_peer(t, slice_cstr(address)) != want)
        fail_msg("%s in \"%s\": not %d", address, list, want);
    trusted_peers_free(t);
}

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *address;
        bool want;
    } rows[] = {
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/8", "10.1.2.3:4711", true},
        {"10.0.0.0/8", "11.1.2.3", false},
        {"10.0.0.0/8", "[::ffff:10.9.9.9]:80", true},
        {"10.0.0.0/8", "a00::1", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.128/25", "192.0.2.200", true},
        {"192.0.2.128/25", "192.0.2.100", false},
        {"192.0.2.2/31", "192.0.2.3", true},
        {"192.0.2.2/31", "192.0.2.4", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.9", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "[2001:db8::1]", true},
        {"2001:db8::/32", "[2001:db8::1]:443", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"::1", "::1", true},
        {"127.0.0.0/8 ::1/128 unix", "unix", true},
        {"127.0.0.0/8 ::1/128", "unix", false},
        {"127.0.0.0/8 ::1/128 unix", "[::1]:1", true},
        {"127.0.0.0/8 ::1/128 unix", "127.255.0.1", true},
        {"*", "unix", true},
        {"*", "anything", true},
        {"unix", "127.0.0.1", false},
        {"", "127.0.0.1", false},
        /* what is no address is nobody's */
        {"0.0.0.0/0 ::/0", "", false},
        {"0.0.0.0/0 ::/0", "localhost", false},
        {"0.0.0.0/0 ::/0", "127.0.0.1:", false},
        {"0.0.0.0/0 ::/0", "127.0.0.1:66000", false},
        {"0.0.0.0/0 ::/0", "127.0.0.1:0x1", false},
        {"0.0.0.0/0 ::/0", "127.0.0.01", false},
        {"0.0.0.0/0 ::/0", "[127.0.0.1]:80", false},
        {"0.0.0.0/0 ::/0", "[::1", false},
        {"0.0.0.0/0 ::/0", "[::1]80", false},
        {"0.0.0.0/0 ::/0", "[]", false},
        {"0.0.0.0/0 ::/0", "fe80::1%eth0", false},
        {"0.0.0.0/0 ::/0", "1.2.3.4.5.6.7.8.9.1.2.3.4.5.6.7.8.9.1.2.3.4.5", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_trust(rows[i].list, rows[i].address, rows[i].want);
    assert_false(trusted_peer(NULL, SLICE_LIT("unix")));
    assert_false(trusted_peer(NULL, SLICE_LIT("127.0.0.1")));
    trusted_peers_free(NULL);
}

static void test_bad_entries(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "localhost",   "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0.0/x", "10.0.0.0/-1", "::/129",      "::/0128",
                                      "10.0.0",     "10.0.0.0/8 ", "Unix",        "10.0.0.1:80",
                                      "[::1]/128",  "10.0.0.0/8/8"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct trusted_peers *t = NULL;
        struct error err = {0};
        const char *list[] = {"10.0.0.1", bad[i]};
        assert_int_equal(trusted_peers_new(list, 2, &t, &err), -1);
        assert_null(t);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        char want[80];
        (void)snprintf(want, sizeof want, "\"%s\" is not", bad[i]);
        assert_non_null(strstr(err.detail, want));
    }
}

/* fields: "Name: value" lines. */
static void read_fields(const char *list, const char *fields, struct arena *a,
                        struct forwarded *out)
{
    struct http_head *head = ARENA_NEW(a, struct http_head);
    struct slice rest = slice_cstr(fields);
    while (rest.p && rest.n) {
        struct slice value = slice_cut(&rest, '\n');
        struct slice name = slice_cut(&value, ':');
        head->fields[head->n_fields++] = (struct http_field){name, slice_trim(value)};
    }
    struct trusted_peers *t = peers(list);
    forwarded_read(t, head, a, out);
    trusted_peers_free(t);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *peer, *proto, *host;
    } rows[] = {
        {"", "", "", ""},
        {"Accept: x\nUser-Agent: X-Forwarded-For", "", "", ""},
        /* one proxy */
        {"X-Forwarded-For: 203.0.113.7", "203.0.113.7", "", ""},
        {"x-forwarded-for: 203.0.113.7:5555\nX-FORWARDED-PROTO: HTTPS", "203.0.113.7:5555", "https",
         ""},
        {"X-Forwarded-For: 2001:db8:1::7", "2001:db8:1::7", "", ""},
        {"X-Forwarded-For: [2001:db8:1::7]:81", "[2001:db8:1::7]:81", "", ""},
        {"X-Real-Ip: 203.0.113.8", "203.0.113.8", "", ""},
        {"X-Real-Ip: 203.0.113.8\nX-Forwarded-For: 203.0.113.7", "203.0.113.7", "", ""},
        {"X-Real-Ip: unknown", "", "", ""},
        /* lists, from the right: 10/8 is ours */
        {"X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.1, 10.0.0.2", "203.0.113.7", "", ""},
        {"X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 203.0.113.7\nX-Forwarded-For: 10.0.0.1",
         "203.0.113.7", "", ""},
        {"X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3", "", ""},
        {"X-Forwarded-For: 203.0.113.7, unknown, 10.0.0.2", "10.0.0.2", "", ""},
        {"X-Forwarded-For: 203.0.113.7, , 10.0.0.2,", "203.0.113.7", "", ""},
        {"X-Forwarded-For: 203.0.113.7, <script>", "", "", ""},
        {"X-Forwarded-For: ,,,", "", "", ""},
        /* what the proxy says counts, not what the client put into another field */
        {"X-Forwarded-For: unknown\nX-Real-Ip: 9.9.9.9", "", "", ""},
        {"X-Forwarded-For: unknown\nForwarded: for=9.9.9.9", "", "", ""},
        {"X-Real-Ip: unknown\nForwarded: for=9.9.9.9", "", "", ""},
        {"X-Forwarded-For: \", 203.0.113.7\nForwarded: for=9.9.9.9", "203.0.113.7", "", ""},
        {"X-Forwarded-For: \"1.1.1.1\\, 203.0.113.7", "203.0.113.7", "", ""},
        {"Forwarded: for=9.9.9.9;by=\", for=\"203.0.113.7\"", "", "", ""},
        /* scheme and host: the first, as distribution */
        {"X-Forwarded-Proto: https, http\nX-Forwarded-Host: a.example , b.example", "", "https",
         "a.example"},
        {"X-Forwarded-Proto: ftp", "", "", ""},
        {"X-Forwarded-Proto: ", "", "", ""},
        {"X-Forwarded-Host: reg.example:8443", "", "", "reg.example:8443"},
        {"X-Forwarded-Host: [2001:db8::1]:8443", "", "", "[2001:db8::1]:8443"},
        {"X-Forwarded-Host: evil/../x", "", "", ""},
        {"X-Forwarded-Host: a b", "", "", ""},
        {"X-Forwarded-Host: user@a", "", "", ""},
        {"X-Forwarded-Host: a:99999", "", "", ""},
        {"X-Forwarded-Host: \"a.example\"", "", "", ""},
        /* a port of its own */
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 5000", "", "", "a.example:5000"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 443\nX-Forwarded-Proto: https", "",
         "https", "a.example"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 80\nX-Forwarded-Proto: https", "", "https",
         "a.example:80"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 443", "", "", "a.example"},
        {"X-Forwarded-Host: a.example:1\nX-Forwarded-Port: 5000", "", "", "a.example:1"},
        {"X-Forwarded-Host: [::1]\nX-Forwarded-Port: 5000", "", "", "[::1]:5000"},
        {"X-Forwarded-Host: [::1]:7\nX-Forwarded-Port: 5000", "", "", "[::1]:7"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 0", "", "", "a.example"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 123456", "", "", "a.example"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: 70000", "", "", "a.example"},
        {"X-Forwarded-Host: a.example\nX-Forwarded-Port: x", "", "", "a.example"},
        {"X-Forwarded-Port: 5000", "", "", ""},
        /* RFC 7239 */
        {"Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60", "http", ""},
        {"Forwarded: For=\"[2001:db8:cafe::17]:4711\"", "[2001:db8:cafe::17]:4711", "", ""},
        {"Forwarded: for=[2001:db8:cafe::17]:4711", "[2001:db8:cafe::17]:4711", "", ""},
        {"Forwarded: for = \"192.0.2.43:47011\" ; HOST=\"reg.example:5000\";Proto=HTTPS",
         "192.0.2.43:47011", "https", "reg.example:5000"},
        {"Forwarded: for=\"192.0.2.43:_obf\"", "192.0.2.43", "", ""},
        {"Forwarded: for=\"[2001:db8::1]:_obf\"", "[2001:db8::1]", "", ""},
        {"Forwarded: for=_hidden, for=_SEVKISEK", "", "", ""},
        {"Forwarded: for=unknown;proto=https", "", "https", ""},
        {"Forwarded: for=\"_gazonk\";host=a.example", "", "", "a.example"},
        {"Forwarded: for=192.0.2.43;host=\"a\\.example\"", "192.0.2.43", "", "a.example"},
        {"Forwarded: for=192.0.2.43;extension=\"a, b; c=\\\"d\\\"\";proto=https", "192.0.2.43",
         "https", ""},
        {"Forwarded: for=192.0.2.43;host=a.example;proto=http, for=10.0.0.1;proto=https",
         "192.0.2.43", "http", "a.example"},
        {"Forwarded: for=9.9.9.9;host=evil, for=192.0.2.43;host=a.example, for=10.0.0.1",
         "192.0.2.43", "", "a.example"},
        {"Forwarded: for=9.9.9.9\nForwarded: for=192.0.2.43\nForwarded: for=10.0.0.1", "192.0.2.43",
         "", ""},
        {"Forwarded: host=evil.example, proto=https", "", "https", ""},
        {"Forwarded: for=\"unclosed", "", "", ""},
        {"Forwarded: for=\"a\"b\"", "", "", ""},
        {"Forwarded: for=\"192.0.2.43\\\"", "", "", ""},
        {"Forwarded: for=\"", "", "", ""},
        {"Forwarded: for", "", "", ""},
        {"Forwarded: for=", "", "", ""},
        {"Forwarded: for=1.2.3.4 5", "", "", ""},
        {"Forwarded: ;;for=192.0.2.43;;", "192.0.2.43", "", ""},
        {"Forwarded: proto=gopher;host=\"a b\";for=192.0.2.43", "192.0.2.43", "", ""},
        /* both: who it is by what proxies overwrite, links as distribution */
        {"Forwarded: for=9.9.9.9;host=f.example;proto=https\nX-Forwarded-For: 203.0.113.7\n"
         "X-Forwarded-Host: x.example\nX-Forwarded-Proto: http",
         "203.0.113.7", "https", "f.example"},
        {"Forwarded: for=9.9.9.9\nX-Forwarded-Host: x.example\nX-Forwarded-Proto: http", "9.9.9.9",
         "http", "x.example"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(1024);
        struct forwarded w;
        read_fields("10.0.0.0/8", rows[i].fields, a, &w);
        if (!slice_is(w.peer, rows[i].peer) || !slice_is(w.proto, rows[i].proto) ||
            !slice_is(w.host, rows[i].host))
            fail_msg("%s: peer=%.*s proto=%.*s host=%.*s", rows[i].fields, SLICE_ARG(w.peer),
                     SLICE_ARG(w.proto), SLICE_ARG(w.host));
        arena_free(a);
    }
}

/* Everybody is believed: then it is the first of the list. */
static void test_everybody(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    struct forwarded w;
    read_fields("*", "X-Forwarded-For: 203.0.113.7, 198.51.100.1", a, &w);
    assert_true(slice_is(w.peer, "203.0.113.7"));
    arena_free(a);
}

/* Of a list without an end only the last entries count. */
static void test_long_lists(void **state)
{
    (void)state;
    struct arena *a = arena_new(1024);
    char text[4096] = "X-Forwarded-For: 203.0.113.7", *at = text + strlen(text);
    for (int i = 0; i < 100; i++)
        at += snprintf(at, 32, ", 10.0.0.%d", i);
    struct forwarded w;
    read_fields("10.0.0.0/8", text, a, &w);
    assert_true(slice_is(w.peer, "10.0.0.68")); /* 32 from the end */
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),      cmocka_unit_test(test_bad_entries),
        cmocka_unit_test(test_fields),     cmocka_unit_test(test_everybody),
        cmocka_unit_test(test_long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
