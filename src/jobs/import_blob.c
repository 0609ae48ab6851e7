/* SPDX-License-Identifier: Apache-2.0 */
/* Phase 3: the blobs. A batch is: pending rows; files linked or read; one sync; live rows. Threads
 * take batches of their own, so while one waits for the disk others hash. */
#include <stdlib.h>

#include "base/util.h"
#include "jobs/import_int.h"
#include "os/fault.h"

#include "base/banned.h"

enum { BATCH_MIN = 4 };

enum outcome { LEFT_OUT, PRESENT, LINKED, COPIED, IN_ROW };

struct item {
    uint32_t ref;
    enum outcome outcome;
};

struct batch {
    struct import *im;
    struct item *items;
    struct meta_import_blob *rows; /* of the same number */
    unsigned n;
    struct meta_import_blob *live; /* those of the rows that become live */
    unsigned n_live;
    char *bytes; /* of those that go into rows, one after the other */
    size_t n_bytes;
    struct store_batch synced;
    bool adopted;
};

static int end(struct import *im, const struct error *err)
{
    return import_fail(im, err);
}

/* The sha256 that names the file. */
static void file_digest(struct import *im, uint32_t ref, struct digest *out)
{
    import_ref_digest(im, ref & REF_SHA512 ? im->tables[HASH_SHA512].sources[ref_index(ref)] : ref,
                      out);
}

static void bad_digest(struct import *im, const struct digest *file, const struct digest *d)
{
    char path[IMPORT_PATH_MAX];
    source_blob_path(im, file, path);
    import_find(im, "bad-digest", path, "the file does not have the digest %s: left out", d->text);
}

/* Small: its bytes, and are they what they should be. They are always hashed. */
static int take_bytes(struct batch *b, unsigned i, const struct store_source *source,
                      const struct digest *file)
{
    struct meta_import_blob *row = &b->rows[i];
    struct digest have;
    char *at = b->bytes + b->n_bytes;
    size_t n = (size_t)row->size;
    int r = source_read(b->im, source, file, at, n);
    if (r <= 0)
        return r;
    digest_of(row->digest.alg, slice_make(at, n), &have);
    if (!digest_eq(&have, &row->digest)) {
        bad_digest(b->im, file, &row->digest);
        return 0;
    }
    row->bytes = slice_make(at, n);
    b->n_bytes += n;
    b->items[i].outcome = IN_ROW;
    return 0;
}

/* Large: link it. */
static int take_file(struct batch *b, unsigned i, const struct store_source *source,
                     const struct digest *file)
{
    const struct meta_import_blob *row = &b->rows[i];
    enum store_adopted how = STORE_ADOPT_LINKED;
    struct error err = {0};
    char path[IMPORT_PATH_MAX];
    if (!b->im->c->dry_run) {
        if (store_adopt(b->im->c->store, &b->synced, source, &row->digest, row->size, &how, &err) !=
            0) {
            if (err.code != ERR_BLOB_UNKNOWN)
                return end(b->im, &err);
            source_blob_path(b->im, file, path);
            import_find(b->im, "unreadable", path, "%s: left out", err.message);
            return 0;
        }
        b->adopted = true;
    }
    b->items[i].outcome = how == STORE_ADOPT_PRESENT  ? PRESENT
                          : how == STORE_ADOPT_LINKED ? LINKED
                                                      : COPIED;
    return 0;
}

/* The file of the source is no good. Nor may be what berth has, which can be the same one. */
static int bad_file(struct batch *b, unsigned i, const struct digest *file)
{
    struct import *im = b->im;
    const struct meta_import_blob *row = &b->rows[i];
    struct error err = {0};
    char path[IMPORT_PATH_MAX];
    bool ok = false;
    if (b->items[i].outcome != PRESENT || row->pend.is_inline) {
        bad_digest(im, file, &row->digest);
        return 0;
    }
    if (store_verify(im->c->store, &row->digest, row->size, &ok, &err) != 0)
        ok = false;
    source_blob_path(im, file, path);
    import_find(im, "bad-digest", path, "the file does not have the digest %s%s", row->digest.text,
                ok ? ", but berth's has it, and stays"
                   : ", and what berth has under it is damaged too: put a good file here and run "
                     "this again with --verify full");
    return 0;
}

