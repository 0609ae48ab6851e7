/* SPDX-License-Identifier: Apache-2.0 */
/* Order of the checks: size, JSON, schema version, type, shape, descriptors. A document that two
 * clients could take for two things is refused (GHSA-qq97-vm5h-rrhg, CVE-2021-41190). */
#include "oci/manifest.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/util.h"
#include "oci/media_type.h"
#include "oci/oci_int.h"

#include "base/banned.h"

/* A JSON value costs up to 80 times its bytes in memory ("{}," is the worst). Real manifests have
 * about one value per 25 bytes; a body above VALUES_FREE bytes is counted before it is parsed, so
 * that 4 MiB of brackets do not become 300 MiB of tables. */
enum { VALUES_MAX = 256 * 1024, VALUES_FREE = 64 * 1024 };

struct manifest_type {
    const char *name;
    enum manifest_kind kind;
    bool layers_needed; /* Docker's schema always has them */
};

/* The two that a body is by shape, when nothing says more. */
enum { TYPE_OCI_IMAGE, TYPE_OCI_INDEX };

static const struct manifest_type types[] = {
    [TYPE_OCI_IMAGE] = {MT_OCI_MANIFEST, MANIFEST_IMAGE, false},
    [TYPE_OCI_INDEX] = {MT_OCI_INDEX, MANIFEST_INDEX, false},
    {MT_DOCKER_MANIFEST, MANIFEST_IMAGE, true},
    {MT_DOCKER_LIST, MANIFEST_INDEX, false},
};

#define TYPES_HELP                                                                   \
    "accepted are " MT_OCI_MANIFEST ", " MT_OCI_INDEX ", " MT_DOCKER_MANIFEST " and" \
    " " MT_DOCKER_LIST

/* The members that tell what a document is; NULL when absent. */
struct document {
    const struct json_value *root, *config, *layers, *manifests;
};

/* An upper bound on the values in `body`: brackets and commas outside strings. */
static int values_check(struct slice body, struct error *err)
{
    size_t n = 1;
    bool in_string = false;
    if (body.n <= VALUES_FREE)
        return 0;
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string)
            i += c == '\\';
        else
            n += c == ',' || c == '[' || c == '{';
    }
    if (n > VALUES_MAX)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "the manifest has more than %d JSON values: split it, or move what it "
                            "carries into a blob",
                            (int)VALUES_MAX);
    return 0;
}

static int schema1(struct error *err)
{
    return error_detail(err, ERR_MANIFEST_INVALID,
                        "Docker image manifest version 2 schema 1 is obsolete and not accepted: "
                        "push again with Docker 1.10 or newer, or convert the image with skopeo "
                        "copy --format v2s2");
}

static bool is_schema1(struct slice type)
{
    return slice_ieq(type, SLICE_LIT(MT_DOCKER_SCHEMA1)) ||
           slice_ieq(type, SLICE_LIT(MT_DOCKER_SCHEMA1_SIGNED));
}

static int version_check(const struct json_value *v, struct error *err)
{
    int64_t version;
    if (jv_int(v, &version))
        return wrong_kind(v, "", "schemaVersion", "the integer 2", err);
    if (version == 1)
        return schema1(err);
    if (version != 2)
        return error_detail(err, ERR_MANIFEST_INVALID, "schemaVersion is %" PRId64 ": it must be 2",
                            version);
    return 0;
}

/* NULL when it is none of ours. */
static const struct manifest_type *type_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (slice_ieq(name, slice_cstr(types[i].name)))
            return &types[i];
    return NULL;
}

static int unknown_type(struct slice name, const char *from, struct error *err)
{
    char echo[OCI_ECHO_SIZE];
    return error_detail(err, ERR_MANIFEST_INVALID,
                        "%s \"%s\" is not a manifest type of this registry: " TYPES_HELP, from,
                        oci_echo(name, echo));
}

/* What the client says that it is: the body's mediaType, else a specific Content-Type, else NULL.
 * `body_type` is the value of mediaType, `sent` the bare Content-Type. */
