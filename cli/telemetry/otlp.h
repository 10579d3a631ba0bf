/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics and spans as messages of the OpenTelemetry protocol (OTLP 1.x, protobuf). */
#ifndef TELEMETRY_OTLP_H
#define TELEMETRY_OTLP_H

#include "metrics.h"
#include "resource.h"
#include "spans.h"

/* gRPC's paths of the two services. */
#define OTLP_METRICS_PATH "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
#define OTLP_TRACES_PATH  "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

/* Who tells it. */
typedef struct otlp_origin {
  const resource *resource;
  const char *version;
} otlp_origin;

/* What counters tell: all since the start, or what was added since they were last told (OpenTelemetry's "temporality preference"). Up-down
 * counters always tell all. */
enum otlp_temporality {
  OTLP_CUMULATIVE,
  OTLP_DELTA,     /* all counters, and histograms */
  OTLP_LOW_MEMORY /* but for counters that are looked at, not added to, such as CPU time */
};

/* What a message tells of. */
typedef struct otlp_window {
  enum otlp_temporality temporality;
  uint64_t start_unix_ns;     /* when counting began */
  uint64_t own_start_unix_ns; /* the same, of what the process counts of itself, and no other goes on with */
  const metrics_snapshot *now;
  uint64_t now_unix_ns;
  const metrics_snapshot *before; /* what was told last; NULL: nothing yet */
  uint64_t before_unix_ns;
} otlp_window;

/* Makes an ExportMetricsServiceRequest. Returns malloc'ed bytes, *|len| of them, or NULL if memory is out. */
uint8_t *otlp_pack_metrics(const otlp_origin *origin, const otlp_window *window, size_t *len);

/* An ExportTraceServiceRequest that spans are added to as they come. */
typedef struct otlp_spans otlp_spans;

/* An empty one; NULL if memory is out. It keeps nothing of |origin|. */
otlp_spans *otlp_spans_new(const otlp_origin *origin);
/* NULL is allowed. */
void otlp_spans_free(otlp_spans *batch);

/* Adds |s|. |to_unix_ns| is what has to be added to its times. Returns 0, or -1 if memory is out: it is as before then. */
int otlp_spans_add(otlp_spans *batch, const span *s, uint64_t to_unix_ns);

size_t otlp_spans_count(const otlp_spans *batch);
/* When the first span in it ended (CLOCK_MONOTONIC); there has to be one. */
fzr_time otlp_spans_oldest(const otlp_spans *batch);

/* The message, *|len| bytes of it; they stay until spans are added or all are thrown away. */
const uint8_t *otlp_spans_message(otlp_spans *batch, size_t *len);

/* Throws all spans away and keeps the memory. */
void otlp_spans_clear(otlp_spans *batch);

/* What the collector says of a request that it accepted. */
typedef struct otlp_partial {
  int64_t rejected;  /* spans or data points */
  char message[256]; /* UTF-8; "" if it says nothing */
} otlp_partial;

/* Reads an ExportTraceServiceResponse or ExportMetricsServiceResponse. Returns false if it is none. */
bool otlp_read_response(const uint8_t *data, size_t len, otlp_partial *out);

#endif
