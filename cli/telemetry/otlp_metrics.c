/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp_build.h"

#include "metrics.pb-c.h"

#include <stdio.h>
#include <string.h>

#define MAX_METRICS    (50u + OFFLOADS_MAX * OFFLOAD_FIGURES)
#define NAME_MAX_BYTES 96u
#define MAX_ATTRIBUTES 3u

/* A message in the making. Once memory is out nothing more is added, and it will not be packed. */
typedef struct builder {
  arena arena;
  const otlp_window *window;
  metrics_totals now, before;
  Otlp__Metric *metrics[MAX_METRICS];
  size_t count;
} builder;

/* What OpenTelemetry knows as synchronous counters and histograms, asynchronous counters, up-down counters and gauges. A process that takes the
 * place of another goes on with its counters, but for OWN and OBSERVED. */
enum kind { COUNTER, OWN, OBSERVED, UP_DOWN, GAUGE };

/* A metric with the points that it has so far. */
typedef struct family {
  Otlp__NumberPoint **points;
  size_t *count;
  bool delta;
  bool own; /* of this process alone */
} family;

static bool is_delta(const builder *b, enum kind kind)
{
  switch (b->window->temporality) {
  case OTLP_DELTA:
    return kind == COUNTER || kind == OWN || kind == OBSERVED;
  case OTLP_LOW_MEMORY:
    return kind == COUNTER || kind == OWN;
  default:
    return false;
  }
}

static Otlp__Temporality temporality(bool delta)
{
  return delta ? OTLP__TEMPORALITY__TEMPORALITY_DELTA : OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE;
}

static uint64_t start_of(const builder *b, bool delta, bool own)
{
  const otlp_window *w = b->window;
  if (delta && w->before)
    return w->before_unix_ns;
  return own ? w->own_start_unix_ns : w->start_unix_ns;
}

static Otlp__Metric *add_metric(builder *b, const char *name, const char *unit, const char *description)
{
  OTLP_NEW(&b->arena, Otlp__Metric, OTLP__METRIC__INIT, m);
  if (!m || b->count == MAX_METRICS) {
    b->arena.failed = true;
    return NULL;
  }
  m->name = (char *)name;
  m->unit = (char *)unit;
  m->description = (char *)description;
  b->metrics[b->count++] = m;
  return m;
}

static family add_sum(builder *b, Otlp__Metric *m, enum kind kind, Otlp__NumberPoint **points)
{
  OTLP_NEW(&b->arena, Otlp__Sum, OTLP__SUM__INIT, sum);
  if (!sum)
    return (family){0};
  const bool delta = is_delta(b, kind);
  m->data_case = OTLP__METRIC__DATA_SUM;
  m->sum = sum;
  sum->temporality = temporality(delta);
  sum->is_monotonic = kind != UP_DOWN;
  sum->data_points = points;
  return (family){points, &sum->n_data_points, delta, kind == OWN || kind == OBSERVED};
}

static family add_gauge(builder *b, Otlp__Metric *m, Otlp__NumberPoint **points)
{
  OTLP_NEW(&b->arena, Otlp__Gauge, OTLP__GAUGE__INIT, gauge);
  if (!gauge)
    return (family){0};
  m->data_case = OTLP__METRIC__DATA_GAUGE;
  m->gauge = gauge;
  gauge->data_points = points;
  return (family){points, &gauge->n_data_points, false, false};
}

/* A metric for at most |max| points. */
static family add_family(builder *b, enum kind kind, const char *name, const char *unit,
                         const char *description, size_t max)
{
  Otlp__Metric *m = add_metric(b, name, unit, description);
  Otlp__NumberPoint **points = arena_take(&b->arena, (max ? max : 1) * sizeof *points);
  if (!m || !points)
    return (family){0};
  return kind == GAUGE ? add_gauge(b, m, points) : add_sum(b, m, kind, points);
}

static Otlp__NumberPoint *add_point(builder *b, const family *f)
{
  if (!f->points)
    return NULL;
  OTLP_NEW(&b->arena, Otlp__NumberPoint, OTLP__NUMBER_POINT__INIT, p);
  Otlp__KeyValue **attributes = arena_take(&b->arena, MAX_ATTRIBUTES * sizeof *attributes);
  if (!p || !attributes)
    return NULL;
  p->start_time_unix_nano = start_of(b, f->delta, f->own);
  p->time_unix_nano = b->window->now_unix_ns;
  p->attributes = attributes;
  f->points[(*f->count)++] = p;
  return p;
}