static int declared_type(const struct json_value *body_type, struct slice sent,
                         const struct manifest_type **out, struct error *err)
{
    bool generic =
        sent.n == 0 || slice_ieq(sent, SLICE_LIT(MT_JSON)) || slice_ieq(sent, SLICE_LIT(MT_OCTETS));
    if (json_given(body_type) && jv_kind(body_type) != JSON_STRING_)
        return wrong_kind(body_type, "", "mediaType", "a string", err);
    struct slice said = jv_string(body_type);
    if (is_schema1(sent) || is_schema1(said))
        return schema1(err);
    if (said.n == 0) {
        *out = generic ? NULL : type_find(sent);
        return generic || *out ? 0 : unknown_type(sent, "Content-Type", err);
    }
    if (!generic && !slice_ieq(said, sent)) {
        char a[OCI_ECHO_SIZE];
        char b[OCI_ECHO_SIZE];
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "mediaType in the body is \"%s\", but Content-Type is \"%s\": send the "
                            "same in both",
                            oci_echo(said, a), oci_echo(sent, b));
    }
    const struct manifest_type *type = type_find(said);
    if (!type)
        return unknown_type(said, "mediaType", err);
    /* Clients compare this member byte by byte. */
    if (!slice_is(said, type->name))
        return error_detail(err, ERR_MANIFEST_INVALID, "mediaType must be written \"%s\"",
                            type->name);
    *out = type;
    return 0;
}

/* What the body holds must be one thing, and fit what was declared (NULL: nothing was). */
static int shape_check(const struct document *doc, const struct manifest_type *declared,
                       struct error *err)
{
    const char *image_member = doc->layers ? "layers" : doc->config ? "config" : NULL;
    if (doc->manifests && image_member)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "the body has both manifests and %s, so it could be taken for an index "
                            "or for an image: keep one",
                            image_member);
    if (!doc->manifests && !image_member)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "the body has neither manifests (an index) nor config and layers (an "
                            "image manifest)");
    enum manifest_kind kind = doc->manifests ? MANIFEST_INDEX : MANIFEST_IMAGE;
    if (declared && declared->kind != kind)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "the type is %s, but the body has %s: send the type that it is",
                            declared->name, doc->manifests ? "manifests" : image_member);
    return 0;
}

/* How many descriptors a list holds; null is an empty list (Go writes that for a nil slice). */
static int list_check(const struct json_value *v, const char *member, unsigned *n,
                      struct error *err)
{
    *n = 0;
    if (!json_given(v))
        return 0;
    if (jv_kind(v) != JSON_ARRAY_)
        return wrong_kind(v, "", member, "an array of descriptors", err);
    if (jv_count(v) > MANIFEST_EDGES_MAX)
        return error_detail(err, ERR_MANIFEST_INVALID, "%s has %zu entries, at most %d are allowed",
                            member, jv_count(v), (int)MANIFEST_EDGES_MAX);
    *n = (unsigned)jv_count(v);
    return 0;
}

/* Appends the descriptor at `at` to m->edges, which has room. */
static int edge_add(const struct json_value *v, struct place at, enum edge_kind kind,
                    struct arena *a, struct manifest *m, struct error *err)
{
    struct descriptor d;
    if (descriptor_parse(v, at, &d, err))
        return -1;
    m->edges[m->n_edges++] = (struct edge){
        .kind = kind,
        .digest = arena_slice(a, d.digest),
        .media_type = arena_slice(a, d.media_type),
        .size = d.size,
        /* Clients do not upload a layer that says where else it is, nor one of a type that says
         * that it may not be distributed. */
        .required =
            kind != EDGE_LAYER || !(d.has_urls || media_type_is_nondistributable(d.media_type)),
    };
    return 0;
}

static int edges_parse(const struct document *doc, const struct manifest_type *type,
                       struct arena *a, struct manifest *m, struct error *err)
{
    bool image = m->kind == MANIFEST_IMAGE;
    const char *member = image ? "layers" : "manifests";
    const struct json_value *list = image ? doc->layers : doc->manifests;
    unsigned n;
    if (image && !json_given(doc->config))
        return wrong_kind(doc->config, "", "config",
                          "a descriptor (of the empty JSON object when there is nothing to say)",
                          err);
    if (type->layers_needed && !list)
        return wrong_kind(list, "", "layers", "an array of descriptors", err);
    if (list_check(list, member, &n, err))
        return -1;
    if (n + image > MANIFEST_EDGES_MAX)
        return error_detail(err, ERR_MANIFEST_INVALID,
                            "config and layers are %u entries, at most %d are allowed", n + 1,
                            (int)MANIFEST_EDGES_MAX);
    m->edges = ARENA_ARRAY(a, struct edge, n + image);
    if (image) {
        if (edge_add(doc->config, (struct place){"config", -1}, EDGE_CONFIG, a, m, err))
            return -1;
        m->config_media_type = m->edges[0].media_type;
    }
    for (unsigned i = 0; i < n; i++)
        if (edge_add(jv_at(list, i), (struct place){member, i}, image ? EDGE_LAYER : EDGE_CHILD, a,
                     m, err))
            return -1;
    return 0;
}

