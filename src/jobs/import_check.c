/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 2: are the blobs there, and what are the manifests. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/util.h"
#include "jobs/import_int.h"
#include "oci/media_type.h"

#include "base/banned.h"

enum { STAT_CHUNK = 256, LOAD_CHUNK = 16, SCHEMA1_MAX = 1024 * 1024 };

/* --- a manifest --- */

/* Does it say of itself that it is of schema 1? They are not large; and what manifest_parse() has
 * refused for its many values is not to take 50 times its size of memory here. */
static bool is_schema1(struct slice body)
{
    struct json_doc *doc CLEANUP_JSON = NULL;
    int64_t version;
    if (body.n > SCHEMA1_MAX || jdoc_parse(body, ERR_MANIFEST_INVALID, &doc, NULL) != 0)
        return false;
    const struct json_value *root = jdoc_root(doc);
    struct slice type = jv_string(jv_get(root, "mediaType"));
    return (jv_int(jv_get(root, "schemaVersion"), &version) == 0 && version == 1) ||
           slice_is(type, MT_DOCKER_SCHEMA1) || slice_is(type, MT_DOCKER_SCHEMA1_SIGNED);
}

static enum load load_parse(const struct digest *d, struct slice body, struct arena *a,
                            struct manifest *out, char why[IMPORT_TEXT_MAX])
{
    struct error err = {0};
    struct digest have;
    digest_of(d->alg, body, &have);
    if (!digest_eq(d, &have)) {
        (void)snprintf(why, IMPORT_TEXT_MAX, "its bytes have the digest %s", have.text);
        return LOAD_BAD_DIGEST;
    }
    if (manifest_parse(body, SLICE_NONE, a, out, &err) == 0)
        return LOAD_OK;
    (void)snprintf(why, IMPORT_TEXT_MAX, "%s", err.detail[0] ? err.detail : err.message);
    return is_schema1(body) ? LOAD_SCHEMA1 : LOAD_INVALID;
}

int import_load(struct import *im, const struct digest *d, struct arena *a, enum load *what,
                struct slice *body, struct manifest *out, char why[IMPORT_TEXT_MAX])
{
    struct store_source source;
    uint64_t size;
    enum source_state s = source_open(im, d, &source, &size);
    *what = s == SOURCE_ABSENT ? LOAD_ABSENT : LOAD_REPORTED;
    if (s != SOURCE_OPEN)
        return s == SOURCE_END ? -1 : 0;
    if (size > MANIFEST_SIZE_MAX) {
        source_close(&source);
        (void)snprintf(why, IMPORT_TEXT_MAX, "it has %llu bytes, at most %d are accepted",
                       (unsigned long long)size, (int)MANIFEST_SIZE_MAX);
        *what = LOAD_INVALID;
        return 0;
    }
    char *bytes = arena_alloc(a, (size_t)size + 1);
    int r = source_read(im, &source, d, bytes, (size_t)size);
    source_close(&source);
    if (r <= 0)
        return r;
    *body = slice_make(bytes, (size_t)size);
    *what = load_parse(d, *body, a, out, why);
    return 0;
}

/* --- sizes --- */

static void stat_step(struct import *im, size_t from, size_t to)
{
    struct import_table *t = &im->tables[HASH_SHA256];
    struct digest d;
    for (size_t i = from; i < to && !import_stopping(im); i++) {
        uint32_t ref = im->order.v[i];
        import_ref_digest(im, ref, &d);
        int r = source_stat(im, &d, &t->sizes[ref]);
        if (r < 0)
            return;
        if (r > 0)
            ref_set(im, ref, BLOB_THERE);
    }
}

/* The other names of the same bytes. */
static void stat_aliases(struct import *im)
{
    struct import_table *t = &im->tables[HASH_SHA512];
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t ref = i | REF_SHA512;
        t->sizes[i] = ref_size(im, t->sources[i]);
        ref_set(im, ref, ref_flags(im, t->sources[i]) & BLOB_THERE);
    }
}

/* What a manifest says of sizes. A file of another size is cut off, or the manifest is wrong: a
 * hash will tell, before the file is believed. */
