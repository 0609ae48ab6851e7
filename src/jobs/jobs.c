/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/jobs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

enum { PURGE_BATCH = 500, PENDING_BATCH = 200, CLOCK_JUMP_MS = 3600 * 1000 };

/* A job is a task that is in the pool at most once at a time. */
struct job {
    struct task task;
    struct jobs *jobs;
    void (*run)(struct jobs *j);
    atomic_bool queued;
};

struct jobs {
    struct jobs_config c;
    struct loop *loop;
    struct timer purge_timer, probe_timer;
    struct job recover_job, purge_job, probe_job;
    struct slice *stages; /* left by an earlier process; each a heap string */
    size_t n_stages, cap_stages;
    int64_t clock_offset; /* wall clock less monotonic clock, in milliseconds, that is believed */
    int64_t jumped_to;    /* the one that it jumped to, and when (monotonic); 0: it has not */
    uint64_t jumped_ms;
    atomic_bool stopping;
    atomic_bool purge, purge_dry_run; /* jobs_purge: a reload sets them */
    atomic_int_fast64_t purge_age_ms;
    atomic_uint_fast64_t purge_interval_ms;
    struct metric *purged, *recovered;
};

static void job_run(struct task *t)
{
    struct job *job = CONTAINER_OF(t, struct job, task);
    job->run(job->jobs);
    atomic_store(&job->queued, false);
}

static void job_post(struct job *job)
{
    if (atomic_exchange(&job->queued, true))
        return;
    if (!pool_post(job->jobs->c.pool, &job->task))
        atomic_store(&job->queued, false); /* full: the next turn of the timer tries again */
}

static int note_stage(void *arg, struct slice id)
{
    struct jobs *j = arg;
    if (j->n_stages == j->cap_stages) {
        size_t cap = j->cap_stages ? j->cap_stages * 2 : 64;
        struct slice *grown = xcalloc(cap, sizeof *grown);
        if (j->n_stages)
            memcpy(grown, j->stages, j->n_stages * sizeof *grown);
        free(j->stages);
        j->stages = grown;
        j->cap_stages = cap;
    }
    j->stages[j->n_stages++] = slice_make(xstrndup(id.p, id.n), id.n);
    return 0;
}

static void forget_stages(struct jobs *j)
{
    for (size_t i = 0; i < j->n_stages; i++)
        free((char *)(uintptr_t)j->stages[i].p);
    free(j->stages);
    j->stages = NULL;
    j->n_stages = j->cap_stages = 0;
}

/* A temporary file without an open upload belongs to a push that ended, or that never got as far as
 * its row. One that cannot be removed (a directory that somebody else made, say) does not keep the
 * others: it is counted, and reported at each start. */
static int recover_stages(struct jobs *j, struct recovery *out, struct error *err)
{
    for (size_t i = 0; i < j->n_stages && !atomic_load(&j->stopping); i++) {
        bool open = false;
        struct error why = {0};
        if (upload_id_valid(j->stages[i]) &&
            meta_upload_exists(j->c.meta, j->stages[i], &open, err))
            return -1;
        if (open)
            continue;
        if (stage_remove(j->c.store, j->stages[i], &why)) {
            out->failed++;
            log_error(j->c.log, LOG_LEVEL_WARN, "cannot remove a temporary file", &why);
        } else {
            out->stages_removed++;
        }
    }
    forget_stages(j);
    return 0;
}

/* A pending blob is one whose push stopped between its two transactions. A whole file is kept (it
 * has no link yet, so nobody sees it until it is pushed again or collected); otherwise the row
 * goes, and the client, which was never told 201, pushes again. */
static void settle_blob(struct jobs *j, const struct meta_pending *p, struct recovery *out)
{
    bool whole = false;
    struct error err = {0};
    if (store_verify(j->c.store, &p->digest, p->size, &whole, &err) ||
        meta_blob_resolve(j->c.meta, &p->digest, p->epoch, whole, &err)) {
        if (atomic_load(&j->stopping))
            return; /* the next start does it */
        out->failed++;
        LOG(j->c.log, LOG_LEVEL_WARN, "cannot settle a blob that an unfinished push left",
            F_CSTR("digest", p->digest.text), F_CSTR("error", err.message));
        return;
    }
    *(whole ? &out->blobs_completed : &out->blobs_dropped) += 1;
}

static int recover_blobs(struct jobs *j, struct recovery *out, struct error *err)
{
    struct digest last = {0};
    while (!atomic_load(&j->stopping)) {
        struct arena *a = arena_new(16 * 1024);
        struct meta_pending *list = NULL;
        unsigned n = 0;
        int failed =
            meta_blob_pending(j->c.meta, slice_cstr(last.text), PENDING_BATCH, a, &list, &n, err);
        for (unsigned i = 0; i < n && !failed && !atomic_load(&j->stopping); i++)
            settle_blob(j, &list[i], out);
        if (n)
            last = list[n - 1].digest;
        arena_free(a);
        if (failed)
            return -1;
        if (n < PENDING_BATCH)
            break;
    }
    return 0;
}

