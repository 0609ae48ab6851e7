/* SPDX-License-Identifier: Apache-2.0 */
/* An arena holds all that a request allocates; freeing it frees everything and runs the cleanups,
 * newest first. One thread at a time (the request's owner). Allocation of sizes that the program
 * chose cannot fail (it aborts). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena;

/* `first` is the size in bytes of the first block, which comes with the arena in one allocation. */
__attribute__((returns_nonnull)) struct arena *arena_new(size_t first);
void arena_free(struct arena *a);  /* NULL is fine */
void arena_reset(struct arena *a); /* runs cleanups, keeps the first block */
/* Zeroed, aligned to 16. */
__attribute__((returns_nonnull, warn_unused_result)) void *arena_alloc(struct arena *a, size_t n);
/* n * size bytes; aborts when that overflows. */
__attribute__((returns_nonnull, warn_unused_result)) void *arena_array(struct arena *a, size_t size,
                                                                       size_t n);
/* NUL-terminated copies. */
__attribute__((returns_nonnull)) char *arena_strndup(struct arena *a, const char *p, size_t n);
struct slice arena_slice(struct arena *a, struct slice s);
__attribute__((returns_nonnull, format(printf, 2, 3))) char *arena_printf(struct arena *a,
                                                                          const char *fmt, ...);
/* fn(arg) runs when the arena is freed or reset, newest first. */
void arena_on_free(struct arena *a, void (*fn)(void *arg), void *arg);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_array((a), sizeof(type), (n)))

#endif
