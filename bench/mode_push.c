/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes blobs the ways clients do: "patch" is Docker's (POST, one PATCH streamed in chunks, PUT
 * without a body), "put" is containerd's and buildkit's (POST, PUT with the body). The Location of
 * each answer is followed. Digests are ready before the request that begins the operation. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/util.h"
#include "content.h"

#include "base/banned.h"

enum { HEAD_MAX = 8192 };
enum stage { STAGE_POST, STAGE_PATCH, STAGE_PUT };

struct pusher {
    enum stage stage;
    struct buf head;
    char tail[CONTENT_TAIL];
    char digest[CONTENT_DIGEST + 1];
};

struct push {
    const struct load_options *o;
    bool patch;
    struct content *content;
    struct pusher *pushers;
    FILE *digests;
};

static void put_body(struct push *p, struct pusher *u, struct exchange *x)
{
    x->part[0] = content_base(p->content);
    x->part[1] = slice_make(u->tail, sizeof u->tail);
}

static enum step begin(struct push *p, struct pusher *u, struct exchange *x)
{
    content_next(p->content, u->tail, u->digest);
    u->stage = STAGE_POST;
    buf_clear(&u->head);
    (void)buf_printf(&u->head,
                     "POST /v2/%s/blobs/uploads/ HTTP/1.1\r\nHost: %s\r\n"
                     "User-Agent: berth-load\r\nContent-Length: 0\r\n\r\n",
                     p->o->repo, p->o->host);
    x->head = buf_view(&u->head);
    return STEP_SEND;
}

/* The request after POST or PATCH, to the place that the answer names. */
static enum step go_on(struct push *p, struct pusher *u, const struct response *r,
                       struct exchange *x, struct error *err)
{
    struct slice to = load_target(r->location);
    if (to.n == 0) {
        error_set(err, ERR_UNKNOWN, "an answer to an upload without Location");
        return STEP_FAIL;
    }
    bool patch = u->stage == STAGE_PATCH;
    buf_clear(&u->head);
    (void)buf_printf(&u->head, "%s %.*s", patch ? "PATCH" : "PUT", SLICE_ARG(to));
    if (!patch)
        (void)buf_printf(&u->head, "%cdigest=sha256%%3A%s", memchr(to.p, '?', to.n) ? '&' : '?',
                         u->digest + 7);
    (void)buf_printf(&u->head, " HTTP/1.1\r\nHost: %s\r\nUser-Agent: berth-load\r\n", p->o->host);
    if (patch)
        (void)buf_puts(&u->head, "Transfer-Encoding: chunked\r\n\r\n");
    else if (p->patch)
        (void)buf_puts(&u->head, "Content-Length: 0\r\n\r\n");
    else
        (void)buf_printf(&u->head,
                         "Content-Type: application/octet-stream\r\nContent-Length: %llu\r\n\r\n",
                         (unsigned long long)p->o->size);
    if (u->head.failed) {
        error_set(err, ERR_UNKNOWN, "the Location is too long");
        return STEP_FAIL;
    }
    x->head = buf_view(&u->head);
    x->chunk = patch ? p->o->chunk : 0;
    if (patch || !p->patch)
        put_body(p, u, x);
    return STEP_SEND;
}

static enum step finish(struct push *p, struct pusher *u, const struct response *r,
                        struct error *err)
{
    if (load_expect(r, 201, "PUT of a blob", err) < 0)
        return STEP_FAIL;
    if (!slice_is(r->digest, u->digest)) {
        error_set(err, ERR_UNKNOWN, "PUT answered digest %.*s", SLICE_ARG(r->digest));
        return STEP_FAIL;
    }
    if (p->digests)
        fprintf(p->digests, "/v2/%s/blobs/%s %llu %s\n", p->o->repo, u->digest,
                (unsigned long long)p->o->size, u->digest);
    return STEP_DONE;
}

static enum step push_step(void *self, unsigned slot, const struct response *r, struct exchange *x,
                           struct error *err)
{
    struct push *p = self;
    struct pusher *u = &p->pushers[slot];
    if (!r)
        return begin(p, u, x);
    if (u->stage == STAGE_PUT)
        return finish(p, u, r, err);
    if (load_expect(r, 202, u->stage == STAGE_POST ? "POST" : "PATCH", err) < 0)
        return STEP_FAIL;
    u->stage = u->stage == STAGE_POST && p->patch ? STAGE_PATCH : STAGE_PUT;
    return go_on(p, u, r, x, err);
}

static uint64_t hashed(const void *arg)
{
    const struct push *p = arg;
    return content_spent(p->content);
}

int mode_push(const struct load_options *o, struct error *err)
{
    if (!o->repo || o->size < CONTENT_TAIL || o->chunk == 0)
        return error_set(err, ERR_UNKNOWN, "push needs --repo and --size of at least %d",
                         CONTENT_TAIL);
    struct push p = {.o = o, .patch = o->style && strcmp(o->style, "patch") == 0};
    if (o->digests && !(p.digests = fopen(o->digests, "we")))
        return error_sys(err, errno, "open %s", o->digests);
    p.content = content_new(o->size);
    p.pushers = xcalloc(o->client.conns, sizeof *p.pushers);
    for (unsigned i = 0; i < o->client.conns; i++)
        buf_init(&p.pushers[i].head, HEAD_MAX);
    struct scenario s = {push_step, NULL, &p};
    int rc = load_run(o, &s, hashed, &p, err);
    for (unsigned i = 0; i < o->client.conns; i++)
        buf_release(&p.pushers[i].head);
    free(p.pushers);
    content_free(p.content);
    if (p.digests && fclose(p.digests) != 0 && rc == 0)
        rc = error_sys(err, errno, "write %s", o->digests);
    return rc;
}
