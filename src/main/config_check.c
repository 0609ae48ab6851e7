/* SPDX-License-Identifier: Apache-2.0 */
/* The tree against the schema: keys that nobody knows, keys that berth ignores or refuses, values
 * that are not of their kind. All of them, not only the first. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

struct walk {
    struct config *c;
    struct buf path; /* of the node that is looked at */
};

static void look(struct walk *w, const struct schema *row, const struct node *n,
                 const struct origin *origin, bool quiet);

static const char *path_of(const struct walk *w)
{
    return w->path.n ? w->path.p : "";
}

static void pop(struct walk *w, size_t n)
{
    w->path.n = n;
    if (w->path.p)
        w->path.p[n] = '\0';
}

/* Does anything in it ask for something? false, 0 and empty ask for nothing. */
static bool matters(const struct node *n)
{
    const struct schema boolean = {.name = "", .kind = K_BOOL};
    struct value v;
    char why[8];
    const struct node *off = node_get(n, "disabled"); /* of a hook, of a middleware */
    if (off && off->kind == NODE_SCALAR && !value_read(&boolean, off, &v, why, sizeof why) && v.yes)
        return false;
    if (n->kind == NODE_SCALAR) {
        bool zero = n->text.n == 0 || slice_is(n->text, "0");
        return !zero && (value_read(&boolean, n, &v, why, sizeof why) || v.yes);
    }
    for (unsigned i = 0; i < n->n; i++)
        if (matters(n->v[i].node))
            return true;
    return false;
}

static const char *kind_name(const struct schema *row)
{
    switch (row->kind) {
    case K_STRUCT:
    case K_PARAMS:
    case K_MAP:
        return "a section (key: value)";
    case K_HEADERS:
        return "a section of lists (Name: [value])";
    case K_LIST:
    case K_TEXTS:
        return "a list ([a, b])";
    default:
        return "a single value";
    }
}

static bool fits(const struct schema *row, const struct node *n)
{
    switch (row->kind) {
    case K_ANY:
        return true;
    case K_STRUCT:
    case K_PARAMS:
    case K_MAP:
    case K_HEADERS:
        return n->kind == NODE_MAP;
    case K_LIST:
    case K_TEXTS:
        return n->kind == NODE_LIST;
    default:
        return n->kind == NODE_SCALAR;
    }
}

static void unknown_key(struct walk *w, const struct schema *parent, const char *key,
                        const struct origin *origin)
{
    struct suggestion s;
    size_t n;
    const struct schema *rows = schema_rows(&n);
    bool auth = slice_is(slice_cstr(parent->name), "auth");
    if (auth && slice_ieq(slice_cstr(key), SLICE_LIT("none")))
        return; /* in any case, as in registry */
    suggest_init(&s, slice_cstr(key));
    for (size_t i = 1; i < n; i++)
        if (schema_is_child(&rows[i], parent))
            suggest_try(&s, slice_cstr(schema_key(&rows[i])));
    const char *ask = s.best.n ? "; did you mean \"" : "";
    const char *end = s.best.n ? "\"?" : "";
    if (parent->flags & F_CLOSED)
        note_add(w->c, CONFIG_ERROR, origin, path_of(w), "berth knows no %s \"%.*s\"%s%.*s%s",
                 auth ? "kind of login" : "storage driver",
                 SLICE_ARG(slice_first(text_shown(slice_cstr(key)), 60)), ask, SLICE_ARG(s.best),
                 end);
    else
        note_unknown(w->c, origin, path_of(w), "berth does not know this key%s%s%.*s%s",
                     w->c->strict ? "" : "; it is ignored", ask, SLICE_ARG(s.best), end);
}

static void look_map(struct walk *w, const struct schema *row, const struct node *n, bool quiet)
{
    size_t length = w->path.n;
    for (unsigned i = 0; i < n->n; i++) {
        const struct member *m = &n->v[i];
        const struct schema *child = schema_child(row, slice_cstr(m->key));
        struct slice shown = slice_first(text_shown(slice_cstr(m->key)), 80);
        buf_printf(&w->path, "%s%.*s", length ? "." : "", SLICE_ARG(shown));
        if (child)
            look(w, child, m->node, &m->origin, quiet);
        else
            unknown_key(w, row, m->key, &m->origin);
        pop(w, length);
    }
}

