/* SPDX-License-Identifier: Apache-2.0 */
#include "prometheus.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(struct evbuffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Without memory the text is cut off, and the scrape fails: the next one is whole again. */
static void put(struct evbuffer *out, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  evbuffer_add_vprintf(out, format, args);
  va_end(args);
}

static void head(struct evbuffer *out, const char *name, const char *type, const char *help)
{
  put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct evbuffer *out, const char *name, const char *type, uint64_t value, const char *help)
{
  head(out, name, type, help);
  put(out, "%s %" PRIu64 "\n", name, value);
}

static void single_double(struct evbuffer *out, const char *name, const char *type, double value,
                          const char *help)
{
  head(out, name, type, help);
  put(out, "%s %.9g\n", name, value);
}

/* A label's value, quoted as the format wants it. */
static void put_quoted(struct evbuffer *out, const char *value)
{
  put(out, "\"");
  for (; *value; value++)
    if (*value == '\n')
      put(out, "\\n");
    else
      put(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
  put(out, "\"");
}

static const uint64_t *relayed_by(const offload_stats *o, bool in_bytes)
{
  return in_bytes ? o->bytes : o->packets;
}

/* What went through user space has no label of its own, as before there was anything else; what the kernel relayed has one. */
static void directions(struct evbuffer *out, const char *name, const uint64_t values[2],
                       const metrics_snapshot *s, bool in_bytes, const char *help)
{
  head(out, name, "counter", help);
  for (unsigned i = 0; i < 2; i++)
    put(out, "%s{direction=\"%s\"} %" PRIu64 "\n", name, metrics_direction(i), values[i]);
  for (size_t k = 0; k < s->offload_count; k++)
    for (unsigned i = 0; i < 2; i++)
      put(out, "%s{direction=\"%s\",datapath=\"%s\",program=\"%s\"} %" PRIu64 "\n", name,
          metrics_direction(i), s->offloads[k].name, s->offloads[k].program,
          relayed_by(&s->offloads[k], in_bytes)[i]);
}

static void responses(struct evbuffer *out, const metrics_totals *t)
{
  head(out, "relay_responses_total", "counter", "Answers to STUN and TURN requests.");
  for (unsigned m = 0; m < FZR_STAT_METHODS; m++) {
    for (unsigned c = 0; c < FZR_STAT_CODES; c++) {
      if (!metrics_has_responses(t, m, c))
        continue;
      put(out, "relay_responses_total{response_class=\"%s\",message_type=\"%s\"", c ? "error" : "success",
          fzr_stat_method_name(m));
      if (c)
        put(out, ",error_code=\"%u\"", fzr_stat_code(c));
      put(out, "} %" PRIu64 "\n", t->responses[m][c]);
    }
  }
}

/* |label| is "", or that of the series with a comma behind it. */
static void size_histogram(struct evbuffer *out, const char *label, const uint64_t *classes, uint64_t sum)
{
  const int len = (int)strlen(label);
  const char *open = len ? "{" : "", *close = len ? "}" : "";
  uint64_t below = 0;
  for (unsigned i = 0; i + 1 < FZR_SIZE_CLASSES; i++) {
    below += classes[i];
    put(out, "relay_packet_size_bytes_bucket{%sle=\"%u\"} %" PRIu64 "\n", label, (i + 1) * 100, below);
  }
  below += classes[FZR_SIZE_CLASSES - 1];
  put(out, "relay_packet_size_bytes_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", label, below);
  put(out, "relay_packet_size_bytes_sum%s%.*s%s %" PRIu64 "\n", open, len ? len - 1 : 0, label, close, sum);
  put(out, "relay_packet_size_bytes_count%s%.*s%s %" PRIu64 "\n", open, len ? len - 1 : 0, label, close,
      below);
}

static void packet_sizes(struct evbuffer *out, const metrics_totals *t, const metrics_snapshot *s)
{
  char label[64];
  head(out, "relay_packet_size_bytes", "histogram", "Payload bytes of each relayed packet.");
  size_histogram(out, "", t->packet_sizes, t->bytes[0] + t->bytes[1]);
  for (size_t i = 0; i < s->offload_count; i++) {
    const offload_stats *o = &s->offloads[i];
    snprintf(label, sizeof label, "datapath=\"%s\",program=\"%s\",", o->name, o->program);
    size_histogram(out, label, o->packet_sizes, o->bytes[0] + o->bytes[1]);
  }
}

/* Named as Prometheus translates OpenTelemetry's names. */
static void figure(struct evbuffer *out, const offload_stats *o, const offload_figure *f)
{
  char name[96], help[160];
  snprintf(name, sizeof name, "relay_%s_%s%s", o->name, f->name, f->is_total ? "_total" : "");
  for (char *dot = name; (dot = strchr(dot, '.')) != NULL;)
    *dot = '_';
  snprintf(help, sizeof help, "%s%s.", f->help, f->values[0].reason ? ", by reason" : "");
  head(out, name, f->is_total ? "counter" : "gauge", help);
  for (size_t i = 0; i < f->count; i++) {
    const struct offload_value *v = &f->values[i];
    if (v->reason)
      put(out, "%s{program=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name, o->program, v->reason, v->value);
    else
      put(out, "%s{program=\"%s\"} %" PRIu64 "\n", name, o->program, v->value);
  }
}

static void offload_figures(struct evbuffer *out, const metrics_snapshot *s)
{
  for (size_t i = 0; i < s->offload_count; i++)
    for (size_t k = 0; k < s->offloads[i].figure_count; k++)
      figure(out, &s->offloads[i], &s->offloads[i].figures[k]);
}

static void dropped(struct evbuffer *out, const metrics_totals *t, const metrics_snapshot *s)
{
  head(out, "relay_dropped_packets_total", "counter", "Datagrams that were not relayed, by reason.");
  for (unsigned i = 1; i < FZR_DROP_REASONS; i++)
    put(out, "relay_dropped_packets_total{reason=\"%s\"} %" PRIu64 "\n", fzr_drop_reason_name(i),
        t->dropped[i]);
  for (size_t k = 0; k < s->offload_count; k++)
    for (unsigned i = 1; i < FZR_DROP_REASONS; i++)
      if (s->offloads[k].may_drop >> i & 1)
        put(out, "relay_dropped_packets_total{reason=\"%s\",datapath=\"%s\",program=\"%s\"} %" PRIu64 "\n",
            fzr_drop_reason_name(i), s->offloads[k].name, s->offloads[k].program, s->offloads[k].dropped[i]);
}

static void indications(struct evbuffer *out, const metrics_totals *t)
{
  head(out, "relay_indications_total", "counter",
       "Relayed packets that came or left in Send or Data indications.");
  for (unsigned i = 0; i < 2; i++)
    put(out, "relay_indications_total{message_type=\"%s\"} %" PRIu64 "\n", metrics_indication(i),
        t->indications[i]);
}

static void peer_errors(struct evbuffer *out, const metrics_totals *t)
{
  head(out, "relay_peer_errors_total", "counter",
       "ICMP errors about packets to peers, by whether the client was told.");
  for (unsigned i = 0; i < 2; i++)
    put(out, "relay_peer_errors_total{client=\"%s\"} %" PRIu64 "\n", metrics_peer_error(i),
        t->peer_errors[i]);
}

static void client_allocations(struct evbuffer *out, const metrics_totals *t)
{
  head(out, "relay_client_allocations", "gauge",
       "Allocations that live now, by how their clients talk to the relay.");
  for (unsigned i = 0; i < METRICS_TRANSPORTS; i++)
    put(out, "relay_client_allocations{transport=\"%s\"} %" PRIu64 "\n", metrics_transport(i),
        t->client_allocations[i]);
}

static void streams(struct evbuffer *out, const metrics_totals *t)
{
  head(out, "relay_stream_connections", "gauge", "Clients' connections that are open now, by transport.");
  for (unsigned k = 0; k < STREAM_KINDS; k++)
    put(out, "relay_stream_connections{transport=\"%s\"} %" PRIu64 "\n", stream_kind_name(k),
        t->streams[k].connections);
  head(out, "relay_stream_connections_accepted_total", "counter", "Clients' connections that came.");
  for (unsigned k = 0; k < STREAM_KINDS; k++)
    put(out, "relay_stream_connections_accepted_total{transport=\"%s\"} %" PRIu64 "\n", stream_kind_name(k),
        t->streams[k].accepted);
  head(out, "relay_stream_connections_ended_total", "counter",
       "Clients' connections that ended, or were closed at once, by reason.");
  for (unsigned k = 0; k < STREAM_KINDS; k++)
    for (unsigned i = 0; i < STREAM_ENDS; i++)
      put(out, "relay_stream_connections_ended_total{transport=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
          stream_kind_name(k), stream_end_name(i), t->streams[k].ended[i]);
  head(out, "relay_stream_dropped_messages_total", "counter",
       "Messages that clients took too slowly; relay_dropped_packets_total counts them, too.");
  for (unsigned k = 0; k < STREAM_KINDS; k++)
    put(out, "relay_stream_dropped_messages_total{transport=\"%s\"} %" PRIu64 "\n", stream_kind_name(k),
        t->streams[k].dropped);
  head(out, "relay_stream_queue_bytes", "gauge", "Bytes that wait for clients' connections to take them.");
  for (unsigned k = 0; k < STREAM_KINDS; k++)
    put(out, "relay_stream_queue_bytes{transport=\"%s\"} %" PRIu64 "\n", stream_kind_name(k),
        t->streams[k].queued_bytes);
}

static void memory_refusals(struct evbuffer *out, const metrics_totals *t)
{
  head(out, "relay_memory_refusals_total", "counter",
       "Requests that were refused to bound memory (max_channels), or because there was none.");
  for (unsigned i = 0; i < 2; i++)
    put(out, "relay_memory_refusals_total{reason=\"%s\"} %" PRIu64 "\n", metrics_memory_reason(i),
        t->memory_refusals[i]);
}

static void workers(struct evbuffer *out, const metrics_snapshot *s)
{
  head(out, "relay_send_queue_packets", "gauge", "Datagrams that wait until their socket can be written to.");
  for (size_t i = 0; i < s->worker_count; i++)
    put(out, "relay_send_queue_packets{worker=\"%zu\"} %" PRIu64 "\n", i, s->workers[i].udp.queued_packets);
  head(out, "relay_send_queue_bytes", "gauge", "Bytes of those.");
  for (size_t i = 0; i < s->worker_count; i++)
    put(out, "relay_send_queue_bytes{worker=\"%zu\"} %" PRIu64 "\n", i, s->workers[i].udp.queued_bytes);
  head(out, "relay_worker_allocations", "gauge", "Allocations that live now on each worker.");
  for (size_t i = 0; i < s->worker_count; i++)
    put(out, "relay_worker_allocations{worker=\"%zu\"} %" PRIu64 "\n", i, s->workers[i].engine.allocations);
  head(out, "relay_worker_packets_total", "counter", "Relayed packets of each worker, both directions.");
  for (size_t i = 0; i < s->worker_count; i++)
    put(out, "relay_worker_packets_total{worker=\"%zu\"} %" PRIu64 "\n", i,
        s->workers[i].engine.packets[0] + s->workers[i].engine.packets[1]);
  head(out, "relay_worker_cpu_seconds_total", "counter", "CPU time of each worker's thread.");
  for (size_t i = 0; i < s->worker_count; i++)
    put(out, "relay_worker_cpu_seconds_total{worker=\"%zu\"} %.6f\n", i, (double)s->workers[i].cpu_ns / 1e9);
}

static void process(struct evbuffer *out, const metrics_process *p)
{
  single_double(out, "process_cpu_seconds_total", "counter", p->cpu_seconds,
                "Total user and system CPU time spent in seconds.");
  single(out, "process_open_fds", "gauge", p->open_fds, "Number of open file descriptors.");
  single(out, "process_max_fds", "gauge", p->max_fds, "Maximum number of open file descriptors.");
  single(out, "process_virtual_memory_bytes", "gauge", p->virtual_bytes, "Virtual memory size in bytes.");
  single(out, "process_resident_memory_bytes", "gauge", p->resident_bytes, "Resident memory size in bytes.");
  single(out, "process_threads", "gauge", p->threads, "Number of OS threads in the process.");
  head(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.");
  put(out, "process_start_time_seconds %.2f\n", p->start_seconds);
}

void prometheus_write(const metrics_snapshot *s, struct evbuffer *out)
{
  metrics_totals t;
  metrics_add_up(s, &t);
  single(out, "relay_active_allocations", "gauge", t.allocations, "Allocations that live now.");
  client_allocations(out, &t);
  single(out, "relay_active_channels", "gauge", t.channels, "Channels that relay now.");
  single(out, "relay_active_permissions", "gauge", t.permissions,
         "Permissions that there are now, in full mode.");
  responses(out, &t);
  directions(out, "relay_data_relayed_bytes_total", t.bytes, s, true, "Payload bytes relayed.");
  directions(out, "relay_packets_total", t.packets, s, false, "Packets relayed.");
  indications(out, &t);
  peer_errors(out, &t);
  single(out, "relay_allocations_moved_total", "counter", t.allocations_moved,
         "How often clients took an allocation along to another address.");
  packet_sizes(out, &t, s);
  offload_figures(out, s);
  dropped(out, &t, s);
  memory_refusals(out, &t);
  streams(out, &t);
  workers(out, s);
  single(out, "relay_portal_connected", "gauge", s->portal_connected,
         "1 while the relay is joined to its portal, 0 while not, or if it is standalone.");
  single(out, "relay_portal_configured", "gauge", s->has_portal,
         "1 if the relay has a portal, 0 if it is standalone.");
  single(out, "relay_full", "gauge", s->full, "1 while there is no room for a further allocation.");
  head(out, "relay_build_info", "gauge", "1, with the version as label.");
  put(out, "relay_build_info{version=");
  put_quoted(out, s->version ? s->version : "");
  put(out, "} 1\n");
  single(out, "relay_log_lines_dropped_total", "counter", s->log_lines_dropped,
         "Log lines that were dropped because nobody read them.");
  single(out, "relay_spans_dropped_total", "counter", s->spans_dropped,
         "Spans that were dropped because the collector did not take them.");
  process(out, &s->process);
}
