/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/cache.h"

#include <stdlib.h>

#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

enum { BUCKETS = 1024, ENTRY_BODY_MAX = 256 * 1024 };

struct entry {
    struct entry *chain; /* of its bucket */
    struct entry *newer, *older;
    struct manifest_answer answer;
    uint64_t hash;
    size_t cost;
    size_t repo_n, reference_n;
    char key[]; /* repository, then reference */
};

struct manifest_cache {
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest;
    size_t bytes, bytes_max;
    uint64_t seed; /* clients choose the keys */
};

struct manifest_cache *manifest_cache_new(size_t bytes_max)
{
    struct manifest_cache *c = xcalloc(1, sizeof *c);
    c->bytes_max = bytes_max;
    os_random(&c->seed, sizeof c->seed);
    return c;
}

static uint64_t key_hash(const struct manifest_cache *c, struct slice repo, struct slice reference)
{
    return hash_bytes(reference.p, reference.n, hash_bytes(repo.p, repo.n, c->seed));
}

static struct entry **find(struct manifest_cache *c, uint64_t hash, struct slice repo,
                           struct slice reference)
{
    struct entry **at = &c->buckets[hash % BUCKETS];
    for (; *at; at = &(*at)->chain) {
        struct entry *e = *at;
        if (e->hash == hash && e->repo_n == repo.n && e->reference_n == reference.n &&
            memcmp(e->key, repo.p, repo.n) == 0 &&
            memcmp(e->key + repo.n, reference.p, reference.n) == 0)
            break;
    }
    return at;
}

static void lru_unlink(struct manifest_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void lru_push(struct manifest_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop(struct manifest_cache *c, struct entry **at)
{
    struct entry *e = *at;
    CHECK(e);
    *at = e->chain;
    lru_unlink(c, e);
    c->bytes -= e->cost;
    shared_unref(e->answer.body);
    shared_unref(e->answer.fields);
    free(e);
}

void manifest_cache_free(struct manifest_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (c->buckets[i])
            drop(c, &c->buckets[i]);
    free(c);
}

const struct manifest_answer *manifest_cache_get(struct manifest_cache *c, struct slice repo,
                                                 struct slice reference, uint64_t epoch)
{
    if (!c || epoch == 0)
        return NULL;
    struct entry **at = find(c, key_hash(c, repo, reference), repo, reference);
    if (!*at)
        return NULL;
    if ((*at)->answer.epoch != epoch) {
        drop(c, at);
        return NULL;
    }
    struct entry *e = *at;
    if (c->newest != e) {
        lru_unlink(c, e);
        lru_push(c, e);
    }
    return &e->answer;
}

void manifest_cache_put(struct manifest_cache *c, struct slice repo, struct slice reference,
                        const struct manifest_answer *answer)
{
    if (!c || answer->epoch == 0 || answer->body->n > ENTRY_BODY_MAX)
        return;
    uint64_t hash = key_hash(c, repo, reference);
    struct entry **at = find(c, hash, repo, reference);
    if (*at)
        drop(c, at);
    size_t cost = sizeof(struct entry) + repo.n + reference.n + answer->body->n + answer->fields->n;
    if (cost > c->bytes_max)
        return;
    while (c->bytes + cost > c->bytes_max) {
        struct entry *e = c->oldest;
        drop(c, find(c, e->hash, slice_make(e->key, e->repo_n),
                     slice_make(e->key + e->repo_n, e->reference_n)));
    }
    struct entry *e = xcalloc(1, sizeof *e + repo.n + reference.n);
    e->hash = hash;
    e->cost = cost;
    e->repo_n = repo.n;
    e->reference_n = reference.n;
    memcpy(e->key, repo.p, repo.n);
    memcpy(e->key + repo.n, reference.p, reference.n);
    e->answer = *answer;
    shared_ref(answer->body);
    shared_ref(answer->fields);
    e->chain = c->buckets[hash % BUCKETS];
    c->buckets[hash % BUCKETS] = e;
    lru_push(c, e);
    c->bytes += cost;
}
