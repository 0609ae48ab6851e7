/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: the bytes of what is too large for the metadata database, and the temporary files of
 * uploads. One interface; a filesystem and, for tests, memory behind it; S3 later.
 * tests/unit/store/store_conformance.c is what a backend has to pass. All calls block (a worker's
 * step) and are thread-safe unless told otherwise. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/metrics.h"
#include "base/shared.h"
#include "base/slice.h"
#include "oci/digest.h"
#include "os/fdcache.h"

struct store;

/* The staged bytes of one upload, open for writing. One thread at a time. */
struct stage;

/* An open blob: a file (served with sendfile) or bytes in memory. Exactly one of the two is set;
 * each is a reference that the caller owns. */
struct store_object {
    struct fdref *file;
    struct shared *bytes;
    uint64_t size;
};

/* A file of somebody else's: open for reading, and the name that it was opened by. */
struct store_source {
    int fd;
    int dir;
    const char *name; /* in dir */
};

enum store_adopted {
    STORE_ADOPT_PRESENT, /* the blob was there already */
    STORE_ADOPT_LINKED,
    STORE_ADOPT_CLONED,
    STORE_ADOPT_COPIED
};

/* What a series of store_adopt() calls has changed; all zero at its beginning. */
struct store_batch {
    bool linked;
    uint64_t dirs[HASH_ALG_COUNT][256 / 64]; /* a bit for each of the directories */
};

struct store_ops {
    const char *name;
    void (*close)(struct store *s);
    int (*probe)(struct store *s, struct error *err);
    bool (*read_only)(struct store *s);
    int (*stage_open)(struct store *s, struct slice id, bool create, struct stage **out,
                      struct error *err);
    uint64_t (*stage_size)(struct stage *st);
    int (*stage_write)(struct stage *st, const void *p, size_t n, struct error *err);
    ssize_t (*stage_read)(struct stage *st, void *p, size_t n, uint64_t offset, struct error *err);
    int (*stage_truncate)(struct stage *st, uint64_t size, struct error *err);
    int (*stage_sync)(struct stage *st, struct error *err);
    void (*stage_close)(struct stage *st);
    int (*stage_remove)(struct store *s, struct slice id, struct error *err);
    int (*stage_list)(struct store *s, int (*fn)(void *arg, struct slice id), void *arg,
                      struct error *err);
    int (*publish)(struct store *s, struct slice id, const struct digest *d, uint64_t size,
                   struct error *err);
    int (*open)(struct store *s, const struct digest *d, struct store_object *out,
                struct error *err);
    bool (*peek)(struct store *s, const struct digest *d, struct store_object *out);
    int (*verify)(struct store *s, const struct digest *d, uint64_t size, bool *ok,
                  struct error *err);
    int (*stat)(struct store *s, const struct digest *d, uint64_t *size, struct error *err);
    int (*remove)(struct store *s, const struct digest *d, struct error *err);
    int (*adopt)(struct store *s, struct store_batch *batch, const struct store_source *source,
                 const struct digest *d, uint64_t size, enum store_adopted *how, struct error *err);
    int (*adopt_sync)(struct store *s, struct store_batch *batch, struct error *err);
    int (*adopt_room)(struct store *s, const struct store_source *source, bool *copies,
                      uint64_t *room, struct error *err);
};

struct store {
    const struct store_ops *ops;
    atomic_bool stopping; /* store_stop() */
};

/* The directory `root` with uploads/, blobs/<alg>/<2 hex>/, trash/, all made and synced, and an
 * exclusive lock on it (ERR_UNAVAILABLE "in use by another berth" when another process has it).
 * fds_idle: blobs kept open without a reader. */
int store_fs_open(const char *root, unsigned fds_idle, struct metrics *metrics, struct store **out,
                  struct error *err);
/* For tests. */
int store_mem_open(struct store **out, struct error *err);

static inline void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}
/* Writes, syncs, reads back and removes a small file; a success ends a read-only state that a full
 * disk or an error caused. */
static inline int store_probe(struct store *s, struct error *err)
{
    return s->ops->probe(s, err);
}
/* After a failed sync (and until a probe succeeds) every write call fails with ERR_READ_ONLY; reads
 * go on. Any thread, never blocks. */
static inline bool store_read_only(struct store *s)
{
    return s->ops->read_only(s);
}
/* The stage of upload `id` ([0-9a-f-]{36}). create: make it anew, an old one of that id is an
 * error; otherwise open the one that is there (ERR_BLOB_UPLOAD_UNKNOWN when there is none). Mode
 * 0600. */
