/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: one thread that owns the only connection which changes the database. It takes all
 * transactions that wait into one commit, each under a savepoint of its own, so that the cost of
 * making things durable is shared. Private to the SQLite backend. */
#ifndef META_SQLITE_WRITER_H
#define META_SQLITE_WRITER_H

#include <semaphore.h>
#include <stdint.h>

#include "base/error.h"
#include "base/metrics.h"
#include "meta/sqlite_db.h"

enum {
    WRITER_GROUP_MAX = 256,  /* transactions in one commit */
    WRITER_QUEUE_MAX = 1024, /* the backend's queue_max */
    /* Frames of 4 KiB that the write-ahead log has gained since they were last moved to the
     * database, from which on the writer does that again: when nothing waits, and in any case.
     * From HARD frames in all on it even waits a moment for readers, which keeps the log small
     * however busy they are; only a reader of another process can make it longer. */
    WRITER_WAL_SOFT = 1000,
    WRITER_WAL_FIRM = 4000,
    WRITER_WAL_HARD = 16384
};

/* Lives on the stack of the caller, inside a struct with the operation's arguments and results. */
struct txn {
    /* Runs in the writer's thread while the caller waits, so it may use what the caller owns (its
     * arena, for one). -1 with *err: what it has changed is undone. May not assume that a success
     * lasts: the results count when writer_run() returns 0. */
    int (*run)(struct txn *t, struct sqdb *db, struct error *err);
    /* Called in the writer's thread after the commit and before the caller is told, unless run()
     * failed; also when the commit failed, whose outcome is then open. May be NULL. */
    void (*committed)(struct txn *t);

    /* The writer's own. */
    struct txn *next;
    int rc;
    struct error error;
    sem_t done;
};

struct writer;

/* Owns `db` from now on, also when it fails. More than queue_max that wait are refused with
 * ERR_UNAVAILABLE. metrics may be NULL. */
int writer_start(struct sqdb *db, unsigned queue_max, struct metrics *metrics, struct writer **out,
                 struct error *err);
/* What waits is still done. No call may be running or follow. NULL is fine. */
void writer_stop(struct writer *w);
/* Blocks until the transaction is durable (0) or has failed (-1). When the commit of its group
 * fails, so do all of the group, with the same error. Any thread. */
int writer_run(struct writer *w, struct txn *t, struct error *err);
/* 0, or ERR_UNAVAILABLE when the thread has been in one group for longer than stuck_ms. */
int writer_alive(struct writer *w, uint64_t stuck_ms, struct error *err);

#endif
