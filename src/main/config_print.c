/* SPDX-License-Identifier: Apache-2.0 */
/* Values as YAML that reads back as the same. */
#include <ctype.h>
#include <inttypes.h>

#include "base/json.h"
#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static const size_t VALIDATION_DISABLED = 1 + offsetof(struct settings, validation_disabled);

/* Can it stand without quotes, also between brackets? */
static bool plain_syntax(struct slice s)
{
    if (!s.n || (!isalnum((unsigned char)s.p[0]) && !strchr("/_.+", s.p[0])))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool last = i + 1 == s.n;
        if (ch == ':' ? last || !(isalnum((unsigned char)s.p[i + 1]) || s.p[i + 1] == '/')
                      : !isalnum(ch) && (!ch || !strchr("_./-+@=~^", ch)))
            return false;
    }
    return true;
}

/* Would YAML 1.1 or 1.2 take it for something else than a string? */
static bool looks_typed(struct slice s)
{
    static const char words[] = "|y|n|yes|no|true|false|on|off|null|.nan|.inf|+.inf|";
    char word[16] = "|";
    unsigned dots = 0;
    if (s.n < sizeof word - 3) {
        for (size_t i = 0; i < s.n; i++)
            word[i + 1] = ascii_lower(s.p[i]);
        word[s.n + 1] = '|';
        if (strstr(words, word))
            return true;
    }
    if (s.n && isalpha((unsigned char)s.p[0]))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        dots += s.p[i] == '.';
        if (!s.p[i] || !strchr("0123456789abcdefABCDEFxXoO.+-_:", s.p[i]))
            return false;
    }
    return dots < 2;
}

void yaml_quote(struct buf *out, struct slice text)
{
    if (plain_syntax(text) && !looks_typed(text))
        buf_slice(out, text);
    else
        (void)jw_quote(out, text); /* a JSON string is a YAML one */
}

static void print_string(const struct schema *row, struct slice text, struct buf *out)
{
    CLEANUP_BUF struct buf shown = {0};
    buf_init(&shown, CONFIG_BYTES_MAX + 64);
    url_print(text, row->flags & F_QUERY, &shown);
    yaml_quote(out, buf_view(&shown));
}

static void print_scalar(const struct schema *row, const struct node *n, bool mask, struct buf *out)
{
    bool text = row->kind == K_STRING || n->quoted;
    struct value v;
    char why[400];
    if (mask && (row->flags & F_SECRET) && n->text.n)
        buf_puts(out, "\"******\"");
    else if (mask && row->kind == K_STRING)
        print_string(row, n->text, out);
    else if (row->kind == K_BOOL && !value_read(row, n, &v, why, sizeof why) && !v.empty)
        buf_puts(out, v.yes ? "true" : "false"); /* y and on are text in YAML 1.2 */
    else if (!text && plain_syntax(n->text))
        buf_slice(out, n->text);
    else
        yaml_quote(out, n->text);
}

void node_print(const struct schema *row, const struct node *n, bool mask, struct buf *out)
{
    if (n->kind == NODE_NULL) {
        buf_puts(out, "null");
        return;
    }
    if (n->kind == NODE_SCALAR) {
        print_scalar(row, n, mask, out);
        return;
    }
    bool map = n->kind == NODE_MAP;
    bool first = true;
    const struct schema *element = map ? NULL : schema_element(row);
    buf_putc(out, map ? '{' : '[');
    for (unsigned i = 0; i < n->n; i++) {
        const struct schema *child = map ? schema_child(row, slice_cstr(n->v[i].key)) : element;
        if (!child) /* not known, so not in force; and nobody knows whether it is a secret */
            continue;
        buf_puts(out, first ? "" : ", ");
        first = false;
        if (map) {
            yaml_quote(out, slice_cstr(n->v[i].key));
            buf_puts(out, ": ");
        }
        node_print(child, n->v[i].node, mask, out);
    }
    buf_putc(out, map ? '}' : ']');
}

static void print_texts(const struct text_list *list, struct buf *out)
{
    buf_putc(out, '[');
    for (unsigned i = 0; i < list->n; i++) {
        buf_puts(out, i ? ", " : "");
        yaml_quote(out, slice_cstr(list->v[i]));
    }
    buf_putc(out, ']');
}

static void print_size(uint64_t n, struct buf *out)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (n && !(n & ((UINT64_C(1) << units[i].shift) - 1))) {
            buf_printf(out, "%" PRIu64 "%s", n >> units[i].shift, units[i].unit);
            return;
        }
    buf_printf(out, "%" PRIu64, n);
}

/* What the settings say, whatever way it came into them. */
static void print_bound(const struct schema *row, const void *place, bool mask, struct buf *out)
{
    switch (row->kind) {
    case K_STRING:
    case K_CHOICE:
        if (mask)
            print_string(row, slice_cstr(*(char *const *)place), out);
        else
            yaml_quote(out, slice_cstr(*(char *const *)place));
        break;
    case K_BOOL:
        buf_puts(out, *(const bool *)place ? "true" : "false");
        break;
    case K_TEXTS:
        print_texts(place, out);
        break;
    case K_SIZE:
        print_size(*(const uint64_t *)place, out);
        break;
    case K_DURATION:
        duration_print(out, *(const uint64_t *)place);
        break;
    default:
        buf_printf(out, "%" PRIu64, *(const uint64_t *)place);
    }
}

bool config_in_force(const struct config *c, const struct schema *row)
{
    static const struct {
        const char *section;
        enum auth_kind kind;
    } kinds[] = {
        {"auth.silly", AUTH_SILLY}, {"auth.htpasswd", AUTH_HTPASSWD}, {"auth.token", AUTH_TOKEN}};
    struct slice name = slice_cstr(row->name);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_starts(name, slice_cstr(kinds[i].section)))
            return c->settings.auth.kind == kinds[i].kind;
    if (slice_is(name, "http.tls.clientauth"))
        return c->settings.tls.client_cas.n > 0;
    if (slice_starts(name, SLICE_LIT("storage.filesystem")))
        return !c->settings.in_memory;
    if (slice_starts(name, SLICE_LIT("storage.inmemory")))
        return c->settings.in_memory;
    return true;
}

void value_print(const struct config *c, const struct schema *row, bool mask, struct buf *out)
{
    const struct node *n = node_find(c->root, row->name);
    struct value v;
    /* Written out, false says more than the default does. */
    if (row->at == VALIDATION_DISABLED && !c->settings.validation_disabled &&
        !c->settings.validation_strict)
        return;
    if (row->at && row->kind != K_HEADERS) {
        print_bound(row, (const char *)&c->settings + row->at - 1, mask, out);
        return;
    }
    if (schema_scalar(row)) {
        char why[400];
        struct node def = {.kind = NODE_SCALAR, .text = slice_cstr(row->def ? row->def : "")};
        bool given =
            n && n->kind == NODE_SCALAR && !value_read(row, n, &v, why, sizeof why) && !v.empty;
        if (given || def.text.n)
            print_scalar(row, given ? n : &def, mask, out);
        return;
    }
    if (n && n->kind != NODE_NULL)
        node_print(row, n, mask, out);
    else
        buf_puts(out, row->kind == K_LIST ? "[]" : "{}");
}
