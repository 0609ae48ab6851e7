/* SPDX-License-Identifier: Apache-2.0 */
/* GET or HEAD of a list of paths, round robin. The list has a line per path: PATH LENGTH DIGEST,
 * where
 * "-" stands for unknown. With --follow an operation walks all pages of a listing by its Link
 * fields, so that a server that caps its pages is compared by the whole listing. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/util.h"

#include "base/banned.h"

enum { HEAD_MAX = 4096, LIST_MAX = 64 << 20 };

struct path {
    struct slice head; /* the whole request */
    int64_t length;    /* of the body, or -1 */
    struct slice digest;
};

struct reader {
    const struct path *path;
    struct hasher *hasher;
    struct buf page; /* the request for a further page */
};

struct get {
    const struct load_options *o;
    struct buf list;  /* the file with the paths */
    struct buf heads; /* the requests, one after the other */
    struct path *paths;
    size_t n;
    size_t next;
    struct reader *readers;
};

static int read_file(const char *path, struct buf *out, struct error *err)
{
    FILE *f = path ? fopen(path, "re") : NULL;
    if (!f)
        return error_sys(err, path ? errno : EINVAL, "--paths");
    for (;;) {
        if (buf_reserve(out, 65536) < 0)
            break;
        size_t n = fread(out->p + out->n, 1, 65536, f);
        out->n += n;
        if (n == 0)
            break;
    }
    bool bad = ferror(f) || out->failed;
    (void)fclose(f);
    return bad ? error_set(err, ERR_UNKNOWN, "cannot read %s", path) : 0;
}

static int add_head(const struct load_options *o, struct slice target, struct buf *out)
{
    (void)buf_printf(out, "%s %.*s HTTP/1.1\r\nHost: %s\r\n", o->head ? "HEAD" : "GET",
                     SLICE_ARG(target), o->host);
    if (o->accept)
        (void)buf_printf(out, "Accept: %s\r\n", o->accept);
    return buf_puts(out, "User-Agent: berth-load\r\n\r\n");
}

/* Two passes: the requests may move while they are written, their offsets do not. */
static int load_paths(struct get *g, struct error *err)
{
    if (read_file(g->o->paths, &g->list, err) < 0)
        return -1;
    struct slice rest = buf_view(&g->list);
    size_t lines = 0;
    for (size_t i = 0; i < rest.n; i++)
        lines += rest.p[i] == '\n';
    if (lines == 0)
        return error_set(err, ERR_UNKNOWN, "no paths in %s", g->o->paths);
    g->paths = xcalloc(lines, sizeof *g->paths);
    for (g->n = 0; g->n < lines; g->n++) {
        struct slice line = slice_cut(&rest, '\n');
        struct slice target = slice_cut(&line, ' ');
        struct slice length = slice_cut(&line, ' ');
        struct path *p = &g->paths[g->n];
        uint64_t n = 0;
        p->length = parse_u63(length, &n) < 0 ? -1 : (int64_t)n;
        p->digest = slice_starts(line, SLICE_LIT("sha256:")) ? line : SLICE_NONE;
        size_t from = g->heads.n;
        if (add_head(g->o, target, &g->heads) < 0)
            return error_set(err, ERR_UNKNOWN, "too many paths");
        p->head = slice_make(NULL, g->heads.n - from);
    }
    size_t at = 0;
    for (size_t i = 0; i < g->n; i++) {
        g->paths[i].head.p = g->heads.p + at;
        at += g->paths[i].head.n;
    }
    return 0;
}

/* The target of <TARGET>; rel="next", or an empty slice. */
static struct slice next_page(struct slice link)
{
    struct slice rest = link;
    struct slice target = slice_cut(&rest, '>');
    if (!slice_starts(target, SLICE_LIT("<")) || !rest.p || !memmem(rest.p, rest.n, "next", 4))
        return SLICE_NONE;
    return load_target(slice_from(target, 1));
}

static int check_body(const struct get *g, struct reader *rd, const struct response *r,
                      struct error *err)
{
    int64_t got = g->o->head ? r->length : (int64_t)r->body;
    if (rd->path->length >= 0 && got != rd->path->length)
        return error_set(err, ERR_UNKNOWN, "length %lld instead of %lld", (long long)got,
                         (long long)rd->path->length);
    if (!g->o->verify || !rd->path->digest.n)
        return 0;
    char hex[HASH_HEX_MAX + 1];
    hasher_hex(rd->hasher, hex);
    if (!slice_is(slice_from(rd->path->digest, 7), hex))
        return error_set(err, ERR_UNKNOWN, "the body has digest %s", hex);
    return 0;
}

static enum step get_step(void *self, unsigned slot, const struct response *r, struct exchange *x,
                          struct error *err)
{
    struct get *g = self;
    struct reader *rd = &g->readers[slot];
    x->no_body = g->o->head;
    if (!r) {
        rd->path = &g->paths[g->next++ % g->n];
        if (g->o->verify)
            hasher_reset(rd->hasher);
        x->head = rd->path->head;
        return STEP_SEND;
    }
    if (load_expect(r, 200, g->o->head ? "HEAD" : "GET", err) < 0)
        return STEP_FAIL;
    if (g->o->follow) {
        struct slice next = next_page(r->link);
        if (!next.n)
            return STEP_DONE;
        buf_clear(&rd->page);
        if (add_head(g->o, next, &rd->page) < 0) {
            error_set(err, ERR_UNKNOWN, "the Link field is too long");
            return STEP_FAIL;
        }
        x->head = buf_view(&rd->page);
        return STEP_SEND;
    }
    return check_body(g, rd, r, err) < 0 ? STEP_FAIL : STEP_DONE;
}

static void get_body(void *self, unsigned slot, const void *p, size_t n)
{
    struct get *g = self;
    hasher_update(g->readers[slot].hasher, p, n);
}

int mode_get(const struct load_options *o, struct error *err)
{
    struct get g = {.o = o};
    buf_init(&g.list, LIST_MAX);
    buf_init(&g.heads, LIST_MAX);
    g.readers = xcalloc(o->client.conns, sizeof *g.readers);
    for (unsigned i = 0; i < o->client.conns; i++) {
        buf_init(&g.readers[i].page, HEAD_MAX);
        g.readers[i].hasher = o->verify ? hasher_new(HASH_SHA256) : NULL;
    }
    struct scenario s = {get_step, o->verify ? get_body : NULL, &g};
    int rc = load_paths(&g, err);
    if (rc == 0)
        rc = load_run(o, &s, NULL, NULL, err);
    for (unsigned i = 0; i < o->client.conns; i++) {
        buf_release(&g.readers[i].page);
        hasher_free(g.readers[i].hasher);
    }
    free(g.readers);
    free(g.paths);
    buf_release(&g.heads);
    buf_release(&g.list);
    return rc;
}
