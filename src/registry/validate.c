/* SPDX-License-Identifier: Apache-2.0 */
/* The body is parsed a second time only where the manifest that was made of it does not say enough:
 * when it may have URLs and there are rules for them, or when an index is checked by platform. */
#include "registry/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "oci/media_type.h"
#include "registry/pattern.h"

#include "base/banned.h"

enum { URL_MAX = 4096, SHOWN_MAX = 120 };

struct validator {
    bool disabled, strict;
    struct pattern **allow, **deny;
    unsigned n_allow, n_deny;
    enum validate_platforms platforms;
    char *(*platform_list)[2];
    unsigned n_platforms;
    char **classes;
    unsigned n_classes;
};

/* ---- making ---- */

static int compile_all(const char *const *texts, unsigned n, struct pattern ***out, unsigned *n_out,
                       struct error *err)
{
    *out = xcalloc(n, sizeof **out);
    for (; *n_out < n; ++*n_out)
        if (pattern_new(slice_cstr(texts[*n_out]), &(*out)[*n_out], err))
            return -1;
    return 0;
}

int validator_new(const struct validate_config *config, struct validator **out, struct error *err)
{
    struct validator *v = xcalloc(1, sizeof *v);
    v->disabled = config->disabled;
    v->strict = config->strict;
    v->platforms = config->platforms;
    v->platform_list = xcalloc(config->n_platforms, sizeof *v->platform_list);
    for (; v->n_platforms < config->n_platforms; v->n_platforms++)
        for (int k = 0; k < 2; k++)
            v->platform_list[v->n_platforms][k] = xstrdup(config->platform_list[v->n_platforms][k]);
    v->classes = xcalloc(config->n_classes, sizeof *v->classes);
    for (; v->n_classes < config->n_classes; v->n_classes++)
        v->classes[v->n_classes] = xstrdup(config->classes[v->n_classes]);
    /* As registry: what is switched off need not be right. */
    if (!v->disabled &&
        (compile_all(config->urls_allow, config->n_urls_allow, &v->allow, &v->n_allow, err) ||
         compile_all(config->urls_deny, config->n_urls_deny, &v->deny, &v->n_deny, err))) {
        validator_free(v);
        return -1;
    }
    *out = v;
    return 0;
}

void validator_free(struct validator *v)
{
    if (!v)
        return;
    for (unsigned i = 0; i < v->n_allow; i++)
        pattern_free(v->allow[i]);
    for (unsigned i = 0; i < v->n_deny; i++)
        pattern_free(v->deny[i]);
    for (unsigned i = 0; i < v->n_platforms; i++)
        for (int k = 0; k < 2; k++)
            free(v->platform_list[i][k]);
    for (unsigned i = 0; i < v->n_classes; i++)
        free(v->classes[i]);
    free(v->allow);
    free(v->deny);
    free(v->platform_list);
    free(v->classes);
    free(v);
}

/* ---- policy.repository.classes ---- */

static const struct {
    const char *media_type, *class;
} config_types[] = {
    {"application/vnd.docker.container.image.v1+json", "image"},
    {MT_OCI_CONFIG, "image"},
    {"application/vnd.docker.plugin.v1+json", "plugin"},
};

static int check_class(const struct validator *v, const struct manifest *m, struct error *err)
{
    struct slice type = media_type_bare(m->config_media_type);
    const char *class = NULL;
    if (v->n_classes == 0 || m->kind != MANIFEST_IMAGE)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(config_types); i++)
        if (slice_is(type, config_types[i].media_type))
            class = config_types[i].class;
    if (!class)
        return error_detail(err, ERR_DENIED,
                            "unknown manifest class for %.*s: this registry takes only classes "
                            "that its configuration names (policy.repository.classes)",
                            SLICE_ARG(slice_first(type, SHOWN_MAX)));
    for (unsigned i = 0; i < v->n_classes; i++)
        if (strcmp(v->classes[i], class) == 0)
            return 0;
    return error_detail(err, ERR_DENIED,
                        "registry does not allow %s manifest: its configuration does not name this "
                        "class (policy.repository.classes)",
                        class);
}

/* ---- validation.manifests.urls ---- */

