/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies in nanoseconds, counted in buckets of 1/64 of a power of two: a quantile read back is
 * at most 1.6 % above the true one. Fixed memory, no allocation while measuring. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SUB = 64, HISTOGRAM_BUCKETS = 58 * HISTOGRAM_SUB + HISTOGRAM_SUB };

struct histogram {
    uint64_t total;
    uint64_t max; /* exact */
    uint64_t count[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
/* The upper edge of the bucket that holds quantile q (0 to 1), never above the exact maximum; 0
 * when nothing was added. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
