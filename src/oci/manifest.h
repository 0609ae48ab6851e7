/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes: validation, and what the registry needs to know of them. The bytes are
 * never changed. Pure. */
#ifndef OCI_MANIFEST_H
#define OCI_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "oci/digest.h"

enum { MANIFEST_SIZE_MAX = 4 * 1024 * 1024, MANIFEST_EDGES_MAX = 20000 };

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };
enum edge_kind { EDGE_CONFIG, EDGE_LAYER, EDGE_CHILD };

/* A descriptor that a manifest refers to. */
struct edge {
    enum edge_kind kind;
    struct slice digest;     /* valid by grammar; of any algorithm */
    struct slice media_type; /* may carry parameters, as Sigstore's older bundle type does */
    uint64_t size;
    bool required; /* must exist in the repository when the manifest is pushed: false for layers
                      with urls or of a nondistributable type */
};

struct manifest {
    enum manifest_kind kind;
    struct slice media_type; /* what it is served as: the body's mediaType, else the Content-Type,
                                else by shape */
    struct slice artifact_type;     /* for the referrers list: artifactType, else an image's config
                                       mediaType, else empty */
    struct slice config_media_type; /* image only */
    struct slice annotations;       /* JSON object as text, or empty */
    struct edge *edges;             /* in document order: config first */
    unsigned n_edges;
    bool has_subject;
    struct slice subject; /* digest, valid by grammar */
};

/* Parses and validates `body` (at most MANIFEST_SIZE_MAX) that came with `content_type` (parameters
 * are ignored; may be empty). Slices in *out are in the arena. -1 with ERR_MANIFEST_INVALID and a
 * detail that says which member is wrong, what was found and what to do; ERR_MANIFEST_TOO_LARGE
 * above the limit. Rejected: not I-JSON (duplicate names, invalid UTF-8, trailing data, NUL),
 * schemaVersion other than 2 (schema 1 with a detail of its own), both `layers` and `manifests`,
 * neither, mediaType that differs from Content-Type or is not a known manifest type, descriptors
 * without digest, size or mediaType, floats, negative or above 2^53 sizes, digests outside the
 * grammar, `data` that does not match size and digest, more than MANIFEST_EDGES_MAX edges, more
 * than 262144 JSON values in all (memory: a bracket costs 80 times its byte). Accepted: unknown
 * members, empty lists, null for an absent optional member, missing `layers` in an image without
 * layers (but then a config), any config, layer and artifact type, nested indexes. */
int manifest_parse(struct slice body, struct slice content_type, struct arena *a,
                   struct manifest *out, struct error *err);

#endif
