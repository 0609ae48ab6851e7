/* SPDX-License-Identifier: Apache-2.0 */
#include "os/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

enum { MAGIC = 0x4c4f4f50, EVENTS_MAX = 256, SLOTS_MIN = 64, CACHE_LINE = 64 };

/* What epoll knows of an io is a slot number and the slot's generation, never a pointer: an event
 * for an io that is gone by the time it is looked at (removed, freed, its slot taken by another)
 * does not match. Slot 0 is the mailbox. */
struct slot {
    struct loop_io *io; /* NULL when free */
    uint32_t gen;
    uint32_t next_free;
};

/* `key` is at or before the timer's at_ms: pushing a deadline back only changes at_ms, and the node
 * moves when its key comes up. */
struct node {
    uint64_t key;
    struct timer *t;
};

struct loop {
    unsigned magic;
    int epoll, wake;
    uint64_t now;
    bool running, firing;

    struct slot *slots;
    uint32_t slot_cap, slot_free; /* slot_free: head of the free list, 0 at its end */

    struct node *heap; /* binary, from index 1 on */
    unsigned heap_n, heap_cap;

    /* Written by other threads, so on a line of its own. The mailbox is a stack of what was posted,
     * newest first; `asleep` on it says that the loop waits (or is about to) without a task, and
     * whoever takes `asleep` off has to wake it. */
    alignas(CACHE_LINE) _Atomic(struct task *) mail;
    atomic_bool stop;

    alignas(CACHE_LINE) struct task asleep;
    struct epoll_event events[EVENTS_MAX];
};

static void check_loop(const struct loop *l)
{
    CHECK(l && l->magic == MAGIC);
}

int loop_new(struct loop **out, struct error *err)
{
    CLEANUP_CLOSE int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        return error_sys(err, errno, "make an epoll descriptor");
    CLEANUP_CLOSE int ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ev < 0)
        return error_sys(err, errno, "make an event descriptor");
    /* Edge-triggered: each write wakes, and nobody ever has to read the count back. */
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 0};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e))
        return error_sys(err, errno, "watch the event descriptor");

    struct loop *l = aligned_alloc(CACHE_LINE, sizeof *l);
    CHECK(l);
    memset(l, 0, sizeof *l);
    l->magic = MAGIC;
    l->epoll = ep;
    l->wake = ev;
    ep = ev = -1;
    l->now = os_mono_ms();
    atomic_init(&l->mail, NULL);
    atomic_init(&l->stop, false);
    *out = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    check_loop(l);
    CHECK(!l->running);
    l->magic = 0;
    (void)close(l->epoll);
    (void)close(l->wake);
    free(l->slots);
    free(l->heap);
    free(l);
}

/* ---- mailbox ---- */

static void wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake, &one, sizeof one);
    (void)n; /* full only after 2^64 posts, and then it is readable anyway */
}

void loop_post(struct loop *l, struct task *t)
{
    check_loop(l);
    struct task *old = atomic_load_explicit(&l->mail, memory_order_relaxed);
    do {
        t->next = old == &l->asleep ? NULL : old;
    } while (!atomic_compare_exchange_weak_explicit(&l->mail, &old, t, memory_order_release,
                                                    memory_order_relaxed));
    if (old == &l->asleep)
        wake(l);
}

void loop_stop(struct loop *l)
{
    int saved = errno; /* this may be a signal handler */
    atomic_store_explicit(&l->stop, true, memory_order_release);
    wake(l);
    errno = saved;
}

