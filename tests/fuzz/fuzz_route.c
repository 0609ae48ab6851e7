/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the method, the rest is a path. Whatever matches is rebuilt from its
 * pattern and parameters, and must be the path again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/util.h"
#include "http/route.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct route table[] = {
    {.method = HTTP_GET, .pattern = "/v2/"},
    {.method = HTTP_GET, .pattern = "/v2/_catalog"},
    {.method = HTTP_GET, .pattern = "/v2/<name>/tags/list"},
    {.method = HTTP_GET, .pattern = "/v2/<name>/manifests/<reference>"},
    {.method = HTTP_PUT, .pattern = "/v2/<name>/manifests/<reference>"},
    {.method = HTTP_DELETE, .pattern = "/v2/<name>/manifests/<reference>"},
    {.method = HTTP_GET, .pattern = "/v2/<name>/blobs/<digest>"},
    {.method = HTTP_DELETE, .pattern = "/v2/<name>/blobs/<digest>"},
    {.method = HTTP_POST, .pattern = "/v2/<name>/blobs/uploads/"},
    {.method = HTTP_GET, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.method = HTTP_PATCH, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.method = HTTP_PUT, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.method = HTTP_DELETE, .pattern = "/v2/<name>/blobs/uploads/<id>"},
    {.method = HTTP_GET, .pattern = "/v2/<name>/referrers/<digest>"},
    {.method = HTTP_GET, .pattern = "/x/<kind>/<name>/at/<id>"},
    {.method = HTTP_GET, .pattern = "/livez"},
};

static void check_param(struct slice param, bool name)
{
    CHECK(param.n > 0 && param.p[0] != '/' && param.p[param.n - 1] != '/');
    for (size_t i = 0; i < param.n; i++) {
        char c = param.p[i];
        CHECK(c > 0x20 && c < 0x7f && c != '%' && c != '?' && c != '#' && (name || c != '/'));
    }
    for (struct slice rest = param; rest.p;) {
        struct slice c = slice_cut(&rest, '/');
        CHECK(c.n > 0 && !slice_is(c, ".") && !slice_is(c, ".."));
    }
}

static void rebuild(const struct route_match *m, struct slice path)
{
    struct buf b CLEANUP_BUF;
    buf_init(&b, 1 << 20);
    unsigned k = 0;
    struct slice rest = slice_from(slice_cstr(m->route->pattern), 1);
    while (rest.p) {
        struct slice part = slice_cut(&rest, '/');
        (void)buf_putc(&b, '/');
        if (part.n > 0 && part.p[0] == '<') {
            check_param(m->param[k], slice_is(part, "<name>"));
            part = m->param[k++];
        }
        (void)buf_slice(&b, part);
    }
    CHECK(!b.failed);
    struct slice built = buf_view(&b);
    if (slice_ends(built, SLICE_LIT("/")) && !slice_ends(path, SLICE_LIT("/")))
        built.n--;
    CHECK(slice_eq(built, path));
    CHECK(!(slice_is(slice_cstr(m->route->pattern), "/v2/<name>/blobs/<digest>") &&
            slice_is(m->param[1], "uploads")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *p = malloc(size);
    CHECK(p);
    memcpy(p, data, size);
    enum http_method method = (enum http_method)((unsigned char)p[0] % HTTP_METHOD_COUNT);
    char *heap = malloc(size - 1 ? size - 1 : 1);
    CHECK(heap);
    if (size > 1)
        memcpy(heap, p + 1, size - 1);
    struct slice path = slice_make(heap, size - 1);
    struct route_match m;
    route_match(table, ARRAY_LEN(table), method, path, &m);
    if (m.route) {
        CHECK(m.allowed & 1u << method);
        rebuild(&m, path);
    } else {
        CHECK(!(m.allowed & 1u << method) || method == HTTP_OPTIONS);
    }
    free(heap);
    free(p);
    return 0;
}
