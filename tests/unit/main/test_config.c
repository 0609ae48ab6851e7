/* SPDX-License-Identifier: Apache-2.0 */
/* Whole sections as settings, flags, dumps, and differences. */
#include "config_help.h"

#include "base/banned.h"

#define TEST(fn) cmocka_unit_test(fn)

static struct config *good(const char *file, const char *environment, const char *flags)
{
    struct config *c = NULL;
    struct error err = {0};
    if (help_load(file, environment, flags, true, &c, &err)) {
        help_print_notes(c);
        fail_msg("%s", err.detail);
    }
    return c;
}

static const char full[] =
    "log:\n"
    "  level: Warn\n"
    "  formatter: json\n"
    "  fields: {service: registry, number: 12, nothing: ~}\n"
    "  accesslog: {disabled: true, formatter: logstash}\n"
    "http:\n"
    "  addr: 0.0.0.0:5000\n"
    "  host: https://r.example.com//\n"
    "  prefix: /r/\n"
    "  secret: hush\n"
    "  relativeurls: false\n"
    "  draintimeout: 5s\n"
    "  loops: 3\n"
    "  headers: {X-A: [b, c], Strict-Transport-Security: ['max-age=1; preload']}\n"
    "  tls:\n"
    "    certificate: /c\n"
    "    key: /k\n"
    "    clientcas: [/a1, /a2]\n"
    "    clientauth: verify-client-cert-if-given\n"
    "    minimumtls: tls1.2\n"
    "    ciphersuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n"
    "  debug: {addr: ':5001', prometheus: {enabled: false, path: /m}}\n"
    "  listeners:\n"
    "  - {addr: ':80', tls: off}\n"
    "  - {addr: 'unix:/run/x', proxyprotocol: on}\n"
    "  trustedproxies: [10.0.0.0/8, '*', unix, '2001:db8::/32', 192.0.2.1]\n"
    "  limits: {connections: 100, connectionsperip: 10}\n"
    "  timeouts: {head: 1s, idle: 2s, stall: 3s}\n"
    "storage:\n"
    "  filesystem: {rootdirectory: /data}\n"
    "  delete: {enabled: false}\n"
    "  redirect: {disable: true}\n"
    "  maintenance:\n"
    "    readonly: {enabled: true}\n"
    "    uploadpurging: {enabled: true, age: 2h, interval: 30m, dryrun: true}\n"
    "  cache: {manifests: 1MiB}\n"
    "  workers: {db: 4, io: 5}\n"
    "  adopt: false\n"
    "auth:\n"
    "  token:\n"
    "    realm: https://a/t\n"
    "    service: s\n"
    "    issuer: i\n"
    "    rootcertbundle: /b\n"
    "    jwks: /j\n"
    "    signingalgorithms: [ES256, EdDSA]\n"
    "    autoredirect: true\n"
    "    autoredirectpath: /x\n"
    "validation:\n"
    "  manifests:\n"
    "    urls: {allow: ['^a'], deny: [b, c]}\n"
    "    indexes: {platforms: List, platformlist: [{os: linux, architecture: amd64}, {os: w}]}\n"
    "policy: {repository: {classes: [image]}}\n"
    "catalog: {maxentries: 11}\n"
    "tags: {maxtags: 12}\n"
    "notifications:\n"
    "  events: {includereferences: true}\n"
    "  backlog: 7\n"
    "  envelope: 2\n"
    "  endpoints:\n"
    "  - name: one\n"
    "    url: https://one/hook\n"
    "    headers: {Authorization: [Bearer t0ken], X-Two: [a, b]}\n"
    "    timeout: 500ms\n"
    "    threshold: 5\n"
    "    backoff: 2s\n"
    "    ignoredmediatypes: [m1]\n"
    "    ignore: {mediatypes: [m2, m3], actions: [pull]}\n"
    "  - {name: two, url: 'http://two/', disabled: true, threshold: -1}\n"
    "health:\n"
    "  storagedriver: {enabled: true, interval: 20s, threshold: 3}\n"
    "  file: [{file: /f, interval: 5s}]\n"
    "  http: [{uri: 'http://h/', headers: {X: [y]}, statuscode: 204, timeout: 1s, threshold: 2}]\n"
    "  tcp: [{addr: 'h:1', timeout: 2s, interval: 0}]\n";

