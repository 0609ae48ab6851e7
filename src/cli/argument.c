/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/argument.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

const char *argument_value(const char *name, int argc, char **argv, int *at)
{
    const char *arg = argv[*at];
    size_t n = strlen(name);
    if (!arg || strncmp(arg, name, n) != 0)
        return NULL;
    if (arg[n] == '=')
        return arg + n + 1;
    if (arg[n] != '\0' || *at + 1 >= argc)
        return NULL;
    return argv[++*at];
}

int command_failed(const struct error *err)
{
    fprintf(stderr, "berth: %s\n", err->detail[0] ? err->detail : err->message);
    return 1;
}
