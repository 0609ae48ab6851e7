/* SPDX-License-Identifier: Apache-2.0 */
/* Import of a registry's directory that is as it should be. */
#include "registry_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "oci/media_type.h"

#include "base/banned.h"

static const char *media_type_of(struct tree *t, const char *repo, const struct digest *d)
{
    static struct meta_manifest m;
    const struct reference ref = {.is_digest = true, .digest = *d};
    return meta_manifest_get(t->meta, slice_cstr(repo), &ref, false, &m, NULL) == 0 ? m.media_type
                                                                                    : "";
}

static void assert_no_findings(const struct tree *t)
{
    if (t->n_found)
        fail_msg("%s", tree_findings(t));
}

/* The blob is the very file of the source. */
static bool is_linked(struct tree *t, const struct digest *d)
{
    char path[512];
    struct stat a, b;
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/%.2s/%s/data", t->v2, d->text + 7,
                   d->text + 7);
    assert_int_equal(stat(path, &a), 0);
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/%.2s/%s", t->data, d->text + 7, d->text + 7);
    assert_int_equal(stat(path, &b), 0);
    return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void test_images(void **state)
{
    struct tree *t = *state;
    struct digest a = tree_image(t, "library/app", "1.0", 1);
    tree_tag(t, "library/app", "latest", &a);
    struct digest same = tree_image(t, "other", "x", 1);
    struct digest b = tree_image(t, "deep/er/and/deeper", "x", 2);
    assert_string_equal(a.text, same.text);
    struct import_result r = tree_import(t);
    assert_no_findings(t);
    assert_int_equal(r.repositories, 3);
    assert_int_equal(r.manifests, 3);
    assert_int_equal(r.tags, 4);
    assert_int_equal(r.links, 9);
    assert_int_equal(r.blobs_linked, 2);
    assert_int_equal(r.blobs_inline, 4);
    assert_int_equal(r.blobs_copied + r.blobs_present, 0);
    assert_int_equal(r.blobs_bytes, 2 * (100 + 5000 + LARGE));
    assert_int_equal(t->progress.blobs_done, 6);
    assert_int_equal(t->progress.blobs_total, 6);
    assert_int_equal(t->progress.bytes_done, r.blobs_bytes);
    assert_int_equal(t->progress.phase, IMPORT_REPOSITORIES);
    assert_int_equal(t->progress.repositories, 3);
    assert_string_equal(tag_of(t, "library/app", "1.0"), a.text);
    assert_string_equal(tag_of(t, "library/app", "latest"), a.text);
    assert_string_equal(tag_of(t, "deep/er/and/deeper", "x"), b.text);
    assert_string_equal(media_type_of(t, "other", &a), MT_OCI_MANIFEST);
    struct digest large = tree_content(t, LARGE, 2001);
    assert_true(has_blob(t, "library/app", &large));
    assert_false(has_blob(t, "deep/er/and/deeper", &large));
}

/* Nothing is done twice. */
static void test_again(void **state)
{
    struct tree *t = *state;
    struct digest d = tree_image(t, "app", "x", 1);
    struct digest large = tree_content(t, LARGE, 2001);
    tree_import(t);
    assert_true(is_linked(t, &large));
    char *before = berth_text(t);
    tree_close(t);
    tree_open(t);
    struct import_result r = tree_import(t);
    assert_no_findings(t);
    assert_int_equal(r.blobs_present, 3);
    assert_int_equal(r.blobs_linked + r.blobs_inline + r.blobs_copied, 0);
    assert_int_equal(r.manifests, 1);
    assert_int_equal(r.tags, 1);
    char *after = berth_text(t);
    assert_string_equal(before, after);
    free(before);
    free(after);
    /* What has gone from berth comes back: a tag, a manifest, a file. */
    assert_int_equal(meta_manifest_delete(t->meta, SLICE_LIT("app"), &d, NULL, NULL, NULL), 0);
    assert_int_equal(store_remove(t->store, &large, NULL), 0);
    r = tree_import(t);
    assert_int_equal(r.blobs_present, 2);
    assert_int_equal(r.blobs_linked, 1);
    assert_string_equal(tag_of(t, "app", "x"), d.text);
    assert_true(has_blob(t, "app", &large));
    /* With a copy of other origin in the store. */
    assert_int_equal(meta_blob_delete(t->meta, SLICE_LIT("app"), &large, NULL, NULL), 0);
    r = tree_import(t);
    assert_true(has_blob(t, "app", &large));
    assert_int_equal(r.blobs_present, 3);
    /* Everything that is there is hashed all the same, when asked for. */
    struct error err = {0};
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, false, 3, &r, &err), 0);
    assert_no_findings(t);
    assert_int_equal(r.blobs_present, 3);
}