static void check_texts(const struct text_list *list, unsigned n, const char *const *want)
{
    assert_int_equal(list->n, n);
    for (unsigned i = 0; i < n; i++)
        assert_string_equal(list->v[i], want[i]);
}

static void test_http_section(void **state)
{
    (void)state;
    struct config *c = good(full, NULL, NULL);
    const struct settings *s = config_settings(c);
    assert_int_equal(c->n_notes, 0);
    assert_string_equal(s->http_addr, "0.0.0.0:5000");
    assert_string_equal(s->http_host, "https://r.example.com");
    assert_string_equal(s->http_prefix, "/r/");
    assert_int_equal(s->relative_urls, URLS_ABSOLUTE);
    assert_int_equal(s->drain_timeout_ms, 5000);
    assert_int_equal(s->loops, 3);
    assert_int_equal(s->http_headers.n, 3);
    assert_string_equal(s->http_headers.v[1].name, "X-A");
    assert_string_equal(s->http_headers.v[1].value, "c");
    assert_string_equal(s->http_headers.v[2].value, "max-age=1; preload");
    assert_string_equal(s->tls.certificate, "/c");
    assert_string_equal(s->tls.key, "/k");
    check_texts(&s->tls.client_cas, 2, (const char *const[]){"/a1", "/a2"});
    assert_int_equal(s->tls.client_auth, CLIENT_AUTH_VERIFY_IF_GIVEN);
    check_texts(&s->tls.ciphers, 1, (const char *const[]){"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"});
    assert_string_equal(s->debug_addr, ":5001");
    assert_false(s->prometheus);
    assert_string_equal(s->prometheus_path, "/m");
    assert_int_equal(s->n_listeners, 2);
    assert_string_equal(s->listeners[0].addr, ":80");
    assert_false(s->listeners[0].tls);
    assert_false(s->listeners[0].proxy_protocol);
    assert_true(s->listeners[1].tls); /* as http.tls has a certificate */
    assert_true(s->listeners[1].proxy_protocol);
    assert_int_equal(s->trusted_proxies.n, 5);
    assert_int_equal(s->connections_max, 100);
    assert_int_equal(s->connections_per_ip, 10);
    assert_int_equal(s->head_timeout_ms, 1000);
    assert_int_equal(s->idle_timeout_ms, 2000);
    assert_int_equal(s->stall_timeout_ms, 3000);
    config_free(c);
}

static void test_storage_auth_log(void **state)
{
    (void)state;
    struct config *c = good(full, NULL, NULL);
    const struct settings *s = config_settings(c);
    assert_string_equal(s->root_directory, "/data");
    assert_false(s->delete_enabled);
    assert_true(s->read_only);
    assert_true(s->purge_dry_run);
    assert_int_equal(s->purge_age_ms, 7200000);
    assert_int_equal(s->purge_interval_ms, 1800000);
    assert_int_equal(s->cache_bytes, 1 << 20);
    assert_int_equal(s->db_workers, 4);
    assert_int_equal(s->io_workers, 5);
    assert_false(s->adopt);
    assert_int_equal(s->auth.kind, AUTH_TOKEN);
    assert_string_equal(s->auth.realm, "https://a/t");
    assert_string_equal(s->auth.service, "s");
    assert_string_equal(s->auth.issuer, "i");
    assert_string_equal(s->auth.path, "");
    assert_string_equal(s->auth.root_cert_bundle, "/b");
    assert_string_equal(s->auth.jwks, "/j");
    check_texts(&s->auth.algorithms, 2, (const char *const[]){"ES256", "EdDSA"});
    assert_true(s->auth.autoredirect);
    assert_string_equal(s->auth.autoredirect_path, "/x");
    assert_string_equal(s->log_level, "warn");
    assert_string_equal(s->log_formatter, "json");
    assert_true(s->accesslog_disabled);
    assert_string_equal(s->accesslog_formatter, "logstash");
    assert_int_equal(s->log_fields.n, 3);
    assert_string_equal(s->log_fields.v[1].name, "number");
    assert_string_equal(s->log_fields.v[1].value, "12");
    assert_string_equal(s->log_fields.v[2].value, "");
    config_free(c);
}

