/* SPDX-License-Identifier: Apache-2.0 */
/* Events and the cursors of those who deliver them. Ids have no gaps: they are given in the order
 * of the commits, and rows go from the oldest on only. */
#include <inttypes.h>
#include <stdio.h>

#include "meta/sqlite_int.h"

#include "base/banned.h"

enum {
    PRUNE_BATCH = 1000, /* rows that one transaction removes */
    PAGE_BYTES = 1024 * 1024,
    ROW_COST = 256, /* what a row counts besides its texts */
    ROW_TEXTS = 10
};

/* Arguments and results of all of this file's transactions. */
struct event_txn {
    struct txn txn;
    struct meta_sqlite *s;
    struct slice cursor;
    int64_t from, to; /* cursor_advance; `to` is the id of the others */
    int64_t position; /* where the cursor stands afterwards */
    uint64_t count;
    int pruned;
    const struct meta_event_row *rows;
    unsigned n_rows;
};

static int no_cursor(struct slice name, struct error *err)
{
    return error_detail(err, ERR_NOT_FOUND, "there is no endpoint %.*s",
                        SLICE_ARG(slice_first(name, 100)));
}

static int run(struct meta *m, struct event_txn *e, struct error *err)
{
    e->s = meta_sqlite(m);
    return writer_run(e->s->writer, &e->txn, err);
}

/* --- writing --- */

/* Looked up again after every change of the cursors, also one whose commit failed. */
static int find_listeners(struct meta_sqlite *s, struct sqdb *db, struct error *err)
{
    int64_t one;
    if (s->listeners < 0)
        s->listeners = SQ_FIND(db, SQL_CURSOR_ANY, &one, err, sq_t(SLICE_LIT("")));
    return s->listeners;
}

static void forget_listeners(struct txn *t)
{
    TXN_SELF(t, struct event_txn)->s->listeners = -1;
}

