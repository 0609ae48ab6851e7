/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include "base/util.h"

#include "base/banned.h"

/* Values below 64 have a bucket each; from there on the top seven bits choose. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB)
        return (unsigned)ns;
    unsigned shift = 57u - (unsigned)__builtin_clzll(ns);
    return (shift + 1) * HISTOGRAM_SUB + (unsigned)((ns >> shift) - HISTOGRAM_SUB);
}

static uint64_t upper_edge(unsigned bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_SUB - 1;
    uint64_t top = bucket % HISTOGRAM_SUB + HISTOGRAM_SUB;
    return (top << shift) + ((1ull << shift) - 1);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->total++;
    h->max = MAX(h->max, ns);
    h->count[bucket_of(ns)]++;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->total);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->count[i];
        if (h->count[i] && seen > rank)
            return MIN(upper_edge(i), h->max);
    }
    return h->max;
}
