/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/telemetry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "clock.h"
#include "export.h"
#include "log.h"
#include "prometheus.h"
#include "resource.h"

#define TARGET              "otlp"
#define DEFAULT_INTERVAL_MS 60000u
/* Scrapes within this time get the same text: many of them can't keep the thread busy. */
#define SCRAPE_EVERY (100 * FZR_MILLISECOND)

struct telemetry {
  char version[64];
  metrics_source source;
  resource resource;
  otlp_origin origin;
  exporter *exporter;
  struct evbuffer *scrape; /* the last one */
  fzr_time scraped;        /* 0: never */
};

static void take_snapshot(void *ctx, metrics_snapshot *out)
{
  const telemetry *t = ctx;
  memset(out, 0, sizeof *out);
  t->source.take(t->source.ctx, out);
  out->log_lines_dropped = log_lines_dropped();
  out->spans_dropped = exporter_spans_dropped(t->exporter);
  metrics_read_process(&out->process);
}

/* ---- GET /metrics ---- */

static void on_metrics(void *ctx, const http_request *request, http_response *response)
{
  telemetry *t = ctx;
  const fzr_time now = monotonic_now();
  (void)request;
  if (!t->scraped || now - t->scraped >= SCRAPE_EVERY) {
    metrics_snapshot snapshot;
    take_snapshot(t, &snapshot);
    (void)evbuffer_drain(t->scrape, evbuffer_get_length(t->scrape));
    prometheus_write(&snapshot, t->scrape);
    t->scraped = now;
  }
  response->content_type = PROMETHEUS_CONTENT_TYPE;
  const size_t len = evbuffer_get_length(t->scrape);
  if (evbuffer_add(response->body, evbuffer_pullup(t->scrape, -1), len))
    response->status = 500;
}

int telemetry_serve(telemetry *t, http_server *server)
{
  return http_server_route(server, EVHTTP_REQ_GET, "/metrics", on_metrics, t);
}

/* ---- start ---- */

static void warn_of_attribute(void *ctx, const char *part, size_t len, const char *problem)
{
  const log_field fields[] = {{"part", LOG_BYTES, {.bytes = {(const uint8_t *)part, len}}},
                              {"problem", LOG_STR, {.str = problem}}};
  (void)ctx;
  log_write(FZR_LOG_WARN, TARGET, "Skipped a part of OTEL_RESOURCE_ATTRIBUTES", fields, 2);
}

unsigned telemetry_read_interval(const char *text)
{
  uint64_t value = 0;
  for (const char *p = text; *p; p++) {
    if (*p < '0' || *p > '9')
      return 0;
    value = value * 10 + (unsigned)(*p - '0');
    if (value > INT32_MAX)
      return 0;
  }
  return (unsigned)value;
}

static unsigned metric_interval(const char *text)
{
  if (!text || !*text)
    return DEFAULT_INTERVAL_MS;
  const unsigned value = telemetry_read_interval(text);
  if (value)
    return value;
  const log_field fields[] = {{"value", LOG_BYTES, {.bytes = {(const uint8_t *)text, strlen(text)}}}};
  log_write(FZR_LOG_WARN, TARGET,
            "OTEL_METRIC_EXPORT_INTERVAL is no number of milliseconds: it stays at 60000", fields, 1);
  return DEFAULT_INTERVAL_MS;
}

static uint64_t unix_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * FZR_SECOND + (uint64_t)now.tv_nsec;
}

static enum otlp_temporality temporality(const char *text)
{
  static const char *const names[] = {
      [OTLP_CUMULATIVE] = "cumulative", [OTLP_DELTA] = "delta", [OTLP_LOW_MEMORY] = "lowmemory"};
  if (!text || !*text)
    return OTLP_CUMULATIVE;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (strcasecmp(text, names[i]) == 0)
      return (enum otlp_temporality)i;
  const log_field fields[] = {{"value", LOG_BYTES, {.bytes = {(const uint8_t *)text, strlen(text)}}}};
  log_write(
      FZR_LOG_WARN, TARGET,
      "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is none of cumulative, delta and lowmemory: it "
      "stays at cumulative",
      fields, 1);
  return OTLP_CUMULATIVE;
}

/* Two relays that send to one collector are told apart by what no other process has. */
static void make_resource(telemetry *t, const telemetry_options *o)
{
  uint8_t random[16];
  char instance[37], host[256] = "";
  evutil_secure_rng_get_bytes(random, sizeof random);
  resource_make_id(random, instance);
  if (gethostname(host, sizeof host - 1))
    host[0] = 0;
  const resource_facts facts = {.version = t->version,
                                .instance = instance,
                                .host = host,
                                .attributes = o->env("OTEL_RESOURCE_ATTRIBUTES"),
                                .service_name = o->env("OTEL_SERVICE_NAME")};
  resource_make(&t->resource, &facts, warn_of_attribute, NULL);
}

static int start_exporter(telemetry *t, const telemetry_options *o, struct event_base *base, char *error)
{
  char agent[64];
  make_resource(t, o);
  t->origin = (otlp_origin){&t->resource, t->version};
  snprintf(agent, sizeof agent, "firezone-relay/%.40s", t->version);
  const exporter_config config = {
      .base = base,
      .endpoint = o->otlp_endpoint,
      .agent = agent,
      .origin = &t->origin,
      .metric_interval_ms = metric_interval(o->env("OTEL_METRIC_EXPORT_INTERVAL")),
      .temporality = temporality(o->env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")),
      .start_unix_ns = unix_ns(),
      .snapshot = take_snapshot,
      .ctx = t,
      .rings = o->workers};
  t->exporter = exporter_new(&config, error);
  if (t->exporter)
    log_info(TARGET, "Exporting metrics and traces to %.200s", o->otlp_endpoint);
  return t->exporter ? 0 : -1;
}

telemetry *telemetry_new(const telemetry_options *o, struct event_base *base, char *error)
{
  telemetry *t = calloc(1, sizeof *t);
  if (!t || !(t->scrape = evbuffer_new())) {
    snprintf(error, TELEMETRY_ERROR_MAX, "out of memory");
    free(t);
    return NULL;
  }
  snprintf(t->version, sizeof t->version, "%s", o->version);
  t->source = o->source;
  if (o->otlp_endpoint && *o->otlp_endpoint && start_exporter(t, o, base, error)) {
    telemetry_free(t);
    return NULL;
  }
  return t;
}

const char *telemetry_check_endpoint(const char *endpoint)
{
  return grpc_check_endpoint(endpoint);
}

span_ring *telemetry_spans(telemetry *t, unsigned index)
{
  return exporter_ring(t->exporter, index);
}

void telemetry_flush(telemetry *t, unsigned timeout_ms)
{
  if (t)
    exporter_flush(t->exporter, timeout_ms);
}

void telemetry_free(telemetry *t)
{
  if (!t)
    return;
  exporter_free(t->exporter);
  evbuffer_free(t->scrape);
  free(t);
}
