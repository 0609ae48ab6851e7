/* SPDX-License-Identifier: Apache-2.0 */
/* registry's `garbage-collect CONFIG [-d] [-m]`, which people run from cron. It says what is so
 * here, and fails, since nothing was collected. */
#include <stdio.h>

#include "cli/command.h"

#include "base/banned.h"

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fputs(
        "berth: this version collects no garbage: what is deleted becomes unreachable at once, and "
        "its space stays in use.\n"
        "A later version will collect while it serves, without a command. Take this job out of "
        "your crontab.\n"
        "Never run registry's own garbage-collect on a directory that berth has taken over.\n",
        stderr);
    return 1;
}

const struct command command_garbage_collect = {"garbage-collect", "[CONFIG]",
                                                "say why there is nothing to run",
                                                "Registry's command of this name, for the cron "
                                                "jobs that still call it: nothing is collected, "
                                                "and the status is 1.",
                                                run};