static void check_sizes(struct import *im, const struct digest *d, const struct manifest *m)
{
    char path[IMPORT_PATH_MAX];
    for (unsigned i = 0; i < m->n_edges; i++) {
        const struct edge *e = &m->edges[i];
        struct digest of;
        if (digest_parse(e->digest, &of, NULL) != 0)
            continue;
        uint32_t ref = import_ref(im, &of);
        if (ref == REF_NONE || !(ref_flags(im, ref) & BLOB_THERE))
            continue;
        if (ref_size(im, ref) == e->size) {
            ref_set(im, ref, BLOB_SIZED);
            continue;
        }
        ref_set(im, ref, BLOB_SUSPECT);
        source_blob_path(im, &of, path);
        import_find(im, "bad-size", path, "the file has %llu bytes, but manifest %s says %llu",
                    (unsigned long long)ref_size(im, ref), d->text, (unsigned long long)e->size);
    }
}

static void load_step(struct import *im, size_t from, size_t to)
{
    struct arena *a = arena_new(64 * 1024);
    for (size_t i = from; i < to && !import_stopping(im); i++) {
        char why[IMPORT_TEXT_MAX];
        struct digest d;
        struct slice body;
        struct manifest m;
        enum load what;
        uint32_t ref = im->order.v[i];
        import_ref_digest(im, ref, &d);
        /* What is wrong with it is said in each repository that has it. */
        if (import_load(im, &d, a, &what, &body, &m, why) != 0)
            break;
        if (what == LOAD_OK) {
            ref_set(im, ref, m.kind == MANIFEST_INDEX ? BLOB_IS_INDEX : BLOB_IS_IMAGE);
            check_sizes(im, &d, &m);
        }
        atomic_fetch_add(&im->manifests_done, 1);
        arena_reset(a);
    }
    arena_free(a);
}

/* --- the order of work --- */

static int by_key(const void *x, const void *y, void *arg)
{
    const struct import *im = arg;
    uint32_t a = *(const uint32_t *)x;
    uint32_t b = *(const uint32_t *)y;
    if ((a ^ b) & REF_SHA512)
        return a & REF_SHA512 ? 1 : -1;
    const struct import_table *t = &im->tables[a & REF_SHA512 ? HASH_SHA512 : HASH_SHA256];
    return memcmp(t->keys + ref_index(a) * t->key_n, t->keys + ref_index(b) * t->key_n, t->key_n);
}

/* Those of an algorithm that have all of `flags`, after what is in the list. */
static int add_to_order(struct import *im, enum hash_alg alg, unsigned flags)
{
    struct error err = {0};
    for (uint32_t i = 0; i < im->tables[alg].n; i++) {
        uint32_t ref = i | (alg == HASH_SHA512 ? REF_SHA512 : 0);
        if ((ref_flags(im, ref) & flags) == flags && refs_add(&im->order, ref, &err) != 0)
            return import_fail(im, &err);
    }
    return 0;
}

/* By digest, which is the order of the directories: a batch touches few of them. */
static void sort_order(struct import *im)
{
    if (im->order.n)
        qsort_r(im->order.v, im->order.n, sizeof *im->order.v, by_key, im);
}

static void count_totals(struct import *im)
{
    for (uint32_t i = 0; i < im->order.n; i++)
        im->bytes_total += ref_size(im, im->order.v[i]);
    im->blobs_total = im->order.n;
}

int import_check(struct import *im)
{
    if (add_to_order(im, HASH_SHA256, 0) != 0)
        return -1;
    sort_order(im);
    if (import_parallel(im, im->threads, im->order.n, STAT_CHUNK, stat_step) != 0)
        return -1;
    stat_aliases(im);
    im->order.n = 0;
    if (add_to_order(im, HASH_SHA256, BLOB_MANIFEST | BLOB_THERE) != 0)
        return -1;
    sort_order(im);
    im->manifests_total = im->order.n;
    if (import_parallel(im, im->threads, im->order.n, LOAD_CHUNK, load_step) != 0)
        return -1;
    im->order.n = 0;
    if (add_to_order(im, HASH_SHA256, BLOB_LAYER | BLOB_THERE) != 0 ||
        add_to_order(im, HASH_SHA512, BLOB_LAYER | BLOB_THERE) != 0)
        return -1;
    sort_order(im);
    count_totals(im);
    return 0;
}
