/* SPDX-License-Identifier: Apache-2.0 */
/* The option table: every setting once, with its type, default, unit, whether a reload can change
 * it, and its documentation. The configuration file, the environment, the command line, `berth help
 * serve` and docs/options.md are all made from it. */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum option_type {
    OPTION_STRING,
    OPTION_BOOL,     /* true, false */
    OPTION_COUNT,    /* 0 .. 2^31-1 */
    OPTION_SIZE,     /* bytes; KiB, MiB, GiB may follow */
    OPTION_DURATION, /* Go's form: 10s, 1h30m, 250ms. Kept in milliseconds */
    OPTION_CHOICE    /* one of the words in `unit`, separated by | */
};

enum option_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_FLAG };

struct settings {
    char *http_addr;
    char *debug_addr;
    char *root_directory;
    bool delete_enabled;
    bool read_only;
    bool purge_enabled;
    uint64_t purge_age_ms;
    uint64_t purge_interval_ms;
    char *log_level;
    char *log_format;
    bool accesslog_disabled;
    uint64_t loops;
    uint64_t db_workers;
    uint64_t io_workers;
    uint64_t drain_timeout_ms;
    uint64_t connections_max;
    uint64_t connections_per_ip;
    uint64_t head_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t stall_timeout_ms;
    uint64_t catalog_max;
    uint64_t tags_max;
    uint64_t cache_bytes;
    enum option_origin origin[64]; /* by row of the table */
};

struct option {
    const char *name; /* dotted path, as in the configuration file: "http.addr" */
    enum option_type type;
    const char *def;  /* as text */
    const char *unit; /* "bytes", "loops", or the choices; NULL for none */
    bool reloadable;
    const char *doc; /* one or two sentences */
    size_t offset;   /* in struct settings */
    uint64_t min;    /* of a number, in its smallest unit */
};

const struct option *options_table(size_t *n);
const struct option *option_find(struct slice name);
/* All defaults. settings_release() frees the strings. */
void settings_init(struct settings *s);
void settings_release(struct settings *s);
/* 0, or -1 with a detail that names the option, the value and what it takes; *s is then unchanged.
 */
int settings_set(struct settings *s, const struct option *o, struct slice value,
                 enum option_origin origin, struct error *err);
/* Settings of registry's that this version does not have and that must not be ignored: somebody who
 * asks for a login, for TLS or for another storage would get an open registry, or one that keeps
 * its data elsewhere. `name` is a dotted path in lower case. -1 with a detail for these; 0 for
 * everything else. */
int settings_refuse(struct slice name, struct error *err);
/* REGISTRY_HTTP_ADDR and so on: the name in upper case, dots as underscores. */
int settings_environment(struct settings *s, char *const *environ_, struct error *err);
/* A YAML file with the same names nested. Keys that are not in the table are reported to warn(arg,
 * line, key). */
int settings_file(struct settings *s, const char *path,
                  void (*warn)(void *arg, unsigned line, const char *key), void *arg,
                  struct error *err);
/* The reference page in Markdown. */
void options_markdown(struct buf *out);
/* For `berth help serve`. */
void options_text(struct buf *out);

#endif
