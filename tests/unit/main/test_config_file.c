/* SPDX-License-Identifier: Apache-2.0 */
/* Files: what is refused and where, what is unknown, and what comes out of good ones. */
#include "config_help.h"

#include "base/banned.h"

#define TEST(fn) cmocka_unit_test(fn)

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(help_load(NULL, NULL, NULL, true, &c, &err), 0);
    const struct settings *s = config_settings(c);
    assert_int_equal(c->n_notes, 0);
    assert_string_equal(s->http_addr, "127.0.0.1:5000");
    assert_string_equal(s->http_host, "");
    assert_string_equal(s->http_prefix, "/");
    assert_int_equal(s->relative_urls, URLS_AUTO);
    assert_string_equal(s->tls.certificate, "");
    assert_string_equal(s->tls.minimum, "tls1.2");
    assert_int_equal(s->tls.client_auth, CLIENT_AUTH_NONE);
    assert_int_equal(s->trusted_proxies.n, 3);
    assert_string_equal(s->trusted_proxies.v[1], "::1/128");
    assert_string_equal(s->debug_addr, "127.0.0.1:5001");
    assert_true(s->prometheus);
    assert_string_equal(s->prometheus_path, "/metrics");
    assert_false(s->in_memory);
    assert_string_equal(s->root_directory, "");
    assert_true(s->delete_enabled);
    assert_false(s->read_only);
    assert_true(s->purge_enabled);
    assert_int_equal(s->purge_age_ms, UINT64_C(168) * 3600 * 1000);
    assert_int_equal(s->purge_interval_ms, 3600 * 1000);
    assert_false(s->purge_dry_run);
    assert_int_equal(s->cache_bytes, 16 << 20);
    assert_int_equal(s->db_workers, 16);
    assert_int_equal(s->head_timeout_ms, 10000);
    assert_int_equal(s->idle_timeout_ms, 120000);
    assert_int_equal(s->stall_timeout_ms, 60000);
    assert_true(s->adopt);
    assert_int_equal(s->catalog_max, 1000);
    assert_int_equal(s->tags_max, 10000);
    assert_string_equal(s->log_level, "info");
    assert_string_equal(s->log_formatter, "auto");
    assert_string_equal(s->accesslog_formatter, "combined");
    assert_int_equal(s->auth.kind, AUTH_NONE);
    assert_string_equal(s->auth.realm, "");
    assert_false(s->validation_disabled);
    assert_int_equal(s->platforms, PLATFORMS_ALL);
    assert_int_equal(s->backlog_max, 100000);
    assert_true(s->envelope_v3);
    assert_int_equal(s->n_endpoints + s->n_checks + s->n_listeners, 0);
    config_free(c);
}

