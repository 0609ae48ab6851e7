/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "meta_conformance.h"

#include "base/banned.h"

#define REPO S("team/app")

/* A page is `want` and, with `more`, there are others. */
static void assert_page(const struct meta_names *page, const char *const *want, unsigned n,
                        bool more)
{
    assert_int_equal(page->n, n);
    for (unsigned i = 0; i < n; i++)
        if (!slice_is(page->names[i], want[i]))
            fail_msg("%.*s instead of %s", SLICE_ARG(page->names[i]), want[i]);
    assert_int_equal(page->more, more);
}

static void tags_page(void **state, const char *last, unsigned n, const char *const *want,
                      unsigned n_want, bool more)
{
    struct meta_names page = {0};
    OK(meta_tags(meta_of(state), REPO, slice_cstr(last), n, arena_of(state), &page, &err));
    assert_page(&page, want, n_want, more);
}

/* Byte order, the cursor excluded and not necessarily a tag, an empty page for n == 0. */
static void test_tags(void **state)
{
    static const char *const all[] = {"1.0", "1.10", "1.9", "A",   "Z",
                                      "_x",  "a",    "a-b", "a.b", "aa"};
    static const unsigned order[] = {7, 3, 0, 9, 5, 2, 8, 1, 6, 4};
    struct meta *m = meta_of(state);
    struct meta_names page;
    FAILS(ERR_NAME_UNKNOWN, meta_tags(m, REPO, SLICE_NONE, 10, arena_of(state), &page, &err));
    FAILS(ERR_NAME_UNKNOWN, meta_tags(m, REPO, SLICE_NONE, 0, arena_of(state), &page, &err));
    push_blob(m, REPO, 1);
    tags_page(state, "", 10, NULL, 0, false);
    tags_page(state, "", 0, NULL, 0, false);
    struct image im = image_make(arena_of(state), 1, HASH_SHA256);
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        put_image(m, arena_of(state), REPO, &im, all[order[i]]);
    push_blob(m, S("team/app2"), 1);
    put_image(m, arena_of(state), S("team/app2"), &im, "not-mine");

    tags_page(state, "", 100, all, 10, false);
    tags_page(state, "", 10, all, 10, false);
    tags_page(state, "", 9, all, 9, true);
    tags_page(state, "", 0, NULL, 0, false);
    tags_page(state, "", UINT32_MAX, all, 10, false);
    tags_page(state, "A", 3, all + 4, 3, true);
    tags_page(state, "B", 2, all + 4, 2, true);
    tags_page(state, "a", 3, all + 7, 3, false);
    tags_page(state, "aa", 3, NULL, 0, false);
    tags_page(state, "zzz", 3, NULL, 0, false);
}

static void repos_page(void **state, const char *last, unsigned n, const char *const *want,
                       unsigned n_want, bool more)
{
    struct meta_names page = {0};
    OK(meta_repositories(meta_of(state), slice_cstr(last), n, arena_of(state), &page, &err));
    assert_page(&page, want, n_want, more);
}

static void test_repositories(void **state)
{
    static const char *const all[] = {"a", "a-b", "a/b", "a/b/c", "ab", "b"};
    struct meta *m = meta_of(state);
    repos_page(state, "", 10, NULL, 0, false);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        push_blob(m, slice_cstr(all[ARRAY_LEN(all) - 1 - i]), i);
    repos_page(state, "", 10, all, 6, false);
    repos_page(state, "", 2, all, 2, true);
    repos_page(state, "a-b", 2, all + 2, 2, true);
    repos_page(state, "a/b/c", 2, all + 4, 2, false);
    repos_page(state, "a/", 1, all + 2, 1, true);
    repos_page(state, "b", 1, NULL, 0, false);
    repos_page(state, "", 0, NULL, 0, false);
}

