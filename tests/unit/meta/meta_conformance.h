/* SPDX-License-Identifier: Apache-2.0 */
/* What every backend of meta/meta.h has to pass. A backend's test gives a setup that leaves a
 * struct meta_fixture with an empty, open database as the test's state, and a teardown that closes
 * it, and runs these tests together with its own. */
#ifndef TESTS_META_CONFORMANCE_H
#define TESTS_META_CONFORMANCE_H

#include "meta_help.h"

enum { META_CONFORMANCE_MAX = 96 };

struct meta_suite {
    struct CMUnitTest *out;
    size_t n;
    CMFixtureFunction setup, teardown;
};

/* Appends all tests. */
void meta_conformance_add(struct meta_suite *s);

/* Its parts. */
void meta_conformance_add_one(struct meta_suite *s, const char *name, CMUnitTestFunction fn);
void meta_conformance_uploads(struct meta_suite *s);
void meta_conformance_blobs(struct meta_suite *s);
void meta_conformance_manifests(struct meta_suite *s);
void meta_conformance_lists(struct meta_suite *s);
void meta_conformance_events(struct meta_suite *s);
void meta_conformance_imports(struct meta_suite *s);
void meta_conformance_model(struct meta_suite *s);
void meta_conformance_threads(struct meta_suite *s);

#endif
