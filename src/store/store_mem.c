/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory, for tests: what store_fs promises, without a disk. One mutex, two lists. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "os/file.h"
#include "store/store_int.h"

#include "base/banned.h"

/* The bytes of a stage: held by its name in the store and by every open stage, as an inode is. */
struct mem_file {
    unsigned refs;
    struct buf bytes;
    char name[STAGE_ID_LEN + 1];
    struct mem_file *next;
};

struct mem_blob {
    struct digest digest;
    struct shared *bytes;
    struct mem_blob *next;
};

struct store_mem {
    struct store base;
    pthread_mutex_t lock;
    struct mem_file *files;
    struct mem_blob *blobs;
};

struct mem_stage {
    struct stage base;
    struct mem_file *file;
};

static struct store_mem *store_mem(struct store *s)
{
    return (struct store_mem *)(void *)s;
}

static struct mem_stage *mem_stage(struct stage *st)
{
    return (struct mem_stage *)(void *)st;
}

static struct store_mem *lock(struct store *s)
{
    struct store_mem *m = store_mem(s);
    pthread_mutex_lock(&m->lock);
    return m;
}

static void unlock(struct store_mem *m)
{
    pthread_mutex_unlock(&m->lock);
}

/* The rest is called with the lock held, where it takes a store_mem or a mem_file. */

static void file_unref(struct mem_file *f)
{
    if (--f->refs > 0)
        return;
    buf_release(&f->bytes);
    free(f);
}

static struct mem_file **file_find(struct store_mem *m, struct slice id)
{
    struct mem_file **at = &m->files;
    while (*at && !slice_is(id, (*at)->name))
        at = &(*at)->next;
    return at;
}

static struct mem_blob **blob_find(struct store_mem *m, const struct digest *d)
{
    struct mem_blob **at = &m->blobs;
    while (*at && !digest_eq(&(*at)->digest, d))
        at = &(*at)->next;
    return at;
}

static int file_append(struct mem_file *f, const void *p, size_t n, struct error *err)
{
    if (buf_add(&f->bytes, p, n) == 0)
        return 0;
    f->bytes.failed = false; /* what was there is whole */
    return error_sys(err, ENOMEM, "stage %s", f->name);
}

static int mem_probe(struct store *s, struct error *err)
{
    (void)s;
    (void)err;
    return 0;
}

static bool mem_read_only(struct store *s)
{
    (void)s;
    return false;
}

static int mem_stage_open(struct store *s, struct slice id, bool create, struct stage **out,
                          struct error *err)
{
    if (!stage_id_valid(id))
        return stage_unknown(err, id);
    struct store_mem *m = lock(s);
    struct mem_file *f = *file_find(m, id);
    if (create == (f != NULL)) {
        unlock(m);
        return create ? error_sys(err, EEXIST, "create stage %.*s", SLICE_ARG(id))
                      : stage_unknown(err, id);
    }
    if (create) {
        f = xcalloc(1, sizeof *f);
        memcpy(f->name, id.p, id.n);
        f->refs = 1;
        buf_init(&f->bytes, SIZE_MAX / 4);
        f->next = m->files;
        m->files = f;
    }
    f->refs++;
    unlock(m);
    struct mem_stage *st = xcalloc(1, sizeof *st);
    st->base.store = s;
    st->file = f;
    *out = &st->base;
    return 0;
}

static uint64_t mem_stage_size(struct stage *st)
{
    struct store_mem *m = lock(st->store);
    uint64_t n = mem_stage(st)->file->bytes.n;
    unlock(m);
    return n;
}

static int mem_stage_write(struct stage *st, const void *p, size_t n, struct error *err)
{
    struct store_mem *m = lock(st->store);
    int result = file_append(mem_stage(st)->file, p, n, err);
    unlock(m);
    return result;
}

static ssize_t mem_stage_read(struct stage *st, void *p, size_t n, uint64_t offset,
                              struct error *err)
{
    (void)err;
    struct store_mem *m = lock(st->store);
    const struct mem_file *f = mem_stage(st)->file;
    n = offset >= f->bytes.n ? 0 : (size_t)MIN((uint64_t)n, f->bytes.n - offset);
    if (n)
        memcpy(p, f->bytes.p + offset, n);
    unlock(m);
    return (ssize_t)n;
}

