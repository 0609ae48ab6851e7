/* SPDX-License-Identifier: Apache-2.0 */
/* The http and log sections: what takes more than one key to know. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "base/util.h"
#include "http/server.h"
#include "main/config_int.h"
#include "remote/client.h"
#include "tls/tls.h"

#include "base/banned.h"

enum { HEADERS_MAX = 32 * 1024, LOG_FIELDS_MAX = 32 /* as in logs.c */ };

static void warn(struct config *c, const char *key, const char *text)
{
    struct origin o = bind_origin(c, key);
    note_add(c, CONFIG_WARNING, &o, key, "%s", text);
}

static void fail(struct config *c, const char *key, const char *text)
{
    struct origin o = bind_origin(c, key);
    note_add(c, CONFIG_ERROR, &o, key, "%s", text);
}

/* ---- log ---- */

static void bind_log_fields(struct config *c)
{
    const struct node *n = bind_given(c, "log.fields");
    struct text_pairs *out = &c->settings.log_fields;
    if (!n || n->kind != NODE_MAP)
        return;
    out->v = ARENA_ARRAY(c->arena, struct text_pair, n->n + 1);
    for (unsigned i = 0; i < n->n; i++) {
        const struct node *value = n->v[i].node;
        if (value->kind == NODE_LIST || value->kind == NODE_MAP) {
            note_add(
                c, CONFIG_WARNING, &n->v[i].origin, "log.fields",
                "ignored: the field %.60s is a list or a section, and a field of berth's log is "
                "text",
                n->v[i].key);
            continue;
        }
        char *text =
            value->kind == NODE_SCALAR ? (char *)(uintptr_t)value->text.p : bind_copy(c, "");
        out->v[out->n++] = (struct text_pair){n->v[i].key, text};
    }
    if (out->n > LOG_FIELDS_MAX)
        warn(c, "log.fields", "more than 32: those after them are ignored");
}

void bind_log(struct config *c)
{
    struct value level, old;
    bool given = bind_value(c, "log.level", NULL, "log.level", &level);
    if (bind_value(c, "loglevel", NULL, "loglevel", &old)) {
        warn(c, "loglevel",
             given ? "log.level is given too, and counts; loglevel is its old name"
                   : "loglevel is the old name of log.level; it still works");
        if (!given)
            c->settings.log_level = arena_strndup(c->arena, old.text.p, old.text.n);
    }
    bind_log_fields(c);
}

/* ---- addresses and URLs ---- */

static void check_address(struct config *c, const char *address, const char *key,
                          const struct origin *origin)
{
    const char *why;
    if (address_check(slice_cstr(address), &why))
        note_add(c, CONFIG_ERROR, origin, key, "\"%.*s\" is no address to listen on: %s",
                 SLICE_ARG(slice_first(text_shown(slice_cstr(address)), 120)), why);
}

static void bind_address(struct config *c)
{
    struct settings *s = &c->settings;
    struct value net;
    bool given = bind_given(c, "http.addr") && *s->http_addr;
    (void)bind_value(c, "http.net", NULL, "http.net", &net);
    if (slice_is(net.text, "unix") && !given) {
        fail(c, "http.net", "http.addr has to be the path of the socket");
        return;
    }
    if (!*s->http_addr) /* as Go's zero value: not given */
        s->http_addr = bind_copy(c, schema_find("http.addr")->def);
    if (slice_is(net.text, "unix") && !slice_starts(slice_cstr(s->http_addr), SLICE_LIT("unix:")))
        s->http_addr = arena_printf(c->arena, "unix:%s", s->http_addr);
    struct origin o = bind_origin(c, "http.addr");
    check_address(c, s->http_addr, "http.addr", &o);
    o = bind_origin(c, "http.debug.addr");
    if (*s->debug_addr)
        check_address(c, s->debug_addr, "http.debug.addr", &o);
}