static void look_list(struct walk *w, const struct schema *row, const struct node *n, bool quiet)
{
    const struct schema *element = schema_element(row);
    size_t length = w->path.n;
    for (unsigned i = 0; element && i < n->n; i++) {
        buf_printf(&w->path, "[%u]", i);
        if (n->v[i].node->kind == NODE_NULL && element->kind != K_ANY && !quiet)
            note_add(w->c, CONFIG_ERROR, &n->v[i].origin, path_of(w), "this element is empty");
        look(w, element, n->v[i].node, &n->v[i].origin, quiet);
        pop(w, length);
    }
}

static void look_scalar(struct walk *w, const struct schema *row, const struct node *n,
                        const struct origin *origin)
{
    struct value v;
    char why[400];
    if ((row->flags & F_SECRET) && slice_is(n->text, "******")) {
        note_add(w->c, CONFIG_ERROR, origin, path_of(w),
                 "****** stands where a dump hides a secret: put the secret itself here");
    } else if (value_read(row, n, &v, why, sizeof why)) {
        if ((row->flags & F_TRUTH) && origin->kind != FROM_FLAG)
            note_add(w->c, CONFIG_WARNING, origin, path_of(w), "%s; taken as false, as in registry",
                     why);
        else
            note_add(w->c, CONFIG_ERROR, origin, path_of(w), "%s", why);
    } else if (v.nanoseconds) {
        note_add(w->c, CONFIG_WARNING, origin, path_of(w),
                 "%.*s is a duration of so many nanoseconds, as in registry; %.*ss was probably "
                 "meant",
                 SLICE_ARG(n->text), SLICE_ARG(n->text));
    }
}

/* An ignored or refused section says so once; what is in it is only looked at for its names. */
static bool say_status(struct walk *w, const struct schema *row, const struct node *n,
                       const struct origin *origin)
{
    if (row->status == S_IGNORED) {
        bool harmless = row->def && n->kind == NODE_SCALAR && slice_is(n->text, row->def);
        if (!harmless && ((row->flags & F_STATED) || matters(n)))
            note_add(w->c, CONFIG_WARNING, origin, path_of(w), "ignored: %s", row->text);
        return true;
    }
    if (row->status != S_REFUSED)
        return row->status == S_UNDER;
    const struct node *trigger = row->trigger ? node_get(n, row->trigger) : n;
    if (!row->trigger || (trigger && trigger->kind == NODE_SCALAR && trigger->text.n))
        note_add(w->c, CONFIG_ERROR, origin, path_of(w), "%s", row->text);
    else if (matters(n))
        note_add(w->c, CONFIG_WARNING, origin, path_of(w),
                 "ignored: without %s.%s it does nothing, as in registry", row->name, row->trigger);
    return true;
}

static void look(struct walk *w, const struct schema *row, const struct node *n,
                 const struct origin *origin, bool quiet)
{
    /* A driver counts as given with nothing in it. */
    if (n->kind == NODE_NULL && !(row->status == S_REFUSED && !row->trigger))
        return;
    if (!quiet && say_status(w, row, n, origin))
        quiet = true;
    if (n->kind == NODE_NULL)
        return;
    if (!fits(row, n)) {
        if (!quiet)
            note_add(w->c, CONFIG_ERROR, origin, path_of(w), "%s is expected here, and this is %s",
                     kind_name(row),
                     n->kind == NODE_SCALAR ? "a single value"
                     : n->kind == NODE_LIST ? "a list"
                                            : "a section");
        return;
    }
    switch (n->kind) {
    case NODE_MAP:
        look_map(w, row, n, quiet);
        break;
    case NODE_LIST:
        look_list(w, row, n, quiet);
        break;
    default:
        if (!quiet && (row->kind != K_ANY || (row->flags & F_SECRET)))
            look_scalar(w, row, n, origin);
        break;
    }
}

void config_check(struct config *c)
{
    struct walk w = {.c = c};
    buf_init(&w.path, 4096);
    look(&w, schema_root(), c->root, &c->root->origin, false);
    buf_release(&w.path);
}
