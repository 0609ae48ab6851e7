/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log lines: logfmt on a terminal, JSON otherwise. Any thread. Only the edges (main,
 * cli, the HTTP engine, jobs) log; library code returns an error object. Never a secret.
 *
 * Whoever logs never waits for whoever reads: a line goes into a bounded memory (LOG_BYTES), from
 * which a thread of the log's own writes whole lines in their order. What does not fit is dropped
 * and counted, and a line says so where it is missing. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
/* TEXT: registry's text formatter as it writes to a file (time="..." level=info msg="..." k=v).
 * LOGSTASH: {"@timestamp","@version":"1","level","message","type":"berth",...}. COMBINED: for an
 * access log: the line is Apache's combined form, made from fields of these names: peer, principal,
 * method, target, proto, status, bytes, referer, agent; other fields are left out. A line without a
 * method (log_write by somebody else, the report of lost lines) is a TEXT line. */
enum log_format {
    LOG_FORMAT_LOGFMT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_TEXT,
    LOG_FORMAT_LOGSTASH,
    LOG_FORMAT_COMBINED
};

struct log;

enum { LOG_BYTES = 1024 * 1024 }; /* that wait for a slow reader */

enum log_field_type { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_INT };
struct log_field {
    const char *key;
    enum log_field_type type;
    struct slice s;
    int64_t i;
};
#define F_STR(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .s = (v)})
#define F_CSTR(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .s = slice_cstr(v)})
#define F_INT(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .i = (int64_t)(v)})

/* Writes to fd (not closed by log_free). Its thread starts with the first line. */
struct log *log_new(int fd, enum log_format format, enum log_level level);
/* Any thread: for lines from now on (a reload). */
void log_set_level(struct log *log, enum log_level level);
void log_set_format(struct log *log, enum log_format format);
enum log_format log_format_of(const struct log *log); /* any thread */
/* Fields that every line but a combined one gets, behind its own (registry's log.fields); copied.
 * Any thread. One whose key the line has already is left out; one of a name that the formats have
 * themselves is called "fields.<name>", as logrus does. */
void log_set_fields(struct log *log, size_t n, const struct log_field *fields);
/* Nobody logs any more. Waits about a second for what has not been read yet; the rest is lost. A
 * thread that is stuck in a write is left behind with the memory: that is for the end of the
 * process. NULL is fine. */
void log_free(struct log *log);
/* Waits at most max_ms until what was logged so far is written: before the process ends without
 * log_free. NULL is fine. */
void log_flush(struct log *log, unsigned max_ms);
/* Lines that were not written: nobody read, or the descriptor failed. */
uint64_t log_dropped(struct log *log);
bool log_enabled(const struct log *log, enum log_level level);
/* Fields end at n. Written as: time, level, msg, then the fields; a NULL log drops it. */
void log_write(struct log *log, enum log_level level, const char *msg, size_t n,
               const struct log_field *fields);
#define LOG(log, lvl, msg, ...)                                                     \
    log_write((log), (lvl), (msg),                                                  \
              sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field), \
              (struct log_field[]){__VA_ARGS__})
/* msg with the error's message, code and errno as fields. */
void log_error(struct log *log, enum log_level level, const char *msg, const struct error *err);

#endif
