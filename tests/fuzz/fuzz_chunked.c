/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies: any division into pieces gives the same body, the same end, the same refusal. */
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/util.h"
#include "http/chunked.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum chunked_result result;
    size_t used;
    size_t body;
    uint64_t hash;
};

static struct outcome decode(const uint8_t *p, size_t n, size_t piece)
{
    struct outcome o = {.result = CHUNKED_MORE, .hash = 1469598103934665603u};
    struct chunked c;
    chunked_init(&c);
    while (o.used < n && (o.result == CHUNKED_MORE || o.result == CHUNKED_DATA)) {
        size_t have = MIN(piece, n - o.used), used = 0;
        char *heap = malloc(have);
        CHECK(heap);
        memcpy(heap, p + o.used, have);
        struct slice body = SLICE_NONE;
        struct error err = {0};
        o.result = chunked_next(&c, heap, have, &used, &body, &err);
        CHECK(used <= have);
        CHECK(o.result != CHUNKED_MORE || used == have);
        CHECK(o.result != CHUNKED_BAD || err.detail[0]);
        if (o.result == CHUNKED_DATA) {
            CHECK(body.n > 0 && body.n <= used && body.p + body.n == heap + used);
            for (size_t i = 0; i < body.n; i++)
                o.hash = (o.hash ^ (unsigned char)body.p[i]) * 1099511628211u;
            o.body += body.n;
        }
        o.used += used;
        free(heap);
    }
    if (o.result == CHUNKED_DATA)
        o.result = CHUNKED_MORE;
    CHECK(c.ext <= 257 && c.trailer <= 8193 && c.digits <= 17);
    CHECK(o.result != CHUNKED_END || o.body + 5 <= o.used);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct outcome whole = decode(data, size, size);
    for (size_t piece = 1; piece <= 5; piece += 2) {
        struct outcome o = decode(data, size, piece);
        CHECK(o.result == whole.result && o.used == whole.used);
        CHECK(o.body == whole.body && o.hash == whole.hash);
    }
    /* What comes after the end changes nothing. */
    if (whole.result == CHUNKED_END && whole.used < size) {
        struct outcome o = decode(data, whole.used, whole.used);
        CHECK(o.result == CHUNKED_END && o.used == whole.used && o.hash == whole.hash);
    }
    return 0;
}
