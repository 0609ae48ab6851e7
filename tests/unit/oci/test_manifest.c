/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/util.h"
#include "oci/media_type.h"

#include "base/banned.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define EMPTY_OBJECT "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar+gzip"
#define FOREIGN_TYPE "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

/* A descriptor with more members, each written ",\"name\":value". */
#define DESC(type, more) \
    "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX64 "\",\"size\":7" more "}"
#define CONFIG DESC(MT_OCI_CONFIG, "")
#define LAYER DESC(LAYER_TYPE, "")
#define IMAGE(layers, more) \
    "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" layers "]" more "}"
#define INDEX(children, more) "{\"schemaVersion\":2,\"manifests\":[" children "]" more "}"
#define TYPE(type) ",\"mediaType\":\"" type "\""
#define EMPTY_DATA(data)                                             \
    "{\"mediaType\":\"" MT_OCI_EMPTY "\",\"digest\":\"" EMPTY_OBJECT \
    "\",\"size\":2,\"data\":\"" data "\"}"

struct fixture {
    struct arena *arena;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->arena = arena_new(1024);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    free(f);
    return 0;
}

static struct manifest accept(struct fixture *f, const char *body, const char *type)
{
    struct manifest m;
    if (manifest_parse(slice_cstr(body), slice_cstr(type), f->arena, &m, &f->err))
        fail_msg("refused: %s\nin %s", f->err.detail, body);
    return m;
}

struct row {
    const char *body, *type, *detail;
};

/* Each row is refused for the reason given, with *out untouched, also without an error object. */
static void refuse(struct fixture *f, const struct row *rows, size_t n)
{
    struct manifest m;
    struct manifest before;
    memset(&before, 0x5a, sizeof before);
    for (size_t i = 0; i < n; i++) {
        struct slice body = slice_cstr(rows[i].body);
        struct slice type = slice_cstr(rows[i].type);
        memcpy(&m, &before, sizeof m);
        error_clear(&f->err);
        if (manifest_parse(body, type, f->arena, &m, &f->err) == 0)
            fail_msg("accepted: %s\nwant: %s", rows[i].body, rows[i].detail);
        assert_int_equal(f->err.code, ERR_MANIFEST_INVALID);
        if (!strstr(f->err.detail, rows[i].detail))
            fail_msg("got: %s\nwant: %s\nin %s", f->err.detail, rows[i].detail, rows[i].body);
        assert_memory_equal(&m, &before, sizeof m);
        assert_int_equal(manifest_parse(body, type, f->arena, &m, NULL), -1);
    }
}
#define REFUSE(f, rows) refuse((f), (rows), ARRAY_LEN(rows))

#define URLS ",\"urls\":[\"https://example.test/x\"]"
#define FOREIGN DESC(FOREIGN_TYPE, "")
#define FOREIGN_WITH_URLS DESC(FOREIGN_TYPE, URLS)
#define LAYER_WITH_URLS DESC(LAYER_TYPE, URLS)
#define LAYER_NO_URLS DESC(LAYER_TYPE, ",\"urls\":[]")
#define FIVE_LAYERS LAYER "," FOREIGN "," LAYER_WITH_URLS "," FOREIGN_WITH_URLS "," LAYER_NO_URLS

static const char config_last[] =
    "{\"annotations\": {\"b\" : \"1\",\"a\":\"x\\u00e9\\n\"},\"layers\":[" FIVE_LAYERS "]"
    ",\"config\":" CONFIG TYPE(MT_OCI_MANIFEST) ",\"schemaVersion\":2}";

static void image(void **state)
{
    struct fixture *f = *state;
    struct manifest m = accept(f, config_last, MT_OCI_MANIFEST);
    assert_int_equal(m.kind, MANIFEST_IMAGE);
    assert_true(slice_is(m.media_type, MT_OCI_MANIFEST));
    assert_true(slice_is(m.config_media_type, MT_OCI_CONFIG));
    assert_true(slice_is(m.artifact_type, MT_OCI_CONFIG));
    assert_true(slice_is(m.annotations, "{\"b\":\"1\",\"a\":\"x\xc3\xa9\\n\"}"));
    assert_false(m.has_subject);
    assert_int_equal(m.n_edges, 6);
    static const bool required[] = {true, true, false, false, false, true};
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(m.edges[i].kind, i ? EDGE_LAYER : EDGE_CONFIG);
        assert_int_equal(m.edges[i].required, required[i]);
        assert_true(slice_is(m.edges[i].digest, "sha256:" HEX64));
        assert_int_equal(m.edges[i].size, 7);
    }
    assert_true(slice_is(m.edges[2].media_type, FOREIGN_TYPE));
}