/* A tag of the source wins; what else berth has stays. */
static void test_tag_moved(void **state)
{
    struct tree *t = *state;
    struct digest old = tree_image(t, "app", "x", 1);
    tree_tag(t, "app", "y", &old);
    tree_import(t);
    struct digest new = tree_image(t, "app", "x", 2);
    struct import_result r = tree_import(t);
    assert_int_equal(r.findings, 1);
    const struct tree_found *f = tree_finding(t, "tag-moved", "_manifests/tags/x/current/link");
    assert_non_null(f);
    assert_non_null(strstr(f->text, old.text));
    assert_non_null(strstr(f->text, new.text));
    assert_string_equal(tag_of(t, "app", "x"), new.text);
    assert_string_equal(tag_of(t, "app", "y"), old.text);
    assert_int_equal(tree_import(t).findings, 0);
    tree_rm(t, "repositories/app/_manifests/tags/y");
    assert_int_equal(tree_import(t).findings, 0);
    assert_string_equal(tag_of(t, "app", "y"), old.text);
}

/* A push of a tag to berth: of an image that the repository has. */
static void push_tag(struct tree *t, const char *repo, const char *tag, const struct digest *d)
{
    struct arena *a = arena_new(4096);
    struct meta_manifest m;
    struct manifest parsed;
    struct meta_manifest_put_result out;
    const struct slice name = slice_cstr(tag);
    const struct reference ref = {.is_digest = true, .digest = *d};
    assert_int_equal(meta_manifest_get(t->meta, slice_cstr(repo), &ref, true, &m, NULL), 0);
    assert_int_equal(manifest_parse(shared_view(m.bytes), SLICE_NONE, a, &parsed, NULL), 0);
    const struct meta_manifest_put in = {.repo = slice_cstr(repo),
                                         .digest = *d,
                                         .body = shared_view(m.bytes),
                                         .manifest = &parsed,
                                         .tags = &name,
                                         .n_tags = 1};
    assert_int_equal(meta_manifest_put(t->meta, &in, a, &out, NULL), 0);
    shared_unref(m.bytes);
    arena_free(a);
}

/* The registry has set the tag so many seconds from now. */
static void set_tag(struct tree *t, const char *repo, const char *tag, const struct digest *d,
                    int seconds)
{
    char path[512];
    struct timespec at[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    tree_tag(t, repo, tag, d);
    (void)snprintf(path, sizeof path, "%s/repositories/%s/_manifests/tags/%s/current/link", t->v2,
                   repo, tag);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &at[1]), 0);
    at[1].tv_sec += seconds;
    assert_int_equal(utimensat(AT_FDCWD, path, at, 0), 0);
}

/* What was pushed to berth is not turned back by another import, unless the registry got its own
 * push after that: both went on, and the last one counts. */
