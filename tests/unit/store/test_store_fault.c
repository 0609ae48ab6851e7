/* SPDX-License-Identifier: Apache-2.0 */
/* The filesystem store when calls fail and when the process is killed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "os/fault.h"
#include "store/upload.h"
#include "store_conformance.h"
#include "tmp_dir.h"

#include "base/banned.h"

struct fixture {
    struct store *s;
    struct metrics *m;
    char *root;
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
    tmp_dir_remove(f->root);
    free(f);
    return 0;
}

static int64_t syncs(struct fixture *f)
{
    return metric_value(
        metrics_counter(f->m, "berth_store_syncs_total", "Calls of fsync by the store.", ""));
}

static int64_t gauge_read_only(struct fixture *f)
{
    return metric_value(metrics_gauge(f->m, "berth_store_read_only",
                                      "1 while the store refuses writes after a failed sync.", ""));
}

/* ---- one failure at a time ---- */

/* Only stages lie about, no second names. */
static int sweep_checked(void *arg, struct slice id)
{
    (void)arg;
    assert_true(upload_id_valid(id));
    return 0;
}

static void test_sync_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL, *other = NULL;
    struct digest d, old;
    char buf[8];
    digest_of(HASH_SHA256, SLICE_LIT("old"), &old);
    blob_put(f->s, ID_B, &old, "old", 3);
    digest_of(HASH_SHA256, SLICE_LIT("data"), &d);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_C), true, &other, &err), 0);
    assert_int_equal(stage_write(st, "data", 4, &err), 0);
    faults("stage.sync=EIO");
    int64_t before = syncs(f);
    assert_int_equal(stage_sync(st, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY); /* the client sees the state that it caused */
    assert_int_equal(err.sys, EIO);
    assert_int_equal(syncs(f), before + 1);

    /* The store is read-only: reads go on, writes do not. */
    assert_true(store_read_only(f->s));
    assert_int_equal(gauge_read_only(f), 1);
    struct store_object o = {0};
    assert_int_equal(store_open(f->s, &old, &o, &err), 0);
    assert_true(object_is(&o, "old", 3));
    store_object_release(&o);
    /* To confirm is more than to read: nothing can be made durable now. */
    bool ok = false;
    assert_int_equal(store_verify(f->s, &old, 3, &ok, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_false(ok);
    struct stage *none = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_B), true, &none, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_int_equal(stage_write(other, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_int_equal(stage_sync(other, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_C), &d, 0, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_int_equal(store_remove(f->s, &old, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);

    /* That data is never synced again, whatever is called (two were verify's). */
    assert_int_equal(syncs(f), before + 3);
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_false(store_read_only(f->s));
    assert_int_equal(gauge_read_only(f), 0);
    before = syncs(f);
    assert_int_equal(stage_sync(st, &err), -1);
    assert_int_equal(stage_write(st, "x", 1, &err), -1);
    assert_int_equal(stage_read(st, buf, sizeof buf, 0, &err), -1);
    assert_int_equal(stage_truncate(st, 0, &err), -1);
    assert_int_equal(stage_truncate(st, 4, &err), -1);
    assert_int_equal(syncs(f), before);
    stage_close(st);
    /* And nobody can take up the bytes in the page cache, that read back well. */
    assert_false(stage_exists(f->s, ID_A));
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 4, &err), -1);
    assert_no_blob(f->s, &d);

    assert_int_equal(stage_write(other, "x", 1, &err), 0);
    assert_int_equal(stage_sync(other, &err), 0);
    stage_close(other);
    blob_put(f->s, ID_A, &d, "data", 4);
    assert_blob(f->s, &d, "data", 4);
}

/* The name cannot be removed either: then at least the bytes go. */
static void test_sync_and_unlink_fail(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, "data", 4, &err), 0);
    faults("stage.sync=ENOSPC,stage.unlink=EIO");
    assert_int_equal(stage_sync(st, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY); /* whatever the reason */
    assert_int_equal(err.sys, ENOSPC);
    assert_true(store_read_only(f->s));
    stage_close(st);
    st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), 0);
    assert_int_equal(stage_size(st), 0);
    stage_close(st);
}

