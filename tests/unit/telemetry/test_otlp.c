/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics and spans as OTLP messages, taken apart again. The encoding itself is checked by a foreign reader end to end. */
#include "prng.h"
#include "testing.h"

#include "metrics.pb-c.h"
#include "telemetry/arena.h"
#include "telemetry/otlp.h"
#include "telemetry/wire.h"
#include "trace.pb-c.h"

#include <stdio.h>

static resource who;
static otlp_origin origin = {&who, "1.2.3"};

static void setup(void)
{
  const resource_facts facts = {.version = "1.2.3", .service_name = "tested"};
  resource_make(&who, &facts, NULL, NULL);
}

static const char *text_of(const Otlp__KeyValue *pair)
{
  static char number[32];
  if (pair->value->value_case == OTLP__ANY_VALUE__VALUE_STRING_VALUE)
    return pair->value->string_value;
  ck_assert_int_eq(pair->value->value_case, OTLP__ANY_VALUE__VALUE_INT_VALUE);
  snprintf(number, sizeof number, "#%lld", (long long)pair->value->int_value);
  return number;
}

static const char *find(Otlp__KeyValue *const *pairs, size_t n, const char *key)
{
  for (size_t i = 0; i < n; i++)
    if (strcmp(pairs[i]->key, key) == 0)
      return text_of(pairs[i]);
  return "-";
}

/* ---- metrics ---- */

static Otlp__ExportMetrics *metrics_in(const otlp_window *window)
{
  size_t len;
  uint8_t *bytes = otlp_pack_metrics(&origin, window, &len);
  ck_assert_ptr_nonnull(bytes);
  Otlp__ExportMetrics *m = otlp__export_metrics__unpack(NULL, len, bytes);
  ck_assert_ptr_nonnull(m);
  free(bytes);
  return m;
}

static Otlp__ExportMetrics *metrics_of(const metrics_snapshot *s)
{
  const otlp_window window = {
      .start_unix_ns = 1000, .own_start_unix_ns = 1000, .now = s, .now_unix_ns = 5000};
  return metrics_in(&window);
}

static const Otlp__Metric *metric(const Otlp__ExportMetrics *m, const char *name)
{
  const Otlp__ScopeMetrics *scope = m->resource_metrics[0]->scope_metrics[0];
  for (size_t i = 0; i < scope->n_metrics; i++)
    if (strcmp(scope->metrics[i]->name, name) == 0)
      return scope->metrics[i];
  ck_abort_msg("no metric %s", name);
  return NULL;
}

static const Otlp__Sum *sum(const Otlp__ExportMetrics *m, const char *name, const char *unit, bool monotonic)
{
  const Otlp__Metric *found = metric(m, name);
  ck_assert_str_eq(found->unit, unit);
  ck_assert_int_eq(found->data_case, OTLP__METRIC__DATA_SUM);
  ck_assert_int_eq(found->sum->temporality, OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE);
  ck_assert_int_eq(found->sum->is_monotonic, monotonic);
  for (size_t i = 0; i < found->sum->n_data_points; i++) {
    ck_assert_uint_eq(found->sum->data_points[i]->start_time_unix_nano, 1000);
    ck_assert_uint_eq(found->sum->data_points[i]->time_unix_nano, 5000);
  }
  return found->sum;
}

