/* SPDX-License-Identifier: Apache-2.0 */
/* The auth section: one kind of login, with all that it needs. */
#include <stdio.h>

#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static const char *const kinds[] = {
    [AUTH_NONE] = "none",
    [AUTH_SILLY] = "silly",
    [AUTH_HTPASSWD] = "htpasswd",
    [AUTH_TOKEN] = "token",
};

static void two_kinds(struct config *c, const struct member *first, const struct member *second)
{
    CLEANUP_BUF struct buf where = {0};
    struct slice one = slice_first(text_shown(slice_cstr(first->key)), 40);
    struct slice other = slice_first(text_shown(slice_cstr(second->key)), 40);
    buf_init(&where, 8192);
    origin_print(&first->origin, &where);
    bool variable = first->origin.kind == FROM_FILE && second->origin.kind == FROM_VARIABLE;
    note_add(c, CONFIG_ERROR, &second->origin, "auth",
             "two kinds of login, %.*s (%s) and %.*s: there has to be one%s%.*s%s", SLICE_ARG(one),
             where.p ? where.p : "", SLICE_ARG(other), variable ? "; set REGISTRY_AUTH=" : "",
             SLICE_ARG(variable ? other : SLICE_LIT("")),
             variable ? " too, which drops what the file says" : "");
}

/* The section in force: the one that is given, other than none. */
static const struct member *chosen(struct config *c)
{
    const struct node *n = bind_given(c, "auth");
    const struct member *none = NULL;
    const struct member *found = NULL;
    for (unsigned i = 0; n && n->kind == NODE_MAP && i < n->n; i++) {
        struct member *m = &n->v[i];
        if (slice_ieq(slice_cstr(m->key), SLICE_LIT("none")))
            none = m;
        else if (found)
            two_kinds(c, found, m);
        else
            found = m;
    }
    if (none && found)
        note_add(c, CONFIG_WARNING, &none->origin, "auth.none",
                 "ignored: %.*s is given too, and counts",
                 SLICE_ARG(slice_first(text_shown(slice_cstr(found->key)), 40)));
    return found;
}

static void require(struct config *c, const struct member *kind, const char *key, const char *value)
{
    char name[64];
    (void)snprintf(name, sizeof name, "auth.%s.%s", kind->key, key);
    struct origin o = bind_origin(c, name);
    if (!*value)
        note_add(c, CONFIG_ERROR, &kind->origin, name, "missing: auth.%s needs it", kind->key);
    else if (!text_printable(slice_cstr(value)) || strchr(value, '"') || strchr(value, '\\'))
        note_add(c, CONFIG_ERROR, &o, name,
                 "control characters, quotes and backslashes cannot be in it: it is sent in a "
                 "header");
}

static void check_token(struct config *c, const struct member *kind)
{
    static const char known[] = "|EdDSA|HS256|HS384|HS512|RS256|RS384|RS512|ES256|ES384|ES512|"
                                "PS256|PS384|PS512|";
    const struct auth_settings *a = &c->settings.auth;
    struct origin o = bind_origin(c, "auth.token.signingalgorithms");
    require(c, kind, "service", a->service);
    require(c, kind, "issuer", a->issuer);
    if (!*a->root_cert_bundle && !*a->jwks)
        note_add(c, CONFIG_ERROR, &kind->origin, "auth.token.rootcertbundle",
                 "missing: auth.token needs it, or jwks, to know whose tokens are good");
    for (unsigned i = 0; i < a->algorithms.n; i++) {
        char word[24];
        int n = snprintf(word, sizeof word, "|%s|", a->algorithms.v[i]);
        if (n <= 2 || (size_t)n >= sizeof word || !strstr(known, word) ||
            strchr(a->algorithms.v[i], '|'))
            note_add(c, CONFIG_ERROR, &o, "auth.token.signingalgorithms",
                     "\"%.*s\" is none of EdDSA, HS256, HS384, HS512, RS256, RS384, RS512, ES256, "
                     "ES384, ES512, PS256, PS384, PS512",
                     SLICE_ARG(slice_first(text_shown(slice_cstr(a->algorithms.v[i])), 40)));
    }
    if (a->autoredirect && *a->autoredirect_path != '/') {
        o = bind_origin(c, "auth.token.autoredirectpath");
        note_add(c, CONFIG_ERROR, &o, "auth.token.autoredirectpath", "a path begins with a slash");
    }
}

void bind_auth(struct config *c)
{
    struct auth_settings *a = &c->settings.auth;
    const struct member *kind = chosen(c);
    a->realm = a->service = a->issuer = a->path = a->root_cert_bundle = a->jwks =
        a->autoredirect_path = bind_copy(c, "");
    a->kind = AUTH_NONE;
    for (size_t i = 1; kind && i < ARRAY_LEN(kinds); i++)
        if (slice_is(slice_cstr(kind->key), kinds[i]))
            a->kind = (enum auth_kind)i;
    if (a->kind == AUTH_NONE)
        return;
    char name[32];
    (void)snprintf(name, sizeof name, "auth.%s", kind->key);
    bind_fields(c, schema_find(name), kind->node, &c->settings);
    require(c, kind, "realm", a->realm);
    if (a->kind == AUTH_SILLY)
        require(c, kind, "service", a->service);
    if (a->kind == AUTH_HTPASSWD && !*a->path)
        note_add(c, CONFIG_ERROR, &kind->origin, "auth.htpasswd.path",
                 "missing: auth.htpasswd needs it");
    if (a->kind == AUTH_TOKEN)
        check_token(c, kind);
}
