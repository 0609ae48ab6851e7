/* SPDX-License-Identifier: Apache-2.0 */
/* A line in each of the formats. Pure. */
#include "base/log_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/util.h"

#include "base/banned.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};
/* As logrus has them. */
static const char *const long_names[] = {"error", "warning", "info", "debug"};

/* ---- the fields of every line ---- */

static bool is_taken(struct slice key)
{
    static const char *const names[] = {"time",     "level",   "msg", "@timestamp",
                                        "@version", "message", "type"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_is(key, names[i]))
            return true;
    }
    return false;
}

static const char *copy(char **to, const char *before, struct slice s)
{
    char *from = *to;
    size_t n = strlen(before);
    memcpy(from, before, n);
    if (s.n)
        memcpy(from + n, s.p, s.n);
    from[n + s.n] = '\0';
    *to = from + n + s.n + 1;
    return from;
}

struct log_common *log_common_new(size_t n, const struct log_field *fields)
{
    static const char prefix[] = "fields.";
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += sizeof prefix + strlen(fields[i].key) + fields[i].s.n + 2;
    struct log_common *c = xcalloc(1, sizeof *c + n * sizeof c->fields[0] + bytes);
    char *to = (char *)&c->fields[n];
    atomic_init(&c->refs, 1);
    c->n = n;
    for (size_t i = 0; i < n; i++) {
        struct slice key = slice_cstr(fields[i].key);
        c->fields[i] = fields[i];
        c->fields[i].key = copy(&to, is_taken(key) ? prefix : "", key);
        c->fields[i].s.p = copy(&to, "", fields[i].s);
    }
    return c;
}

void log_common_unref(struct log_common *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free(c);
}

/* ---- lines ---- */

/* Field i of the line's own and the common ones, or NULL for one to leave out. */
static const struct log_field *field_at(const struct log_line *l, size_t i)
{
    if (i < l->n)
        return l->fields[i].type == LOG_FIELD_END ? NULL : &l->fields[i];
    const struct log_field *f = &l->common->fields[i - l->n];
    for (size_t k = 0; k < l->n; k++) {
        if (l->fields[k].type != LOG_FIELD_END && strcmp(l->fields[k].key, f->key) == 0)
            return NULL;
    }
    return f;
}

static size_t field_count(const struct log_line *l)
{
    return l->n + (l->common ? l->common->n : 0);
}

static struct slice clipped(const struct log_line *l, struct slice s)
{
    return slice_first(s, l->clip);
}

static void logfmt_value(struct buf *b, struct slice s)
{
    bool plain = s.n > 0;
    for (size_t i = 0; i < s.n && plain; i++) {
        unsigned char c = (unsigned char)s.p[i];
        plain = c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    }
    if (plain)
        buf_slice(b, s);
    else
        jw_quote(b, s);
}

static void timestamp(const struct timespec *ts, char out[40])
{
    struct tm tm = {0};
    (void)gmtime_r(&ts->tv_sec, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned ms = (unsigned)(ts->tv_nsec / 1000000);
    out[n++] = '.';
    out[n++] = (char)('0' + ms / 100);
    out[n++] = (char)('0' + ms / 10 % 10);
    out[n++] = (char)('0' + ms % 10);
    out[n++] = 'Z';
    out[n] = '\0';
}

static void json_fields(struct json_writer *w, const struct log_line *l)
{
    for (size_t i = 0; i < field_count(l); i++) {
        const struct log_field *f = field_at(l, i);
        if (!f)
            continue;
        jw_key(w, f->key);
        if (f->type == LOG_FIELD_INT)
            jw_int(w, f->i);
        else
            jw_string(w, clipped(l, f->s));
    }
}

static void json_line(struct buf *b, const struct log_line *l)
{
    char when[40];
    timestamp(&l->when, when);
    struct json_writer w;
    jw_init(&w, b);
    jw_object(&w);
    jw_key(&w, "time");
    jw_cstr(&w, when);
    jw_key(&w, "level");
    jw_cstr(&w, long_names[l->level]);
    jw_key(&w, "msg");
    jw_string(&w, clipped(l, slice_cstr(l->msg)));
    json_fields(&w, l);
    jw_object_end(&w);
}

static void logstash_line(struct buf *b, const struct log_line *l)
{
    char when[40];
    timestamp(&l->when, when);
    struct json_writer w;
    jw_init(&w, b);
    jw_object(&w);
    jw_key(&w, "@timestamp");
    jw_cstr(&w, when);
    jw_key(&w, "@version");
    jw_cstr(&w, "1");
    jw_key(&w, "level");
    jw_cstr(&w, long_names[l->level]);
    jw_key(&w, "message");
    jw_string(&w, clipped(l, slice_cstr(l->msg)));
    jw_key(&w, "type");
    jw_cstr(&w, "berth");
    json_fields(&w, l);
    jw_object_end(&w);
}

static void pairs(struct buf *b, const struct log_line *l,
                  void (*value)(struct buf *, struct slice))
{
    for (size_t i = 0; i < field_count(l); i++) {
        const struct log_field *f = field_at(l, i);
        if (!f)
            continue;
        buf_printf(b, " %s=", f->key);
        if (f->type == LOG_FIELD_INT)
            buf_printf(b, "%" PRId64, f->i);
        else
            value(b, clipped(l, f->s));
    }
}

static void logfmt_line(struct buf *b, const struct log_line *l)
{
    char when[40];
    timestamp(&l->when, when);
    buf_printf(b, "time=%s level=%s msg=", when, level_names[l->level]);
    logfmt_value(b, clipped(l, slice_cstr(l->msg)));
    pairs(b, l, logfmt_value);
}

/* logrus' TextFormatter when it does not write to a terminal: what it quotes, and that it leaves
 * empty values empty. */
static void text_value(struct buf *b, struct slice s)
{
    bool plain = true;
    for (size_t i = 0; i < s.n && plain; i++) {
        char c = s.p[i];
        plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                (c && strchr("-._/@^+", c));
    }
    if (plain)
        buf_slice(b, s);
    else
        jw_quote(b, s);
}

static void text_line(struct buf *b, const struct log_line *l)
{
    char when[40];
    timestamp(&l->when, when);
    buf_printf(b, "time=\"%s\" level=%s msg=", when, long_names[l->level]);
    text_value(b, clipped(l, slice_cstr(l->msg)));
    pairs(b, l, text_value);
}

/* ---- Apache's combined form ---- */

static struct slice field_of(const struct log_line *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->fields[i].type == LOG_FIELD_STR && strcmp(l->fields[i].key, key) == 0)
            return clipped(l, l->fields[i].s);
    }
    return SLICE_NONE;
}