int jobs_recover(struct jobs *j, struct recovery *out, struct error *err)
{
    struct recovery found = {0};
    /* Blobs first: a stage may be the second name of a pending blob's file, never its only one once
     * that is linked. */
    if (recover_blobs(j, &found, err) || recover_stages(j, &found, err))
        return -1;
    *out = found;
    return 0;
}

/* One open upload that nobody has gone on with. Whoever writes to it now is going on with it. The
 * row decides, in one transaction; then the file goes, and the session last, so that nobody can
 * take it in between. */
static int purge_upload(struct jobs *j, const struct meta_stale *stale, int64_t before, bool *gone,
                        struct error *err)
{
    struct upload *up = NULL;
    *gone = false;
    if (upload_acquire(j->c.uploads, stale->repo, stale->id, &up) == UPLOAD_BUSY)
        return meta_upload_touch(j->c.meta, stale->repo, stale->id, err);
    int failed = meta_upload_expire(j->c.meta, stale->id, before, gone, err);
    if (!failed && *gone)
        failed = stage_remove(j->c.store, stale->id, err);
    if (*gone)
        upload_forget(up);
    else
        upload_release(up);
    return failed;
}

static int count_uploads(struct jobs *j, int64_t before, struct error *err)
{
    struct arena *a = arena_new(16 * 1024);
    struct meta_stale *list = NULL;
    unsigned n = 0;
    int failed = meta_upload_stale(j->c.meta, before, PURGE_BATCH, a, &list, &n, err);
    arena_free(a);
    if (!failed && n)
        LOG(j->c.log, LOG_LEVEL_INFO, "stale uploads that a purge would remove (dry run)",
            F_INT("uploads", n), F_CSTR("more", n == PURGE_BATCH ? "true" : "false"));
    return failed;
}

static int purge_uploads(struct jobs *j, int64_t before, unsigned *removed, struct error *err)
{
    if (atomic_load(&j->purge_dry_run))
        return count_uploads(j, before, err);
    for (bool more = true; more && !atomic_load(&j->stopping);) {
        struct arena *a = arena_new(16 * 1024);
        struct meta_stale *list = NULL;
        unsigned n = 0;
        unsigned went = 0;
        int failed = meta_upload_stale(j->c.meta, before, PURGE_BATCH, a, &list, &n, err);
        for (unsigned i = 0; i < n && !failed; i++) {
            bool gone = false;
            struct error why = {0};
            if (purge_upload(j, &list[i], before, &gone, &why))
                log_error(j->c.log, LOG_LEVEL_WARN, "cannot purge an upload", &why);
            went += gone;
        }
        arena_free(a);
        if (failed)
            return -1;
        *removed += went;
        more = n == PURGE_BATCH && went > 0;
    }
    return 0;
}

static bool is_near(int64_t a, int64_t b)
{
    return a - b > -CLOCK_JUMP_MS && a - b < CLOCK_JUMP_MS;
}

/* A clock that jumped makes everything look old. When it has stood where it jumped to for as long
 * as an upload may be idle, what looks old is old: a machine that slept must not keep stale uploads
 * until the next restart. */
static bool clock_is_sane(struct jobs *j)
{
    uint64_t now = os_mono_ms();
    int64_t offset = os_wall_ms() - (int64_t)now;
    if (is_near(offset, j->clock_offset)) {
        j->jumped_ms = 0;
        return true;
    }
    if (j->jumped_ms == 0 || !is_near(offset, j->jumped_to)) {
        j->jumped_to = offset;
        j->jumped_ms = MAX(now, (uint64_t)1);
        return false;
    }
    if ((int64_t)(now - j->jumped_ms) < atomic_load(&j->purge_age_ms))
        return false;
    j->clock_offset = j->jumped_to;
    j->jumped_ms = 0;
    return true;
}

int jobs_purge(struct jobs *j, unsigned *removed, struct error *err)
{
    unsigned uploads = 0;
    unsigned tombstones = 0;
    int64_t now = os_wall_ms();
    if (!clock_is_sane(j))
        return error_set(err, ERR_UNKNOWN,
                         "the wall clock has jumped: nothing is purged until it has gone on from "
                         "there for as long as an upload may be idle");
    if (atomic_load(&j->purge) &&
        purge_uploads(j, now - atomic_load(&j->purge_age_ms), &uploads, err))
        return -1;
    for (unsigned n = PURGE_BATCH; n == PURGE_BATCH; tombstones += n)
        if (meta_tombstones_expire(j->c.meta, now - META_TOMBSTONE_MS, PURGE_BATCH, &n, err))
            return -1;
    *removed = uploads + tombstones;
    return 0;
}

