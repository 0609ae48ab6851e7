/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/sqlite_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/fault.h"

#include "base/banned.h"

/* A commit is some 100 us to 10 ms, a blocked disk is seconds. */
static const double commit_bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                       0.01,   0.025,   0.05,   0.1,   0.5,    2};

struct writer {
    struct sqdb *db;
    int frames_moved; /* of the log at the last checkpoint; the thread's own */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct txn *head, **tail; /* under the lock, as `waiting` and `stop` */
    unsigned waiting, queue_max;
    bool stop;
    atomic_uint_fast64_t busy_since_ms;                      /* 0: idle */
    struct metric *commits, *transactions, *seconds, *queue; /* NULL without metrics */
};

/* The transactions of one commit, in the order they came. */
struct group {
    struct txn *list[WRITER_GROUP_MAX];
    unsigned n;
};

static int fault_error(int sys, const char *point, struct error *err)
{
    return sys ? error_sys(err, sys, "database: %s", point) : 0;
}

/* Runs one of several: its failure undoes it alone. -1 only when that was not possible, or when
 * SQLite has ended the whole transaction: then the group has failed. */
static int run_one(struct sqdb *db, struct txn *t, struct error *err)
{
    if (sq_run(db, SQL_SAVEPOINT, NULL, 0, NULL, err) < 0)
        return -1;
    t->rc = t->run(t, db, &t->error);
    if (!sqdb_in_transaction(db)) {
        if (t->rc < 0)
            *err = t->error;
        else
            error_set(err, ERR_UNKNOWN, "database: the transaction ended by itself");
        return -1;
    }
    if (t->rc < 0 && sq_run(db, SQL_ROLLBACK_TO, NULL, 0, NULL, err) < 0)
        return -1;
    return sq_run(db, SQL_RELEASE, NULL, 0, NULL, err);
}

static int run_all(struct sqdb *db, struct group *g, struct error *err)
{
    int fault = fault_point("meta.begin");
    if (fault)
        return fault_error(fault, "begin", err);
    if (sq_run(db, SQL_BEGIN, NULL, 0, NULL, err) < 0)
        return -1;
    for (unsigned i = 0; i < g->n; i++)
        if (run_one(db, g->list[i], err) < 0)
            return -1;
    fault = fault_point("meta.commit");
    if (fault)
        return fault_error(fault, "commit", err);
    if (sq_run(db, SQL_COMMIT, NULL, 0, NULL, err) < 0)
        return -1;
    return fault_error(fault_point("meta.committed"), "after the commit", err);
}

/* One commit. Afterwards no transaction is open, whatever happened: the next group starts anew. */
static void run_group(struct writer *w, struct group *g)
{
    struct error err = {0};
    uint64_t start = os_mono_ns();
    int r = run_all(w->db, g, &err);
    if (sqdb_in_transaction(w->db))
        (void)sq_run(w->db, SQL_ROLLBACK, NULL, 0, NULL, NULL);
    if (w->commits) {
        metric_add(w->commits, 1);
        metric_add(w->transactions, g->n);
        metric_observe(w->seconds, (double)(os_mono_ns() - start) / 1e9);
    }
    for (unsigned i = 0; i < g->n; i++) {
        struct txn *t = g->list[i];
        /* Also after a failed commit: whether its frames survive is not known before a restart. */
        if (t->committed && (t->rc == 0 || r < 0))
            t->committed(t);
        if (r < 0) {
            t->rc = -1;
            t->error = err;
        }
        (void)sem_post(&t->done); /* *t may be gone from here on */
    }
}

/* After the callers were told, so that only those who come now wait for it. An error is of no
 * consequence here: the frames stay in the log and the next attempt moves them. */
static void checkpoint(struct writer *w, bool idle)
{
    int frames = sqdb_wal_frames(w->db);
    if (frames < w->frames_moved)
        w->frames_moved = 0; /* the log began anew */
    if (frames - w->frames_moved < (idle ? WRITER_WAL_SOFT : WRITER_WAL_FIRM))
        return;
    (void)sqdb_checkpoint(w->db, frames < WRITER_WAL_HARD, NULL);
    w->frames_moved = frames;
}

