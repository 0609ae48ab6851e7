/* SPDX-License-Identifier: Apache-2.0 */
/* All access to files: thin calls over POSIX with the project's errors, EINTR handled, and a fault
 * point each. `point` is a name of os/fault_points.h. err->sys holds errno on failure (ENOENT and
 * EEXIST are for the caller to tell). Every descriptor is close-on-exec. Paths are relative to
 * `dir` and are never a client's: they are derived from parsed digests and generated ids. os_open
 * never follows a symbolic link in the last component. Blocking: worker threads only. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct os_stat {
    uint64_t size;
    uint64_t inode;
    uint64_t device;
    uint32_t links;
    int64_t mtime_ms;
    bool is_dir;
    bool is_file; /* a regular one */
};

/* A new descriptor, or -1. flags as open(2). */
int os_open(int dir, const char *path, int flags, mode_t mode, const char *point,
            struct error *err);
void os_close(int fd);
/* All n bytes at the offset, or -1. After a failure an unknown part may be written. */
int os_pwrite_all(int fd, const void *p, size_t n, uint64_t offset, const char *point,
                  struct error *err);
/* Up to n bytes, fewer only at the end of the file; the count, or -1. */
ssize_t os_pread_full(int fd, void *p, size_t n, uint64_t offset, const char *point,
                      struct error *err);
/* fsync(2), of a file or of a directory. Never retried: after a failure the data must be given up.
 */
int os_fsync(int fd, const char *point, struct error *err);
/* syncfs(2): all that anybody has written to the file system of fd is durable, names included. An
 * error of write-back is told when it happened since fd was opened (Linux 5.8 and later). Never
 * retried, as os_fsync. */
int os_syncfs(int fd, const char *point, struct error *err);
/* Starts write-back of a range without waiting (sync_file_range); never fails, gives no durability.
 */
void os_flush_hint(int fd, uint64_t offset, uint64_t n);
/* The empty file `to` gets the bytes of `from` by sharing its blocks (FICLONE). Fails with an errno
 * that os_copy_refused() knows where the file system cannot do that. */
int os_clone(int from, int to, const char *point, struct error *err);
/* Copies up to n bytes at the offset in the kernel; the count, 0 at the end of `from`, or -1 (see
 * os_copy_refused). */
ssize_t os_copy_range(int from, int to, uint64_t offset, size_t n, const char *point,
                      struct error *err);
/* Is this errno the kernel's way to say "not between these two files"? */
bool os_copy_refused(int sys);
int os_link(int from_dir, const char *from, int to_dir, const char *to, const char *point,
            struct error *err);
int os_rename(int from_dir, const char *from, int to_dir, const char *to, const char *point,
              struct error *err);
/* A file that is not there is fine. */
int os_unlink(int dir, const char *path, const char *point, struct error *err);
int os_truncate(int fd, uint64_t size, const char *point, struct error *err);
int os_fstat(int fd, struct os_stat *out, const char *point, struct error *err);
int os_stat(int dir, const char *path, struct os_stat *out, const char *point, struct error *err);
/* One that is there already is fine. */
int os_mkdir(int dir, const char *path, mode_t mode, const char *point, struct error *err);
/* mkdir -p for an absolute or relative path, each new directory synced into its parent. */
int os_mkdir_all(const char *path, mode_t mode, const char *point, struct error *err);
/* fn(arg, name) for every entry but . and .., until it returns non-zero (returned as 1). 0 at the
 * end, -1 on failure. */
int os_list(int dir, const char *path, int (*fn)(void *arg, const char *name), void *arg,
            const char *point, struct error *err);
/* Exclusive advisory lock on an open file, not waiting: 0, or -1 with err->sys == EWOULDBLOCK when
 * another process has it. */
int os_lock(int fd, struct error *err);
/* Free and total bytes for an unprivileged user on the file system of fd. */
int os_space(int fd, uint64_t *free_bytes, uint64_t *total_bytes, struct error *err);

#endif