START_TEST(test_metrics)
{
  metrics_worker w[2] = {0};
  unsigned code_401 = 0;
  while (fzr_stat_code(code_401) != 401)
    code_401++;
  w[0].engine.allocations = 2;
  w[1].engine.allocations = 3;
  w[0].engine.allocations_by_transport[FZR_TRANSPORT_TCP] = 2;
  w[1].engine.allocations_by_transport[FZR_TRANSPORT_TLS] = 3;
  w[0].engine.channels = 4;
  w[0].engine.permissions = 6;
  w[1].engine.permissions = 1;
  w[0].engine.indications[0] = 5;
  w[1].engine.indications[1] = 8;
  w[0].engine.allocations_moved = 4;
  w[1].engine.allocations_moved = 7;
  w[0].engine.peer_errors[0] = 6;
  w[1].engine.peer_errors[1] = 9;
  w[0].engine.bytes[0] = 1000;
  w[1].engine.bytes[1] = 500;
  w[0].engine.packets[0] = 9;
  w[0].engine.packet_sizes[1] = 7;
  w[0].engine.packet_sizes[FZR_SIZE_CLASSES - 1] = 2;
  w[0].engine.responses[FZR_STAT_ALLOCATE][0] = 6;
  w[1].engine.responses[FZR_STAT_ALLOCATE][code_401] = 8;
  w[0].engine.dropped[1] = 3;
  w[1].udp.queued_packets = 12;
  w[1].cpu_ns = 2500000000u;
  const metrics_snapshot s = {.workers = w,
                              .worker_count = 2,
                              .portal_connected = true,
                              .full = true,
                              .log_lines_dropped = 5,
                              .spans_dropped = UINT64_MAX};
  Otlp__ExportMetrics *m = metrics_of(&s);
  ck_assert_str_eq(find(m->resource_metrics[0]->resource->attributes,
                        m->resource_metrics[0]->resource->n_attributes, "service.name"),
                   "tested");
  ck_assert_str_eq(m->resource_metrics[0]->scope_metrics[0]->scope->version, "1.2.3");

  /* The three names that dashboards have. */
  ck_assert_int_eq(sum(m, "allocations_total", "", false)->data_points[0]->as_int, 5);
  ck_assert_int_eq(sum(m, "data_relayed_bytes", "b", true)->data_points[0]->as_int, 1500);
  const Otlp__Sum *responses = sum(m, "responses_total", "", true);
  ck_assert_uint_eq(responses->n_data_points,
                    5 + 2 + 13 + 8 + 9 + 9 + 1);          /* all that can be expected, most at 0 */
  const Otlp__NumberPoint *p = responses->data_points[3]; /* after those to Binding */
  ck_assert_int_eq(p->as_int, 6);
  ck_assert_str_eq(find(p->attributes, p->n_attributes, "response_class"), "success");
  ck_assert_str_eq(find(p->attributes, p->n_attributes, "message_type"), "allocate");
  ck_assert_str_eq(find(p->attributes, p->n_attributes, "error_code"), "-");
  p = responses->data_points[6];
  ck_assert_int_eq(p->as_int, 8);
  ck_assert_str_eq(find(p->attributes, p->n_attributes, "response_class"), "error");
  ck_assert_str_eq(find(p->attributes, p->n_attributes, "error_code"), "#401");
  ck_assert_uint_eq(sum(m, "relay.responses", "{response}", true)->n_data_points, responses->n_data_points);

  ck_assert_int_eq(sum(m, "relay.active_allocations", "{allocation}", false)->data_points[0]->as_int, 5);
  ck_assert_int_eq(sum(m, "relay.active_channels", "{channel}", false)->data_points[0]->as_int, 4);
  ck_assert_int_eq(sum(m, "relay.active_permissions", "{permission}", false)->data_points[0]->as_int, 7);
  const Otlp__Sum *by_transport = sum(m, "relay.client.allocations", "{allocation}", false);
  ck_assert_uint_eq(by_transport->n_data_points, 3);
  for (unsigned i = 0; i < 3; i++) {
    static const char *const names[] = {"udp", "tcp", "tls"};
    ck_assert_str_eq(find(by_transport->data_points[i]->attributes, 1, "transport"), names[i]);
    ck_assert_int_eq(by_transport->data_points[i]->as_int, i ? i + 1 : 0);
  }
  const Otlp__Sum *indications = sum(m, "relay.indications", "{packet}", true);
  ck_assert_int_eq(indications->data_points[0]->as_int, 5);
  ck_assert_str_eq(find(indications->data_points[0]->attributes, 1, "message_type"), "send");
  ck_assert_int_eq(indications->data_points[1]->as_int, 8);
  ck_assert_str_eq(find(indications->data_points[1]->attributes, 1, "message_type"), "data");
  const Otlp__Sum *peer_errors = sum(m, "relay.peer_errors", "{error}", true);
  ck_assert_int_eq(peer_errors->data_points[0]->as_int, 6);
  ck_assert_str_eq(find(peer_errors->data_points[0]->attributes, 1, "client"), "told");
  ck_assert_int_eq(peer_errors->data_points[1]->as_int, 9);
  ck_assert_str_eq(find(peer_errors->data_points[1]->attributes, 1, "client"), "untold");
  ck_assert_int_eq(sum(m, "relay.allocations_moved", "{move}", true)->data_points[0]->as_int, 11);
  const Otlp__Sum *io = sum(m, "relay.data.relayed", "By", true);
  ck_assert_int_eq(io->data_points[0]->as_int, 1000);
  ck_assert_str_eq(find(io->data_points[1]->attributes, 1, "direction"), "peer_to_client");
  ck_assert_int_eq(sum(m, "relay.packets", "{packet}", true)->data_points[0]->as_int, 9);
  const Otlp__Sum *dropped = sum(m, "relay.dropped.packets", "{packet}", true);
  ck_assert_uint_eq(dropped->n_data_points, FZR_DROP_REASONS - 1);
  ck_assert_str_eq(find(dropped->data_points[0]->attributes, 1, "reason"), fzr_drop_reason_name(1));
  const Otlp__Sum *queue = sum(m, "relay.send_queue.packets", "{packet}", false);
  ck_assert_uint_eq(queue->n_data_points, 2);
  ck_assert_int_eq(queue->data_points[1]->as_int, 12);
  ck_assert_str_eq(find(queue->data_points[1]->attributes, 1, "worker"), "#1");
  ck_assert_double_eq(sum(m, "relay.worker.cpu", "s", true)->data_points[1]->as_double, 2.5);
  const Otlp__Metric *portal = metric(m, "relay.portal_connected"), *build = metric(m, "relay.build_info");
  ck_assert_int_eq(portal->data_case, OTLP__METRIC__DATA_GAUGE);
  ck_assert_int_eq(portal->gauge->data_points[0]->as_int, 1);
  ck_assert_int_eq(metric(m, "relay.full")->gauge->data_points[0]->as_int, 1);
  ck_assert_str_eq(find(build->gauge->data_points[0]->attributes, 1, "version"), "1.2.3");
  ck_assert_int_eq(sum(m, "relay.log_lines_dropped", "{line}", true)->data_points[0]->as_int, 5);
  ck_assert_int_eq(sum(m, "relay.spans_dropped", "{span}", true)->data_points[0]->as_int, INT64_MAX);

  const Otlp__Metric *size = metric(m, "relay.packet.size");
  ck_assert_str_eq(size->unit, "By");
  ck_assert_int_eq(size->data_case, OTLP__METRIC__DATA_HISTOGRAM);
  ck_assert_int_eq(size->histogram->temporality, OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE);
  const Otlp__HistogramPoint *h = size->histogram->data_points[0];
  ck_assert_str_eq(find(h->attributes, h->n_attributes, "relay.datapath"), "userspace");
  ck_assert_uint_eq(h->count, 9);
  ck_assert_double_eq(h->sum, 1500);
  ck_assert_uint_eq(h->n_explicit_bounds, 15);
  ck_assert_double_eq(h->explicit_bounds[0], 100);
  ck_assert_double_eq(h->explicit_bounds[14], 1500);
  ck_assert_uint_eq(h->n_bucket_counts, 16);
  ck_assert_uint_eq(h->bucket_counts[1], 7);
  ck_assert_uint_eq(h->bucket_counts[15], 2);
  otlp__export_metrics__free_unpacked(m, NULL);

  /* Before there are workers. */
  const metrics_snapshot none = {0};
  m = metrics_of(&none);
  ck_assert_uint_eq(sum(m, "relay.send_queue.packets", "{packet}", false)->n_data_points, 0);
  otlp__export_metrics__free_unpacked(m, NULL);
}
END_TEST

