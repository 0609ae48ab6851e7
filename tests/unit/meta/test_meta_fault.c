/* SPDX-License-Identifier: Apache-2.0 */
/* What is left when the process dies or the disk fails at the worst moments. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture_sqlite.h"
#include "os/fault.h"

#include "base/banned.h"

#define REPO S("team/app")

static int setup(void **state)
{
    return fault_configure("") < 0 ? -1 : sqlite_fixture_setup(state);
}

static int teardown(void **state)
{
    (void)fault_configure("");
    return sqlite_fixture_teardown(state);
}

/* --- errors: the group fails, nothing of it is there, and the next one succeeds --- */

static void assert_absent(struct meta *m, const char *tag)
{
    struct meta_manifest got;
    struct reference ref = ref_tag(tag);
    struct error err = {0};
    assert_int_equal(meta_manifest_get(m, REPO, &ref, false, &got, &err), -1);
    assert_true(err.code == ERR_MANIFEST_UNKNOWN || err.code == ERR_NAME_UNKNOWN);
}

static void check_error(void **state, const char *spec, enum error_code code, bool is_there)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image im = image_make(a, 1, HASH_SHA256);
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    struct meta_manifest_put_result out;
    uint64_t epoch = meta_epoch(m, REPO);
    assert_int_equal(fault_configure(spec), 0);
    FAILS(code, meta_manifest_put(m, &in, a, &out, &err));
    if (is_there)
        assert_is(m, REPO, ref_tag("v1"), &im);
    else
        assert_absent(m, "v1");
    /* Nobody knows for certain, so nobody may keep what they had. */
    assert_int_not_equal(meta_epoch(m, REPO), epoch);
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(out.created, !is_there);
    reopen(state);
    assert_is(meta_of(state), REPO, ref_tag("v1"), &im);
}

static void test_error_at_commit(void **state)
{
    check_error(state, "meta.commit=EIO", ERR_UNKNOWN, false);
}

static void test_no_space_at_commit(void **state)
{
    check_error(state, "meta.commit=ENOSPC", ERR_NO_SPACE, false);
}

static void test_error_after_commit(void **state)
{
    check_error(state, "meta.committed=EIO", ERR_UNKNOWN, true);
}

static void test_error_at_begin(void **state)
{
    struct meta *m = meta_of(state);
    assert_int_equal(fault_configure("meta.begin=EROFS"), 0);
    FAILS(ERR_READ_ONLY, meta_upload_create(m, REPO, S("u"), HASH_SHA256, &err));
    OK(meta_upload_create(m, REPO, S("u"), HASH_SHA256, &err));
}

/* --- an event is there exactly when its change is (DESIGN.md I5) --- */

static void listen_to(struct meta *m)
{
    int64_t position;
    OK(meta_cursor_ensure(m, S("hook"), &position, &err));
}

static unsigned count_events(void **state)
{
    struct meta_events page = {0};
    OK(meta_events_after(meta_of(state), 0, 10000, arena_of(state), &page, &err));
    return page.n;
}

static void check_event(void **state, const char *spec, bool is_there)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct image im = image_make(a, 1, HASH_SHA256);
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    struct meta_manifest_put_result out;
    struct meta_event e = {.action = S("push"), .repo = REPO};
    in.event = &e;
    listen_to(m);
    assert_int_equal(fault_configure(spec), 0);
    FAILS(ERR_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(count_events(state), is_there);
    reopen(state);
    assert_int_equal(count_events(state), is_there);
    if (is_there)
        assert_is(meta_of(state), REPO, ref_tag("v1"), &im);
    else
        assert_absent(meta_of(state), "v1");
}

static void test_event_without_commit(void **state)
{
    check_event(state, "meta.commit=EIO", false);
}

static void test_event_with_commit(void **state)
{
    check_event(state, "meta.committed=EIO", true);
}

/* A cursor whose commit failed is no cursor, whatever was thought meanwhile; one whose removal
 * failed still is. */
