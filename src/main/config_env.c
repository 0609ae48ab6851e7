/* SPDX-License-Identifier: Apache-2.0 */
/* REGISTRY_* by registry's algorithm: parts of the name go down the tree, by the names of Go's
 * fields at structs and in any case at maps; the value is YAML that replaces what is there. Beside
 * it what registry documents but does not do (indices of plain lists, keys in untyped sections),
 * the YAML key where Go's field has another name, and NAME_FILE for secrets. */
#include <ctype.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

enum { PARTS_MAX = 32, SECRET_BYTES_MAX = 64 * 1024 };

struct variable {
    struct slice name, value;
    char *key; /* to sort by */
};

struct path {
    struct slice part[PARTS_MAX];
    unsigned n;
};

static int split(struct slice name, struct path *p)
{
    p->n = 0;
    for (struct slice rest = slice_from(name, sizeof "REGISTRY_" - 1); rest.p;) {
        if (p->n == PARTS_MAX)
            return -1;
        p->part[p->n++] = slice_cut(&rest, '_');
    }
    return 0;
}

static bool is_upper_of(struct slice part, const char *key)
{
    size_t n = strlen(key);
    if (part.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (part.p[i] != toupper((unsigned char)key[i]))
            return false;
    return true;
}

static struct slice lower(struct arena *a, struct slice s)
{
    char *p = arena_strndup(a, s.p, s.n);
    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(p[i]);
    return slice_make(p, s.n);
}

/* The field of a struct, by Go's name or by the key's. */
static const struct schema *field(const struct schema *row, struct slice part)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    for (size_t i = 1; i < n; i++)
        if (schema_is_child(&rows[i], row) && ((rows[i].field && slice_is(part, rows[i].field)) ||
                                               is_upper_of(part, schema_key(&rows[i]))))
            return &rows[i];
    return NULL;
}

/* What one part of a name leads to; NULL when it leads nowhere. */
static const struct schema *follow(struct arena *a, const struct schema *row, struct slice part)
{
    uint64_t index;
    switch (row->kind) {
    case K_STRUCT:
        return field(row, part);
    case K_LIST:
    case K_TEXTS:
        return parse_u63(part, &index) ? NULL : schema_element(row);
    case K_PARAMS:
    case K_MAP:
    case K_HEADERS:
    case K_ANY:
        return schema_child(row, lower(a, part));
    default:
        return NULL;
    }
}

static const struct schema *resolve(struct arena *a, const struct path *p, unsigned n)
{
    const struct schema *row = schema_root();
    for (unsigned i = 0; row && i < n; i++)
        row = follow(a, row, p->part[i]);
    return row;
}

/* Registry does not look at the value of a variable whose name it does not know: only a struct (or
 * a scalar, which has no parts) knows names. */
static bool lost_at_struct(struct arena *a, const struct path *p)
{
    const struct schema *row = schema_root();
    for (unsigned i = 0; i < p->n; i++) {
        const struct schema *child = follow(a, row, p->part[i]);
        if (!child)
            return row->kind == K_STRUCT || schema_scalar(row);
        row = child;
    }
    return false;
}

/* X_FILE, where X is a secret and X_FILE is nothing of its own: what X is, else NULL. */
static const struct schema *secret_in_file(struct arena *a, const struct path *p)
{
    if (p->n < 2 || !slice_is(p->part[p->n - 1], "FILE") || resolve(a, p, p->n))
        return NULL;
    const struct schema *row = resolve(a, p, p->n - 1);
    bool text = row && (row->kind == K_STRING || row->kind == K_TEXTS);
    return text && (row->flags & F_SECRET) ? row : NULL;
}

static void unknown_variable(struct config *c, struct origin origin)
{
    struct suggestion s;
    size_t n;
    const struct schema *rows = schema_rows(&n);
    const size_t prefix = sizeof "REGISTRY_" - 1;
    suggest_init(&s, slice_from(slice_cstr(origin.name), prefix));
    for (size_t i = 1; i < n; i++) {
        if (!schema_plain(&rows[i]) || rows[i].status == S_UNDER)
            continue;
        CLEANUP_BUF struct buf name = {0};
        buf_init(&name, 256);
        schema_variable(&rows[i], &name);
        unsigned before = s.distance;
        suggest_try(&s, slice_from(buf_view(&name), prefix));
        if (s.distance < before)
            s.best = arena_slice(c->arena, s.best);
    }
    bool port = slice_is(slice_cstr(origin.name), "REGISTRY_PORT");
    if (port)
        s.best = SLICE_LIT("HTTP_ADDR");
    note_unknown(c, &origin, "", "berth does not know this variable%s%s%.*s%s",
                 c->strict ? "" : "; it is ignored", s.best.n ? "; did you mean REGISTRY_" : "",
                 SLICE_ARG(s.best), s.best.n ? "?" : "");
}

