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
#include "oci/media_type.h"
#include "registry/validate.h"

#include "base/banned.h"

#define DIGEST(c) "sha256:" c c c c c c c c c c c c c c c c
#define A DIGEST("aaaa")
#define B DIGEST("bbbb")
#define LAYER "application/vnd.oci.image.layer.v1.tar+gzip"

/* Parses and checks; 0, or -1 with *err. */
static int check(const struct validator *v, struct slice body, struct manifest *m, struct arena *a,
                 struct error *err)
{
    if (manifest_parse(body, SLICE_NONE, a, m, err))
        fail_msg("%s: %.*s", err->detail, SLICE_ARG(body));
    return validator_check(v, body, m, err);
}

static struct slice image(struct arena *a, const char *config_type, const char *layer_members)
{
    return slice_cstr(arena_printf(
        a,
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\",\"digest\":\"" A
        "\",\"size\":2},\"layers\":[{\"mediaType\":\"" LAYER "\",\"digest\":\"" B
        "\",\"size\":3},{\"mediaType\":\"" LAYER "\",\"digest\":\"" B "\",\"size\":3%s}]}",
        config_type, layer_members));
}

static struct validator *make(const struct validate_config *config)
{
    struct validator *v = NULL;
    struct error err = {0};
    if (validator_new(config, &v, &err))
        fail_msg("%s", err.detail);
    assert_non_null(v);
    return v;
}

/* The code of the refusal of a layer with this URL, or ERR_NONE. */
static enum error_code url(const struct validate_config *config, const char *text,
                           struct error *err)
{
    struct arena *a = arena_new(4096);
    struct manifest m;
    struct validator *v = make(config);
    *err = (struct error){0};
    struct slice body =
        image(a, MT_OCI_CONFIG, arena_printf(a, ",\"urls\":[\"https://good.example/0\",%s]", text));
    int result = check(v, body, &m, a, err);
    assert_int_equal(result, err->code == ERR_NONE ? 0 : -1);
    validator_free(v);
    arena_free(a);
    return err->code;
}

static const char *const good[] = {"^https://good\\.example/", "(?i)MIRROR"};
static const char *const bad[] = {"secret"};