static void test_listeners_after_failure(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(arena_of(state), 1);
    struct meta_event e = {.action = S("push"), .repo = REPO};
    int64_t position;
    assert_int_equal(fault_configure("meta.commit=EIO"), 0);
    FAILS(ERR_UNKNOWN, meta_cursor_ensure(m, S("hook"), &position, &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    assert_int_equal(count_events(state), 0);
    listen_to(m);
    assert_int_equal(fault_configure("meta.commit=EIO"), 0);
    FAILS(ERR_UNKNOWN, meta_cursor_remove(m, S("hook"), &err));
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    assert_int_equal(count_events(state), 1);
}

/* --- a group of several --- */

struct pusher {
    struct meta *m;
    char id[16];
    int rc;
    enum error_code code;
    pthread_t thread;
};

static void *run_pusher(void *arg)
{
    struct pusher *p = arg;
    struct error err = {0};
    p->rc = meta_upload_create(p->m, REPO, slice_cstr(p->id), HASH_SHA256, &err);
    p->code = err.code;
    return NULL;
}

static void push_start(struct meta *m, struct pusher *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        p[i].m = m;
        (void)snprintf(p[i].id, sizeof p[i].id, "u%u", i);
        CHECK(pthread_create(&p[i].thread, NULL, run_pusher, &p[i]) == 0);
    }
}

static void push_end(struct pusher *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(p[i].thread, NULL);
}

/* A push whose transaction is held open until it is let go. */
struct held {
    struct meta_condition condition;
    struct meta *m;
    struct arena *a;
    struct image im;
    sem_t entered, go;
    int rc;
    pthread_t thread;
};

static void wait_sem(sem_t *s)
{
    while (sem_wait(s) < 0)
        CHECK(errno == EINTR);
}

static int hold(void *arg, const struct digest *current, struct error *err)
{
    struct held *h = arg;
    (void)current;
    (void)err;
    (void)sem_post(&h->entered);
    wait_sem(&h->go);
    return 0;
}

static void *run_held(void *arg)
{
    struct held *h = arg;
    struct error err = {0};
    struct meta_manifest_put in = put_of(h->a, REPO, &h->im, "v1");
    struct meta_manifest_put_result out;
    in.condition = &h->condition;
    h->rc = meta_manifest_put(h->m, &in, h->a, &out, &err);
    return NULL;
}

static unsigned count_open(struct meta *m, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        bool open = false;
        (void)snprintf(id, sizeof id, "u%u", i);
        OK(meta_upload_exists(m, slice_cstr(id), &open, &err));
        found += open;
    }
    return found;
}

enum { GROUP = 6 };

/* Pushes the manifest that the tag v1 is of then, and in the group after it all of p, which wait
 * while that one is held. What came of it. */
static int push_group(struct meta_fixture *f, struct pusher *p, unsigned n)
{
    struct held h = {.m = f->m, .a = f->a, .im = image_make(f->a, 1, HASH_SHA256)};
    const struct metric *queue =
        metrics_gauge(f->metrics, "berth_meta_queue", "Transactions that wait for the writer.", "");
    h.condition = (struct meta_condition){.check = hold, .arg = &h};
    CHECK(sem_init(&h.entered, 0, 0) == 0 && sem_init(&h.go, 0, 0) == 0);
    CHECK(pthread_create(&h.thread, NULL, run_held, &h) == 0);
    wait_sem(&h.entered);
    push_start(f->m, p, n);
    while (metric_value(queue) != n)
        (void)usleep(1000);
    (void)sem_post(&h.go);
    push_end(p, n);
    (void)pthread_join(h.thread, NULL);
    (void)sem_destroy(&h.entered);
    (void)sem_destroy(&h.go);
    return h.rc;
}

static void test_group_fails_together(void **state)
{
    struct meta *m = meta_of(state);
    struct image im = image_make(arena_of(state), 1, HASH_SHA256);
    struct pusher p[GROUP] = {0};
    assert_int_equal(fault_configure("meta.commit=ENOSPC@2"), 0);
    assert_int_equal(push_group(*state, p, GROUP), 0);
    assert_is(m, REPO, ref_tag("v1"), &im);
    for (unsigned i = 0; i < GROUP; i++) {
        assert_int_equal(p[i].rc, -1);
        assert_int_equal(p[i].code, ERR_NO_SPACE);
    }
    assert_int_equal(count_open(m, GROUP), 0);
    push_start(m, p, GROUP);
    push_end(p, GROUP);
    for (unsigned i = 0; i < GROUP; i++)
        assert_int_equal(p[i].rc, 0);
    assert_int_equal(count_open(m, GROUP), GROUP);
}

/* --- death --- */

/* Runs fn in a child with these faults, on the closed database of the fixture. Its wait status. */
static int in_child(void **state, const char *spec, int (*fn)(struct meta_fixture *f, int fd),
                    int fd)
{
    struct meta_fixture *f = *state;
    meta_close(f->m);
    f->m = NULL;
    (void)fflush(NULL); /* exit() in the child, for the sake of coverage, would write it again */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        f->m = f->open(f);
        exit(f->m && fault_configure(spec) == 0 ? fn(f, fd) : 99);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    f->m = f->open(f);
    assert_non_null(f->m);
    return status;
}

static int child_group(struct meta_fixture *f, int fd)
{
    struct pusher p[GROUP] = {0};
    (void)fd;
    return push_group(f, p, GROUP);
}

