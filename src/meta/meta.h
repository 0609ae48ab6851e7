/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata: what exists, who refers to whom. One interface; SQLite behind it now, PostgreSQL later.
 * tests/unit/meta/meta_conformance.h is what a backend has to pass. All calls block (a worker's
 * step, never a loop) and are thread-safe. A call that changes something returns 0 only when the
 * change is durable.
 *
 * Names, tags and digests are validated before they get here. Out-structs are filled in the given
 * arena. */
#ifndef META_META_H
#define META_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/shared.h"
#include "base/slice.h"
#include "meta/event.h"
#include "oci/digest.h"
#include "oci/manifest.h"

enum {
    META_INLINE_MAX = 64 * 1024,    /* blobs up to this many bytes live in the database */
    META_REFERRERS_BYTES = 4000000, /* of one page of referrers, see meta_referrers() */
    META_REFERRER_COST = 512        /* what an entry counts besides its texts */
};
#define META_LINK_LEASE_MS \
    (24LL * 3600 * 1000) /* a new repository-blob link protects its blob for this long */
#define META_PENDING_LEASE_MS \
    (1LL * 3600 * 1000) /* a pending blob belongs to its push for this long */
#define META_TOMBSTONE_MS \
    (1LL * 3600 * 1000) /* a finished upload answers a repeated PUT for this long */

struct meta;

enum blob_state { BLOB_PENDING, BLOB_LIVE, BLOB_DELETING };

struct meta_blob {
    uint64_t size;  /* bytes */
    bool is_inline; /* the bytes are in the database; otherwise the store has the file */
    struct shared
        *bytes;       /* when asked for and inline: a reference that the caller owns; else NULL */
    bool wants_lease; /* nothing refers to it and it would become collectable within the hour: call
                         meta_blob_lease() if a client is to rely on it */
};

enum upload_state { UPLOAD_OPEN, UPLOAD_DONE };

struct meta_upload {
    enum upload_state state;
    uint64_t offset;    /* bytes acknowledged; for a staged upload the file's size is the truth */
    bool staged;        /* a temporary file in the store has the bytes; otherwise `bytes` */
    struct slice bytes; /* not staged: the bytes so far (at most META_INLINE_MAX), in the arena */
    enum hash_alg alg;  /* asked for with digest-algorithm, else sha256 */
    int64_t started_ms;
    struct digest digest; /* UPLOAD_DONE: what it became */
};

/* An open upload that nobody has gone on with. */
struct meta_stale {
    struct slice repo, id;
};

/* What meta_blob_pend() found. */
struct meta_pend {
    bool live;      /* it is there already: nothing has to be written */
    bool is_inline; /* live, and the bytes are in the database: the store has no file */
    int64_t epoch;  /* of the row */
};

struct meta_manifest {
    struct digest digest;
    char media_type[256];
    uint64_t size;
    struct shared *bytes; /* when asked for: a reference that the caller owns */
    int64_t tagged_ms;    /* asked for by tag: when that was set (wall clock); else 0 */
};

/* A condition on what a reference points to, decided where nothing can come in between: check() is
 * called once, inside the transaction and on the writer's thread, so it must be pure: no waiting,
 * no calls of this interface, nothing but `arg` and the arguments. `current` is what the reference
 * points to now, NULL when there is nothing. 0: go on; -1 with *err: the call fails with that error
 * and nothing has changed. */
struct meta_condition {
    int (*check)(void *arg, const struct digest *current, struct error *err);
    void *arg;
};

