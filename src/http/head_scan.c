/* SPDX-License-Identifier: Apache-2.0 */
/* The first pass over a head: finds its end while the bytes arrive, and stops early on what can
 * never become valid. Every byte is looked at once, however small the pieces are. */
#include "base/util.h"
#include "http/chars.h"
#include "http/head_int.h"

#include "base/banned.h"

enum { TLS_HANDSHAKE = 0x16 /* first byte of a TLS record with a ClientHello, RFC 8446 5.1 */ };

/* Eight bytes at a time: the two expressions set the high bit of every byte that is below 0x20 or
 * equal to 0x7f. A borrow can set more of them, but only above a true hit, and the loop behind it
 * looks again. */
size_t http_skip_text(const char *p, size_t at, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (n - at >= 8) {
        uint64_t w;
        memcpy(&w, p + at, 8);
        uint64_t below = (w - ones * 0x20) & ~w;
        uint64_t diff = w ^ (ones * 0x7f);
        uint64_t del = (diff - ones) & ~diff;
        if ((below | del) & (ones * 0x80))
            break;
        at += 8;
    }
    while (at < n && (unsigned char)p[at] >= 0x20 && p[at] != 0x7f)
        at++;
    return at;
}

int http_bad_control(unsigned char c, struct error *err)
{
    if (c == '\n')
        return error_detail(err, ERR_BAD_REQUEST,
                            "a line of the request head ends in a bare LF; lines end in CRLF");
    if (c == '\r')
        return error_detail(err, ERR_BAD_REQUEST,
                            "the request head has a CR that no LF follows; lines end in CRLF");
    if (c == '\0')
        return error_detail(err, ERR_BAD_REQUEST, "the request head has a NUL byte");
    return error_detail(err, ERR_BAD_REQUEST, "the request head has the control byte 0x%02x", c);
}

static int bad_first_byte(unsigned char c, struct error *err)
{
    if (c == TLS_HANDSHAKE)
        return error_detail(err, ERR_BAD_REQUEST,
                            "this is a TLS handshake, but this port speaks plain HTTP: use an "
                            "http:// address, or the registry's TLS port");
    if (c == '\n' || c == '\0')
        return http_bad_control(c, err);
    return error_detail(err, ERR_BAD_REQUEST,
                        "a request begins with a method, not with the byte 0x%02x", c);
}

static int check_line(size_t len, unsigned lines, struct error *err)
{
    if (lines == 0) {
        if (len > HTTP_REQUEST_LINE_MAX)
            return error_detail(err, ERR_URI_TOO_LONG, "the request target is longer than %d bytes",
                                HTTP_LINE_MAX);
        return 0;
    }
    if (len > HTTP_LINE_MAX)
        return error_detail(err, ERR_HEADERS_TOO_LARGE,
                            "a header field line is longer than %d bytes", HTTP_LINE_MAX);
    if (lines > HTTP_FIELDS_MAX)
        return error_detail(err, ERR_HEADERS_TOO_LARGE,
                            "the request has more than %d header fields", HTTP_FIELDS_MAX);
    return 0;
}

int64_t http_head_scan(const char *p, size_t n, struct http_scan *scan, struct error *err)
{
    size_t limit = MIN(n, (size_t)HTTP_HEAD_MAX);
    size_t at = scan->at;
    while (at < limit) {
        if (scan->lines == 0 && at == scan->line_start && p[at] != '\r' &&
            !http_is(p[at], CHAR_TOKEN))
            return bad_first_byte((unsigned char)p[at], err);
        at = http_skip_text(p, at, limit);
        if (at == limit)
            break;
        if (p[at] == '\t') {
            at++;
            continue;
        }
        if (p[at] != '\r')
            return http_bad_control((unsigned char)p[at], err);
        if (at + 1 == limit)
            break; /* the CR is looked at again, with what follows it */
        if (p[at + 1] != '\n')
            return http_bad_control('\r', err);
        size_t len = at - scan->line_start;
        at += 2;
        if (len > 0) {
            if (check_line(len, scan->lines, err))
                return -1;
            scan->lines++;
        } else if (scan->lines > 0) {
            scan->at = at;
            return (int64_t)at;
        } else if (scan->line_start > 0) {
            return error_detail(err, ERR_BAD_REQUEST,
                                "more than one empty line before the request line");
        }
        scan->line_start = at;
    }
    scan->at = at;
    if (at > scan->line_start && check_line(at - scan->line_start, scan->lines, err))
        return -1;
    if (n >= HTTP_HEAD_MAX)
        return error_detail(err, ERR_HEADERS_TOO_LARGE, "the request head is longer than %d bytes",
                            HTTP_HEAD_MAX);
    return 0;
}
