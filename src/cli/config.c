/* SPDX-License-Identifier: Apache-2.0 */
/* berth config: what a configuration says, before anything is started with it. */
#include "main/config.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/command.h"
#include "main/build.h"
#include "registry/validate.h"

#include "base/banned.h"

extern char **environ;

enum { OUTPUT_MAX = 8 * 1024 * 1024 };

struct question {
    struct config_source source;
    bool origins;
};

static int usage(const char *what, const char *arg)
{
    fprintf(stderr, "berth: %s%s; `berth help config` says how it is used\n", what, arg);
    return 2;
}

static int put(struct buf *b)
{
    int failed = b->failed || fwrite(b->p ? b->p : "", 1, b->n, stdout) != b->n || fflush(stdout);
    buf_release(b);
    return failed ? 1 : 0;
}

/* ---- check ---- */

struct tally {
    unsigned errors, warnings;
};

static void say(struct tally *t, enum config_severity severity, const char *where, const char *key,
                const char *text)
{
    bool bad = severity == CONFIG_ERROR;
    printf("%s%s%s: %s%s%s\n", where, *where ? ": " : "", bad ? "error" : "warning", key,
           *key ? ": " : "", text);
    *(bad ? &t->errors : &t->warnings) += 1;
}

static void say_error(struct tally *t, const char *key, const struct error *err)
{
    say(t, CONFIG_ERROR, "", key, err->detail[0] ? err->detail : err->message);
}

/* What takes more than the text: the files that it names, and expressions. */
static void check_deeper(const struct settings *s, struct tally *t)
{
    struct error err = {0};
    struct tls_context *tls = NULL;
    struct validator *v = NULL;
    struct validate_config rules = {
        .urls_allow = (const char *const *)s->urls_allow.v,
        .n_urls_allow = s->urls_allow.n,
        .urls_deny = (const char *const *)s->urls_deny.v,
        .n_urls_deny = s->urls_deny.n,
    };
    if (build_tls(s, &tls, &err))
        say_error(t, "http.tls", &err);
    else if (tls && tls_context_warning(tls))
        say(t, CONFIG_WARNING, "", "http.tls.certificate", tls_context_warning(tls));
    tls_context_unref(tls);
    if (validator_new(&rules, &v, &err))
        say_error(t, "validation.manifests.urls", &err);
    validator_free(v);
    const char *const files[] = {s->auth.root_cert_bundle, s->auth.jwks};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (*files[i] && access(files[i], R_OK))
            say(t, CONFIG_ERROR, "", "auth.token", "a file of keys cannot be read");
}

static int check(const struct question *q)
{
    struct config *c = NULL;
    struct error err = {0};
    struct tally t = {0};
    unsigned n;
    int failed = config_load(&q->source, &c, &err);
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++)
        say(&t, notes[i].severity, notes[i].where, notes[i].key, notes[i].text);
    if (!failed)
        check_deeper(config_settings(c), &t);
    printf("%s: %u error%s, %u warning%s\n", q->source.file ? q->source.file : "the environment",
           t.errors, t.errors == 1 ? "" : "s", t.warnings, t.warnings == 1 ? "" : "s");
    config_free(c);
    return fflush(stdout) || t.errors ? 1 : 0;
}

/* ---- dump ---- */

static int dump(const struct question *q)
{
    struct config *c = NULL;
    struct error err = {0};
    struct buf out;
    if (config_load(&q->source, &c, &err)) {
        fprintf(stderr, "berth: %s\n", err.detail[0] ? err.detail : err.message);
        config_free(c);
        return 1;
    }
    buf_init(&out, OUTPUT_MAX);
    config_dump(c, q->origins, &out);
    config_free(c);
    return put(&out);
}

static int print(void (*make)(struct buf *out))
{
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    make(&out);
    return put(&out);
}

/* ---- the command ---- */

static int parse(int argc, char **argv, char **flags, bool is_dump, struct question *q)
{
    q->source = (struct config_source){.environment = environ, .flags = flags};
    for (int i = 2; i < argc; i++) {
        if (!is_dump && strcmp(argv[i], "--strict") == 0)
            q->source.strict = true;
        else if (is_dump && strcmp(argv[i], "--show-origin") == 0)
            q->origins = true;
        else if (strncmp(argv[i], "--", 2) == 0)
            flags[q->source.n_flags++] = argv[i];
        else if (q->source.file)
            return usage("one configuration file at most: ", argv[i]);
        else
            q->source.file = argv[i];
    }
    if (!q->source.file)
        q->source.file = getenv("REGISTRY_CONFIGURATION_PATH");
    return 0;
}

static int run(int argc, char **argv)
{
    struct question q = {0};
    if (argc < 2)
        return usage("check, dump, schema or init: which of them", "?");
    bool is_check = strcmp(argv[1], "check") == 0;
    bool is_dump = strcmp(argv[1], "dump") == 0;
    if (is_check || is_dump) {
        CLEANUP_FREE char **flags = xcalloc((size_t)argc, sizeof *flags);
        int status = parse(argc, argv, flags, is_dump, &q);
        if (status)
            return status;
        return is_check ? check(&q) : dump(&q);
    }
    bool schema = strcmp(argv[1], "schema") == 0;
    if (!schema && strcmp(argv[1], "init") != 0)
        return usage("there is no `berth config` ", argv[1]);
    if (argc > 2)
        return usage("too many arguments: ", argv[2]);
    return print(schema ? config_schema : config_init);
}

const struct command command_config = {
    "config", "check [--strict] [CONFIG] | dump [--show-origin] [CONFIG] | schema | init",
    "check, show and write configurations",
    "check   Looks at a configuration file, with REGISTRY_* and flags as `berth serve` takes "
    "them,\n"
    "        and at the files it names: all mistakes, each with its place, not only the first.\n"
    "        Status 1 when there are errors.\n"
    "dump    Prints what is in force as YAML, secrets as ******.\n"
    "schema  Prints the JSON Schema of configuration files, for editors.\n"
    "init    Prints a commented configuration file with every key.\n"
    "\n"
    "  --strict       keys and variables that nobody knows are errors\n"
    "  --show-origin  each value with where it comes from: default, file, variable, flag",
    run};
