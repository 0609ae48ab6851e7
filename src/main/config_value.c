/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars: what YAML 1.1 and Go make of a text, with the row's bounds. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static bool is_one_of(struct slice text, const char *words)
{
    for (struct slice rest = slice_cstr(words); rest.p;)
        if (slice_eq(slice_cut(&rest, '|'), text))
            return true;
    return false;
}

bool text_is_null(struct slice text)
{
    return text.n == 0 || is_one_of(text, "~|null|Null|NULL");
}

bool text_printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

struct slice text_shown(struct slice text)
{
    return text.n && memchr(text.p, '@', text.n) ? SLICE_LIT("******") : text;
}

/* go-yaml puts a float into an integer, and cuts it: 1e3, 1000.0, and 089, which is no octal
 * number. Taken here is what is whole by itself. */
static int parse_whole_float(struct slice s, int64_t *out)
{
    static const double most = 9007199254740992.0; /* up to it a double has every whole number */
    char copy[40];
    char *end;
    if (!s.n || s.n >= sizeof copy)
        return -1;
    for (size_t i = 0; i < s.n; i++)
        if (!isdigit((unsigned char)s.p[i]) && !strchr("+-.eE", s.p[i]))
            return -1;
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    double v = strtod(copy, &end);
    if (end == copy || *end || v > most || v < -most)
        return -1;
    int64_t whole = (int64_t)v;
    if (v > (double)whole || v < (double)whole)
        return -1;
    *out = whole;
    return 0;
}

/* go-yaml's integers: decimal, 0x, 0b, a leading 0 for octal, underscores, a sign. */
static int parse_digits(struct slice s, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = slice_from(s, 1);
    unsigned base = 10;
    if (slice_starts(s, SLICE_LIT("0x")) || slice_starts(s, SLICE_LIT("0X")))
        base = 16;
    else if (slice_starts(s, SLICE_LIT("0b")))
        base = 2;
    else if (s.n > 1 && s.p[0] == '0')
        base = 8;
    s = slice_from(s, base == 16 || base == 2 ? 2 : slice_starts(s, SLICE_LIT("0o")) ? 2 : 0);
    uint64_t total = 0;
    size_t digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        unsigned d = c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
        if (c == '_' && digits)
            continue;
        if (d >= base || __builtin_mul_overflow(total, base, &total) || u64_add(total, d, &total) ||
            total > INT64_MAX)
            return -1;
        digits++;
    }
    if (!digits)
        return -1;
    *out = minus ? -(int64_t)total : (int64_t)total;
    return 0;
}

static int parse_integer(struct slice s, int64_t *out)
{
    return parse_digits(s, out) ? parse_whole_float(s, out) : 0;
}

static size_t digits_of(struct slice s)
{
    size_t n = 0;
    while (n < s.n && isdigit((unsigned char)s.p[n]))
        n++;
    return n;
}

/* Cuts a unit from the front of *s: its nanoseconds, or 0. */
static uint64_t cut_unit(struct slice *s)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ns", 1},       {"us", 1000},       {"\302\265s", 1000}, {"\316\274s", 1000},
                 {"ms", 1000000}, {"s", 1000000000u}, {"m", 60000000000u}, {"h", 3600000000000u}};
    size_t n = 0;
    while (n < s->n && s->p[n] != '.' && !isdigit((unsigned char)s->p[n]))
        n++;
    struct slice unit = slice_first(*s, n);
    *s = slice_from(*s, n);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (slice_is(unit, units[i].unit))
            return units[i].ns;
    return 0;
}

/* The digits after the point as a part of `unit`, rounded down. */
static uint64_t fraction(struct slice digits, uint64_t unit)
{
    double part = 0;
    double scale = 1;
    for (size_t i = 0; i < digits.n && i < 18; i++) {
        part = part * 10 + (digits.p[i] - '0');
        scale *= 10;
    }
    return (uint64_t)(part * ((double)unit / scale));
}