static inline int stage_open(struct store *s, struct slice id, bool create, struct stage **out,
                             struct error *err)
{
    return s->ops->stage_open(s, id, create, out, err);
}
/* Bytes written so far. */
uint64_t stage_size(struct stage *st);
/* Appends all of it, or fails and leaves the size as it was. ENOSPC is ERR_NO_SPACE. Starts
 * write-back every few MiB so that the sync at the end is short. */
int stage_write(struct stage *st, const void *p, size_t n, struct error *err);
/* Up to n bytes at the offset; fewer only at the end. */
ssize_t stage_read(struct stage *st, void *p, size_t n, uint64_t offset, struct error *err);
int stage_truncate(struct stage *st, uint64_t size, struct error *err);
/* Durable. A failure makes the store read-only, and every later call on this stage fails: the data
 * is given up. */
int stage_sync(struct stage *st, struct error *err);
/* NULL is fine. The bytes stay. */
void stage_close(struct stage *st);
/* A stage that is not there is fine. Takes every name that stage_list reports, and is not refused
 * in the read-only state: nothing that was acknowledged hangs on it. */
static inline int stage_remove(struct store *s, struct slice id, struct error *err)
{
    return s->ops->stage_remove(s, id, err);
}
/* fn for the id of each stage; non-zero stops. Names that are no id are reported too. */
static inline int stage_list(struct store *s, int (*fn)(void *arg, struct slice id), void *arg,
                             struct error *err)
{
    return s->ops->stage_list(s, fn, arg, err);
}
/* Step 6 of a push: the synced stage of `id` becomes the blob of that digest: link, directory sync.
 * What is there already is replaced, without reading it: the stage has just been hashed. The stage
 * itself stays (stage_remove). */
static inline int store_publish(struct store *s, struct slice id, const struct digest *d,
                                uint64_t size, struct error *err)
{
    return s->ops->publish(s, id, d, size, err);
}
/* ERR_BLOB_UNKNOWN when there is no file. */
static inline int store_open(struct store *s, const struct digest *d, struct store_object *out,
                             struct error *err)
{
    return s->ops->open(s, d, out, err);
}
/* Like open, only if that takes no system call: loops may call it. */
static inline bool store_peek(struct store *s, const struct digest *d, struct store_object *out)
{
    return s->ops->peek(s, d, out);
}
/* *ok: there is a file with that size and, re-hashed, that digest; then its bytes and its name are
 * durable too (so in the read-only state it is ERR_READ_ONLY). Reads all of it, unless the store is
 * stopping (ERR_UNAVAILABLE). */
static inline int store_verify(struct store *s, const struct digest *d, uint64_t size, bool *ok,
                               struct error *err)
{
    return s->ops->verify(s, d, size, ok, err);
}
/* Soon nobody will wait for what takes minutes: store_verify() gives up. Any thread; for good. */
static inline void store_stop(struct store *s)
{
    atomic_store(&s->stopping, true);
}
/* Its size in bytes, without looking at the content. ERR_BLOB_UNKNOWN when there is no file. */
static inline int store_stat(struct store *s, const struct digest *d, uint64_t *size,
                             struct error *err)
{
    return s->ops->stat(s, d, size, err);
}
/* Removes the file, durable. One that is not there is fine. The caller owns the decision. */
static inline int store_remove(struct store *s, const struct digest *d, struct error *err)
{
    return s->ops->remove(s, d, err);
}
/* An existing file of `size` bytes, which the caller vouches for, becomes the blob of that digest:
 * by a hard link (then the blob is that very file, which nobody may write to again; we do not),
 * else by sharing its blocks, else by a copy. A file that is in the place already stays when it is
 * the same file or, re-hashed, has that digest; otherwise it is replaced. The source is only read.
 * Durable only after store_adopt_sync() of the batch. ERR_BLOB_UNKNOWN: the source cannot be read,
 * has another size, or its name is not its name any more; other errors are the store's. */
static inline int store_adopt(struct store *s, struct store_batch *batch,
                              const struct store_source *source, const struct digest *d,
                              uint64_t size, enum store_adopted *how, struct error *err)
{
    return s->ops->adopt(s, batch, source, d, size, how, err);
}
/* All that the batch adopted is durable: once for many files. The batch is then empty again. */
static inline int store_adopt_sync(struct store *s, struct store_batch *batch, struct error *err)
{
    return s->ops->adopt_sync(s, batch, err);
}
/* Would store_adopt() of such a file take up space, because it can be neither linked nor share its
 * blocks? And how many bytes are free. Tries it, and leaves nothing. */
static inline int store_adopt_room(struct store *s, const struct store_source *source, bool *copies,
                                   uint64_t *room, struct error *err)
{
    return s->ops->adopt_room(s, source, copies, room, err);
}
void store_object_release(struct store_object *o);

#endif
