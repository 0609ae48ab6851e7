/* SPDX-License-Identifier: Apache-2.0 */
/* --http.addr=:5000: the dotted path of any key. A scalar's value is taken as it is; a list's or a
 * section's is YAML, but for a list of strings with one in it, which may stand without brackets. */
#include "base/utf8.h"
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static void unknown_flag(struct config *c, struct slice name, struct origin origin)
{
    struct suggestion s;
    size_t n;
    const struct schema *rows = schema_rows(&n);
    suggest_init(&s, name);
    for (size_t i = 1; i < n; i++)
        if (schema_plain(&rows[i]) && rows[i].status == S_HONOURED)
            suggest_try(&s, slice_cstr(rows[i].name));
    note_add(c, CONFIG_ERROR, &origin, "",
             s.best.n ? "there is no option --%.*s; did you mean --%.*s?"
                      : "there is no option --%.*s%.*s; `berth help serve` lists them",
             SLICE_ARG(slice_first(name, 80)), SLICE_ARG(s.best));
}

/* One part of the dotted name at the cursor: what it leads to, and the key it has there. */
static const struct schema *flag_child(const struct cursor *at, struct slice *rest,
                                       struct slice *key)
{
    bool any = at->row->kind == K_MAP || at->row->kind == K_HEADERS || at->row->kind == K_ANY;
    const struct schema *element = any ? schema_element(at->row) : NULL;
    /* The name of a header, or of a field of the log, may have dots in it. */
    if (element && element->kind != K_LIST) {
        *key = *rest;
        *rest = SLICE_NONE;
    } else {
        *key = slice_cut(rest, '.');
    }
    const struct member *there = any ? node_imember(at->node, *key) : NULL;
    if (there)
        *key = slice_cstr(there->key);
    return element ? element : schema_child(at->row, *key);
}

static const struct schema *resolve(struct slice name)
{
    const struct node empty = {.kind = NODE_MAP};
    struct cursor at = {schema_root(), NULL};
    for (struct slice rest = name; rest.p && at.row;) {
        struct slice key;
        uint64_t index;
        struct node map = empty;
        at.node = &map;
        if (at.row->kind == K_LIST || at.row->kind == K_TEXTS)
            at.row = parse_u63(slice_cut(&rest, '.'), &index) ? NULL : schema_element(at.row);
        else
            at.row = flag_child(&at, &rest, &key);
    }
    return at.row;
}

static struct node *flag_value(struct config *c, const struct schema *row, struct slice text,
                               struct origin origin)
{
    struct node *value;
    struct yaml_problem why;
    if (schema_scalar(row))
        return node_scalar(c->arena, text, false, origin);
    bool failed = yaml_load(c->arena, origin, text, &value, &why) != 0;
    bool bare = text.n && !strchr("[{", text.p[0]);
    if (row->kind == K_TEXTS && bare && (failed || value->kind == NODE_SCALAR)) {
        struct node *list = node_new(c->arena, NODE_LIST, origin);
        if (failed) /* such as *, which YAML takes for an alias */
            value = node_scalar(c->arena, text, true, origin);
        node_append(c->arena, list, value);
        return list;
    }
    if (!failed)
        return value;
    note_add(c, CONFIG_ERROR, &origin, row->name, "the value is YAML; %s (column %u)", why.text,
             why.column);
    return NULL;
}

static void put(struct config *c, struct slice name, struct node *value, struct origin origin)
{
    struct cursor at = {schema_root(), c->root};
    for (struct slice rest = name; rest.p;) {
        struct slice key;
        if (at.row->kind == K_LIST || at.row->kind == K_TEXTS) {
            struct slice index = slice_cut(&rest, '.');
            if (cursor_index(c, &at, index, rest.p ? NULL : value, origin))
                return;
            continue;
        }
        const struct schema *child = flag_child(&at, &rest, &key);
        CHECK(child);
        if (cursor_key(c, &at, child, key, rest.p ? NULL : value, origin))
            return;
    }
}

static void apply(struct config *c, const char *flag)
{
    struct slice value = slice_cstr(flag);
    if (slice_starts(value, SLICE_LIT("--")))
        value = slice_from(value, 2);
    struct slice name = slice_cut(&value, '=');
    struct origin origin = {.kind = FROM_FLAG, .name = arena_strndup(c->arena, name.p, name.n)};
    const struct schema *row = name.n && utf8_valid(name) ? resolve(name) : NULL;
    if (!row) {
        unknown_flag(c, name, origin);
        return;
    }
    if (!value.p && row->kind == K_BOOL)
        value = SLICE_LIT("true");
    if (!value.p) {
        note_add(c, CONFIG_ERROR, &origin, "", "--%s needs a value: --%s=VALUE", origin.name,
                 origin.name);
        return;
    }
    if (!utf8_valid(value)) {
        note_add(c, CONFIG_ERROR, &origin, "", "the value of --%s is not UTF-8", origin.name);
        return;
    }
    struct node *n = flag_value(c, row, value, origin);
    if (n)
        put(c, name, n, origin);
}

void config_flags(struct config *c, char *const *flags, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        apply(c, flags[i]);
}
