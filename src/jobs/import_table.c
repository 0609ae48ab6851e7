/* SPDX-License-Identifier: Apache-2.0 */
/* What an import keeps of each digest. Costs, for a sha256: 32 bytes of key, 8 of size, 1 of flags
 * and 6 to 12 of slots; the arrays double when they are full, so between 50 and 100 bytes in all.
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "jobs/import_int.h"

#include "base/banned.h"

enum { FIRST = 1024, ENTRIES_MAX = 1 << 30 };

void import_table_init(struct import_table *t, size_t key_n, uint64_t seed)
{
    *t = (struct import_table){.key_n = key_n, .seed = seed};
}

void import_table_release(struct import_table *t)
{
    free(t->keys);
    free(t->sizes);
    free(t->flags);
    free(t->sources);
    free(t->slots);
    *t = (struct import_table){0};
}

static int no_memory(struct error *err)
{
    return error_detail(err, ERR_UNAVAILABLE,
                        "not enough memory for the digests of this registry: some 100 bytes each");
}

/* *p gets room for n elements; those from `used` on are zero. */
static int resize(void *p, size_t used, size_t n, size_t size, struct error *err)
{
    void **at = p;
    char *grown = reallocarray(*at, n, size);
    if (!grown)
        return no_memory(err);
    memset(grown + used * size, 0, (n - used) * size);
    *at = grown;
    return 0;
}

static uint32_t slot_of(const struct import_table *t, const void *key)
{
    uint32_t mask = t->n_slots - 1;
    uint32_t i = (uint32_t)hash_bytes(key, t->key_n, t->seed) & mask;
    while (t->slots[i] && memcmp(t->keys + (t->slots[i] - 1) * t->key_n, key, t->key_n) != 0)
        i = (i + 1) & mask;
    return i;
}

/* Two slots for each entry that there is room for: at most half of them are taken. */
static int grow(struct import_table *t, struct error *err)
{
    uint32_t cap = t->cap ? t->cap * 2 : FIRST;
    if (cap > ENTRIES_MAX)
        return no_memory(err);
    uint32_t *slots = calloc(2 * (size_t)cap, sizeof *slots);
    if (!slots)
        return no_memory(err);
    if (resize(&t->keys, t->n, cap, t->key_n, err) ||
        resize(&t->sizes, t->n, cap, sizeof *t->sizes, err) ||
        resize(&t->flags, t->n, cap, sizeof *t->flags, err) ||
        (t->key_n > 32 && resize(&t->sources, t->n, cap, sizeof *t->sources, err))) {
        free(slots);
        return -1;
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = 2 * cap;
    t->cap = cap;
    for (uint32_t i = 0; i < t->n; i++)
        t->slots[slot_of(t, t->keys + i * t->key_n)] = i + 1;
    return 0;
}

int import_table_add(struct import_table *t, const void *key, uint32_t *out, struct error *err)
{
    if (t->n == t->cap && grow(t, err) != 0)
        return -1;
    uint32_t slot = slot_of(t, key);
    if (!t->slots[slot]) {
        memcpy(t->keys + t->n * t->key_n, key, t->key_n);
        t->slots[slot] = ++t->n;
    }
    *out = t->slots[slot] - 1;
    return 0;
}

uint32_t import_table_find(const struct import_table *t, const void *key)
{
    uint32_t found = t->n_slots ? t->slots[slot_of(t, key)] : 0;
    return found ? found - 1 : REF_NONE;
}

int refs_add(struct refs *r, uint32_t ref, struct error *err)
{
    if (r->n == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 16;
        if (cap < r->cap || resize(&r->v, r->n, cap, sizeof *r->v, err) != 0)
            return -1;
        r->cap = cap;
    }
    r->v[r->n++] = ref;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void refs_sort(struct refs *r)
{
    uint32_t n = 0;
    if (r->n == 0)
        return;
    qsort(r->v, r->n, sizeof *r->v, by_number);
    for (uint32_t i = 1; i < r->n; i++)
        if (r->v[i] != r->v[n])
            r->v[++n] = r->v[i];
    r->n = n + 1;
}

int64_t refs_find(const struct refs *r, uint32_t ref)
{
    const uint32_t *at = r->n ? bsearch(&ref, r->v, r->n, sizeof ref, by_number) : NULL;
    return at ? at - r->v : -1;
}
