/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/command.h"
#include "cli/man.h"
#include "main/config.h"

#include "base/banned.h"

static int put(struct buf *b)
{
    size_t done = fwrite(b->p, 1, b->n, stdout);
    int failed = done != b->n || b->failed || fflush(stdout) != 0;
    buf_release(b);
    return failed;
}

static int help_options(int argc, char **argv)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    if (argc > 2 && strcmp(argv[2], "--markdown") == 0)
        config_markdown(&b);
    else
        config_help_text(&b);
    return put(&b);
}

static int help_man(int argc, char **argv)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    if (argc < 3) {
        man_names(&b);
    } else if (man_page(argv[2], &b)) {
        fprintf(stderr, "berth: there is no page \"%s\"; `berth help man` lists them\n", argv[2]);
        buf_release(&b);
        return 2;
    }
    return put(&b);
}

static int help_completion(int argc, char **argv)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    if (argc < 3 || completion(argv[2], &b)) {
        fprintf(stderr, "berth: say for which shell: berth help completion bash|zsh|fish\n");
        buf_release(&b);
        return 2;
    }
    return put(&b);
}

static int run(int argc, char **argv)
{
    struct buf b;
    if (argc > 1 && strcmp(argv[1], "options") == 0)
        return help_options(argc, argv);
    if (argc > 1 && strcmp(argv[1], "man") == 0)
        return help_man(argc, argv);
    if (argc > 1 && strcmp(argv[1], "completion") == 0)
        return help_completion(argc, argv);
    buf_init(&b, (size_t)1 << 20);
    if (argc > 1) {
        bool itself = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
        const struct command *c = itself ? &command_help : command_find(argv[1]);
        if (!c) {
            fprintf(stderr, "berth: there is no command \"%s\"; `berth help` lists them\n",
                    argv[1]);
            return 2;
        }
        buf_printf(&b, "usage: berth %s %s\n\n%s\n", c->name, c->arguments, c->summary);
        if (c->help)
            buf_printf(&b, "\n%s\n", c->help);
        if (c == &command_serve) {
            buf_puts(&b, "\nOptions:\n");
            config_help_text(&b);
        }
        return put(&b);
    }
    buf_puts(&b, "berth: a private container registry in one small process\n\nusage: berth COMMAND "
                 "[ARGUMENT...]\n\n");
    for (const struct command *const *c = commands; *c; c++)
        buf_printf(&b, "  %-15s %s\n", (*c)->name, (*c)->summary);
    buf_puts(
        &b, "\n`berth help COMMAND` says more of one; `berth help options` lists every setting.\n");
    return put(&b);
}

const struct command command_help = {
    "help", "[COMMAND | options [--markdown] | man [PAGE] | completion bash|zsh|fish]",
    "say what berth can do", NULL, run};
