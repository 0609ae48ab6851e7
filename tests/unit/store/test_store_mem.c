/* SPDX-License-Identifier: Apache-2.0 */
#include "store_conformance.h"

#include <stdlib.h>

#include "base/util.h"

#include "base/banned.h"

static int setup(void **state)
{
    struct store *s = NULL;
    struct error err;
    assert_int_equal(store_mem_open(&s, &err), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    store_close(*state);
    return 0;
}

/* Bytes are shared, not copied, between readers. */
static void test_shared(void **state)
{
    struct store *s = *state;
    struct error err;
    struct digest d;
    struct store_object a = {0}, b = {0};
    digest_of(HASH_SHA256, SLICE_LIT("one"), &d);
    blob_put(s, ID_A, &d, "one", 3);
    assert_int_equal(store_open(s, &d, &a, &err), 0);
    assert_int_equal(store_open(s, &d, &b, &err), 0);
    assert_ptr_equal(a.bytes, b.bytes);
    store_object_release(&a);
    store_object_release(&b);
}

/* What is there at the end is freed with the store (LeakSanitizer looks). */
static void test_close_full(void **state)
{
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("one"), &d);
    blob_put(*state, ID_A, &d, "one", 3);
    stage_put(*state, ID_B, "two", 3);
    store_close(NULL);
}

int main(void)
{
    struct CMUnitTest tests[STORE_CONFORMANCE_MAX + 2] = {
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_full, setup, teardown),
    };
    size_t n = 2;
    store_conformance_add(tests, &n, setup, teardown);
    return _cmocka_run_group_tests("store_mem", tests, n, NULL, NULL);
}
