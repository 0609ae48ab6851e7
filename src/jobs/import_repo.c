/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 4: what is in each repository: links, manifests (children before their index) and tags. A
 * manifest whose blobs are not all there is left out (I1) and told of, although registry would
 * still serve its bytes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "jobs/import_int.h"
#include "os/clock.h"
#include "os/fault.h"

#include "base/banned.h"

enum {
    PUTS_MAX = 256,               /* manifests in one transaction */
    BODIES_MAX = 8 * 1024 * 1024, /* bytes of manifests in memory at a time */
    SHOWN_MAX = 3                 /* tags and digests that a text names */
};

enum manifest_state { WAITING, GOOD, FAILED };

struct job {
    struct import *im;
    struct import_repo *repo;
    unsigned char *states; /* of repo->manifests */
    uint32_t *blockers;    /* likewise: the place of the child that it waits for, or REF_NONE */
    uint32_t blocker;      /* out of edge_state(): the child's place, with EDGE_LATER */
    struct arena *a;       /* of what is to be put */
    size_t bodies;         /* bytes in it */
    struct digest links[IMPORT_BATCH];
    unsigned n_links;
    struct meta_manifest_put puts[PUTS_MAX];
    uint32_t put_at[PUTS_MAX]; /* their places in repo->manifests */
    unsigned n_puts;
    bool written; /* the repository has been made */
};

static struct slice repo_name(const struct job *j)
{
    return slice_cstr(j->repo->name);
}

/* --- words --- */

struct words {
    char text[IMPORT_TEXT_MAX - 200];
    size_t n;
    unsigned count;
};

static void word_add(struct words *w, const char *word)
{
    if (w->count++ < SHOWN_MAX) {
        int n = snprintf(w->text + w->n, sizeof w->text - w->n, "%s%s", w->n ? ", " : "", word);
        w->n = n > 0 ? MIN(w->n + (size_t)n, sizeof w->text - 1) : w->n;
    }
}

static void word_end(struct words *w)
{
    if (w->count > SHOWN_MAX)
        (void)snprintf(w->text + w->n, sizeof w->text - w->n, " and %u more", w->count - SHOWN_MAX);
}

/* The first tag of a manifest, and how many there are. */
static const struct import_tag *tags_of(const struct import_repo *repo, uint32_t ref, uint32_t *n)
{
    uint32_t low = 0;
    uint32_t high = repo->n_tags;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (repo->tags[middle].ref < ref)
            low = middle + 1;
        else
            high = middle;
    }
    *n = 0;
    while (low + *n < repo->n_tags && repo->tags[low + *n].ref == ref)
        ++*n;
    return repo->tags + low;
}

static void manifest_finding(struct job *j, uint32_t ref, const char *kind, const char *text)
{
    char path[IMPORT_PATH_MAX];
    struct digest d;
    struct words tags = {0};
    uint32_t n;
    const struct import_tag *t = tags_of(j->repo, ref, &n);
    for (uint32_t i = 0; i < n; i++)
        word_add(&tags, t[i].name);
    word_end(&tags);
    import_ref_digest(j->im, ref, &d);
    source_path(j->im, j->repo, path, "_manifests/revisions/%s/%s/link", hash_name(d.alg),
                digest_hex(&d).p);
    import_find(j->im, kind, path, "manifest %s of %s (%s%s): %s", d.text, j->repo->name,
                n == 0   ? "no tag"
                : n == 1 ? "tag "
                         : "tags ",
                tags.text, text);
}

/* --- writing --- */

static void written(struct job *j)
{
    for (unsigned i = 0; i < j->n_puts; i++) {
        j->states[j->put_at[i]] = GOOD;
        atomic_fetch_add(&j->im->manifests_done, 1);
    }
    j->written = true;
    j->n_links = j->n_puts = 0;
    j->bodies = 0;
    arena_reset(j->a);
}

/* One by one after all together failed: which of them does the database not take? */
static int put_singly(struct job *j)
{
    struct error err = {0};
    unsigned kept = 0;
    for (unsigned i = 0; i < j->n_puts; i++) {
        const struct meta_import_repo one = {
            .repo = repo_name(j), .manifests = &j->puts[i], .n_manifests = 1};
        if (meta_import_repo(j->im->c->meta, &one, j->a, &err) == 0) {
            j->put_at[kept++] = j->put_at[i];
            continue;
        }
        if (err.code != ERR_MANIFEST_BLOB_UNKNOWN)
            return import_fail(j->im, &err);
        j->states[j->put_at[i]] = FAILED;
        manifest_finding(j, j->repo->manifests.v[j->put_at[i]], "missing-blob", err.message);
    }
    j->n_puts = kept;
    return 0;
}

