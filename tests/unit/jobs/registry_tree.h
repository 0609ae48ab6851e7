/* SPDX-License-Identifier: Apache-2.0 */
/* A data directory of registry:2 made by hand, and a berth to import it into. All stop the test
 * when something fails. */
#ifndef TESTS_REGISTRY_TREE_H
#define TESTS_REGISTRY_TREE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "jobs/import.h"

enum { TREE_FINDINGS = 64, LARGE = 150 * 1000 };

struct tree_found {
    char kind[24], path[400], text[700];
};

struct tree {
    char base[64];
    char source[96], data[96]; /* the directories */
    char v2[128];              /* in the source */
    struct meta *meta;
    struct store *store;
    struct tree_found found[TREE_FINDINGS];
    unsigned n_found;
    struct import_progress progress; /* the last one */
    unsigned n_progress;
    atomic_bool cancel;
    const char *cancel_at; /* kind of a finding */
    const char *hook_at;   /* kind of a finding: then hook(t), once */
    void (*hook)(struct tree *t);
};

int tree_setup(void **state);
int tree_teardown(void **state);
void tree_open(struct tree *t); /* meta and store */
void tree_close(struct tree *t);
/* The data directory anew. */
void tree_reset(struct tree *t);

/* A file below v2 with its directories. */
void tree_file(struct tree *t, const char *path, const void *p, size_t n);
void tree_text(struct tree *t, const char *path, const char *text);
void tree_rm(struct tree *t, const char *path);
/* "repositories/<repo>/<place>/link" */
void tree_link(struct tree *t, const char *repo, const char *place, const char *text);

struct digest tree_blob(struct tree *t, const void *p, size_t n);
/* n bytes that depend on the seed, as a blob. */
struct digest tree_content(struct tree *t, size_t n, unsigned seed);
void tree_layer(struct tree *t, const char *repo, const struct digest *d);
/* Blob, revision and tags (NULL at the end). */
struct digest tree_manifest(struct tree *t, const char *repo, struct slice body, ...);
void tree_tag(struct tree *t, const char *repo, const char *tag, const struct digest *d);

/* Manifests as text, in a buffer that is used again by the next call. `sizes` are those of the
 * descriptors. media_type NULL: none in the body. */
struct slice image_text(const char *media_type, const struct digest *config, uint64_t config_size,
                        const struct digest *layers, const uint64_t *sizes, unsigned n);
struct slice index_text(const char *media_type, const struct digest *children,
                        const uint64_t *sizes, unsigned n);
/* Config of 100 bytes, a small and a large layer, all linked; a manifest with them and this tag. */
struct digest tree_image(struct tree *t, const char *repo, const char *tag, unsigned seed);

/* Runs an import with these settings into t->meta and t->store (not with dry_run). */
int tree_run(struct tree *t, enum import_verify verify, bool dry_run, unsigned threads,
             struct import_result *out, struct error *err);
/* It goes through. */
struct import_result tree_import(struct tree *t);
const struct tree_found *tree_finding(const struct tree *t, const char *kind, const char *path);
/* All findings as lines, for messages. */
const char *tree_findings(const struct tree *t);

bool has_blob(struct tree *t, const char *repo, const struct digest *d);
bool has_manifest(struct tree *t, const char *repo, const struct digest *d);
/* The digest that the tag leads to; empty when there is no such tag. */
const char *tag_of(struct tree *t, const char *repo, const char *tag);
/* What berth has, as text: repositories, tags, and for each digest that is asked for whether it is
 * there, with the hash of its bytes. */
char *berth_text(struct tree *t);
/* That digest appears in berth_text. */
void tree_watch(const struct digest *d);

#endif
