/* SPDX-License-Identifier: Apache-2.0 */
/* What every backend of store/store.h has to pass. A backend's test gives a setup that leaves an
 * empty `struct store *` as the test's state, and a teardown that closes it, and runs the tests
 * together with its own. */
#ifndef TESTS_STORE_CONFORMANCE_H
#define TESTS_STORE_CONFORMANCE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/store.h"

enum { STORE_CONFORMANCE_MAX = 32 };

/* Appends the tests to out[*n]. */
void store_conformance_add(struct CMUnitTest *out, size_t *n, CMFixtureFunction setup,
                           CMFixtureFunction teardown);

/* Helpers that backend tests use too. All stop the test when something fails. */
#define ID_A "aaaaaaaa-0000-4000-8000-000000000001"
#define ID_B "bbbbbbbb-0000-4000-8000-000000000002"
#define ID_C "cccccccc-0000-4000-8000-000000000003"

/* n bytes that depend on the seed; the caller frees them. */
char *content_make(size_t n, unsigned seed);
/* Stage with these bytes, synced and closed. */
void stage_put(struct store *s, const char *id, const void *p, size_t n);
/* Stage, publish, remove the stage. */
void blob_put(struct store *s, const char *id, const struct digest *d, const void *p, size_t n);
/* The open object has exactly these bytes. */
bool object_is(const struct store_object *o, const void *p, size_t n);
/* The store has the blob with these bytes, by open and by verify. */
void assert_blob(struct store *s, const struct digest *d, const void *p, size_t n);
/* A file for store_adopt(), in a directory of its own. */
struct source {
    char *path; /* of the directory */
    struct store_source source;
};
void source_make(struct source *f, const void *p, size_t n);
void source_remove(struct source *f);
void assert_no_blob(struct store *s, const struct digest *d);
bool stage_exists(struct store *s, const char *id);

#endif
