/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: YAML by libyaml's event interface. Anchors, aliases and tags are refused,
 * duplicate keys too; size and depth are bounded. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <yaml.h>

#include "base/buf.h"
#include "base/util.h"
#include "main/options.h"
#include "os/file.h"

#include "base/banned.h"

enum { FILE_BYTES_MAX = 1024 * 1024, DEPTH_MAX = 16, KEYS_MAX = 1024 };

struct reader {
    yaml_parser_t parser;
    const char *path;
    struct settings *settings;
    void (*warn)(void *arg, unsigned line, const char *key);
    void *arg;
    struct buf key;       /* dotted path of the mapping that is read */
    char *seen[KEYS_MAX]; /* every scalar's and section's path, to find duplicates */
    unsigned n_seen;
    struct error *err;
};

static int fail(struct reader *rd, unsigned long line, unsigned long column, const char *what)
{
    return error_detail(rd->err, ERR_BAD_REQUEST, "%s:%lu:%lu: %s", rd->path, line + 1, column + 1,
                        what);
}

static int next(struct reader *rd, yaml_event_t *ev)
{
    if (!yaml_parser_parse(&rd->parser, ev))
        return fail(rd, rd->parser.problem_mark.line, rd->parser.problem_mark.column,
                    rd->parser.problem ? rd->parser.problem : "not valid YAML");
    unsigned long line = ev->start_mark.line;
    unsigned long column = ev->start_mark.column;
    bool anchor = (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor) ||
                  (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.anchor) ||
                  (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.anchor) ||
                  ev->type == YAML_ALIAS_EVENT;
    bool tag = (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.tag) ||
               (ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.tag) ||
               (ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.tag);
    if (!anchor && !tag)
        return 0;
    yaml_event_delete(ev);
    return fail(rd, line, column,
                anchor ? "anchors and aliases are not accepted" : "tags are not accepted");
}

static struct slice scalar(const yaml_event_t *ev)
{
    return slice_make((const char *)ev->data.scalar.value, ev->data.scalar.length);
}

static int note_key(struct reader *rd, const yaml_mark_t *mark)
{
    struct error why = {0};
    if (settings_refuse(buf_view(&rd->key), &why))
        return fail(rd, mark->line, mark->column, why.detail);
    for (unsigned i = 0; i < rd->n_seen; i++)
        if (slice_is(buf_view(&rd->key), rd->seen[i]))
            return fail(rd, mark->line, mark->column, "this key is there twice");
    if (rd->n_seen == KEYS_MAX)
        return fail(rd, mark->line, mark->column, "too many keys");
    rd->seen[rd->n_seen++] = xstrndup(rd->key.p, rd->key.n);
    return 0;
}

/* Skips the rest of a collection whose start was just read. */
static int skip(struct reader *rd)
{
    for (unsigned depth = 1; depth;) {
        yaml_event_t ev;
        if (next(rd, &ev))
            return -1;
        if (ev.type == YAML_MAPPING_START_EVENT || ev.type == YAML_SEQUENCE_START_EVENT)
            depth++;
        else if (ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT)
            depth--;
        unsigned long line = ev.start_mark.line;
        yaml_event_delete(&ev);
        if (depth > DEPTH_MAX)
            return fail(rd, line, 0, "nested too deeply");
    }
    return 0;
}

static int read_value(struct reader *rd, const yaml_event_t *ev)
{
    const struct option *o = option_find(buf_view(&rd->key));
    unsigned long line = ev->start_mark.line;
    if (slice_is(buf_view(&rd->key), "version")) {
        if (!slice_is(scalar(ev), "0.1"))
            return fail(rd, line, ev->start_mark.column, "version has to be 0.1");
        return 0;
    }
    if (!o && slice_is(buf_view(&rd->key), "storage") && !slice_is(scalar(ev), "filesystem"))
        return fail(rd, line, ev->start_mark.column,
                    "this version keeps its data in the filesystem only");
    if (!o) {
        rd->warn(rd->arg, (unsigned)line + 1, rd->key.p);
        return 0;
    }
    struct error why = {0};
    if (settings_set(rd->settings, o, scalar(ev), ORIGIN_FILE, &why))
        return fail(rd, line, ev->start_mark.column, why.detail);
    return 0;
}

