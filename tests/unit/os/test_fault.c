/* SPDX-License-Identifier: Apache-2.0 */
/* Built with the fault points compiled in, whatever the rest of the build is. */
#include "../base/helpers.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/fault_points.h"
#include "os/file.h"
#include "tempdir.h"

#include "base/banned.h"

static const char *const points[] = {
#define POINT_NAME(name, meaning) name,
    FAULT_POINTS(POINT_NAME)
#undef POINT_NAME
};

static void malformed_specifications_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "stage.write",
        "stage.write=",
        "=EIO",
        "nowhere=EIO",
        "stage.write=EWHAT",
        "stage.write=EIO@0",
        "stage.write=EIO@",
        "stage.write=EIO@x",
        "stage.write=EIO,",
        ",stage.write=EIO",
        "stage.write=sleep",
        "stage.write=sleepx",
        "stage.write=sleep999999999",
        "stage.sync=short",      /* neither reads nor writes */
        "stage.write.after=EIO", /* too late to fail */
        "stage.read.after=short",
        "stage.write=EINTR+", /* would be retried for ever */
        "stage.write=EIO+@2",
        "stage.write =EIO",
        "stage.writ=EIO",
        ".after=kill",
        "stage.write=kill@-1",
    };
    assert_int_equal(fault_configure("stage.sync=EIO+"), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (fault_configure(bad[i]) != -1)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(fault_check("stage.sync", 0), EIO); /* what was set stays */
    char many[2000] = "stage.sync=EIO";
    for (int i = 1; i < 33; i++)
        memcpy(many + strlen(many), ",stage.sync=EIO", sizeof ",stage.sync=EIO");
    assert_int_equal(fault_configure(many), -1);
    many[strlen(many) - strlen(",stage.sync=EIO")] = '\0';
    assert_int_equal(fault_configure(many), 0);
    assert_int_equal(fault_configure(""), 0);
    assert_int_equal(fault_check("stage.sync", 0), 0);
}

static void the_environment_is_the_default(void **state)
{
    (void)state;
    setenv("BERTH_FAULTS", "push.live=ENOSPC", 1);
    assert_int_equal(fault_configure(NULL), 0);
    assert_int_equal(fault_point("push.live"), ENOSPC);
    setenv("BERTH_FAULTS", "what?", 1);
    assert_int_equal(fault_configure(NULL), -1);
    unsetenv("BERTH_FAULTS");
    assert_int_equal(fault_configure(NULL), 0);
    assert_int_equal(fault_point("push.live"), 0);
}