/* Waits for work. false: stopped and nothing left. */
static bool take(struct writer *w, struct group *g)
{
    (void)pthread_mutex_lock(&w->lock);
    while (!w->head && !w->stop)
        (void)pthread_cond_wait(&w->work, &w->lock);
    g->n = 0;
    while (w->head && g->n < WRITER_GROUP_MAX) {
        g->list[g->n++] = w->head;
        w->head = w->head->next;
    }
    if (!w->head)
        w->tail = &w->head;
    w->waiting -= g->n;
    (void)pthread_mutex_unlock(&w->lock);
    if (w->queue)
        metric_add(w->queue, -(int64_t)g->n);
    return g->n > 0;
}

static bool is_idle(struct writer *w)
{
    (void)pthread_mutex_lock(&w->lock);
    bool idle = !w->head;
    (void)pthread_mutex_unlock(&w->lock);
    return idle;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct group *g = xcalloc(1, sizeof *g);
    while (take(w, g)) {
        atomic_store(&w->busy_since_ms, os_mono_ms());
        run_group(w, g);
        checkpoint(w, is_idle(w));
        atomic_store(&w->busy_since_ms, 0);
    }
    free(g);
    return NULL;
}

static void add_metrics(struct writer *w, struct metrics *m)
{
    w->commits = metrics_counter(m, "berth_meta_commits_total",
                                 "Groups of transactions that the metadata writer committed.", "");
    w->transactions =
        metrics_counter(m, "berth_meta_transactions_total", "Transactions in those groups.", "");
    w->seconds = metrics_histogram(m, "berth_meta_commit_seconds",
                                   "Time from the start of a group until it was durable.", "",
                                   commit_bounds, ARRAY_LEN(commit_bounds));
    w->queue = metrics_gauge(m, "berth_meta_queue", "Transactions that wait for the writer.", "");
}

static int start_thread(struct writer *w)
{
    /* Signals are for the main thread. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(&w->thread, NULL, writer_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys == 0)
        (void)pthread_setname_np(w->thread, "meta-writer");
    return sys;
}

int writer_start(struct sqdb *db, unsigned queue_max, struct metrics *metrics, struct writer **out,
                 struct error *err)
{
    struct writer *w = xcalloc(1, sizeof *w);
    w->db = db;
    w->tail = &w->head;
    w->queue_max = queue_max;
    CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
    CHECK(pthread_cond_init(&w->work, NULL) == 0);
    if (metrics)
        add_metrics(w, metrics);
    int sys = start_thread(w);
    if (sys) {
        sqdb_close(db);
        (void)pthread_cond_destroy(&w->work);
        (void)pthread_mutex_destroy(&w->lock);
        free(w);
        return error_sys(err, sys, "database: start the writer's thread");
    }
    *out = w;
    return 0;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_signal(&w->work);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    CHECK(!w->head);
    sqdb_close(w->db);
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

static int enqueue(struct writer *w, struct txn *t)
{
    (void)pthread_mutex_lock(&w->lock);
    bool full = w->waiting >= w->queue_max || w->stop;
    if (!full) {
        *w->tail = t;
        w->tail = &t->next;
        if (w->waiting++ == 0)
            (void)pthread_cond_signal(&w->work);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return full ? -1 : 0;
}

int writer_run(struct writer *w, struct txn *t, struct error *err)
{
    t->next = NULL;
    t->rc = 0;
    error_clear(&t->error);
    CHECK(sem_init(&t->done, 0, 0) == 0);
    /* Counted before it can be taken, so that the gauge never shows less than nothing. */
    if (w->queue)
        metric_add(w->queue, 1);
    if (enqueue(w, t) < 0) {
        if (w->queue)
            metric_add(w->queue, -1);
        (void)sem_destroy(&t->done);
        return error_set(err, ERR_UNAVAILABLE, "database: %u transactions wait for the writer",
                         w->queue_max);
    }
    while (sem_wait(&t->done) < 0)
        CHECK(errno == EINTR);
    (void)sem_destroy(&t->done);
    if (t->rc < 0 && err)
        *err = t->error;
    return t->rc;
}

int writer_alive(struct writer *w, uint64_t stuck_ms, struct error *err)
{
    uint64_t since = atomic_load(&w->busy_since_ms), now = os_mono_ms();
    if (since == 0 || now < since || now - since <= stuck_ms)
        return 0;
    return error_set(err, ERR_UNAVAILABLE, "database: the writer has been busy for %llu ms",
                     (unsigned long long)(now - since));
}
