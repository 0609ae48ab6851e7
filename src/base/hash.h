/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and SHA-512 over OpenSSL's EVP, with the methods fetched once (fetching per hash doubles
 * the cost). */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>

enum hash_alg { HASH_SHA256, HASH_SHA512, HASH_ALG_COUNT };
enum { HASH_HEX_MAX = 128 };

struct hasher;

/* A running hash; one thread at a time. Never NULL (aborts when OpenSSL cannot make one). */
struct hasher *hasher_new(enum hash_alg alg);
void hasher_free(struct hasher *h); /* NULL is fine */
void hasher_reset(struct hasher *h);
void hasher_update(struct hasher *h, const void *p, size_t n);
/* Lower-case hex and a NUL. The hasher then needs a reset. */
void hasher_hex(struct hasher *h, char out[HASH_HEX_MAX + 1]);
enum hash_alg hasher_alg(const struct hasher *h);
void hash_hex(enum hash_alg alg, const void *p, size_t n, char out[HASH_HEX_MAX + 1]);
/* Hex digits of a digest: 64 or 128. */
size_t hash_hex_len(enum hash_alg alg);
/* "sha256" or "sha512". */
const char *hash_name(enum hash_alg alg);

#endif
