/* SPDX-License-Identifier: Apache-2.0 */
/* A compiler of one pass: what it emits for a part of an expression is a block of steps whose jumps
 * are relative and stay inside, and which is left at its end; so blocks can be copied (x{3}) and
 * moved (x*, x|y). Syntax: pkg.go.dev/regexp/syntax. */
#include "registry/pattern_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum { SETS_MAX = 512, DEPTH_MAX = 64, REPEAT_MAX = 1000 };

/* ---- sets ---- */

static void set_add(struct byte_set *s, unsigned first, unsigned last)
{
    for (unsigned c = first; c <= last; c++)
        s->bits[c / 64] |= UINT64_C(1) << (c % 64);
}

static void set_join(struct byte_set *s, const struct byte_set *other, bool inverted)
{
    for (size_t i = 0; i < ARRAY_LEN(s->bits); i++)
        s->bits[i] |= inverted ? ~other->bits[i] : other->bits[i];
}

static void set_fold(struct byte_set *s)
{
    for (unsigned c = 'a'; c <= 'z'; c++) {
        unsigned upper = c - 'a' + 'A';
        if (set_has(s, c) || set_has(s, upper)) {
            set_add(s, c, c);
            set_add(s, upper, upper);
        }
    }
}

static const struct {
    const char *name;
    const char *ranges; /* pairs: first, last */
} classes[] = {
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"ascii", "\x01\x7f"},
    {"blank", "\t\t  "},
    {"cntrl", "\x01\x1f\x7f\x7f"},
    {"digit", "09"},
    {"graph", "!~"},
    {"lower", "az"},
    {"print", " ~"},
    {"punct", "!/:@[`{~"},
    {"space", "\t\r  "},
    {"upper", "AZ"},
    {"word", "09AZaz__"},
    {"xdigit", "09AFaf"},
};

static void set_ranges(struct byte_set *s, const char *ranges)
{
    for (; *ranges; ranges += 2)
        set_add(s, (unsigned char)ranges[0], (unsigned char)ranges[1]);
}

/* \d \w \s and their opposites. */
static bool set_perl(struct byte_set *s, char letter)
{
    struct byte_set class = {0};
    char lower = ascii_lower(letter);
    const char *ranges = lower == 'd' ? "09" : lower == 'w' ? "09AZaz__" : "\t\n\f\r  ";
    if (lower != 'd' && lower != 'w' && lower != 's')
        return false;
    set_ranges(&class, ranges);
    set_join(s, &class, letter != lower);
    return true;
}

/* ---- the compiler ---- */

struct compiler {
    struct slice text;
    size_t at;
    struct pattern *p;
    unsigned depth;
    bool fold; /* (?i) */
    struct error *err;
};

static int refuse(struct compiler *c, const char *why)
{
    return error_detail(c->err, ERR_BAD_REQUEST,
                        "the regular expression \"%.*s\" cannot be used: at byte %zu: %s",
                        SLICE_ARG(slice_first(c->text, 160)), c->at, why);
}

static bool more(const struct compiler *c)
{
    return c->at < c->text.n;
}

static char peek(const struct compiler *c)
{
    return more(c) ? c->text.p[c->at] : '\0';
}

static bool take(struct compiler *c, const char *what)
{
    if (!slice_starts(slice_from(c->text, c->at), slice_cstr(what)))
        return false;
    c->at += strlen(what);
    return true;
}

static int emit(struct compiler *c, enum step_kind kind, int arg)
{
    if (c->p->n >= PATTERN_STEPS_MAX)
        return refuse(c, "it is too large with all its repetitions");
    c->p->steps[c->p->n++] = (struct pattern_step){(uint8_t)kind, (int16_t)arg};
    return 0;
}

/* A step in front of the block that begins at `at`. */
static int insert(struct compiler *c, unsigned at, enum step_kind kind, int arg)
{
    if (emit(c, kind, arg))
        return -1;
    struct pattern_step *s = c->p->steps;
    memmove(s + at + 1, s + at, (c->p->n - 1 - at) * sizeof *s);
    s[at] = (struct pattern_step){(uint8_t)kind, (int16_t)arg};
    return 0;
}

static int emit_set(struct compiler *c, struct byte_set *s)
{
    struct pattern *p = c->p;
    unsigned i = 0;
    if (c->fold)
        set_fold(s);
    while (i < p->n_sets && memcmp(&p->sets[i], s, sizeof *s) != 0)
        i++;
    if (i == SETS_MAX)
        return refuse(c, "it has too many different sets of characters");
    if (i == p->n_sets)
        p->sets[p->n_sets++] = *s;
    return emit(c, STEP_SET, (int)i);
}