/* What a counter, one that is looked at, a histogram and what goes up and down say, by the preference. */
START_TEST(test_temporality)
{
  enum { D = OTLP__TEMPORALITY__TEMPORALITY_DELTA, C = OTLP__TEMPORALITY__TEMPORALITY_CUMULATIVE };
  static const struct {
    enum otlp_temporality preference;
    int counter, observed;
  } cases[] = {{OTLP_CUMULATIVE, C, C}, {OTLP_DELTA, D, D}, {OTLP_LOW_MEMORY, D, C}};
  metrics_worker now = {
      .engine = {.packets = {30, 5}, .bytes = {3000, 500}, .packet_sizes = {20, 15}, .allocations = 7},
      .cpu_ns = 5000000000u};
  metrics_worker then = {
      .engine = {.packets = {10, 5}, .bytes = {1000, 500}, .packet_sizes = {10, 5}, .allocations = 3},
      .cpu_ns = 2000000000u};
  now.engine.responses[FZR_STAT_BINDING][0] = 9;
  then.engine.responses[FZR_STAT_BINDING][0] = 4;
  const metrics_snapshot s = {.workers = &now, .worker_count = 1, .log_lines_dropped = 6},
                         before = {.workers = &then, .worker_count = 1, .log_lines_dropped = 6};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (unsigned first = 0; first < 2; first++) {
      const otlp_window window = {cases[i].preference, 1000, 3000, &s, 5000, first ? NULL : &before,
                                  first ? 0 : 4000};
      const bool delta = cases[i].counter == D && !first, observed = cases[i].observed == D && !first;
      Otlp__ExportMetrics *m = metrics_in(&window);
      const Otlp__Sum *packets = metric(m, "relay.packets")->sum;
      ck_assert_int_eq(packets->temporality, cases[i].counter);
      ck_assert_int_eq(packets->data_points[0]->as_int, delta ? 20 : 30);
      ck_assert_int_eq(packets->data_points[1]->as_int, delta ? 0 : 5);
      ck_assert_uint_eq(packets->data_points[0]->start_time_unix_nano, delta ? 4000 : 1000);
      ck_assert_uint_eq(packets->data_points[0]->time_unix_nano, 5000);
      ck_assert_int_eq(metric(m, "responses_total")->sum->data_points[0]->as_int, delta ? 5 : 9);
      ck_assert_int_eq(metric(m, "data_relayed_bytes")->sum->data_points[0]->as_int, delta ? 2000 : 3500);
      const Otlp__Sum *lines = metric(m, "relay.log_lines_dropped")->sum;
      ck_assert_int_eq(lines->temporality, cases[i].counter);
      ck_assert_int_eq(lines->data_points[0]->as_int, delta ? 0 : 6);
      ck_assert_uint_eq(lines->data_points[0]->start_time_unix_nano,
                        delta ? 4000 : 3000); /* of this process alone */
      const Otlp__Histogram *sizes = metric(m, "relay.packet.size")->histogram;
      ck_assert_int_eq(sizes->temporality, cases[i].counter);
      ck_assert_uint_eq(sizes->data_points[0]->start_time_unix_nano, delta ? 4000 : 1000);
      ck_assert_uint_eq(sizes->data_points[0]->bucket_counts[1], delta ? 10 : 15);
      ck_assert_uint_eq(sizes->data_points[0]->count, delta ? 20 : 35);
      ck_assert_double_eq(sizes->data_points[0]->sum, delta ? 2000 : 3500);
      const Otlp__Sum *cpu = metric(m, "relay.worker.cpu")->sum;
      ck_assert_int_eq(cpu->temporality, cases[i].observed);
      ck_assert_double_eq(cpu->data_points[0]->as_double, observed ? 3 : 5);
      ck_assert_uint_eq(cpu->data_points[0]->start_time_unix_nano, observed ? 4000 : 3000);
      const Otlp__Sum *allocations = metric(m, "relay.active_allocations")->sum;
      ck_assert_int_eq(allocations->temporality, C);
      ck_assert_int_eq(allocations->data_points[0]->as_int, 7);
      otlp__export_metrics__free_unpacked(m, NULL);
    }
  }
}
END_TEST

