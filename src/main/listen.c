/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "main/app_int.h"
#include "os/activation.h"

#include "base/banned.h"

static char *with_scheme(const char *bound, bool tls)
{
    char *text = NULL;
    bool is_unix = slice_starts(slice_cstr(bound), SLICE_LIT("unix:"));
    return asprintf(&text, "%s%s",
                    is_unix ? ""
                    : tls   ? "https://"
                            : "http://",
                    bound) < 0
               ? NULL
               : text;
}

/* What registry (Go) takes for every address of the machine, IPv4 and IPv6: :PORT is both here. */
static const char *everywhere(const char *address)
{
    static const char *const all[] = {"0.0.0.0", "[::]"};
    for (size_t i = 0; address && i < ARRAY_LEN(all); i++) {
        size_t n = strlen(all[i]);
        if (strncmp(address, all[i], n) == 0 && address[n] == ':')
            return address + n;
    }
    return address;
}

static int open_one(struct app *app, const struct http_listener *l, struct error *err)
{
    CLEANUP_FREE char *bound = NULL;
    if (app->n_addresses == APP_ADDRESSES_MAX)
        return error_detail(err, ERR_BAD_REQUEST, "more than %d listeners", APP_ADDRESSES_MAX);
    if (http_server_open(app->server, l, &app->site, &bound, err))
        return -1;
    app->addresses[app->n_addresses++] = with_scheme(bound, l->tls);
    return 0;
}

static int open_configured(struct app *app, struct error *err)
{
    const struct settings *s = app->s;
    struct http_listener first = {.address = everywhere(s->http_addr), .fd = -1, .tls = app->tls};
    if (open_one(app, &first, err))
        return -1;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        const struct listener_settings *l = &s->listeners[i];
        struct http_listener more = {.address = everywhere(l->addr),
                                     .fd = -1,
                                     .tls = l->tls ? app->tls : NULL,
                                     .proxy_protocol = l->proxy_protocol};
        if (l->tls && !app->tls)
            return error_detail(err, ERR_BAD_REQUEST,
                                "http.listeners: %s is to speak TLS: set http.tls.certificate and "
                                "http.tls.key",
                                l->addr);
        if (open_one(app, &more, err))
            return -1;
    }
    return 0;
}

/* ---- systemd's sockets ---- */

static bool is_named(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(name, *words) == 0)
            return true;
    return false;
}

static bool is_debug(const char *name)
{
    return is_named(name, (const char *const[]){"debug", "metrics", NULL});
}

/* By the name of the socket (FileDescriptorName=), else as http.addr would be. */
static int open_passed(struct app *app, const char *name, int fd, struct error *err)
{
    static const char *const secure[] = {"https", "tls", NULL};
    static const char *const plain[] = {"http", "plain", NULL};
    struct http_listener l = {.fd = fd};
    if (is_named(name, secure) && !app->tls)
        return error_detail(err, ERR_BAD_REQUEST,
                            "systemd passed a socket named %s: set http.tls.certificate and "
                            "http.tls.key",
                            name);
    if (!is_named(name, plain))
        l.tls = app->tls;
    return open_one(app, &l, err);
}

/* One unit may have several of a name: an address of each family. The first is shown. */
static int open_debug_passed(struct app *app, int fd, struct error *err)
{
    CLEANUP_FREE char *bound = NULL;
    struct http_listener l = {.fd = fd};
    if (http_server_open(app->server, &l, &app->debug_site, &bound, err))
        return -1;
    if (!app->debug_address)
        app->debug_address = with_scheme(bound, false);
    return 0;
}

/* Where nothing was passed, one of our own files has the number. */
static int check_passed(const struct activation *a, int fd, struct error *err)
{
    int listening = 0;
    socklen_t n = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening)
        return 0;
    return error_detail(err, ERR_BAD_REQUEST,
                        "LISTEN_FDS is %u, but descriptor %d is no listening socket: systemd (or "
                        "who set the variable) passed none there; unset LISTEN_FDS and LISTEN_PID "
                        "to listen on http.addr",
                        a->n, fd);
}

static int open_activated(struct app *app, const struct activation *a, struct error *err)
{
    for (unsigned i = 0; i < a->n; i++)
        if (check_passed(a, a->list[i].fd, err))
            return -1;
    for (unsigned i = 0; i < a->n; i++) {
        int fd = a->list[i].fd;
        const char *name = a->list[i].name;
        int failed =
            is_debug(name) ? open_debug_passed(app, fd, err) : open_passed(app, name, fd, err);
        if (failed)
            return -1;
        LOG(app->log, LOG_LEVEL_INFO, "listening on a socket of systemd's", F_CSTR("name", name),
            F_INT("fd", fd));
    }
    return 0;
}

/* ---- the debug listener ---- */

/* The rows with the path that the configuration gives to the metrics, or without it. */
static void debug_site(struct app *app)
{
    unsigned n;
    const struct route *rows = registry_debug_routes(&n);
    struct route *own = xcalloc(n, sizeof *own);
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        bool metrics = rows[i].action == ACTION_METRICS;
        if (metrics && !app->s->prometheus)
            continue;
        own[kept] = rows[i];
        if (metrics && *app->s->prometheus_path)
            own[kept].pattern = app->s->prometheus_path;
        kept++;
    }
    app->debug_rows = own;
    app->debug_site.routes = own;
    app->debug_site.n = kept;
}

static int open_debug(struct app *app, struct error *err)
{
    CLEANUP_FREE char *bound = NULL;
    struct error why = {0};
    if (app->debug_address || !*app->s->debug_addr)
        return 0;
    if (http_server_listen(app->server, everywhere(app->s->debug_addr), &app->debug_site, &bound,
                           &why)) {
        /* Somebody else has the default port: that is no reason not to serve. One that was asked
         * for is. */
        if (config_given(app->config, "http.debug.addr")) {
            *err = why;
            return -1;
        }
        log_error(app->log, LOG_LEVEL_WARN,
                  "no debug listener: set http.debug.addr to a free address, or to \"\"", &why);
        return 0;
    }
    app->debug_address = with_scheme(bound, false);
    return 0;
}

int app_listen(struct app *app, struct error *err)
{
    struct activation passed = {0};
    app->site.routes = registry_routes(&app->site.n);
    debug_site(app);
    if (os_activation(&passed, err) || open_activated(app, &passed, err))
        return -1;
    if (!app->n_addresses && open_configured(app, err))
        return -1;
    return open_debug(app, err);
}

/* ---- who can reach it ---- */

static bool is_loopback(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 || strncmp(address, "http://127.", 11) == 0 ||
           strncmp(address, "http://[::1]:", 13) == 0 ||
           strncmp(address, "https://127.", 12) == 0 || strncmp(address, "https://[::1]:", 14) == 0;
}

void app_warn_open(const struct app *app, const struct settings *s)
{
    for (unsigned i = 0; s->auth.kind == AUTH_NONE && i < app->n_addresses; i++)
        if (!is_loopback(app->addresses[i]))
            LOG(app->log, LOG_LEVEL_WARN,
                "anybody who reaches this address can pull, push, overwrite and delete everything: "
                "no login is configured (auth.htpasswd, auth.token), and it is not a loopback "
                "address",
                F_CSTR("address", app->addresses[i]));
}
