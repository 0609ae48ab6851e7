/* SPDX-License-Identifier: Apache-2.0 */
#include "main/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "registry/validate.h"
#include "store/upload.h"

#include "base/banned.h"

/* The lists of the settings in the form that components take. */
static const char *const *texts(const struct text_list *l)
{
    return (const char *const *)l->v;
}

static const char *const (*pairs(struct arena *a, const struct text_pairs *p))[2]
{
    const char *(*out)[2] = arena_array(a, sizeof *out, p->n ? p->n : 1);
    for (unsigned i = 0; i < p->n; i++) {
        out[i][0] = p->v[i].name;
        out[i][1] = p->v[i].value;
    }
    return (const char *const(*)[2])out;
}

int build_blame(const char *section, struct error *err)
{
    struct error why = *err;
    return error_detail(err, why.code, "%s: %s", section, why.detail[0] ? why.detail : why.message);
}

/* ---- TLS ---- */

int build_tls(const struct settings *s, struct tls_context **out, struct error *err)
{
    static const enum tls_client_auth modes[] = {
        [CLIENT_AUTH_NONE] = TLS_CLIENT_NONE,
        [CLIENT_AUTH_REQUEST] = TLS_CLIENT_REQUEST,
        [CLIENT_AUTH_REQUIRE_ANY] = TLS_CLIENT_REQUIRE_ANY,
        [CLIENT_AUTH_VERIFY_IF_GIVEN] = TLS_CLIENT_VERIFY_IF_GIVEN,
        [CLIENT_AUTH_REQUIRE_AND_VERIFY] = TLS_CLIENT_REQUIRE_AND_VERIFY,
    };
    const struct tls_settings *t = &s->tls;
    if (!*t->certificate) {
        *out = NULL;
        return 0;
    }
    struct tls_config c = {
        .certificate = t->certificate,
        .key = t->key,
        .minimum = t->minimum,
        .ciphers = texts(&t->ciphers),
        .n_ciphers = t->ciphers.n,
        .client_cas = texts(&t->client_cas),
        .n_client_cas = t->client_cas.n,
        .client_auth = modes[t->client_auth],
    };
    return tls_context_new(&c, out, err);
}

/* ---- who may do what ---- */

int build_authn(const struct settings *s, bool starting, struct metrics *metrics, struct log *log,
                struct authn **out, struct error *err)
{
    static const enum authn_kind kinds[] = {
        [AUTH_NONE] = AUTHN_NONE,
        [AUTH_SILLY] = AUTHN_SILLY,
        [AUTH_HTPASSWD] = AUTHN_HTPASSWD,
        [AUTH_TOKEN] = AUTHN_TOKEN,
    };
    const struct auth_settings *a = &s->auth;
    char *password = NULL;
    if (a->kind == AUTH_NONE) {
        *out = NULL;
        return 0;
    }
    struct authn_config c = {
        .kind = kinds[a->kind],
        .realm = a->realm,
        .service = a->service,
        .issuer = a->issuer,
        .path = a->path,
        .must_exist = !starting,
        .root_cert_bundle = a->root_cert_bundle,
        .jwks = a->jwks,
        .algorithms = texts(&a->algorithms),
        .n_algorithms = a->algorithms.n,
        .autoredirect = a->autoredirect,
        .autoredirect_path = a->autoredirect_path,
        .metrics = metrics,
    };
    if (authn_new(&c, out, &password, err))
        return build_blame(a->kind == AUTH_HTPASSWD ? "auth.htpasswd" : "auth.token", err);
    if (password) {
        /* The one secret that is ever logged: there is no other way to learn it, and registry's
         * users look for it here. So no level leaves it out. */
        LOG(log, log_enabled(log, LOG_LEVEL_WARN) ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR,
            "the htpasswd file did not exist: it was made with one user and a random password",
            F_CSTR("path", a->path), F_CSTR("user", "docker"), F_CSTR("password", password));
        explicit_bzero(password, strlen(password));
        free(password);
    }
    return 0;
}

