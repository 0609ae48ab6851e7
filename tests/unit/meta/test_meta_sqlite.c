/* SPDX-License-Identifier: Apache-2.0 */
/* The SQLite backend: the conformance suite, and what only SQLite can be asked. */
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture_sqlite.h"
#include "meta/sqlite_int.h"
#include "meta_conformance.h"

#include "base/banned.h"

#define REPO S("team/app")

static const char *const texts[] = {
#define SQL_TEXT(id, text) text,
    SQL_STATEMENTS(SQL_TEXT)
#undef SQL_TEXT
};

/* No statement walks a table or sorts: each is a look-up or a range of an index. */
static void test_plans(void **state)
{
    sqlite3 *h = NULL;
    assert_int_equal(sqlite3_open(sqlite_fixture_path(state), &h), SQLITE_OK);
    for (unsigned i = 0; i < SQL_COUNT; i++) {
        char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", texts[i]);
        sqlite3_stmt *q = NULL;
        if (sqlite3_prepare_v2(h, text, -1, &q, NULL) != SQLITE_OK)
            fail_msg("%s: %s", texts[i], sqlite3_errmsg(h));
        while (sqlite3_step(q) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(q, 3);
            if (strstr(step, "SCAN") || strstr(step, "TEMP B-TREE") || strstr(step, "AUTOMATIC"))
                fail_msg("%s: %s", texts[i], step);
            /* By the index that has pending blobs only, and in its order: the one of all digests
             * would walk past every live blob. */
            if (i == SQL_BLOB_PENDING)
                assert_string_equal(step, "SEARCH blobs USING INDEX blobs_pending (digest>?)");
        }
        (void)sqlite3_finalize(q);
        sqlite3_free(text);
    }
    (void)sqlite3_close(h);
}

/* The work of the only reader that a test with one thread uses, since the last call. */
static struct sqdb_work reader_work(struct meta *m)
{
    struct sqdb_work w;
    struct sqdb *db = readers_take(meta_sqlite(m)->readers, NULL);
    assert_non_null(db);
    sqdb_work(db, &w);
    readers_give(meta_sqlite(m)->readers, db);
    return w;
}

/* n tags in one push: t00000, t00001, … */
static void many_tags(void **state, struct slice repo, unsigned n)
{
    struct arena *a = arena_of(state);
    struct image im = image_make(a, 77, HASH_SHA256);
    struct meta_manifest_put in = put_of(a, repo, &im, NULL);
    struct meta_manifest_put_result out;
    struct slice *tags = ARENA_ARRAY(a, struct slice, n);
    for (unsigned i = 0; i < n; i++)
        tags[i] = slice_cstr(arena_printf(a, "t%05u", i));
    in.tags = tags;
    in.n_tags = n;
    OK(meta_manifest_put(meta_of(state), &in, a, &out, &err));
}

static int64_t page_cost(void **state, struct slice repo, const char *last, const char *first)
{
    struct meta_names page = {0};
    (void)reader_work(meta_of(state));
    OK(meta_tags(meta_of(state), repo, slice_cstr(last), 100, arena_of(state), &page, &err));
    struct sqdb_work w = reader_work(meta_of(state));
    assert_int_equal(page.n, 100);
    assert_true(slice_is(page.names[0], first));
    assert_int_equal(w.fullscan_steps, 0);
    assert_int_equal(w.sorts, 0);
    return w.steps;
}

/* performance.md B12: what a page costs does not depend on the number of tags, nor on the place. */
static void test_page_cost(void **state)
{
    many_tags(state, S("small"), 101);
    many_tags(state, S("large"), 10000);
    int64_t small = page_cost(state, S("small"), "", "t00000");
    assert_true(small > 100 && small < 2000);
    assert_int_equal(page_cost(state, S("large"), "", "t00000"), small);
    assert_int_equal(page_cost(state, S("large"), "t04999", "t05000"), small);
    assert_true(page_cost(state, S("large"), "t09899", "t09900") <= small);
}

static int64_t referrers_cost(void **state, unsigned subject, struct slice type)
{
    struct meta_referrers page = {0};
    struct digest d = blob_digest(subject);
    (void)reader_work(meta_of(state));
    OK(meta_referrers(meta_of(state), REPO, digest_slice(&d), type, SLICE_NONE, 10, arena_of(state),
                      &page, &err));
    struct sqdb_work w = reader_work(meta_of(state));
    assert_int_equal(page.n, 10);
    assert_int_equal(w.fullscan_steps, 0);
    assert_int_equal(w.sorts, 0);
    return w.steps;
}

