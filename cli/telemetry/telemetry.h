/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics and traces of a relay: GET /metrics, and exports to a collector. Everything but span_ring_record happens on the thread of one
 * event base. Logs are in log.h. */
#ifndef TELEMETRY_TELEMETRY_H
#define TELEMETRY_TELEMETRY_H

#include "http/server.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"

#include <event2/event.h>

#define TELEMETRY_ERROR_MAX 256

typedef struct telemetry telemetry;

/* By which a collector knows the counters of a relay. They go on in the process that takes its place. */
typedef struct telemetry_past {
  char instance[37];       /* service.instance.id; "": not known */
  uint64_t counting_since; /* Unix time, nanoseconds; 0: not known */
} telemetry_past;

typedef struct telemetry_options {
  const char *version;
  const char *otlp_endpoint; /* NULL or "": where OpenTelemetry's variables say, if they do */
  unsigned workers;
  metrics_source source;
  char *(*env)(const char *name); /* getenv: see otel_env.h; OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES */
  char *const *environment;       /* all of it; NULL: not known */
  telemetry_past past;            /* of the process whose place is taken, if there is one */
} telemetry_options;

/* Starts. Strings are copied. Variables that make no sense are warned about in the log, and so is one without which nothing can be
 * exported. NULL with one line in the TELEMETRY_ERROR_MAX bytes at |error| if it can't; in |unusable| whether that is for what
 * |otlp_endpoint| needs. */
telemetry *telemetry_new(const telemetry_options *options, struct event_base *base, bool *unusable,
                         char *error);

/* What is wrong with |endpoint| as --otlp-grpc-endpoint: static text, or NULL. */
const char *telemetry_check_endpoint(const char *endpoint);

/* Adds GET /metrics to |server|, which must be freed before |t|. Returns 0, or -1 with errno set. */
int telemetry_serve(telemetry *t, http_server *server);

/* Where worker |index| records its requests, see span_ring_record; NULL if nothing is traced. Valid until telemetry_free. */
span_ring *telemetry_spans(telemetry *t, unsigned index);

/* What the process that takes this one's place has to know. It stays until telemetry_free. */
const telemetry_past *telemetry_present(const telemetry *t);

/* This process has taken the place of another one, which tells what was counted up to |at| (Unix time, nanoseconds): what the workers of
 * |then| had at that time. What was added since is told from here. */
void telemetry_go_on(telemetry *t, const metrics_snapshot *then, uint64_t at);

/* Another process has taken the place of this one at |at|, and nothing is counted any more. What was added up to then is told, where that
 * is what the collector is told; all else is for the other one to tell. */
void telemetry_give(telemetry *t, uint64_t at);

/* Before the end: sends what has not been sent, and the metrics as they are now; runs the event loop for |timeout_ms| at most. The
 * workers must still be there to be asked. Nothing is exported afterwards. NULL is allowed. */
void telemetry_flush(telemetry *t, unsigned timeout_ms);

/* After the workers have ended. NULL is allowed. */
void telemetry_free(telemetry *t);

#endif