static void test_rules(void **state)
{
    (void)state;
    struct config *c = good(full, NULL, NULL);
    const struct settings *s = config_settings(c);
    check_texts(&s->urls_allow, 1, (const char *const[]){"^a"});
    check_texts(&s->urls_deny, 2, (const char *const[]){"b", "c"});
    assert_int_equal(s->platforms, PLATFORMS_LIST);
    assert_int_equal(s->n_platforms, 2);
    assert_string_equal(s->platform_list[0].architecture, "amd64");
    assert_string_equal(s->platform_list[1].os, "w");
    assert_string_equal(s->platform_list[1].architecture, "");
    check_texts(&s->classes, 1, (const char *const[]){"image"});
    assert_int_equal(s->catalog_max, 11);
    assert_int_equal(s->tags_max, 12);
    config_free(c);
    c = good("validation: {disabled: true, manifests: {indexes: {platforms: none}}}\n", NULL, NULL);
    assert_true(config_settings(c)->validation_disabled);
    assert_int_equal(config_settings(c)->platforms, PLATFORMS_NONE);
    config_free(c);
}

static void test_endpoints_and_checks(void **state)
{
    (void)state;
    struct config *c = good(full, NULL, NULL);
    const struct settings *s = config_settings(c);
    assert_true(s->include_references);
    assert_int_equal(s->backlog_max, 7);
    assert_false(s->envelope_v3);
    assert_int_equal(s->n_endpoints, 2);
    const struct endpoint_settings *e = s->endpoints;
    assert_string_equal(e[0].name, "one");
    assert_string_equal(e[0].url, "https://one/hook");
    assert_int_equal(e[0].headers.n, 3);
    assert_string_equal(e[0].headers.v[2].name, "X-Two");
    assert_string_equal(e[0].headers.v[2].value, "b");
    assert_int_equal(e[0].timeout_ms, 500);
    assert_int_equal(e[0].threshold, 5);
    assert_int_equal(e[0].backoff_ms, 2000);
    check_texts(&e[0].ignored_media_types, 3, (const char *const[]){"m1", "m2", "m3"});
    check_texts(&e[0].ignored_actions, 1, (const char *const[]){"pull"});
    assert_true(e[1].disabled);
    assert_int_equal(e[1].timeout_ms, 1000);
    assert_int_equal(e[1].threshold, 10);
    assert_int_equal(e[1].backoff_ms, 1000);
    assert_int_equal(s->n_checks, 4);
    const struct check_settings *k = s->checks;
    assert_int_equal(k[0].kind, CHECK_STORAGE);
    assert_string_equal(k[0].target, "");
    assert_int_equal(k[0].interval_ms, 20000);
    assert_int_equal(k[0].threshold, 3);
    assert_int_equal(k[1].kind, CHECK_FILE);
    assert_string_equal(k[1].target, "/f");
    assert_int_equal(k[1].interval_ms, 5000);
    assert_int_equal(k[1].threshold, 1);
    assert_int_equal(k[2].kind, CHECK_HTTP);
    assert_string_equal(k[2].headers.v[0].value, "y");
    assert_int_equal(k[2].status_code, 204);
    assert_int_equal(k[2].timeout_ms, 1000);
    assert_int_equal(k[2].interval_ms, 10000);
    assert_int_equal(k[2].threshold, 2);
    assert_int_equal(k[3].kind, CHECK_TCP);
    assert_string_equal(k[3].target, "h:1");
    assert_int_equal(k[3].interval_ms, 10000);
    config_free(c);
    c = good("health: {http: [{uri: 'http://h/', statuscode: 0}]}\n", NULL, NULL);
    assert_int_equal(config_settings(c)->checks[0].status_code, 200);
    config_free(c);
}

static void test_names_of_endpoints(void **state)
{
    (void)state;
    struct config *c = good("notifications: {endpoints: [{url: 'http://a'}, {name: x, url: "
                            "'http://b'}, {name: x-2, url: 'http://d'}, {name: x, url: "
                            "'http://c', ignore: {actions: [eat]}}]}\n",
                            NULL, NULL);
    const struct settings *s = config_settings(c);
    assert_string_equal(s->endpoints[0].name, "endpoint-0");
    assert_string_equal(s->endpoints[3].name, "x-3");
    assert_true(help_noted(c, CONFIG_WARNING, "another endpoint is called x"));
    assert_true(help_noted(c, CONFIG_WARNING, "\"eat\" is no action"));
    config_free(c);
}

