/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery and purging over the real database and the real store, in a directory of the test's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "jobs/jobs.h"
#include "os/clock.h"
#include "os/fault.h"

#include "base/banned.h"

enum { HOUR_MS = 3600 * 1000 };

#define REPO SLICE_LIT("team/app")

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

/* The next process. */
static void reopen(struct fixture *f)
{
    close_all(f);
    open_all(f);
}

static void remove_tree(const char *root)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", root, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void faults(const char *spec)
{
    assert_int_equal(fault_configure(spec), 0);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    faults("");
    os_wall_shift(0);
    (void)snprintf(f->root, sizeof f->root, "/tmp/berth-jobs-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    open_all(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    faults("");
    os_wall_shift(0);
    close_all(f);
    remove_tree(f->root);
    free(f);
    return 0;
}

static struct jobs *make_jobs_that(struct fixture *f, bool purge)
{
    struct error err = {0};
    struct jobs *j = NULL;
    struct jobs_config c = {.meta = f->meta,
                            .store = f->store,
                            .uploads = f->uploads,
                            .purge = {.enabled = purge, .age_ms = 4000, .interval_ms = 1000},
                            .probe_interval_ms = 1000};
    assert_int_equal(jobs_new(&c, &j, &err), 0);
    return j;
}

static struct jobs *make_jobs(struct fixture *f)
{
    return make_jobs_that(f, true);
}

/* A path below the root. The result is good until the next call. */
static const char *under(struct fixture *f, const char *dir, const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s/%s", f->root, dir, name);
    return path;
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

/* An upload with a row. */
static void begin(struct fixture *f, char id[UPLOAD_ID_LEN + 1])
{
    struct error err = {0};
    upload_id_make(id);
    assert_int_equal(meta_upload_create(f->meta, REPO, slice_cstr(id), HASH_SHA256, &err), 0);
}

static bool is_open(struct fixture *f, const char *id)
{
    struct error err = {0};
    bool open = false;
    assert_int_equal(meta_upload_exists(f->meta, slice_cstr(id), &open, &err), 0);
    return open;
}

/* An upload as a PATCH of many bytes leaves it: row, stage, and the session, which is ours. */
static struct upload *hold_staged(struct fixture *f, char id[UPLOAD_ID_LEN + 1], const char *bytes)
{
    struct error err = {0};
    struct upload *up = NULL;
    enum upload_acquire got = UPLOAD_ABSENT;
    begin(f, id);
    assert_int_equal(upload_adopt(f->uploads, REPO, slice_cstr(id), HASH_SHA256, false, 0,
                                  SLICE_NONE, &up, &got, &err),
                     0);
    assert_int_equal(got, UPLOAD_ACQUIRED);
    upload_expect(up, META_INLINE_MAX + 1);
    assert_int_equal(upload_append(up, bytes, strlen(bytes), &err), 0);
    assert_true(upload_staged(up));
    assert_int_equal(upload_sync(up, &err), 0);
    assert_int_equal(
        meta_upload_save(f->meta, REPO, slice_cstr(id), strlen(bytes), true, SLICE_NONE, &err), 0);
    upload_saved(up);
    return up;
}

static enum upload_acquire take(struct fixture *f, const char *id, struct upload **up)
{
    *up = NULL;
    return upload_acquire(f->uploads, REPO, slice_cstr(id), up);
}

static unsigned purge(struct jobs *j)
{
    struct error err = {0};
    unsigned removed = 4711;
    assert_int_equal(jobs_purge(j, &removed, &err), 0);
    return removed;
}

static struct recovery recover(struct jobs *j)
{
    struct error err = {0};
    struct recovery r = {0};
    assert_int_equal(jobs_recover(j, &r, &err), 0);
    return r;
}

/* Descriptors of this process whose file has, or had, this name. */
static unsigned descriptors_of(const char *name)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char target[512];
        ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        if (len < 0)
            continue;
        target[len] = '\0';
        n += strstr(target, name) != NULL;
    }
    (void)closedir(d);
    return n;
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
    reopen(f);
    struct jobs *j = make_jobs(f);
    char later[UPLOAD_ID_LEN + 1];
    upload_id_make(later);
    stage(f, later, "begun after the listing: not ours to judge");
    struct recovery r = recover(j);
    assert_int_equal(r.stages_removed, 1);
    assert_int_equal(r.failed, 0);
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
    struct meta_pend row = {0};
    char id[UPLOAD_ID_LEN + 1];
    upload_id_make(id);
    stage(f, id, "a whole file");
    digest_of(HASH_SHA256, SLICE_LIT("a whole file"), &whole);
    digest_of(HASH_SHA256, SLICE_LIT("never linked"), &missing);
    assert_int_equal(meta_blob_pend(f->meta, &whole, 12, &row, &err), 0);
    assert_int_equal(meta_blob_pend(f->meta, &missing, 12, &row, &err), 0);
    assert_int_equal(store_publish(f->store, slice_cstr(id), &whole, 12, &err), 0);
    reopen(f);
    struct jobs *j = make_jobs(f);
    struct recovery r = recover(j);
    assert_int_equal(r.blobs_completed, 1);
    assert_int_equal(r.blobs_dropped, 1);
    assert_int_equal(r.stages_removed, 1);
    /* The whole one is live now: a push of it is told so. */
    assert_int_equal(meta_blob_pend(f->meta, &whole, 12, &row, &err), 0);
    assert_true(row.live);
    assert_int_equal(meta_blob_pend(f->meta, &missing, 12, &row, &err), 0);
    assert_false(row.live);
    jobs_free(j);
}

