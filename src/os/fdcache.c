/* SPDX-License-Identifier: Apache-2.0 */
#include "os/fdcache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/file.h"

#include "base/banned.h"

enum { SHARDS_MAX = 16, IDLE_PER_SHARD_MIN = 16, BUCKETS_MIN = 16 };

struct entry {
    struct fdref ref;
    /* Goes from 1 to 0 and from 0 to 1 only under the shard's lock; otherwise without it. */
    atomic_uint refs;
    struct shard *shard;                 /* NULL: in no cache */
    bool listed;                         /* found by its key (shard's lock) */
    struct entry *chain;                 /* of the bucket */
    struct entry *idle_prev, *idle_next; /* when listed and refs == 0 */
    uint64_t hash;
    size_t key_n;
    char *key; /* in the same allocation, behind this */
};

struct shard {
    pthread_mutex_t lock;
    struct fdcache *cache;
    struct entry **buckets; /* a power of two of them */
    size_t bucket_n, entry_n;
    struct entry idle; /* head of a ring: idle_next is the most, idle_prev the least recent */
    unsigned idle_n;
    uint64_t drops; /* keys forgotten so far */
};

struct fdcache {
    atomic_uint open;
    unsigned shard_n, idle_max_per_shard;
    uint64_t seed;
    struct shard shards[];
};

struct fdcache *fdcache_new(unsigned idle_max)
{
    /* Each shard keeps its share of the idle files, so a small cache has one shard, and exact
     * order; a large one gives that up for less contention. */
    unsigned shards = idle_max >= SHARDS_MAX * IDLE_PER_SHARD_MIN ? SHARDS_MAX : 1;
    struct fdcache *c = xcalloc(1, sizeof *c + shards * sizeof c->shards[0]);
    c->shard_n = shards;
    c->idle_max_per_shard = idle_max / shards;
    os_random(&c->seed, sizeof c->seed);
    for (unsigned i = 0; i < shards; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->cache = c;
        s->bucket_n = BUCKETS_MIN;
        s->buckets = xcalloc(s->bucket_n, sizeof(struct entry *));
        s->idle.idle_next = s->idle.idle_prev = &s->idle;
    }
    return c;
}

static struct entry *entry_new(struct shard *shard, int fd, uint64_t size, struct slice key,
                               uint64_t hash)
{
    struct entry *e = xcalloc(1, sizeof *e + key.n);
    e->ref = (struct fdref){fd, size};
    atomic_init(&e->refs, 1);
    e->shard = shard;
    e->hash = hash;
    e->key_n = key.n;
    e->key = (char *)(e + 1);
    if (key.n)
        memcpy(e->key, key.p, key.n);
    if (shard)
        atomic_fetch_add_explicit(&shard->cache->open, 1, memory_order_relaxed);
    return e;
}

/* Not under a lock: closing may take long. */
static void entry_free(struct entry *e)
{
    if (!e)
        return;
    os_close(e->ref.fd);
    if (e->shard)
        atomic_fetch_sub_explicit(&e->shard->cache->open, 1, memory_order_relaxed);
    free(e);
}

/* ---- under the shard's lock ---- */

static void idle_push(struct shard *s, struct entry *e)
{
    e->idle_prev = &s->idle;
    e->idle_next = s->idle.idle_next;
    e->idle_next->idle_prev = e;
    s->idle.idle_next = e;
    s->idle_n++;
}

static void idle_remove(struct shard *s, struct entry *e)
{
    e->idle_prev->idle_next = e->idle_next;
    e->idle_next->idle_prev = e->idle_prev;
    s->idle_n--;
}

static struct entry **find(struct shard *s, struct slice key, uint64_t hash)
{
    struct entry **at = &s->buckets[hash & (s->bucket_n - 1)];
    while (*at && ((*at)->hash != hash || !slice_eq(slice_make((*at)->key, (*at)->key_n), key)))
        at = &(*at)->chain;
    return at;
}

static void unlist(struct shard *s, struct entry **at)
{
    struct entry *e = *at;
    *at = e->chain;
    e->listed = false;
    s->entry_n--;
}

static void table_grow(struct shard *s)
{
    size_t n = s->bucket_n * 2;
    struct entry **buckets = xcalloc(n, sizeof(struct entry *));
    for (size_t i = 0; i < s->bucket_n; i++)
        for (struct entry *e = s->buckets[i], *next; e; e = next) {
            next = e->chain;
            e->chain = buckets[e->hash & (n - 1)];
            buckets[e->hash & (n - 1)] = e;
        }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_n = n;
}

