/* SPDX-License-Identifier: Apache-2.0 */
/* Import of a registry's directory in which something is wrong: each thing is told of, and nothing
 * else suffers. */
#include "registry_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "oci/media_type.h"
#include "os/fault.h"

#include "base/banned.h"

static void expect(const struct tree *t, const char *kind, const char *path, const char *text)
{
    const struct tree_found *f = tree_finding(t, kind, path);
    if (!f || !strstr(f->text, text))
        fail_msg("no %s of %s with \"%s\" in:\n%s", kind, path, text, tree_findings(t));
}

static void make_link(struct tree *t, const char *path, const char *to)
{
    char full[4096];
    tree_text(t, path, "");
    (void)snprintf(full, sizeof full, "%s/%s", t->v2, path);
    assert_int_equal(unlink(full), 0);
    assert_int_equal(symlink(to, full), 0);
}

static const char *blob_file(const struct digest *d)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "blobs/sha256/%.2s/%s/data", d->text + 7, d->text + 7);
    return path;
}

static const char *layer_link(const char *repo, const struct digest *d)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "repositories/%s/_layers/sha256/%s/link", repo, d->text + 7);
    return path;
}

static void test_links(void **state)
{
    struct tree *t = *state;
    struct digest d[12];
    char text[1024];
    struct digest good = tree_image(t, "app", "ok", 1);
    for (unsigned i = 0; i < ARRAY_LEN(d); i++) {
        d[i] = tree_content(t, 10 + i, i + 500);
        tree_layer(t, "app", &d[i]);
    }
    tree_text(t, layer_link("app", &d[0]), "");
    (void)snprintf(text, sizeof text, "%s\n", d[1].text);
    tree_text(t, layer_link("app", &d[1]), text); /* registry does not read that either */
    tree_text(t, layer_link("app", &d[2]), "\x1b[31mred\xff");
    tree_rm(t, layer_link("app", &d[3]));
    make_link(t, layer_link("app", &d[3]), "/etc/passwd");
    (void)snprintf(text, sizeof text, "%s/%s", t->v2, layer_link("app", &d[4]));
    assert_int_equal(unlink(text), 0);
    assert_int_equal(mkfifo(text, 0600), 0);
    tree_rm(t, blob_file(&d[5]));
    tree_text(t, layer_link("app", &d[6]), d[7].text); /* another digest than its place */
    (void)snprintf(text, sizeof text, "sha512:%0128d", 0);
    tree_text(t, layer_link("app", &d[8]), text);
    (void)snprintf(text, sizeof text, "repositories/app/_layers/sha256/%s", d[9].text + 7);
    tree_rm(t, text);
    make_link(t, text, "/etc");
    (void)snprintf(text, sizeof text, "_layers/blake3/%s", d[10].text + 7);
    tree_link(t, "app", text, d[10].text);
    tree_text(t, "repositories/app/_layers/sha256/link.1234.tmp", "x");
    (void)snprintf(text, sizeof text, "_layers/sha256/%.10s", d[11].text + 7);
    tree_link(t, "app", text, d[11].text);
    memset(text, '7', 200);
    text[200] = '\0';
    tree_text(t, layer_link("long", &d[0]), text);
    struct import_result r = tree_import(t);
    expect(t, "empty-link", d[0].text + 7, "empty");
    expect(t, "bad-link", d[1].text + 7, "no digest");
    expect(t, "bad-link", d[2].text + 7, "\\x1b[31mred\\xff");
    expect(t, "bad-link", d[3].text + 7, "symbolic link");
    expect(t, "bad-link", d[4].text + 7, "not a regular file");
    expect(t, "broken-link", d[5].text + 7, "no file");
    expect(t, "bad-link", d[6].text + 7, d[7].text);
    expect(t, "bad-link", d[8].text + 7, "sha256");
    expect(t, "stray", d[9].text + 7, "symbolic link");
    expect(t, "bad-link", "_layers/blake3/", d[10].text);
    expect(t, "stray", "link.1234.tmp", "not a directory");
    expect(t, "bad-link", "repositories/long", "7777");
    assert_int_equal(r.findings, 13);
    assert_string_equal(tag_of(t, "app", "ok"), good.text);
    assert_false(has_blob(t, "app", &d[6]));
    assert_true(has_blob(t, "app", &d[7]));
    assert_true(has_blob(t, "app", &d[10]) && has_blob(t, "app", &d[11]));
}