static void results_outlive_the_body(void **state)
{
    struct fixture *f = *state;
    char *body = xstrdup(IMAGE(LAYER, ",\"artifactType\":\"text/plain\",\"subject\":" LAYER
                                      ",\"annotations\":{\"k\":\"v\"}"));
    char *type = xstrdup(MT_OCI_MANIFEST "; charset=utf-8");
    struct manifest m = accept(f, body, type);
    memset(body, 'x', strlen(body));
    memset(type, 'x', strlen(type));
    free(body);
    free(type);
    assert_true(slice_is(m.media_type, MT_OCI_MANIFEST));
    assert_true(slice_is(m.artifact_type, "text/plain"));
    assert_true(slice_is(m.config_media_type, MT_OCI_CONFIG));
    assert_true(slice_is(m.annotations, "{\"k\":\"v\"}"));
    assert_true(m.has_subject);
    assert_true(slice_is(m.subject, "sha256:" HEX64));
    assert_true(slice_is(m.edges[1].media_type, LAYER_TYPE));
}

#define PLATFORM ",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}"
#define IMAGE_CHILD DESC(MT_OCI_MANIFEST, PLATFORM)
#define THREE_CHILDREN IMAGE_CHILD "," DESC(MT_OCI_INDEX, "") "," DESC("text/x-any", URLS)
#define INDEX_MEMBERS TYPE(MT_OCI_INDEX) ",\"artifactType\":\"application/vnd.example+json\""

static void index_(void **state)
{
    struct fixture *f = *state;
    struct manifest m = accept(f, INDEX(THREE_CHILDREN, INDEX_MEMBERS), MT_OCI_INDEX);
    assert_int_equal(m.kind, MANIFEST_INDEX);
    assert_true(slice_is(m.media_type, MT_OCI_INDEX));
    assert_true(slice_is(m.artifact_type, "application/vnd.example+json"));
    assert_int_equal(m.config_media_type.n, 0);
    assert_int_equal(m.annotations.n, 0);
    assert_int_equal(m.n_edges, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(m.edges[i].kind, EDGE_CHILD);
        assert_true(m.edges[i].required);
    }
    assert_true(slice_is(m.edges[1].media_type, MT_OCI_INDEX));

    m = accept(f, INDEX(DESC(MT_DOCKER_MANIFEST, ""), TYPE(MT_DOCKER_LIST)), MT_DOCKER_LIST);
    assert_int_equal(m.kind, MANIFEST_INDEX);
    assert_true(slice_is(m.media_type, MT_DOCKER_LIST));
    assert_int_equal(m.artifact_type.n, 0);
}

