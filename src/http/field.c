/* SPDX-License-Identifier: Apache-2.0 */
#include "http/field.h"

#include "base/util.h"
#include "http/chars.h"

#include "base/banned.h"

/* ---- Ranges ---------------------------------------------------------------------------------- */

/* Takes 1*DIGIT from the front of *s. A number over INT64_MAX becomes INT64_MAX, which is past the
 * end of everything. False without a digit. */
static bool take_number(struct slice *s, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(s->p[i] - '0');
        v = v > (INT64_MAX - digit) / 10 ? INT64_MAX : v * 10 + digit;
    }
    *s = slice_from(*s, i);
    *out = v;
    return i > 0;
}

static enum range_result suffix_range(struct slice s, uint64_t size, uint64_t *first,
                                      uint64_t *length)
{
    uint64_t n;
    if (!take_number(&s, &n) || s.n > 0)
        return RANGE_NONE;
    if (n == 0)
        return RANGE_BAD;
    if (size == 0) /* satisfiable (RFC 9110 14.1.2), but Content-Range cannot say so */
        return RANGE_NONE;
    *length = MIN(n, size);
    *first = size - *length;
    return RANGE_ONE;
}

enum range_result http_range(struct slice value, uint64_t size, uint64_t *first, uint64_t *length)
{
    const struct slice unit = SLICE_LIT("bytes=");
    value = slice_trim(value);
    if (!slice_ieq(slice_first(value, unit.n), unit))
        return RANGE_NONE;
    struct slice s = slice_from(value, unit.n);
    if (s.n > 0 && s.p[0] == '-')
        return suffix_range(slice_from(s, 1), size, first, length);
    uint64_t from, to = INT64_MAX;
    if (!take_number(&s, &from) || s.n == 0 || s.p[0] != '-')
        return RANGE_NONE;
    s = slice_from(s, 1);
    if (s.n > 0 && !take_number(&s, &to))
        return RANGE_NONE;
    if (s.n > 0)
        return RANGE_NONE;
    if (to < from || from >= size)
        return RANGE_BAD;
    *first = from;
    *length = MIN(to, size - 1) - from + 1;
    return RANGE_ONE;
}

/* a-b with both bounds; nothing but digits. */
static int parse_bounds(struct slice s, uint64_t *first, uint64_t *last)
{
    struct slice a = slice_cut(&s, '-');
    uint64_t from, to;
    if (parse_u63(a, &from) || parse_u63(s, &to) || to < from)
        return -1;
    *first = from;
    *last = to;
    return 0;
}

int http_upload_range(struct slice value, uint64_t *first, uint64_t *last, struct error *err)
{
    const struct slice unit = SLICE_LIT("bytes ");
    struct slice s = slice_trim(value);
    struct slice total = SLICE_LIT("*");
    if (slice_ieq(slice_first(s, unit.n), unit)) {
        struct slice bounds = slice_from(s, unit.n);
        s = slice_cut(&bounds, '/');
        total = bounds;
    }
    uint64_t a, b, size;
    bool ok = parse_bounds(s, &a, &b) == 0;
    if (ok && !slice_is(total, "*"))
        ok = parse_u63(total, &size) == 0 && b < size;
    if (!ok)
        return error_detail(err, ERR_RANGE_INVALID,
                            "Content-Range must be <first>-<last>, two decimal numbers, both "
                            "inclusive, last not below first");
    *first = a;
    *last = b;
    return 0;
}

/* ---- Entity tags ----------------------------------------------------------------------------- */

bool http_etag_match(struct slice value, struct slice etag, bool weak_ok)
{
    struct slice rest = slice_trim(value);
    if (slice_is(rest, "*"))
        return true;
    while (rest.n > 0) {
        bool weak = slice_starts(rest, SLICE_LIT("W/\""));
        struct slice quoted = weak ? slice_from(rest, 2) : rest;
        struct slice tag = SLICE_NONE;
        if (quoted.p[0] == '"') {
            /* The quotes protect commas; what stands between the closing quote and the next comma
             * makes the member malformed. */
            struct slice after = slice_from(quoted, 1);
            tag = slice_cut(&after, '"');
            if (!after.p)
                return false;
            struct slice junk = slice_trim(slice_cut(&after, ','));
            rest = slice_trim(after);
            if (junk.n > 0 || (weak && !weak_ok))
                continue;
            if (slice_eq(tag, etag))
                return true;
            continue;
        }
        tag = slice_trim(slice_cut(&rest, ','));
        rest = slice_trim(rest);
        if (tag.n > 0 && slice_eq(tag, etag))
            return true;
    }
    return false;
}

/* ---- Queries --------------------------------------------------------------------------------- */

/* Decodes one character at s->p[0], s->n > 0, and moves on. -1 for a malformed escape. */
static int decode_one(struct slice *s)
{
    char c = s->p[0];
    if (c == '%') {
        if (s->n < 3 || !http_is(s->p[1], CHAR_HEX) || !http_is(s->p[2], CHAR_HEX))
            return -1;
        int v = (int)(http_hex(s->p[1]) << 4 | http_hex(s->p[2]));
        *s = slice_from(*s, 3);
        return v;
    }
    *s = slice_from(*s, 1);
    return c == '+' ? ' ' : (unsigned char)c;
}

static bool name_is(struct slice raw, const char *name)
{
    for (; raw.n > 0 && *name; name++)
        if (decode_one(&raw) != (unsigned char)*name)
            return false;
    return raw.n == 0 && !*name;
}

static int decode_value(struct slice raw, struct arena *a, struct slice *out)
{
    char *p = arena_alloc(a, raw.n + 1);
    size_t n = 0;
    while (raw.n > 0) {
        int c = decode_one(&raw);
        if (c <= 0)
            return -1;
        p[n++] = (char)c;
    }
    *out = slice_make(p, n);
    return 0;
}

bool http_query_nth(struct slice query, const char *name, unsigned k, struct arena *a,
                    struct slice *out, bool *bad)
{
    if (bad)
        *bad = false;
    while (query.p) {
        struct slice value = slice_cut(&query, '&');
        struct slice raw_name = slice_cut(&value, '=');
        if (raw_name.n == 0 || !name_is(raw_name, name) || k-- > 0)
            continue;
        if (decode_value(value, a, out) == 0)
            return true;
        if (bad)
            *bad = true;
        return false;
    }
    return false;
}

bool http_query_get(struct slice query, const char *name, struct arena *a, struct slice *out,
                    bool *bad)
{
    return http_query_nth(query, name, 0, a, out, bad);
}

int http_query_encode(struct buf *out, struct slice s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (http_is(s.p[i], CHAR_HOST)) {
            if (buf_putc(out, s.p[i]))
                return -1;
            continue;
        }
        const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        if (buf_add(out, escape, sizeof escape))
            return -1;
    }
    return 0;
}
