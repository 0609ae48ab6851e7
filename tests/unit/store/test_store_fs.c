/* SPDX-License-Identifier: Apache-2.0 */
#include "store_conformance.h"
#include "tmp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

/* The directory of the running test; cmocka's state is the store. */
struct fixture {
    struct store *s;
    char *root;
};

static struct store *fs_open(const char *root)
{
    struct store *s = NULL;
    struct error err;
    assert_int_equal(store_fs_open(root, 8, NULL, &s, &err), 0);
    return s;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->root = tmp_dir_make();
    f->s = fs_open(f->root);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    tmp_dir_remove(f->root);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    store_close(f->s);
    f->s = fs_open(f->root);
}

/* The conformance tests have the store as their state; its directory is remembered here. */
static char *shared_root;

static int conformance_setup(void **state)
{
    shared_root = tmp_dir_make();
    *state = fs_open(shared_root);
    return 0;
}

static int conformance_teardown(void **state)
{
    store_close(*state);
    tmp_dir_remove(shared_root);
    return 0;
}

/* A path below the root. The result is good until the next call. */
static const char *under(struct fixture *f, const char *path)
{
    static char full[4096];
    (void)snprintf(full, sizeof full, "%s/%s", f->root, path);
    return full;
}

static const char *blob_path(struct fixture *f, const struct digest *d)
{
    char path[256];
    (void)snprintf(path, sizeof path, "blobs/%s/%.2s/%s", hash_name(d->alg), digest_hex(d).p,
                   digest_hex(d).p);
    return under(f, path);
}

static void file_put(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fputs(text, out) < 0, 0);
    assert_int_equal(fclose(out), 0);
}

static bool file_is(const char *path, const char *text)
{
    char have[256] = "";
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    size_t n = fread(have, 1, sizeof have - 1, in);
    (void)fclose(in);
    return slice_is(slice_make(have, n), text);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_mode & (S_IFMT | 07777) : 0;
}

static bool exists(const char *path)
{
    return mode_of(path) != 0;
}

static void test_layout(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    assert_int_equal(mode_of(under(f, "uploads")), S_IFDIR | 0700);
    assert_int_equal(mode_of(under(f, "trash")), S_IFDIR | 0700);
    assert_int_equal(mode_of(under(f, "lock")), S_IFREG | 0600);
    assert_int_equal(mode_of(under(f, "blobs/sha256")), S_IFDIR | 0700);
    assert_int_equal(mode_of(under(f, "blobs/sha512")), S_IFDIR | 0700);
    stage_put(f->s, ID_A, "abc", 3);
    assert_int_equal(mode_of(under(f, "uploads/" ID_A)), S_IFREG | 0600);
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_string_equal(d.text, "sha256:"
                                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, NULL), 0);
    assert_true(
        file_is(under(f, "blobs/sha256/ba/"
                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
                "abc"));
}

/* All is there after a restart, and the restart does not look at the directories. */
static void test_reopen(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    digest_of(HASH_SHA512, SLICE_LIT("kept"), &d);
    blob_put(f->s, ID_A, &d, "kept", 4);
    stage_put(f->s, ID_B, "staged", 6);
    assert_int_equal(rmdir(under(f, "trash")), 0);
    assert_int_equal(mkdir(under(f, "trash"), 0700), 0);
    reopen(f);
    assert_false(exists(under(f, "blobs/sha256/00")));
    assert_blob(f->s, &d, "kept", 4);
    assert_true(stage_exists(f->s, ID_B));
}

/* A restore may leave out empty directories; the first blob makes its directory again. */
static void test_directory_lost(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_false(exists(under(f, "blobs/sha256/ba")));
    assert_no_blob(f->s, &d);
    assert_int_equal(store_remove(f->s, &d, NULL), 0);
    blob_put(f->s, ID_B, &d, "abc", 3);
    assert_int_equal(store_remove(f->s, &d, NULL), 0);
    assert_int_equal(rmdir(under(f, "blobs/sha256/ba")), 0);
    assert_no_blob(f->s, &d);
    assert_int_equal(store_remove(f->s, &d, NULL), 0);
    blob_put(f->s, ID_A, &d, "abc", 3);
    assert_blob(f->s, &d, "abc", 3);
    assert_int_equal(mode_of(under(f, "blobs/sha256/ba")), S_IFDIR | 0700);
}