static int mem_stage_truncate(struct stage *st, uint64_t size, struct error *err)
{
    struct store_mem *m = lock(st->store);
    struct mem_file *f = mem_stage(st)->file;
    bool fits = size <= f->bytes.n;
    if (fits)
        f->bytes.n = (size_t)size;
    unlock(m);
    return fits ? 0 : error_set(err, ERR_UNKNOWN, "a stage cannot grow by truncation");
}

static int mem_stage_sync(struct stage *st, struct error *err)
{
    (void)st;
    (void)err;
    return 0;
}

static void mem_stage_close(struct stage *st)
{
    struct store_mem *m = lock(st->store);
    file_unref(mem_stage(st)->file);
    unlock(m);
    free(st);
}

static int mem_stage_remove(struct store *s, struct slice id, struct error *err)
{
    (void)err;
    struct store_mem *m = lock(s);
    struct mem_file **at = file_find(m, id);
    struct mem_file *f = *at;
    if (f) {
        *at = f->next;
        file_unref(f);
    }
    unlock(m);
    return 0;
}

/* Over a copy of the names, so that fn may call the store. */
static int mem_stage_list(struct store *s, int (*fn)(void *arg, struct slice id), void *arg,
                          struct error *err)
{
    (void)err;
    struct store_mem *m = lock(s);
    size_t n = 0;
    for (struct mem_file *f = m->files; f; f = f->next)
        n++;
    char(*names)[STAGE_ID_LEN + 1] = xcalloc(n, sizeof *names);
    size_t i = 0;
    for (struct mem_file *f = m->files; f; f = f->next)
        memcpy(names[i++], f->name, sizeof *names);
    unlock(m);
    for (i = 0; i < n; i++)
        if (fn(arg, slice_cstr(names[i])) != 0)
            break;
    free(names);
    return 0;
}

static bool bytes_match(const struct shared *bytes, const struct digest *d, uint64_t size)
{
    char hex[HASH_HEX_MAX + 1];
    if (bytes->n != size)
        return false;
    hash_hex(d->alg, bytes->p, bytes->n, hex);
    return slice_eq(slice_cstr(hex), digest_hex(d));
}

/* Keeps what is right, replaces what is not. Takes the bytes. */
static void blob_put(struct store_mem *m, const struct digest *d, struct shared *bytes)
{
    struct mem_blob *b = *blob_find(m, d);
    if (!b) {
        b = xcalloc(1, sizeof *b);
        b->digest = *d;
        b->next = m->blobs;
        m->blobs = b;
    } else if (bytes_match(b->bytes, d, bytes->n)) {
        shared_unref(bytes);
        return;
    }
    shared_unref(b->bytes);
    b->bytes = bytes;
}

static int mem_publish(struct store *s, struct slice id, const struct digest *d, uint64_t size,
                       struct error *err)
{
    store_check_digest(d);
    struct store_mem *m = lock(s);
    const struct mem_file *f = *file_find(m, id);
    int result = 0;
    if (!f) {
        result = stage_unknown(err, id);
    } else if (f->bytes.n != size) {
        result = error_set(err, ERR_UNKNOWN, "stage %s has %zu bytes, not %llu", f->name,
                           f->bytes.n, (unsigned long long)size);
    } else {
        struct shared *bytes = shared_new(f->bytes.p, f->bytes.n);
        if (bytes)
            blob_put(m, d, bytes);
        else
            result = error_sys(err, ENOMEM, "publish %s", d->text);
    }
    unlock(m);
    return result;
}

static bool mem_peek(struct store *s, const struct digest *d, struct store_object *out)
{
    struct store_mem *m = lock(s);
    const struct mem_blob *b = *blob_find(m, d);
    struct shared *bytes = b ? shared_ref(b->bytes) : NULL;
    unlock(m);
    if (bytes)
        *out = (struct store_object){.bytes = bytes, .size = bytes->n};
    return bytes != NULL;
}

static int mem_open(struct store *s, const struct digest *d, struct store_object *out,
                    struct error *err)
{
    store_check_digest(d);
    if (mem_peek(s, d, out))
        return 0;
    return error_set(err, ERR_BLOB_UNKNOWN, "no file of %s", d->text);
}