static void test_names(void **state)
{
    struct tree *t = *state;
    struct digest d = tree_content(t, 10, 1);
    char deep[600] = "repositories/";
    char path[1024];
    for (int i = 0; i < 127; i++)
        (void)snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "a/");
    /* 255 bytes of name are allowed, and no more. */
    (void)snprintf(path, sizeof path, "%.*sa", 254, deep + 13);
    tree_layer(t, path, &d);
    (void)snprintf(path, sizeof path, "%.*sa/b", 254, deep + 13);
    tree_layer(t, path, &d);
    const char *const strays[] = {"Upper", "lost+found",  ".hidden",
                                  "_odd",  "ok/_strange", "ok/\xff\xfe",
                                  "a b",   "-dash",       "line\nfeed"};
    for (size_t i = 0; i < ARRAY_LEN(strays); i++) {
        tree_layer(t, strays[i], &d);
    }
    tree_text(t, "repositories/file", "x");
    tree_layer(t, "ok", &d);
    make_link(t, "repositories/loop", ".");
    make_link(t, "repositories/ok/up", "../..");
    tree_text(t, "repositories/ok/_manifests/tags/-bad/current/link", d.text);
    tree_text(t, "repositories/ok/_manifests/tags/file", d.text);
    make_link(t, "repositories/ok/_manifests/tags/linked", "/etc");
    tree_text(t, "repositories/notdir/_layers", "");
    tree_text(t, "repositories/notdir2/_manifests", "");
    tree_text(t, "repositories/notdir3/_uploads", "");
    struct import_result r = tree_import(t);
    assert_int_equal(r.repositories, 4); /* the deep one, ok, notdir and notdir2 */
    for (size_t i = 0; i < ARRAY_LEN(strays); i++)
        if (strchr(strays[i], '\n') == NULL && strays[i][3] != '\xff')
            expect(t, "stray", strays[i], "left out");
    expect(t, "stray", "line\\x0afeed", "name of a repository");
    expect(t, "stray", "ok/\\xff\\xfe", "name of a repository");
    expect(t, "stray", "repositories/file", "not a directory");
    expect(t, "stray", "repositories/loop", "symbolic link");
    expect(t, "stray", "repositories/ok/up", "symbolic link");
    expect(t, "stray", "tags/-bad", "name of a tag");
    expect(t, "stray", "tags/file", "not a directory");
    expect(t, "stray", "tags/linked", "not a directory");
    expect(t, "stray", "/notdir/_layers", "not a directory");
    expect(t, "stray", "/notdir2/_manifests", "not a directory");
    expect(t, "stray", "/notdir3/_uploads", "not a directory");
    expect(t, "stray", "/a/b", "name of a repository");
    assert_int_equal(r.findings, ARRAY_LEN(strays) + 10);
    assert_true(has_blob(t, "ok", &d));
}

static void test_tags(void **state)
{
    struct tree *t = *state;
    struct digest d = tree_image(t, "app", "ok", 1);
    struct digest other = tree_image(t, "other", "x", 2);
    struct digest old;
    struct digest blob = tree_content(t, 30, 3);
    struct digest none;
    digest_of(HASH_SHA256, SLICE_LIT("none"), &none);
    tree_tag(t, "app", "elsewhere", &other); /* a manifest, but not of this repository */
    tree_tag(t, "app", "none", &none);
    tree_layer(t, "app", &blob);
    tree_tag(t, "app", "blob", &blob); /* a blob, which is no manifest */
    tree_text(t, "repositories/app/_manifests/tags/unfinished/index/sha256/x/link", d.text);
    tree_link(t, "app", "_manifests/tags/empty/current", "");
    /* Registry 2.1 linked manifests as blobs. */
    struct digest config = tree_content(t, 100, 1);
    old = tree_manifest(t, "app", image_text(NULL, &config, 100, NULL, NULL, 0), "old", NULL);
    char path[1024];
    (void)snprintf(path, sizeof path, "repositories/app/_manifests/revisions/sha256/%s",
                   old.text + 7);
    tree_rm(t, path);
    tree_layer(t, "app", &old);
    struct import_result r = tree_import(t);
    expect(t, "broken-link", "tags/elsewhere/current/link", other.text);
    expect(t, "broken-link", "tags/none/current/link", none.text);
    expect(t, "bad-manifest", blob.text + 7, "tag blob");
    expect(t, "broken-link", "tags/unfinished/current", "no current link");
    expect(t, "empty-link", "tags/empty/current/link", "empty");
    assert_int_equal(r.findings, 5);
    assert_int_equal(r.tags, 3);
    assert_string_equal(tag_of(t, "app", "ok"), d.text);
    assert_string_equal(tag_of(t, "app", "old"), old.text);
    assert_string_equal(tag_of(t, "app", "elsewhere"), "");
    assert_string_equal(tag_of(t, "app", "blob"), "");
}

