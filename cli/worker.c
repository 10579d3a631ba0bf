/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_internal.h"

#include "common/clock.h"
#include "engine_log.h"
#include "handover/queues.h"
#include "log/log.h"
#include "process.h"
#include "usage_log.h"
#include "worker_engine.h"
#include "worker_parcel.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WALLCLOCK_SECONDS 10
/* Bytes that may wait for a neighbour without a warning: what firezone-relay.sysctl has. */
#define NEIGHBOUR_QUEUE 4096u

static int new_adapter(worker *w, const worker_config *c, int *sys_errno)
{
  const options *o = c->options;
  fzr_udp_config config = fzr_udp_config_init();
  if (o->public_ip4.family)
    config.bind_ip4 = o->bind_ip4;
  if (o->public_ip6.family)
    config.bind_ip6 = o->bind_ip6;
  config.listen_port = o->listen_port;
  config.reuse_port = c->count > 1;
  config.group = c->first ? c->first->udp : NULL;
  config.disable_gso = o->disable_gso;
  config.send_buffer = o->send_buffer;
  config.any_ip4 = o->any_ip4;
  config.any_ip6 = o->any_ip6;
  event_glue_configure(w->glue, &config);
  if (c->steer)
    steer_configure(c->steer, c->index, &config);
  return c->inherited ? worker_parcel_adopt(c->inherited, c->index, &config, &w->udp, sys_errno)
                      : fzr_udp_new(&config, &w->udp, sys_errno);
}

/* ---- on the worker's thread ---- */

static void set_wallclock(worker *w)
{
  fzr_engine_set_wallclock(w->engine, (int64_t)time(NULL), monotonic_now());
}

static void on_wallclock(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  set_wallclock(ctx);
}

fzr_udp_stats worker_udp_stats(const worker *w)
{
  fzr_udp_stats stats = {0};
  fzr_udp_get_stats(w->udp, &stats);
  return stats;
}

/* A device may refuse what the kernel has; the adapter goes on without it, for good. */
static void notice_gso(worker *w, const fzr_udp_stats *stats)
{
  static atomic_flag told = ATOMIC_FLAG_INIT;
  if (w->gso && !stats->gso && !atomic_flag_test_and_set(&told))
    log_warn("relay", "A network device refuses segmentation offload (GSO): datagrams are sent one by one");
  w->gso = stats->gso;
}

void worker_make_snapshot(worker *w)
{
  struct timespec cpu;
  pthread_mutex_lock(&w->lock);
  const uint64_t question = w->asked;
  pthread_mutex_unlock(&w->lock);
  metrics_worker stats = {.udp = worker_udp_stats(w)};
  handover_add_counters(&stats.udp, &w->before);
  fzr_engine_stats(w->engine, &stats.engine);
  if (w->steer)
    stats.engine.dropped[FZR_DROP_PORT_SHARE] += steer_dropped(w->steer, w->index);
  if (w->streams)
    streams_stats(w->streams, stats.streams);
  notice_gso(w, &stats.udp);
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0)
    stats.cpu_ns = (uint64_t)cpu.tv_sec * FZR_SECOND + (uint64_t)cpu.tv_nsec;
  pthread_mutex_lock(&w->lock);
  w->stats = stats;
  w->answered = question;
  pthread_cond_signal(&w->made);
  pthread_mutex_unlock(&w->lock);
}

static void take_logins(worker *w)
{
  pthread_mutex_lock(&w->lock);
  logins *l = w->next;
  w->next = NULL;
  pthread_mutex_unlock(&w->lock);
  if (!l)
    return;
  const int error = worker_engine_take_logins(w->engine, w->schemes, l);
  if (error)
    log_error("relay", "Worker %u can't take the new secrets and users: %s", w->index, fzr_strerror(error));
  if (logins_taken(l, !error))
    logins_log(l, w->schemes);
  logins_drop(l);
}

static void take_rules(worker *w)
{
  pthread_mutex_lock(&w->lock);
  fzr_peer_rule *rules = w->next_rules;
  const size_t count = w->next_rule_count;
  w->next_rules = NULL;
  pthread_mutex_unlock(&w->lock);
  const int error = rules ? fzr_engine_set_peer_rules(w->engine, rules, count) : 0;
  if (error)
    log_error("relay", "Worker %u can't take the new peer rules: %s", w->index, fzr_strerror(error));
  free(rules);
}

