/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: the scan in any pieces answers the same, and what the parser accepts obeys the
 * rules of RFC 9112 as they are checked here once more, naively. */
#include <stdint.h>
#include <stdlib.h>

#include "base/util.h"
#include "http/head.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t scan_whole(const char *p, size_t n, struct error *err)
{
    struct http_scan scan = {0};
    return http_head_scan(p, n, &scan, err);
}

static int64_t scan_pieces(const char *p, size_t n, size_t piece, struct error *err)
{
    struct http_scan scan = {0};
    int64_t r = 0;
    for (size_t have = 0; r == 0 && have < n;) {
        have = MIN(have + piece, n);
        r = http_head_scan(p, have, &scan, err);
        CHECK(r < 0 || scan.at <= have);
    }
    return r;
}

/* A line that is too long and has a bad byte behind the limit may be refused for either reason,
 * depending on what had come when the scan looked. */
static bool same_refusal(const struct error *a, const struct error *b)
{
    return a->code == b->code || a->code != ERR_BAD_REQUEST || b->code != ERR_BAD_REQUEST;
}

static unsigned count_fields(const struct http_head *h, const char *name)
{
    unsigned n = 0, pos = 0;
    struct slice v;
    while (http_field_next(h, name, &pos, &v))
        n++;
    return n;
}

static bool inside(struct slice s, struct slice head)
{
    return s.p >= head.p && s.p + s.n <= head.p + head.n;
}

static void check_accepted(struct slice head, const struct http_head *h)
{
    for (size_t i = 0; i < head.n; i++) {
        unsigned char c = (unsigned char)head.p[i];
        CHECK(c >= 0x20 || c == '\t' || c == '\r' || c == '\n');
        CHECK(c != 0x7f);
        CHECK(c != '\n' || (i > 0 && head.p[i - 1] == '\r'));
        CHECK(c != '\r' || (i + 1 < head.n && head.p[i + 1] == '\n'));
        if (c == '\n' && i + 1 < head.n)
            CHECK(head.p[i + 1] != ' ' && head.p[i + 1] != '\t');
    }
    CHECK(h->minor == 0 || h->minor == 1);
    CHECK(h->n_fields <= HTTP_FIELDS_MAX && h->target.n <= HTTP_LINE_MAX);
    CHECK(h->path.n > 0 && (h->path.p[0] == '/' || slice_is(h->path, "*")));
    CHECK(h->target.n == h->path.n + (h->query.p ? h->query.n + 1 : 0));
    CHECK(inside(h->method_text, head) && h->method_text.n > 0 && h->method_text.n <= 32);
    for (unsigned i = 0; i < h->n_fields; i++) {
        CHECK(inside(h->fields[i].name, head) && h->fields[i].name.n > 0);
        CHECK(h->fields[i].value.n == 0 || inside(h->fields[i].value, head));
        CHECK(slice_eq(h->fields[i].value, slice_trim(h->fields[i].value)));
    }
    unsigned te = count_fields(h, "Transfer-Encoding");
    unsigned cl = count_fields(h, "Content-Length");
    CHECK(te + cl <= 1 && (te == 0 || h->minor == 1));
    CHECK(h->chunked == (te == 1) && h->has_length == (cl == 1));
    if (te)
        CHECK(slice_ieq(http_field_get(h, "Transfer-Encoding"), SLICE_LIT("chunked")));
    if (cl) {
        uint64_t v;
        CHECK(parse_u63(http_field_get(h, "Content-Length"), &v) == 0 && v == h->length);
    }
    unsigned hosts = count_fields(h, "Host");
    CHECK(hosts <= 1 && (hosts == 1 || h->minor == 0));
    CHECK(hosts == 0 || h->host.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > HTTP_HEAD_MAX + 64)
        return 0;
    /* Memory of its own for each: ASan sees a read past the head. */
    char *p = malloc(size ? size : 1);
    CHECK(p);
    if (size)
        memcpy(p, data, size);
    struct error err = {0}, other = {0};
    int64_t n = scan_whole(p, size, &err);
    CHECK(n >= -1 && n <= (int64_t)size);
    CHECK(scan_pieces(p, size, 7, &other) == n && (n >= 0 || same_refusal(&err, &other)));
    if (size < 1024)
        CHECK(scan_pieces(p, size, 1, &other) == n && (n >= 0 || same_refusal(&err, &other)));

    static struct http_head h;
    if (n > 0) {
        char *head = malloc((size_t)n);
        CHECK(head);
        memcpy(head, p, (size_t)n);
        if (http_head_parse(slice_make(head, (size_t)n), &h, &err) == 0)
            check_accepted(slice_make(head, (size_t)n), &h);
        else
            CHECK(error_info(err.code)->status >= 400 && err.detail[0]);
        free(head);
    }
    /* The parser alone trusts nothing of the scan; what it accepts, the scan accepts too. */
    if (http_head_parse(slice_make(p, size), &h, &err) == 0)
        CHECK(n == (int64_t)size);
    free(p);
    return 0;
}
