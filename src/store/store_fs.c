/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem store: its directories, its lock, and the read-only state. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "os/file.h"
#include "store/store_fs_int.h"

#include "base/banned.h"

/* Content of the lock file once all directories are made and synced, so that a start need not look
 * at 512 directories. Another layout will have another number. */
static const char marker[] = "berth store 1\n";

enum { DIR_MODE = 0700, FILE_MODE = 0600, PROBE_BYTES = 4096 };

void store_fs_count(struct metric *m, uint64_t by)
{
    if (m)
        metric_add(m, (int64_t)by);
}

bool store_fs_read_only(struct store *s)
{
    struct store_fs *fs = store_fs(s);
    return atomic_load(&fs->failures) != atomic_load(&fs->cleared);
}

int store_fs_writable(struct store_fs *fs, struct error *err)
{
    if (!store_fs_read_only(&fs->base))
        return 0;
    return error_set(err, ERR_READ_ONLY, "the store is read-only after a failed sync");
}

void store_fs_failed(struct store_fs *fs)
{
    atomic_fetch_add(&fs->failures, 1);
    if (fs->read_only)
        metric_set(fs->read_only, 1);
}

int store_fs_note(struct store_fs *fs, const struct error *err)
{
    if (err && err->sys == EROFS)
        store_fs_failed(fs);
    return -1;
}

int store_fs_sync(struct store_fs *fs, int fd, const char *point, struct error *err)
{
    store_fs_count(fs->syncs, 1);
    if (os_fsync(fd, point, err) == 0)
        return 0;
    store_fs_failed(fs);
    if (err)
        err->code = ERR_READ_ONLY;
    return -1;
}

static int probe_file(struct store_fs *fs, struct error *err)
{
    static const char name[] = "probe";
    char out[PROBE_BYTES];
    char in[PROBE_BYTES];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 7);
    CLEANUP_CLOSE int fd =
        os_open(fs->root, name, O_RDWR | O_CREAT | O_TRUNC, FILE_MODE, "store.probe", err);
    if (fd < 0)
        return -1;
    int result = os_pwrite_all(fd, out, sizeof out, 0, "store.probe", err);
    if (result == 0)
        result = store_fs_sync(fs, fd, "store.probe", err);
    if (result == 0) {
        ssize_t n = os_pread_full(fd, in, sizeof in, 0, "store.probe", err);
        if (n < 0)
            result = -1;
        else if ((size_t)n != sizeof in || memcmp(in, out, sizeof in) != 0)
            result = error_set(err, ERR_UNKNOWN, "the store reads back other than was written");
    }
    /* Also after a failure: on a full disk the space is given back. */
    if (os_unlink(fs->root, name, "store.probe", result == 0 ? err : NULL) != 0)
        result = -1;
    return result;
}

static int fs_probe(struct store *s, struct error *err)
{
    struct store_fs *fs = store_fs(s);
    struct error own;
    error_clear(&own);
    if (!err)
        err = &own;
    pthread_mutex_lock(&fs->probe);
    unsigned seen = atomic_load(&fs->failures);
    int result = probe_file(fs, err);
    if (result == 0) {
        atomic_store(&fs->cleared, seen);
        if (fs->read_only)
            metric_set(fs->read_only, store_fs_read_only(s));
    } else {
        (void)store_fs_note(fs, err);
    }
    pthread_mutex_unlock(&fs->probe);
    return result;
}

static void fs_close(struct store *s)
{
    struct store_fs *fs = store_fs(s);
    fdcache_free(fs->fds);
    util_closep(&fs->uploads);
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++)
        util_closep(&fs->blobs[alg]);
    util_closep(&fs->root);
    util_closep(&fs->lock); /* last: gives the lock back */
    pthread_mutex_destroy(&fs->probe);
    free(fs);
}

static const struct store_ops fs_ops = {
    .name = "filesystem",
    .close = fs_close,
    .probe = fs_probe,
    .read_only = store_fs_read_only,
    .stage_open = store_fs_stage_open,
    .stage_size = store_fs_stage_size,
    .stage_write = store_fs_stage_write,
    .stage_read = store_fs_stage_read,
    .stage_truncate = store_fs_stage_truncate,
    .stage_sync = store_fs_stage_sync,
    .stage_close = store_fs_stage_close,
    .stage_remove = store_fs_stage_remove,
    .stage_list = store_fs_stage_list,
    .publish = store_fs_publish,
    .open = store_fs_object_open,
    .peek = store_fs_object_peek,
    .verify = store_fs_verify,
    .stat = store_fs_stat,
    .remove = store_fs_remove,
    .adopt = store_fs_adopt,
    .adopt_sync = store_fs_adopt_sync,
    .adopt_room = store_fs_adopt_room,
};

/* A directory of the store, made when `make` is set. Never through a symbolic link. */
static int dir_get(int at, const char *name, bool make, int *out, struct error *err)
{
    if (make && os_mkdir(at, name, DIR_MODE, "store.setup", err) != 0)
        return -1;
    int fd = os_open(at, name, O_RDONLY | O_DIRECTORY, 0, "store.setup", err);
    if (fd < 0)
        return -1;
    *out = fd;
    return 0;
}

