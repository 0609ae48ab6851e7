/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/argument.h"
#include "cli/command.h"
#include "main/app.h"
#include "main/logs.h"
#include "os/fault.h"
#include "os/signals.h"
#include "remote/client.h"

#include "base/banned.h"

extern char **environ;

/* What is said before the settings of the log are known goes to a log with the defaults. */
static void say_notes(struct log *log, const struct config *c)
{
    unsigned n;
    const struct config_note *notes = config_notes(c, &n);
    for (unsigned i = 0; i < n; i++)
        LOG(log, notes[i].severity == CONFIG_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
            notes[i].text, F_CSTR("where", notes[i].where), F_CSTR("key", notes[i].key));
}

/* The file, the flags; -1 when there are two files. */
static int read_arguments(int argc, char **argv, struct config_source *out, char **flags,
                          struct error *err)
{
    *out = (struct config_source){.environment = environ, .flags = flags};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--strict") == 0)
            out->strict = true;
        else if (strncmp(argv[i], "--", 2) == 0)
            flags[out->n_flags++] = argv[i];
        else if (out->file)
            return error_detail(err, ERR_BAD_REQUEST, "one configuration file at most: %s, %s",
                                out->file, argv[i]);
        else
            out->file = argv[i];
    }
    const char *file = getenv("REGISTRY_CONFIGURATION_PATH");
    if (!out->file && file && *file)
        out->file = file;
    return 0;
}

static void banner(const struct app *app, const struct settings *s)
{
    const char *address = app_address(app, 0);
    const char *host = strstr(address, "://") ? strstr(address, "://") + 3 : address;
    char reachable[128];
    /* What a client can write as a reference: no brackets. */
    if (*host == '[') {
        const char *port = strrchr(host, ':');
        (void)snprintf(reachable, sizeof reachable, "localhost%s", port ? port : "");
        host = reachable;
    } else if (strncmp(host, "0.0.0.0:", 8) == 0) {
        (void)snprintf(reachable, sizeof reachable, "127.0.0.1:%s", host + 8);
        host = reachable;
    }
    printf("berth %s\n", BERTH_VERSION);
    for (unsigned i = 0; app_address(app, i); i++)
        printf("listening: %s\n", app_address(app, i));
    if (app_debug_address(app))
        printf("debug: %s\n", app_debug_address(app));
    printf("data: %s\n", app_directory(app));
    if (strncmp(address, "unix:", 5) == 0)
        printf("\nTry it:\n  curl --unix-socket %s %s://localhost%sv2/\n\n", address + 5,
               *s->tls.certificate ? "https" : "http", s->http_prefix);
    else
        printf("\nPush a first image, from another terminal:\n"
               "  docker pull debian:12\n"
               "  docker tag debian:12 %s/debian:12\n"
               "  docker push %s/debian:12\n\n",
               host, host);
    (void)fflush(stdout);
}

/* Bodies and buffers come and go: what they took is given back to the system, and not kept in an
 * arena of each thread. */
static void tune_allocator(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    (void)mallopt(M_ARENA_MAX, 4);
}

static int serve(const struct config_source *source)
{
    struct error err = {0};
    struct config *c = NULL;
    struct app *app = NULL;
    struct logs logs;
    if (config_load(source, &c, &err)) {
        if (c) {
            struct log *early =
                log_new(STDERR_FILENO, isatty(STDERR_FILENO) ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON,
                        LOG_LEVEL_WARN);
            say_notes(early, c);
            log_free(early);
        }
        config_free(c);
        (void)command_failed(&err);
        return 2;
    }
    logs_init(&logs, config_settings(c));
    say_notes(logs.app, c);
    int made = app_new(source, c, &logs, &app, &err);
    int status = made < 0 ? command_failed(&err) : 0;
    if (made > 0)
        LOG(logs.app, LOG_LEVEL_INFO,
            "stopped before everything was taken over; the next start goes on from here");
    if (app) {
        app_warn_open(app, config_settings(c));
        banner(app, config_settings(c));
        if (app_run(app, &err))
            status = command_failed(&err);
        app_free(app);
        LOG(logs.app, LOG_LEVEL_INFO, "stopped");
    }
    logs_release(&logs);
    return status;
}

static int run(int argc, char **argv)
{
    struct config_source source;
    struct error err = {0};
    signals_block();
    tune_allocator();
    if (fault_configure(NULL)) {
        fprintf(
            stderr,
            "berth: BERTH_FAULTS is set and not understood (or this build has no fault points)\n");
        return 2;
    }
    client_global_init();
    char **flags = xcalloc((size_t)argc + 1, sizeof *flags);
    int status = 2;
    if (read_arguments(argc, argv, &source, flags, &err))
        (void)command_failed(&err);
    else
        status = serve(&source);
    free(flags);
    return status;
}

const struct command command_serve = {
    "serve", "[CONFIG] [--strict] [--OPTION=VALUE...]", "serve the registry",
    "Without a configuration it listens on 127.0.0.1:5000 and keeps its data in /var/lib/berth, or "
    "in the XDG data directory\n"
    "of a user who may not write there. CONFIG is a YAML file (registry's config.yml form); the "
    "environment (REGISTRY_HTTP_ADDR\n"
    "for http.addr, and so on) wins over it, and flags win over both; --strict refuses what it "
    "does "
    "not know. SIGHUP reads\n"
    "the file and what it names again. SIGTERM finishes what runs and stops; a second one stops at "
    "once.",
    run};
