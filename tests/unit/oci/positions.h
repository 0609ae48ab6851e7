/* SPDX-License-Identifier: Apache-2.0 */
/* A reference matcher for regular expressions, by sets of positions: bit i of a set says that the
 * expression so far may end before byte i. Each operator of an expression maps a set to a set.
 * Nothing of it resembles the state machines in src/oci. Inputs of at most 63 bytes. */
#ifndef TEST_OCI_POSITIONS_H
#define TEST_OCI_POSITIONS_H

#include <stdint.h>

#include "base/slice.h"

typedef uint64_t pos_fn(struct slice s, uint64_t at);

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* Every byte that matters to one of the grammars or to a path or URL around them. */
static const char significant[20] = {'a', 'z', 'f', '0', '9', 'A', 'Z',  '.',    '_',    '-',
                                     '/', ':', '+', '=', '%', ' ', '\n', '\x7f', '\xc3', '\0'};

static inline uint64_t pos_class(struct slice s, uint64_t at, const char *members)
{
    uint64_t to = 0;
    for (size_t i = 0; i < s.n; i++)
        if ((at >> i & 1) && s.p[i] != '\0' && strchr(members, s.p[i]))
            to |= UINT64_C(1) << (i + 1);
    return to;
}

/* One or more. */
static inline uint64_t pos_plus(struct slice s, uint64_t at, pos_fn *fn)
{
    uint64_t all = 0;
    while ((at = fn(s, at) & ~all) != 0)
        all |= at;
    return all;
}

static inline uint64_t pos_star(struct slice s, uint64_t at, pos_fn *fn)
{
    return at | pos_plus(s, at, fn);
}

static inline bool pos_match(struct slice s, pos_fn *fn)
{
    return fn(s, 1) >> s.n & 1;
}

/* Calls fn for the empty string and for each string of up to `longest` bytes of `alphabet`. */
static inline size_t all_strings(const char *alphabet, size_t n_alphabet, size_t longest,
                                 void (*fn)(struct slice s))
{
    size_t total = 0;
    char text[16];
    for (size_t n = 0; n <= longest; n++) {
        size_t count = 1;
        for (size_t k = 0; k < n; k++)
            count *= n_alphabet;
        for (size_t i = 0; i < count; i++) {
            size_t rest = i;
            for (size_t k = 0; k < n; k++, rest /= n_alphabet)
                text[k] = alphabet[rest % n_alphabet];
            fn(slice_make(text, n));
        }
        total += count;
    }
    return total;
}

/* What a person reads must be printable and whole. */
static inline bool printable(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return n > 20 && n < 480;
}

#endif
