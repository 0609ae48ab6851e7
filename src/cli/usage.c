/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/usage.h"

#include <ctype.h>

#include "base/util.h"

#include "base/banned.h"

static bool is_lower(struct slice s)
{
    return s.n && islower((unsigned char)s.p[0]);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static int depth_of(char c)
{
    return (c == '[' || c == '(') - (c == ']' || c == ')');
}

/* Where the bracket that s begins with is closed; s.n when it is not. */
static size_t closing(struct slice s)
{
    int depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        depth += depth_of(s.p[i]);
        if (depth == 0)
            return i;
    }
    return s.n;
}

struct slice usage_unwrap(struct slice s)
{
    s = slice_trim(s);
    if (s.n >= 2 && s.p[0] == '[' && closing(s) == s.n - 1)
        s = slice_trim(slice_first(slice_from(s, 1), s.n - 2));
    return s;
}

struct slice usage_cut(struct slice *rest)
{
    struct slice s = *rest;
    int depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        depth += depth_of(s.p[i]);
        if (depth == 0 && s.p[i] == '|' && i > 0 && is_blank(s.p[i - 1]) && i + 1 < s.n &&
            is_blank(s.p[i + 1])) {
            *rest = slice_from(s, i + 1);
            return slice_trim(slice_first(s, i));
        }
    }
    *rest = SLICE_NONE;
    return slice_trim(s);
}

struct tokens {
    struct slice rest;
    int depth;
    bool closed; /* a bracket was closed since the last token */
};

static struct slice next_token(struct tokens *t)
{
    t->closed = false;
    while (t->rest.n) {
        char c = t->rest.p[0];
        if (!is_blank(c) && depth_of(c) == 0 && !slice_starts(t->rest, SLICE_LIT("...")))
            break;
        t->depth += depth_of(c);
        t->closed = t->closed || depth_of(c) < 0;
        t->rest = slice_from(t->rest, c == '.' ? 3 : 1);
    }
    size_t n = 0;
    while (n < t->rest.n && !is_blank(t->rest.p[n]) && depth_of(t->rest.p[n]) == 0)
        n++;
    struct slice token = slice_first(t->rest, n);
    t->rest = slice_from(t->rest, n);
    if (slice_ends(token, SLICE_LIT("...")))
        token.n -= 3;
    return token;
}

static void add(struct usage_form *f, struct slice option, struct slice value, bool attached)
{
    /* "--OPTION=VALUE" stands for options that are listed elsewhere. */
    if (option.n > 2 && isupper((unsigned char)option.p[2]))
        return;
    CHECK(f->n < USAGE_ITEMS);
    f->items[f->n++] = (struct usage_item){option, value, attached};
}

static void add_option(struct usage_form *f, struct slice names, struct slice value, bool attached)
{
    while (names.p)
        add(f, slice_cut(&names, '|'), value, attached);
}

static void parse_items(struct usage_form *f, struct slice text)
{
    struct tokens t = {.rest = text};
    struct slice pending = SLICE_NONE; /* an option that may get a value */
    for (;;) {
        struct slice token = next_token(&t);
        bool is_value = pending.n && token.n && !t.closed && token.p[0] != '-' && token.p[0] != '|';
        if (pending.n)
            add_option(f, pending, is_value ? token : SLICE_LIT(""), false);
        pending = SLICE_NONE;
        if (token.n == 0)
            return;
        if (is_value || slice_is(token, "|"))
            continue;
        if (token.p[0] != '-') {
            add(f, SLICE_LIT(""), token, false);
            continue;
        }
        struct slice value = token;
        struct slice names = slice_cut(&value, '=');
        if (value.p)
            add_option(f, names, value, true);
        else
            pending = names;
    }
}

void usage_parse(const char *arguments, struct usage *out)
{
    struct slice rest = usage_unwrap(slice_cstr(arguments));
    *out = (struct usage){0};
    while (rest.n) {
        struct slice items = usage_cut(&rest);
        struct slice names = SLICE_LIT("");
        if (is_lower(items)) {
            size_t n = 0;
            while (n < items.n && !is_blank(items.p[n]))
                n++;
            names = slice_first(items, n);
            items = slice_from(items, n);
        }
        while (names.p) {
            CHECK(out->n < USAGE_FORMS);
            struct usage_form *f = &out->forms[out->n++];
            f->name = slice_cut(&names, '|');
            parse_items(f, items);
        }
    }
}

bool usage_is_file(struct slice value)
{
    static const char *const files[] = {"FILE", "CONFIG", "DIR", "DIRECTORY", "PATH"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (slice_is(value, files[i]))
            return true;
    return false;
}

bool usage_is_choice(struct slice value)
{
    return is_lower(value) && memchr(value.p, '|', value.n) != NULL;
}

/* The text after the names and the value of an option: what follows two blanks. */
static struct slice after_names(struct slice line)
{
    for (size_t i = 0; i + 2 < line.n; i++)
        if (line.p[i] == ' ' && line.p[i + 1] == ' ')
            return slice_trim(slice_from(line, i));
    return SLICE_LIT("");
}

struct slice usage_describe(const char *help, struct slice option)
{
    struct slice rest = slice_cstr(help);
    while (rest.n) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));
        struct slice names = line;
        names.n -= after_names(line).n;
        if (line.n == 0 || line.p[0] != '-')
            continue;
        while (names.n) {
            struct slice name = slice_cut(&names, ' ');
            size_t n = 0;
            while (n < name.n && name.p[n] != '=' && name.p[n] != ',')
                n++;
            if (slice_eq(slice_first(name, n), option))
                return after_names(line);
        }
    }
    return SLICE_LIT("");
}
