/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "handover/wire.h"
#include "log/log.h"
#include "notify.h"
#include "process.h"
#include "relay_internal.h"
#include "take_over.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATS_SECONDS 10
/* How often the files of the certificate are looked at. */
#define CERTIFICATE_SECONDS 5
/* How often a shutdown looks whether the last allocation is gone. */
#define DRAIN_POLL_MS 50
/* What metrics and spans may cost a shutdown when their collector is slow. */
#define FLUSH_MS 1000u
/* How often the log says that there is no room. */
#define TELL_FULL_EVERY (60 * FZR_SECOND)
/* How often it is looked whether what relays in the kernel is this process's. */
#define SETTLE_POLL_MS 10
/* How long requests by HTTP that have come may take for their answers, once all else was handed over. */
#define LINGER (500 * FZR_MILLISECOND)

static void end_with(relay *r, int status)
{
  if (!r->ended)
    r->status = status;
  r->ended = true;
  event_base_loopbreak(r->base);
}

/* ---- figures ---- */

static void take_snapshot(void *ctx, metrics_snapshot *out)
{
  relay *r = ctx;
  out->version = fzr_version();
  out->has_portal = r->portal != NULL;
  out->portal_connected = portal_is_connected(r->portal);
  out->full = r->workers && workers_lack(r->workers);
  if (r->workers)
    workers_snapshot(r->workers, out);
}

static metrics_totals take_totals(relay *r)
{
  metrics_snapshot snapshot = {0};
  metrics_totals totals;
  take_snapshot(r, &snapshot);
  metrics_add_up(&snapshot, &totals);
  for (size_t i = 0; i < snapshot.offload_count; i++) {
    for (unsigned k = 0; k < 2; k++) {
      totals.packets[k] += snapshot.offloads[i].packets[k];
      totals.bytes[k] += snapshot.offloads[i].bytes[k];
    }
  }
  return totals;
}

/* The service manager waits for it, and so do other services: not for long, where a portal is away. */
static void say_ready(relay *r)
{
  if (!r->said_ready)
    notify_ready();
  r->said_ready = true;
}

static void say_status(const relay *r, const metrics_totals *t)
{
  if (r->handed || r->draining)
    return;
  if (!r->workers)
    notify_status("Waiting for the portal");
  else
    notify_status("Relaying: %llu allocation%s, %llu channel%s", (unsigned long long)t->allocations,
                  t->allocations == 1 ? "" : "s", (unsigned long long)t->channels,
                  t->channels == 1 ? "" : "s");
}

/* With a portal the engine tells of it, when it turns the first client away. */
static void tell_full(relay *r, fzr_time now)
{
  const int lacks = r->workers && !r->portal && !r->draining ? workers_lack(r->workers) : 0;
  if (!lacks || (r->told_full && now - r->told_full < TELL_FULL_EVERY))
    return;
  const bool elsewhere = r->o->alternate_ip4.family || r->o->alternate_ip6.family;
  const log_field reason = {"reason", LOG_STR, {.str = fzr_strerror(lacks)}};
  log_write(FZR_LOG_WARN, "relay",
            elsewhere ? "This relay is full: new clients are sent to --alternate-server"
                      : "This relay is full: new allocations are refused with 508",
            &reason, 1);
  r->told_full = now;
}

static void on_stats(evutil_socket_t fd, short what, void *ctx)
{
  static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s"};
  (void)fd;
  (void)what;
  relay *r = ctx;
  const metrics_totals t = take_totals(r);
  const uint64_t bytes = t.bytes[0] + t.bytes[1];
  const fzr_time now = monotonic_now();
  const double seconds = (double)(now - r->last_stats) / (double)FZR_SECOND;
  double rate = seconds > 0 ? (double)(bytes - r->last_bytes) / seconds : 0;
  unsigned unit = 0;
  for (; rate >= 1000 && unit < 3; unit++)
    rate /= 1000;
  r->last_bytes = bytes;
  r->last_stats = now;
  log_info("relay", "Allocations = %llu Channels = %llu Throughput = %.2f %s",
           (unsigned long long)t.allocations, (unsigned long long)t.channels, rate, units[unit]);
  tell_full(r, now);
  say_ready(r);
  say_status(r, &t);
}

