/* SPDX-License-Identifier: Apache-2.0 */
/* How many logins that cost bcrypt somebody may try: a bucket per address and one per user, each of
 * LIMITER_BURST tries, refilled by one a second. Bounded; never blocks; any thread. Time is in
 * seconds and the caller's. */
#ifndef AUTH_LIMITER_H
#define AUTH_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/secret.h"

enum { LIMITER_BURST = 20 };

struct limiter;

/* Room for sets * 8 buckets of each kind. A full set forgets the fullest bucket. */
struct limiter *limiter_new(unsigned sets);
void limiter_free(struct limiter *l);
/* Takes a try out of both buckets, before the password is looked at. Refused when the address has
 * none left; also when the user has none left, unless the address did not fail of late: whoever
 * attacks a user locks out himself, and not the user at another address. */
bool limiter_admit(struct limiter *l, const struct mac *address, const struct mac *user,
                   int64_t now_s);
/* The password was right: both get the try back. */
void limiter_forgive(struct limiter *l, const struct mac *address, const struct mac *user,
                     int64_t now_s);

#endif
