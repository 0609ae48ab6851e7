/* SPDX-License-Identifier: Apache-2.0 */
/* Setting the response. All that a client may have had a hand in passes through response_field. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "http/engine_int.h"

#include "base/banned.h"

enum { ERROR_BODY_MAX = 64 * 1024 };

static const struct {
    int status;
    const char *line;
} statuses[] = {
#define S(code, text)                           \
    {                                           \
        code, "HTTP/1.1 " #code " " text "\r\n" \
    }
    S(200, "OK"), /* in the order of frequency at the top */
    S(404, "Not Found"),
    S(401, "Unauthorized"),
    S(202, "Accepted"),
    S(201, "Created"),
    S(206, "Partial Content"),
    S(304, "Not Modified"),
    S(307, "Temporary Redirect"),
    S(204, "No Content"),
    S(100, "Continue"),
    S(203, "Non-Authoritative Information"),
    S(301, "Moved Permanently"),
    S(302, "Found"),
    S(303, "See Other"),
    S(308, "Permanent Redirect"),
    S(400, "Bad Request"),
    S(402, "Payment Required"),
    S(403, "Forbidden"),
    S(405, "Method Not Allowed"),
    S(406, "Not Acceptable"),
    S(408, "Request Timeout"),
    S(409, "Conflict"),
    S(410, "Gone"),
    S(411, "Length Required"),
    S(412, "Precondition Failed"),
    S(413, "Content Too Large"),
    S(414, "URI Too Long"),
    S(415, "Unsupported Media Type"),
    S(416, "Range Not Satisfiable"),
    S(417, "Expectation Failed"),
    S(421, "Misdirected Request"),
    S(422, "Unprocessable Content"),
    S(423, "Locked"),
    S(426, "Upgrade Required"),
    S(428, "Precondition Required"),
    S(429, "Too Many Requests"),
    S(431, "Request Header Fields Too Large"),
    S(499, "Client Closed Request"), /* never sent: for logs and metrics */
    S(500, "Internal Server Error"),
    S(501, "Not Implemented"),
    S(502, "Bad Gateway"),
    S(503, "Service Unavailable"),
    S(504, "Gateway Timeout"),
    S(505, "HTTP Version Not Supported"),
    S(507, "Insufficient Storage"),
#undef S
};
_Static_assert(ARRAY_LEN(statuses) < STATUS_SLOTS, "the last slot is for unknown codes");

unsigned status_slot(int status)
{
    for (unsigned i = 0; i < ARRAY_LEN(statuses); i++) {
        if (statuses[i].status == status)
            return i;
    }
    return STATUS_SLOTS - 1;
}

const char *status_line(int status)
{
    unsigned i = status_slot(status);
    return i < ARRAY_LEN(statuses) ? statuses[i].line : NULL;
}

static void drop_body(struct request *r)
{
    struct response *p = &r->resp;
    shared_unref(p->shared);
    fdref_unref(p->file);
    p->shared = NULL;
    p->file = NULL;
    p->bytes = SLICE_NONE;
    p->offset = p->length = 0;
    p->kind = RESPONSE_EMPTY;
}

void response_release(struct request *r)
{
    drop_body(r);
    shared_unref(r->resp.keep);
    r->resp.keep = NULL;
}

void response_status(struct request *r, int status)
{
    r->resp.status = status;
}

bool response_has(const struct request *r, const char *name)
{
    for (unsigned i = 0; i < r->resp.n_fields; i++) {
        if (slice_ieq(r->resp.fields[i].name, slice_cstr(name)))
            return true;
    }
    return false;
}

