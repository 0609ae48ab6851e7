/* SPDX-License-Identifier: Apache-2.0 */
/* Background work: recovery at start, purging of stale uploads, ending a read-only state.
 * Everything runs as short steps in the `jobs` pool while the registry serves. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "base/log.h"
#include "base/metrics.h"
#include "meta/meta.h"
#include "os/loop.h"
#include "os/pool.h"
#include "store/store.h"
#include "store/upload.h"

struct jobs_purge {
    bool enabled; /* remove open uploads that nobody touched for age_ms */
    bool dry_run; /* only say how many there are */
    int64_t age_ms;
    uint64_t interval_ms;
};

struct jobs_config {
    struct meta *meta; /* borrowed, as all below */
    struct store *store;
    struct uploads *uploads;
    struct pool *pool;
    struct log *log;
    struct metrics *metrics; /* may be NULL */
    struct jobs_purge purge;
    uint64_t probe_interval_ms; /* how often a read-only store is tried again */
};

struct jobs;

/* Before the server listens: notes which temporary files an earlier process left (names only,
 * nothing is read). */
int jobs_new(const struct jobs_config *config, struct jobs **out, struct error *err);
/* Starts recovery and the timers; on the thread of `loop`. */
void jobs_start(struct jobs *j, struct loop *loop);
/* On the same thread: clears the timers. What runs goes on until the pool is freed, but for a
 * verification of recovery, which gives up (the store is stopped); jobs_free after that. */
void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j);

/* Any thread: for the next turn, and from then on. */
void jobs_set_purge(struct jobs *j, const struct jobs_purge *purge);

/* The steps themselves, for tests and for the command line; each does all there is to do and
 * returns what it found. */
struct recovery {
    unsigned stages_removed;  /* temporary files without an open upload */
    unsigned blobs_completed; /* pending blobs whose file was whole */
    unsigned blobs_dropped;   /* pending blobs without one */
    unsigned failed;          /* entries that could not be settled; they are tried again later */
};
int jobs_recover(struct jobs *j, struct recovery *out, struct error *err);
/* Uploads and tombstones removed. */
int jobs_purge(struct jobs *j, unsigned *removed, struct error *err);

#endif
