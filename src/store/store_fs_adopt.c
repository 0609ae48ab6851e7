/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem store: existing files of somebody else's become blobs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/store_fs_int.h"

#include "base/banned.h"

enum { COPY_AT_ONCE = 64 * 1024 * 1024, COPY_SLICE = 256 * 1024, COPY_MODE = 0600 };

static int source_bad(const struct digest *d, const char *why, struct error *err)
{
    return error_set(err, ERR_BLOB_UNKNOWN, "the file to be %s %s", d->text, why);
}

/* A name in uploads/ of the form that stages have, so that recovery clears it away after a crash.
 */
static void temp_name(char out[STAGE_ID_LEN + 1])
{
    unsigned char r[STAGE_ID_LEN / 2];
    os_random(r, sizeof r);
    hex_encode(r, sizeof r, out);
}

/* The rest of the file from `at` on, by reading and writing: tells whose error it was. */
static int copy_slices(const struct digest *d, int from, int to, uint64_t at, uint64_t size,
                       struct error *err)
{
    CLEANUP_FREE char *buf = malloc(COPY_SLICE);
    if (!buf)
        return error_sys(err, ENOMEM, "copy %s", d->text);
    while (at < size) {
        size_t want = (size_t)MIN(size - at, (uint64_t)COPY_SLICE);
        ssize_t got = os_pread_full(from, buf, want, at, "import.read", NULL);
        if (got < 0)
            return source_bad(d, "cannot be read", err);
        if ((size_t)got != want)
            return source_bad(d, "became shorter", err);
        if (os_pwrite_all(to, buf, want, at, "stage.write", err) != 0)
            return -1;
        at += want;
    }
    return 0;
}

/* Shared blocks where the file system can, else a copy made by the kernel, else by us. */
static int copy_bytes(const struct digest *d, int from, int to, uint64_t size,
                      enum store_adopted *how, struct error *err)
{
    struct os_stat info = {0};
    if (os_clone(from, to, "stage.write", err) == 0) {
        *how = STORE_ADOPT_CLONED;
        return os_fstat(to, &info, "stage.stat", err) != 0 ? -1
               : info.size == size                         ? 0
                                                           : source_bad(d, "has another size", err);
    }
    if (!os_copy_refused(err->sys))
        return -1;
    error_clear(err);
    *how = STORE_ADOPT_COPIED;
    uint64_t at = 0;
    while (at < size) {
        size_t want = (size_t)MIN(size - at, (uint64_t)COPY_AT_ONCE);
        ssize_t n = os_copy_range(from, to, at, want, "stage.write", err);
        /* EIO may be of either side: reading and writing tells. */
        if (n < 0 && err->sys != EIO && !os_copy_refused(err->sys))
            return -1;
        error_clear(err);
        if (n <= 0)
            return copy_slices(d, from, to, at, size, err);
        os_flush_hint(to, at, (uint64_t)n);
        at += (uint64_t)n;
    }
    return 0;
}

/* A file of our own in uploads/ with the source's bytes, durable. */
static int make_copy(struct store_fs *fs, const char *temp, const struct store_source *source,
                     const struct digest *d, uint64_t size, enum store_adopted *how,
                     struct error *err)
{
    CLEANUP_CLOSE int fd =
        os_open(fs->uploads, temp, O_RDWR | O_CREAT | O_EXCL, COPY_MODE, "stage.create", err);
    if (fd < 0)
        return -1;
    if (copy_bytes(d, source->fd, fd, size, how, err) != 0 ||
        store_fs_sync(fs, fd, "stage.sync", err) != 0)
        return -1;
    store_fs_count(fs->bytes, *how == STORE_ADOPT_COPIED ? size : 0);
    return 0;
}

/* Not between these two: another file system, another mount of the same one, too many links, or
 * fs.protected_hardlinks, which lets only the owner (or who may write) make links. */
static bool link_refused(int sys)
{
    return sys == EXDEV || sys == EPERM || sys == EMLINK || sys == EOPNOTSUPP;
}