static void put(struct config *c, const struct path *p, unsigned n, struct node *value,
                struct origin origin)
{
    /* A key that berth does not know in an untyped section: stored, so that the check finds it. */
    static const struct schema anything = {.name = "", .kind = K_ANY};
    struct cursor at = {schema_root(), c->root};
    for (unsigned i = 0; i < n; i++) {
        struct slice part = p->part[i];
        struct node *last = i + 1 == n ? value : NULL;
        enum schema_kind kind = at.row->kind;
        bool list =
            kind == K_LIST || kind == K_TEXTS || (kind == K_ANY && at.node->kind == NODE_LIST);
        if (list) {
            if (cursor_index(c, &at, part, last, origin))
                return;
            continue;
        }
        struct slice key = lower(c->arena, part);
        const struct schema *child = follow(c->arena, at.row, part);
        /* A struct's field has its key; a key of a map stays as the file spells it. */
        const struct member *there = node_imember(at.node, part);
        if (kind == K_STRUCT && child)
            key = slice_cstr(schema_key(child));
        else if (kind != K_STRUCT && there)
            key = slice_cstr(there->key);
        if (last && value->kind == NODE_NULL && there && there->node->kind != NODE_NULL)
            note_add(c, CONFIG_WARNING, &origin, at.row->name,
                     "this variable is empty: it drops what is given of \"%s\" elsewhere, as in "
                     "registry",
                     there->key);
        if (!child && kind == K_PARAMS)
            child = &anything;
        if (!child) {
            unknown_variable(c, origin);
            return;
        }
        if (cursor_key(c, &at, child, key, last, origin))
            return;
    }
}

static void apply_secret(struct config *c, const struct path *p, const struct schema *row,
                         struct slice file, struct origin origin)
{
    struct slice text = SLICE_NONE;
    struct error err = {0};
    if (!memchr(file.p, '/', file.n)) {
        /* As like as not the secret itself: not to be repeated. */
        note_add(c, CONFIG_ERROR, &origin, row->name,
                 "this variable has the path of a file that holds the secret, with a slash in it");
        return;
    }
    if (config_read(c->arena, arena_strndup(c->arena, file.p, file.n), SECRET_BYTES_MAX, &text,
                    &err)) {
        note_add(c, CONFIG_ERROR, &origin, row->name, "%s",
                 err.detail[0] ? err.detail : err.message);
        return;
    }
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n && text.p[text.n - 1] == '\r')
        text.n--;
    if (memchr(text.p, 0, text.n)) {
        note_add(c, CONFIG_ERROR, &origin, row->name, "there is a NUL character in %.*s",
                 SLICE_ARG(slice_first(file, 200)));
        return;
    }
    struct node *value = node_scalar(c->arena, text, true, origin);
    if (row->kind == K_TEXTS) {
        struct node *list = node_new(c->arena, NODE_LIST, origin);
        node_append(c->arena, list, value);
        value = list;
    }
    put(c, p, p->n - 1, value, origin);
}

static void set_origin(struct node *n, struct origin origin)
{
    n->origin = origin;
    for (unsigned i = 0; i < n->n; i++) {
        n->v[i].origin = origin;
        set_origin(n->v[i].node, origin);
    }
}

/* skopeo, podman and buildah find their credentials by this name, which by registry's algorithm is
 * the section auth.file. */
static bool is_skopeos(struct config *c, const struct variable *v, struct origin origin)
{
    struct node *value;
    struct yaml_problem why;
    if (!slice_is(v->name, "REGISTRY_AUTH_FILE") ||
        (!yaml_load(c->arena, origin, v->value, &value, &why) && value->kind == NODE_MAP))
        return false;
    note_add(c, CONFIG_WARNING, &origin, "",
             "passed over: this is the variable by which skopeo and podman find their own "
             "credentials; berth's file of users is REGISTRY_AUTH_HTPASSWD_PATH");
    return true;
}