static workers *workers_of(void *ctx)
{
  const relay *r = ctx;
  return r->workers;
}

/* New clients come by way of the portal, if there is one. */
static const char *not_ready(void *ctx)
{
  const relay *r = ctx;
  if (r->draining)
    return "shutting down";
  if (r->portal && !portal_is_connected(r->portal) && monotonic_now() >= r->joining_until)
    return "the portal is away";
  if (r->workers && workers_lack(r->workers))
    return "full";
  return r->workers ? NULL : "the portal has not said yet that relaying may begin";
}

/* ---- shutdown ---- */

/* Whether nothing was relayed for so long that no call can be alive: even an idle one's checks come each 25 s. Firezone's clients never
 * free an allocation that they leave. */
static bool drain_is_idle(relay *r, const metrics_totals *t, bool unknown)
{
  const uint64_t packets = t->packets[0] + t->packets[1];
  const fzr_time now = monotonic_now();
  if (packets != r->drain_packets || unknown)
    r->drain_relayed = now;
  r->drain_packets = packets;
  return now - r->drain_relayed >= r->o->drain_idle_seconds * FZR_SECOND;
}

static void on_drain(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  relay *r = ctx;
  if (r->handed) {
    const bool left = endpoints_are_idle(&r->endpoints) && (!r->portal || portal_is_closed(r->portal));
    if (r->released && (left || monotonic_now() >= r->shutdown_at))
      end_with(r, EXIT_SUCCESS);
    return;
  }
  const metrics_totals t = take_totals(r);
  const bool unknown = r->workers && !workers_snapshot_is_current(r->workers);
  const bool portal_open = r->portal && !portal_is_closed(r->portal);
  const bool idle = drain_is_idle(r, &t, unknown);
  if (((t.allocations && !idle) || unknown || portal_open) && monotonic_now() < r->shutdown_at)
    return;
  if (t.allocations && idle)
    log_info("relay", "Nothing was relayed for %llu s: shutting down, with %llu idle allocation%s left",
             (unsigned long long)r->o->drain_idle_seconds, (unsigned long long)t.allocations,
             t.allocations == 1 ? "" : "s");
  else if (t.allocations)
    log_warn("relay", "Shutdown timeout: cutting off %llu allocation%s with %llu channel%s",
             (unsigned long long)t.allocations, t.allocations == 1 ? "" : "s", (unsigned long long)t.channels,
             t.channels == 1 ? "" : "s");
  else if (unknown)
    log_warn("relay",
             "Shutdown timeout: a worker did not answer, so there may be allocations that are cut off");
  else
    log_info("relay", "No allocations left, shutting down");
  end_with(r, r->refused ? EXIT_FAILURE : EXIT_SUCCESS);
}

static void poll_drain(relay *r)
{
  const struct timeval every = {0, (suseconds_t)DRAIN_POLL_MS * 1000};
  event_add(r->drain, &every);
  on_drain(-1, 0, r);
}

/* |why| begins the line. */
static void drain(relay *r, const char *why)
{
  r->draining = true;
  r->drain_relayed = monotonic_now();
  const uint64_t wait = r->o->shutdown_seconds;
  r->shutdown_at = wait > UINT32_MAX ? FZR_TIME_NEVER : monotonic_now() + wait * FZR_SECOND;
  if (r->portal)
    portal_shutdown(r->portal);
  if (r->workers)
    workers_drain(r->workers);
  log_info("relay", "%s: no new allocations; waiting for those that live%s", why,
           r->signalled ? ". A second signal ends this at once" : "");
  poll_drain(r);
}

static void on_signal(evutil_socket_t signal_number, short what, void *ctx)
{
  (void)what;
  relay *r = ctx;
  const char *name = signal_number == SIGTERM ? "SIGTERM" : "SIGINT";
  if (r->handed)
    return; /* it ends by itself */
  if (r->signalled) {
    log_info("relay", "%s again: shutting down at once", name);
    r->at_once = true;
    end_with(r, EXIT_SUCCESS);
    return;
  }
  r->signalled = true;
  notify_stopping();
  if (r->out)
    handover_out_refuse(r->out);
  drain(r, name);
}