static bool same_texts(const struct text_list *a, const struct text_list *b)
{
    bool same = a->n == b->n;
    for (unsigned i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i], b->v[i]) == 0;
    return same;
}

bool build_same_auth(const struct settings *first, const struct settings *second)
{
    const struct auth_settings *a = &first->auth, *b = &second->auth;
    return a->kind == b->kind && strcmp(a->realm, b->realm) == 0 &&
           strcmp(a->service, b->service) == 0 && strcmp(a->issuer, b->issuer) == 0 &&
           strcmp(a->path, b->path) == 0 && strcmp(a->root_cert_bundle, b->root_cert_bundle) == 0 &&
           strcmp(a->jwks, b->jwks) == 0 && same_texts(&a->algorithms, &b->algorithms) &&
           a->autoredirect == b->autoredirect &&
           strcmp(a->autoredirect_path, b->autoredirect_path) == 0;
}

static int build_validator(const struct config *config, struct validator **out, struct error *err)
{
    static const enum validate_platforms kinds[] = {
        [PLATFORMS_ALL] = VALIDATE_ALL,
        [PLATFORMS_NONE] = VALIDATE_NONE,
        [PLATFORMS_LIST] = VALIDATE_LIST,
    };
    const struct settings *s = config_settings(config);
    struct arena *a = arena_new(4096);
    const char *(*platforms)[2] =
        arena_array(a, sizeof *platforms, s->n_platforms ? s->n_platforms : 1);
    for (unsigned i = 0; i < s->n_platforms; i++) {
        platforms[i][0] = s->platform_list[i].os;
        platforms[i][1] = s->platform_list[i].architecture;
    }
    struct validate_config c = {
        .disabled = s->validation_disabled,
        .strict = s->validation_strict,
        .urls_allow = texts(&s->urls_allow),
        .n_urls_allow = s->urls_allow.n,
        .urls_deny = texts(&s->urls_deny),
        .n_urls_deny = s->urls_deny.n,
        .platforms = kinds[s->platforms],
        .platform_list = (const char *const(*)[2])platforms,
        .n_platforms = s->n_platforms,
        .classes = texts(&s->classes),
        .n_classes = s->classes.n,
    };
    int failed = validator_new(&c, out, err);
    arena_free(a);
    return failed ? build_blame("validation", err) : 0;
}

/* 0 takes the default, as in registry; an answer has to fit its buffer. */
static unsigned page(uint64_t wanted, unsigned def)
{
    return wanted == 0 ? def : (unsigned)MIN(wanted, 20000);
}

int build_live(const struct config *c, struct authn *authn, struct registry_live *out,
               struct error *err)
{
    const struct settings *s = config_settings(c);
    struct registry_live l = {
        .authn = authn,
        .policy = {.login = s->auth.kind != AUTH_NONE,
                   .read_only = s->read_only,
                   .delete_enabled = s->delete_enabled},
        .tags_page = page(s->tags_max, 10000),
        .catalog_page = page(s->catalog_max, 1000),
        .include_references = s->include_references,
    };
    if (build_validator(c, &l.validator, err)) {
        authn_unref(authn);
        return -1;
    }
    *out = l;
    return 0;
}

/* ---- the engine ---- */

void build_limits(const struct settings *s, struct http_limits *out)
{
    http_limits_default(out);
    out->connections_max = (unsigned)s->connections_max;
    out->connections_per_ip = (unsigned)s->connections_per_ip;
    out->head_timeout_ms = s->head_timeout_ms;
    out->idle_timeout_ms = s->idle_timeout_ms;
    out->read_stall_ms = out->write_stall_ms = s->stall_timeout_ms;
}

