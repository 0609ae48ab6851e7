/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, sqlite_fixture_setup, sqlite_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_steps),   TEST(test_step_fails), TEST(test_newer),         TEST(test_foreign),
        TEST(test_at_once), TEST(test_generation), TEST(test_first_version),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
