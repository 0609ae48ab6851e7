/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations out of strings, and questions to them. */
#ifndef TESTS_UNIT_MAIN_CONFIG_HELP_H
#define TESTS_UNIT_MAIN_CONFIG_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "main/config_int.h"

enum { HELP_LINES = 64 };

/* Lines of text as a NULL-terminated vector; the copy is the caller's. */
static inline char **help_lines(const char *text, unsigned *n)
{
    char **v = xcalloc(HELP_LINES + 1, sizeof *v);
    *n = 0;
    for (struct slice rest = slice_cstr(text); rest.p && *n < HELP_LINES;) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.n)
            v[(*n)++] = xstrndup(line.p, line.n);
    }
    return v;
}

static inline void help_lines_free(char **v)
{
    for (char **p = v; *p; p++)
        free(*p);
    free(v);
}

/* file: YAML without its version line, or NULL; "%" at its beginning: exactly what follows. */
static inline int help_load(const char *file, const char *environment, const char *flags,
                            bool strict, struct config **out, struct error *err)
{
    char path[] = "/tmp/berth-config-XXXXXX";
    unsigned n_environment, n_flags;
    char **env = help_lines(environment ? environment : "", &n_environment);
    char **flag = help_lines(flags ? flags : "", &n_flags);
    struct config_source source = {
        .environment = env, .flags = flag, .n_flags = n_flags, .strict = strict};
    if (file) {
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        FILE *f = fdopen(fd, "w");
        assert_non_null(f);
        (void)fputs(*file == '%' ? file + 1 : "version: 0.1\n", f);
        (void)fputs(*file == '%' ? "" : file, f);
        assert_int_equal(fclose(f), 0);
        source.file = path;
    }
    int failed = config_load(&source, out, err);
    if (file)
        unlink(path);
    help_lines_free(env);
    help_lines_free(flag);
    return failed;
}

/* A note of this severity whose place, key and text have this text in them. */
static inline bool help_noted(const struct config *c, enum config_severity severity,
                              const char *text)
{
    unsigned n;
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++) {
        CLEANUP_BUF struct buf line;
        buf_init(&line, 8192);
        buf_printf(&line, "%s: %s: %s", notes[i].where, notes[i].key, notes[i].text);
        if (notes[i].severity == severity && strstr(line.p, text))
            return true;
    }
    return false;
}

static inline void help_print_notes(const struct config *c)
{
    unsigned n;
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++)
        print_message("# note: %s: %s: %s: %s\n",
                      notes[i].severity == CONFIG_ERROR ? "error" : "warning", notes[i].where,
                      notes[i].key, notes[i].text);
}

#endif
