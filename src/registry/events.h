/* SPDX-License-Identifier: Apache-2.0 */
/* What requests tell of themselves (meta/event.h). Nothing is made when nobody wants it. */
#ifndef REGISTRY_EVENTS_H
#define REGISTRY_EVENTS_H

#include "registry/registry_int.h"

/* Does anybody want events of this action? Costs next to nothing. Any thread. */
bool event_wanted(const struct request *r, const char *action);
/* An event of this action on the request's repository, in its arena; NULL when nobody wants it. The
 * others take that NULL too, and then do nothing. */
struct meta_event *event_new(struct request *r, const char *action);
/* Its target: a blob, with its URL. */
void event_blob(struct request *r, struct meta_event *e, const struct digest *d, uint64_t size);
/* A manifest, with its URL and, where the configuration asks for them, what `body` refers to (then
 * it is parsed: no work for a loop). `tag` may be empty. */
void event_manifest(struct request *r, struct meta_event *e, const struct digest *d,
                    struct slice media_type, struct slice tag, struct slice body);
/* The change that took the event has been committed. */
void event_changed(const struct request *r, const struct meta_event *e);
/* Tells of a pull; e may be NULL. */
void event_pulled(const struct request *r, const struct meta_event *e);

#endif
