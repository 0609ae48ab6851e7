/* SPDX-License-Identifier: Apache-2.0 */
#include "os/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/util.h"
#include "os/fault.h"

#include "base/banned.h"

/* Zero outside tests.
 * lint: globals: time belongs to the process, and so does shifting it */
static _Atomic int64_t wall_shift;

static uint64_t read_ns(clockid_t clock)
{
    struct timespec ts;
    int r = clock_gettime(clock, &ts);
    CHECK(r == 0);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int64_t os_wall_ms(void)
{
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000u) +
           atomic_load_explicit(&wall_shift, memory_order_relaxed);
}

uint64_t os_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t os_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t os_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void os_wall_shift(int64_t ms)
{
    atomic_store_explicit(&wall_shift, ms, memory_order_relaxed);
}

void os_random(void *p, size_t n)
{
    unsigned char *at = p;
    while (n > 0) {
        int fault = fault_point("loop.random");
        if (fault)
            errno = fault;
        ssize_t got = fault ? -1 : getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        /* Ids and secrets made of anything less would be worse than not running. */
        CHECK(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

/* Broken-down UTC, rounded down to seconds, held within years 0 to 9999: the formats below have
 * four digits. */
static struct tm utc(int64_t wall_ms)
{
    const int64_t year0 = -62167219200, year9999 = 253402300799;
    int64_t s = wall_ms / 1000 - (wall_ms % 1000 < 0);
    time_t t = (time_t)MIN(MAX(s, year0), year9999);
    struct tm tm;
    struct tm *ok = gmtime_r(&t, &tm);
    CHECK(ok);
    return tm;
}

static char *digits(char *at, int v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        at[i] = (char)('0' + v % 10);
    return at + n;
}

static char *text(char *at, const char *s)
{
    size_t n = strlen(s);
    memcpy(at, s, n);
    return at + n;
}

/* Both are on the path of every answer: by hand, because strftime asks for the locale. */
void os_rfc3339(int64_t wall_ms, char out[21])
{
    struct tm tm = utc(wall_ms);
    char *at = digits(out, tm.tm_year + 1900, 4);
    at = digits(text(at, "-"), tm.tm_mon + 1, 2);
    at = digits(text(at, "-"), tm.tm_mday, 2);
    at = digits(text(at, "T"), tm.tm_hour, 2);
    at = digits(text(at, ":"), tm.tm_min, 2);
    at = digits(text(at, ":"), tm.tm_sec, 2);
    at = text(at, "Z");
    *at = '\0';
}

void os_http_date(int64_t wall_ms, char out[30])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = utc(wall_ms);
    char *at = text(out, days[tm.tm_wday]);
    at = digits(text(at, ", "), tm.tm_mday, 2);
    at = text(text(at, " "), months[tm.tm_mon]);
    at = digits(text(at, " "), tm.tm_year + 1900, 4);
    at = digits(text(at, " "), tm.tm_hour, 2);
    at = digits(text(at, ":"), tm.tm_min, 2);
    at = digits(text(at, ":"), tm.tm_sec, 2);
    at = text(at, " GMT");
    *at = '\0';
}