/* A manifest with this subject, type and annotations. */
static struct image referrer(void **state, unsigned n, const struct digest *subject,
                             const char *type, const char *annotations)
{
    struct image im = image_make(arena_of(state), n, HASH_SHA256);
    im.m.has_subject = true;
    im.m.subject = arena_slice(arena_of(state), digest_slice(subject));
    im.m.artifact_type = slice_cstr(type);
    im.m.annotations = slice_cstr(annotations);
    put_image(meta_of(state), arena_of(state), REPO, &im, NULL);
    return im;
}

static struct meta_referrers refs(void **state, const struct digest *subject, const char *type,
                                  struct slice last, unsigned n)
{
    struct meta_referrers page = {0};
    OK(meta_referrers(meta_of(state), REPO, digest_slice(subject), slice_cstr(type), last, n,
                      arena_of(state), &page, &err));
    return page;
}

/* All pages of this size: ascending, no gap, no repetition; the number of referrers. */
static unsigned walk(void **state, const struct digest *subject, const char *type, unsigned n)
{
    struct slice last = SLICE_NONE;
    unsigned total = 0;
    for (;;) {
        struct meta_referrers page = refs(state, subject, type, last, n);
        for (unsigned i = 0; i < page.n; i++) {
            assert_true(slice_cmp(last, page.list[i].digest) < 0);
            last = page.list[i].digest;
            if (*type)
                assert_true(slice_is(page.list[i].artifact_type, type));
        }
        total += page.n;
        if (!page.more)
            return total;
        assert_int_equal(page.n, n);
    }
}

static void test_referrers(void **state)
{
    struct digest subject = blob_digest(100), other = blob_digest(101), unknown = blob_digest(102);
    assert_int_equal(refs(state, &subject, "", SLICE_NONE, 10).n, 0);
    struct image first = {0};
    for (unsigned i = 0; i < 30; i++) {
        struct image im = referrer(state, i, &subject, i % 3 ? "app/sig" : "app/sbom",
                                   i % 2 ? "{\"n\":\"x\"}" : "");
        if (i == 0)
            first = im;
    }
    referrer(state, 50, &other, "app/sig", "");
    referrer(state, 51, &subject, "", "");
    struct image plain = image_make(arena_of(state), 60, HASH_SHA256);
    put_image(meta_of(state), arena_of(state), REPO, &plain, "plain");

    reopen(state);
    for (unsigned n = 1; n < 40; n += 6) {
        assert_int_equal(walk(state, &subject, "", n), 31);
        assert_int_equal(walk(state, &subject, "app/sig", n), 20);
        assert_int_equal(walk(state, &subject, "app/sbom", n), 10);
        assert_int_equal(walk(state, &subject, "app/none", n), 0);
        assert_int_equal(walk(state, &other, "", n), 1);
        assert_int_equal(walk(state, &unknown, "", n), 0);
    }
    struct meta_referrers page = refs(state, &subject, "", SLICE_NONE, 0);
    assert_int_equal(page.n, 0);
    assert_false(page.more);
    page = refs(state, &subject, "", S("sha256:ffff"), 100);
    for (unsigned i = 0; i < page.n; i++)
        assert_true(slice_cmp(page.list[i].digest, S("sha256:ffff")) > 0);

    page = refs(state, &subject, "", SLICE_NONE, 100);
    bool seen = false;
    for (unsigned i = 0; i < page.n; i++) {
        const struct meta_referrer *r = &page.list[i];
        if (!slice_eq(r->digest, digest_slice(&first.digest)))
            continue;
        seen = true;
        assert_true(slice_eq(r->media_type, first.m.media_type));
        assert_true(slice_is(r->artifact_type, "app/sbom"));
        assert_int_equal(r->annotations.n, 0);
        assert_int_equal(r->size, first.body.n);
    }
    assert_true(seen);
    /* One that goes, goes from the list. */
    OK(meta_manifest_delete(meta_of(state), REPO, &first.digest, NULL, NULL, &err));
    assert_int_equal(walk(state, &subject, "", 7), 30);
    assert_int_equal(walk(state, &subject, "app/sbom", 7), 9);
    OK(meta_referrers(meta_of(state), S("no/such"), digest_slice(&subject), SLICE_NONE, SLICE_NONE,
                      10, arena_of(state), &page, &err));
    assert_int_equal(page.n, 0);
}

