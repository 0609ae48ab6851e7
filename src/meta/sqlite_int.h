/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the SQLite backend share. */
#ifndef META_SQLITE_INT_H
#define META_SQLITE_INT_H

#include <stdatomic.h>

#include "base/util.h"
#include "meta/meta.h"
#include "meta/sqlite_db.h"
#include "meta/sqlite_readers.h"
#include "meta/sqlite_writer.h"
#include "os/clock.h"
#include "os/storage_time.h"

enum {
    META_EPOCHS = 4096,               /* counters; repositories share them by hash */
    META_WANTS_LEASE_MS = 3600 * 1000 /* see struct meta_blob */
};

struct meta_sqlite {
    struct meta base; /* first */
    struct writer *writer;
    struct readers *readers;
    struct storage_times times;
    int64_t generation; /* of this process, in pending rows */
    int listeners; /* the writer's thread's own: 1 there is a cursor, 0 there is none, -1 look */
    atomic_uint_fast64_t epochs[META_EPOCHS];
};

static inline struct meta_sqlite *meta_sqlite(struct meta *m)
{
    return CONTAINER_OF(m, struct meta_sqlite, base);
}
/* The operation that a transaction (its member `txn`) belongs to. */
#define TXN_SELF(t, type) CONTAINER_OF(t, type, txn)

/* What was read about this repository before is out of date. */
void meta_sqlite_bump(struct meta_sqlite *s, struct slice repo);
/* A row holds what the program never writes. */
int meta_sqlite_damaged(struct error *err, const char *what);

/* The id of a repository: 1, 0 when there is none, or -1. `make` it when there is none: 1 or -1. */
int sqlite_repo_find(struct sqdb *db, struct slice name, int64_t *id, struct error *err);
int sqlite_repo_make(struct sqdb *db, struct slice name, int64_t *id, struct error *err);
/* The answer to a read that found nothing: ERR_NAME_UNKNOWN without the repository, else `code`. */
int sqlite_repo_unknown_or(struct sqdb *db, struct slice name, enum error_code code,
                           struct error *err);

/* Asks a condition (NULL: none) about what a tag of this repository points to now; repo_id < 0:
 * there is no such repository. The same about a manifest, which is `there` or not. 0 or -1. */
int sqlite_condition_on_tag(const struct meta_condition *c, struct sqdb *db, int64_t repo_id,
                            struct slice tag, struct error *err);
int sqlite_condition_on_digest(const struct meta_condition *c, const struct digest *d, bool there,
                               struct error *err);

/* In a transaction: is this event (NULL: none) to be written? 1, 0 or -1. And writes it, if so. */
int sqlite_event_wanted(struct meta_sqlite *s, struct sqdb *db, const struct meta_event *event,
                        struct error *err);
int sqlite_event_put(struct meta_sqlite *s, struct sqdb *db, const struct meta_event *event,
                     struct error *err);

/* The callbacks of meta.h, by file. */
int sqlite_upload_create(struct meta *m, struct slice repo, struct slice id, enum hash_alg alg,
                         struct error *err);
int sqlite_upload_get(struct meta *m, struct slice repo, struct slice id, struct arena *a,
                      struct meta_upload *out, struct error *err);
int sqlite_upload_save(struct meta *m, struct slice repo, struct slice id, uint64_t offset,
                       bool staged, struct slice bytes, struct error *err);
int sqlite_upload_delete(struct meta *m, struct slice repo, struct slice id, struct error *err);
int sqlite_upload_touch(struct meta *m, struct slice repo, struct slice id, struct error *err);
int sqlite_upload_stale(struct meta *m, int64_t before_ms, unsigned max, struct arena *a,
                        struct meta_stale **list, unsigned *n, struct error *err);
int sqlite_upload_expire(struct meta *m, struct slice id, int64_t before_ms, bool *gone,
                         struct error *err);
int sqlite_tombstones_expire(struct meta *m, int64_t before_ms, unsigned max, unsigned *removed,
                             struct error *err);
int sqlite_upload_exists(struct meta *m, struct slice id, bool *open, struct error *err);

int sqlite_blob_get(struct meta *m, struct slice repo, const struct digest *d, bool want_bytes,
                    struct meta_blob *out, struct error *err);