static void test_manifests(void **state)
{
    struct tree *t = *state;
    struct digest config = tree_content(t, 100, 1);
    tree_layer(t, "m", &config);
    const struct {
        const char *kind, *text;
        struct slice body;
    } cases[] = {
        {"schema1", "schema 1", SLICE_LIT("{\"schemaVersion\":1,\"name\":\"m\",\"tag\":\"x\"}")},
        {"schema1", "schema 1",
         SLICE_LIT("{\"schemaVersion\":2,\"mediaType\":\"" MT_DOCKER_SCHEMA1_SIGNED "\"}")},
        {"bad-manifest", "neither manifests", SLICE_LIT("{\"schemaVersion\":2}")},
        {"bad-manifest", "line 1", SLICE_LIT("not JSON at all")},
        {"bad-manifest", "", SLICE_LIT("")},
        {"bad-manifest", "not a manifest type",
         SLICE_LIT("{\"schemaVersion\":2,\"mediaType\":\"text/plain\",\"layers\":[]}")},
    };
    struct digest d[ARRAY_LEN(cases)];
    char tag[16];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(tag, sizeof tag, "t%zu", i);
        d[i] = tree_manifest(t, "m", cases[i].body, tag, "a", "b", NULL);
    }
    /* Above 4 MiB. */
    size_t n = (size_t)MANIFEST_SIZE_MAX + 1;
    char *p = xcalloc(1, n);
    memset(p, ' ', n);
    struct digest huge = tree_manifest(t, "m", slice_make(p, n), "huge", NULL);
    free(p);
    /* So many values that reading it would cost 200 MB: nobody looks closer. */
    p = xcalloc(1, n);
    size_t at = (size_t)snprintf(p, n, "{\"schemaVersion\":1,\"x\":[[]");
    for (; at + 5 < n; at += 3)
        memcpy(p + at, ",[]", 3);
    memcpy(p + at, "]}", 2);
    struct digest bomb = tree_manifest(t, "m", slice_make(p, at + 2), "bomb", NULL);
    free(p);
    /* Other bytes than the digest says. */
    struct digest wrong =
        tree_manifest(t, "m", image_text(NULL, &config, 100, NULL, NULL, 0), "wrong", NULL);
    tree_text(t, blob_file(&wrong), "{}");
    struct digest gone =
        tree_manifest(t, "m", index_text(NULL, NULL, NULL, 0), "gone", "gone2", NULL);
    tree_rm(t, blob_file(&gone));
    struct digest good = tree_manifest(
        t, "m", image_text(MT_DOCKER_MANIFEST, &config, 100, NULL, NULL, 0), "good", NULL);
    struct import_result r = tree_import(t);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect(t, cases[i].kind, d[i].text + 7, cases[i].text);
        (void)snprintf(tag, sizeof tag, "t%zu", i);
        expect(t, cases[i].kind, d[i].text + 7, tag);
        assert_string_equal(tag_of(t, "m", tag), "");
    }
    expect(t, "schema1", d[1].text + 7, "left out");
    expect(t, "bad-manifest", huge.text + 7, "4194305 bytes");
    expect(t, "bad-manifest", bomb.text + 7, "JSON values");
    expect(t, "bad-digest", wrong.text + 7, "digest sha256:");
    expect(t, "broken-link", gone.text + 7, "tags gone, gone2");
    /* "a" and "b" were set by each: only the last one has them. */
    assert_int_equal(r.findings, ARRAY_LEN(cases) + 4);
    assert_int_equal(r.manifests, 1);
    assert_string_equal(tag_of(t, "m", "good"), good.text);
}

/* What a manifest needs has to be there, and in its repository. */
static void test_missing(void **state)
{
    struct tree *t = *state;
    struct digest config = tree_content(t, 100, 1);
    struct digest layers[6];
    uint64_t sizes[6];
    for (unsigned i = 0; i < 6; i++) {
        sizes[i] = i % 2 ? LARGE : 40;
        layers[i] = tree_content(t, sizes[i], i + 10);
        tree_layer(t, i == 5 ? "else" : "m",
                   &layers[i]); /* the last one is of another repository */
    }
    tree_layer(t, "m", &config);
    for (unsigned i = 0; i < 4; i++)
        tree_rm(t, blob_file(&layers[i]));
    struct digest m =
        tree_manifest(t, "m", image_text(NULL, &config, 100, layers, sizes, 6), "x", "y", NULL);
    struct digest one =
        tree_manifest(t, "m", image_text(NULL, &config, 100, &layers[5], &sizes[5], 1), "z", NULL);
    struct import_result r = tree_import(t);
    expect(t, "missing-blob", m.text + 7, "tags x, y");
    expect(t, "missing-blob", m.text + 7, layers[0].text);
    expect(t, "missing-blob", m.text + 7, "and 2 more, which are not");
    expect(t, "missing-blob", one.text + 7, "which is not in the repository");
    assert_int_equal(r.findings, 6); /* and the four links */
    assert_int_equal(r.manifests, 0);
    assert_true(has_blob(t, "m", &layers[4])); /* links stay without a manifest */
    /* Somebody pushes what is missing: then the next run takes the manifest. */
    const struct digest *d = &layers[5];
    assert_int_equal(meta_blob_mount(t->meta, SLICE_LIT("else"), SLICE_LIT("m"), d, NULL, NULL), 0);
    r = tree_import(t);
    assert_int_equal(r.manifests, 1);
    assert_string_equal(tag_of(t, "m", "z"), one.text);
    /* Digests that berth cannot compute. */
    struct digest odd = config;
    memcpy(odd.text, "sha999", 6);
    struct digest strange = tree_manifest(t, "m", image_text(NULL, &odd, 1, NULL, NULL, 0), NULL);
    (void)tree_import(t);
    expect(t, "missing-blob", strange.text + 7, "sha999:");
}