static offload_stats offload(const char *name, uint64_t k)
{
  return (offload_stats){
      .name = name,
      .program = "p",
      .dropped = {[FZR_DROP_NOT_STUN] = k},
      .may_drop = 1u << FZR_DROP_NOT_STUN,
      .packets = {k, 2 * k},
      .bytes = {100 * k, 200 * k},
      .packet_sizes = {3 * k},
      .figures =
          {{"channels", "{channel}", "Channels now", false, 1, {{NULL, k}}},
           {"passed.packets", "{packet}", "Packets left alone", true, 2, {{"short", 5 * k}, {"long", 0}}}},
      .figure_count = 2};
}

/* Two data paths in the kernel, one of which was there already when it was last told of. */
START_TEST(test_offloads)
{
  metrics_worker w = {.engine = {.packets = {30, 5}}};
  metrics_snapshot s = {.workers = &w, .worker_count = 1, .offload_count = 2}, before = {.offload_count = 1};
  s.offloads[0] = offload("new", 10);
  s.offloads[1] = offload("old", 20);
  before.offloads[0] = offload("old", 15);
  const otlp_window window = {OTLP_DELTA, 1000, 1000, &s, 5000, &before, 4000};
  Otlp__ExportMetrics *m = metrics_in(&window);
  const Otlp__Sum *packets = metric(m, "relay.packets")->sum;
  ck_assert_uint_eq(packets->n_data_points, 6);
  ck_assert_str_eq(
      find(packets->data_points[1]->attributes, packets->data_points[1]->n_attributes, "datapath"), "-");
  ck_assert_str_eq(
      find(packets->data_points[3]->attributes, packets->data_points[3]->n_attributes, "datapath"), "new");
  ck_assert_int_eq(packets->data_points[3]->as_int, 20);
  ck_assert_str_eq(
      find(packets->data_points[5]->attributes, packets->data_points[5]->n_attributes, "datapath"), "old");
  ck_assert_int_eq(packets->data_points[5]->as_int, 10);
  ck_assert_int_eq(metric(m, "data_relayed_bytes")->sum->data_points[2]->as_int, 1500);
  const Otlp__Histogram *sizes = metric(m, "relay.packet.size")->histogram;
  ck_assert_uint_eq(sizes->n_data_points, 3);
  ck_assert_str_eq(
      find(sizes->data_points[2]->attributes, sizes->data_points[2]->n_attributes, "relay.datapath"), "p");
  ck_assert_str_eq(find(sizes->data_points[2]->attributes, sizes->data_points[2]->n_attributes, "datapath"),
                   "old");
  const Otlp__Sum *dropped = metric(m, "relay.dropped.packets")->sum;
  ck_assert_uint_eq(dropped->n_data_points, FZR_DROP_REASONS - 1 + 2);
  ck_assert_int_eq(dropped->data_points[FZR_DROP_REASONS]->as_int, 5);
  ck_assert_str_eq(find(dropped->data_points[FZR_DROP_REASONS]->attributes, 3, "datapath"), "old");
  ck_assert_str_eq(find(dropped->data_points[FZR_DROP_REASONS]->attributes, 3, "program"), "p");
  ck_assert_uint_eq(sizes->data_points[2]->count, 15);
  const Otlp__Metric *channels = metric(m, "relay.old.channels"),
                     *passed = metric(m, "relay.old.passed.packets");
  ck_assert(!channels->sum->is_monotonic && passed->sum->is_monotonic);
  ck_assert_int_eq(channels->sum->data_points[0]->as_int, 20);
  ck_assert_str_eq(passed->unit, "{packet}");
  ck_assert_int_eq(passed->sum->data_points[0]->as_int, 25);
  ck_assert_str_eq(find(passed->sum->data_points[1]->attributes, 2, "reason"), "long");
  ck_assert_int_eq(metric(m, "relay.new.passed.packets")->sum->data_points[0]->as_int, 50);
  otlp__export_metrics__free_unpacked(m, NULL);
}
END_TEST