/* What cannot be removed keeps nothing else from being removed, and is reported at each start. */
static void test_recovery_goes_on_past_a_stage(void **state)
{
    struct fixture *f = *state;
    enum { ORPHANS = 20 };
    char ids[ORPHANS][UPLOAD_ID_LEN + 1];
    char id[UPLOAD_ID_LEN + 1];
    for (int start = 0; start < 2; start++) {
        for (unsigned i = 0; i < ORPHANS; i++) {
            upload_id_make(ids[i]);
            stage(f, ids[i], "remains");
        }
        if (start == 0) {
            upload_id_make(id); /* wherever the listing has them */
            assert_int_equal(mkdir(under(f, "uploads", id), 0700), 0);
            assert_int_equal(mkdir(under(f, "uploads", "lost+found"), 0700), 0);
        }
        reopen(f);
        struct jobs *j = make_jobs(f);
        struct recovery r = recover(j);
        assert_int_equal(r.stages_removed, ORPHANS);
        assert_int_equal(r.failed, 2);
        for (unsigned i = 0; i < ORPHANS; i++)
            assert_false(staged(f, ids[i]));
        assert_int_equal(access(under(f, "uploads", "lost+found"), F_OK), 0);
        r = recover(j); /* once a start */
        assert_int_equal(r.stages_removed + r.failed, 0);
        jobs_free(j);
    }
    /* So with one whose unlink fails. */
    for (unsigned i = 0; i < ORPHANS; i++)
        stage(f, ids[i], "remains");
    reopen(f);
    struct jobs *j = make_jobs(f);
    faults("stage.unlink=EIO@7");
    struct recovery r = recover(j);
    faults("");
    assert_int_equal(r.stages_removed + r.failed, ORPHANS + 2);
    assert_in_range(r.failed, 2, 3);
    jobs_free(j);
}

/* A whole file that is pending, as a push leaves it that stopped after its link. */
static void leave_pending(struct fixture *f, const char *text, struct digest *d)
{
    struct error err = {0};
    struct meta_pend row = {0};
    char id[UPLOAD_ID_LEN + 1];
    upload_id_make(id);
    stage(f, id, text);
    digest_of(HASH_SHA256, slice_cstr(text), d);
    assert_int_equal(meta_blob_pend(f->meta, d, strlen(text), &row, &err), 0);
    assert_int_equal(store_publish(f->store, slice_cstr(id), d, strlen(text), &err), 0);
}

/* One file cannot be read, or one transaction fails: the others are settled, and that one the next
 * time. What could not be read is not taken for lost. */
