/* SPDX-License-Identifier: Apache-2.0 */
/* How long each access to what is stored takes, in the metric that registry has for its storage
 * drivers, so that its dashboards and alerts go on to work. docs/metrics.md says what of berth each
 * action is. What is answered from memory is no access. */
#ifndef OS_STORAGE_TIME_H
#define OS_STORAGE_TIME_H

#include <stdint.h>

#include "base/metrics.h"
#include "os/clock.h"

/* The methods of registry's drivers. */
enum storage_action {
    STORAGE_GET_CONTENT,
    STORAGE_PUT_CONTENT,
    STORAGE_READER,
    STORAGE_WRITER,
    STORAGE_STAT,
    STORAGE_LIST,
    STORAGE_MOVE,
    STORAGE_DELETE,
    STORAGE_ACTIONS
};

/* All zero: nothing is measured. */
struct storage_times {
    struct metric *seconds[STORAGE_ACTIONS];
};

/* Those who share a registry of metrics share these. NULL: nothing is measured. */
void storage_times_init(struct storage_times *t, struct metrics *m);

/* One access that runs. */
struct storage_run {
    struct metric *seconds;
    uint64_t began_ns;
};

static inline struct storage_run storage_run_begin(const struct storage_times *t,
                                                   enum storage_action action)
{
    struct metric *seconds = t->seconds[action];
    return (struct storage_run){seconds, seconds ? os_mono_ns() : 0};
}
void storage_run_end(struct storage_run *r);

/* From here to the end of the block, however that comes. */
#define STORAGE_TIMED(times, action)                                                    \
    __attribute__((unused, cleanup(storage_run_end))) struct storage_run storage_run_ = \
        storage_run_begin((times), (action))

#endif