static void test_client_auth(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum client_auth want;
    } rows[] = {{"request-client-cert", CLIENT_AUTH_REQUEST},
                {"require-any-client-cert", CLIENT_AUTH_REQUIRE_ANY},
                {"verify-client-cert-if-given", CLIENT_AUTH_VERIFY_IF_GIVEN},
                {"require-and-verify-client-cert", CLIENT_AUTH_REQUIRE_AND_VERIFY},
                {"", CLIENT_AUTH_REQUIRE_AND_VERIFY}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char flags[256];
        (void)snprintf(flags, sizeof flags,
                       "--http.tls.certificate=/c\n--http.tls.key=/k\n"
                       "--http.tls.clientcas=[/a]\n--http.tls.clientauth=%s",
                       rows[i].word);
        struct config *c = good(NULL, NULL, flags);
        assert_int_equal(config_settings(c)->tls.client_auth, rows[i].want);
        config_free(c);
    }
}

static void test_host_without_a_scheme(void **state)
{
    (void)state;
    struct config *c = good("http: {host: 'registry.example.com:5000'}\n", NULL, NULL);
    assert_string_equal(config_settings(c)->http_host, "");
    assert_true(help_noted(c, CONFIG_WARNING, "https://registry.example.com:5000 was probably"));
    config_free(c);
}