/* registry 2.8 starts with a name alone and makes nothing of it; neither does this. */
static bool hostname_only(struct config *c, const char *host)
{
    const char *why;
    struct origin o = bind_origin(c, "http.host");
    char *absolute = arena_printf(c->arena, "https://%s", host);
    if (strstr(host, "://") || url_check(slice_cstr(absolute), &why))
        return false;
    note_add(c, CONFIG_WARNING, &o, "http.host",
             "taken as not given, as registry does: without a scheme this is no absolute URL; "
             "https://%.*s was probably meant",
             SLICE_ARG(slice_first(text_shown(slice_cstr(host)), 120)));
    return true;
}

static void bind_host(struct config *c)
{
    struct settings *s = &c->settings;
    const char *why;
    size_t n = strlen(s->http_host);
    if (!n)
        return;
    if (hostname_only(c, s->http_host)) {
        s->http_host = bind_copy(c, "");
        return;
    }
    bool bad = url_check(slice_cstr(s->http_host), &why) != 0;
    if (!bad && !client_url_valid(s->http_host)) {
        why = "there is no valid host or port in it";
        bad = true;
    }
    if (bad) {
        struct origin o = bind_origin(c, "http.host");
        note_add(c, CONFIG_ERROR, &o, "http.host",
                 "\"%.*s\" is no absolute URL such as https://registry.example.com: %s",
                 SLICE_ARG(slice_first(text_shown(slice_cstr(s->http_host)), 120)), why);
        return;
    }
    if (strchr(s->http_host, '@'))
        fail(c, "http.host",
             "this URL may not have a user or a password (@): it is sent to every client");
    if (strpbrk(s->http_host, "?#"))
        fail(c, "http.host", "this URL may not have a query or a fragment (? or #)");
    while (n && s->http_host[n - 1] == '/')
        s->http_host[--n] = '\0';
}

static void bind_prefix(struct config *c)
{
    struct settings *s = &c->settings;
    const char *p = s->http_prefix;
    size_t n = strlen(p);
    if (!n) {
        s->http_prefix = bind_copy(c, "/");
        return;
    }
    if (p[0] != '/' || p[n - 1] != '/') {
        warn(c, "http.prefix", "a prefix has slashes at both ends, /path/; taken as if it had");
        s->http_prefix =
            arena_printf(c->arena, "%s%s%s", p[0] == '/' ? "" : "/", p, p[n - 1] == '/' ? "" : "/");
    }
    struct slice path = slice_cstr(s->http_prefix);
    for (size_t i = 0; i < path.n; i++)
        if (!isalnum((unsigned char)path.p[i]) && !strchr("/-._~", path.p[i])) {
            fail(c, "http.prefix", "a prefix is made of letters, digits and /-._~");
            return;
        }
    if (memmem(path.p, path.n, "//", 2) || memmem(path.p, path.n, "/./", 3) ||
        memmem(path.p, path.n, "/../", 4))
        fail(c, "http.prefix", "a prefix has no empty parts, and no . or ..");
}

/* ---- headers ---- */

void bind_check_headers(struct config *c, const struct text_pairs *headers, const char *key,
                        struct origin origin)
{
    for (unsigned i = 0; i < headers->n; i++) {
        const char *name = headers->v[i].name;
        bool token = *name != '\0';
        for (const char *p = name; *p; p++) /* RFC 9110, section 5.6.2 */
            token = token && (isalnum((unsigned char)*p) || strchr("!#$%&'*+-.^_`|~", *p));
        if (!token || strlen(name) > 256)
            note_add(c, CONFIG_ERROR, &origin, key, "\"%.60s\" cannot be the name of a header",
                     name);
        else if (!text_printable(slice_cstr(headers->v[i].value)))
            note_add(c, CONFIG_ERROR, &origin, key,
                     "the value of %.60s has line ends or other control characters in it", name);
    }
}

/* A block of YAML ends in a line end. As Go writes a field: a line end becomes a blank, and those
 * around the value are left out. */
