/* SPDX-License-Identifier: Apache-2.0 */
/* manifest_parse. The first byte picks the Content-Type, or says that it stands in the first line.
 * What is accepted must keep the promises of the header. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/util.h"
#include "oci/manifest.h"
#include "oci/media_type.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const types[] = {"",
                                    MT_OCI_MANIFEST,
                                    MT_OCI_INDEX,
                                    MT_DOCKER_MANIFEST,
                                    MT_DOCKER_LIST,
                                    MT_JSON "; charset=utf-8",
                                    MT_DOCKER_SCHEMA1_SIGNED};

static void check_edge(const struct manifest *m, unsigned i)
{
    const struct edge *e = &m->edges[i];
    bool image = m->kind == MANIFEST_IMAGE;
    CHECK(digest_grammar(e->digest));
    CHECK(media_type_valid(media_type_bare(e->media_type)));
    CHECK(e->size <= UINT64_C(1) << 53);
    CHECK(e->kind == (!image ? EDGE_CHILD : i ? EDGE_LAYER : EDGE_CONFIG));
    CHECK(e->required || e->kind == EDGE_LAYER);
}

static void check_manifest(const struct manifest *m)
{
    bool image = m->kind == MANIFEST_IMAGE;
    CHECK(image ? media_type_is_manifest(m->media_type) : media_type_is_index(m->media_type));
    CHECK(m->n_edges <= MANIFEST_EDGES_MAX && m->n_edges >= (image ? 1 : 0));
    for (unsigned i = 0; i < m->n_edges; i++)
        check_edge(m, i);
    CHECK((m->config_media_type.n > 0) == image);
    CHECK(!image || m->artifact_type.n);
    CHECK(!m->has_subject || digest_grammar(m->subject));
    if (m->annotations.n) {
        struct json_doc *doc CLEANUP_JSON = NULL;
        int rc = jdoc_parse(m->annotations, ERR_UNKNOWN, &doc, NULL);
        CHECK(rc == 0 && jv_kind(jdoc_root(doc)) == JSON_OBJECT_);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice body = slice_make((const char *)data, n);
    struct slice type = SLICE_NONE;
    struct manifest m, again;
    struct error err;
    if (n == 0)
        return 0;
    body = slice_from(body, 1);
    size_t pick = data[0] % (ARRAY_LEN(types) + 1);
    type = pick < ARRAY_LEN(types) ? slice_cstr(types[pick]) : slice_cut(&body, '\n');

    struct arena *a = arena_new(512);
    if (manifest_parse(body, type, a, &m, &err)) {
        CHECK(err.code == ERR_MANIFEST_INVALID || err.code == ERR_MANIFEST_TOO_LARGE);
        CHECK(err.detail[0]);
    } else {
        check_manifest(&m);
        /* Declaring what it was taken for changes nothing. */
        int rc = manifest_parse(body, m.media_type, a, &again, &err);
        CHECK(rc == 0 && again.kind == m.kind && again.n_edges == m.n_edges);
        CHECK(slice_eq(again.media_type, m.media_type));
    }
    arena_free(a);
    return 0;
}
