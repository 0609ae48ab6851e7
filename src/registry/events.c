/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/events.h"

#include "base/json.h"

#include "base/banned.h"

enum {
    /* With every byte escaped they fit META_EVENT_REQUEST_MAX. */
    AGENT_MAX = 512,
    HOST_MAX = 255,
    ADDR_MAX = 128,
    URL_MAX = 4096,
    /* A larger manifest has more references than an event may have. */
    PARSE_MAX = 256 * 1024
};

bool event_wanted(const struct request *r, const char *action)
{
    const struct registry_hooks *hooks = &registry_of(r)->c.hooks;
    return hooks->wants && hooks->wants(hooks->arg, action);
}

/* The bytes of a buffer, in the arena; empty when they did not fit. */
static struct slice take(struct request *r, struct buf *b)
{
    struct slice s = b->failed ? SLICE_NONE : arena_slice(r->arena, buf_view(b));
    buf_release(b);
    return s;
}

static void member(struct json_writer *w, const char *key, struct slice value)
{
    jw_key(w, key);
    jw_string(w, value);
}

/* registry leaves out addr and host when they are empty, and nothing else. */
static struct slice request_json(struct request *r)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, META_EVENT_REQUEST_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    member(&w, "id", r->id);
    if (r->peer.n)
        member(&w, "addr", slice_first(r->peer, ADDR_MAX));
    if (r->host.n)
        member(&w, "host", slice_first(r->host, HOST_MAX));
    member(&w, "method", r->head->method_text);
    member(&w, "useragent", slice_first(request_field(r, "User-Agent"), AGENT_MAX));
    jw_object_end(&w);
    return take(r, &b);
}

struct meta_event *event_new(struct request *r, const char *action)
{
    if (!event_wanted(r, action))
        return NULL;
    struct meta_event *e = ARENA_NEW(r->arena, struct meta_event);
    *e = (struct meta_event){.action = slice_cstr(action),
                             .repo = req_repo(r),
                             .request = request_json(r),
                             .actor = req_principal(r).name};
    return e;
}

static struct slice target_url(struct request *r, const char *what, const struct digest *d)
{
    struct buf b;
    buf_init(&b, URL_MAX);
    req_url(r, true, &b);
    buf_printf(&b, "/v2/%.*s/%s/%s", SLICE_ARG(req_repo(r)), what, d->text);
    return take(r, &b);
}

void event_blob(struct request *r, struct meta_event *e, const struct digest *d, uint64_t size)
{
    if (!e)
        return;
    e->digest = arena_slice(r->arena, digest_slice(d));
    e->media_type = SLICE_LIT(MT_OCTETS);
    e->size = size;
    e->url = target_url(r, "blobs", d);
}

/* --- what a manifest refers to --- */

static void put_descriptor(struct buf *out, const struct json_value *v)
{
    static const char *const members[] = {"mediaType", "digest",      "size",
                                          "urls",      "annotations", "platform"};
    CLEANUP_BUF struct buf one = {0};
    struct json_writer w;
    buf_init(&one, META_EVENT_REFERENCES_MAX);
    jw_init(&w, &one);
    jw_object(&w);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct json_value *value = jv_get(v, members[i]);
        if (jv_kind(value) == JSON_ABSENT_ || jv_kind(value) == JSON_NULL_)
            continue;
        jw_key(&w, members[i]);
        w.comma = true;
        if (jv_dump(value, &one) < 0)
            return;
    }
    jw_object_end(&w);
    /* Whole ones, as many as fit with the closing bracket. */
    if (!one.failed && out->n + one.n + 2 <= out->max) {
        if (out->n > 1)
            buf_putc(out, ',');
        buf_slice(out, buf_view(&one));
    }
}

static struct slice references(struct request *r, struct slice body)
{
    CLEANUP_JSON struct json_doc *doc = NULL;
    static const char *const lists[] = {"layers", "manifests"};
    struct buf b;
    if (body.n > PARSE_MAX || jdoc_parse(body, ERR_MANIFEST_INVALID, &doc, NULL) < 0)
        return SLICE_NONE;
    const struct json_value *root = jdoc_root(doc);
    buf_init(&b, META_EVENT_REFERENCES_MAX);
    buf_putc(&b, '[');
    if (jv_kind(jv_get(root, "config")) == JSON_OBJECT_)
        put_descriptor(&b, jv_get(root, "config"));
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        const struct json_value *list = jv_get(root, lists[k]);
        for (size_t i = 0; i < jv_count(list); i++)
            put_descriptor(&b, jv_at(list, i));
    }
    buf_putc(&b, ']');
    if (b.n == 2)
        buf_clear(&b); /* registry leaves out an empty list */
    return take(r, &b);
}

void event_manifest(struct request *r, struct meta_event *e, const struct digest *d,
                    struct slice media_type, struct slice tag, struct slice body)
{
    if (!e)
        return;
    e->digest = arena_slice(r->arena, digest_slice(d));
    e->media_type = media_type;
    e->size = body.n;
    e->tag = tag;
    e->url = target_url(r, "manifests", d);
    if (live_of(r)->include_references)
        e->references = references(r, body);
}

/* --- telling --- */

void event_changed(const struct request *r, const struct meta_event *e)
{
    const struct registry_hooks *hooks = &registry_of(r)->c.hooks;
    if (e && hooks->changed)
        hooks->changed(hooks->arg);
}

void event_pulled(const struct request *r, const struct meta_event *e)
{
    const struct registry_hooks *hooks = &registry_of(r)->c.hooks;
    if (e && hooks->pulled)
        hooks->pulled(hooks->arg, e);
}
