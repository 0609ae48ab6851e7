/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON reading over jansson (no duplicate keys, no trailing data, UTF-8 only, no NUL,
 * bounded depth), and a small writer. The reader's values are borrowed from the document. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum json_kind_of {
    JSON_NULL_,
    JSON_BOOL_,
    JSON_INT_,
    JSON_REAL_,
    JSON_STRING_,
    JSON_ARRAY_,
    JSON_OBJECT_,
    JSON_ABSENT_
};

struct json_doc;   /* owns a parsed document */
struct json_value; /* one value in it; NULL stands for "absent" everywhere below */

/* Parses the whole of `text`. On failure -1 with `code` in *err and a detail that names line and
 * column. Free with jdoc_free. */
int jdoc_parse(struct slice text, enum error_code code, struct json_doc **out, struct error *err);
void jdoc_free(struct json_doc *doc); /* NULL is fine */
void jdoc_freep(struct json_doc **doc);
#define CLEANUP_JSON __attribute__((cleanup(jdoc_freep)))
const struct json_value *jdoc_root(const struct json_doc *doc);

enum json_kind_of jv_kind(const struct json_value *v); /* JSON_ABSENT_ for NULL */
/* Member of an object; NULL when v is not an object or has no such member. */
const struct json_value *jv_get(const struct json_value *v, const char *key);
size_t jv_count(const struct json_value *v); /* members of an array or object, else 0 */
const struct json_value *jv_at(const struct json_value *v, size_t i);
/* SLICE_NONE when not a string. */
struct slice jv_string(const struct json_value *v);
/* 0 and *out, or -1 when v is not an integer. */
int jv_int(const struct json_value *v, int64_t *out);
/* fn for each member in document order, until one returns non-zero, which is then returned; 0 at
 * the end. */
int jv_each(const struct json_value *v,
            int (*fn)(void *arg, const char *key, const struct json_value *value), void *arg);
/* Appends the value as compact JSON. */
int jv_dump(const struct json_value *v, struct buf *out);

/* Writer: commas and escaping are done; the buffer's `failed` tells at the end. Strings are
 * expected to be UTF-8; bytes that are not become U+FFFD, so that the output is always valid. */
struct json_writer {
    struct buf *out;
    bool comma;
};
void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w);
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w);
void jw_array_end(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key);
void jw_string(struct json_writer *w, struct slice s);
void jw_cstr(struct json_writer *w, const char *s);
void jw_int(struct json_writer *w, int64_t v);
void jw_bool(struct json_writer *w, bool v);
void jw_raw(struct json_writer *w, struct slice json); /* a whole value, already JSON */
/* Just the quoted, escaped string, without the writer's commas. */
int jw_quote(struct buf *out, struct slice s);

#endif
