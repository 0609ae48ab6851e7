/* SPDX-License-Identifier: Apache-2.0 */
/* What proxies say of the client. Lists are read from their end: what stands last was written by
 * the proxy that we know; what stands before that counts as long as those who wrote behind it are
 * listed too. */
#include "http/forwarded.h"

#include "base/util.h"
#include "http/chars.h"
#include "http/head_int.h"
#include "http/peers_int.h"

#include "base/banned.h"

enum { LIST_MAX = 32 /* entries of a list that are looked at, from its end */ };

static bool is_peer(struct slice text)
{
    unsigned char b[16];
    return peer_parse(text, b);
}

static struct slice scheme_of(struct slice text)
{
    if (slice_ieq(text, SLICE_LIT("https")))
        return SLICE_LIT("https");
    return slice_ieq(text, SLICE_LIT("http")) ? SLICE_LIT("http") : SLICE_NONE;
}

static struct slice host_of(struct slice text)
{
    return http_host_valid(text) ? text : SLICE_NONE;
}

/* ---- lists: all fields of a name are one ---- */

struct list { /* the last LIST_MAX entries; entry i is in v[i % LIST_MAX] */
    struct slice v[LIST_MAX];
    unsigned n;
};

/* The next entry of a list; with `quotes` a separator in quotes does not end it. Only Forwarded has
 * them: in the others a client's open quote would swallow what the proxy adds behind it. */
static struct slice next_entry(struct slice *rest, char separator, bool quotes)
{
    bool quoted = false;
    for (size_t i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"' && quotes)
            quoted = !quoted;
        else if (c == separator && !quoted) {
            struct slice entry = slice_first(*rest, i);
            *rest = slice_from(*rest, i + 1);
            return slice_trim(entry);
        }
    }
    struct slice entry = slice_trim(*rest);
    *rest = SLICE_NONE;
    return entry;
}

/* false: there is no such field. */
static bool list_read(const struct http_head *head, const char *name, bool quotes, struct list *out)
{
    unsigned pos = 0;
    struct slice value;
    out->n = 0;
    while (http_field_next(head, name, &pos, &value)) {
        while (value.p) {
            struct slice entry = next_entry(&value, ',', quotes);
            if (entry.n) /* empty ones are allowed everywhere, RFC 9110 5.6.1 */
                out->v[out->n++ % LIST_MAX] = entry;
        }
    }
    return pos > 0;
}

/* Entry i counted from the end, 0 for the last; false when there is none, or it was not kept. */
static bool list_from_end(const struct list *l, unsigned i, struct slice *out)
{
    if (i >= l->n || i >= LIST_MAX)
        return false;
    *out = l->v[(l->n - 1 - i) % LIST_MAX];
    return true;
}

/* ---- X-Forwarded-* ---- */

static struct slice walk(const struct trusted_peers *t, const struct list *l)
{
    struct slice peer = SLICE_NONE, entry;
    for (unsigned i = 0; list_from_end(l, i, &entry) && is_peer(entry); i++) {
        peer = entry;
        if (!trusted_peer(t, entry))
            break;
    }
    return peer;
}

static struct slice first_of(const struct http_head *head, const char *name)
{
    struct slice value = http_field_get(head, name);
    return value.n ? next_entry(&value, ',', false) : SLICE_NONE;
}

static bool has_port(struct slice host)
{
    struct slice rest = host;
    if (host.n && host.p[0] == '[')
        (void)slice_cut(&rest, ']');
    return rest.n && memchr(rest.p, ':', rest.n);
}

/* A port of its own belongs to the host, if that has none and it is not the scheme's. */
static struct slice with_port(struct slice host, struct slice proto, struct slice port,
                              struct arena *a)
{
    uint64_t v;
    if (host.n == 0 || port.n == 0 || port.n > 5 || parse_u63(port, &v) || v == 0 ||
        v > UINT16_MAX || has_port(host))
        return host;
    bool usual = proto.n ? v == (slice_is(proto, "https") ? 443 : 80) : v == 80 || v == 443;
    if (usual)
        return host;
    return slice_cstr(arena_printf(a, "%.*s:%u", SLICE_ARG(host), (unsigned)v));
}

/* ---- Forwarded, RFC 7239 ---- */

