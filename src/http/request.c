/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#include "base/util.h"
#include "http/field.h"

#include "base/banned.h"

enum step request_next(struct request *r, enum pool_id pool, step_fn fn)
{
    r->next_pool = pool;
    r->next = fn;
    return STEP_NEXT;
}

enum step request_body(struct request *r, const struct sink *sink, enum pool_id pool, step_fn fn)
{
    r->next_pool = pool;
    r->next = fn;
    r->sink = sink;
    return request_has_body(r) ? STEP_BODY : STEP_NEXT;
}

bool request_has_body(const struct request *r)
{
    return r->head->chunked || (r->head->has_length && r->head->length > 0);
}

int64_t request_length(const struct request *r)
{
    if (r->head->chunked)
        return -1;
    return r->head->has_length ? (int64_t)r->head->length : 0;
}

struct slice request_field(const struct request *r, const char *name)
{
    return http_field_get(r->head, name);
}

bool request_query(struct request *r, const char *name, struct slice *out, bool *bad)
{
    bool ignored = false;
    return http_query_get(r->head->query, name, r->arena, out, bad ? bad : &ignored);
}
