/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of what was given. Everything is in the configuration's arena. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

struct node *node_new(struct arena *a, enum node_kind kind, struct origin origin)
{
    struct node *n = ARENA_NEW(a, struct node);
    n->kind = kind;
    n->origin = origin;
    return n;
}

struct node *node_scalar(struct arena *a, struct slice text, bool quoted, struct origin origin)
{
    struct node *n = node_new(a, NODE_SCALAR, origin);
    n->text = slice_make(arena_strndup(a, text.p ? text.p : "", text.n), text.n);
    n->quoted = quoted;
    return n;
}

struct member *node_member(const struct node *n, struct slice key)
{
    if (!n || n->kind != NODE_MAP)
        return NULL;
    for (unsigned i = 0; i < n->n; i++)
        if (slice_is(key, n->v[i].key))
            return &n->v[i];
    return NULL;
}

struct member *node_imember(const struct node *n, struct slice key)
{
    if (!n || n->kind != NODE_MAP)
        return NULL;
    for (unsigned i = 0; i < n->n; i++)
        if (slice_ieq(key, slice_cstr(n->v[i].key)))
            return &n->v[i];
    return NULL;
}

struct node *node_get(const struct node *n, const char *key)
{
    struct member *m = node_member(n, slice_cstr(key));
    return m ? m->node : NULL;
}

struct node *node_find(const struct node *n, const char *path)
{
    struct node *at = NULL;
    for (struct slice rest = slice_cstr(path); rest.p;) {
        struct member *m = node_member(at ? at : n, slice_cut(&rest, '.'));
        if (!m)
            return NULL;
        at = m->node;
    }
    return at;
}

static struct member *grow(struct arena *a, struct node *n)
{
    CHECK(n);
    if (n->n == n->room) {
        unsigned room = n->room ? 2 * n->room : 4;
        struct member *v = ARENA_ARRAY(a, struct member, room);
        if (n->n)
            memcpy(v, n->v, n->n * sizeof *v);
        n->v = v;
        n->room = room;
    }
    return &n->v[n->n++];
}

struct member *node_put(struct arena *a, struct node *map, struct slice key, struct node *value)
{
    struct member *m = node_member(map, key);
    if (!m) {
        m = grow(a, map);
        m->key = arena_strndup(a, key.p ? key.p : "", key.n);
    }
    m->node = value;
    m->origin = value->origin;
    return m;
}

void node_append(struct arena *a, struct node *list, struct node *value)
{
    struct member *m = grow(a, list);
    m->node = value;
    m->origin = value->origin;
}

void node_remove(struct node *map, const char *key)
{
    struct member *m = node_member(map, slice_cstr(key));
    if (!m)
        return;
    size_t after = map->n - (size_t)(m - map->v) - 1;
    memmove(m, m + 1, after * sizeof *m);
    map->n--;
}
