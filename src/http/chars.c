/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chars.h"

#include "base/banned.h"

#define T CHAR_TOKEN
#define G CHAR_TARGET
#define H CHAR_HOST
#define V CHAR_VALUE
#define X CHAR_HEX
#define P CHAR_PATH

/* A class of a byte that has a row of its own is written out in full, since a later designator
 * replaces an earlier one. Everything that is not listed (controls, DEL) is in no class. */
const unsigned char http_chars[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | G | V | P,
    ['"'] = G | V | P,
    ['#'] = T | V,
    ['$'] = T | G | V | P,
    ['%'] = T | G | V,
    ['&'] = T | G | V | P,
    ['\''] = T | G | V | P,
    ['('] = G | V | P,
    [')'] = G | V | P,
    ['*'] = T | G | V | P,
    ['+'] = T | G | V | P,
    [','] = G | V | P,
    ['-'] = T | G | H | V | P,
    ['.'] = T | G | H | V | P,
    ['/'] = G | V,
    ['0' ... '9'] = T | G | H | V | X | P,
    [':'] = G | V | P,
    [';'] = G | V | P,
    ['<'] = G | V | P,
    ['='] = G | V | P,
    ['>'] = G | V | P,
    ['?'] = G | V,
    ['@'] = G | V | P,
    ['A' ... 'F'] = T | G | H | V | X | P,
    ['G' ... 'Z'] = T | G | H | V | P,
    ['['] = G | V | P,
    ['\\'] = G | V | P,
    [']'] = G | V | P,
    ['^'] = T | G | V | P,
    ['_'] = T | G | H | V | P,
    ['`'] = T | G | V | P,
    ['a' ... 'f'] = T | G | H | V | X | P,
    ['g' ... 'z'] = T | G | H | V | P,
    ['{'] = G | V | P,
    ['|'] = T | G | V | P,
    ['}'] = G | V | P,
    ['~'] = T | G | H | V | P,
    [0x80 ... 0xff] = V,
};
