/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648), strict: nothing but the alphabet, padding exactly as the variant has it,
 * unused bits zero. A value has one encoding, so that a cache by the encoded form is one by the
 * value. Pure, any thread. */
#ifndef AUTH_ENCODING_H
#define AUTH_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum b64_kind {
    B64_STANDARD, /* + and /, padded */
    B64_URL       /* - and _, never padded (RFC 7515 2) */
};

/* Bytes that decoding `n` characters may need, and characters with NUL that encoding may. */
static inline size_t b64_decoded_room(size_t n)
{
    return n / 4 * 3 + 3;
}
static inline size_t b64_encoded_room(size_t n)
{
    return n / 3 * 4 + 5;
}

/* 0 and *n bytes in out (b64_decoded_room(text.n) bytes), or -1 with an unknown part written. */
int b64_decode(struct slice text, enum b64_kind kind, unsigned char *out, size_t *n);
/* NUL-terminated, into b64_encoded_room(n) bytes. */
void b64_encode(const void *p, size_t n, enum b64_kind kind, char *out);
/* RFC 4648 base32 without padding; n is a multiple of 5. Into n / 5 * 8 + 1 bytes. */
void b32_encode(const void *p, size_t n, char *out);

#endif