/* |before| is what it was when it was last told, for those that tell what was added since. */
static Otlp__NumberPoint *add_number(builder *b, const family *f, uint64_t value, uint64_t before)
{
  Otlp__NumberPoint *p = add_point(b, f);
  if (!p)
    return NULL;
  const uint64_t told = !f->delta ? value : value > before ? value - before : 0;
  p->value_case = OTLP__NUMBER_POINT__VALUE_AS_INT;
  p->as_int = told > INT64_MAX ? INT64_MAX : (int64_t)told;
  return p;
}

static Otlp__NumberPoint *add_seconds(builder *b, const family *f, double value, double before)
{
  Otlp__NumberPoint *p = add_point(b, f);
  if (!p)
    return NULL;
  p->value_case = OTLP__NUMBER_POINT__VALUE_AS_DOUBLE;
  p->as_double = !f->delta ? value : value > before ? value - before : 0;
  return p;
}

static void add_attribute(Otlp__NumberPoint *p, Otlp__KeyValue *pair)
{
  if (p && pair && p->n_attributes < MAX_ATTRIBUTES)
    p->attributes[p->n_attributes++] = pair;
}

static void with_string(builder *b, Otlp__NumberPoint *p, const char *key, const char *value)
{
  add_attribute(p, otlp_string(&b->arena, key, value));
}

static void with_int(builder *b, Otlp__NumberPoint *p, const char *key, int64_t value)
{
  add_attribute(p, otlp_int(&b->arena, key, value));
}

static void add_single(builder *b, enum kind kind, const char *name, const char *unit,
                       const char *description, uint64_t value, uint64_t before)
{
  const family f = add_family(b, kind, name, unit, description, 1);
  add_number(b, &f, value, before);
}

static void add_responses(builder *b, const char *name, const char *unit)
{
  const family f = add_family(b, COUNTER, name, unit, "The number of responses",
                              (size_t)FZR_STAT_METHODS * FZR_STAT_CODES);
  for (unsigned m = 0; m < FZR_STAT_METHODS; m++) {
    for (unsigned c = 0; c < FZR_STAT_CODES; c++) {
      if (!metrics_has_responses(&b->now, m, c))
        continue;
      Otlp__NumberPoint *p = add_number(b, &f, b->now.responses[m][c], b->before.responses[m][c]);
      with_string(b, p, "response_class", c ? "error" : "success");
      with_string(b, p, "message_type", fzr_stat_method_name(m));
      if (c)
        with_int(b, p, "error_code", fzr_stat_code(c));
    }
  }
}

/* What |o| was when it was last told. */
static const offload_stats *told_of(const builder *b, const offload_stats *o)
{
  return metrics_same_offload(b->window->before, o);
}

static const uint64_t *relayed_by(const offload_stats *o, bool in_bytes)
{
  return in_bytes ? o->bytes : o->packets;
}

/* Who relayed or dropped it: the kernel, and what there. */
static void with_path(builder *b, Otlp__NumberPoint *p, const offload_stats *o)
{
  with_string(b, p, "datapath", o->name);
  with_string(b, p, "program", o->program);
}

/* What went through user space has no attribute, as before there was anything else; what the kernel relayed has two. */
static void add_directions(builder *b, const char *name, const char *unit, const char *description,
                           bool in_bytes)
{
  const metrics_snapshot *s = b->window->now;
  const uint64_t *now = in_bytes ? b->now.bytes : b->now.packets;
  const uint64_t *before = in_bytes ? b->before.bytes : b->before.packets;
  const family f = add_family(b, COUNTER, name, unit, description, 2 * (1 + s->offload_count));
  for (unsigned i = 0; i < 2; i++)
    with_string(b, add_number(b, &f, now[i], before[i]), "direction", metrics_direction(i));
  for (size_t k = 0; k < s->offload_count; k++) {
    const offload_stats *o = &s->offloads[k];
    for (unsigned i = 0; i < 2; i++) {
      Otlp__NumberPoint *p =
          add_number(b, &f, relayed_by(o, in_bytes)[i], relayed_by(told_of(b, o), in_bytes)[i]);
      with_string(b, p, "direction", metrics_direction(i));
      with_path(b, p, o);
    }
  }
}