static void test_marker(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct store *s = NULL;
    assert_true(file_is(under(f, "lock"), "berth store 1\n"));
    /* Torn, or from before the first start ended: what is missing is made. */
    static const char *const torn[] = {"", "berth st",
                                       "nonsense, and much longer than it should be"};
    for (size_t i = 0; i < ARRAY_LEN(torn); i++) {
        store_close(f->s);
        f->s = NULL;
        file_put(under(f, "lock"), torn[i]);
        assert_int_equal(rmdir(under(f, "blobs/sha512")), 0);
        f->s = fs_open(f->root);
        assert_true(exists(under(f, "blobs/sha512")));
        assert_true(file_is(under(f, "lock"), "berth store 1\n"));
    }
    store_close(f->s);
    f->s = NULL;
    file_put(under(f, "lock"), "berth store 2\n");
    assert_int_equal(store_fs_open(f->root, 8, NULL, &s, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_null(s);
    assert_true(file_is(under(f, "lock"), "berth store 2\n"));
}

static void test_locked(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct store *s = NULL;
    assert_int_equal(store_fs_open(f->root, 8, NULL, &s, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "in use by another berth"));
    store_close(f->s);
    f->s = NULL;

    int up[2], down[2];
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char c = store_fs_open(f->root, 8, NULL, &s, NULL) == 0 ? 'y' : 'n';
        (void)close(down[1]);
        /* Until the parent is done, or gone. */
        bool told = write(up[1], &c, 1) == 1 && read(down[0], &c, 1) >= 0;
        _exit(told ? 0 : 1);
    }
    char c = 0;
    assert_int_equal(read(up[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    assert_int_equal(store_fs_open(f->root, 8, NULL, &s, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    for (int i = 0; i < 2; i++) {
        (void)close(up[i]);
        (void)close(down[i]);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    f->s = fs_open(f->root); /* the lock went with the process */
}

static void test_open_refused(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct store *s = NULL;
    char path[5000];
    file_put(under(f, "file"), "");
    assert_int_equal(store_fs_open(under(f, "file"), 8, NULL, &s, &err), -1);
    assert_int_equal(store_fs_open(under(f, "file/below"), 8, NULL, &s, &err), -1);
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(store_fs_open(path, 8, NULL, &s, &err), -1);
    assert_int_equal(store_fs_open("/proc/self/fd/no", 8, NULL, &s, NULL), -1);
    assert_null(s);
}

/* A16: whoever can plant a link in the store must not make us read or write elsewhere. */
static void test_symlink_in_uploads(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    struct digest d;
    char *outside = xstrdup(under(f, "outside"));
    file_put(outside, "secret");
    assert_int_equal(symlink(outside, under(f, "uploads/" ID_A)), 0);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), -1);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), -1);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, NULL), -1);
    assert_null(st);
    digest_of(HASH_SHA256, SLICE_LIT("secret"), &d);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 6, &err), -1);
    assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
    assert_false(exists(under(f, "uploads/" ID_A)));
    assert_true(file_is(outside, "secret"));
    free(outside);
}

static void test_symlink_in_blobs(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct store_object o = {0};
    bool ok = true;
    char *outside = xstrdup(under(f, "outside"));
    file_put(outside, "abc");
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_int_equal(mkdir(under(f, "blobs/sha256/ba"), 0700), 0);
    /* In the place of the blob; the content would even be right. */
    assert_int_equal(symlink(outside, blob_path(f, &d)), 0);
    assert_int_equal(store_open(f->s, &d, &o, &err), -1);
    assert_int_equal(store_open(f->s, &d, &o, NULL), -1);
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), 0);
    assert_false(ok);
    blob_put(f->s, ID_A, &d, "abc", 3);
    assert_blob(f->s, &d, "abc", 3);
    assert_int_equal(mode_of(blob_path(f, &d)), S_IFREG | 0600);
    assert_int_equal(store_remove(f->s, &d, &err), 0);

    /* In the place of its directory. */
    char *elsewhere = xstrdup(under(f, "elsewhere"));
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    assert_int_equal(rmdir(under(f, "blobs/sha256/ba")), 0);
    assert_int_equal(symlink(elsewhere, under(f, "blobs/sha256/ba")), 0);
    stage_put(f->s, ID_A, "abc", 3);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), -1);
    assert_int_equal(store_open(f->s, &d, &o, &err), -1);
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), -1);
    assert_int_equal(store_remove(f->s, &d, &err), -1);
    assert_int_equal(rmdir(elsewhere), 0); /* so nothing was put there */
    free(elsewhere);
    free(outside);
}

