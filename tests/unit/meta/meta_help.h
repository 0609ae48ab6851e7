/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the tests of src/meta. All stop the test when something fails. */
#ifndef TESTS_META_HELP_H
#define TESTS_META_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/util.h"
#include "meta/meta.h"
#include "os/clock.h"

/* What a backend's setup leaves as the state of a test. */
struct meta_fixture {
    struct meta *m; /* open, and empty at the start of a test */
    /* Opens the same database again, after m was closed. NULL when it cannot. */
    struct meta *(*open)(struct meta_fixture *f);
    struct arena *a; /* for the test */
    char *dir;       /* the backend's own */
    struct metrics *metrics;
};

struct meta *meta_of(void **state);
struct arena *arena_of(void **state);
void reopen(void **state);

#define S(lit) SLICE_LIT(lit)
#define OK(call)                                                         \
    do {                                                                 \
        struct error err = {0};                                          \
        if ((call) != 0)                                                 \
            fail_msg("%s: %s", error_info(err.code)->code, err.message); \
    } while (0)
#define FAILS(want, call)                                                                        \
    do {                                                                                         \
        struct error err = {0};                                                                  \
        assert_int_equal((call), -1);                                                            \
        if (err.code != (want))                                                                  \
            fail_msg("%s instead of %s: %s", error_info(err.code)->code, error_info(want)->code, \
                     err.message);                                                               \
        assert_true(err.message[0] != '\0');                                                     \
    } while (0)

/* The digest of the text "blob <n>", which is also what such a blob holds. */
struct digest blob_digest(unsigned n);
struct slice blob_bytes(struct arena *a, unsigned n);
/* Pushes it into a repository as a small blob. */
void push_blob(struct meta *m, struct slice repo, unsigned n);

/* An image manifest or an index, made by hand: the tests of parsing are in tests/unit/oci. */
struct image {
    struct manifest m;
    struct digest digest;
    struct slice body;
};
/* Body and digest depend on n; no edges yet. */
struct image image_make(struct arena *a, unsigned n, enum hash_alg alg);
void image_edge(struct arena *a, struct image *im, enum edge_kind kind, struct slice digest,
                bool required);
/* With blobs 2n and 2n + 1, which are pushed into the repository. */
struct image image_push(struct meta *m, struct arena *a, struct slice repo, unsigned n,
                        const char *tag);
/* Of `in` for this image; tag may be NULL. The array of tags is in the arena. */
struct meta_manifest_put put_of(struct arena *a, struct slice repo, const struct image *im,
                                const char *tag);
/* Succeeds; true when it was created. */
bool put_image(struct meta *m, struct arena *a, struct slice repo, const struct image *im,
               const char *tag);
struct reference ref_tag(const char *tag);
struct reference ref_digest(const struct digest *d);
/* A condition which holds while the reference points to `want` (NULL: to nothing), and fails with
 * ERR_PRECONDITION otherwise. Remembers what it was asked. */
struct expect_now {
    struct meta_condition condition; /* what a call is given */
    const struct digest *want;
    unsigned calls;
    bool had; /* the last call's `current` was not NULL, but this: */
    struct digest current;
};
struct expect_now *expect_now(struct arena *a, const struct digest *want);
/* The reference leads to this image (bytes and all). */
void assert_is(struct meta *m, struct slice repo, struct reference ref, const struct image *im);
void assert_unknown(struct meta *m, struct slice repo, struct reference ref);
void assert_stats(struct meta *m, uint64_t repositories, uint64_t manifests, uint64_t tags,
                  uint64_t blobs, uint64_t uploads);

#endif
