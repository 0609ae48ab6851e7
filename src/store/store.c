/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "base/util.h"
#include "store/store_int.h"

#include "base/banned.h"

static bool hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool stage_id_valid(struct slice id)
{
    if (id.n != STAGE_ID_LEN)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!hex_digit(id.p[i]) && id.p[i] != '-')
            return false;
    return true;
}

void store_check_digest(const struct digest *d)
{
    CHECK((unsigned)d->alg < HASH_ALG_COUNT);
    struct slice hex = digest_hex(d);
    CHECK(hex.n == hash_hex_len(d->alg));
    for (size_t i = 0; i < hex.n; i++)
        CHECK(hex_digit(hex.p[i]));
}

int stage_unknown(struct error *err, struct slice id)
{
    return error_set(err, ERR_BLOB_UPLOAD_UNKNOWN, "no stage %.*s", SLICE_ARG(slice_first(id, 64)));
}

uint64_t stage_size(struct stage *st)
{
    return st->store->ops->stage_size(st);
}

int stage_write(struct stage *st, const void *p, size_t n, struct error *err)
{
    return st->store->ops->stage_write(st, p, n, err);
}

ssize_t stage_read(struct stage *st, void *p, size_t n, uint64_t offset, struct error *err)
{
    return st->store->ops->stage_read(st, p, n, offset, err);
}

int stage_truncate(struct stage *st, uint64_t size, struct error *err)
{
    return st->store->ops->stage_truncate(st, size, err);
}

int stage_sync(struct stage *st, struct error *err)
{
    return st->store->ops->stage_sync(st, err);
}

void stage_close(struct stage *st)
{
    if (st)
        st->store->ops->stage_close(st);
}

void store_object_release(struct store_object *o)
{
    fdref_unref(o->file);
    shared_unref(o->bytes);
    *o = (struct store_object){0};
}