static void test_probe_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    faults("stage.sync=EIO,store.probe=EIO+");
    assert_int_equal(stage_sync(st, &err), -1);
    stage_close(st);
    assert_int_equal(store_probe(f->s, &err), -1);
    assert_int_equal(store_probe(f->s, NULL), -1);
    assert_true(store_read_only(f->s));
    faults("");
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_false(store_read_only(f->s));
    /* open, write, fsync, read, unlink: only the sync makes a writable store read-only. */
    for (int i = 1; i <= 5; i++) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "store.probe=ENOSPC@%d", i);
        faults(spec);
        assert_int_equal(store_probe(f->s, &err), -1);
        assert_int_equal(err.code, i == 3 ? ERR_READ_ONLY : ERR_NO_SPACE);
        assert_int_equal(store_read_only(f->s), i == 3);
        faults("");
        assert_int_equal(store_probe(f->s, &err), 0);
        assert_false(store_read_only(f->s));
    }
    /* The kernel remounted the file system. */
    faults("store.probe=EROFS");
    assert_int_equal(store_probe(f->s, &err), -1);
    assert_true(store_read_only(f->s));
}

static void test_erofs(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    faults("stage.write=EROFS");
    assert_int_equal(stage_write(st, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_true(store_read_only(f->s));
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_int_equal(stage_write(st, "x", 1, &err), 0);
    faults("stage.truncate=EROFS");
    assert_int_equal(stage_truncate(st, 0, &err), -1);
    assert_true(store_read_only(f->s));
    assert_int_equal(stage_size(st), 1);
    stage_close(st);
}

static void test_no_space(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL, *other = NULL;
    char *p = content_make(100000, 1);
    faults("stage.create=ENOSPC");
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, p, 1000, &err), 0);
    /* Once. */
    faults("stage.write=ENOSPC");
    assert_int_equal(stage_write(st, p + 1000, 5000, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(stage_size(st), 1000);
    assert_false(store_read_only(f->s));
    assert_int_equal(stage_write(st, p + 1000, 5000, &err), 0);
    /* From now on, until somebody makes room. */
    faults("stage.write=EDQUOT+");
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_B), true, &other, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stage_write(st, p + 6000, 10, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_int_equal(stage_write(other, p, 10, &err), -1);
    }
    assert_false(store_read_only(f->s));
    faults("");
    assert_int_equal(stage_write(st, p + 6000, 94000, &err), 0);
    assert_int_equal(stage_write(other, p, 10, &err), 0);
    assert_int_equal(stage_sync(st, &err), 0);
    struct digest d;
    digest_of(HASH_SHA256, slice_make(p, 100000), &d);
    faults("blob.link=ENOSPC");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 100000, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_false(store_read_only(f->s));
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 100000, &err), 0);
    assert_blob(f->s, &d, p, 100000);
    stage_close(st);
    stage_close(other);
    free(p);
}

/* A failed write whose bytes cannot be cut off again: the stage is given up. */
static void test_write_and_cut_fail(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    faults("stage.write=ENOSPC,stage.truncate=EIO");
    assert_int_equal(stage_write(st, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    faults("");
    assert_int_equal(stage_write(st, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(stage_sync(st, &err), -1);
    assert_false(store_read_only(f->s));
    stage_close(st);
}

static void test_short(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    char *p = content_make(100000, 1);
    char *q = xcalloc(100000, 1);
    struct digest d;
    digest_of(HASH_SHA256, slice_make(p, 100000), &d);
    faults("stage.write=short+,stage.read=short+,blob.read=short+");
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, p, 99999, &err), 0);
    assert_int_equal(stage_write(st, p + 99999, 1, &err), 0);
    assert_int_equal(stage_read(st, q, 100000, 0, &err), 100000);
    assert_memory_equal(p, q, 100000);
    assert_int_equal(stage_sync(st, &err), 0);
    stage_close(st);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 100000, &err), 0);
    assert_blob(f->s, &d, p, 100000);
    free(p);
    free(q);
}

static void test_dirsync_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    stage_put(f->s, ID_A, "abc", 3);
    faults("blob.dirsync=EIO");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_true(store_read_only(f->s));
    assert_true(stage_exists(f->s, ID_A));
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
    assert_blob(f->s, &d, "abc", 3);
    faults("blob.dirsync=EIO");
    assert_int_equal(store_remove(f->s, &d, &err), -1);
    assert_true(store_read_only(f->s));
}

