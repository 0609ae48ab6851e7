/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/media_type.h"

#include "base/banned.h"

enum { NAME_MAX_ = 127 }; /* RFC 6838, section 4.2 */

static bool restricted(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return !first && c != '\0' && strchr("!#$&^_.+-", c) != NULL;
}

/* restricted-name of RFC 6838. */
static bool name_valid(struct slice s)
{
    if (s.n == 0 || s.n > NAME_MAX_)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!restricted(s.p[i], i == 0))
            return false;
    return true;
}

bool media_type_valid(struct slice s)
{
    struct slice subtype = s;
    struct slice type = slice_cut(&subtype, '/');
    return name_valid(type) && name_valid(subtype);
}

struct slice media_type_bare(struct slice s)
{
    return slice_trim(slice_cut(&s, ';'));
}

/* Media types are case-insensitive (RFC 9110, section 8.3.1). */
static bool is(struct slice s, const char *type)
{
    return slice_ieq(s, slice_cstr(type));
}

bool media_type_is_index(struct slice s)
{
    return is(s, MT_OCI_INDEX) || is(s, MT_DOCKER_LIST);
}

bool media_type_is_manifest(struct slice s)
{
    return is(s, MT_OCI_MANIFEST) || is(s, MT_DOCKER_MANIFEST);
}

bool media_type_is_nondistributable(struct slice s)
{
    /* A prefix each, since compression and encryption add suffixes. */
    static const struct slice prefixes[] = {
        {"application/vnd.oci.image.layer.nondistributable.v1.", 52},
        {"application/vnd.docker.image.rootfs.foreign.", 44},
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (slice_ieq(slice_first(s, prefixes[i].n), prefixes[i]))
            return true;
    return false;
}