/* An index that has lost some of its children is of use for the others. */
static void test_sparse(void **state)
{
    struct tree *t = *state;
    struct digest list[3];
    uint64_t sizes[3];
    for (unsigned i = 0; i < 3; i++) {
        char path[1024];
        struct stat st;
        list[i] = tree_image(t, "m", "i", i + 1);
        (void)snprintf(path, sizeof path, "%s/%s", t->v2, blob_file(&list[i]));
        assert_int_equal(stat(path, &st), 0);
        sizes[i] = (uint64_t)st.st_size;
    }
    struct digest index =
        tree_manifest(t, "m", index_text(MT_OCI_INDEX, list, sizes, 3), "x", NULL);
    struct digest none = tree_manifest(t, "m", index_text(MT_OCI_INDEX, list, sizes, 1), "n", NULL);
    struct digest above =
        tree_manifest(t, "m", index_text(MT_OCI_INDEX, &none, (uint64_t[]){1}, 1), "a", NULL);
    char path[1024];
    (void)snprintf(path, sizeof path, "repositories/m/_manifests/revisions/sha256/%s/link",
                   list[0].text + 7);
    tree_rm(t, path);
    struct import_result r = tree_import(t);
    expect(t, "missing-child", index.text + 7, list[0].text);
    expect(t, "missing-blob", none.text + 7, list[0].text);
    expect(t, "missing-blob", above.text + 7, none.text);
    assert_string_equal(tag_of(t, "m", "x"), index.text);
    assert_string_equal(tag_of(t, "m", "n"), "");
    assert_int_equal(r.manifests, 3);
    r = tree_import(t);
    assert_int_equal(r.manifests, 3);
    expect(t, "missing-child", index.text + 7, list[0].text);
}

/* An index of an index of an index ...: what it costs to take it over grows with its length, and
 * not with the square. The last of so many reads would fail. */
static void test_chain(void **state)
{
    enum { LINKS = 300 };
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    struct slice body = index_text(MT_OCI_INDEX, NULL, NULL, 0);
    for (unsigned i = 1;; i++) {
        uint64_t size = body.n;
        struct digest d = tree_manifest(t, "m", body, i == LINKS ? "x" : NULL, NULL);
        if (i == LINKS)
            break;
        body = index_text(MT_OCI_INDEX, &d, &size, 1);
    }
    assert_int_equal(fault_configure("import.read=EMFILE@60000"), 0);
    if (tree_run(t, IMPORT_VERIFY_SIZE, true, 1, &r, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(r.manifests, LINKS);
    assert_int_equal(r.findings, 0);
}

/* Bytes that are not what their digest says. What is small is always hashed; what is large when a
 * manifest disagrees, or when it is asked for. */
static void test_content(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    struct digest config = tree_content(t, 100, 1);
    struct digest small = tree_content(t, 50, 2);
    struct digest cut = tree_content(t, LARGE, 3);
    struct digest lied = tree_content(t, LARGE, 4);
    struct digest quiet = tree_content(t, LARGE, 5);
    const struct digest *all[] = {&config, &small, &cut, &lied, &quiet};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        tree_layer(t, "c", all[i]);
    char *p = xcalloc(1, LARGE);
    tree_file(t, blob_file(&small), p, 50);
    tree_file(t, blob_file(&cut), p, LARGE - 1);
    tree_file(t, blob_file(&quiet), p, LARGE);
    free(p);
    const uint64_t sizes[] = {LARGE, LARGE, LARGE + 1};
    struct digest a = tree_manifest(
        t, "c", image_text(NULL, &config, 100, (struct digest[]){cut}, sizes, 1), "cut", NULL);
    struct digest b =
        tree_manifest(t, "c", image_text(NULL, &config, 100, (struct digest[]){lied}, &sizes[2], 1),
                      "lied", NULL);
    tree_manifest(t, "c", image_text(NULL, &config, 100, (struct digest[]){quiet}, sizes, 1),
                  "quiet", NULL);
    r = tree_import(t);
    expect(t, "bad-digest", small.text + 7, small.text);
    expect(t, "bad-size", cut.text + 7, a.text);
    expect(t, "bad-digest", cut.text + 7, cut.text);
    expect(t, "bad-size", lied.text + 7, "says 150001"); /* the manifest is wrong: nobody minds */
    expect(t, "missing-blob", a.text + 7, cut.text);
    assert_int_equal(r.findings, 5);
    assert_string_equal(tag_of(t, "c", "lied"), b.text);
    assert_string_equal(tag_of(t, "c", "cut"), "");
    assert_true(strlen(tag_of(t, "c", "quiet")) > 0);
    assert_false(has_blob(t, "c", &small));
    /* Nothing is left pending of what was dropped. */
    struct arena *arena = arena_new(4096);
    struct meta_pending *list;
    unsigned n;
    tree_close(t);
    tree_open(t);
    assert_int_equal(meta_blob_pending(t->meta, SLICE_NONE, 10, arena, &list, &n, NULL), 0);
    assert_int_equal(n, 0);
    arena_free(arena);
    tree_reset(t);
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, false, 2, &r, &err), 0);
    expect(t, "bad-digest", quiet.text + 7, quiet.text);
    assert_string_equal(tag_of(t, "c", "quiet"), "");
    assert_int_equal(r.findings, 7);
}