static int emit_byte(struct compiler *c, unsigned byte)
{
    struct byte_set s = {0};
    set_add(&s, byte, byte);
    return emit_set(c, &s);
}

static int hex_value(char ch)
{
    char l = ascii_lower(ch);
    return l >= '0' && l <= '9' ? l - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* After \x: two digits, or any number in braces. */
static int parse_hex(struct compiler *c, unsigned *out)
{
    unsigned v = 0;
    unsigned n = 0;
    bool braces = take(c, "{");
    while (hex_value(peek(c)) >= 0 && (braces || n < 2) && v < 0x110000) {
        v = v * 16 + (unsigned)hex_value(peek(c));
        c->at++;
        n++;
    }
    if (n == 0 || (!braces && n < 2) || (braces && !take(c, "}")))
        return refuse(c, "\\x is followed by two hexadecimal digits, or by some in braces");
    if (v >= ASCII)
        return refuse(c, "characters outside ASCII do not occur in a URL");
    *out = v;
    return 0;
}

/* After a backslash: an escape that stands for one character. */
static int parse_escape(struct compiler *c, unsigned *out)
{
    static const char letters[] = "a\af\ft\tn\nr\rv\v";
    char ch = peek(c);
    if (ch == '\0')
        return refuse(c, "a backslash at the end");
    c->at++;
    for (const char *l = letters; *l; l += 2) {
        if (ch == l[0]) {
            *out = (unsigned char)l[1];
            return 0;
        }
    }
    if (ch == 'x')
        return parse_hex(c, out);
    bool octal = ch == '0' || (ch >= '1' && ch <= '7' && peek(c) >= '0' && peek(c) <= '7');
    if (octal) {
        unsigned v = (unsigned)(ch - '0');
        for (int i = 0; i < 2 && peek(c) >= '0' && peek(c) <= '7'; i++)
            v = v * 8 + (unsigned)(c->text.p[c->at++] - '0');
        if (v >= ASCII)
            return refuse(c, "characters outside ASCII do not occur in a URL");
        *out = v;
        return 0;
    }
    bool alnum = (ch >= '0' && ch <= '9') || (ascii_lower(ch) >= 'a' && ascii_lower(ch) <= 'z');
    if (alnum) {
        c->at--;
        return refuse(c, "this escape is not known, or not supported here");
    }
    *out = (unsigned char)ch;
    return 0;
}

/* ---- [...] ---- */

static int parse_named(struct compiler *c, struct byte_set *s)
{
    bool inverted = take(c, "^");
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        struct byte_set class = {0};
        size_t at = c->at;
        if (!take(c, classes[i].name) || !take(c, ":]")) {
            c->at = at;
            continue;
        }
        set_ranges(&class, classes[i].ranges);
        set_join(s, &class, inverted);
        return 0;
    }
    return refuse(c, "no such class of characters");
}

static int parse_member(struct compiler *c, unsigned *out)
{
    if (take(c, "\\"))
        return parse_escape(c, out);
    *out = (unsigned char)peek(c);
    c->at++;
    return 0;
}

static int parse_range(struct compiler *c, struct byte_set *s)
{
    unsigned first;
    unsigned last;
    if (parse_member(c, &first))
        return -1;
    last = first;
    struct slice rest = slice_from(c->text, c->at);
    if (rest.p && rest.n >= 2 && rest.p[0] == '-' && rest.p[1] != ']') {
        c->at++;
        if (parse_member(c, &last))
            return -1;
    }
    if (last < first)
        return refuse(c, "a range of characters runs backwards");
    set_add(s, first, last);
    return 0;
}

/* After the opening bracket. */
static int parse_set(struct compiler *c)
{
    struct byte_set s = {0};
    struct byte_set out = {0};
    bool inverted = take(c, "^");
    for (bool first = true;; first = false) {
        struct slice rest = slice_from(c->text, c->at);
        if (rest.n == 0)
            return refuse(c, "a [ is not closed");
        if (!first && take(c, "]"))
            break;
        if (take(c, "[:")) {
            if (parse_named(c, &s))
                return -1;
        } else if (rest.n >= 2 && rest.p[0] == '\\' && set_perl(&s, rest.p[1])) {
            c->at += 2;
        } else if (parse_range(c, &s)) {
            return -1;
        }
    }
    if (c->fold)
        set_fold(&s);
    set_join(&out, &s, inverted);
    return emit_set(c, &out);
}

