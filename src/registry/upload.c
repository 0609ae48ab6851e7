/* SPDX-License-Identifier: Apache-2.0 */
/* Upload sessions: end-4 POST, end-5 PATCH, end-6 PUT, end-13 GET, end-14 DELETE, end-11 mount. The
 * end of a push is in push.c. */
#include <inttypes.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/fault.h"
#include "registry/events.h"
#include "registry/upload_int.h"

#include "base/banned.h"

/* A PATCH is recorded while it goes on, after this many bytes or milliseconds: a restart finds what
 * was recorded, and the purge sees that the upload is alive. A fast one ends before that is due. */
static const uint64_t record_bytes = 256u << 20;
static const uint64_t record_ms = 1000;

/* The row learns of what is staged so far, which is made durable first. Only for PATCH: the stage
 * of a PUT is worth nothing before its end. */
static int record(struct holding *h, struct error *err)
{
    struct registry *reg = registry_of(h->r);
    uint64_t offset = upload_offset(h->up);
    if (upload_sync(h->up, err) ||
        meta_upload_save(reg->c.meta, upload_repo(h->up), upload_id(h->up), offset, true,
                         SLICE_NONE, err)) {
        h->broken = true;
        return -1;
    }
    upload_saved(h->up);
    h->recorded = offset;
    h->recorded_ms = os_mono_ms();
    return 0;
}

static int sink_write(struct request *r, const char *p, size_t n, struct error *err)
{
    struct holding *h = r->state;
    bool staged = upload_staged(h->up);
    if (upload_append(h->up, p, n, err)) {
        /* A full disk gets back what this request has filled. */
        h->failed = true;
        upload_rewind(h->up, h->start);
        h->broken = upload_cut(h->up, NULL) != 0;
        return -1;
    }
    if (h->atomic || !upload_staged(h->up))
        return 0;
    bool due = !staged || upload_offset(h->up) - h->recorded >= record_bytes ||
               os_mono_ms() - h->recorded_ms >= record_ms;
    return due ? record(h, err) : 0;
}

const struct sink upload_sink = {.pool = POOL_IO, .write = sink_write};

/* What fits the database is written by one step at its end; a stage is synced first. */
enum step holding_read(struct holding *h, step_fn then)
{
    struct request *r = h->r;
    int64_t length = request_length(r);
    bool small = length >= 0 && !upload_staged(h->up) &&
                 upload_offset(h->up) + (uint64_t)length <= META_INLINE_MAX;
    h->pool = small ? POOL_WRITE : POOL_IO;
    if (length > 0)
        upload_expect(h->up, (uint64_t)length);
    return request_body(r, &upload_sink, h->pool, then);
}

void resp_session(struct request *r, struct slice id, uint64_t offset)
{
    /* _state tells a replayed request from the next one: see holding_check_range(). */
    resp_location(r, "/v2/%.*s/blobs/uploads/%.*s?_state=%" PRIu64, SLICE_ARG(req_repo(r)),
                  SLICE_ARG(id), offset);
    response_field(r, "Docker-Upload-UUID", "%.*s", SLICE_ARG(id));
    /* docker reads this with "%d-%d" and takes an end before the start for an error: 0-0 when
     * nothing is there. */
    response_field(r, "Range", "0-%" PRIu64, offset ? offset - 1 : 0);
}

enum step resp_range_invalid(struct request *r, const struct error *err, struct slice id,
                             uint64_t offset)
{
    response_error(r, err);
    resp_session(r, id, offset);
    return STEP_DONE;
}

enum step resp_blob_created(struct request *r, const struct digest *d)
{
    response_status(r, 201);
    resp_location(r, "/v2/%.*s/blobs/%s", SLICE_ARG(req_repo(r)), d->text);
    response_field(r, "Docker-Content-Digest", "%s", d->text);
    return STEP_DONE;
}

