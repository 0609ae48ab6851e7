/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum {
    V1_MAX = 107, /* with its CRLF: specification, 2.1 */
    V2_FIXED = 16,
    V2_IPV4 = 12,
    V2_IPV6 = 36,
    V2_UNIX = 216,
    TLV_SSL = 0x20,   /* PP2_TYPE_SSL */
    CLIENT_SSL = 0x01 /* PP2_CLIENT_SSL */
};

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* Does what there is of p begin as `start` does? */
static bool may_be(struct slice p, const char *start, size_t n)
{
    return memcmp(p.p, start, MIN(p.n, n)) == 0;
}

static void write_peer(struct proxy_header *out, const char *host, bool v6, unsigned port)
{
    (void)snprintf(out->peer, sizeof out->peer, v6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* ---- version 1: PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 CRLF ---- */

/* The address is printed again from its bytes: what gets into logs is ours. */
static bool v1_address(struct slice text, bool v6, char out[INET6_ADDRSTRLEN])
{
    char copy[INET6_ADDRSTRLEN] = "";
    unsigned char raw[16];
    int family = v6 ? AF_INET6 : AF_INET;
    if (text.n == 0 || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    return inet_pton(family, copy, raw) == 1 && inet_ntop(family, raw, out, INET6_ADDRSTRLEN);
}

static bool v1_port(struct slice text, unsigned *port)
{
    uint64_t v;
    if (text.n > 5 || (text.n > 1 && text.p[0] == '0') || parse_u63(text, &v) || v > UINT16_MAX)
        return false;
    *port = (unsigned)v;
    return true;
}

static int v1_line(struct slice line, struct proxy_header *out)
{
    struct slice family = slice_cut(&line, ' ');
    if (slice_is(family, "UNKNOWN")) { /* whatever follows is to be ignored */
        out->local = true;
        return 1;
    }
    bool v6 = slice_is(family, "TCP6");
    if (!v6 && !slice_is(family, "TCP4"))
        return -1;
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
    unsigned port, to;
    struct slice from_text = slice_cut(&line, ' '), to_text = slice_cut(&line, ' ');
    struct slice port_text = slice_cut(&line, ' ');
    if (!v1_address(from_text, v6, source) || !v1_address(to_text, v6, destination) ||
        !v1_port(port_text, &port) || !v1_port(line, &to))
        return -1;
    write_peer(out, source, v6, port);
    return 1;
}

static int v1_parse(struct slice in, struct proxy_header *out)
{
    static const char start[] = "PROXY ";
    if (!may_be(in, start, sizeof start - 1))
        return -1;
    struct slice look = slice_first(in, V1_MAX);
    const char *end = memchr(look.p, '\n', look.n);
    if (!end)
        return in.n >= V1_MAX ? -1 : 0;
    size_t n = (size_t)(end - look.p);
    if (n < sizeof start || look.p[n - 1] != '\r')
        return -1;
    out->length = n + 1;
    return v1_line(slice_make(look.p + sizeof start - 1, n - sizeof start), out);
}

/* ---- version 2 ---- */

static unsigned be16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static int v2_extensions(struct slice tlv, struct proxy_header *out)
{
    while (tlv.n) {
        if (tlv.n < 3)
            return -1;
        unsigned type = (unsigned char)tlv.p[0], n = be16(tlv.p + 1);
        if (n > tlv.n - 3)
            return -1;
        if (type == TLV_SSL && n > 0 && (tlv.p[3] & CLIENT_SSL))
            out->tls = true;
        tlv = slice_from(tlv, 3 + (size_t)n);
    }
    return 1;
}

/* Family and transport in one byte: the upper half is 1 for IPv4, 2 for IPv6, 3 for Unix; the lower
 * one 1 for a stream. */
static int v2_addresses(unsigned kind, struct slice body, struct proxy_header *out)
{
    char host[INET6_ADDRSTRLEN];
    size_t n;
    switch (kind) {
    case 0x11:
        n = V2_IPV4;
        if (body.n < n)
            return -1;
        (void)inet_ntop(AF_INET, body.p, host, sizeof host);
        write_peer(out, host, false, be16(body.p + 8));
        break;
    case 0x21:
        n = V2_IPV6;
        if (body.n < n)
            return -1;
        (void)inet_ntop(AF_INET6, body.p, host, sizeof host);
        write_peer(out, host, true, be16(body.p + 32));
        break;
    case 0x31:
        n = V2_UNIX;
        if (body.n < n)
            return -1;
        (void)snprintf(out->peer, sizeof out->peer, "unix");
        break;
    case 0x00: /* unspecified: accepted, and the addresses ignored */
        out->local = true;
        return 1;
    default: /* datagrams do not come here */
        return -1;
    }
    return v2_extensions(slice_from(body, n), out);
}

static int v2_parse(struct slice in, struct proxy_header *out)
{
    if (!may_be(in, v2_signature, sizeof v2_signature))
        return -1;
    if (in.n < V2_FIXED)
        return 0;
    unsigned command = (unsigned char)in.p[12], kind = (unsigned char)in.p[13];
    size_t n = V2_FIXED + be16(in.p + 14);
    if ((command != 0x20 && command != 0x21) || n > PROXY_HEADER_MAX)
        return -1;
    if (in.n < n)
        return 0;
    out->length = n;
    if (command == 0x20) { /* LOCAL: the addresses are to be ignored */
        out->local = true;
        return 1;
    }
    return v2_addresses(kind, slice_make(in.p + V2_FIXED, n - V2_FIXED), out);
}

int proxy_header_parse(struct slice input, struct proxy_header *out)
{
    struct proxy_header h = {0};
    if (input.n == 0)
        return 0;
    int rc = input.p[0] == 'P' ? v1_parse(input, &h) : v2_parse(input, &h);
    if (rc > 0)
        *out = h;
    return rc;
}