static int flush(struct job *j)
{
    struct error err = {0};
    struct meta_import_repo in = {.repo = repo_name(j),
                                  .links = j->links,
                                  .n_links = j->n_links,
                                  .manifests = j->puts,
                                  .n_manifests = j->n_puts};
    if (j->im->c->dry_run || (j->written && j->n_links + j->n_puts == 0)) {
        written(j);
        return 0;
    }
    int injected = fault_point("import.repository");
    if (injected) {
        error_sys(&err, injected, "import a repository");
        return import_fail(j->im, &err);
    }
    if (meta_import_repo(j->im->c->meta, &in, j->a, &err) != 0) {
        if (err.code != ERR_MANIFEST_BLOB_UNKNOWN)
            return import_fail(j->im, &err);
        in.n_manifests = 0;
        if (meta_import_repo(j->im->c->meta, &in, j->a, &err) != 0)
            return import_fail(j->im, &err);
        if (put_singly(j) != 0)
            return -1;
    }
    written(j);
    return 0;
}

/* --- links --- */

static void dangling(struct job *j, uint32_t ref)
{
    char path[IMPORT_PATH_MAX];
    struct digest d;
    import_ref_digest(j->im, ref, &d);
    source_path(j->im, j->repo, path, "_layers/%s/%s/link", hash_name(d.alg), digest_hex(&d).p);
    import_find(j->im, "broken-link", path, "there is no file of %s: left out", d.text);
}

static int put_links(struct job *j)
{
    struct import *im = j->im;
    for (uint32_t i = 0; i < j->repo->links.n; i++) {
        uint32_t ref = j->repo->links.v[i];
        unsigned flags = ref_flags(im, ref);
        if (!(flags & BLOB_THERE))
            dangling(j, ref);
        if (!(flags & BLOB_GOOD))
            continue;
        if (j->n_links == IMPORT_BATCH && flush(j) != 0)
            return -1;
        import_ref_digest(im, ref, &j->links[j->n_links++]);
        atomic_fetch_add(&im->links_done, 1);
        if (import_stopping(im))
            return -1;
    }
    return 0;
}

/* --- manifests --- */

/* Has the repository this blob or manifest in berth? */
static bool in_berth(struct job *j, const struct digest *d, bool manifest)
{
    struct meta *meta = j->im->c->meta;
    struct meta_blob blob;
    struct meta_manifest m;
    struct error err = {0};
    if (j->im->c->dry_run)
        return false;
    const struct reference ref = {.is_digest = true, .digest = *d};
    if ((manifest ? meta_manifest_get(meta, repo_name(j), &ref, false, &m, &err)
                  : meta_blob_get(meta, repo_name(j), d, false, &blob, &err)) == 0)
        return true;
    if (err.code != ERR_MANIFEST_UNKNOWN && err.code != ERR_NAME_UNKNOWN &&
        err.code != ERR_BLOB_UNKNOWN)
        (void)import_fail(j->im, &err);
    return false;
}

enum edge_state { EDGE_THERE, EDGE_LATER, EDGE_MISSING };

static enum edge_state edge_state(struct job *j, const struct edge *e)
{
    struct digest d;
    if (digest_parse(e->digest, &d, NULL) != 0)
        return EDGE_MISSING;
    bool child = e->kind == EDGE_CHILD;
    uint32_t ref = import_ref(j->im, &d);
    int64_t at = ref == REF_NONE ? -1
                 : child         ? refs_find(&j->repo->manifests, ref)
                                 : refs_find(&j->repo->links, ref);
    if (at >= 0 && child && j->states[at] != FAILED) {
        j->blocker = (uint32_t)at;
        return j->states[at] == GOOD ? EDGE_THERE : EDGE_LATER;
    }
    if (at >= 0 && !child && ref_flags(j->im, ref) & BLOB_GOOD)
        return EDGE_THERE;
    /* Not in the source; but whoever ran this before may have repaired it since. */
    return in_berth(j, &d, child) ? EDGE_THERE : EDGE_MISSING;
}

/* Is all there that it needs? EDGE_THERE also for an index that lacks some children: it is what
 * registry keeps with validation.manifests.indexes, or after a child was deleted, and the others
 * can be pulled. The missing ones are not required of it then. */
