/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

static const struct error_info infos[ERR_CODE_COUNT] = {
    [ERR_NONE] = {"UNKNOWN", 500, "unknown error"},
#define ERROR_INFO(sym, wire, status, msg) [sym] = {wire, status, msg},
    ERROR_CODES(ERROR_INFO)
#undef ERROR_INFO
};

const struct error_info *error_info(enum error_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? &infos[code] : &infos[ERR_UNKNOWN];
}

void error_clear(struct error *err)
{
    if (err)
        *err = (struct error){0};
}

int error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (!err)
        return -1;
    error_clear(err);
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return -1;
}

int error_detail(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (!err)
        return -1;
    error_clear(err);
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->detail, sizeof err->detail, fmt, ap);
    va_end(ap);
    size_t n = strnlen(err->detail, sizeof err->message - 1);
    memcpy(err->message, err->detail, n);
    err->message[n] = '\0';
    return -1;
}

int error_sys(struct error *err, int sys, const char *fmt, ...)
{
    if (!err)
        return -1;
    error_clear(err);
    err->code = sys == ENOSPC || sys == EDQUOT ? ERR_NO_SPACE
                : sys == EROFS                 ? ERR_READ_ONLY
                                               : ERR_UNKNOWN;
    err->sys = sys;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->message);
    char text[96];
    (void)snprintf(err->message + n, sizeof err->message - n, ": %s",
                   strerrordesc(sys, text, sizeof text));
    return -1;
}
