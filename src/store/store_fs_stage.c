/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem store: staged uploads, one file each in uploads/. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "os/file.h"
#include "store/store_fs_int.h"

#include "base/banned.h"

enum {
    STAGE_MODE = 0600,
    WRITE_BACK = 8 * 1024 * 1024, /* start write-back every so many bytes */
    COPY_SLICE = 256 * 1024,
};

struct fs_stage {
    struct stage base;
    int fd;
    uint64_t size;
    uint64_t hinted; /* write-back was started up to here */
    bool broken;     /* the data is given up */
    /* A blob may share this file (publish links it), so that changing it would change the blob:
     * look before the next change. Set where a link can have come up without our knowing. */
    bool maybe_linked;
    bool named; /* the name is durable too: uploads/ was synced since it was made */
    char id[STAGE_ID_LEN + 1];
};

static struct fs_stage *fs_stage(struct stage *st)
{
    return (struct fs_stage *)(void *)st;
}

static struct store_fs *fs_of(struct fs_stage *st)
{
    return store_fs(st->base.store);
}

static int given_up(struct fs_stage *st, struct error *err)
{
    return error_set(err, ERR_UNAVAILABLE, "stage %s was given up after a failure", st->id);
}

static int stage_make(struct store_fs *fs, const char *id, int *fd, struct error *err)
{
    if (store_fs_writable(fs, err) != 0)
        return -1;
    *fd = os_open(fs->uploads, id, O_RDWR | O_CREAT | O_EXCL, STAGE_MODE, "stage.create", err);
    return *fd < 0 ? store_fs_note(fs, err) : 0;
}

static int stage_reopen(struct store_fs *fs, struct fs_stage *st, struct error *err)
{
    struct error why;
    error_clear(&why);
    st->fd = os_open(fs->uploads, st->id, O_RDWR, 0, "stage.open", &why);
    struct os_stat info = {0};
    if (st->fd < 0 || os_fstat(st->fd, &info, "stage.stat", &why) != 0) {
        if (why.sys == ENOENT)
            return stage_unknown(err, slice_cstr(st->id));
        if (err)
            *err = why;
        return -1;
    }
    st->size = info.size;
    st->hinted = info.size;
    st->maybe_linked = true;
    return 0;
}

int store_fs_stage_open(struct store *s, struct slice id, bool create, struct stage **out,
                        struct error *err)
{
    struct store_fs *fs = store_fs(s);
    if (!stage_id_valid(id))
        return stage_unknown(err, id);
    struct fs_stage *st = xcalloc(1, sizeof *st);
    st->base.store = s;
    st->fd = -1;
    memcpy(st->id, id.p, id.n);
    int failed = create ? stage_make(fs, st->id, &st->fd, err) : stage_reopen(fs, st, err);
    if (failed) {
        store_fs_stage_close(&st->base);
        return -1;
    }
    *out = &st->base;
    return 0;
}

uint64_t store_fs_stage_size(struct stage *st)
{
    return fs_stage(st)->size;
}

static int copy_bytes(struct fs_stage *st, int to, uint64_t n, struct error *err)
{
    CLEANUP_FREE char *buf = malloc(COPY_SLICE);
    if (!buf)
        return error_sys(err, ENOMEM, "copy stage %s", st->id);
    for (uint64_t at = 0; at < n;) {
        size_t want = (size_t)MIN(n - at, (uint64_t)COPY_SLICE);
        ssize_t got = os_pread_full(st->fd, buf, want, at, "stage.read", err);
        if (got < 0)
            return -1;
        if ((size_t)got != want)
            return error_set(err, ERR_UNKNOWN, "stage %s is shorter than it was", st->id);
        if (os_pwrite_all(to, buf, want, at, "stage.write", err) != 0)
            return -1;
        at += want;
    }
    return 0;
}

/* Gives the stage a file of its own, with the first `keep` bytes; the blob keeps the old file.
 * Happens only when a push failed after its link and the client goes on with the same session. On
 * failure the stage is as it was. */
static int stage_unshare(struct fs_stage *st, uint64_t keep, struct error *err)
{
    struct store_fs *fs = fs_of(st);
    struct os_stat info = {0};
    if (os_fstat(st->fd, &info, "stage.stat", err) != 0)
        return -1;
    /* One link is ours only while it is the one in uploads/: after our name was removed (purged, or
     * done by another request) the one that is left may be a blob's. */
    struct os_stat named = {0};
    struct error why;
    error_clear(&why);
    bool nameless = os_stat(fs->uploads, st->id, &named, "stage.stat", &why) != 0;
    if (nameless && why.sys != ENOENT) {
        if (err)
            *err = why;
        return -1;
    }
    if (nameless || named.inode != info.inode) {
        st->broken = true;
        return given_up(st, err);
    }
    if (info.links < 2) {
        st->maybe_linked = false;
        return 0;
    }
    char temp[STAGE_ID_LEN + sizeof ".copy"];
    (void)snprintf(temp, sizeof temp, "%s.copy", st->id);
    CLEANUP_CLOSE int fd = -1;
    if (os_unlink(fs->uploads, temp, "stage.unlink", err) != 0 ||
        stage_make(fs, temp, &fd, err) != 0)
        return -1;
    if (copy_bytes(st, fd, keep, err) != 0 ||
        os_rename(fs->uploads, temp, fs->uploads, st->id, "stage.create", err) != 0) {
        (void)os_unlink(fs->uploads, temp, "stage.unlink", NULL);
        return -1;
    }
    os_close(st->fd);
    st->fd = fd;
    fd = -1;
    st->size = keep;
    st->hinted = keep;
    st->maybe_linked = false;
    st->named = false;
    return 0;
}

