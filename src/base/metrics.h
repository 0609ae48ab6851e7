/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus metrics: counters, gauges and histograms with fixed label sets, updated with relaxed
 * atomics from any thread, printed in the text exposition format. Label values are fixed at
 * registration, so cardinality is bounded by the program. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buf.h"

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* Registers (or finds: same name and labels) a metric. Thread-safe, takes a lock: keep the pointer.
 * The metric lives as long as the registry. `labels` is the text between the braces, e.g.
 * "handler=\"blob\",method=\"get\"", or "" for none. All metrics of one name have one type and one
 * help text. */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels);
/* `bounds`: n ascending upper bounds, static storage; +Inf is added. */
struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                 const char *labels, const double *bounds, unsigned n);
/* A gauge or counter whose value is asked for at print time (fn must be thread-safe). */
void metrics_callback(struct metrics *m, const char *type, const char *name, const char *help,
                      const char *labels, double (*fn)(void *arg), void *arg);

void metric_add(struct metric *m, int64_t by); /* counter (by >= 0) or gauge */
void metric_set(struct metric *m, int64_t v);  /* gauge */
void metric_observe(struct metric *m, double v);
int64_t metric_value(const struct metric *m);

/* Text exposition format 0.0.4, families sorted by name. 0, or -1 when `out` is full. */
int metrics_print(struct metrics *m, struct buf *out);

/* Default duration bounds in seconds (those of Prometheus' client: 0.005 … 10). */
extern const double metrics_seconds[11];
/* Size bounds in bytes: 100, 1e3 … 1e9 (8 values). */
extern const double metrics_bytes[8];

#endif