/* One push of a manifest. */
struct meta_manifest_put {
    struct slice repo;
    struct digest digest;
    struct slice body;
    const struct manifest *manifest; /* parsed from body */
    const struct slice *tags;        /* set to this manifest */
    unsigned n_tags;
    const int64_t *tag_times; /* when each was set (wall clock), for an import; NULL: now */
    const struct meta_condition *condition; /* on tags[0], or on the digest itself when there are no
                                               tags; or NULL */
    const struct meta_event *event; /* committed with it, once for each tag (its `tag` is that one),
                                       once when there is none; or NULL */
};
struct meta_manifest_put_result {
    bool created; /* was not in this repository before */
    struct slice
        *missing; /* digests of required edges that are not in this repository: then nothing was
                     changed, and the call failed with ERR_MANIFEST_BLOB_UNKNOWN. In the arena. This
                     field is filled on that failure */
    unsigned n_missing;
};

/* A blob of an import. */
struct meta_import_blob {
    struct digest digest;
    uint64_t size;
    struct slice bytes;    /* p set: they are to be kept in the database; else the store has them */
    struct meta_pend pend; /* out of meta_import_pend() */
    bool conflict;         /* out of it: there is one with another size, and nothing was done */
};

/* What an import adds to a repository. */
struct meta_import_repo {
    struct slice repo;          /* made when it is new, also when there is nothing else */
    const struct digest *links; /* blobs; those that are not live are left out */
    unsigned n_links;
    const struct meta_manifest_put *manifests; /* in this order: children before their index. Of
                                                  `repo`, `condition` and `event` nothing counts */
    unsigned n_manifests;
};

struct meta_names {
    struct slice *names; /* ascending byte order, in the arena */
    unsigned n;
    bool more; /* there are names after the last one */
};

struct meta_referrer {
    struct slice digest, media_type, artifact_type,
        annotations; /* artifact_type, annotations (JSON text) may be empty */
    uint64_t size;
};
struct meta_referrers {
    struct meta_referrer *list; /* ascending by digest, in the arena */
    unsigned n;
    bool more;
};

/* What recovery at start has to look at. */
struct meta_pending {
    struct digest digest;
    uint64_t size;
    int64_t epoch;
};

struct meta_stats {
    uint64_t repositories, manifests, tags, blobs, uploads; /* live blobs, open uploads */
    uint64_t blob_bytes;                                    /* live blobs, bytes */
};

/* One backend: every callback is required. `self` is what open returned. */
struct meta_ops {
    const char *name;
    void (*close)(struct meta *m);
    int (*ping)(struct meta *m, struct error *err); /* can it read and is the writer alive */
    uint64_t (*epoch)(struct meta *m, struct slice repo);

    int (*upload_create)(struct meta *m, struct slice repo, struct slice id, enum hash_alg alg,
                         struct error *err);
    int (*upload_get)(struct meta *m, struct slice repo, struct slice id, struct arena *a,
                      struct meta_upload *out, struct error *err);
    int (*upload_save)(struct meta *m, struct slice repo, struct slice id, uint64_t offset,
                       bool staged, struct slice bytes, struct error *err);
    int (*upload_delete)(struct meta *m, struct slice repo, struct slice id, struct error *err);
    int (*upload_touch)(struct meta *m, struct slice repo, struct slice id, struct error *err);
    int (*upload_stale)(struct meta *m, int64_t before_ms, unsigned max, struct arena *a,
                        struct meta_stale **list, unsigned *n, struct error *err);
    int (*upload_expire)(struct meta *m, struct slice id, int64_t before_ms, bool *gone,
                         struct error *err);
    int (*tombstones_expire)(struct meta *m, int64_t before_ms, unsigned max, unsigned *removed,
                             struct error *err);
    int (*upload_exists)(struct meta *m, struct slice id, bool *open, struct error *err);