static enum edge_state look_at(struct job *j, uint32_t ref, struct manifest *m)
{
    struct words missing = {0};
    char text[IMPORT_TEXT_MAX];
    unsigned children = 0;
    for (unsigned i = 0; i < m->n_edges; i++) {
        struct edge *e = &m->edges[i];
        enum edge_state s = e->required ? edge_state(j, e) : EDGE_THERE;
        children += e->kind == EDGE_CHILD;
        if (s == EDGE_LATER)
            return s;
        if (s == EDGE_THERE)
            continue;
        char digest[OCI_TAG_MAX * 2 + 1];
        (void)snprintf(digest, sizeof digest, "%.*s", SLICE_ARG(e->digest));
        word_add(&missing, digest);
        e->required = e->kind != EDGE_CHILD;
    }
    if (missing.count == 0)
        return EDGE_THERE;
    bool some = missing.count < children;
    word_end(&missing);
    (void)snprintf(text, sizeof text, "%s it refers to %s, which %s not in the repository: %s",
                   some ? "an index;" : "it cannot be complete;", missing.text,
                   missing.count == 1 ? "is" : "are", some ? "kept without" : "left out");
    manifest_finding(j, ref, some ? "missing-child" : "missing-blob", text);
    return some ? EDGE_THERE : EDGE_MISSING;
}

/* Why it cannot be one of ours. */
static void say_bad(struct job *j, uint32_t ref, enum load what, const char *why)
{
    char text[IMPORT_TEXT_MAX];
    static const char *const kinds[] = {[LOAD_ABSENT] = "broken-link",
                                        [LOAD_BAD_DIGEST] = "bad-digest",
                                        [LOAD_INVALID] = "bad-manifest",
                                        [LOAD_SCHEMA1] = "schema1"};
    (void)snprintf(text, sizeof text, "%.500s: left out",
                   what == LOAD_ABSENT ? "there is no file of it" : why);
    if (what != LOAD_REPORTED)
        manifest_finding(j, ref, kinds[what], text);
}

/* Whose push of the tag was the last? What somebody has pushed to berth since is not turned back.
 */
static bool tag_wins(struct job *j, const struct import_tag *t, const struct meta_manifest *now,
                     const struct digest *d)
{
    bool wins = t->set_ms >= now->tagged_ms;
    char path[IMPORT_PATH_MAX];
    source_path(j->im, j->repo, path, "_manifests/tags/%s/current/link", t->name);
    if (wins)
        import_find(j->im, "tag-moved", path, "tag %s of %s was %s and is %s now, as in the source",
                    t->name, j->repo->name, now->digest.text, d->text);
    else
        import_find(j->im, "tag-kept", path,
                    "tag %s of %s is %s here, but was set to %s in berth later, and stays", t->name,
                    j->repo->name, d->text, now->digest.text);
    return wins;
}

/* Those tags that do not lead there yet, and when they were set. -1 on an error. */
static int new_tags(struct job *j, uint32_t ref, const struct digest *d, struct slice *tags,
                    int64_t *times)
{
    struct import *im = j->im;
    int64_t today = os_wall_ms();
    uint32_t n;
    int kept = 0;
    const struct import_tag *t = tags_of(j->repo, ref, &n);
    for (uint32_t i = 0; i < n; i++) {
        struct meta_manifest now;
        struct error err = {0};
        struct reference r = {.tag = slice_cstr(t[i].name)};
        int known = im->c->dry_run
                        ? -1
                        : meta_manifest_get(im->c->meta, repo_name(j), &r, false, &now, &err);
        if (known == 0 && (digest_eq(&now.digest, d) || !tag_wins(j, &t[i], &now, d)))
            continue;
        if (known != 0 && !im->c->dry_run && err.code != ERR_MANIFEST_UNKNOWN &&
            err.code != ERR_NAME_UNKNOWN)
            return import_fail(im, &err);
        times[kept] = MIN(t[i].set_ms, today);
        tags[kept++] = slice_cstr(t[i].name);
    }
    atomic_fetch_add(&im->tags_done, n);
    return kept;
}