static void take_identity(worker *w)
{
  pthread_mutex_lock(&w->lock);
  net_tls_identity *identity = w->next_identity;
  w->next_identity = NULL;
  pthread_mutex_unlock(&w->lock);
  if (identity)
    streams_set_identity(w->streams, identity);
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
  worker *w = ctx;
  uint64_t count;
  (void)what;
  if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN)
    return;
  const unsigned commands = atomic_exchange(&w->commands, 0);
  if (commands & COMMAND_DRAIN)
    fzr_engine_set_draining(w->engine, true);
  if (commands & COMMAND_LOGINS)
    take_logins(w);
  if (commands & COMMAND_IDENTITY)
    take_identity(w);
  if (commands & COMMAND_RULES)
    take_rules(w);
  if (commands & COMMAND_LOG_LEVEL)
    fzr_engine_set_log_level(w->engine, engine_log_level(w->spans));
  worker_obey(w, commands);
  if (commands & COMMAND_SNAPSHOT)
    worker_make_snapshot(w);
  if (commands & COMMAND_ASK_SESSIONS)
    worker_answer_sessions(w);
  if (commands & COMMAND_STOP)
    event_base_loopbreak(w->base);
}

static void *run(void *ctx)
{
  worker *w = ctx;
  worker_await_begin(w);
  if (atomic_load(&w->commands) & COMMAND_STOP)
    return NULL;
  offloads_step_back(w->offloads); /* the thread was there before they were opened */
  process_sleep_exactly();
  worker_list_channels(w);
  event_base_dispatch(w->base);
  return NULL;
}

/* ---- on the main thread ---- */

void worker_wake(const worker *w)
{
  const uint64_t one = 1;
  if (write(w->wake_fd, &one, sizeof one) < 0)
    return; /* the counter is at its maximum: the worker is awake anyway */
}

static void command(worker *w, enum command c)
{
  atomic_fetch_or(&w->commands, (unsigned)c);
  worker_wake(w);
}

void worker_command_sessions(worker *w)
{
  command(w, COMMAND_ASK_SESSIONS);
}

/* A loop with priorities. */
static struct event_base *new_base(void)
{
  struct event_base *base = event_base_new();
  if (base && event_base_priority_init(base, STREAM_PRIORITIES)) {
    event_base_free(base);
    return NULL;
  }
  return base;
}

static bool new_loop(worker *w)
{
  w->base = new_base();
  if (!w->base)
    return false;
  w->glue = event_glue_new(w->base);
  w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (!w->glue || w->wake_fd < 0)
    return false;
  w->wake = event_new(w->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w);
  w->wallclock = event_new(w->base, -1, EV_PERSIST, on_wallclock, w);
  w->listing = worker_new_listing(w);
  const struct timeval every = {WALLCLOCK_SECONDS, 0};
  /* What it is told goes before packets, of which there may be more all the time. */
  event_glue_make_way(w->glue, &w->commands);
  return w->wake && w->wallclock && w->listing && !event_priority_set(w->wake, 0) &&
         !event_add(w->wake, NULL) && !event_add(w->wallclock, &every);
}

/* Says what could not be opened, in the operator's words. */
static void explain(const worker_config *c, int result, int sys_errno, char *error)
{
  const options *o = c->options;
  char addr4[FZR_ADDR_TEXT_MAX] = "", addr6[FZR_ADDR_TEXT_MAX] = "";
  if (o->public_ip4.family)
    fzr_addr_format(&o->bind_ip4, false, addr4, sizeof addr4);
  if (o->public_ip6.family)
    fzr_addr_format(&o->bind_ip6, false, addr6, sizeof addr6);
  const char *both = *addr4 && *addr6 ? " and " : "";
  if (result == FZR_ERR_IO_IN_USE)
    snprintf(error, OPTIONS_ERROR_MAX, "UDP port %u of %s%s%s is taken: another relay or program has it",
             o->listen_port, addr4, both, addr6);
  else
    snprintf(error, OPTIONS_ERROR_MAX, "can't open UDP port %u of %s%s%s: %s", o->listen_port, addr4, both,
             addr6, sys_errno ? strerror(sys_errno) : fzr_strerror(result));
}

