/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as text for Prometheus, format 0.0.4. */
#ifndef TELEMETRY_PROMETHEUS_H
#define TELEMETRY_PROMETHEUS_H

#include "metrics.h"

#include <event2/buffer.h>

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Adds all metrics of |snapshot| to |out|. */
void prometheus_write(const metrics_snapshot *snapshot, struct evbuffer *out);

#endif
