/* SPDX-License-Identifier: Apache-2.0 */
#include "meta_conformance.h"

#include "oci/media_type.h"

#include "base/banned.h"

#define REPO S("team/app")
#define OTHER S("team/other")

/* The put fails for what is missing: exactly these digests, in this order. */
static void assert_missing(struct meta *m, struct arena *a, struct slice repo,
                           const struct image *im, const struct digest *want, unsigned n)
{
    struct meta_manifest_put in = put_of(a, repo, im, "tag");
    struct meta_manifest_put_result out = {0};
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(out.n_missing, n);
    for (unsigned i = 0; i < n; i++)
        assert_true(slice_eq(out.missing[i], digest_slice(&want[i])));
}

static void test_put_get(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct meta_manifest got;
    struct reference tag = ref_tag("v1");
    FAILS(ERR_NAME_UNKNOWN, meta_manifest_get(m, REPO, &tag, false, &got, &err));
    struct image im = image_push(m, a, REPO, 1, "v1");
    reopen(state);
    m = meta_of(state);
    assert_is(m, REPO, ref_tag("v1"), &im);
    assert_is(m, REPO, ref_digest(&im.digest), &im);
    assert_unknown(m, REPO, ref_tag("v2"));
    assert_unknown(m, REPO, ref_tag("V1"));
    struct digest no = blob_digest(99);
    assert_unknown(m, REPO, ref_digest(&no));
    tag = ref_digest(&im.digest);
    FAILS(ERR_NAME_UNKNOWN, meta_manifest_get(m, OTHER, &tag, true, &got, &err));
    assert_stats(m, 1, 1, 1, 2, 0);
}

/* A digest that is there keeps its bytes and media type; the tag is set all the same. */
static void test_put_again(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image im = image_push(m, a, REPO, 1, "v1"), later = im;
    later.m.media_type = S(MT_DOCKER_MANIFEST);
    assert_false(put_image(m, a, REPO, &later, "v2"));
    assert_is(m, REPO, ref_tag("v2"), &im);
    assert_is(m, REPO, ref_digest(&im.digest), &im);
    /* In another repository it is another manifest, with the same bytes. */
    push_blob(m, OTHER, 2);
    push_blob(m, OTHER, 3);
    assert_true(put_image(m, a, OTHER, &later, NULL));
    assert_is(m, OTHER, ref_digest(&im.digest), &later);
    assert_stats(m, 2, 2, 2, 2, 0);
}

static void test_tags_move(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image one = image_push(m, a, REPO, 1, "v1");
    struct image two = image_push(m, a, REPO, 2, "v1");
    assert_is(m, REPO, ref_tag("v1"), &two);
    assert_is(m, REPO, ref_digest(&one.digest), &one);
    struct slice tags[] = {S("a"), S("v1"), S("b"), S("a")};
    struct meta_manifest_put in = put_of(a, REPO, &one, NULL);
    struct meta_manifest_put_result out = {0};
    in.tags = tags;
    in.n_tags = 4;
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_is(m, REPO, ref_tag("a"), &one);
    assert_is(m, REPO, ref_tag("b"), &one);
    assert_is(m, REPO, ref_tag("v1"), &one);
    assert_stats(m, 1, 2, 3, 4, 0);
}

static void test_missing_blobs(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest here = blob_digest(1), absent = blob_digest(2), elsewhere = blob_digest(3),
                  pending = blob_digest(4), want[3] = {absent, elsewhere, pending};
    struct meta_pend got;
    struct image im = image_make(a, 1, HASH_SHA256);
    image_edge(a, &im, EDGE_CONFIG, digest_slice(&absent), true);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&elsewhere), true);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&here), true);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&pending), true);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&absent), true); /* reported once */
    push_blob(m, OTHER, 3);
    OK(meta_blob_pend(m, &pending, 9, &got, &err));
    /* Not even the repository is there. */
    struct digest all[] = {absent, elsewhere, here, pending};
    assert_missing(m, a, REPO, &im, all, 4);
    struct meta_names names;
    FAILS(ERR_NAME_UNKNOWN, meta_tags(m, REPO, SLICE_NONE, 0, a, &names, &err));
    push_blob(m, REPO, 1);
    assert_missing(m, a, REPO, &im, want, 3);
    assert_unknown(m, REPO, ref_tag("tag"));
    assert_unknown(m, REPO, ref_digest(&im.digest));

    OK(meta_blob_mount(m, OTHER, REPO, &elsewhere, NULL, &err));
    push_blob(m, REPO, 2);
    OK(meta_blob_commit(m, REPO, &pending, 9, NULL, SLICE_NONE, NULL, &err));
    assert_true(put_image(m, a, REPO, &im, "tag"));
    assert_is(m, REPO, ref_tag("tag"), &im);
    /* What was there once has to be there again when it is pushed again. */
    OK(meta_blob_delete(m, REPO, &here, NULL, &err));
    assert_missing(m, a, REPO, &im, &here, 1);
}