    int (*blob_get)(struct meta *m, struct slice repo, const struct digest *d, bool want_bytes,
                    struct meta_blob *out, struct error *err);
    int (*blob_lease)(struct meta *m, struct slice repo, const struct digest *d, struct error *err);
    int (*blob_pend)(struct meta *m, const struct digest *d, uint64_t size, struct meta_pend *out,
                     struct error *err);
    int (*blob_commit)(struct meta *m, struct slice repo, const struct digest *d, uint64_t size,
                       const struct slice *bytes, struct slice upload_id,
                       const struct meta_event *event, struct error *err);
    int (*blob_mount)(struct meta *m, struct slice from, struct slice repo, const struct digest *d,
                      const struct meta_event *event, struct error *err);
    int (*blob_delete)(struct meta *m, struct slice repo, const struct digest *d,
                       const struct meta_event *event, struct error *err);
    int (*blob_pending)(struct meta *m, struct slice after, unsigned max, struct arena *a,
                        struct meta_pending **list, unsigned *n, struct error *err);
    int (*blob_resolve)(struct meta *m, const struct digest *d, int64_t epoch, bool exists,
                        struct error *err);

    int (*manifest_put)(struct meta *m, const struct meta_manifest_put *in, struct arena *a,
                        struct meta_manifest_put_result *out, struct error *err);
    int (*manifest_get)(struct meta *m, struct slice repo, const struct reference *ref,
                        bool want_bytes, struct meta_manifest *out, struct error *err);
    int (*manifest_delete)(struct meta *m, struct slice repo, const struct digest *d,
                           const struct meta_condition *condition, const struct meta_event *event,
                           struct error *err);
    int (*tag_delete)(struct meta *m, struct slice repo, struct slice tag,
                      const struct meta_condition *condition, const struct meta_event *event,
                      struct error *err);

    int (*tags)(struct meta *m, struct slice repo, struct slice last, unsigned n, struct arena *a,
                struct meta_names *out, struct error *err);
    int (*repositories)(struct meta *m, struct slice last, unsigned n, struct arena *a,
                        struct meta_names *out, struct error *err);
    int (*referrers)(struct meta *m, struct slice repo, struct slice subject,
                     struct slice artifact_type, struct slice last, unsigned n, struct arena *a,
                     struct meta_referrers *out, struct error *err);
    int (*stats)(struct meta *m, struct meta_stats *out, struct error *err);

    int (*cursor_ensure)(struct meta *m, struct slice name, int64_t *position, struct error *err);
    int (*cursor_remove)(struct meta *m, struct slice name, struct error *err);
    int (*cursors)(struct meta *m, struct arena *a, struct meta_cursor **list, unsigned *n,
                   struct error *err);
    int (*cursor_get)(struct meta *m, struct slice name, int64_t *position, struct error *err);
    int (*cursor_advance)(struct meta *m, struct slice name, int64_t from, int64_t to, int64_t *now,
                          struct error *err);
    int (*events_after)(struct meta *m, int64_t position, unsigned n, struct arena *a,
                        struct meta_events *out, struct error *err);
    int (*events_add)(struct meta *m, const struct meta_event_row *rows, unsigned n,
                      struct error *err);
    int (*events_replay)(struct meta *m, struct slice cursor, int64_t id, uint64_t *again,
                         struct error *err);
    int (*events_drop)(struct meta *m, struct slice cursor, int64_t id, uint64_t *dropped,
                       struct error *err);

    int (*import_pend)(struct meta *m, struct meta_import_blob *list, unsigned n,
                       struct error *err);
    int (*import_live)(struct meta *m, const struct meta_import_blob *list, unsigned n,
                       struct error *err);
    int (*import_repo)(struct meta *m, const struct meta_import_repo *in, struct arena *a,
                       struct error *err);
};

struct meta {
    const struct meta_ops *ops;
};

/* Opens or makes the SQLite database `path` ("berth.db"), migrates it, starts the writer.
 * `readers_max`: connections for reading, one per worker that reads at a time. metrics may be NULL.
 */
int meta_sqlite_open(const char *path, unsigned readers_max, struct metrics *metrics,
                     struct meta **out, struct error *err);
/* For a tool beside a running server: opens the database of this program's schema as it is, without
 * migrating it and without a generation of its own (recovery would take the pending blobs of the
 * server away). Only the calls on events and cursors may be used, except meta_cursor_ensure() and
 * meta_cursor_remove(). ERR_NOT_FOUND when there is none; each failure has a detail. */
