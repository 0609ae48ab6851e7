/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a push: hash, compare, commit (DESIGN.md part 5, steps 3 to 8), and what becomes of a
 * session whose request ends early. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/util.h"
#include "os/fault.h"
#include "os/pool.h"
#include "registry/events.h"
#include "registry/upload_int.h"

#include "base/banned.h"

/* One turn of a worker: at 1.5 GB/s a few tens of milliseconds. */
static const uint64_t hash_turn_bytes = 32u << 20;

/* A session that nobody can find again, to be cleared away by a worker: the request that held it
 * has ended on the loop. */
struct clearing {
    struct task task;
    struct registry *reg;
    struct upload *up;
    bool has_row;
};

/* The row, the stage, and the session last: until then nobody else can take it. Failures leave what
 * the purge or recovery finds: a row that goes stale, or a stage without a row. */
static void clear_session(struct registry *reg, struct upload *up, bool has_row)
{
    if (has_row)
        (void)meta_upload_delete(reg->c.meta, upload_repo(up), upload_id(up), NULL);
    if (upload_staged(up))
        (void)stage_remove(reg->c.store, upload_id(up), NULL);
    upload_forget(up);
}

static void clearing_run(struct task *t)
{
    struct clearing *c = CONTAINER_OF(t, struct clearing, task);
    clear_session(c->reg, c->up, c->has_row);
    free(c);
}

/* What came of a PATCH whose client left is kept, so that it can go on from there. Everything else
 * that ends without success leaves the session as it was, so that the request can be repeated. */
static bool leaves_nothing(const struct holding *h)
{
    return !h->settled && (h->atomic || h->failed || !h->r->incomplete);
}

static void holding_release(void *arg)
{
    struct holding *h = arg;
    struct registry *reg = registry_of(h->r);
    if (!h->up)
        return;
    if (h->single) {
        struct clearing *c = xcalloc(1, sizeof *c);
        *c = (struct clearing){
            .task.fn = clearing_run, .reg = reg, .up = h->up, .has_row = h->has_row};
        pool_post_always(reg->c.io, &c->task);
    } else if (h->broken) {
        upload_forget(h->up); /* the next request adopts what the row has */
    } else {
        if (leaves_nothing(h)) {
            upload_rewind(h->up, h->start);
            /* So that GET need not write, on a full disk for one, what the row says already. */
            if (h->start_saved && h->recorded <= h->start)
                upload_saved(h->up);
        }
        upload_release(h->up);
    }
    h->up = NULL;
}

/* Before the answer is sent: a client that has it may use the session again at once, on another
 * connection even. */
static void release_before_answer(struct request *r)
{
    holding_release(r->state);
}

struct holding *holding_new(struct request *r)
{
    struct holding *h = ARENA_NEW(r->arena, struct holding);
    h->r = r;
    r->state = h;
    r->on_loop = release_before_answer;
    arena_on_free(r->arena, holding_release, h);
    return h;
}

int holding_discard(struct holding *h, struct error *err)
{
    struct registry *reg = registry_of(h->r);
    struct error why = {0};
    if (h->has_row && meta_upload_delete(reg->c.meta, upload_repo(h->up), upload_id(h->up), &why) &&
        why.code != ERR_BLOB_UPLOAD_UNKNOWN) {
        h->broken = true;
        if (err)
            *err = why;
        return -1;
    }
    clear_session(reg, STEAL(h->up), false);
    return 0;
}

static int injected(const char *point, struct error *err)
{
    int sys = fault_point(point);
    return sys ? error_sys(err, sys, "%s", point) : 0;
}

/* Is there nothing to store? A live row whose file is lost or has another size is damage, and the
 * good bytes are at hand. */
static bool is_stored(struct registry *reg, const struct digest *d, uint64_t size,
                      const struct meta_pend *row)
{
    uint64_t there = 0;
    if (!row->live || row->is_inline)
        return row->live;
    return store_stat(reg->c.store, d, &there, NULL) == 0 && there == size;
}

/* Steps 5 to 7 for a blob that is a file. The stage is synced. */
static int commit_file(struct registry *reg, struct holding *h, const struct meta_event *event,
                       struct error *err)
{
    struct slice repo = upload_repo(h->up);
    struct slice id = upload_id(h->up);
    uint64_t size = upload_offset(h->up);
    struct meta_pend row = {0};
    if (injected("push.pending", err) || meta_blob_pend(reg->c.meta, &h->digest, size, &row, err) ||
        injected("push.pended", err))
        return -1;
    if (!is_stored(reg, &h->digest, size, &row) &&
        store_publish(reg->c.store, id, &h->digest, size, err))
        return -1;
    if (injected("push.linked", err) || meta_blob_commit(reg->c.meta, repo, &h->digest, size, NULL,
                                                         h->has_row ? id : SLICE_NONE, event, err))
        return -1;
    (void)fault_point("push.live");
    return 0;
}

static int commit_inline(struct registry *reg, struct holding *h, const struct meta_event *event,
                         struct error *err)
{
    struct slice bytes = upload_bytes(h->up);
    if (!bytes.p)
        bytes = SLICE_LIT("");
    return meta_blob_commit(reg->c.meta, upload_repo(h->up), &h->digest, bytes.n, &bytes,
                            h->has_row ? upload_id(h->up) : SLICE_NONE, event, err);
}

static enum step push_commit(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct holding *h = r->state;
    struct error err = {0};
    bool staged = upload_staged(h->up);
    struct meta_event *event = event_new(r, "push");
    event_blob(r, event, &h->digest, upload_offset(h->up));
    if (staged ? commit_file(reg, h, event, &err) : commit_inline(reg, h, event, &err)) {
        /* The session stays, so that the PUT can be repeated; unless it was cancelled or purged
         * meanwhile. */
        if (err.code == ERR_BLOB_UPLOAD_UNKNOWN)
            (void)holding_discard(h, NULL);
        return step_error(r, &err);
    }
    event_changed(r, event);
    h->has_row = false; /* it is a tombstone now, which stays */
    (void)holding_discard(h, NULL);
    (void)fault_point("push.done");
    return resp_blob_created(r, &h->digest);
}

static enum step push_sync(struct request *r)
{
    struct holding *h = r->state;
    struct error err = {0};
    if (upload_sync(h->up, &err)) {
        /* What the kernel could not write is given up: its pages may be marked clean although they
         * are lost. */
        (void)holding_discard(h, NULL);
        return step_error(r, &err);
    }
    return request_next(r, POOL_WRITE, push_commit);
}

enum step push_finish(struct request *r)
{
    struct holding *h = r->state;
    struct error err = {0};
    bool done = false;
    struct digest got;
    if (upload_hash(h->up, h->digest.alg, hash_turn_bytes, &done, &err))
        return step_error(r, &err);
    if (!done)
        return request_next(r, POOL_IO, push_finish);
    if (upload_digest(h->up, &got)) {
        error_set(&err, ERR_UNKNOWN, "the upload has no digest");
        return step_error(r, &err);
    }
    if (!digest_eq(&got, &h->digest)) {
        error_detail(&err, ERR_DIGEST_INVALID,
                     "%" PRIu64
                     " bytes came, their digest is %s, not %s: nothing was kept, upload it again",
                     upload_offset(h->up), got.text, h->digest.text);
        (void)holding_discard(h, NULL);
        return step_error(r, &err);
    }
    if (upload_staged(h->up))
        return push_sync(r);
    return h->pool == POOL_WRITE ? push_commit(r) : request_next(r, POOL_WRITE, push_commit);
}
