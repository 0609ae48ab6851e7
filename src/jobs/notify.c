/* SPDX-License-Identifier: Apache-2.0 */
/* Notifications: life, what the registry calls, and waiting. The threads of the endpoints are in
 * notify_endpoint.c, the one that writes pulls and bounds the backlogs in notify_keeper.c. */
#include "jobs/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/util.h"
#include "jobs/notify_int.h"
#include "os/clock.h"

#include "base/banned.h"

enum { DEFAULT_BACKLOG = 100000, DEFAULT_TIMEOUT_MS = 1000, DEFAULT_BACKOFF_MS = 1000 };
enum { DEFAULT_THRESHOLD = 10 };

bool throttle_pass(struct throttle *t)
{
    uint64_t now = os_mono_ms();
    if (t->last_ms && now - t->last_ms < NOTIFY_LOG_MS)
        return false;
    t->last_ms = now ? now : 1;
    return true;
}

void notify_count(struct metric *m, int64_t by)
{
    if (m)
        metric_add(m, by);
}

/* --- waiting --- */

static struct timespec deadline_in(uint64_t ms)
{
    uint64_t at = os_mono_ns() + ms * 1000000;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000000),
                             .tv_nsec = (long)(at % 1000000000)};
}

static void wait_until(struct notify *n, const uint64_t *seen, uint64_t ms)
{
    struct timespec deadline = deadline_in(ms);
    (void)pthread_mutex_lock(&n->lock);
    while (!atomic_load(&n->stop) && (!seen || n->wakes == *seen))
        if (pthread_cond_timedwait(&n->turn, &n->lock, &deadline) == ETIMEDOUT)
            break;
    (void)pthread_mutex_unlock(&n->lock);
}

void notify_wait(struct notify *n, uint64_t seen, uint64_t ms)
{
    wait_until(n, &seen, ms);
}

void notify_pause(struct notify *n, uint64_t ms)
{
    wait_until(n, NULL, ms);
}

uint64_t notify_wakes(struct notify *n)
{
    (void)pthread_mutex_lock(&n->lock);
    uint64_t wakes = n->wakes;
    (void)pthread_mutex_unlock(&n->lock);
    return wakes;
}

void notify_wake(struct notify *n)
{
    (void)pthread_mutex_lock(&n->lock);
    n->wakes++;
    (void)pthread_cond_broadcast(&n->turn);
    (void)pthread_mutex_unlock(&n->lock);
}

/* --- pulls --- */

bool notify_wants(const struct notify *n, const char *action)
{
    for (unsigned i = 0; i < n->n_endpoints; i++)
        if (!endpoint_ignores_action(&n->endpoints[i], slice_cstr(action)))
            return true;
    return false;
}

static struct slice copy_text(struct slice s, char **at)
{
    struct slice copy = {*at, s.n};
    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

/* One piece of memory; NULL when there is none. */
static struct pull *pull_new(const struct meta_event *e)
{
    size_t texts = e->action.n + e->repo.n + e->digest.n + e->media_type.n + e->tag.n +
                   e->from_repo.n + e->references.n + e->url.n + e->request.n + e->actor.n;
    struct pull *p = malloc(sizeof *p + texts);
    if (!p)
        return NULL;
    char *at = (char *)(p + 1);
    *p = (struct pull){.bytes = sizeof *p + texts, .row.time_ms = os_wall_ms()};
    p->row.event = (struct meta_event){
        .action = copy_text(e->action, &at),
        .repo = copy_text(e->repo, &at),
        .digest = copy_text(e->digest, &at),
        .media_type = copy_text(e->media_type, &at),
        .size = e->size,
        .tag = copy_text(e->tag, &at),
        .from_repo = copy_text(e->from_repo, &at),
        .references = copy_text(e->references, &at),
        .url = copy_text(e->url, &at),
        .request = copy_text(e->request, &at),
        .actor = copy_text(e->actor, &at),
    };
    return p;
}

void notify_pull(struct notify *n, const struct meta_event *event)
{
    if (!n->wants_pull)
        return;
    struct pull *p = pull_new(event);
    (void)pthread_mutex_lock(&n->lock);
    bool fits =
        p && n->n_pulls < NOTIFY_PULLS_MAX && n->pull_bytes + p->bytes <= NOTIFY_PULLS_BYTES;
    if (fits) {
        /* The keeper takes what comes in a while together: it is told of the first one only. */
        if (!n->pulls) {
            n->wakes++;
            (void)pthread_cond_broadcast(&n->turn);
        }
        *n->pulls_end = p;
        n->pulls_end = &p->next;
        n->n_pulls++;
        n->pull_bytes += p->bytes;
    } else {
        n->pulls_lost++;
    }
    (void)pthread_mutex_unlock(&n->lock);
    if (!fits)
        free(p);
}

/* --- life --- */

static struct slice *copy_list(struct arena *a, const char *const *texts, unsigned n)
{
    struct slice *list = ARENA_ARRAY(a, struct slice, n ? n : 1);
    for (unsigned i = 0; i < n; i++)
        list[i] = arena_slice(a, slice_cstr(texts[i]));
    return list;
}

static const char *copy_cstr(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

static bool is_taken(const struct notify *n, unsigned k, const char *name)
{
    for (unsigned i = 0; i < k; i++)
        if (slice_is(n->endpoints[i].name, name))
            return true;
    return false;
}

/* Registry does not mind two endpoints of one name, but a cursor has one owner. */
static struct slice unique_name(struct notify *n, unsigned k, const char *name)
{
    if (!name || !*name)
        name = "unnamed";
    const char *text = arena_printf(n->arena, "%s", name);
    for (unsigned same = 2; is_taken(n, k, text); same++)
        text = arena_printf(n->arena, "%s#%u", name, same);
    return slice_cstr(text);
}

/* A label's value as Prometheus' text format escapes it. */
static const char *label_of(struct arena *a, struct slice s)
{
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, 4096);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_putc(&b, '\\');
        buf_putc(&b, s.p[i]);
        if (s.p[i] == '\n')
            b.n--, buf_puts(&b, "\\n");
    }
    return arena_strndup(a, b.n ? b.p : "", b.n);
}

