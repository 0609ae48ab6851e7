/* SPDX-License-Identifier: Apache-2.0 */
/* One thread keeps the time of all checks; each check is asked on a thread of its own. What a check
 * asks is in health_ask.c. */
#include "jobs/health.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/json.h"
#include "base/util.h"
#include "jobs/health_int.h"
#include "os/clock.h"

#include "base/banned.h"

enum {
    CHECKS_MAX = 64,
    TIMEOUT_MS = 5000,
    STORAGE_TIMEOUT_MS = 30000,
    INTERVAL_MS = 10000,
    LATE_MS = 500, /* past the timeout, that the check itself has to see it */
    STACK_BYTES = 512 * 1024
};

struct check {
    struct health *h;
    struct health_target t;
    char *name; /* as the world sees it: without credentials */
    unsigned threshold;
    uint64_t interval_ms;
    struct metric *up;
    pthread_t thread;
    pthread_cond_t go;
    /* Under health.lock. */
    bool running; /* set by the timekeeper, cleared by the check's thread */
    bool late;    /* this run has been counted as a failure because it hangs */
    bool unhealthy;
    unsigned failures; /* in a row, up to the threshold */
    uint64_t started_ms, due_ms;
    uint64_t late_ms; /* when the run counts as a failure, once more */
    char reason[HEALTH_REASON_MAX];
};

struct health {
    struct log *log;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* for the timekeeper */
    pthread_t thread;
    bool stopping;    /* under lock */
    atomic_bool quit; /* the same, for whoever is asking */
    int quit_fd;      /* likewise: readable then */
    atomic_bool ok;
    unsigned n, started; /* checks; their threads */
    bool has_thread;
    struct check checks[];
};

/* ---- what is known ---- */

static void turn(struct check *c, bool unhealthy)
{
    struct health *h = c->h;
    bool all = true;
    c->unhealthy = unhealthy;
    if (c->up)
        metric_set(c->up, !unhealthy);
    for (unsigned i = 0; i < h->n; i++)
        all = all && !h->checks[i].unhealthy;
    atomic_store(&h->ok, all);
    if (unhealthy)
        LOG(h->log, LOG_LEVEL_ERROR,
            "a health check fails: until it succeeds, every request is answered 503",
            F_CSTR("check", c->name), F_CSTR("reason", c->reason), F_INT("failures", c->failures));
    else
        LOG(h->log, LOG_LEVEL_INFO, "a health check succeeds again", F_CSTR("check", c->name));
}

static void record_success(struct check *c)
{
    c->failures = 0;
    if (c->unhealthy)
        turn(c, false);
}

/* As Go's health.PeriodicThresholdChecker. */
static void record_failure(struct check *c, bool counts, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void record_failure(struct check *c, bool counts, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(c->reason, sizeof c->reason, fmt, args);
    va_end(args);
    if (counts && c->failures < c->threshold)
        c->failures++;
    if (!c->unhealthy && c->failures >= c->threshold)
        turn(c, true);
}

static void record_late(struct check *c, uint64_t now)
{
    record_failure(c, true, "%s: no answer for %" PRIu64 " s", c->name,
                   (now - c->started_ms) / 1000);
    c->late = true;
    c->late_ms += c->interval_ms;
}

/* ---- the threads ---- */

static void *check_main(void *arg)
{
    struct check *c = arg;
    struct health *h = c->h;
    (void)pthread_setname_np(pthread_self(), "health-check");
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (!c->running && !h->stopping)
            pthread_cond_wait(&c->go, &h->lock);
        if (h->stopping)
            break;
        pthread_mutex_unlock(&h->lock);
        char reason[HEALTH_REASON_MAX];
        bool well = health_ask(&c->t, reason);
        uint64_t now = os_mono_ms();
        pthread_mutex_lock(&h->lock);
        if (h->stopping)
            break;
        if (well)
            record_success(c);
        else
            record_failure(c, !c->late, "%s", reason);
        /* As a ticker: turns that were missed are left out. */
        c->due_ms = c->started_ms + c->interval_ms;
        if (c->due_ms <= now)
            c->due_ms = now + c->interval_ms - (now - c->started_ms) % c->interval_ms;
        c->running = false;
        pthread_cond_signal(&h->wake);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void start_run(struct check *c, uint64_t now)
{
    c->running = true;
    c->late = false;
    c->started_ms = now;
    c->late_ms = now + c->t.timeout_ms + LATE_MS;
    pthread_cond_signal(&c->go);
}

/* Does what is due, and returns when the next thing is. */
static uint64_t keep_time(struct health *h, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < h->n; i++) {
        struct check *c = &h->checks[i];
        if (!c->running && c->due_ms <= now)
            start_run(c, now);
        else if (c->running && c->late_ms <= now)
            record_late(c, now);
        next = MIN(next, c->running ? c->late_ms : c->due_ms);
    }
    return next;
}

static void *timekeeper(void *arg)
{
    struct health *h = arg;
    (void)pthread_setname_np(pthread_self(), "health");
    pthread_mutex_lock(&h->lock);
    while (!h->stopping) {
        uint64_t next = keep_time(h, os_mono_ms());
        struct timespec at = {.tv_sec = (time_t)(next / 1000),
                              .tv_nsec = (long)(next % 1000) * 1000000};
        (void)pthread_cond_timedwait(&h->wake, &h->lock, &at);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static int start_threads(struct health *h)
{
    pthread_attr_t attr;
    sigset_t all;
    sigfillset(&all);
    pthread_attr_init(&attr);
    int r = pthread_attr_setsigmask_np(&attr, &all);
    if (r == 0)
        r = pthread_attr_setstacksize(&attr, STACK_BYTES);
    while (r == 0 && h->started < h->n) {
        struct check *c = &h->checks[h->started];
        r = pthread_create(&c->thread, &attr, check_main, c);
        if (r == 0)
            h->started++;
    }
    if (r == 0) {
        r = pthread_create(&h->thread, &attr, timekeeper, h);
        h->has_thread = r == 0;
    }
    pthread_attr_destroy(&attr);
    return r;
}

/* ---- making ---- */

/* Prometheus' escapes in a label's value. */
static void label_value(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n') {
            buf_puts(b, "\\n");
            continue;
        }
        if (*s == '"' || *s == '\\')
            buf_putc(b, '\\');
        buf_putc(b, *s);
    }
}

static void make_metric(struct check *c, struct metrics *metrics)
{
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, 64 * 1024);
    buf_puts(&b, "check=\"");
    label_value(&b, c->name);
    buf_puts(&b, "\"");
    if (!metrics || b.failed)
        return;
    c->up = metrics_gauge(metrics, "berth_health_check_up",
                          "Whether a health check is well (1), or has failed as often in a row as "
                          "its threshold says (0).",
                          b.p);
    metric_set(c->up, 1);
}

