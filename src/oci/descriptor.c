/* SPDX-License-Identifier: Apache-2.0 */
/* One descriptor (image-spec, "OCI Content Descriptors"): the members that the registry relies on
 * or that must be consistent. Unknown members are no business of ours. */
#include "oci/oci_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "oci/digest.h"
#include "oci/media_type.h"

#include "base/banned.h"

/* Integers above this are not exact in the doubles of most JSON implementations (RFC 7493, 2.2). */
#define SIZE_LIMIT (INT64_C(1) << 53)

enum { PLACE_TEXT_MAX = 48, MEDIA_TYPE_MAX = 255 };

/* "layers[3]." or "config.": what the name of a member is put after. */
static const char *place_text(struct place at, char out[PLACE_TEXT_MAX])
{
    if (at.index < 0)
        (void)snprintf(out, PLACE_TEXT_MAX, "%s.", at.member);
    else
        (void)snprintf(out, PLACE_TEXT_MAX, "%s[%" PRId64 "].", at.member, at.index);
    return out;
}

static const char *kind_text(const struct json_value *v)
{
    static const char *const names[] = {
        [JSON_NULL_] = "null",        [JSON_BOOL_] = "a boolean",  [JSON_INT_] = "an integer",
        [JSON_REAL_] = "a fraction",  [JSON_STRING_] = "a string", [JSON_ARRAY_] = "an array",
        [JSON_OBJECT_] = "an object", [JSON_ABSENT_] = "missing",
    };
    return names[jv_kind(v)];
}

bool json_given(const struct json_value *v)
{
    enum json_kind_of kind = jv_kind(v);
    return kind != JSON_ABSENT_ && kind != JSON_NULL_;
}

int wrong_kind(const struct json_value *v, const char *of, const char *member, const char *want,
               struct error *err)
{
    return error_detail(err, ERR_MANIFEST_INVALID, "%s%s is %s: it must be %s", of, member,
                        kind_text(v), want);
}

static bool folds_to(const char *key, const char *name)
{
    for (; *name; name++) {
        bool long_s = ascii_lower(*name) == 's' && strncmp(key, "\xc5\xbf", 2) == 0;
        if (!long_s && ascii_lower(*key) != ascii_lower(*name))
            return false;
        key += long_s ? 2 : 1;
    }
    return !*key;
}

int spelling_check(const char *key, const char *const *names, size_t n, const char *of,
                   struct error *err)
{
    char echo[OCI_ECHO_SIZE];
    for (size_t i = 0; i < n; i++)
        if (folds_to(key, names[i]) && strcmp(key, names[i]) != 0)
            return error_detail(err, ERR_MANIFEST_INVALID,
                                "%s%s must be written \"%s\": some clients would read "
                                "it as that, and others would not",
                                of, oci_echo(slice_cstr(key), echo), names[i]);
    return 0;
}

/* RFC 6838, and parameters after it: Sigstore's older bundle type carries ";version=0.3" inside its
 * name, and must stay what it is. */
static bool type_fits(struct slice s)
{
    struct slice parameters = s;
    if (s.n > MEDIA_TYPE_MAX || !media_type_valid(slice_cut(&parameters, ';')))
        return false;
    for (size_t i = 0; i < parameters.n; i++)
        if (parameters.p[i] < 0x20 || parameters.p[i] > 0x7e)
            return false;
    return true;
}

static int bad_type(struct slice s, const char *of, const char *member, struct error *err)
{
    char echo[OCI_ECHO_SIZE];
    return error_detail(err, ERR_MANIFEST_INVALID,
                        "%s%s \"%s\" is not a media type: it must be type/subtype as in RFC 6838, "
                        "for example application/vnd.example.thing.v1+json",
                        of, member, oci_echo(s, echo));
}

int artifact_type_check(const struct json_value *v, const char *of, struct slice *out,
                        struct error *err)
{
    if (!json_given(v)) {
        *out = SLICE_NONE;
        return 0;
    }
    if (jv_kind(v) != JSON_STRING_)
        return wrong_kind(v, of, "artifactType", "a string", err);
    struct slice s = jv_string(v);
    if (s.n && !type_fits(s))
        return bad_type(s, of, "artifactType", err);
    *out = s;
    return 0;
}