static void test_tag_kept(void **state)
{
    struct tree *t = *state;
    struct digest a = tree_image(t, "app", "a", 1);
    struct digest b = tree_image(t, "app", "b", 2);
    set_tag(t, "app", "x", &a, -60);
    assert_int_equal(tree_import(t).findings, 0);
    push_tag(t, "app", "x", &b);
    struct import_result r = tree_import(t);
    const struct tree_found *f = tree_finding(t, "tag-kept", "_manifests/tags/x/current/link");
    assert_non_null(f);
    assert_non_null(strstr(f->text, a.text));
    assert_non_null(strstr(f->text, b.text));
    assert_int_equal(r.findings, 1);
    assert_int_equal(r.tags, 3);
    assert_string_equal(tag_of(t, "app", "x"), b.text);
    /* Pushed to the registry while the first import ran: the tag was set before that ended, and
     * after what it had read. */
    set_tag(t, "app", "y", &a, -60);
    assert_int_equal(tree_import(t).findings, 1);
    set_tag(t, "app", "y", &b, -30);
    tree_import(t);
    assert_non_null(tree_finding(t, "tag-moved", "_manifests/tags/y/current/link"));
    assert_string_equal(tag_of(t, "app", "y"), b.text);
    /* The registry has gone on since; a time that is still to come is no reason to win for ever. */
    set_tag(t, "app", "x", &a, 3600);
    tree_import(t);
    assert_non_null(tree_finding(t, "tag-moved", "_manifests/tags/x/current/link"));
    assert_string_equal(tag_of(t, "app", "x"), a.text);
    set_tag(t, "app", "x", &b, 10);
    tree_import(t);
    assert_string_equal(tag_of(t, "app", "x"), b.text);
}

/* The type of a manifest is what its text says, else what its members are. */
static void test_media_types(void **state)
{
    struct tree *t = *state;
    struct digest config = tree_content(t, 10, 1);
    tree_layer(t, "m", &config);
    static const struct {
        const char *in, *out;
        bool index;
    } cases[] = {
        {MT_OCI_MANIFEST, MT_OCI_MANIFEST, false},
        {MT_DOCKER_MANIFEST, MT_DOCKER_MANIFEST, false},
        {NULL, MT_OCI_MANIFEST, false},
        {MT_OCI_INDEX, MT_OCI_INDEX, true},
        {MT_DOCKER_LIST, MT_DOCKER_LIST, true},
        {NULL, MT_OCI_INDEX, true},
    };
    struct digest made[ARRAY_LEN(cases)];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        made[i] =
            tree_manifest(t, "m",
                          cases[i].index ? index_text(cases[i].in, NULL, NULL, 0)
                                         : image_text(cases[i].in, &config, 10, NULL, NULL, 0),
                          NULL);
    struct import_result r = tree_import(t);
    assert_no_findings(t);
    assert_int_equal(r.manifests, ARRAY_LEN(cases));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(media_type_of(t, "m", &made[i]), cases[i].out);
        assert_true(has_manifest(t, "m", &made[i]));
    }
}

/* Indexes of indexes come after what they list, whatever the order of their digests. */
static void test_nested(void **state)
{
    struct tree *t = *state;
    enum { DEPTH = 7, WIDTH = 3 };
    struct digest list[WIDTH];
    uint64_t sizes[WIDTH] = {0};
    for (unsigned i = 0; i < WIDTH; i++)
        list[i] = tree_image(t, "n", "i", i + 1);
    for (unsigned depth = 0; depth < DEPTH; depth++) {
        struct digest next[WIDTH];
        for (unsigned i = 0; i < WIDTH; i++) {
            uint64_t other[WIDTH] = {depth, i, 1}; /* sizes that differ, for other digests */
            next[i] = tree_manifest(t, "n", index_text(MT_OCI_INDEX, list, other, WIDTH), NULL);
        }
        memcpy(list, next, sizeof list);
    }
    tree_manifest(t, "n", index_text(MT_OCI_INDEX, list, sizes, WIDTH), "top", NULL);
    struct import_result r = tree_import(t);
    assert_int_equal(r.manifests, WIDTH + WIDTH * DEPTH + 1);
    assert_true(strlen(tag_of(t, "n", "top")) > 0);
    assert_null(tree_finding(t, "missing-child", ""));
    assert_non_null(tree_finding(t, "bad-size", "")); /* and nothing else comes of that */
}