/* All was given away: what is left are answers by HTTP. */
static void on_given(void *ctx, uint64_t went_at)
{
  relay *r = ctx;
  telemetry_give(r->telemetry, went_at);
  r->handed = true;
  endpoints_refuse_new(&r->endpoints);
  if (r->portal)
    portal_yield(r->portal);
}

static void on_released(void *ctx)
{
  relay *r = ctx;
  r->released = true;
  r->shutdown_at = monotonic_now() + LINGER;
  if (r->portal)
    portal_shutdown(r->portal);
  poll_drain(r);
}

/* ---- start ---- */

/* Whoever comes later can take over. If not, that is no reason to end what has taken over itself: nobody else has the allocations. */
static int listen_for_successors(relay *r, char *error)
{
  const handover_out_config config = {.base = r->base,
                                      .workers = r->workers,
                                      .secret = r->portal ? r->logins->secrets.first : NULL,
                                      .endpoints = &r->endpoints,
                                      .past = telemetry_present(r->telemetry),
                                      .given = on_given,
                                      .released = on_released,
                                      .ctx = r};
  if (!r->out || !handover_out_open(r->out, &config, error))
    return 0;
  if (!r->in.begun)
    return -1;
  log_error("relay", "%s: nobody can take over from this process", error);
  handover_out_free(r->out);
  r->out = NULL;
  return 0;
}

/* What can be lacking has to be found while the other process can still go on. */
static workers *new_workers(relay *r, char *error)
{
  uint16_t ports[2];
  const workers_inheritance inherited = {&r->in.parcel, handover_in_rest, handover_in_begin, &r->in};
  if (r->o->handover_socket && !(r->out = handover_out_new(r->o, error)))
    return NULL;
  endpoints_ports(&r->endpoints, ports);
  return workers_start(r->o, r->logins, r->certificates, ports, r->telemetry,
                       r->in.fd >= 0 ? &inherited : NULL, error);
}

static void go_on_counting(relay *r)
{
  metrics_snapshot then = {0};
  workers_inherited(r->workers, &then);
  telemetry_go_on(r->telemetry, &then, r->in.went_at);
}

static int finish_start(relay *r)
{
  char error[OPTIONS_ERROR_MAX];
  if (listen_for_successors(r, error)) {
    handover_in_log(&r->in, error);
    return -1;
  }
  relay_follow_reload(r);
  take_over_done(r->told);
  r->told = -1;
  say_ready(r);
  return 0;
}

/* Whoever takes over from this process gets what relays in the kernel, which has to be this one's first. */
static void on_settle(evutil_socket_t fd, short what, void *ctx)
{
  static const struct timeval again = {0, (suseconds_t)SETTLE_POLL_MS * 1000};
  relay *r = ctx;
  (void)fd;
  (void)what;
  if (!workers_have_settled(r->workers))
    event_add(r->settle, &again);
  else if (finish_start(r))
    end_with(r, EXIT_FAILURE);
}

static int start_workers(relay *r)
{
  char error[OPTIONS_ERROR_MAX];
  r->workers = new_workers(r, error);
  if (r->workers && r->in.begun)
    go_on_counting(r);
  if (r->in.begun) {
    endpoints_begin(&r->endpoints, &r->in.parcel);
    handover_in_forget(&r->in);
  } else {
    handover_in_close(&r->in, error);
  }
  if (!r->workers) {
    handover_in_log(&r->in, error);
    return -1;
  }
  if (!r->in.begun && finish_start(r))
    return -1;
  if (r->in.begun)
    on_settle(-1, 0, r);
  process_step_back(); /* what exports and answers HTTP must not hold up what relays */
  users_forget(&r->logins->users);
  return 0;
}

static void on_init(void *ctx)
{
  relay *r = ctx;
  handover_in_joined(&r->in);
  r->joining_until = 0;
  if (!r->workers && !r->draining && start_workers(r))
    end_with(r, EXIT_FAILURE);
}

