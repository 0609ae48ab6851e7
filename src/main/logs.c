/* SPDX-License-Identifier: Apache-2.0 */
#include "main/logs.h"

#include <string.h>
#include <unistd.h>

#include "base/util.h"

#include "base/banned.h"

enum { FIELDS_MAX = 32 };

static enum log_level level_of(const char *name)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"error", LOG_LEVEL_ERROR},
                  {"warn", LOG_LEVEL_WARN},
                  {"info", LOG_LEVEL_INFO},
                  {"debug", LOG_LEVEL_DEBUG}};
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcmp(name, levels[i].name) == 0)
            return levels[i].level;
    return LOG_LEVEL_INFO;
}

/* auto: for people on a terminal, for machines otherwise. */
static enum log_format format_of(const char *name, int fd)
{
    static const struct {
        const char *name;
        enum log_format format;
    } formats[] = {{"text", LOG_FORMAT_TEXT},
                   {"json", LOG_FORMAT_JSON},
                   {"logstash", LOG_FORMAT_LOGSTASH},
                   {"combined", LOG_FORMAT_COMBINED}};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(name, formats[i].name) == 0)
            return formats[i].format;
    return isatty(fd) ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON;
}

void logs_apply(struct logs *l, const struct settings *s)
{
    struct log_field fields[FIELDS_MAX];
    size_t n = MIN(s->log_fields.n, (unsigned)FIELDS_MAX);
    for (size_t i = 0; i < n; i++)
        fields[i] = F_CSTR(s->log_fields.v[i].name, s->log_fields.v[i].value);
    log_set_level(l->app, level_of(s->log_level));
    log_set_format(l->app, format_of(s->log_formatter, STDERR_FILENO));
    log_set_fields(l->app, n, fields);
    log_set_level(l->access, s->accesslog_disabled ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO);
    log_set_format(l->access, format_of(s->accesslog_formatter, STDOUT_FILENO));
    log_set_fields(l->access, n, fields);
}

void logs_init(struct logs *l, const struct settings *s)
{
    l->app = log_new(STDERR_FILENO, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    l->access = log_new(STDOUT_FILENO, LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    logs_apply(l, s);
}

void logs_release(struct logs *l)
{
    log_free(l->access);
    log_free(l->app);
    *l = (struct logs){0};
}
