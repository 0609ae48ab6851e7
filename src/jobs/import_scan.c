/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 1: which repositories there are, and what their links say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "jobs/import_int.h"
#include "os/file.h"

#include "base/banned.h"

/* --- digests and entries --- */

uint32_t import_ref(const struct import *im, const struct digest *d)
{
    unsigned char key[HASH_HEX_MAX / 2];
    const struct import_table *t = &im->tables[d->alg];
    (void)hex_decode(digest_hex(d), key, t->key_n);
    uint32_t i = import_table_find(t, key);
    return i == REF_NONE ? REF_NONE : i | (d->alg == HASH_SHA512 ? REF_SHA512 : 0);
}

void import_ref_digest(const struct import *im, uint32_t ref, struct digest *out)
{
    enum hash_alg alg = ref & REF_SHA512 ? HASH_SHA512 : HASH_SHA256;
    const struct import_table *t = &im->tables[alg];
    char hex[HASH_HEX_MAX + 1];
    hex_encode(t->keys + ref_index(ref) * t->key_n, t->key_n, hex);
    digest_make(alg, hex, out);
}

/* The entry of a digest, made when it is new; -1 when there is no memory. The lock is held. */
static int intern(struct import *im, const struct digest *d, uint32_t *ref, struct error *err)
{
    unsigned char key[HASH_HEX_MAX / 2];
    struct import_table *t = &im->tables[d->alg];
    (void)hex_decode(digest_hex(d), key, t->key_n);
    if (import_table_add(t, key, ref, err) != 0)
        return -1;
    if (d->alg == HASH_SHA512)
        *ref |= REF_SHA512;
    return 0;
}

/* Notes that `d` is there as one of `flags`. With `alias` (a sha512), that too, as another name of
 * the same bytes; the first name that somebody gave counts, and it is hashed before it is believed.
 */
static int note(struct import *im, const struct digest *d, const struct digest *alias,
                unsigned flags, struct refs *list)
{
    uint32_t ref = 0;
    uint32_t other = 0;
    struct error err = {0};
    (void)pthread_mutex_lock(&im->lock);
    int failed = intern(im, d, &ref, &err);
    if (!failed) {
        uint32_t before = im->tables[HASH_SHA512].n;
        failed = alias ? intern(im, alias, &other, &err) : 0;
        if (!failed && alias && im->tables[HASH_SHA512].n != before)
            im->tables[HASH_SHA512].sources[ref_index(other)] = ref;
        if (!failed && alias)
            ref_set(im, other, flags);
        if (!failed)
            ref_set(im, ref, flags);
    }
    (void)pthread_mutex_unlock(&im->lock);
    if (!failed && list)
        failed = refs_add(list, ref, &err);
    if (!failed && list && alias)
        failed = refs_add(list, other, &err);
    return failed ? import_fail(im, &err) : 0;
}

/* --- the links of a repository --- */

struct scan {
    struct import *im;
    struct import_repo *repo;
    int fd; /* the directory that is listed */
    char path[IMPORT_PATH_MAX];
    const char *alg; /* the name of its algorithm */
    struct refs *list;
    unsigned flags;
};

static void child_path(const struct scan *s, const char *name, char out[IMPORT_PATH_MAX])
{
    int n = snprintf(out, IMPORT_PATH_MAX, "%s/%s", s->path, name);
    if (n >= IMPORT_PATH_MAX)
        out[IMPORT_PATH_MAX - 1] = '\0';
}

/* fn for each entry of `name` below the directory `at`; one that is not there has none. */
static int list(struct scan *s, int at, const char *name, const char *path,
                int (*fn)(void *arg, const char *name))
{
    struct error err = {0};
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    s->fd = source_dir(at, name, &err);
    if (s->fd < 0)
        return err.sys == ENOENT ? 0 : source_error(s->im, path, &err);
    int r = os_list(s->fd, ".", fn, s, "import.read", &err);
    util_closep(&s->fd);
    return r < 0 ? source_error(s->im, path, &err) : r == 0 ? 0 : -1;
}

/* What the link says counts. Its place should say the same; with another algorithm it is another
 * name of the blob, as clients that use sha512 make them. */
