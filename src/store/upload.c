/* SPDX-License-Identifier: Apache-2.0 */
/* One upload session: where its bytes are, and its running hash. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "store/store_int.h"
#include "store/upload_int.h"

#include "base/banned.h"

enum { READ_SLICE = 256 * 1024 };

struct upload *upload_make(struct uploads *u, struct slice repo, struct slice id, enum hash_alg alg)
{
    struct upload *up = xcalloc(1, sizeof *up);
    up->table = u;
    memcpy(up->id, id.p, UPLOAD_ID_LEN);
    up->repo = xstrndup(repo.p, repo.n);
    up->list = UPLOAD_NO_LIST;
    up->alg = alg;
    return up;
}

struct slice upload_id(const struct upload *up)
{
    return slice_make(up->id, UPLOAD_ID_LEN);
}

struct slice upload_repo(const struct upload *up)
{
    return slice_cstr(up->repo);
}

uint64_t upload_offset(const struct upload *up)
{
    return up->size;
}

bool upload_staged(const struct upload *up)
{
    return up->staged;
}

struct slice upload_bytes(const struct upload *up)
{
    return up->staged ? SLICE_NONE : slice_make(up->mem, (size_t)up->size);
}

void upload_saved(struct upload *up)
{
    up->saved = true;
}

bool upload_is_saved(const struct upload *up)
{
    return up->saved;
}

/* The hash starts again at the first byte. */
static void hash_restart(struct upload *up)
{
    if (up->hasher && (up->hashed > 0 || up->finished))
        hasher_reset(up->hasher);
    up->hashed = 0;
    up->finished = false;
}

static void hash_take(struct upload *up, const void *p, size_t n)
{
    if (!up->hasher)
        up->hasher = hasher_new(up->alg);
    hasher_update(up->hasher, p, n);
    up->hashed += n;
}

/* The first `n` bytes to memory of exactly that size. */
static int mem_set(struct upload *up, struct slice bytes, struct error *err)
{
    if (bytes.n == 0)
        return 0;
    up->mem = malloc(bytes.n);
    if (!up->mem)
        return error_sys(err, ENOMEM, "upload %s", up->id);
    memcpy(up->mem, bytes.p, bytes.n);
    up->cap = bytes.n;
    up->size = bytes.n;
    return 0;
}

int upload_load(struct upload *up, bool staged, uint64_t offset, struct slice bytes,
                struct error *err)
{
    up->saved = true;
    if (!staged)
        return mem_set(up, bytes, err);
    struct error why;
    error_clear(&why);
    up->staged = true;
    if (stage_open(uploads_store(up->table), upload_id(up), false, &up->stage, &why) == 0) {
        uint64_t size = stage_size(up->stage);
        up->size = MIN(size, offset);
        up->cut = size > offset;
        up->saved = size >= offset;
        return 0;
    }
    if (why.code == ERR_BLOB_UPLOAD_UNKNOWN) {
        up->saved = offset == 0;
        return 0; /* gone: starts again at 0 */
    }
    if (err)
        *err = why;
    return -1;
}

/* A stage of that id can only be what a process before us left when it died between making the
 * stage and recording it; the row has the bytes that count. */
static int stage_anew(struct upload *up, struct stage **out, struct error *err)
{
    struct store *store = uploads_store(up->table);
    struct error why;
    error_clear(&why);
    int result = stage_open(store, upload_id(up), true, out, &why);
    if (result != 0 && why.sys == EEXIST) {
        error_clear(&why);
        result = stage_remove(store, upload_id(up), &why);
        if (result == 0)
            result = stage_open(store, upload_id(up), true, out, &why);
    }
    if (result != 0 && err)
        *err = why;
    return result;
}

/* From memory to a stage. On failure the session stays as it was. */
static int move_to_stage(struct upload *up, struct error *err)
{
    struct stage *st = NULL;
    if (stage_anew(up, &st, err) != 0)
        return -1;
    if (up->size > 0 && stage_write(st, up->mem, (size_t)up->size, err) != 0) {
        stage_close(st);
        (void)stage_remove(uploads_store(up->table), upload_id(up), NULL);
        return -1;
    }
    up->stage = st;
    up->staged = true;
    up->saved = false;
    free(up->mem);
    up->mem = NULL;
    up->cap = 0;
    return 0;
}

/* A staged session has its stage, and that has the session's size. */
static int stage_settle(struct upload *up, struct error *err)
{
    if (!up->stage)
        return stage_anew(up, &up->stage, err);
    if (!up->cut)
        return 0;
    if (stage_truncate(up->stage, up->size, err) != 0)
        return -1;
    up->cut = false;
    return 0;
}