/* Under the name and unit that Firezone's relay has for it. */
static void add_relayed(builder *b)
{
  const metrics_snapshot *s = b->window->now;
  const family f =
      add_family(b, COUNTER, "data_relayed_bytes", "b", "The number of bytes relayed", 1 + s->offload_count);
  add_number(b, &f, b->now.bytes[0] + b->now.bytes[1], b->before.bytes[0] + b->before.bytes[1]);
  for (size_t i = 0; i < s->offload_count; i++) {
    const offload_stats *o = &s->offloads[i], *then = told_of(b, o);
    with_path(b, add_number(b, &f, o->bytes[0] + o->bytes[1], then->bytes[0] + then->bytes[1]), o);
  }
}

/* |then|: NULL if there was none. */
static void add_figure(builder *b, const offload_stats *o, const offload_figure *now,
                       const offload_figure *then)
{
  char *name = arena_take(&b->arena, NAME_MAX_BYTES);
  if (!name)
    return;
  snprintf(name, NAME_MAX_BYTES, "relay.%s.%s", o->name, now->name);
  const family f = add_family(b, now->is_total ? COUNTER : UP_DOWN, name, now->unit, now->help, now->count);
  for (size_t i = 0; i < now->count; i++) {
    const struct offload_value *v = &now->values[i];
    Otlp__NumberPoint *p = add_number(b, &f, v->value, then && i < then->count ? then->values[i].value : 0);
    with_string(b, p, "program", o->program);
    if (v->reason)
      with_string(b, p, "reason", v->reason);
  }
}

static void add_offloads(builder *b)
{
  const metrics_snapshot *s = b->window->now;
  for (size_t i = 0; i < s->offload_count; i++) {
    const offload_stats *o = &s->offloads[i], *then = told_of(b, o);
    for (size_t k = 0; k < o->figure_count; k++)
      add_figure(b, o, &o->figures[k], k < then->figure_count ? &then->figures[k] : NULL);
  }
}

/* |before|: NULL if all is told. */
static Otlp__HistogramPoint *add_size_point(builder *b, Otlp__Histogram *histogram, const char *datapath,
                                            const uint64_t *now, const uint64_t *before, uint64_t bytes)
{
  OTLP_NEW(&b->arena, Otlp__HistogramPoint, OTLP__HISTOGRAM_POINT__INIT, p);
  Otlp__KeyValue **attributes = arena_take(&b->arena, MAX_ATTRIBUTES * sizeof *attributes);
  uint64_t *counts = arena_take(&b->arena, FZR_SIZE_CLASSES * sizeof *counts);
  double *bounds = arena_take(&b->arena, FZR_SIZE_CLASSES * sizeof *bounds);
  if (!p || !attributes || !counts || !bounds)
    return NULL;
  histogram->data_points[histogram->n_data_points++] = p;
  p->attributes = attributes;
  attributes[0] = otlp_string(&b->arena, "relay.datapath", datapath);
  p->n_attributes = attributes[0] ? 1 : 0;
  p->start_time_unix_nano = start_of(b, before != NULL, false);
  p->time_unix_nano = b->window->now_unix_ns;
  p->bucket_counts = counts;
  p->n_bucket_counts = FZR_SIZE_CLASSES;
  p->explicit_bounds = bounds;
  p->n_explicit_bounds = FZR_SIZE_CLASSES - 1;
  p->total_case = OTLP__HISTOGRAM_POINT__TOTAL_SUM;
  p->sum = (double)bytes;
  for (unsigned i = 0; i < FZR_SIZE_CLASSES; i++) {
    const uint64_t then = before ? before[i] : 0;
    counts[i] = now[i] > then ? now[i] - then : 0;
    p->count += counts[i];
    if (i + 1 < FZR_SIZE_CLASSES)
      bounds[i] = (i + 1) * 100;
  }
  return p;
}