static void test_optional_edges(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest foreign = blob_digest(1), both = blob_digest(2);
    struct meta_blob b;
    struct image im = image_make(a, 1, HASH_SHA256);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&foreign), false);
    image_edge(a, &im, EDGE_LAYER, S("blake3:0123456789abcdef"), false);
    assert_true(put_image(m, a, REPO, &im, "v1"));
    /* It came later: the next push of the manifest protects it. */
    push_blob(m, REPO, 1);
    os_wall_shift(META_LINK_LEASE_MS);
    OK(meta_blob_get(m, REPO, &foreign, false, &b, &err));
    assert_true(b.wants_lease);
    assert_false(put_image(m, a, REPO, &im, "v1"));
    OK(meta_blob_get(m, REPO, &foreign, false, &b, &err));
    assert_false(b.wants_lease);
    os_wall_shift(0);
    /* Optional here, required there: required. */
    struct image two = image_make(a, 2, HASH_SHA256);
    image_edge(a, &two, EDGE_LAYER, digest_slice(&both), false);
    image_edge(a, &two, EDGE_LAYER, digest_slice(&both), true);
    assert_missing(m, a, REPO, &two, &both, 1);
    /* An algorithm that nobody knows is never there. */
    struct digest odd = {.text = "blake3:0123456789abcdef"};
    struct image three = image_make(a, 3, HASH_SHA256);
    image_edge(a, &three, EDGE_CONFIG, digest_slice(&odd), true);
    assert_missing(m, a, REPO, &three, &odd, 1);
}

static void test_children(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image one = image_push(m, a, REPO, 1, NULL), two = image_push(m, a, OTHER, 2, NULL);
    struct image index = image_make(a, 3, HASH_SHA256);
    struct digest blob = blob_digest(2), want[2] = {two.digest, blob};
    index.m.kind = MANIFEST_INDEX;
    index.m.media_type = S(MT_OCI_INDEX);
    image_edge(a, &index, EDGE_CHILD, digest_slice(&one.digest), true);
    image_edge(a, &index, EDGE_CHILD, digest_slice(&two.digest), true);
    image_edge(a, &index, EDGE_CHILD, digest_slice(&blob), true); /* a blob is no manifest */
    assert_missing(m, a, REPO, &index, want, 2);
    index.m.n_edges = 2;
    image_push(m, a, REPO, 2, NULL);
    assert_true(put_image(m, a, REPO, &index, "multi"));
    /* The index goes, its children stay; a child may go under its index. */
    OK(meta_manifest_delete(m, REPO, &one.digest, NULL, NULL, &err));
    assert_is(m, REPO, ref_tag("multi"), &index);
    OK(meta_manifest_delete(m, REPO, &index.digest, NULL, NULL, &err));
    assert_is(m, REPO, ref_digest(&two.digest), &two);
    assert_unknown(m, REPO, ref_tag("multi"));
    /* A manifest is no blob. */
    struct image odd = image_make(a, 4, HASH_SHA256);
    image_edge(a, &odd, EDGE_LAYER, digest_slice(&two.digest), true);
    assert_missing(m, a, REPO, &odd, &two.digest, 1);
}

/* oci.md 2.4 (15): a tag answers with the digest that its manifest was pushed with. */
static void test_two_algorithms(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image im = image_push(m, a, REPO, 1, "v256"), twin = im;
    digest_of(HASH_SHA512, im.body, &twin.digest);
    assert_true(put_image(m, a, REPO, &twin, "v512"));
    assert_is(m, REPO, ref_tag("v256"), &im);
    assert_is(m, REPO, ref_tag("v512"), &twin);
    assert_is(m, REPO, ref_digest(&twin.digest), &twin);
    assert_stats(m, 1, 2, 2, 2, 0);
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    assert_is(m, REPO, ref_tag("v512"), &twin);
    assert_unknown(m, REPO, ref_tag("v256"));
    /* First in sha512 is as good. */
    OK(meta_manifest_delete(m, REPO, &twin.digest, NULL, NULL, &err));
    assert_true(put_image(m, a, REPO, &twin, NULL));
    assert_true(put_image(m, a, REPO, &im, NULL));
    OK(meta_manifest_delete(m, REPO, &twin.digest, NULL, NULL, &err));
    assert_is(m, REPO, ref_digest(&im.digest), &im);
}

