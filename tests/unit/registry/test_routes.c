/* SPDX-License-Identifier: Apache-2.0 */
/* The authorisation matrix over the route table: every route and method has the action that this
 * table says, and nothing else is served. A new route without a row here fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "registry/registry.h"

struct cell {
    enum http_method method;
    const char *path;
    enum action action; /* ACTION_NONE: no such route */
};

static const struct cell cells[] = {
    {HTTP_GET, "/v2/", ACTION_PING},
    {HTTP_HEAD, "/v2/", ACTION_PING},
    {HTTP_GET, "/v2", ACTION_PING},
    {HTTP_POST, "/v2/", ACTION_NONE},
    {HTTP_GET, "/v2/_catalog", ACTION_CATALOG},
    {HTTP_PUT, "/v2/_catalog", ACTION_NONE},
    {HTTP_GET, "/v2/a/b/tags/list", ACTION_PULL},
    {HTTP_DELETE, "/v2/a/b/tags/list", ACTION_NONE},
    {HTTP_GET, "/v2/a/manifests/x", ACTION_PULL},
    {HTTP_HEAD, "/v2/a/manifests/x", ACTION_PULL},
    {HTTP_PUT, "/v2/a/manifests/x", ACTION_PUSH},
    {HTTP_DELETE, "/v2/a/manifests/x", ACTION_DELETE},
    {HTTP_POST, "/v2/a/manifests/x", ACTION_NONE},
    {HTTP_PATCH, "/v2/a/manifests/x", ACTION_NONE},
    {HTTP_GET, "/v2/a/referrers/x", ACTION_PULL},
    {HTTP_PUT, "/v2/a/referrers/x", ACTION_NONE},
    {HTTP_GET, "/v2/a/blobs/x", ACTION_PULL},
    {HTTP_HEAD, "/v2/a/blobs/x", ACTION_PULL},
    {HTTP_DELETE, "/v2/a/blobs/x", ACTION_DELETE},
    {HTTP_PUT, "/v2/a/blobs/x", ACTION_NONE},
    {HTTP_POST, "/v2/a/blobs/uploads/", ACTION_PUSH},
    {HTTP_POST, "/v2/a/blobs/uploads", ACTION_PUSH},
    {HTTP_GET, "/v2/a/blobs/uploads/u", ACTION_PUSH},
    {HTTP_PATCH, "/v2/a/blobs/uploads/u", ACTION_PUSH},
    {HTTP_PUT, "/v2/a/blobs/uploads/u", ACTION_PUSH},
    {HTTP_DELETE, "/v2/a/blobs/uploads/u", ACTION_PUSH},
    {HTTP_POST, "/v2/a/blobs/uploads/u", ACTION_NONE},
    {HTTP_GET, "/livez", ACTION_HEALTH},
    {HTTP_GET, "/readyz", ACTION_HEALTH},
    {HTTP_GET, "/metrics", ACTION_NONE},
    {HTTP_GET, "/startupz", ACTION_NONE},
    {HTTP_GET, "/", ACTION_HEALTH},
    {HTTP_POST, "/", ACTION_NONE},
    {HTTP_GET, "/debug/health", ACTION_NONE},
    {HTTP_GET, "/v2/a", ACTION_NONE},
};

static const struct cell debug_cells[] = {
    {HTTP_GET, "/livez", ACTION_HEALTH},
    {HTTP_GET, "/readyz", ACTION_HEALTH},
    {HTTP_GET, "/startupz", ACTION_HEALTH},
    {HTTP_GET, "/metrics", ACTION_METRICS},
    {HTTP_GET, "/debug/health", ACTION_HEALTH},
    {HTTP_HEAD, "/debug/health", ACTION_HEALTH},
    {HTTP_POST, "/debug/health", ACTION_NONE},
    {HTTP_GET, "/debug/vars", ACTION_NONE},
    {HTTP_GET, "/debug/pprof", ACTION_NONE},
    {HTTP_GET, "/debug/pprof/heap", ACTION_NONE},
    {HTTP_GET, "/v2/", ACTION_NONE},
    {HTTP_GET, "/", ACTION_NONE},
};

static void check_cells(const struct route *routes, unsigned n, const struct cell *cell,
                        size_t n_cells)
{
    unsigned hits[64] = {0};
    assert_true(n <= 64);
    for (size_t i = 0; i < n_cells; i++) {
        struct route_match m = {0};
        route_match(routes, n, cell[i].method, slice_cstr(cell[i].path), &m);
        if (cell[i].action == ACTION_NONE) {
            assert_null(m.route);
            continue;
        }
        if (!m.route)
            fail_msg("no route for %s", cell[i].path);
        assert_int_equal(m.route->action, cell[i].action);
        hits[m.route - routes]++;
    }
    for (unsigned i = 0; i < n; i++)
        if (hits[i] == 0)
            fail_msg("route %s (%s) has no cell in this matrix", routes[i].name, routes[i].pattern);
}

static void test_cells(void **state)
{
    (void)state;
    unsigned n;
    const struct route *routes = registry_routes(&n);
    check_cells(routes, n, cells, ARRAY_LEN(cells));
    routes = registry_debug_routes(&n);
    check_cells(routes, n, debug_cells, ARRAY_LEN(debug_cells));
}

/* Whatever writes or deletes is not allowed by an action that only reads. */
static void test_methods_fit_actions(void **state)
{
    (void)state;
    unsigned n;
    const struct route *routes = registry_routes(&n);
    for (unsigned i = 0; i < n; i++) {
        bool writes = routes[i].method != HTTP_GET;
        bool upload = strstr(routes[i].pattern, "/blobs/uploads/") != NULL;
        if (writes)
            assert_true(routes[i].action == ACTION_PUSH || routes[i].action == ACTION_DELETE);
        if (routes[i].method == HTTP_DELETE)
            assert_int_equal(routes[i].action, upload ? ACTION_PUSH : ACTION_DELETE);
        if (routes[i].body == BODY_MEMORY)
            assert_true(routes[i].body_max > 0);
        if (routes[i].pool == POOL_LOOP)
            assert_true(routes[i].action == ACTION_PING || routes[i].action == ACTION_HEALTH);
    }
    routes = registry_debug_routes(&n);
    for (unsigned i = 0; i < n; i++)
        assert_true(routes[i].action == ACTION_HEALTH || routes[i].action == ACTION_METRICS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_methods_fit_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
