/* SPDX-License-Identifier: Apache-2.0 */
#include "workers.h"

#include "addresses.h"
#include "common/clock.h"
#include "handover/wire.h"
#include "log/log.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long to wait for the workers' numbers, all together; after that their last ones have to do. */
#define SNAPSHOT_MS 200u

struct workers {
  fzr_shared *shared;
  steer *steer; /* NULL: each allocation has its own socket */
  stream_prefixes *prefixes;
  unsigned count;
  worker **each;
  metrics_worker *snapshot;
  bool current;      /* all of |snapshot| was made when it was last asked for */
  bool unsettled;    /* what relays in the kernel may still be another process's */
  offloads offloads; /* none: everything goes through user space */
};

unsigned workers_count(const options *o)
{
  return o->workers ? o->workers : process_cpus();
}

static void log_listening(const workers *all, const options *o, const fzr_addr *public_addr,
                          const fzr_addr *bind_addr)
{
  char text[FZR_ADDR_TEXT_MAX], public_text[FZR_ADDR_TEXT_MAX];
  fzr_addr addr = *bind_addr;
  addr.port = worker_listen_port(all->each[0]);
  if (!public_addr->family)
    return;
  fzr_addr_format(&addr, true, text, sizeof text);
  fzr_addr_format(public_addr, false, public_text, sizeof public_text);
  log_info("relay", "Listening on %s, known to clients and peers as %s, ports for allocations %u to %u", text,
           public_text, o->lowest_port, o->highest_port);
}

/* How many channels there can be by the ports and what an allocation may have. */
static uint64_t channels_by_ports(const options *o)
{
  return ((uint64_t)o->highest_port - o->lowest_port + 1) * o->max_channels_per_allocation;
}

/* Room for this many channels is made at most, and for no more than ports and limits allow. */
#define MAX_ENTRIES 65536u

/* What is left of |gift| stays in |p|. */
static void keep_rest(handover_parcel *p, const offload_gift *gift)
{
  handover_fds *fds = handover_parcel_fds(p, HANDOVER_OFFLOAD, 0);
  fds->count = 0;
  for (size_t i = 0; i < gift->count; i++)
    if (gift->fds[i] >= 0)
      fds->each[fds->count++] = gift->fds[i];
}

static void open_offloads(workers *all, const options *o, handover_parcel *given)
{
  offload_gift gift = {.count = 0};
  const handover_fds *fds = given ? handover_parcel_fds(given, HANDOVER_OFFLOAD, 0) : NULL;
  if (fds && fds->count && fds->count <= OFFLOAD_FDS_MAX) {
    gift.count = fds->count;
    memcpy(gift.fds, fds->each, fds->count * sizeof *fds->each);
    snprintf(gift.about, sizeof gift.about, "%s", given->about);
  }
  const fzr_addr none = {0};
  const uint64_t most = channels_by_ports(o);
  const offload_relay relay = {.listen_port = worker_listen_port(all->each[0]),
                               .lowest_port = o->lowest_port,
                               .highest_port = o->highest_port,
                               .ip4 = o->public_ip4.family,
                               .ip6 = o->public_ip6.family,
                               .bandwidth_limited = o->max_bandwidth_per_allocation != 0,
                               .bound_ip4 = is_wildcard(&o->bind_ip4) ? none : o->bind_ip4,
                               .bound_ip6 = is_wildcard(&o->bind_ip6) ? none : o->bind_ip6,
                               .workers = all->count,
                               .channels_alone = o->relay_mode == RELAY_MODE_CHANNELS,
                               .strangers = o->unauthenticated_rate,
                               .channels = most < MAX_ENTRIES ? (uint32_t)most : MAX_ENTRIES};
  offloads_open(&all->offloads, o, &relay, gift.count ? &gift : NULL);
  if (gift.count)
    keep_rest(given, &gift);
  for (unsigned i = 0; i < all->count; i++)
    worker_offload(all->each[i], &all->offloads);
}

/* The tighter of both bounds, with the option that would widen it. */
static void log_room(const options *o, uint32_t max_channels, uint64_t memory)
{
  const bool full = o->relay_mode == RELAY_MODE_FULL; /* a permission takes the place of a channel */
  const uint64_t ports = (uint64_t)o->highest_port - o->lowest_port + 1;
  const uint64_t by_ports = channels_by_ports(o) + (full ? ports * o->max_permissions_per_allocation : 0);
  const uint64_t least = by_ports < max_channels ? by_ports : max_channels;
  log_info("relay", "Room for %llu channels%s at most (%s%s), %llu MB of %llu MB of memory",
           (unsigned long long)least, full ? " and permissions" : "",
           by_ports < max_channels ? "ports, --max-channels-per-allocation" : "--max-channels",
           by_ports < max_channels && full ? ", --max-permissions-per-allocation" : "",
           (unsigned long long)least * CHANNEL_BYTES / 1000000, (unsigned long long)memory / 1000000);
}

