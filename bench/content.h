/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to push that no server has seen: random, so that nothing compresses them, and different
 * each time by a tail, so that the digest of any number of blobs costs one hash of the common part,
 * made before the clock starts. */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/slice.h"

enum { CONTENT_TAIL = 64, CONTENT_DIGEST = sizeof "sha256:" - 1 + 64 };

struct content;

/* Blobs of `size` >= CONTENT_TAIL bytes. Aborts without memory or randomness. */
struct content *content_new(size_t size);
void content_free(struct content *c); /* NULL is fine */
/* What all blobs begin with; borrowed. */
struct slice content_base(const struct content *c);
/* A tail never given before, and the digest ("sha256:" and hex, NUL-terminated) of base and tail.
 */
void content_next(struct content *c, char tail[CONTENT_TAIL], char digest[CONTENT_DIGEST + 1]);
/* Nanoseconds spent in content_next. */
uint64_t content_spent(const struct content *c);

/* MB/s (10^6 bytes) of one stream of SHA-256 in updates of 64 KiB on this CPU, over about
 * `seconds`. */
double content_probe(double seconds);

#endif