/* ---- atoms ---- */

static int parse_either(struct compiler *c);

/* After `(?`: a name, which does not matter, or flags. *group: a group follows, until its `)`. */
static int parse_flags(struct compiler *c, bool *group)
{
    bool on = true;
    *group = true;
    if (take(c, "P<") || (peek(c) == '<' && take(c, "<"))) {
        size_t start = c->at;
        while (more(c) && (peek(c) == '_' || hex_value(peek(c)) >= 0 ||
                           (ascii_lower(peek(c)) >= 'g' && ascii_lower(peek(c)) <= 'z')))
            c->at++;
        return c->at > start && take(c, ">") ? 0 : refuse(c, "a group has no proper name");
    }
    for (;; c->at++) {
        switch (peek(c)) {
        case 'i':
            c->fold = on;
            break;
        case 'm': /* a URL is one line, */
        case 's':
        case 'U': /* and whether it matches does not depend on who is greedy */
            break;
        case '-':
            if (!on)
                return refuse(c, "a flag is not known");
            on = false;
            break;
        case ':':
        case ')':
            *group = peek(c) == ':';
            c->at++;
            return 0;
        default:
            return refuse(c, "this kind of group is not known: Go has neither look-around nor "
                             "back references");
        }
    }
}

/* After the opening parenthesis. *only_flags: that was all, and there is nothing to repeat. */
static int parse_group(struct compiler *c, bool *only_flags)
{
    bool fold = c->fold;
    bool group = true;
    if (take(c, "?") && parse_flags(c, &group))
        return -1;
    *only_flags = !group;
    if (!group)
        return 0; /* the flags hold until the group around ends */
    if (++c->depth > DEPTH_MAX)
        return refuse(c, "too many groups inside each other");
    if (parse_either(c))
        return -1;
    c->depth--;
    if (!take(c, ")"))
        return refuse(c, "a ( is not closed");
    c->fold = fold;
    return 0;
}

/* \Q...\E: every character is itself; only the last one can be repeated. */
static int parse_quoted(struct compiler *c, unsigned *start)
{
    while (more(c) && !take(c, "\\E")) {
        *start = c->p->n;
        if (emit_byte(c, (unsigned char)c->text.p[c->at++]))
            return -1;
    }
    return 0;
}

static int parse_backslash(struct compiler *c, unsigned *start)
{
    static const struct {
        char letter;
        enum step_kind kind;
    } anchors[] = {{'A', STEP_BEGIN}, {'z', STEP_END}, {'b', STEP_WORD}, {'B', STEP_NOT_WORD}};
    char ch = peek(c);
    unsigned byte;
    struct byte_set s = {0};
    for (size_t i = 0; i < ARRAY_LEN(anchors); i++) {
        if (ch == anchors[i].letter) {
            c->at++;
            return emit(c, anchors[i].kind, 0);
        }
    }
    if (take(c, "Q"))
        return parse_quoted(c, start);
    if (set_perl(&s, ch)) {
        c->at++;
        return emit_set(c, &s);
    }
    return parse_escape(c, &byte) ? -1 : emit_byte(c, byte);
}

/* *start is where the block of what can be repeated begins. */
static int parse_atom(struct compiler *c, unsigned *start, bool *only_flags)
{
    char ch = c->text.p[c->at++];
    struct byte_set s = {0};
    switch (ch) {
    case '(':
        return parse_group(c, only_flags);
    case '[':
        return parse_set(c);
    case '\\':
        return parse_backslash(c, start);
    case '.':
        set_add(&s, 0, ASCII - 1);
        return emit_set(c, &s);
    case '^':
        return emit(c, STEP_BEGIN, 0);
    case '$':
        return emit(c, STEP_END, 0);
    default:
        return emit_byte(c, (unsigned char)ch);
    }
}

/* ---- repetitions ---- */

enum { NO_LIMIT = -1 };

static bool parse_number(struct compiler *c, int *out)
{
    int v = 0;
    size_t start = c->at;
    for (; peek(c) >= '0' && peek(c) <= '9'; c->at++)
        v = MIN(v * 10 + (peek(c) - '0'), REPEAT_MAX + 1);
    *out = v;
    return c->at > start;
}

/* {n}, {n,} or {n,m}; anything else that begins with a brace is only text. */
static bool parse_braces(struct compiler *c, int *min, int *max)
{
    size_t at = c->at;
    if (take(c, "{") && parse_number(c, min)) {
        *max = *min;
        if (take(c, ",") && !parse_number(c, max))
            *max = NO_LIMIT;
        if (take(c, "}"))
            return true;
    }
    c->at = at;
    return false;
}

