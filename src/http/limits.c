/* SPDX-License-Identifier: Apache-2.0 */
#include "http/limits_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/util.h"
#include "http/server.h"
#include "os/clock.h"

#include "base/banned.h"

enum { SLOTS_FIRST = 64, FD_RESERVE = 64 };

void http_limits_default(struct http_limits *l)
{
    *l = (struct http_limits){
        .head_timeout_ms = 10 * 1000,
        .idle_timeout_ms = 120 * 1000,
        .read_stall_ms = 60 * 1000,
        .read_min_rate = 64,
        .write_stall_ms = 60 * 1000,
        .buffer_min = 16 * 1024,
        .buffer_max = 256 * 1024,
        .flush_ms = 100,
        .body_memory_max = 256 * 1024 * 1024,
        .drain_bytes = 64 * 1024,
    };
}

bool memory_take(struct memory *m, size_t n)
{
    size_t before = atomic_fetch_add_explicit(&m->used, n, memory_order_relaxed);
    if (before <= m->max && n <= m->max - before)
        return true;
    memory_give(m, n);
    return false;
}

void memory_give(struct memory *m, size_t n)
{
    atomic_fetch_sub_explicit(&m->used, n, memory_order_relaxed);
}

void admission_init(struct admission *a, unsigned max, unsigned per_ip)
{
    *a = (struct admission){.max = max, .per_ip = per_ip, .n_slots = SLOTS_FIRST};
    CHECK(pthread_mutex_init(&a->mutex, NULL) == 0);
    a->slots = xcalloc(a->n_slots, sizeof *a->slots);
    /* Addresses are the clients' choice: they must not be able to aim at one slot. */
    os_random(&a->seed, sizeof a->seed);
}

void admission_set(struct admission *a, unsigned max, unsigned per_ip)
{
    atomic_store(&a->max, max);
    atomic_store(&a->per_ip, per_ip);
}

void admission_release(struct admission *a)
{
    free(a->slots);
    (void)pthread_mutex_destroy(&a->mutex);
}

static unsigned slot_home(const struct admission *a, const struct ip_key *ip)
{
    return (unsigned)hash_bytes(ip->b, sizeof ip->b, a->seed) & (a->n_slots - 1);
}

/* The address's slot, or the free one where it belongs. */
static struct ip_count *slot_find(const struct admission *a, const struct ip_key *ip)
{
    unsigned i = slot_home(a, ip);
    while (a->slots[i].n && memcmp(&a->slots[i].key, ip, sizeof *ip) != 0)
        i = (i + 1) & (a->n_slots - 1);
    return &a->slots[i];
}

static void slots_grow(struct admission *a)
{
    struct ip_count *old = a->slots;
    unsigned n = a->n_slots;
    a->n_slots = n * 2;
    a->slots = xcalloc(a->n_slots, sizeof *a->slots);
    for (unsigned i = 0; i < n; i++) {
        if (old[i].n)
            *slot_find(a, &old[i].key) = old[i];
    }
    free(old);
}

/* Frees slot i and moves the later ones of its cluster up, so that no search ends too early. */
static void slot_remove(struct admission *a, unsigned i)
{
    unsigned mask = a->n_slots - 1, hole = i;
    a->used--;
    for (unsigned j = (i + 1) & mask; a->slots[j].n; j = (j + 1) & mask) {
        unsigned home = slot_home(a, &a->slots[j].key);
        if (((j - home) & mask) >= ((j - hole) & mask)) {
            a->slots[hole] = a->slots[j];
            hole = j;
        }
    }
    a->slots[hole] = (struct ip_count){0};
}

static bool ip_enter(struct admission *a, const struct ip_key *ip, unsigned most)
{
    CHECK(pthread_mutex_lock(&a->mutex) == 0);
    struct ip_count *s = slot_find(a, ip);
    bool ok = s->n < most;
    if (ok && s->n++ == 0) {
        s->key = *ip;
        if (++a->used * 2 > a->n_slots)
            slots_grow(a);
    }
    CHECK(pthread_mutex_unlock(&a->mutex) == 0);
    return ok;
}

enum admission_result admission_enter(struct admission *a, const struct ip_key *ip, bool *counted)
{
    *counted = false;
    if (atomic_fetch_add(&a->total, 1) >= atomic_load(&a->max)) {
        atomic_fetch_sub(&a->total, 1);
        return REFUSED_MAX;
    }
    unsigned most = atomic_load(&a->per_ip);
    if (most && ip && !ip_enter(a, ip, most)) {
        atomic_fetch_sub(&a->total, 1);
        return REFUSED_IP;
    }
    *counted = most && ip;
    return ADMITTED;
}

void admission_leave(struct admission *a, const struct ip_key *ip)
{
    atomic_fetch_sub(&a->total, 1);
    if (!ip)
        return;
    CHECK(pthread_mutex_lock(&a->mutex) == 0);
    struct ip_count *s = slot_find(a, ip);
    CHECK(s->n > 0);
    if (--s->n == 0)
        slot_remove(a, (unsigned)(s - a->slots));
    CHECK(pthread_mutex_unlock(&a->mutex) == 0);
}

unsigned connections_allowed(unsigned wanted, unsigned fds_reserved)
{
    uint64_t reserve = fds_reserved ? fds_reserved : (unsigned)FD_RESERVE;
    if (wanted)
        return wanted;
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur == RLIM_INFINITY)
        return UINT32_MAX / 2;
    uint64_t n = r.rlim_cur > reserve ? (r.rlim_cur - reserve) / 2 : 0;
    n = MAX(n,
            r.rlim_cur / 8); /* too few for all: then those that are rarely needed have to wait */
    return (unsigned)MAX(MIN(n, (uint64_t)UINT32_MAX / 2), (uint64_t)1);
}
