/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/limiter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum { WAYS = 8 };

struct bucket {
    struct mac key;
    int64_t at_s;  /* when `left` was right */
    unsigned left; /* tries */
    bool in_use;
};

struct limiter {
    pthread_mutex_t lock;
    unsigned sets;
    struct bucket *addresses, *users; /* sets * WAYS each */
};

struct limiter *limiter_new(unsigned sets)
{
    CHECK(sets);
    struct limiter *l = xcalloc(1, sizeof *l);
    CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
    l->sets = sets;
    l->addresses = xcalloc((size_t)sets * WAYS, sizeof *l->addresses);
    l->users = xcalloc((size_t)sets * WAYS, sizeof *l->users);
    return l;
}

void limiter_free(struct limiter *l)
{
    if (!l)
        return;
    (void)pthread_mutex_destroy(&l->lock);
    free(l->addresses);
    free(l->users);
    free(l);
}

static void refill(struct bucket *b, int64_t now_s)
{
    int64_t passed = now_s - b->at_s;
    if (passed > 0)
        b->left = passed >= LIMITER_BURST ? LIMITER_BURST
                                          : MIN(b->left + (unsigned)passed, LIMITER_BURST);
    /* Also when the clock went back: no refill, and it goes on from there. A second less is only a
     * caller who was overtaken; to go back for him would give the next one a try for nothing. */
    if (passed != -1)
        b->at_s = now_s;
}

/* The bucket of the key; a full one in the place of the fullest when there is none. */
static struct bucket *find(const struct limiter *l, struct bucket *table, const struct mac *key,
                           int64_t now_s)
{
    uint32_t bits;
    memcpy(&bits, key->p, sizeof bits);
    struct bucket *set = table + (size_t)(bits % l->sets) * WAYS, *fullest = set;
    for (unsigned i = 0; i < WAYS; i++) {
        struct bucket *b = &set[i];
        if (!b->in_use) {
            b->left = LIMITER_BURST;
            b->at_s = now_s;
        }
        refill(b, now_s);
        if (b->in_use && secret_equal(b->key.p, key->p, MAC_BYTES))
            return b;
        if (b->left > fullest->left || (fullest->in_use && !b->in_use))
            fullest = b;
    }
    *fullest = (struct bucket){.key = *key, .at_s = now_s, .left = LIMITER_BURST, .in_use = true};
    return fullest;
}

bool limiter_admit(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s)
{
    pthread_mutex_lock(&l->lock);
    struct bucket *a = find(l, l->addresses, address, now_s);
    struct bucket *u = find(l, l->users, user, now_s);
    bool admitted = a->left > 0 && (u->left > 0 || a->left == LIMITER_BURST);
    if (admitted) {
        a->left--;
        if (u->left)
            u->left--;
    }
    pthread_mutex_unlock(&l->lock);
    return admitted;
}

void limiter_forgive(struct limiter *l, const struct mac *address, const struct mac *user,
                     int64_t now_s)
{
    pthread_mutex_lock(&l->lock);
    struct bucket *both[] = {find(l, l->addresses, address, now_s), find(l, l->users, user, now_s)};
    for (size_t i = 0; i < ARRAY_LEN(both); i++)
        both[i]->left = MIN(both[i]->left + 1, LIMITER_BURST);
    pthread_mutex_unlock(&l->lock);
}