static void test_symlinked_directories(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct store *s = NULL;
    store_close(f->s);
    f->s = NULL;
    /* The root: the operator's choice. */
    char *alias = xstrdup(under(f, "alias"));
    assert_int_equal(symlink(f->root, alias), 0);
    s = fs_open(alias);
    store_close(s);
    s = NULL;
    free(alias);
    /* Below it: not. */
    char *elsewhere = xstrdup(under(f, "elsewhere"));
    assert_int_equal(rename(under(f, "uploads"), elsewhere), 0);
    assert_int_equal(symlink(elsewhere, under(f, "uploads")), 0);
    assert_int_equal(store_fs_open(f->root, 8, NULL, &s, &err), -1);
    assert_null(s);
    free(elsewhere);
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_ino;
}

/* A repeated publish keeps its own file; that of another upload takes its place, unread. */
static void test_publish_replaces(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct store_object old = {0};
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    stage_put(f->s, ID_A, "abc", 3);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
    ino_t first = inode_of(blob_path(f, &d));
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
    assert_int_equal(inode_of(blob_path(f, &d)), first);
    assert_int_equal(store_open(f->s, &d, &old, &err), 0);

    stage_put(f->s, ID_B, "abc", 3);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_B), &d, 3, &err), 0);
    assert_int_equal(inode_of(blob_path(f, &d)), inode_of(under(f, "uploads/" ID_B)));
    assert_int_not_equal(inode_of(blob_path(f, &d)), first);
    assert_false(exists(under(f, "uploads/" ID_B ".replace")));
    assert_true(object_is(&old, "abc", 3));
    store_object_release(&old);
    /* Who opens it now gets the new file, not the one that was open. */
    struct store_object now = {0};
    struct stat st;
    assert_int_equal(store_open(f->s, &d, &now, &err), 0);
    assert_int_equal(fstat(now.file->fd, &st), 0);
    assert_int_not_equal(st.st_ino, first);
    store_object_release(&now);
    assert_blob(f->s, &d, "abc", 3);
}

/* The name of a stage is gone, its file is a blob's: every change is refused, for good, and the
 * blob's file is not touched. Without a blob too: what has no name can never be published. */
static void test_purged_stage_gives_up(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    char buf[8];
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    for (int published = 0; published < 2; published++) {
        for (int reopened = 0; reopened < 2; reopened++) {
            for (int cut = 0; cut < 2; cut++) {
                struct stage *st = NULL;
                assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
                assert_int_equal(stage_write(st, "abc", 3, &err), 0);
                assert_int_equal(stage_sync(st, &err), 0);
                if (published)
                    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
                if (reopened) {
                    stage_close(st);
                    st = NULL;
                    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), 0);
                }
                assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
                assert_int_equal(cut ? stage_truncate(st, 1, &err) : stage_write(st, "d", 1, &err),
                                 -1);
                assert_int_equal(err.code, ERR_UNAVAILABLE);
                assert_int_equal(stage_write(st, "d", 1, &err), -1);
                assert_int_equal(stage_truncate(st, 0, &err), -1);
                assert_int_equal(stage_sync(st, &err), -1);
                assert_int_equal(stage_read(st, buf, sizeof buf, 0, &err), -1);
                assert_int_equal(err.code, ERR_UNAVAILABLE);
                stage_close(st);
                assert_false(store_read_only(f->s)); /* nothing is wrong with the disk */
                assert_false(exists(under(f, "uploads/" ID_A)));
                assert_false(exists(under(f, "uploads/" ID_A ".copy")));
                if (published)
                    assert_true(file_is(blob_path(f, &d), "abc"));
                assert_int_equal(store_remove(f->s, &d, &err), 0);
            }
        }
    }
}

/* A directory in the place of a blob is no blob, and is not replaced. */
static void test_directory_as_blob(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    bool ok = true;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_int_equal(mkdir(under(f, "blobs/sha256/ba"), 0700), 0);
    assert_int_equal(mkdir(blob_path(f, &d), 0700), 0);
    assert_int_equal(store_verify(f->s, &d, 4096, &ok, NULL), 0);
    assert_false(ok);
    stage_put(f->s, ID_A, "abc", 3);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, NULL), -1);
    assert_int_equal(store_remove(f->s, &d, NULL), -1);
    assert_false(exists(under(f, "uploads/" ID_A ".replace")));
    assert_true(stage_exists(f->s, ID_A));
}

static int collect(void *arg, struct slice id)
{
    return stage_remove(arg, id, NULL);
}

