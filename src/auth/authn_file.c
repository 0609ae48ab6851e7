/* SPDX-License-Identifier: Apache-2.0 */
/* The files behind an authenticator: read at the start, and again when they changed. Only workers
 * come here, but for material_get. Links are followed: a mounted secret is one. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/authn_int.h"
#include "base/util.h"
#include "os/file.h"

#include "base/banned.h"

int file_read(int fd, const char *name, size_t max, struct buf *out, struct error *err)
{
    char chunk[16 * 1024];
    for (;;) {
        ssize_t n = os_pread_full(fd, chunk, sizeof chunk, out->n, "config.read", err);
        if (n < 0)
            return -1;
        if (out->n + (size_t)n > max || buf_add(out, chunk, (size_t)n))
            return error_detail(err, ERR_BAD_REQUEST, "%s: larger than %zu bytes", name, max);
        if ((size_t)n < sizeof chunk)
            return 0;
    }
}

/* ---- stamps ---- */

static struct stamp stamp_of(const struct stat *st)
{
    return (struct stamp){.exists = true,
                          .device = st->st_dev,
                          .inode = st->st_ino,
                          .size = st->st_size,
                          .modified = st->st_mtim,
                          .changed = st->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamps(const struct stamp *a, const struct stamp *b)
{
    for (unsigned i = 0; i < SOURCES; i++)
        if (a[i].exists != b[i].exists || a[i].device != b[i].device || a[i].inode != b[i].inode ||
            a[i].size != b[i].size || !same_time(a[i].modified, b[i].modified) ||
            !same_time(a[i].changed, b[i].changed))
            return false;
    return true;
}

static void look(const struct authn *a, struct stamp stamps[SOURCES])
{
    for (unsigned i = 0; i < SOURCES; i++) {
        struct stat st;
        stamps[i] = (struct stamp){0};
        if (a->paths[i] && stat(a->paths[i], &st) == 0)
            stamps[i] = stamp_of(&st);
    }
}

/* ---- contents ---- */

static int read_source(const char *path, size_t max, struct buf *out, struct stamp *stamp,
                       struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return error_sys(err, errno, "open %s", path);
    if (S_ISDIR(st.st_mode))
        return error_detail(err, ERR_BAD_REQUEST, "%s is a directory", path);
    *stamp = stamp_of(&st);
    return file_read(fd, path, max, out, err);
}

static int load_passwords(const char *path, struct stamp *stamp, struct htpasswd **out,
                          unsigned *ignored, struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    buf_init(&text, HTPASSWD_BYTES_MAX);
    if (read_source(path, HTPASSWD_BYTES_MAX, &text, stamp, err))
        return -1;
    struct error why = {0};
    if (htpasswd_parse(buf_view(&text), out, ignored, &why))
        return error_detail(err, why.code, "%s: %s", path,
                            why.detail[0] ? why.detail : why.message);
    return 0;
}

int htpasswd_load(const char *path, struct htpasswd **out, unsigned *ignored, struct error *err)
{
    struct stamp stamp;
    return load_passwords(path, &stamp, out, ignored, err);
}

static int load_keys(struct authn *a, struct material *m, struct error *err)
{
    CLEANUP_BUF struct buf pem = {.max = KEYS_BYTES_MAX};
    CLEANUP_BUF struct buf jwks = {.max = KEYS_BYTES_MAX};
    struct buf *texts[SOURCES] = {&pem, &jwks};
    for (unsigned i = 0; i < SOURCES; i++)
        if (a->paths[i] && read_source(a->paths[i], KEYS_BYTES_MAX, texts[i], &m->stamps[i], err))
            return -1;
    return token_keys_new(buf_view(&pem), buf_view(&jwks), a->algorithms, a->n_algorithms, &m->keys,
                          err);
}

static void material_free(struct material *m)
{
    htpasswd_free(m->passwords);
    token_keys_free(m->keys);
    free(m);
}

int material_load(struct authn *a, struct material **out, struct error *err)
{
    struct material *m = xcalloc(1, sizeof *m);
    atomic_init(&m->refs, 1);
    int failed = 0;
    if (a->kind == AUTHN_HTPASSWD)
        failed = load_passwords(a->paths[0], &m->stamps[0], &m->passwords, &m->ignored, err);
    else if (a->kind == AUTHN_TOKEN)
        failed = load_keys(a, m, err);
    if (failed) {
        material_free(m);
        return -1;
    }
    pthread_mutex_lock(&a->lock);
    (void)snprintf(m->generation, sizeof m->generation, "%" PRIx64, ++a->generation);
    pthread_mutex_unlock(&a->lock);
    *out = m;
    return 0;
}

struct material *material_get(struct authn *a)
{
    pthread_mutex_lock(&a->lock);
    struct material *m = a->material;
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&a->lock);
    return m;
}

void material_unref(struct material *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        material_free(m);
}

/* ---- again ---- */

/* With `reload` held. `insist`: also when nothing has changed since an attempt that failed, which
 * may have been for want of memory or of descriptors. */
static void read_again(struct authn *a, bool insist)
{
    struct stamp now[SOURCES];
    look(a, now);
    pthread_mutex_lock(&a->lock);
    bool same = same_stamps(now, a->tried);
    bool pass = same && !(insist && a->failed);
    memcpy(a->tried, now, sizeof now);
    pthread_mutex_unlock(&a->lock);
    if (pass)
        return;
    struct material *m = NULL, *old = NULL;
    struct error err = {0};
    bool failed = material_load(a, &m, &err) != 0;
    pthread_mutex_lock(&a->lock);
    a->changes += !same || !failed;
    a->failed = failed;
    a->problem = err;
    if (!failed) {
        old = a->material;
        a->material = m;
        /* What was read may be newer than what was seen before. */
        memcpy(a->tried, m->stamps, sizeof a->tried);
    }
    pthread_mutex_unlock(&a->lock);
    material_unref(old);
    if (a->reload_failed)
        metric_set(a->reload_failed, failed);
}

void material_refresh(struct authn *a, int64_t now_s)
{
    int64_t last = atomic_load(&a->checked_s);
    if (last == now_s || !atomic_compare_exchange_strong(&a->checked_s, &last, now_s))
        return;
    if (pthread_mutex_trylock(&a->reload))
        return; /* somebody else is at it */
    read_again(a, false);
    pthread_mutex_unlock(&a->reload);
}

bool authn_refresh(struct authn *a, struct authn_status *out)
{
    pthread_mutex_lock(&a->reload);
    read_again(a, true);
    pthread_mutex_unlock(&a->reload);
    pthread_mutex_lock(&a->lock);
    bool news = a->changes != a->told;
    a->told = a->changes;
    pthread_mutex_unlock(&a->lock);
    authn_status(a, out); /* what comes in between is told of again */
    return news;
}
