/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_view.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/util.h"
#include "os/clock.h"

#include "base/banned.h"

enum {
    SHOWN_MAX = 20, /* findings of a kind on standard output */
    LINE_MS = 5000, /* between two lines of progress */
    BAR_WIDTH = 24,
    BLOB_WEIGHT = 32 * 1024 /* what a blob costs besides its bytes, in bytes that are hashed */
};

void import_view_init(struct import_view *v, bool json, bool full, bool dry_run, FILE *report)
{
    *v = (struct import_view){.report = report, .json = json, .full = full, .dry_run = dry_run};
    v->terminal = isatty(STDERR_FILENO) == 1;
    v->started_ms = v->said_ms = v->phase_ms = os_mono_ms();
}

void import_view_clear(struct import_view *v)
{
    if (v->bar)
        fputs("\r\x1b[K", stderr);
    v->bar = false;
}

/* --- findings --- */

static uint64_t *kind_count(struct import_view *v, const char *kind)
{
    size_t i = 0;
    while (i < VIEW_KINDS - 1 && v->kinds[i].kind && strcmp(v->kinds[i].kind, kind) != 0)
        i++;
    v->kinds[i].kind = kind;
    return &v->kinds[i].n;
}

static void put_json(FILE *to, struct buf *b)
{
    buf_putc(b, '\n');
    if (!b->failed)
        (void)fwrite(b->p, 1, b->n, to);
    buf_release(b);
}

static void finding_json(FILE *to, const struct import_finding *f)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 64 * 1024);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "kind");
    jw_cstr(&w, f->kind);
    jw_key(&w, "path");
    jw_cstr(&w, f->path);
    jw_key(&w, "text");
    jw_cstr(&w, f->text);
    jw_object_end(&w);
    put_json(to, &b);
}

static void finding_put(const struct import_view *v, FILE *to, const struct import_finding *f)
{
    if (v->json)
        finding_json(to, f);
    else
        fprintf(to, "%s: %s: %s\n", f->kind, f->path, f->text);
}

void import_view_finding(struct import_view *v, const struct import_finding *f)
{
    uint64_t n = ++*kind_count(v, f->kind);
    if (v->report)
        finding_put(v, v->report, f);
    if (n > SHOWN_MAX && !v->json) {
        if (n == SHOWN_MAX + 1) {
            import_view_clear(v);
            printf("%s: more of these are counted only%s\n", f->kind,
                   v->report ? "; the report has them all"
                             : "; --report FILE writes them all down");
        }
        return;
    }
    import_view_clear(v);
    finding_put(v, stdout, f);
    (void)fflush(stdout);
}

/* --- progress --- */

static void size_text(uint64_t n, char out[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)n;
    size_t i = 0;
    while (x >= 1024 && i + 1 < ARRAY_LEN(units)) {
        x /= 1024;
        i++;
    }
    (void)snprintf(out, 24, i ? "%.1f %s" : "%.0f %s", x, units[i]);
}

