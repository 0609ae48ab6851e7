/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "main/options.h"

static void test_defaults(void **state)
{
    (void)state;
    struct settings s;
    settings_init(&s);
    assert_string_equal(s.http_addr, "127.0.0.1:5000");
    assert_true(s.delete_enabled);
    assert_int_equal(s.purge_age_ms, 168ull * 3600 * 1000);
    assert_int_equal(s.cache_bytes, 16 << 20);
    assert_int_equal(s.head_timeout_ms, 10000);
    settings_release(&s);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int want;
        uint64_t number;
    } rows[] = {
        {"http.timeouts.head", "10s", 0, 10000},
        {"http.timeouts.head", "1h30m", 0, 5400000},
        {"http.timeouts.head", "250ms", 0, 250},
        {"http.draintimeout", "0", 0, 0},
        {"http.timeouts.head", "0", -1, 0}, /* every connection would end at once */
        {"http.timeouts.idle", "0", -1, 0},
        {"http.timeouts.stall", "0", -1, 0},
        {"http.timeouts.stall", "99ms", -1, 0},
        {"http.timeouts.stall", "100ms", 0, 100},
        {"http.timeouts.head", "10", -1, 0},
        {"http.timeouts.head", "s", -1, 0},
        {"http.timeouts.head", "10x", -1, 0},
        {"http.timeouts.head", "-1s", -1, 0},
        {"http.timeouts.head", "9223372036854775807h", -1, 0},
        {"http.timeouts.head", "9223372036854775807ms", -1, 0},
        {"http.loops", "4", 0, 4},
        {"http.loops", "2147483647", 0, 2147483647},
        {"http.loops", "2147483648", -1, 0},
        {"http.loops", "", -1, 0},
        {"http.loops", "x", -1, 0},
        {"storage.cache.manifests", "16MiB", 0, 16 << 20},
        {"storage.cache.manifests", "1GiB", 0, 1 << 30},
        {"storage.cache.manifests", "3KiB", 0, 3072},
        {"storage.cache.manifests", "7", 0, 7},
        {"storage.cache.manifests", "9223372036854775807GiB", -1, 0},
        {"storage.cache.manifests", "MiB", -1, 0},
        {"storage.delete.enabled", "true", 0, 0},
        {"storage.delete.enabled", "yes", -1, 0},
        {"log.level", "debug", 0, 0},
        {"log.level", "", -1, 0},
        {"log.level", "loud", -1, 0},
        {"http.addr", "", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s;
        struct error err = {0};
        settings_init(&s);
        const struct option *o = option_find(slice_cstr(rows[i].name));
        assert_non_null(o);
        assert_int_equal(settings_set(&s, o, slice_cstr(rows[i].value), ORIGIN_FLAG, &err),
                         rows[i].want);
        if (rows[i].want)
            assert_non_null(strstr(err.detail, rows[i].name));
        else if (o->type == OPTION_COUNT || o->type == OPTION_SIZE || o->type == OPTION_DURATION)
            assert_int_equal(*(uint64_t *)(void *)((char *)&s + o->offset), rows[i].number);
        settings_release(&s);
    }
    assert_null(option_find(SLICE_LIT("http.adr")));
}

