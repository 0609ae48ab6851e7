/* SPDX-License-Identifier: Apache-2.0 */
/* One file per subcommand, each ending in a const entry of this table. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

struct command {
    const char *name;
    const char *arguments; /* for the usage line, in the grammar of cli/usage.h: completions are
                              made from it */
    const char *summary;   /* one line */
    const char *help;      /* more; may be NULL */
    int (*run)(
        int argc,
        char **argv); /* argv[0] is the command's name. The exit status: 0, 1 failed, 2 usage */
};

extern const struct command command_cert;
extern const struct command command_events;
extern const struct command command_health;
extern const struct command command_garbage_collect;
extern const struct command command_htpasswd;
extern const struct command command_import;
extern const struct command command_config;
extern const struct command command_serve, command_version, command_help;

/* All of them, in the order of `berth help`; ends with NULL. */
extern const struct command *const commands[];
const struct command *command_find(const char *name);

#endif