static enum hold_result say_unknown(struct request *r, struct error *err)
{
    if (err->code == ERR_BLOB_UPLOAD_UNKNOWN)
        error_detail(err, ERR_BLOB_UPLOAD_UNKNOWN,
                     "repository %.*s has no upload %.*s: it is finished, was cancelled or has "
                     "expired; start one with POST",
                     SLICE_ARG(req_repo(r)), SLICE_ARG(r->param[1]));
    return HOLD_FAILED;
}

static bool same_row(const struct meta_upload *a, const struct meta_upload *b)
{
    return a->state == b->state && a->offset == b->offset && a->staged == b->staged &&
           slice_eq(a->bytes, b->bytes);
}

/* The session of the row becomes ours: *got is UPLOAD_ACQUIRED, UPLOAD_BUSY, or UPLOAD_ABSENT when
 * the row was changed by another request between our reading it and our taking the session (then
 * nothing is held, and the caller tries again). */
static enum hold_result adopt(struct holding *h, enum upload_acquire *got, struct error *err)
{
    struct request *r = h->r;
    struct registry *reg = registry_of(r);
    struct slice id = r->param[1];
    struct meta_upload row = {0};
    struct meta_upload again = {0};
    if (meta_upload_get(reg->c.meta, req_repo(r), id, r->arena, &row, err))
        return say_unknown(r, err);
    if (row.state == UPLOAD_DONE) {
        h->digest = row.digest;
        return HOLD_DONE;
    }
    if (upload_adopt(reg->c.uploads, req_repo(r), id, row.alg, row.staged, row.offset, row.bytes,
                     &h->up, got, err))
        return HOLD_FAILED;
    if (*got != UPLOAD_ACQUIRED) {
        h->up = NULL;
        return HOLD_OK;
    }
    /* From here on nobody else writes to the session, so the row can be trusted if it is still the
     * one that was adopted. */
    if (meta_upload_get(reg->c.meta, req_repo(r), id, r->arena, &again, err)) {
        upload_forget(STEAL(h->up));
        return say_unknown(r, err);
    }
    if (!same_row(&row, &again)) {
        upload_forget(STEAL(h->up));
        *got = UPLOAD_ABSENT;
    }
    return HOLD_OK;
}

enum hold_result holding_take(struct holding *h, struct error *err)
{
    struct request *r = h->r;
    struct registry *reg = registry_of(r);
    struct slice id = r->param[1];
    enum upload_acquire got = UPLOAD_ABSENT;
    if (!upload_id_valid(id))
        return error_detail(err, ERR_BLOB_UPLOAD_UNKNOWN,
                            "there is no upload of this id: start one with POST");
    for (int tries = 0; tries < 3 && got == UPLOAD_ABSENT; tries++) {
        got = upload_acquire(reg->c.uploads, req_repo(r), id, &h->up);
        if (got == UPLOAD_ABSENT) {
            enum hold_result result = adopt(h, &got, err);
            if (result != HOLD_OK)
                return result;
        }
    }
    if (got != UPLOAD_ACQUIRED) {
        h->up = NULL;
        return error_detail(err, ERR_CONFLICT,
                            "another request is writing to this upload: wait for it, ask for its "
                            "state with GET, and go on from there");
    }
    h->has_row = true;
    h->start = upload_offset(h->up);
    h->start_saved = upload_is_saved(h->up);
    return HOLD_OK;
}

static int say_finished(const struct holding *h, struct error *err)
{
    return error_detail(err, ERR_BLOB_UPLOAD_UNKNOWN, "this upload is finished, it became %s",
                        h->digest.text);
}

/* As holding_take, for requests that a finished upload has no use for. */
static int take_open(struct holding *h, struct error *err)
{
    enum hold_result got = holding_take(h, err);
    return got == HOLD_DONE ? say_finished(h, err) : (int)got;
}

