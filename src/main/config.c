/* SPDX-License-Identifier: Apache-2.0 */
#include "main/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "main/config_int.h"
#include "os/file.h"

#include "base/banned.h"

/* ---- notes ---- */

void origin_print(const struct origin *o, struct buf *out)
{
    switch (o->kind) {
    case FROM_DEFAULT:
        break;
    case FROM_FILE:
        buf_puts(out, o->name);
        if (o->line)
            buf_printf(out, ":%u:%u", o->line, o->column);
        break;
    case FROM_VARIABLE:
        buf_puts(out, o->name);
        break;
    case FROM_FLAG:
        buf_printf(out, "--%s", o->name);
        break;
    }
}

/* A note is a line: what quotes a value may not break it, nor move a terminal's cursor. */
static void make_printable(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

__attribute__((format(printf, 5, 0))) static void add(struct config *c,
                                                      enum config_severity severity,
                                                      const struct origin *origin, const char *key,
                                                      const char *fmt, va_list ap)
{
    CLEANUP_BUF struct buf where = {0};
    char text[900];
    (void)vsnprintf(text, sizeof text, fmt, ap);
    make_printable(text);
    buf_init(&where, 8192);
    origin_print(origin, &where);
    if (c->n_notes == c->room) {
        unsigned room = c->room ? 2 * c->room : 16;
        struct config_note *v = ARENA_ARRAY(c->arena, struct config_note, room);
        if (c->n_notes)
            memcpy(v, c->notes, c->n_notes * sizeof *v);
        c->notes = v;
        c->room = room;
    }
    struct config_note *note = &c->notes[c->n_notes++];
    note->severity = severity;
    note->where = arena_strndup(c->arena, where.p ? where.p : "", where.n);
    note->key = arena_strndup(c->arena, key, strlen(key));
    make_printable(note->key);
    note->text = arena_strndup(c->arena, text, strlen(text));
    if (severity == CONFIG_ERROR && c->first.code == ERR_NONE)
        (void)error_detail(&c->first, ERR_BAD_REQUEST, "%s%s%s%s%s", note->where,
                           *note->where ? ": " : "", note->key, *note->key ? ": " : "", note->text);
}

void note_add(struct config *c, enum config_severity severity, const struct origin *origin,
              const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(c, severity, origin, key, fmt, ap);
    va_end(ap);
}

void note_unknown(struct config *c, const struct origin *origin, const char *key, const char *fmt,
                  ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(c, c->strict ? CONFIG_ERROR : CONFIG_WARNING, origin, key, fmt, ap);
    va_end(ap);
}

/* ---- reading ---- */

/* All there is to read, up to room bytes: a regular file, or a pipe (<(...), /dev/stdin). */
static ssize_t read_all(int fd, char *p, size_t room, struct error *err)
{
    struct stat st;
    size_t n = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return os_pread_full(fd, p, room, 0, "config.read", err);
    while (n < room) {
        ssize_t got = read(fd, p + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, errno, "read");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

int config_read(struct arena *a, const char *path, size_t max, struct slice *out, struct error *err)
{
    char reason[128];
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int sys = errno;
        (void)error_sys(err, sys, "open %s", path);
        return error_detail(err, ERR_BAD_REQUEST, "%s cannot be read: %s", path,
                            strerrordesc(sys, reason, sizeof reason));
    }
    CLEANUP_FREE char *text = malloc(max + 1);
    if (!text)
        return error_set(err, ERR_UNKNOWN, "out of memory");
    ssize_t n = read_all(fd, text, max + 1, err);
    if (n < 0)
        return error_detail(err, ERR_BAD_REQUEST, "%s cannot be read: %s", path,
                            strerrordesc(err->sys, reason, sizeof reason));
    if ((size_t)n > max)
        return error_detail(err, ERR_BAD_REQUEST, "%s is larger than %zu KiB", path, max / 1024);
    *out = slice_make(arena_strndup(a, text, (size_t)n), (size_t)n);
    explicit_bzero(text, (size_t)n);
    return 0;
}

static void check_version(struct config *c, const struct node *root, const struct origin *origin)
{
    const struct member *m = node_member(root, SLICE_LIT("version"));
    if (!m)
        note_add(c, CONFIG_ERROR, origin, "version",
                 "there is no version; a configuration begins with `version: 0.1`");
    else if (m->node->kind != NODE_SCALAR || !slice_is(m->node->text, "0.1"))
        note_add(c, CONFIG_ERROR, &m->origin, "version", "the version has to be 0.1");
}

static void load_file(struct config *c, const char *path)
{
    struct origin origin = {.kind = FROM_FILE, .name = arena_strndup(c->arena, path, strlen(path))};
    struct slice text = SLICE_NONE;
    struct error err = {0};
    struct yaml_problem why;
    struct node *root;
    c->file = true;
    if (config_read(c->arena, path, CONFIG_BYTES_MAX, &text, &err)) {
        origin.kind = FROM_DEFAULT; /* the text names the file */
        note_add(c, CONFIG_ERROR, &origin, "", "%s", err.detail[0] ? err.detail : err.message);
        return;
    }
    if (yaml_load(c->arena, origin, text, &root, &why)) {
        origin.line = why.line;
        origin.column = why.column;
        note_add(c, CONFIG_ERROR, &origin, "", "%s", why.text);
        return;
    }
    if (root->kind == NODE_NULL)
        root = node_new(c->arena, NODE_MAP, origin);
    if (root->kind != NODE_MAP) {
        note_add(c, CONFIG_ERROR, &root->origin, "",
                 "sections (key: value) are expected at the top");
        return;
    }
    check_version(c, root, &origin);
    c->root = root;
    config_unbare(c);
}

/* A version by variable, which registry takes too. */
static void drop_version(struct config *c)
{
    const struct member *m = node_member(c->root, SLICE_LIT("version"));
    if (!m)
        return;
    bool ours = m->node->kind == NODE_SCALAR && slice_is(m->node->text, "0.1");
    if (m->origin.kind != FROM_FILE && !ours)
        note_add(c, CONFIG_WARNING, &m->origin, "version",
                 "berth knows the version 0.1 only; this is ignored");
    node_remove(c->root, "version");
}

/* No kind of login and no driver looks like this; credentials in a variable of the name
 * REGISTRY_AUTH do, and messages show the word. */
static struct slice bare_word(struct slice text)
{
    bool word = text.n <= 20;
    for (size_t i = 0; word && i < text.n; i++)
        word = isalnum((unsigned char)text.p[i]) || strchr("-_.", text.p[i]);
    return word ? text : SLICE_LIT("******");
}

void config_unbare(struct config *c)
{
    static const char *const sections[] = {"storage", "auth"};
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        struct node *n = node_get(c->root, sections[i]);
        if (!n || n->kind != NODE_SCALAR)
            continue;
        struct node *map = node_new(c->arena, NODE_MAP, n->origin);
        struct node *kind = node_new(c->arena, NODE_MAP, n->origin);
        if (n->text.n)
            node_put(c->arena, map, bare_word(n->text), kind)->origin = n->origin;
        struct member *m = node_member(c->root, slice_cstr(sections[i]));
        m->node = map;
    }
}

int config_load(const struct config_source *source, struct config **out, struct error *err)
{
    struct arena *arena = arena_new(16384);
    struct config *c = ARENA_NEW(arena, struct config);
    struct origin nobody = {.kind = FROM_DEFAULT};
    c->arena = arena;
    c->settings.arena = arena;
    c->strict = source->strict;
    c->root = node_new(arena, NODE_MAP, nobody);
    if (source->file && *source->file)
        load_file(c, source->file);
    config_environment(c, source->environment);
    config_flags(c, source->flags, source->n_flags);
    drop_version(c);
    config_check(c);
    config_bind(c);
    int failed = c->first.code == ERR_NONE ? 0 : -1;
    if (failed && err)
        *err = c->first;
    if (out)
        *out = c;
    else
        config_free(c);
    return failed;
}

void config_free(struct config *c)
{
    if (c)
        arena_free(c->arena);
}

const struct settings *config_settings(const struct config *c)
{
    return &c->settings;
}

const struct config_note *config_notes(const struct config *c, unsigned *n)
{
    *n = c->n_notes;
    return c->notes;
}

bool config_given(const struct config *c, const char *key)
{
    return node_find(c->root, key) != NULL;
}

void config_where(const struct config *c, const char *key, struct buf *out)
{
    struct origin o = bind_origin(c, key);
    if (config_given(c, key))
        origin_print(&o, out);
}