/* What clients and the conformance suite send, however odd. */
static void oddities(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(accept(f, INDEX("", ""), MT_OCI_INDEX).n_edges, 0);
    assert_int_equal(accept(f, "{\"schemaVersion\":2,\"manifests\":null}", MT_OCI_INDEX).n_edges,
                     0);
    assert_int_equal(accept(f, IMAGE("", ""), MT_OCI_MANIFEST).n_edges, 1);
    static const char *const no_layers[] = {
        "{\"schemaVersion\":2,\"config\":" CONFIG "}",
        "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":null}",
    };
    for (size_t i = 0; i < ARRAY_LEN(no_layers); i++) {
        struct manifest m = accept(f, no_layers[i], "");
        assert_int_equal(m.kind, MANIFEST_IMAGE);
        assert_int_equal(m.n_edges, 1);
        assert_int_equal(m.edges[0].kind, EDGE_CONFIG);
    }
    struct manifest m = accept(
        f,
        IMAGE(LAYER,
              ",\"annotations\":null,\"subject\":null,\"artifactType\":null,\"x\":{\"y\":[1.5,"
              "-3,true,null]},\"mediaType\":null"),
        MT_OCI_MANIFEST);
    assert_int_equal(m.annotations.n, 0);
    assert_false(m.has_subject);
    assert_int_equal(accept(f, IMAGE(LAYER, ",\"annotations\":{}"), "").annotations.n, 0);
    m = accept(f, IMAGE(LAYER, ",\"artifactType\":\"\",\"mediaType\":\"\""), "");
    assert_true(slice_is(m.artifact_type, MT_OCI_CONFIG));
    (void)accept(f,
                 IMAGE(DESC(LAYER_TYPE, ",\"urls\":null,\"annotations\":null,\"data\":null,"
                                        "\"platform\":null,\"artifactType\":null,\"size2\":-1"),
                       ""),
                 "");
    m = accept(f,
               IMAGE(DESC("application/vnd.dev.sigstore.bundle+json;version=0.3", ""),
                     ",\"artifactType\":\"application/vnd.dev.sigstore.bundle+json;version=0.3\""),
               "");
    assert_true(slice_is(m.artifact_type, "application/vnd.dev.sigstore.bundle+json;version=0.3"));
    m = accept(f,
               IMAGE("{\"mediaType\":\"a/b\",\"digest\":\"blake3:xyz\",\"size\":9007199254740992},"
                     "{\"mediaType\":\"a/b\",\"digest\":\"sha512:" HEX64 HEX64 "\",\"size\":0}",
                     ""),
               "");
    assert_true(slice_is(m.edges[1].digest, "blake3:xyz"));
    assert_int_equal(m.edges[1].size, UINT64_C(1) << 53);
    assert_true(m.edges[1].required);
    assert_int_equal(m.edges[2].size, 0);
    /* A subject of an unknown algorithm is one that does not exist yet. */
    m = accept(f, INDEX("", ",\"subject\":{\"mediaType\":\"a/b\",\"digest\":\"a+b:c\",\"size\":1}"),
               "");
    assert_true(slice_is(m.subject, "a+b:c"));
}