static void test_recovery_goes_on_past_a_blob(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    static const char *const specs[] = {"blob.read=EIO", "blob.open=EMFILE", "meta.commit=EIO",
                                        "blob.dirsync=EIO"};
    for (unsigned s = 0; s < ARRAY_LEN(specs); s++) {
        enum { WHOLE = 3 };
        struct digest whole[WHOLE];
        struct digest missing;
        struct meta_pend row = {0};
        for (unsigned i = 0; i < WHOLE; i++) {
            char text[32];
            (void)snprintf(text, sizeof text, "file %u of round %u", i, s);
            leave_pending(f, text, &whole[i]);
        }
        digest_of(HASH_SHA256, slice_cstr(specs[s]), &missing);
        assert_int_equal(meta_blob_pend(f->meta, &missing, 12, &row, &err), 0);
        reopen(f);
        struct jobs *j = make_jobs(f);
        faults(specs[s]);
        struct recovery r = recover(j);
        faults("");
        /* After a failed sync nothing is believed until a probe. */
        bool read_only = store_read_only(f->store);
        assert_int_equal(read_only, strcmp(specs[s], "blob.dirsync=EIO") == 0);
        if (read_only)
            assert_in_range(r.failed, 1, WHOLE);
        else
            assert_int_equal(r.failed, 1);
        assert_int_equal(r.blobs_completed + r.blobs_dropped + r.failed, WHOLE + 1);
        assert_true(r.blobs_dropped <= 1);
        assert_int_equal(store_probe(f->store, &err), 0);
        struct recovery again = recover(j);
        assert_int_equal(again.failed, 0);
        assert_int_equal(r.blobs_completed + again.blobs_completed, WHOLE);
        assert_int_equal(r.blobs_dropped + again.blobs_dropped, 1);
        for (unsigned i = 0; i < WHOLE; i++) {
            assert_int_equal(meta_blob_pend(f->meta, &whole[i], 17, &row, &err), 0);
            assert_true(row.live);
        }
        jobs_free(j);
    }
}

/* More than one listing holds, none of which can be settled: it comes to an end, and saw all. */
static void test_recovery_of_many_that_fail(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    enum { MANY = 450 };
    for (unsigned i = 0; i < MANY; i++) {
        struct digest d;
        struct meta_pend row = {0};
        digest_of(HASH_SHA256, slice_make((const char *)&i, sizeof i), &d);
        assert_int_equal(meta_blob_pend(f->meta, &d, 12, &row, &err), 0);
    }
    reopen(f);
    struct jobs *j = make_jobs(f);
    faults("blob.open=EIO+");
    struct recovery r = recover(j);
    assert_int_equal(r.failed, MANY);
    assert_int_equal(r.blobs_dropped, 0);
    faults("");
    r = recover(j);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.blobs_dropped, MANY);
    jobs_free(j);
}

static void test_purge(void **state)
{
    struct fixture *f = *state;
    char old[UPLOAD_ID_LEN + 1], young[UPLOAD_ID_LEN + 1];
    begin(f, old);
    stage(f, old, "stale");
    struct jobs *j = make_jobs(f);
    assert_int_equal(purge(j), 0);
    os_wall_shift(5000);
    begin(f, young);
    assert_int_equal(purge(j), 1);
    assert_false(staged(f, old));
    assert_false(is_open(f, old));
    assert_true(is_open(f, young));
    jobs_free(j);
}

/* Whoever writes to an upload is going on with it, however old its row is. */
static void test_purge_spares_a_busy_session(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct upload *other = NULL;
    char id[UPLOAD_ID_LEN + 1];
    struct upload *up = hold_staged(f, id, "0123456789");
    struct jobs *j = make_jobs(f);
    os_wall_shift(5000);
    assert_int_equal(purge(j), 0);
    assert_true(is_open(f, id));
    assert_true(staged(f, id));
    assert_int_equal(take(f, id, &other), UPLOAD_BUSY); /* it stayed where it was */
    assert_int_equal(upload_append(up, "more", 4, &err), 0);
    upload_release(up);
    /* It was touched: its time begins anew. */
    assert_int_equal(purge(j), 0);
    os_wall_shift(5900);
    assert_int_equal(purge(j), 0);
    assert_true(is_open(f, id));
    os_wall_shift(10000);
    assert_int_equal(purge(j), 1);
    assert_false(is_open(f, id));
    assert_false(staged(f, id));
    jobs_free(j);
}