int meta_sqlite_tool(const char *path, struct meta **out, struct error *err);

static inline void meta_close(struct meta *m)
{
    if (m)
        m->ops->close(m);
}
static inline int meta_ping(struct meta *m, struct error *err)
{
    return m->ops->ping(m, err);
}
/* A number that changes with every change of a manifest or tag in `repo` (and sometimes without
 * one), bumped before the change is acknowledged: what was read after the epoch was may be cached
 * for as long as the epoch stays. 0: this backend gives no such promise, do not cache. Never blocks
 * (loops may call it). */
static inline uint64_t meta_epoch(struct meta *m, struct slice repo)
{
    return m->ops->epoch(m, repo);
}

/* --- uploads: an id is unique over all repositories; every call also names the repository, and one
 * that differs is "unknown" --- */
/* ERR_CONFLICT when the id is taken. */
static inline int meta_upload_create(struct meta *m, struct slice repo, struct slice id,
                                     enum hash_alg alg, struct error *err)
{
    return m->ops->upload_create(m, repo, id, alg, err);
}
/* ERR_BLOB_UPLOAD_UNKNOWN when there is none; a tombstone is returned as UPLOAD_DONE. */
static inline int meta_upload_get(struct meta *m, struct slice repo, struct slice id,
                                  struct arena *a, struct meta_upload *out, struct error *err)
{
    return m->ops->upload_get(m, repo, id, a, out, err);
}
/* Records progress: the offset and, when not staged, all bytes so far. ERR_BLOB_UPLOAD_UNKNOWN when
 * it is gone or done. */
static inline int meta_upload_save(struct meta *m, struct slice repo, struct slice id,
                                   uint64_t offset, bool staged, struct slice bytes,
                                   struct error *err)
{
    return m->ops->upload_save(m, repo, id, offset, staged, bytes, err);
}
/* An open upload goes; ERR_BLOB_UPLOAD_UNKNOWN otherwise. */
static inline int meta_upload_delete(struct meta *m, struct slice repo, struct slice id,
                                     struct error *err)
{
    return m->ops->upload_delete(m, repo, id, err);
}
/* Somebody is going on with an open upload, though nothing is to be recorded: it was last touched
 * now. (Creating and saving touch it as well.) ERR_BLOB_UPLOAD_UNKNOWN when it is gone or done. */
static inline int meta_upload_touch(struct meta *m, struct slice repo, struct slice id,
                                    struct error *err)
{
    return m->ops->upload_touch(m, repo, id, err);
}
/* Up to `max` (and to a limit of the backend, at least 1000) open uploads last touched before
 * before_ms (wall clock), oldest first, in the arena. Reads only. */
static inline int meta_upload_stale(struct meta *m, int64_t before_ms, unsigned max,
                                    struct arena *a, struct meta_stale **list, unsigned *n,
                                    struct error *err)
{
    return m->ops->upload_stale(m, before_ms, max, a, list, n, err);
}
/* Removes this open upload if it still was last touched before before_ms; *gone tells. One that is
 * done, unknown or was touched since stays as it is: no error, *gone is false. */
static inline int meta_upload_expire(struct meta *m, struct slice id, int64_t before_ms, bool *gone,
                                     struct error *err)
{
    return m->ops->upload_expire(m, id, before_ms, gone, err);
}
/* Removes up to `max` (and to a limit of the backend, at least 1000) tombstones from before
 * before_ms, oldest first; how many. */
static inline int meta_tombstones_expire(struct meta *m, int64_t before_ms, unsigned max,
                                         unsigned *removed, struct error *err)
{
    return m->ops->tombstones_expire(m, before_ms, max, removed, err);
}
/* Is there an open upload of this id, in any repository? For the clean-up of temporary files. */
static inline int meta_upload_exists(struct meta *m, struct slice id, bool *open, struct error *err)
{
    return m->ops->upload_exists(m, id, open, err);
}

