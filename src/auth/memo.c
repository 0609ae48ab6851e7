/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/memo.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum { WAYS = 8, LOCKS = 16 };

/* A caller reads the clock before it has the lock, and another one in the next second may have been
 * faster: that is no clock that goes backwards. */
static const int64_t overtaken_s = 1;

struct entry {
    struct mac key;
    int64_t since_s, end_s; /* known from since_s on, and before end_s */
    void *value;
    int state; /* 0: empty */
};

struct memo {
    struct memo_value value;
    unsigned sets;
    pthread_mutex_t locks[LOCKS]; /* of the sets whose number is that modulo LOCKS */
    struct entry *entries;        /* sets * WAYS */
};

struct memo *memo_new(unsigned sets, struct memo_value value)
{
    CHECK(sets);
    struct memo *m = xcalloc(1, sizeof *m);
    m->sets = sets;
    m->value = value;
    m->entries = xcalloc((size_t)sets * WAYS, sizeof *m->entries);
    for (unsigned i = 0; i < LOCKS; i++)
        CHECK(pthread_mutex_init(&m->locks[i], NULL) == 0);
    return m;
}

static void empty(struct memo *m, struct entry *e)
{
    if (e->value)
        m->value.unref(e->value);
    *e = (struct entry){0};
}

void memo_free(struct memo *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < (size_t)m->sets * WAYS; i++)
        empty(m, &m->entries[i]);
    for (unsigned i = 0; i < LOCKS; i++)
        (void)pthread_mutex_destroy(&m->locks[i]);
    free(m->entries);
    free(m);
}

/* The keys are hashes under a secret: nobody chooses the set that he falls into. */
static struct entry *lock_set(struct memo *m, const struct mac *key, pthread_mutex_t **lock)
{
    uint32_t bits;
    memcpy(&bits, key->p, sizeof bits);
    unsigned set = bits % m->sets;
    *lock = &m->locks[set % LOCKS];
    pthread_mutex_lock(*lock);
    return m->entries + (size_t)set * WAYS;
}

static bool alive(const struct entry *e, int64_t now_s)
{
    return e->state && e->since_s <= now_s + overtaken_s && now_s < e->end_s;
}

int memo_get(struct memo *m, const struct mac *key, int64_t now_s, int64_t renew_s, void **value)
{
    pthread_mutex_t *lock;
    struct entry *set = lock_set(m, key, &lock);
    int state = 0;
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        if (!e->state || !secret_equal(e->key.p, key->p, MAC_BYTES))
            continue;
        if (!alive(e, now_s)) {
            empty(m, e);
            break;
        }
        state = e->state;
        if (renew_s && now_s >= e->since_s) {
            e->since_s = now_s;
            e->end_s = now_s + renew_s;
        }
        if (value && e->value) {
            m->value.ref(e->value);
            *value = e->value;
        }
        break;
    }
    pthread_mutex_unlock(lock);
    return state;
}

static struct entry *place(struct entry *set, const struct mac *key, int64_t now_s)
{
    struct entry *best = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        if (e->state && secret_equal(e->key.p, key->p, MAC_BYTES))
            return e;
        int64_t end = alive(e, now_s) ? e->end_s : INT64_MIN;
        int64_t best_end = alive(best, now_s) ? best->end_s : INT64_MIN;
        if (end < best_end)
            best = e;
    }
    return best;
}

void memo_put(struct memo *m, const struct mac *key, int state, int64_t now_s, int64_t end_s,
              void *value)
{
    CHECK(state);
    pthread_mutex_t *lock;
    struct entry *set = lock_set(m, key, &lock);
    struct entry *e = place(set, key, now_s);
    empty(m, e);
    *e = (struct entry){.key = *key, .since_s = now_s, .end_s = end_s, .state = state};
    if (value) {
        m->value.ref(value);
        e->value = value;
    }
    pthread_mutex_unlock(lock);
}