/* One key and its value; the key's event is done with. */
static int read_member(struct reader *rd, unsigned *depth, size_t *stack)
{
    yaml_event_t ev;
    if (next(rd, &ev))
        return -1;
    int failed = 0;
    switch (ev.type) {
    case YAML_SCALAR_EVENT:
        failed = read_value(rd, &ev);
        break;
    case YAML_MAPPING_START_EVENT:
        if (*depth + 1 >= DEPTH_MAX) {
            failed = fail(rd, ev.start_mark.line, ev.start_mark.column, "nested too deeply");
            break;
        }
        yaml_event_delete(&ev);
        stack[++*depth] = rd->key.n;
        return 0;
    case YAML_SEQUENCE_START_EVENT:
        rd->warn(rd->arg, (unsigned)ev.start_mark.line + 1, rd->key.p);
        failed = skip(rd);
        break;
    default:
        failed = fail(rd, ev.start_mark.line, ev.start_mark.column, "a value is expected here");
    }
    yaml_event_delete(&ev);
    /* Back to the mapping that the key is in. */
    if (!failed) {
        rd->key.n = stack[*depth];
        if (rd->key.p)
            rd->key.p[rd->key.n] = '\0';
    }
    return failed;
}

/* The mapping at the top, and those in it, without recursion: stack[d] is the length of the path of
 * the mapping at depth d. */
static int read_mapping(struct reader *rd)
{
    size_t stack[DEPTH_MAX + 1] = {0};
    unsigned depth = 0;
    for (;;) {
        yaml_event_t ev;
        if (next(rd, &ev))
            return -1;
        if (ev.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&ev);
            if (depth == 0)
                return 0;
            depth--;
            rd->key.n = stack[depth];
            rd->key.p[rd->key.n] = '\0';
            continue;
        }
        int failed = 0;
        if (ev.type != YAML_SCALAR_EVENT) {
            failed = fail(rd, ev.start_mark.line, ev.start_mark.column, "a key is expected here");
        } else {
            if (rd->key.n)
                buf_putc(&rd->key, '.');
            buf_slice(&rd->key, scalar(&ev));
            failed = rd->key.failed
                         ? fail(rd, ev.start_mark.line, ev.start_mark.column, "the key is too long")
                         : note_key(rd, &ev.start_mark);
        }
        yaml_event_delete(&ev);
        if (failed || read_member(rd, &depth, stack))
            return -1;
    }
}

static int read_document(struct reader *rd)
{
    for (;;) {
        yaml_event_t ev;
        if (next(rd, &ev))
            return -1;
        yaml_event_type_t type = ev.type;
        unsigned long line = ev.start_mark.line;
        yaml_event_delete(&ev);
        if (type == YAML_STREAM_END_EVENT)
            return 0;
        if (type == YAML_MAPPING_START_EVENT) {
            if (read_mapping(rd))
                return -1;
        } else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT) {
            return fail(rd, line, 0, "a mapping (key: value) is expected at the top");
        }
    }
}

int settings_file(struct settings *s, const char *path,
                  void (*warn)(void *arg, unsigned line, const char *key), void *arg,
                  struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "open configuration %s", path);
    char *text = malloc(FILE_BYTES_MAX + 1);
    if (!text)
        return error_set(err, ERR_UNKNOWN, "out of memory");
    ssize_t n = os_pread_full(fd, text, FILE_BYTES_MAX + 1, 0, "config.read", err);
    if (n < 0 || n > FILE_BYTES_MAX) {
        free(text);
        return n < 0 ? -1 : error_detail(err, ERR_BAD_REQUEST, "%s: larger than 1 MiB", path);
    }
    struct reader rd = {.path = path, .settings = s, .warn = warn, .arg = arg, .err = err};
    buf_init(&rd.key, 512);
    int failed = -1;
    if (yaml_parser_initialize(&rd.parser)) {
        yaml_parser_set_input_string(&rd.parser, (const unsigned char *)text, (size_t)n);
        failed = read_document(&rd);
        yaml_parser_delete(&rd.parser);
    } else {
        error_set(err, ERR_UNKNOWN, "out of memory");
    }
    buf_release(&rd.key);
    for (unsigned i = 0; i < rd.n_seen; i++)
        free(rd.seen[i]);
    free(text);
    return failed;
}
