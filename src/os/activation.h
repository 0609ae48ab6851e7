/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that systemd listens on for us (sd_listen_fds(3)). */
#ifndef OS_ACTIVATION_H
#define OS_ACTIVATION_H

#include "base/error.h"

enum { ACTIVATION_MAX = 32, ACTIVATION_NAME_MAX = 32 };

struct activation {
    unsigned n;
    struct {
        int fd;
        char name[ACTIVATION_NAME_MAX + 1]; /* FileDescriptorName=; "" when there is none */
    } list[ACTIVATION_MAX];
};

/* What was passed to this process, which owns it from now on (close-on-exec is set); n is 0 when
 * nothing was. Takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment: call it
 * once, before there are threads. -1 with a detail when they make no sense. */
int os_activation(struct activation *out, struct error *err);

#endif