static void type_is_resolved(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *sent, *want;
    } rows[] = {
        {IMAGE(LAYER, ""), "", MT_OCI_MANIFEST},
        {IMAGE(LAYER, ""), MT_JSON, MT_OCI_MANIFEST},
        {IMAGE(LAYER, ""), MT_OCTETS, MT_OCI_MANIFEST},
        {IMAGE(LAYER, ""), MT_DOCKER_MANIFEST, MT_DOCKER_MANIFEST},
        {IMAGE(LAYER, ""), " Application/VND.oci.image.manifest.v1+json ; a=b", MT_OCI_MANIFEST},
        {IMAGE(LAYER, TYPE(MT_DOCKER_MANIFEST)), "", MT_DOCKER_MANIFEST},
        {IMAGE(LAYER, TYPE(MT_DOCKER_MANIFEST)), MT_JSON "; charset=utf-8", MT_DOCKER_MANIFEST},
        {IMAGE(LAYER, TYPE(MT_DOCKER_MANIFEST)), MT_OCTETS, MT_DOCKER_MANIFEST},
        {IMAGE(LAYER, TYPE(MT_DOCKER_MANIFEST)), MT_DOCKER_MANIFEST, MT_DOCKER_MANIFEST},
        {INDEX(LAYER, ""), "", MT_OCI_INDEX},
        {INDEX(LAYER, ""), MT_DOCKER_LIST, MT_DOCKER_LIST},
        {INDEX(LAYER, TYPE(MT_DOCKER_LIST)), "", MT_DOCKER_LIST},
        {INDEX(LAYER, TYPE(MT_OCI_INDEX)), MT_OCI_INDEX ";x", MT_OCI_INDEX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(slice_is(accept(f, rows[i].body, rows[i].sent).media_type, rows[i].want));
}

static void type_is_refused(void **state)
{
    static const struct row rows[] = {
        {IMAGE(LAYER, TYPE(MT_OCI_MANIFEST)), MT_DOCKER_MANIFEST,
         "mediaType in the body is \"" MT_OCI_MANIFEST "\", but Content-Type is "
         "\"" MT_DOCKER_MANIFEST "\": send the same in both"},
        {IMAGE(LAYER, TYPE(MT_OCI_MANIFEST)), "text/plain", "but Content-Type is \"text/plain\""},
        {IMAGE(LAYER, ""), "text/plain", "Content-Type \"text/plain\" is not a manifest type"},
        {IMAGE(LAYER, ""), "text/plain",
         "accepted are " MT_OCI_MANIFEST ", " MT_OCI_INDEX ", " MT_DOCKER_MANIFEST
         " and " MT_DOCKER_LIST},
        {"{\"schemaVersion\":2,\"blobs\":[]" TYPE(
             "application/vnd.oci.artifact.manifest.v1+json") "}",
         "application/vnd.oci.artifact.manifest.v1+json",
         "mediaType \"application/vnd.oci.artifact.manifest.v1+json\" is not a manifest type of "
         "this registry: accepted are"},
        {IMAGE(LAYER, TYPE("application/VND.oci.image.manifest.v1+json")), MT_OCI_MANIFEST,
         "mediaType must be written \"" MT_OCI_MANIFEST "\""},
        {IMAGE(LAYER, TYPE(MT_OCI_MANIFEST ";a=b")), "", "is not a manifest type"},
        {IMAGE(LAYER, ",\"mediaType\":3"), "", "mediaType is an integer: it must be a string"},
        {IMAGE(LAYER, ""), MT_OCI_INDEX,
         "the type is " MT_OCI_INDEX ", but the body has layers: send the type that it is"},
        {IMAGE(LAYER, TYPE(MT_OCI_INDEX)), MT_OCI_INDEX, "but the body has layers"},
        {"{\"schemaVersion\":2,\"config\":" CONFIG "}", MT_DOCKER_LIST, "but the body has config"},
        {INDEX(LAYER, TYPE(MT_OCI_MANIFEST)), "", "but the body has manifests"},
        {INDEX(LAYER, ""), MT_DOCKER_MANIFEST, "but the body has manifests"},
        {IMAGE(LAYER, ",\"manifests\":[]"), "",
         "the body has both manifests and layers, so it could be taken for an index or for an "
         "image: keep one"},
        {IMAGE(LAYER, ",\"manifests\":null"), "", "both manifests and layers"},
        {INDEX(LAYER, ",\"config\":" CONFIG), MT_OCI_INDEX, "both manifests and config"},
        {INDEX(LAYER, ",\"layers\":null"), MT_OCI_INDEX, "both manifests and layers"},
        {"{\"schemaVersion\":2}", MT_OCI_MANIFEST,
         "the body has neither manifests (an index) nor config and layers (an image manifest)"},
    };
    REFUSE(*state, rows);
}

static void schema_version(void **state)
{
#define V(v) "{\"schemaVersion\":" v ",\"config\":" CONFIG "}"
    static const struct row rows[] = {
        {"{\"schemaVersion\":1,\"name\":\"a\",\"fsLayers\":[]}", "",
         "Docker image manifest version 2 schema 1 is obsolete and not accepted: push again with "
         "Docker 1.10 or newer, or convert the image with skopeo copy --format v2s2"},
        {V("2"), MT_DOCKER_SCHEMA1, "schema 1 is obsolete"},
        {V("2"), MT_DOCKER_SCHEMA1_SIGNED "; charset=utf-8", "schema 1 is obsolete"},
        {"{\"mediaType\":\"" MT_DOCKER_SCHEMA1 "\"}", MT_OCI_MANIFEST, "schema 1 is obsolete"},
        {V("3"), "", "schemaVersion is 3: it must be 2"},
        {V("-1"), "", "schemaVersion is -1: it must be 2"},
        {V("\"2\""), "", "schemaVersion is a string: it must be the integer 2"},
        {V("2.0"), "", "schemaVersion is a fraction: it must be the integer 2"},
        {V("true"), "", "schemaVersion is a boolean"},
        {V("null"), "", "schemaVersion is null"},
        {"{\"config\":" CONFIG "}", "", "schemaVersion is missing: it must be the integer 2"},
    };
    REFUSE(*state, rows);
}

static void not_ijson(void **state)
{
    static const struct row rows[] = {
        {"", "", "the body is empty"},
        {"   ", "", "not valid JSON"},
        {"[" CONFIG "]", "", "the manifest is an array: it must be a JSON object"},
        {"7", "", "not valid JSON"},
        {IMAGE(LAYER, "") "x", "", "not valid JSON"},
        {IMAGE(LAYER, "") "{}", "", "not valid JSON"},
        {IMAGE(LAYER, ",\"layers\":[]"), "", "not valid JSON: duplicate object key"},
        {IMAGE(LAYER, ",\"Layers\":[]"), "", "Layers must be written \"layers\""},
        {IMAGE(LAYER, ",\"manife\u017ft\u017f\":[]"), "", "must be written \"manifests\""},
        {IMAGE(LAYER, ",\"MediaType\":\"x/y\""), "", "must be written \"mediaType\""},
        {IMAGE(DESC(LAYER_TYPE, ",\"URLs\":[]"), ""), "", "layers[0].URLs must be written"},
        {IMAGE(LAYER, ",\"\\u006cayers\":[]"), "", "not valid JSON: duplicate object key"},
        {IMAGE(DESC(LAYER_TYPE, ",\"size\":8"), ""), "", "not valid JSON: duplicate object key"},
        {IMAGE(LAYER, ",\"x\":\"\xff\""), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":\"\xc0\x80\""), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":\"\xed\xa0\x80\""), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":\"\\u0000\""), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"a\\u0000\":1"), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":\"\\ud800\""), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":\"\n\""), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":NaN"), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":01"), "", "not valid JSON"},
        {IMAGE(LAYER, ",\"x\":99999999999999999999"), "", "not valid JSON"},
        {IMAGE(LAYER, "/* */"), "", "not valid JSON"},
        {IMAGE(LAYER, ","), "", "not valid JSON"},
        {"\xef\xbb\xbf" IMAGE(LAYER, ""), "", "not valid JSON"},
    };
    struct fixture *f = *state;
    struct manifest m;
    REFUSE(f, rows);
    static const char nul[] = IMAGE(LAYER, "") "\0";
    assert_int_equal(
        manifest_parse(slice_make(nul, sizeof nul - 1), SLICE_NONE, f->arena, &m, &f->err), -1);
}

