/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where a request is counted and logged: when it ends. Metrics are found by index
 * (route, method, status), registered at their first use, so the hot path has neither lock nor
 * hash. */
#include <stdio.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "os/clock.h"

#include "base/banned.h"

enum { FIELDS_ALWAYS = 12, FIELDS_MAX = FIELDS_ALWAYS + 4 };

static const char *const pool_names[POOL_COUNT] = {
    [POOL_LOOP] = "loop", [POOL_DB] = "db",     [POOL_WRITE] = "write", [POOL_IO] = "io",
    [POOL_AUTH] = "auth", [POOL_SLOW] = "slow", [POOL_JOBS] = "jobs",
};

static const char *const method_labels[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = "get",         [HTTP_HEAD] = "head",   [HTTP_POST] = "post",
    [HTTP_PUT] = "put",         [HTTP_PATCH] = "patch", [HTTP_DELETE] = "delete",
    [HTTP_OPTIONS] = "options", [HTTP_OTHER] = "other",
};

static double pool_queue(void *arg)
{
    return (double)pool_depth(arg);
}

static double pool_working(void *arg)
{
    return (double)pool_busy(arg);
}

static struct metric *rejected(struct metrics *ms, const char *labels)
{
    return metrics_counter(ms, "berth_http_rejected_total",
                           "Connections and requests refused because of a limit.", labels);
}

void access_setup(struct http_server *s)
{
    struct metrics *ms = s->config.metrics;
    if (!ms)
        return;
    struct engine_metrics *m = &s->m;
    m->connections =
        metrics_gauge(ms, "berth_http_connections", "Open connections of clients.", "");
    m->connections_total = metrics_counter(ms, "berth_http_connections_total",
                                           "Connections of clients that were accepted.", "");
    m->rejected_max = rejected(ms, "reason=\"connections_max\"");
    m->rejected_ip = rejected(ms, "reason=\"connections_per_ip\"");
    m->rejected_fds = rejected(ms, "reason=\"descriptors\"");
    m->proxy_untrusted = rejected(ms, "reason=\"proxy_untrusted\"");
    m->proxy_header = rejected(ms, "reason=\"proxy_header\"");
    m->handshake_failures = metrics_counter(ms, "berth_tls_handshake_failures_total",
                                            "TLS connections that ended before a request.", "");
    m->rejected_pool = rejected(ms, "reason=\"pool_full\"");
    m->rejected_memory = rejected(ms, "reason=\"body_memory\"");
    m->send_faults = metrics_counter(ms, "berth_http_send_faults_total",
                                     "Responses that ended early because their file could not be "
                                     "read.",
                                     "");
    m->sent = metrics_counter(ms, "berth_http_bytes_sent_total", "Bytes sent to clients.", "");
    m->received =
        metrics_counter(ms, "berth_http_bytes_received_total", "Bytes received from clients.", "");
    for (unsigned i = 0; i < POOL_COUNT; i++) {
        struct pool *p = s->config.pools[i];
        if (!p)
            continue;
        char labels[32];
        (void)snprintf(labels, sizeof labels, "pool=\"%s\"", pool_names[i]);
        metrics_callback(ms, "gauge", "berth_pool_queue", "Tasks waiting for a worker.", labels,
                         pool_queue, p);
        metrics_callback(ms, "gauge", "berth_pool_busy", "Workers that run a task.", labels,
                         pool_working, p);
    }
}

struct route_metrics *access_rows(struct http_server *s, const struct http_site *site)
{
    if (!s->config.metrics || !site->metrics)
        return NULL;
    return xcalloc(site->n + 1, sizeof(struct route_metrics));
}

/* ---- look-ups ---- */

static const char *handler_name(const struct stream *s)
{
    return s->r.route ? s->r.route->name : "none";
}

/* Two loops may register at once; both get the same metric. */
static struct metric *known(_Atomic(struct metric *) *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire);
}

static struct metric *keep(_Atomic(struct metric *) *slot, struct metric *m)
{
    atomic_store_explicit(slot, m, memory_order_release);
    return m;
}

static struct metric *in_flight(struct stream *s)
{
    _Atomic(struct metric *) *slot = &s->rows->in_flight;
    if (known(slot))
        return known(slot);
    char labels[96];
    (void)snprintf(labels, sizeof labels, "handler=\"%s\"", handler_name(s));
    return keep(slot,
                metrics_gauge(s->l->server->config.metrics, "registry_http_in_flight_requests",
                              "Requests being served.", labels));
}

static struct metric *total(struct stream *s, int status)
{
    enum http_method method = s->r.head->method;
    unsigned at = status_slot(status);
    _Atomic(struct metric *) *slot = &s->rows->total[method][at];
    if (known(slot))
        return known(slot);
    char labels[128], code[12] = "other";
    if (status_line(status))
        (void)snprintf(code, sizeof code, "%d", status);
    (void)snprintf(labels, sizeof labels, "code=\"%s\",handler=\"%s\",method=\"%s\"", code,
                   handler_name(s), method_labels[method]);
    return keep(slot, metrics_counter(s->l->server->config.metrics, "registry_http_requests_total",
                                      "Requests served.", labels));
}

static struct metric *duration(struct stream *s)
{
    enum http_method method = s->r.head->method;
    _Atomic(struct metric *) *slot = &s->rows->duration[method];
    if (known(slot))
        return known(slot);
    char labels[128];
    (void)snprintf(labels, sizeof labels, "handler=\"%s\",method=\"%s\"", handler_name(s),
                   method_labels[method]);
    return keep(slot, metrics_histogram(s->l->server->config.metrics,
                                        "registry_http_request_duration_seconds",
                                        "Time from a request's head to the end of its response.",
                                        labels, metrics_seconds, ARRAY_LEN(metrics_seconds)));
}

