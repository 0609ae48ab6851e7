/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"

#include "base/banned.h"

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return printf("berth %s\n", BERTH_VERSION) < 0;
}

const struct command command_version = {"version", "", "print the version", NULL, run};
