/* SPDX-License-Identifier: Apache-2.0 */
/* Sends metrics and spans to a collector by OTLP/gRPC: batches, retries, backoff. Everything that waits is bounded; a collector that is
 * away, slow or hostile costs that much and nothing else. Runs on one event base. */
#ifndef TELEMETRY_EXPORT_H
#define TELEMETRY_EXPORT_H

#include "grpc/client.h"
#include "otlp.h"

#include <event2/event.h>

#define EXPORT_SPAN_QUEUE   2048u
#define EXPORT_SPAN_BATCH   512u
#define EXPORT_SPAN_WAIT    (5 * FZR_SECOND)
#define EXPORT_ATTEMPTS     5u               /* for one batch of spans */
#define EXPORT_BACKOFF      (2 * FZR_SECOND) /* the first, on average */
#define EXPORT_BACKOFF_MAX  (30 * FZR_SECOND)
#define EXPORT_PUSHBACK_MAX 300000

typedef struct exporter exporter;

/* Pointers must outlive the exporter, but for those to a grpc_config. */
typedef struct exporter_config {
  struct event_base *base;
  const grpc_config *metrics, *traces;            /* NULL: not exported; the same: by one connection */
  unsigned metrics_timeout_ms, traces_timeout_ms; /* of one call */
  const otlp_origin *origin;
  unsigned metric_interval_ms;
  enum otlp_temporality temporality;
  uint64_t start_unix_ns;                             /* when counting began */
  uint64_t own_start_unix_ns;                         /* the same, of what this process counts of itself */
  void (*snapshot)(void *ctx, metrics_snapshot *out); /* takes a whole one */
  void *ctx;
  unsigned rings; /* how many workers have spans */
} exporter_config;

/* Starts exporting: the first metrics go out after one interval. NULL with one line in the GRPC_ERROR_MAX bytes at |error| if it can't. */
exporter *exporter_new(const exporter_config *config, char *error);

/* Frees all, with what has not been sent. The workers must have ended. NULL is allowed. */
void exporter_free(exporter *e);

/* The ring that worker |index| writes its spans to. */
span_ring *exporter_ring(exporter *e, unsigned index);

/* What was counted up to |at| (Unix time, nanoseconds), which is |then|, another process tells. */
void exporter_go_on(exporter *e, const metrics_snapshot *then, uint64_t at);

/* From |at| on another process tells: the metrics are sent once more, if what was added is told, and else no more at all. */
void exporter_give(exporter *e, uint64_t at);

/* Sends what there is, and the metrics, running the event loop until it is sent, was refused, or |timeout_ms| have passed. Not from
 * within a callback of that loop. A loopbreak ends it. Nothing is exported afterwards. */
void exporter_flush(exporter *e, unsigned timeout_ms);

/* How many spans were lost: rings or queue full, or not taken by the collector. */
uint64_t exporter_spans_dropped(const exporter *e);

#endif
