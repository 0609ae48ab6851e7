/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "config_help.h"

#include "base/banned.h"

/* What variables do, by registry's algorithm and by what berth adds to it. A line of `want` is:
 *   key = value      the value in force, as a dump prints it
 *   error TEXT       an error whose place, key and text have TEXT in them; without any such line
 *                    there is no error
 *   warn TEXT        a warning so
 *   quiet            no notes at all
 *   hidden TEXT      no note has TEXT in it
 *   auth.kind KIND, storage.inmemory */
static const struct {
    const char *name, *file, *environment, *want;
} cases[] = {
#include "env_cases.h"
#include "env_cases_sections.h"
};

static const char *const auth_kinds[] = {"none", "silly", "htpasswd", "token"};

/* One line of a case's `want`. */
static bool holds(const struct config *c, struct slice line)
{
    CLEANUP_FREE char *text = xstrndup(line.p, line.n);
    unsigned n;
    char *equals = strstr(text, " = ");
    if (strncmp(text, "error ", 6) == 0)
        return help_noted(c, CONFIG_ERROR, text + 6);
    if (strncmp(text, "warn ", 5) == 0)
        return help_noted(c, CONFIG_WARNING, text + 5);
    if (strncmp(text, "hidden ", 7) == 0)
        return !help_noted(c, CONFIG_WARNING, text + 7) && !help_noted(c, CONFIG_ERROR, text + 7);
    if (strcmp(text, "quiet") == 0) {
        (void)config_notes(c, &n);
        return n == 0;
    }
    if (strcmp(text, "storage.inmemory") == 0)
        return config_settings(c)->in_memory;
    if (strncmp(text, "auth.kind ", 10) == 0)
        return strcmp(auth_kinds[config_settings(c)->auth.kind], text + 10) == 0;
    assert_non_null(equals);
    *equals = '\0';
    CLEANUP_BUF struct buf value;
    buf_init(&value, 65536);
    const struct schema *row = schema_find(text);
    assert_non_null(row);
    assert_true(config_in_force(c, row));
    value_print(c, row, false, &value);
    if (slice_is(buf_view(&value), equals + 3))
        return true;
    print_message("# %s is %s\n", text, value.p ? value.p : "nothing");
    return false;
}

static void test_cases(void **state)
{
    (void)state;
    unsigned wrong = 0;
    assert_true(ARRAY_LEN(cases) >= 120);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *c = NULL;
        struct error err = {0};
        int failed = help_load(cases[i].file, cases[i].environment, NULL, false, &c, &err);
        bool errors = strncmp(cases[i].want, "error ", 6) == 0 || strstr(cases[i].want, "\nerror ");
        bool good = errors == (failed != 0) && (failed != 0) == (err.code != ERR_NONE);
        for (struct slice rest = slice_cstr(cases[i].want); rest.p && good;) {
            struct slice line = slice_cut(&rest, '\n');
            good = holds(c, line);
            if (!good)
                print_message("# does not hold: %.*s\n", SLICE_ARG(line));
        }
        if (!good) {
            print_message("# wrong: %s\n", cases[i].name);
            help_print_notes(c);
            wrong++;
        }
        config_free(c);
    }
    assert_int_equal(wrong, 0);
}

/* ---- secrets in files ---- */

static void write_file(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

static struct config *with_file(const char *variable, const char *text, size_t n, const char *more)
{
    char path[] = "/tmp/berth-secret-XXXXXX";
    char env[512];
    struct config *c = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, text, n);
    (void)snprintf(env, sizeof env, "%s=%s\n%s", variable, path, more);
    (void)help_load(NULL, env, NULL, false, &c, NULL);
    unlink(path);
    return c;
}

static const char *given(const struct config *c, const char *path)
{
    const struct node *n = node_find(c->root, path);
    return n && n->kind == NODE_SCALAR ? n->text.p : NULL;
}