/* The histogram's first attribute is Firezone's; those beside it are those of all other metrics. */
static void add_offload_sizes(builder *b, Otlp__Histogram *histogram, const offload_stats *o, bool delta)
{
  const offload_stats *then = told_of(b, o);
  const uint64_t bytes = o->bytes[0] + o->bytes[1], told = delta ? then->bytes[0] + then->bytes[1] : 0;
  Otlp__HistogramPoint *p =
      add_size_point(b, histogram, o->program, o->packet_sizes, delta ? then->packet_sizes : NULL,
                     bytes > told ? bytes - told : 0);
  Otlp__KeyValue *const more[] = {p ? otlp_string(&b->arena, "datapath", o->name) : NULL,
                                  p ? otlp_string(&b->arena, "program", o->program) : NULL};
  for (size_t i = 0; i < sizeof more / sizeof *more; i++)
    if (more[i])
      p->attributes[p->n_attributes++] = more[i];
}

static void add_sizes(builder *b)
{
  const metrics_snapshot *s = b->window->now;
  const bool delta = is_delta(b, COUNTER);
  Otlp__Metric *m = add_metric(b, "relay.packet.size", "By", "Payload bytes of each relayed packet");
  OTLP_NEW(&b->arena, Otlp__Histogram, OTLP__HISTOGRAM__INIT, histogram);
  Otlp__HistogramPoint **points = arena_take(&b->arena, (1 + s->offload_count) * sizeof *points);
  if (!m || !histogram || !points)
    return;
  m->data_case = OTLP__METRIC__DATA_HISTOGRAM;
  m->histogram = histogram;
  histogram->temporality = temporality(delta);
  histogram->data_points = points;
  const uint64_t bytes = b->now.bytes[0] + b->now.bytes[1];
  const uint64_t told = delta ? b->before.bytes[0] + b->before.bytes[1] : 0;
  add_size_point(b, histogram, "userspace", b->now.packet_sizes, delta ? b->before.packet_sizes : NULL,
                 bytes > told ? bytes - told : 0);
  for (size_t i = 0; i < s->offload_count; i++)
    add_offload_sizes(b, histogram, &s->offloads[i], delta);
}

static void add_dropped(builder *b)
{
  const metrics_snapshot *s = b->window->now;
  const family f = add_family(b, COUNTER, "relay.dropped.packets", "{packet}",
                              "Datagrams that were not relayed", FZR_DROP_REASONS * (1 + s->offload_count));
  for (unsigned i = 1; i < FZR_DROP_REASONS; i++)
    with_string(b, add_number(b, &f, b->now.dropped[i], b->before.dropped[i]), "reason",
                fzr_drop_reason_name(i));
  for (size_t k = 0; k < s->offload_count; k++) {
    const offload_stats *o = &s->offloads[k];
    for (unsigned i = 1; i < FZR_DROP_REASONS; i++) {
      if (!(o->may_drop >> i & 1))
        continue;
      Otlp__NumberPoint *p = add_number(b, &f, o->dropped[i], told_of(b, o)->dropped[i]);
      with_string(b, p, "reason", fzr_drop_reason_name(i));
      with_path(b, p, o);
    }
  }
}

static void add_indications(builder *b)
{
  const family f = add_family(b, COUNTER, "relay.indications", "{packet}",
                              "Relayed packets that came or left in Send or Data indications", 2);
  for (unsigned i = 0; i < 2; i++)
    with_string(b, add_number(b, &f, b->now.indications[i], b->before.indications[i]), "message_type",
                metrics_indication(i));
}

static void add_peer_errors(builder *b)
{
  const family f = add_family(b, COUNTER, "relay.peer_errors", "{error}",
                              "ICMP errors about packets to peers, by whether the client was told", 2);
  for (unsigned i = 0; i < 2; i++)
    with_string(b, add_number(b, &f, b->now.peer_errors[i], b->before.peer_errors[i]), "client",
                metrics_peer_error(i));
}

static void add_client_allocations(builder *b)
{
  const family f =
      add_family(b, UP_DOWN, "relay.client.allocations", "{allocation}",
                 "Allocations that live now, by how their clients talk to the relay", METRICS_TRANSPORTS);
  for (unsigned i = 0; i < METRICS_TRANSPORTS; i++)
    with_string(b, add_number(b, &f, b->now.client_allocations[i], 0), "transport", metrics_transport(i));
}

