/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAIN_PROCESS_METRICS_H
#define MAIN_PROCESS_METRICS_H

#include "base/metrics.h"

/* berth_build_info and the process_* metrics of Prometheus' clients. */
void process_metrics_register(struct metrics *m);

#endif