/* A dry run says the same, and writes nothing. */
static void test_dry_run(void **state)
{
    struct tree *t = *state;
    struct import_result dry = {0};
    struct error err = {0};
    tree_image(t, "a/b", "x", 1);
    tree_image(t, "c", "x", 2);
    tree_file(t, "repositories/c/_uploads/some/data", "abc", 3);
    assert_int_equal(tree_run(t, IMPORT_VERIFY_FULL, true, 2, &dry, &err), 0);
    struct meta_stats stats;
    assert_int_equal(meta_stats_get(t->meta, &stats, NULL), 0);
    assert_int_equal(stats.blobs + stats.repositories + stats.manifests, 0);
    struct import_result wet = tree_import(t);
    assert_memory_equal(&dry, &wet, sizeof dry);
    assert_int_equal(wet.findings, 1);
}

/* Clients that push by sha512: the link is called by it, and holds the sha256. */
static void test_sha512(void **state)
{
    struct tree *t = *state;
    char place[256];
    struct digest d[3], other[3];
    const size_t sizes[3] = {3000, LARGE, LARGE};
    for (unsigned i = 0; i < 3; i++) {
        char path[256];
        char *p = xcalloc(1, LARGE);
        d[i] = tree_content(t, sizes[i], i + 1);
        (void)snprintf(path, sizeof path, "%s/blobs/sha256/%.2s/%s/data", t->v2, d[i].text + 7,
                       d[i].text + 7);
        FILE *in = fopen(path, "re");
        assert_int_equal(fread(p, 1, sizes[i], in), sizes[i]);
        assert_int_equal(fclose(in), 0);
        digest_of(HASH_SHA512, slice_make(p, sizes[i]), &other[i]);
        free(p);
        if (i == 2)
            memcpy(other[i].text + 7, "0123456789", 10);
        (void)snprintf(place, sizeof place, "_layers/sha512/%s", digest_hex(&other[i]).p);
        tree_link(t, "app", place, d[i].text);
        tree_link(t, "again", place, d[i].text);
    }
    struct digest m = tree_manifest(
        t, "app", image_text(NULL, &other[0], 3000, &other[1], (uint64_t[]){LARGE}, 1), "x", NULL);
    struct import_result r = tree_import(t);
    assert_true(has_blob(t, "app", &other[0]));
    assert_true(has_blob(t, "app", &other[1]));
    assert_true(has_blob(t, "app", &d[0]));
    assert_true(has_blob(t, "again", &other[1]));
    assert_string_equal(tag_of(t, "app", "x"), m.text);
    /* The third says what it is not. */
    assert_false(has_blob(t, "app", &other[2]));
    assert_true(has_blob(t, "app", &d[2]));
    assert_int_equal(r.findings, 1);
    assert_non_null(tree_finding(t, "bad-digest", digest_hex(&d[2]).p));
    assert_int_equal(tree_import(t).findings, 1);
}

/* More than one batch of everything. */
static void test_many(void **state)
{
    struct tree *t = *state;
    enum { BLOBS = 2500, MANIFESTS = 600 };
    struct digest config = {0};
    for (unsigned i = 0; i < BLOBS; i++) {
        struct digest d = tree_content(t, 20 + i % 50, i + 1);
        tree_layer(t, "many", &d);
        if (i == 0)
            config = d;
    }
    for (unsigned i = 0; i < MANIFESTS; i++) {
        char tag[16];
        uint64_t size = i + 1;
        (void)snprintf(tag, sizeof tag, "t%u", i);
        tree_manifest(t, "many", image_text(NULL, &config, 20, &config, &size, i == 19 ? 1 : 0),
                      tag, NULL);
        tree_tag(t, "many", i % 2 ? "odd" : "even", &config); /* of no manifest */
    }
    struct import_result r = tree_import(t);
    assert_int_equal(r.links, BLOBS);
    assert_int_equal(r.manifests, 2); /* all the same, but one */
    assert_int_equal(r.blobs_inline, BLOBS);
    tree_reset(t);
    for (unsigned i = 0; i < MANIFESTS; i++) {
        struct digest layer = tree_content(t, 20 + i % 50, i + 1);
        uint64_t size = 20 + i % 50;
        tree_manifest(t, "many", image_text(NULL, &config, 20, &layer, &size, 1), NULL);
    }
    struct error err = {0};
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 1, &r, &err), 0);
    assert_int_equal(r.manifests, MANIFESTS + 1);
}

