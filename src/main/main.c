/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

#include "base/banned.h"

static bool is_configuration(const char *name)
{
    size_t n = strlen(name);
    return (n > 4 && strcmp(name + n - 4, ".yml") == 0) ||
           (n > 5 && strcmp(name + n - 5, ".yaml") == 0);
}

/* `registry serve FILE`, as commands of those images spell it out behind our own name. */
static bool is_program(const char *name)
{
    static const char *const names[] = {"registry", "/bin/registry", "/usr/bin/registry"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Whoever starts us may have closed them, and what is opened first would be written to as the log.
 */
static void hold_standard_streams(void)
{
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    if (argc > 2 && is_program(argv[1])) {
        argc--;
        argv++;
    }
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
