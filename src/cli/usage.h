/* SPDX-License-Identifier: Apache-2.0 */
/* What a command's usage line (struct command: arguments) says, for completions and man pages. The
 * grammar, by which the lines are written:
 *
 *   check [--strict] FILE | dump [--format=yaml|json] | create|show [-n|--dry-run] DIR
 *
 * Alternatives are separated by " | ". A word in lower case at the beginning of one is a subcommand
 * (or several: create|show). "-n|--dry-run" are two names of one option. A value follows "=", or is
 * the next word within the same brackets; in lower case and with bars it is a choice. Other words
 * are arguments: FILE, CONFIG, DIR and PATH are files, COMMAND and SHELL are what they say. */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include <stdbool.h>

#include "base/slice.h"

enum { USAGE_FORMS = 16, USAGE_ITEMS = 24 };

struct usage_item {
    struct slice option; /* "--strict"; empty for an argument */
    struct slice value;  /* "FILE", "yaml|json"; empty for an option without one */
    bool attached;       /* --option=value, not --option value */
};

struct usage_form {
    struct slice name; /* the subcommand; empty when there is none */
    struct usage_item items[USAGE_ITEMS];
    unsigned n;
};

struct usage {
    struct usage_form forms[USAGE_FORMS];
    unsigned n;
};

/* Borrows from `arguments`. More than the maxima is a mistake of the table: aborts. */
void usage_parse(const char *arguments, struct usage *out);
/* "[a | b]" as a whole: what is inside; anything else as it is. */
struct slice usage_unwrap(struct slice s);
/* The alternative before the first " | " outside brackets; *rest is what comes after it. */
struct slice usage_cut(struct slice *rest);
/* Does an argument or a value of this name stand for a file? */
bool usage_is_file(struct slice value);
/* "yaml|json": a list to choose from. */
bool usage_is_choice(struct slice value);
/* What the help text says of an option, in a line that begins with it: "  --strict  text". Empty
 * when it does not. */
struct slice usage_describe(const char *help, struct slice option);

#endif
