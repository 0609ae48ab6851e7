/* SPDX-License-Identifier: Apache-2.0 */
/* What subcommands share in reading their arguments and in ending. */
#ifndef CLI_ARGUMENT_H
#define CLI_ARGUMENT_H

#include "base/error.h"

/* The value of "--name=VALUE" or "--name VALUE" at argv[*at] (moved on in the second form); NULL
 * when this is another option, or one without its value. Borrowed. */
const char *argument_value(const char *name, int argc, char **argv, int *at);
/* "berth: <detail, or else message>" on standard error; returns 1, the exit status. */
int command_failed(const struct error *err);

#endif