static void check_killed(void **state, const char *spec, bool first, unsigned want)
{
    struct image im = image_make(arena_of(state), 1, HASH_SHA256);
    int status = in_child(state, spec, child_group, -1);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (first)
        assert_is(meta_of(state), REPO, ref_tag("v1"), &im);
    else
        assert_absent(meta_of(state), "v1");
    assert_int_equal(count_open(meta_of(state), GROUP), want);
}

static void test_killed_before_commit(void **state)
{
    check_killed(state, "meta.commit=kill@2", true, 0);
}

static void test_killed_after_commit(void **state)
{
    check_killed(state, "meta.committed=kill@2", true, GROUP);
}

static void test_killed_at_begin(void **state)
{
    check_killed(state, "meta.begin=kill", false, 0);
}

/* Pushes one after the other and says on the pipe which have been acknowledged. */
static int child_stream(struct meta_fixture *f, int fd)
{
    for (unsigned char i = 0; i < 100; i++) {
        char id[16];
        struct error err;
        (void)snprintf(id, sizeof id, "u%u", i);
        if (meta_upload_create(f->m, REPO, slice_cstr(id), HASH_SHA256, &err) < 0 ||
            write(fd, &i, 1) != 1)
            return 1;
    }
    return 0;
}

/* reliability.md, part 3: what was acknowledged is there, whenever the process dies; and at most
 * the one that was on its way besides. */
static void test_acknowledged_is_durable(void **state)
{
    static const char *const points[] = {"meta.begin", "meta.commit", "meta.committed"};
    for (unsigned round = 0; round < 12; round++) {
        char spec[64];
        unsigned char acked[128];
        int fds[2];
        struct meta_fixture *f = *state;
        if (round > 0) {
            assert_int_equal(teardown(state), 0);
            assert_int_equal(setup(state), 0);
            f = *state;
        }
        assert_non_null(f->m);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        (void)snprintf(spec, sizeof spec, "%s=kill@%u", points[round % 3], 1 + round * 7);
        int status = in_child(state, spec, child_stream, fds[1]);
        assert_true(WIFSIGNALED(status));
        (void)close(fds[1]);
        ssize_t n = read(fds[0], acked, sizeof acked);
        (void)close(fds[0]);
        assert_true(n >= 0);
        unsigned there = count_open(meta_of(state), 100);
        assert_int_equal(n, round * 7);
        assert_int_equal(there, (unsigned)n + (round % 3 == 2));
    }
}

/* Manifests, each with an event; a byte goes into the pipe for each that was acknowledged. */
static int child_events(struct meta_fixture *f, int fd)
{
    struct arena *a = arena_new(4096);
    for (unsigned char i = 0; i < 100; i++) {
        struct image im = image_make(a, i, HASH_SHA256);
        struct meta_event e = {.action = S("push"), .repo = REPO};
        struct meta_manifest_put in = put_of(a, REPO, &im, arena_printf(a, "t%u", (unsigned)i));
        struct meta_manifest_put_result out;
        struct error err;
        in.event = &e;
        if (meta_manifest_put(f->m, &in, a, &out, &err) < 0 || write(fd, &i, 1) != 1)
            return 1;
    }
    return 0;
}

static void test_killed_with_events(void **state)
{
    static const char *const points[] = {"meta.begin", "meta.commit", "meta.committed"};
    for (unsigned round = 0; round < 6; round++) {
        char spec[64];
        int fds[2];
        unsigned char acked[128];
        struct meta_names tags = {0};
        if (round > 0) {
            assert_int_equal(teardown(state), 0);
            assert_int_equal(setup(state), 0);
        }
        push_blob(meta_of(state), REPO, 1); /* the repository */
        listen_to(meta_of(state));
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        (void)snprintf(spec, sizeof spec, "%s=kill@%u", points[round % 3], 2 + round * 5);
        int status = in_child(state, spec, child_events, fds[1]);
        assert_true(WIFSIGNALED(status));
        (void)close(fds[1]);
        ssize_t n = read(fds[0], acked, sizeof acked);
        (void)close(fds[0]);
        assert_int_equal(n, 1 + round * 5);
        OK(meta_tags(meta_of(state), REPO, SLICE_NONE, 1000, arena_of(state), &tags, &err));
        assert_int_equal(tags.n, (unsigned)n + (round % 3 == 2));
        struct meta_events page = {0};
        OK(meta_events_after(meta_of(state), 0, 1000, arena_of(state), &page, &err));
        assert_int_equal(page.n, tags.n);
        for (unsigned i = 0; i < page.n; i++) {
            struct reference ref = {.tag = page.list[i].event.tag};
            struct meta_manifest got;
            OK(meta_manifest_get(meta_of(state), REPO, &ref, false, &got, &err));
        }
    }
}

/* --- a full disk --- */

