/* SPDX-License-Identifier: Apache-2.0 */
/* The run of an import: its phases, its threads, and what it tells meanwhile.
 *
 * 1. Look: walk the repositories and read every link. In memory remain the digests, and four bytes
 *    for each link.
 * 2. Check: stat every blob, read every manifest once.
 * 3. Blobs, in the order of their digests, in batches: pending rows, links, sync, live rows.
 * 4. Repositories: links, then manifests (children first) with their tags.
 *
 * Each batch is a push of many blobs by the protocol of DESIGN.md part 5, so what a crash leaves is
 * what a crash leaves of a push, and the next run goes on where this one was. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "jobs/import_int.h"
#include "os/clock.h"
#include "os/file.h"

#include "base/banned.h"

enum { PROGRESS_MS = 250, THREADS_MAX = 64, WRITERS_MIN = 8 };

/* --- ending early --- */

int import_fail(struct import *im, const struct error *err)
{
    (void)pthread_mutex_lock(&im->lock);
    if (!atomic_load(&im->failed)) {
        im->error = *err;
        atomic_store(&im->failed, true);
    }
    (void)pthread_mutex_unlock(&im->lock);
    return -1;
}

static bool cancelled(const struct import *im)
{
    return im->c->cancel && atomic_load_explicit(im->c->cancel, memory_order_relaxed);
}

bool import_stopping(struct import *im)
{
    return atomic_load_explicit(&im->failed, memory_order_relaxed) || cancelled(im);
}

/* --- telling --- */

/* Names come from a foreign directory, and what is found goes to terminals and logs. */
static void printable(const char *in, char *out, size_t n)
{
    size_t o = 0;
    for (; *in && o + 5 < n; in++) {
        unsigned char c = (unsigned char)*in;
        if (c >= ' ' && c < 0x7f)
            out[o++] = (char)c;
        else
            o += (size_t)snprintf(out + o, 5, "\\x%02x", c);
    }
    out[o] = '\0';
}

void import_find(struct import *im, const char *kind, const char *path, const char *fmt, ...)
{
    char raw[IMPORT_TEXT_MAX];
    char text[IMPORT_TEXT_MAX];
    char where[IMPORT_PATH_MAX];
    va_list ap;
    if (im->quiet)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    printable(raw, text, sizeof text);
    printable(path, where, sizeof where);
    const struct import_finding f = {kind, where, text};
    atomic_fetch_add(&im->findings, 1);
    if (!im->c->finding)
        return;
    (void)pthread_mutex_lock(&im->emit);
    im->c->finding(im->c->arg, &f);
    (void)pthread_mutex_unlock(&im->emit);
}

static void tell_progress(struct import *im)
{
    if (!im->c->progress)
        return;
    const struct import_progress p = {
        .phase = im->phase,
        .blobs_done = atomic_load(&im->blobs_done),
        .blobs_total = im->blobs_total,
        .bytes_done = atomic_load(&im->bytes_done),
        .bytes_total = im->bytes_total,
        .repositories = atomic_load(&im->repositories_done),
        .manifests = atomic_load(&im->manifests_done),
        .tags = atomic_load(&im->tags_done),
        .repositories_total = im->phase == IMPORT_LOOKING ? 0 : im->n_repos,
        .manifests_total = im->manifests_total,
        .copies = im->copies,
    };
    (void)pthread_mutex_lock(&im->emit);
    im->c->progress(im->c->arg, &p);
    (void)pthread_mutex_unlock(&im->emit);
}

void import_tick(struct import *im)
{
    uint64_t now = os_mono_ms();
    if (now - im->told_ms < PROGRESS_MS)
        return;
    im->told_ms = now;
    tell_progress(im);
}

/* --- threads --- */

struct work {
    struct import *im;
    void (*step)(struct import *im, size_t from, size_t to);
    size_t n, chunk;
    atomic_size_t next;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned running;
};

