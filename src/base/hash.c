/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/util.h"

#include "base/banned.h"

struct hasher {
    EVP_MD_CTX *ctx;
    enum hash_alg alg;
};

/* lint: globals: constant after the first use; a cache of objects of OpenSSL, not state of ours */
static EVP_MD *methods[HASH_ALG_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT; /* lint: globals: of the same */

static void fetch(void)
{
    methods[HASH_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    methods[HASH_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
    CHECK(methods[HASH_SHA256] && methods[HASH_SHA512]);
}

static const EVP_MD *method(enum hash_alg alg)
{
    CHECK((unsigned)alg < HASH_ALG_COUNT);
    (void)pthread_once(&once, fetch);
    return methods[alg];
}

struct hasher *hasher_new(enum hash_alg alg)
{
    struct hasher *h = xcalloc(1, sizeof *h);
    h->ctx = EVP_MD_CTX_new();
    h->alg = alg;
    CHECK(h->ctx);
    hasher_reset(h);
    return h;
}

void hasher_free(struct hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void hasher_reset(struct hasher *h)
{
    int ok = EVP_DigestInit_ex2(h->ctx, method(h->alg), NULL);
    CHECK(ok == 1);
}

void hasher_update(struct hasher *h, const void *p, size_t n)
{
    int ok = EVP_DigestUpdate(h->ctx, p, n);
    CHECK(ok == 1);
}

void hasher_hex(struct hasher *h, char out[HASH_HEX_MAX + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int ok = EVP_DigestFinal_ex(h->ctx, raw, &n);
    CHECK(ok == 1 && (size_t)n * 2 == hash_hex_len(h->alg));
    hex_encode(raw, n, out);
}

enum hash_alg hasher_alg(const struct hasher *h)
{
    return h->alg;
}

void hash_hex(enum hash_alg alg, const void *p, size_t n, char out[HASH_HEX_MAX + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int ok = EVP_Digest(p, n, raw, &len, method(alg), NULL);
    CHECK(ok == 1);
    hex_encode(raw, len, out);
}

size_t hash_hex_len(enum hash_alg alg)
{
    return alg == HASH_SHA512 ? 128 : 64;
}

const char *hash_name(enum hash_alg alg)
{
    return alg == HASH_SHA512 ? "sha512" : "sha256";
}