/* Runs what was posted before; what these tasks post runs in the next turn, after I/O had its. */
static void run_tasks(struct loop *l)
{
    if (!atomic_load_explicit(&l->mail, memory_order_relaxed))
        return;
    struct task *stack = atomic_exchange_explicit(&l->mail, NULL, memory_order_acquire);
    if (stack == &l->asleep)
        return;
    struct task *queue = NULL;
    while (stack) {
        struct task *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    while (queue) {
        struct task *t = queue;
        queue = t->next;
        t->next = NULL;
        t->fn(t);
    }
}

/* ---- timers ---- */

static void heap_place(struct loop *l, unsigned i, struct node n)
{
    l->heap[i] = n;
    n.t->index = i;
}

static void sift_up(struct loop *l, unsigned i, struct node n)
{
    for (; i > 1 && n.key < l->heap[i / 2].key; i /= 2)
        heap_place(l, i, l->heap[i / 2]);
    heap_place(l, i, n);
}

static void sift_down(struct loop *l, unsigned i, struct node n)
{
    for (;;) {
        unsigned child = 2 * i;
        if (child > l->heap_n)
            break;
        if (child < l->heap_n && l->heap[child + 1].key < l->heap[child].key)
            child++;
        if (l->heap[child].key >= n.key)
            break;
        heap_place(l, i, l->heap[child]);
        i = child;
    }
    heap_place(l, i, n);
}

static void heap_grow(struct loop *l)
{
    CHECK(l->heap_cap < UINT_MAX / 4);
    unsigned cap = l->heap_cap ? l->heap_cap * 2 : 64;
    struct node *heap = realloc(l->heap, sizeof *heap * cap);
    CHECK(heap);
    l->heap = heap;
    l->heap_cap = cap;
}

void timer_set(struct loop *l, struct timer *t, uint64_t in_ms)
{
    uint64_t at;
    if (u64_add(l->now, in_ms, &at))
        at = UINT64_MAX;
    /* A timer that sets itself for now must not keep the turn from ending. */
    if (l->firing && at <= l->now)
        at = l->now + 1;
    t->at_ms = at;
    if (t->index) {
        CHECK(t->index <= l->heap_n && l->heap[t->index].t == t);
        if (at < l->heap[t->index].key)
            sift_up(l, t->index, (struct node){at, t});
        return;
    }
    if (l->heap_n + 2 > l->heap_cap)
        heap_grow(l);
    l->heap_n++;
    sift_up(l, l->heap_n, (struct node){at, t});
}

void timer_clear(struct loop *l, struct timer *t)
{
    unsigned i = t->index;
    if (!i)
        return;
    CHECK(i <= l->heap_n && l->heap[i].t == t);
    t->index = 0;
    struct node last = l->heap[l->heap_n--];
    if (last.t == t)
        return;
    if (i > 1 && last.key < l->heap[i / 2].key)
        sift_up(l, i, last);
    else
        sift_down(l, i, last);
}

static void run_timers(struct loop *l)
{
    l->firing = true;
    while (l->heap_n && l->heap[1].key <= l->now) {
        struct timer *t = l->heap[1].t;
        if (t->at_ms > l->heap[1].key) {
            sift_down(l, 1, (struct node){t->at_ms, t});
            continue;
        }
        timer_clear(l, t);
        t->fn(t);
    }
    l->firing = false;
}

uint64_t loop_now(const struct loop *l)
{
    return l->now;
}

/* ---- I/O ---- */

static uint32_t to_epoll(unsigned interest)
{
    return (interest & LOOP_READ ? (uint32_t)EPOLLIN : 0) |
           (interest & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static struct slot *slot_of(struct loop *l, const struct loop_io *io)
{
    CHECK(io->slot < l->slot_cap && l->slots[io->slot].io == io);
    return &l->slots[io->slot];
}

static int slots_grow(struct loop *l)
{
    uint32_t from = l->slot_cap ? l->slot_cap : 1, cap = l->slot_cap ? from * 2 : SLOTS_MIN;
    struct slot *slots = cap > from ? realloc(l->slots, sizeof *slots * cap) : NULL;
    if (!slots)
        return -1;
    memset(slots + l->slot_cap, 0, sizeof *slots * (cap - l->slot_cap));
    for (uint32_t i = from; i < cap; i++)
        slots[i].next_free = i + 1 < cap ? i + 1 : 0;
    l->slots = slots;
    l->slot_cap = cap;
    l->slot_free = from;
    return 0;
}

int loop_add(struct loop *l, struct loop_io *io, unsigned interest, struct error *err)
{
    check_loop(l);
    if (!l->slot_free && slots_grow(l))
        return error_sys(err, ENOMEM, "watch one more descriptor");
    uint32_t i = l->slot_free;
    struct slot *s = &l->slots[i];
    struct epoll_event e = {.events = to_epoll(interest), .data.u64 = (uint64_t)s->gen << 32 | i};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, io->fd, &e))
        return error_sys(err, errno, "watch descriptor %d", io->fd);
    l->slot_free = s->next_free;
    s->io = io;
    io->slot = i;
    io->events = interest;
    return 0;
}

void loop_mod(struct loop *l, struct loop_io *io, unsigned interest)
{
    if (io->events == interest)
        return;
    struct slot *s = slot_of(l, io);
    struct epoll_event e = {.events = to_epoll(interest),
                            .data.u64 = (uint64_t)s->gen << 32 | io->slot};
    int r = epoll_ctl(l->epoll, EPOLL_CTL_MOD, io->fd, &e);
    CHECK(r == 0);
    io->events = interest;
}

void loop_del(struct loop *l, struct loop_io *io)
{
    if (!io->slot)
        return;
    struct slot *s = slot_of(l, io);
    /* Fails only when the descriptor was closed before, when another one may already have its
     * number: that has to be found, not survived. */
    int r = epoll_ctl(l->epoll, EPOLL_CTL_DEL, io->fd, NULL);
    CHECK(r == 0);
    s->io = NULL;
    s->gen++;
    s->next_free = l->slot_free;
    l->slot_free = io->slot;
    io->slot = 0;
    io->events = 0;
}

static void run_io(struct loop *l, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t at = (uint32_t)l->events[i].data.u64;
        uint32_t gen = (uint32_t)(l->events[i].data.u64 >> 32);
        if (at == 0)
            continue; /* the mailbox: it is looked into every turn */
        struct loop_io *io = l->slots[at].io;
        if (!io || l->slots[at].gen != gen)
            continue;
        uint32_t got = l->events[i].events;
        /* Only what is still of interest: a callback before this one may have changed it. */
        unsigned ready =
            io->events & ((got & EPOLLIN ? LOOP_READ : 0u) | (got & EPOLLOUT ? LOOP_WRITE : 0u));
        if (got & (EPOLLHUP | EPOLLERR))
            ready |= LOOP_HANGUP;
        if (ready)
            io->fn(io, ready);
    }
}

