/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp_build.h"

#include <string.h>

#include "metrics.pb-c.h"

#define MAX_METRICS    28u
#define MAX_ATTRIBUTES 3u

/* A message in the making. Once memory is out nothing more is added, and it will not be packed. */
typedef struct builder {
  arena arena;
  uint64_t start, now;
  Otlp__Metric *metrics[MAX_METRICS];
  size_t count;
} builder;

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

/* A counter, or an up-down counter, for at most |max| points. */
static Otlp__Sum *add_sum(builder *b, const char *name, const char *unit, const char *description,
                          bool monotonic, size_t max)
{
  Otlp__Metric *m = add_metric(b, name, unit, description);
  OTLP_NEW(&b->arena, Otlp__Sum, OTLP__SUM__INIT, sum);
  Otlp__NumberPoint **points = arena_take(&b->arena, (max ? max : 1) * sizeof *points);
  if (!m || !sum || !points)
    return NULL;
  m->data_case = OTLP__METRIC__DATA_SUM;
  m->sum = sum;
  sum->temporality = OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE;
  sum->is_monotonic = monotonic;
  sum->data_points = points;
  return sum;
}

static Otlp__NumberPoint *add_point(builder *b, Otlp__Sum *sum)
{
  if (!sum)
    return NULL;
  OTLP_NEW(&b->arena, Otlp__NumberPoint, OTLP__NUMBER_POINT__INIT, p);
  Otlp__KeyValue **attributes = arena_take(&b->arena, MAX_ATTRIBUTES * sizeof *attributes);
  if (!p || !attributes)
    return NULL;
  p->start_time_unix_nano = b->start;
  p->time_unix_nano = b->now;
  p->attributes = attributes;
  sum->data_points[sum->n_data_points++] = p;
  return p;
}