static void run_recover(struct jobs *j)
{
    struct error err = {0};
    struct recovery found = {0};
    if (jobs_recover(j, &found, &err)) {
        log_error(j->c.log, LOG_LEVEL_ERROR, "recovery stopped; it is tried again later", &err);
        return;
    }
    unsigned all = found.stages_removed + found.blobs_completed + found.blobs_dropped;
    if (j->recovered)
        metric_add(j->recovered, all);
    if (all)
        LOG(j->c.log, LOG_LEVEL_INFO, "recovered from an unclean stop",
            F_INT("temporary_files_removed", found.stages_removed),
            F_INT("blobs_completed", found.blobs_completed),
            F_INT("blobs_dropped", found.blobs_dropped), F_INT("failed", found.failed));
}

static void run_purge(struct jobs *j)
{
    struct error err = {0};
    unsigned removed = 0;
    if (jobs_purge(j, &removed, &err)) {
        log_error(j->c.log, LOG_LEVEL_ERROR, "purging of stale uploads failed", &err);
        return;
    }
    if (j->purged)
        metric_add(j->purged, removed);
    if (removed)
        LOG(j->c.log, LOG_LEVEL_INFO, "purged stale uploads", F_INT("uploads", removed));
}

static void run_probe(struct jobs *j)
{
    struct error err = {0};
    if (!store_read_only(j->c.store))
        return;
    if (store_probe(j->c.store, &err))
        log_error(j->c.log, LOG_LEVEL_ERROR, "the storage is read-only: it still cannot be written",
                  &err);
    else
        LOG(j->c.log, LOG_LEVEL_INFO, "the storage can be written again");
}

static void on_purge_timer(struct timer *t)
{
    struct jobs *j = CONTAINER_OF(t, struct jobs, purge_timer);
    job_post(&j->purge_job);
    job_post(&j->recover_job); /* pushes that failed half-way since */
    timer_set(j->loop, t, atomic_load(&j->purge_interval_ms));
}

static void on_probe_timer(struct timer *t)
{
    struct jobs *j = CONTAINER_OF(t, struct jobs, probe_timer);
    if (store_read_only(j->c.store))
        job_post(&j->probe_job);
    timer_set(j->loop, t, j->c.probe_interval_ms);
}

static void job_init(struct jobs *j, struct job *job, void (*run)(struct jobs *))
{
    job->task.fn = job_run;
    job->jobs = j;
    job->run = run;
    atomic_init(&job->queued, false);
}

void jobs_set_purge(struct jobs *j, const struct jobs_purge *purge)
{
    atomic_store(&j->purge, purge->enabled);
    atomic_store(&j->purge_dry_run, purge->dry_run);
    atomic_store(&j->purge_age_ms, purge->age_ms);
    atomic_store(&j->purge_interval_ms, purge->interval_ms);
}

int jobs_new(const struct jobs_config *config, struct jobs **out, struct error *err)
{
    struct jobs *j = xcalloc(1, sizeof *j);
    j->c = *config;
    j->clock_offset = os_wall_ms() - (int64_t)os_mono_ms();
    atomic_init(&j->stopping, false);
    jobs_set_purge(j, &config->purge);
    job_init(j, &j->recover_job, run_recover);
    job_init(j, &j->purge_job, run_purge);
    job_init(j, &j->probe_job, run_probe);
    j->purge_timer.fn = on_purge_timer;
    j->probe_timer.fn = on_probe_timer;
    if (stage_list(j->c.store, note_stage, j, err)) {
        jobs_free(j);
        return -1;
    }
    if (config->metrics) {
        j->purged = metrics_counter(config->metrics, "berth_uploads_purged_total",
                                    "Stale uploads and tombstones removed", "");
        j->recovered = metrics_counter(config->metrics, "berth_recovered_total",
                                       "Remains of an unclean stop that recovery settled", "");
    }
    *out = j;
    return 0;
}

void jobs_start(struct jobs *j, struct loop *loop)
{
    j->loop = loop;
    job_post(&j->recover_job);
    job_post(&j->purge_job);
    timer_set(loop, &j->purge_timer, atomic_load(&j->purge_interval_ms));
    timer_set(loop, &j->probe_timer, j->c.probe_interval_ms);
}

void jobs_stop(struct jobs *j)
{
    atomic_store(&j->stopping, true);
    store_stop(j->c.store); /* a large blob that recovery hashes would keep everybody for minutes */
    timer_clear(j->loop, &j->purge_timer);
    timer_clear(j->loop, &j->probe_timer);
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    forget_stages(j);
    free(j);
}