static void apply(struct config *c, const struct variable *v)
{
    struct path p;
    struct node *value;
    struct yaml_problem why;
    struct origin origin = {.kind = FROM_VARIABLE,
                            .name = arena_strndup(c->arena, v->name.p, v->name.n)};
    if (is_skopeos(c, v, origin))
        return;
    /* A part of the name may become the key of a map, which is text. */
    if (!utf8_valid(v->name) || split(v->name, &p)) {
        unknown_variable(c, origin);
        return;
    }
    const struct schema *secret = secret_in_file(c->arena, &p);
    if (secret) {
        apply_secret(c, &p, secret, v->value, origin);
        return;
    }
    const struct schema *row = resolve(c->arena, &p, p.n);
    if (!row && lost_at_struct(c->arena, &p)) {
        unknown_variable(c, origin);
        return;
    }
    if (yaml_load(c->arena, origin, v->value, &value, &why)) {
        bool hide = row && (row->flags & F_SECRET);
        /* http.secret: registry reads "&a" and "!a" as nothing, and makes a secret of its own. */
        if (row && row->status == S_QUIET && v->value.n && strchr("&!", v->value.p[0])) {
            note_add(c, CONFIG_WARNING, &origin, row->name,
                     "the value is YAML, of which nothing is left; berth does not need it");
            return;
        }
        note_add(c, CONFIG_ERROR, &origin, row ? row->name : "",
                 "the value is YAML; %s (column %u): put it in quotes inside the variable's own",
                 hide ? "this one cannot be read" : why.text, why.column);
        return;
    }
    set_origin(value, origin);
    put(c, &p, p.n, value, origin);
}

static int by_key(const void *a, const void *b)
{
    const struct variable *x = a;
    const struct variable *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : slice_cmp(x->name, y->name);
}

/* Both X and X_FILE: which one would win is nobody's to guess. */
static void check_twice(struct config *c, const struct variable *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct path p;
        if (!slice_ends(v[i].name, SLICE_LIT("_FILE")) || split(v[i].name, &p) ||
            !secret_in_file(c->arena, &p))
            continue;
        struct slice plain = slice_first(v[i].name, v[i].name.n - 5);
        for (unsigned k = 0; k < n; k++) {
            struct origin origin = {.kind = FROM_VARIABLE,
                                    .name = arena_strndup(c->arena, v[i].name.p, v[i].name.n)};
            if (slice_eq(plain, v[k].name))
                note_add(c, CONFIG_ERROR, &origin, "", "%.*s is set too: one of them has to go",
                         SLICE_ARG(plain));
        }
    }
}

/* Registry 3 sends traces when OpenTelemetry's variables say where. */
static bool wants_traces(struct slice name, struct slice value)
{
    return value.n && ((slice_is(name, "OTEL_TRACES_EXPORTER") && !slice_is(value, "none")) ||
                       slice_starts(name, SLICE_LIT("OTEL_EXPORTER_")));
}

static bool taken(const struct variable *v, unsigned n, struct slice name)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_eq(v[i].name, name))
            return true; /* the first of a name counts, as in Go */
    return false;
}

void config_environment(struct config *c, char *const *environment)
{
    unsigned n = 0;
    unsigned total = 0;
    bool traces = false;
    while (environment && environment[total])
        total++;
    struct variable *v = ARENA_ARRAY(c->arena, struct variable, total + 1);
    for (unsigned i = 0; i < total; i++) {
        struct slice value = slice_cstr(environment[i]);
        struct slice name = slice_cut(&value, '=');
        if (value.p && !traces && wants_traces(name, value)) {
            struct origin origin = {.kind = FROM_VARIABLE,
                                    .name = arena_strndup(c->arena, name.p, name.n)};
            note_add(c, CONFIG_WARNING, &origin, "",
                     "berth sends no traces; its log and its metrics say what goes on");
            traces = true;
        }
        if (!value.p || !slice_starts(name, SLICE_LIT("REGISTRY_")) ||
            slice_is(name, "REGISTRY_CONFIGURATION_PATH") || variable_is_kubernetes(name, value) ||
            taken(v, n, name))
            continue;
        struct buf key;
        buf_init(&key, (size_t)1 << 20);
        variable_sort_key(name, &key);
        v[n++] = (struct variable){name, value, arena_strndup(c->arena, key.p, key.n)};
        buf_release(&key);
    }
    qsort(v, n, sizeof *v, by_key);
    check_twice(c, v, n);
    for (unsigned i = 0; i < n; i++)
        apply(c, &v[i]);
}