static void test_delete(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest no = blob_digest(9);
    FAILS(ERR_NAME_UNKNOWN, meta_manifest_delete(m, REPO, &no, NULL, NULL, &err));
    FAILS(ERR_NAME_UNKNOWN, meta_tag_delete(m, REPO, S("v1"), NULL, NULL, &err));
    struct image im = image_push(m, a, REPO, 1, "v1"), same = image_push(m, a, OTHER, 1, "v1");
    struct image two = image_push(m, a, REPO, 2, "other");
    put_image(m, a, REPO, &im, "v2");
    FAILS(ERR_MANIFEST_UNKNOWN, meta_manifest_delete(m, REPO, &no, NULL, NULL, &err));
    FAILS(ERR_MANIFEST_UNKNOWN, meta_tag_delete(m, REPO, S("v3"), NULL, NULL, &err));
    OK(meta_tag_delete(m, REPO, S("v2"), NULL, NULL, &err));
    FAILS(ERR_MANIFEST_UNKNOWN, meta_tag_delete(m, REPO, S("v2"), NULL, NULL, &err));
    assert_is(m, REPO, ref_tag("v1"), &im);
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    FAILS(ERR_MANIFEST_UNKNOWN, meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    reopen(state);
    m = meta_of(state);
    assert_unknown(m, REPO, ref_digest(&im.digest));
    assert_unknown(m, REPO, ref_tag("v1"));
    assert_is(m, REPO, ref_tag("other"), &two);
    assert_is(m, OTHER, ref_tag("v1"), &same);
    OK(meta_manifest_delete(m, OTHER, &same.digest, NULL, NULL, &err));
    OK(meta_manifest_delete(m, REPO, &two.digest, NULL, NULL, &err));
    /* The repositories stay, and the blobs. */
    assert_stats(m, 2, 0, 0, 4, 0);
    assert_true(put_image(m, a, REPO, &im, "v1"));
    assert_is(m, REPO, ref_tag("v1"), &im);
}

/* The put succeeds exactly when `want` (NULL: nothing) is what the reference points to, and the
 * condition has been asked once, about `now`. */
static void put_if(struct meta *m, struct arena *a, const struct image *im, const char *tag,
                   const struct digest *want, const struct digest *now)
{
    struct meta_manifest_put in = put_of(a, REPO, im, tag);
    struct meta_manifest_put_result out = {0};
    struct expect_now *e = expect_now(a, want);
    in.condition = &e->condition;
    if (want == now || (want && now && digest_eq(want, now)))
        OK(meta_manifest_put(m, &in, a, &out, &err));
    else
        FAILS(ERR_PRECONDITION, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(e->calls, 1);
    assert_int_equal(e->had, now != NULL);
    if (now)
        assert_true(digest_eq(&e->current, now));
}

static void test_put_conditions(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image one = image_make(a, 1, HASH_SHA256), two = image_make(a, 2, HASH_SHA512),
                 three = image_make(a, 3, HASH_SHA256);
    const struct digest *d1 = &one.digest, *d2 = &two.digest;
    /* Without the repository, which a failure does not make. */
    put_if(m, a, &one, "v1", d1, NULL);
    put_if(m, a, &one, NULL, d1, NULL);
    assert_stats(m, 0, 0, 0, 0, 0);
    put_if(m, a, &one, "v1", NULL, NULL);
    put_if(m, a, &two, "v1", NULL, d1);
    put_if(m, a, &two, "v1", d2, d1);
    put_if(m, a, &two, "v2", d1, NULL);
    assert_is(m, REPO, ref_tag("v1"), &one);
    assert_unknown(m, REPO, ref_tag("v2"));
    assert_unknown(m, REPO, ref_digest(d2));
    assert_stats(m, 1, 1, 1, 0, 0);
    put_if(m, a, &two, "v1", d1, d1);
    assert_is(m, REPO, ref_tag("v1"), &two);
    /* A digest that is there does not stand in for its tag. */
    put_if(m, a, &one, "v3", d1, NULL);
    put_if(m, a, &one, "v1", d1, d2);
    /* Without a tag it is about the digest. */
    put_if(m, a, &two, NULL, NULL, d2);
    put_if(m, a, &two, NULL, d1, d2);
    put_if(m, a, &two, NULL, d2, d2);
    put_if(m, a, &three, NULL, d2, NULL);
    put_if(m, a, &three, NULL, NULL, NULL);
    assert_stats(m, 1, 3, 1, 0, 0);
}

/* Of several tags it is the first, and none of them moves when it fails. */
static void test_condition_of_several(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image one = image_push(m, a, REPO, 1, "a"), two = image_push(m, a, REPO, 2, "b");
    struct slice tags[] = {S("b"), S("a"), S("new")};
    struct meta_manifest_put in = put_of(a, REPO, &one, NULL);
    struct meta_manifest_put_result out;
    struct expect_now *e = expect_now(a, &one.digest);
    in.tags = tags;
    in.n_tags = 3;
    in.condition = &e->condition;
    FAILS(ERR_PRECONDITION, meta_manifest_put(m, &in, a, &out, &err));
    assert_true(e->had && digest_eq(&e->current, &two.digest));
    assert_is(m, REPO, ref_tag("a"), &one);
    assert_is(m, REPO, ref_tag("b"), &two);
    assert_unknown(m, REPO, ref_tag("new"));
    e->want = &two.digest;
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_is(m, REPO, ref_tag("b"), &one);
    assert_is(m, REPO, ref_tag("new"), &one);
}

/* RFC 9110 section 13.2.1: of a push that cannot succeed nobody asks under which condition. */
static void test_condition_after_missing(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest absent = blob_digest(9);
    struct image im = image_make(a, 1, HASH_SHA256);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&absent), true);
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    struct meta_manifest_put_result out = {0};
    struct expect_now *e = expect_now(a, &absent);
    in.condition = &e->condition;
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(out.n_missing, 1);
    assert_int_equal(e->calls, 0);
    push_blob(m, REPO, 9);
    FAILS(ERR_PRECONDITION, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(e->calls, 1);
}

/* Asked once, about this. */
static void assert_asked(const struct expect_now *e, const struct digest *now)
{
    assert_int_equal(e->calls, 1);
    assert_int_equal(e->had, now != NULL);
    if (now)
        assert_true(digest_eq(&e->current, now));
}

static void delete_manifest_if(struct meta *m, struct arena *a, const struct digest *d,
                               const struct digest *want, const struct digest *now, int code)
{
    struct expect_now *e = expect_now(a, want);
    struct error got = {0};
    int rc = meta_manifest_delete(m, REPO, d, &e->condition, NULL, &got);
    assert_int_equal(rc, code < 0 ? 0 : -1);
    if (rc < 0)
        assert_int_equal(got.code, code);
    assert_asked(e, now);
}

static void delete_tag_if(struct meta *m, struct arena *a, const char *tag,
                          const struct digest *want, const struct digest *now, int code)
{
    struct expect_now *e = expect_now(a, want);
    struct error got = {0};
    int rc = meta_tag_delete(m, REPO, slice_cstr(tag), &e->condition, NULL, &got);
    assert_int_equal(rc, code < 0 ? 0 : -1);
    if (rc < 0)
        assert_int_equal(got.code, code);
    assert_asked(e, now);
}

static void test_delete_conditions(void **state)
{
    enum { GOES = -1 };
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest no = blob_digest(9);
    /* What is not there: first the condition, then the usual answer. */
    delete_manifest_if(m, a, &no, &no, NULL, ERR_PRECONDITION);
    delete_manifest_if(m, a, &no, NULL, NULL, ERR_NAME_UNKNOWN);
    delete_tag_if(m, a, "v1", &no, NULL, ERR_PRECONDITION);
    delete_tag_if(m, a, "v1", NULL, NULL, ERR_NAME_UNKNOWN);
    struct image one = image_push(m, a, REPO, 1, "v1"), two = image_push(m, a, REPO, 2, "v2");
    delete_manifest_if(m, a, &no, &no, NULL, ERR_PRECONDITION);
    delete_manifest_if(m, a, &no, NULL, NULL, ERR_MANIFEST_UNKNOWN);
    delete_tag_if(m, a, "v3", &no, NULL, ERR_PRECONDITION);
    delete_tag_if(m, a, "v3", NULL, NULL, ERR_MANIFEST_UNKNOWN);
    /* What is there, and not what was expected: all stays. */
    delete_manifest_if(m, a, &one.digest, &two.digest, &one.digest, ERR_PRECONDITION);
    delete_manifest_if(m, a, &one.digest, NULL, &one.digest, ERR_PRECONDITION);
    delete_tag_if(m, a, "v1", &two.digest, &one.digest, ERR_PRECONDITION);
    delete_tag_if(m, a, "v1", NULL, &one.digest, ERR_PRECONDITION);
    assert_is(m, REPO, ref_tag("v1"), &one);
    assert_is(m, REPO, ref_tag("v2"), &two);
    assert_stats(m, 1, 2, 2, 4, 0);

    delete_tag_if(m, a, "v1", &one.digest, &one.digest, GOES);
    assert_unknown(m, REPO, ref_tag("v1"));
    assert_is(m, REPO, ref_digest(&one.digest), &one);
    delete_manifest_if(m, a, &two.digest, &two.digest, &two.digest, GOES);
    assert_unknown(m, REPO, ref_digest(&two.digest));
    assert_stats(m, 1, 1, 0, 4, 0);
}

/* A number that changes with every change of a manifest or tag, and not with a reading. */
static void test_epoch(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    uint64_t e = meta_epoch(m, REPO), next;
    if (e == 0)
        return; /* this backend gives no such promise */
    struct image im = image_push(m, a, REPO, 1, "v1");
    assert_int_not_equal(next = meta_epoch(m, REPO), e);
    e = next;
    assert_is(m, REPO, ref_tag("v1"), &im);
    assert_int_equal(meta_epoch(m, REPO), e);
    put_image(m, a, REPO, &im, "v2");
    assert_int_not_equal(next = meta_epoch(m, REPO), e);
    e = next;
    OK(meta_tag_delete(m, REPO, S("v2"), NULL, NULL, &err));
    assert_int_not_equal(next = meta_epoch(m, REPO), e);
    e = next;
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    assert_int_not_equal(meta_epoch(m, REPO), e);
    assert_int_not_equal(meta_epoch(m, OTHER), 0);
}

/* As many edges as a manifest may have, and not quadratic: minutes if it were. */
static void test_many_edges(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image im = image_make(a, 1, HASH_SHA256);
    im.m.edges = ARENA_ARRAY(a, struct edge, MANIFEST_EDGES_MAX);
    im.m.n_edges = MANIFEST_EDGES_MAX;
    for (unsigned i = 0; i < im.m.n_edges; i++)
        im.m.edges[i] =
            (struct edge){.kind = EDGE_CHILD,
                          .digest = slice_cstr(arena_printf(a, "sha256:%064x", i * 2654435761u)),
                          .required = true};
    struct meta_manifest_put in = put_of(a, REPO, &im, "big");
    struct meta_manifest_put_result out = {0};
    push_blob(m, REPO, 1);
    uint64_t t0 = os_mono_ms();
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(out.n_missing, MANIFEST_EDGES_MAX);
    for (unsigned i = 0; i < im.m.n_edges; i++) {
        assert_true(slice_eq(out.missing[i], im.m.edges[i].digest));
        im.m.edges[i].required = false;
    }
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_is(m, REPO, ref_tag("big"), &im);
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    assert_true(os_mono_ms() - t0 < 30000);
}

void meta_conformance_manifests(struct meta_suite *s)
{
    meta_conformance_add_one(s, "manifest: put and get", test_put_get);
    meta_conformance_add_one(s, "manifest: put again", test_put_again);
    meta_conformance_add_one(s, "manifest: tags move", test_tags_move);
    meta_conformance_add_one(s, "manifest: missing blobs", test_missing_blobs);
    meta_conformance_add_one(s, "manifest: optional edges", test_optional_edges);
    meta_conformance_add_one(s, "manifest: children", test_children);
    meta_conformance_add_one(s, "manifest: two algorithms", test_two_algorithms);
    meta_conformance_add_one(s, "manifest: delete", test_delete);
    meta_conformance_add_one(s, "manifest: put under a condition", test_put_conditions);
    meta_conformance_add_one(s, "manifest: condition of several tags", test_condition_of_several);
    meta_conformance_add_one(s, "manifest: missing before condition", test_condition_after_missing);
    meta_conformance_add_one(s, "manifest: delete under a condition", test_delete_conditions);
    meta_conformance_add_one(s, "manifest: epoch", test_epoch);
    meta_conformance_add_one(s, "manifest: many edges", test_many_edges);
}
