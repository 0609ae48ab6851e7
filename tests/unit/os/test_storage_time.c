/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "os/storage_time.h"

#include "base/banned.h"

static int timed(const struct storage_times *t, enum storage_action action, bool fail)
{
    STORAGE_TIMED(t, action);
    if (fail)
        return -1; /* counted all the same */
    return 0;
}

/* The page of docker-registry 2.8.2, but for the numbers. */
static void names_and_buckets_are_registrys(void **state)
{
    (void)state;
    static const char *const want[] = {
        "# HELP registry_storage_action_seconds The number of seconds that the storage action "
        "takes\n"
        "# TYPE registry_storage_action_seconds histogram\n",
        "registry_storage_action_seconds_bucket{action=\"Stat\",driver=\"filesystem\",le=\"0.005\"}"
        " 2\n",
        "registry_storage_action_seconds_bucket{action=\"Stat\",driver=\"filesystem\",le=\"0.25\"} "
        "2\n",
        "registry_storage_action_seconds_bucket{action=\"Stat\",driver=\"filesystem\",le=\"10\"} "
        "2\n",
        "registry_storage_action_seconds_bucket{action=\"Stat\",driver=\"filesystem\",le=\"+Inf\"} "
        "2\n",
        "registry_storage_action_seconds_count{action=\"Stat\",driver=\"filesystem\"} 2\n",
        "registry_storage_action_seconds_count{action=\"Move\",driver=\"filesystem\"} 0\n",
    };
    static const char *const actions[] = {"GetContent", "PutContent", "Reader", "Writer",
                                          "Stat",       "List",       "Move",   "Delete"};
    struct metrics *m = metrics_new();
    struct storage_times t, other;
    storage_times_init(&t, m);
    storage_times_init(&other, m);
    assert_memory_equal(&t, &other, sizeof t);
    assert_int_equal(timed(&t, STORAGE_STAT, false), 0);
    assert_int_equal(timed(&other, STORAGE_STAT, true), -1);
    struct buf out;
    buf_init(&out, 64 * 1024);
    assert_int_equal(metrics_print(m, &out), 0);
    buf_putc(&out, '\0');
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_non_null(strstr(out.p, want[i]));
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "_count{action=\"%s\",driver=\"filesystem\"} ",
                       actions[i]);
        assert_non_null(strstr(out.p, text));
    }
    buf_release(&out);
    metrics_free(m);
}

static void nothing_is_measured_without_metrics(void **state)
{
    (void)state;
    struct storage_times t;
    storage_times_init(&t, NULL);
    for (enum storage_action a = 0; a < STORAGE_ACTIONS; a++) {
        assert_null(t.seconds[a]);
        assert_int_equal(timed(&t, a, false), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_buckets_are_registrys),
        cmocka_unit_test(nothing_is_measured_without_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
