/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force: printed, and compared with what another configuration makes of it. */
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

enum { VALUE_MAX = 4 * 1024 * 1024 };

/* The rows of a dump: keys in force that berth honours, by their proper names. */
static bool listed(const struct config *c, const struct schema *row)
{
    return row->status == S_HONOURED && !(row->flags & F_HIDDEN) && schema_plain(row) &&
           config_in_force(c, row);
}

static bool is_section(const struct schema *row)
{
    return row->kind == K_STRUCT || row->kind == K_PARAMS;
}

static struct origin origin_of(const struct config *c, const struct schema *row)
{
    struct origin o = {.kind = FROM_DEFAULT};
    const char *path = row->name;
    if (slice_is(slice_cstr(path), "log.level") && !node_find(c->root, path))
        path = "loglevel"; /* its old name */
    /* What has no value (`http:` alone) is still of the default. */
    const struct node *n = node_find(c->root, path);
    return n ? bind_origin(c, path) : o;
}

struct printer {
    const struct config *c;
    struct buf *out;
    bool origins;
    char section[160]; /* the one that is open */
};

static void indent(struct buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        buf_puts(out, "  ");
}

/* Prints the keys of the sections around `name` that are not open yet. The depth of name. */
static unsigned open_sections(struct printer *p, const char *name)
{
    unsigned depth = 0;
    const char *dot = name;
    while ((dot = strchr(dot, '.'))) {
        size_t n = (size_t)(dot - name);
        struct slice open = slice_cstr(p->section);
        struct slice this = slice_make(name, n);
        bool is_open = slice_starts(open, this) && (open.n == n || open.p[n] == '.');
        if (!is_open) {
            const char *last = memrchr(name, '.', n);
            indent(p->out, depth);
            buf_printf(p->out, "%.*s:\n", (int)(n - (last ? (size_t)(last - name) + 1 : 0)),
                       last ? last + 1 : name);
            memcpy(p->section, name, n);
            p->section[n] = '\0';
        }
        depth++;
        dot++;
    }
    return depth;
}

static void comment(struct printer *p, const struct origin *o)
{
    if (!p->origins)
        return;
    buf_puts(p->out, "  # ");
    if (o->kind == FROM_DEFAULT)
        buf_puts(p->out, "default");
    else if (o->kind == FROM_FLAG)
        buf_printf(p->out, "flag --%s", o->name);
    else if (o->kind == FROM_FILE && o->line)
        buf_printf(p->out, "%s:%u", o->name, o->line);
    else
        buf_puts(p->out, o->name);
}

/* A list or a map: each of its elements on a line. */
static void print_block(struct printer *p, const struct schema *row, const struct node *n,
                        unsigned depth)
{
    for (unsigned i = 0; i < n->n; i++) {
        const struct member *m = &n->v[i];
        const struct schema *child =
            n->kind == NODE_MAP ? schema_child(row, slice_cstr(m->key)) : schema_element(row);
        if (!child) /* of the wrong kind: noted long ago */
            child = row;
        indent(p->out, depth);
        if (n->kind == NODE_MAP) {
            yaml_quote(p->out, slice_cstr(m->key));
            buf_puts(p->out, ": ");
        } else {
            buf_puts(p->out, "- ");
        }
        node_print(child, m->node, true, p->out);
        comment(p, &m->origin);
        buf_putc(p->out, '\n');
    }
}

static void print_row(struct printer *p, const struct schema *row)
{
    CLEANUP_BUF struct buf value = {0};
    struct origin o = origin_of(p->c, row);
    const struct node *n = node_find(p->c->root, row->name);
    buf_init(&value, VALUE_MAX);
    if (is_section(row))
        buf_puts(&value, "{}"); /* a driver without parameters */
    else
        value_print(p->c, row, true, &value);
    if (!value.n)
        return; /* neither given nor with a default */
    indent(p->out, open_sections(p, row->name));
    bool block = (row->kind == K_LIST || row->kind == K_MAP || row->kind == K_HEADERS) && n && n->n;
    buf_printf(p->out, "%s:%s%s", schema_key(row), block ? "" : " ", block ? "" : value.p);
    comment(p, &o);
    buf_putc(p->out, '\n');
    if (block) {
        unsigned depth = 1;
        for (const char *dot = row->name; (dot = strchr(dot, '.')); dot++)
            depth++;
        print_block(p, row, n, depth);
    }
}

void config_dump(const struct config *c, bool show_origin, struct buf *out)
{
    struct printer p = {.c = c, .out = out, .origins = show_origin};
    size_t n;
    const struct schema *rows = schema_rows(&n);
    buf_puts(out, "version: 0.1\n");
    for (size_t i = 1; i < n; i++) {
        bool driver = slice_is(slice_cstr(rows[i].name), "storage.inmemory");
        bool none =
            slice_is(slice_cstr(rows[i].name), "auth") && c->settings.auth.kind == AUTH_NONE;
        if (none) {
            struct origin o = origin_of(c, &rows[i]);
            buf_puts(out, "auth: none");
            comment(&p, &o);
            buf_putc(out, '\n');
        } else if (listed(c, &rows[i]) && (driver || !is_section(&rows[i]))) {
            print_row(&p, &rows[i]);
        }
    }
}

/* ---- differences ---- */

static bool same(const struct config *a, const struct config *b, const struct schema *row)
{
    CLEANUP_BUF struct buf x = {0};
    CLEANUP_BUF struct buf y = {0};
    buf_init(&x, VALUE_MAX);
    buf_init(&y, VALUE_MAX);
    value_print(a, row, false, &x);
    value_print(b, row, false, &y);
    bool equal = slice_eq(buf_view(&x), buf_view(&y)) && !x.failed && !y.failed;
    if (x.n)
        explicit_bzero(x.p, x.n);
    if (y.n)
        explicit_bzero(y.p, y.n);
    return equal;
}

void config_diff(const struct config *from, const struct config *to,
                 void (*fn)(void *arg, const char *key, bool reloadable), void *arg)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    if (from->settings.auth.kind != to->settings.auth.kind)
        fn(arg, "auth", true);
    if (from->settings.in_memory != to->settings.in_memory)
        fn(arg, "storage", false);
    for (size_t i = 1; i < n; i++)
        if (!is_section(&rows[i]) && listed(from, &rows[i]) && listed(to, &rows[i]) &&
            !same(from, to, &rows[i]))
            fn(arg, rows[i].name, schema_live(&rows[i]));
}
