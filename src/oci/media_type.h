/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OCI_MEDIA_TYPE_H
#define OCI_MEDIA_TYPE_H

#include <stdbool.h>

#include "base/slice.h"

#define MT_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MT_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MT_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MT_OCI_EMPTY "application/vnd.oci.empty.v1+json"
#define MT_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MT_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MT_DOCKER_SCHEMA1 "application/vnd.docker.distribution.manifest.v1+json"
#define MT_DOCKER_SCHEMA1_SIGNED "application/vnd.docker.distribution.manifest.v1+prettyjws"
#define MT_OCTETS "application/octet-stream"
#define MT_JSON "application/json"

/* type/subtype by RFC 6838, without parameters, at most 255 bytes. */
bool media_type_valid(struct slice s);
/* Without parameters and white space ("; charset=…"). */
struct slice media_type_bare(struct slice s);
bool media_type_is_index(struct slice s);    /* OCI index or Docker manifest list */
bool media_type_is_manifest(struct slice s); /* OCI or Docker v2s2 image manifest */
/* Layers that are never uploaded (foreign, nondistributable). */
bool media_type_is_nondistributable(struct slice s);

#endif
