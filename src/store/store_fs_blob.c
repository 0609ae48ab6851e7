/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem store: published blobs, blobs/<alg>/<2 hex>/<hex>. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "os/file.h"
#include "store/store_fs_int.h"

#include "base/banned.h"

enum { VERIFY_SLICE = 256 * 1024 };

/* That a directory is there does not tell that its name is durable: whoever made it may have
 * failed, been killed, or not come to that yet. */
static int sync_name(struct store_fs *fs, const struct digest *d, bool made, struct error *err)
{
    unsigned char first = 0;
    (void)hex_decode(slice_first(digest_hex(d), 2), &first, 1);
    atomic_uint_fast64_t *named = &fs->named[d->alg][first / 64];
    uint64_t bit = UINT64_C(1) << (first % 64);
    if (!made && (atomic_load(named) & bit))
        return 0;
    if (store_fs_sync(fs, fs->blobs[d->alg], "store.setup", err) != 0)
        return -1;
    (void)atomic_fetch_or(named, bit);
    return 0;
}

int store_fs_blob_dir(struct store_fs *fs, const struct digest *d, bool make, struct error *err)
{
    store_check_digest(d);
    char name[3] = {digest_hex(d).p[0], digest_hex(d).p[1], '\0'};
    int at = fs->blobs[d->alg];
    int fd = os_open(at, name, O_RDONLY | O_DIRECTORY, 0, "blob.open", err);
    bool made = fd < 0 && make && err->sys == ENOENT;
    if (made) {
        /* The first blob in it; or lost, by a restore that leaves out empty directories for one. */
        if (os_mkdir(at, name, 0700, "store.setup", err) != 0)
            return -1;
        fd = os_open(at, name, O_RDONLY | O_DIRECTORY, 0, "blob.open", err);
    }
    if (fd >= 0 && make && sync_name(fs, d, made, err) != 0)
        util_closep(&fd);
    return fd;
}

static const char *blob_name(const struct digest *d)
{
    return digest_hex(d).p; /* ends with the text */
}

/* Re-hashes an open file; compares at once with what it should be. */
static int file_matches(struct store_fs *fs, int fd, const struct digest *d, uint64_t size,
                        bool *ok, struct error *err)
{
    struct os_stat info = {0};
    if (os_fstat(fd, &info, "blob.stat", err) != 0)
        return -1;
    *ok = false;
    if (info.is_dir || info.size != size)
        return 0;
    CLEANUP_FREE char *buf = malloc(VERIFY_SLICE);
    if (!buf)
        return error_sys(err, ENOMEM, "verify %s", d->text);
    struct hasher *h = hasher_new(d->alg);
    uint64_t at = 0;
    ssize_t n = 0;
    do {
        n = os_pread_full(fd, buf, VERIFY_SLICE, at, "blob.read", err);
        if (n > 0) {
            hasher_update(h, buf, (size_t)n);
            at += (uint64_t)n;
        }
    } while (n > 0 && at <= size && !atomic_load(&fs->base.stopping));
    char hex[HASH_HEX_MAX + 1];
    hasher_hex(h, hex);
    hasher_free(h);
    if (n < 0)
        return -1;
    if (n > 0 && at <= size)
        return error_set(err, ERR_UNAVAILABLE, "verify %s: the store is stopping", d->text);
    *ok = at == size && slice_eq(slice_cstr(hex), digest_hex(d));
    return 0;
}

/* *ok is false too for what cannot be a blob: no file, a symbolic link. err must not be NULL. */
int store_fs_blob_matches(struct store_fs *fs, int dir, const struct digest *d, uint64_t size,
                          bool *ok, struct error *err)
{
    CLEANUP_CLOSE int fd = os_open(dir, blob_name(d), O_RDONLY, 0, "blob.open", err);
    if (fd < 0) {
        if (err->sys != ENOENT && err->sys != ELOOP)
            return -1;
        error_clear(err);
        *ok = false;
        return 0;
    }
    return file_matches(fs, fd, d, size, ok, err);
}

