/* SPDX-License-Identifier: Apache-2.0 */
#include "os/storage_time.h"

#include <stdio.h>

#include "base/util.h"

#include "base/banned.h"

static const char *const names[STORAGE_ACTIONS] = {
    [STORAGE_GET_CONTENT] = "GetContent",
    [STORAGE_PUT_CONTENT] = "PutContent",
    [STORAGE_READER] = "Reader",
    [STORAGE_WRITER] = "Writer",
    [STORAGE_STAT] = "Stat",
    [STORAGE_LIST] = "List",
    [STORAGE_MOVE] = "Move",
    [STORAGE_DELETE] = "Delete",
};

void storage_times_init(struct storage_times *t, struct metrics *m)
{
    *t = (struct storage_times){0};
    for (unsigned i = 0; m && i < STORAGE_ACTIONS; i++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "action=\"%s\",driver=\"filesystem\"", names[i]);
        t->seconds[i] = metrics_histogram(m, "registry_storage_action_seconds",
                                          "The number of seconds that the storage action takes",
                                          labels, metrics_seconds, ARRAY_LEN(metrics_seconds));
    }
}

void storage_run_end(struct storage_run *r)
{
    if (r->seconds)
        metric_observe(r->seconds, (double)(os_mono_ns() - r->began_ns) / 1e9);
}
