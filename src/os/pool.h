/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded worker pool: threads that run short blocking steps. The queue refuses when it is full.
 */
#ifndef OS_POOL_H
#define OS_POOL_H

#include <stdbool.h>

#include "base/error.h"
#include "os/loop.h"

struct pool;

/* Threads are named after `name` (at most 15 bytes) and block all signals. `queue_max` tasks may
 * wait, not counting those that a free thread is about to take. */
int pool_new(const char *name, unsigned threads, unsigned queue_max, struct pool **out,
             struct error *err);
/* As pool_new, for work that must not take the processor from others: its threads are nicer by 10
 * than the process (19 at most). */
int pool_new_nice(const char *name, unsigned threads, unsigned queue_max, struct pool **out,
                  struct error *err);
/* Waits for what is queued and running, and for what running tasks post meanwhile, then joins;
 * nobody else may be posting. NULL is fine. */
void pool_free(struct pool *p);
/* Any thread. false when the queue is full (the task was not taken): answer 503. */
bool pool_post(struct pool *p, struct task *t);
/* For work that must not be refused because it continues something (a chunk of a body that is being
 * read, a cleanup): the queue's bound does not apply; the caller bounds it by having at most one
 * such task per connection. */
void pool_post_always(struct pool *p, struct task *t);
unsigned pool_depth(struct pool *p); /* tasks waiting */
unsigned pool_busy(struct pool *p);  /* threads working */
unsigned pool_threads(struct pool *p);

#endif