static int note_link(struct scan *s, const char *name, const char *path, const struct digest *d)
{
    char text[IMPORT_PATH_MAX];
    struct digest named;
    (void)snprintf(text, sizeof text, "%s:%s", s->alg, name);
    bool known = digest_parse(slice_cstr(text), &named, NULL) == 0;
    if (known && named.alg == HASH_SHA512 && s->flags == BLOB_LAYER)
        return note(s->im, d, &named, s->flags, s->list);
    if (!known || !digest_eq(&named, d))
        import_find(s->im, "bad-link", path,
                    "the link holds %s, which is another digest than that "
                    "of its place: it is reachable by what the link says only",
                    d->text);
    return note(s->im, d, NULL, s->flags, s->list);
}

static int on_link(void *arg, const char *name)
{
    struct scan *s = arg;
    char path[IMPORT_PATH_MAX];
    struct digest d;
    int64_t set_ms;
    bool there;
    child_path(s, name, path);
    if (import_stopping(s->im))
        return 1;
    int r = source_link(s->im, s->fd, name, path, &d, &set_ms, &there);
    return r < 0 || (r > 0 && note_link(s, name, path, &d) != 0);
}

/* sha256, sha512, ... */
static int on_algorithm(void *arg, const char *name)
{
    struct scan *outer = arg;
    struct scan s = *outer;
    char path[IMPORT_PATH_MAX];
    child_path(outer, name, path);
    s.alg = name;
    return list(&s, outer->fd, name, path, on_link) != 0;
}

static int on_tag(void *arg, const char *name)
{
    struct scan *s = arg;
    struct import *im = s->im;
    struct error err = {0};
    char path[IMPORT_PATH_MAX];
    struct digest d;
    int64_t set_ms = 0;
    bool there;
    uint32_t ref;
    child_path(s, name, path);
    if (import_stopping(im))
        return 1;
    if (oci_tag_check(slice_cstr(name), NULL) != 0) {
        import_find(im, "stray", path, "not the name of a tag: left out");
        return 0;
    }
    CLEANUP_CLOSE int tag = source_dir(s->fd, name, &err);
    if (tag < 0)
        return source_error(im, path, &err) != 0;
    char current[IMPORT_PATH_MAX + sizeof "/current"];
    (void)snprintf(current, sizeof current, "%s/current", path);
    int r = source_link(im, tag, "current", current, &d, &set_ms, &there);
    if (!there)
        import_find(im, "broken-link", current, "the tag has no current link: left out");
    if (r <= 0)
        return r < 0;
    (void)pthread_mutex_lock(&im->lock);
    r = intern(im, &d, &ref, &err);
    (void)pthread_mutex_unlock(&im->lock);
    struct import_repo *repo = s->repo;
    if (r == 0 && repo->n_tags == repo->cap_tags) {
        uint32_t cap = repo->cap_tags ? repo->cap_tags * 2 : 4;
        void *grown = realloc(repo->tags, (size_t)cap * sizeof *repo->tags);
        if (grown) {
            repo->tags = grown;
            repo->cap_tags = cap;
        } else {
            r = error_set(&err, ERR_UNAVAILABLE, "no memory for %u tags", cap);
        }
    }
    if (r != 0)
        return import_fail(im, &err) != 0;
    repo->tags[repo->n_tags++] =
        (struct import_tag){.name = xstrdup(name), .ref = ref, .set_ms = set_ms};
    atomic_fetch_add(&im->tags_done, 1);
    return 0;
}

static int on_upload(void *arg, const char *name)
{
    struct scan *s = arg;
    char path[IMPORT_PATH_MAX];
    child_path(s, name, path);
    import_find(s->im, "upload", path, "an upload that was not finished: left out");
    return 0;
}

static int by_ref(const void *a, const void *b)
{
    const struct import_tag *x = a;
    const struct import_tag *y = b;
    return x->ref != y->ref ? (x->ref > y->ref) - (x->ref < y->ref) : strcmp(x->name, y->name);
}

/* Other threads still read links: the table grows by that, and moves. */
static void shared_digest(struct import *im, uint32_t ref, struct digest *out)
{
    (void)pthread_mutex_lock(&im->lock);
    import_ref_digest(im, ref, out);
    (void)pthread_mutex_unlock(&im->lock);
}