int sqlite_blob_lease(struct meta *m, struct slice repo, const struct digest *d, struct error *err);
int sqlite_blob_pend(struct meta *m, const struct digest *d, uint64_t size, struct meta_pend *out,
                     struct error *err);
int sqlite_blob_commit(struct meta *m, struct slice repo, const struct digest *d, uint64_t size,
                       const struct slice *bytes, struct slice upload_id,
                       const struct meta_event *event, struct error *err);
int sqlite_blob_mount(struct meta *m, struct slice from, struct slice repo, const struct digest *d,
                      const struct meta_event *event, struct error *err);
int sqlite_blob_delete(struct meta *m, struct slice repo, const struct digest *d,
                       const struct meta_event *event, struct error *err);
int sqlite_blob_pending(struct meta *m, struct slice after, unsigned max, struct arena *a,
                        struct meta_pending **list, unsigned *n, struct error *err);
int sqlite_blob_resolve(struct meta *m, const struct digest *d, int64_t epoch, bool exists,
                        struct error *err);

int sqlite_manifest_put(struct meta *m, const struct meta_manifest_put *in, struct arena *a,
                        struct meta_manifest_put_result *out, struct error *err);
int sqlite_manifest_get(struct meta *m, struct slice repo, const struct reference *ref,
                        bool want_bytes, struct meta_manifest *out, struct error *err);
int sqlite_manifest_delete(struct meta *m, struct slice repo, const struct digest *d,
                           const struct meta_condition *condition, const struct meta_event *event,
                           struct error *err);
int sqlite_tag_delete(struct meta *m, struct slice repo, struct slice tag,
                      const struct meta_condition *condition, const struct meta_event *event,
                      struct error *err);

int sqlite_tags(struct meta *m, struct slice repo, struct slice last, unsigned n, struct arena *a,
                struct meta_names *out, struct error *err);
int sqlite_repositories(struct meta *m, struct slice last, unsigned n, struct arena *a,
                        struct meta_names *out, struct error *err);
int sqlite_referrers(struct meta *m, struct slice repo, struct slice subject,
                     struct slice artifact_type, struct slice last, unsigned n, struct arena *a,
                     struct meta_referrers *out, struct error *err);

int sqlite_cursor_ensure(struct meta *m, struct slice name, int64_t *position, struct error *err);
int sqlite_cursor_remove(struct meta *m, struct slice name, struct error *err);
int sqlite_cursors(struct meta *m, struct arena *a, struct meta_cursor **list, unsigned *n,
                   struct error *err);
int sqlite_cursor_get(struct meta *m, struct slice name, int64_t *position, struct error *err);
int sqlite_cursor_advance(struct meta *m, struct slice name, int64_t from, int64_t to, int64_t *now,
                          struct error *err);
int sqlite_events_after(struct meta *m, int64_t position, unsigned n, struct arena *a,
                        struct meta_events *out, struct error *err);
int sqlite_events_add(struct meta *m, const struct meta_event_row *rows, unsigned n,
                      struct error *err);
int sqlite_events_replay(struct meta *m, struct slice cursor, int64_t id, uint64_t *again,
                         struct error *err);
int sqlite_events_drop(struct meta *m, struct slice cursor, int64_t id, uint64_t *dropped,
                       struct error *err);

/* The steps of a push inside a transaction that runs already (sqlite_import.c). */
int sqlite_blob_pend_in(struct meta_sqlite *s, struct sqdb *db, const struct digest *d,
                        uint64_t size, struct meta_pend *out, struct error *err);
int sqlite_blob_live_in(struct meta_sqlite *s, struct sqdb *db, const struct digest *d,
                        uint64_t size, const struct slice *bytes, struct error *err);
int sqlite_manifest_put_in(struct meta_sqlite *s, struct sqdb *db,
                           const struct meta_manifest_put *in, struct arena *a, struct error *err);
int sqlite_import_pend(struct meta *m, struct meta_import_blob *list, unsigned n,
                       struct error *err);
int sqlite_import_live(struct meta *m, const struct meta_import_blob *list, unsigned n,
                       struct error *err);
int sqlite_import_repo(struct meta *m, const struct meta_import_repo *in, struct arena *a,
                       struct error *err);

#endif
