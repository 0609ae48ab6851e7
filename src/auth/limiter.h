/* SPDX-License-Identifier: Apache-2.0 */
/* How many logins that cost bcrypt somebody may fail: LIMITER_BURST for each address and for each
 * user, worked off by one a second. One that is under way counts as failed for its user; for its
 * address only above LIMITER_FLIGHTS of both together, since everybody behind a proxy may come at
 * once. One that nobody tells the end of is forgotten at the same rate. Bounded; never blocks; any
 * thread. Time is in seconds and the caller's. */
#ifndef AUTH_LIMITER_H
#define AUTH_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/secret.h"

enum { LIMITER_BURST = 20, LIMITER_FLIGHTS = 3 * LIMITER_BURST };

struct limiter;

/* Room for sets * 8 buckets of each kind. A full set forgets the one with the least in it. */
struct limiter *limiter_new(unsigned sets);
void limiter_free(struct limiter *l);
/* Takes a try, before the password is looked at. Refused when the address has none left; also when
 * the user has none left, unless the address did not fail of late and has nothing under way:
 * whoever attacks a user locks out himself, and not the user at another address. */
bool limiter_admit(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s);
/* What came of it: the password was right, and both get the try back; or wrong. */
void limiter_forgive(struct limiter *l, const struct mac *address, const struct mac *user,
                     int64_t now_s);
void limiter_blame(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s);

#endif