/* A size that no manifest says proves nothing: such a file is hashed always. */
static void test_unknown_size(void **state)
{
    struct tree *t = *state;
    struct digest whole = tree_content(t, LARGE, 6);
    struct digest cut = tree_content(t, LARGE, 7);
    char *p = xcalloc(1, LARGE);
    tree_layer(t, "c", &whole);
    tree_layer(t, "c", &cut);
    tree_file(t, blob_file(&cut), p, LARGE - 1000); /* cut off by a crash in the middle of a push */
    free(p);
    struct import_result r = tree_import(t);
    expect(t, "bad-digest", cut.text + 7, "left out");
    assert_int_equal(r.findings, 1);
    assert_int_equal(r.blobs_linked, 1);
    assert_false(has_blob(t, "c", &cut));
    /* So nothing is in the way of the push that brings it whole. */
    struct meta_pend pend;
    assert_int_equal(meta_blob_pend(t->meta, &cut, LARGE, &pend, NULL), 0);
}

/* What was damaged in berth, or came damaged by --verify size, is found and mended by full. */
static void test_repair(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    bool ok = true;
    struct digest config = tree_content(t, 100, 1);
    struct digest d = tree_content(t, LARGE, 5);
    tree_layer(t, "c", &config);
    tree_layer(t, "c", &d);
    tree_manifest(t, "c", image_text(NULL, &config, 100, &d, (uint64_t[]){LARGE}, 1), "x", NULL);
    char *bad = xcalloc(1, LARGE);
    tree_file(t, blob_file(&d), bad, LARGE);
    assert_int_equal(tree_import(t).findings, 0);
    assert_int_equal(store_verify(t->store, &d, LARGE, &ok, NULL), 0);
    assert_false(ok);
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, false, 2, &r, &err), 0);
    expect(t, "bad-digest", d.text + 7, "what berth has under it is damaged too");
    assert_int_equal(r.findings, 1);
    /* A good file comes from a backup; the damaged one stays a file of its own. */
    tree_rm(t, blob_file(&d));
    (void)tree_content(t, LARGE, 5);
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, false, 2, &r, &err), 0);
    assert_int_equal(r.findings, 0);
    assert_int_equal(store_verify(t->store, &d, LARGE, &ok, NULL), 0);
    assert_true(ok);
    /* Now the source goes bad: berth's stays. */
    tree_rm(t, blob_file(&d));
    tree_file(t, blob_file(&d), bad, LARGE);
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, false, 2, &r, &err), 0);
    expect(t, "bad-digest", d.text + 7, "but berth's has it, and stays");
    assert_int_equal(store_verify(t->store, &d, LARGE, &ok, NULL), 0);
    assert_true(ok);
    free(bad);
}

/* --- tags are looked up while others still read links, which moves the table of digests (a matter
 * for the thread sanitizer) --- */

static void nap(struct tree *t)
{
    (void)t;
    (void)usleep(50 * 1000);
}

