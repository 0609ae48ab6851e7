/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers share: authorisation, paging, conditional requests. */
#include "registry/registry_int.h"

#include <stdlib.h>

#include "base/util.h"
#include "registry/cache.h"

#include "base/banned.h"

struct registry *registry_new(const struct registry_config *config)
{
    struct registry *reg = xcalloc(1, sizeof *reg);
    reg->c = *config;
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
    return reg->c.cache_bytes ? manifest_cache_new(reg->c.cache_bytes) : NULL;
}

void registry_loop_close(void *app, void *loop_local)
{
    (void)app;
    manifest_cache_free(loop_local);
}

struct principal req_principal(const struct request *r)
{
    return (struct principal){.name = r->principal};
}

enum step registry_authorize(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    struct slice repo = SLICE_NONE;
    if (strstr(r->route->pattern, "<name>")) {
        repo = req_repo(r);
        if (oci_name_check(repo, &err))
            return step_error(r, &err);
    }
    struct principal who = req_principal(r);
    if (policy_decide(&reg->c.policy, &who, r->route->action, repo, &err))
        return step_error(r, &err);
    return STEP_DONE;
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
    if (request_query(r, "n", &text, &bad)) {
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
    CLEANUP_BUF struct buf b;
    buf_init(&b, 16 * 1024);
    buf_putc(&b, '<');
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
