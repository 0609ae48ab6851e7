/* SPDX-License-Identifier: Apache-2.0 */
/* Names of variables: which are Kubernetes' own, and in what order they are applied. */
#include <ctype.h>

#include "base/util.h"
#include "main/config_int.h"

#include "base/banned.h"

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isdigit((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

static bool cut_suffix(struct slice *s, const char *suffix)
{
    if (!slice_ends(*s, slice_cstr(suffix)))
        return false;
    s->n -= strlen(suffix);
    return true;
}

/* "..._PORT_5000_TCP" and what may follow. */
static bool is_port_variable(struct slice name)
{
    if (!cut_suffix(&name, "_PROTO") && !cut_suffix(&name, "_PORT"))
        (void)cut_suffix(&name, "_ADDR");
    if (!cut_suffix(&name, "_TCP") && !cut_suffix(&name, "_UDP") && !cut_suffix(&name, "_SCTP"))
        return false;
    size_t digits = 0;
    while (digits < name.n && isdigit((unsigned char)name.p[name.n - 1 - digits]))
        digits++;
    name.n -= digits;
    return digits && slice_ends(name, SLICE_LIT("_PORT_"));
}

bool variable_is_kubernetes(struct slice name, struct slice value)
{
    static const char *const links[] = {"tcp://", "udp://", "sctp://"};
    if (slice_ends(name, SLICE_LIT("_SERVICE_HOST")) ||
        slice_ends(name, SLICE_LIT("_SERVICE_PORT")) || is_port_variable(name))
        return true;
    /* REGISTRY_SERVICE_PORT_HTTPS: a port with a name. */
    if (memmem(name.p, name.n, "_SERVICE_PORT_", 14) && all_digits(value))
        return true;
    if (slice_ends(name, SLICE_LIT("_PORT")))
        for (size_t i = 0; i < ARRAY_LEN(links); i++)
            if (slice_starts(value, slice_cstr(links[i])))
                return true;
    return false;
}

/* Registry applies variables in the byte order of their names, which puts a section before what is
 * in it. Indices are the exception: _10 comes after _9, so that lists can be made of any length. */
void variable_sort_key(struct slice name, struct buf *out)
{
    enum { WIDTH = 10 };
    for (struct slice rest = name; rest.p;) {
        struct slice part = slice_cut(&rest, '_');
        if (all_digits(part)) {
            while (part.n > 1 && part.p[0] == '0')
                part = slice_from(part, 1);
            for (size_t i = part.n; i < WIDTH; i++)
                buf_putc(out, '0');
        }
        buf_slice(out, part);
        if (rest.p)
            buf_putc(out, '_');
    }
}
