/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the notifications share. */
#ifndef JOBS_NOTIFY_INT_H
#define JOBS_NOTIFY_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "jobs/notify.h"
#include "remote/client.h"

enum {
    NOTIFY_PAGE = 50,      /* events that are read, and at most delivered again after a crash */
    NOTIFY_SAVE_MS = 100,  /* a cursor is written this often, or after a page */
    NOTIFY_IDLE_MS = 1000, /* how soon a cursor is noticed that another process has moved */
    NOTIFY_LOG_MS = 60 * 1000,
    NOTIFY_PULLS_MAX = 10000, /* pulls that wait in memory to be written, and their bytes */
    NOTIFY_PULLS_BYTES = 8 * 1024 * 1024
};

/* Something that is logged the first time, and then once a minute. */
struct throttle {
    uint64_t last_ms; /* 0: never */
};
bool throttle_pass(struct throttle *t);

struct endpoint {
    struct notify *n;
    struct slice name; /* of its cursor, unique; in n->arena, as all texts here */
    const char *label; /* the same for metrics */
    const char *url;
    struct client_header *headers;
    unsigned n_headers;
    uint64_t timeout_ms, backoff_ms;
    unsigned threshold;
    struct slice *ignored_types, *ignored_actions;
    unsigned n_ignored_types, n_ignored_actions;

    struct metric *successes, *failures, *errors, *events, *pending, *dropped; /* or NULL */
    struct throttle drop_log;                                                  /* the keeper's */

    atomic_int_least64_t done; /* `position`, for the keeper: the cursor is written later */

    /* The rest is the thread's own. */
    pthread_t thread;
    struct client *client;
    int64_t position; /* up to here everything is done */
    int64_t saved;    /* where the cursor stands */
    uint64_t saved_ms;
    bool unsaved;    /* the last try to write it failed */
    unsigned failed; /* tries in a row */
    uint64_t failed_ms;
    struct throttle fail_log, database_log;
    bool down; /* was logged */
};

/* A pull that waits to be written, with its texts behind it. */
struct pull {
    struct pull *next;
    size_t bytes;
    struct meta_event_row row;
};

struct notify {
    struct arena *arena;
    struct notify_config c; /* its texts are in the arena */
    struct endpoint *endpoints;
    unsigned n_endpoints;
    bool wants_pull;
    atomic_bool stop;

    pthread_mutex_t lock;
    pthread_cond_t turn; /* for all threads: something below has changed */
    uint64_t wakes;
    struct pull *pulls, **pulls_end;
    unsigned n_pulls; /* with those that the keeper has taken and not written yet; so the bytes */
    size_t pull_bytes;
    uint64_t pulls_lost; /* since the keeper said so */

    pthread_t keeper;
    unsigned running; /* threads: the endpoints' in their order, then the keeper */
};

/* Adds to a metric that may be NULL. */
void notify_count(struct metric *m, int64_t by);
bool endpoint_ignores_action(const struct endpoint *ep, struct slice action);
/* Waits until n->wakes is no longer `seen`, for `ms` milliseconds at most, or until the end. */
void notify_wait(struct notify *n, uint64_t seen, uint64_t ms);
/* The pause between two tries: wakes do not end it. */
void notify_pause(struct notify *n, uint64_t ms);
uint64_t notify_wakes(struct notify *n);

/* The threads. */
void *endpoint_main(void *arg);
void *keeper_main(void *arg);

#endif
