/* SPDX-License-Identifier: Apache-2.0 */
/* Time from exec of a server to its first 200 on /v2/, seen by a client that tries all the time.
 * The server ends with SIGTERM before this returns. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

static const struct timespec pause_50us = {.tv_nsec = 50 * 1000};
static const struct timespec pause_10ms = {.tv_nsec = 10 * 1000 * 1000};

enum { TRY_SECONDS = 20, END_TRIES = 1000 };

__attribute__((noreturn)) static void child(const struct load_options *o)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
    }
    if (o->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)o->cpu, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
    }
    (void)execvp(o->command[0], o->command);
    _exit(127);
}

/* One attempt: 1 when the answer is 200, 0 when there is none yet. */
static int try_once(const struct load_options *o)
{
    struct error ignored;
    CLEANUP_CLOSE int fd = client_connect(&o->client.addr, &ignored);
    if (fd < 0)
        return 0;
    struct timeval limit = {.tv_sec = TRY_SECONDS};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char text[1024];
    int n = snprintf(text, sizeof text, "GET /v2/ HTTP/1.1\r\nHost: %s\r\n\r\n", o->host);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return 0;
    ssize_t got = recv(fd, text, sizeof text, 0);
    return got >= 12 && memcmp(text, "HTTP/1.1 200", 12) == 0;
}

/* Ends the child: politely, then not. */
static void end_child(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    for (int i = 0; i < END_TRIES; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        (void)nanosleep(&pause_10ms, NULL);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

int mode_start(const struct load_options *o, struct error *err)
{
    if (!o->command || !o->command[0])
        return error_set(err, ERR_UNKNOWN, "start needs a command after --");
    if (try_once(o))
        return error_set(err, ERR_UNKNOWN, "something answers on %s already", o->host);
    uint64_t start = client_now();
    pid_t pid = fork();
    if (pid < 0)
        return error_sys(err, errno, "fork");
    if (pid == 0)
        child(o);
    uint64_t now = start;
    bool up = false;
    bool gone = false; /* ended and reaped: its pid is no longer ours to signal */
    while (!up && !gone && now - start < TRY_SECONDS * 1000000000ull) {
        up = try_once(o) > 0;
        now = client_now();
        gone = waitpid(pid, NULL, WNOHANG) == pid;
        if (!up && !gone)
            (void)nanosleep(&pause_50us, NULL);
    }
    if (!gone)
        end_child(pid);
    up = up && !gone;
    if (!up)
        return error_set(err, ERR_UNKNOWN, "%s did not answer", o->command[0]);
    printf("{\"start_ms\":%.3f}\n", (double)(now - start) / 1e6);
    return 0;
}
