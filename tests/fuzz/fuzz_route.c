/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the method, the rest is a path. Whatever matches is rebuilt from its
 * pattern and parameters, and must be the path again. The same bytes are a request's target on its
 * way to a log, where no secret of its query may appear. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/util.h"
#include "http/engine_int.h"
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
    CLEANUP_BUF struct buf b = {0};
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

/* Nothing changes but "%3A" behind the last slash. */
static void check_path(struct arena *a, struct slice path)
{
    struct slice out = route_path(a, path);
    size_t last = 0, k = 0;
    for (size_t i = 0; i < path.n; i++)
        last = path.p[i] == '/' ? i + 1 : last;
    for (size_t i = 0; i < path.n; k++) {
        static const char colon[] = "%3a";
        bool escaped = last && i >= last && path.n - i >= 3 && path.p[i] == colon[0] &&
                       path.p[i + 1] == colon[1] && (path.p[i + 2] | 0x20) == colon[2];
        CHECK(k < out.n && out.p[k] == (escaped ? ':' : path.p[i]));
        i += escaped ? 3 : 1;
    }
    CHECK(k == out.n);
}

/* A value that is set for each name of a secret is in no log, wherever it is put. */
static void check_target(struct arena *a, struct slice path)
{
    static const char *const names[] = {"token", "password", "access_token", "sig", "%73ig"};
    CHECK(access_target(a, path).n <= 3 * path.n);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP_BUF struct buf b = {0};
        buf_init(&b, 1 << 20);
        buf_slice(&b, path);
        buf_puts(&b, memchr(b.n ? b.p : "", '?', b.n) ? "&" : "?");
        buf_puts(&b, names[i]);
        buf_puts(&b, "=\x01 canary");
        struct slice out = access_target(a, buf_view(&b));
        /* Unless the path has it already. */
        CHECK(!memmem(out.p, out.n, "\x01 canary", 8) ||
              memmem(path.p ? path.p : "", path.n, "\x01 canary", 8));
    }
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
    struct arena *a = arena_new(1024);
    check_path(a, path);
    check_target(a, path);
    arena_free(a);
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
