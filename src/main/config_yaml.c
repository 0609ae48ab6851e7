/* SPDX-License-Identifier: Apache-2.0 */
/* YAML by libyaml's event interface, for files and for the values of variables alike. Anchors,
 * aliases, tags, merge keys, keys that are there twice, and more than one document are refused;
 * depth, keys and nodes are bounded. */
#include <stdarg.h>
#include <stdio.h>

#include <yaml.h>

#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

struct loader {
    yaml_parser_t parser;
    struct arena *arena;
    struct origin origin;
    struct slice text;
    struct yaml_problem *why;
    unsigned nodes;
};

__attribute__((format(printf, 4, 5))) static int fail(struct loader *l, size_t line, size_t column,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(l->why->text, sizeof l->why->text, fmt, ap);
    va_end(ap);
    l->why->line = (unsigned)line + 1;
    l->why->column = (unsigned)column + 1;
    return -1;
}

static bool has_anchor(const yaml_event_t *ev)
{
    return (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor) ||
           (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.anchor) ||
           (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.anchor) ||
           ev->type == YAML_ALIAS_EVENT;
}

static bool has_tag(const yaml_event_t *ev)
{
    return (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.tag) ||
           (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.tag) ||
           (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.tag);
}

/* Bytes that are no characters: libyaml tells their offset, and no place. */
static int fail_bytes(struct loader *l)
{
    struct slice before = slice_first(l->text, l->parser.problem_offset);
    size_t line = 0;
    size_t column = 0;
    for (size_t i = 0; i < before.n; i++) {
        bool end = before.p[i] == '\n';
        line += end;
        column = end ? 0 : column + 1;
    }
    return fail(l, line, column, "not valid YAML: %s; the text has to be UTF-8",
                l->parser.problem ? l->parser.problem : "cannot be read");
}

/* The next event; whoever gets it deletes it. */
static int next(struct loader *l, yaml_event_t *ev)
{
    if (!yaml_parser_parse(&l->parser, ev)) {
        if (l->parser.error == YAML_READER_ERROR)
            return fail_bytes(l);
        const yaml_mark_t *at = &l->parser.problem_mark;
        const char *context = l->parser.context ? l->parser.context : "";
        return fail(l, at->line, at->column, "not valid YAML: %s%s%s", context,
                    *context ? ", " : "", l->parser.problem ? l->parser.problem : "cannot be read");
    }
    size_t line = ev->start_mark.line;
    size_t column = ev->start_mark.column;
    const char *what = has_anchor(ev) ? "anchors and aliases (& and *) are not accepted here"
                       : has_tag(ev)  ? "tags (!) are not accepted here"
                                      : NULL;
    if (!what)
        return 0;
    yaml_event_delete(ev);
    return fail(l, line, column, "%s; text that begins so is put in quotes", what);
}

static struct origin here(const struct loader *l, const yaml_event_t *ev)
{
    struct origin o = l->origin;
    o.line = (unsigned)ev->start_mark.line + 1;
    o.column = (unsigned)ev->start_mark.column + 1;
    return o;
}

static struct slice scalar(const yaml_event_t *ev)
{
    return slice_make((const char *)ev->data.scalar.value, ev->data.scalar.length);
}

static int value(struct loader *l, yaml_event_t *ev, unsigned depth, struct node **out);

static int load_scalar(struct loader *l, const yaml_event_t *ev, struct node **out)
{
    struct slice text = scalar(ev);
    bool quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (memchr(text.p, 0, text.n))
        return fail(l, ev->start_mark.line, ev->start_mark.column, "a NUL character");
    if (!quoted && text_is_null(text))
        *out = node_new(l->arena, NODE_NULL, here(l, ev));
    else
        *out = node_scalar(l->arena, text, quoted, here(l, ev));
    return 0;
}

static int load_list(struct loader *l, struct node *list, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        struct node *n = NULL;
        if (next(l, &ev))
            return -1;
        bool end = ev.type == YAML_SEQUENCE_END_EVENT;
        int failed = end ? 0 : value(l, &ev, depth, &n);
        yaml_event_delete(&ev);
        if (end || failed)
            return failed;
        node_append(l->arena, list, n);
    }
}