static int take_open(struct batch *b, unsigned i, const struct store_source *source,
                     const struct digest *file, uint64_t size)
{
    struct import *im = b->im;
    const struct meta_import_blob *row = &b->rows[i];
    bool ok = true;
    char path[IMPORT_PATH_MAX];
    if (size != row->size) {
        source_blob_path(im, file, path);
        import_find(im, "unreadable", path, "the file has changed meanwhile: left out");
        return 0;
    }
    bool small = size <= META_INLINE_MAX;
    if (small && !row->pend.live)
        return take_bytes(b, i, source, file);
    /* A size that no manifest knows proves nothing: the file may have been cut off. */
    bool hash = im->c->verify == IMPORT_VERIFY_FULL || row->digest.alg != file->alg ||
                (ref_flags(im, b->items[i].ref) & (BLOB_SUSPECT | BLOB_SIZED)) != BLOB_SIZED;
    if (hash) {
        int r = source_hash(im, source, file, &row->digest, size, &ok);
        if (r <= 0)
            return r;
    }
    if (!ok)
        return bad_file(b, i, file);
    if (row->pend.is_inline)
        return 0; /* there: the source was looked at because it was asked for */
    /* What berth has may be that very file, or be damaged itself: then this mends it. */
    return ok ? take_file(b, i, source, file) : 0;
}

/* Has the store the file of a row that is live? */
static bool in_store(struct batch *b, const struct meta_import_blob *row)
{
    uint64_t size;
    return row->pend.is_inline ||
           (store_stat(b->im->c->store, &row->digest, &size, NULL) == 0 && size == row->size);
}

static int take(struct batch *b, unsigned i)
{
    struct import *im = b->im;
    struct meta_import_blob *row = &b->rows[i];
    struct store_source source;
    struct digest file;
    char path[IMPORT_PATH_MAX];
    uint64_t size;
    file_digest(im, b->items[i].ref, &file);
    if (row->conflict) {
        source_blob_path(im, &file, path);
        import_find(im, "bad-size", path,
                    "the file has %llu bytes, but berth knows %s with another size: left out",
                    (unsigned long long)row->size, row->digest.text);
        return 0;
    }
    if (row->pend.live && in_store(b, row)) {
        b->items[i].outcome = PRESENT;
        if (im->c->verify != IMPORT_VERIFY_FULL)
            return 0;
    }
    enum source_state s = source_open(im, &file, &source, &size);
    if (s == SOURCE_ABSENT) {
        source_blob_path(im, &file, path);
        import_find(im, "broken-link", path, "the file was removed meanwhile: left out");
    }
    if (s != SOURCE_OPEN)
        return s == SOURCE_END ? -1 : 0;
    int r = take_open(b, i, &source, &file, size);
    source_close(&source);
    return r;
}

/* Rows that are pending, and whose file is no good. */
static int drop(struct batch *b, const struct meta_import_blob *row)
{
    struct error err = {0};
    if (b->im->c->dry_run || row->conflict || row->pend.live || row->pend.epoch == 0)
        return 0;
    return meta_blob_resolve(b->im->c->meta, &row->digest, row->pend.epoch, false, &err) != 0
               ? end(b->im, &err)
               : 0;
}

static void settle(struct batch *b, unsigned i)
{
    struct import *im = b->im;
    uint64_t size = b->rows[i].size;
    atomic_uint_fast64_t *const counts[] = {[PRESENT] = &im->present,
                                            [LINKED] = &im->linked,
                                            [COPIED] = &im->copied,
                                            [IN_ROW] = &im->in_rows};
    if (b->items[i].outcome != LEFT_OUT) {
        ref_set(im, b->items[i].ref, BLOB_GOOD);
        atomic_fetch_add(counts[b->items[i].outcome], 1);
        atomic_fetch_add(&im->bytes, size);
    }
    atomic_fetch_add(&im->blobs_done, 1);
    atomic_fetch_add(&im->bytes_done, size);
}

/* Sync, then live: what is referred to is durable before what refers (I4). */
static int commit(struct batch *b)
{
    struct import *im = b->im;
    struct error err = {0};
    if (im->c->dry_run)
        return 0;
    if (b->adopted && store_adopt_sync(im->c->store, &b->synced, &err) != 0)
        return end(im, &err);
    int injected = fault_point("import.linked");
    if (injected) {
        error_sys(&err, injected, "import a batch");
        return end(im, &err);
    }
    b->n_live = 0;
    for (unsigned i = 0; i < b->n; i++)
        if (b->items[i].outcome != LEFT_OUT && !b->rows[i].pend.live)
            b->live[b->n_live++] = b->rows[i];
    if (b->n_live && meta_import_live(im->c->meta, b->live, b->n_live, &err) != 0)
        return end(im, &err);
    return 0;
}