static void test_deletes(void **state)
{
    (void)state;
    static const struct {
        const char *file, *environment, *flags;
        bool want;
    } rows[] = {
        {NULL, NULL, NULL, true},
        {NULL, "REGISTRY_LOG_LEVEL=warn", "--http.addr=:1", true},
        {NULL, "REGISTRY_STORAGE_DELETE_ENABLED=false", NULL, false},
        {"", NULL, NULL, false},
        {"storage: {delete: }\n", NULL, NULL, false},
        {"storage: {delete: {}}\n", NULL, NULL, false},
        {"storage: {delete: {enabled: true}}\n", NULL, NULL, true},
        {"storage: {delete: {enabled: true}}\n", "REGISTRY_STORAGE=inmemory", NULL, false},
        {"", "REGISTRY_STORAGE_DELETE_ENABLED=true", NULL, true},
        {"", NULL, "--storage.delete.enabled", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *c = good(rows[i].file, rows[i].environment, rows[i].flags);
        if (config_settings(c)->delete_enabled != rows[i].want)
            fail_msg("row %zu", i);
        config_free(c);
    }
}

/* As registry sends them: a block of YAML ends in a line end. */
static void test_folded_headers(void **state)
{
    (void)state;
    struct config *c =
        good("http:\n  headers:\n    X-A:\n      - |\n        one\n        two\n", NULL, NULL);
    const struct settings *s = config_settings(c);
    assert_int_equal(c->n_notes, 0);
    assert_int_equal(s->http_headers.n, 1);
    assert_string_equal(s->http_headers.v[0].value, "one two");
    config_free(c);
}

/* A list of strings with one in it needs no brackets in a flag; a variable keeps registry's rule.
 */
static void test_bare_lists(void **state)
{
    (void)state;
    static const char *const tls = "--http.tls.certificate=/c\n--http.tls.key=/k\n"
                                   "--http.tls.clientcas=/a.pem\n--http.trustedproxies=*\n"
                                   "--http.headers.X-A=b";
    struct config *c = good(NULL, NULL, tls);
    const struct settings *s = config_settings(c);
    check_texts(&s->tls.client_cas, 1, (const char *const[]){"/a.pem"});
    check_texts(&s->trusted_proxies, 1, (const char *const[]){"*"});
    assert_int_equal(s->http_headers.n, 1);
    assert_string_equal(s->http_headers.v[0].value, "b");
    config_free(c);
    struct error err = {0};
    assert_int_equal(help_load(NULL, NULL, "--http.tls.clientcas=[/a", false, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "the value is YAML"));
    assert_int_equal(help_load(NULL, "REGISTRY_HTTP_TLS_CLIENTCAS=/a.pem", NULL, false, NULL, &err),
                     -1);
    assert_non_null(strstr(err.detail, "a list ([a, b]) is expected"));
}

static void test_hidden_secrets(void **state)
{
    (void)state;
    static const char *const files[] = {
        "http: {secret: '******'}\n",
        "notifications: {endpoints: [{url: 'http://a/', headers: {A: ['******']}}]}\n",
        "health: {http: [{uri: 'http://a/', headers: {A: ['******']}}]}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct config *c = NULL;
        struct error err = {0};
        assert_int_equal(help_load(files[i], NULL, NULL, false, &c, &err), -1);
        assert_true(help_noted(c, CONFIG_ERROR, "****** stands where a dump hides a secret"));
        config_free(c);
    }
    struct config *c = good("http: {secret: '*******', headers: {A: ['******']}}\n", NULL, NULL);
    config_free(c);
}

static void test_warnings(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
    } rows[] = {
        {"http: {tls: {clientcas: [/a]}}\n", "http.tls.clientcas: ignored: there is no certif"},
        {"http: {tls: {ciphersuites: [X, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}\n",
         "ignored: X is not the Go name of a cipher suite"},
        {"http: {tls: {minimumtls: tls1.3, ciphersuites: "
         "[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}\n",
         "the minimum is tls1.3"},
        {"http: {tls: {minimumtls: tls1.1}}\n", "taken as tls1.2"},
        {"storage: {maintenance: {uploadpurging: {enabled: true}}}\n",
         "taken by default: age, interval, dryrun"},
        {"storage: {filesystem: {}}\n", "taken as /var/lib/registry"},
        {"storage: filesystem\n", "taken as /var/lib/registry"},
        {"loglevel: debug\n", "loglevel is the old name"},
        {"health: {storagedriver: {enabled: true, interval: 10}}\n", "10s was probably meant"},
        {"http: {headers: {X-A: [b], connection: [close]}}\n",
         "http.headers: ignored: connection of an answer is the server's own to write"},
        {"health: {file: [{file: /f, interval: 99ms}]}\n", "taken as 100ms, the shortest"},
        {"storage: {delete: {enabled: 'true'}}\n",
         "storage.delete.enabled: in quotes this is text; taken as false, as in registry"},
        {"policy: {repository: {classes: [song]}}\n", "no manifest is of the class \"song\""},
        {"http: {host: registry.example.com}\n",
         "taken as not given, as registry does: without a scheme this is no absolute URL; "
         "https://registry.example.com was probably meant"},
        {"log: {hooks: [{disabled: true, type: mail}, {disabled: false, type: mail}]}\n",
         "log.hooks: ignored: berth sends no mail"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *c = good(rows[i].file, NULL, NULL);
        if (!help_noted(c, CONFIG_WARNING, rows[i].text)) {
            help_print_notes(c);
            fail_msg("%s", rows[i].file);
        }
        config_free(c);
    }
    static const char *const silent[] = {
        "http:\nlog:\nstorage:\nauth:\nredis:\nproxy:\nhealth:\nnotifications:\n",
        "redis: {}\nproxy: {remoteurl: ''}\ncompatibility: {schema1: {enabled: false}}\n",
        "storage: {filesystem: {rootdirectory: ''}}\n",
        "storage: {maintenance: {uploadpurging: {enabled: false}}}\n",
        "storage: {maintenance: {uploadpurging: }}\n",
        "http: {http2: {disabled: true}, h2c: {enabled: false}, secret: x}\n",
        "auth: none\n",
        "auth: {none: {}}\n",
        "auth: {None: }\n",
        "auth: {}\n",
        "storage: inmemory\n",
        "log: {hooks: [{disabled: true, type: mail, options: {from: a}}]}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
        struct config *c = good(silent[i], NULL, NULL);
        if (c->n_notes) {
            help_print_notes(c);
            fail_msg("%s", silent[i]);
        }
        assert_int_equal(config_settings(c)->auth.kind, AUTH_NONE);
        config_free(c);
    }
}

/* ---- flags ---- */

static void test_flags(void **state)
{
    (void)state;
    struct config *c =
        good("http: {addr: ':1', headers: {X-A: [b]}}\n", "REGISTRY_HTTP_ADDR=:2",
             "--http.addr=[::1]:3\n--storage.maintenance.readonly.enabled\n"
             "--http.headers.x-a=[c]\n--http.tls.clientcas.0=/a\n--log.fields={a.b: c}\n"
             "--log.fields.c.d=e\n--http.listeners.0.addr=:4\n--http.listeners.1={addr: ':5'}\n"
             "log.level=debug");
    const struct settings *s = config_settings(c);
    assert_string_equal(s->http_addr, "[::1]:3"); /* taken as it is, not as YAML */
    assert_true(s->read_only);
    assert_int_equal(s->http_headers.n, 1);
    assert_string_equal(s->http_headers.v[0].name, "X-A");
    assert_string_equal(s->http_headers.v[0].value, "c");
    assert_int_equal(s->tls.client_cas.n, 1);
    assert_string_equal(s->log_fields.v[1].name, "c.d");
    assert_int_equal(s->n_listeners, 2);
    assert_string_equal(s->log_level, "debug");
    config_free(c);
    c = good(NULL, NULL, "--storage=inmemory\n--auth=none");
    assert_true(config_settings(c)->in_memory);
    config_free(c);
}

static void test_bad_flags(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *text;
    } rows[] = {
        {"--http.adr=:1", "there is no option --http.adr; did you mean --http.addr?"},
        {"--no.such=1", "there is no option --no.such; `berth help serve` lists them"},
        {"--", "there is no option --"},
        {"--http.addr", "--http.addr needs a value: --http.addr=VALUE"},
        {"--http.addr.x=1", "there is no option --http.addr.x"},
        {"--log.level=loud", "error|warn|info|debug"},
        {"--http.tls.clientcas=[", "--http.tls.clientcas: http.tls.clientcas: the value is YAML"},
        {"--http.tls.clientcas.x=/a", "there is no option --http.tls.clientcas.x"},
        {"--http.tls.clientcas.1=/a", "the list has 0 elements"},
        {"--http.listeners.0.adr=:1", "there is no option --http.listeners.0.adr"},
        {"--proxy.remoteurl=https://a", "proxy: this version is no pull-through cache"},
        {"--storage.s3.bucket=b", "storage.s3: this version"},
        {"--log.level=caf\xe9", "the value of --log.level is not UTF-8"},
        {"--log.fields.caf\xe9=x", "there is no option --log.fields.caf"},
        {"--http=1\n--http.tls.key=/x", "there is no section to put this into: --http has"},
        {"--storage=filesystem\n--storage.inmemory={}", "two drivers, filesystem (--storage) and"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *c = NULL;
        struct error err = {0};
        if (!help_load(NULL, NULL, rows[i].flag, false, &c, &err) ||
            !help_noted(c, CONFIG_ERROR, rows[i].text)) {
            help_print_notes(c);
            fail_msg("%s", rows[i].flag);
        }
        config_free(c);
    }
}

static void test_given(void **state)
{
    (void)state;
    struct config *c =
        good("http: {debug: {addr: ''}}\n", "REGISTRY_LOG_LEVEL=warn", "--tags.maxtags=5");
    assert_true(config_given(c, "http.debug.addr"));
    assert_true(config_given(c, "log.level"));
    assert_true(config_given(c, "tags.maxtags"));
    assert_false(config_given(c, "http.addr"));
    assert_false(config_given(c, "http.debug.prometheus"));
    assert_false(config_given(c, "http.debug.addr.x"));
    config_free(c);
}

/* ---- dump ---- */

static char *dump(const struct config *c, bool origins)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 22);
    config_dump(c, origins, &b);
    assert_false(b.failed);
    return buf_steal(&b, NULL);
}

