/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/telemetry.h"

#include "common/clock.h"
#include "export.h"
#include "log/log.h"
#include "otel_env.h"
#include "prometheus.h"
#include "resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/util.h>

#define TARGET "otlp"
/* Scrapes within this time get the same text: many of them can't keep the thread busy. */
#define SCRAPE_EVERY (100 * FZR_MILLISECOND)

struct telemetry {
  char version[64];
  metrics_source source;
  otel_settings settings;
  net_trust *metrics_trust, *traces_trust; /* NULL: no TLS, or the same connection */
  telemetry_past past;
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
    evbuffer_drain(t->scrape, evbuffer_get_length(t->scrape));
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

static void warn_of_variable(void *ctx, const char *name, const char *value, const char *problem)
{
  const log_field fields[] = {
      {"name", LOG_STR, {.str = name}},
      {"problem", LOG_STR, {.str = problem}},
      {"value", LOG_BYTES, {.bytes = {(const uint8_t *)value, value ? strlen(value) : 0}}}};
  (void)ctx;
  log_write(FZR_LOG_WARN, TARGET, "A variable of OpenTelemetry's is not honoured", fields, value ? 3 : 2);
}

static void warn_of_rest(const char *names)
{
  const log_field fields[] = {{"names", LOG_STR, {.str = names}}};
  if (*names)
    log_write(FZR_LOG_WARN, TARGET, "These variables of OpenTelemetry's are set and not honoured", fields, 1);
}

/* Two relays that send to one collector are told apart by what no other one has. One that takes the place of another has its counters, so to
 * a collector it is the same: with another name, but a time since when it counts that is before that, all would be counted twice. */
static void make_past(telemetry *t, const telemetry_past *before)
{
  uint8_t random[16];
  t->past = *before;
  if (!*t->past.instance) {
    evutil_secure_rng_get_bytes(random, sizeof random);
    resource_make_id(random, t->past.instance);
  }
  if (!t->past.counting_since)
    t->past.counting_since = unix_now_ns();
}

static void make_resource(telemetry *t, const telemetry_options *o)
{
  char host[256] = "";
  if (gethostname(host, sizeof host - 1))
    host[0] = 0;
  const resource_facts facts = {.version = t->version,
                                .instance = t->past.instance,
                                .host = host,
                                .attributes = o->env("OTEL_RESOURCE_ATTRIBUTES"),
                                .service_name = o->env("OTEL_SERVICE_NAME")};
  resource_make(&t->resource, &facts, warn_of_attribute, NULL);
}

/* Loads what a server's certificate has to be signed by, if there is TLS. Where that can't be had and the program's own option did not ask
 * for the export, the log says so, and |s| is off. Returns 0; or -1 with |error| if the option did. */
static int load_trust(otel_signal *s, const char *what, net_trust **trust, const telemetry_options *o,
                      char *error)
{
  char problem[NET_TLS_ERROR_MAX];
  if (!s->on || !grpc_endpoint_has_tls(s->endpoint))
    return 0;
  *trust = s->certificate ? net_trust_load_file(s->certificate, problem) : net_trust_load(o->env, problem);
  if (*trust)
    return 0;
  const char *name = s->certificate ? s->certificate_name : "";
  const char *colon = s->certificate ? ": " : "";
  if (o->otlp_endpoint && *o->otlp_endpoint) {
    snprintf(error, TELEMETRY_ERROR_MAX, "--otlp-grpc-endpoint: %s%s%.*s", name, colon,
             (int)(TELEMETRY_ERROR_MAX - 2 * OTEL_NAME_MAX), problem);
    return -1;
  }
  log_warn(TARGET, "Can't export %s: %s%s%s", what, name, colon, problem);
  s->on = false;
  return 0;
}

static grpc_config config_of(const otel_signal *s, const char *agent, const net_trust *trust)
{
  return (grpc_config){.endpoint = s->endpoint,
                       .agent = agent,
                       .headers = s->headers,
                       .header_count = s->header_count,
                       .trust = trust};
}

static void log_target(const otel_signal *s, const char *what)
{
  if (!s->on)
    return;
  log_info(TARGET, "Exporting %s to %.200s%s", what, s->endpoint,
           s->header_count ? ", with headers of the operator's" : "");
  if (s->header_count && !grpc_endpoint_has_tls(s->endpoint))
    log_warn(TARGET,
             "The headers that go with %s to %.200s can be read on the way, as there is no TLS: is it an "
             "endpoint for https://?",
             what, s->endpoint);
}

static int start_exporter(telemetry *t, const telemetry_options *o, struct event_base *base, bool *unusable,
                          char *error)
{
  char agent[64];
  otel_settings *s = &t->settings;
  const bool shared = s->metrics.on && s->traces.on && otel_is_same(&s->metrics, &s->traces);
  make_resource(t, o);
  t->origin = (otlp_origin){&t->resource, t->version};
  snprintf(agent, sizeof agent, "firezone-relay/%.40s", t->version);
  if (load_trust(&s->metrics, shared ? "metrics and traces" : "metrics", &t->metrics_trust, o, error) ||
      (!shared && load_trust(&s->traces, "traces", &t->traces_trust, o, error))) {
    *unusable = true;
    return -1;
  }
  if (shared)
    s->traces.on = s->metrics.on;
  if (!s->metrics.on && !s->traces.on)
    return 0;
  const grpc_config metrics = config_of(&s->metrics, agent, t->metrics_trust);
  const grpc_config traces = config_of(&s->traces, agent, t->traces_trust);
  const exporter_config config = {.base = base,
                                  .metrics = s->metrics.on ? &metrics : NULL,
                                  .traces = !s->traces.on ? NULL
                                            : shared      ? &metrics
                                                          : &traces,
                                  .metrics_timeout_ms = s->metrics.timeout_ms,
                                  .traces_timeout_ms = s->traces.timeout_ms,
                                  .origin = &t->origin,
                                  .metric_interval_ms = s->interval_ms,
                                  .temporality = s->temporality,
                                  .start_unix_ns = t->past.counting_since,
                                  .own_start_unix_ns = unix_now_ns(),
                                  .snapshot = take_snapshot,
                                  .ctx = t,
                                  .rings = o->workers};
  t->exporter = exporter_new(&config, error);
  if (!t->exporter)
    return -1;
  log_target(&s->metrics, shared ? "metrics and traces" : "metrics");
  if (!shared)
    log_target(&s->traces, "traces");
  return 0;
}

telemetry *telemetry_new(const telemetry_options *o, struct event_base *base, bool *unusable, char *error)
{
  *unusable = false;
  telemetry *t = calloc(1, sizeof *t);
  if (!t || !(t->scrape = evbuffer_new())) {
    snprintf(error, TELEMETRY_ERROR_MAX, "out of memory");
    free(t);
    return NULL;
  }
  snprintf(t->version, sizeof t->version, "%s", o->version);
  t->source = o->source;
  make_past(t, &o->past);
  otel_read(&t->settings, o->otlp_endpoint, o->env, o->environment, warn_of_variable, NULL);
  warn_of_rest(t->settings.left);
  if ((t->settings.metrics.on || t->settings.traces.on) && start_exporter(t, o, base, unusable, error)) {
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

const telemetry_past *telemetry_present(const telemetry *t)
{
  return &t->past;
}

void telemetry_go_on(telemetry *t, const metrics_snapshot *then, uint64_t at)
{
  if (t->exporter)
    exporter_go_on(t->exporter, then, at);
}

void telemetry_give(telemetry *t, uint64_t at)
{
  if (t->exporter)
    exporter_give(t->exporter, at);
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
  net_trust_free(t->metrics_trust);
  net_trust_free(t->traces_trust);
  evbuffer_free(t->scrape);
  free(t);
}
