/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP, and files that change: read and check everything first, in a worker; swap at once; keep
 * the old on any error; say what came of it in the log and in metrics. */
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "main/app_int.h"
#include "main/build.h"
#include "os/clock.h"

#include "base/banned.h"

enum { WATCH_MS = 2000, HEADERS_MAX = 64 * 1024, DAY_S = 24 * 60 * 60 };

/* ---- what a worker does ---- */

static void tls_stamps(const struct settings *s, struct stamps *out)
{
    *out = (struct stamps){0};
    stamps_add(out, s->tls.certificate);
    stamps_add(out, s->tls.key);
    for (unsigned i = 0; i < s->tls.client_cas.n; i++)
        stamps_add(out, s->tls.client_cas.v[i]);
}

static void say_tls(struct app *app, struct tls_context *c)
{
    const char *warning = tls_context_warning(c);
    if (warning)
        LOG(app->log, LOG_LEVEL_WARN, "the TLS certificate needs attention",
            F_CSTR("problem", warning));
}

/* What is said of a certificate when it is loaded has been said by say_tls. */
static enum tls_age age_now(struct app *app, char text[TLS_AGE_TEXT])
{
    struct tls_context *c = tls_server_current(app->tls);
    enum tls_age age = tls_context_age(c, os_wall_ms() / 1000, text);
    tls_context_unref(c);
    return age;
}

static void note_age(struct app *app)
{
    char text[TLS_AGE_TEXT];
    if (!app->tls)
        return;
    app->reload.tls_age = (int)age_now(app, text);
    app->reload.tls_age_s = os_wall_ms() / 1000;
}

/* A certificate that nobody replaces: when it gets old, when it is over, and once a day. */
static void look_at_age(struct app *app)
{
    struct reload *r = &app->reload;
    char text[TLS_AGE_TEXT];
    if (!app->tls)
        return;
    enum tls_age age = age_now(app, text);
    bool again = os_wall_ms() / 1000 - r->tls_age_s >= DAY_S;
    if (age == TLS_AGE_FINE || ((int)age == r->tls_age && !again))
        return;
    note_age(app);
    LOG(app->log, LOG_LEVEL_WARN, "the TLS certificate needs attention", F_CSTR("problem", text));
}

static void put_tls(struct app *app, struct tls_context *c)
{
    if (!app->tls || !c) {
        tls_context_unref(c);
        return;
    }
    say_tls(app, c);
    tls_server_replace(app->tls, c);
    note_age(app);
}

/* ours: a second reference, to ask for changed files. */
static void put_live(struct app *app, const struct registry_live *l)
{
    struct authn *old = app->reload.authn;
    app->reload.authn = l->authn ? authn_ref(l->authn) : NULL;
    app->reload.auth_failed = false;
    registry_set_live(app->registry, l);
    authn_unref(old);
}

static void put_all(struct app *app, const struct settings *s, struct tls_context *tls,
                    const struct registry_live *live)
{
    CLEANUP_BUF struct buf headers = {0};
    struct http_limits limits;
    struct jobs_purge purge = {.enabled = s->purge_enabled,
                               .dry_run = s->purge_dry_run,
                               .age_ms = (int64_t)s->purge_age_ms,
                               .interval_ms = MAX(s->purge_interval_ms, (uint64_t)1000)};
    buf_init(&headers, HEADERS_MAX);
    build_headers(s, &headers);
    build_limits(s, &limits);
    put_tls(app, tls);
    put_live(app, live);
    http_server_set_limits(app->server, &limits);
    http_server_set_headers(app->server, buf_view(&headers));
    jobs_set_purge(app->jobs, &purge);
    logs_apply(app->logs, s);
    if (config_settings(app->config)->auth.kind != AUTH_NONE)
        app_warn_open(app, s); /* it has been said at the start, if it was so then */
}

static void say_note(struct app *app, const struct config_note *n)
{
    LOG(app->log, LOG_LEVEL_WARN, n->text, F_CSTR("where", n->where), F_CSTR("key", n->key));
}

