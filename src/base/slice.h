/* SPDX-License-Identifier: Apache-2.0 */
/* A slice is a borrowed pointer and a length in bytes, passed by value. It is not NUL-terminated
 * and may hold any byte. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE_LIT(lit) ((struct slice){(lit), sizeof(lit) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* For printf-like functions: "%.*s", SLICE_ARG(s). Clamped so that the int cannot overflow. */
#define SLICE_ARG(s) ((int)((s).n > 0x7fffffff ? 0x7fffffff : (s).n)), ((s).p ? (s).p : "")

static inline struct slice slice_cstr(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline struct slice slice_make(const char *p, size_t n)
{
    return (struct slice){p, n};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *lit)
{
    return slice_eq(a, slice_cstr(lit));
}

/* ASCII lower case, whatever the locale. */
static inline char ascii_lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char)(c + ('a' - 'A'));
    return c;
}

/* ASCII case-insensitive equality. Not strncasecmp: that ends at a NUL, and a slice does not. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

static inline bool slice_starts(struct slice a, struct slice prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

static inline bool slice_ends(struct slice a, struct slice suffix)
{
    return a.n >= suffix.n &&
           (suffix.n == 0 || memcmp(a.p + a.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* The part from offset `from` on; empty when `from` is past the end. */
static inline struct slice slice_from(struct slice a, size_t from)
{
    return from >= a.n ? (struct slice){a.p ? a.p + a.n : NULL, 0}
                       : (struct slice){a.p + from, a.n - from};
}

static inline struct slice slice_first(struct slice a, size_t n)
{
    return (struct slice){a.p, n < a.n ? n : a.n};
}

/* Byte order comparison, shorter first on a tie: <0, 0, >0. */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Cuts `*rest` at the first `sep`: returns what is before it, and leaves what is after it in
 * `*rest`. Without a `sep`, returns everything and leaves SLICE_NONE (p == NULL), which ends a
 * loop. */
static inline struct slice slice_cut(struct slice *rest, char sep)
{
    struct slice head = *rest;
    const char *at = head.n ? memchr(head.p, sep, head.n) : NULL;
    if (!at) {
        *rest = SLICE_NONE;
        return head;
    }
    head.n = (size_t)(at - head.p);
    *rest = slice_from(*rest, head.n + 1);
    return head;
}

/* Without leading and trailing spaces and tabs. */
static inline struct slice slice_trim(struct slice a)
{
    while (a.n && (a.p[0] == ' ' || a.p[0] == '\t')) {
        a.p++;
        a.n--;
    }
    while (a.n && (a.p[a.n - 1] == ' ' || a.p[a.n - 1] == '\t'))
        a.n--;
    return a;
}

#endif
