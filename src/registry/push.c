/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a push: hash, compare, commit (DESIGN.md part 5, steps 3 to 8), and what becomes of a
 * session whose request ends early. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/util.h"
#include "os/fault.h"
#include "os/pool.h"
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

/* Failures here leave what recovery finds: a stage without a row, or a row that expires. */
static void clear_session(struct registry *reg, struct upload *up, bool has_row)
{
    char *repo = xstrndup(upload_repo(up).p, upload_repo(up).n);
    char *id = xstrndup(upload_id(up).p, upload_id(up).n);
    bool staged = upload_staged(up);
    upload_forget(up);
    if (has_row)
        (void)meta_upload_delete(reg->c.meta, slice_cstr(repo), slice_cstr(id), NULL);
    if (staged)
        (void)stage_remove(reg->c.store, slice_cstr(id), NULL);
    free(repo);
    free(id);
}

static void clearing_run(struct task *t)
{
    struct clearing *c = CONTAINER_OF(t, struct clearing, task);
    clear_session(c->reg, c->up, c->has_row);
    free(c);
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
    } else {
        if (h->r->incomplete && h->atomic)
            upload_rewind(h->up, h->start);
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

void holding_discard(struct holding *h)
{
    clear_session(registry_of(h->r), STEAL(h->up), h->has_row);
}

static int injected(const char *point, struct error *err)
{
    int sys = fault_point(point);
    return sys ? error_sys(err, sys, "%s", point) : 0;
}

/* Steps 5 to 7 for a blob that is a file. The stage is synced. */
static int commit_file(struct registry *reg, struct holding *h, struct error *err)
{
    struct slice repo = upload_repo(h->up);
    struct slice id = upload_id(h->up);
    uint64_t size = upload_offset(h->up);
    bool live = false;
    int64_t epoch = 0;
    if (injected("push.pending", err) ||
        meta_blob_pend(reg->c.meta, &h->digest, size, &live, &epoch, err) ||
        injected("push.pended", err))
        return -1;
    if (!live && store_publish(reg->c.store, id, &h->digest, size, err))
        return -1;
    if (injected("push.linked", err) || meta_blob_commit(reg->c.meta, repo, &h->digest, size, NULL,
                                                         h->has_row ? id : SLICE_NONE, err))
        return -1;
    (void)fault_point("push.live");
    return 0;
}

static int commit_inline(struct registry *reg, struct holding *h, struct error *err)
{
    struct slice bytes = upload_bytes(h->up);
    if (!bytes.p)
        bytes = SLICE_LIT("");
    return meta_blob_commit(reg->c.meta, upload_repo(h->up), &h->digest, bytes.n, &bytes,
                            h->has_row ? upload_id(h->up) : SLICE_NONE, err);
}

static enum step push_commit(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct holding *h = r->state;
    struct error err = {0};
    bool staged = upload_staged(h->up);
    if (staged ? commit_file(reg, h, &err) : commit_inline(reg, h, &err)) {
        /* The session stays, so that the PUT can be repeated; unless it was cancelled or purged
         * meanwhile. */
        if (err.code == ERR_BLOB_UPLOAD_UNKNOWN)
            holding_discard(h);
        return step_error(r, &err);
    }
    h->has_row = false; /* it is a tombstone now, which stays */
    holding_discard(h);
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
        holding_discard(h);
        return step_error(r, &err);
    }
    return request_next(r, POOL_DB, push_commit);
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
        holding_discard(h);
        return step_error(r, &err);
    }
    return upload_staged(h->up) ? push_sync(r) : push_commit(r);
}