static void list_entry(struct shard *s, struct entry *e)
{
    if (s->entry_n >= s->bucket_n)
        table_grow(s);
    struct entry **bucket = &s->buckets[e->hash & (s->bucket_n - 1)];
    e->chain = *bucket;
    *bucket = e;
    e->listed = true;
    s->entry_n++;
}

static struct fdref *take(struct shard *s, struct entry *e)
{
    if (atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed) == 0)
        idle_remove(s, e);
    return &e->ref;
}

/* ---- */

static struct shard *shard_of(struct fdcache *c, struct slice key, uint64_t *hash)
{
    *hash = hash_bytes(key.p, key.n, c->seed);
    /* The buckets use the low bits. */
    return &c->shards[(*hash >> 56) % c->shard_n];
}

struct fdref *fdcache_peek(struct fdcache *c, struct slice key)
{
    uint64_t hash;
    struct shard *s = shard_of(c, key, &hash);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *find(s, key, hash);
    struct fdref *ref = e ? take(s, e) : NULL;
    pthread_mutex_unlock(&s->lock);
    return ref;
}

int fdcache_get(struct fdcache *c, struct slice key, int (*open)(void *arg, struct error *err),
                void *arg, struct fdref **out, struct error *err)
{
    uint64_t hash;
    struct shard *s = shard_of(c, key, &hash);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *find(s, key, hash);
    if (e)
        *out = take(s, e);
    uint64_t drops = s->drops;
    pthread_mutex_unlock(&s->lock);
    if (e)
        return 0;

    CLEANUP_CLOSE int fd = open(arg, err);
    struct os_stat st;
    if (fd < 0 || os_fstat(fd, &st, "blob.stat", err))
        return -1;
    struct entry *fresh = entry_new(s, fd, st.size, key, hash), *lost = NULL;
    fd = -1;
    pthread_mutex_lock(&s->lock);
    e = *find(s, key, hash);
    if (e) {
        *out = take(s, e);
        lost = fresh;
    } else {
        /* What was opened before a drop may be what the drop was about: good for this caller, but
         * not to be found by others. */
        if (s->drops == drops)
            list_entry(s, fresh);
        *out = &fresh->ref;
    }
    pthread_mutex_unlock(&s->lock);
    entry_free(lost);
    return 0;
}

struct fdref *fdref_new(int fd, uint64_t size)
{
    return &entry_new(NULL, fd, size, SLICE_NONE, 0)->ref;
}

struct fdref *fdref_ref(struct fdref *f)
{
    struct entry *e = CONTAINER_OF(f, struct entry, ref);
    unsigned was = atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    CHECK(was > 0);
    return f;
}

/* Gives back a reference that may be the last; returns what is to be closed. */
static struct entry *release(struct shard *s, struct entry *e)
{
    struct entry *close = NULL;
    pthread_mutex_lock(&s->lock);
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        if (e->listed) {
            idle_push(s, e);
            if (s->idle_n > s->cache->idle_max_per_shard) {
                close = s->idle.idle_prev;
                idle_remove(s, close);
                unlist(s, find(s, slice_make(close->key, close->key_n), close->hash));
            }
        } else {
            close = e;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return close;
}

void fdref_unref(struct fdref *f)
{
    if (!f)
        return;
    struct entry *e = CONTAINER_OF(f, struct entry, ref);
    if (!e->shard) {
        unsigned was = atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel);
        CHECK(was > 0);
        if (was == 1)
            entry_free(e);
        return;
    }
    unsigned refs = atomic_load_explicit(&e->refs, memory_order_relaxed);
    CHECK(refs > 0);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&e->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    entry_free(release(e->shard, e));
}

void fdcache_drop(struct fdcache *c, struct slice key)
{
    uint64_t hash;
    struct shard *s = shard_of(c, key, &hash);
    struct entry *close = NULL;
    pthread_mutex_lock(&s->lock);
    s->drops++;
    struct entry **at = find(s, key, hash);
    struct entry *e = *at;
    if (e) {
        unlist(s, at);
        if (atomic_load_explicit(&e->refs, memory_order_acquire) == 0) {
            idle_remove(s, e);
            close = e;
        }
    }
    pthread_mutex_unlock(&s->lock);
    entry_free(close);
}

unsigned fdcache_open(struct fdcache *c)
{
    return atomic_load_explicit(&c->open, memory_order_relaxed);
}

void fdcache_free(struct fdcache *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->shard_n; i++) {
        struct shard *s = &c->shards[i];
        while (s->idle_n) {
            struct entry *e = s->idle.idle_next;
            idle_remove(s, e);
            entry_free(e);
        }
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    CHECK(fdcache_open(c) == 0);
    free(c);
}