static int subject_parse(const struct json_value *v, struct arena *a, struct manifest *m,
                         struct error *err)
{
    struct descriptor d;
    if (!json_given(v))
        return 0;
    if (descriptor_parse(v, (struct place){"subject", -1}, &d, err))
        return -1;
    m->has_subject = true;
    m->subject = arena_slice(a, d.digest);
    return 0;
}

static int annotations_parse(const struct json_value *v, size_t body_size, struct arena *a,
                             struct manifest *m, struct error *err)
{
    if (annotations_check(v, "", err))
        return -1;
    if (jv_count(v) == 0)
        return 0;
    struct buf text CLEANUP_BUF = {0};
    buf_init(&text, body_size * 2); /* the compact form is never longer than what was read */
    if (jv_dump(v, &text))
        return error_set(err, ERR_UNAVAILABLE, "no memory for %zu bytes of annotations", body_size);
    m->annotations = arena_slice(a, buf_view(&text));
    return 0;
}

static int document_parse(const struct document *doc, const struct manifest_type *type,
                          size_t body_size, struct arena *a, struct manifest *out,
                          struct error *err)
{
    struct manifest m = {.kind = type->kind, .media_type = slice_cstr(type->name)};
    struct slice artifact_type;
    if (edges_parse(doc, type, a, &m, err) ||
        subject_parse(jv_get(doc->root, "subject"), a, &m, err) ||
        artifact_type_check(jv_get(doc->root, "artifactType"), "", &artifact_type, err) ||
        annotations_parse(jv_get(doc->root, "annotations"), body_size, a, &m, err))
        return -1;
    /* distribution-spec, "Listing Referrers". */
    m.artifact_type = artifact_type.n ? arena_slice(a, artifact_type) : m.config_media_type;
    *out = m;
    return 0;
}

static int member_spelling(void *arg, const char *key, const struct json_value *value)
{
    static const char *const names[] = {"schemaVersion", "mediaType",  "artifactType",
                                        "config",        "layers",     "manifests",
                                        "subject",       "annotations"};
    (void)value;
    return spelling_check(key, names, ARRAY_LEN(names), "", arg);
}

int manifest_parse(struct slice body, struct slice content_type, struct arena *a,
                   struct manifest *out, struct error *err)
{
    if (body.n > MANIFEST_SIZE_MAX)
        return error_detail(err, ERR_MANIFEST_TOO_LARGE,
                            "the manifest has %zu bytes, at most %d are accepted", body.n,
                            (int)MANIFEST_SIZE_MAX);
    struct json_doc *json CLEANUP_JSON = NULL;
    if (values_check(body, err) || jdoc_parse(body, ERR_MANIFEST_INVALID, &json, err))
        return -1;
    const struct json_value *root = jdoc_root(json);
    if (jv_kind(root) != JSON_OBJECT_)
        return wrong_kind(root, "", "the manifest", "a JSON object", err);
    if (jv_each(root, member_spelling, err))
        return -1;
    struct document doc = {
        .root = root,
        .config = jv_get(root, "config"),
        .layers = jv_get(root, "layers"),
        .manifests = jv_get(root, "manifests"),
    };
    struct slice sent = media_type_bare(content_type);
    const struct manifest_type *declared = NULL;
    if (declared_type(jv_get(root, "mediaType"), sent, &declared, err) ||
        version_check(jv_get(root, "schemaVersion"), err) || shape_check(&doc, declared, err))
        return -1;
    const struct manifest_type *by_shape = &types[doc.manifests ? TYPE_OCI_INDEX : TYPE_OCI_IMAGE];
    return document_parse(&doc, declared ? declared : by_shape, body.n, a, out, err);
}