static void passages_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int want[5];
    } rows[] = {
        {"stage.sync=EIO", {EIO, 0, 0, 0, 0}},
        {"stage.sync=EIO@3", {0, 0, EIO, 0, 0}},
        {"stage.sync=EIO@3+", {0, 0, EIO, EIO, EIO}},
        {"stage.sync=EIO+", {EIO, EIO, EIO, EIO, EIO}},
        {"stage.sync=EROFS@2,stage.sync=EDQUOT@4", {0, EROFS, 0, EDQUOT, 0}},
        {"*=EMFILE@2", {0, EMFILE, 0, 0, 0}},
        {"blob.link=EIO+", {0, 0, 0, 0, 0}},
        {"stage.sync=ENOMEM,*=EIO@2", {ENOMEM, EIO, 0, 0, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(fault_configure(rows[i].spec), 0);
        for (size_t j = 0; j < 5; j++) {
            assert_int_equal(fault_check("stage.sync", 0), rows[i].want[j]);
            assert_int_equal(fault_check("stage.sync", 1), 0);
        }
    }
    assert_int_equal(fault_configure("*=short+"), 0);
    assert_int_equal(fault_check("stage.read", 0), FAULT_SHORT);
    assert_int_equal(fault_check("stage.sync", 0), 0); /* cannot be short */
    assert_int_equal(fault_configure("*=EIO+"), 0);
    assert_int_equal(fault_check("loop.random", 0), 0); /* cannot fail */
    assert_int_equal(fault_configure(""), 0);
}

static void unknown_point(void *arg)
{
    (void)fault_check(arg, 0);
}

static void pass_before(void *arg)
{
    (void)fault_check(arg, 0);
}

static void pass_after(void *arg)
{
    (void)fault_check(arg, 1);
}

static void every_point_can_kill(void **state)
{
    (void)state;
    static char unknown[] = "stage.wriet";
    assert_int_equal(signal_that_kills(unknown_point, unknown), SIGABRT);
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        char spec[100], name[60];
        (void)snprintf(name, sizeof name, "%s", points[i]);
        (void)snprintf(spec, sizeof spec, "%s=kill", name);
        assert_int_equal(fault_configure(spec), 0);
        assert_int_equal(signal_that_kills(pass_before, name), SIGKILL);
        (void)snprintf(spec, sizeof spec, "%s.after=kill", name);
        assert_int_equal(fault_configure(spec), 0);
        assert_int_equal(signal_that_kills(pass_before, name), 0);
        assert_int_equal(signal_that_kills(pass_after, name), SIGKILL);
    }
    static char any[] = "meta.commit";
    assert_int_equal(fault_configure("*=kill"), 0);
    assert_int_equal(signal_that_kills(pass_before, any), SIGKILL);
    assert_int_equal(signal_that_kills(pass_after, any), 0);
    assert_int_equal(fault_configure("*.after=kill"), 0);
    assert_int_equal(signal_that_kills(pass_after, any), SIGKILL);
    assert_int_equal(fault_configure(""), 0);
}

static void sleeping(void **state)
{
    (void)state;
    assert_int_equal(fault_configure("net.accept=sleep30"), 0);
    uint64_t start = os_mono_ms();
    assert_int_equal(fault_point("net.accept"), 0);
    assert_true(os_mono_ms() - start >= 29);
    uint64_t took = 29; /* once, so no more of it; a process may have to wait for a processor */
    for (int i = 0; i < 50 && took >= 29; i++) {
        start = os_mono_ms();
        assert_int_equal(fault_point("net.accept"), 0);
        took = os_mono_ms() - start;
    }
    assert_true(took < 29);
    assert_int_equal(fault_configure(""), 0);
}

static void ask_for_random(void *arg)
{
    char bytes[8];
    os_random(bytes, sizeof bytes);
    (void)arg;
}

static void without_random_bytes_the_process_ends(void **state)
{
    (void)state;
    assert_int_equal(fault_configure("loop.random=EIO"), 0);
    assert_int_equal(signal_that_kills(ask_for_random, NULL), SIGABRT);
    assert_int_equal(fault_configure("loop.random=EINTR"), 0);
    assert_int_equal(signal_that_kills(ask_for_random, NULL), 0);
    assert_int_equal(fault_configure(""), 0);
}

/* ---- every operation of os/file.h ---- */

struct files {
    int dir, fd;
    char buf[64];
    char path[120];
};

static int nothing(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return 0;
}

static int do_open(struct files *f, struct error *err)
{
    int fd = os_open(f->dir, "a", O_RDWR, 0, "stage.open", err);
    os_close(fd);
    return fd < 0 ? -1 : 0;
}

static int do_write(struct files *f, struct error *err)
{
    return os_pwrite_all(f->fd, "0123456789", 10, 0, "stage.write", err);
}

static int do_read(struct files *f, struct error *err)
{
    return os_pread_full(f->fd, f->buf, 10, 0, "stage.read", err) < 0 ? -1 : 0;
}

static int do_sync(struct files *f, struct error *err)
{
    return os_fsync(f->fd, "stage.sync", err);
}

static int do_link(struct files *f, struct error *err)
{
    (void)unlinkat(f->dir, "b", 0);
    return os_link(f->dir, "a", f->dir, "b", "blob.link", err);
}