/* Where a change takes an event (event.h; NULL: none), the event is committed with the change,
 * unless there is no cursor: exactly when the call succeeds, also if all was so already. */

/* --- blobs --- */
/* A live blob linked to this repository; ERR_BLOB_UNKNOWN otherwise. Reads only. */
static inline int meta_blob_get(struct meta *m, struct slice repo, const struct digest *d,
                                bool want_bytes, struct meta_blob *out, struct error *err)
{
    return m->ops->blob_get(m, repo, d, want_bytes, out, err);
}
/* Extends the link's lease by META_LINK_LEASE_MS, if the blob is live; ERR_BLOB_UNKNOWN otherwise.
 */
static inline int meta_blob_lease(struct meta *m, struct slice repo, const struct digest *d,
                                  struct error *err)
{
    return m->ops->blob_lease(m, repo, d, err);
}
/* Step 5 of a push: the row becomes pending with a lease (absent: inserted; deleting: pending with
 * epoch + 1; pending: shared, lease extended, and epoch + 1 when meta_blob_pending() would list it,
 * so that recovery lets go of it) and out->live is false; or it is live already: out->live is true
 * when the size agrees. ERR_DIGEST_INVALID when it does not. */
static inline int meta_blob_pend(struct meta *m, const struct digest *d, uint64_t size,
                                 struct meta_pend *out, struct error *err)
{
    return m->ops->blob_pend(m, d, size, out, err);
}
/* Step 7: the blob is live, linked to the repository with a lease, and the upload (unless upload_id
 * is empty) is a tombstone; all in one durable transaction. With `bytes` (at most META_INLINE_MAX)
 * they are kept in the database and no pend is needed. Live already with the same size is fine: it
 * stays in its place, but bytes take the place of a file, which may be lost (the caller of the
 * other kind has looked). The repository is made when it is new. ERR_BLOB_UPLOAD_UNKNOWN when
 * upload_id has no open upload in this repository, ERR_DIGEST_INVALID when the size is another one,
 * ERR_CONFLICT without bytes when the blob is not pending any more (push again). */
static inline int meta_blob_commit(struct meta *m, struct slice repo, const struct digest *d,
                                   uint64_t size, const struct slice *bytes, struct slice upload_id,
                                   const struct meta_event *event, struct error *err)
{
    return m->ops->blob_commit(m, repo, d, size, bytes, upload_id, event, err);
}
/* Links a live blob of repository `from` to `repo`; ERR_BLOB_UNKNOWN when `from` has no such blob.
 * With `from` empty: of any repository (the caller has asked the policy). */
static inline int meta_blob_mount(struct meta *m, struct slice from, struct slice repo,
                                  const struct digest *d, const struct meta_event *event,
                                  struct error *err)
{
    return m->ops->blob_mount(m, from, repo, d, event, err);
}
/* Removes the link; the blob itself is the garbage collector's, which leaves it alone for another
 * META_LINK_LEASE_MS. ERR_NAME_UNKNOWN, ERR_BLOB_UNKNOWN. */
static inline int meta_blob_delete(struct meta *m, struct slice repo, const struct digest *d,
                                   const struct meta_event *event, struct error *err)
{
    return m->ops->blob_delete(m, repo, d, event, err);
}
/* Pending blobs whose lease has expired or was given by an earlier process: for recovery. Up to
 * `max` (and to a limit of the backend, at least 1000), ascending by digest, after `after`
 * (exclusive; empty: from the first), so that one that cannot be settled does not hide the others.
 */
static inline int meta_blob_pending(struct meta *m, struct slice after, unsigned max,
                                    struct arena *a, struct meta_pending **list, unsigned *n,
                                    struct error *err)
{
    return m->ops->blob_pending(m, after, max, a, list, n, err);
}
/* Ends a pending state, if the row is still pending with that epoch: live without a link when the
 * verified file `exists`, else the row goes. */
