/* SPDX-License-Identifier: Apache-2.0 */
/* Upload sessions in this process: who writes, the running hash, and where the bytes are (in memory
 * while they are few, else staged in the store). The durable side (the row) is the caller's:
 * nothing here calls meta. A session that is not in the table is adopted from its row.
 *
 * A session has one writer at a time. upload_acquire and upload_release never block; all else may
 * (a worker's step). */
#ifndef STORE_UPLOAD_H
#define STORE_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "oci/digest.h"
#include "store/store.h"

struct uploads; /* the table */
struct upload;  /* one session, held by its writer */

enum upload_acquire { UPLOAD_ACQUIRED, UPLOAD_BUSY, UPLOAD_ABSENT };

enum { UPLOAD_ID_LEN = 36 };

/* inline_max: bytes kept in memory before the session is staged. idle_max: idle sessions whose hash
 * state is remembered (about 1 KiB each, bytes included in the limit of their own: an idle
 * session's in-memory bytes are dropped when upload_saved was called, and adopted again from the
 * row). */
struct uploads *uploads_new(struct store *store, size_t inline_max, unsigned idle_max);
void uploads_free(struct uploads *u);
unsigned uploads_active(struct uploads *u);

/* A random id in UUID form (version 4), NUL-terminated: out[UPLOAD_ID_LEN + 1]. */
void upload_id_make(char out[UPLOAD_ID_LEN + 1]);
bool upload_id_valid(struct slice id);

/* The session becomes the caller's alone, if it is in the table. `repo` must be the one it was made
 * for (ABSENT otherwise). */
enum upload_acquire upload_acquire(struct uploads *u, struct slice repo, struct slice id,
                                   struct upload **out);
/* Makes the session of a row (or of an upload that has just been made, with offset 0 and no bytes):
 * the bytes of the row, or staged. `offset` is what the row has acknowledged; a stage that is
 * longer (its tail was never acknowledged, and may be anything after a crash) is cut back to it
 * before the next change, one that is shorter or gone gives its own size. UPLOAD_BUSY when another
 * thread was faster and holds it; UPLOAD_ABSENT when another was faster and is done: try again. */
int upload_adopt(struct uploads *u, struct slice repo, struct slice id, enum hash_alg alg,
                 bool staged, uint64_t offset, struct slice bytes, struct upload **out,
                 enum upload_acquire *result, struct error *err);
/* Gives it back; the bytes stay. NULL is fine. From any thread. */
void upload_release(struct upload *up);
/* Gives it back and forgets it (done, cancelled, or broken). The stage is the caller's to remove.
 */
void upload_forget(struct upload *up);

struct slice upload_id(const struct upload *up);
struct slice upload_repo(const struct upload *up);
uint64_t upload_offset(const struct upload *up);
bool upload_staged(const struct upload *up);
/* All bytes of a session that is not staged. */
struct slice upload_bytes(const struct upload *up);
/* Appends (hashing as they come); stages the session when it outgrows inline_max, or at once when
 * `expect` bytes more were announced with upload_expect. */
int upload_append(struct upload *up, const char *p, size_t n, struct error *err);
void upload_expect(struct upload *up, uint64_t more);
/* The next append or hash first cuts the session back to `offset` (a monolithic PUT that broke off
 * leaves nothing). Never blocks. */
void upload_rewind(struct upload *up, uint64_t offset);
/* Does now what a rewind left to do, so that its space is given back. Blocks. -1: the stage cannot
 * be used; when it was given up, never again (upload_forget: the row has what counts). */
int upload_cut(struct upload *up, struct error *err);
/* Makes staged bytes durable (no-op in memory). */
int upload_sync(struct upload *up, struct error *err);
/* Goes on hashing with `alg` for at most `slice` bytes of what has not been hashed yet (after a
 * restart, or when another algorithm is asked for). *done when all is hashed: then upload_digest
 * gives the digest of everything. */
int upload_hash(struct upload *up, enum hash_alg alg, uint64_t slice, bool *done,
                struct error *err);
int upload_digest(struct upload *up, struct digest *out);
/* The row has all of the bytes now; they may be dropped from memory when the session is idle. */
void upload_saved(struct upload *up);
/* Does the row have all of it (upload_saved was called since the last change, or it was adopted
 * so)? Otherwise some of the bytes are acknowledged to nobody. */
bool upload_is_saved(const struct upload *up);

#endif