static int entry_sync(struct store_fs *fs, int dir, const struct digest *d, struct error *err)
{
    CLEANUP_CLOSE int fd = os_open(dir, blob_name(d), O_RDONLY, 0, "blob.open", err);
    return fd < 0 || store_fs_sync(fs, fd, "blob.dirsync", err) != 0 ||
                   store_fs_sync(fs, dir, "blob.dirsync", err) != 0 ||
                   sync_name(fs, d, false, err) != 0
               ? -1
               : 0;
}

/* Puts the stage in the place of what is there. The second name is made in uploads/ and not beside
 * the blob, so that a crash in between leaves its litter where stage_list reports it. */
static int blob_replace(struct store_fs *fs, const char *id, int dir, const struct digest *d,
                        struct error *err)
{
    char temp[STAGE_ID_LEN + sizeof ".replace"];
    (void)snprintf(temp, sizeof temp, "%s.replace", id);
    if (os_unlink(fs->uploads, temp, "stage.unlink", err) != 0 ||
        os_link(fs->uploads, id, fs->uploads, temp, "blob.link", err) != 0)
        return -1;
    int result = os_rename(fs->uploads, temp, dir, blob_name(d), "blob.replace", err);
    /* Also after a success: a rename between two names of one file does nothing (rename(2)). */
    (void)os_unlink(fs->uploads, temp, "stage.unlink", NULL);
    fdcache_drop(fs->fds, digest_slice(d));
    return result;
}

static int link_or_replace(struct store_fs *fs, const char *id, int dir, const struct digest *d,
                           struct error *err)
{
    if (os_link(fs->uploads, id, dir, blob_name(d), "blob.link", err) == 0)
        return 0;
    if (err->sys != EEXIST)
        return -1;
    error_clear(err);
    /* The same file, from an earlier try: nothing to do. Any other may be torn, and to find out
     * would mean to read all of it; ours has just been hashed and synced, and takes its place at
     * once. Who is reading the old one keeps it. */
    struct os_stat ours = {0};
    struct os_stat there = {0};
    if (os_stat(fs->uploads, id, &ours, "stage.stat", err) != 0)
        return -1;
    if (os_stat(dir, blob_name(d), &there, "blob.stat", NULL) == 0 && there.inode == ours.inode)
        return 0;
    return blob_replace(fs, id, dir, d, err);
}

static int publish(struct store_fs *fs, const char *id, const struct digest *d, uint64_t size,
                   struct error *err)
{
    struct os_stat info = {0};
    if (os_stat(fs->uploads, id, &info, "stage.stat", err) != 0)
        return err->sys == ENOENT ? stage_unknown(err, slice_cstr(id)) : -1;
    if (info.size != size)
        return error_set(err, ERR_UNKNOWN, "stage %s has %llu bytes, not %llu", id,
                         (unsigned long long)info.size, (unsigned long long)size);
    CLEANUP_CLOSE int dir = store_fs_blob_dir(fs, d, true, err);
    if (dir < 0 || link_or_replace(fs, id, dir, d, err) != 0)
        return -1;
    /* Also when the file was there: whoever linked it may not have synced yet. */
    if (store_fs_sync(fs, dir, "blob.dirsync", err) != 0)
        return -1;
    /* A sync elsewhere failed meanwhile: whether ours told the truth is not known. */
    return store_fs_writable(fs, err);
}

int store_fs_publish(struct store *s, struct slice id, const struct digest *d, uint64_t size,
                     struct error *err)
{
    STORAGE_TIMED(&store_fs(s)->times, STORAGE_MOVE);
    struct store_fs *fs = store_fs(s);
    struct error own;
    if (!err)
        err = &own;
    error_clear(err);
    if (!stage_id_valid(id))
        return stage_unknown(err, id);
    if (store_fs_writable(fs, err) != 0)
        return -1;
    char name[STAGE_ID_LEN + 1];
    memcpy(name, id.p, id.n);
    name[id.n] = '\0';
    if (publish(fs, name, d, size, err) != 0)
        return store_fs_note(fs, err);
    store_fs_count(fs->publishes, 1);
    return 0;
}

