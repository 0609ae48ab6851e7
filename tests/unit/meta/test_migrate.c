/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "fixture_sqlite.h"
#include "meta/migrate.h"

#include "base/banned.h"

static const struct migration steps[] = {
    {"one", {"CREATE TABLE one (x INTEGER) STRICT", "INSERT INTO one VALUES (1)"}},
    {"two", {"CREATE TABLE two (x INTEGER) STRICT"}},
    {"three", {"INSERT INTO one VALUES (3)", "INSERT INTO missing VALUES (1)"}},
};

/* A database of its own beside that of the fixture. */
static struct sqdb *open_new(void **state)
{
    struct sqdb *db = NULL;
    const char *path = arena_printf(arena_of(state), "%s.new", sqlite_fixture_path(state));
    OK(sqdb_open(path, SQDB_WRITER, &db, &err));
    return db;
}

static int64_t number(struct sqdb *db, const char *sql)
{
    int64_t n = -1;
    struct error err = {0};
    if (sqdb_number(db, sql, &n, &err) < 0)
        fail_msg("%s", err.message);
    return n;
}

static void test_steps(void **state)
{
    struct sqdb *db = open_new(state);
    OK(migrate(db, steps, 1, &err));
    assert_int_equal(number(db, "SELECT max(version) FROM schema"), 1);
    OK(migrate(db, steps, 1, &err));
    OK(migrate(db, steps, 2, &err));
    assert_int_equal(number(db, "SELECT max(version) FROM schema"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM schema"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM one"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM two"), 0);
    assert_true(number(db, "SELECT min(applied_ms) FROM schema") > 0);
    sqdb_close(db);
}

/* A step that fails leaves nothing, the ones before it stay, and the message names it. */
static void test_step_fails(void **state)
{
    struct sqdb *db = open_new(state);
    struct error e = {0};
    assert_int_equal(migrate(db, steps, 3, &e), -1);
    assert_non_null(strstr(e.message, "version 3 (three)"));
    assert_non_null(strstr(e.message, "missing"));
    assert_false(sqdb_in_transaction(db));
    assert_int_equal(number(db, "SELECT max(version) FROM schema"), 2);
    assert_int_equal(number(db, "SELECT count(*) FROM one"), 1);
    sqdb_close(db);
}

static void test_newer(void **state)
{
    struct sqdb *db = open_new(state);
    struct error e = {0};
    OK(migrate(db, steps, 2, &err));
    assert_int_equal(migrate(db, steps, 1, &e), -1);
    assert_non_null(strstr(e.message, "schema version 2 is newer"));
    assert_int_equal(number(db, "SELECT max(version) FROM schema"), 2);
    sqdb_close(db);
    /* The whole backend says so too. */
    sqlite_fixture_exec(state, "INSERT INTO schema VALUES (1000, 1)");
    struct meta_fixture *f = *state;
    struct meta *m = NULL;
    meta_close(f->m);
    f->m = NULL;
    FAILS(ERR_UNKNOWN, meta_sqlite_open(sqlite_fixture_path(state), 1, NULL, &m, &err));
    sqlite_fixture_exec(state, "DELETE FROM schema WHERE version = 1000");
    f->m = f->open(f);
    assert_non_null(f->m);
}

/* A database of some other program is left as it is. */
static void test_foreign(void **state)
{
    struct sqdb *db = open_new(state);
    struct error e = {0};
    OK(sqdb_exec(db, "CREATE TABLE theirs (x)", &err));
    assert_int_equal(migrate(db, steps, 2, &e), -1);
    assert_non_null(strstr(e.message, "another program"));
    OK(sqdb_exec(db, "DROP TABLE theirs; PRAGMA application_id = 7", &err));
    assert_int_equal(migrate(db, steps, 2, &e), -1);
    assert_non_null(strstr(e.message, "another program"));
    assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema"), 0);
    sqdb_close(db);
}

static void *run_open(void *arg)
{
    struct meta *m = NULL;
    struct error err = {0};
    if (meta_sqlite_open(arg, 1, NULL, &m, &err) < 0)
        print_error("# %s\n", err.message);
    return m;
}

/* Two that find the same new file. */
static void test_at_once(void **state)
{
    const char *path = arena_printf(arena_of(state), "%s.both", sqlite_fixture_path(state));
    pthread_t t[2];
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, run_open, (void *)(uintptr_t)path), 0);
    for (unsigned i = 0; i < 2; i++) {
        void *m = NULL;
        (void)pthread_join(t[i], &m);
        assert_non_null(m);
        meta_close(m);
    }
}

/* Each process that opens the database gets a number of its own. */
static void test_generation(void **state)
{
    static const char sql[] = "SELECT n FROM generation";
    assert_int_equal(sqlite_fixture_number(state, sql), 1);
    reopen(state);
    assert_int_equal(sqlite_fixture_number(state, sql), 2);
}

/* What a process had written and not synced when it was killed is read from now on, so opening
 * makes it durable: nobody may be told of it before. */