static void test_tags_among_links(void **state)
{
    enum { REPOS = 4, LINKS = 400 };
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    struct digest d;
    char place[256];
    char name[32];
    for (unsigned i = 0; i < REPOS * LINKS; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        digest_of(HASH_SHA256, slice_cstr(name), &d);
        (void)snprintf(name, sizeof name, "b%u", i % REPOS);
        (void)snprintf(place, sizeof place, "_layers/sha256/%s", d.text + 7);
        tree_link(t, name, place, d.text);
    }
    /* Two that lead nowhere, and one as registry 2.1 has them. */
    tree_link(t, "a", "_manifests/tags/x/current", d.text);
    tree_link(t, "a", "_manifests/tags/y/current", d.text);
    struct digest old = tree_content(t, 100, 1);
    tree_layer(t, "a", &old);
    tree_link(t, "a", "_manifests/tags/z/current", old.text);
    t->hook_at = "broken-link";
    t->hook = nap;
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, REPOS + 1, &r, &err), 0);
    assert_int_equal(r.findings, REPOS * LINKS + 2 + 1); /* the last: not a manifest */
    assert_int_equal(r.blobs_inline, 1);
}

/* --- a registry that goes on meanwhile --- */

static void push_more(struct tree *t)
{
    tree_image(t, "app", "x", 2);
}

/* The tag moves while links are read: what it led to is taken, or what it leads to, and whole. */
static void test_moving_tag(void **state)
{
    struct tree *t = *state;
    struct digest old = tree_image(t, "app", "x", 1);
    tree_link(t, "app", "_layers/sha256/0000", "no digest");
    t->hook_at = "bad-link";
    t->hook = push_more;
    struct import_result r = tree_import(t);
    assert_string_equal(tag_of(t, "app", "x"), old.text);
    assert_int_equal(r.findings, 1);
    assert_string_not_equal((tree_import(t), tag_of(t, "app", "x")), old.text);
}

/* --- room for copies --- */

static uint64_t free_bytes;

static int little_room(struct store *s, const struct store_source *source, bool *copies,
                       uint64_t *room, struct error *err)
{
    (void)s, (void)err;
    assert_true(source->fd >= 0);
    *copies = true;
    *room = free_bytes;
    return 0;
}

static void test_room(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    const struct store_ops *whole = t->store->ops;
    struct store_ops ops = *whole;
    struct digest image = tree_image(t, "app", "x", 1);
    tree_image(t, "app", "y", 2);
    ops.adopt_room = little_room;
    t->store->ops = &ops;
    free_bytes = 2 * LARGE - 1;
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 2, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_non_null(strstr(err.detail, "can be no hard links"));
    assert_int_equal(r.blobs_linked + r.blobs_inline, 0);
    free_bytes++;
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 2, &r, &err), 0);
    assert_int_equal(t->progress.copies, 2 * LARGE);
    /* What is there already needs none. */
    free_bytes = 0;
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 2, &r, &err), 0);
    assert_string_equal(tag_of(t, "app", "x"), image.text);
    t->store->ops = whole;
}

/* What berth has under the digest stays. */
static void test_conflict(void **state)
{
    struct tree *t = *state;
    struct digest large = tree_content(t, LARGE, 1);
    struct digest small = tree_content(t, 10, 2);
    tree_layer(t, "c", &large);
    tree_layer(t, "c", &small);
    tree_import(t);
    tree_file(t, blob_file(&large), "short", 5);
    tree_file(t, blob_file(&small), "short", 5);
    struct import_result r = tree_import(t);
    expect(t, "bad-size", large.text + 7, "another size");
    expect(t, "bad-size", small.text + 7, "another size");
    assert_int_equal(r.findings, 2);
    char *p = xcalloc(1, LARGE);
    tree_file(t, blob_file(&large), p, LARGE); /* the same length: only a hash tells */
    free(p);
    struct error err = {0};
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, false, 2, &r, &err), 0);
    expect(t, "bad-digest", large.text + 7, large.text);
}

static void test_files(void **state)
{
    struct tree *t = *state;
    struct digest d[4];
    char path[1024];
    for (unsigned i = 0; i < 4; i++) {
        d[i] = tree_content(t, i == 3 ? 10 : LARGE, i + 1);
        tree_layer(t, "f", &d[i]);
    }
    tree_rm(t, blob_file(&d[0]));
    make_link(t, blob_file(&d[0]), "/etc/passwd");
    (void)snprintf(path, sizeof path, "%s/%s", t->v2, blob_file(&d[1]));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "blobs/sha256/%.2s/%s", d[2].text + 7, d[2].text + 7);
    tree_rm(t, path);
    make_link(t, path, "/etc");
    struct import_result r = tree_import(t);
    expect(t, "unreadable", d[0].text + 7, "not a regular file");
    expect(t, "unreadable", d[1].text + 7, "not a regular file");
    expect(t, "stray", d[2].text + 7, "symbolic link");
    assert_int_equal(r.findings, 6); /* and the links lead nowhere */
    assert_int_equal(r.blobs_inline, 1);
    assert_true(has_blob(t, "f", &d[3]));
}