int duration_parse(struct slice s, uint64_t *nanoseconds)
{
    uint64_t total = 0;
    if (slice_is(s, "0")) {
        *nanoseconds = 0;
        return 0;
    }
    if (!s.n)
        return -1;
    while (s.n) {
        size_t whole = digits_of(s);
        uint64_t v = 0;
        if (whole && parse_u63(slice_first(s, whole), &v))
            return -1;
        s = slice_from(s, whole);
        struct slice part = SLICE_NONE;
        if (s.n && s.p[0] == '.') {
            s = slice_from(s, 1);
            part = slice_first(s, digits_of(s));
            s = slice_from(s, part.n);
        }
        if (!whole && !part.n)
            return -1;
        uint64_t unit = cut_unit(&s);
        if (!unit || __builtin_mul_overflow(v, unit, &v) || u64_add(v, fraction(part, unit), &v) ||
            u64_add(total, v, &total) || total > INT64_MAX)
            return -1;
    }
    *nanoseconds = total;
    return 0;
}

void duration_print(struct buf *out, uint64_t ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (!ms)
        buf_puts(out, "0");
    for (size_t i = 0; ms && i < ARRAY_LEN(units); i++) {
        if (ms >= units[i].ms)
            buf_printf(out, "%" PRIu64 "%s", ms / units[i].ms, units[i].unit);
        ms %= units[i].ms;
    }
}

static int parse_size(struct slice s, int64_t *out)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t v;
        if (!slice_ends(s, slice_cstr(units[i].unit)))
            continue;
        if (parse_u63(slice_first(s, s.n - 3), &v) || v > (uint64_t)INT64_MAX >> units[i].shift)
            return -1;
        *out = (int64_t)(v << units[i].shift);
        return 0;
    }
    return parse_integer(s, out) || *out < 0 ? -1 : 0;
}

static int read_bool(struct slice text, struct value *out)
{
    out->yes = is_one_of(text, "y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON");
    return out->yes || is_one_of(text, "n|N|no|No|NO|false|False|FALSE|off|Off|OFF") ? 0 : -1;
}

static int read_choice(const struct schema *row, struct value *out)
{
    for (struct slice rest = slice_cstr(row->unit); rest.p;) {
        struct slice word = slice_cut(&rest, '|');
        if (slice_eq(word, out->text) ||
            ((row->flags & F_CASELESS) && slice_ieq(word, out->text))) {
            out->text = word;
            return 0;
        }
    }
    return -1;
}

static int read_number(const struct schema *row, struct value *out, char *why, size_t size)
{
    struct slice shown = slice_first(text_shown(out->text), 80);
    int64_t v;
    if (row->kind == K_SIZE ? parse_size(out->text, &v) : parse_integer(out->text, &v)) {
        (void)snprintf(why, size, "\"%.*s\" is not a %s", SLICE_ARG(shown),
                       row->kind == K_SIZE ? "size such as 4096, 64MiB or 1GiB" : "whole number");
        return -1;
    }
    if (v < row->min || v > schema_max(row)) {
        (void)snprintf(why, size, "%.*s is out of range: it takes %" PRId64 " to %" PRId64,
                       SLICE_ARG(shown), row->min, schema_max(row));
        return -1;
    }
    out->number = v;
    return 0;
}

static int read_duration(const struct schema *row, const struct node *n, struct value *out,
                         char *why, size_t size)
{
    struct slice shown = slice_first(text_shown(out->text), 80);
    uint64_t ns;
    int64_t bare;
    bool integer = !n->quoted && !parse_integer(out->text, &bare) && bare >= 0;
    if (integer && (row->flags & F_UNIT)) {
        (void)snprintf(why, size, "%.*s has no unit: 10s, 1h30m or 168h are durations",
                       SLICE_ARG(shown));
        return -1;
    }
    if (integer) {
        ns = (uint64_t)bare;
        out->nanoseconds = bare != 0;
    } else if (duration_parse(out->text, &ns)) {
        (void)snprintf(why, size, "\"%.*s\" is not a duration such as 10s, 1h30m or 250ms",
                       SLICE_ARG(shown));
        return -1;
    }
    out->number = (int64_t)(ns / 1000000 + (ns % 1000000 != 0));
    if (out->number >= row->min)
        return 0;
    if (out->nanoseconds)
        (void)snprintf(why, size,
                       "%.*s is a duration of so many nanoseconds, as in registry, and too short: "
                       "%.*ss was probably meant, %" PRId64 "ms is the least",
                       SLICE_ARG(shown), SLICE_ARG(shown), row->min);
    else
        (void)snprintf(why, size, "the duration %.*s is too short: %" PRId64 "ms is the least",
                       SLICE_ARG(shown), row->min);
    return -1;
}