static int start_streams(worker *w, const worker_config *c, char *error)
{
  const worker_streams_config config = {.options = c->options,
                                        .base = w->base,
                                        .glue = w->glue,
                                        .driver = w->driver,
                                        .udp = w->udp,
                                        .prefixes = c->prefixes,
                                        .identity = c->identity,
                                        .workers = c->count,
                                        .first = !c->first,
                                        .inherited = c->inherited,
                                        .index = c->index};
  return worker_streams_new(&config, &w->streams, error);
}

/* Makes the engine and joins it to sockets and loop. Returns 0, or -1 with one line in |error|. */
static int start_engine(worker *w, const worker_config *c, char *error)
{
  int result = worker_engine_new(c, fzr_udp_listen_port(w->udp), &w->seed, &w->engine);
  if (!result) {
    set_wallclock(w);
    result = fzr_driver_new(w->engine, NULL, &w->driver);
  }
  if (!result)
    result = fzr_udp_attach_to(w->udp, w->driver);
  if (result == FZR_ERR_IO) {
    snprintf(error, OPTIONS_ERROR_MAX,
             "can't list the addresses of this host, which clients must not reach: %s", strerror(errno));
    return -1;
  }
  if (!result && event_glue_start(w->glue, w->udp)) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't watch sockets: %s", strerror(errno));
    return -1;
  }
  if (result)
    snprintf(error, OPTIONS_ERROR_MAX, "can't make a relay engine: %s", fzr_strerror(result));
  return result ? -1 : start_streams(w, c, error);
}

worker *worker_new(const worker_config *c, char error[OPTIONS_ERROR_MAX])
{
  int sys_errno = 0;
  worker *w = calloc(1, sizeof *w);
  if (!w) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return NULL;
  }
  w->index = c->index;
  w->pin = c->options->pin_workers;
  w->schemes = c->options->auth;
  w->wake_fd = -1;
  w->spans = c->spans;
  w->usage_log = c->options->usage_log;
  w->seed = c->options->rng_seed + c->index * 0x632be59bd9b4e019u;
  pthread_mutex_init(&w->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&w->begins, &attr);
  pthread_cond_init(&w->made, &attr);
  pthread_cond_init(&w->obeyed, &attr);
  pthread_condattr_destroy(&attr);
  if (!new_loop(w)) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't make an event loop: %s", strerror(errno));
    worker_free(w);
    return NULL;
  }
  const int result = new_adapter(w, c, &sys_errno);
  if (result && c->inherited) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't use the sockets of worker %u: %s", c->index,
             sys_errno ? strerror(sys_errno) : fzr_strerror(result));
    worker_free(w);
    return NULL;
  }
  if (result) {
    explain(c, result, sys_errno, error);
    worker_free(w);
    return NULL;
  }
  w->steer = c->steer;
  if (w->steer && steer_add(w->steer, w->index, w->udp)) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't have the socket of worker %u led to: %s", c->index,
             strerror(errno));
    worker_free(w);
    return NULL;
  }
  w->gso = worker_udp_stats(w).gso;
  if (start_engine(w, c, error)) {
    worker_free(w);
    return NULL;
  }
  return w;
}

void worker_offload(worker *w, const offloads *all)
{
  w->offloads = all;
}