/* Somebody who may not read all of it is told so, and gets no half of a registry. */
static void test_permission(void **state)
{
    struct tree *t = *state;
    int status = 0;
    char path[1024];
    if (geteuid() != 0)
        skip();
    struct digest d = tree_image(t, "app", "x", 1);
    const char *const places[] = {"repositories/app/_layers", "repositories/app",
                                  "repositories/app/_manifests/tags/x", blob_file(&d),
                                  layer_link("app", &d)};
    tree_layer(t, "app", &d);
    assert_int_equal(chmod(t->base, 0755), 0);
    tree_close(t); /* a fork takes no threads along */
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", t->v2, places[i]);
        assert_int_equal(chmod(path, 0), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct import_result r;
            struct error err = {0};
            bool ok = setresuid(65534, 65534, 65534) == 0 &&
                      tree_run(t, IMPORT_VERIFY_SIZE, true, 1, &r, &err) == -1 &&
                      strstr(err.detail, "permission denied");
            _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(chmod(path, 0755), 0);
    }
}

static void test_cancel(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    tree_image(t, "app", "x", 1);
    tree_text(t, "repositories/app/stray!", "");
    static const char *const kinds[] = {"upload",     "stray",        "bad-size",
                                        "bad-digest", "missing-blob", "broken-link"};
    tree_text(t, "repositories/app/_uploads/1/data", "");
    struct digest small = tree_content(t, 30, 5);
    struct digest large = tree_content(t, LARGE, 6);
    tree_layer(t, "app", &small);
    tree_layer(t, "app", &large);
    tree_text(t, blob_file(&small), "bad");
    tree_manifest(t, "app", image_text(NULL, &small, 30, &large, (uint64_t[]){LARGE + 5}, 1), "y",
                  NULL);
    struct digest gone = tree_content(t, 40, 8);
    tree_layer(t, "app", &gone);
    tree_rm(t, blob_file(&gone));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        t->cancel_at = kinds[i];
        atomic_store(&t->cancel, false);
        int result = tree_run(t, IMPORT_VERIFY_FULL, false, 2, &r, &err);
        if (result != -1 || !strstr(err.detail, "interrupted"))
            fail_msg("%s: %d, %s\n%s", kinds[i], result, err.detail, tree_findings(t));
    }
    t->cancel_at = NULL;
    atomic_store(&t->cancel, false);
    r = tree_import(t);
    assert_int_equal(r.manifests, 1);
    /* From the start, and without anybody who listens. */
    atomic_store(&t->cancel, true);
    const struct import_config c = {
        .directory = t->source, .dry_run = true, .threads = 1000, .cancel = &t->cancel};
    assert_int_equal(import_run(&c, &r, NULL), -1);
    atomic_store(&t->cancel, false);
    assert_int_equal(import_run(&c, &r, NULL), 0);
    assert_int_equal(r.manifests, 1);
}

/* --- a registry that is not stopped --- */

/* The blobs of the test: sizes are known when the first finding of phase 2 comes. */
static struct digest changing[6];

static void change(struct tree *t)
{
    char path[1024];
    tree_file(t, blob_file(&changing[0]), "other", 5); /* small, and of another size */
    tree_file(t, blob_file(&changing[1]), "other", 5); /* large */
    tree_rm(t, blob_file(&changing[2]));
    (void)snprintf(path, sizeof path, "%s/%s", t->v2, blob_file(&changing[3]));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/%s", t->v2, blob_file(&changing[4]));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    tree_rm(t, blob_file(&changing[5]));
    make_link(t, blob_file(&changing[5]), "/etc/passwd");
}

static void test_changing(void **state)
{
    struct tree *t = *state;
    struct digest image = tree_image(t, "app", "x", 1);
    for (unsigned i = 0; i < ARRAY_LEN(changing); i++) {
        changing[i] = tree_content(t, i == 0 ? 50 : LARGE, i + 50);
        tree_layer(t, "app", &changing[i]);
    }
    tree_manifest(t, "app", image_text(NULL, &changing[0], 1, NULL, NULL, 0), NULL);
    t->hook_at = "bad-size";
    t->hook = change;
    struct import_result r = tree_import(t);
    expect(t, "unreadable", changing[0].text + 7, "changed meanwhile");
    expect(t, "unreadable", changing[1].text + 7, "changed meanwhile");
    expect(t, "broken-link", changing[2].text + 7, "removed meanwhile");
    expect(t, "unreadable", changing[3].text + 7, "not a regular file");
    expect(t, "unreadable", changing[4].text + 7, "not a regular file");
    expect(t, "unreadable", changing[5].text + 7, "not a regular file");
    assert_int_equal(r.findings, 8); /* the size, and the manifest that lacks its config */
    assert_string_equal(tag_of(t, "app", "x"), image.text);
    for (unsigned i = 0; i < ARRAY_LEN(changing); i++)
        assert_false(has_blob(t, "app", &changing[i]));
}

/* --- a database that does not agree --- */

