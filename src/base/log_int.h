/* SPDX-License-Identifier: Apache-2.0 */
/* Between log.c (who writes when) and log_line.c (what a line looks like). */
#ifndef BASE_LOG_INT_H
#define BASE_LOG_INT_H

#include <stdatomic.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"

/* What every line gets; immutable, reference counted. */
struct log_common {
    atomic_uint refs;
    size_t n;
    struct log_field fields[]; /* their text stands behind them */
};
struct log_common *log_common_new(size_t n, const struct log_field *fields);
void log_common_unref(struct log_common *c); /* NULL is fine */

struct log_line {
    struct timespec when;
    enum log_level level;
    const char *msg;
    size_t n;
    const struct log_field *fields;
    const struct log_common *common; /* or NULL */
    size_t clip;                     /* no value is longer */
};

/* With its end of line, instead of what is in b. A line that does not fit is made again with
 * shorter values, and then without the common fields. */
void log_line_make(struct buf *b, enum log_format format, struct log_line *line);

#endif
