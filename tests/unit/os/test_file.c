/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/helpers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/file.h"
#include "tempdir.h"

#include "base/banned.h"

/* Any point will do: this build may have none compiled in. */
#define P "stage.write"

static int make(const struct tempdir *d, const char *name)
{
    int fd = os_open(d->fd, name, O_RDWR | O_CREAT | O_EXCL, 0600, P, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void opening(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    int fd = make(d, "a");
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct stat st;
    fstat(fd, &st);
    assert_int_equal(st.st_mode & 07777, 0600);
    os_close(fd);
    assert_int_equal(os_open(d->fd, "a", O_RDWR | O_CREAT | O_EXCL, 0600, P, &err), -1);
    assert_int_equal(err.sys, EEXIST);
    assert_int_equal(os_open(d->fd, "b", O_RDONLY, 0, P, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    assert_string_equal(err.message, "open b: No such file or directory");
    assert_int_equal(symlinkat("a", d->fd, "link"), 0);
    assert_int_equal(os_open(d->fd, "link", O_RDONLY, 0, P, &err), -1);
    assert_int_equal(err.sys, ELOOP);
}

static void closing(void **state)
{
    struct tempdir *d = *state;
    int fd = make(d, "a");
    errno = 99;
    os_close(fd);
    os_close(-1);
    assert_int_equal(errno, 99);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void close_twice(void *arg)
{
    os_close(*(int *)arg);
    os_close(*(int *)arg);
}

static void closing_what_is_closed_aborts(void **state)
{
    struct tempdir *d = *state;
    int fd = make(d, "a");
    assert_int_equal(signal_that_kills(close_twice, &fd), SIGABRT);
    os_close(fd);
}

static void writing_and_reading(void **state)
{
    struct tempdir *d = *state;
    static char data[300000], back[300000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31 >> 3);
    int fd = make(d, "a");
    assert_int_equal(os_pwrite_all(fd, data, sizeof data, 7, P, NULL), 0);
    assert_int_equal(os_pwrite_all(fd, data, 0, 1 << 30, P, NULL), 0);
    assert_int_equal(os_pread_full(fd, back, sizeof back, 7, P, NULL), sizeof back);
    assert_memory_equal(data, back, sizeof data);
    assert_int_equal(os_pread_full(fd, back, 100, 300000, P, NULL), 7); /* the end comes first */
    assert_memory_equal(back, data + sizeof data - 7, 7);
    assert_int_equal(os_pread_full(fd, back, 100, 300007, P, NULL), 0);
    assert_int_equal(os_pread_full(fd, back, 100, 1 << 30, P, NULL), 0);
    assert_int_equal(os_pread_full(fd, back, 7, 0, P, NULL), 7);
    assert_memory_equal(back, "\0\0\0\0\0\0\0", 7);
    os_flush_hint(fd, 0, 300000);
    assert_int_equal(os_fsync(fd, P, NULL), 0);
    assert_int_equal(os_fsync(d->fd, P, NULL), 0); /* a directory too */
    os_close(fd);
}

static void io_errors(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    char c[2] = "x";
    os_close(make(d, "a"));
    int fd = os_open(d->fd, "a", O_RDONLY, 0, P, NULL);
    assert_int_equal(os_pwrite_all(fd, c, 1, 0, P, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_int_equal(os_truncate(fd, 0, P, &err), -1);
    os_close(fd);
    assert_int_equal(os_pread_full(d->fd, c, 1, 0, P, &err), -1);
    assert_int_equal(err.sys, EISDIR);
    assert_int_equal(os_fsync(-1, P, &err), -1);
    assert_int_equal(err.sys, EBADF);
    os_flush_hint(-1, 0, 1);
}

static void offsets_past_the_kernels_are_refused(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    char c[2] = "x";
    int fd = make(d, "a");
    static const uint64_t offsets[] = {INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        assert_int_equal(os_pwrite_all(fd, c, 1, offsets[i], P, &err), -1);
        assert_int_equal(err.sys, EFBIG);
        assert_int_equal(os_pread_full(fd, c, 1, offsets[i], P, &err), -1);
        assert_int_equal(err.sys, EFBIG);
    }
    assert_int_equal(os_truncate(fd, UINT64_MAX, P, &err), -1);
    assert_int_equal(err.sys, EFBIG);
    os_close(fd);
}

static void a_file_at_its_limit(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    char data[1000] = {1};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
    sigaction(SIGXFSZ, &ignore, &was);
    struct rlimit old, low;
    getrlimit(RLIMIT_FSIZE, &old);
    low = (struct rlimit){1500, old.rlim_max};
    int fd = make(d, "a");
    setrlimit(RLIMIT_FSIZE, &low);
    assert_int_equal(os_pwrite_all(fd, data, sizeof data, 0, P, &err), 0);
    /* The kernel writes the half that fits: all or nothing is what we answer. */
    assert_int_equal(os_pwrite_all(fd, data, sizeof data, 1000, P, &err), -1);
    assert_int_equal(err.sys, EFBIG);
    struct os_stat st;
    assert_int_equal(os_fstat(fd, &st, P, NULL), 0);
    setrlimit(RLIMIT_FSIZE, &old);
    sigaction(SIGXFSZ, &was, NULL);
    assert_int_equal(st.size, 1500);
    os_close(fd);
}

static void a_device_that_is_full(void **state)
{
    (void)state;
    struct error err;
    int fd = os_open(AT_FDCWD, "/dev/full", O_WRONLY, 0, P, NULL);
    assert_true(fd >= 0);
    assert_int_equal(os_pwrite_all(fd, "x", 1, 0, P, &err), -1);
    assert_int_equal(err.sys, ENOSPC);
    assert_int_equal(err.code, ERR_NO_SPACE);
    os_close(fd);
}

static void names(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    struct os_stat st;
    os_close(make(d, "a"));
    assert_int_equal(os_link(d->fd, "a", d->fd, "b", P, NULL), 0);
    assert_int_equal(os_link(d->fd, "a", d->fd, "b", P, &err), -1);
    assert_int_equal(err.sys, EEXIST);
    assert_int_equal(os_stat(d->fd, "b", &st, P, NULL), 0);
    assert_int_equal(st.links, 2);
    assert_int_equal(os_rename(d->fd, "b", d->fd, "c", P, NULL), 0);
    assert_int_equal(os_rename(d->fd, "b", d->fd, "c", P, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(os_unlink(d->fd, "a", P, NULL), 0);
    assert_int_equal(os_unlink(d->fd, "a", P, NULL), 0); /* gone already: fine */
    assert_int_equal(os_stat(d->fd, "a", &st, P, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(os_stat(d->fd, "c", &st, P, NULL), 0);
    assert_int_equal(st.links, 1);
    assert_int_equal(os_unlink(d->fd, ".", P, &err), -1);
    assert_int_equal(err.sys, EISDIR);
}

static void facts_about_files(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    struct os_stat st, same;
    int fd = make(d, "a");
    assert_int_equal(os_pwrite_all(fd, "12345", 5, 0, P, NULL), 0);
    int64_t now = os_wall_ms();
    assert_int_equal(os_fstat(fd, &st, P, NULL), 0);
    assert_int_equal(st.size, 5);
    assert_int_equal(st.links, 1);
    assert_false(st.is_dir);
    assert_in_range(st.mtime_ms, now - 60000, now + 60000);
    assert_int_equal(os_stat(d->fd, "a", &same, P, NULL), 0);
    assert_int_equal(same.inode, st.inode);
    assert_int_equal(os_truncate(fd, 3, P, NULL), 0);
    assert_int_equal(os_fstat(fd, &st, P, NULL), 0);
    assert_int_equal(st.size, 3);
    assert_int_equal(os_truncate(fd, 9, P, NULL), 0);
    assert_int_equal(os_fstat(fd, &st, P, NULL), 0);
    assert_int_equal(st.size, 9);
    os_close(fd);
    assert_int_equal(os_stat(d->fd, ".", &st, P, NULL), 0);
    assert_true(st.is_dir);
    assert_int_equal(os_fstat(-1, &st, P, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_int_equal(symlinkat("a", d->fd, "link"), 0);
    assert_int_equal(os_stat(d->fd, "link", &st, P, NULL), 0);
    assert_int_equal(st.size, 1); /* the link itself */
}

static void directories(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    struct os_stat st;
    assert_int_equal(os_mkdir(d->fd, "d", 0700, P, NULL), 0);
    assert_int_equal(os_mkdir(d->fd, "d", 0700, P, NULL), 0);
    assert_int_equal(os_stat(d->fd, "d", &st, P, NULL), 0);
    assert_true(st.is_dir);
    assert_int_equal(os_mkdir(d->fd, "x/y", 0700, P, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    os_close(make(d, "file"));
    assert_int_equal(os_mkdir(d->fd, "file", 0700, P, &err), -1);
    assert_int_equal(err.sys, ENOTDIR);
    assert_int_equal(symlinkat("d", d->fd, "link"), 0);
    assert_int_equal(os_mkdir(d->fd, "link", 0700, P, NULL), 0);
    assert_int_equal(symlinkat("nowhere", d->fd, "dangling"), 0);
    assert_int_equal(os_mkdir(d->fd, "dangling", 0700, P, &err), -1);
}

static void directories_all_the_way(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    struct os_stat st;
    char path[PATH_MAX + 100];
    static const char *const tails[] = {"/a/b/c", "/a/b/c", "//e//f/", "/a/../g/./h"};
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        (void)snprintf(path, sizeof path, "%s%s", d->path, tails[i]);
        assert_int_equal(os_mkdir_all(path, 0700, P, NULL), 0);
        assert_int_equal(os_stat(AT_FDCWD, path, &st, P, NULL), 0);
        assert_true(st.is_dir);
    }
    assert_int_equal(os_mkdir_all("/", 0700, P, NULL), 0);
    assert_int_equal(os_mkdir_all("", 0700, P, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(os_mkdir_all(path, 0700, P, &err), -1);
    assert_int_equal(err.sys, ENAMETOOLONG);
    os_close(make(d, "file"));
    (void)snprintf(path, sizeof path, "%s/file/x", d->path);
    assert_int_equal(os_mkdir_all(path, 0700, P, &err), -1);
    assert_int_equal(err.sys, ENOTDIR);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fchdir(d->fd), 0);
    assert_int_equal(os_mkdir_all("rel/ative", 0700, P, NULL), 0);
    assert_int_equal(fchdir(here), 0);
    close(here);
    assert_int_equal(os_stat(d->fd, "rel/ative", &st, P, NULL), 0);
}

struct names_seen {
    unsigned n;
    unsigned stop_at;
    char first[300];
};

static int see(void *arg, const char *name)
{
    struct names_seen *s = arg;
    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    s->first[0] = name[0];
    return ++s->n == s->stop_at ? -7 : 0;
}

static void listing(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    struct names_seen s = {0};
    assert_int_equal(os_list(d->fd, ".", see, &s, P, NULL), 0);
    assert_int_equal(s.n, 0);
    for (int i = 0; i < 100; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%d", i);
        os_close(make(d, name));
    }
    int next = dup(0);
    close(next);
    assert_int_equal(os_list(d->fd, ".", see, &s, P, NULL), 0);
    assert_int_equal(s.n, 100);
    s = (struct names_seen){.stop_at = 10};
    assert_int_equal(os_list(d->fd, ".", see, &s, P, NULL), 1);
    assert_int_equal(s.n, 10);
    assert_int_equal(os_list(d->fd, "nowhere", see, &s, P, &err), -1);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(os_list(d->fd, "1", see, &s, P, &err), -1);
    assert_int_equal(err.sys, ENOTDIR);
    int again = dup(0);
    assert_int_equal(again, next); /* every way out closed its descriptor */
    close(again);
}

static void locks(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    int a = make(d, "lock");
    int b = os_open(d->fd, "lock", O_RDWR, 0, P, NULL);
    assert_int_equal(os_lock(a, NULL), 0);
    assert_int_equal(os_lock(a, NULL), 0);
    assert_int_equal(os_lock(b, &err), -1);
    assert_int_equal(err.sys, EWOULDBLOCK);
    os_close(a);
    assert_int_equal(os_lock(b, NULL), 0);
    os_close(b);
    assert_int_equal(os_lock(-1, &err), -1);
    assert_int_equal(err.sys, EBADF);
}

static void space(void **state)
{
    struct tempdir *d = *state;
    struct error err;
    uint64_t free_bytes = 0, total = 0;
    assert_int_equal(os_space(d->fd, &free_bytes, &total, NULL), 0);
    assert_true(total > 1 << 20);
    assert_true(free_bytes <= total);
    assert_int_equal(os_space(-1, &free_bytes, &total, &err), -1);
    assert_int_equal(err.sys, EBADF);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tempdir_setup, tempdir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening),
        TEST(closing),
        TEST(closing_what_is_closed_aborts),
        TEST(writing_and_reading),
        TEST(io_errors),
        TEST(offsets_past_the_kernels_are_refused),
        TEST(a_file_at_its_limit),
        TEST(a_device_that_is_full),
        TEST(names),
        TEST(facts_about_files),
        TEST(directories),
        TEST(directories_all_the_way),
        TEST(listing),
        TEST(locks),
        TEST(space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
