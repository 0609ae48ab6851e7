/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a request: authorize, body, fast, handler and its steps, response. Steps run on the
 * loop or in a pool; while one is in a pool (`out` > 0) the request is the worker's, and whatever
 * happens on the connection meanwhile waits in the stream's own fields. */
#include <string.h>

#include "base/util.h"
#include "http/engine_int.h"
#include "http/forwarded.h"
#include "os/clock.h"

#include "base/banned.h"

/* ---- birth and death ---- */

static bool id_ok(struct slice id)
{
    if (id.n == 0 || id.n > ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char ch = id.p[i];
        bool ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                  (ch >= '0' && ch <= '9') || ch == '.' || ch == '_' || ch == '-';
        if (!ok)
            return false;
    }
    return true;
}

static struct slice make_id(struct http_loop *l, struct arena *a)
{
    char *p = arena_alloc(a, ID_MADE);
    http_loop_id(l, p);
    return slice_make(p, ID_MADE);
}

/* What the connection says of who asks. */
static void from_conn(struct stream *s, const struct conn *c)
{
    struct request *r = &s->r;
    struct arena *a = r->arena;
    r->secure = c->secure;
    r->peer = r->socket_peer = arena_slice(a, slice_cstr(c->peer));
    if (strcmp(c->peer, c->socket_peer) != 0)
        r->socket_peer = arena_slice(a, slice_cstr(c->socket_peer));
    if (!c->tls)
        return;
    bool verified = false;
    struct slice client = tls_conn_client(c->tls->conn, &verified);
    if (client.n && verified)
        r->tls_client = arena_slice(a, client);
    s->tls = arena_slice(a, tls_conn_version(c->tls->conn));
}

/* What the head says of it: a proxy's word counts, if it is one of ours. */
static void from_head(struct stream *s, const struct conn *c)
{
    struct request *r = &s->r;
    r->host = r->head->host;
    if (c->trusted) {
        struct forwarded f;
        forwarded_read(s->l->server->config.trusted, r->head, r->arena, &f);
        if (f.peer.n)
            r->peer = f.peer;
        if (f.host.n)
            r->host = f.host;
        if (f.proto.n)
            r->secure = slice_is(f.proto, "https");
    }
    r->scheme = r->secure ? SLICE_LIT("https") : SLICE_LIT("http");
}

int stream_new(struct conn *c, struct slice head, struct stream **out, struct error *err)
{
    struct http_loop *l = c->l;
    struct arena *a = http_loop_arena(l);
    struct stream *s = ARENA_NEW(a, struct stream);
    s->l = l;
    s->conn = c;
    s->site = c->site;
    s->start_ns = os_mono_ns();
    struct request *r = &s->r;
    r->magic = REQUEST_MAGIC;
    r->arena = a;
    r->app = l->server->config.app;
    r->loop_local = l->local;
    from_conn(s, c);
    r->head = ARENA_NEW(a, struct http_head);
    r->head->method = HTTP_OTHER;
    l->n_streams++;
    if (s->site->site->drains)
        l->n_draining++;

    int rc = 0;
    if (head.n) {
        rc = http_head_parse(arena_slice(a, head), r->head, err);
        if (rc) {
            struct http_head kept = {.method = r->head->method,
                                     .method_text = r->head->method_text,
                                     .target = r->head->target,
                                     .path = r->head->path,
                                     .minor = r->head->minor};
            *r->head = kept;
        }
    }
    from_head(s, c);
    struct slice id = http_field_get(r->head, "x-request-id");
    r->id = id_ok(id) ? id : make_id(l, a);
    *out = s;
    return rc;
}

void stream_release(struct stream *s)
{
    if (s->conn || s->out)
        return;
    struct http_loop *l = s->l;
    struct request *r = &s->r;
    r->incomplete = request_has_body(r) && !s->body.complete;
    access_end(s);
    body_release(s);
    response_release(r);
    header_set_unref(STEAL(s->headers));
    l->n_streams--;
    if (s->site->site->drains)
        l->n_draining--;
    r->magic = 0;
    http_loop_arena_back(l, r->arena); /* s is gone now */
    http_loop_quiet(l);
}

void stream_gone(struct stream *s)
{
    s->conn = NULL;
    if (s->send.started)
        s->broken = true;
    else
        s->gone = true;
    atomic_store_explicit(&s->r.dead, true, memory_order_relaxed);
    stream_release(s);
}

void stream_sent(struct stream *s)
{
    s->conn = NULL;
    stream_release(s);
}

/* ---- answers ---- */

static void respond(struct stream *s)
{
    CHECK(s->out == 0 && s->conn);
    struct request *r = &s->r;
    s->phase = PHASE_RESPOND;
    r->incomplete = request_has_body(r) && !s->body.complete;
    if (r->on_loop)
        STEAL(r->on_loop)(r);
    s->conn->codec->respond(s);
}

