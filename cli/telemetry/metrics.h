/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured, at one moment: the workers' plain counters and some facts of the process. The exporters read nothing else. */
#ifndef TELEMETRY_METRICS_H
#define TELEMETRY_METRICS_H

#include "common/offload.h"
#include "common/stream_stats.h"
#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/udp.h"

typedef struct metrics_worker {
  fzr_stats engine;
  fzr_udp_stats udp;
  stream_stats streams[STREAM_KINDS];
  uint64_t cpu_ns; /* its thread has used; 0 where that is not known */
} metrics_worker;

/* Of this process, as the kernel has it. */
typedef struct metrics_process {
  double cpu_seconds;
  double start_seconds; /* since 1970 */
  uint64_t resident_bytes, virtual_bytes;
  uint64_t open_fds, max_fds;
  uint64_t threads;
} metrics_process;

typedef struct metrics_snapshot {
  const char *version;
  const metrics_worker *workers; /* whoever fills it in keeps them until the next call */
  size_t worker_count;
  offload_stats offloads[OFFLOADS_MAX]; /* what the kernel relayed without the workers */
  size_t offload_count;
  bool has_portal; /* false: standalone */
  bool portal_connected;
  bool full; /* no room for a further allocation */
  uint64_t log_lines_dropped;
  uint64_t spans_dropped;
  metrics_process process;
} metrics_snapshot;

/* Where snapshots come from. `take` fills in version, workers and the portal's state; it is called on the main thread, and the workers'
 * numbers must have been copied by themselves or under a lock. */
typedef struct metrics_source {
  void (*take)(void *ctx, metrics_snapshot *out);
  void *ctx;
} metrics_source;

/* Clients' transports that there are in the program: the first of enum fzr_transport. */
#define METRICS_TRANSPORTS 3

/* The workers' numbers added up: what went through user space. */
typedef struct metrics_totals {
  uint64_t allocations, channels, permissions;
  uint64_t client_allocations[METRICS_TRANSPORTS]; /* of those, by their clients' transport */
  uint64_t packets[2], bytes[2];
  uint64_t indications[2]; /* of those packets */
  uint64_t allocations_moved;
  uint64_t peer_errors[2];
  uint64_t packet_sizes[FZR_SIZE_CLASSES];
  uint64_t dropped[FZR_DROP_REASONS]; /* the adapter's own reasons included */
  uint64_t responses[FZR_STAT_METHODS][FZR_STAT_CODES];
  uint64_t memory_refusals[2];
  stream_stats streams[STREAM_KINDS];
} metrics_totals;

/* A label for fzr_stats.allocations_by_transport. */
static inline const char *metrics_transport(unsigned index)
{
  static const char *const names[METRICS_TRANSPORTS] = {
      [FZR_TRANSPORT_UDP] = "udp", [FZR_TRANSPORT_TCP] = "tcp", [FZR_TRANSPORT_TLS] = "tls"};
  return names[index];
}

/* A label for fzr_stats.indications. */
static inline const char *metrics_indication(unsigned index)
{
  return index ? "data" : "send";
}

/* A label for fzr_stats.peer_errors. */
static inline const char *metrics_peer_error(unsigned index)
{
  return index ? "untold" : "told";
}

/* A label for fzr_stats.memory_refusals. */
static inline const char *metrics_memory_reason(unsigned index)
{
  return index ? "no_memory" : "max_channels";
}

void metrics_add_up(const metrics_snapshot *snapshot, metrics_totals *totals);

/* Makes |to|, all zero or a copy, a copy of |from| that keeps its workers' figures itself, until metrics_forget. Returns 0, or -1 if
 * memory is out: then it is empty. */
int metrics_copy(metrics_snapshot *to, const metrics_snapshot *from);
void metrics_forget(metrics_snapshot *copy);

/* Whether there is a series for the answers to |method| of |index| (see fzr_stats.responses): there is from the start, at 0, for what can
 * be expected, so that the first one is an increase; and for what else has happened. */
bool metrics_has_responses(const metrics_totals *totals, unsigned method, unsigned index);

/* Those of |stats|' offload in |snapshot| (NULL: none), or all 0 if it has none. */
const offload_stats *metrics_same_offload(const metrics_snapshot *snapshot, const offload_stats *stats);

/* Reads /proc/self; what can't be read is 0. */
void metrics_read_process(metrics_process *process);

/* The label value of an index of fzr_stats.packets. */
const char *metrics_direction(unsigned index);

#endif