/* The name of a stage is synced with its first sync, and again after it got another file. */
static void test_stage_name_synced(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    struct digest d;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, "ab", 2, &err), 0);
    int64_t before = syncs(f);
    assert_int_equal(stage_sync(st, &err), 0);
    assert_int_equal(syncs(f), before + 2); /* the file and uploads/ */
    assert_int_equal(stage_write(st, "c", 1, &err), 0);
    assert_int_equal(stage_sync(st, &err), 0);
    assert_int_equal(syncs(f), before + 3);
    /* A blob keeps the file: the stage has a new one, whose name is not durable yet. */
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
    assert_int_equal(stage_write(st, "d", 1, &err), 0);
    before = syncs(f);
    assert_int_equal(stage_sync(st, &err), 0);
    assert_int_equal(syncs(f), before + 2);
    stage_close(st);
    /* Who opens it anew does not know whether it is. */
    st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), 0);
    before = syncs(f);
    assert_int_equal(stage_sync(st, &err), 0);
    assert_int_equal(syncs(f), before + 2);
    stage_close(st);
    assert_blob(f->s, &d, "abc", 3);
}

/* The file is durable, its name is not: the stage is given up as after any failed sync. */
static void test_stage_name_sync_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct stage *st = NULL;
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, "data", 4, &err), 0);
    faults("stage.sync=EIO@2");
    assert_int_equal(stage_sync(st, &err), -1);
    assert_int_equal(err.code, ERR_READ_ONLY);
    assert_true(store_read_only(f->s));
    assert_false(stage_exists(f->s, ID_A));
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_int_equal(stage_sync(st, &err), -1);
    assert_int_equal(stage_write(st, "x", 1, &err), -1);
    stage_close(st);
}

/* What verify confirms is durable afterwards, file and name; when that cannot be had, it confirms
 * nothing. */
static void test_verify_syncs(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d, none;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    digest_of(HASH_SHA256, SLICE_LIT("none"), &none);
    blob_put(f->s, ID_A, &d, "abc", 3);
    bool ok = false;
    int64_t before = syncs(f);
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), 0);
    assert_true(ok);
    assert_int_equal(syncs(f), before + 2);
    /* Of what is not right, nothing is synced. */
    before = syncs(f);
    assert_int_equal(store_verify(f->s, &d, 4, &ok, &err), 0);
    assert_false(ok);
    assert_int_equal(store_verify(f->s, &none, 4, &ok, &err), 0);
    assert_false(ok);
    assert_int_equal(syncs(f), before);
    for (int i = 1; i <= 2; i++) {
        char spec[64];
        ok = false;
        (void)snprintf(spec, sizeof spec, "blob.dirsync=EIO@%d", i);
        faults(spec);
        assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), -1);
        assert_int_equal(err.code, ERR_READ_ONLY);
        assert_false(ok);
        assert_true(store_read_only(f->s));
        /* A sync that lied may hide behind one that succeeds: not while the store is read-only. */
        assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), -1);
        assert_int_equal(err.code, ERR_READ_ONLY);
        assert_false(ok);
        assert_int_equal(store_probe(f->s, &err), 0);
        assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), 0);
        assert_true(ok);
    }
}

static void test_stat_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    uint64_t size = 4711;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    blob_put(f->s, ID_A, &d, "abc", 3);
    /* Not "unknown": nobody may take the blob for lost. */
    static const char *const spec[] = {"blob.stat=EIO", "blob.open=EMFILE"};
    for (size_t i = 0; i < ARRAY_LEN(spec); i++) {
        faults(spec[i]);
        assert_int_equal(store_stat(f->s, &d, &size, &err), -1);
        assert_int_equal(err.code, strstr(spec[i], "EMFILE") ? ERR_UNAVAILABLE : ERR_UNKNOWN);
        assert_int_equal(size, 4711);
    }
    assert_int_equal(store_stat(f->s, &d, &size, &err), 0);
    assert_int_equal(size, 3);
}

/* What is in the place cannot be read: a good copy is at hand, so it is replaced, and to find out
 * nothing was read. */
static void test_unreadable_replaced(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct stat before, after;
    char path[4096];
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/ba/%s", f->root, digest_hex(&d).p);
    blob_put(f->s, ID_A, &d, "abc", 3);
    assert_int_equal(stat(path, &before), 0);
    stage_put(f->s, ID_B, "abc", 3);
    faults("blob.read=EIO+,blob.stat=EIO+");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_B), &d, 3, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    faults("");
    assert_blob(f->s, &d, "abc", 3);
    assert_int_equal(stage_list(f->s, sweep_checked, f->s, &err), 0);
    /* Its own file, of an earlier try: nothing is replaced. */
    faults("blob.replace=EIO");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_B), &d, 3, &err), 0);
    stage_put(f->s, ID_C, "abc", 3);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_C), &d, 3, &err), -1);
    assert_int_equal(err.sys, EIO);
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_C), &d, 3, &err), 0);
    faults("blob.open=EMFILE");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_C), &d, 3, &err), -1);
    assert_int_equal(err.sys, EMFILE);
    bool ok = false;
    faults("blob.read=EIO");
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), -1);
    assert_int_equal(err.sys, EIO);
    faults("blob.open=EMFILE");
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), -1);
    faults("blob.unlink=EIO");
    assert_int_equal(store_remove(f->s, &d, &err), -1);
    faults("");
    assert_blob(f->s, &d, "abc", 3);
}