struct annotation_check {
    const char *of;
    struct error *err;
};

static int annotation_check(void *arg, const char *key, const struct json_value *value)
{
    const struct annotation_check *check = arg;
    char echo[OCI_ECHO_SIZE];
    if (jv_kind(value) == JSON_STRING_)
        return 0;
    return error_detail(check->err, ERR_MANIFEST_INVALID,
                        "%sannotations: the value of \"%s\" is %s: it must be a string", check->of,
                        oci_echo(slice_cstr(key), echo), kind_text(value));
}

int annotations_check(const struct json_value *v, const char *of, struct error *err)
{
    if (!json_given(v))
        return 0;
    if (jv_kind(v) != JSON_OBJECT_)
        return wrong_kind(v, of, "annotations", "an object of strings", err);
    struct annotation_check check = {.of = of, .err = err};
    return jv_each(v, annotation_check, &check);
}

static int digest_check(const struct json_value *v, const char *of, struct slice *out,
                        struct error *err)
{
    if (jv_kind(v) != JSON_STRING_)
        return wrong_kind(v, of, "digest", "a string such as \"sha256:...\"", err);
    struct slice s = jv_string(v);
    struct digest d;
    struct error why;
    /* Other algorithms pass by grammar, as image-spec wants it; where we know better, we insist. */
    bool known = slice_starts(s, SLICE_LIT("sha256:")) || slice_starts(s, SLICE_LIT("sha512:"));
    if ((known || !digest_grammar(s)) && digest_parse(s, &d, &why))
        return error_detail(err, ERR_MANIFEST_INVALID, "%sdigest: %s", of, why.detail);
    *out = s;
    return 0;
}

static int size_check(const struct json_value *v, const char *of, uint64_t *out, struct error *err)
{
    int64_t size;
    if (jv_int(v, &size))
        return wrong_kind(v, of, "size", "an integer, the number of bytes", err);
    if (size < 0 || size > SIZE_LIMIT)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "%ssize is %" PRId64 ": it must be between 0 and %" PRId64, of, size,
                            SIZE_LIMIT);
    *out = (uint64_t)size;
    return 0;
}

static int urls_check(const struct json_value *v, const char *of, bool *some, struct error *err)
{
    size_t n = json_given(v) ? jv_count(v) : 0;
    if (json_given(v) && jv_kind(v) != JSON_ARRAY_)
        return wrong_kind(v, of, "urls", "an array of strings", err);
    for (size_t i = 0; i < n; i++)
        if (jv_kind(jv_at(v, i)) != JSON_STRING_)
            return wrong_kind(jv_at(v, i), of, "urls: an element", "a string", err);
    *some = n > 0;
    return 0;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes that `s` decodes to by its length, or -1: RFC 4648 section 4, with padding. */
static int64_t base64_size(struct slice s)
{
    if (s.n % 4)
        return -1;
    size_t pad = 0;
    while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
        pad++;
    return (int64_t)(s.n / 4 * 3 - pad);
}

/* Decodes `s`, whose length was checked, into the hash. Strict: nothing outside the alphabet, and
 * the bits that padding leaves over are zero, so that there is one encoding of each content. */
static int base64_hash(struct slice s, struct hasher *h)
{
    size_t left = (size_t)base64_size(s);
    unsigned char out[3 * 256];
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += 4) {
        size_t bytes = left < 3 ? left : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int v = k <= bytes ? base64_value(s.p[i + k]) : 0;
            if (v < 0)
                return -1;
            group = group << 6 | (uint32_t)v;
        }
        if ((bytes == 1 && (group & 0xffff)) || (bytes == 2 && (group & 0xff)))
            return -1;
        for (size_t k = 0; k < bytes; k++)
            out[n++] = (unsigned char)(group >> (16 - 8 * k));
        left -= bytes;
        if (n > sizeof out - 3 || left == 0) {
            hasher_update(h, out, n);
            n = 0;
        }
    }
    return 0;
}