static void test_referrers_cost(void **state)
{
    for (unsigned i = 0; i < 200; i++) {
        struct digest d = blob_digest(i < 22 ? 1 : 2);
        struct image im = image_make(arena_of(state), i, HASH_SHA256);
        im.m.has_subject = true;
        im.m.subject = digest_slice(&d);
        im.m.artifact_type = i % 2 ? S("a/x") : S("a/y");
        put_image(meta_of(state), arena_of(state), REPO, &im, NULL);
    }
    assert_int_equal(referrers_cost(state, 1, SLICE_NONE), referrers_cost(state, 2, SLICE_NONE));
    assert_int_equal(referrers_cost(state, 1, S("a/x")), referrers_cost(state, 2, S("a/x")));
}

/* The hot look-ups are one short statement each. */
static void test_lookup_cost(void **state)
{
    struct meta *m = meta_of(state);
    struct image im = image_push(m, arena_of(state), REPO, 1, "v1");
    struct digest d = blob_digest(2);
    struct meta_blob b;
    struct meta_manifest got;
    struct reference ref = ref_tag("v1");
    (void)reader_work(m);
    OK(meta_blob_get(m, REPO, &d, false, &b, &err));
    assert_in_range(reader_work(m).steps, 1, 40);
    OK(meta_manifest_get(m, REPO, &ref, false, &got, &err));
    assert_in_range(reader_work(m).steps, 1, 40);
    ref = ref_digest(&im.digest);
    OK(meta_manifest_get(m, REPO, &ref, false, &got, &err));
    assert_in_range(reader_work(m).steps, 1, 40);
}

/* What the collector will do: nothing that it is about to remove may be used, and a push that meets
 * it raises the epoch. */
static void test_deleting(void **state)
{
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(arena_of(state), 1);
    struct meta_blob b;
    struct meta_pend row = {.live = true, .is_inline = true};
    push_blob(m, REPO, 1);
    sqlite_fixture_exec(state, "UPDATE blobs SET state = 2, epoch = 2");
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_get(m, REPO, &d, false, &b, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_lease(m, REPO, &d, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, REPO, S("x"), &d, NULL, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_mount(m, SLICE_NONE, S("x"), &d, NULL, &err));
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_delete(m, REPO, &d, NULL, &err));
    FAILS(ERR_CONFLICT, meta_blob_commit(m, REPO, &d, bytes.n, NULL, SLICE_NONE, NULL, &err));
    assert_stats(m, 1, 0, 0, 0, 0);
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, NULL, &err));
    assert_int_equal(sqlite_fixture_number(state, "SELECT epoch FROM blobs"), 3);
    OK(meta_blob_get(m, REPO, &d, true, &b, &err));
    assert_true(slice_eq(shared_view(b.bytes), bytes));
    shared_unref(b.bytes);
    sqlite_fixture_exec(state, "UPDATE blobs SET state = 2");
    OK(meta_blob_pend(m, &d, bytes.n, &row, &err));
    assert_false(row.live || row.is_inline);
    assert_int_equal(row.epoch, 4);
    assert_int_equal(sqlite_fixture_number(state, "SELECT count(*) FROM blob_data"), 0);
    OK(meta_blob_commit(m, REPO, &d, bytes.n, NULL, SLICE_NONE, NULL, &err));
    OK(meta_blob_get(m, REPO, &d, true, &b, &err));
    assert_false(b.is_inline);
}

/* The last reference goes: the blob is left alone for a day, whatever its link says. */
static void test_grace(void **state)
{
    struct meta *m = meta_of(state);
    struct image im = image_push(m, arena_of(state), REPO, 1, "v1");
    int64_t before = os_wall_ms();
    assert_true(sqlite_fixture_number(state, "SELECT max(lease_ms) FROM blobs") < before);
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    assert_true(sqlite_fixture_number(state, "SELECT min(lease_ms) FROM blobs") >=
                before + META_LINK_LEASE_MS);
}

/* A link goes, and may have been the last: the same. A longer lease stays. */
static void test_grace_of_link(void **state)
{
    static const char lease[] = "SELECT lease_ms FROM blobs ORDER BY id LIMIT 1";
    struct meta *m = meta_of(state);
    struct digest d = blob_digest(1);
    push_blob(m, REPO, 1);
    push_blob(m, S("other"), 1);
    push_blob(m, REPO, 2);
    int64_t before = os_wall_ms();
    OK(meta_blob_delete(m, REPO, &d, NULL, &err));
    int64_t after = sqlite_fixture_number(state, lease);
    assert_true(after >= before + META_LINK_LEASE_MS && after <= os_wall_ms() + META_LINK_LEASE_MS);
    assert_true(sqlite_fixture_number(state, "SELECT max(lease_ms) FROM blobs WHERE id <> 1") <
                before);
    FAILS(ERR_BLOB_UNKNOWN, meta_blob_delete(m, REPO, &d, NULL, &err));
    os_wall_shift(-3600 * 1000);
    OK(meta_blob_delete(m, S("other"), &d, NULL, &err));
    assert_int_equal(sqlite_fixture_number(state, lease), after);
}

