/* SPDX-License-Identifier: Apache-2.0 */
#include "http/chunked.h"

#include "base/util.h"
#include "http/chars.h"

#include "base/banned.h"

enum {
    DIGITS_MAX = 16,
    EXT_MAX = 256,     /* over the whole body, cf. CVE-2023-39326 */
    TRAILER_MAX = 8192 /* the trailer section without its last CRLF */
};

/* Where the next byte belongs. The grammar is that of RFC 9112 7.1 without its "bad white space":
 * nobody sends it, and parsers disagree about it. */
enum state {
    SIZE_FIRST, /* first digit of a chunk's size */
    SIZE,
    EXT_NAME_FIRST, /* after ';' */
    EXT_NAME,
    EXT_VALUE_FIRST, /* after '=' */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* first byte of a trailer line, or the CR that ends it all */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    BROKEN
};

void chunked_init(struct chunked *c)
{
    *c = (struct chunked){.state = SIZE_FIRST};
}

static int bad(struct error *err, const char *what)
{
    return error_detail(err, ERR_BAD_REQUEST, "the chunked body is malformed: %s", what);
}

/* The next state, or -1 with err, for a byte of a size or of the line that ends it. */
static int on_size(struct chunked *c, char b, struct error *err)
{
    if (http_is(b, CHAR_HEX)) {
        if (++c->digits > DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4)
            return bad(err, "the size of a chunk is 2^63 or more, or has over 16 digits");
        c->left = c->left << 4 | http_hex(b);
        return SIZE;
    }
    if (c->state == SIZE && b == '\r')
        return SIZE_LF;
    if (c->state == SIZE && b == ';')
        return EXT_NAME_FIRST;
    return bad(err, "the size of a chunk is not hexadecimal digits and CRLF");
}

static int on_ext(struct chunked *c, char b, struct error *err)
{
    bool token = http_is(b, CHAR_TOKEN);
    switch ((enum state)c->state) {
    case EXT_NAME_FIRST:
        if (token)
            return EXT_NAME;
        break;
    case EXT_NAME:
        if (token)
            return EXT_NAME;
        if (b == '=')
            return EXT_VALUE_FIRST;
        break;
    case EXT_VALUE_FIRST:
        if (token)
            return EXT_VALUE;
        if (b == '"')
            return EXT_QUOTED;
        break;
    case EXT_VALUE:
        if (token)
            return EXT_VALUE;
        break;
    case EXT_QUOTED:
        if (b == '"')
            return EXT_AFTER_QUOTED;
        if (http_is(b, CHAR_VALUE))
            return b == '\\' ? EXT_QUOTED_PAIR : EXT_QUOTED;
        break;
    case EXT_QUOTED_PAIR:
        if (http_is(b, CHAR_VALUE))
            return EXT_QUOTED;
        break;
    default:
        break;
    }
    if (c->state == EXT_NAME || c->state == EXT_VALUE || c->state == EXT_AFTER_QUOTED) {
        if (b == ';')
            return EXT_NAME_FIRST;
        if (b == '\r')
            return SIZE_LF;
    }
    return bad(err, "a chunk extension is not ;name=value");
}

static int on_trailer(struct chunked *c, char b, struct error *err)
{
    switch ((enum state)c->state) {
    case TRAILER_FIRST:
        if (b == '\r')
            return END_LF;
        if (http_is(b, CHAR_TOKEN))
            return TRAILER_NAME;
        break;
    case TRAILER_NAME:
        if (http_is(b, CHAR_TOKEN))
            return TRAILER_NAME;
        if (b == ':')
            return TRAILER_VALUE;
        break;
    default:
        if (http_is(b, CHAR_VALUE))
            return TRAILER_VALUE;
        if (b == '\r')
            return TRAILER_LF;
        break;
    }
    return bad(err, "a trailer field is not a name, a colon and a value");
}

/* The next state for one byte outside of a chunk's data, or -1 with err. */
static int step(struct chunked *c, char b, struct error *err)
{
    switch ((enum state)c->state) {
    case SIZE_FIRST:
    case SIZE:
        return on_size(c, b, err);
    case SIZE_LF:
        if (b != '\n')
            return bad(err, "a CR that no LF follows");
        return c->left > 0 ? DATA : TRAILER_FIRST;
    case DATA_CR:
        return b == '\r' ? DATA_LF : bad(err, "a chunk is longer than its size");
    case DATA_LF:
        if (b != '\n')
            return bad(err, "a CR that no LF follows");
        c->digits = 0;
        return SIZE_FIRST;
    case TRAILER_FIRST:
        c->line = 0;
        return on_trailer(c, b, err);
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return on_trailer(c, b, err);
    case TRAILER_LF:
        return b == '\n' ? TRAILER_FIRST : bad(err, "a CR that no LF follows");
    case END_LF:
        return b == '\n' ? DONE : bad(err, "a CR that no LF follows");
    default:
        return on_ext(c, b, err);
    }
}

/* Counts the byte that led to state `next` against the limits. */
static int count(struct chunked *c, int next, struct error *err)
{
    bool ext = next >= EXT_NAME_FIRST && next <= EXT_AFTER_QUOTED;
    if (ext && ++c->ext > EXT_MAX)
        return bad(err, "more than 256 bytes of chunk extensions");
    bool trailer = c->state >= TRAILER_FIRST && c->state <= TRAILER_LF && next != END_LF;
    if (trailer) {
        c->line++;
        if (++c->trailer > TRAILER_MAX)
            return error_detail(err, ERR_HEADERS_TOO_LARGE,
                                "the trailer section is longer than %d bytes", TRAILER_MAX);
    }
    return 0;
}

enum chunked_result chunked_next(struct chunked *c, const char *p, size_t n, size_t *consumed,
                                 struct slice *data, struct error *err)
{
    size_t at = 0;
    while (c->state != DONE && at < n) {
        if (c->state == BROKEN) {
            *consumed = 0;
            (void)bad(err, "it was refused before");
            return CHUNKED_BAD;
        }
        if (c->state == DATA) {
            size_t len = c->left < n - at ? (size_t)c->left : n - at;
            c->left -= len;
            if (c->left == 0)
                c->state = DATA_CR;
            *data = slice_make(p + at, len);
            *consumed = at + len;
            return CHUNKED_DATA;
        }
        int next = step(c, p[at], err);
        if (next < 0 || count(c, next, err)) {
            c->state = BROKEN;
            *consumed = at;
            return CHUNKED_BAD;
        }
        c->state = next;
        at++;
    }
    *consumed = at;
    return c->state == DONE ? CHUNKED_END : CHUNKED_MORE;
}