static int mem_append(struct upload *up, const char *p, size_t n, struct error *err)
{
    size_t size = (size_t)up->size;
    if (size + n > up->cap) {
        size_t cap = MAX(size + n, MIN(up->cap * 2, uploads_inline_max(up->table)));
        char *more = realloc(up->mem, cap);
        if (!more)
            return error_sys(err, ENOMEM, "upload %s", up->id);
        up->mem = more;
        up->cap = cap;
    }
    memcpy(up->mem + size, p, n);
    return 0;
}

void upload_expect(struct upload *up, uint64_t more)
{
    uint64_t end;
    up->stage_soon = u64_add(up->size, more, &end) != 0 || end > uploads_inline_max(up->table);
}

int upload_append(struct upload *up, const char *p, size_t n, struct error *err)
{
    uint64_t end;
    if (u64_add(up->size, n, &end) != 0 || end > INT64_MAX)
        return error_set(err, ERR_SIZE_EXCEEDED, "upload %s would be too large", up->id);
    if (n == 0)
        return 0;
    if (up->finished)
        hash_restart(up);
    /* What was adopted is hashed while it is in memory, so that the rest can be as it comes. */
    if (!up->staged && up->hashed < up->size)
        hash_take(up, up->mem + up->hashed, (size_t)(up->size - up->hashed));
    if (!up->staged && (up->stage_soon || end > uploads_inline_max(up->table)) &&
        move_to_stage(up, err) != 0)
        return -1;
    if (up->staged) {
        if (stage_settle(up, err) != 0 || stage_write(up->stage, p, n, err) != 0)
            return -1;
    } else if (mem_append(up, p, n, err) != 0) {
        return -1;
    }
    /* Written before hashed: what could not be written is not in the hash either. */
    if (up->hashed == up->size)
        hash_take(up, p, n);
    up->size = end;
    up->saved = false;
    return 0;
}

void upload_rewind(struct upload *up, uint64_t offset)
{
    if (offset >= up->size)
        return;
    up->size = offset;
    up->saved = false;
    up->cut = up->staged;
    if (up->hashed > offset)
        hash_restart(up);
}

int upload_cut(struct upload *up, struct error *err)
{
    if (!up->staged || !up->stage)
        return 0;
    /* Also when there is nothing to cut: a stage that was given up says so. */
    if (stage_truncate(up->stage, up->size, err) != 0)
        return -1;
    up->cut = false;
    return 0;
}

int upload_sync(struct upload *up, struct error *err)
{
    if (!up->staged)
        return 0;
    if (stage_settle(up, err) != 0)
        return -1;
    return stage_sync(up->stage, err);
}

/* Up to `n` bytes that are not in the hash yet, from the stage. */
static int hash_staged(struct upload *up, uint64_t n, struct error *err)
{
    size_t cap = (size_t)MIN(n, (uint64_t)READ_SLICE);
    CLEANUP_FREE char *buf = malloc(cap);
    if (!buf)
        return error_sys(err, ENOMEM, "hash upload %s", up->id);
    while (n > 0) {
        size_t want = (size_t)MIN(n, (uint64_t)cap);
        ssize_t got = stage_read(up->stage, buf, want, up->hashed, err);
        if (got < 0)
            return -1;
        if ((size_t)got != want)
            return error_set(err, ERR_UNKNOWN, "stage %s is shorter than it was", up->id);
        hash_take(up, buf, want);
        n -= want;
    }
    return 0;
}

int upload_hash(struct upload *up, enum hash_alg alg, uint64_t slice, bool *done, struct error *err)
{
    if (up->staged && stage_settle(up, err) != 0)
        return -1;
    if (alg != up->alg) {
        hasher_free(STEAL(up->hasher));
        up->alg = alg;
        up->hashed = 0;
        up->finished = false;
    }
    uint64_t n = MIN(slice, up->size - up->hashed);
    if (n > 0 && up->staged) {
        if (hash_staged(up, n, err) != 0)
            return -1;
    } else if (n > 0) {
        hash_take(up, up->mem + up->hashed, (size_t)n);
    }
    *done = up->hashed == up->size;
    return 0;
}

int upload_digest(struct upload *up, struct digest *out)
{
    if (up->hashed != up->size)
        return -1;
    if (!up->finished) {
        char hex[HASH_HEX_MAX + 1];
        if (!up->hasher)
            up->hasher = hasher_new(up->alg);
        hasher_hex(up->hasher, hex);
        digest_make(up->alg, hex, &up->digest);
        up->finished = true;
    }
    *out = up->digest;
    return 0;
}

void upload_destroy(struct upload *up)
{
    /* Otherwise the next one to open the stage would take what was cut off for the session's. A
     * failure leaves it to the caller's row, which has the true offset. */
    if (up->cut && up->stage)
        (void)stage_truncate(up->stage, up->size, NULL);
    stage_close(up->stage);
    hasher_free(up->hasher);
    free(up->mem);
    free(up->repo);
    free(up);
}