/* The row, the file, the session and its descriptor go together. */
static void test_purge_forgets_an_idle_session(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct upload *up = NULL;
    char id[UPLOAD_ID_LEN + 1], young[UPLOAD_ID_LEN + 1];
    upload_release(hold_staged(f, id, "0123456789"));
    assert_int_equal(descriptors_of(id), 1);
    struct jobs *j = make_jobs(f);
    assert_int_equal(purge(j), 0);
    assert_int_equal(take(f, id, &up), UPLOAD_ACQUIRED); /* looked at, and put back */
    upload_release(up);
    os_wall_shift(5000);
    upload_release(hold_staged(f, young, "abc"));
    assert_int_equal(purge(j), 1);
    assert_int_equal(take(f, id, &up), UPLOAD_ABSENT);
    assert_int_equal(descriptors_of(id), 0);
    assert_int_equal(uploads_active(f->uploads), 0);
    assert_false(staged(f, id));
    struct arena *a = arena_new(4096);
    struct meta_upload row = {0};
    assert_int_equal(meta_upload_get(f->meta, REPO, slice_cstr(id), a, &row, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UPLOAD_UNKNOWN);
    arena_free(a);
    /* The young one is as it was. */
    assert_int_equal(take(f, young, &up), UPLOAD_ACQUIRED);
    assert_int_equal(upload_offset(up), 3);
    assert_int_equal(upload_append(up, "d", 1, &err), 0);
    upload_release(up);
    jobs_free(j);
}

/* The push of the upload failed after its link: the purge takes the upload's name, and the session
 * that goes last (with a cut that was still due) leaves the blob's bytes alone. */
static void test_purge_leaves_the_blob(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct digest d;
    struct meta_pend row = {0};
    char id[UPLOAD_ID_LEN + 1];
    struct upload *up = hold_staged(f, id, "the bytes of a blob");
    digest_of(HASH_SHA256, SLICE_LIT("the bytes of a blob"), &d);
    assert_int_equal(meta_blob_pend(f->meta, &d, 19, &row, &err), 0);
    assert_int_equal(store_publish(f->store, slice_cstr(id), &d, 19, &err), 0);
    upload_rewind(up, 3);
    upload_release(up);
    struct jobs *j = make_jobs(f);
    os_wall_shift(5000);
    assert_int_equal(purge(j), 1);
    assert_false(staged(f, id));
    bool ok = false;
    assert_int_equal(store_verify(f->store, &d, 19, &ok, &err), 0);
    assert_true(ok);
    jobs_free(j);
}

/* The transaction fails: nothing of the upload went. And one upload's failure is no other's. */
static void test_purge_fails(void **state)
{
    struct fixture *f = *state;
    struct upload *up = NULL;
    enum { UPLOADS = 4 };
    char ids[UPLOADS][UPLOAD_ID_LEN + 1];
    unsigned left = 0;
    for (unsigned i = 0; i < UPLOADS; i++)
        upload_release(hold_staged(f, ids[i], "abc"));
    struct jobs *j = make_jobs(f);
    os_wall_shift(5000);
    faults("meta.commit=EIO@2");
    assert_int_equal(purge(j), UPLOADS - 1);
    faults("");
    for (unsigned i = 0; i < UPLOADS; i++) {
        bool open = is_open(f, ids[i]);
        left += open;
        assert_int_equal(staged(f, ids[i]), open);
        assert_int_equal(take(f, ids[i], &up), open ? UPLOAD_ACQUIRED : UPLOAD_ABSENT);
        upload_release(up);
    }
    assert_int_equal(left, 1);
    assert_int_equal(purge(j), 1);
    /* The row went and the file did not: nobody can go on with it, and the next start removes it.
     */
    upload_release(hold_staged(f, ids[0], "abc"));
    os_wall_shift(10000);
    faults("stage.unlink=EIO");
    assert_int_equal(purge(j), 1);
    faults("");
    assert_false(is_open(f, ids[0]));
    assert_int_equal(take(f, ids[0], &up), UPLOAD_ABSENT);
    assert_true(staged(f, ids[0]));
    jobs_free(j);
    reopen(f);
    j = make_jobs(f);
    assert_int_equal(recover(j).stages_removed, 1);
    assert_false(staged(f, ids[0]));
    jobs_free(j);
}

/* A finished upload answers a repeated PUT for an hour; switching the purge off is about open ones.
 */
static void test_purge_of_tombstones(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct digest d;
    struct slice bytes = SLICE_LIT("small");
    char id[UPLOAD_ID_LEN + 1], open_id[UPLOAD_ID_LEN + 1];
    struct arena *a = arena_new(4096);
    struct meta_upload row = {0};
    digest_of(HASH_SHA256, bytes, &d);
    begin(f, id);
    begin(f, open_id);
    assert_int_equal(
        meta_blob_commit(f->meta, REPO, &d, bytes.n, &bytes, slice_cstr(id), NULL, &err), 0);
    os_wall_shift(META_TOMBSTONE_MS - 5000);
    struct jobs *j = make_jobs_that(f, false);
    assert_int_equal(purge(j), 0);
    assert_int_equal(meta_upload_get(f->meta, REPO, slice_cstr(id), a, &row, &err), 0);
    assert_int_equal(row.state, UPLOAD_DONE);
    os_wall_shift(META_TOMBSTONE_MS + 5000);
    assert_int_equal(purge(j), 1);
    assert_int_equal(meta_upload_get(f->meta, REPO, slice_cstr(id), a, &row, &err), -1);
    assert_true(is_open(f, open_id));
    arena_free(a);
    jobs_free(j);
}

/* A clock that jumped makes everything look old (or keeps everything for ever): no purge. */
static void test_clock_jump(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char id[UPLOAD_ID_LEN + 1];
    upload_release(hold_staged(f, id, "abc"));
    struct jobs *j = make_jobs(f);
    static const int64_t jumps[] = {2LL * HOUR_MS, 24LL * 365 * HOUR_MS, -2LL * HOUR_MS};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        unsigned removed = 4711;
        os_wall_shift(jumps[i]);
        assert_int_equal(jobs_purge(j, &removed, &err), -1);
        assert_int_equal(removed, 4711);
        assert_true(is_open(f, id));
        assert_true(staged(f, id));
    }
    /* Back again, and small steps (NTP, a leap second) are fine. */
    os_wall_shift(5000);
    assert_int_equal(purge(j), 1);
    /* Where it stays (after a machine has slept) it is believed, when whatever is idle has been so
     * for the time that it may. */
    upload_release(hold_staged(f, id, "abc"));
    jobs_set_purge(j, &(struct jobs_purge){.enabled = true, .age_ms = 60, .interval_ms = 1000});
    os_wall_shift(3LL * HOUR_MS);
    uint64_t begin = os_mono_ms();
    unsigned gone = 4711;
    while (jobs_purge(j, &gone, &err)) {
        assert_int_equal(gone, 4711);
        assert_true(is_open(f, id));
        assert_true(os_mono_ms() - begin < 20000);
        (void)usleep(5000);
    }
    assert_true(os_mono_ms() - begin >= 60);
    assert_int_equal(gone, 1);
    assert_false(is_open(f, id));
    assert_int_equal(purge(j), 0);
    jobs_free(j);
    /* A restart takes the clock as it is. */
    upload_release(hold_staged(f, id, "abc"));
    os_wall_shift(48LL * HOUR_MS);
    j = make_jobs(f);
    assert_int_equal(purge(j), 1);
    assert_false(is_open(f, id));
    jobs_free(j);
}