/* A copy has figures of its own. */
START_TEST(test_copies)
{
  metrics_worker w[2] = {{.cpu_ns = 1}, {.cpu_ns = 2}};
  metrics_snapshot s = {.workers = w, .worker_count = 2, .spans_dropped = 3}, copy = {0};
  ck_assert_int_eq(metrics_copy(&copy, &s), 0);
  w[1].cpu_ns = 9;
  ck_assert_uint_eq(copy.workers[1].cpu_ns, 2);
  ck_assert_uint_eq(copy.spans_dropped, 3);
  s.worker_count = 0;
  ck_assert_int_eq(metrics_copy(&copy, &s), 0);
  ck_assert_uint_eq(copy.worker_count, 0);
  metrics_forget(&copy);
  ck_assert_ptr_null(copy.workers);
}
END_TEST

/* ---- spans ---- */

START_TEST(test_spans)
{
  span spans[2] = {{.trace_id = {0xaa},
                    .span_id = {0xbb},
                    .txid = {1, 2, 0xfe},
                    .has_txid = true,
                    .method = FZR_STUN_CHANNEL_BIND,
                    .error_code = 403,
                    .allocation = 50000,
                    .channel = 0x4000,
                    .start = 10,
                    .end = 30,
                    .software_len = 3,
                    .software = {'a', 0xff, 0}},
                   {.method = FZR_STUN_BINDING}};
  size_t len;
  spans[0].sender = fzt_addr("192.0.2.1:4000");
  spans[0].peer = fzt_addr("[2001:db8::2]:5000");
  otlp_spans *batch = otlp_spans_new(&origin);
  ck_assert_int_eq(otlp_spans_add(batch, &spans[0], 1000000), 0);
  ck_assert_int_eq(otlp_spans_add(batch, &spans[1], 1000000), 0);
  ck_assert_uint_eq(otlp_spans_oldest(batch), 30);
  const uint8_t *bytes = otlp_spans_message(batch, &len);
  Otlp__ExportTraces *t = otlp__export_traces__unpack(NULL, len, bytes);
  ck_assert_ptr_nonnull(t);
  const Otlp__Resource *tester = t->resource_spans[0]->resource;
  ck_assert_str_eq(find(tester->attributes, tester->n_attributes, "service.name"), "tested");
  const Otlp__ScopeSpans *scope = t->resource_spans[0]->scope_spans[0];
  ck_assert_str_eq(scope->scope->version, "1.2.3");
  ck_assert_uint_eq(scope->n_spans, 2);
  const Otlp__Span *s = scope->spans[0];
  ck_assert_uint_eq(s->trace_id.len, 16);
  ck_assert_uint_eq(s->trace_id.data[0], 0xaa);
  ck_assert_uint_eq(s->span_id.len, 8);
  ck_assert_str_eq(s->name, "handle_channel_bind_request");
  ck_assert_int_eq(s->kind, OTLP__SPAN_KIND__SPAN_KIND_SERVER);
  ck_assert_uint_eq(s->start_time_unix_nano, 1000010);
  ck_assert_uint_eq(s->end_time_unix_nano, 1000030);
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "sender"), "192.0.2.1:4000");
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "tid"), "0102fe000000000000000000");
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "software"), "a\xef\xbf\xbd\xef\xbf\xbd");
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "peer"), "[2001:db8::2]:5000");
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "allocation"), "#50000");
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "channel"), "#16384");
  ck_assert_str_eq(find(s->attributes, s->n_attributes, "error_code"), "#403");
  ck_assert_int_eq(s->status->code, OTLP__STATUS_CODE__STATUS_CODE_ERROR);
  s = scope->spans[1];
  ck_assert_str_eq(s->name, "handle_binding_request");
  ck_assert_uint_eq(s->n_attributes, 0);
  ck_assert_ptr_null(s->status);
  otlp__export_traces__free_unpacked(t, NULL);
  otlp_spans_free(batch);
}
END_TEST