/* What the callbacks below stand in for. */
static const struct meta_ops *real;
static struct digest refused;

static int refusing_repo(struct meta *m, const struct meta_import_repo *in, struct arena *a,
                         struct error *err)
{
    for (unsigned i = 0; i < in->n_manifests; i++)
        if (digest_eq(&in->manifests[i].digest, &refused))
            return error_set(err, ERR_MANIFEST_BLOB_UNKNOWN, "not here");
    return real->import_repo(m, in, a, err);
}

static int broken_repo(struct meta *m, const struct meta_import_repo *in, struct arena *a,
                       struct error *err)
{
    if (in->n_manifests == 1)
        return error_set(err, ERR_UNKNOWN, "the disk is gone");
    return in->n_manifests ? error_set(err, ERR_MANIFEST_BLOB_UNKNOWN, "not here")
                           : real->import_repo(m, in, a, err);
}

static int broken_links(struct meta *m, const struct meta_import_repo *in, struct arena *a,
                        struct error *err)
{
    (void)m, (void)a;
    return error_set(err, in->n_manifests ? ERR_MANIFEST_BLOB_UNKNOWN : ERR_UNKNOWN, "gone");
}

static int broken_get(struct meta *m, struct slice repo, const struct reference *ref,
                      bool want_bytes, struct meta_manifest *out, struct error *err)
{
    (void)m, (void)repo, (void)ref, (void)want_bytes, (void)out;
    return error_set(err, ERR_UNKNOWN, "the disk is gone");
}

static int broken_blob(struct meta *m, struct slice repo, const struct digest *d, bool want_bytes,
                       struct meta_blob *out, struct error *err)
{
    (void)m, (void)repo, (void)d, (void)want_bytes, (void)out;
    return error_set(err, ERR_UNKNOWN, "the disk is gone");
}

static int broken_resolve(struct meta *m, const struct digest *d, int64_t epoch, bool exists,
                          struct error *err)
{
    (void)m, (void)d, (void)epoch, (void)exists;
    return error_set(err, ERR_UNKNOWN, "the disk is gone");
}

static void test_database(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    struct digest list[3];
    const uint64_t sizes[3] = {1, 2, 3};
    for (unsigned i = 0; i < 3; i++)
        list[i] = tree_image(t, "app", i ? "two" : "one", i + 1);
    struct digest index = tree_manifest(t, "app", index_text(NULL, list, sizes, 3), "ix", NULL);
    struct digest bad = tree_content(t, LARGE, 90);
    struct meta_ops ops = *t->meta->ops;
    real = t->meta->ops;
    t->meta->ops = &ops;
    /* One of several is refused: the others are put, and what needs it does without. */
    refused = list[1];
    ops.import_repo = refusing_repo;
    r = tree_import(t);
    expect(t, "missing-blob", refused.text + 7, "not here");
    expect(t, "missing-child", index.text + 7, refused.text);
    assert_int_equal(r.manifests, 3);
    assert_string_equal(tag_of(t, "app", "ix"), index.text);
    assert_false(has_manifest(t, "app", &refused));
    /* Errors of other kinds end it. */
    tree_reset(t);
    t->meta->ops = &ops;
    for (int i = 0; i < 6; i++) {
        ops = *real;
        if (i == 0)
            ops.import_repo = broken_repo;
        else if (i == 1)
            ops.import_repo = broken_links;
        else if (i < 4)
            ops.manifest_get = broken_get;
        else if (i == 4)
            ops.blob_get = broken_blob;
        else
            ops.blob_resolve = broken_resolve;
        if (i == 3) { /* without a tag */
            tree_rm(t, "repositories/app/_manifests/tags");
        } else if (i == 4) {
            tree_layer(t, "app", &bad);
            tree_manifest(t, "app", image_text(NULL, &bad, 5, NULL, NULL, 0), NULL);
            tree_text(t, blob_file(&bad), "other");
        } else if (i == 5) {
            char *p = xcalloc(1, LARGE);
            tree_file(t, blob_file(&bad), p, LARGE);
            free(p);
        }
        assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 1, &r, &err), -1);
        assert_non_null(strstr(err.message, "gone"));
    }
    t->meta->ops = real;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_links),        TEST(test_names),
        TEST(test_tags),         TEST(test_manifests),
        TEST(test_missing),      TEST(test_sparse),
        TEST(test_unknown_size), TEST(test_repair),
        TEST(test_chain),        TEST(test_tags_among_links),
        TEST(test_moving_tag),   TEST(test_room),
        TEST(test_content),      TEST(test_conflict),
        TEST(test_files),        TEST(test_cancel),
        TEST(test_permission),   TEST(test_changing),
        TEST(test_database),
    };
    return cmocka_run_group_tests_name("import_bad", tests, NULL, NULL);
}