static int do_rename(struct files *f, struct error *err)
{
    (void)!linkat(f->dir, "a", f->dir, "c", 0);
    return os_rename(f->dir, "c", f->dir, "d", "blob.link", err);
}

static int do_unlink(struct files *f, struct error *err)
{
    (void)!linkat(f->dir, "a", f->dir, "e", 0);
    return os_unlink(f->dir, "e", "blob.unlink", err);
}

static int do_truncate(struct files *f, struct error *err)
{
    return os_truncate(f->fd, 10, "stage.truncate", err);
}

static int do_fstat(struct files *f, struct error *err)
{
    struct os_stat st;
    return os_fstat(f->fd, &st, "blob.stat", err);
}

static int do_stat(struct files *f, struct error *err)
{
    struct os_stat st;
    return os_stat(f->dir, "a", &st, "blob.stat", err);
}

static int do_mkdir(struct files *f, struct error *err)
{
    (void)unlinkat(f->dir, "dir", AT_REMOVEDIR);
    return os_mkdir(f->dir, "dir", 0700, "store.setup", err);
}

static int do_mkdir_all(struct files *f, struct error *err)
{
    return os_mkdir_all(f->path, 0700, "store.setup", err);
}

static int do_list(struct files *f, struct error *err)
{
    return os_list(f->dir, ".", nothing, NULL, "store.list", err);
}

static const struct op {
    const char *point;
    int (*fn)(struct files *f, struct error *err);
    bool retries;
} ops[] = {
    {"stage.open", do_open, true},    {"stage.write", do_write, true},
    {"stage.read", do_read, true},    {"stage.sync", do_sync, false},
    {"blob.link", do_link, true},     {"blob.link", do_rename, true},
    {"blob.unlink", do_unlink, true}, {"stage.truncate", do_truncate, true},
    {"blob.stat", do_fstat, true},    {"blob.stat", do_stat, true},
    {"store.setup", do_mkdir, true},  {"store.setup", do_mkdir_all, true},
    {"store.list", do_list, true},
};

static void files_init(struct files *f, const struct tempdir *d)
{
    *f = (struct files){.dir = d->fd};
    f->fd = os_open(d->fd, "a", O_RDWR | O_CREAT | O_EXCL, 0600, "stage.create", NULL);
    assert_true(f->fd >= 0);
    (void)snprintf(f->path, sizeof f->path, "%s/all/the/way", d->path);
}

static void every_operation_can_fail(void **state)
{
    static const struct {
        const char *name;
        int sys;
        enum error_code code;
    } errors[] = {{"EIO", EIO, ERR_UNKNOWN},
                  {"ENOSPC", ENOSPC, ERR_NO_SPACE},
                  {"EDQUOT", EDQUOT, ERR_NO_SPACE},
                  {"EROFS", EROFS, ERR_READ_ONLY}};
    struct files f;
    files_init(&f, *state);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        for (size_t j = 0; j < ARRAY_LEN(errors); j++) {
            char spec[60];
            struct error err = {0};
            (void)snprintf(spec, sizeof spec, "%s=%s", ops[i].point, errors[j].name);
            assert_int_equal(fault_configure(spec), 0);
            assert_int_equal(ops[i].fn(&f, &err), -1);
            assert_int_equal(err.sys, errors[j].sys);
            assert_int_equal(err.code, errors[j].code);
            assert_int_equal(ops[i].fn(&f, &err), 0); /* it was to be once */
        }
    assert_int_equal(fault_configure(""), 0);
    os_close(f.fd);
}

static void interruptions_are_retried_but_for_fsync(void **state)
{
    struct files f;
    files_init(&f, *state);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        char spec[60];
        struct error err = {0};
        (void)snprintf(spec, sizeof spec, "%s=EINTR,%s=EINTR@2", ops[i].point, ops[i].point);
        assert_int_equal(fault_configure(spec), 0);
        assert_int_equal(ops[i].fn(&f, &err), ops[i].retries ? 0 : -1);
    }
    assert_int_equal(fault_configure(""), 0);
    os_close(f.fd);
}