/* token or quoted-string; false when it is neither. */
static bool unquote(struct slice raw, struct arena *a, struct slice *out)
{
    if (raw.n == 0 || raw.p[0] != '"') {
        for (size_t i = 0; i < raw.n; i++) {
            /* Colons and brackets have to be quoted, and often are not. */
            if (!http_is(raw.p[i], CHAR_TOKEN) && raw.p[i] != ':' && raw.p[i] != '[' &&
                raw.p[i] != ']')
                return false;
        }
        *out = raw;
        return raw.n > 0;
    }
    if (raw.n < 2 || raw.p[raw.n - 1] != '"')
        return false;
    char *to = arena_alloc(a, raw.n);
    size_t n = 0;
    for (size_t i = 1; i < raw.n - 1; i++) {
        if (raw.p[i] == '"')
            return false;
        if (raw.p[i] == '\\' && ++i == raw.n - 1)
            return false;
        to[n++] = raw.p[i];
    }
    *out = slice_make(to, n);
    return true;
}

struct element {
    struct slice node, proto, host; /* node: as written, maybe obfuscated */
};

static bool element_read(struct slice text, struct arena *a, struct element *out)
{
    *out = (struct element){0};
    while (text.p) {
        struct slice value = next_entry(&text, ';', true);
        if (value.n == 0)
            continue;
        struct slice name = slice_trim(slice_cut(&value, '=')), plain;
        if (!value.p || !unquote(slice_trim(value), a, &plain))
            return false;
        struct slice *to = slice_ieq(name, SLICE_LIT("for"))     ? &out->node
                           : slice_ieq(name, SLICE_LIT("proto")) ? &out->proto
                           : slice_ieq(name, SLICE_LIT("host"))  ? &out->host
                                                                 : NULL;
        if (to)
            *to = plain;
    }
    return true;
}

/* An obfuscated port ("_x") is no part of who it is. */
static struct slice node_peer(struct slice node)
{
    const char *at = node.n ? memrchr(node.p, ':', node.n) : NULL;
    if (at && at + 1 < node.p + node.n && at[1] == '_')
        node.n = (size_t)(at - node.p);
    return is_peer(node) ? node : SLICE_NONE;
}

/* The element of the outermost proxy that is listed: its `for` is the client, its host and proto
 * are what the client said. What that one leaves out, the next one behind it may know. */
static void read_forwarded(const struct trusted_peers *t, const struct list *l, struct arena *a,
                           struct forwarded *out)
{
    struct slice text;
    struct element e;
    for (unsigned i = 0; list_from_end(l, i, &text) && element_read(text, a, &e); i++) {
        struct slice peer = node_peer(e.node), proto = scheme_of(e.proto), host = host_of(e.host);
        if (proto.n)
            out->proto = proto;
        if (host.n)
            out->host = host;
        if (peer.n)
            out->peer = peer;
        if (!peer.n || !trusted_peer(t, peer))
            break;
    }
}

/* ---- all of it ---- */

/* Most requests have none of them, and the lists are long. */
static bool says_anything(const struct http_head *head)
{
    for (unsigned i = 0; i < head->n_fields; i++) {
        struct slice name = head->fields[i].name;
        if (slice_ieq(name, SLICE_LIT("Forwarded")) || slice_ieq(name, SLICE_LIT("X-Real-Ip")) ||
            slice_ieq(slice_first(name, 12), SLICE_LIT("X-Forwarded-")))
            return true;
    }
    return false;
}

void forwarded_read(const struct trusted_peers *t, const struct http_head *head, struct arena *a,
                    struct forwarded *out)
{
    *out = (struct forwarded){0};
    if (!says_anything(head))
        return;
    struct forwarded rfc = {0};
    struct list l;
    if (list_read(head, "forwarded", true, &l))
        read_forwarded(t, &l, a, &rfc);

    /* Who: the field that most proxies set goes first, for they hand a client's own Forwarded on
     * as it is. One that does not say it is not made up for by the next: that may be the client's.
     */
    struct slice real = http_field_get(head, "x-real-ip");
    if (list_read(head, "x-forwarded-for", false, &l))
        out->peer = walk(t, &l);
    else if (real.p)
        out->peer = is_peer(real) ? real : SLICE_NONE;
    else
        out->peer = rfc.peer;

    /* How and where to: links only, and in the order of CNCF distribution, also in that it is the
     * first of several. */
    out->proto = rfc.proto.n ? rfc.proto : scheme_of(first_of(head, "x-forwarded-proto"));
    out->host = rfc.host;
    if (!out->host.n)
        out->host = with_port(host_of(first_of(head, "x-forwarded-host")), out->proto,
                              first_of(head, "x-forwarded-port"), a);
}