/* What a dump says, read again, is the same; but for secrets, which it does not say. */
static void test_dump_reads_back(void **state)
{
    (void)state;
    static const char *const files[] = {
        full,
        NULL,
        "",
        "storage: inmemory\nauth: {silly: {realm: 'a b', service: c}}\n",
        "auth: {htpasswd: {realm: 'true', path: '12'}}\nlog: {fields: {a: 'true', b: true, c: "
        "'x: y', 'd: e': '#'}}\n",
        "loglevel: debug\nhttp: {net: unix, addr: /run/x, relativeurls: true}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct config *c = good(files[i], NULL, NULL);
        CLEANUP_FREE char *first = dump(c, false);
        CLEANUP_BUF struct buf text;
        buf_init(&text, (size_t)1 << 22);
        buf_printf(&text, "%%%s", first);
        for (char *p = text.p; (p = strstr(p, "******"));) /* put back: they are errors else */
            memcpy(p, "secret", 6);
        struct config *again = good(text.p, NULL, NULL);
        CLEANUP_FREE char *second = dump(again, false);
        assert_string_equal(first, second);
        assert_int_equal(again->n_notes, 0);
        config_free(again);
        config_free(c);
    }
}

static void test_dump_origins(void **state)
{
    (void)state;
    struct config *c =
        good("loglevel: debug\nhttp: {headers: {X-A: [b]}}\nauth: none\n",
             "REGISTRY_HTTP_ADDR=:1\nREGISTRY_TAGS={maxtags: 4}", "--catalog.maxentries=5");
    CLEANUP_FREE char *text = dump(c, true);
    assert_non_null(strstr(text, "  addr: \":1\"  # REGISTRY_HTTP_ADDR\n"));
    assert_non_null(strstr(text, "  maxentries: 5  # flag --catalog.maxentries\n"));
    assert_non_null(strstr(text, "  maxtags: 4  # REGISTRY_TAGS\n"));
    assert_non_null(strstr(text, "  prefix: /  # default\n"));
    const char *level = strstr(text, "  level: debug  # /tmp/berth-config-");
    assert_non_null(level);
    assert_non_null(strstr(level, ":2\n"));
    assert_non_null(strstr(text, "\n    X-A: [b]  # /tmp/berth-config-"));
    assert_non_null(strstr(text, "\nauth: none  # /tmp/berth-config-"));
    config_free(c);
}