static void nesting(void **state)
{
    struct fixture *f = *state;
    struct buf body CLEANUP_BUF;
    buf_init(&body, 1 << 20);
    buf_puts(&body, "{\"schemaVersion\":2,\"manifests\":[],\"x\":");
    for (int i = 0; i < 100000; i++)
        buf_putc(&body, '[');
    struct manifest m;
    assert_int_equal(manifest_parse(buf_view(&body), SLICE_NONE, f->arena, &m, &f->err), -1);
    assert_non_null(strstr(f->err.detail, "not valid JSON"));
}

static void members(void **state)
{
    static const struct row rows[] = {
        {"{\"schemaVersion\":2,\"layers\":[]}", MT_OCI_MANIFEST,
         "config is missing: it must be a descriptor (of the empty JSON object"},
        {"{\"schemaVersion\":2,\"config\":null}", "",
         "config is null: it must be a descriptor (of"},
        {"{\"schemaVersion\":2,\"config\":[]}", "",
         "config is an array: it must be a descriptor, an object with mediaType, digest and size"},
        {"{\"schemaVersion\":2,\"config\":" CONFIG "}", MT_DOCKER_MANIFEST,
         "layers is missing: it must be an array of descriptors"},
        {"{\"schemaVersion\":2,\"layers\":[]}", MT_DOCKER_MANIFEST, "config is missing"},
        {"{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":{}}", "",
         "layers is an object: it must be an array of descriptors"},
        {"{\"schemaVersion\":2,\"manifests\":\"x\"}", "", "manifests is a string"},
        {IMAGE(LAYER ",3", ""), "", "layers[1] is an integer: it must be a descriptor"},
        {INDEX("null", ""), "", "manifests[0] is null: it must be a descriptor"},
        {INDEX("", ",\"subject\":\"sha256:" HEX64 "\""), "", "subject is a string"},
        {INDEX("", ",\"subject\":{}"), "", "subject.mediaType is missing"},
        {INDEX("", ",\"artifactType\":[]"), "", "artifactType is an array: it must be a string"},
        {INDEX("", ",\"artifactType\":\"x\""), "", "artifactType \"x\" is not a media type"},
        {INDEX("", ",\"artifactType\":\"a/b;\xc3\xa9\""), "",
         "artifactType \"a/b;\\xc3\\xa9\" is not a media type"},
        {INDEX("", ",\"annotations\":[]"), "", "annotations is an array: it must be an object"},
        {INDEX("", ",\"annotations\":{\"a\":\"b\",\"c\":4}"), "",
         "annotations: the value of \"c\" is an integer: it must be a string"},
        {INDEX("", ",\"annotations\":{\"a\":null}"), "", "the value of \"a\" is null"},
    };
    REFUSE(*state, rows);
}