static void say_change(void *arg, const char *key, bool reloadable)
{
    struct app *app = arg;
    if (reloadable)
        LOG(app->log, LOG_LEVEL_INFO, "changed by the reload", F_CSTR("key", key));
    else
        LOG(app->log, LOG_LEVEL_WARN, "the change of this key takes effect at the next start",
            F_CSTR("key", key));
}

void reload_say_ignored(const struct app *app, const struct authn_status *status)
{
    if (status->ignored)
        LOG(app->log, LOG_LEVEL_WARN,
            "lines of the htpasswd file are ignored, since their passwords are not hashed by "
            "bcrypt: write them anew with `berth htpasswd`",
            F_INT("ignored", status->ignored), F_INT("users", status->entries));
}

/* What came of a change of its files. */
static void say_logins(struct app *app, const struct authn_status *status)
{
    struct reload *r = &app->reload;
    if (status->failed) {
        log_error(app->log, LOG_LEVEL_WARN,
                  "the changed login files cannot be used yet: the logins in force stay",
                  &status->problem);
    } else {
        LOG(app->log, LOG_LEVEL_INFO,
            r->auth_failed ? "the login files can be used again: the logins were read again"
                           : "the logins were read again",
            F_INT("entries", status->entries));
        reload_say_ignored(app, status);
    }
    r->auth_failed = status->failed;
}

/* The same one while its settings are the same: it knows whose password is right, and who has
 * guessed too often. */
static int load_authn(struct app *app, const struct settings *s, struct authn **out,
                      struct error *err)
{
    struct authn *old = app->reload.authn;
    struct authn_status status;
    *out = NULL;
    if (!old || !build_same_auth(config_settings(app->config), s)) {
        if (build_authn(s, false, app->metrics, app->log, out, err))
            return -1;
        if (*out) {
            authn_status(*out, &status);
            reload_say_ignored(app, &status);
        }
        return 0;
    }
    if (authn_refresh(old, &status))
        say_logins(app, &status);
    if (status.failed) {
        *err = status.problem;
        return -1;
    }
    *out = authn_ref(old);
    return 0;
}

static int load_all(struct app *app, struct config **out, struct error *err)
{
    struct config *c = NULL;
    struct tls_context *tls = NULL;
    struct authn *authn = NULL;
    struct registry_live live = {0};
    struct stamps tls_files;
    if (config_load(app->source, &c, err)) {
        config_free(c);
        return -1;
    }
    const struct settings *s = config_settings(c);
    tls_stamps(s, &tls_files); /* before they are read: a later change is seen as one */
    if (build_tls(s, &tls, err) || load_authn(app, s, &authn, err) ||
        build_live(c, authn, &live, err)) {
        tls_context_unref(tls);
        config_free(c);
        return -1;
    }
    unsigned n;
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++)
        say_note(app, &notes[i]);
    config_diff(app->config, c, say_change, app);
    /* What listens in plain text goes on so, and the other way round. */
    if (!tls != !app->tls)
        say_change(app, tls ? "http.tls (switching TLS on)" : "http.tls (switching TLS off)",
                   false);
    app->reload.tls_files = tls_files;
    app->reload.tls_failed = false;
    put_all(app, s, tls, &live);
    *out = c;
    return 0;
}

static void count_result(struct reload *r, bool ok)
{
    metric_set(r->last_ok, ok);
    if (ok)
        metric_set(r->last_s, os_wall_ms() / 1000);
    metric_add(ok ? r->ok : r->failed, 1); /* last: whoever sees it counted sees the others too */
}

static void reload_everything(struct app *app)
{
    struct reload *r = &app->reload;
    struct error err = {0};
    os_notify("RELOADING=1");
    int failed = load_all(app, &r->next, &err);
    count_result(r, !failed);
    if (failed)
        log_error(
            app->log, LOG_LEVEL_ERROR,
            "the reload failed: the settings stay as they were; `berth config check` says more",
            &err);
    else
        LOG(app->log, LOG_LEVEL_INFO, "reloaded");
    os_notify("READY=1");
}

/* A certificate that is being replaced may not fit its key for a moment: the next look finds both.
 */