static void test_urls(void **state)
{
    (void)state;
    static const struct validate_config lists = {
        .urls_allow = good, .n_urls_allow = 2, .urls_deny = bad, .n_urls_deny = 1};
    static const struct {
        const char *url;
        const char *because; /* NULL: allowed */
    } rows[] = {
        {"\"https://good.example/x\"", NULL},
        {"\"http://mirror.example:8080/x?y=%20\"", NULL},
        {"\"HTTPS://u@mirror/x#\"", NULL},
        {"\"https://[::1]/mirror\"", NULL},
        {"\"https://other.example/x\"", "does not allow it (validation.manifests.urls.allow)"},
        {"\"https://good.example/secret\"", "denies it (validation.manifests.urls.deny)"},
        {"\"https://good.example/x#f\"", "fragment"},
        {"\"ftp://good.example/mirror\"", "not an http or https URL"},
        {"\"mirror\"", "not an http or https URL"},
        {"\"\"", "not an http or https URL"},
        {"\"https:mirror\"", "names no host"},
        {"\"https:/mirror\"", "names no host"},
        {"\"https://\"", "names no host"},
        {"\"https:///mirror\"", "names no host"},
        {"\"https://:80/mirror\"", "names no host"},
        {"\"https://?mirror\"", "names no host"},
        {"\"https://good.example/a b\"", "percent-encode"},
        {"\"https://good.example/\\n\"", "percent-encode"},
        {"\"https://good.example/\\u00e9\"", "percent-encode"},
        {"\"https://good.example\\\\@evil/\"", "percent-encode"},
        {"\"https://good.example/%zz\"", "hexadecimal"},
        {"\"https://good.example/%4\"", "hexadecimal"},
        {"\"https://good.example/%\"", "hexadecimal"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err;
        enum error_code code = url(&lists, rows[i].url, &err);
        if (code != (rows[i].because ? ERR_MANIFEST_INVALID : ERR_NONE))
            fail_msg("%s: %s", rows[i].url, code ? err.detail : "was allowed");
        if (!code)
            continue;
        if (!strstr(err.detail, rows[i].because) || !strstr(err.detail, "layers[1]") ||
            !strstr(err.detail, "invalid URL on layer"))
            fail_msg("%s: %s", rows[i].url, err.detail);
    }
}

/* Clients fetch whatever has URLs from there (containerd does). */
static void test_urls_elsewhere(void **state)
{
    (void)state;
    static const struct validate_config lists = {.urls_allow = good, .n_urls_allow = 1};
#define WHERE(name, where) "\"" name "\":[\"https://" where "/\"]"
#define DESCRIPTOR(type, more) \
    "{\"mediaType\":\"" type "\",\"digest\":\"" A "\",\"size\":2" more "}"
#define IMAGE(config, more)                        \
    "{\"schemaVersion\":2,\"config\":" DESCRIPTOR( \
        MT_OCI_CONFIG, config) ",\"layers\":[" DESCRIPTOR(LAYER, "") "]" more "}"
#define INDEX(child) "{\"schemaVersion\":2,\"manifests\":[" DESCRIPTOR(MT_OCI_MANIFEST, child) "]}"
#define FOREIGN(more) DESCRIPTOR("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", more)
    static const struct {
        const char *body, *place; /* NULL: allowed */
    } rows[] = {
        {IMAGE("", ""), NULL},
        {IMAGE("," WHERE("urls", "good.example"), ""), NULL},
        {IMAGE("," WHERE("urls", "evil"), ""), "config says"},
        {"{\"schemaVersion\":2,\"config\":" DESCRIPTOR(MT_OCI_CONFIG, "") ",\"layers\":[" FOREIGN(
             "," WHERE("urls", "evil")) "]}",
         "layers[0] says"},
        {"{\"schemaVersion\":2,\"config\":" DESCRIPTOR(MT_OCI_CONFIG, "") ",\"layers\":[" FOREIGN(
             "," WHERE("\\u0075r\\u006cs", "evil")) "]}",
         "layers[0] says"},
        {IMAGE("", ",\"layer\":[" FOREIGN("," WHERE("urls", "evil")) "]"), NULL},
        {IMAGE("", ",\"layers2\":[" FOREIGN("," WHERE("urls", "evil")) "]"), NULL},
        {INDEX(""), NULL},
        {INDEX("," WHERE("urls", "good.example")), NULL},
        {INDEX("," WHERE("urls", "evil")), "manifests[0] says"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct validator *v = make(&lists);
        struct arena *a = arena_new(4096);
        struct manifest m;
        struct error err = {0};
        int result = check(v, slice_cstr(rows[i].body), &m, a, &err);
        if (result != (rows[i].place ? -1 : 0) ||
            (result && (err.code != ERR_MANIFEST_INVALID || !strstr(err.detail, rows[i].place))))
            fail_msg("%s: %s", rows[i].body, result ? err.detail : "was allowed");
        validator_free(v);
        arena_free(a);
    }
}

static void test_long_url(void **state)
{
    (void)state;
    static const struct validate_config lists = {.urls_allow = good, .n_urls_allow = 1};
    struct error err;
    char text[5000];
    for (int n = 4096; n <= 4097; n++) {
        (void)snprintf(text, sizeof text, "\"https://good.example/%0*d\"", n - 21, 0);
        assert_int_equal(url(&lists, text, &err), n > 4096 ? ERR_MANIFEST_INVALID : ERR_NONE);
    }
    assert_non_null(strstr(err.detail, "longer than 4096"));
}

/* Which lists there are: none, one, the other. */
static void test_lists(void **state)
{
    (void)state;
    struct error err;
    struct validate_config c = {0};
    assert_int_equal(url(&c, "\"ftp://good.example/x\"", &err), ERR_NONE);
    c.strict = true;
    assert_int_equal(url(&c, "\"https://good.example/x\"", &err), ERR_MANIFEST_INVALID);
    assert_non_null(strstr(err.detail, "allows none"));
    c.disabled = true;
    assert_int_equal(url(&c, "\"https://good.example/x\"", &err), ERR_NONE);
    assert_int_equal(url(&c, "\"ftp://x\"", &err), ERR_NONE);
    c = (struct validate_config){.urls_deny = bad, .n_urls_deny = 1};
    assert_int_equal(url(&c, "\"https://other.example/x\"", &err), ERR_NONE);
    assert_int_equal(url(&c, "\"https://other.example/secret\"", &err), ERR_MANIFEST_INVALID);
    c = (struct validate_config){.urls_allow = good, .n_urls_allow = 1};
    assert_int_equal(url(&c, "\"https://good.example/secret\"", &err), ERR_NONE);
}

/* Without URLs, nothing is asked for, whatever the lists say. */
static void test_no_urls(void **state)
{
    (void)state;
    static const char *const members[] = {"", ",\"urls\":[]", ",\"urls\":null"};
    struct validate_config c = {.strict = true};
    struct validator *v = make(&c);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct arena *a = arena_new(4096);
        struct manifest m;
        struct error err = {0};
        assert_int_equal(check(v, image(a, MT_OCI_CONFIG, members[i]), &m, a, &err), 0);
        assert_true(m.edges[2].required);
        arena_free(a);
    }
    validator_free(v);
}

static struct slice foreign(struct arena *a, const char *host)
{
    return slice_cstr(arena_printf(
        a,
        "{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_MANIFEST
        "\",\"config\":{\"mediaType\":\"x/y\",\"digest\":\"" A "\",\"size\":2},\"layers\":["
        "{\"mediaType\":\"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\",\"digest\":"
        "\"" B "\",\"size\":3,\"urls\":[\"https://%s.example/x\"]}]}",
        host));
}

/* A nondistributable layer is looked at too. */
static void test_foreign(void **state)
{
    (void)state;
    struct validate_config c = {.urls_allow = good, .n_urls_allow = 1};
    struct validator *v = make(&c);
    struct arena *a = arena_new(4096);
    struct manifest m;
    struct error err = {0};
    assert_int_equal(check(v, foreign(a, "good"), &m, a, &err), 0);
    assert_false(m.edges[1].required);
    assert_int_equal(check(v, foreign(a, "evil"), &m, a, &err), -1);
    assert_int_equal(err.code, ERR_MANIFEST_INVALID);
    arena_free(a);
    validator_free(v);
}

static void test_bad_expression(void **state)
{
    (void)state;
    static const char *const broken[] = {"^https://", "(unclosed"};
    struct validator *v = NULL;
    struct error err = {0};
    struct validate_config c = {.urls_allow = broken, .n_urls_allow = 2};
    assert_int_equal(validator_new(&c, &v, &err), -1);
    assert_null(v);
    assert_non_null(strstr(err.detail, "(unclosed"));
    c = (struct validate_config){.urls_deny = broken, .n_urls_deny = 2};
    assert_int_equal(validator_new(&c, &v, &err), -1);
    assert_null(v);
    /* registry does not read them then. */
    c.disabled = true;
    assert_int_equal(validator_new(&c, &v, &err), 0);
    validator_free(v);
}

static void test_classes(void **state)
{
    (void)state;
    static const char *const image_only[] = {"image"};
    static const char *const plugin_only[] = {"plugin"};
    static const char *const both[] = {"image", "plugin"};
    static const char *const types[] = {"application/vnd.docker.container.image.v1+json",
                                        MT_OCI_CONFIG, "application/vnd.docker.plugin.v1+json",
                                        MT_OCI_EMPTY};
    static const struct {
        const char *const *classes;
        unsigned n;
        bool allowed[4]; /* of each type */
    } rows[] = {
        {NULL, 0, {true, true, true, true}},
        {image_only, 1, {true, true, false, false}},
        {plugin_only, 1, {false, false, true, false}},
        {both, 2, {true, true, true, false}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        /* It has nothing to do with the section `validation`. */
        struct validate_config c = {
            .disabled = true, .classes = rows[i].classes, .n_classes = rows[i].n};
        struct validator *v = make(&c);
        for (size_t k = 0; k < ARRAY_LEN(types); k++) {
            struct arena *a = arena_new(4096);
            struct manifest m;
            struct error err = {0};
            int result = check(v, image(a, types[k], ""), &m, a, &err);
            assert_int_equal(result, rows[i].allowed[k] ? 0 : -1);
            assert_int_equal(err.code, rows[i].allowed[k] ? ERR_NONE : ERR_DENIED);
            if (result)
                assert_non_null(strstr(err.detail, k == 3   ? MT_OCI_EMPTY
                                                   : k == 2 ? "does not allow plugin"
                                                            : "does not allow image"));
            arena_free(a);
        }
        validator_free(v);
    }
}

static const char index_body[] =
    "{\"schemaVersion\":2,\"manifests\":["
    "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" A "\",\"size\":2,"
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}},"
    "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" B "\",\"size\":2,"
    "\"platform\":{\"os\":\"Linux\",\"architecture\":\"ARM64\"}},"
    "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" A "\",\"size\":2,"
    "\"platform\":{\"os\":\"windows\",\"architecture\":\"amd64\"}},"
    "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" A "\",\"size\":2},"
    "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" A "\",\"size\":2,\"platform\":null},"
    "{\"mediaType\":\"" MT_OCI_MANIFEST "\",\"digest\":\"" A "\",\"size\":2,\"platform\":{}}]}";