static void time_text(uint64_t ms, char out[24])
{
    uint64_t s = (ms + 500) / 1000;
    if (s >= 3600)
        (void)snprintf(out, 24, "%" PRIu64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60),
                       (int)(s % 60));
    else
        (void)snprintf(out, 24, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

/* How much of the blobs is done, 0 to 1. A hard link costs the same for every size. */
static double part_done(const struct import_view *v, const struct import_progress *p)
{
    uint64_t weight = v->full ? BLOB_WEIGHT : 0;
    double total =
        v->full ? (double)(p->bytes_total + p->blobs_total * weight) : (double)p->blobs_total;
    double done =
        v->full ? (double)(p->bytes_done + p->blobs_done * weight) : (double)p->blobs_done;
    return total > 0 ? MIN(done / total, 1.0) : 1.0;
}

static void blobs_text(const struct import_view *v, const struct import_progress *p, uint64_t now,
                       char *out, size_t n)
{
    char bytes[24];
    char rate[24];
    char left[24] = "?";
    char bar[BAR_WIDTH + 1];
    double part = part_done(v, p);
    uint64_t spent = MAX(now - v->phase_ms, UINT64_C(1));
    size_t filled = (size_t)(part * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    size_text(p->bytes_done, bytes);
    size_text(p->bytes_done * 1000 / spent, rate);
    if (part > 0)
        time_text((uint64_t)((double)spent * (1 - part) / part), left);
    (void)snprintf(out, n, "[%s] %3.0f %%  %" PRIu64 "/%" PRIu64 " blobs  %s  %s/s  %s left", bar,
                   part * 100, p->blobs_done, p->blobs_total, bytes, rate, left);
}

static void progress_text(const struct import_view *v, const struct import_progress *p,
                          uint64_t now, char *out, size_t n)
{
    switch (p->phase) {
    case IMPORT_LOOKING:
        (void)snprintf(out, n, "looking: %" PRIu64 " repositories, %" PRIu64 " tags",
                       p->repositories, p->tags);
        break;
    case IMPORT_CHECKING:
        (void)snprintf(out, n, "checking: %" PRIu64 "/%" PRIu64 " manifests", p->manifests,
                       p->manifests_total);
        break;
    case IMPORT_BLOBS:
        blobs_text(v, p, now, out, n);
        break;
    case IMPORT_REPOSITORIES:
        (void)snprintf(out, n,
                       "repositories: %" PRIu64 "/%" PRIu64 ", %" PRIu64 " manifests, %" PRIu64
                       " tags",
                       p->repositories, p->repositories_total, p->manifests, p->tags);
        break;
    }
}

void import_view_progress(struct import_view *v, const struct import_progress *p)
{
    char text[256] = "";
    uint64_t now = os_mono_ms();
    if (v->phase != p->phase) {
        v->phase = p->phase;
        v->phase_ms = now;
    }
    if (p->copies && !v->said_copies) {
        size_text(p->copies, text);
        import_view_clear(v);
        fprintf(stderr,
                "berth: the blobs cannot be hard links here (another file system, or files of "
                "another user): %s are copied\n",
                text);
    }
    v->said_copies = p->copies != 0;
    if (!v->terminal && now - v->said_ms < LINE_MS)
        return;
    v->said_ms = now;
    progress_text(v, p, now, text, sizeof text);
    fprintf(stderr, v->terminal ? "\r\x1b[K%s" : "%s\n", text);
    (void)fflush(stderr);
    v->bar = v->terminal;
}

/* --- the end --- */

struct row {
    const char *key, *text;
    uint64_t n;
};

enum { ROWS = 10 };

static void rows_of(const struct import_result *r, struct row out[ROWS])
{
    const struct row rows[ROWS] = {
        {"repositories", "repositories", r->repositories},
        {"manifests", "manifests", r->manifests},
        {"tags", "tags", r->tags},
        {"links", "links of repositories to blobs", r->links},
        {"blobs_linked", "blobs as hard links", r->blobs_linked},
        {"blobs_copied", "blobs copied (or cloned)", r->blobs_copied},
        {"blobs_inline", "small blobs in the database", r->blobs_inline},
        {"blobs_present", "blobs that were there already", r->blobs_present},
        {"blobs_bytes", "bytes of all blobs", r->blobs_bytes},
        {"findings", "findings", r->findings},
    };
    memcpy(out, rows, sizeof rows);
}

static void result_json(const struct import_view *v, const struct row *rows)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 64 * 1024);
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, "result");
    jw_object(&w);
    for (int i = 0; i < ROWS; i++) {
        jw_key(&w, rows[i].key);
        jw_int(&w, (int64_t)rows[i].n);
    }
    jw_key(&w, "kinds");
    jw_object(&w);
    for (size_t i = 0; i < VIEW_KINDS && v->kinds[i].kind; i++) {
        jw_key(&w, v->kinds[i].kind);
        jw_int(&w, (int64_t)v->kinds[i].n);
    }
    jw_object_end(&w);
    jw_key(&w, "milliseconds");
    jw_int(&w, (int64_t)(os_mono_ms() - v->started_ms));
    jw_key(&w, "dry_run");
    jw_bool(&w, v->dry_run);
    jw_object_end(&w);
    jw_object_end(&w);
    put_json(stdout, &b);
}

void import_view_result(struct import_view *v, const struct import_result *r)
{
    struct row rows[ROWS];
    char spent[24];
    char bytes[24];
    rows_of(r, rows);
    import_view_clear(v);
    if (v->json) {
        result_json(v, rows);
        (void)fflush(stdout);
        return;
    }
    size_text(r->blobs_bytes, bytes);
    time_text(os_mono_ms() - v->started_ms, spent);
    printf("%s\n", v->dry_run ? "A dry run: nothing was written. It would have come to this:"
                              : "Imported:");
    for (int i = 0; i < ROWS; i++) {
        bool is_bytes = strcmp(rows[i].key, "blobs_bytes") == 0;
        printf("%12" PRIu64 "  %s%s%s%s\n", rows[i].n, rows[i].text, is_bytes ? " (" : "",
               is_bytes ? bytes : "", is_bytes ? ")" : "");
    }
    for (size_t i = 0; i < VIEW_KINDS && v->kinds[i].kind; i++)
        printf("%12" PRIu64 "    %s\n", v->kinds[i].n, v->kinds[i].kind);
    printf("in %s\n", spent);
    (void)fflush(stdout);
}