static Otlp__NumberPoint *add_number(builder *b, Otlp__Sum *sum, uint64_t value)
{
  Otlp__NumberPoint *p = add_point(b, sum);
  if (p) {
    p->value_case = OTLP__NUMBER_POINT__VALUE_AS_INT;
    p->as_int = value > INT64_MAX ? INT64_MAX : (int64_t)value;
  }
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

static void add_single(builder *b, const char *name, const char *unit, const char *description,
                       bool monotonic, uint64_t value)
{
  add_number(b, add_sum(b, name, unit, description, monotonic, 1), value);
}

/* Only what has happened, as SDKs do. */
static void add_responses(builder *b, const metrics_totals *t)
{
  Otlp__Sum *sum = add_sum(b, "responses_total", "", "The number of responses", true,
                           (size_t)FZR_STAT_METHODS * FZR_STAT_CODES);
  for (unsigned m = 0; m < FZR_STAT_METHODS; m++) {
    for (unsigned c = 0; c < FZR_STAT_CODES; c++) {
      if (!t->responses[m][c])
        continue;
      Otlp__NumberPoint *p = add_number(b, sum, t->responses[m][c]);
      with_string(b, p, "response_class", c ? "error" : "success");
      with_string(b, p, "message_type", metrics_method(m));
      if (c)
        with_int(b, p, "error_code", fzr_stat_code(c));
    }
  }
}

static void add_directions(builder *b, const char *name, const char *unit, const char *description,
                           const uint64_t values[2], const uint64_t *xdp)
{
  Otlp__Sum *sum = add_sum(b, name, unit, description, true, 4);
  for (unsigned i = 0; i < 2; i++)
    with_string(b, add_number(b, sum, values[i]), "direction", metrics_direction(i));
  for (unsigned i = 0; xdp && i < 2; i++) {
    Otlp__NumberPoint *p = add_number(b, sum, xdp[i]);
    with_string(b, p, "direction", metrics_direction(i));
    with_string(b, p, "datapath", "xdp");
  }
}

/* What went through user space has no attribute, as before there was anything else; what the kernel relayed has one. */
static void add_relayed(builder *b, const metrics_totals *t, const metrics_xdp *x)
{
  Otlp__Sum *sum = add_sum(b, "data_relayed_bytes", "b", "The number of bytes relayed", true, 2);
  add_number(b, sum, t->bytes[0] + t->bytes[1]);
  if (x->active)
    with_string(b, add_number(b, sum, x->bytes[0] + x->bytes[1]), "datapath", "xdp");
}

static void add_reasons(builder *b, const char *name, const char *unit, const char *description,
                        const metrics_reason *list, size_t n)
{
  Otlp__Sum *sum = add_sum(b, name, unit, description, true, n);
  for (size_t i = 0; i < n; i++)
    if (list[i].value)
      with_string(b, add_number(b, sum, list[i].value), "reason", list[i].name);
}

static void add_xdp(builder *b, const metrics_xdp *x)
{
  if (!x->active)
    return;
  add_single(b, "relay.xdp.channels", "{channel}", "Channels that the kernel relays now", false, x->channels);
  add_reasons(b, "relay.xdp.passed", "{packet}",
              "Packets that the kernel's program left to the network stack", x->passed, x->passed_count);
  add_reasons(b, "relay.xdp.channels_left", "{channel}", "Channels that were left to user space", x->left,
              x->left_count);
}

static Otlp__HistogramPoint *add_size_point(builder *b, Otlp__Histogram *histogram, const uint64_t *classes,
                                            uint64_t sum)
{
  OTLP_NEW(&b->arena, Otlp__HistogramPoint, OTLP__HISTOGRAM_POINT__INIT, p);
  Otlp__KeyValue **attributes = arena_take(&b->arena, MAX_ATTRIBUTES * sizeof *attributes);
  uint64_t *counts = arena_take(&b->arena, FZR_SIZE_CLASSES * sizeof *counts);
  double *bounds = arena_take(&b->arena, FZR_SIZE_CLASSES * sizeof *bounds);
  if (!p || !attributes || !counts || !bounds)
    return NULL;
  histogram->data_points[histogram->n_data_points++] = p;
  p->attributes = attributes;
  p->start_time_unix_nano = b->start;
  p->time_unix_nano = b->now;
  p->bucket_counts = counts;
  p->n_bucket_counts = FZR_SIZE_CLASSES;
  p->explicit_bounds = bounds;
  p->n_explicit_bounds = FZR_SIZE_CLASSES - 1;
  p->total_case = OTLP__HISTOGRAM_POINT__TOTAL_SUM;
  p->sum = (double)sum;
  for (unsigned i = 0; i < FZR_SIZE_CLASSES; i++) {
    counts[i] = classes[i];
    p->count += counts[i];
    if (i + 1 < FZR_SIZE_CLASSES)
      bounds[i] = (i + 1) * 100;
  }
  return p;
}

static void add_sizes(builder *b, const metrics_totals *t, const metrics_xdp *x)
{
  Otlp__Metric *m = add_metric(b, "relay.packet.size", "By", "Payload bytes of each relayed packet");
  OTLP_NEW(&b->arena, Otlp__Histogram, OTLP__HISTOGRAM__INIT, histogram);
  Otlp__HistogramPoint **points = arena_take(&b->arena, 2 * sizeof *points);
  if (!m || !histogram || !points)
    return;
  m->data_case = OTLP__METRIC__DATA_HISTOGRAM;
  m->histogram = histogram;
  histogram->temporality = OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE;
  histogram->data_points = points;
  add_size_point(b, histogram, t->packet_sizes, t->bytes[0] + t->bytes[1]);
  Otlp__HistogramPoint *p =
      x->active ? add_size_point(b, histogram, x->packet_sizes, x->bytes[0] + x->bytes[1]) : NULL;
  Otlp__KeyValue *datapath = p ? otlp_string(&b->arena, "datapath", "xdp") : NULL;
  if (datapath)
    p->attributes[p->n_attributes++] = datapath;
}

static void add_dropped(builder *b, const metrics_totals *t)
{
  Otlp__Sum *sum =
      add_sum(b, "relay.dropped", "{packet}", "Datagrams that were not relayed", true, FZR_DROP_REASONS);
  for (unsigned i = 1; i < FZR_DROP_REASONS; i++)
    if (t->dropped[i])
      with_string(b, add_number(b, sum, t->dropped[i]), "reason", fzr_drop_reason_name(i));
}

static void add_workers(builder *b, const metrics_snapshot *s)
{
  Otlp__Sum *queue =
      add_sum(b, "relay.send_queue", "{packet}", "Datagrams that wait until their socket can be written to",
              false, s->worker_count);
  Otlp__Sum *cpu =
      add_sum(b, "relay.worker.cpu.time", "s", "CPU time of each worker's thread", true, s->worker_count);
  for (size_t i = 0; i < s->worker_count; i++) {
    with_int(b, add_number(b, queue, s->workers[i].udp.queued_packets), "worker", (int64_t)i);
    Otlp__NumberPoint *p = add_point(b, cpu);
    if (p) {
      p->value_case = OTLP__NUMBER_POINT__VALUE_AS_DOUBLE;
      p->as_double = (double)s->workers[i].cpu_ns / 1e9;
    }
    with_int(b, p, "worker", (int64_t)i);
  }
}

static void add_all(builder *b, const metrics_snapshot *s)
{
  metrics_totals t;
  metrics_add_up(s, &t);
  add_single(b, "allocations_total", "", "The number of active allocations", false, t.allocations);
  add_responses(b, &t);
  add_relayed(b, &t, &s->xdp);
  add_single(b, "relay.active_allocations", "{allocation}", "Allocations that live now", false,
             t.allocations);
  add_single(b, "relay.active_channels", "{channel}", "Channels that relay now", false, t.channels);
  add_directions(b, "relay.packets", "{packet}", "Packets relayed", t.packets,
                 s->xdp.active ? s->xdp.packets : NULL);
  add_directions(b, "relay.io", "By", "Payload bytes relayed", t.bytes, s->xdp.active ? s->xdp.bytes : NULL);
  add_sizes(b, &t, &s->xdp);
  add_xdp(b, &s->xdp);
  add_dropped(b, &t);
  add_workers(b, s);
  add_single(b, "relay.portal_connected", "1", "1 while the relay is joined to its portal", false,
             s->portal_connected);
  add_single(b, "relay.log_lines_dropped", "{line}", "Log lines that nobody read", true,
             s->log_lines_dropped);
  add_single(b, "relay.spans_dropped", "{span}", "Spans that the collector did not take", true,
             s->spans_dropped);
}

uint8_t *otlp_pack_metrics(const otlp_origin *origin, const metrics_snapshot *snapshot, uint64_t now_unix_ns,
                           size_t *len)
{
  builder b = {.start = origin->start_unix_ns, .now = now_unix_ns};
  Otlp__ExportMetrics request = OTLP__EXPORT_METRICS__INIT;
  Otlp__ResourceMetrics resources = OTLP__RESOURCE_METRICS__INIT, *resources_list = &resources;
  Otlp__ScopeMetrics scopes = OTLP__SCOPE_METRICS__INIT, *scopes_list = &scopes;
  add_all(&b, snapshot);
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