void response_field(struct request *r, const char *name, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CHECK(n >= 0 && r->resp.n_fields < RESPONSE_FIELDS_MAX);
    char *value = arena_alloc(r->arena, (size_t)n + 1);
    if ((size_t)n < sizeof text) {
        memcpy(value, text, (size_t)n);
    } else {
        va_start(ap, fmt);
        (void)vsnprintf(value, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    for (int i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)value[i];
        if ((ch < ' ' && ch != '\t') || ch == 0x7f)
            value[i] = '?';
    }
    r->resp.fields[r->resp.n_fields++] = (struct http_field){slice_cstr(name), {value, (size_t)n}};
}

/* There is one Content-Type: the last. The type is the program's own or was checked on its way in,
 * but it is cleaned all the same. */
static void set_type(struct request *r, const char *content_type)
{
    struct response *p = &r->resp;
    for (unsigned i = 0; i < p->n_fields; i++) {
        if (slice_ieq(p->fields[i].name, SLICE_LIT("Content-Type"))) {
            p->fields[i] = p->fields[--p->n_fields];
            break;
        }
    }
    if (content_type)
        response_field(r, "Content-Type", "%s", content_type);
}

static void set_body(struct request *r, const char *content_type, enum response_body kind,
                     uint64_t length)
{
    r->resp.kind = kind;
    r->resp.length = length;
    if (r->resp.status == 0)
        r->resp.status = 200;
    set_type(r, content_type);
}

void response_bytes(struct request *r, const char *content_type, struct slice body)
{
    drop_body(r);
    r->resp.bytes = body;
    set_body(r, content_type, RESPONSE_BYTES, body.n);
}

void response_shared(struct request *r, const char *content_type, struct shared *body)
{
    drop_body(r);
    r->resp.shared = body;
    set_body(r, content_type, RESPONSE_SHARED, body->n);
}

void response_file(struct request *r, const char *content_type, struct fdref *file, uint64_t offset,
                   uint64_t length)
{
    drop_body(r);
    r->resp.file = file;
    set_body(r, content_type, RESPONSE_FILE, length);
    r->resp.offset = offset;
}

/* Docker, podman and skopeo print the code and the message, never the detail: where the standard
 * message does not say what is wrong, the detail is put behind it. */
static const char *message_of(struct request *r, const struct error *err,
                              const struct error_info *info)
{
    bool says_little = err->code == ERR_UNSUPPORTED || err->code == ERR_MANIFEST_INVALID ||
                       err->code == ERR_DENIED || err->code == ERR_MANIFEST_TOO_LARGE ||
                       err->code == ERR_SIZE_EXCEEDED;
    if (!says_little || !err->detail[0])
        return info->message;
    size_t n = strlen(info->message);
    while (n && info->message[n - 1] == '.')
        n--;
    return arena_printf(r->arena, "%.*s: %s", (int)n, info->message, err->detail);
}

void response_error_json(struct request *r, const struct error *err, struct slice detail_json)
{
    const struct error_info *info = error_info(err->code);
    CLEANUP_BUF struct buf b = {0};
    buf_init(&b, ERROR_BODY_MAX);
    struct json_writer w;
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "errors");
    jw_array(&w);
    jw_object(&w);
    jw_key(&w, "code");
    jw_cstr(&w, info->code);
    jw_key(&w, "message");
    jw_cstr(&w, message_of(r, err, info));
    if (detail_json.n) {
        jw_key(&w, "detail");
        jw_raw(&w, detail_json);
    }
    jw_object_end(&w);
    jw_array_end(&w);
    jw_object_end(&w);
    buf_putc(&b, '\n');
    if (b.failed && detail_json.n) {
        /* Too much detail: better none than a broken document. */
        response_error_json(r, err, SLICE_NONE);
        return;
    }

    r->resp.n_fields = 0;
    r->resp.raw_fields = SLICE_NONE;
    r->resp.no_length = false;
    r->resp.status = info->status;
    response_bytes(r, "application/json", arena_slice(r->arena, buf_view(&b)));
    /* The cause: what failed, for the log only. */
    if (err->message[0])
        r->log_detail = arena_slice(r->arena, slice_cstr(err->message));
}

/* What to do, where whoever failed had nothing better to say. NULL: the message says it all. */
static const char *usual_detail(enum error_code code)
{
    switch (code) {
    case ERR_NOT_FOUND:
        return "the registry's API is below /v2/: see the path";
    case ERR_NO_SPACE:
        return "nothing of this request was kept; pulls go on, and pushes work again as soon as "
               "there is space";
    case ERR_READ_ONLY:
        return "nothing of this request was kept; pulls go on, and pushes work again when the "
               "storage can be written: try again in a minute";
    case ERR_UNAVAILABLE:
        return "the registry is too busy now: try again in a moment";
    case ERR_TIMEOUT:
        return "send the request again, without pauses";
    default:
        return NULL;
    }
}

void response_error(struct request *r, const struct error *err)
{
    CLEANUP_BUF struct buf detail = {0};
    buf_init(&detail, sizeof err->detail * 6 + 2);
    const char *usual = usual_detail(err->code);
    if (err->detail[0])
        jw_quote(&detail, slice_cstr(err->detail));
    else if (error_info(err->code)->status == 500)
        jw_quote(&detail,
                 slice_cstr(arena_printf(r->arena,
                                         "the registry's log says why, under the request id "
                                         "%.*s; nothing that was acknowledged is lost",
                                         SLICE_ARG(r->id))));
    else if (usual)
        jw_quote(&detail, slice_cstr(usual));
    response_error_json(r, err, buf_view(&detail));
}

enum step step_error(struct request *r, const struct error *err)
{
    response_error(r, err);
    return STEP_DONE;
}
