/* SPDX-License-Identifier: Apache-2.0 */
/* The second pass over a head: takes it apart. It trusts nothing of the first (head_scan.c), so
 * that each can be fuzzed alone. */
#include "base/util.h"
#include "http/chars.h"
#include "http/head_int.h"

#include "base/banned.h"

enum { HOST_MAX = 255 /* of a DNS name, RFC 1035 2.3.4 */ };

/* What the fields say, until all of them are known. */
struct parse {
    const char *at;
    const char *end;
    struct http_head *out;
    bool absolute; /* the target had an authority, which wins over Host (RFC 9112 3.2.2) */
    bool has_host;
    bool close;
    bool keep;
    bool bad_expect;
    bool has_te;
    struct slice te;
};

/* The literals compared with consist of letters, digits and '-'. Setting bit 5 folds the case, and
 * what else it maps onto these are control bytes, which neither a name nor a value holds here. */
static inline bool name_eq(struct slice name, const char *lit, size_t n)
{
    if (name.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((name.p[i] | 0x20) != (lit[i] | 0x20))
            return false;
    return true;
}
#define NAME_IS(name, lit) name_eq((name), (lit), sizeof(lit) - 1)

static enum http_method method_of(struct slice m)
{
    switch (m.n) {
    case 3:
        if (memcmp(m.p, "GET", 3) == 0)
            return HTTP_GET;
        return memcmp(m.p, "PUT", 3) == 0 ? HTTP_PUT : HTTP_OTHER;
    case 4:
        if (memcmp(m.p, "HEAD", 4) == 0)
            return HTTP_HEAD;
        return memcmp(m.p, "POST", 4) == 0 ? HTTP_POST : HTTP_OTHER;
    case 5:
        return memcmp(m.p, "PATCH", 5) == 0 ? HTTP_PATCH : HTTP_OTHER;
    case 6:
        return memcmp(m.p, "DELETE", 6) == 0 ? HTTP_DELETE : HTTP_OTHER;
    case 7:
        return memcmp(m.p, "OPTIONS", 7) == 0 ? HTTP_OPTIONS : HTTP_OTHER;
    default:
        return HTTP_OTHER;
    }
}

/* uri-host [":" port]. Of RFC 3986's reg-name only the unreserved characters: sub-delims and
 * escapes are in no host name that resolves, and the value ends up in Location and realm. */
bool http_host_valid(struct slice h)
{
    size_t i = 0;
    if (h.n > 0 && h.p[0] == '[') {
        for (i = 1; i < h.n && (http_is(h.p[i], CHAR_HEX) || h.p[i] == ':' || h.p[i] == '.'); i++)
            ;
        if (i < 3 || i >= h.n || h.p[i] != ']')
            return false;
        i++;
    } else {
        while (i < h.n && http_is(h.p[i], CHAR_HOST))
            i++;
    }
    if (i == 0 || i > HOST_MAX)
        return false;
    if (i == h.n)
        return true;
    if (h.p[i] != ':' || h.n - i > 6)
        return false;
    unsigned port = 0;
    for (i++; i < h.n; i++) {
        if (h.p[i] < '0' || h.p[i] > '9')
            return false;
        port = port * 10 + (unsigned)(h.p[i] - '0');
    }
    return port <= 65535;
}

static int parse_version(struct slice v, int *minor, struct error *err)
{
    if (v.n != HTTP_VERSION_LEN || memcmp(v.p, "HTTP/", 5) != 0 || v.p[5] < '0' || v.p[5] > '9' ||
        v.p[6] != '.' || v.p[7] < '0' || v.p[7] > '9')
        return error_detail(err, ERR_BAD_REQUEST,
                            "the request line does not end in an HTTP version");
    if (v.p[5] != '1' || v.p[7] > '1')
        return error_detail(err, ERR_VERSION, "this server speaks HTTP/1.1 and HTTP/1.0");
    *minor = v.p[7] - '0';
    return 0;
}

static void split_query(struct slice target, struct http_head *out)
{
    const char *mark = memchr(target.p, '?', target.n);
    out->target = target;
    out->path = target;
    out->query = SLICE_NONE;
    if (mark) {
        out->path.n = (size_t)(mark - target.p);
        out->query = slice_from(target, out->path.n + 1);
    }
}

/* http://authority/path?query, given without its scheme. */
static int parse_absolute(struct parse *ps, struct slice rest, struct error *err)
{
    struct http_head *out = ps->out;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    struct slice authority = slice_first(rest, n);
    if (!http_host_valid(authority))
        return error_detail(err, ERR_BAD_REQUEST, "the host in the request target is not valid");
    ps->absolute = true;
    out->host = authority;
    struct slice target = slice_from(rest, n);
    if (target.n == 0) /* RFC 9112 3.2.4, and RFC 9110 4.2.3 */
        target = out->method == HTTP_OPTIONS ? SLICE_LIT("*") : SLICE_LIT("/");
    else if (target.p[0] == '?')
        return error_detail(err, ERR_BAD_REQUEST, "the request target has a query but no path");
    split_query(target, out);
    return 0;
}

static int parse_target(struct parse *ps, struct slice target, struct error *err)
{
    struct http_head *out = ps->out;
    if (out->method == HTTP_OTHER && slice_is(out->method_text, "CONNECT"))
        return error_detail(err, ERR_NOT_IMPLEMENTED, "this server is not a proxy");
    if (target.p[0] == '/') {
        split_query(target, out);
        return 0;
    }
    if (target.n == 1 && target.p[0] == '*' && out->method == HTTP_OPTIONS) {
        split_query(target, out);
        return 0;
    }
    if (slice_ieq(slice_first(target, 7), SLICE_LIT("http://")))
        return parse_absolute(ps, slice_from(target, 7), err);
    if (slice_ieq(slice_first(target, 8), SLICE_LIT("https://")))
        return parse_absolute(ps, slice_from(target, 8), err);
    return error_detail(err, ERR_BAD_REQUEST, "the request target does not begin with '/'");
}

/* The run of bytes of a class that begins at ps->at; ps->at moves behind it. */
static struct slice take(struct parse *ps, unsigned class)
{
    const char *from = ps->at;
    while (ps->at < ps->end && http_is(*ps->at, class))
        ps->at++;
    return slice_make(from, (size_t)(ps->at - from));
}

static bool take_byte(struct parse *ps, char c)
{
    if (ps->at == ps->end || *ps->at != c)
        return false;
    ps->at++;
    return true;
}

static bool take_crlf(struct parse *ps)
{
    if (ps->end - ps->at < 2 || ps->at[0] != '\r' || ps->at[1] != '\n')
        return false;
    ps->at += 2;
    return true;
}

static int parse_request_line(struct parse *ps, struct error *err)
{
    struct http_head *out = ps->out;
    struct slice method = take(ps, CHAR_TOKEN);
    if (method.n == 0 || !take_byte(ps, ' '))
        return error_detail(err, ERR_BAD_REQUEST,
                            "the request line does not begin with a method and one space");
    if (method.n > HTTP_METHOD_MAX) /* RFC 9112 3 */
        return error_detail(err, ERR_NOT_IMPLEMENTED, "the method is longer than %d bytes",
                            HTTP_METHOD_MAX);
    out->method_text = method;
    out->method = method_of(method);
    struct slice target = take(ps, CHAR_TARGET);
    if (target.n > HTTP_LINE_MAX)
        return error_detail(err, ERR_URI_TOO_LONG, "the request target is longer than %d bytes",
                            HTTP_LINE_MAX);
    if (target.n == 0 || !take_byte(ps, ' '))
        return error_detail(err, ERR_BAD_REQUEST,
                            "the request target is missing, has a character that must be "
                            "percent-encoded, or is not followed by one space and the version");
    const char *version = ps->at;
    ps->at += http_skip_text(ps->at, 0, (size_t)(ps->end - ps->at));
    if (parse_version(slice_make(version, (size_t)(ps->at - version)), &out->minor, err))
        return -1;
    if (!take_crlf(ps))
        return error_detail(err, ERR_BAD_REQUEST, "the request line does not end in CRLF");
    return parse_target(ps, target, err);
}

static int on_host(struct parse *ps, struct slice value, struct error *err)
{
    if (ps->has_host)
        return error_detail(err, ERR_BAD_REQUEST, "the request has more than one Host field");
    if (!http_host_valid(value))
        return error_detail(err, ERR_BAD_REQUEST, "the Host field is not a host and port");
    ps->has_host = true;
    if (!ps->absolute)
        ps->out->host = value;
    return 0;
}

static int on_length(struct parse *ps, struct slice value, struct error *err)
{
    if (ps->out->has_length)
        return error_detail(err, ERR_BAD_REQUEST,
                            "the request has more than one Content-Length field");
    if (parse_u63(value, &ps->out->length))
        return error_detail(err, ERR_BAD_REQUEST,
                            "Content-Length is not a decimal number below 2^63");
    ps->out->has_length = true;
    return 0;
}

static void on_connection(struct parse *ps, struct slice value)
{
    while (value.p) {
        struct slice token = slice_trim(slice_cut(&value, ','));
        if (NAME_IS(token, "close"))
            ps->close = true;
        else if (NAME_IS(token, "keep-alive"))
            ps->keep = true;
    }
}

/* The fields that frame the message or govern the connection. */
static int on_field(struct parse *ps, struct slice name, struct slice value, struct error *err)
{
    switch (name.n) {
    case sizeof("Host") - 1:
        if (NAME_IS(name, "host"))
            return on_host(ps, value, err);
        return 0;
    case sizeof("Expect") - 1:
        if (NAME_IS(name, "expect")) {
            if (NAME_IS(value, "100-continue"))
                ps->out->expect_continue = ps->out->minor == 1; /* RFC 9110 10.1.1 */
            else
                ps->bad_expect = true;
        }
        return 0;
    case sizeof("Connection") - 1:
        if (NAME_IS(name, "connection"))
            on_connection(ps, value);
        return 0;
    case sizeof("Content-Length") - 1:
        if (NAME_IS(name, "content-length"))
            return on_length(ps, value, err);
        return 0;
    case sizeof("Transfer-Encoding") - 1:
        if (NAME_IS(name, "transfer-encoding")) {
            if (ps->has_te)
                return error_detail(err, ERR_BAD_REQUEST,
                                    "the request has more than one Transfer-Encoding field");
            ps->has_te = true;
            ps->te = value;
        }
        return 0;
    default:
        return 0;
    }
}

static int bad_line(const struct parse *ps, const char *line, struct slice name, struct error *err)
{
    char c = ps->at < ps->end ? *ps->at : '\0';
    if (ps->at == line && (c == ' ' || c == '\t'))
        return error_detail(err, ERR_BAD_REQUEST,
                            "a header field is folded over several lines, which is obsolete");
    if (name.n > 0 && (c == ' ' || c == '\t'))
        return error_detail(err, ERR_BAD_REQUEST,
                            "there is white space between a header field's name and its colon");
    return error_detail(err, ERR_BAD_REQUEST, "a header field line is not a name and a colon");
}

static int parse_fields(struct parse *ps, struct error *err)
{
    struct http_head *out = ps->out;
    unsigned n = 0;
    while (!take_crlf(ps)) {
        const char *line = ps->at;
        struct slice name = take(ps, CHAR_TOKEN);
        if (name.n == 0 || !take_byte(ps, ':'))
            return bad_line(ps, line, name, err);
        const char *from = ps->at;
        size_t left = (size_t)(ps->end - from);
        size_t len = http_skip_text(from, 0, left);
        while (len < left && from[len] == '\t')
            len = http_skip_text(from, len + 1, left);
        ps->at += len;
        if (!take_crlf(ps))
            return http_bad_control(len < left ? (unsigned char)from[len] : '\r', err);
        if ((size_t)(from - line) + len > HTTP_LINE_MAX)
            return error_detail(err, ERR_HEADERS_TOO_LARGE,
                                "a header field line is longer than %d bytes", HTTP_LINE_MAX);
        if (n == HTTP_FIELDS_MAX)
            return error_detail(err, ERR_HEADERS_TOO_LARGE,
                                "the request has more than %d header fields", HTTP_FIELDS_MAX);
        struct slice value = slice_trim(slice_make(from, len));
        out->fields[n++] = (struct http_field){name, value};
        if (on_field(ps, name, value, err))
            return -1;
    }
    out->n_fields = n;
    if (ps->at != ps->end)
        return error_detail(err, ERR_BAD_REQUEST, "there are bytes after the end of the head");
    return 0;
}

/* Exactly "chunked", never beside a length, never before HTTP/1.1: all that two parsers could
 * disagree about is refused (RFC 9112 6.1, 6.3). */
static int check_coding(const struct parse *ps, struct error *err)
{
    if (ps->out->has_length)
        return error_detail(err, ERR_BAD_REQUEST,
                            "the request has both Transfer-Encoding and Content-Length");
    if (ps->out->minor == 0)
        return error_detail(err, ERR_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
    if (NAME_IS(ps->te, "chunked")) {
        ps->out->chunked = true;
        return 0;
    }
    size_t i = 0;
    while (i < ps->te.n && http_is(ps->te.p[i], CHAR_TOKEN))
        i++;
    if (i > 0 && i == ps->te.n)
        return error_detail(err, ERR_NOT_IMPLEMENTED,
                            "the only transfer coding that this server knows is \"chunked\"");
    return error_detail(err, ERR_BAD_REQUEST, "Transfer-Encoding is not exactly \"chunked\"");
}

int http_head_parse(struct slice head, struct http_head *out, struct error *err)
{
    if (head.n > HTTP_HEAD_MAX)
        return error_detail(err, ERR_HEADERS_TOO_LARGE, "the request head is longer than %d bytes",
                            HTTP_HEAD_MAX);
    if (!head.p)
        head = SLICE_LIT("");
    struct parse ps = {.at = head.p, .end = head.p + head.n, .out = out};
    out->n_fields = 0;
    out->method = HTTP_OTHER;
    out->method_text = out->target = out->path = out->query = out->host = SLICE_NONE;
    out->minor = 0;
    out->chunked = out->has_length = out->expect_continue = false;
    out->length = 0;
    (void)take_crlf(&ps);
    if (parse_request_line(&ps, err) || parse_fields(&ps, err))
        return -1;
    if (!ps.has_host && out->minor == 1)
        return error_detail(err, ERR_BAD_REQUEST, "the request has no Host field");
    if (ps.has_te && check_coding(&ps, err))
        return -1;
    if (ps.bad_expect)
        return error_detail(err, ERR_EXPECTATION,
                            "the only expectation that this server knows is 100-continue");
    out->keep_alive = !ps.close && (out->minor == 1 || ps.keep);
    return 0;
}

/* ---- Looking things up ----------------------------------------------------------------------- */

bool http_field_next(const struct http_head *h, const char *name, unsigned *pos,
                     struct slice *value)
{
    size_t n = strlen(name);
    for (unsigned i = *pos; i < h->n_fields; i++) {
        if (name_eq(h->fields[i].name, name, n)) {
            *pos = i + 1;
            *value = h->fields[i].value;
            return true;
        }
    }
    return false;
}

struct slice http_field_get(const struct http_head *h, const char *name)
{
    unsigned pos = 0;
    struct slice value = SLICE_NONE;
    (void)http_field_next(h, name, &pos, &value);
    return value;
}

const char *http_method_name(enum http_method m)
{
    static const char *const names[HTTP_METHOD_COUNT] = {
        [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER"};
    return (unsigned)m < HTTP_METHOD_COUNT ? names[m] : "OTHER";
}
