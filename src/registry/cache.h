/* SPDX-License-Identifier: Apache-2.0 */
/* A loop's own cache of manifest answers, so that the most frequent request of a registry needs no
 * worker. An entry is valid for as long as meta_epoch of its repository is what it was before the
 * entry was read. One thread: the loop's. */
#ifndef REGISTRY_CACHE_H
#define REGISTRY_CACHE_H

#include <stdint.h>

#include "base/shared.h"
#include "base/slice.h"
#include "oci/digest.h"

struct manifest_cache;

/* A complete answer. */
struct manifest_answer {
    struct shared *body;   /* the manifest */
    struct shared *fields; /* ready-made header lines */
    struct digest digest;
    uint64_t epoch;
};

struct manifest_cache *manifest_cache_new(size_t bytes_max);
void manifest_cache_free(struct manifest_cache *c); /* NULL is fine */
/* Borrowed until the next call on the cache; NULL when it is not there or stale. NULL cache is
 * fine. */
const struct manifest_answer *manifest_cache_get(struct manifest_cache *c, struct slice repo,
                                                 struct slice reference, uint64_t epoch);
/* Takes references of its own. */
void manifest_cache_put(struct manifest_cache *c, struct slice repo, struct slice reference,
                        const struct manifest_answer *answer);

#endif
