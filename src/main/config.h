/* SPDX-License-Identifier: Apache-2.0 */
/* From text to settings. The configuration is registry's config.yml (version 0.1) with keys of our
 * own added; the environment is applied by registry's exact algorithm; flags (--http.addr=...) come
 * last. One schema table says of every key what it is, what it is called in YAML and in the
 * environment, its default, and what berth does with it: the reader, `berth config schema`,
 * `config init`, `config dump`, the man page, completions and docs/options.md are all made from it.
 */
#ifndef MAIN_CONFIG_H
#define MAIN_CONFIG_H

#include "base/buf.h"
#include "base/error.h"
#include "main/settings.h"

enum config_severity { CONFIG_WARNING, CONFIG_ERROR };

/* Something that the administrator should know. */
struct config_note {
    enum config_severity severity;
    char *where; /* "config.yml:12:3", "REGISTRY_HTTP_ADR", "--http.addr" */
    char *key;   /* dotted path; may be empty */
    char *text;  /* what is wrong, what happens instead, "did you mean" */
};

struct config_source {
    const char *file;         /* NULL: none */
    char *const *environment; /* NULL: none */
    char *const *flags;       /* "--name=value", n_flags of them */
    unsigned n_flags;
    bool strict; /* unknown keys and variables are errors */
};

struct config; /* the merged tree with the origin of every value, the notes, and the settings */

/* 0; or -1 when it cannot be used: err->detail has the first error with its position, and *out (if
 * not NULL) is made all the same, with all notes. Free with config_free. */
int config_load(const struct config_source *source, struct config **out, struct error *err);
void config_free(struct config *c); /* NULL is fine */
const struct settings *config_settings(const struct config *c);
const struct config_note *config_notes(const struct config *c, unsigned *n);
/* Was this dotted path given by anybody? */
bool config_given(const struct config *c, const char *key);
/* Where its value comes from, as in a note; nothing when nobody gave it. */
void config_where(const struct config *c, const char *key, struct buf *out);

/* What a reload changes. fn is called for every key whose value differs: reloadable tells whether
 * it takes effect at once; otherwise it waits for a restart. */
void config_diff(const struct config *from, const struct config *to,
                 void (*fn)(void *arg, const char *key, bool reloadable), void *arg);

/* YAML of everything in force; with origins as comments ("# default", "# config.yml:3",
 * "# REGISTRY_HTTP_ADDR", "# flag"). Secrets are "******". */
void config_dump(const struct config *c, bool show_origin, struct buf *out);
void config_schema(struct buf *out);    /* JSON Schema (draft 2020-12) */
void config_init(struct buf *out);      /* a commented config.yml */
void config_markdown(struct buf *out);  /* docs/options.md */
void config_help_text(struct buf *out); /* for `berth help serve` */
/* For man pages and completions: every row of the table but the sections that hold others, in its
 * order. */
struct config_option {
    const char *name;    /* dotted path; "[]" for the elements of a list */
    const char *type;    /* "string", "duration", "list of strings", ... */
    const char *def;     /* as text; "" for none */
    const char *choices; /* "a|b|c" or NULL */
    const char *example; /* YAML: the form of a list or a section; or NULL */
    const char *doc;
    const char *instead; /* what happens, or is to be done, instead; NULL: berth honours it */
    bool refused;        /* berth does not start with it */
    bool flag;           /* --name=value can be recommended */
    bool reloadable;
};
/* The next one from *at, which is 0 for the first. Everything in it is static. */
bool config_option_next(size_t *at, struct config_option *out);

#endif