void stream_reject(struct stream *s, const struct error *err)
{
    if (!s->rows)
        access_begin(s);
    response_error(&s->r, err);
    respond(s);
}

static void refuse(struct stream *s, enum error_code code, const char *detail)
{
    struct error err;
    error_detail(&err, code, "%s", detail);
    stream_reject(s, &err);
}

void stream_fail(struct stream *s, enum error_code code, const char *detail)
{
    if (s->phase == PHASE_RESPOND)
        return;
    if (s->out) {
        s->fail = code;
        s->fail_detail = detail;
    } else {
        refuse(s, code, detail);
    }
}

static void response_allow(struct stream *s)
{
    char text[96];
    size_t n = 0;
    for (unsigned m = 0; m < HTTP_OTHER; m++) {
        if (!(s->allowed & 1U << m))
            continue;
        const char *name = http_method_name((enum http_method)m);
        size_t len = strlen(name);
        if (n) {
            memcpy(text + n, ", ", 2);
            n += 2;
        }
        memcpy(text + n, name, len);
        n += len;
    }
    response_field(&s->r, "Allow", "%.*s", (int)n, text);
}

/* ---- steps ---- */

static void step_back(struct task *t);

/* Who left while his read waited for a thread does not keep others waiting: nobody looks at the
 * result. What changes something is done, and to its end; and a login that was begun is ended,
 * since it counts until then. */
static bool is_wanted(const struct stream *s)
{
    bool read = s->r.head->method == HTTP_GET || s->r.head->method == HTTP_HEAD;
    return !read || s->phase == PHASE_AUTH ||
           !atomic_load_explicit(&s->r.dead, memory_order_relaxed);
}

/* In a worker: the request is its own until the task is posted back. */
static void step_work(struct task *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, task);
    CHECK(s->r.magic == REQUEST_MAGIC);
    if (is_wanted(s))
        s->result = s->step(&s->r);
    s->task.fn = step_back;
    http_loop_post(s->l, &s->task);
}

static bool step_post(struct stream *s, enum pool_id pool, step_fn fn)
{
    struct pool *p = s->l->server->config.pools[pool];
    CHECK(p && fn);
    s->step = fn;
    s->task.fn = step_work;
    s->out++;
    if (pool_post(p, &s->task))
        return true;
    s->out--;
    return false;
}

static bool decide(struct stream *s, enum step result, enum pool_id *pool, step_fn *fn);

/* Runs fn and what follows it, until something has to be waited for. */
static void go(struct stream *s, enum pool_id pool, step_fn fn)
{
    for (;;) {
        if (pool != POOL_LOOP) {
            if (!step_post(s, pool, fn)) {
                if (s->l->server->m.rejected_pool)
                    metric_add(s->l->server->m.rejected_pool, 1);
                s->busy = true;
                refuse(s, ERR_UNAVAILABLE, "the server is busy; try again");
            }
            return;
        }
        if (!decide(s, fn(&s->r), &pool, &fn))
            return;
    }
}

static bool begin_handler(struct stream *s, enum pool_id *pool, step_fn *fn)
{
    const struct route *route = s->r.route;
    s->phase = route->fast ? PHASE_FAST : PHASE_HANDLER;
    *pool = route->fast ? POOL_LOOP : route->pool;
    *fn = route->fast ? route->fast : route->handler;
    return true;
}

void stream_too_large(struct stream *s)
{
    const struct route *route = s->r.route;
    stream_fail(s,
                strcmp(route->name, "manifest") == 0 ? ERR_MANIFEST_TOO_LARGE : ERR_SIZE_EXCEEDED,
                route->body == BODY_NONE     ? "no body is expected here"
                : route->body_max == 4 << 20 ? "the body is larger than 4 MiB, the most that this "
                                               "resource takes: send a smaller one"
                                             : "the body is larger than this resource takes");
}

/* Allowed: what of the body has to be read before the handler? true: nothing, go on. */
static bool begin_body(struct stream *s, enum pool_id *pool, step_fn *fn)
{
    const struct route *route = s->r.route;
    if (s->r.head->method == HTTP_OPTIONS && route->method != HTTP_OPTIONS) {
        response_status(&s->r, 200);
        response_allow(s);
        respond(s);
        return false;
    }
    if (route->body == BODY_STREAM || !request_has_body(&s->r))
        return begin_handler(s, pool, fn);
    uint64_t max = route->body == BODY_MEMORY ? route->body_max : DROP_MAX;
    int64_t length = request_length(&s->r);
    if (length > 0 && (uint64_t)length > max) {
        stream_too_large(s);
        return false;
    }
    s->phase = PHASE_BODY;
    body_start(s, route->body == BODY_MEMORY ? BODY_KEEP : BODY_DROP, (size_t)max);
    return false;
}

