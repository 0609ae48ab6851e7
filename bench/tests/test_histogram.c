/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"

#include "base/banned.h"

static void quantiles_are_within_two_percent(void **state)
{
    (void)state;
    CLEANUP_FREE struct histogram *h = xcalloc(1, sizeof *h);
    for (uint64_t v = 1; v <= 100000; v++)
        histogram_add(h, v * 1000);
    const struct {
        double q;
        uint64_t want;
    } rows[] = {{0.5, 50000000}, {0.99, 99000000}, {0.999, 99900000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t got = histogram_quantile(h, rows[i].q);
        assert_true(got >= rows[i].want);
        assert_true(got <= rows[i].want + rows[i].want / 50);
    }
    assert_int_equal(h->max, 100000000);
    assert_int_equal(histogram_quantile(h, 1.0), 100000000);
}

static void extremes_have_buckets(void **state)
{
    (void)state;
    CLEANUP_FREE struct histogram *h = xcalloc(1, sizeof *h);
    assert_int_equal(histogram_quantile(h, 0.5), 0);
    histogram_add(h, 0);
    assert_int_equal(histogram_quantile(h, 0.5), 0);
    histogram_add(h, 63);
    histogram_add(h, 64);
    histogram_add(h, UINT64_MAX);
    assert_int_equal(histogram_quantile(h, 0.3), 63);
    assert_int_equal(histogram_quantile(h, 0.6), 64);
    assert_true(histogram_quantile(h, 0.9) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_two_percent),
        cmocka_unit_test(extremes_have_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
