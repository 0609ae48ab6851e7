/* SPDX-License-Identifier: Apache-2.0 */
/* end-12: the manifests that name a digest as their subject. Never 404, not even for an unknown
 * repository: a client takes that for a registry without the referrers API and starts to write
 * fallback tags. Manifests that are listed under a fallback tag appear as well, since every
 * manifest is indexed by its own `subject`, however it came. */
#include "base/json.h"
#include "registry/registry_int.h"

#include "base/banned.h"

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
    struct buf b;
    struct json_writer w;
    /* Pages are cut at META_REFERRERS_BYTES, or one entry with the annotations of one manifest. */
    buf_init(&b, (size_t)16 * 1024 * 1024);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "schemaVersion");
    jw_int(&w, 2);
    jw_key(&w, "mediaType");
    jw_cstr(&w, MT_OCI_INDEX);
    jw_key(&w, "manifests");
    jw_array(&w);
    for (unsigned i = 0; i < list.n; i++)
        write_one(&w, &list.list[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    enum step done = resp_json(r, MT_OCI_INDEX, &b);
    buf_release(&b);
    if (r->resp.status != 200)
        return done;
    if (type.n)
        response_field(r, "OCI-Filters-Applied", "artifactType");
    if (list.n && list.more)
        resp_next_link(r, list.list[list.n - 1].digest, n, type.n ? "artifactType" : NULL, type);
    return done;
}
