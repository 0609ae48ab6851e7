/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t os_wall_ms(void);
/* Monotonic nanoseconds and milliseconds since an arbitrary start. */
uint64_t os_mono_ns(void);
uint64_t os_mono_ms(void);
/* CPU time of the process in nanoseconds. */
uint64_t os_cpu_ns(void);
/* Shifts os_wall_ms by this many milliseconds (tests only). */
void os_wall_shift(int64_t ms);
/* Fills p with n bytes from the kernel's generator; aborts when there are none. */
void os_random(void *p, size_t n);
/* "2006-01-02T15:04:05Z" for wall-clock milliseconds; out[21]. */
void os_rfc3339(int64_t wall_ms, char out[21]);
/* "Mon, 02 Jan 2006 15:04:05 GMT" (RFC 9110 5.6.7); out[30]. */
void os_http_date(int64_t wall_ms, char out[30]);

#endif
