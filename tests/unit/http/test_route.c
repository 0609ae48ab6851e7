/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "http/route.h"

#include "base/banned.h"

/* The shape of the registry's own table; `name` tells the rows apart. */
static const struct route table[] = {
    {.name = "base", .method = HTTP_GET, .pattern = "/v2/"},
    {.name = "catalog", .method = HTTP_GET, .pattern = "/v2/_catalog"},
    {.name = "tags", .method = HTTP_GET, .pattern = "/v2/<name>/tags/list"},
    {.name = "manifest", .method = HTTP_GET, .pattern = "/v2/<name>/manifests/<reference>"},
    {.name = "manifest", .method = HTTP_PUT, .pattern = "/v2/<name>/manifests/<reference>"},
    {.name = "manifest", .method = HTTP_DELETE, .pattern = "/v2/<name>/manifests/<reference>"},
    {.name = "blob", .method = HTTP_GET, .pattern = "/v2/<name>/blobs/<digest>"},
    {.name = "blob", .method = HTTP_DELETE, .pattern = "/v2/<name>/blobs/<digest>"},
    {.name = "uploads", .method = HTTP_POST, .pattern = "/v2/<name>/blobs/uploads/"},
    {.name = "upload", .method = HTTP_GET, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.name = "upload", .method = HTTP_PATCH, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.name = "upload", .method = HTTP_PUT, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.name = "upload", .method = HTTP_DELETE, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.name = "referrers", .method = HTTP_GET, .pattern = "/v2/<name>/referrers/<digest>"},
    {.name = "livez", .method = HTTP_GET, .pattern = "/livez"},
};

#define BIT(m) (1u << HTTP_##m)
#define READ (BIT(GET) | BIT(HEAD) | BIT(OPTIONS))

/* ---- An independent matcher: by the text of the path, from its end ----------------------------
 */

struct want {
    const char *route; /* NULL: 404 */
    struct slice name, last;
    unsigned allowed;
};

/* Splits "x/y" at its last slash. */
static bool rsplit(struct slice s, struct slice *before, struct slice *after)
{
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == '/') {
            *before = slice_first(s, i - 1);
            *after = slice_from(s, i);
            return true;
        }
    }
    return false;
}

static bool hostile(struct slice path)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (c < 0x21 || c > 0x7e || c == '%' || c == '#' || c == '?')
            return true;
    }
    char text[300];
    assert_true(path.n < sizeof text - 2);
    memcpy(text, path.p, path.n);
    memcpy(text + path.n, "/", 2);
    if (strstr(text, "/./") || strstr(text, "/../"))
        return true;
    text[path.n] = '\0';
    return strstr(text, "//") != NULL;
}

static struct want expect(struct slice path)
{
    struct want none = {0};
    struct slice name, last, rest, word;
    if (path.n == 0 || path.p[0] != '/' || hostile(path))
        return none;
    if (slice_is(path, "/livez"))
        return (struct want){.route = "livez", .allowed = READ};
    if (slice_is(path, "/v2") || slice_is(path, "/v2/"))
        return (struct want){.route = "base", .allowed = READ};
    if (slice_is(path, "/v2/_catalog"))
        return (struct want){.route = "catalog", .allowed = READ};
    if (!slice_starts(path, SLICE_LIT("/v2/")))
        return none;
    struct slice inner = slice_from(path, 4);
    struct slice bare = inner;
    if (slice_ends(bare, SLICE_LIT("/")))
        bare.n--;
    if (slice_ends(bare, SLICE_LIT("/blobs/uploads")) && bare.n > 14)
        return (struct want){.route = "uploads",
                             .name = slice_first(bare, bare.n - 14),
                             .allowed = BIT(POST) | BIT(OPTIONS)};
    if (!rsplit(inner, &rest, &last) || last.n == 0)
        return none;
    if (slice_ends(rest, SLICE_LIT("/blobs/uploads")) && rest.n > 14)
        return (struct want){.route = "upload",
                             .name = slice_first(rest, rest.n - 14),
                             .last = last,
                             .allowed = READ | BIT(PATCH) | BIT(PUT) | BIT(DELETE)};
    if (!rsplit(rest, &name, &word))
        return none;
    struct want w = {.name = name, .last = last};
    if (slice_is(word, "tags") && slice_is(last, "list"))
        return (struct want){.route = "tags", .name = name, .allowed = READ};
    if (slice_is(word, "manifests")) {
        w.route = "manifest";
        w.allowed = READ | BIT(PUT) | BIT(DELETE);
        return w;
    }
    if (slice_is(word, "blobs")) {
        w.route = "blob";
        w.allowed = READ | BIT(DELETE);
        return w;
    }
    if (slice_is(word, "referrers")) {
        w.route = "referrers";
        w.allowed = READ;
        return w;
    }
    return none;
}