static void on_fatal(void *ctx, const char *message)
{
  relay *r = ctx;
  log_error("portal", "%s", message);
  if (r->handed)
    return;
  if (!r->in.begun || !r->joining_until) {
    end_with(r, EXIT_FAILURE);
    return;
  }
  /* What was taken over lives here alone, and the next one, with a token that is taken, may take it over in turn. */
  r->refused = true;
  handover_in_close(&r->in, message); /* the one before does not stay at the portal for this one */
  notify_status("The portal does not take this relay: no new allocations");
  drain(r, "What was taken over is relayed to its end");
}

/* A token, URL or CA bundle that can't be used: one line, as for a wrong option. Returns -1. */
static int refuse_start(relay *r, char *error)
{
  make_one_line(error);
  fprintf(stderr, "firezone-relay: %s\n", error);
  r->status = EXIT_USAGE;
  return -1;
}

static int start_portal(relay *r)
{
  char error[PORTAL_ERROR_MAX];
  const options *o = r->o;
  portal_options config = {.api_url = o->api_url,
                           .token = o->token,
                           .name = o->name,
                           .ipv4 = o->public_ip4,
                           .ipv6 = o->public_ip6,
                           .port = o->listen_port,
                           .stamp_secret = r->logins->secrets.first,
                           .version = fzr_version(),
                           .timing = o->portal_timing};
  if (!config.timing.partition)
    config.timing.partition = o->max_partition_seconds * FZR_SECOND;
  if (!config.timing.heartbeat)
    config.timing.heartbeat = o->heartbeat_seconds * FZR_SECOND;
  const portal_callbacks callbacks = {r, on_init, on_fatal};
  r->portal = portal_start(&config, r->base, &callbacks, error);
  if (r->portal)
    return 0;
  return refuse_start(r, error);
}

static int start_certificates(relay *r)
{
  char error[OPTIONS_ERROR_MAX];
  const struct timeval every = {CERTIFICATE_SECONDS, 0};
  r->certificates = certificates_new(r->o, error);
  if (!r->certificates)
    return refuse_start(r, error);
  certificates_log(r->certificates);
  r->certificate = event_new(r->base, -1, EV_PERSIST, relay_on_certificate, r);
  return r->certificate && !event_add(r->certificate, &every) ? 0 : -1;
}

static int start_events(relay *r)
{
  r->base = event_base_new();
  if (!r->base)
    return -1;
  r->terminate = evsignal_new(r->base, SIGTERM, on_signal, r);
  r->interrupt = evsignal_new(r->base, SIGINT, on_signal, r);
  r->reload = evsignal_new(r->base, SIGHUP, relay_on_reload, r);
  r->stats = event_new(r->base, -1, EV_PERSIST, on_stats, r);
  r->drain = event_new(r->base, -1, EV_PERSIST, on_drain, r);
  r->settle = evtimer_new(r->base, on_settle, r);
  const struct timeval every = {STATS_SECONDS, 0};
  if (!r->terminate || !r->interrupt || !r->reload || !r->stats || !r->drain || !r->settle)
    return -1;
  r->last_stats = monotonic_now();
  if (event_add(r->terminate, NULL) || event_add(r->interrupt, NULL) || event_add(r->reload, NULL) ||
      event_add(r->stats, &every))
    return -1;
  process_hold_signals(false); /* one that came before is delivered now */
  return 0;
}

