/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks, health checks, and the rules for what is pushed and listed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/util.h"
#include "main/config_int.h"
#include "remote/client.h"

#include "base/banned.h"

enum { PAGE_MAX = 20000, CHECK_INTERVAL_MIN = 100 };

/* ---- notifications ---- */

static void join(struct config *c, struct text_list *to, const struct node *n)
{
    struct text_list more;
    bind_texts(c, n, &more);
    if (!more.n)
        return;
    char **v = ARENA_ARRAY(c->arena, char *, to->n + more.n);
    if (to->n)
        memcpy(v, to->v, to->n * sizeof *v);
    memcpy(v + to->n, more.v, more.n * sizeof *v);
    to->v = v;
    to->n += more.n;
}

/* Names are what events in the database belong to: every endpoint gets one of its own. */
static void name_endpoint(struct config *c, struct endpoint_settings *e, const struct origin *o,
                          const char *key)
{
    struct settings *s = &c->settings;
    unsigned index = (unsigned)(e - s->endpoints);
    if (!*e->name)
        e->name = arena_printf(c->arena, "endpoint-%u", index);
    for (unsigned i = 0; i < index; i++) {
        if (!slice_is(slice_cstr(e->name), s->endpoints[i].name))
            continue;
        char *other = arena_printf(c->arena, "%s-%u", e->name, index);
        note_add(c, CONFIG_WARNING, o, key,
                 "another endpoint is called %.60s; this one goes by %.60s", e->name, other);
        e->name = other;
        i = (unsigned)-1; /* the new name may be taken too */
    }
}

static void check_actions(struct config *c, const struct endpoint_settings *e,
                          const struct origin *o, const char *key)
{
    for (unsigned i = 0; i < e->ignored_actions.n; i++) {
        struct slice a = slice_cstr(e->ignored_actions.v[i]);
        if (!slice_is(a, "pull") && !slice_is(a, "push") && !slice_is(a, "mount") &&
            !slice_is(a, "delete"))
            note_add(c, CONFIG_WARNING, o, key,
                     "\"%.*s\" is no action: there are pull, push, mount and delete",
                     SLICE_ARG(slice_first(text_shown(a), 40)));
    }
}

/* Can this be asked? Neither this nor any message has the URL: a password may stand in it. */
static bool remote_url(const char *url, const char **why)
{
    if (url_check(slice_cstr(url), why))
        return false;
    *why = "there is no valid host or port in this URL";
    return client_url_valid(url);
}

static void bind_endpoint(struct config *c, const struct node *n, const struct origin *o,
                          const char *key)
{
    struct settings *s = &c->settings;
    struct endpoint_settings *e = &s->endpoints[s->n_endpoints++];
    struct value v;
    const char *why;
    bind_fields(c, schema_find("notifications.endpoints[]"), n, e);
    (void)bind_value(c, "notifications.endpoints[].threshold", n, "threshold", &v);
    e->threshold = v.number > 0 ? (unsigned)v.number : 10;
    e->timeout_ms = e->timeout_ms ? e->timeout_ms : 1000;
    e->backoff_ms = e->backoff_ms ? e->backoff_ms : 1000;
    join(c, &e->ignored_media_types, node_get(n, "ignoredmediatypes"));
    join(c, &e->ignored_media_types, node_find(n, "ignore.mediatypes"));
    join(c, &e->ignored_actions, node_find(n, "ignore.actions"));
    name_endpoint(c, e, o, key);
    check_actions(c, e, o, key);
    bind_check_headers(c, &e->headers, key, *o);
    if (!e->disabled && !remote_url(e->url, &why))
        note_add(c, CONFIG_ERROR, o, key, "the url cannot be posted to: %s",
                 *e->url ? why : "it is missing");
}

void bind_notifications(struct config *c)
{
    const struct node *list = bind_given(c, "notifications.endpoints");
    struct settings *s = &c->settings;
    unsigned n = bind_count(list);
    struct value v;
    (void)bind_value(c, "notifications.envelope", NULL, "notifications.envelope", &v);
    s->envelope_v3 = slice_is(v.text, "3");
    if (!n)
        return;
    s->endpoints = ARENA_ARRAY(c->arena, struct endpoint_settings, n);
    for (unsigned i = 0; i < list->n; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "notifications.endpoints[%u]", i);
        if (list->v[i].node->kind == NODE_MAP)
            bind_endpoint(c, list->v[i].node, &list->v[i].origin, key);
    }
}

/* ---- health ---- */

/* NULL, or why this cannot be checked. */
static const char *target_problem(enum check_kind kind, const char *target)
{
    static const char no_socket[] = "a TCP check has host:port, [v6]:port or :port";
    struct slice t = slice_cstr(target);
    const char *why;
    if (kind != CHECK_STORAGE && !t.n)
        return "it is missing";
    if (kind == CHECK_HTTP && !remote_url(target, &why))
        return why;
    if (kind == CHECK_TCP && slice_starts(t, SLICE_LIT("unix:")))
        return no_socket;
    if (kind == CHECK_TCP && address_check(t, &why))
        return memchr(t.p, ':', t.n) ? why : no_socket;
    return NULL;
}

