/* SPDX-License-Identifier: Apache-2.0 */
/* The route table. A row is all that there is to say of a route: add a file with a handler, and a
 * row. */
#include "base/util.h"
#include "registry/registry_int.h"

#include "base/banned.h"

/* The names are the handler labels of CNCF distribution's metrics. */
static const struct route routes[] = {
    {"root", HTTP_GET, "/", ACTION_HEALTH, BODY_NONE, 0, POOL_LOOP, root_get, NULL},
    {"base", HTTP_GET, "/v2/", ACTION_PING, BODY_NONE, 0, POOL_LOOP, base_get, NULL},
    {"catalog", HTTP_GET, "/v2/_catalog", ACTION_CATALOG, BODY_NONE, 0, POOL_DB, catalog_get, NULL},
    {"tags", HTTP_GET, "/v2/<name>/tags/list", ACTION_PULL, BODY_NONE, 0, POOL_DB, tags_get, NULL},
    {"manifest", HTTP_GET, "/v2/<name>/manifests/<reference>", ACTION_PULL, BODY_NONE, 0, POOL_DB,
     manifest_get, manifest_fast},
    {"manifest", HTTP_PUT, "/v2/<name>/manifests/<reference>", ACTION_PUSH, BODY_MEMORY,
     MANIFEST_SIZE_MAX, POOL_WRITE, manifest_put, NULL},
    {"manifest", HTTP_DELETE, "/v2/<name>/manifests/<reference>", ACTION_DELETE, BODY_NONE, 0,
     POOL_WRITE, manifest_delete, NULL},
    {"referrers", HTTP_GET, "/v2/<name>/referrers/<digest>", ACTION_PULL, BODY_NONE, 0, POOL_DB,
     referrers_get, NULL},
    {"blob_upload", HTTP_POST, "/v2/<name>/blobs/uploads/", ACTION_PUSH, BODY_STREAM, 0, POOL_WRITE,
     upload_start, NULL},
    {"blob_upload_chunk", HTTP_GET, "/v2/<name>/blobs/uploads/<uuid>", ACTION_PUSH, BODY_NONE, 0,
     POOL_DB, upload_status, NULL},
    {"blob_upload_chunk", HTTP_PATCH, "/v2/<name>/blobs/uploads/<uuid>", ACTION_PUSH, BODY_STREAM,
     0, POOL_DB, upload_patch, NULL},
    {"blob_upload_chunk", HTTP_PUT, "/v2/<name>/blobs/uploads/<uuid>", ACTION_PUSH, BODY_STREAM, 0,
     POOL_DB, upload_put, NULL},
    {"blob_upload_chunk", HTTP_DELETE, "/v2/<name>/blobs/uploads/<uuid>", ACTION_PUSH, BODY_NONE, 0,
     POOL_WRITE, upload_cancel, NULL},
    {"blob", HTTP_GET, "/v2/<name>/blobs/<digest>", ACTION_PULL, BODY_NONE, 0, POOL_DB, blob_get,
     NULL},
    {"blob", HTTP_DELETE, "/v2/<name>/blobs/<digest>", ACTION_DELETE, BODY_NONE, 0, POOL_WRITE,
     blob_delete, NULL},
    {"health", HTTP_GET, "/livez", ACTION_HEALTH, BODY_NONE, 0, POOL_LOOP, health_live, NULL},
    {"health", HTTP_GET, "/readyz", ACTION_HEALTH, BODY_NONE, 0, POOL_DB, health_ready, NULL},
};

static const struct route debug_routes[] = {
    {"health", HTTP_GET, "/livez", ACTION_HEALTH, BODY_NONE, 0, POOL_LOOP, health_live, NULL},
    {"health", HTTP_GET, "/readyz", ACTION_HEALTH, BODY_NONE, 0, POOL_DB, health_ready, NULL},
    {"health", HTTP_GET, "/startupz", ACTION_HEALTH, BODY_NONE, 0, POOL_LOOP, health_startup, NULL},
    {"health", HTTP_GET, "/debug/health", ACTION_HEALTH, BODY_NONE, 0, POOL_LOOP, health_checks,
     NULL},
    {"metrics", HTTP_GET, "/metrics", ACTION_METRICS, BODY_NONE, 0, POOL_JOBS, metrics_get, NULL},
};

static void check_rows(const struct route *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(rows[i].action > ACTION_NONE && rows[i].action < ACTION_COUNT && rows[i].handler);
}

const struct route *registry_routes(unsigned *n)
{
    check_rows(routes, ARRAY_LEN(routes));
    *n = ARRAY_LEN(routes);
    return routes;
}

const struct route *registry_debug_routes(unsigned *n)
{
    check_rows(debug_routes, ARRAY_LEN(debug_routes));
    *n = ARRAY_LEN(debug_routes);
    return debug_routes;
}