/* The loop of a server, which looks every few milliseconds whether its jobs have done their work.
 */
struct turn {
    struct timer timer;
    struct loop *loop;
    bool (*done)(struct turn *t);
    struct fixture *f;
    struct metric *purged, *recovered;
    unsigned left; /* turns, before it is given up */
    const char *id;
};

static void on_turn(struct timer *timer)
{
    struct turn *t = CONTAINER_OF(timer, struct turn, timer);
    if (t->left == 0 || t->done(t)) {
        loop_stop(t->loop);
        return;
    }
    t->left--;
    timer_set(t->loop, timer, 5);
}

/* False when it did not come about in that many turns. */
static bool turn_until(struct turn *t, bool (*done)(struct turn *t), unsigned turns)
{
    t->done = done;
    t->left = turns;
    t->timer.fn = on_turn;
    timer_set(t->loop, &t->timer, 0);
    loop_run(t->loop);
    return t->left > 0;
}

static bool all_done(struct turn *t)
{
    return metric_value(t->recovered) == 1 && metric_value(t->purged) == 1 &&
           !store_read_only(t->f->store);
}

static bool upload_gone(struct turn *t)
{
    return !is_open(t->f, t->id);
}

/* By themselves: recovery, purges, and the end of a read-only state, whose first probe fails. */
static void test_background(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct pool *pool = NULL;
    struct jobs *j = NULL;
    struct stage *st = NULL;
    struct turn t = {.f = f};
    char orphan[UPLOAD_ID_LEN + 1], id[UPLOAD_ID_LEN + 1], lost[UPLOAD_ID_LEN + 1];
    upload_id_make(orphan);
    upload_id_make(lost);
    stage(f, orphan, "remains");
    begin(f, id);
    os_wall_shift(5000);
    struct metrics *m = metrics_new();
    t.purged = metrics_counter(m, "berth_uploads_purged_total",
                               "Stale uploads and tombstones removed", "");
    t.recovered = metrics_counter(m, "berth_recovered_total",
                                  "Remains of an unclean stop that recovery settled", "");
    assert_int_equal(loop_new(&t.loop, &err), 0);
    assert_int_equal(pool_new("jobs", 1, 16, &pool, &err), 0);
    struct jobs_config c = {.meta = f->meta,
                            .store = f->store,
                            .uploads = f->uploads,
                            .pool = pool,
                            .metrics = m,
                            .purge = {.enabled = true, .age_ms = 4000, .interval_ms = 20},
                            .probe_interval_ms = 20};
    assert_int_equal(jobs_new(&c, &j, &err), 0);
    faults("stage.sync=EIO,store.probe=EIO");
    assert_int_equal(stage_open(f->store, slice_cstr(lost), true, &st, &err), 0);
    assert_int_equal(stage_sync(st, &err), -1);
    stage_close(st);
    assert_true(store_read_only(f->store));
    jobs_start(j, t.loop);
    assert_true(turn_until(&t, all_done, 2000));
    assert_false(staged(f, orphan));
    assert_false(is_open(f, id));
    /* The timer goes on; while the clock is not to be trusted, it purges nothing. */
    begin(f, id);
    t.id = id;
    os_wall_shift(3LL * HOUR_MS);
    assert_false(turn_until(&t, upload_gone, 40));
    os_wall_shift(10000);
    assert_true(turn_until(&t, upload_gone, 2000));
    jobs_stop(j);
    pool_free(pool);
    jobs_free(j);
    loop_free(t.loop);
    metrics_free(m);
}

