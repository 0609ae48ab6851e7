/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers share: authorisation, paging, conditional requests. */
#include "registry/registry_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "os/clock.h"
#include "registry/cache.h"
#include "registry/validate.h"

#include "base/banned.h"

/* ---- what a reload replaces ---- */

static struct live *live_new(const struct registry_live *l)
{
    struct live *live = xcalloc(1, sizeof *live);
    atomic_init(&live->refs, 1);
    live->l = *l;
    return live;
}

static struct live *live_ref(struct live *live)
{
    atomic_fetch_add_explicit(&live->refs, 1, memory_order_relaxed);
    return live;
}

static void live_unref(void *p)
{
    struct live *live = p;
    if (!live || atomic_fetch_sub_explicit(&live->refs, 1, memory_order_acq_rel) != 1)
        return;
    authn_unref(live->l.authn);
    validator_free(live->l.validator);
    free(live);
}

void registry_set_live(struct registry *reg, const struct registry_live *l)
{
    struct live *live = live_new(l);
    pthread_mutex_lock(&reg->lock);
    for (struct loop_local *at = reg->loops; at; at = at->next) {
        pthread_mutex_lock(&at->lock);
        struct live *old = at->live;
        at->live = live_ref(live);
        pthread_mutex_unlock(&at->lock);
        live_unref(old);
    }
    struct live *old = reg->live;
    reg->live = live;
    pthread_mutex_unlock(&reg->lock);
    live_unref(old);
}

static struct req_context *context_new(struct request *r)
{
    struct loop_local *l = r->loop_local;
    struct req_context *c = ARENA_NEW(r->arena, struct req_context);
    pthread_mutex_lock(&l->lock);
    c->live = live_ref(l->live);
    pthread_mutex_unlock(&l->lock);
    arena_on_free(r->arena, live_unref, c->live);
    r->context = c;
    return c;
}

/* ---- life ---- */

struct registry *registry_new(const struct registry_config *config)
{
    struct registry *reg = xcalloc(1, sizeof *reg);
    reg->c = *config;
    reg->live = live_new(&config->live);
    CHECK(pthread_mutex_init(&reg->lock, NULL) == 0);
    atomic_init(&reg->state, REGISTRY_STARTING);
    if (config->metrics) {
        const char *help =
            "Manifest reads answered from a loop's cache (hit) or from metadata (miss)";
        reg->cache_hits =
            metrics_counter(config->metrics, "berth_manifest_cache_total", help, "result=\"hit\"");
        reg->cache_misses =
            metrics_counter(config->metrics, "berth_manifest_cache_total", help, "result=\"miss\"");
    }
    return reg;
}

void registry_free(struct registry *reg)
{
    if (!reg)
        return;
    live_unref(reg->live);
    (void)pthread_mutex_destroy(&reg->lock);
    free(reg);
}

void registry_set_state(struct registry *reg, enum registry_state state)
{
    atomic_store(&reg->state, (int)state);
}

void *registry_loop_open(void *app, unsigned loop)
{
    (void)loop;
    struct registry *reg = app;
    struct loop_local *l = xcalloc(1, sizeof *l);
    l->registry = reg;
    CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
    if (reg->c.cache_bytes)
        l->cache = manifest_cache_new(reg->c.cache_bytes);
    pthread_mutex_lock(&reg->lock);
    l->live = live_ref(reg->live);
    l->next = reg->loops;
    reg->loops = l;
    pthread_mutex_unlock(&reg->lock);
    return l;
}

