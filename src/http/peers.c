/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in text, and the list of peers whose word counts. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/peers_int.h"

#include "base/banned.h"

struct network {
    unsigned char b[16];
    unsigned bits; /* of 128: those of IPv4 stand behind 96 others */
};

struct trusted_peers {
    bool everybody, local;
    unsigned n;
    struct network networks[];
};

/* ---- text ---- */

static bool parse_ip(struct slice text, unsigned char out[16], bool *v4)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char copy[INET6_ADDRSTRLEN] = "";
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, '\0', text.n))
        return false;
    memcpy(copy, text.p, text.n);
    *v4 = inet_pton(AF_INET, copy, out + 12) == 1;
    if (*v4)
        memcpy(out, mapped, sizeof mapped);
    return *v4 || inet_pton(AF_INET6, copy, out) == 1;
}

static bool is_port(struct slice text)
{
    uint64_t v;
    return text.n <= 5 && parse_u63(text, &v) == 0 && v <= UINT16_MAX;
}

bool peer_parse(struct slice text, unsigned char out[16])
{
    bool v4;
    if (text.n && text.p[0] == '[') {
        struct slice rest = slice_from(text, 1), host = slice_cut(&rest, ']');
        bool port_ok =
            rest.p && (rest.n == 0 || (rest.p[0] == ':' && is_port(slice_from(rest, 1))));
        return port_ok && parse_ip(host, out, &v4) && memchr(host.p, ':', host.n);
    }
    if (parse_ip(text, out, &v4))
        return true;
    struct slice port = text, host = slice_cut(&port, ':');
    return port.p && is_port(port) && parse_ip(host, out, &v4) && v4;
}

/* ---- the list ---- */

static int bad_entry(const char *entry, struct error *err)
{
    return error_detail(err, ERR_BAD_REQUEST,
                        "\"%.100s\" is not an address, a network (10.0.0.0/8, 2001:db8::/32), "
                        "\"unix\" or \"*\"",
                        entry);
}

static int parse_network(const char *entry, struct network *out, struct error *err)
{
    struct slice bits = slice_cstr(entry), host = slice_cut(&bits, '/');
    bool v4;
    uint64_t n;
    if (!parse_ip(host, out->b, &v4))
        return bad_entry(entry, err);
    unsigned most = v4 ? 32 : 128;
    n = most;
    if (bits.p && (bits.n > 3 || parse_u63(bits, &n) || n > most))
        return bad_entry(entry, err);
    out->bits = (unsigned)n + (128 - most);
    return 0;
}

int trusted_peers_new(const char *const *entries, unsigned n, struct trusted_peers **out,
                      struct error *err)
{
    struct trusted_peers *t = xcalloc(1, sizeof *t + n * sizeof t->networks[0]);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(entries[i], "*") == 0) {
            t->everybody = true;
        } else if (strcmp(entries[i], "unix") == 0) {
            t->local = true;
        } else if (parse_network(entries[i], &t->networks[t->n], err)) {
            free(t);
            return -1;
        } else {
            t->n++;
        }
    }
    *out = t;
    return 0;
}

void trusted_peers_free(struct trusted_peers *t)
{
    free(t);
}

static bool is_in(const unsigned char address[16], const struct network *w)
{
    unsigned whole = w->bits / 8, rest = w->bits % 8;
    if (memcmp(address, w->b, whole) != 0)
        return false;
    return rest == 0 || ((address[whole] ^ w->b[whole]) >> (8 - rest)) == 0;
}

bool trusted_peer(const struct trusted_peers *t, struct slice address)
{
    if (!t)
        return false;
    if (t->everybody)
        return true;
    if (slice_is(address, "unix"))
        return t->local;
    unsigned char b[16];
    if (t->n == 0 || !peer_parse(address, b))
        return false;
    for (unsigned i = 0; i < t->n; i++) {
        if (is_in(b, &t->networks[i]))
            return true;
    }
    return false;
}
