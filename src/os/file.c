/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/util.h"
#include "os/fault.h"

#include "base/banned.h"

/* The passage before a call: 0, or -1 with errno set when a fault makes the call fail. A short
 * write or read is no failure of the calls that do neither. */
static int before(const char *point)
{
    int fault = fault_check(point, 0);
    if (fault <= 0)
        return 0;
    errno = fault;
    return -1;
}

/* The passage after a call that succeeded; hands its result through. */
static int after(const char *point, int result)
{
    (void)fault_check(point, 1);
    return result;
}

/* The call, unless a fault comes first; again while a signal interrupts it. */
#define RETRY(point, call)                         \
    ({                                             \
        int r_;                                    \
        do                                         \
            r_ = before(point) ? -1 : (int)(call); \
        while (r_ < 0 && errno == EINTR);          \
        r_;                                        \
    })

int os_open(int dir, const char *path, int flags, mode_t mode, const char *point, struct error *err)
{
    int fd = RETRY(point, openat(dir, path, flags | O_CLOEXEC | O_NOFOLLOW, mode));
    if (fd < 0)
        return error_sys(err, errno, "open %s", path);
    return after(point, fd);
}

void os_close(int fd)
{
    if (fd < 0)
        return;
    int saved = errno;
    /* Linux frees the number whatever close answers, so it is never repeated. EBADF means that
     * somebody closed what was not his. */
    int r = close(fd);
    CHECK(r == 0 || errno != EBADF);
    errno = saved;
}

/* Offsets are off_t for the kernel: 0, or -1 with EFBIG. */
static int check_range(uint64_t offset, size_t n)
{
    uint64_t end;
    if (u64_add(offset, n, &end) == 0 && end <= INT64_MAX)
        return 0;
    errno = EFBIG;
    return -1;
}

/* How much to ask for in the first call when the fault is a short one. */
static size_t half_of(size_t n, int fault)
{
    return fault == FAULT_SHORT ? n - n / 2 : n;
}

int os_pwrite_all(int fd, const void *p, size_t n, uint64_t offset, const char *point,
                  struct error *err)
{
    int fault;
    do
        fault = fault_check(point, 0);
    while (fault == EINTR);
    if (fault > 0)
        errno = fault;
    if (fault > 0 || check_range(offset, n))
        return error_sys(err, errno, "write %zu bytes", n);
    const char *at = p;
    size_t ask = half_of(n, fault);
    for (size_t left = n; left > 0; ask = left) {
        ssize_t r = pwrite(fd, at, ask, (off_t)offset);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return error_sys(err, r < 0 ? errno : EIO, "write %zu bytes", n);
        at += r;
        left -= (size_t)r;
        offset += (uint64_t)r;
    }
    return after(point, 0);
}