static void descriptors(void **state)
{
#define D(members) IMAGE("{" members "}", "")
#define TYPE_AND_DIGEST "\"mediaType\":\"a/b\",\"digest\":\"sha256:" HEX64 "\""
#define TYPE_AND_SIZE "\"mediaType\":\"a/b\",\"size\":7"
    static const struct row rows[] = {
        {D(""), "", "layers[0].mediaType is missing"},
        {D("\"mediaType\":5"), "", "layers[0].mediaType is an integer: it must be a string"},
        {D("\"mediaType\":\"\""), "", "layers[0].mediaType \"\" is not a media type"},
        {D("\"mediaType\":\"a\\/\""), "", "layers[0].mediaType \"a/\" is not a media type"},
        {D("\"mediaType\":\"a/b;\\t\""), "", "layers[0].mediaType \"a/b;\\x09\" is not"},
        {IMAGE(LAYER "," LAYER ",{\"mediaType\":\"a b\"}", ""), "",
         "layers[2].mediaType \"a b\" is not a media type: it must be type/subtype as in RFC 6838"},
        {D(TYPE_AND_SIZE), "", "layers[0].digest is missing"},
        {D(TYPE_AND_SIZE ",\"digest\":1"), "", "layers[0].digest is an integer"},
        {D(TYPE_AND_SIZE ",\"digest\":\"\""), "", "layers[0].digest: the digest is empty"},
        {D(TYPE_AND_SIZE ",\"digest\":\"sha256:12\""), "",
         "layers[0].digest: digest \"sha256:12\" has 2 digits after the colon, sha256 has 64"},
        {D(TYPE_AND_SIZE ",\"digest\":\"sha512:" HEX64 "\""), "", "sha512 has 128"},
        {D(TYPE_AND_SIZE ",\"digest\":\"sha256:A" HEX64 "\""), "", "has 65 digits"},
        {D(TYPE_AND_SIZE ",\"digest\":\"x/../y:aa\""), "", "not allowed at \"/\" (offset 1)"},
        {D(TYPE_AND_SIZE ",\"digest\":\"blake3:\""), "", "ends too early"},
        {D(TYPE_AND_DIGEST), "", "layers[0].size is missing: it must be an integer"},
        {D(TYPE_AND_DIGEST ",\"size\":1.0"), "", "layers[0].size is a fraction"},
        {D(TYPE_AND_DIGEST ",\"size\":1e3"), "", "layers[0].size is a fraction"},
        {D(TYPE_AND_DIGEST ",\"size\":\"1\""), "", "layers[0].size is a string"},
        {D(TYPE_AND_DIGEST ",\"size\":-1"), "",
         "layers[0].size is -1: it must be between 0 and 9007199254740992"},
        {D(TYPE_AND_DIGEST ",\"size\":9007199254740993"), "", "size is 9007199254740993"},
        {IMAGE(DESC("a/b", ",\"urls\":{}"), ""), "", "layers[0].urls is an object"},
        {IMAGE(DESC("a/b", ",\"urls\":[\"x\",1]"), ""), "",
         "layers[0].urls: an element is an integer: it must be a string"},
        {IMAGE(DESC("a/b", ",\"artifactType\":1"), ""), "", "layers[0].artifactType is an integer"},
        {IMAGE(DESC("a/b", ",\"artifactType\":\"?\""), ""), "", "layers[0].artifactType \"?\""},
        {IMAGE(DESC("a/b", ",\"annotations\":7"), ""), "", "layers[0].annotations is an integer"},
        {IMAGE(DESC("a/b", ",\"annotations\":{\"k\":[]}"), ""), "",
         "layers[0].annotations: the value of \"k\" is an array"},
        {INDEX(DESC("a/b", ",\"platform\":\"linux\""), ""), "",
         "manifests[0].platform is a string: it must be an object"},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"a/b\",\"size\":1}}", "",
         "config.digest is missing"},
    };
    REFUSE(*state, rows);
}

