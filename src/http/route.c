/* SPDX-License-Identifier: Apache-2.0 */
/* The path is split once; each row is then compared with the components' positions. Left of <name>
 * the pattern is matched from the left, right of it from the right: a repository may have any
 * number of components, and any of them may be called blobs, tags or manifests. */
#include "http/route.h"

#include "base/util.h"
#include "http/chars.h"

#include "base/banned.h"

static bool is_colon(struct slice s)
{
    return slice_ieq(slice_first(s, 3), SLICE_LIT("%3A"));
}

struct slice route_path(struct arena *a, struct slice path)
{
    const char *last = path.n ? memrchr(path.p, '/', path.n) : NULL;
    if (!last || !memchr(last, '%', (size_t)(path.p + path.n - last)))
        return path;
    char *to = arena_alloc(a, path.n);
    size_t head = (size_t)(last - path.p), n = head;
    memcpy(to, path.p, head);
    for (struct slice rest = slice_from(path, head); rest.n;) {
        bool colon = is_colon(rest);
        to[n++] = colon ? ':' : rest.p[0];
        rest = slice_from(rest, colon ? 3 : 1);
    }
    return slice_make(to, n);
}

enum { COMPONENTS_MAX = 16 /* of a pattern; a power of two */ };

struct split {
    struct slice first[COMPONENTS_MAX]; /* the first components */
    struct slice last[COMPONENTS_MAX];  /* component i is in last[i % COMPONENTS_MAX], for the last
                                           ones */
    size_t n;
    bool slash; /* the path ends in a slash that is not its first character */
};

static bool dots(struct slice c)
{
    return c.p[0] == '.' && (c.n == 1 || (c.n == 2 && c.p[1] == '.'));
}

/* False for a path that no pattern can match. */
static bool split_path(struct slice path, struct split *s)
{
    s->n = 0;
    s->slash = false;
    if (path.n == 0 || path.p[0] != '/')
        return false;
    size_t at = 1;
    while (at < path.n) {
        size_t from = at;
        while (at < path.n && http_is(path.p[at], CHAR_PATH))
            at++;
        struct slice c = {path.p + from, at - from};
        if (c.n == 0 || dots(c))
            return false;
        if (at < path.n && path.p[at] != '/')
            return false;
        if (s->n < COMPONENTS_MAX)
            s->first[s->n] = c;
        s->last[s->n % COMPONENTS_MAX] = c;
        s->n++;
        if (at < path.n) {
            at++;
            s->slash = at == path.n;
        }
    }
    return true;
}

struct found {
    struct slice param[ROUTE_PARAMS_MAX];
    unsigned params;
    unsigned literals; /* how specific the pattern is */
};

/* One component of a pattern, not <name>, against one of the path. Where the pattern goes on (at a
 * slash or its end), or NULL. A component has neither '/' nor NUL, so the comparison cannot run
 * past the pattern's. */
static const char *match_one(const char *pattern, struct slice component, struct found *f)
{
    if (*pattern == '<') {
        CHECK(f->params < ROUTE_PARAMS_MAX);
        f->param[f->params++] = component;
        return strchr(pattern, '>') + 1;
    }
    for (size_t i = 0; i < component.n; i++)
        if (pattern[i] != component.p[i])
            return NULL;
    f->literals++;
    pattern += component.n;
    return *pattern == '/' || *pattern == '\0' ? pattern : NULL;
}

static bool is_name(const char *pattern)
{
    return *pattern == '<' && strncmp(pattern, "<name>", 6) == 0;
}

/* <name>, which begins at component i of the path, and what the pattern has behind it. */
static bool match_name(const char *rest, size_t i, const struct split *path, struct found *f)
{
    size_t tail = 0;
    for (const char *p = rest; p && p[0] && p[1]; p = strchr(p + 1, '/'))
        tail++;
    CHECK(tail < COMPONENTS_MAX && f->params < ROUTE_PARAMS_MAX);
    if (path->n < i + 1 + tail)
        return false;
    size_t next = path->n - tail;
    struct slice from = path->first[i];
    struct slice to = path->last[(next - 1) % COMPONENTS_MAX];
    f->param[f->params++] = slice_make(from.p, (size_t)(to.p + to.n - from.p));
    for (; next < path->n; next++) {
        rest = match_one(rest + 1, path->last[next % COMPONENTS_MAX], f);
        if (!rest)
            return false;
    }
    return !path->slash || *rest == '/';
}

static bool match_pattern(const char *p, const struct split *path, struct found *f)
{
    f->params = f->literals = 0;
    size_t i = 0;
    while (p[0] == '/' && p[1] != '\0') {
        p++;
        if (i == path->n || i == COMPONENTS_MAX)
            return false;
        if (is_name(p))
            return match_name(p + 6, i, path, f);
        p = match_one(p, path->first[i++], f);
        if (!p)
            return false;
    }
    return i == path->n && (!path->slash || *p == '/');
}

/* A GET row serves HEAD, unless there is a HEAD row. */
static bool serves(const struct route *r, enum http_method m, const struct route *so_far)
{
    if (r->method == m)
        return !so_far || so_far->method != m;
    return m == HTTP_HEAD && r->method == HTTP_GET && !so_far;
}

void route_match(const struct route *routes, unsigned n, enum http_method method, struct slice path,
                 struct route_match *out)
{
    struct split split;
    struct found f;
    unsigned best = 0;
    const char *same = NULL; /* rows of one pattern stand together: it is matched once */
    bool matches = false;
    *out = (struct route_match){0};
    if (!split_path(path, &split))
        return;
    for (unsigned i = 0; i < n; i++) {
        const struct route *r = &routes[i];
        if (r->pattern != same) {
            same = r->pattern;
            matches = match_pattern(same, &split, &f);
        }
        if (!matches)
            continue;
        /* The pattern with more literals is meant: ".../blobs/uploads/" is never the blob with the
         * digest "uploads", whatever the method. */
        if (out->allowed && f.literals < best)
            continue;
        if (f.literals > best || !out->allowed) {
            *out = (struct route_match){.allowed = 1u << HTTP_OPTIONS};
            best = f.literals;
        }
        out->allowed |= 1u << r->method;
        if (r->method == HTTP_GET)
            out->allowed |= 1u << HTTP_HEAD;
        if (serves(r, method, out->route)) {
            out->route = r;
            memcpy(out->param, f.param, sizeof(struct slice) * f.params);
        }
    }
}