static void add_streams(builder *b)
{
  const family open = add_family(b, UP_DOWN, "relay.stream.connections", "{connection}",
                                 "Clients' connections that are open now", STREAM_KINDS);
  const family accepted = add_family(b, COUNTER, "relay.stream.connections.accepted", "{connection}",
                                     "Clients' connections that came", STREAM_KINDS);
  const family ended = add_family(b, COUNTER, "relay.stream.connections.ended", "{connection}",
                                  "Clients' connections that ended, or were closed at once",
                                  (size_t)STREAM_KINDS * STREAM_ENDS);
  const family dropped = add_family(b, COUNTER, "relay.stream.dropped.messages", "{message}",
                                    "Messages that clients took too slowly", STREAM_KINDS);
  const family queued = add_family(b, UP_DOWN, "relay.stream.queue.bytes", "By",
                                   "Bytes that wait for clients' connections to take them", STREAM_KINDS);
  for (unsigned k = 0; k < STREAM_KINDS; k++) {
    const stream_stats *s = &b->now.streams[k], *then = &b->before.streams[k];
    const char *kind = stream_kind_name(k);
    with_string(b, add_number(b, &open, s->connections, 0), "transport", kind);
    with_string(b, add_number(b, &accepted, s->accepted, then->accepted), "transport", kind);
    with_string(b, add_number(b, &dropped, s->dropped, then->dropped), "transport", kind);
    with_string(b, add_number(b, &queued, s->queued_bytes, 0), "transport", kind);
    for (unsigned i = 0; i < STREAM_ENDS; i++) {
      Otlp__NumberPoint *p = add_number(b, &ended, s->ended[i], then->ended[i]);
      with_string(b, p, "transport", kind);
      with_string(b, p, "reason", stream_end_name(i));
    }
  }
}

static void add_memory_refusals(builder *b)
{
  const family f = add_family(b, COUNTER, "relay.memory_refusals", "{request}",
                              "Requests that were refused to bound memory, or because there was none", 2);
  for (unsigned i = 0; i < 2; i++)
    with_string(b, add_number(b, &f, b->now.memory_refusals[i], b->before.memory_refusals[i]), "reason",
                metrics_memory_reason(i));
}

static void add_workers(builder *b)
{
  static const metrics_worker nothing;
  const metrics_snapshot *s = b->window->now, *then = b->window->before;
  const size_t n = s->worker_count;
  const family packets = add_family(b, UP_DOWN, "relay.send_queue.packets", "{packet}",
                                    "Datagrams that wait until their socket can be written to", n);
  const family bytes = add_family(b, UP_DOWN, "relay.send_queue.bytes", "By", "Bytes of those", n);
  const family allocations = add_family(b, UP_DOWN, "relay.worker.allocations", "{allocation}",
                                        "Allocations that live now on each worker", n);
  const family relayed = add_family(b, COUNTER, "relay.worker.packets", "{packet}",
                                    "Relayed packets of each worker, both directions", n);
  const family cpu = add_family(b, OBSERVED, "relay.worker.cpu", "s", "CPU time of each worker's thread", n);
  for (size_t i = 0; i < n; i++) {
    const metrics_worker *w = &s->workers[i];
    const metrics_worker *before = then && i < then->worker_count ? &then->workers[i] : &nothing;
    with_int(b, add_number(b, &packets, w->udp.queued_packets, 0), "worker", (int64_t)i);
    with_int(b, add_number(b, &bytes, w->udp.queued_bytes, 0), "worker", (int64_t)i);
    with_int(b, add_number(b, &allocations, w->engine.allocations, 0), "worker", (int64_t)i);
    with_int(b,
             add_number(b, &relayed, w->engine.packets[0] + w->engine.packets[1],
                        before->engine.packets[0] + before->engine.packets[1]),
             "worker", (int64_t)i);
    with_int(b, add_seconds(b, &cpu, (double)w->cpu_ns / 1e9, (double)before->cpu_ns / 1e9), "worker",
             (int64_t)i);
  }
}

