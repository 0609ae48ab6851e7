/* SPDX-License-Identifier: Apache-2.0 */
#include "main/directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/util.h"
#include "os/file.h"

#include "base/banned.h"

static const char *if_read_only(int sys)
{
    return sys == EROFS ? ": the file system is read-only here (a systemd unit needs "
                          "ReadWritePaths= with it)"
                        : "";
}

static int usable(const char *path, struct error *err)
{
    if (os_mkdir_all(path, 0700, "store.setup", err))
        return err->sys == EROFS
                   ? error_detail(err, ERR_UNKNOWN, "the data directory %s cannot be made%s", path,
                                  if_read_only(EROFS))
                   : -1;
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return error_detail(err, ERR_UNKNOWN,
                            "the data directory %s may not be written by this user%s", path,
                            if_read_only(errno));
    return 0;
}

int directory_choose(const char *wanted, char **out, struct error *err)
{
    static const char system_wide[] = "/var/lib/berth";
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    CLEANUP_FREE char *path = NULL;
    if (wanted && *wanted) {
        if (usable(wanted, err))
            return -1;
        *out = xstrdup(wanted);
        return 0;
    }
    if (usable(system_wide, err) == 0) {
        *out = xstrdup(system_wide);
        return 0;
    }
    int n = xdg && *xdg == '/' ? asprintf(&path, "%s/berth", xdg)
            : home && *home    ? asprintf(&path, "%s/.local/share/berth", home)
                               : -1;
    if (n < 0) {
        path = NULL;
        return error_detail(err, ERR_UNKNOWN,
                            "no data directory: %s may not be written, and neither XDG_DATA_HOME "
                            "nor HOME is set; name one with "
                            "--storage.filesystem.rootdirectory=DIR",
                            system_wide);
    }
    if (usable(path, err))
        return -1;
    *out = STEAL(path);
    return 0;
}

/* In a container /dev/shm usually has 64 MiB, which one image fills. */
static const uint64_t memory_min = UINT64_C(1) << 30;

static bool is_small(const char *path)
{
    struct statvfs v;
    return statvfs(path, &v) != 0 || (uint64_t)v.f_bavail * v.f_frsize < memory_min;
}

int directory_temporary(char **out, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    const char *const places[] = {"/dev/shm", tmp && *tmp == '/' ? tmp : "/tmp"};
    for (size_t i = is_small(places[0]); i < ARRAY_LEN(places); i++) {
        CLEANUP_FREE char *path = NULL;
        if (asprintf(&path, "%s/berth-XXXXXX", places[i]) < 0) {
            path = NULL;
            return error_set(err, ERR_UNKNOWN, "out of memory");
        }
        if (mkdtemp(path)) {
            *out = STEAL(path);
            return 0;
        }
    }
    return error_sys(err, errno, "make a directory for storage in memory in %s", places[1]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    (void)remove(path);
    return 0;
}

void directory_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
