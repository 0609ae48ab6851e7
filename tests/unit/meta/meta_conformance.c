/* SPDX-License-Identifier: Apache-2.0 */
#include "meta_conformance.h"

#include "base/banned.h"

void meta_conformance_add_one(struct meta_suite *s, const char *name, CMUnitTestFunction fn)
{
    CHECK(s->n < META_CONFORMANCE_MAX);
    s->out[s->n++] = (struct CMUnitTest){
        .name = name, .test_func = fn, .setup_func = s->setup, .teardown_func = s->teardown};
}

void meta_conformance_add(struct meta_suite *s)
{
    meta_conformance_uploads(s);
    meta_conformance_blobs(s);
    meta_conformance_manifests(s);
    meta_conformance_lists(s);
    meta_conformance_events(s);
    meta_conformance_imports(s);
    meta_conformance_model(s);
    meta_conformance_threads(s);
}