void registry_loop_close(void *app, void *loop_local)
{
    struct registry *reg = app;
    struct loop_local *l = loop_local;
    pthread_mutex_lock(&reg->lock);
    for (struct loop_local **at = &reg->loops; *at; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    pthread_mutex_unlock(&reg->lock);
    live_unref(l->live);
    manifest_cache_free(l->cache);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

struct principal req_principal(const struct request *r)
{
    const struct req_context *c = r->context;
    return c ? c->who : (struct principal){0};
}

/* ---- who asks, and may they ---- */

static struct slice address_of(struct slice peer)
{
    const char *colon = peer.p && peer.n ? memrchr(peer.p, ':', peer.n) : NULL;
    /* "::1" is an address without a port; "[::1]:80" and "127.0.0.1:80" have one. */
    bool port = colon && (memchr(peer.p, ':', peer.n) == colon || colon[-1] == ']');
    return port ? slice_first(peer, (size_t)(colon - peer.p)) : peer;
}

/* What the policy asks. */
static struct authn_question question(struct request *r)
{
    struct authn_question q = {.action = (enum action)r->route->action};
    if (strstr(r->route->pattern, "<name>"))
        q.repo = req_repo(r);
    return q;
}

/* And what logins ask besides: nothing of it is looked at where there are none. */
static struct authn_question login_question(struct request *r)
{
    struct authn_question q = question(r);
    q.authorization = request_field(r, "Authorization");
    q.peer = address_of(r->peer);
    q.host = r->host;
    /* As registry 3: https, unless a proxy says otherwise. */
    struct slice proto = request_field(r, "X-Forwarded-Proto");
    q.plain = !r->secure && slice_ieq(slice_trim(slice_cut(&proto, ',')), SLICE_LIT("http"));
    q.now_s = os_wall_ms() / 1000;
    if (q.action == ACTION_PUSH && r->head->method == HTTP_POST)
        (void)request_query(r, "from", &q.from, NULL);
    return q;
}

static enum step unauthorized(struct request *r, const struct error *err, struct slice challenge)
{
    response_error(r, err);
    if (challenge.n)
        response_field(r, "WWW-Authenticate", "%.*s", SLICE_ARG(challenge));
    if (err->code == ERR_TOOMANYREQUESTS)
        response_field(r, "Retry-After", "1");
    return STEP_DONE;
}

/* RFC 9110 15.5.6: a 405 says what may be done here, which in a read-only registry is less than the
 * routes have. */
static void say_allowed(struct request *r, struct slice repo)
{
    const struct req_context *c = r->context;
    CLEANUP_BUF struct buf b = {0};
    unsigned n;
    const struct route *rows = registry_routes(&n);
    buf_init(&b, 128);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(rows[i].pattern, r->route->pattern) == 0 &&
            policy_decide(&live_of(r)->policy, &c->who, rows[i].action, repo, NULL) == 0)
            buf_printf(&b, "%s, %s", http_method_name(rows[i].method),
                       rows[i].method == HTTP_GET ? "HEAD, " : "");
    buf_puts(&b, "OPTIONS");
    response_field(r, "Allow", "%s", b.p);
}

static enum step decide(struct request *r, const struct authn_question *q)
{
    const struct registry_live *live = live_of(r);
    const struct req_context *c = r->context;
    struct error err = {0};
    if (!policy_decide(&live->policy, &c->who, q->action, q->repo, &err))
        return STEP_DONE;
    struct slice challenge = SLICE_NONE;
    if (err.code == ERR_UNAUTHORIZED && live->authn)
        challenge = authn_challenge(live->authn, q,
                                    q->authorization.n ? "insufficient_scope" : NULL, r->arena);
    enum step done = unauthorized(r, &err, challenge);
    if (err.code == ERR_UNSUPPORTED)
        say_allowed(r, q->repo);
    return done;
}

static enum step known(struct request *r, enum authn_result result, const struct authn_question *q,
                       const struct error *err, struct slice challenge)
{
    const struct req_context *c = r->context;
    /* Also of one who is refused, as Apache logs it: somebody asks who has a wrong password. */
    r->principal = c->who.name;
    if (result == AUTHN_REFUSED)
        return unauthorized(r, err, challenge);
    return decide(r, q);
}

static enum step authorize_slow(struct request *r)
{
    struct req_context *c = r->context;
    struct authn_question q = login_question(r);
    struct slice challenge = SLICE_NONE;
    struct error err = {0};
    enum authn_result result =
        authn_verify(live_of(r)->authn, &q, r->arena, &c->who, &challenge, &err);
    return known(r, result, &q, &err, challenge);
}

static bool is_public(unsigned action)
{
    return action == ACTION_HEALTH || action == ACTION_METRICS;
}

static bool healthy(struct registry *reg, struct error *err)
{
    if (!reg->c.hooks.healthy || reg->c.hooks.healthy(reg->c.hooks.arg))
        return true;
    error_detail(err, ERR_UNAVAILABLE, "health check failed: please see /debug/health");
    return false;
}

enum step registry_authorize(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct req_context *c = context_new(r);
    struct error err = {0};
    if (!is_public(r->route->action) && !healthy(reg, &err))
        return step_error(r, &err);
    /* Which methods a path has is in the specification: a browser asks without credentials. */
    if (r->head->method == HTTP_OPTIONS)
        return STEP_DONE;
    struct authn_question q = question(r);
    if (q.repo.p && oci_name_check(q.repo, &err))
        return step_error(r, &err);
    struct authn *authn = live_of(r)->authn;
    if (is_public(q.action) || !authn)
        return decide(r, &q);
    q = login_question(r);
    struct slice challenge = SLICE_NONE;
    enum authn_result result = authn_quick(authn, &q, r->arena, &c->who, &challenge, &err);
    if (result == AUTHN_SLOW)
        return request_next(r, authn_kind_of(authn) == AUTHN_TOKEN ? POOL_AUTH : POOL_SLOW,
                            authorize_slow);
    return known(r, result, &q, &err, challenge);
}

void req_url(const struct request *r, bool absolute, struct buf *out)
{
    const char *host = registry_of(r)->c.host;
    if (host && *host) { /* with the prefix that it has for others, which need not be ours */
        buf_puts(out, host);
        return;
    }
    if (absolute && r->host.n)
        buf_printf(out, "%.*s://%.*s", SLICE_ARG(r->scheme), SLICE_ARG(r->host));
    buf_slice(out, r->prefix);
}

void resp_location(struct request *r, const char *fmt, ...)
{
    CLEANUP_BUF struct buf b = {0};
    va_list args;
    buf_init(&b, 16 * 1024);
    req_url(r, registry_of(r)->c.absolute_urls, &b);
    va_start(args, fmt);
    char *path = NULL;
    CHECK(vasprintf(&path, fmt, args) >= 0);
    va_end(args);
    buf_puts(&b, path);
    free(path);
    if (!b.failed)
        response_field(r, "Location", "%.*s", SLICE_ARG(buf_view(&b)));
}

int req_digest(const struct request *r, struct digest *out, struct error *err)
{
    return digest_parse(r->param[1], out, err);
}

int req_page(struct request *r, unsigned most, unsigned *n, struct slice *last, struct error *err)
{
    struct slice text;
    bool bad = false;
    unsigned count = most;
    if (request_query(r, "n", &text, &bad) && text.n) { /* ?n= is as none, as in registry */
        uint64_t v;
        if (parse_u63(text, &v))
            return error_detail(err, ERR_PAGINATION,
                                "n is \"%.*s\": it has to be a whole number, 0 or more",
                                SLICE_ARG(slice_first(text, 40)));
        count = v < most ? (unsigned)v : most;
    }
    struct slice after = SLICE_NONE;
    if (!bad && !request_query(r, "last", &after, &bad))
        after = SLICE_NONE;
    if (bad)
        return error_detail(err, ERR_PAGINATION, "the query is not validly percent-encoded");
    *n = count;
    *last = after;
    return 0;
}

void resp_next_link(struct request *r, struct slice last, unsigned n, const char *extra_name,
                    struct slice extra)
{
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, 16 * 1024);
    buf_putc(&b, '<');
    buf_slice(&b, r->prefix); /* always relative, as in registry */
    buf_slice(&b, r->head->path);
    buf_puts(&b, "?");
    if (extra_name) {
        buf_printf(&b, "%s=", extra_name);
        http_query_encode(&b, extra);
        buf_putc(&b, '&');
    }
    buf_puts(&b, "last=");
    http_query_encode(&b, last);
    buf_printf(&b, "&n=%u>; rel=\"next\"", n);
    if (!b.failed)
        response_field(r, "Link", "%.*s", SLICE_ARG(buf_view(&b)));
}