static void test_environment(void **state)
{
    (void)state;
    struct settings s;
    struct error err = {0};
    settings_init(&s);
    const char *const env[] = {"REGISTRY_HTTP_ADDR=0.0.0.0:80",
                               "REGISTRY_PORT=tcp://10.0.0.1:5000",
                               "REGISTRY_STORAGE_DELETE_ENABLED=false",
                               "PATH=/bin",
                               "REGISTRY_HTTP_ADDR_X",
                               NULL};
    assert_int_equal(settings_environment(&s, (char *const *)(uintptr_t)env, &err), 0);
    assert_string_equal(s.http_addr, "0.0.0.0:80");
    assert_false(s.delete_enabled);
    const char *const bad[] = {"REGISTRY_LOG_LEVEL=loud", NULL};
    assert_int_equal(settings_environment(&s, (char *const *)(uintptr_t)bad, &err), -1);
    assert_non_null(strstr(err.detail, "error|warn|info|debug"));
    static const struct {
        const char *variable;
        int want;
    } rows[] = {
        {"REGISTRY_AUTH=htpasswd", -1},
        {"REGISTRY_AUTH_HTPASSWD_PATH=/f", -1},
        {"REGISTRY_AUTH=none", 0},
        {"REGISTRY_HTTP_TLS_CERTIFICATE=/c", -1},
        {"REGISTRY_STORAGE=s3", -1},
        {"REGISTRY_STORAGE=filesystem", 0},
        {"REGISTRY_STORAGE_S3_BUCKET=b", -1},
        {"REGISTRY_PROXY_REMOTEURL=u", -1},
        {"REGISTRY_SERVICE_HOST=10.0.0.1", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *const one[] = {(char *)(uintptr_t)rows[i].variable, NULL};
        assert_int_equal(settings_environment(&s, one, &err), rows[i].want);
        if (rows[i].want)
            assert_non_null(strstr(err.detail, "this version"));
    }
    settings_release(&s);
}

struct warned {
    unsigned n, line;
    char key[64];
};

static void warn(void *arg, unsigned line, const char *key)
{
    struct warned *w = arg;
    w->n++;
    w->line = line;
    (void)snprintf(w->key, sizeof w->key, "%s", key);
}

static int load(const char *text, struct settings *s, struct warned *w, struct error *err)
{
    char path[] = "/tmp/berth-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    *w = (struct warned){0};
    int r = settings_file(s, path, warn, w, err);
    unlink(path);
    return r;
}

static void test_file(void **state)
{
    (void)state;
    struct settings s;
    struct warned w;
    struct error err = {0};
    settings_init(&s);
    assert_int_equal(load("version: 0.1\nhttp:\n  addr: \":5001\"\n  headers:\n    X-A: "
                          "[nosniff]\n  timeouts:\n    head: 3s\n"
                          "storage:\n  delete:\n    enabled: false\nlog:\n  level: warn\n",
                          &s, &w, &err),
                     0);
    assert_string_equal(s.http_addr, ":5001");
    assert_int_equal(s.head_timeout_ms, 3000);
    assert_false(s.delete_enabled);
    assert_string_equal(s.log_level, "warn");
    assert_int_equal(w.n, 1);
    assert_int_equal(w.line, 5);
    assert_string_equal(w.key, "http.headers.X-A");
    settings_release(&s);
}

static void test_file_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"version: 0.2\n", ":1:10: version has to be 0.1"},
        {"http: {addr: a}\nhttp: {addr: b}\n", "this key is there twice"},
        {"http:\n  addr: &x a\n", "anchors"},
        {"http:\n  addr: !!str a\n", "tags"},
        {"http: *x\n", "anchors and aliases"},
        /* What must not be ignored silently. */
        {"auth:\n  htpasswd:\n    realm: r\n", ":1:1: auth: this version has no logins"},
        {"http:\n  tls:\n    certificate: /c\n", "http.tls: this version has no TLS"},
        {"storage:\n  s3:\n    bucket: b\n", "filesystem only"},
        {"storage: inmemory\n", "filesystem only"},
        {"proxy:\n  remoteurl: https://r\n", "no pull-through cache"},
        {"- a\n", "a mapping"},
        {"text\n", "a mapping"},
        {"http: {addr: [}\n", ":1:"},
        {"log:\n  level: loud\n", "log.level"},
        {"? [a]\n: b\n", "a key is expected"},
        {"a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}}}}}}}}\n",
         "too deeply"},
        {"x: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n", "too deeply"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s;
        struct warned w;
        struct error err = {0};
        settings_init(&s);
        assert_int_equal(load(rows[i].text, &s, &w, &err), -1);
        if (!strstr(err.detail, rows[i].want))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.detail, rows[i].want);
        settings_release(&s);
    }
    struct settings s;
    struct warned w = {0};
    struct error err = {0};
    settings_init(&s);
    assert_int_equal(settings_file(&s, "/nonexistent/config.yml", warn, &w, &err), -1);
    assert_int_equal(load("", &s, &w, &err), 0);
    settings_release(&s);
}

static void test_documentation(void **state)
{
    (void)state;
    size_t n;
    const struct option *table = options_table(&n);
    struct buf md, text;
    buf_init(&md, 1 << 20);
    buf_init(&text, 1 << 20);
    options_markdown(&md);
    options_text(&text);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(strstr(md.p, table[i].name));
        assert_non_null(strstr(text.p, table[i].name));
        assert_true(strlen(table[i].doc) > 10);
    }
    assert_non_null(strstr(md.p, "REGISTRY_HTTP_ADDR"));
    buf_release(&md);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_environment), cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_errors), cmocka_unit_test(test_documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
