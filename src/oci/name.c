/* SPDX-License-Identifier: Apache-2.0 */
/* Repository names, tags, references. Matchers by hand: a state machine per grammar, one look at
 * each byte. */
#include "oci/digest.h"

#include <string.h>

#include "base/util.h"
#include "oci/oci_int.h"

#include "base/banned.h"

/* What a name ended in so far. Only WORD may be followed by '/' or the end. */
enum name_state { COMPONENT_START, WORD, DOT, UNDERSCORE, UNDERSCORES, DASHES, BROKEN };

static enum name_state name_step(enum name_state state, char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return WORD;
    switch (c) {
    case '/':
        return state == WORD ? COMPONENT_START : BROKEN;
    case '.':
        return state == WORD ? DOT : BROKEN;
    case '_':
        return state == WORD ? UNDERSCORE : state == UNDERSCORE ? UNDERSCORES : BROKEN;
    case '-':
        return state == WORD || state == DASHES ? DASHES : BROKEN;
    default:
        return BROKEN;
    }
}

#define NAME_HELP                                                                           \
    "use lower-case letters, digits, and the separators . _ __ - between them, components " \
    "separated by one /"

int oci_name_check(struct slice s, struct error *err)
{
    char echo[OCI_ECHO_SIZE];
    char bad[OCI_ECHO_SIZE];
    if (s.n == 0)
        return error_detail(err, ERR_NAME_INVALID, "the repository name is empty: " NAME_HELP);
    if (s.n > OCI_NAME_MAX)
        return error_detail(err, ERR_NAME_INVALID,
                            "repository name \"%s\" has %zu bytes, at most %d are allowed",
                            oci_echo(s, echo), s.n, (int)OCI_NAME_MAX);
    enum name_state state = COMPONENT_START;
    for (size_t i = 0; i < s.n; i++) {
        state = name_step(state, s.p[i]);
        if (state == BROKEN)
            return error_detail(
                err, ERR_NAME_INVALID,
                "repository name \"%s\" is not allowed at \"%s\" (offset %zu): " NAME_HELP,
                oci_echo(s, echo), oci_echo(slice_make(s.p + i, 1), bad), i);
    }
    if (state != WORD)
        return error_detail(err, ERR_NAME_INVALID,
                            "repository name \"%s\" may not end in \"%c\": " NAME_HELP,
                            oci_echo(s, echo), s.p[s.n - 1]);
    return 0;
}

static bool tag_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (!first && (c == '.' || c == '-'));
}

#define TAG_HELP "use letters, digits and _ . - (not . or - at its start)"

int oci_tag_check(struct slice s, struct error *err)
{
    char echo[OCI_ECHO_SIZE];
    char bad[OCI_ECHO_SIZE];
    if (s.n == 0)
        return error_detail(err, ERR_TAG_INVALID, "the tag is empty: " TAG_HELP);
    if (s.n > OCI_TAG_MAX)
        return error_detail(err, ERR_TAG_INVALID,
                            "tag \"%s\" has %zu bytes, at most %d are allowed", oci_echo(s, echo),
                            s.n, (int)OCI_TAG_MAX);
    for (size_t i = 0; i < s.n; i++)
        if (!tag_char(s.p[i], i == 0))
            return error_detail(err, ERR_TAG_INVALID,
                                "tag \"%s\" is not allowed at \"%s\" (offset %zu): " TAG_HELP,
                                oci_echo(s, echo), oci_echo(slice_make(s.p + i, 1), bad), i);
    return 0;
}

int reference_parse(struct slice s, struct reference *out, struct error *err)
{
    /* A tag cannot hold a colon, so nothing is ambiguous. */
    if (s.n && memchr(s.p, ':', s.n)) {
        struct digest d;
        if (digest_parse(s, &d, err))
            return -1;
        *out = (struct reference){.is_digest = true, .digest = d};
        return 0;
    }
    if (oci_tag_check(s, err))
        return -1;
    *out = (struct reference){.tag = s};
    return 0;
}

void reference_fallback_tag(const struct digest *d, char *out)
{
    /* sha256 and sha512 hold no byte that a tag may not have, so only the cuts matter. */
    struct slice name = slice_first(slice_cstr(hash_name(d->alg)), 32);
    struct slice encoded = slice_first(digest_hex(d), 64);
    CHECK(name.p && encoded.p);
    memcpy(out, name.p, name.n);
    out[name.n] = '-';
    memcpy(out + name.n + 1, encoded.p, encoded.n);
    out[name.n + 1 + encoded.n] = '\0';
}
