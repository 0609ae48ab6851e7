/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/encoding.h"

#include <stdint.h>

#include "base/util.h"

#include "base/banned.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char encode_digit(unsigned v, enum b64_kind kind)
{
    if (kind == B64_URL && v >= 62)
        return v == 62 ? '-' : '_';
    return letters[v];
}

/* 0 to 63, or -1. */
static int decode_digit(char c, enum b64_kind kind)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (kind == B64_URL ? '-' : '+'))
        return 62;
    if (c == (kind == B64_URL ? '_' : '/'))
        return 63;
    return -1;
}

/* Takes the padding off; -1 when it is not what it has to be. */
static int unpad(struct slice *text, enum b64_kind kind)
{
    if (kind == B64_URL)
        return 0;
    if (text->n % 4)
        return -1;
    for (int i = 0; i < 2 && text->n && text->p[text->n - 1] == '='; i++)
        text->n--;
    return 0;
}

int b64_decode(struct slice text, enum b64_kind kind, unsigned char *out, size_t *n)
{
    if (unpad(&text, kind) || text.n % 4 == 1)
        return -1;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = decode_digit(text.p[i], kind);
        if (digit < 0)
            return -1;
        bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[at++] = (unsigned char)(bits >> have & 0xff);
        }
    }
    if (bits & ((1U << have) - 1))
        return -1;
    *n = at;
    return 0;
}

void b64_encode(const void *p, size_t n, enum b64_kind kind, char *out)
{
    const unsigned char *in = p;
    for (; n >= 3; n -= 3, in += 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = encode_digit(bits >> shift & 63, kind);
    }
    if (n) {
        uint32_t bits = (uint32_t)in[0] << 16 | (n == 2 ? (uint32_t)in[1] << 8 : 0);
        *out++ = encode_digit(bits >> 18 & 63, kind);
        *out++ = encode_digit(bits >> 12 & 63, kind);
        if (n == 2)
            *out++ = encode_digit(bits >> 6 & 63, kind);
        for (size_t pad = n; pad < 3 && kind == B64_STANDARD; pad++)
            *out++ = '=';
    }
    *out = '\0';
}

void b32_encode(const void *p, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const unsigned char *in = p;
    CHECK(n % 5 == 0);
    for (; n; n -= 5, in += 5) {
        uint64_t bits = 0;
        for (int i = 0; i < 5; i++)
            bits = bits << 8 | in[i];
        for (int shift = 35; shift >= 0; shift -= 5)
            *out++ = digits[bits >> shift & 31];
    }
    *out = '\0';
}