static void test_secret_files(void **state)
{
    (void)state;
    struct config *c = with_file("REGISTRY_HTTP_SECRET_FILE", "a: [b\n", 6, "");
    assert_string_equal(given(c, "http.secret"), "a: [b"); /* text, not YAML */
    assert_int_equal(c->n_notes, 0);
    config_free(c);
    c = with_file("REGISTRY_HTTP_SECRET_FILE", "abc\r\n", 5, "");
    assert_string_equal(given(c, "http.secret"), "abc");
    config_free(c);
    c = with_file("REGISTRY_HTTP_SECRET_FILE", "abc\n\n", 5, "");
    assert_string_equal(given(c, "http.secret"), "abc\n");
    config_free(c);
    c = with_file("REGISTRY_PROXY_PASSWORD_FILE", "p", 1, "");
    assert_string_equal(given(c, "proxy.password"), "p");
    config_free(c);
    c = with_file("REGISTRY_REDIS_PASSWORD_FILE", "p", 1, "");
    assert_string_equal(given(c, "redis.password"), "p");
    config_free(c);
    c = with_file("REGISTRY_STORAGE_S3_SECRETKEY_FILE", "p", 1, "");
    assert_string_equal(given(c, "storage.s3.secretkey"), "p");
    config_free(c);
    c = with_file("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS_AUTHORIZATION_FILE", "Bearer x\n", 9,
                  "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL=http://h/");
    assert_int_equal(c->n_notes, 0);
    const struct settings *s = config_settings(c);
    assert_int_equal(s->n_endpoints, 1);
    assert_int_equal(s->endpoints[0].headers.n, 1);
    assert_string_equal(s->endpoints[0].headers.v[0].name, "authorization");
    assert_string_equal(s->endpoints[0].headers.v[0].value, "Bearer x");
    config_free(c);
}

static void test_secret_files_that_fail(void **state)
{
    (void)state;
    struct config *c = with_file("REGISTRY_HTTP_SECRET_FILE", "x", 1, "REGISTRY_HTTP_SECRET=y");
    assert_true(help_noted(c, CONFIG_ERROR, "REGISTRY_HTTP_SECRET is set too"));
    config_free(c);
    c = with_file("REGISTRY_HTTP_SECRET_FILE", "a\0b", 3, "");
    assert_true(help_noted(c, CONFIG_ERROR, "NUL"));
    config_free(c);
    assert_int_equal(
        help_load(NULL, "REGISTRY_HTTP_SECRET_FILE=/nonexistent/x", NULL, false, &c, NULL), -1);
    assert_true(help_noted(c, CONFIG_ERROR, "/nonexistent/x cannot be read: No such file"));
    config_free(c);
    char *large = xcalloc(1, 70000);
    memset(large, 'x', 70000);
    c = with_file("REGISTRY_HTTP_SECRET_FILE", large, 70000, "");
    free(large);
    assert_true(help_noted(c, CONFIG_ERROR, "larger than 64 KiB"));
    config_free(c);
    /* Not a secret: just a name that nobody knows. */
    assert_int_equal(help_load(NULL, "REGISTRY_HTTP_ADDR_FILE=/x", NULL, false, &c, NULL), 0);
    assert_true(help_noted(c, CONFIG_WARNING, "REGISTRY_HTTP_ADDR_FILE"));
    config_free(c);
}

/* ---- names ---- */

static void test_order(void **state)
{
    (void)state;
    static const char *const rows[] = {"REGISTRY_A",      "REGISTRY_A_0", "REGISTRY_A_1_B",
                                       "REGISTRY_A_2",    "REGISTRY_A_9", "REGISTRY_A_10",
                                       "REGISTRY_A_10_X", "REGISTRY_A_X", "REGISTRY_B"};
    for (size_t i = 1; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf a;
        CLEANUP_BUF struct buf b;
        buf_init(&a, 256);
        buf_init(&b, 256);
        variable_sort_key(slice_cstr(rows[i - 1]), &a);
        variable_sort_key(slice_cstr(rows[i]), &b);
        assert_true(slice_cmp(buf_view(&a), buf_view(&b)) < 0);
    }
}

static void test_strict(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(help_load(NULL, "REGISTRY_FOO=1", NULL, true, &c, &err), -1);
    assert_non_null(strstr(err.detail, "REGISTRY_FOO"));
    config_free(c);
    /* Would be a key of a map, and no text. */
    assert_int_equal(help_load(NULL, "REGISTRY_LOG_FIELDS_CAF\xe9=1", NULL, true, &c, &err), -1);
    config_free(c);
    assert_int_equal(help_load(NULL, "REGISTRY_LOG_FIELDS_CAF\xe9=1", NULL, false, &c, &err), 0);
    assert_null(node_find(c->root, "log.fields"));
    config_free(c);
    assert_int_equal(
        help_load(NULL, "REGISTRY_PORT=tcp://1:2\nREGISTRY_SERVICE_HOST=1", NULL, true, &c, &err),
        0);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),  cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_secret_files_that_fail),
        cmocka_unit_test(test_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
