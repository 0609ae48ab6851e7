/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shared.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

struct shared *shared_new(const void *p, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    struct shared *s = malloc(sizeof *s + n + 1);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->n = n;
    if (p && n)
        memcpy(s->p, p, n);
    s->p[n] = '\0';
    return s;
}

struct shared *shared_ref(struct shared *s)
{
    unsigned before = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    CHECK(before > 0);
    return s;
}

void shared_unref(struct shared *s)
{
    if (!s)
        return;
    unsigned before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        free(s);
}