ssize_t os_pread_full(int fd, void *p, size_t n, uint64_t offset, const char *point,
                      struct error *err)
{
    int fault;
    do
        fault = fault_check(point, 0);
    while (fault == EINTR);
    if (fault > 0)
        errno = fault;
    if (fault > 0 || n > SSIZE_MAX || check_range(offset, n))
        return error_sys(err, fault > 0 ? fault : EFBIG, "read %zu bytes", n);
    char *at = p;
    size_t ask = half_of(n, fault);
    size_t got = 0;
    for (; got < n; ask = n - got) {
        ssize_t r = pread(fd, at + got, ask, (off_t)(offset + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_sys(err, errno, "read %zu bytes", n);
        if (r == 0)
            break;
        got += (size_t)r;
    }
    (void)after(point, 0);
    return (ssize_t)got;
}

int os_fsync(int fd, const char *point, struct error *err)
{
    /* Not even EINTR is retried: after any failure the kernel may have marked the pages clean. */
    if (before(point) || fsync(fd))
        return error_sys(err, errno, "fsync");
    return after(point, 0);
}

int os_syncfs(int fd, const char *point, struct error *err)
{
    if (before(point) || syncfs(fd))
        return error_sys(err, errno, "syncfs");
    return after(point, 0);
}

int os_clone(int from, int to, const char *point, struct error *err)
{
    if (RETRY(point, ioctl(to, FICLONE, from)))
        return error_sys(err, errno, "clone a file");
    return after(point, 0);
}

ssize_t os_copy_range(int from, int to, uint64_t offset, size_t n, const char *point,
                      struct error *err)
{
    ssize_t r;
    if (check_range(offset, n))
        return error_sys(err, errno, "copy %zu bytes", n);
    do {
        off_t in = (off_t)offset;
        off_t out = (off_t)offset;
        r = before(point) ? -1 : copy_file_range(from, &in, to, &out, n, 0);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_sys(err, errno, "copy %zu bytes", n);
    (void)after(point, 0);
    return r;
}

bool os_copy_refused(int sys)
{
    return sys == EXDEV || sys == EOPNOTSUPP || sys == EINVAL || sys == ENOSYS || sys == ENOTTY;
}

void os_flush_hint(int fd, uint64_t offset, uint64_t n)
{
    (void)sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

int os_link(int from_dir, const char *from, int to_dir, const char *to, const char *point,
            struct error *err)
{
    if (RETRY(point, linkat(from_dir, from, to_dir, to, 0)))
        return error_sys(err, errno, "link %s to %s", from, to);
    return after(point, 0);
}

int os_rename(int from_dir, const char *from, int to_dir, const char *to, const char *point,
              struct error *err)
{
    if (RETRY(point, renameat(from_dir, from, to_dir, to)))
        return error_sys(err, errno, "rename %s to %s", from, to);
    return after(point, 0);
}

int os_unlink(int dir, const char *path, const char *point, struct error *err)
{
    if (RETRY(point, unlinkat(dir, path, 0)) && errno != ENOENT)
        return error_sys(err, errno, "unlink %s", path);
    return after(point, 0);
}

int os_truncate(int fd, uint64_t size, const char *point, struct error *err)
{
    if (check_range(size, 0) || RETRY(point, ftruncate(fd, (off_t)size)))
        return error_sys(err, errno, "truncate to %llu bytes", (unsigned long long)size);
    return after(point, 0);
}

static struct os_stat stat_of(const struct stat *st)
{
    return (struct os_stat){
        .size = (uint64_t)st->st_size,
        .inode = st->st_ino,
        .device = st->st_dev,
        .links = (uint32_t)st->st_nlink,
        .mtime_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000,
        .is_dir = S_ISDIR(st->st_mode),
        .is_file = S_ISREG(st->st_mode),
    };
}

int os_fstat(int fd, struct os_stat *out, const char *point, struct error *err)
{
    struct stat st;
    if (RETRY(point, fstat(fd, &st)))
        return error_sys(err, errno, "stat descriptor %d", fd);
    *out = stat_of(&st);
    return after(point, 0);
}

int os_stat(int dir, const char *path, struct os_stat *out, const char *point, struct error *err)
{
    struct stat st;
    if (RETRY(point, fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW)))
        return error_sys(err, errno, "stat %s", path);
    *out = stat_of(&st);
    return after(point, 0);
}

/* 1: made, 0: there already, -1: failed with errno set. */
static int make_dir(int dir, const char *path, mode_t mode, const char *point)
{
    if (RETRY(point, mkdirat(dir, path, mode)) == 0)
        return after(point, 1);
    /* What is there may be a link to a directory: that is how people move their data. */
    struct stat st;
    if (errno != EEXIST || fstatat(dir, path, &st, 0))
        return -1;
    if (S_ISDIR(st.st_mode))
        return after(point, 0);
    errno = ENOTDIR;
    return -1;
}

int os_mkdir(int dir, const char *path, mode_t mode, const char *point, struct error *err)
{
    return make_dir(dir, path, mode, point) < 0 ? error_sys(err, errno, "make directory %s", path)
                                                : 0;
}

static int sync_dir(const char *path, const char *point)
{
    CLEANUP_CLOSE int fd = RETRY(point, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return fd < 0 || before(point) || fsync(fd) ? -1 : after(point, 0);
}

int os_mkdir_all(const char *path, mode_t mode, const char *point, struct error *err)
{
    char dir[PATH_MAX], parent[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof dir)
        return error_sys(err, n ? ENAMETOOLONG : ENOENT, "make directory %s", path);
    (void)snprintf(parent, sizeof parent, "%s", path[0] == '/' ? "/" : ".");
    for (size_t end = 0; end < n;) {
        size_t start = end + strspn(path + end, "/");
        end = start + strcspn(path + start, "/");
        if (end == start)
            break;
        memcpy(dir, path, end);
        dir[end] = '\0';
        int made = make_dir(AT_FDCWD, dir, mode, point);
        if (made < 0 || (made && sync_dir(parent, point)))
            return error_sys(err, errno, "make directory %s", dir);
        memcpy(parent, dir, end + 1);
    }
    return 0;
}

static void closedirp(DIR **d)
{
    (void)closedir(*d);
}

int os_list(int dir, const char *path, int (*fn)(void *arg, const char *name), void *arg,
            const char *point, struct error *err)
{
    CLEANUP_CLOSE int fd =
        RETRY(point, openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (fd < 0)
        return error_sys(err, errno, "list %s", path);
    DIR *opened = fdopendir(fd);
    if (!opened)
        return error_sys(err, errno, "list %s", path);
    __attribute__((cleanup(closedirp))) DIR *d = opened;
    fd = -1; /* the stream's now */
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && fn(arg, e->d_name))
            return 1;
    }
    if (errno)
        return error_sys(err, errno, "list %s", path);
    return after(point, 0);
}

int os_lock(int fd, struct error *err)
{
    int r;
    do
        r = flock(fd, LOCK_EX | LOCK_NB);
    while (r && errno == EINTR);
    return r ? error_sys(err, errno, "lock descriptor %d", fd) : 0;
}

int os_space(int fd, uint64_t *free_bytes, uint64_t *total_bytes, struct error *err)
{
    struct statvfs v;
    if (fstatvfs(fd, &v))
        return error_sys(err, errno, "ask for the free space");
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    /* Without what is reserved for root. */
    *total_bytes = (uint64_t)(v.f_blocks - (v.f_bfree - v.f_bavail)) * v.f_frsize;
    return 0;
}
