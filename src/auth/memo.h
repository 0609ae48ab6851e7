/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of credentials that came before, under keyed hashes: a bounded table that forgets.
 * Never blocks for longer than a look-up; any thread. Time is in seconds and the caller's; a clock
 * that goes backwards makes entries vanish, never live longer. */
#ifndef AUTH_MEMO_H
#define AUTH_MEMO_H

#include <stdint.h>

#include "auth/secret.h"

struct memo;

/* How the table holds what entries carry; both NULL when they carry nothing. */
struct memo_value {
    void (*ref)(void *value);
    void (*unref)(void *value);
};

/* Room for sets * 8 entries. A full set forgets the entry that would end first. */
struct memo *memo_new(unsigned sets, struct memo_value value);
void memo_free(struct memo *m);
/* The state that was put (not 0), with a reference to what it carries in *value (when not NULL); 0
 * when nothing is known. renew_s not 0: the entry now ends that much after now_s. */
int memo_get(struct memo *m, const struct mac *key, int64_t now_s, int64_t renew_s, void **value);
/* Replaces what is there. Takes a reference of its own to value. */
void memo_put(struct memo *m, const struct mac *key, int state, int64_t now_s, int64_t end_s,
              void *value);

#endif