/* "%": the whole file. `where` is line and column. */
static const struct {
    const char *file, *where, *text;
} bad[] = {
    {"%", "", "there is no version"},
    {"%log: {level: info}\n", "", "there is no version"},
    {"%version: 0.2\n", ":1:1", "the version has to be 0.1"},
    {"%version: [0.1]\n", ":1:1", "the version has to be 0.1"},
    {"%- a\n", ":1:1", "sections (key: value) are expected at the top"},
    {"%just text\n", ":1:1", "sections (key: value) are expected at the top"},
    {"http: &a {addr: ':1'}\n", ":2:7", "anchors and aliases"},
    {"http: *a\n", ":2:7", "anchors and aliases"},
    {"http: !!map {}\n", ":2:7", "tags (!)"},
    {"http: {addr: !!str x}\n", ":2:14", "tags (!)"},
    {"http: !x [a]\n", ":2:7", "tags (!)"},
    {"http: &l [a]\n", ":2:7", "anchors and aliases"},
    {"http: {addr: &s x}\n", ":2:14", "anchors and aliases"},
    {"http: {<<: {addr: ':1'}}\n", ":2:8", "merge keys (<<) are not accepted here"},
    {"http:\n  <<: [{addr: ':1'}]\n", ":3:3", "merge keys (<<) are not accepted here"},
    {"http: {addr: 'http://x:1'}\n", ":2:8", "an address has no scheme"},
    {"http: {addr: \"\\e[31m:1\\n\"}\n", ":2:8", "\"?[31m:1?\" is no address"},
    {"http:\n  addr: ':1'\n  addr: ':2'\n", ":4:3",
     "the key \"addr\" is there twice, first in line 3"},
    {"version: 0.1\n", ":2:1", "is there twice"},
    {"http: {addr: [}\n", ":2:15", "not valid YAML"},
    {"http: {}\n# caf\xe9\n", ":3:6", "UTF-8"},
    {"log: {fields: {a: caf\xe9}}\n", ":2:23", "UTF-8"},
    {"log: {fields: {a: \x01}}\n", ":2:19", "control characters are not allowed"},
    {"health: {file: [~]}\n", ":2:17", "health.file[0]: this element is empty"},
    {"health: {tcp: [{addr: ':0'}, {addr: 'x'}]}\n", ":2:30", "a TCP check has host:port"},
    {"health: {tcp: [{addr: 'h:x'}]}\n", ":2:16", "the port is a number"},
    {"health: {http: [{uri: 'http://u:p@/'}]}\n", ":2:17", "no valid host or port"},
    {"notifications: {endpoints: [{url: 'http://h:99999/'}]}\n", ":2:29", "no valid host or port"},
    {"http: {host: 'https://u:p@h'}\n", ":2:8", "may not have a user or a password"},
    {"http: {host: 'https://h:99999'}\n", ":2:8", "no valid host or port in it"},
    {"http: {host: 'ftp://u:p@h'}\n", ":2:8", "\"******\" is no absolute URL"},
    {"http: {addr: 'http://u:p@h'}\n", ":2:8", "\"******\" is no address"},
    {"storage: 's3://u:p@h'\n", ":2:10",
     "storage.******: berth knows no storage driver \"******\""},
    {"storage: {maintenance: {uploadpurging: {age: 168, interval: 1h, dryrun: false}}}\n", ":2:41",
     "168 has no unit"},
    {"http:\n\taddr: x\n", ":3:1", "not valid YAML"},
    {"http: 'a\n", ":3:1", "not valid YAML"},
    {"http: {[a]: b}\n", ":2:8", "a key is expected here"},
    {"http: {? {a: b} : c}\n", ":2:10", "a key is expected here"},
    {"http: {addr: \"a\\0b\"}\n", ":2:14", "a NUL character"},
    {"http: {\"a\\0b\": c}\n", ":2:8", "a key is expected here"},
    {"---\nhttp: {}\n", ":2:1", "one document is expected"},
    {"http: {}\n...\n---\nlog: {}\n", ":4:1", "one document is expected"},
    {"log: {fields: [[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]}\n", ":2:29", "nested deeper than 16"},
    {"http: 1\n", ":2:1", "http: a section (key: value) is expected here, and this is a single"},
    {"http: {addr: [a]}\n", ":2:8",
     "http.addr: a single value is expected here, and this is a list"},
    {"http: {addr: {a: b}}\n", ":2:8", "a single value is expected here, and this is a section"},
    {"http: {headers: [a]}\n", ":2:8", "a section of lists (Name: [value]) is expected here"},
    {"http: {headers: {X-A: b}}\n", ":2:18", "http.headers.X-A: a list ([a, b]) is expected"},
    {"http: {tls: {clientcas: /a}}\n", ":2:14", "http.tls.clientcas: a list"},
    {"http: {tls: {clientcas: [{a: b}]}}\n", ":2:26", "http.tls.clientcas[0]: a single value"},
    {"http: {tls: {clientcas: [~]}}\n", ":2:26", "http.tls.clientcas[0]: this element is empty"},
    {"notifications: {endpoints: {a: b}}\n", ":2:17", "notifications.endpoints: a list"},
    {"notifications: {endpoints: [a]}\n", ":2:29", "notifications.endpoints[0]: a section"},
    {"notifications: {endpoints: [{url: x}]}\n", ":2:29",
     "the url cannot be posted to: a URL begins with"},
    {"notifications: {endpoints: [{name: a}]}\n", ":2:29", "cannot be posted to: it is missing"},
    {"notifications: {envelope: 4}\n", ":2:17", "\"4\" is not one of 2|3"},
    {"notifications: {backlog: 0}\n", ":2:17", "out of range: it takes 1 to 2147483647"},
    {"health: {http: [{uri: x}]}\n", ":2:17", "the uri cannot be checked: a URL begins with"},
    {"health: {tcp: [{addr: 'unix:/x'}]}\n", ":2:16",
     "the addr cannot be checked: a TCP check has host:port, [v6]:port or :port"},
    {"health: {file: [{interval: 1s}]}\n", ":2:17", "the file cannot be checked: it is missing"},
    {"health: {http: [{uri: 'http://a', headers: {'a b': [c]}}]}\n", ":2:17", "cannot be the name"},
    {"http: {listeners: [{addr: ':1', tls: true}]}\n", ":2:20", "there is no http.tls.certificate"},
    {"http: {listeners: [{tls: false}]}\n", ":2:20", "http.listeners[0].addr: \"\" is no address"},
    {"http: {prefix: '/a b/'}\n", ":2:8", "a prefix is made of letters"},
    {"http: {prefix: '/a//b/'}\n", ":2:8", "no empty parts"},
    {"http: {prefix: '/../'}\n", ":2:8", "no . or .."},
    {"http: {host: 'https://a/?x'}\n", ":2:8", "may not have a query"},
    {"http: {debug: {addr: 'x'}}\n", ":2:16", "http.debug.addr: \"x\" is no address"},
    {"http: {debug: {prometheus: {path: metrics}}}\n", ":2:29", "a path begins with a slash"},
    {"http: {tls: {key: /k}}\n", ":2:14", "http.tls.certificate is missing"},
    {"http: {tls: {ciphersuites: [NONSENSE]}}\n", ":2:14", "none of these cipher suites"},
    {"storage: {filesystem: {}, inmemory: {}}\n", ":2:27", "two drivers, filesystem ("},
    {"storage: {s3: {bucket: b}}\n", ":2:11", "storage.s3: this version keeps"},
    {"storage: s3\n", ":2:10", "storage.s3: this version keeps"},
    {"storage: {disk: {}}\n", ":2:11", "berth knows no storage driver \"disk\""},
    {"storage: [filesystem]\n", ":2:1", "storage: a section"},
    {"auth: {silly: {realm: a, service: b}, token: {}}\n", ":2:39", "two kinds of login"},
    {"auth: {ldap: {}}\n", ":2:8", "berth knows no kind of login \"ldap\""},
    {"auth: {silly: {realm: a}}\n", ":2:8", "auth.silly.service: missing"},
    {"auth: {silly: {service: a}}\n", ":2:8", "auth.silly.realm: missing"},
    {"auth: {silly: {realm: 'a\"b', service: s}}\n", ":2:16", "control characters, quotes"},
    {"auth: {token: {realm: a, service: b, rootcertbundle: /c}}\n", ":2:8", "auth.token.issuer"},
    {"auth: {token: {realm: a, service: b, issuer: c}}\n", ":2:8", "or jwks, to know whose"},
    {"auth: {token: {realm: a, service: b, issuer: c, jwks: /j, autoredirect: true, "
     "autoredirectpath: x}}\n",
     ":2:79", "a path begins with a slash"},
    {"auth: {token: {signingalgorithms: ['|']}}\n", ":2:16", "is none of EdDSA"},
    {"proxy: {remoteurl: 'https://a'}\n", ":2:1", "proxy: this version is no pull-through cache"},
};

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config *c = NULL;
        struct error err = {0};
        char want[64];
        int failed = help_load(bad[i].file, NULL, NULL, false, &c, &err);
        (void)snprintf(want, sizeof want, "%s: ", bad[i].where);
        bool positioned = false;
        for (unsigned k = 0; k < c->n_notes; k++) {
            CLEANUP_BUF struct buf line;
            buf_init(&line, 8192);
            buf_printf(&line, "%s: %s: %s", c->notes[k].where, c->notes[k].key, c->notes[k].text);
            positioned = positioned || (c->notes[k].severity == CONFIG_ERROR &&
                                        strstr(line.p, want) && strstr(line.p, bad[i].text));
        }
        if (!failed || !positioned || err.code == ERR_NONE) {
            help_print_notes(c);
            fail_msg("%s%s: %s", bad[i].file, bad[i].where, bad[i].text);
        }
        config_free(c);
    }
}

