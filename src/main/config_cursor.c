/* SPDX-License-Identifier: Apache-2.0 */
/* Going down the tree by the parts of a variable's or a flag's name, making what is not there. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static bool is_list(const struct schema *row)
{
    return row->kind == K_LIST || row->kind == K_TEXTS;
}

/* The node that is there, or a new one when there is none (or a null one); NULL when it is
 * something that nothing can be put into. */
static struct node *container(struct config *c, const struct schema *row, struct node *there,
                              struct origin origin)
{
    if (!there || there->kind == NODE_NULL)
        return node_new(c->arena, is_list(row) ? NODE_LIST : NODE_MAP, origin);
    bool fits = row->kind == K_ANY ? there->kind != NODE_SCALAR
                                   : there->kind == (is_list(row) ? NODE_LIST : NODE_MAP);
    return fits ? there : NULL;
}

static int enter(struct config *c, struct cursor *at, const struct schema *child,
                 struct member *slot, struct origin origin)
{
    struct node *node = container(c, child, slot->node, origin);
    if (!node) {
        CLEANUP_BUF struct buf where = {0};
        buf_init(&where, 512);
        origin_print(&slot->node->origin, &where);
        note_add(c, CONFIG_ERROR, &origin, child->name,
                 "there is no %s to put this into: %s has another kind of value",
                 is_list(child) ? "list" : "section", where.p ? where.p : "");
        return -1;
    }
    slot->node = node;
    *at = (struct cursor){child, node};
    return 0;
}

int cursor_key(struct config *c, struct cursor *at, const struct schema *child, struct slice key,
               struct node *value, struct origin origin)
{
    if (value) {
        node_put(c->arena, at->node, key, value)->origin = origin;
        config_unbare(c);
        return 0;
    }
    struct member *m = node_member(at->node, key);
    if (!m)
        m = node_put(c->arena, at->node, key, node_new(c->arena, NODE_NULL, origin));
    return enter(c, at, child, m, origin);
}

int cursor_index(struct config *c, struct cursor *at, struct slice index, struct node *value,
                 struct origin origin)
{
    const struct schema *element = schema_element(at->row);
    uint64_t i;
    CHECK(element);
    if (parse_u63(index, &i)) {
        note_add(c, CONFIG_ERROR, &origin, at->row->name,
                 "\"%.*s\" stands where the number of an element is expected: 0 for the first",
                 SLICE_ARG(slice_first(index, 40)));
        return -1;
    }
    if (i > at->node->n) {
        note_add(c, CONFIG_ERROR, &origin, at->row->name,
                 "the list has %u elements, so the next one has the number %u", at->node->n,
                 at->node->n);
        return -1;
    }
    if (i == at->node->n)
        node_append(c->arena, at->node, value ? value : node_new(c->arena, NODE_NULL, origin));
    struct member *m = &at->node->v[i];
    if (!value)
        return enter(c, at, element, m, origin);
    m->node = value;
    m->origin = origin;
    return 0;
}
