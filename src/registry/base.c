/* SPDX-License-Identifier: Apache-2.0 */
/* end-1: GET /v2/; and GET /, which load balancers ask. */
#include "registry/registry_int.h"

#include "base/banned.h"

enum step base_get(struct request *r)
{
    response_status(r, 200);
    response_bytes(r, MT_JSON, SLICE_LIT("{}"));
    return STEP_DONE;
}

enum step root_get(struct request *r)
{
    struct registry *reg = registry_of(r);
    bool well = !reg->c.hooks.healthy || reg->c.hooks.healthy(reg->c.hooks.arg);
    if (!well) {
        struct error err;
        error_detail(&err, ERR_UNAVAILABLE, "health check failed: please see /debug/health");
        return step_error(r, &err);
    }
    response_status(r, 200);
    response_field(r, "Cache-Control", "no-cache");
    return STEP_DONE;
}
