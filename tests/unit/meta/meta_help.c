/* SPDX-License-Identifier: Apache-2.0 */
#include "meta_help.h"

#include <stdio.h>

#include "oci/media_type.h"

#include "base/banned.h"

struct meta *meta_of(void **state)
{
    return ((struct meta_fixture *)*state)->m;
}

struct arena *arena_of(void **state)
{
    return ((struct meta_fixture *)*state)->a;
}

void reopen(void **state)
{
    struct meta_fixture *f = *state;
    meta_close(f->m);
    f->m = f->open(f);
    assert_non_null(f->m);
}

struct slice blob_bytes(struct arena *a, unsigned n)
{
    return slice_cstr(arena_printf(a, "blob %u", n));
}

struct digest blob_digest(unsigned n)
{
    char text[32];
    struct digest d;
    int len = snprintf(text, sizeof text, "blob %u", n);
    digest_of(HASH_SHA256, (struct slice){text, (size_t)len}, &d);
    return d;
}

void push_blob(struct meta *m, struct slice repo, unsigned n)
{
    char text[32];
    int len = snprintf(text, sizeof text, "blob %u", n);
    struct slice bytes = {text, (size_t)len};
    struct digest d = blob_digest(n);
    OK(meta_blob_commit(m, repo, &d, bytes.n, &bytes, SLICE_NONE, NULL, &err));
}

struct image image_make(struct arena *a, unsigned n, enum hash_alg alg)
{
    struct image im = {.m = {.media_type = S(MT_OCI_MANIFEST)}};
    im.body = slice_cstr(arena_printf(a, "{\"manifest\":%u}", n));
    digest_of(alg, im.body, &im.digest);
    return im;
}

void image_edge(struct arena *a, struct image *im, enum edge_kind kind, struct slice digest,
                bool required)
{
    struct edge *more = ARENA_ARRAY(a, struct edge, im->m.n_edges + 1);
    if (im->m.n_edges)
        memcpy(more, im->m.edges, im->m.n_edges * sizeof *more);
    more[im->m.n_edges++] = (struct edge){.kind = kind,
                                          .digest = arena_slice(a, digest),
                                          .media_type = S(MT_OCTETS),
                                          .required = required};
    im->m.edges = more;
}

struct image image_push(struct meta *m, struct arena *a, struct slice repo, unsigned n,
                        const char *tag)
{
    struct image im = image_make(a, n, HASH_SHA256);
    for (unsigned i = 0; i < 2; i++) {
        struct digest d = blob_digest(2 * n + i);
        push_blob(m, repo, 2 * n + i);
        image_edge(a, &im, i ? EDGE_LAYER : EDGE_CONFIG, digest_slice(&d), true);
    }
    put_image(m, a, repo, &im, tag);
    return im;
}

struct meta_manifest_put put_of(struct arena *a, struct slice repo, const struct image *im,
                                const char *tag)
{
    struct slice *tags = ARENA_NEW(a, struct slice);
    if (tag)
        *tags = slice_cstr(tag);
    return (struct meta_manifest_put){.repo = repo,
                                      .digest = im->digest,
                                      .body = im->body,
                                      .manifest = &im->m,
                                      .tags = tags,
                                      .n_tags = tag ? 1 : 0};
}

bool put_image(struct meta *m, struct arena *a, struct slice repo, const struct image *im,
               const char *tag)
{
    struct meta_manifest_put in = put_of(a, repo, im, tag);
    struct meta_manifest_put_result out = {0};
    OK(meta_manifest_put(m, &in, a, &out, &err));
    return out.created;
}

static int check_now(void *arg, const struct digest *current, struct error *err)
{
    struct expect_now *e = arg;
    e->calls++;
    e->had = current != NULL;
    if (current)
        e->current = *current;
    if (current ? e->want && digest_eq(current, e->want) : !e->want)
        return 0;
    return error_set(err, ERR_PRECONDITION, "not what was expected");
}

struct expect_now *expect_now(struct arena *a, const struct digest *want)
{
    struct expect_now *e = ARENA_NEW(a, struct expect_now);
    *e = (struct expect_now){.condition = {.check = check_now, .arg = e}, .want = want};
    return e;
}

struct reference ref_tag(const char *tag)
{
    return (struct reference){.tag = slice_cstr(tag)};
}

struct reference ref_digest(const struct digest *d)
{
    return (struct reference){.is_digest = true, .digest = *d};
}

void assert_is(struct meta *m, struct slice repo, struct reference ref, const struct image *im)
{
    struct meta_manifest got, head;
    OK(meta_manifest_get(m, repo, &ref, true, &got, &err));
    OK(meta_manifest_get(m, repo, &ref, false, &head, &err));
    assert_null(head.bytes);
    assert_true(digest_eq(&got.digest, &im->digest));
    assert_true(digest_eq(&head.digest, &im->digest));
    assert_int_equal(got.size, im->body.n);
    assert_int_equal(head.size, im->body.n);
    assert_true(slice_is(im->m.media_type, got.media_type));
    assert_true(slice_is(im->m.media_type, head.media_type));
    assert_true(slice_eq(shared_view(got.bytes), im->body));
    shared_unref(got.bytes);
}

void assert_unknown(struct meta *m, struct slice repo, struct reference ref)
{
    struct meta_manifest got;
    FAILS(ERR_MANIFEST_UNKNOWN, meta_manifest_get(m, repo, &ref, true, &got, &err));
}

void assert_stats(struct meta *m, uint64_t repositories, uint64_t manifests, uint64_t tags,
                  uint64_t blobs, uint64_t uploads)
{
    struct meta_stats s;
    OK(meta_stats_get(m, &s, &err));
    assert_int_equal(s.repositories, repositories);
    assert_int_equal(s.manifests, manifests);
    assert_int_equal(s.tags, tags);
    assert_int_equal(s.blobs, blobs);
    assert_int_equal(s.uploads, uploads);
}
