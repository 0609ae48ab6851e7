/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_int.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

enum {
    LINE_MAX_BYTES = 16 * 1024,
    FILE_BATCH = 64 * 1024, /* written at once to a file */
    GATHER_US = 1000,       /* the thread waits for more lines, so that it is woken less often */
    FREE_WAIT_MS = 1000
};

enum writer { WRITER_NONE, WRITER_RUNS, WRITER_CANNOT };

struct log {
    int fd;
    atomic_int format; /* enum log_format */
    atomic_int level;  /* enum log_level */

    pthread_mutex_t common_lock; /* guards `common`; may be taken with `lock` held */
    struct log_common *common;   /* NULL for none; one reference */

    pthread_mutex_t lock; /* guards all below but `batch`, which is the thread's */
    pthread_cond_t work;  /* for the thread: there is a line, or it is to end */
    pthread_cond_t idle;  /* for log_flush: all is written */
    pthread_t thread;
    enum writer writer;
    bool waiting, stopping, ended;
    bool orphan; /* log_free did not wait any longer: the thread frees it */
    char *ring;  /* LOG_BYTES; whole lines, `used` bytes from `at` on, over the end */
    size_t at, used;
    uint64_t dropped;  /* lines, ever */
    uint64_t reported; /* of them, said in a line */
    size_t batch_max;
    char *batch;
};

bool log_enabled(const struct log *log, enum log_level level)
{
    return log && (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* ---- lines ---- */

static struct log_common *common_ref(struct log *log)
{
    (void)pthread_mutex_lock(&log->common_lock);
    struct log_common *c = log->common;
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&log->common_lock);
    return c;
}

void log_set_fields(struct log *log, size_t n, const struct log_field *fields)
{
    if (!log)
        return;
    struct log_common *c = n ? log_common_new(n, fields) : NULL;
    (void)pthread_mutex_lock(&log->common_lock);
    struct log_common *old = log->common;
    log->common = c;
    (void)pthread_mutex_unlock(&log->common_lock);
    log_common_unref(old);
}

void log_set_level(struct log *log, enum log_level level)
{
    if (log)
        atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

void log_set_format(struct log *log, enum log_format format)
{
    if (log)
        atomic_store_explicit(&log->format, (int)format, memory_order_relaxed);
}

enum log_format log_format_of(const struct log *log)
{
    if (!log)
        return LOG_FORMAT_LOGFMT;
    return (enum log_format)atomic_load_explicit(&log->format, memory_order_relaxed);
}

static void make_line(struct log *log, struct buf *b, enum log_level level, const char *msg,
                      size_t n, const struct log_field *fields)
{
    struct log_common *common = common_ref(log);
    struct log_line line = {.level = level, .msg = msg, .n = n, .fields = fields, .common = common};
    (void)clock_gettime(CLOCK_REALTIME, &line.when);
    log_line_make(b, log_format_of(log), &line);
    log_common_unref(common);
}

/* ---- the memory between those who log and the thread that writes; all with the lock held ---- */

static void ring_put(struct log *log, const char *p, size_t n)
{
    size_t to = (log->at + log->used) % LOG_BYTES;
    size_t first = MIN(n, LOG_BYTES - to);
    memcpy(log->ring + to, p, first);
    memcpy(log->ring, p + first, n - first);
    log->used += n;
}

/* A line for those that were dropped, in their place. Room for it there is: see has_room. */
static void report(struct log *log)
{
    uint64_t n = log->dropped - log->reported;
    if (n == 0)
        return;
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, LINE_MAX_BYTES);
    make_line(log, &b, LOG_LEVEL_WARN, "log lines were dropped: they are read too slowly", 1,
              (struct log_field[]){F_INT("lines", n)});
    CHECK(!b.failed);
    ring_put(log, b.p, b.n);
    log->reported = log->dropped;
}

/* Once lines are dropped, all are until half of the memory is free: a few long gaps say more than
 * many short ones. */
static bool has_room(const struct log *log, size_t n)
{
    return n <= LOG_BYTES - log->used &&
           (log->dropped == log->reported || log->used <= LOG_BYTES / 2);
}

/* The lines that are written next, at most batch_max bytes or one line; they stay in the ring. */
static size_t ring_take(struct log *log)
{
    size_t n = MIN(log->used, MAX(log->batch_max, (size_t)LINE_MAX_BYTES));
    size_t first = MIN(n, LOG_BYTES - log->at);
    memcpy(log->batch, log->ring + log->at, first);
    memcpy(log->batch + first, log->ring, n - first);
    const char *end = memrchr(log->batch, '\n', MIN(n, log->batch_max));
    if (!end)
        end = memchr(log->batch, '\n', n);
    CHECK(end); /* no line is longer than LINE_MAX_BYTES */
    return (size_t)(end + 1 - log->batch);
}

static void ring_drop(struct log *log, size_t n)
{
    log->at = (log->at + n) % LOG_BYTES;
    log->used -= n;
    if (log->used == 0)
        log->at = 0; /* a log that is read touches the first pages only */
}

/* ---- the thread ---- */

/* Blocks for as long as nobody reads. */
static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        } else if (put < 0 && errno == EAGAIN) { /* somebody else made it non-blocking */
            struct pollfd ready = {fd, POLLOUT, 0};
            (void)poll(&ready, 1, -1);
        } else if (put == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        lines++;
    return lines;
}

static void destroy(struct log *log)
{
    (void)pthread_mutex_destroy(&log->lock);
    (void)pthread_mutex_destroy(&log->common_lock);
    log_common_unref(log->common);
    (void)pthread_cond_destroy(&log->work);
    (void)pthread_cond_destroy(&log->idle);
    free(log->ring);
    free(log->batch);
    free(log);
}