struct open_ctx {
    struct store_fs *fs;
    const struct digest *d;
};

static int blob_open(void *arg, struct error *err)
{
    struct open_ctx *ctx = arg;
    STORAGE_TIMED(&ctx->fs->times, STORAGE_READER);
    struct error why;
    error_clear(&why);
    CLEANUP_CLOSE int dir = store_fs_blob_dir(ctx->fs, ctx->d, false, &why);
    int fd = dir < 0 ? -1 : os_open(dir, blob_name(ctx->d), O_RDONLY, 0, "blob.open", &why);
    if (fd >= 0)
        return fd;
    if (why.sys == ENOENT)
        return error_set(err, ERR_BLOB_UNKNOWN, "no file of %s", ctx->d->text);
    if (err)
        *err = why;
    return -1;
}

int store_fs_object_open(struct store *s, const struct digest *d, struct store_object *out,
                         struct error *err)
{
    struct open_ctx ctx = {store_fs(s), d};
    struct fdref *file = NULL;
    if (fdcache_get(ctx.fs->fds, digest_slice(d), blob_open, &ctx, &file, err) != 0)
        return -1;
    *out = (struct store_object){.file = file, .size = file->size};
    return 0;
}

bool store_fs_object_peek(struct store *s, const struct digest *d, struct store_object *out)
{
    struct fdref *file = fdcache_peek(store_fs(s)->fds, digest_slice(d));
    if (!file)
        return false;
    *out = (struct store_object){.file = file, .size = file->size};
    return true;
}

int store_fs_verify(struct store *s, const struct digest *d, uint64_t size, bool *ok,
                    struct error *err)
{
    struct store_fs *fs = store_fs(s);
    struct error own;
    if (!err)
        err = &own;
    error_clear(err);
    bool same = false;
    CLEANUP_CLOSE int dir = store_fs_blob_dir(fs, d, false, err);
    if (dir < 0) {
        if (err->sys != ENOENT)
            return -1;
        error_clear(err);
    } else if (store_fs_blob_matches(fs, dir, d, size, &same, err) != 0) {
        return -1;
    }
    /* Whoever asks will rely on it (recovery makes the blob live): name and bytes have to be
     * durable, and whether the process that linked it got as far as its sync is not known. */
    if (same && (entry_sync(fs, dir, d, err) != 0 || store_fs_writable(fs, err) != 0))
        return -1;
    *ok = same;
    return 0;
}

int store_fs_stat(struct store *s, const struct digest *d, uint64_t *size, struct error *err)
{
    STORAGE_TIMED(&store_fs(s)->times, STORAGE_STAT);
    struct store_fs *fs = store_fs(s);
    struct error own;
    struct os_stat info = {0};
    if (!err)
        err = &own;
    error_clear(err);
    CLEANUP_CLOSE int dir = store_fs_blob_dir(fs, d, false, err);
    if (dir < 0 || os_stat(dir, blob_name(d), &info, "blob.stat", err) != 0)
        return err->sys == ENOENT ? error_set(err, ERR_BLOB_UNKNOWN, "no file of %s", d->text) : -1;
    *size = info.size;
    return 0;
}

int store_fs_remove(struct store *s, const struct digest *d, struct error *err)
{
    STORAGE_TIMED(&store_fs(s)->times, STORAGE_DELETE);
    struct store_fs *fs = store_fs(s);
    struct error own;
    if (!err)
        err = &own;
    error_clear(err);
    if (store_fs_writable(fs, err) != 0)
        return -1;
    CLEANUP_CLOSE int dir = store_fs_blob_dir(fs, d, false, err);
    if (dir < 0 && err->sys == ENOENT) {
        error_clear(err);
        return 0;
    }
    if (dir < 0 || os_unlink(dir, blob_name(d), "blob.unlink", err) != 0)
        return store_fs_note(fs, err);
    /* After the unlinking: an open in between would bring the file back into the cache. */
    fdcache_drop(fs->fds, digest_slice(d));
    return store_fs_sync(fs, dir, "blob.dirsync", err);
}
