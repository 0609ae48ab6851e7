/* SPDX-License-Identifier: Apache-2.0 */
/* end-1: GET /v2/ */
#include "registry/registry_int.h"

#include "base/banned.h"

enum step base_get(struct request *r)
{
    response_status(r, 200);
    response_bytes(r, MT_JSON, SLICE_LIT("{}"));
    return STEP_DONE;
}