static void bind_check(struct config *c, const char *row, const struct node *n,
                       enum check_kind kind, const struct origin *o)
{
    struct settings *s = &c->settings;
    struct check_settings *k = &s->checks[s->n_checks++];
    struct value v;
    char name[64];
    k->target = bind_copy(c, "");
    bind_fields(c, schema_find(row), n, k);
    k->kind = kind;
    (void)snprintf(name, sizeof name, "%s.interval", row);
    (void)bind_value(c, name, n, "interval", &v);
    k->interval_ms = v.number ? (uint64_t)v.number : 10000;
    if (k->interval_ms < CHECK_INTERVAL_MIN) {
        /* `interval: 10` is 10 ns: the storage would be written to and synced without a pause. */
        note_add(c, CONFIG_WARNING, o, name, "taken as %dms, the shortest", CHECK_INTERVAL_MIN);
        k->interval_ms = CHECK_INTERVAL_MIN;
    }
    (void)snprintf(name, sizeof name, "%s.threshold", row);
    (void)bind_value(c, name, n, "threshold", &v);
    k->threshold = v.number > 0 ? (unsigned)v.number : 1;
    if (kind == CHECK_HTTP && !k->status_code)
        k->status_code = 200;
    bind_check_headers(c, &k->headers, row, *o);
    const char *why = target_problem(kind, k->target);
    if (why)
        note_add(c, CONFIG_ERROR, o, row, "the %s cannot be checked: %s",
                 kind == CHECK_FILE   ? "file"
                 : kind == CHECK_HTTP ? "uri"
                                      : "addr",
                 why);
}

void bind_health(struct config *c)
{
    static const struct {
        const char *list, *row;
        enum check_kind kind;
    } lists[] = {{"health.file", "health.file[]", CHECK_FILE},
                 {"health.http", "health.http[]", CHECK_HTTP},
                 {"health.tcp", "health.tcp[]", CHECK_TCP}};
    struct settings *s = &c->settings;
    struct value enabled;
    unsigned n = 1;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        n += bind_count(bind_given(c, lists[i].list));
    s->checks = ARENA_ARRAY(c->arena, struct check_settings, n);
    (void)bind_value(c, "health.storagedriver.enabled", NULL, "health.storagedriver.enabled",
                     &enabled);
    struct origin o = bind_origin(c, "health.storagedriver");
    if (enabled.yes)
        bind_check(c, "health.storagedriver", bind_given(c, "health.storagedriver"), CHECK_STORAGE,
                   &o);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct node *list = bind_given(c, lists[i].list);
        for (unsigned k = 0; bind_count(list) && k < list->n; k++)
            if (list->v[k].node->kind == NODE_MAP)
                bind_check(c, lists[i].row, list->v[k].node, lists[i].kind, &list->v[k].origin);
    }
}

/* ---- validation, policy, catalog, tags ---- */

static uint64_t page(struct config *c, const char *key, uint64_t usual)
{
    struct value v;
    struct origin o = bind_origin(c, key);
    if (!bind_value(c, key, NULL, key, &v) || v.number <= 0)
        return usual;
    if (v.number <= PAGE_MAX)
        return (uint64_t)v.number;
    note_add(c, CONFIG_WARNING, &o, key, "%" PRId64 " is taken as %d, the largest page", v.number,
             PAGE_MAX);
    return PAGE_MAX;
}

static void bind_platforms(struct config *c)
{
    const struct node *list = bind_given(c, "validation.manifests.indexes.platformlist");
    struct settings *s = &c->settings;
    struct value v;
    unsigned n = bind_count(list);
    (void)bind_value(c, "validation.manifests.indexes.platforms", NULL,
                     "validation.manifests.indexes.platforms", &v);
    s->platforms = slice_is(v.text, "none")   ? PLATFORMS_NONE
                   : slice_is(v.text, "list") ? PLATFORMS_LIST
                                              : PLATFORMS_ALL;
    if (!n)
        return;
    s->platform_list = ARENA_ARRAY(c->arena, struct platform_settings, n);
    for (unsigned i = 0; i < list->n; i++)
        if (list->v[i].node->kind == NODE_MAP)
            bind_fields(c, schema_find("validation.manifests.indexes.platformlist[]"),
                        list->v[i].node, &s->platform_list[s->n_platforms++]);
}

void bind_rules(struct config *c)
{
    struct settings *s = &c->settings;
    struct value enabled, disabled;
    s->catalog_max = page(c, "catalog.maxentries", 1000);
    s->tags_max = page(c, "tags.maxtags", 10000);
    bind_platforms(c);
    /* As registry: enabled, the older switch, wins when it is true. */
    bool asked = bind_value(c, "validation.enabled", NULL, "validation.enabled", &enabled);
    bool denied = bind_value(c, "validation.disabled", NULL, "validation.disabled", &disabled);
    if (asked && enabled.yes)
        s->validation_disabled = false;
    s->validation_strict = (asked && enabled.yes) || (denied && !disabled.yes);
    struct origin o = bind_origin(c, "policy.repository.classes");
    for (unsigned i = 0; i < s->classes.n; i++)
        if (!slice_is(slice_cstr(s->classes.v[i]), "image") &&
            !slice_is(slice_cstr(s->classes.v[i]), "plugin"))
            note_add(c, CONFIG_WARNING, &o, "policy.repository.classes",
                     "no manifest is of the class \"%.*s\": there are image and plugin",
                     SLICE_ARG(slice_first(text_shown(slice_cstr(s->classes.v[i])), 40)));
}
