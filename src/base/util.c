/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

void check_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "berth: invariant broken: %s (%s:%d)\n", cond, file, line);
    abort();
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) {
        fprintf(stderr, "berth: out of memory (%zu * %zu bytes)\n", n, size);
        abort();
    }
    return p;
}

char *xstrndup(const char *s, size_t n)
{
    CHECK(n < SIZE_MAX);
    char *p = xcalloc(n + 1, 1);
    if (n)
        memcpy(p, s, n);
    return p;
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

void util_freep(void *p)
{
    void **at = p;
    free(*at);
    *at = NULL;
}

void util_closep(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
        *fd = -1;
    }
}

int parse_u63(struct slice s, uint64_t *out)
{
    if (s.n == 0 || s.n > 19)
        return -1;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return -1;
    }
    if (v > INT64_MAX)
        return -1;
    *out = v;
    return 0;
}

void hex_encode(const void *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = data;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int hex_decode(struct slice s, void *out, size_t n)
{
    if (s.n != 2 * n)
        return -1;
    for (size_t i = 0; i < s.n; i++)
        if (hex_value(s.p[i]) < 0)
            return -1;
    unsigned char *b = out;
    for (size_t i = 0; i < n; i++)
        b[i] = (unsigned char)(((unsigned)hex_value(s.p[2 * i]) & 15) << 4 |
                               ((unsigned)hex_value(s.p[2 * i + 1]) & 15));
    return 0;
}

const char *strerrordesc(int sys, char *buf, size_t n)
{
    const char *text = strerrordesc_np(sys);
    (void)snprintf(buf, n, "%s", text ? text : "unknown error");
    return buf;
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
    /* FNV-1a with a final avalanche: the tables are small and keyed by digests and names that were
     * validated. */
    const unsigned char *b = p;
    uint64_t h = 1469598103934665603ull ^ seed;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 1099511628211ull;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ull;
    h ^= h >> 32;
    return h;
}