static void data_rows(void **state)
{
    static const struct row rows[] = {
        {INDEX(DESC("a/b", ",\"data\":7"), ""), "", "manifests[0].data is an integer"},
        {INDEX(EMPTY_DATA(""), ""), "", "data decodes to 0 bytes, but size is 2"},
        {INDEX(EMPTY_DATA("e30K"), ""), "", "data decodes to 3 bytes, but size is 2"},
        {INDEX(EMPTY_DATA("e30"), ""), "", "data is not base64 as in RFC 4648 section 4"},
        {INDEX(EMPTY_DATA("e31="), ""), "", "data is not base64"}, /* a spare bit is set */
        {INDEX(EMPTY_DATA("e=0="), ""), "", "data is not base64"},
        {INDEX(EMPTY_DATA("e30=\\n"), ""), "", "data is not base64"},
        {INDEX(EMPTY_DATA("\\n\\n\\n\\n"), ""), "", "data decodes to 3 bytes"},
        {INDEX(EMPTY_DATA("-_0="), ""), "", "data is not base64"},
        {INDEX(EMPTY_DATA("W10="), ""), "",
         "manifests[0].data does not have the digest of the descriptor, but "
         "sha256:4f53cda18c2baa0c"},
        {INDEX("{\"mediaType\":\"a/b\",\"digest\":\"blake3:xy\",\"size\":1,\"data\":\"QR==\"}", ""),
         "", "data is not base64"},
        {INDEX("{\"mediaType\":\"a/b\",\"digest\":\"blake3:xy\",\"size\":1,\"data\":\"====\"}", ""),
         "", "data is not base64"},
        {INDEX("{\"mediaType\":\"a/b\",\"digest\":\"blake3:xy\",\"size\":1,\"data\":\"====QQ==\"}",
               ""),
         "", "data decodes to 4 bytes"},
    };
    struct fixture *f = *state;
    REFUSE(f, rows);
    (void)accept(f, INDEX(EMPTY_DATA("e30="), ""), "");
    (void)accept(
        f,
        INDEX("{\"mediaType\":\"a/b\",\"digest\":\"blake3:xy\",\"size\":1,\"data\":\"QQ==\"}", ""),
        "");
}

static void encode(struct slice s, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned char b[3] = {0};
        memcpy(b, s.p + i, MIN(s.n - i, 3u));
        *out++ = letters[b[0] >> 2];
        *out++ = letters[(b[0] & 3) << 4 | b[1] >> 4];
        *out++ = '=';
        if (s.n - i > 1)
            out[-1] = letters[(b[1] & 15) << 2 | b[2] >> 6];
        *out++ = s.n - i > 2 ? letters[b[2] & 63] : '=';
    }
    *out = '\0';
}

/* Lengths around the sizes in which the decoder works, with both algorithms. */
static void data_lengths(void **state)
{
    struct fixture *f = *state;
    static const size_t lengths[] = {0, 1, 2, 3, 4, 5, 766, 767, 768, 769, 770, 1536, 1537, 5000};
    char content[5000];
    char text[7000];
    char body[8000];
    struct manifest m;
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (char)hash_bytes(&i, sizeof i, 1);
    for (size_t i = 0; i < 2 * ARRAY_LEN(lengths); i++) {
        struct slice s = slice_make(content, lengths[i / 2]);
        struct digest d;
        digest_of(i % 2 ? HASH_SHA512 : HASH_SHA256, s, &d);
        encode(s, text);
        (void)snprintf(body, sizeof body,
                       INDEX("{\"mediaType\":\"a/b\",\"digest\":\"%s\",\"size\":%zu,"
                             "\"data\":\"%s\"}",
                             ""),
                       d.text, s.n, text);
        (void)accept(f, body, "");
        if (s.n < 3)
            continue;
        char *data = strstr(body, text);
        size_t at = (strlen(text) - 1) / 4 * 4; /* a letter of the last group */
        data[at] = data[at] == 'A' ? 'B' : 'A';
        assert_int_equal(manifest_parse(slice_cstr(body), SLICE_NONE, f->arena, &m, &f->err), -1);
        assert_non_null(strstr(f->err.detail, "does not have the digest"));
    }
}

