/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem backend's own header: layout and state. */
#ifndef STORE_STORE_FS_INT_H
#define STORE_STORE_FS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "os/fdcache.h"
#include "os/storage_time.h"
#include "store/store_int.h"

struct store_fs {
    struct store base;
    /* Directory descriptors: every name is relative to one of them. */
    int root;
    int uploads;
    int blobs[HASH_ALG_COUNT];
    /* Of the directories below blobs/<alg>, by their number: whose name this process has synced. */
    atomic_uint_fast64_t named[HASH_ALG_COUNT][4];
    int lock;
    struct fdcache *fds;
    /* Read-only while a failure was seen that no probe has answered yet. Two counters and not a
     * flag, so that a probe which began before a failure does not clear it. */
    atomic_uint failures;
    atomic_uint cleared;
    pthread_mutex_t probe;
    /* NULL without metrics. */
    struct metric *bytes;
    struct metric *syncs;
    struct metric *publishes;
    struct metric *read_only;
    struct storage_times times;
};

static inline struct store_fs *store_fs(struct store *s)
{
    return (struct store_fs *)(void *)s;
}

/* store_fs.c */
bool store_fs_read_only(struct store *s);
int store_fs_writable(struct store_fs *fs, struct error *err);
/* After a failure that makes what was acknowledged doubtful. */
void store_fs_failed(struct store_fs *fs);
/* Notes EROFS: the kernel remounts a broken file system. Returns -1. */
int store_fs_note(struct store_fs *fs, const struct error *err);
/* fsync, counted; a failure makes the store read-only. */
int store_fs_sync(struct store_fs *fs, int fd, const char *point, struct error *err);
void store_fs_count(struct metric *m, uint64_t by);

/* store_fs_stage.c */
int store_fs_stage_open(struct store *s, struct slice id, bool create, struct stage **out,
                        struct error *err);
uint64_t store_fs_stage_size(struct stage *st);
int store_fs_stage_write(struct stage *st, const void *p, size_t n, struct error *err);
ssize_t store_fs_stage_read(struct stage *st, void *p, size_t n, uint64_t offset,
                            struct error *err);
int store_fs_stage_truncate(struct stage *st, uint64_t size, struct error *err);
int store_fs_stage_sync(struct stage *st, struct error *err);
void store_fs_stage_close(struct stage *st);
int store_fs_stage_remove(struct store *s, struct slice id, struct error *err);
int store_fs_stage_list(struct store *s, int (*fn)(void *arg, struct slice id), void *arg,
                        struct error *err);

/* store_fs_blob.c */
/* The directory of a digest, opened without following a link, so that what is looked up in it
 * cannot be elsewhere. make: make it if it should be missing. err must not be NULL. */
int store_fs_blob_dir(struct store_fs *fs, const struct digest *d, bool make, struct error *err);
/* *ok: the entry of a directory that store_fs_blob_dir() has opened is a file with that size and,
 * re-hashed, that digest. err must not be NULL. */
int store_fs_blob_matches(struct store_fs *fs, int dir, const struct digest *d, uint64_t size,
                          bool *ok, struct error *err);
int store_fs_publish(struct store *s, struct slice id, const struct digest *d, uint64_t size,
                     struct error *err);
int store_fs_object_open(struct store *s, const struct digest *d, struct store_object *out,
                         struct error *err);
bool store_fs_object_peek(struct store *s, const struct digest *d, struct store_object *out);
int store_fs_verify(struct store *s, const struct digest *d, uint64_t size, bool *ok,
                    struct error *err);
int store_fs_stat(struct store *s, const struct digest *d, uint64_t *size, struct error *err);
int store_fs_remove(struct store *s, const struct digest *d, struct error *err);

/* store_fs_adopt.c */
int store_fs_adopt(struct store *s, struct store_batch *batch, const struct store_source *source,
                   const struct digest *d, uint64_t size, enum store_adopted *how,
                   struct error *err);
int store_fs_adopt_sync(struct store *s, struct store_batch *batch, struct error *err);
int store_fs_adopt_room(struct store *s, const struct store_source *source, bool *copies,
                        uint64_t *room, struct error *err);

#endif
