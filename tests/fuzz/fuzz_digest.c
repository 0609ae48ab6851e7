/* SPDX-License-Identifier: Apache-2.0 */
/* Digest, name, tag, reference and media type, all on the same bytes, with the relations that must
 * hold between their answers. */
#include <stdint.h>
#include <stdlib.h>

#include "base/util.h"
#include "oci/digest.h"
#include "oci/media_type.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A failure always has a text, and that is printable whatever came in. */
static void check_error(const struct error *err, enum error_code code)
{
    CHECK(err->code == code && err->detail[0]);
    for (const char *p = err->detail; *p; p++)
        CHECK(*p >= 0x20 && *p <= 0x7e);
}

static void check_digest(struct slice s)
{
    struct digest d, again;
    struct error err;
    if (digest_parse(s, &d, &err)) {
        check_error(&err, ERR_DIGEST_INVALID);
        return;
    }
    char tag[OCI_TAG_MAX + 1];
    CHECK(digest_grammar(s) && slice_eq(digest_slice(&d), s));
    digest_make(d.alg, digest_hex(&d).p, &again);
    CHECK(digest_eq(&d, &again));
    reference_fallback_tag(&d, tag);
    CHECK(oci_tag_check(slice_cstr(tag), NULL) == 0);
}

static void check_names(struct slice s)
{
    struct error err;
    if (oci_name_check(s, &err))
        check_error(&err, ERR_NAME_INVALID);
    else /* nothing that a path or a URL would take for something else */
        CHECK(s.n && s.n <= OCI_NAME_MAX && s.p[0] != '/' && s.p[0] != '.' &&
              !memmem(s.p, s.n, "..", 2) && !memmem(s.p, s.n, "//", 2) && !memchr(s.p, 0, s.n));
    if (oci_tag_check(s, &err))
        check_error(&err, ERR_TAG_INVALID);
    else
        CHECK(s.n && s.n <= OCI_TAG_MAX && !memchr(s.p, '/', s.n) && !memchr(s.p, ':', s.n));
}

static void check_reference(struct slice s)
{
    struct reference r;
    struct digest d;
    struct error err;
    bool colon = s.n && memchr(s.p, ':', s.n);
    if (reference_parse(s, &r, &err)) {
        check_error(&err, colon ? ERR_DIGEST_INVALID : ERR_TAG_INVALID);
        CHECK(digest_parse(s, &d, NULL) && oci_tag_check(s, NULL));
        return;
    }
    CHECK(r.is_digest == colon);
    CHECK(slice_eq(r.is_digest ? digest_slice(&r.digest) : r.tag, s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* An exact heap copy, so that the sanitizer sees a read past the end. */
    char *copy = malloc(n ? n : 1);
    CHECK(copy);
    if (n)
        memcpy(copy, data, n);
    struct slice s = slice_make(copy, n);
    check_digest(s);
    check_names(s);
    check_reference(s);
    if (media_type_valid(s))
        CHECK(slice_eq(media_type_bare(s), s) && n <= 255);
    CHECK(!media_type_is_index(s) || !media_type_is_manifest(s));
    (void)media_type_is_nondistributable(s);
    free(copy);
    return 0;
}
