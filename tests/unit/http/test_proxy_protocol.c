/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "http/proxy_protocol.h"

#include "base/banned.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Whole, in every shorter form, and with something behind it. */
static void expect(struct slice in, int want, const struct proxy_header *wanted)
{
    struct proxy_header h = {.length = 77};
    int rc = proxy_header_parse(in, &h);
    if (rc != want)
        fail_msg("%.*s: %d", SLICE_ARG(in), rc);
    if (want <= 0) {
        assert_int_equal(h.length, 77); /* untouched */
        return;
    }
    assert_int_equal(h.length, wanted->length);
    assert_int_equal(h.local, wanted->local);
    assert_int_equal(h.tls, wanted->tls);
    assert_string_equal(h.peer, wanted->peer);
    for (size_t n = 0; n < h.length; n++) {
        struct proxy_header part;
        assert_int_equal(proxy_header_parse(slice_first(in, n), &part), 0);
    }
}

static void test_version_1(void **state)
{
    (void)state;
    static const struct {
        const char *text, *peer; /* peer NULL: refused, "": local, "more": more is needed */
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1:56324"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 0 1\r\n", "192.0.2.1:0"},
        {"PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443\r\n", "[2001:db8::1]:56324"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY UNKNOWN\r\n", ""},
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""},
        {"P", "more"},
        {"PROXY", "more"},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r", "more"},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n", NULL},
        {"PROXY  TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 1\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 056 443\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 x\r\n", NULL},
        {"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", NULL},
        {"PROXY TCP4 192.0.2.1 nobody 1 2\r\n", NULL},
        {"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", NULL},
        {"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", NULL},
        {"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", NULL},
        {"PROXY\r\n", NULL},
        {"PROXY \r\n", NULL},
        {"PROXX ", NULL},
        {"PUT /v2/ HTTP/1.1\r\n", NULL},
        {"GET / HTTP/1.1\r\n", NULL},
        {"\x16\x03\x01", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *peer = rows[i].peer;
        struct proxy_header want = {.length = strlen(rows[i].text), .local = peer && !*peer};
        int rc = !peer ? -1 : strcmp(peer, "more") == 0 ? 0 : 1;
        if (rc > 0)
            (void)snprintf(want.peer, sizeof want.peer, "%s", peer);
        expect(slice_cstr(rows[i].text), rc, &want);
    }
    char text[256];
    (void)snprintf(text, sizeof text, "PROXY UNKNOWN %090d\r\nGET / HTTP/1.1\r\n", 0);
    struct proxy_header want = {.length = 106, .local = true}; /* one byte below the most */
    expect(slice_cstr(text), 1, &want);
    (void)snprintf(text, sizeof text, "PROXY UNKNOWN %0100d\r\n", 0);
    expect(slice_cstr(text), -1, NULL);
    expect(slice_first(slice_cstr(text), 106), 0, NULL);
    expect(slice_first(slice_cstr(text), 107), -1, NULL);
}

#define V4 "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"
#define V6                                                                                     \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdc" \
    "\x04\x01\xbb"

static void test_version_2(void **state)
{
    (void)state;
    expect(SLICE_LIT(SIGNATURE "\x21\x11\x00\x0c" V4 "GET"), 1,
           &(struct proxy_header){.length = 28, .peer = "192.0.2.1:56324"});
    expect(SLICE_LIT(SIGNATURE "\x21\x21\x00\x24" V6), 1,
           &(struct proxy_header){.length = 52, .peer = "[2001:db8::1]:56324"});
    /* LOCAL: whatever stands there */
    expect(SLICE_LIT(SIGNATURE "\x20\x00\x00\x00"), 1,
           &(struct proxy_header){.length = 16, .local = true});
    expect(SLICE_LIT(SIGNATURE "\x20\x11\x00\x0c" V4), 1,
           &(struct proxy_header){.length = 28, .local = true});
    /* PROXY, unspecified */
    expect(SLICE_LIT(SIGNATURE "\x21\x00\x00\x02xx"), 1,
           &(struct proxy_header){.length = 18, .local = true});
    /* TLVs: an authority, and TLS at the proxy */
    expect(SLICE_LIT(SIGNATURE "\x21\x11\x00\x12" V4 "\x02\x00\x03x.y"), 1,
           &(struct proxy_header){.length = 34, .peer = "192.0.2.1:56324"});
    expect(SLICE_LIT(SIGNATURE "\x21\x11\x00\x1a" V4 "\x02\x00\x03x.y\x20\x00\x05\x01\0\0\0\0"), 1,
           &(struct proxy_header){.length = 42, .tls = true, .peer = "192.0.2.1:56324"});
    expect(SLICE_LIT(SIGNATURE "\x21\x11\x00\x14" V4 "\x20\x00\x05\x00\0\0\0\0"), 1,
           &(struct proxy_header){.length = 36, .peer = "192.0.2.1:56324"});
    /* a Unix socket at the proxy */
    char unix_header[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/x";
    expect(slice_make(unix_header, sizeof unix_header), 1,
           &(struct proxy_header){.length = sizeof unix_header, .peer = "unix"});

    const struct slice bad[] = {
        SLICE_LIT(SIGNATURE "\x11\x11\x00\x0c" V4),                 /* version 1 in this form */
        SLICE_LIT(SIGNATURE "\x22\x11\x00\x0c" V4),                 /* an unknown command */
        SLICE_LIT(SIGNATURE "\x21\x12\x00\x0c" V4),                 /* datagrams */
        SLICE_LIT(SIGNATURE "\x21\x11\x00\x0b" V4),                 /* too short for the family */
        SLICE_LIT(SIGNATURE "\x21\x21\x00\x23" V6),                 /* the same */
        SLICE_LIT(SIGNATURE "\x21\x31\x00\x02xx"),                  /* the same */
        SLICE_LIT(SIGNATURE "\x21\x11\x00\x0e" V4 "xx"),            /* a TLV without a length */
        SLICE_LIT(SIGNATURE "\x21\x11\x00\x10" V4 "\x02\x00\x09x"), /* longer than there is */
        SLICE_LIT(SIGNATURE "\x21\x11\x02\x09"),                    /* longer than we take */
        SLICE_LIT("\r\n\r\n\0\r\nQUIX"),
        SLICE_LIT("\r\nGET"),
        SLICE_LIT("\0"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect(bad[i], -1, NULL);
    expect(SLICE_LIT(SIGNATURE "\x21\x11\x02\x08"), 0, NULL);
    expect(SLICE_NONE, 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_version_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