static void *writer(void *arg)
{
    struct log *log = arg;
    (void)pthread_setname_np(pthread_self(), "log");
    (void)pthread_mutex_lock(&log->lock);
    for (;;) {
        if (log->used == 0 && !log->stopping) {
            (void)pthread_cond_broadcast(&log->idle);
            log->waiting = true;
            (void)pthread_cond_wait(&log->work, &log->lock);
            log->waiting = false;
            if (log->used && !log->stopping) {
                (void)pthread_mutex_unlock(&log->lock);
                (void)usleep(GATHER_US);
                (void)pthread_mutex_lock(&log->lock);
            }
            continue;
        }
        if (log->used == 0 || log->orphan)
            break;
        size_t n = ring_take(log);
        (void)pthread_mutex_unlock(&log->lock);
        bool ok = write_all(log->fd, log->batch, n);
        (void)pthread_mutex_lock(&log->lock);
        ring_drop(log, n);
        if (!ok) /* nobody to tell; a log that cannot be written must not stop the service */
            log->dropped += count_lines(log->batch, n);
        else if (log->used == 0) /* nothing is logged any more that would bring the report */
            report(log);
    }
    log->ended = true;
    (void)pthread_cond_broadcast(&log->idle);
    bool orphan = log->orphan;
    (void)pthread_mutex_unlock(&log->lock);
    if (orphan)
        destroy(log);
    return NULL;
}

/* With the lock held. */
static void writer_start(struct log *log)
{
    struct stat st;
    /* A pipe takes so many bytes at once or none of them: what other processes write into it does
     * not get between. */
    bool file = fstat(log->fd, &st) == 0 && S_ISREG(st.st_mode);
    log->batch_max = file ? FILE_BATCH : PIPE_BUF;
    log->ring = malloc(LOG_BYTES);
    log->batch = malloc(FILE_BATCH);
    pthread_attr_t attr;
    sigset_t all;
    sigfillset(&all);
    (void)pthread_attr_init(&attr);
    bool ok = log->ring && log->batch && pthread_attr_setsigmask_np(&attr, &all) == 0 &&
              pthread_create(&log->thread, &attr, writer, log) == 0;
    (void)pthread_attr_destroy(&attr);
    log->writer = ok ? WRITER_RUNS : WRITER_CANNOT;
}

/* ---- the log ---- */

struct log *log_new(int fd, enum log_format format, enum log_level level)
{
    struct log *log = xcalloc(1, sizeof *log);
    *log = (struct log){.fd = fd, .format = (int)format, .level = (int)level};
    CHECK(pthread_mutex_init(&log->lock, NULL) == 0);
    CHECK(pthread_mutex_init(&log->common_lock, NULL) == 0);
    CHECK(pthread_cond_init(&log->work, NULL) == 0);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    CHECK(pthread_cond_init(&log->idle, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    return log;
}

/* CLOCK_MONOTONIC, in so many milliseconds. */
static struct timespec after(unsigned ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    struct timespec end = after(FREE_WAIT_MS);
    (void)pthread_mutex_lock(&log->lock);
    bool runs = log->writer == WRITER_RUNS;
    log->stopping = true;
    (void)pthread_cond_signal(&log->work);
    while (runs && !log->ended && pthread_cond_timedwait(&log->idle, &log->lock, &end) == 0)
        ;
    bool stuck = runs && !log->ended;
    log->orphan = stuck;
    if (stuck) /* in write(2), which cannot be ended: from here on *log is the thread's */
        (void)pthread_detach(log->thread);
    (void)pthread_mutex_unlock(&log->lock);
    if (stuck)
        return;
    if (runs)
        (void)pthread_join(log->thread, NULL);
    destroy(log);
}

void log_flush(struct log *log, unsigned max_ms)
{
    if (!log)
        return;
    struct timespec end = after(max_ms);
    (void)pthread_mutex_lock(&log->lock);
    while (log->used > 0 && pthread_cond_timedwait(&log->idle, &log->lock, &end) == 0)
        ;
    (void)pthread_mutex_unlock(&log->lock);
}

uint64_t log_dropped(struct log *log)
{
    if (!log)
        return 0;
    (void)pthread_mutex_lock(&log->lock);
    uint64_t n = log->dropped;
    (void)pthread_mutex_unlock(&log->lock);
    return n;
}

void log_write(struct log *log, enum log_level level, const char *msg, size_t n,
               const struct log_field *fields)
{
    if (!log_enabled(log, level))
        return;
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, LINE_MAX_BYTES);
    make_line(log, &b, level, msg, n, fields);
    if (b.failed)
        return;
    (void)pthread_mutex_lock(&log->lock);
    if (log->writer == WRITER_NONE)
        writer_start(log);
    bool wake = false;
    if (log->writer == WRITER_CANNOT) {
        if (write(log->fd, b.p, b.n) != (ssize_t)b.n)
            log->dropped++;
    } else if (has_room(log, b.n)) {
        report(log);
        ring_put(log, b.p, b.n);
        wake = log->waiting;
        log->waiting = false; /* once is enough */
    } else {
        log->dropped++;
    }
    (void)pthread_mutex_unlock(&log->lock);
    if (wake)
        (void)pthread_cond_signal(&log->work);
}

void log_error(struct log *log, enum log_level level, const char *msg, const struct error *err)
{
    LOG(log, level, msg, F_CSTR("error", err->message), F_CSTR("code", error_info(err->code)->code),
        F_INT("errno", err->sys));
}