static void test_log_is_durable(void **state)
{
    struct meta_fixture *f = *state;
    struct sqdb *other = NULL;
    int64_t n;
    image_push(f->m, f->a, S("a/b"), 1, "v1");
    /* While there is another connection the log stays. */
    OK(sqdb_open(sqlite_fixture_path(state), SQDB_READER, &other, &err));
    assert_int_equal(sqdb_number(other, "SELECT count(*) FROM tags", &n, NULL), 1);
    meta_close(f->m);
    sqlite_fixture_watch_syncs();
    f->m = f->open(f);
    int syncs = sqlite_fixture_syncs();
    sqdb_close(other);
    assert_non_null(f->m);
    assert_in_range(syncs, 1, 2);
}

/* A database of the first version gets what the second has, and keeps what it had; a tool, which
 * may not do that, says who can. */
static void test_first_version(void **state)
{
    struct sqdb *db = open_new(state);
    struct error e = {0};
    OK(migrate(db, meta_migrations, 1, &err));
    OK(sqdb_exec(db, "INSERT INTO repositories (name, created_ms) VALUES ('a', 1)", &err));
    assert_int_equal(migrate_check(db, meta_migrations_n, &e), -1);
    assert_non_null(strstr(e.detail, "start the server"));
    OK(migrate(db, meta_migrations, meta_migrations_n, &err));
    OK(migrate_check(db, meta_migrations_n, &err));
    assert_int_equal(number(db, "SELECT count(*) FROM repositories"), 1);
    assert_int_equal(number(db, "SELECT count(*) FROM events"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM cursors"), 0);
    assert_int_equal(migrate_check(db, 1, &e), -1);
    assert_non_null(strstr(e.detail, "the version of the program that wrote it"));
    OK(sqdb_exec(db, "PRAGMA application_id = 7", &err));
    assert_int_equal(migrate_check(db, meta_migrations_n, &e), -1);
    assert_non_null(strstr(e.detail, "another program"));
    OK(sqdb_exec(db, "PRAGMA application_id = 1651668072; DROP TABLE schema", &err));
    assert_int_equal(migrate_check(db, meta_migrations_n, &e), -1);
    sqdb_close(db);
}

/* What a server of the first version left when it was killed: content, and the log still there. */
static void test_first_version_with_content(void **state)
{
    struct meta_fixture *f = *state;
    struct slice repo = S("a/b");
    struct sqdb *killed = NULL;
    struct meta_events page = {0};
    struct meta_upload up;
    int64_t position = 0, n = 0;
    struct image im = image_push(f->m, f->a, repo, 1, "v1");
    OK(meta_upload_create(f->m, repo, S("u1"), HASH_SHA256, &err));
    sqlite_fixture_exec(state, "DROP TABLE events; DROP TABLE cursors;"
                               "DELETE FROM schema WHERE version > 1");
    /* While there is another connection the log is not moved. */
    OK(sqdb_open(sqlite_fixture_path(state), SQDB_READER, &killed, &err));
    assert_int_equal(sqdb_number(killed, "SELECT count(*) FROM tags", &n, NULL), 1);
    meta_close(f->m);
    f->m = f->open(f);
    assert_non_null(f->m);
    sqdb_close(killed);
    assert_int_equal(sqlite_fixture_number(state, "SELECT max(version) FROM schema"), 2);
    assert_is(f->m, repo, ref_tag("v1"), &im);
    assert_stats(f->m, 1, 1, 1, 2, 1);
    OK(meta_upload_get(f->m, repo, S("u1"), f->a, &up, &err));
    OK(meta_cursor_ensure(f->m, S("hook"), &position, &err));
    struct image next = image_push(f->m, f->a, repo, 2, NULL);
    struct meta_event e = {.action = S("push"), .repo = repo};
    struct meta_manifest_put in = put_of(f->a, repo, &next, "v2");
    struct meta_manifest_put_result out;
    in.event = &e;
    OK(meta_manifest_put(f->m, &in, f->a, &out, &err));
    OK(meta_events_after(f->m, position, 10, f->a, &page, &err));
    assert_int_equal(page.n, 1);
}

/* Databases of the first version are out there: what has been released does not change. */
static void test_released_steps(void **state)
{
    CLEANUP_BUF struct buf all;
    char hex[HASH_HEX_MAX + 1];
    (void)state;
    buf_init(&all, 64 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(meta_migrations[0].sql) && meta_migrations[0].sql[i]; i++)
        buf_puts(&all, meta_migrations[0].sql[i]);
    hash_hex(HASH_SHA256, all.p, all.n, hex);
    assert_string_equal(hex, "9f3c20ec51a81ed9bbaf6a706e6d9d9b3750175798b0f728336b71bbfe8e721c");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, sqlite_fixture_setup, sqlite_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_steps),          TEST(test_step_fails),
        TEST(test_newer),          TEST(test_foreign),
        TEST(test_at_once),        TEST(test_generation),
        TEST(test_first_version),  TEST(test_first_version_with_content),
        TEST(test_released_steps), TEST(test_log_is_durable),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
