/* SPDX-License-Identifier: Apache-2.0 */
/* `berth import registry2 DIR`. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/argument.h"
#include "cli/command.h"
#include "cli/import_view.h"
#include "jobs/import.h"
#include "main/config.h"
#include "main/directory.h"
#include "os/fault.h"
#include "os/signals.h"

#include "base/banned.h"

extern char **environ;

enum { READERS = 32, FDS_IDLE = 16, STATUS_FINDINGS = 3, POLL_NS = 100 * 1000 * 1000 };

struct order {
    const char *source, *data, *config, *report, *verify, *threads;
    bool dry_run, json;
    unsigned n_threads;
    enum import_verify how;
};

static int usage(const char *text)
{
    fprintf(stderr, "berth: %s; `berth help import` says more\n", text);
    return 2;
}

/* --- the command line --- */

static int parse_values(struct order *o)
{
    uint64_t n = 0;
    if (o->verify && strcmp(o->verify, "full") != 0 && strcmp(o->verify, "size") != 0)
        return usage("--verify takes size or full");
    o->how = o->verify && strcmp(o->verify, "full") == 0 ? IMPORT_VERIFY_FULL : IMPORT_VERIFY_SIZE;
    if (o->threads && (parse_u63(slice_cstr(o->threads), &n) != 0 || n < 1 || n > 64))
        return usage("--threads takes a number from 1 to 64");
    o->n_threads = (unsigned)n;
    if (o->data && o->config)
        return usage("--data and --config both name the data directory: give one");
    return 0;
}

static int parse(int argc, char **argv, struct order *o)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"--verify", &o->verify},
                   {"--data", &o->data},
                   {"--config", &o->config},
                   {"--report", &o->report},
                   {"--threads", &o->threads}};
    if (argc < 2 || strcmp(argv[1], "registry2") != 0)
        return usage("import what? `berth import registry2 DIR` takes over a directory of "
                     "registry:2 or registry:3");
    for (int i = 2; i < argc; i++) {
        const char *value = NULL;
        for (size_t k = 0; k < ARRAY_LEN(options) && !value; k++)
            if ((value = argument_value(options[k].name, argc, argv, &i)))
                *options[k].value = value;
        if (value)
            continue;
        if (strcmp(argv[i], "--json") == 0)
            o->json = true;
        else if (strcmp(argv[i], "--dry-run") == 0 || strcmp(argv[i], "-n") == 0)
            o->dry_run = true;
        else if (argv[i][0] == '-')
            return usage("unknown option, or one without its value");
        else if (o->source)
            return usage("one directory at a time");
        else
            o->source = argv[i];
    }
    if (!o->source)
        return usage("import from which directory? `berth import registry2 DIR`");
    return parse_values(o);
}

/* --- where to --- */

/* The data directory, made when it is new. */
static int data_directory(const struct order *o, char **out, struct error *err)
{
    if (o->data)
        return directory_choose(o->data, out, err);
    struct config *c = NULL;
    const char *file = o->config ? o->config : getenv("REGISTRY_CONFIGURATION_PATH");
    const struct config_source source = {.file = file && *file ? file : NULL,
                                         .environment = environ};
    int r = config_load(&source, &c, err);
    if (r == 0 && config_settings(c)->in_memory)
        r = error_detail(err, ERR_BAD_REQUEST,
                         "this configuration keeps everything in memory: what is imported would be "
                         "gone at the end; name a directory with --data DIR");
    if (r == 0)
        r = directory_choose(config_settings(c)->root_directory, out, err);
    config_free(c);
    return r;
}

/* As root, files would become root's, and the server could not start with them. (A chown of all
 * would change the owner of the original too, by the hard links.) */
static int check_owner(const char *directory, struct error *err)
{
    struct stat st;
    if (geteuid() != 0 || stat(directory, &st) != 0 || st.st_uid == 0)
        return 0;
    return error_detail(err, ERR_BAD_REQUEST,
                        "%s belongs to user %u, and what root makes in it that user could not "
                        "open: run this as that user, for example with `setpriv --reuid=%u "
                        "--regid=%u --clear-groups berth import ...`",
                        directory, (unsigned)st.st_uid, (unsigned)st.st_uid, (unsigned)st.st_gid);
}

static int open_stores(const char *directory, struct import_config *c, struct error *err)
{
    CLEANUP_FREE char *database = NULL;
    CHECK(asprintf(&database, "%s/berth.db", directory) >= 0);
    /* The store first: its lock keeps a second berth away from the database too. */
    if (store_fs_open(directory, FDS_IDLE, NULL, &c->store, err) != 0) {
        if (err->code == ERR_UNAVAILABLE && err->detail[0])
            error_detail(err, ERR_UNAVAILABLE,
                         "%s: a berth is running on this directory: stop it, run this again, and "
                         "start it afterwards",
                         directory);
        return -1;
    }
    return meta_sqlite_open(database, READERS, NULL, &c->meta, err);
}

