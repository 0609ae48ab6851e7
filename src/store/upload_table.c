/* SPDX-License-Identifier: Apache-2.0 */
/* The table of upload sessions: who holds which, and which idle ones are remembered. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "os/clock.h"
#include "store/store_int.h"
#include "store/upload_int.h"

#include "base/banned.h"

enum {
    BUCKETS_MIN = 64,
    /* Memory for idle sessions whose bytes are nowhere else, per remembered session. */
    UNSAVED_PER_IDLE = 4096,
};

struct lru {
    struct upload *oldest;
    struct upload *newest;
};

struct uploads {
    struct store *store;
    size_t inline_max;
    unsigned idle_max;
    uint64_t seed;

    pthread_mutex_t lock;
    struct upload **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    unsigned active;
    unsigned idle;
    size_t unsaved; /* bytes allocated by what is in the UPLOAD_UNSAVED list */
    struct lru idles[UPLOAD_LIST_COUNT];
    /* Evicted, but still with an open stage: closing a file may block, so a loop that releases a
     * session leaves it to the next worker that adopts one. */
    struct upload *dead;

    /* Held while the dead are buried, so that nobody opens a stage whose cut is still due. */
    pthread_mutex_t burial;
};

struct store *uploads_store(struct uploads *u)
{
    return u->store;
}

size_t uploads_inline_max(struct uploads *u)
{
    return u->inline_max;
}

struct uploads *uploads_new(struct store *store, size_t inline_max, unsigned idle_max)
{
    struct uploads *u = xcalloc(1, sizeof *u);
    u->store = store;
    u->inline_max = inline_max;
    u->idle_max = idle_max;
    os_random(&u->seed, sizeof u->seed);
    u->bucket_count = BUCKETS_MIN;
    u->buckets = xcalloc(u->bucket_count, sizeof *u->buckets);
    pthread_mutex_init(&u->lock, NULL);
    pthread_mutex_init(&u->burial, NULL);
    return u;
}

/* The lock is held in the functions from here to the next such line. */

static struct upload **bucket(struct uploads *u, const char *id)
{
    uint64_t h = hash_bytes(id, UPLOAD_ID_LEN, u->seed);
    return &u->buckets[h & (u->bucket_count - 1)];
}

static struct upload *find(struct uploads *u, struct slice id)
{
    struct upload *up = *bucket(u, id.p);
    while (up && memcmp(up->id, id.p, UPLOAD_ID_LEN) != 0)
        up = up->chain;
    return up;
}

static void grow(struct uploads *u)
{
    struct upload **old = u->buckets;
    size_t n = u->bucket_count;
    u->bucket_count = n * 2;
    u->buckets = xcalloc(u->bucket_count, sizeof *u->buckets);
    for (size_t i = 0; i < n; i++) {
        while (old[i]) {
            struct upload *up = old[i];
            old[i] = up->chain;
            struct upload **at = bucket(u, up->id);
            up->chain = *at;
            *at = up;
        }
    }
    free(old);
}

static void insert(struct uploads *u, struct upload *up)
{
    if (u->count >= u->bucket_count)
        grow(u);
    struct upload **at = bucket(u, up->id);
    up->chain = *at;
    *at = up;
    u->count++;
}

static void take_out(struct uploads *u, struct upload *up)
{
    struct upload **at = bucket(u, up->id);
    while (*at != up)
        at = &(*at)->chain;
    *at = up->chain;
    up->chain = NULL;
    u->count--;
}

static void idle_add(struct uploads *u, struct upload *up)
{
    up->list = !up->staged && up->size > 0 && !up->saved ? UPLOAD_UNSAVED : UPLOAD_LOSSLESS;
    struct lru *l = &u->idles[up->list];
    up->older = l->newest;
    up->newer = NULL;
    *(l->newest ? &l->newest->newer : &l->oldest) = up;
    l->newest = up;
    u->idle++;
    if (up->list == UPLOAD_UNSAVED)
        u->unsaved += up->cap;
}

static void idle_remove(struct uploads *u, struct upload *up)
{
    struct lru *l = &u->idles[up->list];
    *(up->older ? &up->older->newer : &l->oldest) = up->newer;
    *(up->newer ? &up->newer->older : &l->newest) = up->older;
    if (up->list == UPLOAD_UNSAVED)
        u->unsaved -= up->cap;
    u->idle--;
    up->older = up->newer = NULL;
    up->list = UPLOAD_NO_LIST;
}

static void bury_later(struct uploads *u, struct upload *up)
{
    take_out(u, up);
    up->chain = u->dead;
    u->dead = up;
}

static void evict(struct uploads *u, struct upload *up)
{
    idle_remove(u, up);
    bury_later(u, up);
}

/* Bytes that are nowhere else go last, but they have a bound of their own: nobody was told that
 * they are safe, so losing them is allowed, and a flood of half-sent requests must not fill the
 * memory. */
static void idle_trim(struct uploads *u)
{
    while (u->unsaved > (size_t)u->idle_max * UNSAVED_PER_IDLE)
        evict(u, u->idles[UPLOAD_UNSAVED].oldest);
    while (u->idle > u->idle_max) {
        struct upload *up = u->idles[UPLOAD_LOSSLESS].oldest;
        evict(u, up ? up : u->idles[UPLOAD_UNSAVED].oldest);
    }
}