static void log_proxies(const options *o)
{
  char network[FZR_PEER_RULE_TEXT_MAX];
  for (size_t i = 0; i < o->proxy_count; i++)
    if (fzr_peer_rule_format(&o->proxies[i], network, sizeof network) > 0)
      log_info("relay", "Connections from %s have to begin with a PROXY header", network);
}

static const char *await_all(workers *all, fzr_time until)
{
  const char *trouble = NULL;
  for (unsigned i = 0; i < all->count; i++) {
    const char *why = worker_await(all->each[i], until);
    trouble = trouble ? trouble : why;
  }
  return trouble;
}

static void log_sockets(const options *o, const fzr_udp_stats *stats)
{
  worker_log_sockets(stats);
  addresses_explain(o, stats);
}

/* The same of one that runs. If it has no time for that, its clients come first. */
static void log_running(const workers *all, const options *o)
{
  metrics_worker stats;
  worker_ask(all->each[0]);
  if (worker_answer(all->each[0], monotonic_now() + SNAPSHOT_MS * FZR_MILLISECOND, &stats))
    log_sockets(o, &stats.udp);
}

/* The most CPU time that one of them took for what it was told last. */
static fzr_time most_spent(const workers *all)
{
  fzr_time most = 0;
  for (unsigned i = 0; i < all->count; i++) {
    const fzr_time spent = worker_spent(all->each[i]);
    most = spent > most ? spent : most;
  }
  return most;
}

/* Of the pause, in ns from when it began. */
typedef struct taking {
  fzr_time begun, came, loaded, went;
  fzr_time loading; /* CPU time of a worker */
} taking;

static double in_ms(fzr_time t)
{
  return (double)t / (double)FZR_MILLISECOND;
}

static void log_taking(workers *all, const taking *t)
{
  if (await_all(all, monotonic_now() + SNAPSHOT_MS * FZR_MILLISECOND))
    return;
  log_debug(
      "relay",
      "Taking over: all that there was had come after %.1f ms, was loaded after %.1f ms, was this process's "
      "after "
      "%.1f ms, and was read after %.1f ms; of a worker's CPU loading took %.1f ms and beginning %.1f ms",
      in_ms(t->came - t->begun), in_ms(t->loaded - t->begun), in_ms(t->went - t->begun),
      in_ms(monotonic_now() - t->begun), in_ms(t->loading), in_ms(most_spent(all)));
}

/* Nobody reads until it is done. */
static int take_over(workers *all, const workers_inheritance *inherited, taking *t, char *error)
{
  const char *trouble;
  process_give_back_memory();
  for (unsigned i = 0; i < all->count; i++)
    worker_prepare(all->each[i], inherited->parcel);
  await_all(all, FZR_TIME_NEVER);
  t->begun = monotonic_now();
  if (inherited->rest(inherited->ctx, error))
    return -1;
  t->came = monotonic_now();
  for (unsigned i = 0; i < all->count; i++)
    worker_load(all->each[i], inherited->parcel);
  if ((trouble = await_all(all, FZR_TIME_NEVER))) {
    snprintf(error, OPTIONS_ERROR_MAX, "%s", trouble);
    return -1;
  }
  t->loaded = monotonic_now();
  t->loading = most_spent(all);
  for (unsigned i = 0; i < all->count; i++)
    worker_answer(all->each[i], 0, &all->snapshot[i]);
  /* Nothing may fail from here on: there is nobody else who has the allocations. */
  if (inherited->begin(inherited->ctx, error))
    return -1;
  offloads_hold(&all->offloads, false);
  for (unsigned i = 0; i < all->count; i++)
    worker_take_over(all->each[i]);
  t->went = monotonic_now();
  return 0;
}

/* Without it, all goes on as without the option. */
static void open_steer(workers *all, const options *o)
{
  char error[STEER_ERROR_MAX];
  if (!o->one_socket)
    return;
  all->steer = steer_open(o->lowest_port, o->highest_port, all->count, o->public_ip6.family != 0, error);
  if (all->steer)
    log_info("relay", "One socket of each worker and family receives for all allocations");
  else
    log_warn("relay", "Each allocation has sockets of its own, for --one-socket can't be had: %s", error);
}