static int run_batch(struct batch *b)
{
    struct import *im = b->im;
    struct error err = {0};
    b->n_bytes = 0;
    b->adopted = false;
    if (!im->c->dry_run && meta_import_pend(im->c->meta, b->rows, b->n, &err) != 0)
        return end(im, &err);
    for (unsigned i = 0; i < b->n; i++)
        if (import_stopping(im) || take(b, i) != 0)
            return -1;
    if (commit(b) != 0)
        return -1;
    for (unsigned i = 0; i < b->n; i++) {
        if (b->items[i].outcome == LEFT_OUT && drop(b, &b->rows[i]) != 0)
            return -1;
        settle(b, i);
    }
    b->n = 0;
    return 0;
}

static void add(struct batch *b, uint32_t ref)
{
    struct meta_import_blob *row = &b->rows[b->n];
    *row = (struct meta_import_blob){.size = ref_size(b->im, ref)};
    import_ref_digest(b->im, ref, &row->digest);
    b->items[b->n++] = (struct item){.ref = ref};
}

static void blobs_step(struct import *im, size_t from, size_t to)
{
    struct batch b = {.im = im};
    size_t small = 0;
    b.items = xcalloc(IMPORT_BATCH, sizeof *b.items);
    b.rows = xcalloc(IMPORT_BATCH, sizeof *b.rows);
    b.live = xcalloc(IMPORT_BATCH, sizeof *b.live);
    b.bytes = xcalloc(1, IMPORT_INLINE_BYTES);
    for (size_t i = from; i < to; i++) {
        uint32_t ref = im->order.v[i];
        size_t more = ref_size(im, ref) <= META_INLINE_MAX ? (size_t)ref_size(im, ref) : 0;
        if (small + more > IMPORT_INLINE_BYTES) {
            small = 0;
            if (run_batch(&b) != 0)
                break;
        }
        small += more;
        add(&b, ref);
    }
    if (b.n && !import_stopping(im))
        (void)run_batch(&b);
    free(b.items);
    free(b.rows);
    free(b.live);
    free(b.bytes);
}

/* --- room --- */

static bool is_large(struct import *im, uint32_t ref)
{
    return ref_size(im, ref) > META_INLINE_MAX;
}

/* Bytes that the store does not have yet. */
static uint64_t lacking(struct import *im)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < im->order.n && !import_stopping(im); i++) {
        uint32_t ref = im->order.v[i];
        struct digest d;
        uint64_t size;
        import_ref_digest(im, ref, &d);
        if (is_large(im, ref) &&
            (store_stat(im->c->store, &d, &size, NULL) != 0 || size != ref_size(im, ref)))
            sum += ref_size(im, ref);
        import_tick(im);
    }
    return sum;
}

/* Of the first large file, which stands for all. SOURCE_ABSENT: there is none. */
static enum source_state try_room(struct import *im, bool *copies, uint64_t *room,
                                  struct error *err)
{
    for (uint32_t i = 0; i < im->order.n; i++) {
        struct store_source source;
        struct digest file;
        uint64_t size;
        if (!is_large(im, im->order.v[i]))
            continue;
        file_digest(im, im->order.v[i], &file);
        enum source_state s = source_open(im, &file, &source, &size);
        if (s == SOURCE_END)
            return s;
        if (s != SOURCE_OPEN)
            continue;
        int r = store_adopt_room(im->c->store, &source, copies, room, err);
        source_close(&source);
        if (r == 0)
            return SOURCE_OPEN;
        if (err->code != ERR_BLOB_UNKNOWN) {
            (void)end(im, err);
            return SOURCE_END;
        }
        error_clear(err);
    }
    return SOURCE_ABSENT;
}

/* A disk that fills up would end this half-way, and be full. */
static int check_room(struct import *im)
{
    struct error err = {0};
    uint64_t room = 0;
    bool copies = false;
    im->quiet = true;
    enum source_state s = try_room(im, &copies, &room, &err);
    im->quiet = false;
    if (s == SOURCE_END)
        return -1;
    if (s == SOURCE_ABSENT || !copies)
        return 0;
    im->copies = lacking(im);
    if (im->copies <= room)
        return 0;
    error_detail(&err, ERR_NO_SPACE,
                 "the blobs have %llu MiB and can be no hard links (they are on another file "
                 "system, or another user's: docs/import.md), but only %llu MiB are free for "
                 "copies",
                 (unsigned long long)(im->copies >> 20), (unsigned long long)(room >> 20));
    return end(im, &err);
}

/* Large batches share a sync; but a few large blobs are to keep all threads busy. */
int import_blobs(struct import *im)
{
    if (!im->c->dry_run && check_room(im) != 0)
        return -1;
    size_t n = im->order.n / (im->threads * 4);
    return import_parallel(im, im->threads, im->order.n,
                           MIN(MAX(n, (size_t)BATCH_MIN), (size_t)IMPORT_BATCH), blobs_step);
}