/* Is the entry the file that the source has open? */
static int is_source(int dir, const char *name, const struct os_stat *source, bool *same,
                     struct error *err)
{
    struct os_stat there = {0};
    if (os_stat(dir, name, &there, "blob.stat", err) != 0)
        return -1;
    *same = there.inode == source->inode && there.device == source->device;
    return 0;
}

/* Link, and make sure that what was linked is what the caller has looked at: the name could have
 * been given to another file meanwhile. 0; 1 when it cannot be linked; -1. */
static int try_link(const struct store_source *source, const struct os_stat *info, int dir,
                    const char *name, const struct digest *d, struct error *err)
{
    bool same = false;
    if (os_link(source->dir, source->name, dir, name, "blob.link", err) != 0) {
        if (err->sys == ENOENT)
            return source_bad(d, "was removed", err);
        if (!link_refused(err->sys))
            return -1;
        error_clear(err);
        return 1;
    }
    if (is_source(dir, name, info, &same, err) != 0 || same)
        return same ? 0 : -1;
    if (os_unlink(dir, name, "stage.unlink", err) != 0)
        return -1;
    return source_bad(d, "was replaced", err);
}

/* By way of a name in uploads/, which then takes the place of what is there, if anything is. */
static int adopt_over(struct store_fs *fs, const struct store_source *source,
                      const struct os_stat *info, int dir, const struct digest *d,
                      enum store_adopted *how, struct error *err)
{
    char temp[STAGE_ID_LEN + 1];
    temp_name(temp);
    *how = STORE_ADOPT_LINKED;
    int r = try_link(source, info, fs->uploads, temp, d, err);
    if (r > 0)
        r = make_copy(fs, temp, source, d, info->size, how, err);
    if (r == 0)
        r = os_rename(fs->uploads, temp, dir, digest_hex(d).p, "blob.replace", err);
    if (r != 0)
        (void)os_unlink(fs->uploads, temp, "stage.unlink", NULL);
    fdcache_drop(fs->fds, digest_slice(d));
    return r;
}

/* Is what stands in the place the blob? Nothing there is no error. */
static int is_there(struct store_fs *fs, int dir, const struct digest *d,
                    const struct os_stat *source, bool *same, struct error *err)
{
    if (is_source(dir, digest_hex(d).p, source, same, err) == 0)
        return *same ? 0 : store_fs_blob_matches(fs, dir, d, source->size, same, err);
    if (err->sys != ENOENT)
        return -1;
    error_clear(err);
    return 0;
}

static int adopt_into(struct store_fs *fs, const struct store_source *source,
                      const struct os_stat *info, int dir, const struct digest *d,
                      enum store_adopted *how, struct error *err)
{
    bool same = false;
    *how = STORE_ADOPT_LINKED;
    int r = try_link(source, info, dir, digest_hex(d).p, d, err);
    if (r == 0 || (r < 0 && err->sys != EEXIST))
        return r;
    error_clear(err);
    if (is_there(fs, dir, d, info, &same, err) != 0)
        return -1;
    if (!same)
        return adopt_over(fs, source, info, dir, d, how, err);
    *how = STORE_ADOPT_PRESENT;
    return 0;
}

static void batch_add(struct store_batch *batch, const struct digest *d, enum store_adopted how)
{
    unsigned char first = 0;
    (void)hex_decode(slice_first(digest_hex(d), 2), &first, 1);
    batch->dirs[d->alg][first / 64] |= UINT64_C(1) << (first % 64);
    batch->linked |= how == STORE_ADOPT_LINKED || how == STORE_ADOPT_PRESENT;
}