static void test_open_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct stage *st = NULL;
    struct store_object o = {0};
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    blob_put(f->s, ID_A, &d, "abc", 3);
    /* Not "unknown": the client must not believe that the blob is gone. */
    static const char *const spec[] = {"blob.open=EMFILE", "blob.open=EIO@2", "blob.stat=EIO"};
    for (size_t i = 0; i < ARRAY_LEN(spec); i++) {
        faults(spec[i]);
        assert_int_equal(store_open(f->s, &d, &o, &err), -1);
        assert_int_equal(err.code, strstr(spec[i], "EMFILE") ? ERR_UNAVAILABLE : ERR_UNKNOWN);
    }
    stage_put(f->s, ID_A, "abc", 3);
    faults("stage.open=EMFILE");
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    faults("stage.stat=EIO");
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), -1);
    assert_int_equal(err.code, ERR_UNKNOWN);
    faults("stage.unlink=EIO");
    assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), -1);
    assert_true(stage_exists(f->s, ID_A));
}

static int never(void *arg, struct slice id)
{
    (void)arg;
    (void)id;
    return 1;
}

static void test_list_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    faults("store.list=EIO");
    assert_int_equal(stage_list(f->s, never, NULL, &err), -1);
    assert_int_equal(err.sys, EIO);
}

static uint64_t stage_length(struct store *s, const char *id)
{
    struct stage *st = NULL;
    if (stage_open(s, slice_cstr(id), false, &st, NULL) != 0)
        return 0;
    uint64_t n = stage_size(st);
    stage_close(st);
    return n;
}

/* The copy that parts a stage from its blob fails: both keep their bytes, and it is tried again.
 */
static void test_unshare_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    static const char *const spec[] = {"stage.unlink=EIO", "stage.create=ENOSPC", "stage.read=EIO",
                                       "stage.write=ENOSPC", "stage.create=EIO@2"};
    for (size_t i = 0; i < ARRAY_LEN(spec); i++) {
        struct stage *st = NULL;
        stage_put(f->s, ID_A, "abc", 3);
        assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
        assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), false, &st, &err), 0);
        /* To look at the file, and at its name: a failure says nothing about either. */
        faults("stage.stat=EIO");
        assert_int_equal(stage_write(st, "d", 1, &err), -1);
        faults("stage.stat=EMFILE@2");
        assert_int_equal(stage_write(st, "d", 1, &err), -1);
        assert_int_equal(err.sys, EMFILE);
        faults(spec[i]);
        assert_int_equal(stage_write(st, "d", 1, &err), -1);
        assert_int_equal(stage_truncate(st, 3, &err), 0);
        faults("");
        assert_int_equal(stage_length(f->s, ID_A), 3);
        assert_int_equal(stage_write(st, "d", 1, &err), 0);
        assert_int_equal(stage_length(f->s, ID_A), 4);
        stage_close(st);
        assert_int_equal(stage_list(f->s, sweep_checked, f->s, &err), 0);
        assert_blob(f->s, &d, "abc", 3);
        assert_int_equal(store_remove(f->s, &d, &err), 0);
        assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
    }
}

/* ---- a push with everything that can go wrong ---- */

enum { SYNCED = 1, PUBLISHED = 2, UNSTAGED = 4, REPLACED = 8, REMOVED = 16, ALL = 31 };
enum { PUSH_BYTES = 300000 };

/* What there is before: a torn blob in one place, and a good one that is to be removed. */
struct script {
    char *p;
    struct digest pushed, torn, removed;
};

static void script_prepare(struct store *s, struct script *sc, unsigned seed)
{
    char text[64];
    sc->p = content_make(PUSH_BYTES, seed);
    digest_of(HASH_SHA256, slice_make(sc->p, PUSH_BYTES), &sc->pushed);
    digest_of(HASH_SHA512, slice_make(sc->p, 1000), &sc->torn);
    blob_put(s, ID_B, &sc->torn, "torn", 4);
    (void)snprintf(text, sizeof text, "old %u", seed);
    digest_of(HASH_SHA256, slice_cstr(text), &sc->removed);
    blob_put(s, ID_B, &sc->removed, text, strlen(text));
}

