/* SPDX-License-Identifier: Apache-2.0 */
#include "os/activation.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

enum { FIRST_FD = 3 };

static int read_number(const char *name, uint64_t *out)
{
    const char *text = getenv(name);
    return text ? parse_u63(slice_cstr(text), out) : -1;
}

static void read_names(struct activation *a)
{
    const char *text = getenv("LISTEN_FDNAMES");
    struct slice rest = slice_cstr(text);
    for (unsigned i = 0; i < a->n && rest.p; i++) {
        struct slice name = slice_first(slice_cut(&rest, ':'), ACTIVATION_NAME_MAX);
        if (name.n)
            memcpy(a->list[i].name, name.p, name.n);
        a->list[i].name[name.n] = '\0';
    }
}

static int take(struct activation *out, struct error *err)
{
    uint64_t pid, n;
    /* The variables may be an ancestor's, who was meant by them. */
    if (read_number("LISTEN_PID", &pid) || pid != (uint64_t)getpid() || !getenv("LISTEN_FDS"))
        return 0;
    if (read_number("LISTEN_FDS", &n) || n > ACTIVATION_MAX)
        return error_detail(err, ERR_BAD_REQUEST,
                            "LISTEN_FDS is \"%.20s\": it takes a number from 0 to %d",
                            getenv("LISTEN_FDS"), ACTIVATION_MAX);
    for (unsigned i = 0; i < n; i++) {
        int fd = FIRST_FD + (int)i;
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC))
            return error_detail(err, ERR_BAD_REQUEST,
                                "LISTEN_FDS is %d, but descriptor %d is not open", (int)n, fd);
        out->list[i].fd = fd;
    }
    out->n = (unsigned)n;
    read_names(out);
    return 0;
}

int os_activation(struct activation *out, struct error *err)
{
    struct activation a = {0};
    int failed = take(&a, err);
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (!failed)
        *out = a;
    return failed;
}