int holding_check_range(struct holding *h, struct error *err)
{
    struct request *r = h->r;
    uint64_t offset = upload_offset(h->up);
    int64_t length = request_length(r);
    struct slice range = request_field(r, "Content-Range");
    struct slice state;
    uint64_t stated = 0;
    if (range.p) {
        if (http_upload_range(range, &h->first, &h->last, err))
            return -1;
        h->has_range = true;
        /* Only the start is binding while a length is announced: old clients sent an exclusive end,
         * and an empty closing PUT of `N-N` (oci.md 7.1). */
        if (h->first != offset)
            return error_detail(err, ERR_RANGE_INVALID,
                                "the range begins at %" PRIu64 ", the upload stands at %" PRIu64
                                ": send the bytes from there on",
                                h->first, offset);
        uint64_t announced = h->last - h->first + 1;
        if (length > 0 && (uint64_t)length != announced && (uint64_t)length + 1 != announced)
            return error_detail(err, ERR_SIZE_INVALID,
                                "Content-Range names %" PRIu64 " bytes, Content-Length %" PRId64,
                                announced, length);
        return 0;
    }
    bool bad = false;
    if (request_query(r, "_state", &state, &bad)) {
        if (parse_u63(state, &stated) || stated != offset)
            return error_detail(
                err, ERR_RANGE_INVALID,
                "this Location is of an earlier state, the upload stands at %" PRIu64
                ": use the Location of the last answer, or of GET on the upload",
                offset);
        return 0;
    }
    if (offset > 0)
        return error_detail(err, ERR_RANGE_INVALID,
                            "the upload stands at %" PRIu64
                            ": say where these bytes belong, with Content-Range or with the whole "
                            "Location of the last answer",
                            offset);
    return 0;
}

/* --- POST --- */

/* True when the answer (201 of a mount) was given. A mount that cannot be done is an ordinary
 * upload, whatever the reason: nobody learns what exists elsewhere. */
static bool try_mount(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct slice text;
    struct slice from = SLICE_NONE;
    struct digest d;
    if (!request_query(r, "mount", &text, NULL) || digest_parse(text, &d, NULL))
        return false;
    bool bad = false;
    bool named = request_query(r, "from", &from, &bad);
    if (bad || (named && oci_name_check(from, NULL)))
        return false;
    if (!named)
        from = SLICE_NONE;
    struct principal who = req_principal(r);
    if (!named && who.limited)
        return false; /* it would be read from a repository that the token may not name */
    if (policy_decide(&live_of(r)->policy, &who, ACTION_PULL, from, NULL))
        return false;
    struct meta_event *event = event_new(r, "mount");
    event_blob(r, event, &d, 0);
    if (event)
        event->from_repo = from;
    if (meta_blob_mount(reg->c.meta, from, req_repo(r), &d, event, NULL))
        return false;
    event_changed(r, event);
    (void)resp_blob_created(r, &d);
    return true;
}

static enum step start_session(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    char id[UPLOAD_ID_LEN + 1];
    struct slice alg_name;
    enum hash_alg alg = HASH_SHA256;
    if (request_query(r, "digest-algorithm", &alg_name, NULL)) {
        if (slice_is(alg_name, "sha512")) {
            alg = HASH_SHA512;
        } else if (!slice_is(alg_name, "sha256")) {
            error_detail(&err, ERR_DIGEST_INVALID,
                         "digest-algorithm %.*s is not supported: use sha256 or sha512",
                         SLICE_ARG(slice_first(alg_name, 40)));
            return step_error(r, &err);
        }
    }
    upload_id_make(id);
    int injected = fault_point("upload.row");
    if (injected) {
        error_sys(&err, injected, "make the upload's row");
        return step_error(r, &err);
    }
    if (meta_upload_create(reg->c.meta, req_repo(r), slice_cstr(id), alg, &err))
        return step_error(r, &err);
    response_status(r, 202);
    resp_session(r, slice_cstr(id), 0);
    return STEP_DONE;
}

