/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/sqlite_readers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/util.h"

#include "base/banned.h"

struct readers {
    char *path;
    pthread_mutex_t lock;
    pthread_cond_t back;
    unsigned max, open, n_free; /* the last two and `free_list` under the lock */
    struct sqdb **free_list;    /* a stack of n_free */
};

struct readers *readers_new(const char *path, unsigned max)
{
    struct readers *r = xcalloc(1, sizeof *r);
    r->path = xstrdup(path);
    r->max = max ? max : 1;
    r->free_list = xcalloc(r->max, sizeof *r->free_list);
    CHECK(pthread_mutex_init(&r->lock, NULL) == 0);
    CHECK(pthread_cond_init(&r->back, NULL) == 0);
    return r;
}

void readers_free(struct readers *r)
{
    if (!r)
        return;
    CHECK(r->n_free == r->open);
    for (unsigned i = 0; i < r->n_free; i++)
        sqdb_close(r->free_list[i]);
    (void)pthread_cond_destroy(&r->back);
    (void)pthread_mutex_destroy(&r->lock);
    free(r->free_list);
    free(r->path);
    free(r);
}

struct sqdb *readers_take(struct readers *r, struct error *err)
{
    struct sqdb *db = NULL;
    (void)pthread_mutex_lock(&r->lock);
    while (r->n_free == 0 && r->open == r->max)
        (void)pthread_cond_wait(&r->back, &r->lock);
    if (r->n_free > 0)
        db = r->free_list[--r->n_free];
    else
        r->open++; /* its place is taken while it opens, outside of the lock */
    (void)pthread_mutex_unlock(&r->lock);
    if (db || sqdb_open(r->path, SQDB_READER, &db, err) == 0)
        return db;
    (void)pthread_mutex_lock(&r->lock);
    r->open--;
    (void)pthread_cond_signal(&r->back);
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

void readers_give(struct readers *r, struct sqdb *db)
{
    (void)pthread_mutex_lock(&r->lock);
    r->free_list[r->n_free++] = db;
    (void)pthread_cond_signal(&r->back);
    (void)pthread_mutex_unlock(&r->lock);
}
