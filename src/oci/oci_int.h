/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/oci. */
#ifndef OCI_OCI_INT_H
#define OCI_OCI_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/slice.h"

enum {
    OCI_ECHO_MAX = 80,                   /* bytes of input that a message repeats */
    OCI_ECHO_SIZE = OCI_ECHO_MAX + 3 + 1 /* "..." and a NUL */
};

/* A printable, shortened copy of hostile input, for the text of an error: bytes outside printable
 * ASCII become \xNN. Returns out. */
const char *oci_echo(struct slice s, char out[OCI_ECHO_SIZE]);

/* Where in a manifest: `member`, or `member`[index] when index >= 0. */
struct place {
    const char *member;
    int64_t index;
};

/* What a descriptor says. Slices point into the JSON document. */
struct descriptor {
    struct slice digest; /* valid by grammar */
    struct slice media_type;
    uint64_t size;
    bool has_urls; /* and at least one */
};

/* Neither absent nor null. Go's encoders write null for a nil slice or map, so a null counts as an
 * absent member wherever the member is optional. */
bool json_given(const struct json_value *v);
/* -1 with ERR_MANIFEST_INVALID: "<of><member> is <what v is>: it must be <want>". */
int wrong_kind(const struct json_value *v, const char *of, const char *member, const char *want,
               struct error *err);

/* -1 with ERR_MANIFEST_INVALID when `key` is one of the names in another spelling: readers that
 * fold case (Go's encoding/json does, and takes U+017F for an s) take it for that member, and
 * others do not (CVE-2021-41190). */
int spelling_check(const char *key, const char *const *names, size_t n, const char *of,
                   struct error *err);

/* Validates the descriptor at `at`; -1 with ERR_MANIFEST_INVALID. */
int descriptor_parse(const struct json_value *v, struct place at, struct descriptor *out,
                     struct error *err);
/* An object whose values are all strings; absent and null are fine. `of` may be "": the manifest
 * itself; otherwise it is a prefix such as "layers[3].". */
int annotations_check(const struct json_value *v, const char *of, struct error *err);
/* A string that is empty or a media type; absent and null are fine and give SLICE_NONE. */
int artifact_type_check(const struct json_value *v, const char *of, struct slice *out,
                        struct error *err);

#endif
