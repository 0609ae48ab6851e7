/* SPDX-License-Identifier: Apache-2.0 */
/* Immutable bytes with an atomic reference count: what a cache and several responses hold at once.
 * Any thread. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/slice.h"

struct shared {
    atomic_uint refs;
    size_t n;
    char p[]; /* n bytes and a NUL */
};

/* One reference. NULL when there is no memory (n may be a client's choice). `p` NULL: the caller
 * fills it in before sharing. */
struct shared *shared_new(const void *p, size_t n);
struct shared *shared_ref(struct shared *s);
void shared_unref(struct shared *s); /* NULL is fine */
static inline struct slice shared_view(const struct shared *s)
{
    return (struct slice){s->p, s->n};
}

#endif