/* A file that is not what it seems still gives settings that can be looked at. */
static void test_files_that_cannot_be_read(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error err = {0};
    struct config_source source = {.file = "/nonexistent/config.yml"};
    assert_int_equal(config_load(&source, &c, &err), -1);
    assert_non_null(strstr(err.detail, "/nonexistent/config.yml cannot be read: No such file"));
    assert_string_equal(config_settings(c)->http_addr, "127.0.0.1:5000");
    config_free(c);
    source.file = "/tmp";
    assert_int_equal(config_load(&source, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "/tmp cannot be read: Is a directory"));
    source.file = "/dev/null"; /* not a regular file: read to its end */
    assert_int_equal(config_load(&source, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "there is no version"));
    source.file = "/dev/zero";
    assert_int_equal(config_load(&source, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "larger than 1024 KiB"));
    source.file = "";
    assert_int_equal(config_load(&source, NULL, &err), 0);
    config_free(NULL);
}

static void fill(struct buf *b, const char *head, const char *unit, unsigned n, const char *tail)
{
    buf_init(b, (size_t)4 << 20);
    buf_puts(b, head);
    for (unsigned i = 0; i < n; i++)
        buf_printf(b, "%s%u%s", unit, i, *unit == 'k' ? ": v, " : *unit ? "\n" : ", ");
    buf_puts(b, tail);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *head, *unit, *tail, *text;
        unsigned n;
    } rows[] = {
        {"%version: 0.1\n", "# padding ", "", "larger than 1024 KiB", 80000},
        {"log: {fields: {", "k", "}}\n", "more than 1024 keys in one section", 1025},
        {"log: {fields: {x: [", "", "]}}\n", "more than 65536 values", 65600},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b;
        struct config *c = NULL;
        struct error err = {0};
        fill(&b, rows[i].head, rows[i].unit, rows[i].n, rows[i].tail);
        assert_int_equal(help_load(b.p, NULL, NULL, false, &c, &err), -1);
        assert_non_null(strstr(err.detail, rows[i].text));
        config_free(c);
        buf_release(&b);
    }
    struct yaml_problem why;
    struct node *n;
    struct arena *a = arena_new(1024);
    struct origin o = {.kind = FROM_DEFAULT};
    char *large = xcalloc(1, CONFIG_BYTES_MAX + 2);
    memset(large, ' ', CONFIG_BYTES_MAX + 1);
    assert_int_equal(yaml_load(a, o, slice_cstr(large), &n, &why), -1);
    free(large);
    arena_free(a);
}

