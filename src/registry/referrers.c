/* SPDX-License-Identifier: Apache-2.0 */
/* end-12: the manifests that name a digest as their subject. Never 404, not even for an unknown
 * repository: a client takes that for a registry without the referrers API and starts to write
 * fallback tags. Manifests that are listed under a fallback tag appear as well, since every
 * manifest is indexed by its own `subject`, however it came. */
#include "base/json.h"
#include "registry/registry_int.h"

#include "base/banned.h"

enum { PAGE_BYTES_MAX = 4 * 1000 * 1000 }; /* what clients accept of a manifest (oci.md 1.8) */

static void write_one(struct json_writer *w, const struct meta_referrer *one)
{
    jw_object(w);
    jw_key(w, "mediaType");
    jw_string(w, one->media_type);
    jw_key(w, "digest");
    jw_string(w, one->digest);
    jw_key(w, "size");
    jw_int(w, (int64_t)one->size);
    if (one->artifact_type.n) {
        jw_key(w, "artifactType");
        jw_string(w, one->artifact_type);
    }
    if (one->annotations.n) {
        jw_key(w, "annotations");
        jw_raw(w, one->annotations);
    }
    jw_object_end(w);
}

/* How many of the list fit a page; at least one. */
static unsigned page_of(const struct meta_referrers *list)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < list->n; i++) {
        const struct meta_referrer *one = &list->list[i];
        bytes += 512 + one->artifact_type.n + one->annotations.n;
        if (bytes > PAGE_BYTES_MAX)
            return i ? i : 1;
    }
    return list->n;
}

enum step referrers_get(struct request *r)
{
    struct registry *reg = registry_of(r);
    struct error err = {0};
    struct digest subject;
    unsigned n;
    struct slice last;
    struct slice type = SLICE_NONE;
    struct meta_referrers list = {0};
    if (req_digest(r, &subject, &err) || req_page(r, reg->c.referrers_page, &n, &last, &err))
        return step_error(r, &err);
    if (!request_query(r, "artifactType", &type, NULL))
        type = SLICE_NONE;
    if (n == 0)
        n = 1; /* an empty page could not say where the next one begins */
    if (meta_referrers(reg->c.meta, req_repo(r), digest_slice(&subject), type, last, n, r->arena,
                       &list, &err))
        return step_error(r, &err);
    unsigned shown = page_of(&list);
    struct buf b;
    struct json_writer w;
    buf_init(&b, (size_t)16 * 1024 * 1024);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "schemaVersion");
    jw_int(&w, 2);
    jw_key(&w, "mediaType");
    jw_cstr(&w, MT_OCI_INDEX);
    jw_key(&w, "manifests");
    jw_array(&w);
    for (unsigned i = 0; i < shown; i++)
        write_one(&w, &list.list[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    enum step done = resp_json(r, MT_OCI_INDEX, &b);
    buf_release(&b);
    if (r->resp.status != 200)
        return done;
    if (type.n)
        response_field(r, "OCI-Filters-Applied", "artifactType");
    if (shown && (list.more || shown < list.n))
        resp_next_link(r, list.list[shown - 1].digest, n, type.n ? "artifactType" : NULL, type);
    return done;
}