static inline int meta_blob_resolve(struct meta *m, const struct digest *d, int64_t epoch,
                                    bool exists, struct error *err)
{
    return m->ops->blob_resolve(m, d, epoch, exists, err);
}

/* --- manifests and tags --- */
/* One transaction: every required edge is live and linked (blobs) or present (child manifests) in
 * this repository -> manifest, edges, tags. Bytes and media type of a digest that is there already
 * stay as they were first pushed. ERR_MANIFEST_BLOB_UNKNOWN (out->missing); the condition's error,
 * which comes after that (RFC 9110 section 13.2.1: a precondition counts only for a request that
 * would succeed without it). */
static inline int meta_manifest_put(struct meta *m, const struct meta_manifest_put *in,
                                    struct arena *a, struct meta_manifest_put_result *out,
                                    struct error *err)
{
    return m->ops->manifest_put(m, in, a, out, err);
}
/* ERR_MANIFEST_UNKNOWN when it is not there (ERR_NAME_UNKNOWN when not even the repository is). */
static inline int meta_manifest_get(struct meta *m, struct slice repo, const struct reference *ref,
                                    bool want_bytes, struct meta_manifest *out, struct error *err)
{
    return m->ops->manifest_get(m, repo, ref, want_bytes, out, err);
}
/* The manifest and all tags that point to it go. condition: on the digest itself; or NULL. First
 * the condition's error (what is not there, the condition is asked about with NULL), then
 * ERR_MANIFEST_UNKNOWN, ERR_NAME_UNKNOWN. The event is followed by one for each tag that goes, with
 * `tag` and without digest, media type, size, references and url. */
static inline int meta_manifest_delete(struct meta *m, struct slice repo, const struct digest *d,
                                       const struct meta_condition *condition,
                                       const struct meta_event *event, struct error *err)
{
    return m->ops->manifest_delete(m, repo, d, condition, event, err);
}
/* The tag goes, the manifest stays. condition and errors: as meta_manifest_delete(), on the tag. */
static inline int meta_tag_delete(struct meta *m, struct slice repo, struct slice tag,
                                  const struct meta_condition *condition,
                                  const struct meta_event *event, struct error *err)
{
    return m->ops->tag_delete(m, repo, tag, condition, event, err);
}
/* Up to n tags after `last` (exclusive; empty: from the first) in byte order. ERR_NAME_UNKNOWN when
 * there is no such repository. n == 0: existence only. */
static inline int meta_tags(struct meta *m, struct slice repo, struct slice last, unsigned n,
                            struct arena *a, struct meta_names *out, struct error *err)
{
    return m->ops->tags(m, repo, last, n, a, out, err);
}
/* Up to n repositories after `last` in byte order. */
static inline int meta_repositories(struct meta *m, struct slice last, unsigned n, struct arena *a,
                                    struct meta_names *out, struct error *err)
{
    return m->ops->repositories(m, last, n, a, out, err);
}
/* Up to n manifests of `repo` whose subject is `subject`, ascending by digest, after `last`; only
 * those of `artifact_type` unless it is empty. A page ends early, with more == true and at least
 * one entry, where META_REFERRER_COST + artifact_type + annotations (bytes) of its entries would
 * exceed META_REFERRERS_BYTES in all: clients choose how long annotations are. An unknown
 * repository or subject gives an empty list. */
static inline int meta_referrers(struct meta *m, struct slice repo, struct slice subject,
                                 struct slice artifact_type, struct slice last, unsigned n,
                                 struct arena *a, struct meta_referrers *out, struct error *err)
{
    return m->ops->referrers(m, repo, subject, artifact_type, last, n, a, out, err);
}
static inline int meta_stats_get(struct meta *m, struct meta_stats *out, struct error *err)
{
    return m->ops->stats(m, out, err);
}

