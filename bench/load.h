/* SPDX-License-Identifier: Apache-2.0 */
/* What the modes of the load generator share: options, the run, and the JSON line at its end. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>

#include "client.h"

struct load_options {
    struct client_options client;
    char host[64]; /* HOST:PORT, for the Host field */
    bool head;     /* HEAD instead of GET */
    bool verify;   /* hash the bodies */
    bool follow;   /* an operation reads all pages of a listing */
    const char *accept;
    const char *paths;
    const char *repo;
    const char *style;
    const char *template;
    const char *media_type;
    const char *tag;
    const char *digests; /* file that the pushed digests are written to */
    uint64_t size;
    uint64_t chunk;
    uint64_t tags;
    int cpu;        /* of the child of `start`; -1: any */
    char **command; /* what follows "--" */
};

/* One file per mode. Each prints one line of JSON and returns 0, or -1 with *err. */
int mode_get(const struct load_options *o, struct error *err);
int mode_push(const struct load_options *o, struct error *err);
int mode_manifest(const struct load_options *o, struct error *err);
int mode_start(const struct load_options *o, struct error *err);
int mode_probe(const struct load_options *o, struct error *err);

/* Runs the scenario and prints the result; hashed() (may be NULL) tells how many nanoseconds of the
 * run went into hashing. */
int load_run(const struct load_options *o, const struct scenario *s,
             uint64_t (*hashed)(const void *arg), const void *arg, struct error *err);
/* Checks that the answer has the status. 0 or -1. */
int load_expect(const struct response *r, int status, const char *what, struct error *err);
/* The path and query of a URL or of a path, as a request target. */
struct slice load_target(struct slice url);

#endif
