/* SPDX-License-Identifier: Apache-2.0 */
/* PUTs manifests by tag. Each has content of its own: @NONCE@ in the template becomes a number that
 * was never used before. The tags TAG00000, TAG00001, ... come round after --tags of them. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/util.h"

#include "base/banned.h"

enum { TEMPLATE_MAX = 64 * 1024, HEAD_MAX = 2048 };

struct putter {
    struct buf head;
    struct buf body;
    char digest[7 + HASH_HEX_MAX + 1];
};

struct manifest {
    const struct load_options *o;
    char *text; /* the template, NUL-terminated */
    struct slice before, after;
    uint64_t run;
    uint64_t serial;
    uint64_t spent;
    struct putter *putters;
};

static int load_template(struct manifest *m, struct error *err)
{
    static const char mark[] = "@NONCE@";
    FILE *f = fopen(m->o->template, "re");
    if (!f)
        return error_sys(err, errno, "open %s", m->o->template);
    m->text = xcalloc(1, TEMPLATE_MAX);
    size_t n = fread(m->text, 1, TEMPLATE_MAX - 1, f);
    (void)fclose(f);
    const char *at = memmem(m->text, n, mark, sizeof mark - 1);
    if (!at)
        return error_set(err, ERR_UNKNOWN, "no %s in %s", mark, m->o->template);
    m->before = slice_make(m->text, (size_t)(at - m->text));
    m->after = slice_from(slice_make(m->text, n), m->before.n + sizeof mark - 1);
    return 0;
}

static enum step begin(struct manifest *m, struct putter *u, struct exchange *x, struct error *err)
{
    uint64_t serial = m->serial++;
    buf_clear(&u->body);
    (void)buf_slice(&u->body, m->before);
    (void)buf_printf(&u->body, "%016llx%016llx", (unsigned long long)m->run,
                     (unsigned long long)serial);
    (void)buf_slice(&u->body, m->after);
    uint64_t start = client_now();
    memcpy(u->digest, "sha256:", 7);
    hash_hex(HASH_SHA256, u->body.p, u->body.n, u->digest + 7);
    m->spent += client_now() - start;
    buf_clear(&u->head);
    (void)buf_printf(&u->head,
                     "PUT /v2/%s/manifests/%s%05llu HTTP/1.1\r\nHost: %s\r\n"
                     "User-Agent: berth-load\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                     m->o->repo, m->o->tag, (unsigned long long)(serial % m->o->tags), m->o->host,
                     m->o->media_type, u->body.n);
    if (u->head.failed || u->body.failed) {
        error_set(err, ERR_UNKNOWN, "the request is too long");
        return STEP_END;
    }
    x->head = buf_view(&u->head);
    x->part[0] = buf_view(&u->body);
    return STEP_SEND;
}

static enum step manifest_step(void *self, unsigned slot, const struct response *r,
                               struct exchange *x, struct error *err)
{
    struct manifest *m = self;
    struct putter *u = &m->putters[slot];
    if (!r)
        return begin(m, u, x, err);
    if (load_expect(r, 201, "PUT of a manifest", err) < 0)
        return STEP_FAIL;
    if (!slice_is(r->digest, u->digest)) {
        error_set(err, ERR_UNKNOWN, "PUT answered digest %.*s", SLICE_ARG(r->digest));
        return STEP_FAIL;
    }
    return STEP_DONE;
}

static uint64_t hashed(const void *arg)
{
    const struct manifest *m = arg;
    return m->spent;
}

int mode_manifest(const struct load_options *o, struct error *err)
{
    if (!o->repo || !o->template || !o->media_type || !o->tag || o->tags == 0)
        return error_set(err, ERR_UNKNOWN,
                         "manifest needs --repo, --template, --type, --tag and --tags");
    struct manifest m = {.o = o};
    CHECK(getrandom(&m.run, sizeof m.run, 0) == (ssize_t)sizeof m.run);
    m.putters = xcalloc(o->client.conns, sizeof *m.putters);
    for (unsigned i = 0; i < o->client.conns; i++) {
        buf_init(&m.putters[i].head, HEAD_MAX);
        buf_init(&m.putters[i].body, TEMPLATE_MAX + 64);
    }
    struct scenario s = {manifest_step, NULL, &m};
    int rc = load_template(&m, err);
    if (rc == 0)
        rc = load_run(o, &s, hashed, &m, err);
    for (unsigned i = 0; i < o->client.conns; i++) {
        buf_release(&m.putters[i].head);
        buf_release(&m.putters[i].body);
    }
    free(m.putters);
    free(m.text);
    return rc;
}