static bool is_hex(char c)
{
    c = ascii_lower(c);
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* NULL, or what is wrong: it has to be an absolute http or https URL without a fragment. Stricter
 * than Go's url.Parse (no white space, nothing outside ASCII): what a client of another language
 * reads in it has to be what the expressions have seen. */
static const char *url_flaw(struct slice url)
{
    if (url.n > URL_MAX)
        return "it is longer than 4096 bytes";
    for (size_t i = 0; i < url.n; i++) {
        char c = url.p[i];
        if (c <= ' ' || c > '~' || c == '\\')
            return "it has a character that a URL cannot have: percent-encode it";
        if (c == '%' && (i + 2 >= url.n || !is_hex(url.p[i + 1]) || !is_hex(url.p[i + 2])))
            return "a % is not followed by two hexadecimal digits";
        if (c == '#' && i + 1 < url.n)
            return "it has a fragment";
    }
    struct slice rest = url;
    struct slice scheme = slice_cut(&rest, ':');
    if (!slice_ieq(scheme, SLICE_LIT("http")) && !slice_ieq(scheme, SLICE_LIT("https")))
        return "it is not an http or https URL";
    if (!slice_starts(rest, SLICE_LIT("//")) || rest.n == 2 || strchr("/?#:", rest.p[2]))
        return "it names no host";
    return NULL;
}

static bool any_matches(struct pattern *const *list, unsigned n, struct slice url)
{
    for (unsigned i = 0; i < n; i++)
        if (pattern_match(list[i], url))
            return true;
    return false;
}

static const char *url_refused(const struct validator *v, struct slice url)
{
    const char *flaw = url_flaw(url);
    if (flaw)
        return flaw;
    if (v->n_allow == 0 && v->n_deny == 0)
        return "this registry's configuration allows none (validation.manifests.urls.allow)";
    if (v->n_allow && !any_matches(v->allow, v->n_allow, url))
        return "this registry's configuration does not allow it (validation.manifests.urls.allow)";
    if (any_matches(v->deny, v->n_deny, url))
        return "this registry's configuration denies it (validation.manifests.urls.deny)";
    return NULL;
}

/* What may say where else its content is. */
static const struct {
    const char *name, *what;
} url_members[] = {{"config", "config"}, {"layers", "layer"}, {"manifests", "manifest"}};

/* A walk over the members of a manifest, and over those of one descriptor. Other spellings of their
 * names, which some clients read too, the parser has refused. */
struct url_check {
    const struct validator *v;
    const char *what, *member; /* which of url_members */
    int64_t at;                /* in it; -1: it is no list */
    struct error *err;
};

static int refuse_url(const struct url_check *c, struct slice url, const char *why)
{
    char shown[SHOWN_MAX + 1], place[64];
    size_t n = MIN(url.n, (size_t)SHOWN_MAX);
    for (size_t i = 0; i < n; i++)
        shown[i] = url.p[i] < ' ' || url.p[i] > '~' ? '?' : url.p[i];
    shown[n] = '\0';
    if (c->at < 0)
        (void)snprintf(place, sizeof place, "%s", c->member);
    else
        (void)snprintf(place, sizeof place, "%s[%" PRId64 "]", c->member, c->at);
    return error_detail(c->err, ERR_MANIFEST_INVALID,
                        "invalid URL on %s: %s says that its content is at \"%s\": %s. Push the "
                        "%s itself, without urls, or ask the registry's administrator",
                        c->what, place, shown, why, c->what);
}

/* Is there anything to look at? */
static bool may_have_urls(const struct validator *v, struct slice body)
{
    if (!v->strict && v->n_allow == 0 && v->n_deny == 0)
        return false;
    for (size_t i = 0; i + 2 < body.n; i++)
        if (ascii_lower(body.p[i]) == 'u' &&
            ((i && body.p[i - 1] == '\\') || /* an escape: \u0075 is a u */
             (ascii_lower(body.p[i + 1]) == 'r' && ascii_lower(body.p[i + 2]) == 'l')))
            return true;
    return false;
}

static int check_descriptor(void *arg, const char *key, const struct json_value *value)
{
    const struct url_check *c = arg;
    if (strcmp(key, "urls") != 0)
        return 0;
    for (size_t k = 0; k < jv_count(value); k++) {
        struct slice url = jv_string(jv_at(value, k));
        const char *why = url_refused(c->v, url);
        if (why)
            return refuse_url(c, url, why);
    }
    return 0;
}

static int check_member(void *arg, const char *key, const struct json_value *value)
{
    struct url_check *c = arg;
    c->what = NULL;
    for (size_t i = 0; i < ARRAY_LEN(url_members); i++)
        if (strcmp(key, url_members[i].name) == 0)
            c->what = url_members[i].what;
    if (!c->what)
        return 0;
    c->member = key;
    c->at = -1;
    if (jv_kind(value) != JSON_ARRAY_)
        return jv_each(value, check_descriptor, c);
    for (size_t i = 0; i < jv_count(value); i++) {
        c->at = (int64_t)i;
        if (jv_each(jv_at(value, i), check_descriptor, c))
            return -1;
    }
    return 0;
}

/* ---- validation.manifests.indexes ---- */

static bool is_listed(const struct validator *v, const struct json_value *platform)
{
    struct slice os = jv_string(jv_get(platform, "os"));
    struct slice architecture = jv_string(jv_get(platform, "architecture"));
    for (unsigned i = 0; i < v->n_platforms; i++)
        if (slice_ieq(os, slice_cstr(v->platform_list[i][0])) &&
            slice_ieq(architecture, slice_cstr(v->platform_list[i][1])))
            return true;
    return false;
}

/* A child without a platform is not in any list (registry 3.0 and 3.1 crash on it). */
static void relax(const struct validator *v, const struct json_value *root, struct manifest *m)
{
    const struct json_value *children = jv_get(root, "manifests");
    for (unsigned i = 0; i < m->n_edges; i++)
        if (!is_listed(v, jv_get(jv_at(children, i), "platform")))
            m->edges[i].required = false;
}

int validator_check(const struct validator *v, struct slice body, struct manifest *m,
                    struct error *err)
{
    if (!v)
        return 0;
    if (check_class(v, m, err))
        return -1;
    if (v->disabled)
        return 0;
    bool index = m->kind == MANIFEST_INDEX;
    /* As in registry 3: an empty list lists all. */
    bool listed = index && v->platforms == VALIDATE_LIST && v->n_platforms > 0;
    bool urls = may_have_urls(v, body);
    for (unsigned i = 0; index && v->platforms == VALIDATE_NONE && i < m->n_edges; i++)
        m->edges[i].required = false;
    if (!listed && !urls)
        return 0;
    struct json_doc *json CLEANUP_JSON = NULL;
    if (jdoc_parse(body, ERR_MANIFEST_INVALID, &json, err))
        return -1;
    struct url_check check = {.v = v, .err = err};
    if (urls && jv_each(jdoc_root(json), check_member, &check))
        return -1;
    if (listed)
        relax(v, jdoc_root(json), m);
    return 0;
}
