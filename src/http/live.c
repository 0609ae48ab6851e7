/* SPDX-License-Identifier: Apache-2.0 */
/* What can be replaced while the server runs: limits, and header fields for every response. A loop
 * keeps a copy of its own, and takes over what is new when it next enters a connection: one relaxed
 * load for each entry, and nothing that would have to reach a loop which is about to end. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/chars.h"
#include "http/engine_int.h"

#include "base/banned.h"

/* ---- header sets ---- */

bool http_header_reserved(struct slice name)
{
    /* What frames the message, or is the engine's word alone; then what clients of a registry go
     * by: an upload goes on where Location says. */
    static const char *const names[] = {
        "Content-Length",      "Content-Type",  "Date",    "Connection",    "Transfer-Encoding",
        "X-Request-Id",        "Accept-Ranges", "Allow",   "Content-Range", "Docker-Content-Digest",
        "Docker-Upload-UUID",  "ETag",          "Link",    "Location",      "OCI-Chunk-Min-Length",
        "OCI-Filters-Applied", "OCI-Subject",   "OCI-Tag", "Range",         "WWW-Authenticate"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_ieq(name, slice_cstr(names[i])))
            return true;
    }
    return false;
}

/* The next valid line of *raw with its CRLF; SLICE_NONE at the end. */
static struct slice next_line(struct slice *raw, struct slice *name)
{
    while (raw->n) {
        const char *end = memmem(raw->p, raw->n, "\r\n", 2);
        size_t n = end ? (size_t)(end - raw->p) : raw->n;
        struct slice text = slice_first(*raw, n);
        struct slice line = slice_first(*raw, end ? n + 2 : n);
        *raw = slice_from(*raw, line.n);
        *name = slice_cut(&text, ':');
        bool ok = end && text.p && name->n > 0 && !http_header_reserved(*name);
        for (size_t i = 0; i < name->n && ok; i++)
            ok = http_is(name->p[i], CHAR_TOKEN);
        for (size_t i = 0; i < text.n && ok; i++)
            ok = http_is(text.p[i], CHAR_VALUE);
        if (ok)
            return line;
    }
    return SLICE_NONE;
}

static struct header_set *header_set_new(struct slice raw)
{
    unsigned lines = 0;
    size_t bytes = 0;
    struct slice rest = raw, name, line;
    while ((line = next_line(&rest, &name)).n) {
        lines++;
        bytes += line.n;
    }
    if (lines == 0)
        return NULL;
    struct header_set *h = xcalloc(1, sizeof *h + lines * sizeof(struct slice) + bytes);
    char *to = (char *)&h->names[lines];
    atomic_init(&h->refs, 1);
    h->raw = slice_make(to, bytes);
    for (rest = raw; (line = next_line(&rest, &name)).n; to += line.n) {
        memcpy(to, line.p, line.n);
        struct slice own = slice_make(to, name.n);
        h->names[h->n++] = own;
        if (slice_ieq(own, SLICE_LIT("X-Content-Type-Options")))
            h->nosniff = true;
        else if (slice_ieq(own, SLICE_LIT("Docker-Distribution-Api-Version")))
            h->api_version = true;
        else
            h->others = true;
        if (slice_ieq(own, SLICE_LIT("Retry-After")))
            h->retry_after = true;
    }
    return h;
}

struct header_set *header_set_ref(struct header_set *h)
{
    if (h)
        atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void header_set_unref(struct header_set *h)
{
    if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
        free(h);
}

bool header_set_has(const struct header_set *h, struct slice name)
{
    for (unsigned i = 0; h && i < h->n; i++) {
        if (slice_ieq(h->names[i], name))
            return true;
    }
    return false;
}

/* ---- the server's ---- */

void live_init(struct http_server *s)
{
    struct live *live = &s->live;
    CHECK(pthread_mutex_init(&live->mutex, NULL) == 0);
    live->limits = s->config.limits;
    atomic_init(&live->version, 1);
}

void live_release(struct http_server *s)
{
    header_set_unref(STEAL(s->live.headers));
    (void)pthread_mutex_destroy(&s->live.mutex);
}

/* With the mutex held. */
static void changed(struct http_server *s)
{
    unsigned version = atomic_load_explicit(&s->live.version, memory_order_relaxed);
    atomic_store_explicit(&s->live.version, version + 1, memory_order_relaxed);
}

void http_server_set_limits(struct http_server *s, const struct http_limits *limits)
{
    struct live *live = &s->live;
    CHECK(pthread_mutex_lock(&live->mutex) == 0);
    struct http_limits l = *limits;
    if (l.buffer_min == 0 || l.buffer_max < l.buffer_min) {
        l.buffer_min = live->limits.buffer_min;
        l.buffer_max = live->limits.buffer_max;
    }
    live->limits = l;
    admission_set(&s->admission, connections_allowed(l.connections_max, s->config.fds_reserved),
                  l.connections_per_ip);
    changed(s);
    CHECK(pthread_mutex_unlock(&live->mutex) == 0);
}

void http_server_set_headers(struct http_server *s, struct slice raw_fields)
{
    struct live *live = &s->live;
    struct header_set *h = header_set_new(raw_fields);
    CHECK(pthread_mutex_lock(&live->mutex) == 0);
    struct header_set *old = live->headers;
    live->headers = h;
    changed(s);
    CHECK(pthread_mutex_unlock(&live->mutex) == 0);
    header_set_unref(old);
}

/* ---- a loop's ---- */

void live_refresh(struct http_loop *l)
{
    struct live *live = &l->server->live;
    struct header_set *old = l->headers;
    unsigned min = l->limits.buffer_min, max = l->limits.buffer_max;
    CHECK(pthread_mutex_lock(&live->mutex) == 0);
    l->live_version = atomic_load_explicit(&live->version, memory_order_relaxed);
    l->limits = live->limits;
    l->headers = header_set_ref(live->headers);
    CHECK(pthread_mutex_unlock(&live->mutex) == 0);
    header_set_unref(old);
    if (l->limits.buffer_min != min || l->limits.buffer_max != max)
        upbufs_release(l); /* the spare ones are of the sizes in force */
}

void live_loop_release(struct http_loop *l)
{
    header_set_unref(STEAL(l->headers));
}
