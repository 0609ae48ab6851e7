/* SPDX-License-Identifier: Apache-2.0 */
#include "main/process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

static double one(void *arg)
{
    (void)arg;
    return 1;
}

static double cpu_seconds(void *arg)
{
    (void)arg;
    return (double)os_cpu_ns() / 1e9;
}

/* The first numbers of /proc/self/statm are pages: of addresses, and in memory. */
enum { STATM_SIZE, STATM_RESIDENT };

static double memory_bytes(unsigned field)
{
    char text[128];
    CLEANUP_CLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    struct slice rest = slice_make(text, (size_t)n);
    uint64_t pages = 0;
    while (field--)
        (void)slice_cut(&rest, ' ');
    if (parse_u63(slice_cut(&rest, ' '), &pages))
        return 0;
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double resident_bytes(void *arg)
{
    (void)arg;
    return memory_bytes(STATM_RESIDENT);
}

static double virtual_bytes(void *arg)
{
    (void)arg;
    return memory_bytes(STATM_SIZE);
}

static double open_fds(void *arg)
{
    (void)arg;
    DIR *d = opendir("/proc/self/fd");
    double n = 0;
    if (!d)
        return 0;
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n > 3 ? n - 3 : 0; /* without ".", ".." and the directory itself */
}

static double max_fds(void *arg)
{
    (void)arg;
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}

/* The value is bound as the pointer itself: a start time is known once. */
static double start_seconds(void *arg)
{
    return (double)(intptr_t)arg / 1000;
}

void process_metrics_register(struct metrics *m)
{
    metrics_callback(m, "gauge", "berth_build_info", "1, with the version as a label",
                     "version=\"" BERTH_VERSION "\"", one, NULL);
    metrics_callback(m, "counter", "process_cpu_seconds_total",
                     "Total user and system CPU time spent in seconds.", "", cpu_seconds, NULL);
    metrics_callback(m, "gauge", "process_resident_memory_bytes", "Resident memory size in bytes.",
                     "", resident_bytes, NULL);
    metrics_callback(m, "gauge", "process_virtual_memory_bytes", "Virtual memory size in bytes.",
                     "", virtual_bytes, NULL);
    metrics_callback(m, "gauge", "process_open_fds", "Number of open file descriptors.", "",
                     open_fds, NULL);
    metrics_callback(m, "gauge", "process_max_fds", "Maximum number of open file descriptors.", "",
                     max_fds, NULL);
    metrics_callback(m, "gauge", "process_start_time_seconds",
                     "Start time of the process since unix epoch in seconds.", "", start_seconds,
                     (void *)(intptr_t)os_wall_ms());
}
