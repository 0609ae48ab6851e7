/* SPDX-License-Identifier: Apache-2.0 */
/* A key of this process, and HMAC-SHA-256 (RFC 2104) under it: what caches keep instead of
 * passwords and tokens. It never leaves the process and dies with it. Any thread once made. */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum { MAC_BYTES = 32 };

struct mac {
    unsigned char p[MAC_BYTES];
};

struct secret {
    unsigned char inner[64], outer[64]; /* the key, xored with both pads */
};

void secret_init(struct secret *s); /* random */
void secret_wipe(struct secret *s);
/* Of the parts with a NUL between each two: none but the last may have NULs of its own. */
void secret_mac(const struct secret *s, const struct slice *parts, unsigned n, struct mac *out);
/* In a time that depends on n alone. */
bool secret_equal(const void *a, const void *b, size_t n);

#endif
