/* SPDX-License-Identifier: Apache-2.0 */
/* Takes over a data directory of registry:2 or registry:3 (the layout is in docs/import.md): blobs
 * by hard link, reflink or copy; links, manifests and tags into the metadata. The original is only
 * read. Can be repeated: what is there already is left as it is (a tag that differs goes to whoever
 * set it last), and goes on after an interruption. */
#ifndef JOBS_IMPORT_H
#define JOBS_IMPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "meta/meta.h"
#include "store/store.h"

enum import_verify { IMPORT_VERIFY_SIZE, IMPORT_VERIFY_FULL };

/* What was found and could not be used as it is; one call each. kind: "broken-link", "empty-link",
 * "bad-link", "missing-blob", "missing-child", "bad-digest", "bad-size", "bad-manifest", "schema1",
 * "tag-moved", "tag-kept", "unreadable", "upload", "stray" (docs/import.md says what each means).
 * `path` is relative to the directory. Both texts are printable: other bytes are \xNN. */
struct import_finding {
    const char *kind;
    const char *path;
    const char *text;
};

enum import_phase {
    IMPORT_LOOKING,     /* for repositories and links; repositories and tags count what was found */
    IMPORT_CHECKING,    /* sizes and manifests; manifests counts what was looked at */
    IMPORT_BLOBS,       /* totals are known from here on */
    IMPORT_REPOSITORIES /* links, manifests and tags; these count what is done */
};

struct import_progress {
    enum import_phase phase;
    uint64_t blobs_done, blobs_total; /* total 0: not known yet */
    uint64_t bytes_done, bytes_total;
    uint64_t repositories, manifests, tags;
    uint64_t repositories_total, manifests_total;
    uint64_t copies; /* from IMPORT_BLOBS on: bytes that have to be copied, since the files can be
                        neither linked nor cloned into the store */
};

struct import_config {
    const char *directory; /* the rootdirectory of registry: it has docker/registry/v2 in it (or is
                              that directory) */
    enum import_verify verify;
    bool dry_run;
    unsigned threads;  /* 0: two per processor */
    struct meta *meta; /* borrowed; NULL with dry_run */
    struct store *store;
    void (*finding)(void *arg,
                    const struct import_finding *f); /* may be NULL; one call at a time */
    void (*progress)(void *arg,
                     const struct import_progress *p); /* may be NULL; about 4 a second, and never
                                                          beside a call of finding() */
    void *arg;
    const atomic_bool *cancel; /* or NULL */
};

struct import_result {
    uint64_t blobs_linked, blobs_copied, blobs_inline, blobs_present, blobs_bytes;
    uint64_t repositories, manifests, tags, links; /* in the source and usable: new or not */
    uint64_t findings;
    uint64_t unread; /* directories and links that the disk did not give: what they lead to is not
                        known, and missing */
};

/* Does this directory hold a registry's data? Also when it may not be read: an import then says so,
 * while to take it for empty would hide all of it. */
bool import_detect(const char *directory);
/* 0 when it went through (there may be findings), -1 when it could not go on; *out is filled in
 * either case. Nobody else may use meta and store meanwhile: long transactions. */
int import_run(const struct import_config *config, struct import_result *out, struct error *err);

/* What was imported into a data directory is noted in its file adopted.json, so that a start does
 * not do it again (and does not bring back what was deleted since). Was this directory? 1 or 0; -1
 * when there is such a file and it cannot be read or understood. A source that is the data
 * directory itself is known wherever it is moved to. */
int import_adopted(const char *data_directory, const char *directory, struct error *err);
/* Notes it, durable. */
int import_mark(const char *data_directory, const char *directory,
                const struct import_result *result, struct error *err);

#endif