/* Start-up finds whatever lies about in uploads/, and can remove it. */
static void test_strays(void **state)
{
    struct fixture *f = *state;
    struct error err;
    file_put(under(f, "uploads/core"), "x");
    file_put(under(f, "uploads/" ID_A ".replace"), "x");
    stage_put(f->s, ID_B, "b", 1);
    assert_int_equal(stage_list(f->s, collect, f->s, &err), 0);
    assert_int_equal(rmdir(under(f, "uploads")), 0);
    static const char *const bad[] = {"", ".", "..", "../lock", "a/b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(stage_remove(f->s, slice_cstr(bad[i]), &err), -1);
    assert_int_equal(stage_remove(f->s, slice_make("a\0b", 3), &err), -1);
    char longest[257];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(stage_remove(f->s, slice_make(longest, 256), &err), -1);
    assert_int_equal(stage_remove(f->s, slice_make(longest, 255), &err), 0);
    assert_true(exists(under(f, "lock")));
}

/* A real partial write: the limit on the size of files lets half of it through. */
static void test_partial_write(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    struct rlimit old, low;
    char buf[4000];
    memset(buf, 'x', sizeof buf);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, buf, 1000, &err), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 3000;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    int result = stage_write(st, buf, sizeof buf, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    assert_int_equal(result, -1);
    assert_int_equal(err.sys, EFBIG);
    struct stat info;
    assert_int_equal(stat(under(f, "uploads/" ID_A), &info), 0);
    assert_int_equal(info.st_size, 1000);
    assert_int_equal(stage_size(st), 1000);
    assert_false(store_read_only(f->s));
    assert_int_equal(stage_write(st, buf, sizeof buf, &err), 0);
    assert_int_equal(stage_size(st), 5000);
    /* Sizes beyond what a file can have are refused before anything is written. */
    assert_int_equal(stage_write(st, buf, (size_t)INT64_MAX, &err), -1);
    assert_int_equal(err.code, ERR_SIZE_EXCEEDED);
    stage_close(st);
}

static double metric_named(struct metrics *m, const char *name)
{
    CLEANUP_BUF struct buf out;
    buf_init(&out, 1u << 20);
    assert_int_equal(metrics_print(m, &out), 0);
    char line[128];
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(out.p, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static void test_metrics(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct store_object o[3] = {0};
    store_close(f->s);
    struct metrics *m = metrics_new();
    assert_int_equal(store_fs_open(f->root, 8, m, &f->s, &err), 0);
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    blob_put(f->s, ID_A, &d, "abc", 3);
    assert_true(metric_named(m, "berth_store_bytes_written_total") == 3);
    assert_true(metric_named(m, "berth_store_publish_total") == 1);
    /* The file, its name in uploads/, the new directory's name, the blob's name in that. */
    assert_true(metric_named(m, "berth_store_syncs_total") == 4);
    assert_true(metric_named(m, "berth_store_read_only") == 0);
    assert_true(metric_named(m, "berth_store_open_fds") == 0);
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        assert_int_equal(store_open(f->s, &d, &o[i], &err), 0);
    assert_true(metric_named(m, "berth_store_open_fds") == 1); /* however many read it */
    assert_int_equal(o[0].file->fd, o[2].file->fd);
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        store_object_release(&o[i]);
    assert_int_equal(store_probe(f->s, &err), 0);
    store_close(f->s);
    f->s = NULL;
    metrics_free(m);
}

/* Who is about to end does not wait until 100 GB are hashed; and takes nothing for damaged. */
static void test_stopping(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct digest d;
    bool ok = true;
    static char bytes[1024 * 1024];
    digest_of(HASH_SHA256, slice_make(bytes, sizeof bytes), &d);
    blob_put(f->s, ID_A, &d, bytes, sizeof bytes);
    assert_int_equal(store_verify(f->s, &d, sizeof bytes, &ok, NULL), 0);
    assert_true(ok);
    store_stop(f->s);
    assert_int_equal(store_verify(f->s, &d, sizeof bytes, &ok, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(ok);
}

#define HERE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    struct CMUnitTest tests[STORE_CONFORMANCE_MAX + 16] = {
        HERE(test_layout),
        HERE(test_reopen),
        HERE(test_directory_lost),
        HERE(test_marker),
        HERE(test_locked),
        HERE(test_open_refused),
        HERE(test_symlink_in_uploads),
        HERE(test_symlink_in_blobs),
        HERE(test_symlinked_directories),
        HERE(test_publish_replaces),
        HERE(test_purged_stage_gives_up),
        HERE(test_directory_as_blob),
        HERE(test_strays),
        HERE(test_partial_write),
        HERE(test_metrics),
        HERE(test_stopping),
    };
    size_t n = 16;
    store_conformance_add(tests, &n, conformance_setup, conformance_teardown);
    return _cmocka_run_group_tests("store_fs", tests, n, NULL, NULL);
}