static void check_path(const char *text, size_t n)
{
    struct slice path = slice_make(text, n);
    struct want w = expect(path);
    for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
        struct route_match got;
        route_match(table, ARRAY_LEN(table), (enum http_method)m, path, &got);
        if (got.allowed != w.allowed)
            fail_msg("allowed %x instead of %x for %.*s", got.allowed, w.allowed, SLICE_ARG(path));
        bool served = (w.allowed & 1u << m) && m != HTTP_OPTIONS;
        if (served != (got.route != NULL))
            fail_msg("method %d of %.*s", m, SLICE_ARG(path));
        if (!served)
            continue;
        if (strcmp(got.route->name, w.route) != 0)
            fail_msg("%s instead of %s for %.*s", got.route->name, w.route, SLICE_ARG(path));
        assert_int_equal(got.route->method, m == HTTP_HEAD ? HTTP_GET : m);
        assert_true(slice_eq(got.param[0], w.name));
        assert_true(slice_eq(got.param[1], w.last));
        assert_null(got.param[2].p);
    }
}

static void check_str(const char *s)
{
    check_path(s, strlen(s));
}

/* Every path of up to six components from a set that holds all the words of the table. */
static void test_components(void **state)
{
    (void)state;
    static const char *const words[] = {"v2",   "a",    "blobs",     "uploads",
                                        "tags", "list", "manifests", "x:1"};
    const unsigned base = ARRAY_LEN(words);
    unsigned total = 1;
    for (unsigned len = 0; len <= 5; len++, total *= base) {
        for (unsigned i = 0; i < total; i++) {
            char text[160] = "/v2";
            size_t n = 3;
            unsigned rest = i;
            for (unsigned k = 0; k < len; k++, rest /= base)
                n += (size_t)snprintf(text + n, sizeof text - n, "/%s", words[rest % base]);
            check_path(text, n);
            text[n] = '/';
            check_path(text, n + 1);
        }
    }
}

/* All strings of up to four of the bytes that mean something, in the places of a name, a reference
 * and a whole path (the set A16 of the advisories: traversal, encoded traversal, controls). */
static void test_strings(void **state)
{
    (void)state;
    static const char set[20] = {'a', 'Z', '0', '.', '_', '-', '/',  '%',  '2',  'f',
                                 ':', '@', '~', '+', '=', ' ', '\0', '\n', 0x7f, (char)0x80};
    unsigned total = 1;
    for (unsigned len = 0; len <= 4; len++, total *= sizeof set) {
        for (unsigned i = 0; i < total; i++) {
            char s[4];
            unsigned rest = i;
            for (unsigned k = 0; k < len; k++, rest /= (unsigned)sizeof set)
                s[k] = set[rest % sizeof set];
            char text[64] = "/v2/";
            memcpy(text + 4, s, len);
            memcpy(text + 4 + len, "/tags/list", 10);
            check_path(text, 14 + len);
            if (len > 3)
                continue; /* the two other places differ by what is around them only */
            memcpy(text, "/v2/a/blobs/", 12);
            memcpy(text + 12, s, len);
            check_path(text, 12 + len);
            check_path(text + 12, len);
        }
    }
}

