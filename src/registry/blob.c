/* SPDX-License-Identifier: Apache-2.0 */
/* end-2 and end-10: GET, HEAD and DELETE of a blob. */
#include <inttypes.h>

#include "base/util.h"
#include "registry/events.h"
#include "registry/registry_int.h"

#include "base/banned.h"

static void release_shared(void *p)
{
    shared_unref(p);
}

static void blob_fields(struct request *r, const struct digest *d)
{
    response_field(r, "Docker-Content-Digest", "%s", d->text);
    response_field(r, "ETag", "\"%s\"", d->text);
    response_field(r, "Accept-Ranges", "bytes");
    response_field(r, "Cache-Control", "%s", IMMUTABLE);
}

/* The part of the blob that is asked for. False when the range cannot be satisfied: then the answer
 * is given. */
static bool blob_range(struct request *r, const struct digest *d, uint64_t size, int *status,
                       uint64_t *first, uint64_t *length)
{
    *status = 200;
    *first = 0;
    *length = size;
    struct slice range = request_field(r, "Range");
    if (!range.p || r->head->method != HTTP_GET)
        return true;
    /* RFC 9110 13.1.5: another validator than ours means that the client's part is of something
     * else. */
    struct slice if_range = request_field(r, "If-Range");
    if (if_range.p && !http_etag_match(if_range, digest_slice(d), false))
        return true;
    switch (http_range(range, size, first, length)) {
    case RANGE_NONE:
        return true;
    case RANGE_ONE:
        *status = 206;
        return true;
    case RANGE_BAD:
        break;
    }
    struct error err;
    error_detail(&err, ERR_RANGE_INVALID,
                 "the blob has %" PRIu64 " bytes: no byte of it is in the range asked for", size);
    response_error(r, &err);
    response_field(r, "Content-Range", "bytes */%" PRIu64, size);
    response_field(r, "Accept-Ranges", "bytes");
    return false;
}

static bool is_damaged(struct request *r, const struct digest *d, uint64_t size)
{
    uint64_t there = 0;
    struct error err = {0};
    if (store_stat(registry_of(r)->c.store, d, &there, &err))
        return err.code == ERR_BLOB_UNKNOWN;
    return there != size;
}

/* As registry tells it: a HEAD and an answer that there is nothing new are pulls too. */
static void tell_pull(struct request *r, const struct digest *d, uint64_t size)
{
    struct meta_event *event = event_new(r, "pull");
    event_blob(r, event, d, size);
    event_pulled(r, event);
}

static enum step blob_body(struct request *r, const struct digest *d, struct meta_blob *blob)
{
    int status;
    uint64_t first;
    uint64_t length;
    struct error err = {0};
    if (blob->bytes)
        arena_on_free(r->arena, release_shared, blob->bytes);
    if (resp_conditional(r, d, IMMUTABLE)) {
        if (r->resp.status == 304)
            tell_pull(r, d, blob->size);
        return STEP_DONE;
    }
    if (!blob_range(r, d, blob->size, &status, &first, &length))
        return STEP_DONE;
    if (r->head->method == HTTP_HEAD) {
        if (!blob->is_inline && is_damaged(r, d, blob->size)) {
            /* Then the client pushes it again, and that repairs it. */
            error_detail(&err, ERR_BLOB_UNKNOWN, "the stored bytes of %s are lost: push it again",
                         d->text);
            return step_error(r, &err);
        }
        response_status(r, 200);
        response_field(r, "Content-Type", MT_OCTETS);
        r->resp.length = blob->size;
    } else if (blob->bytes) {
        response_status(r, status);
        response_bytes(r, MT_OCTETS, slice_make(blob->bytes->p + first, (size_t)length));
    } else {
        struct store_object object = {0};
        if (store_open(registry_of(r)->c.store, d, &object, &err)) {
            /* The row says that it is there: that is damage, not a client's mistake. */
            if (err.code == ERR_BLOB_UNKNOWN)
                error_set(&err, ERR_UNKNOWN, "the file of live blob %s is missing", d->text);
            return step_error(r, &err);
        }
        if (object.size != blob->size) {
            error_set(&err, ERR_UNKNOWN, "blob %s has %" PRIu64 " bytes, its row says %" PRIu64,
                      d->text, object.size, blob->size);
            store_object_release(&object);
            return step_error(r, &err);
        }
        response_status(r, status);
        if (object.file) {
            response_file(r, MT_OCTETS, STEAL(object.file), first, length);
        } else {
            arena_on_free(r->arena, release_shared, object.bytes);
            response_bytes(r, MT_OCTETS, slice_make(object.bytes->p + first, (size_t)length));
        }
    }
    if (status == 206)
        response_field(r, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                       first + length - 1, blob->size);
    blob_fields(r, d);
    tell_pull(r, d, blob->size);
    return STEP_DONE;
}

/* A client that sees 200 on HEAD skips the upload: the blob must outlive the rest of its push. */
static enum step blob_lease(struct request *r)
{
    struct error err = {0};
    struct digest d;
    struct meta_blob *blob = r->state;
    if (req_digest(r, &d, &err) || meta_blob_lease(registry_of(r)->c.meta, req_repo(r), &d, &err))
        return step_error(r, &err);
    return blob_body(r, &d, blob);
}

enum step blob_get(struct request *r)
{
    struct error err = {0};
    struct digest d;
    struct meta_blob *blob = ARENA_NEW(r->arena, struct meta_blob);
    if (req_digest(r, &d, &err))
        return step_error(r, &err);
    bool head = r->head->method == HTTP_HEAD;
    if (meta_blob_get(registry_of(r)->c.meta, req_repo(r), &d, !head, blob, &err)) {
        if (err.code == ERR_BLOB_UNKNOWN)
            error_detail(&err, ERR_BLOB_UNKNOWN, "%s is not in repository %.*s", d.text,
                         SLICE_ARG(req_repo(r)));
        return step_error(r, &err);
    }
    /* Where nothing can be pushed there is no push to outlive, and nothing is written. (A lease is
     * also for who may only pull: some clients ask with one token and push with another.) */
    if (!head || !blob->wants_lease || live_of(r)->policy.read_only)
        return blob_body(r, &d, blob);
    r->state = blob;
    return request_next(r, POOL_WRITE, blob_lease);
}

enum step blob_delete(struct request *r)
{
    struct error err = {0};
    struct digest d;
    if (req_digest(r, &d, &err))
        return step_error(r, &err);
    struct meta_event *event = event_new(r, "delete");
    if (event)
        event->digest = digest_slice(&d);
    if (meta_blob_delete(registry_of(r)->c.meta, req_repo(r), &d, event, &err)) {
        if (err.code == ERR_BLOB_UNKNOWN || err.code == ERR_NAME_UNKNOWN)
            error_detail(&err, err.code, "%s is not in repository %.*s", d.text,
                         SLICE_ARG(req_repo(r)));
        return step_error(r, &err);
    }
    event_changed(r, event);
    response_status(r, 202);
    response_field(r, "Docker-Content-Digest", "%s", d.text);
    return STEP_DONE;
}