/* Pushes blobs of 32 KiB until one fails; how many succeeded, or -1 when the error is wrong. */
static int fill(struct meta *m, unsigned from)
{
    char bytes[32 * 1024];
    for (unsigned i = 0; i < 1000; i++) {
        struct error err = {0};
        struct digest d;
        (void)memset(bytes, (int)i, sizeof bytes);
        unsigned n = from + i;
        memcpy(bytes, &n, sizeof n);
        struct slice s = {bytes, sizeof bytes};
        digest_of(HASH_SHA256, s, &d);
        if (meta_blob_commit(m, REPO, &d, s.n, &s, SLICE_NONE, NULL, &err) < 0) {
            if (err.code == ERR_NO_SPACE)
                return (int)i;
            (void)fprintf(stderr, "# %s\n", err.message);
            return -1;
        }
    }
    return -1;
}

static int child_file_size(struct meta_fixture *f, int fd)
{
    struct meta *m = f->m;
    struct rlimit limit;
    struct meta_stats st;
    struct error err;
    (void)fd;
    (void)sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 1;
    limit.rlim_cur = 1024 * 1024;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 2;
    int n = fill(m, 0);
    if (n < 5)
        return 3;
    /* It goes on answering, and refuses again without getting stuck. */
    if (meta_stats_get(m, &st, &err) < 0 || st.blobs != (unsigned)n || meta_ping(m, &err) < 0)
        return 4;
    if (fill(m, 1000) < 0)
        return 5;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 6;
    if (meta_upload_create(m, REPO, S("after"), HASH_SHA256, &err) < 0)
        return 7;
    meta_close(m);
    return 0;
}

static void test_file_size_limit(void **state)
{
    bool open = false;
    int status = in_child(state, "", child_file_size, -1);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    OK(meta_upload_exists(meta_of(state), S("after"), &open, &err));
    assert_true(open);
    assert_int_equal(sqlite_fixture_number(state, "SELECT count(*) FROM pragma_integrity_check "
                                                  "WHERE integrity_check <> 'ok'"),
                     0);
}

/* On a file system of 2 MiB of our own. 77: not allowed to mount one. */
static int full_disk(const char *dir)
{
    struct meta *m = NULL;
    struct error err;
    struct meta_stats st;
    char path[4096], ballast[4096];
    /* EINVAL: the root of a chroot is no mount; the parent unmounts what may have got out of here.
     */
    if (unshare(CLONE_NEWNS) < 0 ||
        (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL) ||
        mount("tmpfs", dir, "tmpfs", 0, "size=2m") < 0)
        return 77;
    (void)snprintf(path, sizeof path, "%s/berth.db", dir);
    (void)snprintf(ballast, sizeof ballast, "%s/ballast", dir);
    int fd = open(ballast, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, 512 * 1024) != 0)
        return 1;
    if (meta_sqlite_open(path, 2, NULL, &m, &err) < 0)
        return 2;
    int n = fill(m, 0);
    if (n < 5)
        return 3;
    if (meta_stats_get(m, &st, &err) < 0 || st.blobs != (unsigned)n)
        return 4;
    if (fill(m, 1000) < 0)
        return 5;
    if (unlink(ballast) < 0 || close(fd) < 0)
        return 6;
    if (meta_upload_create(m, REPO, S("after"), HASH_SHA256, &err) < 0)
        return 7;
    meta_close(m);
    if (meta_sqlite_open(path, 2, NULL, &m, &err) < 0)
        return 8;
    if (meta_stats_get(m, &st, &err) < 0 || st.blobs < (unsigned)n || st.uploads != 1)
        return 9;
    meta_close(m);
    return 0;
}

static void test_full_disk(void **state)
{
    struct meta_fixture *f = *state;
    const char *dir = arena_printf(f->a, "%s/full", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    meta_close(f->m);
    f->m = NULL;
    (void)fflush(NULL); /* exit() in the child, for the sake of coverage, would write it again */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        exit(full_disk(dir));
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)umount2(dir, MNT_DETACH);
    f->m = f->open(f);
    assert_true(WIFEXITED(status));
    /* No skip(): what cmocka prints for it is a failure to Meson. tests/it has this for root too.
     */
    if (WEXITSTATUS(status) == 77)
        print_message("# no mount is allowed here: not tested\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_error_at_commit),
        TEST(test_no_space_at_commit),
        TEST(test_error_after_commit),
        TEST(test_error_at_begin),
        TEST(test_group_fails_together),
        TEST(test_killed_before_commit),
        TEST(test_killed_after_commit),
        TEST(test_killed_at_begin),
        TEST(test_acknowledged_is_durable),
        TEST(test_event_without_commit),
        TEST(test_event_with_commit),
        TEST(test_listeners_after_failure),
        TEST(test_killed_with_events),
        TEST(test_file_size_limit),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests_name("meta_fault", tests, NULL, NULL);
}