int worker_start(worker *w)
{
  char name[16];
  sigset_t all, before;
  /* Signals are the main thread's: it waits for them, and a worker may sleep on. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(&w->thread, NULL, run, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) {
    errno = failed;
    return -1;
  }
  w->running = true;
  snprintf(name, sizeof name, "relay-%u", w->index % 1000);
  pthread_setname_np(w->thread, name);
  const int error = w->pin ? process_pin(w->thread, w->index) : 0;
  if (error)
    log_warn("relay", "Can't keep worker %u on a CPU: %s", w->index, strerror(error));
  return 0;
}

void worker_begin(worker *w)
{
  pthread_mutex_lock(&w->lock);
  w->begun = true;
  pthread_cond_signal(&w->begins);
  pthread_mutex_unlock(&w->lock);
}

void worker_drain(worker *w)
{
  command(w, COMMAND_DRAIN);
}

void worker_set_logins(worker *w, logins *l)
{
  pthread_mutex_lock(&w->lock);
  logins *passed_over = w->next;
  w->next = logins_hold(l);
  pthread_mutex_unlock(&w->lock);
  logins_drop(passed_over);
  command(w, COMMAND_LOGINS);
}

void worker_set_identity(worker *w, net_tls_identity *identity)
{
  pthread_mutex_lock(&w->lock);
  net_tls_identity *passed_over = w->next_identity;
  w->next_identity = identity;
  pthread_mutex_unlock(&w->lock);
  net_tls_identity_drop(passed_over);
  command(w, COMMAND_IDENTITY);
}

int worker_set_rules(worker *w, const fzr_peer_rule *rules, size_t count)
{
  fzr_peer_rule *copy = malloc((count + 1) * sizeof *copy);
  if (!copy)
    return -1;
  memcpy(copy, rules, count * sizeof *copy);
  pthread_mutex_lock(&w->lock);
  fzr_peer_rule *passed_over = w->next_rules;
  w->next_rules = copy;
  w->next_rule_count = count;
  pthread_mutex_unlock(&w->lock);
  free(passed_over);
  command(w, COMMAND_RULES);
  return 0;
}

void worker_follow_log_filter(worker *w)
{
  command(w, COMMAND_LOG_LEVEL);
}

void worker_ask(worker *w)
{
  pthread_mutex_lock(&w->lock);
  w->asked++;
  pthread_mutex_unlock(&w->lock);
  command(w, COMMAND_SNAPSHOT);
}

bool worker_answer(worker *w, fzr_time until, metrics_worker *out)
{
  const struct timespec end = {(time_t)(until / FZR_SECOND), (long)(until % FZR_SECOND)};
  pthread_mutex_lock(&w->lock);
  while (w->answered < w->asked && w->running)
    if (pthread_cond_timedwait(&w->made, &w->lock, &end))
      break;
  *out = w->stats;
  const bool current = w->answered >= w->asked;
  pthread_mutex_unlock(&w->lock);
  return current;
}

void worker_free(worker *w)
{
  if (!w)
    return;
  if (w->running) {
    command(w, COMMAND_STOP);
    worker_begin(w); /* it may not have */
    pthread_join(w->thread, NULL);
  }
  if (w->usage_log && w->engine && !w->gone)
    usage_log_rest(w->engine, monotonic_now());
  streams_free(w->streams);
  fzr_udp_free(w->udp);
  fzr_driver_free(w->driver);
  fzr_engine_free(w->engine);
  if (w->wake)
    event_free(w->wake);
  if (w->wallclock)
    event_free(w->wallclock);
  if (w->listing)
    event_free(w->listing);
  event_glue_free(w->glue);
  logins_drop(w->next);
  net_tls_identity_drop(w->next_identity);
  free(w->next_rules);
  free(w->sessions);
  if (w->base)
    event_base_free(w->base);
  if (w->wake_fd >= 0)
    close(w->wake_fd);
  pthread_cond_destroy(&w->begins);
  pthread_cond_destroy(&w->made);
  pthread_cond_destroy(&w->obeyed);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

uint16_t worker_listen_port(const worker *w)
{
  return fzr_udp_listen_port(w->udp);
}

void worker_log_sockets(const fzr_udp_stats *stats)
{
  log_info("relay", "Socket buffers: %u kB to receive, %u kB to send; GRO %s, GSO %s",
           stats->receive_buffer / 1024, stats->send_buffer / 1024, stats->gro ? "on" : "off",
           stats->gso ? "on" : "off");
  /* Only the first network namespace has a "default", with which the interfaces of all others begin (Linux 6.18). */
  if (stats->neighbour_queue > NEIGHBOUR_QUEUE)
    log_warn("relay",
             "Up to %u bytes may wait in the kernel for each host on a link of this one that does not "
             "answer, in the send buffer that all clients share: %ssysctl -w "
             "net.ipv4.neigh.default.unres_qlen_bytes=%u net.ipv6.neigh.default.unres_qlen_bytes=%u",
             stats->neighbour_queue,
             access("/proc/sys/net/ipv4/neigh/default", F_OK) == 0
                 ? ""
                 : "on the host, before this container or network namespace is made, ",
             NEIGHBOUR_QUEUE, NEIGHBOUR_QUEUE);
}
