/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/util.h"
#include "os/fault.h"
#include "os/file.h"

#include "base/banned.h"

enum { WATCHED = 64 };

/* The digests that berth_text looks for. */
static struct digest watched[WATCHED];
static unsigned n_watched;

static void remove_tree(const char *path)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

void tree_open(struct tree *t)
{
    struct error err = {0};
    char *db;
    assert_true(asprintf(&db, "%s/berth.db", t->data) > 0);
    if (store_fs_open(t->data, 8, NULL, &t->store, &err) ||
        meta_sqlite_open(db, 16, NULL, &t->meta, &err))
        fail_msg("%s", err.message);
    free(db);
}

void tree_close(struct tree *t)
{
    meta_close(t->meta);
    store_close(t->store);
    t->meta = NULL;
    t->store = NULL;
}

void tree_reset(struct tree *t)
{
    tree_close(t);
    remove_tree(t->data);
    tree_open(t);
}

int tree_setup(void **state)
{
    struct tree *t = xcalloc(1, sizeof *t);
    assert_int_equal(fault_configure(""), 0);
    n_watched = 0;
    (void)snprintf(t->base, sizeof t->base, "%s/berth-import-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(t->base));
    (void)snprintf(t->source, sizeof t->source, "%s/registry", t->base);
    (void)snprintf(t->data, sizeof t->data, "%s/data", t->base);
    (void)snprintf(t->v2, sizeof t->v2, "%s/docker/registry/v2", t->source);
    char *path;
    assert_true(asprintf(&path, "%s/repositories", t->v2) > 0);
    assert_int_equal(os_mkdir_all(path, 0755, "store.setup", NULL), 0);
    free(path);
    tree_open(t);
    *state = t;
    return 0;
}

int tree_teardown(void **state)
{
    struct tree *t = *state;
    assert_int_equal(fault_configure(""), 0);
    tree_close(t);
    remove_tree(t->base);
    free(t);
    return 0;
}

/* --- files --- */

void tree_file(struct tree *t, const char *path, const void *p, size_t n)
{
    char full[4096];
    char dir[4096];
    (void)snprintf(full, sizeof full, "%s/%s", t->v2, path);
    (void)snprintf(dir, sizeof dir, "%s", full);
    *strrchr(dir, '/') = '\0';
    if (os_mkdir_all(dir, 0755, "store.setup", NULL) != 0)
        fail_msg("%s", dir);
    FILE *f = fopen(full, "we");
    if (!f)
        fail_msg("%s: %d", full, errno);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void tree_text(struct tree *t, const char *path, const char *text)
{
    tree_file(t, path, text, strlen(text));
}

void tree_rm(struct tree *t, const char *path)
{
    char full[4096];
    struct stat st;
    (void)snprintf(full, sizeof full, "%s/%s", t->v2, path);
    if (lstat(full, &st) != 0)
        fail_msg("no %s", full);
    remove_tree(full);
}

void tree_link(struct tree *t, const char *repo, const char *place, const char *text)
{
    char path[2048];
    (void)snprintf(path, sizeof path, "repositories/%s/%s/link", repo, place);
    tree_text(t, path, text);
}

struct digest tree_blob(struct tree *t, const void *p, size_t n)
{
    struct digest d;
    char path[256];
    digest_of(HASH_SHA256, slice_make(p, n), &d);
    (void)snprintf(path, sizeof path, "blobs/sha256/%.2s/%s/data", d.text + 7, d.text + 7);
    tree_file(t, path, p, n);
    return d;
}

struct digest tree_content(struct tree *t, size_t n, unsigned seed)
{
    char *p = xcalloc(1, n + 1);
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (char)(x >> 24);
    }
    struct digest d = tree_blob(t, p, n);
    free(p);
    return d;
}

void tree_layer(struct tree *t, const char *repo, const struct digest *d)
{
    char place[256];
    (void)snprintf(place, sizeof place, "_layers/sha256/%s", digest_hex(d).p);
    tree_link(t, repo, place, d->text);
}

void tree_tag(struct tree *t, const char *repo, const char *tag, const struct digest *d)
{
    char place[512];
    (void)snprintf(place, sizeof place, "_manifests/tags/%s/current", tag);
    tree_link(t, repo, place, d->text);
    (void)snprintf(place, sizeof place, "_manifests/tags/%s/index/sha256/%s", tag, digest_hex(d).p);
    tree_link(t, repo, place, d->text);
}

struct digest tree_manifest(struct tree *t, const char *repo, struct slice body, ...)
{
    char place[256];
    struct digest d = tree_blob(t, body.p, body.n);
    (void)snprintf(place, sizeof place, "_manifests/revisions/sha256/%s", digest_hex(&d).p);
    tree_link(t, repo, place, d.text);
    va_list ap;
    va_start(ap, body);
    for (const char *tag; (tag = va_arg(ap, const char *));)
        tree_tag(t, repo, tag, &d);
    va_end(ap);
    return d;
}

/* --- manifests --- */

static void descriptor(struct buf *b, const char *type, const struct digest *d, uint64_t size)
{
    buf_printf(b, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", type, d->text,
               (unsigned long long)size);
}

static struct slice text_of(struct buf *b)
{
    static char text[256 * 1024];
    assert_false(b->failed);
    assert_true(b->n < sizeof text);
    memcpy(text, b->p, b->n);
    struct slice s = {text, b->n};
    buf_release(b);
    return s;
}

static void begin(struct buf *b, const char *media_type)
{
    buf_init(b, 1 << 20);
    buf_puts(b, "{\"schemaVersion\":2,");
    if (media_type)
        buf_printf(b, "\"mediaType\":\"%s\",", media_type);
}

struct slice image_text(const char *media_type, const struct digest *config, uint64_t config_size,
                        const struct digest *layers, const uint64_t *sizes, unsigned n)
{
    struct buf b;
    begin(&b, media_type);
    buf_puts(&b, "\"config\":");
    descriptor(&b, "application/vnd.oci.image.config.v1+json", config, config_size);
    buf_puts(&b, ",\"layers\":[");
    for (unsigned i = 0; i < n; i++) {
        buf_puts(&b, i ? "," : "");
        descriptor(&b, "application/vnd.oci.image.layer.v1.tar", &layers[i], sizes[i]);
    }
    buf_puts(&b, "]}");
    return text_of(&b);
}

struct slice index_text(const char *media_type, const struct digest *children,
                        const uint64_t *sizes, unsigned n)
{
    struct buf b;
    begin(&b, media_type);
    buf_puts(&b, "\"manifests\":[");
    for (unsigned i = 0; i < n; i++) {
        buf_puts(&b, i ? "," : "");
        descriptor(&b, "application/vnd.oci.image.manifest.v1+json", &children[i], sizes[i]);
    }
    buf_puts(&b, "]}");
    return text_of(&b);
}

struct digest tree_image(struct tree *t, const char *repo, const char *tag, unsigned seed)
{
    struct digest config = tree_content(t, 100, seed);
    struct digest layers[2] = {tree_content(t, 5000, seed + 1000),
                               tree_content(t, LARGE, seed + 2000)};
    const uint64_t sizes[2] = {5000, LARGE};
    tree_layer(t, repo, &config);
    tree_layer(t, repo, &layers[0]);
    tree_layer(t, repo, &layers[1]);
    tree_watch(&config);
    tree_watch(&layers[0]);
    tree_watch(&layers[1]);
    struct digest d = tree_manifest(
        t, repo,
        image_text("application/vnd.oci.image.manifest.v1+json", &config, 100, layers, sizes, 2),
        tag, NULL);
    tree_watch(&d);
    return d;
}

/* --- importing --- */

static void on_finding(void *arg, const struct import_finding *f)
{
    struct tree *t = arg;
    if (t->cancel_at && strcmp(t->cancel_at, f->kind) == 0)
        atomic_store(&t->cancel, true);
    if (t->hook_at && strcmp(t->hook_at, f->kind) == 0) {
        t->hook_at = NULL;
        t->hook(t);
    }
    if (t->n_found++ >= TREE_FINDINGS)
        return;
    struct tree_found *to = &t->found[t->n_found - 1];
    (void)snprintf(to->kind, sizeof to->kind, "%s", f->kind);
    (void)snprintf(to->path, sizeof to->path, "%s", f->path);
    (void)snprintf(to->text, sizeof to->text, "%s", f->text);
}

static void on_progress(void *arg, const struct import_progress *p)
{
    struct tree *t = arg;
    assert_true(p->phase >= t->progress.phase);
    assert_true(p->phase < IMPORT_BLOBS || p->blobs_done <= p->blobs_total);
    assert_true(p->phase < IMPORT_BLOBS || p->bytes_done <= p->bytes_total);
    t->progress = *p;
    t->n_progress++;
}

int tree_run(struct tree *t, enum import_verify verify, bool dry_run, unsigned threads,
             struct import_result *out, struct error *err)
{
    t->n_found = 0;
    t->progress = (struct import_progress){0};
    t->n_progress = 0;
    const struct import_config c = {.directory = t->source,
                                    .verify = verify,
                                    .dry_run = dry_run,
                                    .threads = threads,
                                    .meta = dry_run ? NULL : t->meta,
                                    .store = dry_run ? NULL : t->store,
                                    .finding = on_finding,
                                    .progress = on_progress,
                                    .arg = t,
                                    .cancel = &t->cancel};
    return import_run(&c, out, err);
}

struct import_result tree_import(struct tree *t)
{
    struct import_result r = {0};
    struct error err = {0};
    if (tree_run(t, IMPORT_VERIFY_SIZE, false, 0, &r, &err) != 0)
        fail_msg("%s / %s", err.message, err.detail);
    assert_int_equal(r.findings, t->n_found);
    return r;
}

const struct tree_found *tree_finding(const struct tree *t, const char *kind, const char *path)
{
    for (unsigned i = 0; i < MIN(t->n_found, (unsigned)TREE_FINDINGS); i++)
        if (strcmp(t->found[i].kind, kind) == 0 && strstr(t->found[i].path, path))
            return &t->found[i];
    return NULL;
}

const char *tree_findings(const struct tree *t)
{
    struct buf b;
    buf_init(&b, 200 * 1024);
    for (unsigned i = 0; i < MIN(t->n_found, (unsigned)TREE_FINDINGS); i++)
        buf_printf(&b, "%s: %s: %s\n", t->found[i].kind, t->found[i].path, t->found[i].text);
    return text_of(&b).p;
}

/* --- what berth has --- */

bool has_blob(struct tree *t, const char *repo, const struct digest *d)
{
    struct meta_blob b;
    struct store_object o = {0};
    char hex[HASH_HEX_MAX + 1];
    if (meta_blob_get(t->meta, slice_cstr(repo), d, true, &b, NULL) != 0)
        return false;
    if (b.is_inline) {
        hash_hex(d->alg, b.bytes->p, b.bytes->n, hex);
        shared_unref(b.bytes);
        assert_true(slice_eq(slice_cstr(hex), digest_hex(d)));
        return true;
    }
    bool ok = false;
    assert_int_equal(store_open(t->store, d, &o, NULL), 0);
    assert_int_equal(o.size, b.size);
    store_object_release(&o);
    assert_int_equal(store_verify(t->store, d, b.size, &ok, NULL), 0);
    assert_true(ok);
    return true;
}

bool has_manifest(struct tree *t, const char *repo, const struct digest *d)
{
    struct meta_manifest m;
    struct digest have;
    const struct reference ref = {.is_digest = true, .digest = *d};
    if (meta_manifest_get(t->meta, slice_cstr(repo), &ref, true, &m, NULL) != 0)
        return false;
    digest_of(d->alg, shared_view(m.bytes), &have);
    shared_unref(m.bytes);
    assert_string_equal(have.text, d->text);
    return true;
}

const char *tag_of(struct tree *t, const char *repo, const char *tag)
{
    static struct meta_manifest m;
    const struct reference ref = {.tag = slice_cstr(tag)};
    return meta_manifest_get(t->meta, slice_cstr(repo), &ref, false, &m, NULL) == 0 ? m.digest.text
                                                                                    : "";
}

void tree_watch(const struct digest *d)
{
    assert_true(n_watched < WATCHED);
    watched[n_watched++] = *d;
}

char *berth_text(struct tree *t)
{
    struct buf b;
    struct arena *a = arena_new(4096);
    struct meta_names repos;
    struct meta_names tags;
    struct meta_stats stats;
    buf_init(&b, 1 << 20);
    assert_int_equal(meta_repositories(t->meta, SLICE_NONE, 1000, a, &repos, NULL), 0);
    for (unsigned i = 0; i < repos.n; i++) {
        char name[OCI_NAME_MAX + 1];
        (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(repos.names[i]));
        buf_printf(&b, "%s\n", name);
        assert_int_equal(meta_tags(t->meta, repos.names[i], SLICE_NONE, 1000, a, &tags, NULL), 0);
        for (unsigned k = 0; k < tags.n; k++) {
            char tag[OCI_TAG_MAX + 1];
            (void)snprintf(tag, sizeof tag, "%.*s", SLICE_ARG(tags.names[k]));
            buf_printf(&b, "  %s %s\n", tag, tag_of(t, name, tag));
        }
        for (unsigned k = 0; k < n_watched; k++)
            if (has_blob(t, name, &watched[k]))
                buf_printf(&b, "  blob %s\n", watched[k].text);
            else if (has_manifest(t, name, &watched[k]))
                buf_printf(&b, "  manifest %s\n", watched[k].text);
    }
    assert_int_equal(meta_stats_get(t->meta, &stats, NULL), 0);
    buf_printf(&b, "%llu manifests, %llu blobs, %llu bytes\n", (unsigned long long)stats.manifests,
               (unsigned long long)stats.blobs, (unsigned long long)stats.blob_bytes);
    arena_free(a);
    return buf_steal(&b, NULL);
}
