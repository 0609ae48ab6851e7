/* SPDX-License-Identifier: Apache-2.0 */
#include "os/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

enum { MAGIC = 0x504f4f4c, NAME_MAX_BYTES = 15 };
/* A tenth of the processor when others want all of it. At 19, the lowest, it would be a hundredth,
 * and a login on a busy machine would take seconds. */
enum { NICE_MORE = 10 };

/* Each worker sleeps on a condition of its own, on a stack of idle workers: a post wakes at most
 * one, the one that went to sleep last (whose stack and cache are warm). It wakes none when none
 * sleeps, nor when as many as there are tasks are already waking up: each of them takes one, unless
 * a worker that is awake was faster. */
struct worker {
    struct pool *pool;
    struct worker *next_idle;
    bool idle; /* on the stack */
    pthread_cond_t wake;
    pthread_t thread;
};

struct pool {
    unsigned magic;
    char name[NAME_MAX_BYTES + 1];
    unsigned threads; /* workers made */
    unsigned queue_max;
    bool nice;

    pthread_mutex_t lock; /* guards all below */
    struct task *head, **tail;
    unsigned depth, busy, waking; /* waking: off the stack, not running yet */
    struct worker *idle;
    bool stopping;

    struct worker workers[];
};

static struct task *queue_pop(struct pool *p)
{
    struct task *t = p->head;
    p->head = t->next;
    if (!p->head)
        p->tail = &p->head;
    p->depth--;
    t->next = NULL;
    return t;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    (void)pthread_setname_np(pthread_self(), p->name);
    /* Linux has a priority for each thread; where it cannot be set, nothing is lost. */
    if (p->nice)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICE_MORE);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        if (p->head) {
            struct task *t = queue_pop(p);
            p->busy++;
            pthread_mutex_unlock(&p->lock);
            t->fn(t);
            pthread_mutex_lock(&p->lock);
            p->busy--;
        } else if (p->stopping) {
            break;
        } else {
            w->idle = true;
            w->next_idle = p->idle;
            p->idle = w;
            while (w->idle) /* whoever takes it off the stack clears this */
                pthread_cond_wait(&w->wake, &p->lock);
            p->waking--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static struct worker *idle_pop(struct pool *p)
{
    struct worker *w = p->idle;
    if (w) {
        p->idle = w->next_idle;
        w->idle = false;
        p->waking++;
    }
    return w;
}

static int start(struct pool *p, unsigned n)
{
    pthread_attr_t attr;
    sigset_t all;
    sigfillset(&all);
    pthread_attr_init(&attr);
    int r = pthread_attr_setsigmask_np(&attr, &all);
    while (r == 0 && p->threads < n) {
        struct worker *w = &p->workers[p->threads];
        w->pool = p;
        pthread_cond_init(&w->wake, NULL);
        r = pthread_create(&w->thread, &attr, work, w);
        if (r == 0)
            p->threads++;
        else
            pthread_cond_destroy(&w->wake);
    }
    pthread_attr_destroy(&attr);
    return r;
}

static int make(const char *name, unsigned threads, unsigned queue_max, bool nice,
                struct pool **out, struct error *err)
{
    CHECK(threads > 0);
    struct pool *p = xcalloc(1, sizeof *p + threads * sizeof p->workers[0]);
    p->magic = MAGIC;
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    p->queue_max = queue_max;
    p->nice = nice;
    p->tail = &p->head;
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    /* The lock is held for a few instructions: spinning a little beats sleeping. */
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&p->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    int r = start(p, threads);
    if (r) {
        pool_free(p);
        return error_sys(err, r, "start %u threads for the pool %s", threads, name);
    }
    *out = p;
    return 0;
}

int pool_new(const char *name, unsigned threads, unsigned queue_max, struct pool **out,
             struct error *err)
{
    return make(name, threads, queue_max, false, out, err);
}

int pool_new_nice(const char *name, unsigned threads, unsigned queue_max, struct pool **out,
                  struct error *err)
{
    return make(name, threads, queue_max, true, out, err);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    CHECK(p->magic == MAGIC);
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    for (struct worker *w; (w = idle_pop(p)) != NULL;)
        pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++) {
        pthread_join(p->workers[i].thread, NULL);
        pthread_cond_destroy(&p->workers[i].wake);
    }
    CHECK(!p->head);
    pthread_mutex_destroy(&p->lock);
    p->magic = 0;
    free(p);
}

static bool post(struct pool *p, struct task *t, bool bounded)
{
    CHECK(p->magic == MAGIC);
    pthread_mutex_lock(&p->lock);
    /* A task that a free thread is about to take does not wait. */
    if (bounded && p->depth >= p->queue_max && p->depth - p->queue_max >= p->threads - p->busy) {
        pthread_mutex_unlock(&p->lock);
        return false;
    }
    t->next = NULL;
    *p->tail = t;
    p->tail = &t->next;
    p->depth++;
    struct worker *w = p->depth > p->waking ? idle_pop(p) : NULL;
    pthread_mutex_unlock(&p->lock);
    if (w)
        pthread_cond_signal(&w->wake); /* unlocked: the woken thread finds the lock free */
    return true;
}

bool pool_post(struct pool *p, struct task *t)
{
    return post(p, t, true);
}

void pool_post_always(struct pool *p, struct task *t)
{
    (void)post(p, t, false);
}

unsigned pool_depth(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    unsigned n = p->depth;
    pthread_mutex_unlock(&p->lock);
    return n;
}

unsigned pool_busy(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    unsigned n = p->busy;
    pthread_mutex_unlock(&p->lock);
    return n;
}

unsigned pool_threads(struct pool *p)
{
    return p->threads;
}
