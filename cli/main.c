/* SPDX-License-Identifier: Apache-2.0 */
/* firezone-relay: reads its options, starts the workers, and waits for signals. */
#include "credentials.h"
#include "event_glue.h"
#include "options.h"
#include "process.h"
#include "secret.h"
#include "telemetry/log.h"
#include "worker.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE    2
#define STATS_SECONDS 10
#define SNAPSHOT_MS   200u
/* How often a shutdown looks whether the last allocation is gone. */
#define DRAIN_POLL_MS 50

typedef struct relay {
  const options *o;
  struct event_base *base;
  fzr_shared *shared;
  worker **workers;
  unsigned worker_count;
  struct event *terminate, *interrupt, *stats, *drain;
  uint64_t last_bytes;
  fzr_time last_stats;
  fzr_time shutdown_at; /* when to stop waiting; FZR_TIME_NEVER: never */
  bool draining;
} relay;

static const char *environment(const char *name)
{
  return getenv(name);
}

/* ---- statistics ---- */

typedef struct totals {
  uint64_t allocations, channels, bytes;
} totals;

static totals take_totals(const relay *r)
{
  totals t = {0, 0, 0};
  for (unsigned i = 0; i < r->worker_count; i++) {
    worker_stats stats;
    worker_snapshot(r->workers[i], SNAPSHOT_MS, &stats);
    t.allocations += stats.engine.allocations;
    t.channels += stats.engine.channels;
    t.bytes += stats.engine.bytes[0] + stats.engine.bytes[1];
  }
  return t;
}

static void on_stats(evutil_socket_t fd, short what, void *ctx)
{
  static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s"};
  (void)fd;
  (void)what;
  relay *r = ctx;
  const totals t = take_totals(r);
  const fzr_time now = monotonic_now();
  const double seconds = (double)(now - r->last_stats) / (double)FZR_SECOND;
  double rate = seconds > 0 ? (double)(t.bytes - r->last_bytes) / seconds : 0;
  unsigned unit = 0;
  for (; rate >= 1000 && unit < 3; unit++)
    rate /= 1000;
  r->last_bytes = t.bytes;
  r->last_stats = now;
  log_info("relay", "Allocations = %llu Channels = %llu Throughput = %.2f %s",
           (unsigned long long)t.allocations, (unsigned long long)t.channels, rate, units[unit]);
}

/* ---- shutdown ---- */

static void on_drain(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  relay *r = ctx;
  const totals t = take_totals(r);
  if (t.allocations && monotonic_now() < r->shutdown_at)
    return;
  if (t.allocations)
    log_warn("relay", "Shutdown timeout: cutting off %llu allocations with %llu channels",
             (unsigned long long)t.allocations, (unsigned long long)t.channels);
  else
    log_info("relay", "No allocations left, shutting down");
  event_base_loopbreak(r->base);
}

static void on_signal(evutil_socket_t signal_number, short what, void *ctx)
{
  (void)what;
  relay *r = ctx;
  const char *name = signal_number == SIGTERM ? "SIGTERM" : "SIGINT";
  if (r->draining) {
    log_info("relay", "%s again: shutting down at once", name);
    event_base_loopbreak(r->base);
    return;
  }
  r->draining = true;
  const uint64_t wait = r->o->shutdown_seconds;
  r->shutdown_at = wait > UINT32_MAX ? FZR_TIME_NEVER : monotonic_now() + wait * FZR_SECOND;
  for (unsigned i = 0; i < r->worker_count; i++)
    worker_drain(r->workers[i]);
  log_info("relay", "%s: no new allocations; waiting for those that live. A second signal ends this at once",
           name);
  const struct timeval every = {0, (suseconds_t)DRAIN_POLL_MS * 1000};
  event_add(r->drain, &every);
  on_drain(-1, 0, r);
}

/* ---- start ---- */

static void warn_of_later(const options_given *later)
{
  char list[512] = "";
  size_t len = 0;
  for (size_t i = 0; i < later->count && len < sizeof list; i++)
    len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", later->names[i]);
  if (later->count)
    log_warn("relay", "Set, but without effect in this version: %s", list);
}

static void log_listening(const relay *r, const fzr_addr *public_addr, const fzr_addr *bind_addr)
{
  char text[FZR_ADDR_TEXT_MAX], public_text[FZR_ADDR_TEXT_MAX];
  fzr_addr addr = *bind_addr;
  addr.port = worker_listen_port(r->workers[0]);
  if (!public_addr->family)
    return;
  fzr_addr_format(&addr, true, text, sizeof text);
  fzr_addr_format(public_addr, false, public_text, sizeof public_text);
  log_info("relay", "Listening on %s, relaying from %s, ports %u to %u", text, public_text, r->o->lowest_port,
           r->o->highest_port);
}