static int check_init(struct health *h, struct check *c, const struct health_config *config,
                      const struct health_check *from, struct error *err)
{
    bool storage = from->kind == HEALTH_STORAGE;
    c->h = h;
    c->threshold = MAX(from->threshold, 1u);
    c->interval_ms = from->interval_ms ? from->interval_ms : INTERVAL_MS;
    uint64_t timeout_ms = storage ? STORAGE_TIMEOUT_MS : TIMEOUT_MS;
    if (from->timeout_ms)
        timeout_ms = from->timeout_ms;
    if (health_target_init(&c->t, from, timeout_ms, config->store, &h->quit, h->quit_fd, err))
        return -1;
    c->name = health_target_name(&c->t);
    for (struct check *other = h->checks; other < c; other++)
        if (strcmp(other->name, c->name) == 0)
            return error_detail(err, ERR_BAD_REQUEST, "the health check %.200s is there twice",
                                c->name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct check *)a)->name, ((const struct check *)b)->name);
}

int health_new(const struct health_config *config, struct health **out, struct error *err)
{
    if (config->n > CHECKS_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "%u health checks: at most %d are possible",
                            config->n, CHECKS_MAX);
    struct health *h = xcalloc(1, sizeof *h + config->n * sizeof h->checks[0]);
    h->log = config->log;
    atomic_init(&h->ok, true);
    atomic_init(&h->quit, false);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    h->quit_fd = eventfd(0, EFD_CLOEXEC);
    int result = h->quit_fd < 0 ? error_sys(err, errno, "make an event descriptor") : 0;
    while (result == 0 && h->n < config->n) {
        struct check *c = &h->checks[h->n++];
        pthread_cond_init(&c->go, NULL);
        result = check_init(h, c, config, &config->checks[h->n - 1], err);
    }
    if (result == 0) {
        /* In the order in which they are printed. */
        qsort(h->checks, h->n, sizeof h->checks[0], by_name);
        for (unsigned i = 0; i < h->n; i++)
            make_metric(&h->checks[i], config->metrics);
        int r = h->n ? start_threads(h) : 0;
        if (r)
            result = error_sys(err, r, "start the threads of %u health checks", h->n);
    }
    if (result) {
        health_free(h);
        return -1;
    }
    *out = h;
    return 0;
}

bool health_ok(const struct health *h)
{
    return atomic_load_explicit(&h->ok, memory_order_relaxed);
}

void health_print(struct health *h, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out);
    jw_object(&w);
    pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n; i++) {
        const struct check *c = &h->checks[i];
        if (!c->unhealthy)
            continue;
        jw_key(&w, c->name);
        jw_cstr(&w, c->reason);
    }
    pthread_mutex_unlock(&h->lock);
    jw_object_end(&w);
}

static void stop_threads(struct health *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    for (unsigned i = 0; i < h->n; i++)
        pthread_cond_signal(&h->checks[i].go);
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    atomic_store(&h->quit, true);
    if (h->quit_fd >= 0)
        CHECK(eventfd_write(h->quit_fd, 1) == 0);
    if (h->has_thread)
        pthread_join(h->thread, NULL);
    for (unsigned i = 0; i < h->started; i++)
        pthread_join(h->checks[i].thread, NULL);
}

void health_free(struct health *h)
{
    if (!h)
        return;
    stop_threads(h);
    for (unsigned i = 0; i < h->n; i++) {
        struct check *c = &h->checks[i];
        health_target_release(&c->t);
        pthread_cond_destroy(&c->go);
        free(c->name);
    }
    pthread_cond_destroy(&h->wake);
    pthread_mutex_destroy(&h->lock);
    util_closep(&h->quit_fd);
    free(h);
}
