/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"
#include "http/chars.h"
#include "http/engine_int.h"

#include "base/banned.h"

/* Compared decoded, for whoever reads the query decodes it too, and without regard to case: better
 * one name too many. */
static bool name_is(struct slice raw, const char *name)
{
    while (raw.n && *name) {
        char c = raw.p[0];
        size_t n = 1;
        if (c == '%' && raw.n >= 3 && http_is(raw.p[1], CHAR_HEX) && http_is(raw.p[2], CHAR_HEX)) {
            c = (char)(http_hex(raw.p[1]) << 4 | http_hex(raw.p[2]));
            n = 3;
        }
        if (ascii_lower(c) != *name++)
            return false;
        raw = slice_from(raw, n);
    }
    return raw.n == 0 && !*name;
}

static bool is_secret(struct slice name)
{
    static const char *const names[] = {"token", "password", "access_token", "sig", "signature"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (name_is(name, names[i]))
            return true;
    }
    return false;
}

struct slice access_target(struct arena *a, struct slice target)
{
    target = slice_first(target, LOGGED_MAX);
    struct slice query = target;
    (void)slice_cut(&query, '?');
    bool any = false;
    for (struct slice rest = query; rest.p && !any;) {
        struct slice value = slice_cut(&rest, '&');
        any = is_secret(slice_cut(&value, '='));
    }
    if (!any)
        return target;
    struct buf b;
    buf_init(&b, LOGGED_MAX * 3); /* "sig&" becomes "sig=***&": twice as long */
    buf_add(&b, target.p, (size_t)(query.p - target.p));
    for (bool first = true; query.p; first = false) {
        struct slice pair = slice_cut(&query, '&'), value = pair;
        struct slice name = slice_cut(&value, '=');
        if (!first)
            buf_putc(&b, '&');
        buf_slice(&b, is_secret(name) ? name : pair);
        if (is_secret(name))
            buf_puts(&b, "=***");
    }
    struct slice out = arena_slice(a, buf_view(&b));
    buf_release(&b);
    return out;
}