static struct metric *event_counter(struct endpoint *ep, struct metrics *m, const char *type)
{
    return metrics_counter(
        m, "registry_notifications_events_total", "The number of total events",
        arena_printf(ep->n->arena, "endpoint=\"%s\",type=\"%s\"", ep->label, type));
}

static void add_metrics(struct endpoint *ep, struct metrics *m)
{
    const char *labels = arena_printf(ep->n->arena, "endpoint=\"%s\"", ep->label);
    ep->events = event_counter(ep, m, "Events");
    ep->successes = event_counter(ep, m, "Successes");
    ep->failures = event_counter(ep, m, "Failures");
    ep->errors = event_counter(ep, m, "Errors");
    ep->pending = metrics_gauge(m, "registry_notifications_pending_total",
                                "The gauge of pending events in queue", labels);
    ep->dropped =
        metrics_counter(m, "berth_notifications_dropped_total",
                        "Events that an endpoint was not told of because too many waited", labels);
}

static const char *content_type(bool v3)
{
    return v3 ? "application/vnd.docker.distribution.events.v2+json"
              : "application/vnd.docker.distribution.events.v1+json";
}

static void copy_endpoint(struct notify *n, unsigned k, const struct notify_endpoint *from)
{
    struct arena *a = n->arena;
    struct endpoint *ep = &n->endpoints[k];
    *ep = (struct endpoint){
        .n = n,
        .name = unique_name(n, k, from->name),
        .url = copy_cstr(a, from->url),
        .headers = ARENA_ARRAY(a, struct client_header, from->n_headers + 1),
        .n_headers = from->n_headers + 1,
        .timeout_ms = from->timeout_ms ? from->timeout_ms : DEFAULT_TIMEOUT_MS,
        .backoff_ms = from->backoff_ms ? from->backoff_ms : DEFAULT_BACKOFF_MS,
        .threshold = from->threshold ? from->threshold : DEFAULT_THRESHOLD,
        .ignored_types = copy_list(a, from->ignored_media_types, from->n_ignored_media_types),
        .n_ignored_types = from->n_ignored_media_types,
        .ignored_actions = copy_list(a, from->ignored_actions, from->n_ignored_actions),
        .n_ignored_actions = from->n_ignored_actions,
    };
    ep->label = label_of(a, ep->name);
    /* As registry: what the configuration gives is sent as well, a second Content-Type even. */
    ep->headers[0] = (struct client_header){"Content-Type", content_type(n->c.envelope_v3)};
    for (unsigned i = 0; i < from->n_headers; i++)
        ep->headers[i + 1] = (struct client_header){copy_cstr(a, from->headers[i][0]),
                                                    copy_cstr(a, from->headers[i][1])};
    if (n->c.metrics)
        add_metrics(ep, n->c.metrics);
}