static void test_cases(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/v2/a/blobs/uploads/",
        "/v2/a/blobs/uploads",
        "/v2/a/blobs/uploads/uploads",
        "/v2/a/blobs/uploads/uploads/",
        "/v2/blobs/uploads/",
        "/v2/blobs/uploads/blobs/uploads/",
        "/v2/blobs/blobs/blobs",
        "/v2/manifests/manifests/manifests",
        "/v2/tags/list",
        "/v2/tags/list/tags/list",
        "/v2/tags/tags/list",
        "/v2/a/tags/list/",
        "/v2/a/manifests/",
        "/v2/a/manifests/tags/list",
        "/v2/a/manifests/b/",
        "/v2/_catalog/",
        "/v2/_catalog/tags/list",
        "/v2/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/manifests/latest",
        "/v2/a/b/c/d/e/f/g/h/i/j/k/l/blobs/uploads/x",
        "/v2/a/b/c/d/e/f/g/h/i/j/k/l/m/blobs/uploads/",
        "/v2//manifests/a",
        "/v2/./manifests/a",
        "/v2/../manifests/a",
        "/v2/a/../manifests/a",
        "/v2/a/manifests/..",
        "/v2/a/manifests/.",
        "/v2/a/manifests/...",
        "/v2/.a/manifests/..b",
        "/v2/a%2fb/manifests/c",
        "/v2/a/manifests/%2e%2e",
        "/v2/\xc0\xae\xc0\xae/manifests/a",
        "/v2/a/referrers/sha256:ab",
        "/V2/",
        "/v2/a/Manifests/b",
        "/v1/",
        "/",
        "//",
        "///",
        "/v2//",
        "//v2/",
        "/livez",
        "/livez/",
        "livez",
        "v2",
        "",
        "*",
        "/v2?",
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        check_str(paths[i]);
    /* Said again in plain words, so that both matchers cannot be wrong in the same way. */
    struct route_match m;
    route_match(table, ARRAY_LEN(table), HTTP_GET, SLICE_LIT("/v2/a/blobs/uploads/"), &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, BIT(POST) | BIT(OPTIONS));
    route_match(table, ARRAY_LEN(table), HTTP_DELETE, SLICE_LIT("/v2/a/blobs/uploads"), &m);
    assert_null(m.route);
    route_match(table, ARRAY_LEN(table), HTTP_HEAD, SLICE_LIT("/v2/a/b/manifests/c"), &m);
    assert_string_equal(m.route->name, "manifest");
    assert_true(slice_is(m.param[0], "a/b"));
    assert_true(slice_is(m.param[1], "c"));
    route_match(table, ARRAY_LEN(table), HTTP_GET, SLICE_LIT("/v2/a/blobs"), &m);
    assert_int_equal(m.allowed, 0);
    assert_null(m.route);
    route_match(table, 0, HTTP_GET, SLICE_LIT("/v2/"), &m);
    assert_int_equal(m.allowed, 0);
}

/* Other tables: parameters before the name, a root, rows for HEAD and OPTIONS, more specific rows
 * that come later. */
