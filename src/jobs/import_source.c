/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the directory of a registry: by descriptors, never through a symbolic link, and never
 * longer than a file has any business to be. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "jobs/import_int.h"
#include "os/file.h"

#include "base/banned.h"

/* O_NONBLOCK: a pipe by the name of a file must not keep us waiting. */
enum { READ_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY, HASH_SLICE = 256 * 1024 };

int source_dir(int at, const char *name, struct error *err)
{
    return os_open(at, name, O_RDONLY | O_DIRECTORY, 0, "import.read", err);
}

/* A directory to look things up in, without listing it. */
static int source_step(int at, const char *name, struct error *err)
{
    return os_open(at, name, O_PATH | O_DIRECTORY, 0, "import.read", err);
}

int source_error(struct import *im, const char *path, const struct error *err)
{
    struct error why = *err;
    switch (err->sys) {
    case EACCES:
    case EPERM:
        error_detail(&why, ERR_UNKNOWN,
                     "%s: permission denied: import as a user who may read all of the directory",
                     path);
        why.sys = err->sys;
        return import_fail(im, &why);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return import_fail(im, &why);
    case ELOOP:
    case ENOTDIR:
        import_find(im, "stray", path,
                    "not a directory; a symbolic link is not followed: left out");
        return 0;
    default:
        if (im->phase == IMPORT_LOOKING && err->sys != ENOENT)
            atomic_fetch_add(&im->unread, 1);
        import_find(im, "unreadable", path, "%s", err->message);
        return 0;
    }
}

