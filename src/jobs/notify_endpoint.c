/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of one endpoint: reads events in order, delivers each until it is taken, moves the
 * cursor. */
#include <stdio.h>

#include "base/util.h"
#include "jobs/notify_int.h"
#include "os/clock.h"

#include "base/banned.h"

enum { ENVELOPE_MAX = 4 * 1024 * 1024, ARENA_FIRST = 32 * 1024 };

static bool stopping(const struct endpoint *ep)
{
    return atomic_load(&ep->n->stop);
}

/* --- the cursor --- */

static void say_database(struct endpoint *ep, const struct error *err)
{
    if (throttle_pass(&ep->database_log))
        log_error(ep->n->c.log, LOG_LEVEL_ERROR, "notifications: the database does not answer",
                  err);
}

static void set_position(struct endpoint *ep, int64_t position)
{
    ep->position = position;
    atomic_store(&ep->done, position);
}

/* Another process, or the bound of the backlog, has moved the cursor: it is right. */
static void adopt(struct endpoint *ep, int64_t now)
{
    set_position(ep, now);
    ep->saved = now;
}

/* True when the cursor is where we think it is, or may be. */
static bool save(struct endpoint *ep)
{
    struct error err = {0};
    int64_t now = 0;
    ep->saved_ms = os_mono_ms();
    while (ep->position != ep->saved) {
        if (meta_cursor_advance(ep->n->c.meta, ep->name, ep->saved, ep->position, &now, &err) < 0) {
            say_database(ep, &err);
            ep->unsaved = true;
            return true; /* tried again a moment later */
        }
        ep->unsaved = false;
        /* Dropped up to something that we have passed meanwhile: that changes nothing. */
        bool behind = now > ep->saved && now < ep->position;
        if (!behind && now != ep->position) {
            adopt(ep, now);
            return false;
        }
        ep->saved = now;
    }
    return true;
}

/* After some time; and after so many that no more than we promise come again after a crash, however
 * fast an endpoint is. */
static bool save_is_due(const struct endpoint *ep)
{
    return (ep->position - ep->saved >= NOTIFY_PAGE && !ep->unsaved) ||
           (ep->position != ep->saved && os_mono_ms() - ep->saved_ms >= NOTIFY_SAVE_MS);
}

/* Has somebody moved the cursor? Then what we are at is not wanted any more. While something is not
 * written yet, writing it is what tells. */
static bool moved(struct endpoint *ep)
{
    struct error err = {0};
    int64_t now = 0;
    if (ep->position != ep->saved)
        return false;
    if (meta_cursor_get(ep->n->c.meta, ep->name, &now, &err) < 0) {
        say_database(ep, &err);
        return false;
    }
    if (now == ep->saved)
        return false;
    adopt(ep, now);
    return true;
}

/* --- one delivery --- */

