/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the configuration: the tree of what was given, the schema that says what it means, and
 * the steps from the one to struct settings:
 *
 *   file, variables, flags -> one tree of nodes, each with its origin  (config_yaml, _env, _flag)
 *   tree + schema -> notes                                             (config_check)
 *   tree + schema -> struct settings, and more notes                   (config_bind*)
 *   settings + tree + schema -> dump, differences                      (config_dump)
 *   schema -> JSON Schema, reference page, commented file, help        (config_docs, _json, _init)
 */
#ifndef MAIN_CONFIG_INT_H
#define MAIN_CONFIG_INT_H

#include "base/arena.h"
#include "base/slice.h"
#include "main/config.h"

/* ---- where a value comes from ---- */

enum origin_kind { FROM_DEFAULT, FROM_FILE, FROM_VARIABLE, FROM_FLAG };

struct origin {
    enum origin_kind kind;
    const char *name;      /* the file's path, the variable, the flag without its dashes */
    unsigned line, column; /* from 1, of a file or of the YAML in a variable */
};

/* ---- the tree ---- */

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node;
struct schema;
struct member {
    char *key; /* of a map; NULL in a list */
    struct origin origin;
    struct node *node;
};

struct node {
    enum node_kind kind;
    bool quoted; /* a scalar that is a string whatever it looks like */
    struct origin origin;
    struct slice text; /* of a scalar; NUL-terminated, without NUL in it */
    struct member *v;
    unsigned n, room;
};

struct node *node_new(struct arena *a, enum node_kind kind, struct origin origin);
struct node *node_scalar(struct arena *a, struct slice text, bool quoted, struct origin origin);
/* Exact key; NULL when it is not there or n is no map. */
struct member *node_member(const struct node *n, struct slice key);
/* ASCII case-insensitive. */
struct member *node_imember(const struct node *n, struct slice key);
struct node *node_get(const struct node *n, const char *key);
/* By dotted path: the node, also a null one; NULL when it is not there. */
struct node *node_find(const struct node *n, const char *path);
/* Replaces, or appends. key is copied. */
struct member *node_put(struct arena *a, struct node *map, struct slice key, struct node *value);
void node_append(struct arena *a, struct node *list, struct node *value);
void node_remove(struct node *map, const char *key);

/* ---- YAML ---- */

enum {
    CONFIG_BYTES_MAX = 1024 * 1024,
    CONFIG_DEPTH_MAX = 16,
    CONFIG_KEYS_MAX = 1024, /* of one map */
    CONFIG_NODES_MAX = 65536
};

struct yaml_problem {
    unsigned line, column; /* from 1 */
    char text[200];
};

/* One document; an empty one is a null node. -1 with *why. Never the text itself in *why, only
 * keys that are there twice. */
int yaml_load(struct arena *a, struct origin origin, struct slice text, struct node **out,
              struct yaml_problem *why);
/* A string as YAML that reads back as it is: plain where it can be, else in double quotes. */
void yaml_quote(struct buf *out, struct slice text);

/* In flow form; secrets as ****** when mask. */
void node_print(const struct schema *row, const struct node *n, bool mask, struct buf *out);

/* ---- the schema ---- */

enum schema_kind {
    K_STRUCT,  /* a Go struct: variables name its fields exactly, in upper case */
    K_PARAMS,  /* an untyped map in registry, with keys that are known all the same */
    K_MAP,     /* any key: "name.*", or anything */
    K_LIST,    /* "name[]" */
    K_TEXTS,   /* list of strings */
    K_HEADERS, /* map of lists of strings */
    K_ANY,
    K_STRING, /* from here on scalars */
    K_BOOL,
    K_COUNT,
    K_SIZE,
    K_DURATION,
    K_CHOICE
};

enum schema_status {
    S_HONOURED,
    S_QUIET,   /* taken without a word: nothing that it could do is missing */
    S_IGNORED, /* a warning says what happens instead */
    S_REFUSED, /* an error */
    S_UNDER    /* in a section that is ignored or refused */
};

