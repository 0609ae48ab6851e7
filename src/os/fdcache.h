/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted open files, keyed by a string, so that a thousand downloads of a blob hold one
 * descriptor. Any thread. */
#ifndef OS_FDCACHE_H
#define OS_FDCACHE_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct fdcache;

/* An open file for reading. Immutable while referenced. */
struct fdref {
    int fd;
    uint64_t size; /* bytes, at the time it was opened */
};

/* At most `idle_max` files stay open without a reference, the least recently used closed first
 * (from 256 on: of 16 shards by key, each with its share). */
struct fdcache *fdcache_new(unsigned idle_max);
void fdcache_free(struct fdcache *c); /* no reference may be left */
/* A reference to the file of `key`, opened by `open` (which returns a descriptor or -1 with err)
 * when it is not open yet. Two threads that miss at once may both open; one descriptor is kept. */
int fdcache_get(struct fdcache *c, struct slice key, int (*open)(void *arg, struct error *err),
                void *arg, struct fdref **out, struct error *err);
/* A reference only if it is open already (no system call, no blocking: for loops); else NULL. */
struct fdref *fdcache_peek(struct fdcache *c, struct slice key);
/* A reference-counted wrapper for a descriptor that is not in any cache; takes the descriptor. */
struct fdref *fdref_new(int fd, uint64_t size);
struct fdref *fdref_ref(struct fdref *f);
void fdref_unref(struct fdref *f); /* NULL is fine */
/* Forgets the key: later gets open anew, holders keep what they have. */
void fdcache_drop(struct fdcache *c, struct slice key);
unsigned fdcache_open(struct fdcache *c); /* descriptors held */

#endif
