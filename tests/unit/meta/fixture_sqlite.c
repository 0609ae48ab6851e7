/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_sqlite.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"

static struct meta *open_database(struct meta_fixture *f)
{
    struct meta *m = NULL;
    struct error err;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/berth.db", f->dir);
    if (meta_sqlite_open(path, 4, f->metrics, &m, &err) < 0)
        print_error("# %s\n", err.message);
    return m;
}

int sqlite_fixture_setup(void **state)
{
    char template[] = "/tmp/berth-meta-XXXXXX";
    struct meta_fixture *f = xcalloc(1, sizeof *f);
    f->dir = xstrdup(mkdtemp(template));
    f->open = open_database;
    f->a = arena_new(4096);
    f->metrics = metrics_new();
    f->m = open_database(f);
    *state = f;
    return f->m ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int sqlite_fixture_teardown(void **state)
{
    struct meta_fixture *f = *state;
    os_wall_shift(0); /* a test that failed may have left it */
    meta_close(f->m);
    metrics_free(f->metrics);
    arena_free(f->a);
    int r = nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f->dir);
    free(f);
    return r;
}

const char *sqlite_fixture_path(void **state)
{
    struct meta_fixture *f = *state;
    return arena_printf(f->a, "%s/berth.db", f->dir);
}

void sqlite_fixture_exec(void **state, const char *sql)
{
    sqlite3 *h = NULL;
    assert_int_equal(sqlite3_open(sqlite_fixture_path(state), &h), SQLITE_OK);
    (void)sqlite3_busy_timeout(h, 5000);
    if (sqlite3_exec(h, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(h));
    (void)sqlite3_close(h);
}

int64_t sqlite_fixture_number(void **state, const char *sql)
{
    sqlite3 *h = NULL;
    sqlite3_stmt *q = NULL;
    assert_int_equal(sqlite3_open(sqlite_fixture_path(state), &h), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(q, 0);
    (void)sqlite3_finalize(q);
    (void)sqlite3_close(h);
    return n;
}

/* --- syncs: SQLite's own way to the files, with a counter in between --- */

static struct {
    sqlite3_vfs vfs, *real;
    sqlite3_io_methods methods;
    const sqlite3_io_methods *real_methods;
    int syncs;
} watch;

static int watched_sync(sqlite3_file *file, int flags)
{
    watch.syncs++;
    return watch.real_methods->xSync(file, flags);
}

static int watched_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    int rc = watch.real->xOpen(watch.real, name, file, flags, out);
    if (rc == SQLITE_OK && flags & SQLITE_OPEN_WAL) {
        watch.real_methods = file->pMethods;
        watch.methods = *file->pMethods;
        watch.methods.xSync = watched_sync;
        file->pMethods = &watch.methods;
    }
    return rc;
}

void sqlite_fixture_watch_syncs(void)
{
    watch.syncs = 0;
    watch.real = sqlite3_vfs_find(NULL);
    watch.vfs = *watch.real;
    watch.vfs.zName = "watch";
    watch.vfs.xOpen = watched_open;
    assert_int_equal(sqlite3_vfs_register(&watch.vfs, 1), SQLITE_OK);
}

int sqlite_fixture_syncs(void)
{
    assert_int_equal(sqlite3_vfs_unregister(&watch.vfs), SQLITE_OK);
    return watch.syncs;
}
