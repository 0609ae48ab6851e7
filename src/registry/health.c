/* SPDX-License-Identifier: Apache-2.0 */
/* /livez: the process serves. /readyz: it can do its job now (503 while starting, draining, or
 * without metadata). /startupz: it has started. /metrics: Prometheus. /debug/health: the checks of
 * the configuration's `health`, as in registry. A read-only store does not make the registry
 * unready: pulls go on, and a rotation without it would help nobody. */
#include "registry/registry_int.h"

#include "base/banned.h"

enum { METRICS_BYTES_MAX = 4 * 1024 * 1024, CHECKS_BYTES_MAX = 256 * 1024 };

static enum step say(struct request *r, int status, const char *text)
{
    response_status(r, status);
    response_bytes(r, "text/plain; charset=utf-8", slice_cstr(text));
    response_field(r, "Cache-Control", "no-store");
    return STEP_DONE;
}

enum step health_live(struct request *r)
{
    return say(r, 200, "ok\n");
}

enum step health_startup(struct request *r)
{
    bool started = atomic_load(&registry_of(r)->state) != REGISTRY_STARTING;
    return started ? say(r, 200, "ok\n") : say(r, 503, "starting\n");
}

enum step health_ready(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    int state = atomic_load(&reg->state);
    if (state == REGISTRY_STARTING)
        return say(r, 503, "starting\n");
    if (state == REGISTRY_DRAINING)
        return say(r, 503, "draining: the server is about to stop\n");
    if (reg->c.hooks.healthy && !reg->c.hooks.healthy(reg->c.hooks.arg))
        return say(r, 503, "a health check fails: see /debug/health\n");
    if (meta_ping(reg->c.meta, &err)) {
        r->log_detail = slice_cstr(arena_printf(r->arena, "%s", err.message));
        return say(r, 503, "the metadata database does not answer\n");
    }
    if (store_read_only(reg->c.store))
        return say(r, 200, "ok, but the storage is read-only: pulls work, pushes are refused\n");
    return say(r, 200, "ok\n");
}

enum step health_checks(struct request *r)
{
    const struct registry_hooks *hooks = &registry_of(r)->c.hooks;
    struct buf b;
    buf_init(&b, CHECKS_BYTES_MAX);
    if (hooks->health_print)
        hooks->health_print(hooks->arg, &b);
    else
        buf_puts(&b, "{}");
    bool well = slice_is(buf_view(&b), "{}");
    enum step done = resp_json(r, "application/json", &b);
    buf_release(&b);
    if (r->resp.status == 200 && !well)
        response_status(r, 503);
    response_field(r, "Cache-Control", "no-store");
    return done;
}

enum step metrics_get(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct buf b;
    buf_init(&b, METRICS_BYTES_MAX);
    metrics_print(reg->c.metrics, &b);
    enum step done = resp_json(r, "text/plain; version=0.0.4; charset=utf-8", &b);
    buf_release(&b);
    return done;
}
