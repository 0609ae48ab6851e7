/* SPDX-License-Identifier: Apache-2.0 */
/* end-7a and end-7b: PUT of a manifest by tag or digest, with ?tag= for several tags. */
#include "base/json.h"
#include "base/util.h"
#include "os/fault.h"
#include "registry/events.h"
#include "registry/validate.h"

#include "base/banned.h"

enum {
    TAGS_MAX = 64, /* ?tag= parameters in one request */
    PARSE_HERE_MAX =
        64 *
        1024, /* a larger manifest is parsed in the slow pool, which may not keep others waiting */
    MISSING_SHOWN_MAX = 100
};

static int collect_tags(struct request *r, const struct reference *ref, struct slice *tags,
                        unsigned *n, struct error *err)
{
    *n = 0;
    if (!ref->is_digest)
        tags[(*n)++] = ref->tag;
    for (unsigned k = 0;; k++) {
        bool bad = false;
        struct slice tag;
        if (!http_query_nth(r->head->query, "tag", k, r->arena, &tag, &bad)) {
            if (bad)
                return error_detail(err, ERR_TAG_INVALID,
                                    "the query is not validly percent-encoded");
            return 0;
        }
        if (!ref->is_digest)
            return error_detail(err, ERR_TAG_INVALID,
                                "?tag= goes with a push by digest; this one is by tag: push to "
                                "manifests/<digest>?tag=…");
        if (oci_tag_check(tag, err))
            return -1;
        if (*n == TAGS_MAX)
            return error_detail(err, ERR_URI_TOO_LONG,
                                "more than %d tags in one request: send the others in another one",
                                TAGS_MAX);
        tags[(*n)++] = tag;
    }
}

static enum step say_missing(struct request *r, const struct meta_manifest_put_result *result)
{
    struct buf b;
    buf_init(&b, 128 * 1024);
    struct json_writer w;
    const struct error_info *info = error_info(ERR_MANIFEST_BLOB_UNKNOWN);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "errors");
    jw_array(&w);
    for (unsigned i = 0; i < result->n_missing && i < MISSING_SHOWN_MAX; i++) {
        jw_object(&w);
        jw_key(&w, "code");
        jw_cstr(&w, info->code);
        jw_key(&w, "message");
        jw_cstr(&w, info->message);
        jw_key(&w, "detail");
        jw_object(&w);
        jw_key(&w, "digest");
        jw_string(&w, result->missing[i]);
        jw_key(&w, "hint");
        jw_cstr(
            &w,
            "the manifest refers to this content, which is not in the repository: push it first");
        jw_object_end(&w);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    buf_putc(&b, '\n');
    enum step done = resp_json(r, MT_JSON, &b);
    buf_release(&b);
    if (r->resp.status == 200)
        response_status(r, info->status);
    r->log_detail =
        slice_cstr(arena_printf(r->arena, "%u missing, first %.*s", result->n_missing,
                                SLICE_ARG(result->n_missing ? result->missing[0] : SLICE_NONE)));
    return done;
}

static void say_created(struct request *r, const struct meta_manifest_put *put, bool by_digest)
{
    response_status(r, 201);
    resp_location(r, "/v2/%.*s/manifests/%s", SLICE_ARG(put->repo), put->digest.text);
    response_field(r, "Docker-Content-Digest", "%s", put->digest.text);
    if (put->manifest->has_subject)
        response_field(r, "OCI-Subject", "%.*s", SLICE_ARG(put->manifest->subject));
    if (!by_digest || put->n_tags == 0)
        return;
    CLEANUP_BUF struct buf list = {0};
    buf_init(&list, TAGS_MAX * (OCI_TAG_MAX + 2));
    for (unsigned i = 0; i < put->n_tags; i++)
        buf_printf(&list, "%s%.*s", i ? ", " : "", SLICE_ARG(put->tags[i]));
    response_field(r, "OCI-Tag", "%.*s", SLICE_ARG(buf_view(&list)));
}

/* A push between its parsing and its transaction. */
struct push {
    struct meta_manifest_put put;
    bool by_digest;
};

static enum step put_commit(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct push *push = r->state;
    struct meta_manifest_put_result result = {0};
    struct error err = {0};
    int injected = fault_point("manifest.put");
    if (injected) {
        error_sys(&err, injected, "put manifest");
        return step_error(r, &err);
    }
    if (meta_manifest_put(reg->c.meta, &push->put, r->arena, &result, &err))
        return err.code == ERR_MANIFEST_BLOB_UNKNOWN ? say_missing(r, &result)
                                                     : step_error(r, &err);
    event_changed(r, push->put.event);
    (void)fault_point("manifest.done");
    say_created(r, &push->put, push->by_digest);
    return STEP_DONE;
}

static int parse(struct request *r, struct push *push, struct error *err)
{
    struct reference ref;
    struct slice *tags = ARENA_ARRAY(r->arena, struct slice, TAGS_MAX);
    struct manifest *manifest = ARENA_NEW(r->arena, struct manifest);
    struct meta_manifest_put *put = &push->put;
    *put = (struct meta_manifest_put){.repo = req_repo(r),
                                      .body = r->body,
                                      .manifest = manifest,
                                      .tags = tags,
                                      .condition = req_condition(r)};
    if (reference_parse(r->param[1], &ref, err) || collect_tags(r, &ref, tags, &put->n_tags, err))
        return -1;
    push->by_digest = ref.is_digest;
    digest_of(ref.is_digest ? ref.digest.alg : HASH_SHA256, r->body, &put->digest);
    if (ref.is_digest && !digest_eq(&put->digest, &ref.digest))
        return error_detail(
            err, ERR_DIGEST_INVALID,
            "the path names %s, the body has %s: send exactly the bytes that were hashed",
            ref.digest.text, put->digest.text);
    if (manifest_parse(r->body, request_field(r, "Content-Type"), r->arena, manifest, err) ||
        validator_check(live_of(r)->validator, r->body, manifest, err))
        return -1;
    struct meta_event *event = event_new(r, "push");
    event_manifest(r, event, &put->digest, manifest->media_type, SLICE_NONE, r->body);
    put->event = event;
    return 0;
}

static enum step put_large(struct request *r)
{
    struct error err = {0};
    return parse(r, r->state, &err) ? step_error(r, &err) : request_next(r, POOL_WRITE, put_commit);
}

enum step manifest_put(struct request *r)
{
    struct error err = {0};
    struct push *push = ARENA_NEW(r->arena, struct push);
    r->state = push;
    if (r->body.n > PARSE_HERE_MAX)
        return request_next(r, POOL_SLOW, put_large);
    return parse(r, push, &err) ? step_error(r, &err) : put_commit(r);
}
