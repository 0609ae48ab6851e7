/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"
#include "main/app_int.h"
#include "main/build.h"
#include "main/directory.h"
#include "main/process_metrics.h"

#include "base/banned.h"

enum {
    FDS_IDLE = 256,
    UPLOADS_IDLE = 1024,
    FDS_PER_READER = 3, /* database, log, index of the log */
    FDS_OTHER = 64,     /* listeners, loops, the databases' writer, standard streams, ... */
    DEBUG_CONNECTIONS = 64,
    QUEUE_PER_THREAD = 64,
    JOBS_THREADS = 5, /* recovery, purge and probe may each hang; a reload, and metrics */
    HEADERS_MAX = 64 * 1024,
    PROBE_MS = 2000,
    SAME_SIGNAL_MS = 100,
    LAST_WORDS_MS = 200
};

const char *app_address(const struct app *app, unsigned i)
{
    return i < app->n_addresses ? app->addresses[i] : NULL;
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
    unsigned db = app->s->db_workers ? (unsigned)MIN(app->s->db_workers, 256u) : 16;
    unsigned io = app->s->io_workers ? (unsigned)MIN(app->s->io_workers, 256u) : 2 * cpus();
    unsigned slow = MAX(1u, cpus() - 1);
    return make_pool(app, POOL_DB, "db", db, err) || make_pool(app, POOL_WRITE, "write", db, err) ||
                   make_pool(app, POOL_IO, "io", io, err) ||
                   make_pool(app, POOL_AUTH, "auth", cpus(), err) ||
                   pool_new_nice("slow", slow, slow * QUEUE_PER_THREAD, &app->pools[POOL_SLOW],
                                 err) ||
                   make_pool(app, POOL_JOBS, "jobs", JOBS_THREADS, err)
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
        .purge = {.enabled = app->s->purge_enabled,
                  .dry_run = app->s->purge_dry_run,
                  .age_ms = (int64_t)app->s->purge_age_ms,
                  .interval_ms = MAX(app->s->purge_interval_ms, (uint64_t)1000)},
        .probe_interval_ms = PROBE_MS,
    };
    return jobs_new(&jobs, &app->jobs, err);
}

/* ---- what the registry tells and asks ---- */

static bool wants(void *arg, const char *action)
{
    const struct app *app = arg;
    return app->notify && notify_wants(app->notify, action);
}

static void changed(void *arg)
{
    const struct app *app = arg;
    if (app->notify)
        notify_wake(app->notify);
}

static void pulled(void *arg, const struct meta_event *event)
{
    const struct app *app = arg;
    if (app->notify)
        notify_pull(app->notify, event);
}

static bool healthy(void *arg)
{
    const struct app *app = arg;
    return !app->health || health_ok(app->health);
}

static void print_health(void *arg, struct buf *out)
{
    const struct app *app = arg;
    if (app->health)
        health_print(app->health, out);
    else
        buf_puts(out, "{}");
}

static int make_registry(struct app *app, struct error *err)
{
    struct registry_config c = {
        .meta = app->meta,
        .store = app->store,
        .uploads = app->uploads,
        .io = app->pools[POOL_IO],
        .metrics = app->metrics,
        .referrers_page = 1000,
        .cache_bytes = (size_t)app->s->cache_bytes,
        .absolute_urls = app->s->relative_urls == URLS_ABSOLUTE,
        .host = app->s->http_host,
        .hooks = {app, wants, changed, pulled, healthy, print_health},
    };
    struct authn *authn = NULL;
    if (build_authn(app->s, true, app->metrics, app->log, &authn, err) ||
        build_live(app->config, authn, &c.live, err))
        return -1;
    if (authn) {
        struct authn_status status;
        app->reload.authn = authn_ref(authn);
        authn_status(authn, &status);
        reload_say_ignored(app, &status);
    }
    app->registry = registry_new(&c);
    return 0;
}

/* ---- the server ---- */

static double certificate_expiry(void *arg)
{
    struct app *app = arg;
    struct tls_context *c = tls_server_current(app->tls);
    double at = (double)tls_context_expiry(c);
    tls_context_unref(c);
    return at;
}

static int make_tls(struct app *app, struct error *err)
{
    struct tls_context *c = NULL;
    if (build_tls(app->s, &c, err))
        return build_blame("http.tls", err);
    if (!c)
        return 0;
    if (tls_context_warning(c))
        LOG(app->log, LOG_LEVEL_WARN, "the TLS certificate needs attention",
            F_CSTR("problem", tls_context_warning(c)));
    app->tls = tls_server_new(c);
    metrics_callback(app->metrics, "gauge", "berth_tls_certificate_expiry_timestamp_seconds",
                     "When the server's certificate expires, in seconds since 1970.", "",
                     certificate_expiry, app);
    return 0;
}

