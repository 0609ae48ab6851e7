/* SPDX-License-Identifier: Apache-2.0 */
#include "os/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

struct signals {
    struct loop_io io;
    struct loop *loop;
    void (*fn)(void *arg, int sig);
    void *arg;
};

static sigset_t handled(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return set;
}

void signals_block(void)
{
    sigset_t set = handled();
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(r == 0);
    /* A peer that is gone, and a file that outgrows its limit, are answers of the call. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL);
}

void signals_restore(void)
{
    struct sigaction def = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)sigaction(SIGTERM, &def, NULL);
    (void)sigaction(SIGINT, &def, NULL);
    int r = pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    CHECK(r == 0);
}

static void deliver(struct loop_io *io, unsigned ready)
{
    struct signals *s = CONTAINER_OF(io, struct signals, io);
    struct signalfd_siginfo info;
    (void)ready;
    /* One a turn: fn may free s, and the loop comes back while there are more. */
    if (read(io->fd, &info, sizeof info) == (ssize_t)sizeof info)
        s->fn(s->arg, (int)info.ssi_signo);
}

int signals_new(struct loop *l, void (*fn)(void *arg, int sig), void *arg, struct signals **out,
                struct error *err)
{
    sigset_t set = handled();
    CLEANUP_CLOSE int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return error_sys(err, errno, "make a signal descriptor");
    CLEANUP_FREE struct signals *s = xcalloc(1, sizeof *s);
    *s = (struct signals){.io = {.fd = fd, .fn = deliver}, .loop = l, .fn = fn, .arg = arg};
    if (loop_add(l, &s->io, LOOP_READ, err))
        return -1;
    fd = -1;
    *out = STEAL(s);
    return 0;
}

void signals_free(struct signals *s)
{
    if (!s)
        return;
    loop_del(s->loop, &s->io);
    (void)close(s->io.fd);
    free(s);
}

unsigned long os_raise_fd_limit(void)
{
    struct rlimit lim = {0};
    int r = getrlimit(RLIMIT_NOFILE, &lim);
    CHECK(r == 0);
    struct rlimit raised = {lim.rlim_max, lim.rlim_max};
    if (lim.rlim_cur < lim.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        lim = raised;
    return lim.rlim_cur;
}

void os_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* the abstract namespace */
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, len);
}
