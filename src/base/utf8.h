/* SPDX-License-Identifier: Apache-2.0 */
/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing behind U+10FFFF. Pure. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>

#include "base/slice.h"

/* Bytes of the well-formed sequence that n > 0 bytes at p begin with, or 0. */
size_t utf8_len(const unsigned char *p, size_t n);
bool utf8_valid(struct slice text);

#endif
