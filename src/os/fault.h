/* SPDX-License-Identifier: Apache-2.0 */
/* Named fault points. In a build with -Dfault=true the environment variable BERTH_FAULTS makes the
 * n-th passage through a point fail or kill the process; otherwise a point costs nothing.
 *
 *   BERTH_FAULTS="POINT=ACTION[@N][+][,POINT=ACTION...]"
 *
 *   ACTION   kill       raise SIGKILL at once
 *            EIO, ENOSPC, EDQUOT, EROFS, EINTR, EMFILE, ENOMEM, EXDEV   fail (EINTR is retried:
 *                       once only)
 *            short      half of the bytes first, the rest in a second call (*.write and *.read)
 *            sleepMS    e.g. sleep100
 *   @N       from the N-th passage on (1 is the first, the default)
 *   +        every time from then on, else once
 *   POINT    a name below, or `*` for every one, each perhaps with `.after` (kill and sleep only)
 *
 * Every operation of os/file.h takes the name of its point and passes two: NAME before the call
 * (can fail) and NAME.after once it has succeeded (kill and sleep only). Points that are no file
 * operation are passed with fault_point(). The list of names is FAULT_POINTS in os/fault_points.h;
 * a test kills at each of them. */
#ifndef OS_FAULT_H
#define OS_FAULT_H

#ifdef BERTH_FAULT
/* 0: go on. >0: fail with this errno. FAULT_SHORT: do half. Does not return on kill. Aborts on a
 * name not in the list. Any thread. */
enum { FAULT_SHORT = -1 };
int fault_check(const char *point, int after);
#else
enum { FAULT_SHORT = -1 };
static inline int fault_check(const char *point, int after)
{
    (void)point;
    (void)after;
    return 0;
}
#endif

/* A point between operations: 0, or an errno to fail with. */
#define fault_point(name) fault_check((name), 0)

/* Parses BERTH_FAULTS (or `spec` when not NULL, for tests; replaces what was set). 0, or -1 when
 * malformed. In a build without faults: 0 for an empty spec, -1 otherwise, so that nobody believes
 * that faults are on. */
int fault_configure(const char *spec);

#endif
