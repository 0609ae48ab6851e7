/* SPDX-License-Identifier: Apache-2.0 */
/* end-3: GET and HEAD of a manifest, by tag or digest; end-9: DELETE. The stored bytes and the
 * stored type, whatever Accept says: converting would change the digest, and refusing helps nobody
 * (oci.md 7.1). */
#include "base/util.h"
#include "registry/cache.h"
#include "registry/events.h"
#include "registry/registry_int.h"

#include "base/banned.h"

#define CONTENT_TYPE "Content-Type: "

/* What the slow path read, on its way to the loop's cache. */
struct fill {
    struct manifest_answer answer;
};

/* The type is the first of the ready-made fields, see make_fields(). */
static struct slice type_of(const struct manifest_answer *answer)
{
    struct slice rest = slice_from(shared_view(answer->fields), sizeof CONTENT_TYPE - 1);
    return slice_cut(&rest, '\r');
}

static void tell_pull(struct request *r, const struct manifest_answer *answer, bool by_digest)
{
    struct meta_event *event = event_new(r, "pull");
    if (!event)
        return;
    event_manifest(r, event, &answer->digest, type_of(answer), by_digest ? SLICE_NONE : r->param[1],
                   shared_view(answer->body));
    event_pulled(r, event);
}

static enum step answer_with(struct request *r, const struct manifest_answer *answer)
{
    bool by_digest = memchr(r->param[1].p, ':', r->param[1].n) != NULL;
    if (resp_conditional(r, &answer->digest, by_digest ? IMMUTABLE : REVALIDATE))
        return STEP_DONE;
    response_status(r, 200);
    r->resp.raw_fields = shared_view(answer->fields);
    r->resp.keep = shared_ref(answer->fields);
    response_shared(r, NULL, shared_ref(answer->body));
    tell_pull(r, answer, by_digest);
    return STEP_DONE;
}

enum step manifest_fast(struct request *r)
{
    struct registry *reg = registry_of(r);
    /* An event that lists what the manifest refers to needs a parse: that is for a worker. */
    if (live_of(r)->include_references && event_wanted(r, "pull"))
        return STEP_DONE;
    const struct manifest_answer *hit = manifest_cache_get(cache_of(r), req_repo(r), r->param[1],
                                                           meta_epoch(reg->c.meta, req_repo(r)));
    if (!hit) {
        if (reg->cache_misses)
            metric_add(reg->cache_misses, 1);
        return STEP_DONE;
    }
    if (reg->cache_hits)
        metric_add(reg->cache_hits, 1);
    return answer_with(r, hit);
}

static void fill_release(void *arg)
{
    struct fill *fill = arg;
    shared_unref(fill->answer.body);
    shared_unref(fill->answer.fields);
}

static void fill_cache(struct request *r)
{
    struct fill *fill = r->state;
    manifest_cache_put(cache_of(r), req_repo(r), r->param[1], &fill->answer);
}

static struct shared *make_fields(const struct meta_manifest *m, bool by_digest)
{
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, 2048);
    buf_printf(&b,
               CONTENT_TYPE "%s\r\nDocker-Content-Digest: %s\r\nETag: \"%s\"\r\n"
                            "Cache-Control: %s\r\n",
               m->media_type, m->digest.text, m->digest.text, by_digest ? IMMUTABLE : REVALIDATE);
    CHECK(!b.failed);
    return shared_new(b.p, b.n);
}

static void say_unknown(struct request *r, struct error *err)
{
    if (err->code == ERR_MANIFEST_UNKNOWN || err->code == ERR_NAME_UNKNOWN)
        error_detail(err, ERR_MANIFEST_UNKNOWN, "repository %.*s has no manifest %.*s",
                     SLICE_ARG(req_repo(r)), SLICE_ARG(r->param[1]));
}

enum step manifest_get(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    struct reference ref;
    struct meta_manifest m = {0};
    if (reference_parse(r->param[1], &ref, &err))
        return step_error(r, &err);
    uint64_t epoch = meta_epoch(reg->c.meta, req_repo(r));
    if (meta_manifest_get(reg->c.meta, req_repo(r), &ref, true, &m, &err)) {
        say_unknown(r, &err);
        return step_error(r, &err);
    }
    struct fill *fill = ARENA_NEW(r->arena, struct fill);
    fill->answer = (struct manifest_answer){.body = m.bytes, .digest = m.digest, .epoch = epoch};
    fill->answer.fields = make_fields(&m, ref.is_digest);
    if (!fill->answer.fields) {
        shared_unref(m.bytes);
        error_set(&err, ERR_UNAVAILABLE, "out of memory");
        return step_error(r, &err);
    }
    arena_on_free(r->arena, fill_release, fill);
    r->state = fill;
    r->on_loop = fill_cache;
    return answer_with(r, &fill->answer);
}

enum step manifest_delete(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    struct reference ref;
    if (reference_parse(r->param[1], &ref, &err))
        return step_error(r, &err);
    struct meta_event *event = event_new(r, "delete");
    if (event)
        *(ref.is_digest ? &event->digest : &event->tag) =
            ref.is_digest ? digest_slice(&ref.digest) : ref.tag;
    int failed = ref.is_digest ? meta_manifest_delete(reg->c.meta, req_repo(r), &ref.digest,
                                                      req_condition(r), event, &err)
                               : meta_tag_delete(reg->c.meta, req_repo(r), ref.tag,
                                                 req_condition(r), event, &err);
    if (failed) {
        say_unknown(r, &err);
        return step_error(r, &err);
    }
    event_changed(r, event);
    response_status(r, 202);
    return STEP_DONE;
}
