/* SPDX-License-Identifier: Apache-2.0 */
/* Field values and queries. The first byte chooses the function, the second a size. */
#include <stdint.h>
#include <stdlib.h>

#include "base/util.h"
#include "http/field.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_range(struct slice value, uint64_t size)
{
    uint64_t first = 0, length = 0;
    if (http_range(value, size, &first, &length) == RANGE_ONE) {
        CHECK(length > 0 && first < size && length <= size - first);
        CHECK(!memchr(value.p, ',', value.n));
    }
}

static void fuzz_upload_range(struct slice value)
{
    uint64_t first = 0, last = 0;
    struct error err = {0};
    if (http_upload_range(value, &first, &last, &err) == 0)
        CHECK(first <= last && last <= INT64_MAX);
    else
        CHECK(err.code == ERR_RANGE_INVALID);
}

static void fuzz_etag(struct slice value, uint8_t cut)
{
    struct slice etag = slice_first(value, cut);
    struct slice list = slice_from(value, cut);
    bool strong = http_etag_match(list, etag, false);
    bool weak = http_etag_match(list, etag, true);
    CHECK(!strong || weak);
    if (weak && !slice_is(slice_trim(list), "*"))
        CHECK(etag.n == 0 || memmem(list.p, list.n, etag.p, etag.n));
}

static void fuzz_query(struct slice query)
{
    struct arena *a = arena_new(512);
    for (unsigned k = 0; k < 3; k++) {
        struct slice v = SLICE_NONE;
        bool bad = false;
        if (http_query_nth(query, "a", k, a, &v, &bad)) {
            CHECK(!bad && v.n <= query.n && !memchr(v.p, '\0', v.n));
            struct buf b CLEANUP_BUF;
            buf_init(&b, 1 << 20);
            struct slice again;
            CHECK(buf_puts(&b, "b=1&a=") == 0 && http_query_encode(&b, v) == 0);
            CHECK(http_query_get(buf_view(&b), "a", a, &again, NULL) && slice_eq(again, v));
        }
    }
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384)
        return 0;
    char *p = malloc(size - 2 ? size - 2 : 1);
    CHECK(p);
    memcpy(p, data + 2, size - 2);
    struct slice value = slice_make(p, size - 2);
    switch (data[0] % 4) {
    case 0:
        fuzz_range(value, data[1] < 128 ? data[1] : (uint64_t)INT64_MAX >> (data[1] & 63));
        break;
    case 1:
        fuzz_upload_range(value);
        break;
    case 2:
        fuzz_etag(value, data[1]);
        break;
    default:
        fuzz_query(value);
        break;
    }
    free(p);
    return 0;
}