struct condition {
    struct meta_condition base;
    struct slice match, none;
};

static int condition_check(void *arg, const struct digest *current, struct error *err)
{
    const struct condition *c = arg;
    const char *now = current ? current->text : "nothing";
    struct slice tag = current ? digest_slice(current) : SLICE_NONE;
    if (c->match.p && (!current || !http_etag_match(c->match, tag, false)))
        return error_detail(err, ERR_PRECONDITION, "If-Match does not name what is here now: %s",
                            now);
    if (c->none.p && current && http_etag_match(c->none, tag, true))
        return error_detail(err, ERR_PRECONDITION, "If-None-Match names what is here now: %s", now);
    return 0;
}

const struct meta_condition *req_condition(struct request *r)
{
    struct condition *c = ARENA_NEW(r->arena, struct condition);
    c->match = request_field(r, "If-Match");
    c->none = request_field(r, "If-None-Match");
    c->base = (struct meta_condition){.check = condition_check, .arg = c};
    return c->match.p || c->none.p ? &c->base : NULL;
}

static void etag_fields(struct request *r, const struct digest *d)
{
    response_field(r, "Docker-Content-Digest", "%s", d->text);
    response_field(r, "ETag", "\"%s\"", d->text);
}

bool resp_conditional(struct request *r, const struct digest *d, const char *cache_control)
{
    struct slice tag = digest_slice(d);
    struct slice match = request_field(r, "If-Match");
    if (match.p && !http_etag_match(match, tag, false)) {
        struct error err;
        error_detail(&err, ERR_PRECONDITION, "If-Match does not name %s, which is here now",
                     d->text);
        response_error(r, &err);
        etag_fields(r, d);
        return true;
    }
    struct slice none = request_field(r, "If-None-Match");
    if (none.p && http_etag_match(none, tag, true)) {
        response_status(r, 304);
        etag_fields(r, d);
        response_field(r, "Cache-Control", "%s", cache_control); /* RFC 9110 15.4.5 */
        return true;
    }
    return false;
}

enum step resp_json(struct request *r, const char *content_type, struct buf *b)
{
    size_t n = 0;
    if (b->failed) {
        struct error err;
        error_set(&err, ERR_UNKNOWN, "the answer is larger than its buffer (%zu bytes)", b->max);
        return step_error(r, &err);
    }
    char *p = buf_steal(b, &n);
    char *fit = realloc(p, n + 1); /* it grew by doubling, and a slow reader holds it for long */
    if (fit)
        p = fit;
    arena_on_free(r->arena, free, p);
    response_status(r, 200);
    response_bytes(r, content_type, slice_make(p, n));
    return STEP_DONE;
}
