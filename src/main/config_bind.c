/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree to struct settings: what rows with a place in it say by themselves. What takes more
 * than one key to know is in config_bind_*.c. A value that is not valid has been noted by the check
 * and is the default here. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

char *bind_copy(struct config *c, const char *text)
{
    return arena_strndup(c->arena, text, strlen(text));
}

const struct node *bind_given(const struct config *c, const char *path)
{
    const struct node *n = node_find(c->root, path);
    return n && n->kind != NODE_NULL ? n : NULL;
}

struct origin bind_origin(const struct config *c, const char *path)
{
    struct origin best = c->root->origin;
    const struct node *at = c->root;
    for (struct slice rest = slice_cstr(path); rest.p;) {
        const struct member *m = node_member(at, slice_cut(&rest, '.'));
        if (!m)
            break;
        best = m->origin;
        at = m->node;
    }
    return best;
}

unsigned bind_count(const struct node *list)
{
    unsigned n = 0;
    for (unsigned i = 0; list && list->kind == NODE_LIST && i < list->n; i++)
        n += list->v[i].node->kind == NODE_MAP;
    return n;
}

static void read_default(const struct schema *row, struct value *out)
{
    char why[400];
    struct node def = {.kind = NODE_SCALAR, .quoted = true, .text = slice_cstr(row->def)};
    *out = (struct value){.text = SLICE_LIT(""), .empty = true};
    bool invalid = row->def && *row->def && value_read(row, &def, out, why, sizeof why);
    CHECK(!invalid); /* tests/unit/main/test_config_schema.c reads them all */
}

static bool read_node(const struct schema *row, const struct node *n, struct value *out)
{
    char why[400];
    bool given = n && (n->kind == NODE_SCALAR || n->kind == NODE_NULL) &&
                 !value_read(row, n, out, why, sizeof why) && !out->empty;
    if (!given)
        read_default(row, out);
    return given;
}

bool bind_value(struct config *c, const char *row, const struct node *n, const char *path,
                struct value *out)
{
    const struct schema *r = schema_find(row);
    CHECK(r);
    return read_node(r, node_find(n ? n : c->root, path), out);
}

void bind_texts(struct config *c, const struct node *n, struct text_list *out)
{
    *out = (struct text_list){0};
    if (!n || n->kind != NODE_LIST || !n->n)
        return;
    out->v = ARENA_ARRAY(c->arena, char *, n->n);
    for (unsigned i = 0; i < n->n; i++)
        if (n->v[i].node->kind == NODE_SCALAR)
            out->v[out->n++] = (char *)(uintptr_t)n->v[i].node->text.p;
}

/* One pair for each value. */
static void bind_headers(struct config *c, const struct node *n, struct text_pairs *out)
{
    unsigned total = 0;
    *out = (struct text_pairs){0};
    if (!n || n->kind != NODE_MAP)
        return;
    for (unsigned i = 0; i < n->n; i++)
        total += n->v[i].node->n;
    out->v = ARENA_ARRAY(c->arena, struct text_pair, total + 1);
    for (unsigned i = 0; i < n->n; i++) {
        struct text_list values;
        bind_texts(c, n->v[i].node, &values);
        for (unsigned k = 0; k < values.n; k++)
            out->v[out->n++] = (struct text_pair){n->v[i].key, values.v[k]};
    }
}

static void store(struct config *c, const struct schema *row, const struct node *n, void *place)
{
    struct value v;
    if (row->kind == K_TEXTS) {
        bind_texts(c, n, place);
        return;
    }
    if (row->kind == K_HEADERS) {
        bind_headers(c, n, place);
        return;
    }
    (void)read_node(row, n, &v);
    switch (row->kind) {
    case K_STRING:
    case K_CHOICE:
        *(char **)place = arena_strndup(c->arena, v.text.p, v.text.n);
        break;
    case K_BOOL:
        *(bool *)place = v.yes;
        break;
    default:
        if (row->flags & F_U32)
            *(unsigned *)place = (unsigned)v.number;
        else
            *(uint64_t *)place = (uint64_t)v.number;
    }
}

/* The path of row in a section; NULL when it is not in it, or deeper in a list or map. */
static const char *path_in(const struct schema *row, const struct schema *section)
{
    size_t n = strlen(section->name);
    if (n && (strncmp(row->name, section->name, n) != 0 || row->name[n] != '.'))
        return NULL;
    const char *rest = row->name + (n ? n + 1 : 0);
    return strpbrk(rest, "[*") ? NULL : rest;
}

void bind_fields(struct config *c, const struct schema *row, const struct node *n, void *base)
{
    size_t count;
    const struct schema *rows = schema_rows(&count);
    CHECK(row);
    for (size_t i = 1; i < count; i++) {
        const char *path = rows[i].at ? path_in(&rows[i], row) : NULL;
        /* Kinds of login share their places: bind_auth binds the one in force. */
        if (!path || (row == schema_root() && strncmp(path, "auth.", 5) == 0))
            continue;
        store(c, &rows[i], n ? node_find(n, path) : NULL, (char *)base + rows[i].at - 1);
    }
}

void config_bind(struct config *c)
{
    bind_fields(c, schema_root(), c->root, &c->settings);
    bind_log(c);
    bind_http(c);
    bind_storage(c);
    bind_auth(c);
    bind_rules(c);
    bind_notifications(c);
    bind_health(c);
}
