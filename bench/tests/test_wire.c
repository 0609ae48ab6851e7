/* SPDX-License-Identifier: Apache-2.0 */
/* From every offset, wire_fill gives the same bytes that a plain encoder writes. */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"

#include "base/banned.h"

static void encode(const struct exchange *x, struct buf *out)
{
    CLEANUP_BUF struct buf body;
    buf_init(&body, 1 << 20);
    buf_slice(&body, x->part[0]);
    buf_slice(&body, x->part[1]);
    buf_slice(out, x->head);
    if (!x->chunk) {
        buf_slice(out, buf_view(&body));
        return;
    }
    for (size_t at = 0; at < body.n; at += x->chunk) {
        size_t n = MIN(x->chunk, body.n - at);
        buf_printf(out, "%zx\r\n", n);
        buf_add(out, body.p + at, n);
        buf_puts(out, "\r\n");
    }
    buf_puts(out, "0\r\n\r\n");
}

static void check(size_t first, size_t second, size_t chunk)
{
    char data[4096];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)('a' + i % 26);
    struct exchange x = {.head = SLICE_LIT("PUT / HTTP/1.1\r\n\r\n"),
                         .part = {slice_make(data, first), slice_make(data + first, second)},
                         .chunk = chunk};
    CLEANUP_BUF struct buf want;
    buf_init(&want, 1 << 20);
    encode(&x, &want);
    assert_int_equal(wire_length(&x), want.n);
    for (size_t at = 0; at < want.n; at++) {
        struct iovec iov[WIRE_IOV];
        size_t n = wire_fill(&x, at, iov);
        assert_true(n >= 1 && n <= WIRE_IOV);
        size_t pos = at;
        for (size_t i = 0; i < n; i++) {
            assert_true(iov[i].iov_len > 0 && pos + iov[i].iov_len <= want.n);
            assert_memory_equal(iov[i].iov_base, want.p + pos, iov[i].iov_len);
            pos += iov[i].iov_len;
        }
        assert_true(pos == want.n || n > WIRE_IOV - 4);
    }
}

static void any_offset_any_framing(void **state)
{
    (void)state;
    const size_t chunks[] = {0, 1, 7, 64, 100, 4096};
    const size_t parts[][2] = {{0, 0}, {0, 64}, {64, 0}, {36, 64}, {100, 1}, {640, 64}, {699, 5}};
    for (size_t c = 0; c < ARRAY_LEN(chunks); c++)
        for (size_t p = 0; p < ARRAY_LEN(parts); p++)
            check(parts[p][0], parts[p][1], chunks[c]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_offset_any_framing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
