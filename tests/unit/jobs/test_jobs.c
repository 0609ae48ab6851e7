/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery and purging over the real database and the real store, in a directory of the test's. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "jobs/jobs.h"
#include "os/clock.h"

struct fixture {
    char root[64];
    struct meta *meta;
    struct store *store;
    struct uploads *uploads;
};

static void open_all(struct fixture *f)
{
    struct error err = {0};
    char *db;
    assert_true(asprintf(&db, "%s/berth.db", f->root) > 0);
    assert_int_equal(store_fs_open(f->root, 8, NULL, &f->store, &err), 0);
    assert_int_equal(meta_sqlite_open(db, 4, NULL, &f->meta, &err), 0);
    f->uploads = uploads_new(f->store, META_INLINE_MAX, 16);
    free(db);
}

static void close_all(struct fixture *f)
{
    uploads_free(f->uploads);
    meta_close(f->meta);
    store_close(f->store);
}

static int remove_entry(const char *root)
{
    char *cmd;
    int n = asprintf(&cmd, "%s", root);
    (void)n;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", cmd, (char *)NULL);
        _exit(127);
    }
    free(cmd);
    return pid > 0 ? 0 : -1;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    (void)snprintf(f->root, sizeof f->root, "/tmp/berth-jobs-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    open_all(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_all(f);
    (void)remove_entry(f->root);
    free(f);
    return 0;
}

static struct jobs *make_jobs(struct fixture *f)
{
    struct error err = {0};
    struct jobs *j;
    struct jobs_config c = {.meta = f->meta,
                            .store = f->store,
                            .uploads = f->uploads,
                            .purge = true,
                            .purge_age_ms = 1000,
                            .purge_interval_ms = 1000,
                            .probe_interval_ms = 1000};
    assert_int_equal(jobs_new(&c, &j, &err), 0);
    return j;
}

static void stage(struct fixture *f, const char *id, const char *bytes)
{
    struct error err = {0};
    struct stage *st;
    assert_int_equal(stage_open(f->store, slice_cstr(id), true, &st, &err), 0);
    assert_int_equal(stage_write(st, bytes, strlen(bytes), &err), 0);
    assert_int_equal(stage_sync(st, &err), 0);
    stage_close(st);
}

static bool staged(struct fixture *f, const char *id)
{
    struct stage *st;
    struct error err = {0};
    if (stage_open(f->store, slice_cstr(id), false, &st, &err))
        return false;
    stage_close(st);
    return true;
}

static void test_orphan_stage_goes_open_upload_stays(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char orphan[UPLOAD_ID_LEN + 1], open_id[UPLOAD_ID_LEN + 1];
    upload_id_make(orphan);
    upload_id_make(open_id);
    stage(f, orphan, "remains");
    stage(f, open_id, "in progress");
    assert_int_equal(
        meta_upload_create(f->meta, SLICE_LIT("a"), slice_cstr(open_id), HASH_SHA256, &err), 0);
    close_all(f);
    open_all(f);
    struct jobs *j = make_jobs(f);
    char later[UPLOAD_ID_LEN + 1];
    upload_id_make(later);
    stage(f, later, "begun after the listing: not ours to judge");
    struct recovery r = {0};
    assert_int_equal(jobs_recover(j, &r, &err), 0);
    assert_int_equal(r.stages_removed, 1);
    assert_false(staged(f, orphan));
    assert_true(staged(f, open_id));
    assert_true(staged(f, later));
    jobs_free(j);
}

static void test_pending_blobs_are_settled(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct digest whole, missing;
    bool live;
    int64_t epoch;
    char id[UPLOAD_ID_LEN + 1];
    upload_id_make(id);
    stage(f, id, "a whole file");
    digest_of(HASH_SHA256, SLICE_LIT("a whole file"), &whole);
    digest_of(HASH_SHA256, SLICE_LIT("never linked"), &missing);
    assert_int_equal(meta_blob_pend(f->meta, &whole, 12, &live, &epoch, &err), 0);
    assert_int_equal(meta_blob_pend(f->meta, &missing, 12, &live, &epoch, &err), 0);
    assert_int_equal(store_publish(f->store, slice_cstr(id), &whole, 12, &err), 0);
    close_all(f);
    open_all(f);
    struct jobs *j = make_jobs(f);
    struct recovery r = {0};
    assert_int_equal(jobs_recover(j, &r, &err), 0);
    assert_int_equal(r.blobs_completed, 1);
    assert_int_equal(r.blobs_dropped, 1);
    assert_int_equal(r.stages_removed, 1);
    /* The whole one is live now: a push of it is told so. */
    assert_int_equal(meta_blob_pend(f->meta, &whole, 12, &live, &epoch, &err), 0);
    assert_true(live);
    assert_int_equal(meta_blob_pend(f->meta, &missing, 12, &live, &epoch, &err), 0);
    assert_false(live);
    jobs_free(j);
}

static void test_purge(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char old[UPLOAD_ID_LEN + 1], young[UPLOAD_ID_LEN + 1];
    unsigned removed = 0;
    bool open = false;
    upload_id_make(old);
    upload_id_make(young);
    assert_int_equal(
        meta_upload_create(f->meta, SLICE_LIT("a"), slice_cstr(old), HASH_SHA256, &err), 0);
    stage(f, old, "stale");
    struct jobs *j = make_jobs(f);
    assert_int_equal(jobs_purge(j, &removed, &err), 0);
    assert_int_equal(removed, 0);
    os_wall_shift(5000);
    assert_int_equal(
        meta_upload_create(f->meta, SLICE_LIT("a"), slice_cstr(young), HASH_SHA256, &err), 0);
    assert_int_equal(jobs_purge(j, &removed, &err), 0);
    assert_int_equal(removed, 1);
    assert_false(staged(f, old));
    assert_int_equal(meta_upload_exists(f->meta, slice_cstr(young), &open, &err), 0);
    assert_true(open);
    os_wall_shift(0);
    jobs_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orphan_stage_goes_open_upload_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pending_blobs_are_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
