/* SPDX-License-Identifier: Apache-2.0 */
/* The schema: rows, and how to find one's way in them. */
#include <ctype.h>

#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

#define AT(field) (1 + offsetof(struct settings, field))
#define IN(type, field) (1 + offsetof(struct type, field))

#define O(kind_, name_, def_, unit_, live_, doc_, ...) \
    {.name = (name_),                                  \
     .kind = K_##kind_,                                \
     .def = (def_),                                    \
     .unit = (unit_),                                  \
     .doc = (doc_),                                    \
     .live = (live_),                                  \
     __VA_ARGS__},
#define E O
#define S(kind_, name_, doc_, ...) {.name = (name_), .kind = K_##kind_, .doc = (doc_), __VA_ARGS__},
#define I(kind_, name_, doc_, text_, ...) \
    {.name = (name_),                     \
     .kind = K_##kind_,                   \
     .status = S_IGNORED,                 \
     .doc = (doc_),                       \
     .text = (text_),                     \
     __VA_ARGS__},
#define R(kind_, name_, doc_, text_, ...) \
    {.name = (name_),                     \
     .kind = K_##kind_,                   \
     .status = S_REFUSED,                 \
     .doc = (doc_),                       \
     .text = (text_),                     \
     __VA_ARGS__},
#define U(kind_, name_, doc_, ...) \
    {.name = (name_), .kind = K_##kind_, .status = S_UNDER, .doc = (doc_), __VA_ARGS__},

static const struct schema rows[] = {
    {.name = "", .kind = K_STRUCT, .doc = "Registry's config.yml, version 0.1."},
    {.name = "version",
     .kind = K_STRING,
     .doc = "The version of this form: 0.1. Required in a file.",
     .flags = F_HIDDEN},
#include "main/config_rows_int.h"
/* lint: banned-last: rows of a table, no header */
#include "main/config_rows_other_int.h"
};

#undef O
#undef E
#undef S

bool config_option_next(size_t *at, struct config_option *out)
{
    static const char *const types[] = {
        [K_MAP] = "section",
        [K_LIST] = "list",
        [K_TEXTS] = "list of strings",
        [K_HEADERS] = "section of lists",
        [K_ANY] = "anything",
        [K_STRING] = "string",
        [K_BOOL] = "bool",
        [K_COUNT] = "count",
        [K_SIZE] = "size",
        [K_DURATION] = "duration",
        [K_CHOICE] = "choice",
    };
    for (size_t i = MAX(*at, (size_t)1); i < ARRAY_LEN(rows); i++) {
        const struct schema *row = &rows[i];
        bool instead = row->status == S_IGNORED || row->status == S_REFUSED;
        bool section = row->kind == K_STRUCT || row->kind == K_PARAMS;
        if (row->status == S_UNDER || (section && !instead))
            continue;
        *out = (struct config_option){
            .name = row->name,
            .type = section ? "section" : types[row->kind],
            .def = row->def ? row->def : "",
            .choices = row->kind == K_CHOICE ? row->unit
                       : row->kind == K_BOOL ? "true|false"
                                             : NULL,
            .example = schema_scalar(row) ? NULL : row->example,
            .doc = row->doc,
            .instead = instead ? row->text : NULL,
            .refused = row->status == S_REFUSED,
            .flag = !instead && schema_plain(row) && !(row->flags & F_HIDDEN),
            .reloadable = schema_live(row),
        };
        *at = i + 1;
        return true;
    }
    return false;
}

const struct schema *schema_rows(size_t *n)
{
    *n = ARRAY_LEN(rows);
    return rows;
}

const struct schema *schema_root(void)
{
    return &rows[0];
}

const struct schema *schema_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* What follows the parent's name and its separator; SLICE_NONE when row is not in parent. */
static struct slice below(const struct schema *row, const struct schema *parent)
{
    size_t n = strlen(parent->name);
    const char *rest = row->name + n;
    if (strncmp(row->name, parent->name, n) != 0 || !*row->name || !*rest)
        return SLICE_NONE;
    if (n && *rest != '.')
        return SLICE_NONE;
    return slice_cstr(rest + (n ? 1 : 0));
}

bool schema_is_child(const struct schema *row, const struct schema *parent)
{
    struct slice rest = below(row, parent);
    return rest.n && !slice_is(rest, "*") && !memchr(rest.p, '.', rest.n) &&
           !memchr(rest.p, '[', rest.n);
}

const struct schema *schema_child(const struct schema *parent, struct slice key)
{
    if (parent->kind == K_HEADERS || parent->kind == K_ANY)
        return schema_element(parent);
    if (parent->kind == K_STRUCT || parent->kind == K_PARAMS)
        for (size_t i = 1; i < ARRAY_LEN(rows); i++)
            if (schema_is_child(&rows[i], parent) && slice_eq(below(&rows[i], parent), key))
                return &rows[i];
    return parent->kind == K_MAP ? schema_element(parent) : NULL;
}

const struct schema *schema_element(const struct schema *parent)
{
    /* [secret]: what these kinds imply, without a row of their own. */
    static const struct schema text[2] = {
        {.name = "", .kind = K_STRING},
        {.name = "", .kind = K_STRING, .flags = F_SECRET},
    };
    static const struct schema texts[2] = {
        {.name = "", .kind = K_TEXTS},
        {.name = "", .kind = K_TEXTS, .flags = F_SECRET},
    };
    static const struct schema any[2] = {
        {.name = "", .kind = K_ANY},
        {.name = "", .kind = K_ANY, .flags = F_SECRET},
    };
    bool secret = parent->flags & F_SECRET;
    size_t n = strlen(parent->name);
    if (parent->kind == K_TEXTS)
        return &text[secret];
    if (parent->kind == K_HEADERS)
        return &texts[secret];
    if (parent->kind == K_ANY)
        return &any[secret];
    const char *suffix = parent->kind == K_LIST ? "[]" : parent->kind == K_MAP ? ".*" : NULL;
    for (size_t i = 1; suffix && i < ARRAY_LEN(rows); i++)
        if (strncmp(rows[i].name, parent->name, n) == 0 && strcmp(rows[i].name + n, suffix) == 0)
            return &rows[i];
    return parent->kind == K_MAP ? &any[secret] : NULL;
}

const char *schema_key(const struct schema *row)
{
    const char *dot = strrchr(row->name, '.');
    return dot ? dot + 1 : row->name;
}

bool schema_scalar(const struct schema *row)
{
    return row->kind >= K_STRING;
}

bool schema_plain(const struct schema *row)
{
    return !strpbrk(row->name, "[*");
}

bool schema_live(const struct schema *row)
{
    return row->live || (row->flags & F_LIVE);
}

int64_t schema_max(const struct schema *row)
{
    return row->max ? row->max : row->kind == K_SIZE ? INT64_MAX : INT32_MAX;
}

static void upper(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++)
        buf_putc(out, (char)toupper((unsigned char)s.p[i]));
}

/* Go's name of the field that the first n bytes of a row's name stand for, where it is another. */
static const char *field_name(const char *name, size_t n)
{
    for (size_t i = 1; i < ARRAY_LEN(rows); i++)
        if (rows[i].field && strncmp(rows[i].name, name, n) == 0 && !rows[i].name[n])
            return rows[i].field;
    return NULL;
}

void schema_variable(const struct schema *row, struct buf *out)
{
    buf_puts(out, "REGISTRY");
    for (struct slice rest = slice_cstr(row->name); rest.p;) {
        struct slice part = slice_cut(&rest, '.');
        unsigned lists = 0;
        for (; slice_ends(part, SLICE_LIT("[]")); part.n -= 2)
            lists++;
        const char *field = field_name(row->name, (size_t)(part.p - row->name) + part.n);
        buf_putc(out, '_');
        if (slice_is(part, "*"))
            buf_puts(out, "<KEY>");
        else if (field)
            buf_puts(out, field);
        else
            upper(part, out);
        if (lists)
            buf_puts(out, "_<N>");
    }
}