static void test_platforms(void **state)
{
    (void)state;
    static const char *const list[][2] = {{"linux", "AMD64"}, {"linux", "arm64"}};
    static const struct {
        struct validate_config config;
        const char *required; /* of each child */
    } rows[] = {
        {{.platforms = VALIDATE_ALL, .platform_list = list, .n_platforms = 2}, "yyyyyy"},
        {{.platforms = VALIDATE_NONE}, "nnnnnn"},
        {{.platforms = VALIDATE_LIST, .platform_list = list, .n_platforms = 2}, "yynnnn"},
        {{.platforms = VALIDATE_LIST, .platform_list = list, .n_platforms = 1}, "ynnnnn"},
        {{.platforms = VALIDATE_LIST}, "yyyyyy"},
        {{.platforms = VALIDATE_NONE, .disabled = true}, "yyyyyy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(4096);
        struct validator *v = make(&rows[i].config);
        struct manifest m;
        struct error err = {0};
        assert_int_equal(check(v, slice_cstr(index_body), &m, a, &err), 0);
        assert_int_equal(m.n_edges, 6);
        for (unsigned k = 0; k < m.n_edges; k++)
            if (m.edges[k].required != (rows[i].required[k] == 'y'))
                fail_msg("row %zu, child %u", i, k);
        validator_free(v);
        arena_free(a);
    }
}

static void test_null(void **state)
{
    (void)state;
    struct arena *a = arena_new(4096);
    struct manifest m;
    struct error err = {0};
    struct slice body = image(a, MT_OCI_CONFIG, ",\"urls\":[\"ftp://x\"]");
    assert_int_equal(check(NULL, body, &m, a, &err), 0);
    validator_free(NULL);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),           cmocka_unit_test(test_urls_elsewhere),
        cmocka_unit_test(test_long_url),       cmocka_unit_test(test_lists),
        cmocka_unit_test(test_no_urls),        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_bad_expression), cmocka_unit_test(test_classes),
        cmocka_unit_test(test_platforms),      cmocka_unit_test(test_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
