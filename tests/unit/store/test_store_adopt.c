/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem store takes over files of somebody else's. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "os/fault.h"
#include "store_conformance.h"
#include "tmp_dir.h"

#include "base/banned.h"

enum { N = 300 * 1000 };

struct fixture {
    struct store *s;
    struct metrics *m;
    char *root;
    char *p; /* N bytes */
    struct digest d;
    struct source f; /* that have them */
    struct stat before;
};

static void faults(const char *spec)
{
    assert_int_equal(fault_configure(spec), 0);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    faults("");
    f->root = tmp_dir_make();
    f->m = metrics_new();
    f->p = content_make(N, 11);
    digest_of(HASH_SHA256, slice_make(f->p, N), &f->d);
    source_make(&f->f, f->p, N);
    assert_int_equal(fstat(f->f.source.fd, &f->before), 0);
    assert_int_equal(store_fs_open(f->root, 8, f->m, &f->s, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    faults("");
    store_close(f->s);
    metrics_free(f->m);
    source_remove(&f->f);
    tmp_dir_remove(f->root);
    free(f->p);
    free(f);
    return 0;
}

static int64_t counter(struct fixture *f, const char *name, const char *help)
{
    return metric_value(metrics_counter(f->m, name, help, ""));
}

static int64_t syncs(struct fixture *f)
{
    return counter(f, "berth_store_syncs_total", "Calls of fsync by the store.");
}

static struct stat blob_stat(struct fixture *f, const struct digest *d)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/blobs/%s/%.2s/%s", f->root, hash_name(d->alg),
                   digest_hex(d).p, digest_hex(d).p);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

/* The source's file has its bytes, its mode and its time. */
static void assert_untouched(struct fixture *f)
{
    struct stat now;
    char *have = xcalloc(1, N + 1);
    assert_int_equal(fstat(f->f.source.fd, &now), 0);
    assert_int_equal(now.st_mode, f->before.st_mode);
    assert_int_equal(now.st_mtim.tv_sec, f->before.st_mtim.tv_sec);
    assert_int_equal(now.st_mtim.tv_nsec, f->before.st_mtim.tv_nsec);
    assert_int_equal(pread(f->f.source.fd, have, N + 1, 0), N);
    assert_memory_equal(have, f->p, N);
    free(have);
}

static int count(void *arg, struct slice id)
{
    (void)id;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned stages(struct fixture *f)
{
    unsigned n = 0;
    assert_int_equal(stage_list(f->s, count, &n, NULL), 0);
    return n;
}

static int adopt(struct fixture *f, enum store_adopted *how, struct error *err)
{
    struct store_batch batch = {0};
    if (store_adopt(f->s, &batch, &f->f.source, &f->d, N, how, err) != 0)
        return -1;
    return store_adopt_sync(f->s, &batch, err);
}

static void test_link(void **state)
{
    struct fixture *f = *state;
    enum store_adopted how;
    struct error err;
    assert_int_equal(adopt(f, &how, &err), 0);
    assert_int_equal(how, STORE_ADOPT_LINKED);
    assert_int_equal(blob_stat(f, &f->d).st_ino, f->before.st_ino);
    assert_int_equal(
        counter(f, "berth_store_publish_total", "Staged uploads that became blobs in the store."),
        1);
    /* A push of the same content, a removal: the shared file is never written to. */
    blob_put(f->s, ID_A, &f->d, f->p, N);
    assert_untouched(f);
    assert_int_not_equal(blob_stat(f, &f->d).st_ino, f->before.st_ino);
    assert_int_equal(adopt(f, &how, &err), 0);
    assert_int_equal(how, STORE_ADOPT_PRESENT);
    assert_int_equal(store_remove(f->s, &f->d, &err), 0);
    assert_untouched(f);
    assert_int_equal(stages(f), 0);
}

/* Thousands of files, a handful of syncs. */
/* Is there room, and is it needed? Nothing is left of the question. */
static void test_room(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    bool copies = true;
    uint64_t room = 0;
    assert_int_equal(store_adopt_room(f->s, &f->f.source, &copies, &room, &err), 0);
    assert_false(copies);
    assert_true(room > 0);
    faults("blob.link=EXDEV+,stage.write=EXDEV+");
    assert_int_equal(store_adopt_room(f->s, &f->f.source, &copies, &room, &err), 0);
    assert_true(copies);
    faults("blob.link=EIO");
    assert_int_equal(store_adopt_room(f->s, &f->f.source, &copies, &room, &err), -1);
    assert_int_equal(err.sys, EIO);
    faults("blob.link=EXDEV,stage.create=EIO");
    assert_int_equal(store_adopt_room(f->s, &f->f.source, &copies, &room, &err), -1);
    faults("blob.link=EXDEV,stage.write=EIO");
    assert_int_equal(store_adopt_room(f->s, &f->f.source, &copies, &room, &err), -1);
    faults("");
    struct source gone;
    source_make(&gone, "x", 1);
    assert_int_equal(unlinkat(gone.source.dir, gone.source.name, 0), 0);
    assert_int_equal(store_adopt_room(f->s, &gone.source, &copies, &room, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    source_remove(&gone);
    assert_int_equal(stages(f), 0);
    assert_untouched(f);
}

static void test_batch_syncs(void **state)
{
    struct fixture *f = *state;
    struct store_batch batch = {0};
    enum store_adopted how;
    struct digest d = f->d;
    memcpy(d.text + 7, "00", 2); /* whatever: the caller vouches for the digest */
    assert_int_equal(store_adopt(f->s, &batch, &f->f.source, &d, N, &how, NULL), 0);
    assert_int_equal(store_adopt_sync(f->s, &batch, NULL), 0);
    int64_t before = syncs(f);
    for (int i = 0; i < 50; i++) {
        d.text[20] = (char)('0' + i % 10);
        d.text[21] = (char)('0' + i / 10);
        assert_int_equal(store_adopt(f->s, &batch, &f->f.source, &d, N, &how, NULL), 0);
    }
    assert_int_equal(syncs(f), before);
    assert_int_equal(store_adopt_sync(f->s, &batch, NULL), 0);
    assert_int_equal(syncs(f), before + 1);
    assert_int_equal(store_adopt_sync(f->s, &batch, NULL), 0); /* empty */
    assert_int_equal(syncs(f), before + 1);
}

/* Where links are refused: by the kernel's copy, and by reading and writing. */
static void test_copy(void **state)
{
    struct fixture *f = *state;
    const char *const ways[] = {"blob.link=EXDEV+", "blob.link=EXDEV+,stage.write=EXDEV@2",
                                "blob.link=EXDEV+,stage.write=EIO@2"};
    enum store_adopted how;
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        faults(ways[i]);
        assert_int_equal(adopt(f, &how, &err), 0);
        faults("");
        assert_true(how == STORE_ADOPT_COPIED || how == STORE_ADOPT_CLONED);
        struct stat st = blob_stat(f, &f->d);
        assert_int_not_equal(st.st_ino, f->before.st_ino);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_blob(f->s, &f->d, f->p, N);
        assert_int_equal(stages(f), 0);
        /* It is known again, although it is another file. */
        faults(ways[i]);
        assert_int_equal(adopt(f, &how, &err), 0);
        faults("");
        assert_int_equal(how, STORE_ADOPT_PRESENT);
        assert_int_equal(store_remove(f->s, &f->d, &err), 0);
    }
    assert_untouched(f);
}

/* A copy over what is torn. */
static void test_copy_over(void **state)
{
    struct fixture *f = *state;
    enum store_adopted how;
    blob_put(f->s, ID_A, &f->d, "torn", 4);
    struct store_object o = {0};
    assert_int_equal(store_open(f->s, &f->d, &o, NULL), 0); /* and it is in the cache */
    store_object_release(&o);
    faults("blob.link=EXDEV@2"); /* the first one finds what is there */
    assert_int_equal(adopt(f, &how, NULL), 0);
    faults("");
    assert_int_not_equal(how, STORE_ADOPT_PRESENT);
    assert_blob(f->s, &f->d, f->p, N);
    assert_int_equal(stages(f), 0);
}

/* The name is given to another file after the caller has looked. */
static void test_swapped(void **state)
{
    struct fixture *f = *state;
    enum store_adopted how = STORE_ADOPT_COPIED;
    struct error err;
    int dir = f->f.source.dir;
    int fd = openat(dir, "other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "other", 5), 5);
    close(fd);
    assert_int_equal(renameat(dir, "other", dir, "data"), 0);
    assert_int_equal(adopt(f, &how, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    assert_no_blob(f->s, &f->d);
    assert_int_equal(unlinkat(dir, "data", 0), 0);
    assert_int_equal(adopt(f, &how, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    /* A symbolic link is not followed, and not kept either. */
    assert_int_equal(symlinkat("/etc/passwd", dir, "data"), 0);
    assert_int_equal(adopt(f, &how, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    assert_no_blob(f->s, &f->d);
    assert_int_equal(how, STORE_ADOPT_COPIED); /* untouched on failure */
    assert_int_equal(stages(f), 0);
}

static void test_no_file(void **state)
{
    struct fixture *f = *state;
    struct store_batch batch = {0};
    enum store_adopted how;
    struct error err;
    const struct store_source dir = {.fd = f->f.source.dir, .dir = AT_FDCWD, .name = "/"};
    assert_int_equal(store_adopt(f->s, &batch, &dir, &f->d, N, &how, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    /* Nothing of it may be in the read-only state. */
    faults("store.probe=EIO,stage.sync=EIO");
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, NULL), 0);
    assert_int_equal(stage_sync(st, NULL), -1);
    stage_close(st);
    assert_int_equal(adopt(f, &how, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_int_equal(store_adopt_sync(f->s, &batch, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
}

/* Each failure: an error of the store, no blob or a whole one, no litter, and the next try is good.
 */
static void test_failures(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *faults;
        enum error_code code;
        bool read_only;
    } cases[] = {
        {"blob.link=EIO", ERR_UNKNOWN, false},
        {"blob.link=EROFS", ERR_READ_ONLY, true},
        {"blob.stat=EIO", ERR_UNKNOWN, false},
        {"blob.dirsync=EIO", ERR_READ_ONLY, true},   /* syncfs */
        {"blob.dirsync=EIO@2", ERR_READ_ONLY, true}, /* the directory */
        {"blob.open=EIO", ERR_UNKNOWN, false},
        {"store.setup=ENOSPC", ERR_NO_SPACE, false},
        {"import.read=EIO", ERR_BLOB_UNKNOWN, false},
        {"blob.link=EXDEV+,stage.create=ENOSPC", ERR_NO_SPACE, false},
        {"blob.link=EXDEV+,stage.write=ENOSPC", ERR_NO_SPACE, false},
        {"blob.link=EXDEV+,stage.write=ENOSPC@2", ERR_NO_SPACE, false},
        {"blob.link=EXDEV+,stage.write=EXDEV@2,stage.write=ENOSPC@3", ERR_NO_SPACE, false},
        {"blob.link=EXDEV+,stage.write=EXDEV@2,import.read=EIO@2", ERR_BLOB_UNKNOWN, false},
        {"blob.link=EXDEV+,stage.sync=EIO", ERR_READ_ONLY, true},
        {"blob.link=EXDEV+,blob.replace=EIO", ERR_UNKNOWN, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = {0};
        enum store_adopted how;
        bool ok = true;
        faults(cases[i].faults);
        int r = adopt(f, &how, &err);
        faults("");
        if (r != -1 || err.code != cases[i].code || store_read_only(f->s) != cases[i].read_only ||
            stages(f) != 0)
            fail_msg("%s: %d, code %d, %s", cases[i].faults, r, (int)err.code, err.message);
        assert_int_equal(store_probe(f->s, NULL), 0);
        assert_int_equal(store_verify(f->s, &f->d, N, &ok, NULL), 0);
        uint64_t size = N;
        assert_true(store_stat(f->s, &f->d, &size, NULL) != 0 || ok);
        assert_int_equal(adopt(f, &how, &err), 0);
        assert_blob(f->s, &f->d, f->p, N);
        assert_int_equal(store_remove(f->s, &f->d, NULL), 0);
        /* Also from before the first blob: its directory goes, too. */
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/blobs/sha256/%.2s", f->root, digest_hex(&f->d).p);
        assert_int_equal(rmdir(path), 0);
    }
    assert_untouched(f);
}

/* kill -9 at the n-th passage of any point: what is in the place afterwards is whole. */
static void test_kill(void **state)
{
    struct fixture *f = *state;
    const char *const before[] = {"", "blob.link=EXDEV+,"};
    unsigned kills = 0;
    store_close(f->s);
    f->s = NULL;
    for (unsigned i = 0; i < 200; i++) {
        char spec[128];
        int status = 0;
        bool ok = true;
        uint64_t size;
        (void)snprintf(spec, sizeof spec, "%s*%s=kill@%u", before[i % 2], i / 2 % 2 ? ".after" : "",
                       i / 4 + 1);
        pid_t pid = fork();
        if (pid == 0) {
            struct store *s = NULL;
            struct store_batch batch = {0};
            enum store_adopted how;
            faults(spec);
            _exit(store_fs_open(f->root, 8, NULL, &s, NULL) ||
                  store_adopt(s, &batch, &f->f.source, &f->d, N, &how, NULL) ||
                  store_adopt_sync(s, &batch, NULL));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        kills += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        struct store *s = NULL;
        assert_int_equal(store_fs_open(f->root, 8, NULL, &s, NULL), 0);
        assert_int_equal(store_verify(s, &f->d, N, &ok, NULL), 0);
        assert_true(ok || store_stat(s, &f->d, &size, NULL) != 0);
        assert_true(ok || WIFSIGNALED(status));
        assert_int_equal(store_remove(s, &f->d, NULL), 0);
        store_close(s);
    }
    assert_true(kills > 20);
    assert_int_equal(store_fs_open(f->root, 8, NULL, &f->s, NULL), 0);
    assert_untouched(f);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link),    TEST(test_room),      TEST(test_batch_syncs),
        TEST(test_copy),    TEST(test_copy_over), TEST(test_swapped),
        TEST(test_no_file), TEST(test_failures),  TEST(test_kill),
    };
    return cmocka_run_group_tests_name("store_adopt", tests, NULL, NULL);
}