static void test_tables(void **state)
{
    (void)state;
    static const struct route other[] = {
        {.name = "root", .method = HTTP_GET, .pattern = "/"},
        {.name = "thing", .method = HTTP_GET, .pattern = "/api/<kind>/<id>"},
        {.name = "search", .method = HTTP_POST, .pattern = "/api/<kind>/search"},
        {.name = "deep", .method = HTTP_GET, .pattern = "/x/<kind>/<name>/at/<id>"},
        {.name = "get", .method = HTTP_GET, .pattern = "/h"},
        {.name = "head", .method = HTTP_HEAD, .pattern = "/h"},
        {.name = "options", .method = HTTP_OPTIONS, .pattern = "/h"},
        {.name = "second", .method = HTTP_GET, .pattern = "/h"},
        {.name = "all", .method = HTTP_GET, .pattern = "/f/<name>"},
    };
    static const struct {
        enum http_method method;
        const char *path, *route, *p0, *p1, *p2;
    } rows[] = {
        {HTTP_GET, "/", "root", NULL, NULL, NULL},
        {HTTP_GET, "/api/a/b", "thing", "a", "b", NULL},
        {HTTP_GET, "/api/a/search", NULL, NULL, NULL, NULL},
        {HTTP_POST, "/api/a/search", "search", "a", NULL, NULL},
        {HTTP_POST, "/api/a/b", NULL, NULL, NULL, NULL},
        {HTTP_GET, "/x/k/a/b/c/at/5", "deep", "k", "a/b/c", "5"},
        {HTTP_GET, "/x/k/at/5", NULL, NULL, NULL, NULL},
        {HTTP_GET, "/x/k/at/at/5", "deep", "k", "at", "5"},
        {HTTP_GET, "/h", "get", NULL, NULL, NULL},
        {HTTP_HEAD, "/h", "head", NULL, NULL, NULL},
        {HTTP_OPTIONS, "/h", "options", NULL, NULL, NULL},
        {HTTP_OTHER, "/h", NULL, NULL, NULL, NULL},
        {HTTP_GET, "/f/a", "all", "a", NULL, NULL},
        {HTTP_GET, "/f/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s", "all",
         "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s", NULL, NULL},
        {HTTP_GET, "/f", NULL, NULL, NULL, NULL},
        {HTTP_GET, "/f/", NULL, NULL, NULL, NULL},
        {HTTP_GET, "/f/a/", NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_match m;
        route_match(other, ARRAY_LEN(other), rows[i].method, slice_cstr(rows[i].path), &m);
        if (!rows[i].route) {
            assert_null(m.route);
            continue;
        }
        if (!m.route || strcmp(m.route->name, rows[i].route) != 0)
            fail_msg("not %s: %s", rows[i].route, rows[i].path);
        assert_true(slice_eq(m.param[0], slice_cstr(rows[i].p0)));
        assert_true(slice_eq(m.param[1], slice_cstr(rows[i].p1)));
        assert_true(slice_eq(m.param[2], slice_cstr(rows[i].p2)));
    }
    /* A HEAD row that comes before the GET row wins as well. */
    static const struct route turned[] = {
        {.name = "head", .method = HTTP_HEAD, .pattern = "/h"},
        {.name = "get", .method = HTTP_GET, .pattern = "/h"},
    };
    struct route_match m;
    route_match(turned, 2, HTTP_HEAD, SLICE_LIT("/h"), &m);
    assert_string_equal(m.route->name, "head");
    assert_int_equal(m.allowed, BIT(HEAD) | BIT(GET) | BIT(OPTIONS));
    /* The order of the rows says nothing about which pattern is meant. */
    static const struct route specific_first[] = {
        {.name = "uploads", .method = HTTP_POST, .pattern = "/v2/<name>/blobs/uploads/"},
        {.name = "blob", .method = HTTP_GET, .pattern = "/v2/<name>/blobs/<digest>"},
    };
    route_match(specific_first, 2, HTTP_GET, SLICE_LIT("/v2/a/blobs/uploads"), &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, BIT(POST) | BIT(OPTIONS));
    route_match(specific_first, 2, HTTP_GET, SLICE_LIT("/v2/a/blobs/b"), &m);
    assert_string_equal(m.route->name, "blob");
}

/* "%3A" in the last component, and nothing else. */
static void test_path(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"/v2/a/blobs/sha256%3Aab", "/v2/a/blobs/sha256:ab"},
        {"/v2/a/blobs/sha256%3aab", "/v2/a/blobs/sha256:ab"},
        {"/%3A", "/:"},
        {"/%3A%3a%3A", "/:::"},
        {"/v2/a%3Ab/blobs/x", NULL},
        {"/v2/a/blobs/x%3A/", NULL},
        {"/v2/a%3Ab/blobs/x%3Ay", "/v2/a%3Ab/blobs/x:y"},
        {"/v2/a/blobs/x%253Ay", NULL},
        {"/v2/a/blobs/x%%3Ay", "/v2/a/blobs/x%:y"},
        {"/v2/a/blobs/%2e%2E", NULL},
        {"/v2/a/blobs/b%2Fc%3A", "/v2/a/blobs/b%2Fc:"},
        {"/x%3", NULL},
        {"/x%", NULL},
        {"/x%3B%00", NULL},
        {"/", NULL},
        {"*", NULL},
        {"%3A", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(256);
        size_t n = strlen(rows[i].path);
        char *heap = malloc(n ? n : 1); /* no NUL behind it: it is not looked at */
        assert_non_null(heap);
        memcpy(heap, rows[i].path, n);
        struct slice got = route_path(a, slice_make(heap, n));
        const char *want = rows[i].want ? rows[i].want : rows[i].path;
        if (!slice_is(got, want))
            fail_msg("%s became %.*s", rows[i].path, SLICE_ARG(got));
        free(heap);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_cases),      cmocka_unit_test(test_path),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests_name("http_route", tests, NULL, NULL);
}
