/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/utf8.h"
#include "base/util.h"

#include "base/banned.h"

/* A json_doc is a json_t with one reference; a json_value is a borrowed json_t. Neither is ever
 * dereferenced as its own type. */

static const json_t *native(const struct json_value *v)
{
    return (const json_t *)(const void *)v;
}

static const struct json_value *value(const json_t *v)
{
    return (const struct json_value *)(const void *)v;
}

int jdoc_parse(struct slice text, enum error_code code, struct json_doc **out, struct error *err)
{
    json_error_t why;
    if (text.n == 0)
        return error_detail(err, code, "the body is empty, expected a JSON document");
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return error_detail(err, code, "not valid JSON: %s (line %d, column %d)", why.text,
                            why.line, why.column);
    *out = (struct json_doc *)(void *)root;
    return 0;
}

void jdoc_free(struct json_doc *doc)
{
    json_decref((json_t *)(void *)doc);
}

void jdoc_freep(struct json_doc **doc)
{
    jdoc_free(*doc);
    *doc = NULL;
}

const struct json_value *jdoc_root(const struct json_doc *doc)
{
    return (const struct json_value *)(const void *)doc;
}

enum json_kind_of jv_kind(const struct json_value *v)
{
    if (!v)
        return JSON_ABSENT_;
    switch (json_typeof(native(v))) {
    case JSON_OBJECT:
        return JSON_OBJECT_;
    case JSON_ARRAY:
        return JSON_ARRAY_;
    case JSON_STRING:
        return JSON_STRING_;
    case JSON_INTEGER:
        return JSON_INT_;
    case JSON_REAL:
        return JSON_REAL_;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_BOOL_;
    case JSON_NULL:
        return JSON_NULL_;
    }
    return JSON_ABSENT_;
}

const struct json_value *jv_get(const struct json_value *v, const char *key)
{
    return v ? value(json_object_get(native(v), key)) : NULL;
}

size_t jv_count(const struct json_value *v)
{
    if (!v)
        return 0;
    return json_is_array(native(v)) ? json_array_size(native(v)) : json_object_size(native(v));
}

const struct json_value *jv_at(const struct json_value *v, size_t i)
{
    return v ? value(json_array_get(native(v), i)) : NULL;
}

struct slice jv_string(const struct json_value *v)
{
    if (!v || !json_is_string(native(v)))
        return SLICE_NONE;
    return slice_make(json_string_value(native(v)), json_string_length(native(v)));
}

int jv_int(const struct json_value *v, int64_t *out)
{
    if (!v || !json_is_integer(native(v)))
        return -1;
    *out = json_integer_value(native(v));
    return 0;
}

int jv_each(const struct json_value *v,
            int (*fn)(void *arg, const char *key, const struct json_value *value), void *arg)
{
    if (!v || !json_is_object(native(v)))
        return 0;
    /* jansson iterates a document that it will not change, but its signature wants it non-const. */
    json_t *object = (json_t *)(uintptr_t)native(v);
    const char *key;
    json_t *member;
    json_object_foreach(object, key, member)
    {
        int r = fn(arg, key, value(member));
        if (r)
            return r;
    }
    return 0;
}

static int dump_to_buf(const char *p, size_t n, void *arg)
{
    return buf_add(arg, p, n);
}

int jv_dump(const struct json_value *v, struct buf *out)
{
    return v && json_dump_callback(native(v), dump_to_buf, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0
               ? 0
               : -1;
}

void jw_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

static void separate(struct json_writer *w)
{
    if (w->comma)
        buf_putc(w->out, ',');
    w->comma = true;
}

void jw_object(struct json_writer *w)
{
    separate(w);
    buf_putc(w->out, '{');
    w->comma = false;
}

void jw_object_end(struct json_writer *w)
{
    buf_putc(w->out, '}');
    w->comma = true;
}

void jw_array(struct json_writer *w)
{
    separate(w);
    buf_putc(w->out, '[');
    w->comma = false;
}

void jw_array_end(struct json_writer *w)
{
    buf_putc(w->out, ']');
    w->comma = true;
}

void jw_key(struct json_writer *w, const char *key)
{
    separate(w);
    jw_quote(w->out, slice_cstr(key));
    buf_putc(w->out, ':');
    w->comma = false;
}

void jw_string(struct json_writer *w, struct slice s)
{
    separate(w);
    jw_quote(w->out, s);
}

void jw_cstr(struct json_writer *w, const char *s)
{
    jw_string(w, slice_cstr(s));
}

void jw_int(struct json_writer *w, int64_t v)
{
    separate(w);
    buf_printf(w->out, "%" PRId64, v);
}

void jw_bool(struct json_writer *w, bool v)
{
    separate(w);
    buf_puts(w->out, v ? "true" : "false");
}

void jw_raw(struct json_writer *w, struct slice json)
{
    separate(w);
    buf_slice(w->out, json);
}

/* What is well-formed but can lead a reader of a terminal or a log astray: controls (C1 has another
 * escape and another line end), line and paragraph separator, and what turns the direction of the
 * text around. The code point, or 0. */
static unsigned misleading(const unsigned char *p, size_t len)
{
    unsigned u = p[0];
    if (len == 2)
        u = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    else if (len == 3)
        u = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    else if (len == 4)
        return 0;
    bool bad = u < 0x20 || (u >= 0x7f && u <= 0x9f) || (u >= 0x2028 && u <= 0x202e) ||
               (u >= 0x2066 && u <= 0x2069);
    return bad ? u : 0;
}

int jw_quote(struct buf *out, struct slice s)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t len = utf8_len((const unsigned char *)s.p + i, s.n - i);
        unsigned escape = misleading((const unsigned char *)s.p + i, len);
        if (len == 0) {
            buf_puts(out, "\\ufffd");
            len = 1;
        } else if (c == '"' || c == '\\') {
            buf_putc(out, '\\');
            buf_putc(out, (char)c);
        } else if (c == '\n') {
            buf_puts(out, "\\n");
        } else if (escape || c == 0) {
            buf_printf(out, "\\u%04x", escape);
        } else {
            buf_add(out, s.p + i, len);
        }
        i += len;
    }
    buf_putc(out, '"');
    return out->failed ? -1 : 0;
}
