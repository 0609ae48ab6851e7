/* SPDX-License-Identifier: Apache-2.0 */
/* Changing an htpasswd file. An administrator does this, by hand or by the first start; nothing
 * that a client was told depends on it, so it has no fault points, and it goes through a link when
 * the administrator made one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/authn_int.h"
#include "auth/htpasswd.h"
#include "base/util.h"

#include "base/banned.h"

/* The file that is being changed: by its name in its directory, which is locked. */
struct edit {
    char *path; /* without links */
    char *dir;
    int dir_fd;
    bool exists;
    struct stat st; /* when it does */
    struct buf old, new;
};

static int check_user(struct slice user, struct error *err)
{
    const char *bad = NULL;
    if (user.n == 0 || user.n > HTPASSWD_USER_MAX)
        bad = "has to have 1 to 255 bytes";
    else if (memchr(user.p, ':', user.n))
        bad = "cannot have a colon";
    else if (user.p[0] == '#' || user.p[0] == ' ' || user.p[user.n - 1] == ' ')
        bad = "cannot begin with # or a blank, nor end with one";
    for (size_t i = 0; !bad && i < user.n; i++)
        if ((unsigned char)user.p[i] < 0x20 || user.p[i] == 0x7f)
            bad = "cannot have control characters";
    return bad ? error_detail(err, ERR_BAD_REQUEST, "the name of a user %s", bad) : 0;
}

static int edit_open(struct edit *e, const char *path, bool create, struct error *err)
{
    buf_init(&e->old, HTPASSWD_BYTES_MAX);
    buf_init(&e->new, HTPASSWD_BYTES_MAX);
    e->dir_fd = -1;
    e->path = realpath(path, NULL);
    if (!e->path && (errno != ENOENT || !create))
        return error_sys(err, errno, "open %s", path);
    if (!e->path)
        e->path = xstrdup(path);
    const char *slash = strrchr(e->path, '/');
    e->dir = slash ? xstrndup(e->path, (size_t)(slash - e->path) + 1) : xstrdup("./");
    e->dir_fd = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (e->dir_fd < 0 || flock(e->dir_fd, LOCK_EX))
        return error_sys(err, errno, "open the directory %s", e->dir);
    /* Only now that nobody else changes it. */
    CLEANUP_CLOSE int fd = open(e->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && create ? 0 : error_sys(err, errno, "open %s", path);
    if (fstat(fd, &e->st))
        return error_sys(err, errno, "stat %s", path);
    e->exists = true;
    return file_read(fd, path, HTPASSWD_BYTES_MAX, &e->old, err);
}

static void edit_release(struct edit *e)
{
    free(e->path);
    free(e->dir);
    if (e->dir_fd >= 0)
        (void)close(e->dir_fd); /* and the lock with it */
    buf_release(&e->old);
    buf_release(&e->new);
}

static bool is_line_of(struct slice line, struct slice user)
{
    struct slice name = slice_trim(line);
    if (name.n && name.p[0] == '#')
        return false;
    struct slice rest = name;
    name = slice_cut(&rest, ':');
    return rest.p && slice_eq(name, user);
}

/* The new text: the user's first line replaced, his others dropped; whether there was one. */
static bool rewrite(struct edit *e, struct slice user, const char *hash)
{
    bool found = false;
    struct slice rest = buf_view(&e->old);
    while (rest.n) {
        struct slice line = slice_cut(&rest, '\n');
        bool his = is_line_of(line, user);
        if (!his)
            buf_printf(&e->new, "%.*s\n", SLICE_ARG(line));
        else if (!found && hash)
            buf_printf(&e->new, "%.*s:%s\n", SLICE_ARG(user), hash);
        found = found || his;
    }
    if (!found && hash)
        buf_printf(&e->new, "%.*s:%s\n", SLICE_ARG(user), hash);
    return found;
}

static int write_all(int fd, struct slice text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text = slice_from(text, (size_t)n);
    }
    return 0;
}

/* Whoever reads the file has to be able to read the new one. */
static int keep_owner(const struct edit *e, int fd)
{
    if (!e->exists)
        return fchmod(fd, 0600);
    if ((e->st.st_uid != geteuid() || e->st.st_gid != getegid()) &&
        fchown(fd, e->st.st_uid, e->st.st_gid))
        return -1;
    return fchmod(fd, e->st.st_mode & 07777);
}

static int edit_commit(struct edit *e, struct error *err)
{
    if (e->new.failed)
        return error_detail(err, ERR_BAD_REQUEST, "%s would be larger than %d bytes", e->path,
                            HTPASSWD_BYTES_MAX);
    char *temporary = NULL;
    CHECK(asprintf(&temporary, "%s.XXXXXX", e->path) > 0);
    CLEANUP_CLOSE int fd = mkostemp(temporary, O_CLOEXEC);
    int failed = 0;
    if (fd < 0 || keep_owner(e, fd) || write_all(fd, buf_view(&e->new)) || fsync(fd) ||
        rename(temporary, e->path) || fsync(e->dir_fd)) {
        failed = error_sys(err, errno, "write %s", e->path);
        if (fd >= 0)
            (void)unlink(temporary);
    }
    free(temporary);
    return failed;
}

int htpasswd_update(const char *path, struct slice user, struct slice password, unsigned cost,
                    bool create, struct error *err)
{
    char hash[64];
    bool removing = !password.p;
    if (check_user(user, err) || (!removing && password_hash(password, cost, hash, err)))
        return -1;
    struct edit e = {0};
    int failed = edit_open(&e, path, create && !removing, err);
    if (!failed && !rewrite(&e, user, removing ? NULL : hash) && removing)
        failed = error_detail(err, ERR_BAD_REQUEST, "there is no user %.*s in %s", SLICE_ARG(user),
                              path);
    if (!failed)
        failed = edit_commit(&e, err);
    edit_release(&e);
    return failed;
}