static void add_process(builder *b)
{
  static const metrics_process nothing;
  const metrics_process *p = &b->window->now->process;
  const metrics_process *then = b->window->before ? &b->window->before->process : &nothing;
  const family cpu = add_family(b, OBSERVED, "process.cpu", "s", "User and system CPU time", 1);
  add_seconds(b, &cpu, p->cpu_seconds, then->cpu_seconds);
  add_single(b, GAUGE, "process.open_fds", "{fd}", "Open file descriptors", p->open_fds, 0);
  add_single(b, GAUGE, "process.max_fds", "{fd}", "The limit of open file descriptors", p->max_fds, 0);
  add_single(b, GAUGE, "process.virtual_memory", "By", "Virtual memory", p->virtual_bytes, 0);
  add_single(b, GAUGE, "process.resident_memory", "By", "Resident memory", p->resident_bytes, 0);
  add_single(b, GAUGE, "process.threads", "{thread}", "Threads", p->threads, 0);
  const family start =
      add_family(b, GAUGE, "process.start_time", "s", "When the process started, since 1970", 1);
  add_seconds(b, &start, p->start_seconds, 0);
}

static void add_build(builder *b, const char *version)
{
  const family f = add_family(b, GAUGE, "relay.build_info", "", "1, with the version as attribute", 1);
  with_string(b, add_number(b, &f, 1, 0), "version", version);
}

static void add_all(builder *b, const char *version)
{
  const metrics_snapshot *s = b->window->now, *then = b->window->before;
  const metrics_totals *t = &b->now;
  add_single(b, UP_DOWN, "allocations_total", "", "The number of active allocations", t->allocations, 0);
  add_responses(b, "responses_total", "");
  add_relayed(b);
  /* Prometheus makes the names of /metrics of these. */
  add_single(b, UP_DOWN, "relay.active_allocations", "{allocation}", "Allocations that live now",
             t->allocations, 0);
  add_client_allocations(b);
  add_single(b, UP_DOWN, "relay.active_channels", "{channel}", "Channels that relay now", t->channels, 0);
  add_single(b, UP_DOWN, "relay.active_permissions", "{permission}",
             "Permissions that there are now, in full mode", t->permissions, 0);
  add_responses(b, "relay.responses", "{response}");
  add_directions(b, "relay.packets", "{packet}", "Packets relayed", false);
  add_directions(b, "relay.data.relayed", "By", "Payload bytes relayed", true);
  add_indications(b);
  add_peer_errors(b);
  add_single(b, COUNTER, "relay.allocations_moved", "{move}",
             "How often clients took an allocation along to another address", t->allocations_moved,
             b->before.allocations_moved);
  add_sizes(b);
  add_offloads(b);
  add_dropped(b);
  add_memory_refusals(b);
  add_streams(b);
  add_workers(b);
  add_single(b, GAUGE, "relay.portal_connected", "", "1 while the relay is joined to its portal",
             s->portal_connected, 0);
  add_single(b, GAUGE, "relay.portal_configured", "", "1 if the relay has a portal, 0 if it is standalone",
             s->has_portal, 0);
  add_single(b, GAUGE, "relay.full", "", "1 while there is no room for a further allocation", s->full, 0);
  add_build(b, version);
  add_single(b, OWN, "relay.log_lines_dropped", "{line}", "Log lines that nobody read", s->log_lines_dropped,
             then ? then->log_lines_dropped : 0);
  add_single(b, OWN, "relay.spans_dropped", "{span}", "Spans that the collector did not take",
             s->spans_dropped, then ? then->spans_dropped : 0);
  add_process(b);
}

uint8_t *otlp_pack_metrics(const otlp_origin *origin, const otlp_window *window, size_t *len)
{
  builder b = {.window = window};
  Otlp__ExportMetrics request = OTLP__EXPORT_METRICS__INIT;
  Otlp__ResourceMetrics resources = OTLP__RESOURCE_METRICS__INIT, *resources_list = &resources;
  Otlp__ScopeMetrics scopes = OTLP__SCOPE_METRICS__INIT, *scopes_list = &scopes;
  metrics_add_up(window->now, &b.now);
  if (window->before)
    metrics_add_up(window->before, &b.before);
  add_all(&b, origin->version);
  request.resource_metrics = &resources_list;
  request.n_resource_metrics = 1;
  resources.resource = otlp_resource(&b.arena, origin->resource);
  resources.scope_metrics = &scopes_list;
  resources.n_scope_metrics = 1;
  scopes.scope = otlp_scope(&b.arena, origin->version);
  scopes.metrics = b.metrics;
  scopes.n_metrics = b.count;
  return otlp_pack(&b.arena, &request.base, len);
}
