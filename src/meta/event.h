/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what happened to the content, as rows that commit with the change (DESIGN.md I5). Whoever
 * delivers them (jobs/notify.h) has a named cursor; a row is removed when every cursor has passed
 * it. When nobody listens (no cursor) nothing is written. */
#ifndef META_EVENT_H
#define META_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

/* On whose behalf a change is made, and what registry's envelope wants to know of it. Given to the
 * calls that change content; NULL there: no event. Everything is text in UTF-8 and may be empty. */
struct meta_event {
    struct slice action; /* push, pull, mount, delete */
    struct slice repo;
    struct slice digest; /* of the target */
    struct slice media_type;
    uint64_t size; /* bytes */
    struct slice tag;
    struct slice from_repo;  /* mount */
    struct slice references; /* JSON array of descriptors, or empty */
    struct slice url;        /* of the target */
    struct slice request;    /* JSON object {"id","addr","host","method","useragent"} */
    struct slice actor;      /* name */
};

struct meta_event_row {
    int64_t id; /* ascending, never used again */
    int64_t time_ms;
    char uuid[37];
    struct meta_event event; /* in the arena */
};

struct meta_events {
    struct meta_event_row *list;
    unsigned n;
    bool more;
};

struct meta_cursor {
    struct slice name;
    int64_t position;  /* id of the last event that is done */
    uint64_t backlog;  /* events after it */
    int64_t oldest_ms; /* time of the first of them; 0 for none */
};

#endif
