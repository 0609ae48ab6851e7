/* SPDX-License-Identifier: Apache-2.0 */
#include "main/stamp.h"

#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static const int64_t second_ns = 1000000000;

void stamps_add(struct stamps *s, const char *path)
{
    struct stat st = {0};
    if (s->n == STAMPS_MAX || !path || !*path)
        return;
    s->list[s->n].inode = 0;
    if (stat(path, &st) == 0) {
        s->list[s->n].device = st.st_dev;
        s->list[s->n].inode = st.st_ino;
        s->list[s->n].size = (uint64_t)st.st_size;
        s->list[s->n].mtime_ns = st.st_mtim.tv_sec * second_ns + st.st_mtim.tv_nsec;
        s->list[s->n].ctime_ns = st.st_ctim.tv_sec * second_ns + st.st_ctim.tv_nsec;
    } else {
        memset(&s->list[s->n], 0, sizeof s->list[0]);
    }
    s->n++;
}

bool stamps_equal(const struct stamps *a, const struct stamps *b)
{
    return a->n == b->n && memcmp(a->list, b->list, a->n * sizeof a->list[0]) == 0;
}