static fzr_addr any_addr(fzt_prng *prng)
{
  fzr_addr addr = {0};
  if (fzt_below(prng, 4) == 0)
    return addr;
  addr.family = fzt_below(prng, 2) ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
  addr.port = (uint16_t)fzt_below(prng, 65536);
  fzt_fill(prng, addr.ip, addr.family == FZR_FAMILY_IPV4 ? 4 : 16);
  return addr;
}

static span any_span(fzt_prng *prng)
{
  static const uint16_t codes[] = {0, 0, 400, 401, 403, 437, 438, 486, 508, 999};
  span s = {.has_txid = fzt_below(prng, 2) != 0,
            .method = (uint16_t)fzt_below(prng, 12),
            .error_code = codes[fzt_below(prng, sizeof codes / sizeof *codes)],
            .allocation = fzt_below(prng, 2) ? (uint16_t)fzt_below(prng, 65536) : 0,
            .channel = fzt_below(prng, 2) ? (uint16_t)fzt_below(prng, 0x5000) : 0,
            .start = fzt_next(prng) >> 8,
            .end = fzt_next(prng) >> 8,
            .sender = any_addr(prng),
            .peer = any_addr(prng),
            .software_len = fzt_below(prng, 2) ? (uint8_t)fzt_below(prng, SPAN_SOFTWARE_MAX + 1) : 0};
  fzt_fill(prng, s.trace_id, sizeof s.trace_id);
  fzt_fill(prng, s.span_id, sizeof s.span_id);
  fzt_fill(prng, s.txid, sizeof s.txid);
  fzt_fill(prng, s.software, s.software_len);
  return s;
}

