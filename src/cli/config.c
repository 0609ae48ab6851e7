/* SPDX-License-Identifier: Apache-2.0 */
/* berth config: what a configuration says, before anything is started with it. */
#include "main/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/htpasswd.h"
#include "auth/token.h"
#include "base/util.h"
#include "cli/command.h"
#include "main/build.h"
#include "os/file.h"
#include "registry/validate.h"

#include "base/banned.h"

extern char **environ;

enum { OUTPUT_MAX = 8 * 1024 * 1024, KEYS_BYTES_MAX = 1024 * 1024 };

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

/* About the value of a key, with its place. */
static void say_of(struct tally *t, const struct config *c, enum config_severity severity,
                   const char *key, const char *text)
{
    CLEANUP_BUF struct buf where = {0};
    buf_init(&where, 8192);
    config_where(c, key, &where);
    say(t, severity, where.p ? where.p : "", key, text);
}

static const char *words(const struct error *err)
{
    return err->detail[0] ? err->detail : err->message;
}

/* Which key of http.tls names the file that the error names? */
static const char *tls_key(const struct tls_settings *tls, const char *text)
{
    if (strstr(text, tls->key))
        return "http.tls.key";
    for (unsigned i = 0; i < tls->client_cas.n; i++)
        if (strstr(text, tls->client_cas.v[i]))
            return "http.tls.clientcas";
    return strstr(text, tls->certificate) ? "http.tls.certificate" : "http.tls";
}

/* Every file that cannot be opened is named, and not only the first that TLS would ask for. */
static bool can_read(const struct config *c, struct tally *t, const char *key, const char *path)
{
    char text[512], reason[128];
    if (access(path, R_OK) == 0)
        return true;
    (void)snprintf(text, sizeof text, "%.300s: %s", path,
                   strerrordesc(errno, reason, sizeof reason));
    say_of(t, c, CONFIG_ERROR, key, text);
    return false;
}

static bool can_read_all(const struct config *c, struct tally *t, const struct tls_settings *tls)
{
    bool all = can_read(c, t, "http.tls.certificate", tls->certificate);
    all = can_read(c, t, "http.tls.key", tls->key) && all;
    for (unsigned i = 0; i < tls->client_cas.n; i++)
        all = can_read(c, t, "http.tls.clientcas", tls->client_cas.v[i]) && all;
    return all;
}

static void check_tls(const struct config *c, struct tally *t)
{
    const struct settings *s = config_settings(c);
    struct error err = {0};
    struct tls_context *tls = NULL;
    if (!*s->tls.certificate || !*s->tls.key) /* of one alone there is a note */
        return;
    if (!can_read_all(c, t, &s->tls))
        return;
    if (build_tls(s, &tls, &err))
        say_of(t, c, CONFIG_ERROR, tls_key(&s->tls, words(&err)), words(&err));
    else if (tls_context_warning(tls))
        say_of(t, c, CONFIG_WARNING, "http.tls.certificate", tls_context_warning(tls));
    tls_context_unref(tls);
}

static void check_expressions(const struct config *c, struct tally *t)
{
    const struct settings *s = config_settings(c);
    const struct text_list *allow = &s->urls_allow, *deny = &s->urls_deny;
    const struct validate_config rules[] = {
        {.urls_allow = (const char *const *)allow->v, .n_urls_allow = allow->n},
        {.urls_deny = (const char *const *)deny->v, .n_urls_deny = deny->n},
    };
    static const char *const keys[] = {"validation.manifests.urls.allow",
                                       "validation.manifests.urls.deny"};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct error err = {0};
        struct validator *v = NULL;
        if (validator_new(&rules[i], &v, &err))
            say_of(t, c, CONFIG_ERROR, keys[i], words(&err));
        validator_free(v);
    }
}

static void check_htpasswd(const struct config *c, struct tally *t)
{
    static const char key[] = "auth.htpasswd.path";
    const char *path = config_settings(c)->auth.path;
    struct htpasswd *h = NULL;
    struct error err = {0};
    unsigned ignored = 0;
    char text[512];
    if (access(path, F_OK) && errno == ENOENT) {
        (void)snprintf(text, sizeof text,
                       "%.300s does not exist: serve makes it with the user docker and a random "
                       "password, which it logs",
                       path);
        say_of(t, c, CONFIG_WARNING, key, text);
        return;
    }
    if (htpasswd_load(path, &h, &ignored, &err)) {
        say_of(t, c, CONFIG_ERROR, key, words(&err));
    } else if (ignored) {
        (void)snprintf(text, sizeof text,
                       "%.300s: %u of its entries are no bcrypt: these users cannot log in", path,
                       ignored);
        say_of(t, c, CONFIG_WARNING, key, text);
    }
    htpasswd_free(h);
}

