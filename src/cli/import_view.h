/* SPDX-License-Identifier: Apache-2.0 */
/* What `berth import` shows: findings as they come, a bar or lines for the progress, a table at the
 * end. Calls come one at a time. */
#ifndef CLI_IMPORT_VIEW_H
#define CLI_IMPORT_VIEW_H

#include <stdio.h>

#include "jobs/import.h"

enum { VIEW_KINDS = 24 };

struct import_view {
    FILE *report; /* every finding, or NULL */
    bool json;    /* findings and the result as JSON, one object a line */
    bool full;    /* everything is hashed: the time left depends on bytes */
    bool dry_run;
    bool terminal, bar; /* of standard error; is a bar on it now */
    bool said_copies;
    uint64_t started_ms, said_ms, phase_ms;
    enum import_phase phase;
    struct {
        const char *kind;
        uint64_t n;
    } kinds[VIEW_KINDS];
};

void import_view_init(struct import_view *v, bool json, bool full, bool dry_run, FILE *report);
void import_view_finding(struct import_view *v, const struct import_finding *f);
void import_view_progress(struct import_view *v, const struct import_progress *p);
/* The bar goes. */
void import_view_clear(struct import_view *v);
void import_view_result(struct import_view *v, const struct import_result *r);

#endif
