/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the import share. */
#ifndef JOBS_IMPORT_INT_H
#define JOBS_IMPORT_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/arena.h"
#include "jobs/import.h"
#include "oci/manifest.h"

enum {
    IMPORT_PATH_MAX = 1024,
    IMPORT_TEXT_MAX = 600,
    IMPORT_INLINE_BYTES = 4 * 1024 * 1024, /* of small blobs in one transaction */
    IMPORT_BATCH = 1024                    /* blobs or links in one transaction */
};

/* --- what is known of each digest (import_table.c) --- */

/* Flags of an entry. */
enum {
    BLOB_LAYER = 1,     /* some repository links it as a blob */
    BLOB_MANIFEST = 2,  /* ... as a manifest */
    BLOB_THERE = 4,     /* the source has its file; `size` is that file's */
    BLOB_SUSPECT = 8,   /* a manifest says another size: believe only a hash */
    BLOB_GOOD = 16,     /* berth has it (or, in a dry run, could have it) */
    BLOB_IS_INDEX = 32, /* a manifest that is one: an index ... */
    BLOB_IS_IMAGE = 64, /* ... or an image */
    BLOB_SIZED = 128    /* a manifest says the size that it has */
};

/* An entry's number, with the algorithm in the highest bit: four bytes for each link of a
 * repository, however long digests are. */
#define REF_SHA512 0x80000000u
#define REF_NONE 0xffffffffu

struct import_table {
    size_t key_n; /* bytes of a key: the binary digest */
    uint32_t n, cap;
    unsigned char *keys;
    uint64_t *sizes;
    atomic_uchar *flags;
    uint32_t *sources; /* sha512 only: the sha256 entry that has the bytes */
    uint32_t *slots;   /* open addressing: entry + 1, 0 for none */
    uint32_t n_slots;  /* a power of two */
    uint64_t seed;
};

void import_table_init(struct import_table *t, size_t key_n, uint64_t seed);
void import_table_release(struct import_table *t);
/* The entry of a key; made when it is new. -1 with ERR_UNAVAILABLE when there is no memory. */
int import_table_add(struct import_table *t, const void *key, uint32_t *out, struct error *err);
/* REF_NONE when there is none. */
uint32_t import_table_find(const struct import_table *t, const void *key);

struct refs {
    uint32_t *v;
    uint32_t n, cap;
};
int refs_add(struct refs *r, uint32_t ref, struct error *err);
void refs_sort(struct refs *r); /* ascending, each once */
/* The place of ref in a sorted list, or -1. */
int64_t refs_find(const struct refs *r, uint32_t ref);

/* --- the run --- */

struct import_tag {
    char *name;
    uint32_t ref;   /* of the manifest */
    int64_t set_ms; /* when its link was written */
};

struct import_repo {
    char *name;
    bool exists;           /* false: nothing but unfinished uploads */
    struct refs links;     /* blobs, sorted */
    struct refs manifests; /* sorted */
    struct import_tag *tags;
    uint32_t n_tags, cap_tags; /* sorted by ref */
};

struct import {
    const struct import_config *c;
    int v2;                  /* directory descriptors */
    int blobs, repositories; /* blobs may be -1: there are none */
    const char *prefix;      /* of paths in findings: "docker/registry/v2/" or "" */
    unsigned threads;
    struct import_table tables[HASH_ALG_COUNT];
    struct import_repo **repos; /* by name */
    size_t n_repos, cap_repos;
    struct refs order; /* work of the step that runs, and then the layers, by digest */

    pthread_mutex_t lock; /* guards the tables while links are read, and `error` */
    struct error error;   /* the first one that ends it all */
    atomic_bool failed;
    pthread_mutex_t emit; /* finding() and progress(), one at a time */

    atomic_uint_fast64_t linked, copied, in_rows, present, bytes; /* of the result */
    atomic_uint_fast64_t repositories_done, manifests_done, tags_done, links_done, findings;
    atomic_uint_fast64_t unread;
    atomic_uint_fast64_t blobs_done, bytes_done; /* of the progress */
    uint64_t blobs_total, bytes_total, manifests_total;
    uint64_t copies; /* bytes that cannot be shared with the source */
    enum import_phase phase;
    uint64_t told_ms; /* the main thread's */
    bool quiet; /* what is found now will be found again: set while the main thread works alone */
};

