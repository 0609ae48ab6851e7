/* SPDX-License-Identifier: Apache-2.0 */
/* The wiring: opens the stores, makes pools and server, runs until told to stop. */
#ifndef MAIN_APP_H
#define MAIN_APP_H

#include "base/error.h"
#include "main/config.h"
#include "main/logs.h"

struct app;

/* Opens everything and starts to listen; nothing is served before app_run. `source` (borrowed for
 * the life of the app) is read again by a reload; `config` is what it gave and becomes the app's,
 * also on failure. `logs` are borrowed. 1: SIGTERM or SIGINT came while the data of a registry was
 * taken over; there is no app, and nothing is wrong. */
int app_new(const struct config_source *source, struct config *config, struct logs *logs,
            struct app **out, struct error *err);
/* Serves on the calling thread until SIGTERM or SIGINT, then drains; a second signal ends the
 * process at once, with status 1 while requests run and by the signal itself after that. SIGHUP
 * reloads. */
int app_run(struct app *app, struct error *err);
void app_free(struct app *app);

/* "http://127.0.0.1:5000", "https://..." or "unix:/path", in the order of listening; the debug
 * listener's is NULL when it is off. Borrowed. */
const char *app_address(const struct app *app, unsigned i); /* NULL after the last one */
const char *app_debug_address(const struct app *app);
const char *app_directory(const struct app *app);
/* A warning for each listener off loopback when these settings have no login. */
void app_warn_open(const struct app *app, const struct settings *s);

#endif
