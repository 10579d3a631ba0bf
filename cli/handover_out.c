/* SPDX-License-Identifier: Apache-2.0 */
#include "handover_out.h"

#include "common/clock.h"
#include "firezone_relay/save.h"
#include "handover/give.h"
#include "handover/wire.h"
#include "log/log.h"
#include "notify.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A connection that can't be accepted is tried again after this. */
#define RETRY_MS 100
/* What was given is not closed at once: the successor has packets that have waited to relay, and takes all the CPU for them. */
#define QUIET_MS 300

struct handover_out {
  const options *options;
  handover_out_config config;
  handover_message offer;
  int listener;
  struct stat made; /* what the listener is in the file system; st_ino 0: it is beside where it is to be */
  int stop_fd, given_fd;
  struct event *given;
  pthread_t thread;
  bool running;
  atomic_bool refuses, gave, released;
  bool told;            /* that all was given */
  uint64_t went_at;     /* when it was; Unix time, nanoseconds; set before that is said */
  pthread_mutex_t lock; /* of |peer| */
  int peer;             /* -1: nobody asks */
};

static void ring(int fd)
{
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) < 0)
    return; /* it has been rung */
}

/* ---- on the thread ---- */

static const char *objection(void *ctx)
{
  handover_out *out = ctx;
  if (atomic_load(&out->refuses))
    return "it is shutting down";
  out->offer.tcp_clients = workers_clients(out->config.workers, STREAM_TCP);
  out->offer.tls_clients = workers_clients(out->config.workers, STREAM_TLS);
  return NULL;
}

static const char *show_all(void *ctx, int fd, fzr_time until, uint32_t *count)
{
  const handover_out *out = ctx;
  int health, control[ENDPOINTS_CONTROL];
  notify_reloading();
  const size_t controls = endpoints_give(out->config.endpoints, &health, control);
  const char *why = workers_show(out->config.workers, fd, until, count);
  if (!why)
    why = handover_give_some(fd, HANDOVER_HEALTH, 0, &health, 1, until);
  if (!why)
    why = handover_give_some(fd, HANDOVER_CONTROL, 0, control, controls, until);
  *count += (uint32_t)(1 + controls);
  offload_gift gift;
  if (!why && workers_offload(out->config.workers, &gift)) {
    why = handover_give_offload(fd, gift.fds, gift.count, gift.about, until);
    *count += (uint32_t)gift.count;
  }
  return why;
}

static const char *pause_all(void *ctx, fzr_time until, handover_parcel *p)
{
  const handover_out *out = ctx;
  return workers_pause(out->config.workers, until, p);
}

static void resume_all(void *ctx)
{
  const handover_out *out = ctx;
  workers_resume(out->config.workers);
}

/* mbedTLS can't write down a handshake: whoever has begun one has to come again. */
static void leave(const handover_out *out)
{
  const unsigned left = workers_leave(out->config.workers, monotonic_now() + HANDOVER_WAIT);
  if (left)
    log_warn("relay", "%u TLS handshake%s that had begun could not go along: the connection%s ended", left,
             left == 1 ? "" : "s", left == 1 ? "" : "s");
}

static double in_ms(fzr_time t)
{
  return (double)t / (double)FZR_MILLISECOND;
}

/* Returns whether all was given to whoever is at |fd|. */
static bool talk(handover_out *out, int fd)
{
  const handover_giver giver = {out, &out->offer, objection, show_all, pause_all, resume_all};
  char reason[HANDOVER_REASON_MAX], name[HANDOVER_NAME_MAX];
  handover_times times;
  int pid = 0;
  if (!handover_is_ours(fd, &pid)) {
    log_warn("relay", "A process of another user, %d, asked to take over: refused", pid);
    return false;
  }
  const bool given = handover_give(fd, &giver, &times, reason);
  out->went_at = times.went_at;
  if (given)
    notify_replaced(pid);
  else if (times.prepared)
    notify_ready();
  handover_name(pid, name);
  name[0] = (char)(given ? name[0] : toupper(name[0]));
  const double ms = in_ms(times.ended);
  if (given)
    log_info("relay", "Handed over to %s, after %.1f ms without reading: this one ends", name, ms);
  else if (times.ended)
    log_warn("relay", "%s did not take over: %s; this one reads on after %.1f ms", name, reason, ms);
  else
    log_warn("relay", "%s did not take over: %s", name, reason);
  if (times.ended)
    log_debug(
        "relay",
        "Hand-over: successor prepared in %.1f ms; without reading, all was saved after %.1f ms, sent "
        "after %.1f ms, loaded after %.1f ms, and the end of it came after %.1f ms; of a worker's CPU saving "
        "took %.1f ms",
        in_ms(times.prepared), in_ms(times.saved), in_ms(times.sent), in_ms(times.ready), ms,
        in_ms(given ? workers_spent(out->config.workers) : 0));
  return given;
}

/* Two relays with one secret, of which one is silent, are one for the portal: there is no moment at which it has none. */
static void await_join(const handover_out *out, int fd)
{
  handover_message m;
  char reason[HANDOVER_REASON_MAX];
  if (out->config.secret &&
      handover_await(fd, HANDOVER_JOINED, &m, monotonic_now() + HANDOVER_JOIN_WAIT, reason))
    log_warn("relay", "The successor has not joined the portal: %s", reason);
}

static void set_peer(handover_out *out, int fd)
{
  pthread_mutex_lock(&out->lock);
  out->peer = fd;
  pthread_mutex_unlock(&out->lock);
}