static struct notify *make(const struct notify_config *config)
{
    struct arena *a = arena_new(4096);
    struct notify *n = xcalloc(1, sizeof *n);
    pthread_condattr_t attr;
    n->arena = a;
    n->c = *config;
    n->c.source_addr = copy_cstr(a, config->source_addr);
    n->c.source_instance = copy_cstr(a, config->source_instance);
    n->c.endpoints = NULL; /* ours is another array */
    if (n->c.backlog_max == 0)
        n->c.backlog_max = DEFAULT_BACKLOG;
    n->pulls_end = &n->pulls;
    atomic_init(&n->stop, false);
    CHECK(pthread_mutex_init(&n->lock, NULL) == 0);
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&n->turn, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    n->endpoints = ARENA_ARRAY(a, struct endpoint, MAX(config->n_endpoints, 1u));
    for (unsigned i = 0; i < config->n_endpoints; i++) {
        copy_endpoint(n, i, &config->endpoints[i]);
        n->n_endpoints++;
    }
    n->wants_pull = notify_wants(n, "pull");
    return n;
}

static bool is_configured(const struct notify *n, struct slice name)
{
    for (unsigned i = 0; i < n->n_endpoints; i++)
        if (slice_eq(n->endpoints[i].name, name))
            return true;
    return false;
}

/* Wanted, or a slip of the pen: what nobody will be told of any more is said. */
static int forget(struct notify *n, const struct meta_cursor *c, struct error *err)
{
    if (meta_cursor_remove(n->c.meta, c->name, err) < 0)
        return -1;
    if (c->backlog)
        LOG(n->c.log, LOG_LEVEL_WARN,
            "an endpoint is gone from the configuration, and what waited for it is dropped",
            F_STR("endpoint", c->name), F_INT("dropped", c->backlog));
    return 0;
}

static int make_cursors(struct notify *n, struct error *err)
{
    struct arena *a = arena_new(4096);
    struct meta_cursor *list = NULL;
    unsigned count = 0;
    int r = meta_cursors(n->c.meta, a, &list, &count, err);
    for (unsigned i = 0; r == 0 && i < count; i++)
        if (!is_configured(n, list[i].name))
            r = forget(n, &list[i], err);
    arena_free(a);
    for (unsigned i = 0; r == 0 && i < n->n_endpoints; i++) {
        struct endpoint *ep = &n->endpoints[i];
        r = meta_cursor_ensure(n->c.meta, ep->name, &ep->position, err);
        ep->saved = ep->position;
        atomic_init(&ep->done, ep->position);
    }
    return r;
}

static int start(struct notify *n, pthread_t *thread, void *(*run)(void *), void *arg,
                 const char *name, struct error *err)
{
    /* Signals are for the main thread. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(thread, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys)
        return error_sys(err, sys, "start a thread for notifications");
    (void)pthread_setname_np(*thread, name);
    n->running++;
    return 0;
}

static int start_all(struct notify *n, struct error *err)
{
    for (unsigned i = 0; i < n->n_endpoints; i++) {
        struct endpoint *ep = &n->endpoints[i];
        ep->client = client_new();
        if (start(n, &ep->thread, endpoint_main, ep, "notify", err) < 0)
            return -1;
    }
    return n->n_endpoints ? start(n, &n->keeper, keeper_main, n, "notify-keeper", err) : 0;
}

int notify_new(const struct notify_config *config, struct notify **out, struct error *err)
{
    struct notify *n = make(config);
    if (make_cursors(n, err) < 0 || start_all(n, err) < 0) {
        notify_free(n);
        return -1;
    }
    *out = n;
    return 0;
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    (void)pthread_mutex_lock(&n->lock);
    atomic_store(&n->stop, true);
    (void)pthread_cond_broadcast(&n->turn);
    (void)pthread_mutex_unlock(&n->lock);
    for (unsigned i = 0; i < n->running; i++)
        (void)pthread_join(i < n->n_endpoints ? n->endpoints[i].thread : n->keeper, NULL);
    for (unsigned i = 0; i < n->n_endpoints; i++)
        client_free(n->endpoints[i].client);
    while (n->pulls) {
        struct pull *p = n->pulls;
        n->pulls = p->next;
        free(p);
    }
    (void)pthread_cond_destroy(&n->turn);
    (void)pthread_mutex_destroy(&n->lock);
    arena_free(n->arena);
    free(n);
}