static void shared_set(struct import *im, uint32_t ref, unsigned flags)
{
    (void)pthread_mutex_lock(&im->lock);
    ref_set(im, ref, flags);
    (void)pthread_mutex_unlock(&im->lock);
}

/* A tag has to lead to a manifest of the repository. Registry 2.1 linked its manifests among the
 * blobs, and later versions still look there. */
static int resolve_tags(struct import *im, struct import_repo *repo)
{
    struct error err = {0};
    char path[IMPORT_PATH_MAX];
    struct digest d;
    struct refs old = {0};
    uint32_t kept = 0;
    int failed = 0;
    for (uint32_t i = 0; i < repo->n_tags; i++) {
        struct import_tag t = repo->tags[i];
        bool manifest = refs_find(&repo->manifests, t.ref) >= 0;
        if (!manifest && refs_find(&repo->links, t.ref) >= 0) {
            shared_set(im, t.ref, BLOB_MANIFEST);
            failed |= refs_add(&old, t.ref, &err);
        } else if (!manifest) {
            shared_digest(im, t.ref, &d);
            source_path(im, repo, path, "_manifests/tags/%s/current/link", t.name);
            import_find(im, "broken-link", path,
                        "the tag leads to %s, which is no manifest of this repository: left out",
                        d.text);
            free(t.name);
            continue;
        }
        repo->tags[kept++] = t;
    }
    repo->n_tags = kept;
    for (uint32_t i = 0; i < old.n; i++)
        failed |= refs_add(&repo->manifests, old.v[i], &err);
    free(old.v);
    refs_sort(&repo->manifests);
    return failed ? import_fail(im, &err) : 0;
}

/* The directory of a repository, one component at a time. */
static int repo_open(struct import *im, const struct import_repo *repo, struct error *err)
{
    struct slice rest = slice_cstr(repo->name);
    int at = -1;
    while (rest.p) {
        char name[OCI_NAME_MAX + 1];
        struct slice part = slice_cut(&rest, '/');
        (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(part));
        int next = source_dir(at < 0 ? im->repositories : at, name, err);
        util_closep(&at);
        if (next < 0)
            return -1;
        at = next;
    }
    return at;
}

/* What refers is read before what it refers to, since a registry that still runs writes them the
 * other way round: then a tag that is seen is whole, be it moved meanwhile or not. */
static int scan_manifests(struct scan *s, int fd)
{
    char path[IMPORT_PATH_MAX];
    struct error err = {0};
    source_path(s->im, s->repo, path, "_manifests/tags");
    CLEANUP_CLOSE int manifests = source_dir(fd, "_manifests", &err);
    if (manifests < 0)
        return err.sys == ENOENT ? 0 : source_error(s->im, path, &err);
    if (list(s, manifests, "tags", path, on_tag) != 0)
        return -1;
    source_path(s->im, s->repo, path, "_manifests/revisions");
    return list(s, manifests, "revisions", path, on_algorithm);
}

static int scan_links(struct import *im, struct import_repo *repo, int fd)
{
    char path[IMPORT_PATH_MAX];
    struct scan s = {.im = im, .repo = repo, .fd = -1};
    s.list = &repo->manifests;
    s.flags = BLOB_MANIFEST;
    if (scan_manifests(&s, fd) != 0)
        return -1;
    s.list = &repo->links;
    s.flags = BLOB_LAYER;
    source_path(im, repo, path, "_layers");
    if (list(&s, fd, "_layers", path, on_algorithm) != 0)
        return -1;
    source_path(im, repo, path, "_uploads");
    return list(&s, fd, "_uploads", path, on_upload);
}

static int scan_repo(struct import *im, struct import_repo *repo)
{
    char path[IMPORT_PATH_MAX];
    struct error err = {0};
    source_path(im, repo, path, "%s", "");
    CLEANUP_CLOSE int fd = repo_open(im, repo, &err);
    if (fd < 0)
        return source_error(im, path, &err);
    if (scan_links(im, repo, fd) != 0)
        return -1;
    refs_sort(&repo->links);
    refs_sort(&repo->manifests);
    if (resolve_tags(im, repo) != 0)
        return -1;
    if (repo->n_tags)
        qsort(repo->tags, repo->n_tags, sizeof *repo->tags, by_ref);
    return 0;
}