static int queue(struct job *j, uint32_t at, const struct digest *d, struct slice body,
                 const struct manifest *m)
{
    uint32_t n;
    uint32_t ref = j->repo->manifests.v[at];
    (void)tags_of(j->repo, ref, &n);
    struct slice *tags = ARENA_ARRAY(j->a, struct slice, n);
    int64_t *times = ARENA_ARRAY(j->a, int64_t, n);
    struct manifest *kept = ARENA_NEW(j->a, struct manifest);
    int n_tags = new_tags(j, ref, d, tags, times);
    if (n_tags < 0)
        return -1;
    if (n_tags == 0 && in_berth(j, d, true)) {
        j->states[at] = GOOD;
        atomic_fetch_add(&j->im->manifests_done, 1);
        return 0;
    }
    *kept = *m;
    j->put_at[j->n_puts] = at;
    j->puts[j->n_puts++] = (struct meta_manifest_put){.repo = repo_name(j),
                                                      .digest = *d,
                                                      .body = body,
                                                      .manifest = kept,
                                                      .tags = tags,
                                                      .tag_times = times,
                                                      .n_tags = (unsigned)n_tags};
    return 0;
}

/* *later: it is an index that waits for another one. */
static int put_manifest(struct job *j, uint32_t at, bool *later)
{
    char why[IMPORT_TEXT_MAX];
    uint32_t ref = j->repo->manifests.v[at];
    struct digest d;
    struct slice body = SLICE_NONE;
    struct manifest m;
    enum load what;
    if ((j->n_puts == PUTS_MAX || j->bodies > BODIES_MAX) && flush(j) != 0)
        return -1;
    import_ref_digest(j->im, ref, &d);
    if (import_load(j->im, &d, j->a, &what, &body, &m, why) != 0)
        return -1;
    j->bodies += body.n + 1024;
    if (what != LOAD_OK) {
        j->states[at] = FAILED;
        say_bad(j, ref, what, why);
        return 0;
    }
    if (m.kind == MANIFEST_INDEX && !(ref_flags(j->im, ref) & BLOB_IS_INDEX)) {
        ref_set(j->im, ref, BLOB_IS_INDEX); /* could not be read in phase 2: its turn comes */
        *later = true;
        return 0;
    }
    switch (look_at(j, ref, &m)) {
    case EDGE_THERE:
        return queue(j, at, &d, body, &m);
    case EDGE_LATER:
        j->blockers[at] = j->blocker;
        *later = true;
        return 0;
    default:
        j->states[at] = FAILED;
        return 0;
    }
}

/* It would still wait for the same child: it need not be read to know that. A chain of indexes,
 * which anybody could push, would otherwise be read as often as it has links, each time. */
static bool is_blocked(const struct job *j, uint32_t i)
{
    return j->blockers[i] != REF_NONE && j->states[j->blockers[i]] == WAITING;
}

/* Images, and what is no good; then indexes, again and again while some wait for others. Digests
 * cannot go round in a circle, so each time at least one of those that wait has all it waits for.
 */
static int put_manifests(struct job *j)
{
    const struct refs *list = &j->repo->manifests;
    for (int round = 0;; round++) {
        bool later = false;
        for (uint32_t i = 0; i < list->n; i++) {
            bool index = ref_flags(j->im, list->v[i]) & BLOB_IS_INDEX;
            if (j->states[i] != WAITING || index != (round > 0))
                continue;
            if (is_blocked(j, i)) {
                later = true;
                continue;
            }
            if (import_stopping(j->im) || put_manifest(j, i, &later) != 0)
                return -1;
        }
        if (flush(j) != 0)
            return -1;
        if (round > 0 && !later)
            return 0;
    }
}

static int import_one(struct job *j)
{
    if (!j->repo->exists)
        return 0;
    if (put_links(j) != 0 || put_manifests(j) != 0)
        return -1;
    atomic_fetch_add(&j->im->repositories_done, 1);
    return 0;
}

static void repo_step(struct import *im, size_t from, size_t to)
{
    struct job *j = xcalloc(1, sizeof *j);
    j->im = im;
    j->a = arena_new(64 * 1024);
    for (size_t i = from; i < to && !import_stopping(im); i++) {
        j->repo = im->repos[i];
        j->states = xcalloc(MAX(j->repo->manifests.n, 1u), 1);
        j->blockers = xcalloc(MAX(j->repo->manifests.n, 1u), sizeof *j->blockers);
        memset(j->blockers, 0xff, j->repo->manifests.n * sizeof *j->blockers); /* REF_NONE */
        j->written = false;
        int failed = import_one(j);
        free(j->states);
        free(j->blockers);
        if (failed)
            break;
    }
    arena_free(j->a);
    free(j);
}

int import_repositories(struct import *im)
{
    return import_parallel(im, im->threads, im->n_repos, 1, repo_step);
}
