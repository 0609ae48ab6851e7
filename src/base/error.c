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

/* Each formats into an error of its own first: the arguments may point into *err, which is how
 * callers put words before a message that came from below. */

int error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (!err)
        return -1;
    struct error e = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e.message, sizeof e.message, fmt, ap);
    va_end(ap);
    *err = e;
    return -1;
}

int error_detail(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (!err)
        return -1;
    struct error e = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e.detail, sizeof e.detail, fmt, ap);
    va_end(ap);
    memcpy(e.message, e.detail, strnlen(e.detail, sizeof e.message - 1));
    *err = e;
    return -1;
}

int error_sys(struct error *err, int sys, const char *fmt, ...)
{
    if (!err)
        return -1;
    struct error e = {.sys = sys};
    e.code = sys == ENOSPC || sys == EDQUOT   ? ERR_NO_SPACE
             : sys == EROFS                   ? ERR_READ_ONLY
             : sys == EMFILE || sys == ENFILE ? ERR_UNAVAILABLE
                                              : ERR_UNKNOWN;
    char what[sizeof e.message], why[96];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    strerrordesc(sys, why, sizeof why);
    /* A long path must not push out the reason. */
    int room = (int)(sizeof e.message - sizeof ": " - strlen(why));
    (void)snprintf(e.message, sizeof e.message, "%.*s: %s", room, what, why);
    *err = e;
    return -1;
}