/* Random, version 4 (RFC 9562 5.4). */
static void make_uuid(char out[37])
{
    unsigned char b[16];
    char hex[33];
    os_random(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    hex_encode(b, sizeof b, hex);
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
}

static struct slice bounded(struct slice s, size_t max)
{
    return s.n <= max ? s : SLICE_NONE;
}

static int add_row(struct sqdb *db, const struct meta_event *e, int64_t time_ms, struct error *err)
{
    char uuid[37];
    make_uuid(uuid);
    return SQ_RUN(db, SQL_EVENT_ADD, NULL, err, sq_i(time_ms), sq_t(slice_cstr(uuid)),
                  sq_t(e->action), sq_t(e->repo), sq_t(e->digest), sq_t(e->media_type),
                  sq_i((int64_t)e->size), sq_t(e->tag), sq_t(e->from_repo), sq_t(e->url),
                  sq_t(bounded(e->request, META_EVENT_REQUEST_MAX)), sq_t(e->actor),
                  sq_t(bounded(e->references, META_EVENT_REFERENCES_MAX)));
}

int sqlite_event_wanted(struct meta_sqlite *s, struct sqdb *db, const struct meta_event *event,
                        struct error *err)
{
    return event ? find_listeners(s, db, err) : 0;
}

int sqlite_event_put(struct meta_sqlite *s, struct sqdb *db, const struct meta_event *event,
                     struct error *err)
{
    int r = sqlite_event_wanted(s, db, event, err);
    return r <= 0 ? r : add_row(db, event, os_wall_ms(), err);
}

static int run_add(struct txn *t, struct sqdb *db, struct error *err)
{
    struct event_txn *e = TXN_SELF(t, struct event_txn);
    int64_t now = os_wall_ms();
    int r = find_listeners(e->s, db, err);
    for (unsigned i = 0; r > 0 && i < e->n_rows; i++) {
        const struct meta_event_row *row = &e->rows[i];
        if (add_row(db, &row->event, row->time_ms ? row->time_ms : now, err) < 0)
            return -1;
    }
    return r < 0 ? -1 : 0;
}

int sqlite_events_add(struct meta *m, const struct meta_event_row *rows, unsigned n,
                      struct error *err)
{
    struct event_txn e = {.txn.run = run_add, .rows = rows, .n_rows = n};
    return run(m, &e, err);
}

/* --- what everybody has passed --- */

/* Up to a batch of it; how many went. Without a cursor nobody waits for anything. */
static int prune(struct sqdb *db, int *pruned, struct error *err)
{
    int64_t newest = 0, lowest = 0;
    if (SQ_FIND(db, SQL_EVENT_NEWEST, &newest, err, sq_i(0)) < 0)
        return -1;
    int r = SQ_FIND(db, SQL_CURSOR_LOWEST, &lowest, err, sq_i(0));
    if (r < 0)
        return -1;
    int64_t last = r ? MIN(lowest, newest - META_EVENTS_KEPT) : newest;
    *pruned = 0;
    if (last <= 0)
        return 0;
    return SQ_RUN(db, SQL_EVENTS_PRUNE, pruned, err, sq_i(last), sq_i(PRUNE_BATCH));
}

static int run_prune(struct txn *t, struct sqdb *db, struct error *err)
{
    return prune(db, &TXN_SELF(t, struct event_txn)->pruned, err);
}

/* All of it, in transactions that do not keep the others waiting. */
static int prune_all(struct meta *m, struct error *err)
{
    struct event_txn e = {.txn.run = run_prune};
    do
        if (run(m, &e, err) < 0)
            return -1;
    while (e.pruned == PRUNE_BATCH);
    return 0;
}

/* --- cursors --- */

static int find_cursor(struct event_txn *e, struct sqdb *db, struct error *err)
{
    int r = SQ_FIND(db, SQL_CURSOR_GET, &e->position, err, sq_t(e->cursor));
    return r == 0 ? no_cursor(e->cursor, err) : MIN(r, 0);
}

static int run_ensure(struct txn *t, struct sqdb *db, struct error *err)
{
    struct event_txn *e = TXN_SELF(t, struct event_txn);
    e->position = 0;
    int r = SQ_FIND(db, SQL_CURSOR_GET, &e->position, err, sq_t(e->cursor));
    if (r != 0)
        return MIN(r, 0);
    e->s->listeners = -1;
    if (SQ_FIND(db, SQL_EVENT_NEWEST, &e->position, err, sq_i(0)) < 0)
        return -1;
    return SQ_RUN(db, SQL_CURSOR_ADD, NULL, err, sq_t(e->cursor), sq_i(e->position));
}

int sqlite_cursor_ensure(struct meta *m, struct slice name, int64_t *position, struct error *err)
{
    CHECK(name.n > 0);
    struct event_txn e = {.txn = {.run = run_ensure, .committed = forget_listeners},
                          .cursor = name};
    if (run(m, &e, err) < 0)
        return -1;
    *position = e.position;
    return 0;
}

static int run_remove(struct txn *t, struct sqdb *db, struct error *err)
{
    struct event_txn *e = TXN_SELF(t, struct event_txn);
    e->s->listeners = -1;
    return SQ_RUN(db, SQL_CURSOR_REMOVE, NULL, err, sq_t(e->cursor));
}

int sqlite_cursor_remove(struct meta *m, struct slice name, struct error *err)
{
    struct event_txn e = {.txn = {.run = run_remove, .committed = forget_listeners},
                          .cursor = name};
    return run(m, &e, err) < 0 ? -1 : prune_all(m, err);
}

static int run_advance(struct txn *t, struct sqdb *db, struct error *err)
{
    struct event_txn *e = TXN_SELF(t, struct event_txn);
    if (find_cursor(e, db, err) < 0)
        return -1;
    if (e->position != e->from)
        return 0;
    e->position = e->to;
    if (SQ_RUN(db, SQL_CURSOR_MOVE, NULL, err, sq_i(e->to), sq_t(e->cursor), sq_i(e->from)) < 0)
        return -1;
    return prune(db, &e->pruned, err);
}

int sqlite_cursor_advance(struct meta *m, struct slice name, int64_t from, int64_t to, int64_t *now,
                          struct error *err)
{
    CHECK(from <= to);
    struct event_txn e = {.txn.run = run_advance, .cursor = name, .from = from, .to = to};
    if (run(m, &e, err) < 0)
        return -1;
    *now = e.position;
    return 0;
}

static int run_replay(struct txn *t, struct sqdb *db, struct error *err)
{
    struct event_txn *e = TXN_SELF(t, struct event_txn);
    int64_t oldest = 0;
    if (find_cursor(e, db, err) < 0)
        return -1;
    int r = SQ_FIND(db, SQL_EVENT_FIRST, &oldest, err, sq_i(0));
    if (r < 0)
        return -1;
    if (e->to > e->position)
        return error_detail(err, ERR_BAD_REQUEST,
                            "event %" PRId64 " is still to come for %.*s, which stands at %" PRId64,
                            e->to, SLICE_ARG(e->cursor), e->position);
    if (r == 0 || e->to < oldest)
        return error_detail(err, ERR_BAD_REQUEST,
                            "event %" PRId64 " is not kept any more; the oldest is %" PRId64, e->to,
                            oldest);
    e->count = (uint64_t)(e->position - e->to + 1);
    return SQ_RUN(db, SQL_CURSOR_MOVE, NULL, err, sq_i(e->to - 1), sq_t(e->cursor),
                  sq_i(e->position));
}

int sqlite_events_replay(struct meta *m, struct slice cursor, int64_t id, uint64_t *again,
                         struct error *err)
{
    struct event_txn e = {.txn.run = run_replay, .cursor = cursor, .to = id};
    if (run(m, &e, err) < 0)
        return -1;
    *again = e.count;
    return 0;
}

static int run_drop(struct txn *t, struct sqdb *db, struct error *err)
{
    struct event_txn *e = TXN_SELF(t, struct event_txn);
    int64_t newest = 0, first = 0;
    if (find_cursor(e, db, err) < 0)
        return -1;
    if (SQ_FIND(db, SQL_EVENT_NEWEST, &newest, err, sq_i(0)) < 0 ||
        SQ_FIND(db, SQL_EVENT_FIRST, &first, err, sq_i(e->position)) < 0)
        return -1;
    int64_t to = MIN(e->to, newest);
    e->count = 0;
    if (to <= e->position)
        return 0;
    e->count = to >= first ? (uint64_t)(to - first + 1) : 0;
    return SQ_RUN(db, SQL_CURSOR_MOVE, NULL, err, sq_i(to), sq_t(e->cursor), sq_i(e->position));
}

int sqlite_events_drop(struct meta *m, struct slice cursor, int64_t id, uint64_t *dropped,
                       struct error *err)
{
    struct event_txn e = {.txn.run = run_drop, .cursor = cursor, .to = id};
    if (run(m, &e, err) < 0 || prune_all(m, err) < 0)
        return -1;
    *dropped = e.count;
    return 0;
}

/* --- reading --- */

static int get_cursor(struct sqdb *db, struct slice name, int64_t *position, struct error *err)
{
    int r = SQ_FIND(db, SQL_CURSOR_GET, position, err, sq_t(name));
    return r == 0 ? no_cursor(name, err) : MIN(r, 0);
}

int sqlite_cursor_get(struct meta *m, struct slice name, int64_t *position, struct error *err)
{
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = get_cursor(db, name, position, err);
    readers_give(readers, db);
    return r;
}

static int list_cursors(struct sqdb *db, struct arena *a, struct meta_cursor **list, unsigned *n,
                        struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q = SQ_START(db, SQL_CURSOR_LIST, err, sq_t(SLICE_LIT("")));
    struct meta_cursor *found = NULL;
    unsigned count = 0, room = 0;
    int r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0) {
        if (count == room) {
            room = room ? 2 * room : 8;
            struct meta_cursor *more = ARENA_ARRAY(a, struct meta_cursor, room);
            if (count)
                memcpy(more, found, count * sizeof *more);
            found = more;
        }
        int64_t first = sq_int(q, 2), last = sq_int(q, 4); /* NULL reads as 0 */
        found[count++] = (struct meta_cursor){
            .name = arena_slice(a, sq_bytes(q, 0)),
            .position = sq_int(q, 1),
            .backlog = first ? (uint64_t)(last - first + 1) : 0,
            .oldest_ms = sq_int(q, 3),
        };
    }
    if (r < 0)
        return -1;
    *list = found;
    *n = count;
    return 0;
}