/* Bytes are there once for all, and go with the last that has them. */
static void test_payloads(void **state)
{
    static const char count[] = "SELECT count(*) FROM payloads";
    struct meta *m = meta_of(state);
    struct image im = image_make(arena_of(state), 1, HASH_SHA256), twin = im;
    digest_of(HASH_SHA512, im.body, &twin.digest);
    put_image(m, arena_of(state), REPO, &im, "a");
    put_image(m, arena_of(state), REPO, &twin, "b");
    put_image(m, arena_of(state), S("other"), &im, "a");
    assert_int_equal(sqlite_fixture_number(state, count), 1);
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    OK(meta_manifest_delete(m, S("other"), &im.digest, NULL, NULL, &err));
    assert_int_equal(sqlite_fixture_number(state, count), 1);
    OK(meta_manifest_delete(m, REPO, &twin.digest, NULL, NULL, &err));
    assert_int_equal(sqlite_fixture_number(state, count), 0);
}

/* The counters agree with the tables: their triggers see cascades too. */
static void test_counts(void **state)
{
    struct meta *m = meta_of(state);
    struct image im = image_push(m, arena_of(state), REPO, 1, "a");
    many_tags(state, REPO, 50);
    put_image(m, arena_of(state), REPO, &im, "t00001");
    OK(meta_manifest_delete(m, REPO, &im.digest, NULL, NULL, &err));
    assert_stats(m, 1, 1, 49, 2, 0);
    assert_int_equal(sqlite_fixture_number(state, "SELECT count(*) FROM tags"), 49);
    assert_int_equal(sqlite_fixture_number(state, "SELECT count(*) FROM manifest_blobs"), 0);
    sqlite_fixture_exec(state, "PRAGMA foreign_keys = ON; DELETE FROM tags; DELETE FROM manifests;"
                               "DELETE FROM repo_blobs; DELETE FROM blobs;"
                               "DELETE FROM repositories;");
    assert_stats(m, 0, 0, 0, 0, 0);
}