/* Stops at the first failure, as a request does. Each step that succeeded is acknowledged: in the
 * answer, and on fd when there is one. */
static unsigned script_run(struct store *s, const struct script *sc, int fd)
{
    unsigned acked = 0;
    struct error err;
    struct stage *st = NULL;
#define ACK(flag)                              \
    do {                                       \
        char c_ = (char)(flag);                \
        acked |= (unsigned)(flag);             \
        if (fd >= 0 && write(fd, &c_, 1) != 1) \
            _exit(3);                          \
    } while (0)
    bool ok = stage_open(s, SLICE_LIT(ID_A), true, &st, &err) == 0;
    for (size_t at = 0; ok && at < PUSH_BYTES; at += PUSH_BYTES / 3)
        ok = stage_write(st, sc->p + at, PUSH_BYTES / 3, &err) == 0;
    ok = ok && stage_sync(st, &err) == 0;
    stage_close(st);
    st = NULL;
    if (!ok)
        return acked;
    ACK(SYNCED);
    if (store_publish(s, SLICE_LIT(ID_A), &sc->pushed, PUSH_BYTES, &err) != 0)
        return acked;
    ACK(PUBLISHED);
    if (stage_remove(s, SLICE_LIT(ID_A), &err) != 0)
        return acked;
    ACK(UNSTAGED);
    ok = stage_open(s, SLICE_LIT(ID_C), true, &st, &err) == 0 &&
         stage_write(st, sc->p, 1000, &err) == 0 && stage_sync(st, &err) == 0;
    stage_close(st);
    if (!ok || store_publish(s, SLICE_LIT(ID_C), &sc->torn, 1000, &err) != 0)
        return acked;
    ACK(REPLACED);
    if (store_remove(s, &sc->removed, &err) != 0)
        return acked;
    ACK(REMOVED);
    return acked;
#undef ACK
}

static bool there(struct store *s, const struct digest *d)
{
    struct store_object o = {0};
    struct error err;
    if (store_open(s, d, &o, &err) != 0) {
        assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
        return false;
    }
    store_object_release(&o);
    return true;
}

static bool verified(struct store *s, const struct digest *d, uint64_t size)
{
    bool ok = false;
    struct error err;
    assert_int_equal(store_verify(s, d, size, &ok, &err), 0);
    return ok;
}

static int sweep(void *arg, struct slice id)
{
    return stage_remove(arg, id, NULL);
}

/* All that was acknowledged is there, and what was not, is there whole or not at all. Then the
 * push is repeated and must succeed. */
static void script_check(struct store *s, struct script *sc, unsigned acked)
{
    struct error err;
    if (there(s, &sc->pushed))
        assert_true(verified(s, &sc->pushed, PUSH_BYTES));
    else
        assert_false(acked & PUBLISHED);
    /* Link, then unlink: at no time is there no name. (A sync that failed gives the data up, but
     * then it was not acknowledged.) */
    if ((acked & SYNCED) && !there(s, &sc->pushed))
        assert_int_equal(stage_length(s, ID_A), PUSH_BYTES);
    if (acked & UNSTAGED)
        assert_false(stage_exists(s, ID_A));
    /* The rename is atomic: the place is never empty. */
    assert_true(there(s, &sc->torn));
    assert_true(verified(s, &sc->torn, 1000) || !(acked & REPLACED));
    if (there(s, &sc->removed))
        assert_false(acked & REMOVED);
    else
        assert_int_equal(acked & REPLACED, REPLACED);

    assert_int_equal(stage_list(s, sweep, s, &err), 0);
    assert_int_equal(script_run(s, sc, -1), ALL);
    assert_true(verified(s, &sc->pushed, PUSH_BYTES));
    assert_true(verified(s, &sc->torn, 1000));
    assert_false(there(s, &sc->removed));
    assert_int_equal(stage_list(s, sweep, s, &err), 0);
    free(sc->p);
}

