/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "registry/cache.h"

static struct manifest_answer answer(const char *body, uint64_t epoch)
{
    struct manifest_answer a = {.body = shared_new(body, strlen(body)),
                                .fields = shared_new("F: 1\r\n", 6),
                                .epoch = epoch};
    digest_of(HASH_SHA256, slice_cstr(body), &a.digest);
    return a;
}

static void put(struct manifest_cache *c, const char *repo, const char *ref, const char *body,
                uint64_t epoch)
{
    struct manifest_answer a = answer(body, epoch);
    manifest_cache_put(c, slice_cstr(repo), slice_cstr(ref), &a);
    shared_unref(a.body);
    shared_unref(a.fields);
}

static const struct manifest_answer *get(struct manifest_cache *c, const char *repo,
                                         const char *ref, uint64_t epoch)
{
    return manifest_cache_get(c, slice_cstr(repo), slice_cstr(ref), epoch);
}

static void test_hit_miss_stale(void **state)
{
    (void)state;
    struct manifest_cache *c = manifest_cache_new(1 << 20);
    put(c, "a", "latest", "one", 7);
    assert_null(get(c, "a", "other", 7));
    assert_null(get(c, "b", "latest", 7));
    assert_null(get(c, "al", "atest", 7)); /* the key is not just the concatenation */
    const struct manifest_answer *hit = get(c, "a", "latest", 7);
    assert_non_null(hit);
    assert_true(slice_is(shared_view(hit->body), "one"));
    assert_null(get(c, "a", "latest", 8));
    assert_null(get(c, "a", "latest", 7)); /* a stale entry is gone for good */
    manifest_cache_free(c);
}

static void test_no_epoch_no_cache(void **state)
{
    (void)state;
    struct manifest_cache *c = manifest_cache_new(1 << 20);
    put(c, "a", "latest", "one", 0);
    assert_null(get(c, "a", "latest", 0));
    assert_null(manifest_cache_get(NULL, SLICE_LIT("a"), SLICE_LIT("b"), 1));
    manifest_cache_free(c);
    manifest_cache_free(NULL);
}

static void test_replace(void **state)
{
    (void)state;
    struct manifest_cache *c = manifest_cache_new(1 << 20);
    put(c, "a", "latest", "one", 1);
    put(c, "a", "latest", "two", 2);
    assert_null(get(c, "a", "latest", 1));
    put(c, "a", "latest", "three", 3);
    assert_true(slice_is(shared_view(get(c, "a", "latest", 3)->body), "three"));
    manifest_cache_free(c);
}

/* The least recently used goes first, and the budget holds. */
static void test_budget(void **state)
{
    (void)state;
    static char body[10001];
    memset(body, 'x', sizeof body - 1);
    struct manifest_cache *c = manifest_cache_new(100 * 1000);
    char ref[32];
    for (int i = 0; i < 200; i++) {
        (void)snprintf(ref, sizeof ref, "t%d", i);
        put(c, "a", ref, body, 1);
        assert_non_null(get(c, "a", ref, 1));
        if (i > 0)
            assert_non_null(get(c, "a", "t0", 1)); /* used all the time: stays */
    }
    int kept = 0;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(ref, sizeof ref, "t%d", i);
        kept += get(c, "a", ref, 1) != NULL;
    }
    assert_true(kept >= 7 && kept <= 10);
    assert_null(get(c, "a", "t1", 1));
    assert_non_null(get(c, "a", "t199", 1));
    manifest_cache_free(c);
}

static void test_too_large_is_not_kept(void **state)
{
    (void)state;
    struct manifest_cache *c = manifest_cache_new(1 << 20);
    char *body = xcalloc(300 * 1024, 1);
    memset(body, 'x', 300 * 1024 - 1);
    put(c, "a", "big", body, 1);
    assert_null(get(c, "a", "big", 1));
    free(body);
    manifest_cache_free(c);
    c = manifest_cache_new(10);
    put(c, "a", "small", "one", 1);
    assert_null(get(c, "a", "small", 1));
    manifest_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit_miss_stale),
        cmocka_unit_test(test_no_epoch_no_cache),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_too_large_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