static void *run(void *ctx)
{
  handover_out *out = ctx;
  for (;;) {
    struct pollfd fds[2] = {{out->listener, POLLIN, 0}, {out->stop_fd, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
      return NULL;
    if (fds[1].revents)
      return NULL;
    const int fd = accept4(out->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno != EAGAIN && errno != EINTR)
        poll(&fds[1], 1, RETRY_MS);
      continue;
    }
    set_peer(out, fd);
    const bool given = talk(out, fd);
    if (given) {
      atomic_store(&out->gave, true);
      ring(out->given_fd);
      poll(&fds[1], 1, QUIET_MS);
      leave(out);
      await_join(out, fd);
      atomic_store(&out->released, true);
      ring(out->given_fd);
    }
    set_peer(out, -1);
    close(fd);
    if (given)
      return NULL;
  }
}

/* ---- on the main thread ---- */

static void on_given(evutil_socket_t fd, short what, void *ctx)
{
  handover_out *out = ctx;
  uint64_t count;
  (void)what;
  if (read(fd, &count, sizeof count) < 0)
    return;
  const bool released = atomic_load(&out->released);
  if (!out->told)
    out->config.given(out->config.ctx, out->went_at);
  out->told = true;
  if (released)
    out->config.released(out->config.ctx);
}

static void describe(handover_out *out)
{
  const options *o = out->options;
  handover_message *m = &out->offer;
  m->type = HANDOVER_OFFER;
  snprintf(m->version, sizeof m->version, "%s", fzr_version());
  m->major = HANDOVER_MAJOR;
  m->minor = HANDOVER_MINOR;
  m->state_major = FZR_STATE_MAJOR;
  m->state_minor = FZR_STATE_MINOR;
  m->workers = workers_number(out->config.workers);
  m->listen_port = workers_listen_port(out->config.workers);
  m->tcp_listen_port = o->tcp_listen_port;
  m->tls_listen_port = o->tls_listen_port;
  if (out->config.secret)
    snprintf(m->secret, sizeof m->secret, "%s", out->config.secret);
  snprintf(m->instance, sizeof m->instance, "%s", out->config.past->instance);
  m->counting_since = out->config.past->counting_since;
  m->public_ip4 = o->public_ip4;
  m->public_ip6 = o->public_ip6;
  if (o->public_ip4.family)
    m->bind_ip4 = o->bind_ip4;
  if (o->public_ip6.family)
    m->bind_ip6 = o->bind_ip6;
}

static bool start(handover_out *out)
{
  sigset_t all, before;
  out->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  out->given_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (out->stop_fd < 0 || out->given_fd < 0)
    return false;
  out->given = event_new(out->config.base, out->given_fd, EV_READ | EV_PERSIST, on_given, out);
  if (!out->given || event_add(out->given, NULL))
    return false;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(&out->thread, NULL, run, out);
  out->running = !errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (out->running)
    pthread_setname_np(out->thread, "handover");
  return out->running;
}

handover_out *handover_out_new(const options *o, char error[OPTIONS_ERROR_MAX])
{
  handover_out *out = calloc(1, sizeof *out);
  if (!out) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return NULL;
  }
  out->options = o;
  out->stop_fd = out->given_fd = out->peer = -1;
  pthread_mutex_init(&out->lock, NULL);
  out->listener = handover_listen_beside(o->handover_socket);
  if (out->listener >= 0)
    return out;
  snprintf(error, OPTIONS_ERROR_MAX, "--handover-socket: can't listen at %s: %s", o->handover_socket,
           strerror(errno));
  handover_out_free(out);
  return NULL;
}

int handover_out_open(handover_out *out, const handover_out_config *config, char error[OPTIONS_ERROR_MAX])
{
  const char *path = out->options->handover_socket;
  out->config = *config;
  describe(out);
  if (handover_move_to(path)) {
    snprintf(error, OPTIONS_ERROR_MAX, "--handover-socket: can't listen at %s: %s", path, strerror(errno));
    return -1;
  }
  if (stat(path, &out->made) || !start(out)) {
    snprintf(error, OPTIONS_ERROR_MAX, "--handover-socket: %s", strerror(errno));
    return -1;
  }
  log_info("relay", "Another process can take over at %s", path);
  return 0;
}

void handover_out_refuse(handover_out *out)
{
  atomic_store(&out->refuses, true);
}

/* What another process has put there stays. */
static void remove_path(const handover_out *out)
{
  struct stat now;
  const char *path = out->options->handover_socket;
  if (!out->made.st_ino)
    handover_remove_beside(path);
  else if (stat(path, &now) == 0 && now.st_ino == out->made.st_ino && now.st_dev == out->made.st_dev)
    unlink(path);
}

void handover_out_free(handover_out *out)
{
  if (!out)
    return;
  if (out->running) {
    atomic_store(&out->refuses, true);
    ring(out->stop_fd);
    pthread_mutex_lock(&out->lock);
    if (out->peer >= 0)
      shutdown(out->peer, SHUT_RDWR);
    pthread_mutex_unlock(&out->lock);
    pthread_join(out->thread, NULL);
  }
  /* A successor puts its own there, at any moment. */
  if (out->listener >= 0 && !atomic_load(&out->gave))
    remove_path(out);
  if (out->listener >= 0)
    close(out->listener);
  if (out->given)
    event_free(out->given);
  if (out->stop_fd >= 0)
    close(out->stop_fd);
  if (out->given_fd >= 0)
    close(out->given_fd);
  pthread_mutex_destroy(&out->lock);
  explicit_bzero(&out->offer, sizeof out->offer); /* the secret */
  free(out);
}
