/* SPDX-License-Identifier: Apache-2.0 */
#include "main/app.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/util.h"
#include "http/server.h"
#include "jobs/jobs.h"
#include "main/directory.h"
#include "main/process_metrics.h"
#include "meta/meta.h"
#include "os/signals.h"
#include "registry/registry.h"
#include "store/store.h"
#include "store/upload.h"

#include "base/banned.h"

enum {
    FDS_IDLE = 256,
    UPLOADS_IDLE = 1024,
    FDS_PER_READER = 3, /* database, log, index of the log */
    FDS_OTHER = 64,     /* listeners, loops, the databases' writer, standard streams, ... */
    DEBUG_CONNECTIONS = 64,
    QUEUE_PER_THREAD = 64,
    PROBE_MS = 2000,
    SAME_SIGNAL_MS = 100,
    LAST_WORDS_MS = 200
};

struct app {
    struct settings s; /* a shallow copy: the strings are the caller's */
    struct log *log;
    char *directory;
    struct metrics *metrics;
    struct pool *pools[POOL_COUNT];
    struct meta *meta;
    struct store *store;
    struct uploads *uploads;
    struct registry *registry;
    struct jobs *jobs;
    struct http_server *server;
    struct http_site site, debug_site;
    struct signals *signals;
    struct timer drain_timer;
    struct task started;
    char *address, *debug_address;
    bool stopping;
    uint64_t stopping_ms;            /* loop time of the first signal */
    unsigned long fds;               /* the limit in force */
    unsigned fds_idle, uploads_idle; /* of the caches */
};

const char *app_address(const struct app *app)
{
    return app->address;
}

const char *app_debug_address(const struct app *app)
{
    return app->debug_address;
}

const char *app_directory(const struct app *app)
{
    return app->directory;
}

static unsigned cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static int make_pool(struct app *app, enum pool_id id, const char *name, unsigned threads,
                     struct error *err)
{
    return pool_new(name, threads, threads * QUEUE_PER_THREAD, &app->pools[id], err);
}

static int make_pools(struct app *app, struct error *err)
{
    unsigned db = app->s.db_workers ? (unsigned)MIN(app->s.db_workers, 256) : 16;
    unsigned io = app->s.io_workers ? (unsigned)MIN(app->s.io_workers, 256) : 2 * cpus();
    return make_pool(app, POOL_DB, "db", db, err) || make_pool(app, POOL_WRITE, "write", db, err) ||
                   make_pool(app, POOL_IO, "io", io, err) ||
                   make_pool(app, POOL_SLOW, "slow", MAX(1u, cpus() - 1), err) ||
                   make_pool(app, POOL_JOBS, "jobs", 2, err)
               ? -1
               : 0;
}

/* The connections get what nobody else may need; under a low limit the caches keep less. */
static void share_descriptors(struct app *app)
{
    app->fds = os_raise_fd_limit();
    app->fds_idle = (unsigned)MIN((unsigned long)FDS_IDLE, app->fds / 16);
    app->uploads_idle = (unsigned)MIN((unsigned long)UPLOADS_IDLE, app->fds / 8);
}

static unsigned readers(const struct app *app)
{
    return 2 * pool_threads(app->pools[POOL_DB]) + 8;
}

static unsigned fds_reserved(const struct app *app)
{
    return app->fds_idle + app->uploads_idle + readers(app) * FDS_PER_READER + FDS_OTHER +
           DEBUG_CONNECTIONS;
}

static int open_stores(struct app *app, struct error *err)
{
    CLEANUP_FREE char *database = NULL;
    if (asprintf(&database, "%s/berth.db", app->directory) < 0)
        return error_set(err, ERR_UNKNOWN, "out of memory");
    /* The store first: its lock keeps a second berth away from the database too. */
    if (store_fs_open(app->directory, app->fds_idle, app->metrics, &app->store, err) ||
        meta_sqlite_open(database, readers(app), app->metrics, &app->meta, err))
        return -1;
    app->uploads = uploads_new(app->store, META_INLINE_MAX, app->uploads_idle);
    struct jobs_config jobs = {
        .meta = app->meta,
        .store = app->store,
        .uploads = app->uploads,
        .pool = app->pools[POOL_JOBS],
        .log = app->log,
        .metrics = app->metrics,
        .purge = app->s.purge_enabled,
        .purge_age_ms = (int64_t)app->s.purge_age_ms,
        .purge_interval_ms = MAX(app->s.purge_interval_ms, 1000),
        .probe_interval_ms = PROBE_MS,
    };
    return jobs_new(&jobs, &app->jobs, err);
}

