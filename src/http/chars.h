/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes of RFC 9110 and 9112, one table look-up each. Private to src/http. */
#ifndef HTTP_CHARS_H
#define HTTP_CHARS_H

#include <stdbool.h>

enum {
    CHAR_TOKEN = 1,  /* tchar, RFC 9110 5.6.2 */
    CHAR_TARGET = 2, /* what a request target may hold: 0x21..0x7e without '#' */
    CHAR_HOST = 4,   /* unreserved, RFC 3986 2.3 */
    CHAR_VALUE = 8,  /* VCHAR, obs-text, SP, HTAB, RFC 9110 5.5 */
    CHAR_HEX = 16,   /* HEXDIG, either case */
    CHAR_PATH = 32   /* what a component of a path that can be routed may hold: CHAR_TARGET without
                        '/', '%' and '?' */
};

extern const unsigned char http_chars[256];

static inline bool http_is(char c, unsigned class)
{
    return (http_chars[(unsigned char)c] & class) != 0;
}

/* Value of a CHAR_HEX character. */
static inline unsigned http_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

#endif