static void test_unknown_keys(void **state)
{
    (void)state;
    static const struct {
        const char *file, *where, *text;
    } rows[] = {
        {"htpt: {addr: x}\n", ":2:1: htpt", "did you mean \"http\"?"},
        {"http: {adr: x}\n", ":2:8: http.adr", "did you mean \"addr\"?"},
        {"http: {Addr: x}\n", ":2:8: http.Addr", "did you mean \"addr\"?"},
        {"http: {zzz: x}\n", ":2:8: http.zzz", "it is ignored"},
        {"http: {tls: {ciphersuits: []}}\n", ":2:14", "did you mean \"ciphersuites\"?"},
        {"storage: {delete: {enable: true}}\n", ":2:20", "did you mean \"enabled\"?"},
        {"notifications: {endpoints: [{url: 'http://a', ulr: x}]}\n",
         ":2:47: notifications.endpoints[0].ulr", "did you mean \"url\"?"},
        {"redis: {passwrod: x}\n", ":2:9: redis.passwrod", "did you mean \"password\"?"},
        {"storage: {filesystem: {rootdirectory: /x, chunksize: 5}}\n", ":2:43", "it is ignored"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *c = NULL;
        struct error err = {0};
        if (help_load(rows[i].file, NULL, NULL, false, &c, &err) ||
            !help_noted(c, CONFIG_WARNING, rows[i].where) ||
            !help_noted(c, CONFIG_WARNING, rows[i].text)) {
            help_print_notes(c);
            fail_msg("%s", rows[i].file);
        }
        config_free(c);
        assert_int_equal(help_load(rows[i].file, NULL, NULL, true, &c, &err), -1);
        assert_true(help_noted(c, CONFIG_ERROR, rows[i].where));
        config_free(c);
    }
}

/* All mistakes of a file, not only the first. */
static void test_all_notes(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct error err = {0};
    assert_int_equal(help_load("log: {level: loud}\nhttp: {addr: x, loops: many, foo: 1}\n"
                               "auth: {silly: {}}\n",
                               "REGISTRY_TAGS_MAXTAGS=-1", "--catalog.maxentries=x", false, &c,
                               &err),
                     -1);
    assert_true(help_noted(c, CONFIG_ERROR, ":2:7: log.level"));
    assert_true(help_noted(c, CONFIG_ERROR, ":3:8: http.addr"));
    assert_true(help_noted(c, CONFIG_ERROR, ":3:17: http.loops"));
    assert_true(help_noted(c, CONFIG_WARNING, ":3:30: http.foo"));
    assert_true(help_noted(c, CONFIG_ERROR, "auth.silly.realm"));
    assert_true(help_noted(c, CONFIG_ERROR, "auth.silly.service"));
    assert_true(help_noted(c, CONFIG_ERROR, "REGISTRY_TAGS_MAXTAGS: tags.maxtags"));
    assert_true(help_noted(c, CONFIG_ERROR, "--catalog.maxentries: catalog.maxentries"));
    assert_non_null(strstr(err.detail, ":2:7: log.level: \"loud\" is not one of"));
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),     TEST(test_bad_files), TEST(test_files_that_cannot_be_read),
        TEST(test_unknown_keys), TEST(test_sizes),     TEST(test_all_notes),
    };
    return cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
}