/* 0 takes the default, as in registry; an answer has to fit its buffer. */
static unsigned page(uint64_t wanted, unsigned def)
{
    return wanted == 0 ? def : (unsigned)MIN(wanted, 20000);
}

static void make_registry(struct app *app)
{
    struct registry_config c = {
        .meta = app->meta,
        .store = app->store,
        .uploads = app->uploads,
        .io = app->pools[POOL_IO],
        .metrics = app->metrics,
        .live = {.policy = {.read_only = app->s.read_only, .delete_enabled = app->s.delete_enabled},
                 .tags_page = page(app->s.tags_max, 10000),
                 .catalog_page = page(app->s.catalog_max, 1000)},
        .referrers_page = 1000,
        .cache_bytes = (size_t)app->s.cache_bytes,
    };
    app->registry = registry_new(&c);
}

static int make_server(struct app *app, struct log *access, struct error *err)
{
    struct http_config c = {
        .loops = (unsigned)app->s.loops,
        .app = app->registry,
        .authorize = registry_authorize,
        .loop_open = registry_loop_open,
        .loop_close = registry_loop_close,
        .fds_reserved = fds_reserved(app),
        .log = app->log,
        .access_log = access,
        .metrics = app->metrics,
    };
    http_limits_default(&c.limits);
    c.limits.connections_max = (unsigned)app->s.connections_max;
    c.limits.connections_per_ip = (unsigned)app->s.connections_per_ip;
    c.limits.head_timeout_ms = app->s.head_timeout_ms;
    c.limits.idle_timeout_ms = app->s.idle_timeout_ms;
    c.limits.read_stall_ms = c.limits.write_stall_ms = app->s.stall_timeout_ms;
    for (int i = 0; i < POOL_COUNT; i++)
        c.pools[i] = app->pools[i];
    return http_server_new(&c, &app->server, err);
}

static int listen_all(struct app *app, struct error *err)
{
    app->site = (struct http_site){.name = "registry", .drains = true, .metrics = true};
    app->site.routes = registry_routes(&app->site.n);
    app->debug_site = (struct http_site){.name = "debug", .connections_max = DEBUG_CONNECTIONS};
    app->debug_site.routes = registry_debug_routes(&app->debug_site.n);
    char *bound = NULL;
    if (http_server_listen(app->server, app->s.http_addr, &app->site, &bound, err))
        return -1;
    if (asprintf(&app->address, "%s%s",
                 slice_starts(slice_cstr(bound), SLICE_LIT("unix:")) ? "" : "http://", bound) < 0)
        app->address = NULL;
    free(bound);
    bound = NULL;
    if (!*app->s.debug_addr)
        return 0;
    struct error why = {0};
    if (http_server_listen(app->server, app->s.debug_addr, &app->debug_site, &bound, &why)) {
        /* Somebody else has the default port: that is no reason not to serve. One that was asked
         * for is. */
        size_t n;
        const struct option *o = option_find(SLICE_LIT("http.debug.addr"));
        if (app->s.origin[o - options_table(&n)] != ORIGIN_DEFAULT) {
            *err = why;
            return -1;
        }
        log_error(app->log, LOG_LEVEL_WARN,
                  "no debug listener: set http.debug.addr to a free address, or to \"\"", &why);
        return 0;
    }
    if (asprintf(&app->debug_address, "%s%s",
                 slice_starts(slice_cstr(bound), SLICE_LIT("unix:")) ? "" : "http://", bound) < 0)
        app->debug_address = NULL;
    free(bound);
    return 0;
}