static enum step start_single(struct request *r, const struct digest *d)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    struct holding *h = holding_new(r);
    enum upload_acquire got;
    char id[UPLOAD_ID_LEN + 1];
    int64_t length = request_length(r);
    h->digest = *d;
    h->single = h->atomic = true;
    upload_id_make(id);
    /* What fits the database needs no row of its own: nothing is left of it when it breaks off. */
    h->has_row = length < 0 || length > META_INLINE_MAX;
    if (h->has_row && meta_upload_create(reg->c.meta, req_repo(r), slice_cstr(id), d->alg, &err))
        return step_error(r, &err);
    if (upload_adopt(reg->c.uploads, req_repo(r), slice_cstr(id), d->alg, false, 0, SLICE_NONE,
                     &h->up, &got, &err))
        return step_error(r, &err);
    CHECK(got == UPLOAD_ACQUIRED);
    return holding_read(h, push_finish);
}

enum step upload_start(struct request *r)
{
    struct error err = {0};
    struct slice text;
    struct digest d;
    bool bad = false;
    if (try_mount(r))
        return STEP_DONE;
    if (!request_query(r, "digest", &text, &bad)) {
        if (!bad)
            return start_session(r);
        error_detail(&err, ERR_DIGEST_INVALID,
                     "the digest in the query is not validly percent-encoded");
        return step_error(r, &err);
    }
    if (digest_parse(text, &d, &err))
        return step_error(r, &err);
    /* Without a body this is either the empty blob, or a client that will send it with PUT. */
    struct digest empty;
    digest_of(d.alg, SLICE_LIT(""), &empty);
    if (!request_has_body(r) && !digest_eq(&d, &empty))
        return start_session(r);
    return start_single(r, &d);
}

/* --- PATCH --- */

static enum step patch_save(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct holding *h = r->state;
    struct error err = {0};
    uint64_t offset = upload_offset(h->up);
    bool staged = upload_staged(h->up);
    int injected = fault_point("upload.offset");
    if (injected) {
        error_sys(&err, injected, "record the upload's offset");
        return step_error(r, &err);
    }
    if (meta_upload_save(reg->c.meta, req_repo(r), upload_id(h->up), offset, staged,
                         staged ? SLICE_NONE : upload_bytes(h->up), &err)) {
        if (err.code == ERR_BLOB_UPLOAD_UNKNOWN)
            (void)holding_discard(h, NULL);
        return step_error(r, &err);
    }
    upload_saved(h->up);
    h->settled = true;
    response_status(r, 202);
    resp_session(r, upload_id(h->up), offset);
    return STEP_DONE;
}

static enum step patch_done(struct request *r)
{
    struct holding *h = r->state;
    struct error err = {0};
    if (h->has_range) {
        uint64_t announced = h->last - h->first + 1;
        if (r->body_received != announced && r->body_received + 1 != announced) {
            error_detail(&err, ERR_SIZE_INVALID,
                         "Content-Range names %" PRIu64 " bytes, the body had %" PRIu64, announced,
                         r->body_received);
            return step_error(r, &err);
        }
    }
    if (!upload_staged(h->up))
        return h->pool == POOL_WRITE ? patch_save(r) : request_next(r, POOL_WRITE, patch_save);
    /* What is answered 202 survives a power cut: the client will not send it again. */
    if (upload_sync(h->up, &err)) {
        (void)holding_discard(h, NULL);
        return step_error(r, &err);
    }
    return request_next(r, POOL_WRITE, patch_save);
}

enum step upload_patch(struct request *r)
{
    struct error err = {0};
    struct holding *h = holding_new(r);
    if (take_open(h, &err))
        return step_error(r, &err);
    if (holding_check_range(h, &err))
        return err.code == ERR_RANGE_INVALID
                   ? resp_range_invalid(r, &err, upload_id(h->up), upload_offset(h->up))
                   : step_error(r, &err);
    h->recorded = upload_offset(h->up);
    h->recorded_ms = os_mono_ms();
    return holding_read(h, patch_done);
}