/* Rows that the program did not write are an error, not a crash. */
static void test_damage(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest d = blob_digest(2), one = blob_digest(3);
    struct meta_blob b;
    struct meta_upload u;
    struct meta_manifest got;
    struct meta_pending *list;
    struct reference tag = ref_tag("v1");
    struct meta_pend row;
    unsigned n;
    struct image im = image_push(m, a, REPO, 1, "v1");
    OK(meta_upload_create(m, REPO, S("u"), HASH_SHA256, &err));
    sqlite_fixture_exec(state, "UPDATE blob_data SET data = x'00'; UPDATE payloads SET body = x'';"
                               "UPDATE uploads SET state = 1, digest = 'x'");
    FAILS(ERR_UNKNOWN, meta_blob_get(m, REPO, &d, true, &b, &err));
    FAILS(ERR_UNKNOWN, meta_upload_get(m, REPO, S("u"), a, &u, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_get(m, REPO, &tag, true, &got, &err));
    sqlite_fixture_exec(state, "DELETE FROM blob_data; UPDATE manifests SET digest = 'x'");
    FAILS(ERR_UNKNOWN, meta_blob_get(m, REPO, &d, true, &b, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_get(m, REPO, &tag, false, &got, &err));
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    struct meta_manifest_put_result out;
    struct expect_now *none = expect_now(a, NULL);
    in.condition = &none->condition;
    FAILS(ERR_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    FAILS(ERR_UNKNOWN, meta_tag_delete(m, REPO, S("v1"), &none->condition, NULL, &err));
    assert_int_equal(none->calls, 0);
    OK(meta_blob_delete(m, REPO, &one, NULL, &err));
    sqlite_fixture_exec(state, "UPDATE blobs SET digest = 'x' || id, state = 0, generation = 0");
    FAILS(ERR_UNKNOWN, meta_blob_pending(m, SLICE_NONE, 10, a, &list, &n, &err));
    OK(meta_blob_pend(m, &d, 1, &row, &err));
    struct meta_events events;
    struct meta_event_row pull = {.event = {.action = S("pull")}};
    int64_t position;
    OK(meta_cursor_ensure(m, S("hook"), &position, &err));
    OK(meta_events_add(m, &pull, 1, &err));
    sqlite_fixture_exec(state, "UPDATE events SET uuid = 'x'");
    FAILS(ERR_UNKNOWN, meta_events_after(m, 0, 1, a, &events, &err));
}

/* A table that is gone: every call fails with an error and nothing else happens. */
static void test_broken_schema(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest d = blob_digest(1);
    struct slice bytes = blob_bytes(a, 1);
    struct meta_blob b;
    struct meta_upload u;
    struct meta_manifest got;
    struct meta_manifest_put_result out;
    struct meta_names names;
    struct meta_referrers refs;
    struct meta_pending *list;
    struct meta_stale *stale;
    struct meta_pend row;
    struct meta_stats st;
    struct reference by_tag = ref_tag("v1"), by_digest = ref_digest(&d);
    struct image im = image_make(a, 1, HASH_SHA256);
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    bool flag;
    unsigned n;
    sqlite_fixture_exec(state, "ALTER TABLE repositories RENAME TO r1;"
                               "ALTER TABLE blobs RENAME TO b1; ALTER TABLE uploads RENAME TO u1;"
                               "ALTER TABLE events RENAME TO e1;"
                               "ALTER TABLE cursors RENAME TO c1;"
                               "DROP TABLE counts; DROP TABLE generation;");
    struct meta_events events;
    struct meta_event_row pull = {.event = {.action = S("pull")}};
    struct meta_cursor *cursors;
    int64_t position;
    uint64_t count;
    FAILS(ERR_UNKNOWN, meta_cursor_ensure(m, S("h"), &position, &err));
    FAILS(ERR_UNKNOWN, meta_cursor_remove(m, S("h"), &err));
    FAILS(ERR_UNKNOWN, meta_cursors(m, a, &cursors, &n, &err));
    FAILS(ERR_UNKNOWN, meta_cursor_get(m, S("h"), &position, &err));
    FAILS(ERR_UNKNOWN, meta_cursor_advance(m, S("h"), 0, 1, &position, &err));
    FAILS(ERR_UNKNOWN, meta_events_after(m, 0, 1, a, &events, &err));
    FAILS(ERR_UNKNOWN, meta_events_add(m, &pull, 1, &err));
    FAILS(ERR_UNKNOWN, meta_events_replay(m, S("h"), 1, &count, &err));
    FAILS(ERR_UNKNOWN, meta_events_drop(m, S("h"), 1, &count, &err));
    FAILS(ERR_UNKNOWN, meta_ping(m, &err));
    FAILS(ERR_UNKNOWN, meta_stats_get(m, &st, &err));
    FAILS(ERR_UNKNOWN, meta_upload_create(m, REPO, S("u"), HASH_SHA256, &err));
    FAILS(ERR_UNKNOWN, meta_upload_get(m, REPO, S("u"), a, &u, &err));
    FAILS(ERR_UNKNOWN, meta_upload_save(m, REPO, S("u"), 0, false, SLICE_NONE, &err));
    FAILS(ERR_UNKNOWN, meta_upload_delete(m, REPO, S("u"), &err));
    FAILS(ERR_UNKNOWN, meta_upload_touch(m, REPO, S("u"), &err));
    FAILS(ERR_UNKNOWN, meta_upload_stale(m, 1, 1, a, &stale, &n, &err));
    FAILS(ERR_UNKNOWN, meta_upload_expire(m, S("u"), 1, &flag, &err));
    FAILS(ERR_UNKNOWN, meta_tombstones_expire(m, 1, 1, &n, &err));
    FAILS(ERR_UNKNOWN, meta_upload_exists(m, S("u"), &flag, &err));
    FAILS(ERR_UNKNOWN, meta_blob_get(m, REPO, &d, false, &b, &err));
    FAILS(ERR_UNKNOWN, meta_blob_lease(m, REPO, &d, &err));
    FAILS(ERR_UNKNOWN, meta_blob_pend(m, &d, 1, &row, &err));
    FAILS(ERR_UNKNOWN, meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, NULL, &err));
    FAILS(ERR_UNKNOWN, meta_blob_commit(m, REPO, &d, bytes.n, &bytes, S("u"), NULL, &err));
    FAILS(ERR_UNKNOWN, meta_blob_mount(m, S("x"), REPO, &d, NULL, &err));
    FAILS(ERR_UNKNOWN, meta_blob_mount(m, SLICE_NONE, REPO, &d, NULL, &err));
    FAILS(ERR_UNKNOWN, meta_blob_delete(m, REPO, &d, NULL, &err));
    FAILS(ERR_UNKNOWN, meta_blob_pending(m, SLICE_NONE, 1, a, &list, &n, &err));
    FAILS(ERR_UNKNOWN, meta_blob_resolve(m, &d, 1, true, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    image_edge(a, &im, EDGE_LAYER, digest_slice(&d), true);
    FAILS(ERR_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_get(m, REPO, &by_tag, true, &got, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_get(m, REPO, &by_digest, false, &got, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_delete(m, REPO, &d, NULL, NULL, &err));
    FAILS(ERR_UNKNOWN, meta_tag_delete(m, REPO, S("v1"), NULL, NULL, &err));
    FAILS(ERR_UNKNOWN, meta_tags(m, REPO, SLICE_NONE, 1, a, &names, &err));
    FAILS(ERR_UNKNOWN, meta_tags(m, REPO, SLICE_NONE, 0, a, &names, &err));
    FAILS(ERR_UNKNOWN, meta_repositories(m, SLICE_NONE, 1, a, &names, &err));
    FAILS(ERR_UNKNOWN, meta_referrers(m, REPO, S("x"), SLICE_NONE, SLICE_NONE, 1, a, &refs, &err));
}

static int64_t setting(struct sqdb *db, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(sqdb_number(db, sql, &n, NULL), 1);
    return n;
}

/* What the promise of durability rests on; a kill of the process would not show the difference. */
static void test_settings(void **state)
{
    for (unsigned mode = SQDB_WRITER; mode <= SQDB_READER; mode++) {
        struct sqdb *db = NULL;
        OK(sqdb_open(sqlite_fixture_path(state), mode, &db, &err));
        assert_int_equal(setting(db, "PRAGMA synchronous"), 2); /* FULL */
        assert_int_equal(setting(db, "PRAGMA foreign_keys"), 1);
        assert_int_equal(setting(db, "PRAGMA temp_store"), 2); /* memory */
        assert_int_equal(setting(db, "PRAGMA mmap_size"), 0);
        assert_int_equal(setting(db, "PRAGMA query_only"), mode == SQDB_READER);
        assert_int_equal(setting(db, "PRAGMA page_size"), 4096);
        sqdb_close(db);
    }
}

/* The checkpoint that cuts the log waits for a reader, though not for long. */
static void test_checkpoint(void **state)
{
    struct sqdb *db = NULL, *reader = NULL;
    const char *path = sqlite_fixture_path(state);
    const char *wal = arena_printf(arena_of(state), "%s-wal", path);
    struct stat st;
    OK(sqdb_open(path, SQDB_WRITER, &db, &err));
    OK(sqdb_open(path, SQDB_READER, &reader, &err));
    OK(sqdb_exec(reader, "BEGIN", &err));
    assert_int_equal(setting(reader, "SELECT count(*) FROM repositories"), 0);
    push_blob(meta_of(state), REPO, 1);
    FAILS(ERR_UNAVAILABLE, sqdb_checkpoint(db, false, &err));
    OK(sqdb_checkpoint(db, true, &err));
    OK(sqdb_exec(reader, "COMMIT", &err));
    OK(sqdb_checkpoint(db, false, &err));
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_size, 0);
    push_blob(meta_of(state), REPO, 2);
    assert_int_equal(setting(reader, "SELECT count(*) FROM blobs"), 2);
    sqdb_close(reader);
    sqdb_close(db);
}

/* Who may read the file may read everything. */
static void test_mode(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    push_blob(meta_of(state), REPO, 1);
    for (unsigned i = 0; i < ARRAY_LEN(suffixes); i++) {
        struct stat st;
        const char *path =
            arena_printf(arena_of(state), "%s%s", sqlite_fixture_path(state), suffixes[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

/* Where it cannot be. */
static void test_open_fails(void **state)
{
    struct meta *m = NULL;
    const char *path = sqlite_fixture_path(state);
    FAILS(ERR_UNKNOWN,
          meta_sqlite_open(arena_printf(arena_of(state), "%s/x", path), 1, NULL, &m, &err));
    FAILS(ERR_UNKNOWN, meta_sqlite_open("/dev/null/berth.db", 1, NULL, &m, &err));
    const char *text = arena_printf(arena_of(state), "%s.txt", path);
    FILE *f = fopen(text, "w");
    assert_non_null(f);
    for (unsigned i = 0; i < 1000; i++)
        (void)fprintf(f, "this is no database\n");
    (void)fclose(f);
    FAILS(ERR_UNKNOWN, meta_sqlite_open(text, 1, NULL, &m, &err));
    assert_null(m);
    meta_close(NULL);
}

/* A reader that cannot be opened gives its place back. */
static void test_reader_fails(void **state)
{
    struct meta_fixture *f = *state;
    struct meta_stats st;
    struct error e;
    struct readers *r = readers_new("/nonexistent/berth.db", 0);
    for (unsigned i = 0; i < 3; i++)
        assert_null(readers_take(r, &e));
    assert_int_equal(e.code, ERR_UNKNOWN);
    readers_free(r);
    readers_free(NULL);
    /* The database's directory goes away under a backend that has no reader yet. */
    reopen(state);
    const char *away = arena_printf(f->a, "%s.away", f->dir);
    assert_int_equal(rename(f->dir, away), 0);
    FAILS(ERR_UNKNOWN, meta_stats_get(f->m, &st, &err));
    FAILS(ERR_UNKNOWN, meta_ping(f->m, &err));
    struct arena *a = f->a;
    struct digest d = blob_digest(1);
    struct meta_blob b;
    struct meta_upload u;
    struct meta_manifest got;
    struct meta_names names;
    struct meta_referrers refs;
    struct meta_pending *list;
    struct meta_stale *stale;
    struct reference ref = ref_digest(&d);
    bool flag;
    unsigned n;
    FAILS(ERR_UNKNOWN, meta_blob_get(f->m, REPO, &d, false, &b, &err));
    FAILS(ERR_UNKNOWN, meta_blob_pending(f->m, SLICE_NONE, 1, a, &list, &n, &err));
    FAILS(ERR_UNKNOWN, meta_upload_stale(f->m, 1, 1, a, &stale, &n, &err));
    struct image im = image_make(a, 1, HASH_SHA256);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&d), true);
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    struct meta_manifest_put_result out;
    FAILS(ERR_UNKNOWN, meta_manifest_put(f->m, &in, a, &out, &err));
    FAILS(ERR_UNKNOWN, meta_upload_get(f->m, REPO, S("u"), a, &u, &err));
    FAILS(ERR_UNKNOWN, meta_upload_exists(f->m, S("u"), &flag, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_get(f->m, REPO, &ref, false, &got, &err));
    struct meta_events events;
    struct meta_cursor *cursors;
    int64_t position;
    FAILS(ERR_UNKNOWN, meta_events_after(f->m, 0, 1, a, &events, &err));
    FAILS(ERR_UNKNOWN, meta_cursors(f->m, a, &cursors, &n, &err));
    FAILS(ERR_UNKNOWN, meta_cursor_get(f->m, S("h"), &position, &err));
    FAILS(ERR_UNKNOWN, meta_tags(f->m, REPO, SLICE_NONE, 1, a, &names, &err));
    FAILS(ERR_UNKNOWN, meta_repositories(f->m, SLICE_NONE, 1, a, &names, &err));
    FAILS(ERR_UNKNOWN,
          meta_referrers(f->m, REPO, S("x"), SLICE_NONE, SLICE_NONE, 1, a, &refs, &err));
    assert_int_equal(rename(away, f->dir), 0);
    OK(meta_stats_get(f->m, &st, &err));
    OK(meta_ping(f->m, &err));
}

/* The events fail, and with them the change that they tell of. */
static void test_event_fails(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest d = blob_digest(1), two = blob_digest(2);
    struct slice bytes = blob_bytes(a, 1);
    struct meta_event e = {.action = S("push"), .repo = REPO};
    struct meta_event_row row = {.event = e};
    struct image im = image_push(m, a, REPO, 5, "v1");
    struct meta_manifest_put in = put_of(a, REPO, &im, "v2");
    struct meta_manifest_put_result out;
    int64_t position = 0, now = 0;
    uint64_t count = 0;
    in.event = &e;
    push_blob(m, REPO, 2);
    OK(meta_cursor_ensure(m, S("hook"), &position, &err));
    sqlite_fixture_exec(state, "ALTER TABLE events RENAME TO e1");
    FAILS(ERR_UNKNOWN, meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
    FAILS(ERR_UNKNOWN, meta_blob_mount(m, REPO, S("b"), &two, &e, &err));
    FAILS(ERR_UNKNOWN, meta_blob_delete(m, REPO, &two, &e, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    in.n_tags = 0;
    FAILS(ERR_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    FAILS(ERR_UNKNOWN, meta_tag_delete(m, REPO, S("v1"), NULL, &e, &err));
    FAILS(ERR_UNKNOWN, meta_manifest_delete(m, REPO, &im.digest, NULL, &e, &err));
    FAILS(ERR_UNKNOWN, meta_events_add(m, &row, 1, &err));
    FAILS(ERR_UNKNOWN, meta_cursor_ensure(m, S("other"), &position, &err));
    FAILS(ERR_UNKNOWN, meta_cursor_advance(m, S("hook"), 0, 1, &now, &err));
    FAILS(ERR_UNKNOWN, meta_events_replay(m, S("hook"), 1, &count, &err));
    FAILS(ERR_UNKNOWN, meta_events_drop(m, S("hook"), 1, &count, &err));
    assert_is(m, REPO, ref_tag("v1"), &im);
    assert_unknown(m, REPO, ref_tag("v2"));
    assert_stats(m, 1, 1, 1, 3, 0);
    sqlite_fixture_exec(state, "ALTER TABLE e1 RENAME TO events");
    OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, &e, &err));
}

static int64_t cursors_cost(void **state)
{
    struct meta_cursor *list;
    unsigned n;
    (void)reader_work(meta_of(state));
    OK(meta_cursors(meta_of(state), arena_of(state), &list, &n, &err));
    struct sqdb_work w = reader_work(meta_of(state));
    assert_int_equal(w.fullscan_steps, 0);
    return w.steps;
}

/* What a backlog costs to look at does not depend on how long it is. */
static void test_cursors_cost(void **state)
{
    int64_t position;
    struct meta_event_row rows[500] = {0};
    OK(meta_cursor_ensure(meta_of(state), S("hook"), &position, &err));
    OK(meta_events_add(meta_of(state), rows, 2, &err));
    int64_t few = cursors_cost(state);
    for (unsigned i = 0; i < 10; i++)
        OK(meta_events_add(meta_of(state), rows, 500, &err));
    assert_int_equal(cursors_cost(state), few);
}

/* Beside a server: neither its generation nor its schema changes, and both see the same. */
static void test_tool(void **state)
{
    static const char generation[] = "SELECT n FROM generation";
    struct meta *m = meta_of(state), *tool = NULL;
    struct error e = {0};
    struct meta_event_row rows[10] = {0};
    int64_t position = 0, now = 0, before = sqlite_fixture_number(state, generation);
    uint64_t n = 0;
    OK(meta_cursor_ensure(m, S("hook"), &position, &err));
    OK(meta_events_add(m, rows, 10, &err));
    OK(meta_cursor_advance(m, S("hook"), 0, 5, &now, &err));
    OK(meta_sqlite_tool(sqlite_fixture_path(state), &tool, &err));
    OK(meta_events_replay(tool, S("hook"), 2, &n, &err));
    OK(meta_cursor_advance(m, S("hook"), 5, 6, &now, &err));
    assert_int_equal(now, 1);
    OK(meta_events_drop(tool, S("hook"), INT64_MAX, &n, &err));
    assert_int_equal(n, 9);
    OK(meta_cursor_get(m, S("hook"), &now, &err));
    assert_int_equal(now, 10);
    push_blob(m, REPO, 1);
    meta_close(tool);
    push_blob(m, REPO, 2);
    assert_int_equal(sqlite_fixture_number(state, generation), before);
    sqlite_fixture_exec(state, "INSERT INTO schema VALUES (1000, 1)");
    assert_int_equal(meta_sqlite_tool(sqlite_fixture_path(state), &tool, &e), -1);
    assert_non_null(strstr(e.detail, "schema version 1000"));
    sqlite_fixture_exec(state, "DELETE FROM schema WHERE version = 1000");
    const char *none = arena_printf(arena_of(state), "%s.none", sqlite_fixture_path(state));
    assert_int_equal(meta_sqlite_tool(none, &tool, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.detail, "there is no database"));
    assert_int_equal(access(none, F_OK), -1);
    assert_int_equal(meta_sqlite_tool("/proc/self/status", &tool, &e), -1);
    assert_true(e.detail[0] != '\0');
}

/* More pages than the firm limit of the log: it has been moved and begun anew. */
static void test_log_is_bounded(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_new(META_INLINE_MAX + 64);
    const char *wal = arena_printf(arena_of(state), "%s-wal", sqlite_fixture_path(state));
    struct stat st;
    for (unsigned i = 0; i < 600; i++) {
        char *p = arena_alloc(a, META_INLINE_MAX);
        memcpy(p, &i, sizeof i);
        struct slice bytes = {p, META_INLINE_MAX};
        struct digest d;
        digest_of(HASH_SHA256, bytes, &d);
        OK(meta_blob_commit(m, REPO, &d, bytes.n, &bytes, SLICE_NONE, NULL, &err));
        arena_reset(a);
    }
    arena_free(a);
    /* 600 blobs are some 10,000 pages, 40 MB. */
    assert_int_equal(stat(wal, &st), 0);
    assert_in_range(st.st_size, 4096, 12 * 1024 * 1024);
}

/* --- a push whose blobs are not there does not come to the writer; and is asked again there --- */

static int64_t transactions(void **state)
{
    struct meta_fixture *f = *state;
    return metric_value(metrics_counter(f->metrics, "berth_meta_transactions_total",
                                        "Transactions in those groups.", ""));
}

static void test_missing_on_reader(void **state)
{
    struct meta *m = meta_of(state);
    struct arena *a = arena_of(state);
    struct digest here = blob_digest(1), absent = blob_digest(2), optional = blob_digest(3);
    struct image im = image_make(a, 1, HASH_SHA256);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&here), true);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&optional), false);
    image_edge(a, &im, EDGE_LAYER, digest_slice(&absent), true);
    struct meta_manifest_put in = put_of(a, REPO, &im, "v1");
    struct meta_manifest_put_result out = {0};
    int64_t before = transactions(state);
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(out.n_missing, 2);
    push_blob(m, REPO, 1);
    FAILS(ERR_MANIFEST_BLOB_UNKNOWN, meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(out.n_missing, 1);
    assert_true(slice_eq(out.missing[0], digest_slice(&absent)));
    assert_int_equal(transactions(state), before + 1);
    push_blob(m, REPO, 2);
    OK(meta_manifest_put(m, &in, a, &out, &err));
    assert_int_equal(transactions(state), before + 3);
}

/* Holds the writer until it is let go. */
struct hold {
    struct meta_condition condition;
    struct meta *m;
    struct digest digest;
    struct image im;
    struct arena *a;
    sem_t held, go;
    int rc;
    enum error_code code;
    unsigned n_missing;
};

static int hold_writer(void *arg, const struct digest *current, struct error *err)
{
    struct hold *h = arg;
    (void)current;
    (void)sem_post(&h->held);
    while (sem_wait(&h->go) < 0)
        ;
    return error_set(err, ERR_PRECONDITION, "held");
}

static void *run_holder(void *arg)
{
    struct hold *h = arg;
    struct error err;
    (void)meta_tag_delete(h->m, REPO, S("none"), &h->condition, NULL, &err);
    return NULL;
}

static void *run_blob_delete(void *arg)
{
    struct hold *h = arg;
    struct error err;
    CHECK(meta_blob_delete(h->m, REPO, &h->digest, NULL, &err) == 0);
    return NULL;
}

static void *run_put(void *arg)
{
    struct hold *h = arg;
    struct error err = {0};
    struct meta_manifest_put in = put_of(h->a, REPO, &h->im, "v1");
    struct meta_manifest_put_result out = {0};
    h->rc = meta_manifest_put(h->m, &in, h->a, &out, &err);
    h->code = err.code;
    h->n_missing = out.n_missing;
    return NULL;
}

/* The reader has seen the blob; a removal of its link that waits before it in the queue wins. */
static void test_missing_in_transaction(void **state)
{
    struct meta_fixture *f = *state;
    struct metric *queue =
        metrics_gauge(f->metrics, "berth_meta_queue", "Transactions that wait for the writer.", "");
    struct hold h = {.m = f->m, .a = f->a, .digest = blob_digest(1)};
    void *(*const run[])(void *) = {run_holder, run_blob_delete, run_put};
    pthread_t t[3];
    h.condition = (struct meta_condition){.check = hold_writer, .arg = &h};
    h.im = image_make(f->a, 1, HASH_SHA256);
    image_edge(f->a, &h.im, EDGE_LAYER, digest_slice(&h.digest), true);
    push_blob(f->m, REPO, 1);
    assert_int_equal(sem_init(&h.held, 0, 0) | sem_init(&h.go, 0, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, run[i], &h), 0);
        if (i == 0)
            while (sem_wait(&h.held) < 0)
                ;
        while (metric_value(queue) != i)
            (void)usleep(1000);
    }
    (void)sem_post(&h.go);
    for (unsigned i = 0; i < 3; i++)
        (void)pthread_join(t[i], NULL);
    (void)sem_destroy(&h.held);
    (void)sem_destroy(&h.go);
    assert_int_equal(h.rc, -1);
    assert_int_equal(h.code, ERR_MANIFEST_BLOB_UNKNOWN);
    assert_int_equal(h.n_missing, 1);
    assert_stats(f->m, 1, 0, 0, 1, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, sqlite_fixture_setup, sqlite_fixture_teardown)

int main(void)
{
    struct CMUnitTest tests[META_CONFORMANCE_MAX] = {
        TEST(test_plans),
        TEST(test_page_cost),
        TEST(test_referrers_cost),
        TEST(test_lookup_cost),
        TEST(test_deleting),
        TEST(test_grace),
        TEST(test_payloads),
        TEST(test_counts),
        TEST(test_damage),
        TEST(test_mode),
        TEST(test_open_fails),
        TEST(test_broken_schema),
        TEST(test_reader_fails),
        TEST(test_log_is_bounded),
        TEST(test_settings),
        TEST(test_checkpoint),
        TEST(test_grace_of_link),
        TEST(test_missing_on_reader),
        TEST(test_missing_in_transaction),
        TEST(test_event_fails),
        TEST(test_cursors_cost),
        TEST(test_tool),
    };
    struct meta_suite suite = {
        .out = tests, .n = 22, .setup = sqlite_fixture_setup, .teardown = sqlite_fixture_teardown};
    meta_conformance_add(&suite);
    return _cmocka_run_group_tests("meta_sqlite", tests, suite.n, NULL, NULL);
}