static void on_drain_timeout(struct timer *t)
{
    struct app *app = CONTAINER_OF(t, struct app, drain_timer);
    LOG(app->log, LOG_LEVEL_WARN, "the drain timeout is over, ending what still runs");
    http_server_stop(app->server);
}

static void on_signal(void *arg, int sig)
{
    struct app *app = arg;
    if (sig == SIGHUP) {
        LOG(app->log, LOG_LEVEL_INFO, "SIGHUP: this version has nothing to reload");
        return;
    }
    if (sig != SIGTERM && sig != SIGINT)
        return;
    /* timeout(1) and shells signal a process and then its group: the same wish, said twice. */
    uint64_t now = loop_now(http_server_loop(app->server));
    if (app->stopping && now - app->stopping_ms < SAME_SIGNAL_MS)
        return;
    if (app->stopping) {
        LOG(app->log, LOG_LEVEL_WARN, "second signal, ending at once");
        http_server_unlink(app->server);
        log_flush(app->log, LAST_WORDS_MS);
        _exit(1); /* what is acknowledged is durable, and nothing else is owed to anybody */
    }
    app->stopping = true;
    app->stopping_ms = now;
    LOG(app->log, LOG_LEVEL_INFO,
        "draining: no new connections, running requests are finished; a second signal ends at once",
        F_INT("signal", sig));
    os_notify("STOPPING=1");
    registry_set_state(app->registry, REGISTRY_DRAINING);
    if (app->s.drain_timeout_ms)
        timer_set(http_server_loop(app->server), &app->drain_timer, app->s.drain_timeout_ms);
    http_server_drain(app->server);
}

/* The first thing that loop 0 does. */
static void on_started(struct task *t)
{
    struct app *app = CONTAINER_OF(t, struct app, started);
    jobs_start(app->jobs, http_server_loop(app->server));
    registry_set_state(app->registry, REGISTRY_READY);
    os_notify("READY=1");
}

static double lines_dropped(void *arg)
{
    return (double)log_dropped(arg);
}

int app_new(const struct settings *s, struct log *log, struct log *access, struct app **out,
            struct error *err)
{
    struct app *app = xcalloc(1, sizeof *app);
    app->s = *s;
    app->log = log;
    app->drain_timer.fn = on_drain_timeout;
    app->started.fn = on_started;
    app->metrics = metrics_new();
    process_metrics_register(app->metrics);
    metrics_callback(app->metrics, "counter", "berth_log_dropped_total",
                     "Log lines that were not written because nobody read them.", "log=\"app\"",
                     lines_dropped, app->log);
    metrics_callback(app->metrics, "counter", "berth_log_dropped_total",
                     "Log lines that were not written because nobody read them.", "log=\"access\"",
                     lines_dropped, access);
    share_descriptors(app);
    if (directory_choose(s->root_directory, &app->directory, err) || make_pools(app, err) ||
        open_stores(app, err)) {
        app_free(app);
        return -1;
    }
    make_registry(app);
    if (make_server(app, access, err) || listen_all(app, err) ||
        signals_new(http_server_loop(app->server), on_signal, app, &app->signals, err)) {
        app_free(app);
        return -1;
    }
    *out = app;
    return 0;
}

int app_run(struct app *app, struct error *err)
{
    loop_post(http_server_loop(app->server), &app->started);
    int failed = http_server_run(app->server, err);
    /* What is left is waiting for steps and jobs that run. Nobody listens to the descriptor of the
     * signals: now they do what they do anywhere. */
    signals_restore();
    if (app->jobs && !failed)
        jobs_stop(app->jobs);
    return failed;
}

void app_free(struct app *app)
{
    if (!app)
        return;
    /* Steps first (they use the stores), then who could start new ones, then the stores. */
    for (int i = 0; i < POOL_COUNT; i++) {
        pool_free(app->pools[i]);
        app->pools[i] = NULL;
    }
    signals_free(app->signals);
    http_server_free(app->server);
    registry_free(app->registry);
    jobs_free(app->jobs);
    if (app->uploads)
        uploads_free(app->uploads);
    meta_close(app->meta);
    store_close(app->store);
    metrics_free(app->metrics);
    free(app->directory);
    free(app->address);
    free(app->debug_address);
    free(app);
}