static void fold_own_headers(struct config *c)
{
    const struct text_pairs *h = &c->settings.http_headers;
    for (unsigned i = 0; i < h->n; i++) {
        char *value = bind_copy(c, h->v[i].value);
        for (char *p = value; *p; p++)
            if (*p == '\n' || *p == '\r')
                *p = ' ';
        struct slice trimmed = slice_trim(slice_cstr(value));
        h->v[i].value = arena_printf(c->arena, "%.*s", SLICE_ARG(trimmed));
    }
}

/* What would have no effect, or too much. */
static void check_own_headers(struct config *c)
{
    const struct text_pairs *h = &c->settings.http_headers;
    struct origin o = bind_origin(c, "http.headers");
    size_t bytes = 0;
    for (unsigned i = 0; i < h->n; i++)
        bytes += strlen(h->v[i].name) + strlen(h->v[i].value) + 4;
    if (bytes > HEADERS_MAX)
        fail(c, "http.headers", "more than 32 KiB: clients do not take an answer with that");
    for (unsigned i = 0; i < h->n; i++)
        if (http_header_reserved(slice_cstr(h->v[i].name)))
            note_add(c, CONFIG_WARNING, &o, "http.headers",
                     "ignored: %.60s of an answer is the server's own to write", h->v[i].name);
}

/* ---- TLS ---- */

static void bind_ciphers(struct config *c)
{
    struct tls_settings *t = &c->settings.tls;
    unsigned asked = t->ciphers.n;
    struct origin o = bind_origin(c, "http.tls.ciphersuites");
    t->ciphers.n = 0;
    for (unsigned i = 0; i < asked; i++) {
        bool supported = false;
        bool known = tls_cipher_known(t->ciphers.v[i], &supported);
        if (known && supported)
            t->ciphers.v[t->ciphers.n++] = t->ciphers.v[i];
        else
            note_add(c, CONFIG_WARNING, &o, "http.tls.ciphersuites", "ignored: %.*s %s",
                     SLICE_ARG(slice_first(text_shown(slice_cstr(t->ciphers.v[i])), 80)),
                     known ? "is a cipher suite that OpenSSL does not offer here"
                           : "is not the Go name of a cipher suite");
    }
    if (asked && !t->ciphers.n)
        fail(c, "http.tls.ciphersuites", "none of these cipher suites can be used");
    else if (asked && slice_is(slice_cstr(t->minimum), "tls1.3"))
        warn(c, "http.tls.ciphersuites",
             "ignored: the minimum is tls1.3, whose cipher suites are fixed");
}

static void bind_client_auth(struct config *c)
{
    static const char *const words[] = {
        [CLIENT_AUTH_REQUEST] = "request-client-cert",
        [CLIENT_AUTH_REQUIRE_ANY] = "require-any-client-cert",
        [CLIENT_AUTH_VERIFY_IF_GIVEN] = "verify-client-cert-if-given",
        [CLIENT_AUTH_REQUIRE_AND_VERIFY] = "require-and-verify-client-cert",
    };
    struct tls_settings *t = &c->settings.tls;
    struct value v;
    bool given = bind_value(c, "http.tls.clientauth", NULL, "http.tls.clientauth", &v);
    t->client_auth = CLIENT_AUTH_NONE;
    if (given && !t->client_cas.n)
        warn(c, "http.tls.clientauth",
             "ignored: without http.tls.clientcas no certificate is asked for, as in registry");
    for (size_t i = CLIENT_AUTH_REQUEST; t->client_cas.n && i < ARRAY_LEN(words); i++)
        if (slice_is(v.text, words[i]))
            t->client_auth = (enum client_auth)i;
}

static void bind_tls(struct config *c)
{
    struct tls_settings *t = &c->settings.tls;
    bool certificate = *t->certificate;
    if (certificate != (bool)*t->key)
        fail(c, certificate ? "http.tls.certificate" : "http.tls.key",
             certificate
                 ? "http.tls.key is missing: a certificate and its key go together"
                 : "http.tls.certificate is missing: a key and its certificate go together");
    if (slice_is(slice_cstr(t->minimum), "tls1.0") || slice_is(slice_cstr(t->minimum), "tls1.1")) {
        warn(c, "http.tls.minimumtls", "taken as tls1.2: older versions are broken");
        t->minimum = bind_copy(c, "tls1.2");
    }
    bind_ciphers(c);
    bind_client_auth(c);
    if (t->client_cas.n && !certificate && !*t->key)
        warn(c, "http.tls.clientcas", "ignored: there is no certificate, so nothing speaks TLS");
}

