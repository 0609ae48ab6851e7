/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of its own for each test: setup and teardown for cmocka, *state is its descriptor. */
#ifndef TESTS_UNIT_OS_TEMPDIR_H
#define TESTS_UNIT_OS_TEMPDIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

struct tempdir {
    int fd;
    char path[64];
};

static inline int tempdir_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    struct tempdir *d = calloc(1, sizeof *d);
    if (!d)
        return -1;
    (void)snprintf(d->path, sizeof d->path, "%s/berth-os-XXXXXX", base ? base : "/tmp");
    d->fd = mkdtemp(d->path) ? open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    *state = d;
    return d->fd < 0 ? -1 : 0;
}

static inline int tempdir_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline int tempdir_teardown(void **state)
{
    struct tempdir *d = *state;
    int r = nftw(d->path, tempdir_remove, 8, FTW_DEPTH | FTW_PHYS);
    (void)close(d->fd);
    free(d);
    return r;
}

#endif