/* --- PUT --- */

static bool is_there(struct request *r, const struct digest *d)
{
    struct meta_blob blob = {0};
    return meta_blob_get(registry_of(r)->c.meta, req_repo(r), d, false, &blob, NULL) == 0;
}

enum step upload_put(struct request *r)
{
    struct error err = {0};
    struct holding *h = holding_new(r);
    struct slice text;
    struct digest d;
    bool bad = false;
    if (!request_query(r, "digest", &text, &bad)) {
        error_detail(&err, ERR_DIGEST_INVALID,
                     bad ? "the digest in the query is not validly percent-encoded"
                         : "digest missing: close an upload with PUT <location>&digest=<digest>");
        return step_error(r, &err);
    }
    if (digest_parse(text, &d, &err))
        return step_error(r, &err);
    switch (holding_take(h, &err)) {
    case HOLD_FAILED:
        return step_error(r, &err);
    case HOLD_DONE:
        /* The answer to the first PUT was lost: the same one again, if it is still true. */
        if (digest_eq(&h->digest, &d) && is_there(r, &d))
            return resp_blob_created(r, &d);
        (void)say_finished(h, &err);
        return step_error(r, &err);
    case HOLD_OK:
        break;
    }
    h->digest = d;
    h->atomic = true;
    bool ranged = request_field(r, "Content-Range").p != NULL;
    if ((request_has_body(r) || ranged) && holding_check_range(h, &err))
        return err.code == ERR_RANGE_INVALID
                   ? resp_range_invalid(r, &err, upload_id(h->up), upload_offset(h->up))
                   : step_error(r, &err);
    return holding_read(h, push_finish);
}

/* --- GET and DELETE of a session --- */

static enum step say_status(struct request *r, uint64_t offset)
{
    response_status(r, 204);
    resp_session(r, r->param[1], offset);
    return STEP_DONE;
}

static enum step status_save(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct holding *h = r->state;
    struct error err = {0};
    bool staged = upload_staged(h->up);
    uint64_t offset = upload_offset(h->up);
    if (meta_upload_save(reg->c.meta, req_repo(r), upload_id(h->up), offset, staged,
                         staged ? SLICE_NONE : upload_bytes(h->up), &err))
        return step_error(r, &err);
    upload_saved(h->up);
    return say_status(r, offset);
}

static enum step status_sync(struct request *r)
{
    struct holding *h = r->state;
    struct error err = {0};
    if (upload_sync(h->up, &err)) {
        h->broken = true;
        return step_error(r, &err);
    }
    return request_next(r, POOL_WRITE, status_save);
}

enum step upload_status(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    struct holding *h = holding_new(r);
    struct meta_upload row = {0};
    h->settled = true;
    if (take_open(h, &err) == 0) {
        /* The client will not send again what it is told of: bytes of a request that broke off are
         * made durable first. */
        if (upload_is_saved(h->up))
            return say_status(r, upload_offset(h->up));
        return request_next(r, upload_staged(h->up) ? POOL_IO : POOL_WRITE,
                            upload_staged(h->up) ? status_sync : status_save);
    }
    /* Being written to right now: what was acknowledged last is what the client may rely on. */
    if (err.code != ERR_CONFLICT ||
        meta_upload_get(reg->c.meta, req_repo(r), r->param[1], r->arena, &row, &err))
        return step_error(r, &err);
    return say_status(r, row.offset);
}

enum step upload_cancel(struct request *r)
{
    struct error err = {0};
    struct holding *h = holding_new(r);
    if (take_open(h, &err))
        return step_error(r, &err);
    if (holding_discard(h, &err))
        return step_error(r, &err);
    response_status(r, 204);
    response_field(r, "Docker-Upload-UUID", "%.*s", SLICE_ARG(r->param[1]));
    return STEP_DONE;
}
