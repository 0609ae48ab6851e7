/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections there may be, in all and per address, and how much memory for bodies. Any
 * thread. */
#ifndef HTTP_LIMITS_INT_H
#define HTTP_LIMITS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv6 address, or an IPv4 one mapped into it. For IPv6 the /64 counts as one client. */
struct ip_key {
    uint8_t b[16];
};

struct ip_count {
    struct ip_key key;
    unsigned n; /* 0: the slot is free */
};

struct admission {
    atomic_uint max, per_ip; /* per_ip 0: not counted */
    atomic_uint total;
    pthread_mutex_t mutex;
    struct ip_count *slots; /* open addressing, a power of two, at most half full */
    unsigned n_slots, used;
    uint64_t seed;
};

/* What the bodies of all loops may take. */
struct memory {
    atomic_size_t used;
    size_t max;
};
bool memory_take(struct memory *m, size_t n);
void memory_give(struct memory *m, size_t n);

enum admission_result { ADMITTED, REFUSED_MAX, REFUSED_IP };

void admission_init(struct admission *a, unsigned max, unsigned per_ip);
void admission_release(struct admission *a);
void admission_set(struct admission *a, unsigned max, unsigned per_ip); /* for those that come */
/* `ip` NULL (Unix sockets, proxies): only the total counts. *counted tells whether `ip` is in the
 * table, and has to be given to admission_leave. */
enum admission_result admission_enter(struct admission *a, const struct ip_key *ip, bool *counted);
void admission_leave(struct admission *a, const struct ip_key *ip);
/* As many as were asked for, or as the descriptor limit allows. */
unsigned connections_allowed(unsigned wanted, unsigned fds_reserved);

#endif