/* 4 MiB of small blobs is a transaction. */
static void test_inline_bytes(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    for (unsigned i = 0; i < 300; i++) {
        struct digest d = tree_content(t, META_INLINE_MAX - i % 2, i + 1);
        tree_layer(t, "big", &d);
    }
    struct digest over = tree_content(t, META_INLINE_MAX + 1, 1);
    tree_layer(t, "big", &over);
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 1, &r, &err), 0);
    assert_int_equal(r.blobs_inline, 300);
    assert_int_equal(r.blobs_linked, 1);
    assert_true(is_linked(t, &over));
}

/* Repositories without anything are there, too; one that only has an unfinished upload is not. */
static void test_empty(void **state)
{
    struct tree *t = *state;
    struct error err = {0};
    assert_int_equal(tree_import(t).repositories, 0);
    tree_text(t, "repositories/a/_layers/sha256/x", "");
    tree_rm(t, "repositories/a/_layers/sha256/x");
    tree_text(t, "repositories/b/_manifests/tags/x", "");
    tree_rm(t, "repositories/b/_manifests/tags/x");
    tree_text(t, "repositories/c/_uploads/11111111/startedat", "now");
    struct digest gone;
    digest_of(HASH_SHA256, SLICE_LIT("gone"), &gone);
    tree_layer(t, "d", &gone);
    char path[256];
    (void)snprintf(path, sizeof path, "repositories/d/_layers/sha256/%s/link", gone.text + 7);
    tree_rm(t, path); /* as a deletion through the API leaves it */
    struct import_result r = tree_import(t);
    assert_int_equal(r.repositories, 3);
    assert_int_equal(t->n_found, 1);
    assert_non_null(tree_finding(t, "upload", "repositories/c/_uploads/11111111"));
    struct arena *a = arena_new(4096);
    struct meta_names names;
    assert_int_equal(meta_repositories(t->meta, SLICE_NONE, 10, a, &names, &err), 0);
    assert_int_equal(names.n, 3);
    assert_true(slice_is(names.names[0], "a") && slice_is(names.names[2], "d"));
    arena_free(a);
}

