/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever stops registry:2 and starts berth on the same directory finds everything there: its blobs
 * get a second name in our store, and the metadata is built from its links. The original stays as
 * it is, so that the way back is open. */
#include <signal.h>

#include "base/util.h"
#include "jobs/import.h"
#include "main/app_int.h"
#include "os/clock.h"

#include "base/banned.h"

enum { SAY_MS = 5000 };

struct adoption {
    struct app *app;
    atomic_bool cancel;
    uint64_t said_ms;
};

static void found(void *arg, const struct import_finding *f)
{
    const struct adoption *a = arg;
    LOG(a->app->log, LOG_LEVEL_WARN, "not taken over", F_CSTR("kind", f->kind),
        F_CSTR("path", f->path), F_CSTR("reason", f->text));
}

static void progressed(void *arg, const struct import_progress *p)
{
    struct adoption *a = arg;
    sigset_t pending;
    /* Nobody reads the signals yet. What is done stays, and the next start goes on. */
    if (sigpending(&pending) == 0 &&
        (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1))
        atomic_store(&a->cancel, true);
    uint64_t now = os_mono_ms();
    if (now - a->said_ms < SAY_MS)
        return;
    a->said_ms = now;
    os_notify("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=taking over the data of registry");
    LOG(a->app->log, LOG_LEVEL_INFO, "taking over the data of registry",
        F_INT("blobs", p->blobs_done), F_INT("of", p->blobs_total),
        F_INT("repositories", p->repositories), F_INT("manifests", p->manifests),
        F_INT("tags", p->tags));
}

int app_adopt(struct app *app, struct error *err)
{
    struct adoption a = {.app = app, .said_ms = os_mono_ms()};
    struct import_result r = {0};
    if (!app->s->adopt || !import_detect(app->directory) ||
        import_adopted(app->directory, app->directory))
        return 0;
    LOG(app->log, LOG_LEVEL_INFO,
        "the data directory has the data of registry in it: taking it over (the original is not "
        "changed)",
        F_CSTR("directory", app->directory));
    struct import_config c = {
        .directory = app->directory,
        .verify = IMPORT_VERIFY_SIZE,
        .meta = app->meta,
        .store = app->store,
        .finding = found,
        .progress = progressed,
        .arg = &a,
        .cancel = &a.cancel,
    };
    if (import_run(&c, &r, err) || import_mark(app->directory, app->directory, &r, err))
        return -1;
    LOG(app->log, LOG_LEVEL_INFO, "the data of registry is taken over",
        F_INT("repositories", r.repositories), F_INT("manifests", r.manifests),
        F_INT("tags", r.tags), F_INT("blobs_linked", r.blobs_linked),
        F_INT("blobs_copied", r.blobs_copied), F_INT("findings", r.findings));
    return 0;
}