/* ---- listeners, proxies ---- */

static void bind_listeners(struct config *c)
{
    const struct schema *row = schema_find("http.listeners[]");
    const struct node *list = bind_given(c, "http.listeners");
    struct settings *s = &c->settings;
    unsigned n = bind_count(list);
    if (!n)
        return;
    s->listeners = ARENA_ARRAY(c->arena, struct listener_settings, n);
    for (unsigned i = 0; i < list->n; i++) {
        const struct node *e = list->v[i].node;
        struct value tls;
        char key[64];
        if (e->kind != NODE_MAP)
            continue;
        struct listener_settings *l = &s->listeners[s->n_listeners++];
        (void)snprintf(key, sizeof key, "http.listeners[%u].addr", i);
        bind_fields(c, row, e, l);
        l->tls = *s->tls.certificate;
        if (bind_value(c, "http.listeners[].tls", e, "tls", &tls))
            l->tls = tls.yes;
        check_address(c, l->addr, key, &list->v[i].origin);
        if (l->tls && !*s->tls.certificate)
            note_add(c, CONFIG_ERROR, &list->v[i].origin, key,
                     "this listener speaks TLS, and there is no http.tls.certificate");
    }
}

static bool is_network(const char *text)
{
    unsigned char address[16];
    struct slice bits = slice_cstr(text);
    struct slice host = slice_cut(&bits, '/');
    char copy[64];
    uint64_t n = 0;
    if (slice_is(slice_cstr(text), "unix") || slice_is(slice_cstr(text), "*"))
        return true;
    if (host.n >= sizeof copy || (bits.p && parse_u63(bits, &n)))
        return false;
    memcpy(copy, host.p, host.n);
    copy[host.n] = '\0';
    return (inet_pton(AF_INET, copy, address) == 1 && n <= 32) ||
           (inet_pton(AF_INET6, copy, address) == 1 && n <= 128);
}

static void bind_proxies(struct config *c)
{
    static const char *const usual[] = {"127.0.0.0/8", "::1/128", "unix"};
    struct text_list *out = &c->settings.trusted_proxies;
    struct origin o = bind_origin(c, "http.trustedproxies");
    if (!bind_given(c, "http.trustedproxies")) {
        out->v = ARENA_ARRAY(c->arena, char *, ARRAY_LEN(usual));
        for (size_t i = 0; i < ARRAY_LEN(usual); i++)
            out->v[out->n++] = bind_copy(c, usual[i]);
    }
    for (unsigned i = 0; i < out->n; i++)
        if (!is_network(out->v[i]))
            note_add(c, CONFIG_ERROR, &o, "http.trustedproxies",
                     "\"%.*s\" is neither an address, a network such as 10.0.0.0/8, unix, nor *",
                     SLICE_ARG(slice_first(text_shown(slice_cstr(out->v[i])), 60)));
}

void bind_http(struct config *c)
{
    struct settings *s = &c->settings;
    struct value relative;
    bind_address(c);
    bind_host(c);
    bind_prefix(c);
    if (bind_value(c, "http.relativeurls", NULL, "http.relativeurls", &relative))
        s->relative_urls = relative.yes ? URLS_RELATIVE : URLS_ABSOLUTE;
    fold_own_headers(c);
    bind_check_headers(c, &s->http_headers, "http.headers", bind_origin(c, "http.headers"));
    check_own_headers(c);
    bind_tls(c);
    bind_listeners(c);
    bind_proxies(c);
    if (!*s->prometheus_path)
        s->prometheus_path = bind_copy(c, "/metrics");
    if (*s->prometheus_path != '/')
        fail(c, "http.debug.prometheus.path", "a path begins with a slash");
}