/* The lock is not held from here on. */

static void bury(struct uploads *u)
{
    pthread_mutex_lock(&u->burial);
    pthread_mutex_lock(&u->lock);
    struct upload *up = STEAL(u->dead);
    pthread_mutex_unlock(&u->lock);
    while (up) {
        struct upload *next = up->chain;
        upload_destroy(up);
        up = next;
    }
    pthread_mutex_unlock(&u->burial);
}

void uploads_free(struct uploads *u)
{
    if (!u)
        return;
    pthread_mutex_lock(&u->lock);
    CHECK(u->active == 0);
    for (int list = 0; list < UPLOAD_LIST_COUNT; list++)
        while (u->idles[list].oldest)
            evict(u, u->idles[list].oldest);
    CHECK(u->count == 0 && u->idle == 0 && u->unsaved == 0);
    pthread_mutex_unlock(&u->lock);
    bury(u);
    pthread_mutex_destroy(&u->lock);
    pthread_mutex_destroy(&u->burial);
    free(u->buckets);
    free(u);
}

unsigned uploads_active(struct uploads *u)
{
    pthread_mutex_lock(&u->lock);
    unsigned n = u->active;
    pthread_mutex_unlock(&u->lock);
    return n;
}

void upload_id_make(char out[UPLOAD_ID_LEN + 1])
{
    unsigned char raw[16];
    os_random(raw, sizeof raw);
    raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40); /* version 4, RFC 9562 5.4 */
    raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
    static const unsigned char groups[] = {4, 2, 2, 2, 6};
    const unsigned char *from = raw;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        hex_encode(from, groups[i], out);
        from += groups[i];
        out += 2 * groups[i];
        if (i + 1 < ARRAY_LEN(groups))
            *out++ = '-';
    }
}

bool upload_id_valid(struct slice id)
{
    if (!stage_id_valid(id))
        return false;
    for (size_t i = 0; i < id.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if ((id.p[i] == '-') != dash)
            return false;
    }
    return true;
}

/* The table's answer for an id, with the lock held. */
static enum upload_acquire hold(struct uploads *u, struct slice repo, struct slice id,
                                struct upload **out)
{
    struct upload *up = find(u, id);
    /* The repository first: who may not see it does not learn that it is busy either. */
    if (!up || !slice_is(repo, up->repo))
        return UPLOAD_ABSENT;
    if (up->busy)
        return UPLOAD_BUSY;
    idle_remove(u, up);
    up->busy = true;
    u->active++;
    *out = up;
    return UPLOAD_ACQUIRED;
}

enum upload_acquire upload_acquire(struct uploads *u, struct slice repo, struct slice id,
                                   struct upload **out)
{
    if (!upload_id_valid(id))
        return UPLOAD_ABSENT;
    pthread_mutex_lock(&u->lock);
    enum upload_acquire result = hold(u, repo, id, out);
    pthread_mutex_unlock(&u->lock);
    return result;
}

int upload_adopt(struct uploads *u, struct slice repo, struct slice id, enum hash_alg alg,
                 bool staged, uint64_t offset, struct slice bytes, struct upload **out,
                 enum upload_acquire *result, struct error *err)
{
    if (!upload_id_valid(id))
        return stage_unknown(err, id);
    struct upload *up = upload_make(u, repo, id, alg);
    pthread_mutex_lock(&u->lock);
    /* Somebody was faster. What he made may be ahead of the row that our caller has read, so even
     * an idle one is not ours to take. */
    struct upload *other = find(u, id);
    bool taken = other != NULL;
    bool busy = taken && other->busy;
    if (!taken) {
        up->busy = true;
        insert(u, up);
        u->active++;
    }
    pthread_mutex_unlock(&u->lock);
    if (taken) {
        upload_destroy(up);
        *result = busy ? UPLOAD_BUSY : UPLOAD_ABSENT;
        return 0;
    }
    /* The place in the table is taken: nobody else opens or evicts this session meanwhile. */
    bury(u);
    if (upload_load(up, staged, offset, bytes, err) != 0) {
        upload_forget(up);
        return -1;
    }
    *out = up;
    *result = UPLOAD_ACQUIRED;
    return 0;
}

void upload_release(struct upload *up)
{
    if (!up)
        return;
    struct uploads *u = up->table;
    pthread_mutex_lock(&u->lock);
    CHECK(up->busy);
    up->busy = false;
    u->active--;
    up->stage_soon = false;
    /* Saved bytes are in the row: the next one adopts from there. */
    bool drop = up->saved && !up->staged && up->size > 0;
    if (drop) {
        take_out(u, up);
    } else {
        idle_add(u, up);
        idle_trim(u);
    }
    pthread_mutex_unlock(&u->lock);
    if (drop)
        upload_destroy(up); /* memory only */
}

void upload_forget(struct upload *up)
{
    if (!up)
        return;
    struct uploads *u = up->table;
    pthread_mutex_lock(&u->lock);
    CHECK(up->busy);
    u->active--;
    take_out(u, up);
    pthread_mutex_unlock(&u->lock);
    upload_destroy(up);
}
