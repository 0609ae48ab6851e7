/* SPDX-License-Identifier: Apache-2.0 */
/* The wiring: opens the stores, makes pools and server, runs until told to stop. */
#ifndef MAIN_APP_H
#define MAIN_APP_H

#include "base/error.h"
#include "base/log.h"
#include "main/options.h"

struct app;

/* Opens everything and starts to listen; nothing is served before app_run. `log` and `access` are
 * borrowed (access may be NULL). */
int app_new(const struct settings *s, struct log *log, struct log *access, struct app **out,
            struct error *err);
/* Serves on the calling thread until SIGTERM or SIGINT, then drains; a second signal ends the
 * process at once, with status 1 while requests run and by the signal itself after that. */
int app_run(struct app *app, struct error *err);
void app_free(struct app *app);

/* "http://127.0.0.1:5000" (or "unix:/path"); NULL for a debug listener that is off. Borrowed. */
const char *app_address(const struct app *app);
const char *app_debug_address(const struct app *app);
const char *app_directory(const struct app *app);

#endif
