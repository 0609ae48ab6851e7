/* SPDX-License-Identifier: Apache-2.0 */
#include "tmp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

char *tmp_dir_make(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    /* Thousands of fsyncs: on a busy disk they take most of a minute, and they prove nothing here,
     * since a kill loses no page. TMPDIR chooses another file system. */
    if (!base)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(path, sizeof path, "%s/berth-store-XXXXXX", base);
    char *made = mkdtemp(path);
    CHECK(made);
    return xstrdup(made);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void tmp_dir_remove(char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}