static void look_at_tls(struct app *app)
{
    struct reload *r = &app->reload;
    const struct settings *s = config_settings(app->config);
    struct tls_context *c = NULL;
    struct stamps now;
    struct error err = {0};
    tls_stamps(s, &now);
    if (!app->tls || (stamps_equal(&now, &r->tls_files) && !r->tls_failed))
        return;
    bool repeated = r->tls_failed && stamps_equal(&now, &r->tls_files);
    r->tls_files = now;
    if (build_tls(s, &c, &err)) {
        if (!repeated)
            log_error(app->log, LOG_LEVEL_WARN,
                      "the changed TLS files cannot be used yet: the certificate in force stays",
                      &err);
        if (!r->tls_failed)
            count_result(r, false);
        r->tls_failed = true;
        return;
    }
    r->tls_failed = false;
    put_tls(app, c);
    count_result(r, true);
    LOG(app->log, LOG_LEVEL_INFO, "the TLS certificate was replaced");
}

static void look_at_auth(struct app *app)
{
    struct reload *r = &app->reload;
    struct authn_status status;
    if (!r->authn || !authn_refresh(r->authn, &status))
        return;
    count_result(r, !status.failed);
    say_logins(app, &status);
}

static void work(struct task *t)
{
    struct app *app = CONTAINER_OF(t, struct app, reload.task);
    if (app->reload.files_only) {
        look_at_tls(app);
        look_at_age(app);
        look_at_auth(app);
    } else {
        reload_everything(app);
    }
    loop_post(http_server_loop(app->server), &app->reload.done);
}

/* ---- the main thread's side ---- */

static void begin(struct app *app, bool files_only)
{
    struct reload *r = &app->reload;
    if (r->running) {
        r->again = r->again || !files_only;
        return;
    }
    r->running = true;
    r->files_only = files_only;
    pool_post_always(app->pools[POOL_JOBS], &r->task);
}

static void done(struct task *t)
{
    struct app *app = CONTAINER_OF(t, struct app, reload.done);
    struct reload *r = &app->reload;
    r->running = false;
    if (r->next) {
        /* The first is what the components were made from: some of them still look at it. */
        if (app->first)
            config_free(app->config);
        else
            app->first = app->config;
        app->config = STEAL(r->next);
    }
    bool again = r->again;
    r->again = false;
    if (again && !app->stopping)
        begin(app, false);
}

static void on_watch(struct timer *t)
{
    struct app *app = CONTAINER_OF(t, struct app, reload.watch);
    if (!app->reload.running && (app->tls || app->reload.authn))
        begin(app, true);
    timer_set(http_server_loop(app->server), t, WATCH_MS);
}

void reload_init(struct app *app)
{
    struct reload *r = &app->reload;
    const char *help = "Reloads of the configuration, of certificates and of password files.";
    r->task.fn = work;
    r->done.fn = done;
    r->watch.fn = on_watch;
    r->ok = metrics_counter(app->metrics, "berth_config_reloads_total", help, "result=\"ok\"");
    r->failed =
        metrics_counter(app->metrics, "berth_config_reloads_total", help, "result=\"failed\"");
    r->last_ok = metrics_gauge(app->metrics, "berth_config_last_reload_successful",
                               "1 when the last reload (or the start) went well, else 0.", "");
    r->last_s = metrics_gauge(app->metrics, "berth_config_last_reload_success_timestamp_seconds",
                              "When the last one that went well was, in seconds since 1970.", "");
    metric_set(r->last_ok, 1);
    metric_set(r->last_s, os_wall_ms() / 1000);
    tls_stamps(app->s, &r->tls_files);
    note_age(app);
}

void reload_start(struct app *app)
{
    timer_set(http_server_loop(app->server), &app->reload.watch, WATCH_MS);
}

void reload_stop(struct app *app)
{
    timer_clear(http_server_loop(app->server), &app->reload.watch);
}

void reload_ask(struct app *app)
{
    begin(app, false);
}

void reload_free(struct app *app)
{
    config_free(app->reload.next);
    authn_unref(app->reload.authn);
}