int store_fs_adopt(struct store *s, struct store_batch *batch, const struct store_source *source,
                   const struct digest *d, uint64_t size, enum store_adopted *how,
                   struct error *err)
{
    struct store_fs *fs = store_fs(s);
    struct error own;
    struct os_stat info = {0};
    enum store_adopted done;
    if (!err)
        err = &own;
    error_clear(err);
    if (store_fs_writable(fs, err) != 0)
        return -1;
    if (os_fstat(source->fd, &info, "import.read", NULL) != 0 || !info.is_file)
        return source_bad(d, "is no file", err);
    if (info.size != size)
        return source_bad(d, "has another size", err);
    CLEANUP_CLOSE int dir = store_fs_blob_dir(fs, d, true, err);
    if (dir < 0 || adopt_into(fs, source, &info, dir, d, &done, err) != 0)
        return store_fs_note(fs, err);
    batch_add(batch, d, done);
    if (done != STORE_ADOPT_PRESENT)
        store_fs_count(fs->publishes, 1);
    *how = done;
    return 0;
}

static int sync_dir(struct store_fs *fs, enum hash_alg alg, unsigned first, struct error *err)
{
    char name[3];
    const unsigned char byte = (unsigned char)first;
    hex_encode(&byte, 1, name);
    CLEANUP_CLOSE int dir =
        os_open(fs->blobs[alg], name, O_RDONLY | O_DIRECTORY, 0, "blob.open", err);
    return dir < 0 ? -1 : store_fs_sync(fs, dir, "blob.dirsync", err);
}

/* The bytes of copies were synced one by one. Those behind a hard link were written by somebody
 * else, mostly long ago; but "mostly" is no promise (the tree may have been unpacked a minute ago),
 * and an fsync of each would be a flush of the disk's cache each, 100,000 of them. One syncfs() for
 * the whole batch writes what is dirty, and costs next to nothing when nothing is. The link itself
 * is an entry of a directory, so the directories are synced as after any publishing: where the file
 * system does not take syncfs() seriously (FUSE), the names are still durable. */
int store_fs_adopt_sync(struct store *s, struct store_batch *batch, struct error *err)
{
    struct store_fs *fs = store_fs(s);
    if (batch->linked && os_syncfs(fs->root, "blob.dirsync", err) != 0) {
        store_fs_failed(fs);
        if (err)
            err->code = ERR_READ_ONLY;
        return -1;
    }
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++)
        for (unsigned first = 0; first < 256; first++)
            if (batch->dirs[alg][first / 64] >> (first % 64) & 1 &&
                sync_dir(fs, (enum hash_alg)alg, first, err) != 0)
                return -1;
    *batch = (struct store_batch){0};
    return store_fs_writable(fs, err);
}

/* Does the file share its blocks with a file of ours? */
static int try_clone(struct store_fs *fs, const char *temp, int from, bool *done, struct error *err)
{
    CLEANUP_CLOSE int fd =
        os_open(fs->uploads, temp, O_RDWR | O_CREAT | O_EXCL, COPY_MODE, "stage.create", err);
    if (fd < 0)
        return -1;
    *done = os_clone(from, fd, "stage.write", err) == 0;
    if (!*done && !os_copy_refused(err->sys))
        return -1;
    error_clear(err);
    return 0;
}

int store_fs_adopt_room(struct store *s, const struct store_source *source, bool *copies,
                        uint64_t *room, struct error *err)
{
    struct store_fs *fs = store_fs(s);
    char temp[STAGE_ID_LEN + 1];
    uint64_t free_bytes;
    uint64_t total;
    bool shared = true;
    struct error own;
    if (!err)
        err = &own;
    error_clear(err);
    if (store_fs_writable(fs, err) != 0 || os_space(fs->uploads, &free_bytes, &total, err) != 0)
        return -1;
    temp_name(temp);
    if (os_link(source->dir, source->name, fs->uploads, temp, "blob.link", err) != 0) {
        if (!link_refused(err->sys))
            return err->sys == ENOENT ? error_set(err, ERR_BLOB_UNKNOWN, "the file was removed")
                                      : store_fs_note(fs, err);
        error_clear(err);
        if (try_clone(fs, temp, source->fd, &shared, err) != 0) {
            (void)os_unlink(fs->uploads, temp, "stage.unlink", NULL);
            return store_fs_note(fs, err);
        }
    }
    if (os_unlink(fs->uploads, temp, "stage.unlink", err) != 0)
        return store_fs_note(fs, err);
    *copies = !shared;
    *room = free_bytes;
    return 0;
}