void build_headers(const struct settings *s, struct buf *out)
{
    for (unsigned i = 0; i < s->http_headers.n; i++)
        buf_printf(out, "%s: %s\r\n", s->http_headers.v[i].name, s->http_headers.v[i].value);
}

int build_trusted(const struct settings *s, struct trusted_peers **out, struct error *err)
{
    return trusted_peers_new(texts(&s->trusted_proxies), s->trusted_proxies.n, out, err);
}

/* ---- who runs beside the registry ---- */

static void forget_cursors(struct meta *meta, struct log *log)
{
    struct notify_config none = {.meta = meta, .log = log};
    struct notify *n = NULL;
    struct error err = {0};
    if (notify_new(&none, &n, &err))
        log_error(log, LOG_LEVEL_WARN, "cannot forget the endpoints that are gone", &err);
    notify_free(n);
}

int build_notify(const struct settings *s, const char *address, struct meta *meta, struct log *log,
                 struct metrics *metrics, struct notify **out, struct error *err)
{
    char host[256] = "localhost";
    char instance[UPLOAD_ID_LEN + 1];
    *out = NULL;
    struct arena *a = arena_new(4096);
    struct notify_endpoint *list =
        ARENA_ARRAY(a, struct notify_endpoint, s->n_endpoints ? s->n_endpoints : 1);
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_endpoints; i++) {
        const struct endpoint_settings *e = &s->endpoints[i];
        if (e->disabled)
            continue;
        list[n++] = (struct notify_endpoint){
            .name = e->name,
            .url = e->url,
            .headers = pairs(a, &e->headers),
            .n_headers = e->headers.n,
            .timeout_ms = e->timeout_ms,
            .threshold = e->threshold,
            .backoff_ms = e->backoff_ms,
            .ignored_media_types = texts(&e->ignored_media_types),
            .n_ignored_media_types = e->ignored_media_types.n,
            .ignored_actions = texts(&e->ignored_actions),
            .n_ignored_actions = e->ignored_actions.n,
        };
    }
    int failed = 0;
    if (n) {
        const char *port = strrchr(address, ':');
        (void)gethostname(host, sizeof host - 1);
        upload_id_make(instance);
        struct notify_config c = {
            .endpoints = list,
            .n_endpoints = n,
            .backlog_max = s->backlog_max,
            .source_addr = arena_printf(a, "%s%s", host, port && port[1] != '/' ? port : ""),
            .source_instance = instance,
            .envelope_v3 = s->envelope_v3,
            .meta = meta,
            .log = log,
            .metrics = metrics,
        };
        failed = notify_new(&c, out, err);
    } else {
        forget_cursors(meta, log);
    }
    arena_free(a);
    return failed;
}

int build_health(const struct settings *s, struct store *store, struct log *log,
                 struct metrics *metrics, struct health **out, struct error *err)
{
    static const enum health_kind kinds[] = {
        [CHECK_STORAGE] = HEALTH_STORAGE,
        [CHECK_FILE] = HEALTH_FILE,
        [CHECK_HTTP] = HEALTH_HTTP,
        [CHECK_TCP] = HEALTH_TCP,
    };
    *out = NULL;
    if (!s->n_checks)
        return 0;
    struct arena *a = arena_new(4096);
    struct health_check *list = ARENA_ARRAY(a, struct health_check, s->n_checks);
    for (unsigned i = 0; i < s->n_checks; i++) {
        const struct check_settings *c = &s->checks[i];
        list[i] = (struct health_check){
            .kind = kinds[c->kind],
            .target = c->target,
            .headers = pairs(a, &c->headers),
            .n_headers = c->headers.n,
            .status_code = c->status_code,
            .timeout_ms = c->timeout_ms,
            .interval_ms = c->interval_ms,
            .threshold = c->threshold,
        };
    }
    struct health_config c = {
        .checks = list, .n = s->n_checks, .store = store, .log = log, .metrics = metrics};
    int failed = health_new(&c, out, err);
    arena_free(a);
    return failed;
}
