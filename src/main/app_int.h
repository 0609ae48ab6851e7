/* SPDX-License-Identifier: Apache-2.0 */
/* The app's own structures, shared by the files that make, reload and end it. Everything belongs to
 * the main thread (loop 0), unless a comment says otherwise. */
#ifndef MAIN_APP_INT_H
#define MAIN_APP_INT_H

#include <stdatomic.h>

#include "auth/authn.h"
#include "base/metrics.h"
#include "http/forwarded.h"
#include "http/server.h"
#include "jobs/health.h"
#include "jobs/jobs.h"
#include "jobs/notify.h"
#include "main/app.h"
#include "main/stamp.h"
#include "meta/meta.h"
#include "os/signals.h"
#include "registry/registry.h"
#include "store/store.h"
#include "store/upload.h"
#include "tls/tls.h"

enum { APP_ADDRESSES_MAX = 64 };

/* What a reload does, in the jobs pool; one at a time. */
struct reload {
    struct task task, done;
    struct timer watch;
    bool running, again;     /* again: asked for while one was running */
    bool files_only;         /* nobody asked: a certificate or a list of passwords has changed */
    struct config *next;     /* the worker's, then the main thread's */
    struct stamps tls_files; /* the worker's */
    struct authn *authn;     /* the one in force; a reference of our own */
    bool tls_failed;         /* said already */
    int tls_age;             /* enum tls_age of what was said last of the certificate's dates */
    int64_t tls_age_s;       /* when it was said */
    bool auth_failed;        /* likewise */
    struct metric *ok, *failed, *last_ok, *last_s;
};

struct app {
    const struct config_source *source;
    struct config *config;    /* in force */
    struct config *first;     /* what the components were made from, when it is another */
    const struct settings *s; /* of `first`, or of `config` while there is no other */
    struct logs *logs;
    struct log *log;
    char *directory;
    bool temporary; /* the directory is removed at the end */
    struct metrics *metrics;
    struct pool *pools[POOL_COUNT];
    struct meta *meta;
    struct store *store;
    struct uploads *uploads;
    struct registry *registry;
    struct jobs *jobs;
    struct notify *notify;
    struct health *health;
    struct trusted_peers *trusted;
    struct tls_server *tls;
    struct http_server *server;
    struct http_site site, debug_site;
    struct route *debug_rows;
    struct signals *signals;
    struct timer drain_timer, watchdog;
    uint64_t watchdog_ms; /* 0: systemd did not ask */
    struct task started;
    struct reload reload;
    char *addresses[APP_ADDRESSES_MAX + 1];
    unsigned n_addresses;
    char *debug_address;
    bool stopping;
    uint64_t stopping_ms;            /* loop time of the first signal */
    unsigned long fds;               /* the limit in force */
    unsigned fds_idle, uploads_idle; /* of the caches */
};

/* listen.c: all listeners, those of systemd instead of the configured ones when it passed any. */
int app_listen(struct app *app, struct error *err);
/* adopt.c: a directory of registry:2 in the data directory becomes ours, before anything listens.
 * -1 with app->stopping: it was told to stop. */
int app_adopt(struct app *app, struct error *err);
/* reload.c */
void reload_init(struct app *app);
void reload_start(struct app *app); /* when the loop runs: begins to watch the files */
void reload_stop(struct app *app);
void reload_ask(struct app *app); /* SIGHUP */
/* A warning when lines of the htpasswd file are of no use. */
void reload_say_ignored(const struct app *app, const struct authn_status *status);
void reload_free(struct app *app); /* after the pools */

#endif
