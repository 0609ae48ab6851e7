/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that every file needs: cleanup attributes, checked arithmetic, allocation that
 * cannot fail, hex. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Takes the pointer out of a cleanup variable: return STEAL(x); */
#define STEAL(ptr)                             \
    ({                                         \
        __typeof__(ptr) *stolen_at_ = &(ptr);  \
        __typeof__(ptr) stolen_ = *stolen_at_; \
        *stolen_at_ = NULL;                    \
        stolen_;                               \
    })

/* An invariant of the program. Stays on in production: prints where and aborts. Never for input. */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
__attribute__((noreturn, cold)) void check_failed(const char *cond, const char *file, int line);

/* Abort when memory runs out: only for sizes that the program chooses. n * size is checked. Zeroed
 * memory. */
__attribute__((malloc, returns_nonnull, warn_unused_result)) void *xcalloc(size_t n, size_t size);
__attribute__((malloc, returns_nonnull, warn_unused_result)) char *xstrdup(const char *s);
/* A NUL-terminated heap copy. */
__attribute__((malloc, returns_nonnull, warn_unused_result)) char *xstrndup(const char *s,
                                                                            size_t n);

void util_freep(void *p);  /* p is a pointer to the pointer */
void util_closep(int *fd); /* closes when >= 0; keeps errno */
#define CLEANUP_FREE __attribute__((cleanup(util_freep)))
#define CLEANUP_CLOSE __attribute__((cleanup(util_closep)))

/* 0, or -1 on overflow with *out untouched. */
static inline int u64_add(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r))
        return -1;
    *out = r;
    return 0;
}

/* Decimal digits only, 1 to 19 of them, no sign, no space; value at most INT64_MAX. 0, or -1 with
 * *out untouched. */
int parse_u63(struct slice s, uint64_t *out);

/* Writes 2*n lower-case hex digits and a NUL to out[2*n+1]. */
void hex_encode(const void *data, size_t n, char *out);
/* s.n == 2*n lower-case hex digits into out[n]; 0, or -1 with out untouched. */
int hex_decode(struct slice s, void *out, size_t n);

/* Like strerror_r of XSI, always a string. */
const char *strerrordesc(int sys, char *buf, size_t n);

/* Seeded 64-bit hash for tables in memory (not for anything secret). */
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);

#endif