/* import.c */
/* Ends the run with this error, unless one has; -1. */
int import_fail(struct import *im, const struct error *err);
bool import_stopping(struct import *im); /* failed or cancelled */
void import_find(struct import *im, const char *kind, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Progress, if the last was some time ago: for the main thread where it works alone. */
void import_tick(struct import *im);
/* step() for [0, n) in ranges of `chunk`, on `threads` threads, with progress meanwhile. -1 when
 * the run has failed or was cancelled. */
int import_parallel(struct import *im, unsigned threads, size_t n, size_t chunk,
                    void (*step)(struct import *im, size_t from, size_t to));

/* import_source.c: reading the tree. Nothing below blobs/ and repositories/ is followed when it is
 * a symbolic link. */
/* An error of the source: 0 when a finding is made of it and the rest can go on, -1 when it is of
 * the kind that everything else would meet too. */
int source_error(struct import *im, const char *path, const struct error *err);
/* A directory; -1 and err->sys as open(2). */
int source_dir(int at, const char *name, struct error *err);
/* "repositories/<name>/<rest>" with the prefix. */
void source_path(const struct import *im, const struct import_repo *repo, char out[IMPORT_PATH_MAX],
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Of a blob's file. */
void source_blob_path(const struct import *im, const struct digest *d, char out[IMPORT_PATH_MAX]);
/* The digest in `name`/link below `at`, and when that was written (wall clock). 1; 0 when there is
 * no link, or a finding was made of it under `path`; -1 when the run has ended. *there: there is a
 * link at all. */
int source_link(struct import *im, int at, const char *name, const char *path, struct digest *out,
                int64_t *set_ms, bool *there);
/* The file of a blob, open; source_close() it. SOURCE_ABSENT is quiet, SOURCE_REPORTED has been
 * told of, with SOURCE_END the run has ended. */
enum source_state { SOURCE_END = -1, SOURCE_ABSENT, SOURCE_OPEN, SOURCE_REPORTED };
enum source_state source_open(struct import *im, const struct digest *d, struct store_source *out,
                              uint64_t *size);
/* Only looks at it: 1, 0 when it cannot be used, -1. */
int source_stat(struct import *im, const struct digest *d, uint64_t *size);
void source_close(struct store_source *s);
/* Exactly `size` bytes into p; 1, 0 with a finding, -1. */
int source_read(struct import *im, const struct store_source *s, const struct digest *d, void *p,
                size_t size);
/* Hashes all of it as d->alg; *ok: it is `size` bytes and that digest. 1, 0 with a finding, -1;
 * 0 without one when the run is stopping. `file` names the blob (its sha256). */
int source_hash(struct import *im, const struct store_source *s, const struct digest *file,
                const struct digest *d, uint64_t size, bool *ok);

/* import_scan.c */
/* All repositories, and then their links. */
int import_scan(struct import *im);
void import_repo_free(struct import_repo *r);
/* The entry of a digest, REF_NONE when there is none. */
uint32_t import_ref(const struct import *im, const struct digest *d);
void import_ref_digest(const struct import *im, uint32_t ref, struct digest *out);
static inline struct import_table *ref_table(struct import *im, uint32_t ref)
{
    return &im->tables[ref & REF_SHA512 ? HASH_SHA512 : HASH_SHA256];
}
static inline uint32_t ref_index(uint32_t ref)
{
    return ref & ~REF_SHA512;
}
static inline unsigned ref_flags(struct import *im, uint32_t ref)
{
    return atomic_load_explicit(&ref_table(im, ref)->flags[ref_index(ref)], memory_order_relaxed);
}
static inline void ref_set(struct import *im, uint32_t ref, unsigned flags)
{
    (void)atomic_fetch_or_explicit(&ref_table(im, ref)->flags[ref_index(ref)], (unsigned char)flags,
                                   memory_order_relaxed);
}
static inline uint64_t ref_size(struct import *im, uint32_t ref)
{
    return ref_table(im, ref)->sizes[ref_index(ref)];
}

/* import_check.c */
/* Sizes of all blobs; then every manifest is read once: which are images and which indexes, and do
 * the sizes that they name agree. */
int import_check(struct import *im);
/* A manifest from the source: LOAD_OK, or what is wrong with it (why: in words). Memory is the
 * arena's. */
enum load { LOAD_OK, LOAD_ABSENT, LOAD_REPORTED, LOAD_BAD_DIGEST, LOAD_INVALID, LOAD_SCHEMA1 };
int import_load(struct import *im, const struct digest *d, struct arena *a, enum load *what,
                struct slice *body, struct manifest *out, char why[IMPORT_TEXT_MAX]);

/* import_blob.c and import_repo.c: what they say */
int import_blobs(struct import *im);
int import_repositories(struct import *im);

#endif
