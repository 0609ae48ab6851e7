/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/util.h"

#include "base/banned.h"

enum { LINE_MAX_BYTES = 16 * 1024 };

struct log {
    int fd;
    enum log_format format;
    enum log_level level;
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct log *log_new(int fd, enum log_format format, enum log_level level)
{
    struct log *log = xcalloc(1, sizeof *log);
    *log = (struct log){fd, format, level};
    return log;
}

void log_free(struct log *log)
{
    free(log);
}

bool log_enabled(const struct log *log, enum log_level level)
{
    return log && level <= log->level;
}

static void logfmt_value(struct buf *b, struct slice s)
{
    bool plain = s.n > 0;
    for (size_t i = 0; i < s.n && plain; i++) {
        unsigned char c = (unsigned char)s.p[i];
        plain = c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    }
    if (plain)
        buf_slice(b, s);
    else
        jw_quote(b, s);
}

static void timestamp(char out[40])
{
    struct timespec ts = {0};
    struct tm tm = {0};
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    (void)gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned ms = (unsigned)(ts.tv_nsec / 1000000);
    out[n++] = '.';
    out[n++] = (char)('0' + ms / 100);
    out[n++] = (char)('0' + ms / 10 % 10);
    out[n++] = (char)('0' + ms % 10);
    out[n++] = 'Z';
    out[n] = '\0';
}

static void json_line(struct buf *b, const char *when, enum log_level level, const char *msg,
                      size_t n, const struct log_field *fields, size_t clip)
{
    struct json_writer w;
    jw_init(&w, b);
    jw_object(&w);
    jw_key(&w, "time");
    jw_cstr(&w, when);
    jw_key(&w, "level");
    jw_cstr(&w, level_names[level]);
    jw_key(&w, "msg");
    jw_string(&w, slice_first(slice_cstr(msg), clip));
    for (size_t i = 0; i < n; i++) {
        if (fields[i].type == LOG_FIELD_END)
            continue;
        jw_key(&w, fields[i].key);
        if (fields[i].type == LOG_FIELD_INT)
            jw_int(&w, fields[i].i);
        else
            jw_string(&w, slice_first(fields[i].s, clip));
    }
    jw_object_end(&w);
}

static void logfmt_line(struct buf *b, const char *when, enum log_level level, const char *msg,
                        size_t n, const struct log_field *fields, size_t clip)
{
    buf_printf(b, "time=%s level=%s msg=", when, level_names[level]);
    logfmt_value(b, slice_first(slice_cstr(msg), clip));
    for (size_t i = 0; i < n; i++) {
        if (fields[i].type == LOG_FIELD_END)
            continue;
        buf_printf(b, " %s=", fields[i].key);
        if (fields[i].type == LOG_FIELD_INT)
            buf_printf(b, "%" PRId64, fields[i].i);
        else
            logfmt_value(b, slice_first(fields[i].s, clip));
    }
}

void log_write(struct log *log, enum log_level level, const char *msg, size_t n,
               const struct log_field *fields)
{
    if (!log_enabled(log, level))
        return;
    CLEANUP_BUF struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    char when[40];
    timestamp(when);
    void (*line)(struct buf *, const char *, enum log_level, const char *, size_t,
                 const struct log_field *, size_t) =
        log->format == LOG_FORMAT_JSON ? json_line : logfmt_line;
    line(&b, when, level, msg, n, fields, SIZE_MAX);
    buf_putc(&b, '\n');
    if (b.failed) {
        /* Somebody sent something long. The line matters more than its longest values: it may be
         * the only trace of the request. An escaped byte takes six, keys and time take the rest. */
        buf_clear(&b);
        line(&b, when, level, msg, n, fields, LINE_MAX_BYTES / (8 * (n + 2)));
        buf_putc(&b, '\n');
    }
    if (b.failed)
        return;
    /* A log that cannot be written must not stop the service. */
    ssize_t written = write(log->fd, b.p, b.n);
    (void)written;
}

void log_error(struct log *log, enum log_level level, const char *msg, const struct error *err)
{
    LOG(log, level, msg, F_CSTR("error", err->message), F_CSTR("code", error_info(err->code)->code),
        F_INT("errno", err->sys));
}