/* If another process answers at --handover-socket. Returns -1 if it can't be followed; it goes on then. */
static int ask_predecessor(relay *r)
{
  char error[OPTIONS_ERROR_MAX];
  if (handover_in_open(&r->in, r->o, error)) {
    handover_in_log(&r->in, error);
    return -1;
  }
  if (r->in.fd < 0 && r->o->take_over) {
    log_error("relay", "--take-over: no relay answers at %s: start one, which can then be taken over",
              r->o->handover_socket);
    return -1;
  }
  if (r->in.fd < 0)
    return 0;
  r->inherited_workers = r->in.offer.workers;
  r->past.counting_since = r->in.offer.counting_since;
  snprintf(r->past.instance, sizeof r->past.instance, "%s", r->in.offer.instance);
  if (r->o->token) { /* the portal is to take this process for the other one */
    snprintf(r->logins->secrets.first, sizeof r->logins->secrets.first, "%s", r->in.offer.secret);
    r->joining_until = monotonic_now() + HANDOVER_JOIN_WAIT;
  }
  if (r->o->workers && r->o->workers != r->in.offer.workers)
    log_warn("relay",
             "--workers is %u: there are %u, which the relay that is taken over has, until a restart",
             r->o->workers, r->in.offer.workers);
  return 0;
}

/* The other one goes on until all is ready here. */
static int take_over(relay *r, char *error)
{
  return r->in.fd >= 0 ? handover_in_take(&r->in, error) : 0;
}

static int start(relay *r)
{
  char error[OPTIONS_ERROR_MAX] = "can't make an event loop";
  bool unusable;
  /* Signals first: they were held up to here. */
  if (start_events(r)) {
    log_error("relay", "%s", error);
    return -1;
  }
  /* Then the certificate and the portal, which are checked before anything is opened. The portal does nothing until the loop runs. */
  if (r->o->tls_listen_port && start_certificates(r))
    return -1;
  if (ask_predecessor(r))
    return -1;
  if (r->o->token && start_portal(r))
    return -1;
  const telemetry_options config = {.version = fzr_version(),
                                    .otlp_endpoint = r->o->otlp_endpoint,
                                    .workers =
                                        r->inherited_workers ? r->inherited_workers : workers_count(r->o),
                                    .source = {take_snapshot, r},
                                    .env = getenv,
                                    .environment = environ,
                                    .past = r->past};
  if (!(r->telemetry = telemetry_new(&config, r->base, &unusable, error)) && unusable)
    return refuse_start(r, error);
  r->endpoints_config = (endpoints_config){.options = r->o,
                                           .base = r->base,
                                           .health = {r, not_ready},
                                           .sessions = {r, workers_of},
                                           .telemetry = r->telemetry,
                                           .filter_changed = relay_follow_filter};
  if (!r->telemetry || take_over(r, error) ||
      endpoints_open(&r->endpoints, &r->endpoints_config, r->in.fd >= 0 ? &r->in.parcel : NULL, error)) {
    handover_in_close(&r->in, error);
    handover_in_log(&r->in, error);
    return -1;
  }
  return r->portal && r->in.fd < 0 ? 0 : start_workers(r);
}

static void stop(relay *r)
{
  if (r->drain)
    event_del(r->drain);
  if (r->begun && !r->at_once)
    telemetry_flush(r->telemetry, FLUSH_MS);
  portal_free(r->portal);
  handover_out_free(r->out);
  handover_in_close(&r->in, NULL);
  endpoints_close(&r->endpoints);
  workers_free(r->workers);
  certificates_free(r->certificates);
  telemetry_free(r->telemetry);
  /* From here on nobody waits for signals, and one that comes must not kill what is ending. */
  process_hold_signals(true);
  struct event *const events[7] = {r->terminate, r->interrupt,   r->reload, r->stats,
                                   r->drain,     r->certificate, r->settle};
  for (size_t i = 0; i < 7; i++)
    if (events[i])
      event_free(events[i]);
  if (r->base) {
    /* A bufferevent that was freed while a callback of its own waited is released when the loop runs that: event_base_free would leak
     * it. */
    event_base_loop(r->base, EVLOOP_NONBLOCK);
    event_base_free(r->base);
  }
}

int relay_run(const options *o, logins *first, int told)
{
  relay r = {.o = o,
             .logins = first,
             .shutdown_at = FZR_TIME_NEVER,
             .status = EXIT_FAILURE,
             .in.fd = -1,
             .told = told};
  if (!start(&r)) {
    r.begun = true;
    event_base_dispatch(r.base);
  }
  stop(&r);
  logins_drop(r.logins);
  reload_free(&r.reread);
  return r.status;
}