/* What is written by hand is, to the byte, what protobuf-c makes of the same message. */
static void check_bytes(otlp_spans *batch, size_t n)
{
  size_t len;
  const uint8_t *bytes = otlp_spans_message(batch, &len);
  Otlp__ExportTraces *t = otlp__export_traces__unpack(NULL, len, bytes);
  ck_assert_ptr_nonnull(t);
  ck_assert_uint_eq(t->resource_spans[0]->scope_spans[0]->n_spans, n);
  ck_assert_uint_eq(otlp_spans_count(batch), n);
  ck_assert_uint_eq(otlp__export_traces__get_packed_size(t), len);
  uint8_t *again = malloc(len);
  otlp__export_traces__pack(t, again);
  ck_assert_mem_eq(bytes, again, len);
  free(again);
  otlp__export_traces__free_unpacked(t, NULL);
}

START_TEST(test_any_spans)
{
  fzt_prng prng = {fzt_seed("any spans")};
  otlp_spans *batch = otlp_spans_new(&origin);
  for (unsigned round = 0; round < 20; round++) {
    const size_t n = round == 0 ? 0 : (size_t)fzt_below(&prng, 600);
    for (size_t i = 0; i < n; i++) {
      const span s = any_span(&prng);
      fzt_check(otlp_spans_add(batch, &s, fzt_next(&prng)) == 0);
    }
    check_bytes(batch, n);
    otlp_spans_clear(batch);
  }
  otlp_spans_free(batch);
}
END_TEST