struct passage {
    struct files *files;
    const struct op *op;
};

static void do_op(void *arg)
{
    struct passage *p = arg;
    if (p->op->fn(p->files, NULL))
        abort();
}

static void every_operation_passes_its_point_after_success(void **state)
{
    struct files f;
    files_init(&f, *state);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        char spec[60];
        struct passage p = {&f, &ops[i]};
        (void)snprintf(spec, sizeof spec, "%s.after=kill", ops[i].point);
        assert_int_equal(fault_configure(spec), 0);
        assert_int_equal(signal_that_kills(do_op, &p), SIGKILL);
        (void)snprintf(spec, sizeof spec, "%s=EIO,%s.after=kill", ops[i].point, ops[i].point);
        assert_int_equal(fault_configure(spec), 0);
        assert_int_equal(signal_that_kills(do_op, &p), SIGABRT); /* it failed, so no passage */
    }
    assert_int_equal(fault_configure(""), 0);
    os_close(f.fd);
}

static void short_writes_and_reads_are_harmless(void **state)
{
    struct files f;
    files_init(&f, *state);
    for (size_t n = 1; n <= 10; n++) {
        char back[10] = "##########";
        assert_int_equal(fault_configure("stage.write=short+,stage.read=short+"), 0);
        assert_int_equal(os_truncate(f.fd, 0, "stage.truncate", NULL), 0);
        assert_int_equal(os_pwrite_all(f.fd, "0123456789", n, 0, "stage.write", NULL), 0);
        assert_int_equal(os_pread_full(f.fd, back, 10, 0, "stage.read", NULL), n);
        assert_memory_equal(back, "0123456789", n);
    }
    /* Where it means nothing it does nothing. */
    assert_int_equal(fault_configure("*=short+"), 0);
    int fd = os_open(f.dir, "a", O_RDONLY, 0, "blob.read", NULL);
    assert_true(fd >= 0);
    os_close(fd);
    assert_int_equal(os_pwrite_all(f.fd, "x", 0, 0, "stage.write", NULL), 0);
    assert_int_equal(fault_configure(""), 0);
    os_close(f.fd);
}

/* mkdir, then the sync of its parent: three levels pass the point 3 * (mkdir + open + fsync). */
static void each_new_directory_is_synced(void **state)
{
    struct tempdir *d = *state;
    struct files f;
    files_init(&f, d);
    struct stat st;
    unsigned made = 0;
    for (unsigned n = 1;; n++) {
        char spec[60], sub[120];
        struct error err;
        (void)snprintf(spec, sizeof spec, "store.setup=EIO@%u", n);
        assert_int_equal(fault_configure(spec), 0);
        (void)snprintf(sub, sizeof sub, "%s/%u/x/y", d->path, n);
        if (os_mkdir_all(sub, 0700, "store.setup", &err) == 0)
            break;
        assert_int_equal(err.sys, EIO);
        made = n;
    }
    /* The components of the path above it exist, and each is passed once more. */
    unsigned above = 0;
    for (const char *c = d->path; *c; c++)
        above += *c == '/';
    assert_int_equal(made, above + 9);
    assert_int_equal(stat(d->path, &st), 0);
    assert_int_equal(fault_configure(""), 0);
    os_close(f.fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tempdir_setup, tempdir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_specifications_are_refused),
        cmocka_unit_test(the_environment_is_the_default),
        cmocka_unit_test(passages_are_counted),
        cmocka_unit_test(every_point_can_kill),
        cmocka_unit_test(sleeping),
        cmocka_unit_test(without_random_bytes_the_process_ends),
        TEST(every_operation_can_fail),
        TEST(interruptions_are_retried_but_for_fsync),
        TEST(every_operation_passes_its_point_after_success),
        TEST(short_writes_and_reads_are_harmless),
        TEST(each_new_directory_is_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
