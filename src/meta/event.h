/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what happened to the content, as rows that commit with the change (DESIGN.md I5). Whoever
 * delivers them (jobs/notify.h) has a named cursor; a row is removed when every cursor has passed
 * it and META_EVENTS_KEPT newer ones are there. When nobody listens (no cursor) nothing is written,
 * and what was left is removed. */
#ifndef META_EVENT_H
#define META_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    META_EVENTS_KEPT = 1000,          /* of what everybody has passed the newest stay, so that they
                                         can be looked at and delivered again */
    META_EVENT_REQUEST_MAX = 8192,    /* bytes of `request`; a longer one is left out */
    META_EVENT_REFERENCES_MAX = 65536 /* bytes of `references`, likewise */
};

/* On whose behalf a change is made, and what registry's envelope wants to know of it. Given to the
 * calls that change content; NULL there: no event. Everything is text in UTF-8 and may be empty. */
struct meta_event {
    struct slice action; /* push, pull, mount, delete */
    struct slice repo;
    struct slice digest; /* of the target */
    struct slice media_type;
    uint64_t size; /* bytes; of a mount the backend fills it in */
    struct slice tag;
    struct slice from_repo;  /* mount */
    struct slice references; /* JSON array of descriptors, or empty */
    struct slice url;        /* of the target */
    struct slice request;    /* JSON object {"id","addr","host","method","useragent"} */
    struct slice actor;      /* name */
};

struct meta_event_row {
    int64_t id; /* ascending without gaps, never used again */
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