static int lock_take(struct store_fs *fs, const char *root, struct error *err)
{
    fs->lock = os_open(fs->root, "lock", O_RDWR | O_CREAT, FILE_MODE, "store.setup", err);
    if (fs->lock < 0)
        return -1;
    struct error why;
    error_clear(&why);
    if (os_lock(fs->lock, &why) == 0)
        return 0;
    if (why.sys == EWOULDBLOCK)
        return error_detail(err, ERR_UNAVAILABLE,
                            "%s: in use by another berth; stop that one, or name another directory "
                            "with --storage.filesystem.rootdirectory=DIR",
                            root);
    if (err)
        *err = why;
    return -1;
}

/* *made: all directories are there. */
static int marker_read(struct store_fs *fs, const char *root, bool *made, struct error *err)
{
    char text[sizeof marker + 1];
    ssize_t n = os_pread_full(fs->lock, text, sizeof text, 0, "store.setup", err);
    if (n < 0)
        return -1;
    struct slice have = {text, (size_t)n};
    if (slice_eq(have, SLICE_LIT(marker)))
        *made = true;
    else if (slice_starts(have, SLICE_LIT("berth store ")) && have.n >= sizeof marker - 1)
        return error_set(err, ERR_UNAVAILABLE, "%s: its layout is of another version of berth",
                         root);
    else
        *made = false; /* new, or torn by a crash: make what is missing */
    return 0;
}

/* Directories first, then each parent once, then the marker: the marker is durable only after what
 * it vouches for. The 256 leaves of each algorithm are made and synced with their first blob
 * (blob_dir), which keeps the first start short. */
static int layout_sync(struct store_fs *fs, int blobs, struct error *err)
{
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++)
        if (store_fs_sync(fs, fs->blobs[alg], "store.setup", err) != 0)
            return -1;
    if (store_fs_sync(fs, blobs, "store.setup", err) != 0 ||
        store_fs_sync(fs, fs->root, "store.setup", err) != 0)
        return -1;
    if (os_truncate(fs->lock, 0, "store.setup", err) != 0 ||
        os_pwrite_all(fs->lock, marker, sizeof marker - 1, 0, "store.setup", err) != 0)
        return -1;
    return store_fs_sync(fs, fs->lock, "store.setup", err);
}

static int layout(struct store_fs *fs, bool made, struct error *err)
{
    CLEANUP_CLOSE int blobs = -1;
    CLEANUP_CLOSE int trash = -1;
    if (dir_get(fs->root, "uploads", !made, &fs->uploads, err) != 0 ||
        dir_get(fs->root, "trash", !made, &trash, err) != 0 ||
        dir_get(fs->root, "blobs", !made, &blobs, err) != 0)
        return -1;
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++) {
        if (dir_get(blobs, hash_name((enum hash_alg)alg), !made, &fs->blobs[alg], err) != 0)
            return -1;
    }
    return made ? 0 : layout_sync(fs, blobs, err);
}

static double open_fds(void *arg)
{
    struct store_fs *fs = arg;
    return (double)fdcache_open(fs->fds);
}

static void metrics_register(struct store_fs *fs, struct metrics *m)
{
    storage_times_init(&fs->times, m);
    fs->bytes = metrics_counter(m, "berth_store_bytes_written_total",
                                "Bytes written to staged uploads.", "");
    fs->syncs = metrics_counter(m, "berth_store_syncs_total", "Calls of fsync by the store.", "");
    fs->publishes = metrics_counter(m, "berth_store_publish_total",
                                    "Staged uploads that became blobs in the store.", "");
    fs->read_only = metrics_gauge(m, "berth_store_read_only",
                                  "1 while the store refuses writes after a failed sync.", "");
    metrics_callback(m, "gauge", "berth_store_open_fds", "Blobs that are open.", "", open_fds, fs);
}

/* The root may be reached through a symbolic link (that is the operator's choice), hence the "/.";
 * nothing below it may. */
static int root_open(const char *root, struct error *err)
{
    if (os_mkdir_all(root, DIR_MODE, "store.setup", err) != 0)
        return -1;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/.", root);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_sys(err, ENAMETOOLONG, "open %s", root);
    return os_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, "store.setup", err);
}

int store_fs_open(const char *root, unsigned fds_idle, struct metrics *metrics, struct store **out,
                  struct error *err)
{
    struct store_fs *fs = xcalloc(1, sizeof *fs);
    fs->base.ops = &fs_ops;
    fs->root = fs->uploads = fs->lock = -1;
    for (int alg = 0; alg < HASH_ALG_COUNT; alg++)
        fs->blobs[alg] = -1;
    pthread_mutex_init(&fs->probe, NULL);
    fs->fds = fdcache_new(fds_idle);

    bool made = false;
    fs->root = root_open(root, err);
    if (fs->root < 0 || lock_take(fs, root, err) != 0 || marker_read(fs, root, &made, err) != 0 ||
        layout(fs, made, err) != 0) {
        fs_close(&fs->base);
        return -1;
    }
    /* Only now: the callback must not outlive a store that did not open. */
    if (metrics)
        metrics_register(fs, metrics);
    *out = &fs->base;
    return 0;
}