/* The decision must not depend on the size, up to the limit, and be another one above it. */
static void body_size(void **state)
{
    struct fixture *f = *state;
    struct buf body CLEANUP_BUF;
    struct manifest m;
    static const char *const texts[] = {IMAGE(LAYER, ""), IMAGE(LAYER, ",\"manifests\":[]")};
    for (int bad = 0; bad < 2; bad++) {
        buf_init(&body, MANIFEST_SIZE_MAX + 1);
        buf_puts(&body, texts[bad]);
        while (body.n < MANIFEST_SIZE_MAX + 1)
            buf_putc(&body, ' ');
        assert_false(body.failed);
        for (size_t n = MANIFEST_SIZE_MAX - 1; n <= MANIFEST_SIZE_MAX; n++) {
            error_clear(&f->err);
            int rc = manifest_parse(slice_make(body.p, n), SLICE_NONE, f->arena, &m, &f->err);
            assert_int_equal(rc, bad ? -1 : 0);
            assert_int_equal(f->err.code, bad ? ERR_MANIFEST_INVALID : ERR_NONE);
        }
        assert_int_equal(manifest_parse(buf_view(&body), SLICE_NONE, f->arena, &m, &f->err), -1);
        assert_int_equal(f->err.code, ERR_MANIFEST_TOO_LARGE);
        assert_string_equal(f->err.detail,
                            "the manifest has 4194305 bytes, at most 4194304 are accepted");
        buf_release(&body);
    }
    buf_init(&body, 1);
}

static void repeat(struct buf *body, const char *head, const char *item, size_t n, const char *tail)
{
    buf_clear(body);
    buf_puts(body, head);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(body, ',');
        buf_puts(body, item);
    }
    buf_puts(body, tail);
    assert_false(body->failed);
}

static void edge_count(void **state)
{
    struct fixture *f = *state;
    struct buf body CLEANUP_BUF;
    struct manifest m;
    buf_init(&body, MANIFEST_SIZE_MAX);
#define MANY_INDEX "{\"schemaVersion\":2,\"manifests\":["
#define MANY_IMAGE "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":["
    repeat(&body, MANY_INDEX, DESC("a/b", ""), MANIFEST_EDGES_MAX, "]}");
    m = accept(f, body.p, "");
    assert_int_equal(m.n_edges, MANIFEST_EDGES_MAX);
    assert_true(slice_is(m.edges[MANIFEST_EDGES_MAX - 1].digest, "sha256:" HEX64));
    repeat(&body, MANY_IMAGE, DESC("a/b", ""), MANIFEST_EDGES_MAX - 1, "]}");
    assert_int_equal(accept(f, body.p, "").n_edges, MANIFEST_EDGES_MAX);

    repeat(&body, MANY_INDEX, DESC("a/b", ""), MANIFEST_EDGES_MAX + 1, "]}");
    const struct row index_row[] = {
        {body.p, "", "manifests has 20001 entries, at most 20000 are allowed"}};
    REFUSE(f, index_row);
    repeat(&body, MANY_IMAGE, DESC("a/b", ""), MANIFEST_EDGES_MAX, "]}");
    const struct row image_row[] = {
        {body.p, "", "config and layers are 20001 entries, at most 20000 are allowed"}};
    REFUSE(f, image_row);
}

/* Documents that would cost far more memory than they have bytes. */
static void value_count(void **state)
{
    struct fixture *f = *state;
    struct buf body CLEANUP_BUF;
    buf_init(&body, MANIFEST_SIZE_MAX);
#define ODD "{\"schemaVersion\":2,\"manifests\":[],\"x\\\"[\":"
    repeat(&body, ODD "[", "{}", 1000 * 1000, "]}");
    const struct row objects[] = {{body.p, "", "more than 262144 JSON values"}};
    REFUSE(f, objects);
    repeat(&body, ODD "[", "0", 300 * 1000, "]}");
    const struct row numbers[] = {{body.p, "", "more than 262144 JSON values"}};
    REFUSE(f, numbers);
    repeat(&body, ODD "[", "0", 262144 - 10, "]}");
    (void)accept(f, body.p, "");
    /* Brackets within strings are text, whatever is escaped there. */
    repeat(&body, ODD "\"", "[{\\\"[{\\\\", 300 * 1000, "\"}");
    (void)accept(f, body.p, "");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(image),
        T(results_outlive_the_body),
        T(index_),
        T(oddities),
        T(type_is_resolved),
        T(type_is_refused),
        T(schema_version),
        T(not_ijson),
        T(nesting),
        T(members),
        T(descriptors),
        T(data_rows),
        T(data_lengths),
        T(body_size),
        T(edge_count),
        T(value_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