static int change_begin(struct fs_stage *st, uint64_t keep, struct error *err)
{
    if (st->broken)
        return given_up(st, err);
    if (store_fs_writable(fs_of(st), err) != 0)
        return -1;
    return st->maybe_linked ? stage_unshare(st, keep, err) : 0;
}

int store_fs_stage_write(struct stage *base, const void *p, size_t n, struct error *err)
{
    STORAGE_TIMED(&store_fs(base->store)->times, STORAGE_WRITER);
    struct fs_stage *st = fs_stage(base);
    struct store_fs *fs = fs_of(st);
    uint64_t end;
    if (u64_add(st->size, n, &end) != 0 || end > INT64_MAX)
        return error_set(err, ERR_SIZE_EXCEEDED, "stage %s would be too large", st->id);
    if (change_begin(st, st->size, err) != 0)
        return -1;
    struct error why;
    error_clear(&why);
    if (os_pwrite_all(st->fd, p, n, st->size, "stage.write", &why) != 0) {
        /* An unknown part was written. What is read back or linked later must not have it. */
        if (os_truncate(st->fd, st->size, "stage.truncate", NULL) != 0)
            st->broken = true;
        if (err)
            *err = why;
        return store_fs_note(fs, &why);
    }
    st->size = end;
    store_fs_count(fs->bytes, n);
    if (st->size - st->hinted >= WRITE_BACK) {
        os_flush_hint(st->fd, st->hinted, st->size - st->hinted);
        st->hinted = st->size;
    }
    return 0;
}

ssize_t store_fs_stage_read(struct stage *base, void *p, size_t n, uint64_t offset,
                            struct error *err)
{
    struct fs_stage *st = fs_stage(base);
    if (st->broken)
        return given_up(st, err);
    if (offset >= st->size)
        return 0;
    n = (size_t)MIN((uint64_t)n, st->size - offset);
    return os_pread_full(st->fd, p, n, offset, "stage.read", err);
}

int store_fs_stage_truncate(struct stage *base, uint64_t size, struct error *err)
{
    struct fs_stage *st = fs_stage(base);
    if (size > st->size)
        return error_set(err, ERR_UNKNOWN, "stage %s cannot grow by truncation", st->id);
    if (size == st->size)
        return st->broken ? given_up(st, err) : 0;
    if (change_begin(st, size, err) != 0)
        return -1;
    struct error why;
    error_clear(&why);
    if (os_truncate(st->fd, size, "stage.truncate", &why) != 0) {
        if (err)
            *err = why;
        return store_fs_note(fs_of(st), &why);
    }
    st->size = size;
    st->hinted = MIN(st->hinted, size);
    return 0;
}

int store_fs_stage_sync(struct stage *base, struct error *err)
{
    STORAGE_TIMED(&store_fs(base->store)->times, STORAGE_WRITER);
    struct fs_stage *st = fs_stage(base);
    struct store_fs *fs = fs_of(st);
    if (st->broken)
        return given_up(st, err);
    if (store_fs_writable(fs, err) != 0)
        return -1;
    /* What is in a file that has no name after a power cut is lost as well. */
    if (store_fs_sync(fs, st->fd, "stage.sync", err) == 0 &&
        (st->named || store_fs_sync(fs, fs->uploads, "stage.sync", err) == 0)) {
        st->named = true;
        st->maybe_linked = true; /* publish may follow */
        return 0;
    }
    /* The kernel marks the pages clean although they are not on the disk: reading them back and
     * syncing again would succeed and lie. So nobody, not even after a reopening of this stage, may
     * find them. */
    st->broken = true;
    if (os_unlink(fs->uploads, st->id, "stage.unlink", NULL) != 0)
        (void)os_truncate(st->fd, 0, "stage.truncate", NULL);
    return -1;
}

void store_fs_stage_close(struct stage *base)
{
    struct fs_stage *st = fs_stage(base);
    if (st->fd >= 0)
        os_close(st->fd);
    free(st);
}

/* One component, as stage_list reports it: a stray file may have any name, and is to be removable.
 */
static bool entry_name(struct slice name, char out[256])
{
    if (name.n == 0 || name.n > 255 || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n) ||
        slice_is(name, ".") || slice_is(name, ".."))
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = '\0';
    return true;
}

int store_fs_stage_remove(struct store *s, struct slice id, struct error *err)
{
    STORAGE_TIMED(&store_fs(s)->times, STORAGE_DELETE);
    struct store_fs *fs = store_fs(s);
    char name[256];
    if (!entry_name(id, name))
        return stage_unknown(err, id);
    /* Not refused in the read-only state: nothing that was acknowledged hangs on it. */
    return os_unlink(fs->uploads, name, "stage.unlink", err) != 0 ? store_fs_note(fs, err) : 0;
}

struct list_ctx {
    int (*fn)(void *arg, struct slice id);
    void *arg;
};

static int list_entry(void *arg, const char *name)
{
    struct list_ctx *ctx = arg;
    return ctx->fn(ctx->arg, slice_cstr(name));
}

int store_fs_stage_list(struct store *s, int (*fn)(void *arg, struct slice id), void *arg,
                        struct error *err)
{
    STORAGE_TIMED(&store_fs(s)->times, STORAGE_LIST);
    struct list_ctx ctx = {fn, arg};
    /* A stop by fn is no failure. */
    return os_list(store_fs(s)->uploads, ".", list_entry, &ctx, "store.list", err) < 0 ? -1 : 0;
}