static void scan_step(struct import *im, size_t from, size_t to)
{
    for (size_t i = from; i < to && !import_stopping(im); i++)
        if (scan_repo(im, im->repos[i]) != 0)
            return;
}

/* --- which repositories there are --- */

struct walk {
    struct import *im;
    int fd;
    char name[OCI_NAME_MAX + 1]; /* of the directory that is listed; empty at the top */
    bool is_repo, has_uploads;
};

static int walk_dir(struct walk *w);

static int walk_path(const struct walk *w, const char *name, char out[IMPORT_PATH_MAX])
{
    return snprintf(out, IMPORT_PATH_MAX, "%srepositories/%s%s%s", w->im->prefix, w->name,
                    *w->name ? "/" : "", name);
}

static int on_entry(void *arg, const char *name)
{
    struct walk *w = arg;
    struct import *im = w->im;
    struct walk below = {.im = im};
    struct error err = {0};
    char path[IMPORT_PATH_MAX];
    (void)walk_path(w, name, path);
    if (import_stopping(im))
        return 1;
    if (*w->name && (strcmp(name, "_layers") == 0 || strcmp(name, "_manifests") == 0)) {
        w->is_repo = true;
        return 0;
    }
    if (*w->name && strcmp(name, "_uploads") == 0) {
        w->has_uploads = true; /* to be told of */
        return 0;
    }
    int n = snprintf(below.name, sizeof below.name, "%s%s%s", w->name, *w->name ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof below.name ||
        oci_name_check(slice_cstr(below.name), NULL) != 0) {
        import_find(im, "stray", path, "not the name of a repository: left out");
        return 0;
    }
    below.fd = source_dir(w->fd, name, &err);
    if (below.fd < 0)
        return source_error(im, path, &err) != 0;
    int r = walk_dir(&below);
    os_close(below.fd);
    return r != 0;
}

static int add_repo(struct import *im, const char *name, bool exists)
{
    if (im->n_repos == im->cap_repos) {
        size_t cap = im->cap_repos ? im->cap_repos * 2 : 64;
        void *grown = realloc(im->repos, cap * sizeof *im->repos);
        if (!grown) {
            struct error err = {0};
            error_set(&err, ERR_UNAVAILABLE, "no memory for %zu repositories", cap);
            return import_fail(im, &err);
        }
        im->repos = grown;
        im->cap_repos = cap;
    }
    struct import_repo *repo = xcalloc(1, sizeof *repo);
    repo->name = xstrdup(name);
    repo->exists = exists;
    im->repos[im->n_repos++] = repo;
    atomic_fetch_add(&im->repositories_done, 1);
    import_tick(im);
    return 0;
}

/* Names nest freely, and are at most 255 bytes long: so deep, and no deeper, does this go. */
static int walk_dir(struct walk *w)
{
    struct error err = {0};
    char path[IMPORT_PATH_MAX];
    int r = os_list(w->fd, ".", on_entry, w, "import.read", &err);
    if (r > 0)
        return -1;
    if (r < 0) {
        (void)walk_path(w, "", path);
        if (source_error(w->im, path, &err) != 0)
            return -1;
    }
    return w->is_repo || w->has_uploads ? add_repo(w->im, w->name, w->is_repo) : 0;
}

static int by_name(const void *a, const void *b)
{
    const struct import_repo *const *x = a;
    const struct import_repo *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void import_repo_free(struct import_repo *r)
{
    for (uint32_t i = 0; i < r->n_tags; i++)
        free(r->tags[i].name);
    free(r->tags);
    free(r->links.v);
    free(r->manifests.v);
    free(r->name);
    free(r);
}

int import_scan(struct import *im)
{
    struct walk w = {.im = im, .fd = im->repositories};
    if (walk_dir(&w) != 0)
        return -1;
    if (im->n_repos)
        qsort(im->repos, im->n_repos, sizeof(struct import_repo *), by_name);
    return import_parallel(im, im->threads, im->n_repos, 1, scan_step);
}
