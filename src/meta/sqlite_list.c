/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: pages in byte order, each one range of an index. */
#include "meta/sqlite_int.h"

#include "base/banned.h"

/* One more element at the end of a list in an arena, of which `n` are in use: doubles at powers of
 * two, so that a caller's large limit costs nothing until there is that much. */
static void *grow(struct arena *a, void *list, unsigned n, size_t size)
{
    enum { FIRST = 16 };
    if (n == 0)
        return arena_alloc(a, FIRST * size);
    if (n < FIRST || (n & (n - 1)))
        return list;
    void *more = arena_alloc(a, (size_t)2 * n * size);
    memcpy(more, list, n * size);
    return more;
}

/* Rows of one column of text; asked for one more than n, to know whether there are more. */
static int read_names(struct sqlite3_stmt *q, unsigned n, struct arena *a, struct meta_names *out,
                      struct error *err)
{
    struct meta_names names = {0};
    int r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0) {
        if (names.n == n) {
            names.more = n > 0;
            break;
        }
        names.names = grow(a, names.names, names.n, sizeof *names.names);
        names.names[names.n++] = arena_slice(a, sq_bytes(q, 0));
    }
    if (r < 0)
        return -1;
    *out = names;
    return 0;
}

static int list_tags(struct sqdb *db, struct slice repo, struct slice last, unsigned n,
                     struct arena *a, struct meta_names *out, struct error *err)
{
    struct meta_names names = {0};
    if (n > 0) {
        SQ_CLEANUP struct sqlite3_stmt *q =
            SQ_START(db, SQL_TAG_LIST, err, sq_t(repo), sq_t(last), sq_i((int64_t)n + 1));
        if (read_names(q, n, a, &names, err) < 0)
            return -1;
    }
    if (names.n == 0) {
        int64_t id;
        int r = sqlite_repo_find(db, repo, &id, err);
        if (r == 0)
            error_set(err, ERR_NAME_UNKNOWN, "no such repository: %.*s", SLICE_ARG(repo));
        if (r <= 0)
            return -1;
    }
    *out = names;
    return 0;
}

int sqlite_tags(struct meta *m, struct slice repo, struct slice last, unsigned n, struct arena *a,
                struct meta_names *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_LIST);
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = list_tags(db, repo, last, n, a, out, err);
    readers_give(readers, db);
    return r;
}

static int list_repositories(struct sqdb *db, struct slice last, unsigned n, struct arena *a,
                             struct meta_names *out, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q =
        SQ_START(db, SQL_REPO_LIST, err, sq_t(last), sq_i((int64_t)n + 1));
    return read_names(q, n, a, out, err);
}

int sqlite_repositories(struct meta *m, struct slice last, unsigned n, struct arena *a,
                        struct meta_names *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_LIST);
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = list_repositories(db, last, n, a, out, err);
    readers_give(readers, db);
    return r;
}

/* The type is a parameter of one of the two statements only, and comes before the cursor there. */
static struct sqlite3_stmt *start_referrers(struct sqdb *db, struct slice repo,
                                            struct slice subject, struct slice type,
                                            struct slice last, int64_t limit, struct error *err)
{
    if (type.n)
        return SQ_START(db, SQL_REFERRERS_TYPE, err, sq_t(repo), sq_t(subject), sq_t(type),
                        sq_t(last), sq_i(limit));
    return SQ_START(db, SQL_REFERRERS, err, sq_t(repo), sq_t(subject), sq_t(last), sq_i(limit));
}

static int list_referrers(struct sqlite3_stmt *q, unsigned n, struct arena *a,
                          struct meta_referrers *out, struct error *err)
{
    struct meta_referrers page = {0};
    size_t bytes = 0;
    int r = 1;
    while (r > 0 && (r = sq_next(q, err)) > 0) {
        if (page.n == n) {
            page.more = n > 0;
            break;
        }
        struct slice type = sq_bytes(q, 2), annotations = sq_bytes(q, 4);
        bytes += META_REFERRER_COST + type.n + annotations.n;
        if (page.n > 0 && bytes > META_REFERRERS_BYTES) {
            page.more = true;
            break;
        }
        page.list = grow(a, page.list, page.n, sizeof *page.list);
        page.list[page.n++] = (struct meta_referrer){
            .digest = arena_slice(a, sq_bytes(q, 0)),
            .media_type = arena_slice(a, sq_bytes(q, 1)),
            .artifact_type = arena_slice(a, type),
            .size = (uint64_t)sq_int(q, 3),
            .annotations = arena_slice(a, annotations),
        };
    }
    if (r < 0)
        return -1;
    *out = page;
    return 0;
}

int sqlite_referrers(struct meta *m, struct slice repo, struct slice subject,
                     struct slice artifact_type, struct slice last, unsigned n, struct arena *a,
                     struct meta_referrers *out, struct error *err)
{
    STORAGE_TIMED(&meta_sqlite(m)->times, STORAGE_LIST);
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    struct sqlite3_stmt *q =
        start_referrers(db, repo, subject, artifact_type, last, (int64_t)n + 1, err);
    int r = q ? list_referrers(q, n, a, out, err) : -1;
    sq_end(&q);
    readers_give(readers, db);
    return r;
}