int sqlite_cursors(struct meta *m, struct arena *a, struct meta_cursor **list, unsigned *n,
                   struct error *err)
{
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = list_cursors(db, a, list, n, err);
    readers_give(readers, db);
    return r;
}

/* Bytes of texts, or -1. */
static int64_t read_event(struct sqlite3_stmt *q, struct arena *a, struct meta_event_row *out,
                          struct error *err)
{
    static const int columns[ROW_TEXTS] = {3, 4, 5, 6, 8, 9, 10, 11, 12, 13};
    struct meta_event_row row = {.id = sq_int(q, 0), .time_ms = sq_int(q, 1)};
    struct meta_event *e = &row.event;
    struct slice *const texts[ROW_TEXTS] = {&e->action, &e->repo,      &e->digest, &e->media_type,
                                            &e->tag,    &e->from_repo, &e->url,    &e->request,
                                            &e->actor,  &e->references};
    struct slice uuid = sq_bytes(q, 2);
    int64_t bytes = 0;
    if (uuid.n != sizeof row.uuid - 1)
        return meta_sqlite_damaged(err, "the row of an event");
    memcpy(row.uuid, uuid.p, uuid.n);
    e->size = (uint64_t)sq_int(q, 7);
    for (unsigned i = 0; i < ROW_TEXTS; i++) {
        *texts[i] = arena_slice(a, sq_bytes(q, columns[i]));
        bytes += (int64_t)texts[i]->n;
    }
    *out = row;
    return bytes;
}

