/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "base/banned.h"

const struct command *const commands[] = {&command_serve,
                                          &command_config,
                                          &command_cert,
                                          &command_htpasswd,
                                          &command_import,
                                          &command_events,
                                          &command_health,
                                          &command_garbage_collect,
                                          &command_version,
                                          &command_help,
                                          NULL};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}
