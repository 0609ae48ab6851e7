/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OS_SIGNALS_H
#define OS_SIGNALS_H

#include "base/error.h"
#include "os/loop.h"

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1 in the calling thread (call it in main before any thread
 * is made, so that all inherit) and ignores SIGPIPE and SIGXFSZ. */
void signals_block(void);

/* SIGTERM and SIGINT end the process again (one that waits already, at once): for the end of main,
 * when nobody reads the descriptor any more. */
void signals_restore(void);

struct signals;
/* Delivers the blocked signals to fn(arg, signal number) on the loop's thread, through a signalfd.
 */
int signals_new(struct loop *l, void (*fn)(void *arg, int sig), void *arg, struct signals **out,
                struct error *err);
void signals_free(struct signals *s);

/* Raises RLIMIT_NOFILE to its hard limit; returns the limit in force. */
unsigned long os_raise_fd_limit(void);
/* sd_notify-style message ("READY=1", "STOPPING=1") when $NOTIFY_SOCKET is set; failures are
 * ignored. */
void os_notify(const char *state);

#endif