/* `data` must be the content that size and digest speak of: whoever trusts it does not fetch. */
static int data_check(const struct json_value *v, const char *of, const struct descriptor *d,
                      struct error *err)
{
    if (!json_given(v))
        return 0;
    if (jv_kind(v) != JSON_STRING_)
        return wrong_kind(v, of, "data", "a string, base64", err);
    struct slice s = jv_string(v);
    int64_t size = base64_size(s);
    if (size >= 0 && (uint64_t)size != d->size)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "%sdata decodes to %" PRId64 " bytes, but size is %" PRIu64
                            ": leave data out, or embed the whole content",
                            of, size, d->size);
    struct digest want;
    bool known = digest_parse(d->digest, &want, NULL) == 0;
    struct hasher *h = hasher_new(known ? want.alg : HASH_SHA256);
    char hex[HASH_HEX_MAX + 1];
    int rc = size < 0 ? -1 : base64_hash(s, h);
    hasher_hex(h, hex);
    hasher_free(h);
    if (rc)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "%sdata is not base64 as in RFC 4648 section 4, with padding and "
                            "without line breaks",
                            of);
    if (known && !slice_is(digest_hex(&want), hex))
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "%sdata does not have the digest of the descriptor, but %s:%s: leave "
                            "data out, or embed the content that the digest names",
                            of, hash_name(want.alg), hex);
    return 0;
}

enum member {
    M_MEDIA_TYPE,
    M_DIGEST,
    M_SIZE,
    M_URLS,
    M_ARTIFACT_TYPE,
    M_ANNOTATIONS,
    M_DATA,
    M_PLATFORM,
    MEMBER_COUNT
};

static const char *const member_names[MEMBER_COUNT] = {
    [M_MEDIA_TYPE] = "mediaType",
    [M_DIGEST] = "digest",
    [M_SIZE] = "size",
    [M_URLS] = "urls",
    [M_ARTIFACT_TYPE] = "artifactType",
    [M_ANNOTATIONS] = "annotations",
    [M_DATA] = "data",
    [M_PLATFORM] = "platform",
};

struct collect {
    const struct json_value *members[MEMBER_COUNT];
    const char *of;
    struct error *err;
};

/* One walk over the members: a descriptor has about three of the eight, and a look-up costs a hash
 * each, which adds a third to the time of a whole parse. */
static int member_collect(void *arg, const char *key, const struct json_value *value)
{
    struct collect *c = arg;
    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (strcmp(key, member_names[i]) == 0) {
            c->members[i] = value;
            return 0;
        }
    }
    return spelling_check(key, member_names, MEMBER_COUNT, c->of, c->err);
}

int descriptor_parse(const struct json_value *v, struct place at, struct descriptor *out,
                     struct error *err)
{
    char of[PLACE_TEXT_MAX];
    place_text(at, of);
    if (jv_kind(v) != JSON_OBJECT_) {
        of[strlen(of) - 1] = '\0'; /* without the dot */
        return wrong_kind(v, of, "", "a descriptor, an object with mediaType, digest and size",
                          err);
    }
    struct descriptor d = {0};
    struct collect collect = {.of = of, .err = err};
    if (jv_each(v, member_collect, &collect))
        return -1;
    const struct json_value *const *members = collect.members;
    const struct json_value *type = members[M_MEDIA_TYPE];
    if (jv_kind(type) != JSON_STRING_)
        return wrong_kind(type, of, "mediaType", "a string, the media type of the content", err);
    d.media_type = jv_string(type);
    if (!type_fits(d.media_type))
        return bad_type(d.media_type, of, "mediaType", err);
    struct slice artifact_type;
    const struct json_value *platform = members[M_PLATFORM];
    if (digest_check(members[M_DIGEST], of, &d.digest, err) ||
        size_check(members[M_SIZE], of, &d.size, err) ||
        urls_check(members[M_URLS], of, &d.has_urls, err) ||
        artifact_type_check(members[M_ARTIFACT_TYPE], of, &artifact_type, err) ||
        annotations_check(members[M_ANNOTATIONS], of, err) ||
        data_check(members[M_DATA], of, &d, err))
        return -1;
    if (json_given(platform) && jv_kind(platform) != JSON_OBJECT_)
        return wrong_kind(platform, of, "platform", "an object with architecture and os", err);
    *out = d;
    return 0;
}