static int start_all(workers *all, const options *o, const logins *first, const certificates *certificate,
                     const uint16_t own_ports[2], telemetry *t, const workers_inheritance *inherited,
                     char *error)
{
  taking taken = {0};
  const uint64_t memory = process_memory();
  const uint32_t max_channels = o->max_channels ? o->max_channels : memory_channels(memory);
  log_room(o, max_channels, memory);
  open_steer(all, o);
  for (unsigned i = 0; i < all->count; i++) {
    net_tls_identity *identity = certificate ? certificates_copy(certificate, error) : NULL;
    if (certificate && !identity)
      return -1;
    const worker_config config = {.options = o,
                                  .logins = first,
                                  .shared = all->shared,
                                  .prefixes = all->prefixes,
                                  .identity = identity,
                                  .max_channels = max_channels,
                                  .index = i,
                                  .count = all->count,
                                  .inherited = inherited ? inherited->parcel : NULL,
                                  .steer = all->steer,
                                  .first = i ? all->each[0] : NULL,
                                  .own_ports = {own_ports[0], own_ports[1]},
                                  .spans = telemetry_spans(t, i)};
    all->each[i] = worker_new(&config, error);
    net_tls_identity_drop(identity);
    if (!all->each[i])
      return -1;
  }
  for (unsigned i = 0; i < all->count; i++) {
    if (worker_start(all->each[i])) {
      snprintf(error, OPTIONS_ERROR_MAX, "can't start a thread: %s", strerror(errno));
      return -1;
    }
  }
  if (!inherited) {
    const fzr_udp_stats stats = worker_udp_stats(all->each[0]);
    log_sockets(o, &stats);
  }
  /* While the other process goes on: loading a program takes its time. */
  open_offloads(all, o, inherited ? inherited->parcel : NULL);
  if (inherited && take_over(all, inherited, &taken, error))
    return -1;
  for (unsigned i = 0; i < all->count; i++)
    worker_begin(all->each[i]);
  if (inherited) {
    all->unsettled = all->offloads.count > 0;
    log_taking(all, &taken);
    log_running(all, o);
  }
  return 0;
}

workers *workers_start(const options *o, const logins *first, const certificates *certificate,
                       const uint16_t own_ports[2], telemetry *t, const workers_inheritance *inherited,
                       char error[OPTIONS_ERROR_MAX])
{
  workers *all = calloc(1, sizeof *all);
  if (all) {
    all->count = inherited ? inherited->parcel->count : workers_count(o);
    all->each = calloc(all->count, sizeof(worker *));
    all->snapshot = calloc(all->count, sizeof *all->snapshot);
    all->prefixes = stream_prefixes_new(o->max_connections_per_prefix);
  }
  if (!all || !all->each || !all->snapshot || !all->prefixes ||
      fzr_shared_new(o->lowest_port, o->highest_port, NULL, &all->shared)) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    workers_free(all);
    return NULL;
  }
  if (start_all(all, o, first, certificate, own_ports, t, inherited, error)) {
    workers_free(all);
    return NULL;
  }
  log_info("relay", "Listening for incoming traffic on UDP port %u", worker_listen_port(all->each[0]));
  if (o->tcp_listen_port)
    log_info("relay", "Listening for clients on TCP port %u", o->tcp_listen_port);
  if (o->tls_listen_port)
    log_info("relay", "Listening for clients of TLS on TCP port %u", o->tls_listen_port);
  log_proxies(o);
  log_listening(all, o, &o->public_ip4, &o->bind_ip4);
  log_listening(all, o, &o->public_ip6, &o->bind_ip6);
  return all;
}

/* What was ordered for a hand-over that failed has to be done first: a worker that has yet to read on would do so right after the pause. */
const char *workers_show(workers *all, int fd, fzr_time until, uint32_t *count)
{
  const char *trouble = NULL;
  process_give_back_memory();
  for (unsigned i = 0; i < all->count && !trouble; i++)
    trouble = worker_await_former(all->each[i], monotonic_now() + HANDOVER_WAIT);
  for (unsigned i = 0; i < all->count && !trouble; i++)
    trouble = worker_show(all->each[i], fd, until, count);
  for (unsigned i = 0; i < all->count && !trouble; i++)
    trouble = worker_show_listeners(all->each[i], fd, until, count);
  return trouble;
}