static bool parse_operator(struct compiler *c, int *min, int *max)
{
    bool got = true;
    *max = NO_LIMIT;
    if (take(c, "*"))
        *min = 0;
    else if (take(c, "+"))
        *min = 1;
    else if (take(c, "?"))
        *min = 0, *max = 1;
    else
        got = parse_braces(c, min, max);
    if (got)
        (void)take(c, "?"); /* the shortest match first: the same matches */
    return got;
}

static int emit_copy(struct compiler *c, const struct pattern_step *block, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (emit(c, (enum step_kind)block[i].kind, block[i].arg))
            return -1;
    return 0;
}

/* Copies of the block at the end of the program, which are taken off it first. */
static int emit_copies(struct compiler *c, const struct pattern_step *block, unsigned n, int min,
                       int max)
{
    int size = (int)n;
    for (int i = 0; i < min; i++)
        if (emit_copy(c, block, n))
            return -1;
    if (max == NO_LIMIT)
        return emit(c, STEP_SPLIT, size + 2) || emit_copy(c, block, n) ||
                       emit(c, STEP_JUMP, -size - 1)
                   ? -1
                   : 0;
    for (int i = min; i < max; i++) /* each one, or all the rest is left out */
        if (emit(c, STEP_SPLIT, (max - i) * (size + 1)) || emit_copy(c, block, n))
            return -1;
    return 0;
}

static int nothing_to_repeat(struct compiler *c)
{
    size_t at = c->at;
    int ignored;
    if (!parse_operator(c, &ignored, &ignored))
        return 0;
    c->at = at;
    return refuse(c, "there is nothing here to repeat; a repetition of a repetition has its inner "
                     "part in a group");
}

static int parse_repetition(struct compiler *c, unsigned start)
{
    int min;
    int max;
    if (!parse_operator(c, &min, &max))
        return 0;
    if (min > REPEAT_MAX || max > REPEAT_MAX || (max != NO_LIMIT && max < min))
        return refuse(c, "a count of repetitions is above 1000, or runs backwards");
    unsigned n = c->p->n - start;
    CLEANUP_FREE struct pattern_step *block = xcalloc(n + 1, sizeof *block);
    memcpy(block, c->p->steps + start, n * sizeof *block);
    c->p->n = start;
    return emit_copies(c, block, n, min, max);
}

static int parse_row(struct compiler *c)
{
    while (more(c) && peek(c) != '|' && peek(c) != ')') {
        unsigned start = c->p->n;
        bool only_flags = false;
        if (nothing_to_repeat(c) || parse_atom(c, &start, &only_flags) ||
            (!only_flags && parse_repetition(c, start)))
            return -1;
    }
    return 0;
}

static int parse_either(struct compiler *c)
{
    unsigned start = c->p->n;
    if (parse_row(c))
        return -1;
    while (take(c, "|")) {
        int left = (int)(c->p->n - start);
        if (insert(c, start, STEP_SPLIT, left + 2) || emit(c, STEP_JUMP, 0))
            return -1;
        unsigned jump = c->p->n - 1;
        if (parse_row(c))
            return -1;
        c->p->steps[jump].arg = (int16_t)(c->p->n - jump);
    }
    return 0;
}

static int compile(struct compiler *c)
{
    for (size_t i = 0; i < c->text.n; i++) {
        c->at = i;
        if ((unsigned char)c->text.p[i] >= ASCII || c->text.p[i] == '\0')
            return refuse(c, "characters outside ASCII do not occur in a URL: percent-encode them");
    }
    c->at = 0;
    if (c->text.n > PATTERN_TEXT_MAX)
        return refuse(c, "it is longer than 2048 bytes");
    if (parse_either(c))
        return -1;
    if (more(c))
        return refuse(c, "a ) without its (");
    c->p->steps[c->p->n++].kind = STEP_MATCH; /* there is always room for this one */
    return 0;
}

int pattern_new(struct slice expression, struct pattern **out, struct error *err)
{
    struct pattern *p = xcalloc(1, sizeof *p);
    p->sets = xcalloc(SETS_MAX, sizeof *p->sets);
    struct compiler c = {.text = expression, .p = p, .err = err};
    if (compile(&c)) {
        pattern_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void pattern_free(struct pattern *p)
{
    if (!p)
        return;
    free(p->sets);
    free(p);
}