/* The bytes of a file of keys; errors name it. */
static int read_keys(const char *path, struct buf *out, struct error *err)
{
    char reason[128];
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return error_detail(err, ERR_BAD_REQUEST, "%.300s cannot be read: %s", path,
                            strerrordesc(errno, reason, sizeof reason));
    if (S_ISDIR(st.st_mode))
        return error_detail(err, ERR_BAD_REQUEST, "%.300s is a directory", path);
    for (;;) {
        char chunk[16 * 1024];
        ssize_t n = os_pread_full(fd, chunk, sizeof chunk, out->n, "config.read", err);
        if (n < 0)
            return error_detail(err, ERR_BAD_REQUEST, "%.300s cannot be read: %s", path,
                                strerrordesc(err->sys, reason, sizeof reason));
        if (buf_add(out, chunk, (size_t)n))
            return error_detail(err, ERR_BAD_REQUEST, "%.300s is larger than %d KiB", path,
                                KEYS_BYTES_MAX / 1024);
        if ((size_t)n < sizeof chunk)
            return 0;
    }
}

/* The keys that are in a file, which may be none; -1 when it has been complained of. */
static int count_keys(const struct config *c, struct tally *t, const char *key, const char *path,
                      bool is_jwks)
{
    CLEANUP_BUF struct buf text = {0};
    struct token_keys *k = NULL;
    struct error err = {0};
    char why[768];
    buf_init(&text, KEYS_BYTES_MAX);
    if (read_keys(path, &text, &err)) {
        say_of(t, c, CONFIG_ERROR, key, words(&err));
        return -1;
    }
    struct slice pem = is_jwks ? SLICE_NONE : buf_view(&text);
    struct slice jwks = is_jwks ? buf_view(&text) : SLICE_NONE;
    if (token_keys_new(pem, jwks, NULL, 0, &k, &err) == 0) {
        int n = (int)token_keys_count(k);
        token_keys_free(k);
        return n;
    }
    /* None in one of two files is no mistake. */
    if (slice_starts(slice_cstr(words(&err)), SLICE_LIT("neither rootcertbundle nor jwks")))
        return 0;
    (void)snprintf(why, sizeof why, "%.200s: %.500s", path, words(&err));
    say_of(t, c, CONFIG_ERROR, key, why);
    return -1;
}

static void check_keys(const struct config *c, struct tally *t)
{
    static const char *const keys[] = {"auth.token.rootcertbundle", "auth.token.jwks"};
    const struct auth_settings *a = &config_settings(c)->auth;
    const char *const paths[] = {a->root_cert_bundle, a->jwks};
    bool good = true;
    int found = 0;
    for (int i = 0; i < 2; i++) {
        int n = *paths[i] ? count_keys(c, t, keys[i], paths[i], i == 1) : 0;
        good = good && n >= 0;
        found += n > 0 ? n : 0;
    }
    if (good && !found && (*paths[0] || *paths[1])) {
        char why[768];
        (void)snprintf(why, sizeof why, "%.300s%s%.300s: there is no key to verify tokens with",
                       paths[0], *paths[0] && *paths[1] ? ", " : "", paths[1]);
        say_of(t, c, CONFIG_ERROR, keys[*paths[0] ? 0 : 1], why);
    }
}

/* What takes more than the text: the files that it names, and expressions. */
static void check_deeper(const struct config *c, struct tally *t)
{
    enum auth_kind kind = config_settings(c)->auth.kind;
    check_tls(c, t);
    check_expressions(c, t);
    if (kind == AUTH_HTPASSWD && *config_settings(c)->auth.path)
        check_htpasswd(c, t);
    if (kind == AUTH_TOKEN)
        check_keys(c, t);
}

static int check(const struct question *q)
{
    struct config *c = NULL;
    struct error err = {0};
    struct tally t = {0};
    unsigned n;
    (void)config_load(&q->source, &c, &err); /* notes has what is wrong, and all of it */
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++)
        say(&t, notes[i].severity, notes[i].where, notes[i].key, notes[i].text);
    check_deeper(c, &t);
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
