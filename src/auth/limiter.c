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
    int64_t at_s;   /* when the counts were right */
    unsigned open;  /* tries that nobody has told the end of */
    unsigned wrong; /* failures; both at most LIMITER_FLIGHTS */
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

static unsigned load(const struct bucket *b)
{
    return b->open + b->wrong;
}

static void work_off(struct bucket *b, int64_t now_s)
{
    int64_t passed = now_s - b->at_s;
    unsigned n = passed <= 0 ? 0 : (unsigned)MIN(passed, LIMITER_FLIGHTS);
    b->open -= MIN(b->open, n);
    b->wrong -= MIN(b->wrong, n);
    /* Also when the clock went back: nothing is worked off, and it goes on from there. A second
     * less is only a caller who was overtaken; to go back for him would give the next one a try for
     * nothing. */
    if (passed != -1)
        b->at_s = now_s;
}

/* The bucket of the key; an empty one in the place of the one with the least when there is none. */
static struct bucket *find(const struct limiter *l, struct bucket *table, const struct mac *key,
                           int64_t now_s)
{
    uint32_t bits;
    memcpy(&bits, key->p, sizeof bits);
    struct bucket *set = table + (size_t)(bits % l->sets) * WAYS, *least = set;
    for (unsigned i = 0; i < WAYS; i++) {
        struct bucket *b = &set[i];
        work_off(b, now_s);
        if (b->in_use && secret_equal(b->key.p, key->p, MAC_BYTES))
            return b;
        if (least->in_use && (!b->in_use || load(b) < load(least)))
            least = b;
    }
    *least = (struct bucket){.key = *key, .at_s = now_s, .in_use = true};
    return least;
}

bool limiter_admit(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s)
{
    pthread_mutex_lock(&l->lock);
    struct bucket *a = find(l, l->addresses, address, now_s);
    struct bucket *u = find(l, l->users, user, now_s);
    bool admitted = a->wrong < LIMITER_BURST && load(a) < LIMITER_FLIGHTS &&
                    (load(u) < LIMITER_BURST || load(a) == 0);
    if (admitted) {
        a->open++;
        u->open = MIN(u->open + 1, LIMITER_FLIGHTS);
    }
    pthread_mutex_unlock(&l->lock);
    return admitted;
}

static void settle(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s, unsigned wrong)
{
    pthread_mutex_lock(&l->lock);
    struct bucket *both[] = {find(l, l->addresses, address, now_s), find(l, l->users, user, now_s)};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        both[i]->open -= both[i]->open > 0;
        both[i]->wrong = MIN(both[i]->wrong + wrong, LIMITER_FLIGHTS);
    }
    pthread_mutex_unlock(&l->lock);
}

void limiter_forgive(struct limiter *l, const struct mac *address, const struct mac *user,
                     int64_t now_s)
{
    settle(l, address, user, now_s, 0);
}

void limiter_blame(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s)
{
    settle(l, address, user, now_s, 1);
}