int value_read(const struct schema *row, const struct node *n, struct value *out, char *why,
               size_t size)
{
    *out = (struct value){.text = n->kind == NODE_SCALAR ? n->text : SLICE_LIT("")};
    /* A null string is empty, as Go's zero value; anything else that is null is as good as not
     * there. */
    out->empty =
        n->kind == NODE_NULL ? row->kind != K_STRING : row->kind == K_CHOICE && out->text.n == 0;
    if (out->empty)
        return 0;
    switch (row->kind) {
    case K_BOOL:
        if (!read_bool(out->text, out))
            return 0;
        (void)snprintf(why, size, "\"%.*s\" is neither true nor false",
                       SLICE_ARG(slice_first(text_shown(out->text), 80)));
        return -1;
    case K_COUNT:
    case K_SIZE:
        return read_number(row, out, why, size);
    case K_DURATION:
        return read_duration(row, n, out, why, size);
    case K_CHOICE:
        if (!read_choice(row, out))
            return 0;
        (void)snprintf(why, size, "\"%.*s\" is not one of %s",
                       SLICE_ARG(slice_first(text_shown(out->text), 80)), row->unit);
        return -1;
    default:
        return 0;
    }
}

/* ---- forms of strings ---- */

int address_check(struct slice address, const char **why)
{
    if (slice_starts(address, SLICE_LIT("unix:"))) {
        *why = "unix: is followed by the path of the socket";
        return address.n > 5 && text_printable(address) ? 0 : -1;
    }
    const char *colon = address.n ? memrchr(address.p, ':', address.n) : NULL;
    *why = "an address has no scheme: host:port, [v6]:port, :port, or unix:/path";
    if (address.n && memmem(address.p, address.n, "://", 3))
        return -1;
    *why = "an address is host:port, [v6]:port, :port, or unix:/path";
    if (!colon || !address.p)
        return -1;
    struct slice host = slice_first(address, (size_t)(colon - address.p));
    struct slice port = slice_from(address, host.n + 1);
    bool brackets = host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (!brackets && memchr(host.p, ':', host.n)) {
        *why = "an IPv6 address is put in brackets: [::1]:5000";
        return -1;
    }
    if (!text_printable(host) || memchr(host.p, ' ', host.n) || memchr(host.p, '/', host.n))
        return -1;
    uint64_t number;
    *why = "the port is a number from 0 to 65535";
    return port.n > 5 || parse_u63(port, &number) || number > 65535 ? -1 : 0;
}

int url_check(struct slice url, const char **why)
{
    struct slice rest = url;
    *why = "a URL begins with http:// or https://";
    if (slice_starts(url, SLICE_LIT("https://")))
        rest = slice_from(url, 8);
    else if (slice_starts(url, SLICE_LIT("http://")))
        rest = slice_from(url, 7);
    else
        return -1;
    *why = "there is no host in this URL";
    struct slice path = rest;
    struct slice authority = slice_cut(&path, '/');
    if (!authority.n || authority.p[0] == ':' || authority.p[0] == '?' || authority.p[0] == '#')
        return -1;
    *why = "there are blanks or control characters in this URL";
    return text_printable(url) && !memchr(url.p, ' ', url.n) ? 0 : -1;
}

static size_t find_first(struct slice s, size_t from, const char *set)
{
    while (from < s.n && !strchr(set, s.p[from]))
        from++;
    return from;
}

void url_print(struct slice text, bool query, struct buf *out)
{
    static const char hidden[] = "******";
    const char *scheme = text.n ? memmem(text.p, text.n, "://", 3) : NULL;
    if (!scheme) {
        buf_slice(out, text);
        return;
    }
    size_t from = (size_t)(scheme - text.p) + 3;
    size_t end = find_first(text, from, "/?#");
    const char *at = memrchr(text.p + from, '@', end - from);
    size_t mark = find_first(text, end, "?");
    buf_slice(out, slice_first(text, from));
    if (at)
        buf_puts(out, hidden);
    from = at ? (size_t)(at - text.p) : from;
    if (query && mark + 1 < text.n) {
        buf_slice(out, slice_make(text.p + from, mark + 1 - from));
        buf_puts(out, hidden);
    } else {
        buf_slice(out, slice_from(text, from));
    }
}