static void test_where(void **state)
{
    struct tree *t = *state;
    struct import_result r = {0};
    struct error err = {0};
    char path[256];
    char other[256];
    tree_image(t, "app", "x", 1);
    assert_true(import_detect(t->source));
    assert_true(import_detect(t->v2));
    assert_false(import_detect(t->data));
    (void)snprintf(path, sizeof path, "%s/nowhere", t->base);
    assert_false(import_detect(path));
    (void)snprintf(path, sizeof path, "%s/docker", t->source);
    assert_false(import_detect(path));
    /* The directory itself. */
    struct import_config c = {.directory = t->v2, .meta = t->meta, .store = t->store};
    assert_int_equal(import_run(&c, &r, &err), 0);
    assert_int_equal(r.manifests, 1);
    /* Its upper levels may be links: people move data. */
    (void)snprintf(path, sizeof path, "%s/blobs", t->v2);
    (void)snprintf(other, sizeof other, "%s/elsewhere", t->base);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    tree_reset(t);
    assert_int_equal(tree_import(t).blobs_linked, 1);
    assert_no_findings(t);
    /* Not there, and not one. */
    const char *const bad[] = {t->data, "/dev/null", "/nowhere/at/all"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        c.directory = bad[i];
        assert_int_equal(import_run(&c, &r, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_non_null(strstr(err.detail, bad[i]));
    }
    char *name = xcalloc(1, 8192);
    memset(name, 'x', 8000);
    assert_false(import_detect(name));
    free(name);
    /* Nothing but the links. */
    assert_int_equal(unlink(path), 0);
    tree_reset(t);
    r = tree_import(t);
    assert_int_equal(r.manifests, 0);
    assert_int_equal(r.repositories, 1);
    assert_int_equal(r.findings, 4);
    /* A file where the blobs should be. */
    tree_text(t, "blobs", "");
    assert_int_equal(tree_run(t, IMPORT_VERIFY_SIZE, false, 0, &r, &err), -1);
}

static void test_mark(void **state)
{
    struct tree *t = *state;
    struct import_result r = {.repositories = 3, .blobs_linked = 5, .findings = 1};
    struct error err = {0};
    char path[256];
    char moved[256];
    assert_int_equal(import_adopted(t->data, t->source, NULL), 0);
    assert_int_equal(import_adopted("/nowhere", t->source, NULL), 0);
    assert_int_equal(import_mark(t->data, t->source, &r, &err), 0);
    assert_int_equal(import_adopted(t->data, t->source, NULL), 1);
    assert_int_equal(import_adopted(t->data, t->data, NULL), 0);
    assert_int_equal(import_adopted(t->data, "/nowhere", NULL), 0);
    (void)snprintf(path, sizeof path, "%s/../registry/.", t->source);
    assert_int_equal(import_adopted(t->data, path, NULL), 1);
    /* In place, and then moved. */
    assert_int_equal(import_mark(t->data, t->data, &r, &err), 0);
    assert_int_equal(import_mark(t->data, t->data, &r, &err), 0);
    assert_int_equal(import_adopted(t->data, t->data, NULL), 1);
    assert_int_equal(import_adopted(t->data, t->source, NULL), 1);
    tree_close(t);
    (void)snprintf(moved, sizeof moved, "%s/moved", t->base);
    assert_int_equal(rename(t->data, moved), 0);
    assert_int_equal(import_adopted(moved, moved, NULL), 1);
    assert_int_equal(import_adopted(t->data, t->data, NULL), 0);
    assert_int_equal(rename(moved, t->data), 0);
    tree_open(t);
    /* Many of them, and one that nobody can read. */
    for (unsigned i = 0; i < 70; i++) {
        (void)snprintf(moved, sizeof moved, "%s/s%u", t->base, i);
        assert_int_equal(mkdir(moved, 0700), 0);
        assert_int_equal(import_mark(t->data, moved, &r, &err), 0);
    }
    assert_int_equal(import_adopted(t->data, moved, NULL), 1);
    assert_int_equal(import_adopted(t->data, t->source, NULL), 0); /* the oldest are forgotten */
    assert_int_equal(import_adopted(t->data, t->data, NULL), 1);   /* but not this one */
    (void)snprintf(path, sizeof path, "%s/adopted.json", t->data);
    /* Damaged: nobody knows, and doing it again would turn tags back. */
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(import_adopted(t->data, moved, &err), -1);
    assert_non_null(strstr(err.detail, "adopted.json: is damaged"));
    /* Nor is it written over, which would forget that this one was taken over in place. */
    error_clear(&err);
    assert_int_equal(import_mark(t->data, moved, &r, &err), -1);
    assert_non_null(strstr(err.detail, "adopted.json: is damaged"));
    assert_int_equal(import_adopted(t->data, t->data, NULL), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(import_mark(t->data, moved, &r, &err), 0);
    assert_int_equal(import_adopted(t->data, moved, NULL), 1);
    assert_int_equal(import_mark(t->data, "/nowhere", &r, &err), -1);
    assert_int_equal(import_mark("/nowhere", t->data, &r, &err), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(import_mark(t->data, moved, &r, &err), -1);
    assert_int_equal(import_adopted(t->data, moved, NULL), -1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_images),   TEST(test_again),        TEST(test_tag_moved), TEST(test_media_types),
        TEST(test_tag_kept), TEST(test_nested),       TEST(test_dry_run),   TEST(test_sha512),
        TEST(test_many),     TEST(test_inline_bytes), TEST(test_empty),     TEST(test_where),
        TEST(test_mark),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
