/* SPDX-License-Identifier: Apache-2.0 */
#include "content.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "base/util.h"
#include "client.h"

#include "base/banned.h"

struct content {
    size_t base_n;
    char *base;
    EVP_MD *sha256;
    EVP_MD_CTX *common; /* after the base */
    EVP_MD_CTX *work;
    uint64_t run[2]; /* random: no two runs share a tail */
    uint64_t serial;
    uint64_t spent;
};

/* xorshift64*: fast and incompressible is all that is asked of it. */
static void fill_random(char *p, size_t n)
{
    uint64_t x;
    CHECK(getrandom(&x, sizeof x, 0) == (ssize_t)sizeof x);
    x |= 1;
    for (size_t i = 0; i < n; i += sizeof x) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        uint64_t v = x * 0x2545f4914f6cdd1dull;
        memcpy(p + i, &v, MIN(sizeof v, n - i));
    }
}

struct content *content_new(size_t size)
{
    CHECK(size >= CONTENT_TAIL);
    struct content *c = xcalloc(1, sizeof *c);
    c->base_n = size - CONTENT_TAIL;
    c->base = xcalloc(1, c->base_n);
    fill_random(c->base, c->base_n);
    CHECK(getrandom(c->run, sizeof c->run, 0) == (ssize_t)sizeof c->run);
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->common = EVP_MD_CTX_new();
    c->work = EVP_MD_CTX_new();
    CHECK(c->sha256 && c->common && c->work);
    CHECK(EVP_DigestInit_ex2(c->common, c->sha256, NULL) == 1);
    CHECK(EVP_DigestUpdate(c->common, c->base, c->base_n) == 1);
    return c;
}

void content_free(struct content *c)
{
    if (!c)
        return;
    EVP_MD_CTX_free(c->work);
    EVP_MD_CTX_free(c->common);
    EVP_MD_free(c->sha256);
    free(c->base);
    free(c);
}

struct slice content_base(const struct content *c)
{
    return slice_make(c->base, c->base_n);
}

void content_next(struct content *c, char tail[CONTENT_TAIL], char digest[CONTENT_DIGEST + 1])
{
    uint64_t start = client_now();
    (void)snprintf(tail, CONTENT_TAIL, "%016llx%016llx%016llx", (unsigned long long)c->run[0],
                   (unsigned long long)c->run[1], (unsigned long long)c->serial++);
    memset(tail + 48, '\n', CONTENT_TAIL - 48);
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    CHECK(EVP_MD_CTX_copy_ex(c->work, c->common) == 1);
    CHECK(EVP_DigestUpdate(c->work, tail, CONTENT_TAIL) == 1);
    CHECK(EVP_DigestFinal_ex(c->work, raw, &n) == 1 && n == 32);
    memcpy(digest, "sha256:", 7);
    hex_encode(raw, n, digest + 7);
    c->spent += client_now() - start;
}

uint64_t content_spent(const struct content *c)
{
    return c->spent;
}

double content_probe(double seconds)
{
    enum { BLOCK = 64 * 1024 };
    CLEANUP_FREE char *block = xcalloc(1, BLOCK);
    fill_random(block, BLOCK);
    struct hasher *h = hasher_new(HASH_SHA256);
    uint64_t start = client_now();
    uint64_t end = start + (uint64_t)(seconds * 1e9);
    uint64_t now;
    uint64_t bytes = 0;
    do {
        for (int i = 0; i < 16; i++)
            hasher_update(h, block, BLOCK);
        bytes += 16 * BLOCK;
        now = client_now();
    } while (now < end);
    hasher_free(h);
    return (double)bytes * 1e3 / (double)(now - start);
}