static void *worker(void *arg)
{
    struct work *w = arg;
    while (!import_stopping(w->im)) {
        size_t from = atomic_fetch_add(&w->next, w->chunk);
        if (from >= w->n)
            break;
        w->step(w->im, from, MIN(w->n, from + w->chunk));
    }
    (void)pthread_mutex_lock(&w->lock);
    w->running--;
    (void)pthread_cond_signal(&w->done);
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void await(struct work *w)
{
    (void)pthread_mutex_lock(&w->lock);
    while (w->running) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&w->done, &w->lock, &until) != ETIMEDOUT)
            continue;
        (void)pthread_mutex_unlock(&w->lock);
        tell_progress(w->im);
        (void)pthread_mutex_lock(&w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* How many could be started. */
static unsigned start(struct work *w, pthread_t *ids, unsigned threads)
{
    sigset_t all;
    sigset_t before;
    unsigned n = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (n < threads && pthread_create(&ids[n], NULL, worker, w) == 0)
        n++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

int import_parallel(struct import *im, unsigned threads, size_t n, size_t chunk,
                    void (*step)(struct import *im, size_t from, size_t to))
{
    pthread_t ids[THREADS_MAX];
    struct work w = {.im = im, .step = step, .n = n, .chunk = chunk};
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w.done, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&w.lock, NULL);
    threads = (unsigned)MIN((size_t)threads, (n + chunk - 1) / chunk);
    /* Under the lock, so that none is counted out before all are counted in. */
    (void)pthread_mutex_lock(&w.lock);
    unsigned started = start(&w, ids, threads);
    w.running = started;
    (void)pthread_mutex_unlock(&w.lock);
    if (started == 0 && n > 0) { /* no thread to be had: this one does it */
        w.running = 1;
        (void)worker(&w);
    }
    await(&w);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(ids[i], NULL);
    (void)pthread_cond_destroy(&w.done);
    (void)pthread_mutex_destroy(&w.lock);
    tell_progress(im);
    return import_stopping(im) ? -1 : 0;
}

/* --- the run --- */

/* The directory may be reached through symbolic links, and its first levels may be some: that is
 * how people move data to a larger disk. */
static int open_level(int at, const char *path, struct error *err)
{
    char name[4096];
    int n = snprintf(name, sizeof name, "%s/.", path);
    if (n < 0 || (size_t)n >= sizeof name)
        return error_sys(err, ENAMETOOLONG, "open %s", path);
    return os_open(at, name, O_RDONLY | O_DIRECTORY, 0, "import.read", err);
}

/* The directory that has repositories/, and what it is called below the given one. */
static int open_v2(const char *directory, const char **prefix, struct error *err)
{
    static const char below[] = "docker/registry/v2";
    struct error why = {0};
    CLEANUP_CLOSE int top = open_level(AT_FDCWD, directory, &why);
    int fd = top < 0 ? -1 : open_level(top, below, &why);
    *prefix = "docker/registry/v2/";
    if (top >= 0 && fd < 0 && why.sys == ENOENT) {
        fd = open_level(top, ".", &why);
        *prefix = "";
    }
    if (fd < 0) {
        error_detail(err, ERR_NOT_FOUND, "%s: cannot be read: %s", directory, why.message);
        err->sys = why.sys;
    }
    return fd;
}

static int open_source(struct import *im, struct error *err)
{
    struct error why = {0};
    im->v2 = open_v2(im->c->directory, &im->prefix, err);
    if (im->v2 < 0)
        return -1;
    im->repositories = open_level(im->v2, "repositories", &why);
    if (im->repositories < 0 && why.sys == ENOENT)
        return error_detail(
            err, ERR_NOT_FOUND,
            "%s: no data of a registry there: neither docker/registry/v2/repositories "
            "nor repositories is in it",
            im->c->directory);
    im->blobs = open_level(im->v2, "blobs", &why);
    if (im->repositories < 0 || (im->blobs < 0 && why.sys != ENOENT))
        return error_detail(err, ERR_UNKNOWN, "%s: %s", im->c->directory, why.message);
    return 0;
}

bool import_detect(const char *directory)
{
    const char *prefix;
    struct error err = {0};
    CLEANUP_CLOSE int v2 = open_v2(directory, &prefix, &err);
    CLEANUP_CLOSE int repositories = v2 < 0 ? -1 : open_level(v2, "repositories", &err);
    return repositories >= 0 ||
           (err.sys != ENOENT && err.sys != ENOTDIR && err.sys != ENAMETOOLONG);
}

static unsigned threads_of(const struct import_config *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = c->threads ? c->threads : 2 * (unsigned)MAX(cpus, 1);
    return MIN(n, (unsigned)THREADS_MAX);
}

static int run_phases(struct import *im)
{
    struct error err = {0};
    if (open_source(im, &err) != 0)
        return import_fail(im, &err);
    im->phase = IMPORT_LOOKING;
    if (import_scan(im) != 0)
        return -1;
    im->phase = IMPORT_CHECKING;
    if (import_check(im) != 0)
        return -1;
    im->phase = IMPORT_BLOBS;
    if (import_blobs(im) != 0)
        return -1;
    im->phase = IMPORT_REPOSITORIES;
    atomic_store(&im->repositories_done, 0);
    atomic_store(&im->manifests_done, 0);
    atomic_store(&im->tags_done, 0);
    /* These threads wait for commits more than they compute, and share them when they are many. */
    if (!im->c->dry_run)
        im->threads = MAX(im->threads, (unsigned)WRITERS_MIN);
    return import_repositories(im);
}

static void init(struct import *im, const struct import_config *config)
{
    uint64_t seed;
    os_random(&seed, sizeof seed);
    im->c = config;
    im->v2 = im->blobs = im->repositories = -1;
    im->prefix = "";
    im->threads = threads_of(config);
    import_table_init(&im->tables[HASH_SHA256], 32, seed);
    import_table_init(&im->tables[HASH_SHA512], 64, seed);
    (void)pthread_mutex_init(&im->lock, NULL);
    (void)pthread_mutex_init(&im->emit, NULL);
}

static void release(struct import *im)
{
    for (size_t i = 0; i < im->n_repos; i++)
        import_repo_free(im->repos[i]);
    free(im->repos);
    free(im->order.v);
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++)
        import_table_release(&im->tables[alg]);
    util_closep(&im->repositories);
    util_closep(&im->blobs);
    util_closep(&im->v2);
    (void)pthread_mutex_destroy(&im->lock);
    (void)pthread_mutex_destroy(&im->emit);
    free(im);
}

int import_run(const struct import_config *config, struct import_result *out, struct error *err)
{
    CHECK(config->dry_run || (config->meta && config->store));
    struct import *im = xcalloc(1, sizeof *im);
    init(im, config);
    int result = run_phases(im);
    *out = (struct import_result){
        .blobs_linked = im->linked,
        .blobs_copied = im->copied,
        .blobs_inline = im->in_rows,
        .blobs_present = im->present,
        .blobs_bytes = im->bytes,
        .findings = im->findings,
        .unread = im->unread,
    };
    if (im->phase == IMPORT_REPOSITORIES) { /* before, these count something else */
        out->repositories = im->repositories_done;
        out->manifests = im->manifests_done;
        out->tags = im->tags_done;
        out->links = im->links_done;
    }
    if (result != 0 && atomic_load(&im->failed) && err)
        *err = im->error;
    else if (result != 0)
        error_detail(err, ERR_UNAVAILABLE,
                     "interrupted: run the same command again, and it goes on from here");
    release(im);
    return result;
}
