/* SPDX-License-Identifier: Apache-2.0 */
/* Registry's envelope: the members and their order are those of its Go structs, 2.8 and 3 differ.
 */
#include "base/json.h"
#include "base/util.h"
#include "jobs/notify.h"
#include "os/clock.h"

#include "base/banned.h"

enum { COMPACT_MAX = 1024 * 1024 };

static void member(struct json_writer *w, const char *key, struct slice value)
{
    if (value.n == 0)
        return;
    jw_key(w, key);
    jw_string(w, value);
}

static void number(struct json_writer *w, const char *key, uint64_t value, bool always)
{
    if (value == 0 && !always)
        return;
    jw_key(w, key);
    jw_int(w, (int64_t)value);
}

static void text_always(struct json_writer *w, const char *key, struct slice value)
{
    jw_key(w, key);
    jw_string(w, value);
}

/* Go's RFC3339Nano: no zeroes at the end of the fraction. */
static void timestamp(struct json_writer *w, int64_t ms)
{
    char seconds[21];
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, 64);
    os_rfc3339(ms, seconds);
    unsigned fraction = (unsigned)((ms % 1000 + 1000) % 1000);
    unsigned digits = 3;
    while (fraction && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    buf_printf(&b, "%.19s", seconds);
    if (fraction)
        buf_printf(&b, ".%0*u", (int)digits, fraction);
    buf_putc(&b, 'Z');
    jw_key(w, "timestamp");
    jw_string(w, buf_view(&b));
}

/* --- references --- */

static bool is_shallow(const struct json_value *v, unsigned levels);

static int look_deeper(void *arg, const char *key, const struct json_value *v)
{
    (void)key;
    return !is_shallow(v, *(const unsigned *)arg);
}

/* At most so many arrays and objects inside each other. */
static bool is_shallow(const struct json_value *v, unsigned levels)
{
    enum json_kind_of kind = jv_kind(v);
    if (kind != JSON_ARRAY_ && kind != JSON_OBJECT_)
        return true;
    if (levels-- == 0)
        return false;
    bool shallow = kind == JSON_ARRAY_ || jv_each(v, look_deeper, &levels) == 0;
    for (size_t i = 0; shallow && kind == JSON_ARRAY_ && i < jv_count(v); i++)
        shallow = is_shallow(jv_at(v, i), levels);
    return shallow;
}

/* What is deeper than registry's own structs (platform's "os.features") is not part of any: a
 * client may have sent it so that no endpoint could read the event, and all that follow it wait. */
static void value(struct json_writer *w, const struct json_value *descriptor, const char *key)
{
    const struct json_value *v = jv_get(descriptor, key);
    if (!v || !is_shallow(v, 2))
        return;
    jw_key(w, key);
    (void)jv_dump(v, w->out);
    w->comma = true;
}

static void descriptor(struct json_writer *w, const struct json_value *v, bool v3)
{
    static const char *const order2[] = {"mediaType", "size", "digest", "urls", "annotations"};
    static const char *const order3[] = {"mediaType", "digest",      "size",
                                         "urls",      "annotations", "platform"};
    jw_object(w);
    for (size_t i = 0; i < (v3 ? ARRAY_LEN(order3) : ARRAY_LEN(order2)); i++)
        value(w, v, v3 ? order3[i] : order2[i]);
    jw_object_end(w);
}

static void references(struct json_writer *w, struct slice text, bool v3)
{
    CLEANUP_JSON struct json_doc *doc = NULL;
    if (text.n == 0 || jdoc_parse(text, ERR_UNKNOWN, &doc, NULL) < 0)
        return;
    jw_key(w, "references");
    jw_array(w);
    for (size_t i = 0; i < jv_count(jdoc_root(doc)); i++)
        descriptor(w, jv_at(jdoc_root(doc), i), v3);
    jw_array_end(w);
}

/* --- the whole --- */

static void target(struct json_writer *w, const struct meta_event *e, bool v3)
{
    jw_key(w, "target");
    jw_object(w);
    if (v3) {
        text_always(w, "mediaType", e->media_type);
        text_always(w, "digest", e->digest);
        number(w, "size", e->size, true);
    } else {
        member(w, "mediaType", e->media_type);
        number(w, "size", e->size, false);
        member(w, "digest", e->digest);
    }
    number(w, "length", e->size, false);
    member(w, "repository", e->repo);
    member(w, "fromRepository", e->from_repo);
    member(w, "url", e->url);
    member(w, "tag", e->tag);
    references(w, e->references, v3);
    jw_object_end(w);
}

static void event(struct json_writer *w, const struct meta_event_row *row, bool v3,
                  const char *source_addr, const char *source_instance)
{
    const struct meta_event *e = &row->event;
    jw_object(w);
    member(w, "id", slice_cstr(row->uuid));
    timestamp(w, row->time_ms);
    member(w, "action", e->action);
    target(w, e, v3);
    jw_key(w, "request");
    jw_raw(w, e->request.n ? e->request : SLICE_LIT("{}"));
    jw_key(w, "actor");
    jw_object(w);
    member(w, "name", e->actor);
    jw_object_end(w);
    jw_key(w, "source");
    jw_object(w);
    member(w, "addr", slice_cstr(source_addr));
    member(w, "instanceID", slice_cstr(source_instance));
    jw_object_end(w);
    jw_object_end(w);
}

static void new_line(struct buf *out, unsigned depth)
{
    buf_putc(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_puts(out, "   ");
}

/* Go's json.Indent with three blanks; `in` is JSON without white space outside of strings. */
static void indent(struct slice in, struct buf *out)
{
    unsigned depth = 0;
    bool text = false;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        char next = i + 1 < in.n ? in.p[i + 1] : '\0';
        if (text) {
            buf_putc(out, c);
            if (c == '\\' && next)
                buf_putc(out, in.p[++i]);
            text = c != '"';
        } else if ((c == '{' && next == '}') || (c == '[' && next == ']')) {
            buf_putc(out, c);
            buf_putc(out, next);
            i++;
        } else if (c == '{' || c == '[') {
            buf_putc(out, c);
            new_line(out, ++depth);
        } else if (c == '}' || c == ']') {
            new_line(out, --depth);
            buf_putc(out, c);
        } else if (c == ',') {
            buf_putc(out, c);
            new_line(out, depth);
        } else if (c == ':') {
            buf_puts(out, ": ");
        } else {
            buf_putc(out, c);
            text = c == '"';
        }
    }
}

void notify_envelope(const struct meta_event_row *row, bool v3, const char *source_addr,
                     const char *source_instance, struct buf *out)
{
    CLEANUP_BUF struct buf b = {0};
    struct json_writer w;
    buf_init(&b, COMPACT_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "events");
    jw_array(&w);
    event(&w, row, v3, source_addr, source_instance);
    jw_array_end(&w);
    jw_object_end(&w);
    indent(buf_view(&b), out);
    out->failed |= b.failed;
}
