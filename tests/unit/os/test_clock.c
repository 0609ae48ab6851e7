/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <string.h>
#include <time.h>

#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

static void wall_time_is_that_of_the_system(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000 - 1000;
    int64_t now = os_wall_ms();
    assert_in_range(now, before, before + 10000);
}

static void wall_time_can_be_shifted(void **state)
{
    (void)state;
    int64_t now = os_wall_ms();
    os_wall_shift(-86400000);
    int64_t shifted = os_wall_ms();
    os_wall_shift(0);
    assert_in_range(shifted, now - 86400000, now - 86400000 + 10000);
    assert_true(os_wall_ms() >= now);
}

static void monotonic_clocks_go_on(void **state)
{
    (void)state;
    uint64_t ns = os_mono_ns(), ms = os_mono_ms(), cpu = os_cpu_ns();
    assert_in_range(ms, ns / 1000000, ns / 1000000 + 10000);
    struct timespec nap = {0, 20000000};
    nanosleep(&nap, NULL);
    assert_true(os_mono_ns() >= ns + 20000000);
    assert_true(os_mono_ms() >= ms + 19);
    for (volatile int i = 0; i < 3000000; i++)
        ;
    assert_true(os_cpu_ns() > cpu);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    unsigned char a[1000] = {0}, b[1000] = {0};
    os_random(a, sizeof a);
    os_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    unsigned seen[256] = {0}, kinds = 0;
    for (size_t i = 0; i < sizeof a; i++)
        kinds += seen[a[i]]++ == 0;
    assert_true(kinds > 200); /* 251 are expected of 256 */
    assert_memory_not_equal(a + 996, "\0\0\0\0", 4);
    a[0] = 7;
    os_random(a, 0);
    assert_int_equal(a[0], 7);
}

static const struct {
    int64_t ms;
    const char *rfc3339, *http;
} dates[] = {
    {0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {1136214245999, "2006-01-02T15:04:05Z", "Mon, 02 Jan 2006 15:04:05 GMT"},
    {951827696000, "2000-02-29T12:34:56Z", "Tue, 29 Feb 2000 12:34:56 GMT"},
    {-1, "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
    {-1000, "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
    {4102444799999, "2099-12-31T23:59:59Z", "Thu, 31 Dec 2099 23:59:59 GMT"},
    {INT64_MAX, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
    {INT64_MIN, "0000-01-01T00:00:00Z", "Sat, 01 Jan 0000 00:00:00 GMT"},
};

static void dates_are_formatted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        char a[21], b[30];
        memset(a, 'x', sizeof a);
        memset(b, 'x', sizeof b);
        os_rfc3339(dates[i].ms, a);
        os_http_date(dates[i].ms, b);
        assert_string_equal(a, dates[i].rfc3339);
        assert_string_equal(b, dates[i].http);
    }
}

/* The C library as the oracle, one day at a time over leap years and a century. */
static void dates_agree_with_strftime(void **state)
{
    (void)state;
    for (int64_t s = -2208988800; s < 4102444800; s += 86400 * 13 + 3723) {
        time_t t = (time_t)s;
        struct tm tm;
        gmtime_r(&t, &tm);
        char want[40], got[30];
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        os_http_date(s * 1000, got);
        assert_string_equal(got, want);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
        os_rfc3339(s * 1000, got);
        assert_string_equal(got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_is_that_of_the_system),
        cmocka_unit_test(wall_time_can_be_shifted),
        cmocka_unit_test(monotonic_clocks_go_on),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(dates_are_formatted),
        cmocka_unit_test(dates_agree_with_strftime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