/* The key's event is done with; its value follows. */
static int load_member(struct loader *l, struct node *map, unsigned depth, struct slice key,
                       struct origin origin)
{
    yaml_event_t ev;
    struct node *n = NULL;
    if (next(l, &ev))
        return -1;
    int failed = value(l, &ev, depth, &n);
    yaml_event_delete(&ev);
    if (!failed)
        node_put(l->arena, map, key, n)->origin = origin;
    return failed;
}

/* YAML 1.1's way to put one section into another, which registry follows. */
static bool is_merge(const yaml_event_t *ev)
{
    return ev->type == YAML_SCALAR_EVENT && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           slice_is(scalar(ev), "<<");
}

static int load_map(struct loader *l, struct node *map, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        if (next(l, &ev))
            return -1;
        size_t line = ev.start_mark.line;
        size_t column = ev.start_mark.column;
        struct origin origin = here(l, &ev);
        int failed = 0;
        struct slice key = SLICE_NONE;
        bool end = ev.type == YAML_MAPPING_END_EVENT;
        if (is_merge(&ev)) {
            failed =
                fail(l, line, column,
                     "merge keys (<<) are not accepted here; a key that is called so is put in "
                     "quotes");
        } else if (!end &&
                   (ev.type != YAML_SCALAR_EVENT || memchr(scalar(&ev).p, 0, scalar(&ev).n))) {
            failed = fail(l, line, column, "a key is expected here");
        } else if (!end) {
            const struct member *twice = node_member(map, scalar(&ev));
            if (twice)
                failed = fail(l, line, column, "the key \"%.*s\" is there twice, first in line %u",
                              SLICE_ARG(slice_first(text_shown(slice_cstr(twice->key)), 60)),
                              twice->origin.line);
            else if (map->n == CONFIG_KEYS_MAX)
                failed = fail(l, line, column, "more than %d keys in one section", CONFIG_KEYS_MAX);
            else
                key = arena_slice(l->arena, scalar(&ev));
        }
        yaml_event_delete(&ev);
        if (end || failed)
            return failed;
        if (load_member(l, map, depth, key, origin))
            return -1;
    }
}

/* The value that begins with ev. `depth` is that of the collection around it. */
static int value(struct loader *l, yaml_event_t *ev, unsigned depth, struct node **out)
{
    size_t line = ev->start_mark.line;
    size_t column = ev->start_mark.column;
    if (++l->nodes > CONFIG_NODES_MAX)
        return fail(l, line, column, "more than %d values", CONFIG_NODES_MAX);
    if (ev->type == YAML_SCALAR_EVENT)
        return load_scalar(l, ev, out);
    if (ev->type != YAML_MAPPING_START_EVENT && ev->type != YAML_SEQUENCE_START_EVENT)
        return fail(l, line, column, "a value is expected here");
    if (depth == CONFIG_DEPTH_MAX)
        return fail(l, line, column, "nested deeper than %d levels", CONFIG_DEPTH_MAX);
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    struct node *n = node_new(l->arena, map ? NODE_MAP : NODE_LIST, here(l, ev));
    *out = n;
    return map ? load_map(l, n, depth + 1) : load_list(l, n, depth + 1);
}

static int load_stream(struct loader *l, struct node **out)
{
    struct node *root = NULL;
    for (;;) {
        yaml_event_t ev;
        if (next(l, &ev))
            return -1;
        yaml_event_type_t type = ev.type;
        int failed = 0;
        if (type == YAML_DOCUMENT_START_EVENT && root)
            failed = fail(l, ev.start_mark.line, ev.start_mark.column,
                          "one document is expected, and a second one begins here");
        else if (type == YAML_SCALAR_EVENT || type == YAML_MAPPING_START_EVENT ||
                 type == YAML_SEQUENCE_START_EVENT)
            failed = value(l, &ev, 0, &root);
        yaml_event_delete(&ev);
        if (failed)
            return -1;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    *out = root ? root : node_new(l->arena, NODE_NULL, l->origin);
    return 0;
}

int yaml_load(struct arena *a, struct origin origin, struct slice text, struct node **out,
              struct yaml_problem *why)
{
    struct loader l = {.arena = a, .origin = origin, .text = text, .why = why};
    *why = (struct yaml_problem){0};
    if (text.n > CONFIG_BYTES_MAX)
        return fail(&l, 0, 0, "larger than 1 MiB");
    if (!yaml_parser_initialize(&l.parser))
        return fail(&l, 0, 0, "out of memory");
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    int failed = load_stream(&l, out);
    yaml_parser_delete(&l.parser);
    return failed;
}