/* All together: while one is saved, none may have input, for they share ports and users. */
const char *workers_pause(workers *all, fzr_time until, handover_parcel *p)
{
  const char *trouble;
  for (unsigned i = 0; i < all->count; i++)
    worker_pause(all->each[i]);
  trouble = await_all(all, until);
  if (trouble)
    return trouble;
  offloads_hold(&all->offloads, true); /* what is in the kernel is the successor's, if it comes to that */
  for (unsigned i = 0; i < all->count; i++)
    worker_give(all->each[i], p);
  return await_all(all, FZR_TIME_NEVER); /* however long it takes: they write into |p| */
}

void workers_resume(workers *all)
{
  offloads_hold(&all->offloads, false);
  for (unsigned i = 0; i < all->count; i++)
    worker_resume(all->each[i]);
}

fzr_time workers_spent(const workers *all)
{
  return most_spent(all);
}

unsigned workers_leave(workers *all, fzr_time until)
{
  unsigned left = 0;
  for (unsigned i = 0; i < all->count; i++)
    worker_leave(all->each[i]);
  await_all(all, until); /* if not by then, they are closed when the process ends */
  for (unsigned i = 0; i < all->count; i++)
    left += worker_left(all->each[i]);
  return left;
}

unsigned workers_clients(const workers *all, enum stream_kind kind)
{
  unsigned clients = 0;
  for (unsigned i = 0; i < all->count; i++)
    clients += worker_clients(all->each[i], kind);
  return clients;
}

unsigned workers_number(const workers *all)
{
  return all->count;
}

worker *workers_at(const workers *all, unsigned i)
{
  return all->each[i];
}

uint16_t workers_listen_port(const workers *all)
{
  return worker_listen_port(all->each[0]);
}

void workers_drain(workers *all)
{
  for (unsigned i = 0; i < all->count; i++)
    worker_drain(all->each[i]);
}

void workers_set_logins(workers *all, logins *l)
{
  logins_await(l, all->count);
  for (unsigned i = 0; i < all->count; i++)
    worker_set_logins(all->each[i], l);
}

void workers_set_rules(workers *all, const fzr_peer_rule *rules, size_t count)
{
  for (unsigned i = 0; i < all->count; i++)
    if (worker_set_rules(all->each[i], rules, count))
      log_error("relay", "Worker %u can't take the new peer rules: out of memory", i);
}

int workers_set_certificate(workers *all, const certificates *certificate, char error[OPTIONS_ERROR_MAX])
{
  for (unsigned i = 0; i < all->count; i++) {
    net_tls_identity *identity = certificates_copy(certificate, error);
    if (!identity)
      return -1;
    worker_set_identity(all->each[i], identity);
  }
  return 0;
}

void workers_follow_log_filter(workers *all)
{
  for (unsigned i = 0; i < all->count; i++)
    worker_follow_log_filter(all->each[i]);
}

void workers_snapshot(workers *all, metrics_snapshot *out)
{
  const fzr_time until = monotonic_now() + SNAPSHOT_MS * FZR_MILLISECOND;
  for (unsigned i = 0; i < all->count; i++)
    worker_ask(all->each[i]);
  all->current = true;
  for (unsigned i = 0; i < all->count; i++)
    if (!worker_answer(all->each[i], until, &all->snapshot[i]))
      all->current = false;
  out->workers = all->snapshot;
  out->worker_count = all->count;
  out->offload_count = offloads_read(&all->offloads, out->offloads);
}

bool workers_have_settled(workers *all)
{
  for (unsigned i = 0; i < all->count && all->unsettled; i++)
    if (!worker_has_listed(all->each[i]))
      return false;
  if (all->unsettled)
    offloads_settle(&all->offloads, true);
  all->unsettled = false;
  return true;
}

bool workers_offload(const workers *all, offload_gift *gift)
{
  return offloads_give(&all->offloads, gift);
}

void workers_inherited(const workers *all, metrics_snapshot *out)
{
  out->offload_count = offloads_read(&all->offloads, out->offloads);
  out->workers = all->snapshot;
  out->worker_count = all->count;
}

int workers_lack(const workers *all)
{
  return fzr_shared_lacks(all->shared, monotonic_now());
}

bool workers_snapshot_is_current(const workers *all)
{
  return all->current;
}

void workers_free(workers *all)
{
  if (!all)
    return;
  /* The workers' last events find it there. */
  for (unsigned i = all->each ? all->count : 0; i-- > 0;)
    worker_free(all->each[i]);
  offloads_close(&all->offloads);
  steer_free(all->steer);
  fzr_shared_free(all->shared);
  stream_prefixes_free(all->prefixes);
  free(all->each);
  free(all->snapshot);
  free(all);
}