/* --- signals: the first one asks the import to stop where it can go on later --- */

struct watch {
    pthread_t thread;
    bool running;
    atomic_bool cancel, done;
};

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    const struct timespec wait = {0, POLL_NS};
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    while (!atomic_load(&w->done)) {
        if (sigtimedwait(&set, NULL, &wait) < 0)
            continue;
        if (atomic_exchange(&w->cancel, true))
            _exit(1); /* said twice: what is durable stays, and nothing else is owed */
    }
    return NULL;
}

static void watch_start(struct watch *w)
{
    signals_block();
    w->running = pthread_create(&w->thread, NULL, watch_main, w) == 0;
    if (!w->running)
        signals_restore();
}

static void watch_end(struct watch *w)
{
    atomic_store(&w->done, true);
    if (w->running)
        (void)pthread_join(w->thread, NULL);
}

/* --- the run --- */

static void on_finding(void *arg, const struct import_finding *f)
{
    import_view_finding(arg, f);
}

static void on_progress(void *arg, const struct import_progress *p)
{
    import_view_progress(arg, p);
}

static int import_into(const struct order *o, const char *directory, struct import_config *c,
                       struct import_result *result, struct error *err)
{
    /* A note that cannot be read is said before the work, not after it. */
    if (!o->dry_run &&
        (import_adopted(directory, o->source, err) < 0 || open_stores(directory, c, err) != 0))
        return -1;
    int r = import_run(c, result, err);
    if (r == 0 && !o->dry_run)
        r = import_mark(directory, o->source, result, err);
    return r;
}

static int work(const struct order *o, FILE *report)
{
    struct error err = {0};
    struct import_view view;
    struct import_result result = {0};
    struct watch watch = {0};
    CLEANUP_FREE char *directory = NULL;
    import_view_init(&view, o->json, o->how == IMPORT_VERIFY_FULL, o->dry_run, report);
    struct import_config c = {.directory = o->source,
                              .verify = o->how,
                              .dry_run = o->dry_run,
                              .threads = o->n_threads,
                              .finding = on_finding,
                              .progress = on_progress,
                              .arg = &view,
                              .cancel = &watch.cancel};
    if (!o->dry_run) {
        if (data_directory(o, &directory, &err) != 0 || check_owner(directory, &err) != 0)
            return command_failed(&err);
    }
    if (directory && !o->json)
        fprintf(stderr, "berth: importing into %s\n", directory);
    watch_start(&watch);
    int failed = import_into(o, directory, &c, &result, &err);
    watch_end(&watch);
    meta_close(c.meta);
    store_close(c.store);
    import_view_clear(&view);
    if (failed)
        return command_failed(&err);
    import_view_result(&view, &result);
    return result.findings ? STATUS_FINDINGS : 0;
}

static int run(int argc, char **argv)
{
    struct order o = {0};
    if (fault_configure(NULL)) {
        fprintf(stderr, "berth: BERTH_FAULTS is set and not understood (or this build has no fault "
                        "points)\n");
        return 2;
    }
    int bad = parse(argc, argv, &o);
    if (bad)
        return bad;
    FILE *report = NULL;
    if (o.report && !(report = fopen(o.report, "we"))) {
        char why[128];
        fprintf(stderr, "berth: the report %s cannot be written: %s\n", o.report,
                strerrordesc(errno, why, sizeof why));
        return 1;
    }
    (void)os_raise_fd_limit();
    int status = work(&o, report);
    if (report && fclose(report) != 0) {
        fprintf(stderr, "berth: the report %s could not be written whole\n", o.report);
        status = 1;
    }
    return status;
}

const struct command command_import = {
    "import",
    "registry2 DIR [--verify size|full] [-n|--dry-run] [--data DIR] [--config FILE] [--threads N] "
    "[--report FILE] [--json]",
    "take over the data directory of registry:2 or registry:3",
    "DIR is the rootdirectory of a registry that is stopped: it has docker/registry/v2 in it. It "
    "is\n"
    "only read. Blobs become hard links where that is possible, else copies; repositories, links,\n"
    "manifests and tags go into the database. It can be interrupted and repeated at any time: "
    "what\n"
    "is there already stays; a tag that differs goes to whoever set it last. Status 3: finished,\n"
    "but something could not be used; each such thing is printed.\n"
    "\n"
    "  --verify size|full  size (the default) compares sizes and hashes what is small; full "
    "hashes\n"
    "                      every byte\n"
    "  -n, --dry-run       look and report only; writes nothing anywhere\n"
    "  --data DIR          the data directory of berth; otherwise that of the configuration\n"
    "  --config FILE       the configuration that says where the data directory is\n"
    "  --threads N         1 to 64; two per processor otherwise\n"
    "  --report FILE       write every finding to FILE; the terminal shows some of each kind\n"
    "  --json              one JSON object a line: findings, and then the result",
    run};
