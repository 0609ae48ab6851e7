/* SPDX-License-Identifier: Apache-2.0 */
/* What the upload handlers share: the session that a request holds, and its end. */
#ifndef REGISTRY_UPLOAD_INT_H
#define REGISTRY_UPLOAD_INT_H

#include "registry/registry_int.h"

/* Lives in the request's arena; gives the session back when the request ends, however it ends. */
struct holding {
    struct request *r;
    struct upload *up; /* NULL: not held (any more) */
    uint64_t start;    /* offset when this request began to write */
    bool start_saved;  /* the row had all of that */
    bool has_row;      /* the upload is known to meta */
    bool single; /* POST with ?digest=: the client does not know the session, so an end without
                    success leaves nothing */
    bool atomic; /* a body that breaks off leaves the session as it was (PUT); otherwise what came
                    is kept (PATCH) */
    enum pool_id pool;    /* where the step after the body runs */
    bool settled;         /* what is in the session now is acknowledged, or may be kept */
    bool failed;          /* a write failed */
    bool broken;          /* the session is not to be used any more; its row has what counts */
    uint64_t recorded;    /* PATCH: offset that the row has */
    uint64_t recorded_ms; /* when it was told, monotonic */
    bool has_range;       /* Content-Range first..last was given */
    uint64_t first, last; /* inclusive */
    struct digest digest; /* wanted by PUT or POST */
};

enum hold_result { HOLD_FAILED = -1, HOLD_OK = 0, HOLD_DONE = 1 };

/* A holding that is released with the request; also r->state. */
struct holding *holding_new(struct request *r);
/* Takes the session that the path names: HOLD_OK; HOLD_DONE when it is finished (h->digest says
 * what it became); HOLD_FAILED with err (BLOB_UPLOAD_UNKNOWN, CONFLICT while another request
 * writes). */
enum hold_result holding_take(struct holding *h, struct error *err);
/* Is the body the one that comes next? By Content-Range, or else by the _state of the Location that
 * the client used. 0; -1 with RANGE_INVALID or SIZE_INVALID. */
int holding_check_range(struct holding *h, struct error *err);
/* Ends the session: removes its row and its stage, and forgets it. Blocks. -1 when the row could
 * not be removed: then the session is still held. */
int holding_discard(struct holding *h, struct error *err);
/* The step after the last byte of a PUT or single POST: hash what is left, compare, commit, answer
 * 201. */
enum step push_finish(struct request *r);
/* Sink of all upload bodies. */
extern const struct sink upload_sink;
/* Reads the request's body into the session, then goes on with `then`, in h->pool. */
enum step holding_read(struct holding *h, step_fn then);

/* Location, Docker-Upload-UUID, Range of a session at this offset. */
void resp_session(struct request *r, struct slice id, uint64_t offset);
/* 416 with the session's true range, so that the client can go on from there. */
enum step resp_range_invalid(struct request *r, const struct error *err, struct slice id,
                             uint64_t offset);
/* 201 of a blob. */
enum step resp_blob_created(struct request *r, const struct digest *d);

#endif