static int list_events(struct sqdb *db, int64_t position, unsigned n, struct arena *a,
                       struct meta_events *out, struct error *err)
{
    SQ_CLEANUP struct sqlite3_stmt *q =
        SQ_START(db, SQL_EVENTS_AFTER, err, sq_i(position), sq_i((int64_t)n + 1));
    struct meta_events page = {0};
    unsigned room = 0;
    int64_t bytes = 0;
    int r = q ? 1 : -1;
    while (r > 0 && (r = sq_next(q, err)) > 0) {
        if (page.n == n || bytes > PAGE_BYTES) {
            page.more = true;
            break;
        }
        if (page.n == room) {
            room = room ? 2 * room : 16;
            struct meta_event_row *more = ARENA_ARRAY(a, struct meta_event_row, room);
            if (page.n)
                memcpy(more, page.list, page.n * sizeof *more);
            page.list = more;
        }
        int64_t texts = read_event(q, a, &page.list[page.n], err);
        if (texts < 0)
            return -1;
        page.n++;
        bytes += texts + ROW_COST;
    }
    if (r < 0)
        return -1;
    *out = page;
    return 0;
}

int sqlite_events_after(struct meta *m, int64_t position, unsigned n, struct arena *a,
                        struct meta_events *out, struct error *err)
{
    struct readers *readers = meta_sqlite(m)->readers;
    struct sqdb *db = readers_take(readers, err);
    if (!db)
        return -1;
    int r = list_events(db, position, n, a, out, err);
    readers_give(readers, db);
    return r;
}
