/* SPDX-License-Identifier: Apache-2.0 */
/* What the backends share; not for callers of the store. */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* First member of every backend's stage. */
struct stage {
    struct store *store;
};

enum { STAGE_ID_LEN = 36 };

/* [0-9a-f-]{36}: what may become a file name without a further look. */
bool stage_id_valid(struct slice id);
/* Stops the program unless the digest has the form that digest_parse grants: names are derived from
 * it. */
void store_check_digest(const struct digest *d);
int stage_unknown(struct error *err, struct slice id);

#endif
