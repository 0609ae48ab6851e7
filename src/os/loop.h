/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop over epoll with timers and a mailbox. One thread runs a loop and owns all that is
 * registered with it; the only calls for other threads are loop_post and loop_stop. */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;

/* A piece of work, embedded in what it works on. Belongs to whom it was posted until fn is called.
 */
struct task {
    struct task *next;
    void (*fn)(struct task *t);
};

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };

/* Readiness of a descriptor; embedded. Level-triggered. fn may change, remove or free its own io
 * and any other of the same loop: an io that was removed is not called any more, in this turn
 * neither. */
struct loop_io {
    int fd;
    unsigned events; /* registered interest; set by loop_add and loop_mod */
    void (*fn)(struct loop_io *io, unsigned ready);
    unsigned slot; /* the loop's own */
};

/* One-shot, embedded, zero-initialised. fn may set it again. */
struct timer {
    uint64_t at_ms;
    unsigned index; /* the loop's own: 0 when not set */
    void (*fn)(struct timer *t);
};

int loop_new(struct loop **out, struct error *err);
/* When it does not run and nobody can post any more. Tasks still in the mailbox are not run. NULL
 * is fine. */
void loop_free(struct loop *l);
/* Runs until loop_stop; returns after the current turn. A stop that came before ends it at once. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l); /* any thread, also a signal handler */
/* Any thread. t->fn(t) is called on the loop's thread, in the order of posting per poster. Never
 * fails, never blocks. What a task posts runs in the next turn, after I/O had its. */
void loop_post(struct loop *l, struct task *t);

/* interest: LOOP_READ | LOOP_WRITE; 0 still reports LOOP_HANGUP (peer gone in both directions, or
 * error), in every turn until the io is removed. */
int loop_add(struct loop *l, struct loop_io *io, unsigned interest, struct error *err);
void loop_mod(struct loop *l, struct loop_io *io,
              unsigned interest); /* no system call when nothing changes */
/* Before the descriptor is closed. Nothing for a (zero-initialised) io that is not registered. */
void loop_del(struct loop *l, struct loop_io *io);

/* (Re)sets to fire `in_ms` after the loop's current time. O(log n); pushing the deadline of a set
 * timer back is O(1). Set for now by a timer's callback, it fires in the next millisecond. */
void timer_set(struct loop *l, struct timer *t, uint64_t in_ms);
void timer_clear(struct loop *l, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->index != 0;
}
/* Monotonic milliseconds, read once a turn. */
uint64_t loop_now(const struct loop *l);

#endif