/* Each call fails in turn: once, and from then on. */
static void test_every_call_fails(void **state)
{
    struct fixture *f = *state;
    static const char *const actions[] = {"EIO", "ENOSPC", "EROFS", "EMFILE", "short"};
    unsigned seed = 1;
    for (size_t a = 0; a < ARRAY_LEN(actions); a++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            unsigned acked = 0;
            unsigned failed = 0;
            unsigned run = 0; /* in a row without a failure: past the last passage */
            for (unsigned n = 1; run < 10 && n < 200; n++) {
                struct script sc;
                char spec[64];
                script_prepare(f->s, &sc, seed++);
                (void)snprintf(spec, sizeof spec, "*=%s@%u%s", actions[a], n, sticky ? "+" : "");
                faults(spec);
                acked = script_run(f->s, &sc, -1);
                faults("");
                assert_int_equal(store_probe(f->s, NULL), 0);
                script_check(f->s, &sc, acked);
                run = acked == ALL ? run + 1 : 0;
                failed += acked != ALL;
            }
            assert_int_equal(acked, ALL);
            if (strcmp(actions[a], "short") == 0)
                assert_int_equal(failed, 0);
            else
                assert_true(failed >= 12);
        }
    }
}

/* ---- kills ---- */

/* Runs the script in a child under the faults: its acknowledgements, and how it ended. */
static unsigned run_child(const char *root, const struct script *sc, const char *spec, int *status)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *s = NULL;
        (void)close(ends[0]);
        if (store_fs_open(root, 8, NULL, &s, NULL) != 0 || fault_configure(spec) != 0)
            _exit(2);
        _exit(script_run(s, sc, ends[1]) == ALL ? 0 : 1);
    }
    (void)close(ends[1]);
    unsigned acked = 0;
    char c;
    while (read(ends[0], &c, 1) == 1)
        acked |= (unsigned)c;
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
    return acked;
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* One crash under `spec`, and the recovery. Returns whether it was one. */
static bool crash_once(struct fixture *f, const char *spec, unsigned seed)
{
    struct script sc;
    int status = 0;
    script_prepare(f->s, &sc, seed);
    store_close(f->s);
    f->s = NULL;
    unsigned acked = run_child(f->root, &sc, spec, &status);
    assert_int_equal(store_fs_open(f->root, 8, NULL, &f->s, NULL), 0);
    bool killed = was_killed(status);
    if (!killed) {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(acked, ALL);
    }
    script_check(f->s, &sc, acked);
    return killed;
}

/* Every window between two calls. */
static void test_kill_everywhere(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 1000;
    unsigned kills = 0;
    static const char *const where[] = {"*", "*.after"};
    for (size_t w = 0; w < ARRAY_LEN(where); w++) {
        bool killed = true;
        for (unsigned n = 1; killed && n < 200; n++) {
            char spec[64];
            (void)snprintf(spec, sizeof spec, "%s=kill@%u", where[w], n);
            killed = crash_once(f, spec, seed++);
            kills += killed;
        }
        assert_false(killed); /* it went past the last one */
    }
    assert_true(kills >= 40);
}

/* Every point that a push passes, by its name. */
static void test_kill_named(void **state)
{
    struct fixture *f = *state;
    static const char *const points[] = {
        "stage.create", "stage.write",  "stage.sync",   "stage.stat",   "blob.open",   "blob.link",
        "blob.stat",    "blob.dirsync", "stage.unlink", "blob.replace", "blob.unlink",
    };
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        for (int after = 0; after < 2; after++) {
            char spec[64];
            (void)snprintf(spec, sizeof spec, "%s%s=kill", points[i], after ? ".after" : "");
            assert_true(crash_once(f, spec, (unsigned)(5000 + i * 2) + (unsigned)after));
        }
    }
}

static bool whole_layout(const char *root)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/blobs/sha256", root);
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return false;
    (void)snprintf(path, sizeof path, "%s/blobs/sha512", root);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A directory that is there may have been made by somebody whose sync of its name failed or never
 * came: each process syncs it before it relies on it. */
static void test_the_name_of_a_directory(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct digest d;
    struct stage *st = NULL;
    bool ok = false;
    digest_of(HASH_SHA256, SLICE_LIT("abc"), &d);
    assert_int_equal(stage_open(f->s, SLICE_LIT(ID_A), true, &st, &err), 0);
    assert_int_equal(stage_write(st, "abc", 3, &err), 0);
    assert_int_equal(stage_sync(st, &err), 0);
    stage_close(st);
    /* Made, but not synced; then it is there, and still not synced. */
    for (int i = 0; i < 2; i++) {
        faults(i == 0 ? "store.setup=EIO@2" : "store.setup=EIO");
        assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), -1);
        assert_int_equal(err.code, ERR_READ_ONLY);
        faults("");
        assert_int_equal(store_probe(f->s, &err), 0);
    }
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
    /* Once is enough. */
    faults("store.setup=EIO+");
    assert_int_equal(store_publish(f->s, SLICE_LIT(ID_A), &d, 3, &err), 0);
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), 0);
    assert_true(ok);
    faults("");
    /* What the process before made is not known; recovery relies on it too. */
    store_close(f->s);
    assert_int_equal(store_fs_open(f->root, 8, f->m, &f->s, NULL), 0);
    faults("store.setup=EIO");
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), -1);
    faults("");
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_int_equal(store_verify(f->s, &d, 3, &ok, &err), 0);
    assert_true(ok);
}