enum {
    F_LIVE = 1,     /* a reload changes it */
    F_SECRET = 2,   /* never shown; NAME_FILE names a file that holds it */
    F_CASELESS = 4, /* a choice in any case */
    F_BARE = 8,     /* a string x stands for the map {x: } */
    F_CLOSED = 16,  /* an unknown key is an error: nobody knows what it would do */
    F_HIDDEN = 32,  /* another spelling of something: not in a dump, nor in the commented file */
    F_OURS = 64,    /* not registry's */
    F_U32 = 128,    /* bound to an unsigned, not to a uint64_t */
    F_STATED = 256, /* ignored, and worth a warning also when it is false or 0 */
    F_UNIT = 512,   /* a duration that is not typed in registry: a bare integer is an error */
    F_QUERY = 1024, /* a URL whose query may be a secret */
    F_TRUTH = 2048  /* a switch that is off in registry whatever it is, if not true */
};

struct schema {
    const char *name; /* dotted; "[]" for what is in a list, "*" for what is in a map */
    enum schema_kind kind;
    enum schema_status status;
    const char *def;     /* as text; NULL: none. Ignored: a value that needs no warning */
    const char *unit;    /* or the choices: "a|b" */
    const char *doc;     /* one or two sentences */
    const char *text;    /* of the warning or the error */
    const char *field;   /* Go's name of the field in upper case, where it is not the key's */
    const char *trigger; /* refused only when this key in it is set */
    const char *example; /* YAML in flow form, for the commented file */
    size_t at;           /* 1 + the offset in struct settings (or in the list's element); 0: bound
                            by hand */
    int64_t min, max;    /* 0, 0: 0 to 2^31-1. A duration's minimum is in milliseconds */
    unsigned flags;
    bool live; /* as F_LIVE */
};

bool schema_live(const struct schema *row);
const struct schema *schema_rows(size_t *n);
const struct schema *schema_root(void);
const struct schema *schema_find(const char *name); /* NULL */
/* What a key in a map stands for; NULL when it is unknown. */
const struct schema *schema_child(const struct schema *parent, struct slice key);
/* What an element of a list (or the value of any key of a map) is. */
const struct schema *schema_element(const struct schema *parent);
/* The last component of the name. */
const char *schema_key(const struct schema *row);
/* Is row a direct child of parent, other than through [] or *? */
bool schema_is_child(const struct schema *row, const struct schema *parent);
bool schema_scalar(const struct schema *row);
/* Not in a list or in a map of any keys, so that a flag can name it. */
bool schema_plain(const struct schema *row);
/* REGISTRY_HTTP_ADDR; <N> and <KEY> where an index or a key stands. */
void schema_variable(const struct schema *row, struct buf *out);
int64_t schema_max(const struct schema *row);

/* ---- values ---- */

struct value {
    struct slice text; /* strings and choices; a choice is one of the row's */
    bool yes;
    int64_t number;   /* counts, bytes, milliseconds (rounded up) */
    bool nanoseconds; /* a duration written as a bare integer */
    bool empty;       /* null, or an empty choice: take the default */
};

bool text_is_null(struct slice text);
/* 0, or -1 with what is wrong with it, complete but for the key. n is a scalar or null. */
int value_read(const struct schema *row, const struct node *n, struct value *out, char *why,
               size_t size);
/* Go's time.ParseDuration, without a sign. */
int duration_parse(struct slice s, uint64_t *nanoseconds);
void duration_print(struct buf *out, uint64_t ms);
/* "http.addr", "[::1]:80", ":5000", "unix:/path": 0, or -1 with *why. */
int address_check(struct slice address, const char **why);
/* An absolute http or https URL with a host. */
int url_check(struct slice url, const char **why);
bool text_printable(struct slice s); /* no control characters */
/* A text of somebody's as a message may have it: what has an @ in it, where no key, choice, number
 * or address has one, is a URL or a login in the wrong place, and is not shown at all. */