/* What a step's result means. true: go on with *fn in *pool. */
static bool decide(struct stream *s, enum step result, enum pool_id *pool, step_fn *fn)
{
    struct request *r = &s->r;
    if (result == STEP_NEXT) {
        if (s->phase == PHASE_FAST)
            s->phase = PHASE_HANDLER;
        *pool = r->next_pool;
        *fn = r->next;
        return true;
    }
    if (result == STEP_BODY) {
        CHECK(s->phase >= PHASE_FAST && r->route->body == BODY_STREAM && r->sink);
        s->phase = PHASE_HANDLER;
        if (s->body.ended) { /* asked for twice: it is there already */
            *pool = r->next_pool;
            *fn = r->next;
            return true;
        }
        body_start(s, BODY_SINK, 0);
        return false;
    }
    if (r->resp.status == 0) {
        if (s->phase == PHASE_AUTH)
            return begin_body(s, pool, fn);
        if (s->phase == PHASE_FAST) {
            s->phase = PHASE_HANDLER;
            *pool = r->route->pool;
            *fn = r->route->handler;
            return true;
        }
        struct error err;
        error_set(&err, ERR_UNKNOWN, "the handler of %s made no response", r->route->name);
        response_error(r, &err);
    }
    respond(s);
    return false;
}

static void resume(struct stream *s)
{
    CHECK(!s->fail); /* only a body that is being read can fail, and no step runs meanwhile */
    enum pool_id pool;
    step_fn fn;
    if (decide(s, s->result, &pool, &fn))
        go(s, pool, fn);
}

static void step_back(struct task *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, task);
    CHECK(s->r.magic == REQUEST_MAGIC && s->out > 0);
    s->out--;
    struct conn *c = s->conn;
    if (!c) {
        stream_release(s);
        return;
    }
    conn_enter(c);
    resume(s);
    conn_leave(c);
}

void stream_body_done(struct stream *s)
{
    s->body.complete = true;
    if (s->phase == PHASE_BODY) {
        enum pool_id pool;
        step_fn fn;
        if (begin_handler(s, &pool, &fn))
            go(s, pool, fn);
    } else {
        go(s, s->r.next_pool, s->r.next);
    }
}

void stream_task_back(struct stream *s)
{
    if (s->fail) {
        refuse(s, s->fail, s->fail_detail);
        return;
    }
    stream_reject(s, s->body.err);
}

/* ---- the beginning ---- */

/* OPTIONS stands for the methods that the path has: who may ask for one of them may ask which there
 * are. */
static const struct route *any_route(struct stream *s, struct route_match *m)
{
    const struct http_site *site = s->site->site;
    unsigned allowed = m->allowed;
    for (unsigned k = 0; k < HTTP_OPTIONS; k++) {
        if (!(allowed & 1U << k))
            continue;
        route_match(site->routes, site->n, (enum http_method)k, s->r.head->path, m);
        if (m->route)
            return m->route;
    }
    return NULL;
}

/* Handlers and routes do not know of the prefix. Load balancers do not either: "/" is there without
 * it. false: the path is not below it. */
static bool take_prefix(struct stream *s)
{
    struct slice prefix = s->l->server->config.prefix;
    struct slice *path = &s->r.head->path;
    if (!s->site->site->prefixed || prefix.n < 2)
        return true;
    if (!slice_starts(*path, prefix))
        return slice_is(*path, "/");
    s->r.prefix = slice_first(prefix, prefix.n - 1);
    *path = slice_from(*path, prefix.n - 1);
    return true;
}

static void no_route(struct stream *s)
{
    struct request *r = &s->r;
    if (r->head->method == HTTP_OPTIONS && slice_is(r->head->target, "*")) {
        response_status(r, 200);
        s->allowed = (1U << HTTP_OTHER) - 1;
        response_allow(s);
        respond(s);
    } else if (s->allowed) {
        struct error err;
        error_detail(&err, ERR_UNSUPPORTED, "the resource does not have this method");
        response_error(r, &err);
        response_allow(s);
        respond(s);
    } else {
        refuse(s, ERR_NOT_FOUND, "");
    }
}

void stream_begin(struct stream *s)
{
    struct request *r = &s->r;
    const struct http_site *site = s->site->site;
    struct route_match m = {0};
    if (take_prefix(s)) {
        r->head->path = route_path(r->arena, r->head->path);
        route_match(site->routes, site->n, r->head->method, r->head->path, &m);
    }
    s->allowed = m.allowed;
    if (!m.route && r->head->method == HTTP_OPTIONS && m.allowed)
        m.route = any_route(s, &m);
    r->route = m.route;
    access_begin(s);
    if (site->prefixed && s->allowed)
        s->headers = header_set_ref(s->l->headers);
    if (!m.route) {
        no_route(s);
        return;
    }
    memcpy(r->param, m.param, sizeof r->param);
    s->phase = PHASE_AUTH;
    step_fn authorize = s->l->server->config.authorize;
    enum pool_id pool = POOL_LOOP;
    step_fn fn = authorize;
    if (authorize || begin_body(s, &pool, &fn))
        go(s, pool, fn);
}
