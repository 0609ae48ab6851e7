/* SPDX-License-Identifier: Apache-2.0 */
/* Files that come into being together, or not at all. For cert_make.c and cert_write.c. */
#ifndef TLS_CERT_INT_H
#define TLS_CERT_INT_H

#include "base/buf.h"
#include "base/error.h"

struct cert_file {
    const char *path;
    unsigned mode;
    struct buf *data;
    bool replace; /* else it is an error that one is there */
};
/* Writes all of them beside their places, syncs, and renames them into place. After a failure
 * everything is as it was. */
int cert_write(const struct cert_file *files, unsigned n, struct error *err);

#endif
