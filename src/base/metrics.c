/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include "base/banned.h"

enum { CACHE_LINE = 64 };
enum type { COUNTER, GAUGE, HISTOGRAM };

static const char *const type_names[] = {"counter", "gauge", "histogram"};

const double metrics_seconds[11] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
const double metrics_bytes[8] = {100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

/* On cache lines of its own: what one loop counts must not slow down what another counts. */
struct metric {
    alignas(CACHE_LINE) _Atomic int64_t value;
    _Atomic uint64_t sum; /* the bits of a double */
    struct metric *next;
    enum type type;
    unsigned bound_n;
    const double *bounds;
    _Atomic uint64_t *buckets; /* bound_n + 1 of them, not cumulated */
    double (*fn)(void *arg);
    void *arg;
    char *labels;
};

struct family {
    struct family *next;
    char *name, *help;
    enum type type;
    struct metric *first, **last;
};

struct metrics {
    pthread_mutex_t lock;    /* guards the lists; the values are atomic */
    struct family *families; /* sorted by name */
};

struct metrics *metrics_new(void)
{
    struct metrics *m = xcalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void metric_free(struct metric *x)
{
    free((void *)x->buckets);
    free(x->labels);
    free(x);
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    while (m->families) {
        struct family *f = m->families;
        m->families = f->next;
        while (f->first) {
            struct metric *x = f->first;
            f->first = x->next;
            metric_free(x);
        }
        free(f->name);
        free(f->help);
        free(f);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- registration, under the lock ---- */

static struct family *family_get(struct metrics *m, enum type type, const char *name,
                                 const char *help)
{
    struct family **at = &m->families;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    struct family *f = *at;
    if (f && strcmp(f->name, name) == 0) {
        CHECK(f->type == type && strcmp(f->help, help) == 0);
        return f;
    }
    f = xcalloc(1, sizeof *f);
    *f = (struct family){.next = *at, .name = xstrdup(name), .help = xstrdup(help), .type = type};
    f->last = &f->first;
    *at = f;
    return f;
}

static struct metric *metric_get(struct metrics *m, enum type type, const char *name,
                                 const char *help, const char *labels)
{
    struct family *f = family_get(m, type, name, help);
    struct metric *x = f->first;
    while (x && strcmp(x->labels, labels) != 0)
        x = x->next;
    if (x)
        return x;
    x = aligned_alloc(CACHE_LINE, sizeof *x);
    CHECK(x);
    memset(x, 0, sizeof *x);
    x->type = type;
    x->labels = xstrdup(labels);
    *f->last = x;
    f->last = &x->next;
    return x;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels)
{
    pthread_mutex_lock(&m->lock);
    struct metric *x = metric_get(m, COUNTER, name, help, labels);
    pthread_mutex_unlock(&m->lock);
    return x;
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels)
{
    pthread_mutex_lock(&m->lock);
    struct metric *x = metric_get(m, GAUGE, name, help, labels);
    pthread_mutex_unlock(&m->lock);
    return x;
}

struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                 const char *labels, const double *bounds, unsigned n)
{
    CHECK(n > 0);
    for (unsigned i = 1; i < n; i++)
        CHECK(bounds[i - 1] < bounds[i]);
    pthread_mutex_lock(&m->lock);
    struct metric *x = metric_get(m, HISTOGRAM, name, help, labels);
    if (!x->buckets) {
        x->bounds = bounds;
        x->bound_n = n;
        x->buckets = xcalloc(n + 1, sizeof *x->buckets);
    }
    CHECK(x->bound_n == n && memcmp(x->bounds, bounds, n * sizeof *bounds) == 0);
    pthread_mutex_unlock(&m->lock);
    return x;
}

void metrics_callback(struct metrics *m, const char *type, const char *name, const char *help,
                      const char *labels, double (*fn)(void *arg), void *arg)
{
    enum type t = strcmp(type, "counter") == 0 ? COUNTER : GAUGE;
    CHECK(strcmp(type, type_names[t]) == 0);
    pthread_mutex_lock(&m->lock);
    struct metric *x = metric_get(m, t, name, help, labels);
    x->fn = fn;
    x->arg = arg;
    pthread_mutex_unlock(&m->lock);
}

/* ---- values ---- */

void metric_add(struct metric *m, int64_t by)
{
    CHECK(m->type == GAUGE || (m->type == COUNTER && by >= 0));
    atomic_fetch_add_explicit(&m->value, by, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v)
{
    CHECK(m->type == GAUGE);
    atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

static uint64_t to_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void metric_observe(struct metric *m, double v)
{
    CHECK(m->type == HISTOGRAM);
    unsigned i = 0;
    while (i < m->bound_n && !(v <= m->bounds[i])) /* a NaN is above every bound */
        i++;
    atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
    uint64_t old = atomic_load_explicit(&m->sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->sum, &old, to_bits(from_bits(old) + v),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

int64_t metric_value(const struct metric *m)
{
    if (m->type != HISTOGRAM)
        return atomic_load_explicit(&m->value, memory_order_relaxed);
    uint64_t n = 0;
    for (unsigned i = 0; i <= m->bound_n; i++)
        n += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
    return (int64_t)n;
}

/* ---- text ---- */

/* As Go's client prints it (shortest form that reads back the same, exponent from 1e+06 on and
 * below 1e-04), so that `le` labels are the same strings as those of other registries. */
static void print_double(struct buf *out, double v)
{
    if (isnan(v) || isinf(v)) {
        buf_puts(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    char text[40];
    int places = 0;
    do
        (void)snprintf(text, sizeof text, "%.*e", places, v);
    while (strtod(text, NULL) != v && ++places < 17);
    const char *e = strchr(text, 'e');
    long exponent = e ? strtol(e + 1, NULL, 10) : 0;
    if (exponent < -4 || exponent >= 6)
        buf_puts(out, text);
    else
        buf_printf(out, "%.*f", (int)MAX(places - exponent, 0), v);
}

static void print_help(struct buf *out, const char *help)
{
    for (; *help; help++) {
        if (*help == '\\')
            buf_puts(out, "\\\\");
        else if (*help == '\n')
            buf_puts(out, "\\n");
        else
            buf_putc(out, *help);
    }
}

static void print_labels(struct buf *out, const char *labels)
{
    if (*labels)
        buf_printf(out, "{%s}", labels);
    buf_putc(out, ' ');
}

static void print_histogram(struct buf *out, const char *name, const struct metric *x)
{
    /* The count is the sum of what was read, so that it always equals the last bucket. */
    uint64_t n = 0;
    for (unsigned i = 0; i <= x->bound_n; i++) {
        n += atomic_load_explicit(&x->buckets[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"", name, x->labels, *x->labels ? "," : "");
        print_double(out, i < x->bound_n ? x->bounds[i] : (double)INFINITY);
        buf_printf(out, "\"} %" PRIu64 "\n", n);
    }
    buf_printf(out, "%s_sum", name);
    print_labels(out, x->labels);
    print_double(out, from_bits(atomic_load_explicit(&x->sum, memory_order_relaxed)));
    buf_printf(out, "\n%s_count", name);
    print_labels(out, x->labels);
    buf_printf(out, "%" PRIu64 "\n", n);
}

/* The lists are gone through with the lock held for a step at a time: what a callback asks may take
 * long, and a loop that counts something for the first time must not wait for it. Nothing is ever
 * taken off them. */

static const struct family *family_after(struct metrics *m, const struct family *f)
{
    pthread_mutex_lock(&m->lock);
    const struct family *next = f ? f->next : m->families;
    pthread_mutex_unlock(&m->lock);
    return next;
}

struct asked {
    const struct metric *x; /* NULL before the first */
    double (*fn)(void *arg);
    void *arg;
};

static bool metric_after(struct metrics *m, const struct family *f, struct asked *a)
{
    pthread_mutex_lock(&m->lock);
    const struct metric *x = a->x ? a->x->next : f->first;
    if (x)
        *a = (struct asked){x, x->fn, x->arg};
    pthread_mutex_unlock(&m->lock);
    return x;
}

static void print_family(struct metrics *m, struct buf *out, const struct family *f)
{
    struct asked a = {0};
    buf_printf(out, "# HELP %s ", f->name);
    print_help(out, f->help);
    buf_printf(out, "\n# TYPE %s %s\n", f->name, type_names[f->type]);
    while (metric_after(m, f, &a)) {
        if (f->type == HISTOGRAM) {
            print_histogram(out, f->name, a.x);
            continue;
        }
        buf_puts(out, f->name);
        print_labels(out, a.x->labels);
        if (a.fn)
            print_double(out, a.fn(a.arg));
        else
            buf_printf(out, "%" PRId64, metric_value(a.x));
        buf_putc(out, '\n');
    }
}

int metrics_print(struct metrics *m, struct buf *out)
{
    for (const struct family *f = NULL; (f = family_after(m, f)) != NULL;)
        print_family(m, out, f);
    return out->failed ? -1 : 0;
}