/* The directory cannot be listed, or the database cannot be read: an error, and nothing is done on
 * half of the knowledge. */
static void test_recovery_fails(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct jobs *j = NULL;
    char id[UPLOAD_ID_LEN + 1];
    struct jobs_config c = {.meta = f->meta, .store = f->store, .uploads = f->uploads};
    faults("store.list=EIO");
    assert_int_equal(jobs_new(&c, &j, &err), -1);
    assert_int_equal(err.sys, EIO);
    assert_null(j);
    faults("");
    for (unsigned i = 0; i < 100; i++) { /* more names than the list has room for at first */
        upload_id_make(id);
        stage(f, id, "remains");
    }
    j = make_jobs(f);
    assert_int_equal(recover(j).stages_removed, 100);
    jobs_free(j);
    jobs_free(NULL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_orphan_stage_goes_open_upload_stays),
        TEST(test_pending_blobs_are_settled),
        TEST(test_recovery_goes_on_past_a_stage),
        TEST(test_recovery_goes_on_past_a_blob),
        TEST(test_recovery_of_many_that_fail),
        TEST(test_purge),
        TEST(test_purge_spares_a_busy_session),
        TEST(test_purge_forgets_an_idle_session),
        TEST(test_purge_leaves_the_blob),
        TEST(test_purge_fails),
        TEST(test_purge_of_tombstones),
        TEST(test_clock_jump),
        TEST(test_background),
        TEST(test_recovery_fails),
    };
    return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