static int start_workers(relay *r, const char *secret, char *error)
{
  r->worker_count = r->o->workers ? r->o->workers : process_cpus();
  r->workers = calloc(r->worker_count, sizeof(worker *));
  if (!r->workers || fzr_shared_new(r->o->lowest_port, r->o->highest_port, NULL, &r->shared)) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return -1;
  }
  for (unsigned i = 0; i < r->worker_count; i++) {
    const worker_config config = {r->o, secret, r->shared, i, r->worker_count, i ? r->workers[0] : NULL};
    r->workers[i] = worker_new(&config, error);
    if (!r->workers[i])
      return -1;
  }
  for (unsigned i = 0; i < r->worker_count; i++) {
    if (worker_start(r->workers[i])) {
      snprintf(error, OPTIONS_ERROR_MAX, "can't start a thread");
      return -1;
    }
  }
  log_listening(r, &r->o->public_ip4, &r->o->bind_ip4);
  log_listening(r, &r->o->public_ip6, &r->o->bind_ip6);
  return 0;
}

static int start_events(relay *r)
{
  r->base = event_base_new();
  if (!r->base)
    return -1;
  /* What libevent puts back when its events are freed: a signal that comes while the relay is ending must not kill it. */
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  r->terminate = evsignal_new(r->base, SIGTERM, on_signal, r);
  r->interrupt = evsignal_new(r->base, SIGINT, on_signal, r);
  r->stats = event_new(r->base, -1, EV_PERSIST, on_stats, r);
  r->drain = event_new(r->base, -1, EV_PERSIST, on_drain, r);
  const struct timeval every = {STATS_SECONDS, 0};
  if (!r->terminate || !r->interrupt || !r->stats || !r->drain)
    return -1;
  r->last_stats = monotonic_now();
  return event_add(r->terminate, NULL) || event_add(r->interrupt, NULL) || event_add(r->stats, &every) ? -1
                                                                                                       : 0;
}

static void stop(relay *r)
{
  for (unsigned i = r->worker_count; i-- > 0;)
    if (r->workers)
      worker_free(r->workers[i]);
  free(r->workers);
  fzr_shared_free(r->shared);
  struct event *const events[4] = {r->terminate, r->interrupt, r->stats, r->drain};
  for (size_t i = 0; i < 4; i++)
    if (events[i])
      event_free(events[i]);
  if (r->base)
    event_base_free(r->base);
}

static int run(const options *o, const char *secret)
{
  char error[OPTIONS_ERROR_MAX];
  relay r = {.o = o, .shutdown_at = FZR_TIME_NEVER};
  int status = EXIT_SUCCESS;
  /* Signals first: one that comes while sockets are being opened must not kill the process. Threads inherit the disposition. */
  if (start_events(&r)) {
    log_error("relay", "can't make an event loop");
    status = EXIT_FAILURE;
  } else if (start_workers(&r, secret, error)) {
    log_error("relay", "%s", error);
    status = EXIT_FAILURE;
  } else {
    event_base_dispatch(r.base);
  }
  stop(&r);
  return status;
}

static int show_help(void)
{
  const size_t len = options_help(NULL, 0);
  char *text = malloc(len + 1);
  if (!text)
    return EXIT_FAILURE;
  options_help(text, len + 1);
  fputs(text, stdout);
  free(text);
  return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Takes the secret, or makes one, and says what that means. Returns 0 or the exit status. */
static int prepare_secret(const options *o, char secret[SECRET_MAX + 1])
{
  char error[OPTIONS_ERROR_MAX];
  enum secret_source source;
  if (secret_read(o, secret, &source, error)) {
    fprintf(stderr, "firezone-relay: %s\n", error);
    return EXIT_USAGE;
  }
  if (source != SECRET_NONE)
    return 0;
  if (secret_make(secret)) {
    fprintf(stderr, "firezone-relay: no random bytes to be had\n");
    return EXIT_FAILURE;
  }
  log_warn("relay", "No secret is set, so nobody can make credentials for this relay: set --auth-secret-file "
                    "or AUTH_SECRET");
  return 0;
}

int main(int argc, char **argv)
{
  static options o;
  options_given later;
  char error[OPTIONS_ERROR_MAX], secret[SECRET_MAX + 1];
  if (options_read(argc, argv, environment, &o, &later, error)) {
    fprintf(stderr, "firezone-relay: %s\n", error);
    return EXIT_USAGE;
  }
  if (o.show_help)
    return show_help();
  if (o.show_version)
    return printf("firezone-relay %s\n", fzr_version()) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
  if (o.credentials)
    return credentials_main(&o);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  process_harden();
  log_info("relay", "firezone-relay %s", fzr_version());
  warn_of_later(&later);
  if (o.token_from_argument)
    log_warn(
        "relay",
        "The token was given as an argument, where every user of this host can read it: use FIREZONE_TOKEN");
  if (o.has_seed)
    log_warn("relay", "--rng-seed makes everything secret guessable: use it for tests only");
  process_raise_descriptors(&o, o.workers ? o.workers : process_cpus());
  const int unusable = prepare_secret(&o, secret);
  const int status = unusable ? unusable : run(&o, secret);
  explicit_bzero(secret, sizeof secret);
  return status;
}