/* The largest span that there is, for as many as a message holds. */
START_TEST(test_largest_spans)
{
  span s = {.has_txid = true,
            .method = FZR_STUN_CREATE_PERMISSION,
            .error_code = 442, /* has the longest reason */
            .allocation = 65535,
            .channel = 65535,
            .start = 1,
            .end = 2,
            .software_len = SPAN_SOFTWARE_MAX};
  otlp_spans *batch = otlp_spans_new(&origin);
  s.sender = s.peer = fzt_addr("[2001:1db8:2222:3333:4444:5555:6666:7777]:65535");
  memset(s.software, 0xff, sizeof s.software);
  for (unsigned i = 0; i < 512; i++)
    ck_assert_int_eq(otlp_spans_add(batch, &s, 0), 0);
  check_bytes(batch, 512);
  otlp_spans_free(batch);
}
END_TEST

START_TEST(test_wire)
{
  static const struct {
    uint64_t value;
    uint8_t bytes[10];
    size_t len;
  } cases[] = {{0, {0}, 1},
               {127, {127}, 1},
               {128, {0x80, 1}, 2},
               {300, {0xac, 2}, 2},
               {UINT64_MAX, {255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, 10}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t out[10];
    wire w = {out, out + sizeof out, false};
    wire_varint(&w, cases[i].value);
    ck_assert(!w.full);
    ck_assert_uint_eq((size_t)(w.p - out), cases[i].len);
    ck_assert_mem_eq(out, cases[i].bytes, cases[i].len);
    ck_assert_uint_eq(wire_varint_size(cases[i].value), cases[i].len);
  }
  /* What does not fit is left out, and what comes behind it, too. */
  for (size_t room = 0; room < 12; room++) {
    uint8_t out[12];
    memset(out, 0xee, sizeof out);
    wire w = {out, out + room, false};
    wire_fixed64(&w, 1, UINT64_MAX);
    wire_bytes(&w, 2, "a", 1);
    ck_assert(w.full);
    ck_assert(w.p <= out + room);
    for (size_t i = room; i < sizeof out; i++)
      ck_assert_uint_eq(out[i], 0xee);
  }
}
END_TEST

START_TEST(test_responses)
{
  otlp_partial partial;
  ck_assert(otlp_read_response(NULL, 0, &partial));
  ck_assert_int_eq(partial.rejected, 0);
  ck_assert_str_eq(partial.message, "");
  static const uint8_t some[] = {0x0a, 0x07, 0x08, 0x05, 0x12, 0x03, 'w', 'h', 'y'};
  ck_assert(otlp_read_response(some, sizeof some, &partial));
  ck_assert_int_eq(partial.rejected, 5);
  ck_assert_str_eq(partial.message, "why");
  for (size_t cut = 1; cut < sizeof some; cut++)
    ck_assert(!otlp_read_response(some, cut, &partial));
}
END_TEST

START_TEST(test_arena)
{
  arena a = {0};
  uint8_t *first = arena_take(&a, 1);
  for (unsigned i = 0; i < 3000; i++) {
    uint8_t *p = arena_take(&a, i);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % 16, 0);
    for (unsigned k = 0; k < i; k++)
      fzt_check(p[k] == 0);
    memset(p, 0xee, i);
  }
  ck_assert_uint_eq(*first, 0);
  ck_assert_ptr_nonnull(arena_take(&a, 1 << 20));
  ck_assert(!a.failed);
  arena_free(&a);
  ck_assert_ptr_null(a.chunks);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("telemetry: OTLP");
  TCase *c = tcase_create("otlp");
  tcase_add_checked_fixture(c, setup, NULL);
  tcase_add_test(c, test_metrics);
  tcase_add_test(c, test_temporality);
  tcase_add_test(c, test_offloads);
  tcase_add_test(c, test_copies);
  tcase_add_test(c, test_spans);
  tcase_add_test(c, test_any_spans);
  tcase_add_test(c, test_largest_spans);
  tcase_add_test(c, test_wire);
  tcase_add_test(c, test_responses);
  tcase_add_test(c, test_arena);
  suite_add_tcase(suite, c);
  return fzt_run(suite);
}
