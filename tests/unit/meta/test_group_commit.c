/* SPDX-License-Identifier: Apache-2.0 */
/* The writer by itself: what is in one group, and what becomes of those in it that fail. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "fixture_sqlite.h"
#include "meta/migrate.h"
#include "meta/sqlite_writer.h"

#include "base/banned.h"

enum { QUEUE_MAX = 20 };

struct stage {
    struct sqdb *db; /* the writer's */
    struct writer *w;
    struct metrics *metrics;
    struct metric *commits, *transactions, *queue;
};

static struct stage stage_open(void **state)
{
    struct stage s = {.metrics = metrics_new()};
    const char *path = arena_printf(arena_of(state), "%s.new", sqlite_fixture_path(state));
    OK(sqdb_open(path, SQDB_WRITER, &s.db, &err));
    OK(migrate(s.db, meta_migrations, meta_migrations_n, &err));
    OK(writer_start(s.db, QUEUE_MAX, s.metrics, &s.w, &err));
    s.commits = metrics_counter(s.metrics, "berth_meta_commits_total",
                                "Groups of transactions that the metadata writer committed.", "");
    s.transactions = metrics_counter(s.metrics, "berth_meta_transactions_total",
                                     "Transactions in those groups.", "");
    s.queue =
        metrics_gauge(s.metrics, "berth_meta_queue", "Transactions that wait for the writer.", "");
    return s;
}

static void stage_close(struct stage *s)
{
    writer_stop(s->w);
    metrics_free(s->metrics);
}

/* A transaction that inserts a repository and then does as it is told. */
struct job {
    struct txn txn;
    struct stage *s;
    const char *name;
    enum { SUCCEED, REFUSE, VIOLATE, END_ALL } what;
    sem_t *entered, *go; /* tells that it runs, and waits; or NULL */
    unsigned committed;
    int rc;
    enum error_code code;
    pthread_t thread;
};

static void wait_for(sem_t *s)
{
    while (sem_wait(s) < 0)
        CHECK(errno == EINTR);
}

static int run_job(struct txn *t, struct sqdb *db, struct error *err)
{
    struct job *j = CONTAINER_OF(t, struct job, txn);
    int64_t id;
    if (j->entered)
        (void)sem_post(j->entered);
    if (j->go)
        wait_for(j->go);
    if (SQ_FIND(db, SQL_REPO_ADD, &id, err, sq_t(slice_cstr(j->name)), sq_i(1)) < 0)
        return -1;
    if (j->what == REFUSE)
        return error_set(err, ERR_DENIED, "refused after a change");
    if (j->what == VIOLATE)
        return SQ_RUN(db, SQL_LINK_PUT, NULL, err, sq_i(id), sq_i(12345), sq_i(1));
    if (j->what == END_ALL)
        return sqdb_exec(db, "ROLLBACK", err);
    return 0;
}

static void on_committed(struct txn *t)
{
    CONTAINER_OF(t, struct job, txn)->committed++;
}

static void *run_thread(void *arg)
{
    struct job *j = arg;
    struct error err = {0};
    j->txn.run = run_job;
    j->txn.committed = on_committed;
    j->rc = writer_run(j->s->w, &j->txn, &err);
    j->code = err.code;
    return NULL;
}

static void start(struct job *j)
{
    assert_int_equal(pthread_create(&j->thread, NULL, run_thread, j), 0);
}