/* The first start is cut off, or a call of it fails: the next one finishes it. */
static void test_setup_interrupted(void **state)
{
    (void)state;
    unsigned hit = 0;
    faults("");
    for (unsigned at = 1; at <= 40; at++) {
        for (int kill = 0; kill < 2; kill++) {
            char *root = tmp_dir_make();
            char spec[64];
            (void)snprintf(spec, sizeof spec, "store.setup=%s@%u", kill ? "kill" : "EIO", at);
            pid_t child = kill ? fork() : 0;
            assert_true(child >= 0);
            if (child == 0) {
                struct store *s = NULL;
                faults(spec);
                int failed = store_fs_open(root, 8, NULL, &s, NULL);
                if (kill)
                    _exit(0);
                faults("");
                hit += failed != 0;
                store_close(s);
            } else {
                int status = 0;
                assert_int_equal(waitpid(child, &status, 0), child);
                hit += was_killed(status);
            }
            struct store *s = NULL;
            assert_int_equal(store_fs_open(root, 8, NULL, &s, NULL), 0);
            assert_true(whole_layout(root));
            store_close(s);
            tmp_dir_remove(root);
        }
    }
    assert_true(hit >= 20);
}

/* ---- upload sessions ---- */

static struct upload *adopt(struct uploads *u, bool staged, uint64_t offset)
{
    struct upload *up = NULL;
    enum upload_acquire got = UPLOAD_ABSENT;
    struct error err;
    if (upload_adopt(u, SLICE_LIT("r"), SLICE_LIT(ID_A), HASH_SHA256, staged, offset, SLICE_NONE,
                     &up, &got, &err) != 0)
        return NULL;
    assert_int_equal(got, UPLOAD_ACQUIRED);
    return up;
}

/* Whatever fails, offset, bytes and digest go on to agree, and the client can repeat the call. */
static void test_upload_every_call_fails(void **state)
{
    struct fixture *f = *state;
    struct error err;
    enum { CHUNK = 3000, CHUNKS = 5 };
    char *p = content_make((size_t)CHUNK * CHUNKS, 9);
    static const char *const actions[] = {"EIO", "ENOSPC", "short"};
    for (size_t a = 0; a < ARRAY_LEN(actions); a++) {
        for (unsigned n = 1; n < 16; n++) {
            struct uploads *u = uploads_new(f->s, 4096, 4);
            struct upload *up = adopt(u, false, 0);
            char spec[64];
            (void)snprintf(spec, sizeof spec, "*=%s@%u", actions[a], n);
            faults(spec);
            unsigned failures = 0;
            for (unsigned i = 0; i < CHUNKS; i++) {
                while (upload_append(up, p + i * CHUNK, CHUNK, &err) != 0)
                    assert_int_equal(++failures, 1);
                assert_int_equal(upload_offset(up), (i + 1) * CHUNK);
            }
            faults("");
            assert_false(store_read_only(f->s));
            struct digest want, have;
            digest_of(HASH_SHA256, slice_make(p, (size_t)CHUNK * CHUNKS), &want);
            assert_int_equal(upload_digest(up, &have), 0);
            assert_string_equal(have.text, want.text);
            assert_int_equal(upload_sync(up, &err), 0);
            assert_int_equal(
                store_publish(f->s, SLICE_LIT(ID_A), &have, (uint64_t)CHUNK * CHUNKS, &err), 0);
            assert_blob(f->s, &have, p, (size_t)CHUNK * CHUNKS);
            upload_forget(up);
            uploads_free(u);
            assert_int_equal(stage_remove(f->s, SLICE_LIT(ID_A), &err), 0);
            assert_int_equal(store_remove(f->s, &have, &err), 0);
        }
    }
    free(p);
}