/* ---- the turn ---- */

/* Milliseconds that the loop may sleep; when it may at all, `asleep` is in the mailbox. */
static int sleep_time(struct loop *l)
{
    int timeout = -1;
    if (l->heap_n) {
        /* l->now is as old as the turn was long. */
        uint64_t now = os_mono_ms(), key = l->heap[1].key;
        timeout = key <= now ? 0 : (int)MIN(key - now, (uint64_t)INT_MAX);
    }
    struct task *none = NULL;
    if (timeout != 0 &&
        !atomic_compare_exchange_strong_explicit(&l->mail, &none, &l->asleep, memory_order_acq_rel,
                                                 memory_order_relaxed))
        timeout = 0;
    return timeout;
}

void loop_run(struct loop *l)
{
    check_loop(l);
    CHECK(!l->running);
    l->running = true;
    l->now = os_mono_ms();
    while (!atomic_load_explicit(&l->stop, memory_order_acquire)) {
        int n = epoll_wait(l->epoll, l->events, EVENTS_MAX, sleep_time(l));
        CHECK(n >= 0 || errno == EINTR);
        l->now = os_mono_ms();
        run_io(l, n);
        run_tasks(l);
        run_timers(l);
    }
    atomic_store_explicit(&l->stop, false, memory_order_relaxed);
    l->running = false;
}