static void wait_queue(struct stage *s, int64_t n)
{
    while (metric_value(s->queue) != n)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int64_t count(void **state)
{
    struct sqdb *db = NULL;
    int64_t n = -1;
    const char *path = arena_printf(arena_of(state), "%s.new", sqlite_fixture_path(state));
    OK(sqdb_open(path, SQDB_READER, &db, &err));
    assert_int_equal(sqdb_number(db, "SELECT count(*) FROM repositories", &n, NULL), 1);
    sqdb_close(db);
    return n;
}

/* Runs `first` alone, held open until all of `rest` wait; those then make one group. */
static void run_two_groups(struct stage *s, struct job *first, struct job *rest, unsigned n)
{
    sem_t entered, go;
    (void)sem_init(&entered, 0, 0);
    (void)sem_init(&go, 0, 0);
    first->s = s;
    first->entered = &entered;
    first->go = &go;
    start(first);
    wait_for(&entered);
    for (unsigned i = 0; i < n; i++) {
        rest[i].s = s;
        start(&rest[i]);
        wait_queue(s, i + 1); /* so that their order is known */
    }
    (void)sem_post(&go);
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(rest[i].thread, NULL);
    (void)pthread_join(first->thread, NULL);
    (void)sem_destroy(&entered);
    (void)sem_destroy(&go);
}

/* Seven transactions, two commits; the two that fail are undone alone. */
static void test_one_commit(void **state)
{
    struct stage s = stage_open(state);
    struct job first = {.name = "first"};
    struct job rest[] = {
        {.name = "a"}, {.name = "b", .what = REFUSE},  {.name = "c"},
        {.name = "d"}, {.name = "e", .what = VIOLATE}, {.name = "f"},
    };
    run_two_groups(&s, &first, rest, ARRAY_LEN(rest));
    assert_int_equal(metric_value(s.commits), 2);
    assert_int_equal(metric_value(s.transactions), 7);
    assert_int_equal(metric_value(s.queue), 0);
    assert_int_equal(first.rc, 0);
    for (unsigned i = 0; i < ARRAY_LEN(rest); i++) {
        assert_int_equal(rest[i].rc, rest[i].what == SUCCEED ? 0 : -1);
        assert_int_equal(rest[i].committed, rest[i].what == SUCCEED);
    }
    assert_int_equal(rest[1].code, ERR_DENIED);
    assert_int_equal(rest[4].code, ERR_UNKNOWN);
    assert_int_equal(count(state), 5);
    stage_close(&s);
}

/* SQLite ends a transaction by itself on some errors: then all of the group have failed, also those
 * that had gone well, and the next group is as good as any. */
static void test_group_lost(void **state)
{
    struct stage s = stage_open(state);
    struct job first = {.name = "first"}, after = {.name = "after", .s = &s};
    struct job rest[] = {{.name = "a"}, {.name = "b", .what = END_ALL}, {.name = "c"}};
    run_two_groups(&s, &first, rest, ARRAY_LEN(rest));
    for (unsigned i = 0; i < ARRAY_LEN(rest); i++) {
        assert_int_equal(rest[i].rc, -1);
        assert_int_equal(rest[i].code, ERR_UNKNOWN);
    }
    assert_int_equal(count(state), 1);
    start(&after);
    (void)pthread_join(after.thread, NULL);
    assert_int_equal(after.rc, 0);
    assert_int_equal(count(state), 2);
    stage_close(&s);
}

/* A full queue refuses at once, and the gauge does not count the refused one. */
static void test_queue_is_bounded(void **state)
{
    struct stage s = stage_open(state);
    struct job first = {.name = "first", .s = &s}, rest[QUEUE_MAX], extra = {.name = "x", .s = &s};
    sem_t entered, go;
    (void)sem_init(&entered, 0, 0);
    (void)sem_init(&go, 0, 0);
    first.entered = &entered;
    first.go = &go;
    start(&first);
    wait_for(&entered);
    for (unsigned i = 0; i < QUEUE_MAX; i++) {
        rest[i] = (struct job){.name = arena_printf(arena_of(state), "r%u", i), .s = &s};
        start(&rest[i]);
    }
    wait_queue(&s, QUEUE_MAX);
    FAILS(ERR_UNAVAILABLE, writer_run(s.w, &extra.txn, &err));
    assert_int_equal(metric_value(s.queue), QUEUE_MAX);
    OK(writer_alive(s.w, 60000, &err));
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    FAILS(ERR_UNAVAILABLE, writer_alive(s.w, 5, &err));
    (void)sem_post(&go);
    for (unsigned i = 0; i < QUEUE_MAX; i++)
        (void)pthread_join(rest[i].thread, NULL);
    (void)pthread_join(first.thread, NULL);
    assert_int_equal(metric_value(s.commits), 2);
    assert_int_equal(count(state), 1 + QUEUE_MAX);
    stage_close(&s);
    (void)sem_destroy(&entered);
    (void)sem_destroy(&go);
}

/* Another process has the lock for longer than anyone waits. */
static void test_locked(void **state)
{
    struct stage s = stage_open(state);
    struct sqdb *other = NULL;
    struct job j = {.name = "a", .s = &s};
    const char *path = arena_printf(arena_of(state), "%s.new", sqlite_fixture_path(state));
    OK(sqdb_open(path, SQDB_WRITER, &other, &err));
    OK(sqdb_exec(other, "BEGIN IMMEDIATE", &err));
    start(&j);
    (void)pthread_join(j.thread, NULL);
    assert_int_equal(j.rc, -1);
    assert_int_equal(j.code, ERR_UNAVAILABLE);
    OK(sqdb_exec(other, "COMMIT", &err));
    start(&j);
    (void)pthread_join(j.thread, NULL);
    assert_int_equal(j.rc, 0);
    sqdb_close(other);
    stage_close(&s);
}

struct pusher {
    struct meta *m;
    unsigned number;
    atomic_uint *failed;
    pthread_t thread;
};

static void *run_pusher(void *arg)
{
    struct pusher *p = arg;
    struct arena *a = arena_new(4096);
    for (unsigned i = 0; i < 50; i++) {
        struct error err;
        struct slice id = slice_cstr(arena_printf(a, "%u-%u", p->number, i));
        if (meta_upload_create(p->m, S("r"), id, HASH_SHA256, &err) < 0)
            atomic_fetch_add(p->failed, 1);
    }
    arena_free(a);
    return NULL;
}

/* Through the front door: threads that push at the same time share commits. */
static void test_backend(void **state)
{
    struct meta_fixture *f = *state;
    struct metric *commits =
        metrics_counter(f->metrics, "berth_meta_commits_total",
                        "Groups of transactions that the metadata writer committed.", "");
    struct metric *transactions = metrics_counter(f->metrics, "berth_meta_transactions_total",
                                                  "Transactions in those groups.", "");
    atomic_uint failed = 0;
    struct pusher p[16];
    for (unsigned i = 0; i < 16; i++) {
        p[i] = (struct pusher){.m = f->m, .number = i, .failed = &failed};
        assert_int_equal(pthread_create(&p[i].thread, NULL, run_pusher, &p[i]), 0);
    }
    for (unsigned i = 0; i < 16; i++)
        (void)pthread_join(p[i].thread, NULL);
    assert_int_equal(failed, 0);
    assert_int_equal(metric_value(transactions), 800);
    print_message("# 800 transactions in %d commits\n", (int)metric_value(commits));
    assert_in_range(metric_value(commits), 1, 600);
    assert_stats(f->m, 0, 0, 0, 0, 800);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, sqlite_fixture_setup, sqlite_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_commit), TEST(test_group_lost), TEST(test_queue_is_bounded),
        TEST(test_locked),     TEST(test_backend),
    };
    return cmocka_run_group_tests_name("group_commit", tests, NULL, NULL);
}