static int64_t number_of(const struct log_line *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->fields[i].type == LOG_FIELD_INT && strcmp(l->fields[i].key, key) == 0)
            return l->fields[i].i;
    }
    return 0;
}

/* In quotes, or (`word`) as one word: whoever reads the line splits it at both. */
static void combined_text(struct buf *b, struct slice s, bool word)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            buf_printf(b, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c < ' ' || c >= 0x7f || (word && c == ' '))
            buf_printf(b, "\\x%02x", c);
        else
            buf_putc(b, (char)c);
    }
}

static void combined_word(struct buf *b, struct slice s)
{
    if (s.n)
        combined_text(b, s, true);
    else
        buf_putc(b, '-');
}

/* Without its port. */
static struct slice host_of(struct slice peer)
{
    const char *colon = peer.n ? memchr(peer.p, ':', peer.n) : NULL;
    if (peer.n && peer.p[0] == '[') {
        struct slice rest = slice_from(peer, 1);
        return slice_cut(&rest, ']');
    }
    if (colon && !memchr(colon + 1, ':', (size_t)(peer.p + peer.n - colon - 1)))
        return slice_first(peer, (size_t)(colon - peer.p));
    return peer;
}

static void combined_line(struct buf *b, const struct log_line *l)
{
    if (!field_of(l, "method").n) {
        text_line(b, l);
        return;
    }
    char when[40];
    struct tm tm = {0};
    (void)localtime_r(&l->when.tv_sec, &tm);
    (void)strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S %z", &tm);
    combined_word(b, host_of(field_of(l, "peer")));
    buf_puts(b, " - ");
    combined_word(b, field_of(l, "principal"));
    buf_printf(b, " [%s] \"", when);
    combined_text(b, field_of(l, "method"), false);
    buf_putc(b, ' ');
    combined_text(b, field_of(l, "target"), false);
    buf_putc(b, ' ');
    combined_text(b, field_of(l, "proto"), false);
    buf_printf(b, "\" %" PRId64 " %" PRId64 " \"", number_of(l, "status"), number_of(l, "bytes"));
    combined_text(b, field_of(l, "referer"), false);
    buf_puts(b, "\" \"");
    combined_text(b, field_of(l, "agent"), false);
    buf_putc(b, '"');
}

void log_line_make(struct buf *b, enum log_format format, struct log_line *line)
{
    static void (*const formats[])(struct buf *, const struct log_line *) = {
        [LOG_FORMAT_LOGFMT] = logfmt_line,     [LOG_FORMAT_JSON] = json_line,
        [LOG_FORMAT_TEXT] = text_line,         [LOG_FORMAT_LOGSTASH] = logstash_line,
        [LOG_FORMAT_COMBINED] = combined_line,
    };
    buf_clear(b);
    line->clip = SIZE_MAX;
    formats[format](b, line);
    buf_putc(b, '\n');
    if (b->failed) {
        /* Somebody sent something long. The line matters more than its longest values: it may be
         * the only trace of the request. An escaped byte takes six, keys and time take the rest. */
        buf_clear(b);
        line->clip = b->max / (8 * (field_count(line) + 2));
        formats[format](b, line);
        buf_putc(b, '\n');
    }
    if (b->failed && line->common) { /* names without end, from the configuration */
        line->common = NULL;
        log_line_make(b, format, line);
    }
}