/* --- events (event.h). Unknown cursors: ERR_NOT_FOUND --- */
/* Makes the cursor, at the newest event, unless there is one; its position. Names are not empty. */
static inline int meta_cursor_ensure(struct meta *m, struct slice name, int64_t *position,
                                     struct error *err)
{
    return m->ops->cursor_ensure(m, name, position, err);
}
/* With the events that nobody waits for any more. One that is not there is fine. */
static inline int meta_cursor_remove(struct meta *m, struct slice name, struct error *err)
{
    return m->ops->cursor_remove(m, name, err);
}
/* All of them by name, with their backlogs, in the arena. What it costs depends on the number of
 * cursors, not on that of events. */
static inline int meta_cursors(struct meta *m, struct arena *a, struct meta_cursor **list,
                               unsigned *n, struct error *err)
{
    return m->ops->cursors(m, a, list, n, err);
}
static inline int meta_cursor_get(struct meta *m, struct slice name, int64_t *position,
                                  struct error *err)
{
    return m->ops->cursor_get(m, name, position, err);
}
/* What is up to `to` is done: moves a cursor that stands at `from`, and removes some (at most
 * 1,000) of the events that everybody has passed. When the cursor stands elsewhere, because it was
 * replayed or dropped meanwhile, it stays there. *now is where it stands. from <= to. */
static inline int meta_cursor_advance(struct meta *m, struct slice name, int64_t from, int64_t to,
                                      int64_t *now, struct error *err)
{
    return m->ops->cursor_advance(m, name, from, to, now, err);
}
/* Up to n events after a position (exclusive; 0: from the oldest), ascending, in the arena. A page
 * ends early, with at least one event, at some 1 MB. */
static inline int meta_events_after(struct meta *m, int64_t position, unsigned n, struct arena *a,
                                    struct meta_events *out, struct error *err)
{
    return m->ops->events_after(m, position, n, a, out, err);
}
/* Events that come with no change (pulls): time_ms and event of each row count (time_ms 0: now), id
 * and uuid are the backend's. All or nothing; nothing when there is no cursor. */
static inline int meta_events_add(struct meta *m, const struct meta_event_row *rows, unsigned n,
                                  struct error *err)
{
    return m->ops->events_add(m, rows, n, err);
}
/* The cursor goes back, so that event `id` is the next one; *again: how many more are delivered
 * because of that. ERR_BAD_REQUEST with a detail when that event is not kept any more, or the
 * cursor has not passed it yet. */
static inline int meta_events_replay(struct meta *m, struct slice cursor, int64_t id,
                                     uint64_t *again, struct error *err)
{
    return m->ops->events_replay(m, cursor, id, again, err);
}
/* The cursor goes past event `id` (INT64_MAX: past the newest), if it is not there already. What it
 * skips counts in *dropped. */
static inline int meta_events_drop(struct meta *m, struct slice cursor, int64_t id,
                                   uint64_t *dropped, struct error *err)
{
    return m->ops->events_drop(m, cursor, id, dropped, err);
}

/* --- import: what single calls do, many in one transaction, and without events. Meant for when
 * nobody else is at work, because a long transaction keeps the others waiting --- */
/* meta_blob_pend() for each; but one of at most META_INLINE_MAX bytes that is not live is left as
 * it is, because it needs no pending row. */
static inline int meta_import_pend(struct meta *m, struct meta_import_blob *list, unsigned n,
                                   struct error *err)
{
    return m->ops->import_pend(m, list, n, err);
}
/* meta_blob_commit() for each, without upload and repository. All or nothing. */
static inline int meta_import_live(struct meta *m, const struct meta_import_blob *list, unsigned n,
                                   struct error *err)
{
    return m->ops->import_live(m, list, n, err);
}
/* Links that are new get a lease; then meta_manifest_put() for each. All or nothing: the errors of
 * that call. */
static inline int meta_import_repo(struct meta *m, const struct meta_import_repo *in,
                                   struct arena *a, struct error *err)
{
    return m->ops->import_repo(m, in, a, err);
}

#endif