static int make_server(struct app *app, struct error *err)
{
    CLEANUP_BUF struct buf headers = {0};
    struct http_config c = {
        .loops = (unsigned)app->s->loops,
        .app = app->registry,
        .authorize = registry_authorize,
        .loop_open = registry_loop_open,
        .loop_close = registry_loop_close,
        .fds_reserved = fds_reserved(app),
        .log = app->log,
        .access_log = app->logs->access,
        .metrics = app->metrics,
        .prefix = slice_cstr(app->s->http_prefix),
    };
    if (build_trusted(app->s, &app->trusted, err) || make_tls(app, err))
        return -1;
    c.trusted = app->trusted;
    build_limits(app->s, &c.limits);
    for (int i = 0; i < POOL_COUNT; i++)
        c.pools[i] = app->pools[i];
    if (http_server_new(&c, &app->server, err))
        return -1;
    buf_init(&headers, HEADERS_MAX);
    build_headers(app->s, &headers);
    http_server_set_headers(app->server, buf_view(&headers));
    app->site =
        (struct http_site){.name = "registry", .drains = true, .metrics = true, .prefixed = true};
    app->debug_site =
        (struct http_site){.name = "debug", .quiet = true, .connections_max = DEBUG_CONNECTIONS};
    return app_listen(app, err);
}

/* Those that work beside the registry; they want to know where it listens. */
static int make_companions(struct app *app, struct error *err)
{
    return build_notify(app->s, app->addresses[0], app->meta, app->log, app->metrics, &app->notify,
                        err) ||
                   build_health(app->s, app->store, app->log, app->metrics, &app->health, err)
               ? -1
               : 0;
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
        if (!app->stopping)
            reload_ask(app);
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
        if (app->temporary)
            directory_remove(app->directory); /* it is memory that nobody else gives back */
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
    uint64_t limit = config_settings(app->config)->drain_timeout_ms;
    if (limit)
        timer_set(http_server_loop(app->server), &app->drain_timer, limit);
    http_server_drain(app->server);
}

/* The loop turns: that is what systemd wants to know. */
static void on_watchdog(struct timer *t)
{
    struct app *app = CONTAINER_OF(t, struct app, watchdog);
    os_notify("WATCHDOG=1");
    timer_set(http_server_loop(app->server), t, app->watchdog_ms);
}

/* sd_watchdog_enabled(3): at half of what systemd allows. */
static void start_watchdog(struct app *app)
{
    uint64_t us, pid;
    const char *text = getenv("WATCHDOG_USEC");
    const char *who = getenv("WATCHDOG_PID");
    if (!text || parse_u63(slice_cstr(text), &us) || us == 0)
        return;
    if (who && (parse_u63(slice_cstr(who), &pid) || pid != (uint64_t)getpid()))
        return;
    app->watchdog_ms = MAX(us / 2000, (uint64_t)1);
    app->watchdog.fn = on_watchdog;
    on_watchdog(&app->watchdog);
}

/* The first thing that loop 0 does. */
static void on_started(struct task *t)
{
    struct app *app = CONTAINER_OF(t, struct app, started);
    jobs_start(app->jobs, http_server_loop(app->server));
    reload_start(app);
    start_watchdog(app);
    registry_set_state(app->registry, REGISTRY_READY);
    os_notify("READY=1");
}

static double lines_dropped(void *arg)
{
    return (double)log_dropped(arg);
}

/* storage.filesystem without a directory means registry's own. */
static int choose_directory(struct app *app, struct error *err)
{
    const char *wanted = app->s->root_directory;
    if (app->s->in_memory) {
        app->temporary = true;
        return directory_temporary(&app->directory, err);
    }
    if (!*wanted && config_given(app->config, "storage.filesystem"))
        wanted = "/var/lib/registry";
    return directory_choose(wanted, &app->directory, err);
}

static int make_all(struct app *app, struct error *err)
{
    return choose_directory(app, err) || make_pools(app, err) || open_stores(app, err) ||
                   app_adopt(app, err) || make_registry(app, err) || make_server(app, err) ||
                   make_companions(app, err) ||
                   signals_new(http_server_loop(app->server), on_signal, app, &app->signals, err)
               ? -1
               : 0;
}

int app_new(const struct config_source *source, struct config *config, struct logs *logs,
            struct app **out, struct error *err)
{
    struct app *app = xcalloc(1, sizeof *app);
    app->source = source;
    app->config = config;
    app->s = config_settings(config);
    app->logs = logs;
    app->log = logs->app;
    app->drain_timer.fn = on_drain_timeout;
    app->started.fn = on_started;
    app->metrics = metrics_new();
    process_metrics_register(app->metrics);
    metrics_callback(app->metrics, "counter", "berth_log_dropped_total",
                     "Log lines that were not written because nobody read them.", "log=\"app\"",
                     lines_dropped, logs->app);
    metrics_callback(app->metrics, "counter", "berth_log_dropped_total",
                     "Log lines that were not written because nobody read them.", "log=\"access\"",
                     lines_dropped, logs->access);
    reload_init(app);
    share_descriptors(app);
    if (make_all(app, err)) {
        bool stopped = app->stopping;
        app_free(app);
        return stopped ? 1 : -1;
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
    reload_stop(app);
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
    notify_free(app->notify);
    health_free(app->health);
    jobs_free(app->jobs);
    if (app->uploads)
        uploads_free(app->uploads);
    meta_close(app->meta);
    store_close(app->store);
    reload_free(app);
    metrics_free(app->metrics); /* its callbacks look at what follows */
    if (app->tls)
        tls_server_free(app->tls);
    trusted_peers_free(app->trusted);
    if (app->temporary && app->directory)
        directory_remove(app->directory);
    free(app->directory);
    for (unsigned i = 0; i < app->n_addresses; i++)
        free(app->addresses[i]);
    free(app->debug_address);
    free(app->debug_rows);
    config_free(app->first);
    config_free(app->config);
    free(app);
}
