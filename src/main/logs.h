/* SPDX-License-Identifier: Apache-2.0 */
/* The two logs of the server: its own on standard error, requests on standard output. */
#ifndef MAIN_LOGS_H
#define MAIN_LOGS_H

#include "base/log.h"
#include "main/settings.h"

struct logs {
    struct log *app;
    struct log *access; /* silent (level error) while log.accesslog.disabled */
};

void logs_init(struct logs *l, const struct settings *s);
void logs_apply(struct logs *l, const struct settings *s); /* a reload */
void logs_release(struct logs *l);

#endif
