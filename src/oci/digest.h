/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, names, tags and references: the grammar of the OCI specifications. Pure. */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include <stdbool.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"

enum {
    DIGEST_TEXT_MAX = 7 + HASH_HEX_MAX, /* "sha512:" and 128 digits */
    OCI_NAME_MAX = 255,                 /* bytes of a repository name */
    OCI_TAG_MAX = 128
};

/* A valid digest of an algorithm that berth computes. */
struct digest {
    enum hash_alg alg;
    char text[DIGEST_TEXT_MAX + 1]; /* "sha256:<64 lower-case hex digits>" */
};

/* 0, or -1 with ERR_DIGEST_INVALID: outside the grammar, an algorithm other than sha256 and sha512,
 * wrong length, upper-case digits. */
int digest_parse(struct slice s, struct digest *out, struct error *err);
/* Grammar only, any algorithm (descriptors may name one that we do not know). At most 256 bytes. */
bool digest_grammar(struct slice s);
/* From a finished hash. */
void digest_make(enum hash_alg alg, const char *hex, struct digest *out);
void digest_of(enum hash_alg alg, struct slice content, struct digest *out);
struct slice digest_slice(const struct digest *d);
struct slice digest_hex(const struct digest *d);
bool digest_eq(const struct digest *a, const struct digest *b);

/* Repository name by the spec's grammar, at most OCI_NAME_MAX bytes; ERR_NAME_INVALID with a detail
 * that says what is wrong. */
int oci_name_check(struct slice s, struct error *err);
/* ERR_TAG_INVALID. */
int oci_tag_check(struct slice s, struct error *err);

/* <reference> of a manifest path: with a ':' it is a digest, otherwise a tag. */
struct reference {
    bool is_digest;
    struct digest digest;
    struct slice tag; /* points into the input */
};
/* ERR_DIGEST_INVALID or ERR_TAG_INVALID. */
int reference_parse(struct slice s, struct reference *out, struct error *err);
/* The fallback tag of the referrers tag schema for a digest (distribution-spec: algorithm cut to
 * 32, encoded to 64 bytes, others become '-'). out[OCI_TAG_MAX + 1]. */
void reference_fallback_tag(const struct digest *d, char *out);

#endif
