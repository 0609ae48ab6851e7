/* SPDX-License-Identifier: Apache-2.0 */
#include "main/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"
#include "os/file.h"

#include "base/banned.h"

static int usable(const char *path, struct error *err)
{
    if (os_mkdir_all(path, 0700, "store.setup", err))
        return -1;
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return error_detail(err, ERR_UNKNOWN,
                            "the data directory %s may not be written by this user", path);
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
