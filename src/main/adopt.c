/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever stops registry:2 and starts berth on the same directory finds everything there: its blobs
 * get a second name in our store, and the metadata is built from its links. The original stays as
 * it is, so that the way back is open. */
#include <signal.h>
#include <string.h>

#include "base/util.h"
#include "jobs/import.h"
#include "main/app_int.h"
#include "os/clock.h"

#include "base/banned.h"

enum { SAY_MS = 5000, SHOWN_MAX = 20 /* findings of a kind */, KINDS = 24 };

struct adoption {
    struct app *app;
    atomic_bool cancel;
    uint64_t said_ms;
    bool said_copies;
    struct {
        const char *kind;
        unsigned n;
    } kinds[KINDS];
};

static void found(void *arg, const struct import_finding *f)
{
    struct adoption *a = arg;
    size_t i = 0;
    while (i < KINDS - 1 && a->kinds[i].kind && strcmp(a->kinds[i].kind, f->kind) != 0)
        i++;
    a->kinds[i].kind = f->kind;
    if (a->kinds[i].n > SHOWN_MAX)
        return;
    if (a->kinds[i].n++ < SHOWN_MAX)
        LOG(a->app->log, LOG_LEVEL_WARN, "not taken over", F_CSTR("kind", f->kind),
            F_CSTR("path", f->path), F_CSTR("reason", f->text));
    else
        LOG(a->app->log, LOG_LEVEL_WARN,
            "more of these are counted only; `berth import registry2 --dry-run` lists all",
            F_CSTR("kind", f->kind));
}

/* A large directory takes longer than systemd waits for a start (90 s unless the unit says more).
 */
static void ask_for_time(void)
{
    os_notify("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=taking over the data of registry");
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
    if (p->copies && !a->said_copies)
        LOG(a->app->log, LOG_LEVEL_WARN,
            "blobs are copied: these files cannot be linked (another file system, or another "
            "user's: docs/import.md)",
            F_INT("bytes", p->copies));
    a->said_copies = p->copies != 0;
    if (now - a->said_ms < SAY_MS)
        return;
    a->said_ms = now;
    ask_for_time();
    LOG(a->app->log, LOG_LEVEL_INFO, "taking over the data of registry",
        F_INT("blobs", p->blobs_done), F_INT("of", p->blobs_total),
        F_INT("repositories", p->repositories), F_INT("manifests", p->manifests),
        F_INT("tags", p->tags));
}

int app_adopt(struct app *app, struct error *err)
{
    struct adoption a = {.app = app, .said_ms = os_mono_ms()};
    struct import_result r = {0};
    if (!app->s->adopt || !import_detect(app->directory))
        return 0;
    int known = import_adopted(app->directory, app->directory, err);
    if (known > 0)
        LOG(app->log, LOG_LEVEL_INFO,
            "the data of registry in this directory was taken over before; what it got since comes "
            "in by `berth import registry2 DIR --data DIR` while berth is stopped",
            F_CSTR("directory", app->directory));
    if (known)
        return MIN(known, 0);
    LOG(app->log, LOG_LEVEL_INFO,
        "the data directory has the data of registry in it: taking it over (the original is not "
        "changed)",
        F_CSTR("directory", app->directory));
    ask_for_time();
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
    if (import_run(&c, &r, err)) {
        app->stopping = atomic_load(&a.cancel);
        return -1;
    }
    /* A mark now would leave out for good, and almost silently, what may be whole repositories. */
    if (r.unread)
        return error_detail(err, ERR_UNAVAILABLE,
                            "%s: %llu directories or links of registry's data could not be read "
                            "(the log names them): start again when that is repaired; or, to go on "
                            "without them, run `berth import registry2 DIR --data DIR` once",
                            app->directory, (unsigned long long)r.unread);
    if (import_mark(app->directory, app->directory, &r, err))
        return -1;
    os_notify("STATUS="); /* else systemctl shows the last one for good */
    LOG(app->log, LOG_LEVEL_INFO, "the data of registry is taken over",
        F_INT("repositories", r.repositories), F_INT("manifests", r.manifests),
        F_INT("tags", r.tags), F_INT("blobs_linked", r.blobs_linked),
        F_INT("blobs_copied", r.blobs_copied), F_INT("findings", r.findings));
    return 0;
}