static struct metric *size(struct stream *s, _Atomic(struct metric *) *slot, const char *name,
                           const char *help)
{
    if (known(slot))
        return known(slot);
    char labels[96];
    (void)snprintf(labels, sizeof labels, "handler=\"%s\"", handler_name(s));
    return keep(slot, metrics_histogram(s->l->server->config.metrics, name, help, labels,
                                        metrics_bytes, ARRAY_LEN(metrics_bytes)));
}

/* ---- the life of a request ---- */

void access_begin(struct stream *s)
{
    struct site_state *site = s->site;
    if (!site->rows)
        return;
    const struct route *route = s->r.route;
    size_t row = route ? (size_t)(route - site->site->routes) : site->site->n;
    s->rows = &site->rows[row];
    metric_add(in_flight(s), 1);
}

static int final_status(const struct stream *s)
{
    return s->gone || s->r.resp.status == 0 ? 499 : s->r.resp.status;
}

static void count(struct stream *s, uint64_t ns)
{
    if (!s->rows)
        return;
    metric_add(in_flight(s), -1);
    metric_add(total(s, final_status(s)), 1);
    metric_observe(duration(s), (double)ns / 1e9);
    metric_observe(size(s, &s->rows->request_size, "registry_http_request_size_bytes",
                        "Size of request bodies."),
                   (double)s->body.wire);
    metric_observe(size(s, &s->rows->response_size, "registry_http_response_size_bytes",
                        "Size of response bodies."),
                   (double)s->send.sent);
}

static struct slice bounded(struct slice v)
{
    return slice_first(v, LOGGED_MAX);
}

static struct slice or_dash(struct slice v)
{
    return v.n ? bounded(v) : SLICE_LIT("-");
}

/* As the client sent it, with the prefix that routes do not see. */
static struct slice path_of(const struct http_head *h)
{
    struct slice target = h->target;
    return slice_cut(&target, '?');
}

static const char *proto(const struct http_head *h)
{
    return h->minor ? "HTTP/1.1" : "HTTP/1.0";
}

/* What is our fault, whether or not there is an access log: one line to find it by. */
static void log_fault(const struct stream *s)
{
    const struct request *r = &s->r;
    int status = final_status(s);
    /* 501 and 505 are 4xx in all but name: anybody can ask for what does not exist. */
    bool failed = status >= 500 && status != 501 && status != 505;
    /* /readyz says 503 while it drains: an answer, not a failure. */
    if (status == 503 && !r->log_detail.n)
        failed = false;
    if (!failed && !s->fault)
        return;
    if (s->fault && s->l->server->m.send_faults)
        metric_add(s->l->server->m.send_faults, 1);
    LOG(s->l->server->config.log, s->busy ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "request failed",
        F_STR("id", r->id), F_STR("method", or_dash(r->head->method_text)),
        F_STR("path", or_dash(path_of(r->head))), F_INT("status", status),
        F_STR("cause", or_dash(r->log_detail)));
}

/* Apache's combined form; base/log.h names the fields. */
static void log_combined(const struct stream *s, struct log *log)
{
    const struct request *r = &s->r;
    const struct http_head *h = r->head;
    LOG(log, LOG_LEVEL_INFO, "request", F_STR("peer", r->peer),
        F_STR("principal", bounded(r->principal)), F_STR("method", or_dash(h->method_text)),
        F_STR("target", or_dash(access_target(r->arena, h->target))), F_CSTR("proto", proto(h)),
        F_INT("status", final_status(s)), F_INT("bytes", s->send.sent),
        F_STR("referer", access_target(r->arena, http_field_get(h, "referer"))),
        F_STR("agent", bounded(http_field_get(h, "user-agent"))));
}

static void log_fields(const struct stream *s, struct log *log, uint64_t ns)
{
    const struct request *r = &s->r;
    const struct http_head *h = r->head;
    char ms[32];
    (void)snprintf(ms, sizeof ms, "%.3f", (double)ns / 1e6);
    struct slice cause = r->log_detail;
    if (s->broken && !s->fault)
        cause = SLICE_LIT("the client left while the response was being sent");
    struct log_field fields[FIELDS_MAX] = {
        F_STR("id", r->id),
        F_STR("peer", r->peer),
        F_STR("method", or_dash(h->method_text)),
        /* Without the query: it may hold upload states and other things that are not for logs. */
        F_STR("path", or_dash(path_of(h))),
        F_CSTR("proto", proto(h)),
        F_INT("status", final_status(s)),
        F_INT("bytes", s->send.sent),
        F_INT("received", s->body.wire),
        F_CSTR("ms", ms),
        F_CSTR("route", handler_name(s)),
        F_STR("agent", bounded(http_field_get(h, "user-agent"))),
        F_STR("principal", bounded(r->principal)),
    };
    size_t n = FIELDS_ALWAYS;
    if (!slice_eq(r->socket_peer, r->peer))
        fields[n++] = F_STR("socket_peer", r->socket_peer);
    if (s->tls.n)
        fields[n++] = F_STR("tls", s->tls);
    if (r->tls_client.n)
        fields[n++] = F_STR("tls_client", bounded(r->tls_client));
    if (cause.n)
        fields[n++] = F_STR("cause", bounded(cause));
    log_write(log, LOG_LEVEL_INFO, "request", n, fields);
}

void access_end(struct stream *s)
{
    uint64_t ns = os_mono_ns() - s->start_ns;
    count(s, ns);
    log_fault(s);
    struct log *log = s->l->server->config.access_log;
    if (s->site->site->quiet || !log_enabled(log, LOG_LEVEL_INFO))
        return;
    if (log_format_of(log) == LOG_FORMAT_COMBINED)
        log_combined(s, log);
    else
        log_fields(s, log, ns);
}
