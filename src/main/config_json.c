/* SPDX-License-Identifier: Apache-2.0 */
/* The schema table as JSON Schema (draft 2020-12), for editors and for checks without berth. */
#include "base/json.h"
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static void emit(struct json_writer *w, const struct schema *row);

/* "type": [names, null] */
static void types(struct json_writer *w, const char *names)
{
    jw_key(w, "type");
    jw_array(w);
    for (struct slice rest = slice_cstr(names); rest.p;)
        jw_string(w, slice_cut(&rest, '|'));
    jw_cstr(w, "null");
    jw_array_end(w);
}

static void emit_section(struct json_writer *w, const struct schema *row)
{
    size_t n;
    const struct schema *rows = schema_rows(&n);
    types(w, row->flags & F_BARE ? "object|string" : "object");
    jw_key(w, "properties");
    jw_object(w);
    for (size_t i = 1; i < n; i++)
        if (schema_is_child(&rows[i], row)) {
            jw_key(w, schema_key(&rows[i]));
            emit(w, &rows[i]);
        }
    jw_object_end(w);
    if (row->flags & F_BARE) {
        jw_key(w, "pattern"); /* of a word alone, as in `storage: inmemory` */
        jw_cstr(w, slice_is(slice_cstr(row->name), "auth")
                       ? "^([Nn][Oo][Nn][Ee]|htpasswd|token|silly)?$"
                       : "^(filesystem|inmemory)?$");
    }
    jw_key(w, "additionalProperties");
    jw_bool(w, false);
}

/* What is in a list, or under any key of a map. */
static void emit_element(struct json_writer *w, const struct schema *row, const char *key)
{
    const struct schema *element = schema_element(row);
    if (!element)
        return;
    jw_key(w, key);
    emit(w, element);
}

static void emit_choices(struct json_writer *w, const struct schema *row)
{
    jw_key(w, "enum");
    jw_array(w);
    for (struct slice rest = slice_cstr(row->unit); rest.p;) {
        struct slice word = slice_cut(&rest, '|');
        uint64_t number;
        jw_string(w, word);
        if (!parse_u63(word, &number))
            jw_int(w, (int64_t)number); /* as YAML reads it */
    }
    jw_cstr(w, "");
    jw_raw(w, SLICE_LIT("null"));
    jw_array_end(w);
}

static void emit_range(struct json_writer *w, const struct schema *row)
{
    if (row->min > INT64_MIN) {
        jw_key(w, "minimum");
        jw_int(w, row->min);
    }
    if (schema_max(row) < INT64_MAX) {
        jw_key(w, "maximum");
        jw_int(w, schema_max(row));
    }
}

static void emit_kind(struct json_writer *w, const struct schema *row)
{
    switch (row->kind) {
    case K_STRUCT:
    case K_PARAMS:
        emit_section(w, row);
        break;
    case K_MAP:
    case K_HEADERS:
        types(w, "object");
        emit_element(w, row, "additionalProperties");
        break;
    case K_LIST:
    case K_TEXTS:
        types(w, "array");
        emit_element(w, row, "items");
        if (row->status == S_HONOURED) { /* an element that is empty is a mistake */
            jw_key(w, "not");
            jw_raw(w, SLICE_LIT("{\"contains\":{\"type\":\"null\"}}"));
        }
        break;
    case K_ANY:
        break;
    case K_STRING:
        types(w, "string|number|boolean");
        break;
    case K_BOOL:
        types(w, "boolean");
        break;
    case K_COUNT:
        types(w, "integer");
        emit_range(w, row);
        break;
    case K_SIZE:
        types(w, "integer|string");
        jw_key(w, "pattern");
        jw_cstr(w, "^[0-9]+([KMGT]iB)?$");
        break;
    case K_DURATION:
        types(w, row->flags & F_UNIT ? "string" : "integer|string");
        if (row->status == S_HONOURED) {
            jw_key(w, "minimum"); /* a bare integer is nanoseconds, rounded up */
            jw_int(w, row->min ? (row->min - 1) * 1000000 + 1 : 0);
        }
        jw_key(w, "pattern");
        jw_cstr(w, "^(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|\302\265s|\316\274s|ms|s|m|h))+)$");
        break;
    case K_CHOICE:
        emit_choices(w, row);
        break;
    }
}

static void emit_default(struct json_writer *w, const struct schema *row)
{
    if (row->status != S_HONOURED || !row->def || !*row->def)
        return;
    jw_key(w, "default");
    if (row->kind == K_BOOL || row->kind == K_COUNT)
        jw_raw(w, slice_cstr(row->def));
    else
        jw_cstr(w, row->def);
}

static void emit_status(struct json_writer *w, const struct schema *row)
{
    if (row->status == S_IGNORED || row->status == S_REFUSED) {
        jw_key(w, "deprecated");
        jw_bool(w, true);
        jw_key(w, "x-instead");
        jw_cstr(w, row->text);
    }
    if (row->status == S_REFUSED) {
        jw_key(w, "not");
        jw_object(w);
        if (row->trigger) {
            jw_key(w, "required");
            jw_array(w);
            jw_cstr(w, row->trigger);
            jw_array_end(w);
        }
        jw_object_end(w);
    }
    if (row->status == S_HONOURED && schema_live(row)) {
        jw_key(w, "x-reload");
        jw_bool(w, true);
    }
    if (row->flags & F_SECRET) {
        jw_key(w, "writeOnly");
        jw_bool(w, true);
    }
}

static void emit(struct json_writer *w, const struct schema *row)
{
    jw_object(w);
    if (row->doc) {
        jw_key(w, "description");
        jw_cstr(w, row->doc);
    }
    if (slice_is(slice_cstr(row->name), "version")) {
        jw_key(w, "enum");
        jw_raw(w, SLICE_LIT("[0.1,\"0.1\"]"));
    } else {
        emit_kind(w, row);
    }
    emit_default(w, row);
    emit_status(w, row);
    if (row == schema_root()) {
        jw_key(w, "$schema");
        jw_cstr(w, "https://json-schema.org/draft/2020-12/schema");
        jw_key(w, "title");
        jw_cstr(w, "berth");
        jw_key(w, "required");
        jw_raw(w, SLICE_LIT("[\"version\"]"));
    }
    jw_object_end(w);
}

void config_schema(struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    emit(&w, schema_root());
    buf_putc(out, '\n');
}