/* Go's http.StatusText. */
static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {414, "Request URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {418, "I'm a teapot"},
        {422, "Unprocessable Entity"},
        {423, "Locked"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "";
}

static void count_status(struct endpoint *ep, int status)
{
    struct metrics *m = ep->n->c.metrics;
    CLEANUP_FREE char *labels = NULL;
    if (!m)
        return;
    CHECK(asprintf(&labels, "code=\"%d %s\",endpoint=\"%s\"", status, status_text(status),
                   ep->label) >= 0);
    notify_count(metrics_counter(m, "registry_notifications_status_total",
                                 "The number of status code", labels),
                 1);
}

/* One try; any 2xx and 3xx is "taken", as for registry. */
static int post(struct endpoint *ep, struct slice body, struct error *err)
{
    int status = 0;
    struct client_request request = {.method = "POST",
                                     .url = ep->url,
                                     .headers = ep->headers,
                                     .n_headers = ep->n_headers,
                                     .body = body,
                                     .timeout_ms = ep->timeout_ms,
                                     .cancel = &ep->n->stop};
    if (client_do(ep->client, &request, &status, err) < 0) {
        if (!stopping(ep))
            notify_count(ep->errors, 1);
        return -1;
    }
    count_status(ep, status);
    if (status >= 200 && status < 400) {
        notify_count(ep->successes, 1);
        return 0;
    }
    notify_count(ep->failures, 1);
    return error_set(err, ERR_UNAVAILABLE, "it answers %d %s", status, status_text(status));
}

static void say_failed(struct endpoint *ep, const struct meta_event_row *row,
                       const struct error *err)
{
    if (!throttle_pass(&ep->fail_log))
        return;
    ep->down = true;
    LOG(ep->n->c.log, LOG_LEVEL_WARN, "an endpoint does not take an event; it is tried again",
        F_STR("endpoint", ep->name), F_INT("event", row->id), F_INT("tries", ep->failed),
        F_CSTR("error", err->message));
}

static void say_recovered(struct endpoint *ep)
{
    if (ep->down)
        LOG(ep->n->c.log, LOG_LEVEL_INFO, "an endpoint takes events again",
            F_STR("endpoint", ep->name));
    ep->down = false;
}

/* After `threshold` failures in a row there is one try in `backoff`, counted from the last one;
 * also for the next event, since what fails is the endpoint. */
static void hold_back(struct endpoint *ep)
{
    uint64_t since = os_mono_ms() - ep->failed_ms;
    if (ep->failed >= ep->threshold && since < ep->backoff_ms)
        notify_pause(ep->n, ep->backoff_ms - since);
}

/* True when it was taken; false when it is not wanted any more, or at the end. */
static bool deliver(struct endpoint *ep, const struct meta_event_row *row)
{
    const struct notify_config *c = &ep->n->c;
    CLEANUP_BUF struct buf body = {0};
    struct error err = {0};
    buf_init(&body, ENVELOPE_MAX);
    notify_envelope(row, c->envelope_v3, c->source_addr, c->source_instance, &body);
    notify_count(ep->events, 1);
    for (;;) {
        hold_back(ep);
        if (stopping(ep) || (ep->failed && (!save(ep) || moved(ep))))
            return false;
        if (post(ep, buf_view(&body), &err) == 0) {
            ep->failed = 0;
            say_recovered(ep);
            return true;
        }
        if (stopping(ep))
            return false;
        ep->failed++;
        ep->failed_ms = os_mono_ms();
        say_failed(ep, row, &err);
    }
}

/* --- pages --- */

static bool is_in(struct slice s, const struct slice *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (slice_eq(s, list[i]))
            return true;
    return false;
}

bool endpoint_ignores_action(const struct endpoint *ep, struct slice action)
{
    return is_in(action, ep->ignored_actions, ep->n_ignored_actions);
}

static bool is_ignored(const struct endpoint *ep, const struct meta_event *e)
{
    return endpoint_ignores_action(ep, e->action) ||
           is_in(e->media_type, ep->ignored_types, ep->n_ignored_types);
}

/* 1: there may be more, 0: nothing left, -1. */
static int page(struct endpoint *ep, struct arena *a)
{
    struct meta_events events = {0};
    struct error err = {0};
    if (moved(ep))
        return 1;
    if (meta_events_after(ep->n->c.meta, ep->position, NOTIFY_PAGE, a, &events, &err) < 0) {
        say_database(ep, &err);
        return -1;
    }
    for (unsigned i = 0; i < events.n; i++) {
        const struct meta_event_row *row = &events.list[i];
        if (stopping(ep))
            return 0;
        if (!is_ignored(ep, &row->event) && !deliver(ep, row))
            return 1;
        set_position(ep, row->id);
        if (save_is_due(ep) && !save(ep))
            return 1;
    }
    return events.more ? (void)save(ep), 1 : 0;
}

/* The cursor of what came singly is written a moment later, for all of it at once. */
static void rest(struct endpoint *ep, uint64_t seen)
{
    uint64_t since = os_mono_ms() - ep->saved_ms;
    if (ep->position == ep->saved)
        notify_wait(ep->n, seen, NOTIFY_IDLE_MS);
    else if (since < NOTIFY_SAVE_MS)
        notify_wait(ep->n, seen, NOTIFY_SAVE_MS - since);
    if (save_is_due(ep))
        (void)save(ep);
}

void *endpoint_main(void *arg)
{
    struct endpoint *ep = arg;
    struct arena *a = arena_new(ARENA_FIRST);
    while (!stopping(ep)) {
        uint64_t seen = notify_wakes(ep->n);
        int r = page(ep, a);
        if (r < 0)
            notify_pause(ep->n, NOTIFY_IDLE_MS);
        else if (r == 0)
            rest(ep, seen);
        arena_reset(a);
    }
    (void)save(ep);
    arena_free(a);
    return NULL;
}
