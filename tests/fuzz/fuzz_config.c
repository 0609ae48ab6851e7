/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration: a file's text, then after a form feed lines NAME=VALUE for the environment, then
 * after another one flags. What is accepted is dumped, read again, and must be the same. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "main/config.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64 };

struct lines {
    char *v[LINES_MAX + 1];
    unsigned n;
};

static void split(struct slice text, struct lines *out)
{
    out->n = 0;
    for (struct slice rest = text; rest.p && out->n < LINES_MAX;) {
        struct slice line = slice_cut(&rest, '\n');
        /* No file of the machine's that runs this. */
        if (!memmem(line.p ? line.p : "", line.n, "_FILE=", 6) && line.n)
            out->v[out->n++] = xstrndup(line.p, line.n);
    }
    out->v[out->n] = NULL;
}

static void release(struct lines *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free(l->v[i]);
}

static int load(struct slice file, const struct lines *environment, const struct lines *flags,
                struct config **out, struct error *err)
{
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, file.p ? file.p : "", file.n) == (ssize_t)file.n);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config_source source = {.file = path,
                                   .environment =
                                       environment ? (char *const *)environment->v : NULL,
                                   .flags = flags ? (char *const *)flags->v : NULL,
                                   .n_flags = flags ? flags->n : 0};
    int failed = config_load(&source, out, err);
    close(fd);
    return failed;
}

static void never(void *arg, const char *key, bool reloadable)
{
    (void)arg;
    (void)reloadable;
    fprintf(stderr, "differs: %s\n", key);
    abort(); /* a configuration differs from itself */
}

static void check_notes(const struct config *c, bool failed)
{
    unsigned n;
    unsigned errors = 0;
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++) {
        CHECK(notes[i].where && notes[i].key && *notes[i].text);
        errors += notes[i].severity == CONFIG_ERROR;
    }
    CHECK(failed == (errors > 0));
}

/* A dump hides what is secret behind asterisks, which no configuration may have: a secret of the
 * same length stands in for each. */
static void put_secrets(struct buf *dump)
{
    static const char hidden[] = "******";
    char *at = dump->p;
    while (at && (at = memmem(at, dump->n - (size_t)(at - dump->p), hidden, sizeof hidden - 1)))
        memcpy(at, "secret", sizeof hidden - 1);
}

static void check_good(const struct config *c)
{
    struct buf first, second;
    struct config *again = NULL;
    struct error err = {0};
    buf_init(&first, (size_t)16 << 20);
    buf_init(&second, (size_t)16 << 20);
    config_diff(c, c, never, NULL);
    config_dump(c, true, &first);
    buf_clear(&first);
    config_dump(c, false, &first);
    put_secrets(&first);
    int failed = load(buf_view(&first), NULL, NULL, &again, &err);
    if (failed)
        fprintf(stderr, "%s\n%s\n", err.detail, first.p);
    CHECK(!failed);
    config_dump(again, false, &second);
    put_secrets(&second);
    if (!slice_eq(buf_view(&first), buf_view(&second)))
        fprintf(stderr, "%s\n----\n%s\n", first.p, second.p);
    CHECK(slice_eq(buf_view(&first), buf_view(&second)));
    config_free(again);
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make((const char *)data, size);
    struct slice file = slice_cut(&rest, '\f');
    struct lines environment, flags;
    struct config *c = NULL;
    struct error err = {0};
    struct slice variables = slice_cut(&rest, '\f');
    split(variables, &environment);
    split(rest, &flags);
    int failed = load(file, &environment, &flags, &c, &err);
    CHECK(c && (failed != 0) == (err.code != ERR_NONE));
    check_notes(c, failed != 0);
    if (!failed)
        check_good(c);
    config_free(c);
    release(&environment);
    release(&flags);
    return 0;
}