static int mem_verify(struct store *s, const struct digest *d, uint64_t size, bool *ok,
                      struct error *err)
{
    struct store_object o = {0};
    (void)err;
    *ok = mem_peek(s, d, &o) && bytes_match(o.bytes, d, size);
    store_object_release(&o);
    return 0;
}

static int mem_stat(struct store *s, const struct digest *d, uint64_t *size, struct error *err)
{
    struct store_object o = {0};
    if (mem_open(s, d, &o, err) != 0)
        return -1;
    *size = o.size;
    store_object_release(&o);
    return 0;
}

static int mem_remove(struct store *s, const struct digest *d, struct error *err)
{
    (void)err;
    struct store_mem *m = lock(s);
    struct mem_blob **at = blob_find(m, d);
    struct mem_blob *b = *at;
    if (b)
        *at = b->next;
    unlock(m);
    if (b)
        shared_unref(b->bytes);
    free(b);
    return 0;
}

static int mem_adopt(struct store *s, struct store_batch *batch, const struct store_source *source,
                     const struct digest *d, uint64_t size, enum store_adopted *how,
                     struct error *err)
{
    struct store_object there = {0};
    store_check_digest(d);
    (void)batch;
    struct shared *bytes = shared_new(NULL, (size_t)size);
    if (!bytes)
        return error_sys(err, ENOMEM, "adopt %s", d->text);
    /* One byte more, to see that it ends there. */
    ssize_t n = os_pread_full(source->fd, bytes->p, (size_t)size + 1, 0, "import.read", NULL);
    if (n < 0 || (uint64_t)n != size) {
        shared_unref(bytes);
        return error_set(err, ERR_BLOB_UNKNOWN, "the file to be %s has another size", d->text);
    }
    bytes->p[size] = '\0';
    bool same = mem_peek(s, d, &there) && bytes_match(there.bytes, d, size);
    store_object_release(&there);
    struct store_mem *m = lock(s);
    blob_put(m, d, bytes);
    unlock(m);
    *how = same ? STORE_ADOPT_PRESENT : STORE_ADOPT_COPIED;
    return 0;
}

static int mem_adopt_sync(struct store *s, struct store_batch *batch, struct error *err)
{
    (void)s;
    (void)err;
    *batch = (struct store_batch){0};
    return 0;
}

static int mem_adopt_room(struct store *s, const struct store_source *source, bool *copies,
                          uint64_t *room, struct error *err)
{
    (void)s;
    (void)source;
    (void)err;
    *copies = true;
    *room = UINT64_MAX;
    return 0;
}

static void mem_close(struct store *s)
{
    struct store_mem *m = store_mem(s);
    while (m->files) {
        struct mem_file *f = m->files;
        m->files = f->next;
        CHECK(f->refs == 1); /* no stage is open */
        file_unref(f);
    }
    while (m->blobs) {
        struct mem_blob *b = m->blobs;
        m->blobs = b->next;
        shared_unref(b->bytes);
        free(b);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const struct store_ops mem_ops = {
    .name = "memory",
    .close = mem_close,
    .probe = mem_probe,
    .read_only = mem_read_only,
    .stage_open = mem_stage_open,
    .stage_size = mem_stage_size,
    .stage_write = mem_stage_write,
    .stage_read = mem_stage_read,
    .stage_truncate = mem_stage_truncate,
    .stage_sync = mem_stage_sync,
    .stage_close = mem_stage_close,
    .stage_remove = mem_stage_remove,
    .stage_list = mem_stage_list,
    .publish = mem_publish,
    .open = mem_open,
    .peek = mem_peek,
    .verify = mem_verify,
    .stat = mem_stat,
    .remove = mem_remove,
    .adopt = mem_adopt,
    .adopt_sync = mem_adopt_sync,
    .adopt_room = mem_adopt_room,
};

int store_mem_open(struct store **out, struct error *err)
{
    (void)err;
    struct store_mem *m = xcalloc(1, sizeof *m);
    m->base.ops = &mem_ops;
    pthread_mutex_init(&m->lock, NULL);
    *out = &m->base;
    return 0;
}