static void test_upload_given_up(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct uploads *u = uploads_new(f->s, 0, 4);
    struct upload *up = adopt(u, false, 0);
    assert_int_equal(upload_append(up, "abc", 3, &err), 0);
    faults("stage.sync=EIO");
    assert_int_equal(upload_sync(up, &err), -1);
    assert_int_equal(store_probe(f->s, &err), 0);
    assert_int_equal(upload_sync(up, &err), -1);
    assert_int_equal(upload_append(up, "d", 1, &err), -1);
    upload_forget(up);
    /* Adopted again from its row, it starts at 0, which the row does not say. */
    up = adopt(u, true, 3);
    assert_int_equal(upload_offset(up), 0);
    assert_false(upload_is_saved(up));
    assert_int_equal(upload_append(up, "abc", 3, &err), 0);
    assert_int_equal(upload_sync(up, &err), 0);
    upload_forget(up);
    uploads_free(u);
}

static void test_upload_failures(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct uploads *u = uploads_new(f->s, 4096, 4);
    stage_put(f->s, ID_A, "0123456789", 10);
    faults("stage.open=EIO");
    assert_null(adopt(u, true, 10));
    assert_int_equal(uploads_active(u), 0);
    struct upload *up = adopt(u, true, 10);
    bool done = false;
    faults("stage.read=EIO");
    assert_int_equal(upload_hash(up, HASH_SHA256, 100, &done, &err), -1);
    assert_int_equal(upload_hash(up, HASH_SHA256, 100, &done, &err), 0);
    assert_true(done);
    /* The cut fails: it stays due, for whatever comes first. */
    upload_rewind(up, 4);
    faults("stage.truncate=EIO+");
    assert_int_equal(upload_append(up, "x", 1, &err), -1);
    assert_int_equal(upload_sync(up, &err), -1);
    assert_int_equal(upload_hash(up, HASH_SHA256, 100, &done, &err), -1);
    assert_int_equal(upload_offset(up), 4);
    faults("");
    assert_int_equal(upload_append(up, "x", 1, &err), 0);
    assert_int_equal(upload_hash(up, HASH_SHA256, 100, &done, &err), 0);
    struct digest want, have;
    digest_of(HASH_SHA256, SLICE_LIT("0123x"), &want);
    assert_int_equal(upload_digest(up, &have), 0);
    assert_string_equal(have.text, want.text);
    upload_forget(up);

    /* What the row did not acknowledge is cut off before anything else is done. */
    faults("");
    up = adopt(u, true, 2);
    assert_int_equal(upload_offset(up), 2);
    faults("stage.truncate=EIO+");
    assert_int_equal(upload_append(up, "y", 1, &err), -1);
    assert_int_equal(upload_sync(up, &err), -1);
    assert_int_equal(upload_cut(up, &err), -1);
    assert_int_equal(upload_offset(up), 2);
    faults("");
    assert_int_equal(upload_sync(up, &err), 0);
    assert_int_equal(stage_length(f->s, ID_A), 2);

    /* A write whose part cannot be cut off again: the stage is given up, and the session says so;
     * from its row it goes on. */
    faults("stage.write=ENOSPC,stage.truncate=EIO");
    assert_int_equal(upload_append(up, "z", 1, &err), -1);
    faults("");
    assert_int_equal(upload_offset(up), 2);
    assert_int_equal(upload_cut(up, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    upload_forget(up);
    up = adopt(u, true, 2);
    assert_int_equal(upload_cut(up, &err), 0);
    assert_int_equal(upload_append(up, "z", 1, &err), 0);
    assert_int_equal(stage_length(f->s, ID_A), 3);
    upload_forget(up);
    uploads_free(u);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sync_fails),
        TEST(test_sync_and_unlink_fail),
        TEST(test_probe_fails),
        TEST(test_erofs),
        TEST(test_no_space),
        TEST(test_write_and_cut_fail),
        TEST(test_short),
        TEST(test_dirsync_fails),
        TEST(test_stage_name_synced),
        TEST(test_stage_name_sync_fails),
        TEST(test_verify_syncs),
        TEST(test_stat_fails),
        TEST(test_unreadable_replaced),
        TEST(test_open_fails),
        TEST(test_list_fails),
        TEST(test_unshare_fails),
        TEST(test_every_call_fails),
        TEST(test_kill_everywhere),
        TEST(test_kill_named),
        TEST(test_the_name_of_a_directory),
        cmocka_unit_test(test_setup_interrupted),
        TEST(test_upload_every_call_fails),
        TEST(test_upload_given_up),
        TEST(test_upload_failures),
    };
    return cmocka_run_group_tests_name("store_fault", tests, NULL, NULL);
}
