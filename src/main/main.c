/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

#include "base/banned.h"

static bool is_configuration(const char *name)
{
    size_t n = strlen(name);
    return (n > 4 && strcmp(name + n - 4, ".yml") == 0) ||
           (n > 5 && strcmp(name + n - 5, ".yaml") == 0);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-v") == 0)
        name = "version";
    /* The images of registry take the configuration alone as their command. */
    if (is_configuration(name))
        return command_serve.run(argc, argv);
    const struct command *c = command_find(name);
    if (!c) {
        fprintf(stderr, "berth: there is no command \"%s\"; `berth help` lists them\n", name);
        return 2;
    }
    for (int i = 2; i < argc && c != &command_help; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return command_help.run(2, (char *[]){argv[0], argv[1], NULL});
    return c->run(argc - (argc > 1), argv + (argc > 1));
}