void source_path(const struct import *im, const struct import_repo *repo, char out[IMPORT_PATH_MAX],
                 const char *fmt, ...)
{
    char rest[IMPORT_PATH_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(rest, sizeof rest, fmt, ap);
    va_end(ap);
    int n = snprintf(out, IMPORT_PATH_MAX, "%srepositories/%s/%s", im->prefix, repo->name, rest);
    if (n >= IMPORT_PATH_MAX)
        out[IMPORT_PATH_MAX - 1] = '\0';
}

void source_blob_path(const struct import *im, const struct digest *d, char out[IMPORT_PATH_MAX])
{
    const char *hex = digest_hex(d).p;
    (void)snprintf(out, IMPORT_PATH_MAX, "%sblobs/%s/%.2s/%s/data", im->prefix, hash_name(d->alg),
                   hex, hex);
}

/* --- links --- */

/* What a link holds, when it is one. 1, or 0 with a finding. */
static int link_parse(struct import *im, struct slice text, const char *path, struct digest *out)
{
    char shown[48];
    (void)snprintf(shown, sizeof shown, "%.*s", SLICE_ARG(slice_first(text, sizeof shown - 1)));
    struct digest d;
    if (text.n == 0)
        import_find(im, "empty-link", path,
                    "the link is empty, as a crash of registry 2 leaves it: left out");
    else if (digest_parse(text, &d, NULL) != 0)
        import_find(im, "bad-link", path, "the link holds \"%s\", which is no digest: left out",
                    shown);
    else if (d.alg != HASH_SHA256)
        import_find(im, "bad-link", path,
                    "the link holds \"%s...\", but registry keeps blobs by their sha256: left out",
                    shown);
    else {
        *out = d;
        return 1;
    }
    return 0;
}

static int link_read(struct import *im, int fd, const char *path, struct digest *out,
                     int64_t *set_ms)
{
    char text[DIGEST_TEXT_MAX + 2];
    struct error err = {0};
    struct os_stat info = {0};
    if (os_fstat(fd, &info, "import.read", &err) != 0)
        return source_error(im, path, &err);
    if (!info.is_file) {
        import_find(im, "bad-link", path, "not a regular file: left out");
        return 0;
    }
    ssize_t n = os_pread_full(fd, text, sizeof text - 1, 0, "import.read", &err);
    if (n < 0)
        return source_error(im, path, &err);
    text[n] = '\0';
    *set_ms = info.mtime_ms;
    return link_parse(im, slice_make(text, (size_t)n), path, out);
}

int source_link(struct import *im, int at, const char *name, const char *path, struct digest *out,
                int64_t *set_ms, bool *there)
{
    char where[IMPORT_PATH_MAX];
    struct error err = {0};
    *there = false;
    int len = snprintf(where, sizeof where, "%s/link", path);
    if (len < 0 || (size_t)len >= sizeof where)
        return 0;
    CLEANUP_CLOSE int dir = source_step(at, name, &err);
    if (dir < 0 && err.sys != ENOENT)
        return source_error(im, path, &err);
    CLEANUP_CLOSE int fd = dir < 0 ? -1 : os_open(dir, "link", READ_FLAGS, 0, "import.read", &err);
    if (fd < 0 && err.sys == ENOENT)
        return 0; /* deleted: registry removes the link and leaves the directory */
    *there = true;
    if (fd >= 0)
        return link_read(im, fd, where, out, set_ms);
    if (err.sys == ELOOP) {
        import_find(im, "bad-link", where, "a symbolic link, which is not followed: left out");
        return 0;
    }
    return source_error(im, where, &err);
}

/* --- blobs --- */

static enum source_state reported(struct import *im, const char *path, const struct error *err)
{
    return source_error(im, path, err) == 0 ? SOURCE_REPORTED : SOURCE_END;
}

static enum source_state not_a_file(struct import *im, const char *path)
{
    import_find(im, "unreadable", path,
                "not a regular file (a symbolic link is not followed): left out");
    return SOURCE_REPORTED;
}

/* The directory of a blob. */
static enum source_state blob_dir(struct import *im, const struct digest *d, const char *path,
                                  int *out)
{
    struct error err = {0};
    char first[3] = {digest_hex(d).p[0], digest_hex(d).p[1], '\0'};
    if (im->blobs < 0)
        return SOURCE_ABSENT;
    CLEANUP_CLOSE int alg = source_step(im->blobs, hash_name(d->alg), &err);
    CLEANUP_CLOSE int at = alg < 0 ? -1 : source_step(alg, first, &err);
    *out = at < 0 ? -1 : source_step(at, digest_hex(d).p, &err);
    if (*out >= 0)
        return SOURCE_OPEN;
    return err.sys == ENOENT ? SOURCE_ABSENT : reported(im, path, &err);
}

int source_stat(struct import *im, const struct digest *d, uint64_t *size)
{
    char path[IMPORT_PATH_MAX];
    struct os_stat info = {0};
    struct error err = {0};
    CLEANUP_CLOSE int dir = -1;
    source_blob_path(im, d, path);
    enum source_state s = blob_dir(im, d, path, &dir);
    if (s == SOURCE_OPEN && os_stat(dir, "data", &info, "import.read", &err) != 0)
        s = err.sys == ENOENT ? SOURCE_ABSENT : reported(im, path, &err);
    if (s == SOURCE_OPEN && !info.is_file)
        s = not_a_file(im, path);
    if (s == SOURCE_OPEN)
        *size = info.size;
    return s == SOURCE_END ? -1 : s == SOURCE_OPEN;
}

enum source_state source_open(struct import *im, const struct digest *d, struct store_source *out,
                              uint64_t *size)
{
    char path[IMPORT_PATH_MAX];
    struct os_stat info = {0};
    struct error err = {0};
    CLEANUP_CLOSE int dir = -1;
    source_blob_path(im, d, path);
    enum source_state s = blob_dir(im, d, path, &dir);
    if (s != SOURCE_OPEN)
        return s;
    CLEANUP_CLOSE int fd = os_open(dir, "data", READ_FLAGS, 0, "import.read", &err);
    if (fd < 0 && err.sys == ENOENT)
        return SOURCE_ABSENT;
    if (fd < 0 && err.sys == ELOOP)
        return not_a_file(im, path);
    if (fd < 0 || os_fstat(fd, &info, "import.read", &err) != 0)
        return reported(im, path, &err);
    if (!info.is_file)
        return not_a_file(im, path);
    *out = (struct store_source){.fd = fd, .dir = dir, .name = "data"};
    *size = info.size;
    fd = dir = -1;
    return SOURCE_OPEN;
}

void source_close(struct store_source *s)
{
    os_close(s->fd);
    os_close(s->dir);
}

int source_read(struct import *im, const struct store_source *s, const struct digest *d, void *p,
                size_t size)
{
    char path[IMPORT_PATH_MAX];
    struct error err = {0};
    ssize_t n = os_pread_full(s->fd, p, size, 0, "import.read", &err);
    if (n >= 0 && (size_t)n == size)
        return 1;
    source_blob_path(im, d, path);
    if (n < 0)
        return source_error(im, path, &err);
    import_find(im, "unreadable", path, "the file became shorter while it was read: left out");
    return 0;
}

int source_hash(struct import *im, const struct store_source *s, const struct digest *file,
                const struct digest *d, uint64_t size, bool *ok)
{
    char hex[HASH_HEX_MAX + 1];
    char path[IMPORT_PATH_MAX];
    struct error err = {0};
    char *buf = xcalloc(1, HASH_SLICE);
    struct hasher *h = hasher_new(d->alg);
    uint64_t at = 0;
    ssize_t n;
    do {
        n = os_pread_full(s->fd, buf, HASH_SLICE, at, "import.read", &err);
        hasher_update(h, buf, n > 0 ? (size_t)n : 0);
        at += n > 0 ? (uint64_t)n : 0;
    } while (n == HASH_SLICE && !import_stopping(im));
    hasher_hex(h, hex);
    hasher_free(h);
    free(buf);
    if (n == HASH_SLICE)
        return 0; /* stopping */
    if (n < 0) {
        source_blob_path(im, file, path);
        return source_error(im, path, &err);
    }
    *ok = at == size && slice_eq(slice_cstr(hex), digest_hex(d));
    return 1;
}