static void test_dump_hides_secrets(void **state)
{
    (void)state;
    struct config *c =
        good("notifications: {endpoints: [{name: a, url: 'http://a', headers: {Authorization: "
             "[Bearer t0ken]}}]}\nhealth: {http: [{uri: 'http://a', headers: {X: [t0ken]}}]}\n"
             "http: {secret: t0ken}\nredis: {addr: a, password: t0ken}\n",
             "REGISTRY_PROXY_PASSWORD=t0ken", NULL);
    CLEANUP_FREE char *text = dump(c, true);
    assert_null(strstr(text, "t0ken"));
    assert_non_null(
        strstr(text, "- {name: a, url: http://a, headers: {Authorization: [\"******\"]}}"));
    assert_false(help_noted(c, CONFIG_WARNING, "t0ken"));
    config_free(c);
    /* A login in a URL, a query, and what may be a secret under a key that nobody knows. */
    struct error err = {0};
    assert_int_equal(
        help_load(
            "notifications: {endpoints: [{url: 'https://u:t0ken@a/?t0ken', Headers: {A: [t0ken]}, "
            "timeout: 2s, pasword: t0ken}]}\nhealth: {http: [{uri: 'http://u:t0ken@a/'}]}\n"
            "auth: {token: {realm: 'http://u:t0ken@a/', service: a, issuer: a, jwks: /a}}\n",
            NULL, NULL, false, &c, &err),
        0);
    CLEANUP_FREE char *urls = dump(c, true);
    assert_null(strstr(urls, "t0ken"));
    assert_non_null(strstr(urls, "- {url: \"https://******@a/?******\", timeout: 2s}"));
    assert_non_null(strstr(urls, "realm: \"http://******@a/\""));
    assert_false(help_noted(c, CONFIG_WARNING, "t0ken"));
    config_free(c);
}

