/* SPDX-License-Identifier: Apache-2.0 */
/* The bulk calls of an import. */
#include "meta_conformance.h"

#include "base/banned.h"

#define REPO S("team/app")

enum { LARGE = META_INLINE_MAX + 1 };

static struct meta_import_blob blob(unsigned n, uint64_t size)
{
    return (struct meta_import_blob){.digest = blob_digest(n), .size = size};
}

static bool there(struct meta *m, struct slice repo, unsigned n, struct meta_blob *out)
{
    struct error err = {0};
    struct digest d = blob_digest(n);
    if (meta_blob_get(m, repo, &d, false, out, &err) == 0)
        return true;
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    return false;
}

static int link_all(struct meta *m, struct arena *a, const unsigned *numbers, unsigned n)
{
    struct digest *d = ARENA_ARRAY(a, struct digest, n);
    for (unsigned i = 0; i < n; i++)
        d[i] = blob_digest(numbers[i]);
    const struct meta_import_repo in = {.repo = REPO, .links = d, .n_links = n};
    return meta_import_repo(m, &in, a, NULL);
}

static void test_blobs(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct meta_blob b;
    struct meta_import_blob list[3] = {blob(1, 6), blob(2, LARGE), blob(3, LARGE + 1)};
    OK(meta_import_pend(m, list, 3, &err));
    assert_false(list[0].pend.live || list[1].pend.live || list[2].pend.live);
    assert_int_equal(list[0].pend.epoch, 0); /* small: no row yet */
    assert_int_equal(list[1].pend.epoch, 1);
    OK(link_all(m, a, (unsigned[]){1, 2, 3}, 3));
    assert_false(there(m, REPO, 1, &b) || there(m, REPO, 2, &b)); /* not live: not linked */
    list[0].bytes = blob_bytes(a, 1);
    OK(meta_import_live(m, list, 2, &err));
    assert_false(there(m, REPO, 1, &b)); /* of no repository */
    assert_stats(m, 1, 0, 0, 2, 0);
    reopen(state);
    m = meta_of(state);
    OK(link_all(m, a, (unsigned[]){1, 2, 3}, 3));
    assert_true(there(m, REPO, 1, &b) && b.is_inline && b.size == 6);
    assert_true(there(m, REPO, 2, &b) && !b.is_inline && b.size == LARGE);
    assert_false(b.wants_lease); /* a new link protects its blob */
    assert_false(there(m, REPO, 3, &b));
    /* Again: what is there is known. One that an earlier process left pending is taken over. */
    OK(meta_import_pend(m, list, 3, &err));
    assert_true(list[0].pend.live && list[0].pend.is_inline);
    assert_true(list[1].pend.live && !list[1].pend.is_inline);
    assert_false(list[2].pend.live);
    assert_int_equal(list[2].pend.epoch, 2);
    OK(meta_import_live(m, list, 3, &err));
    assert_stats(m, 1, 0, 0, 3, 0);
}

static void test_conflicts(void **state)
{
    struct meta *m = meta_of(state);
    push_blob(m, REPO, 1);
    struct meta_import_blob list[3] = {blob(1, 7), blob(2, LARGE), blob(1, LARGE)};
    OK(meta_import_pend(m, list, 3, &err));
    assert_true(list[0].conflict && !list[1].conflict && list[2].conflict);
    /* Not pending: refused, with all of the list. */
    struct meta_import_blob never[2] = {blob(2, LARGE), blob(4, LARGE)};
    FAILS(ERR_CONFLICT, meta_import_live(m, never, 2, &err));
    assert_stats(m, 1, 0, 0, 1, 0);
    FAILS(ERR_DIGEST_INVALID, meta_import_live(m, list, 1, &err));
    OK(meta_import_live(m, never, 1, &err));
    assert_stats(m, 1, 0, 0, 2, 0);
}

static void test_lease_stays(void **state)
{
    struct meta *m = meta_of(state);
    struct meta_blob b;
    push_blob(m, REPO, 1);
    os_wall_shift(META_LINK_LEASE_MS);
    OK(link_all(m, arena_of(state), (unsigned[]){1}, 1)); /* there is a link: left as it is */
    assert_true(there(m, REPO, 1, &b));
    assert_true(b.wants_lease);
    os_wall_shift(0);
}

/* When it was tagged; the same with and without the bytes. */
static int64_t tagged(struct meta *m, struct reference ref)
{
    struct meta_manifest with, without;
    OK(meta_manifest_get(m, REPO, &ref, true, &with, &err));
    OK(meta_manifest_get(m, REPO, &ref, false, &without, &err));
    shared_unref(with.bytes);
    assert_int_equal(with.tagged_ms, without.tagged_ms);
    return with.tagged_ms;
}

static void test_repository(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    push_blob(m, S("elsewhere"), 2);
    struct image image = image_make(a, 1, HASH_SHA256);
    struct digest two = blob_digest(2);
    image_edge(a, &image, EDGE_LAYER, digest_slice(&two), true);
    struct image index = image_make(a, 2, HASH_SHA512);
    image_edge(a, &index, EDGE_CHILD, digest_slice(&image.digest), true);
    struct expect_now *never = expect_now(a, &two);
    struct meta_manifest_put puts[2] = {put_of(a, S("not/this"), &image, "one"),
                                        put_of(a, REPO, &index, "two")};
    puts[0].condition = &never->condition;
    const int64_t then = 12345;
    puts[0].tag_times = &then;
    struct meta_import_repo in = {.repo = REPO, .manifests = puts, .n_manifests = 2};
    uint64_t before = meta_epoch(m, REPO);
    /* Without the link: nothing at all, not even the repository. */
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_import_repo(m, &in, a, &err));
    assert_stats(m, 1, 0, 0, 1, 0);
    in.links = &two;
    in.n_links = 1;
    OK(meta_import_repo(m, &in, a, &err));
    assert_int_not_equal(meta_epoch(m, REPO), before);
    assert_is(m, REPO, ref_tag("one"), &image);
    assert_is(m, REPO, ref_tag("two"), &index);
    assert_unknown(m, S("elsewhere"), ref_tag("one"));
    assert_int_equal(tagged(m, ref_tag("one")), then);
    assert_in_range(os_wall_ms() - tagged(m, ref_tag("two")), 0, 60000);
    assert_int_equal(tagged(m, (struct reference){.is_digest = true, .digest = image.digest}), 0);
    assert_int_equal(never->calls, 0);
    assert_stats(m, 2, 2, 2, 1, 0);
    OK(meta_import_repo(m, &in, a, &err));
    assert_stats(m, 2, 2, 2, 1, 0);
    /* Nothing but the name. */
    in = (struct meta_import_repo){.repo = S("empty")};
    OK(meta_import_repo(m, &in, a, &err));
    assert_stats(m, 3, 2, 2, 1, 0);
}

void meta_conformance_imports(struct meta_suite *s)
{
    meta_conformance_add_one(s, "import: blobs", test_blobs);
    meta_conformance_add_one(s, "import: conflicts", test_conflicts);
    meta_conformance_add_one(s, "import: leases", test_lease_stays);
    meta_conformance_add_one(s, "import: repository", test_repository);
}