static void test_annotations(void **state)
{
    struct digest subject = blob_digest(100);
    referrer(state, 1, &subject, "", "{\"a\":\"\xc3\xa4\"}");
    struct meta_referrers page = refs(state, &subject, "", SLICE_NONE, 10);
    assert_int_equal(page.n, 1);
    assert_int_equal(page.list[0].artifact_type.n, 0);
    assert_true(slice_is(page.list[0].annotations, "{\"a\":\"\xc3\xa4\"}"));
}

/* Pages end early where their texts would be too much: the sizes of five, and those of the pages.
 */
static void check_bytes(void **state, unsigned subject, const size_t size[5], const char *type,
                        const char *want)
{
    struct digest d = blob_digest(subject);
    struct slice last = SLICE_NONE;
    struct meta_referrers page;
    const char *got = "";
    unsigned total = 0;
    for (unsigned i = 0; i < 5; i++) {
        char *text = xcalloc(1, size[i] + 1);
        memset(text, 'x', size[i]);
        referrer(state, subject + i, &d, type, text);
        free(text);
    }
    do {
        page = refs(state, &d, "", last, 100);
        assert_true(page.n > 0);
        for (unsigned i = 0; i < page.n; i++) {
            assert_true(slice_cmp(last, page.list[i].digest) < 0);
            assert_true(slice_is(page.list[i].artifact_type, type));
            last = page.list[i].digest;
        }
        total += page.n;
        got = arena_printf(arena_of(state), "%s %u", got, page.n);
    } while (page.more);
    assert_int_equal(total, 5);
    assert_string_equal(got, want);
    /* What is asked for still counts, and there are more then too. */
    page = refs(state, &d, "", SLICE_NONE, 1);
    assert_int_equal(page.n, 1);
    assert_true(page.more);
}

static void test_referrers_bytes(void **state)
{
    enum { EACH = META_REFERRERS_BYTES / 4 - META_REFERRER_COST, OVER = META_REFERRERS_BYTES + 1 };
    check_bytes(state, 100, (size_t[]){EACH, EACH, EACH, EACH, EACH}, "", " 4 1");
    /* One byte of the type in each is too much. */
    check_bytes(state, 200, (size_t[]){EACH, EACH, EACH, EACH, EACH}, "t", " 3 2");
    /* One that is too large alone is a page of its own. */
    check_bytes(state, 300, (size_t[]){OVER, OVER, OVER, OVER, OVER}, "", " 1 1 1 1 1");
    check_bytes(state, 400, (size_t[]){0, 0, 0, 0, 0}, "", " 5");
}

static void test_stats_and_ping(void **state)
{
    struct meta_stats s;
    OK(meta_ping(meta_of(state), &err));
    assert_stats(meta_of(state), 0, 0, 0, 0, 0);
    image_push(meta_of(state), arena_of(state), REPO, 1, "v1");
    OK(meta_upload_create(meta_of(state), REPO, S("u"), HASH_SHA256, &err));
    reopen(state);
    OK(meta_ping(meta_of(state), &err));
    assert_stats(meta_of(state), 1, 1, 1, 2, 1);
    OK(meta_stats_get(meta_of(state), &s, &err));
    assert_int_equal(s.blob_bytes, 12);
}

void meta_conformance_lists(struct meta_suite *s)
{
    meta_conformance_add_one(s, "list: tags", test_tags);
    meta_conformance_add_one(s, "list: repositories", test_repositories);
    meta_conformance_add_one(s, "list: referrers", test_referrers);
    meta_conformance_add_one(s, "list: bytes of referrers", test_referrers_bytes);
    meta_conformance_add_one(s, "list: annotations", test_annotations);
    meta_conformance_add_one(s, "list: stats and ping", test_stats_and_ping);
}