/* Written out, false is more than the default: the dump of one is not the other. */
static void test_strict_validation(void **state)
{
    (void)state;
    static const struct {
        const char *file, *env, *printed;
        bool disabled, strict;
    } rows[] = {
        {"", NULL, NULL, false, false},
        {"validation: {manifests: {urls: {allow: [a]}}}\n", NULL, NULL, false, false},
        {"validation: {disabled: false}\n", NULL, "disabled: false", false, true},
        {"validation: {disabled: true}\n", NULL, "disabled: true", true, false},
        {"validation: {disabled: }\n", NULL, NULL, false, false},
        {"validation: {enabled: true}\n", NULL, "disabled: false", false, true},
        {"validation: {enabled: false}\n", NULL, NULL, false, false},
        {"validation: {enabled: true, disabled: true}\n", NULL, "disabled: false", false, true},
        {"validation: {enabled: false, disabled: true}\n", NULL, "disabled: true", true, false},
        {"validation: {disabled: false}\n", "REGISTRY_VALIDATION_DISABLED=", NULL, false, false},
        {"", "REGISTRY_VALIDATION_ENABLED=true", "disabled: false", false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *c = good(rows[i].file, rows[i].env, NULL);
        assert_int_equal(config_settings(c)->validation_disabled, rows[i].disabled);
        assert_int_equal(config_settings(c)->validation_strict, rows[i].strict);
        CLEANUP_FREE char *text = dump(c, false);
        const char *section = strstr(text, "validation:\n");
        assert_non_null(section);
        if (rows[i].printed)
            assert_memory_equal(section + 14, rows[i].printed, strlen(rows[i].printed));
        else
            assert_memory_equal(section + 14, "manifests:", 10);
        config_free(c);
    }
}

/* ---- differences ---- */

static void collect(void *arg, const char *key, bool reloadable)
{
    struct buf *b = arg;
    buf_printf(b, "%s%s ", key, reloadable ? "*" : "");
}

static void test_diff(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *want;
    } rows[] = {
        {full, full, ""},
        {"", NULL, "storage.delete.enabled* "},
        {"", "log: {level: debug}\n", "log.level* "},
        {"log: {level: debug}\n", "loglevel: debug\n", ""},
        {"", "http: {addr: ':1'}\n", "http.addr "},
        {"http: {headers: {A: [b]}}\n", "http: {headers: {A: [c]}}\n", "http.headers* "},
        {"http: {headers: {A: [b]}}\n", "", "http.headers* "},
        {"", "http: {limits: {connections: 4}, timeouts: {head: 4s}, draintimeout: 1s, loops: 4}\n",
         "http.draintimeout* http.loops http.limits.connections* http.timeouts.head* "},
        {"", "http: {tls: {certificate: /c, key: /k, minimumtls: tls1.3}}\n",
         "http.tls.certificate* http.tls.key* http.tls.minimumtls* "},
        {"storage: inmemory\n", "storage: {filesystem: {rootdirectory: /a}}\n", "storage "},
        {"storage: {filesystem: {rootdirectory: /b}}\n",
         "storage: {filesystem: {rootdirectory: /a}}\n", "storage.filesystem.rootdirectory "},
        {"notifications: {endpoints: [{name: a, url: 'http://u:a@h/'}]}\n",
         "notifications: {endpoints: [{name: a, url: 'http://u:b@h/'}]}\n",
         "notifications.endpoints "},
        {"auth: {silly: {realm: 'http://u:a@h/', service: s}}\n",
         "auth: {silly: {realm: 'http://u:b@h/', service: s}}\n", "auth.silly.realm* "},
        {"", "validation: {disabled: false}\n", "validation.disabled* "},
        {"", "storage: {delete: {enabled: false}}\n", ""},
        {"", "storage: {delete: {enabled: true}, maintenance: {readonly: {enabled: true}}}\n",
         "storage.delete.enabled* storage.maintenance.readonly.enabled* "},
        {"storage: {delete: {enabled: true}}\n", "storage: {delete: {enabled: yes}}\n", ""},
        {"", "auth: {silly: {realm: a, service: b}}\n", "auth* "},
        {"auth: {silly: {realm: a, service: c}}\n", "auth: {silly: {realm: a, service: b}}\n",
         "auth.silly.service* "},
        {"", "notifications: {endpoints: [{name: a, url: 'http://a'}]}\n",
         "notifications.endpoints "},
        {"notifications: {endpoints: [{url: 'http://a', headers: {A: [s1]}}]}\n",
         "notifications: {endpoints: [{url: 'http://a', headers: {A: [s2]}}]}\n",
         "notifications.endpoints "},
        {"", "catalog: {maxentries: 4}\ntags: {maxtags: 5}\n",
         "catalog.maxentries* tags.maxtags* "},
        {"", "validation: {disabled: true}\npolicy: {repository: {classes: [image]}}\n",
         "validation.disabled* policy.repository.classes* "},
        {"", "http: {relativeurls: true}\n", "http.relativeurls "},
        {"log: {fields: {a: b}}\n", "log: {fields: {a: c}}\n", "log.fields* "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *from = good(rows[i].from, NULL, NULL);
        struct config *to = good(rows[i].to, NULL, NULL);
        CLEANUP_BUF struct buf got;
        buf_init(&got, 4096);
        buf_puts(&got, "");
        config_diff(from, to, collect, &got);
        if (!slice_is(buf_view(&got), rows[i].want))
            fail_msg("%zu: %s: %.*s", i, rows[i].want, SLICE_ARG(buf_view(&got)));
        config_free(from);
        config_free(to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_http_section),
        TEST(test_storage_auth_log),
        TEST(test_rules),
        TEST(test_endpoints_and_checks),
        TEST(test_names_of_endpoints),
        TEST(test_client_auth),
        TEST(test_warnings),
        TEST(test_host_without_a_scheme),
        TEST(test_deletes),
        TEST(test_folded_headers),
        TEST(test_bare_lists),
        TEST(test_hidden_secrets),
        TEST(test_flags),
        TEST(test_bad_flags),
        TEST(test_given),
        TEST(test_dump_reads_back),
        TEST(test_dump_origins),
        TEST(test_dump_hides_secrets),
        TEST(test_strict_validation),
        TEST(test_diff),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