struct slice text_shown(struct slice text);
/* A text as a dump may have it: without what is before the @ of a URL, and without its query when
 * that may be a secret. What it becomes is a URL again. */
void url_print(struct slice text, bool query, struct buf *out);

/* ---- did you mean ---- */

struct suggestion {
    struct slice word;
    struct slice best; /* empty: nothing is near */
    unsigned distance;
};

void suggest_init(struct suggestion *s, struct slice word);
void suggest_try(struct suggestion *s, struct slice candidate);
unsigned edit_distance(struct slice a, struct slice b, unsigned limit);

/* ---- the configuration ---- */

struct config {
    struct arena *arena;
    struct settings settings;
    struct node *root; /* what was given, merged */
    struct config_note *notes;
    unsigned n_notes, room;
    bool strict;
    bool file; /* there is a file */
    struct error first;
};

void note_add(struct config *c, enum config_severity severity, const struct origin *origin,
              const char *key, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A key or a variable that nobody knows: a warning, or an error when strict. */
void note_unknown(struct config *c, const struct origin *origin, const char *key, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
void origin_print(const struct origin *o, struct buf *out);

/* A file's bytes into the arena. 0 or -1 with err. */
int config_read(struct arena *a, const char *path, size_t max, struct slice *out,
                struct error *err);
/* storage: x and auth: x as maps. */
void config_unbare(struct config *c);
void config_environment(struct config *c, char *const *environment);
void config_flags(struct config *c, char *const *flags, unsigned n);
void config_check(struct config *c);
void config_bind(struct config *c);

/* Where in the tree a variable or a flag has come to: `node` is a map or a list, `row` what it
 * means. */
struct cursor {
    const struct schema *row;
    struct node *node;
};

/* Puts the value under a key of the map, or at an index of the list, that the cursor is at; with
 * value NULL goes there, making it when it is not there. 0, or -1 with a note. */
int cursor_key(struct config *c, struct cursor *at, const struct schema *child, struct slice key,
               struct node *value, struct origin origin);
int cursor_index(struct config *c, struct cursor *at, struct slice index, struct node *value,
                 struct origin origin);

/* Is this key what the configuration in force is about: not of another driver or kind of login? */
bool config_in_force(const struct config *c, const struct schema *row);
/* The value in force of a row that is plain, in flow form; nothing when it has none. */
void value_print(const struct config *c, const struct schema *row, bool mask, struct buf *out);

/* Is this a variable that Kubernetes makes for a service called registry, or registry-something? */
bool variable_is_kubernetes(struct slice name, struct slice value);
/* A key by which variables sort as registry does it, except that indices sort as numbers. */
void variable_sort_key(struct slice name, struct buf *out);

/* ---- binding ---- */

/* Given and not null. */
const struct node *bind_given(const struct config *c, const char *path);
/* The scalars, lists of strings and headers in the section (or list element) `row` that have a
 * place in `base`, from n (NULL: defaults). */
void bind_fields(struct config *c, const struct schema *row, const struct node *n, void *base);
/* The value of a scalar that is bound by hand, `path` from n (NULL: the root). False when it was
 * not given, is empty or is not valid: then *out has the row's default. */
bool bind_value(struct config *c, const char *row, const struct node *n, const char *path,
                struct value *out);
void bind_texts(struct config *c, const struct node *n, struct text_list *out);
/* Of a path, or of the nearest section around it that was given. */
struct origin bind_origin(const struct config *c, const char *path);
char *bind_copy(struct config *c, const char *text);
/* The elements of a list of sections: those that are maps. */
unsigned bind_count(const struct node *list);
void bind_http(struct config *c);
void bind_storage(struct config *c);
void bind_log(struct config *c);
void bind_auth(struct config *c);
void bind_notifications(struct config *c);
void bind_health(struct config *c);
void bind_rules(struct config *c); /* validation, policy, catalog, tags */
/* An error when names or values of headers could not be sent. */
void bind_check_headers(struct config *c, const struct text_pairs *headers, const char *key,
                        struct origin origin);

#endif
