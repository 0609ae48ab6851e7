/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/command.h"
#include "main/app.h"
#include "os/fault.h"
#include "os/signals.h"

#include "base/banned.h"

extern char **environ;

struct warning {
    const char *path;
    struct log *log;
};

/* The file is read before the settings of the log are known: its warnings go to a log with the
 * defaults. */
static void warn_key(void *arg, unsigned line, const char *key)
{
    struct warning *w = arg;
    LOG(w->log, LOG_LEVEL_WARN, "this version does not know the key; it is ignored",
        F_CSTR("file", w->path), F_INT("line", line), F_CSTR("key", key));
}

static int flag(struct settings *s, const char *text, struct error *err)
{
    struct slice value = slice_cstr(text + 2);
    struct slice name = slice_cut(&value, '=');
    const struct option *o = option_find(name);
    if (!o)
        return error_detail(err, ERR_BAD_REQUEST,
                            "there is no option --%.*s; `berth help serve` lists them",
                            SLICE_ARG(name));
    if (!value.p && o->type == OPTION_BOOL)
        value = SLICE_LIT("true");
    if (!value.p)
        return error_detail(err, ERR_BAD_REQUEST, "--%s needs a value: --%s=VALUE", o->name,
                            o->name);
    return settings_set(s, o, value, ORIGIN_FLAG, err);
}

static int configure(struct settings *s, int argc, char **argv, struct error *err)
{
    const char *file = NULL;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0)
            continue;
        if (file)
            return error_detail(err, ERR_BAD_REQUEST, "one configuration file at most: %s, %s",
                                file, argv[i]);
        file = argv[i];
    }
    if (!file)
        file = getenv("REGISTRY_CONFIGURATION_PATH");
    if (file && *file) {
        struct warning w = {.path = file,
                            .log =
                                log_new(STDERR_FILENO,
                                        isatty(STDERR_FILENO) ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON,
                                        LOG_LEVEL_WARN)};
        int failed = settings_file(s, file, warn_key, &w, err);
        log_free(w.log);
        if (failed)
            return -1;
    }
    if (settings_environment(s, environ, err))
        return -1;
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && flag(s, argv[i], err))
            return -1;
    return 0;
}

static struct log *make_log(const struct settings *s, int fd, bool access)
{
    enum log_level level = LOG_LEVEL_INFO;
    if (!access)
        level = strcmp(s->log_level, "error") == 0   ? LOG_LEVEL_ERROR
                : strcmp(s->log_level, "warn") == 0  ? LOG_LEVEL_WARN
                : strcmp(s->log_level, "debug") == 0 ? LOG_LEVEL_DEBUG
                                                     : LOG_LEVEL_INFO;
    bool text =
        strcmp(s->log_format, "text") == 0 || (strcmp(s->log_format, "auto") == 0 && isatty(fd));
    return log_new(fd, text ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON, level);
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 || strncmp(address, "http://127.", 11) == 0 ||
           strncmp(address, "http://[::1]:", 13) == 0;
}

static void banner(const struct app *app)
{
    const char *address = app_address(app);
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
    printf("berth %s\n"
           "listening: %s\n",
           BERTH_VERSION, address);
    if (app_debug_address(app))
        printf("debug: %s\n", app_debug_address(app));
    printf("data: %s\n", app_directory(app));
    if (strncmp(address, "unix:", 5) == 0)
        printf("\nTry it:\n  curl --unix-socket %s http://localhost/v2/\n\n", address + 5);
    else
        printf("\nPush a first image, from another terminal:\n"
               "  docker pull debian:12\n"
               "  docker tag debian:12 %s/debian:12\n"
               "  docker push %s/debian:12\n\n",
               host, host);
    (void)fflush(stdout);
}

static int fail(const struct error *err)
{
    fprintf(stderr, "berth: %s\n", err->detail[0] ? err->detail : err->message);
    return 1;
}

/* Bodies and buffers come and go: what they took is given back to the system, and not kept in an
 * arena of each thread. */
static void tune_allocator(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    (void)mallopt(M_ARENA_MAX, 4);
}

static int run(int argc, char **argv)
{
    struct settings s;
    struct error err = {0};
    struct app *app = NULL;
    signals_block();
    tune_allocator();
    if (fault_configure(NULL)) {
        fprintf(
            stderr,
            "berth: BERTH_FAULTS is set and not understood (or this build has no fault points)\n");
        return 2;
    }
    settings_init(&s);
    if (configure(&s, argc, argv, &err)) {
        settings_release(&s);
        (void)fail(&err);
        return 2;
    }
    struct log *log = make_log(&s, STDERR_FILENO, false);
    struct log *access = s.accesslog_disabled ? NULL : make_log(&s, STDOUT_FILENO, true);
    int status = app_new(&s, log, access, &app, &err) ? fail(&err) : 0;
    if (app && !is_loopback(app_address(app)))
        LOG(log, LOG_LEVEL_WARN,
            "this address can be reached from other machines, and this version has no logins: "
            "whoever reaches it may push and "
            "delete",
            F_CSTR("address", app_address(app)));
    if (app) {
        banner(app);
        if (app_run(app, &err))
            status = fail(&err);
        app_free(app);
        LOG(log, LOG_LEVEL_INFO, "stopped");
    }
    log_free(access);
    log_free(log);
    settings_release(&s);
    return status;
}

const struct command command_serve = {
    "serve", "[CONFIG] [--OPTION=VALUE...]", "serve the registry",
    "Without a configuration it listens on 127.0.0.1:5000 and keeps its data in /var/lib/berth, or "
    "in the XDG data directory\n"
    "of a user who may not write there. CONFIG is a YAML file (registry's config.yml form); the "
    "environment (REGISTRY_HTTP_ADDR\n"
    "for http.addr, and so on) wins over it, and flags win over both. SIGTERM finishes what runs "
    "and stops; a second one stops\n"
    "at once.",
    run};
