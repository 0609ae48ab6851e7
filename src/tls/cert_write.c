/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "os/file.h"
#include "tls/cert_int.h"

#include "base/banned.h"

enum { FILES_MAX = 4 };
static const char point[] = "cert.write";

/* Where one file stands. */
struct place {
    const struct cert_file *file;
    char *staged; /* the new one, beside its place */
    char *kept;   /* a link to the old one, or NULL: there was none */
    bool moved;   /* the new one is in its place */
};

static char *beside(const char *path, const char *what)
{
    size_t n = strlen(path) + strlen(what) + 32;
    char *p = xcalloc(1, n);
    (void)snprintf(p, n, "%s.%ld.%s", path, (long)getpid(), what);
    return p;
}

static int sync_directory(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *dir =
        slash ? xstrndup(path, (size_t)(slash - path) + (slash == path)) : xstrdup(".");
    CLEANUP_CLOSE int fd = os_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, point, err);
    return fd < 0 ? -1 : os_fsync(fd, point, err);
}

static int stage(struct place *p, struct error *err)
{
    const struct cert_file *f = p->file;
    struct os_stat st;
    struct error none = {0};
    bool there = os_stat(AT_FDCWD, f->path, &st, point, &none) == 0;
    if (!there && none.sys != ENOENT) {
        if (err)
            *err = none;
        return -1;
    }
    if (there && !f->replace)
        return error_detail(err, ERR_CONFLICT, "%.300s is there already; --force replaces it",
                            f->path);
    p->staged = beside(f->path, "new");
    CLEANUP_CLOSE int fd =
        os_open(AT_FDCWD, p->staged, O_WRONLY | O_CREAT | O_EXCL, f->mode, point, err);
    if (fd < 0) {
        free(STEAL(p->staged)); /* somebody else's, if there is one */
        return -1;
    }
    if (os_pwrite_all(fd, f->data->p, f->data->n, 0, point, err) || os_fsync(fd, point, err))
        return -1;
    if (!there)
        return 0;
    p->kept = beside(f->path, "old");
    if (os_link(AT_FDCWD, f->path, AT_FDCWD, p->kept, point, err)) {
        free(STEAL(p->kept));
        return -1;
    }
    return 0;
}

static int move(struct place *p, struct error *err)
{
    if (os_rename(AT_FDCWD, p->staged, AT_FDCWD, p->file->path, point, err))
        return -1;
    p->moved = true;
    return sync_directory(p->file->path, err);
}

/* Back to what was. Without fault points: this is the way out of a failure. */
static void undo(struct place *p)
{
    if (p->moved && p->kept)
        (void)rename(p->kept, p->file->path);
    else if (p->moved)
        (void)unlink(p->file->path);
}

static void tidy(struct place *p)
{
    if (p->staged)
        (void)unlink(p->staged);
    if (p->kept)
        (void)unlink(p->kept);
    free(p->staged);
    free(p->kept);
}

int cert_write(const struct cert_file *files, unsigned n, struct error *err)
{
    struct place places[FILES_MAX] = {{0}};
    int rc = 0;
    CHECK(n <= FILES_MAX);
    for (unsigned i = 0; i < n; i++)
        places[i].file = &files[i];
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = stage(&places[i], err);
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = move(&places[i], err);
    for (unsigned i = 0; i < n && rc; i++)
        undo(&places[i]);
    for (unsigned i = 0; i < n; i++)
        tidy(&places[i]);
    return rc;
}
