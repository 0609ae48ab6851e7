/* SPDX-License-Identifier: Apache-2.0 */
/* Has a file changed? Looked at by stat(2), since a certificate is usually replaced by a rename or
 * by a change of the directory that a symbolic link goes through. */
#ifndef MAIN_STAMP_H
#define MAIN_STAMP_H

#include <stdbool.h>
#include <stdint.h>

enum { STAMPS_MAX = 32 };

struct stamps {
    unsigned n;
    struct {
        uint64_t device, inode, size;
        int64_t mtime_ns, ctime_ns;
    } list[STAMPS_MAX]; /* all zero: it is not there */
};

/* Adds one (those beyond STAMPS_MAX are not watched). Follows symbolic links. Blocks. */
void stamps_add(struct stamps *s, const char *path);
bool stamps_equal(const struct stamps *a, const struct stamps *b);

#endif
