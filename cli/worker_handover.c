/* SPDX-License-Identifier: Apache-2.0 */
/* A worker pauses, gives what it has, and reads on; or begins with what another process has given. */
#include "common/clock.h"
#include "handover/give.h"
#include "handover/wire.h"
#include "log/log.h"
#include "process.h"
#include "worker_internal.h"
#include "worker_parcel.h"

#include <errno.h>
#include <string.h>

/* ---- on the worker's thread ---- */

static fzr_time thread_cpu(void)
{
  struct timespec cpu;
  return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu)
             ? 0
             : (fzr_time)cpu.tv_sec * FZR_SECOND + (fzr_time)cpu.tv_nsec;
}

static void tell_done(worker *w, const char *trouble)
{
  const fzr_time cpu = thread_cpu();
  pthread_mutex_lock(&w->lock);
  w->spent = cpu - w->cpu;
  w->done++;
  w->trouble = trouble;
  pthread_cond_signal(&w->obeyed);
  pthread_mutex_unlock(&w->lock);
}

/* The newest socket that there is. */
static uint64_t newest_socket(const fzr_udp *udp)
{
  fzr_udp_socket sockets[64];
  uint32_t cursor = 0;
  uint64_t newest = 0;
  size_t n;
  while ((n = fzr_udp_list_sockets(udp, &cursor, sockets, sizeof sockets / sizeof *sockets)) > 0)
    for (size_t i = 0; i < n; i++)
      newest = sockets[i].serial > newest ? sockets[i].serial : newest;
  return newest;
}

/* What the successor may take memory for. */
static void tell_size(const fzr_engine *engine, handover_message *m)
{
  fzr_stats stats = {0};
  fzr_engine_stats(engine, &stats);
  m->allocations = (uint32_t)stats.allocations;
  m->channels = (uint32_t)stats.channels;
  m->permissions = (uint32_t)stats.permissions;
}

/* Sends as many sockets of one kind as a message takes: on the thread that may close them. */
static const char *show_some(const worker *w, worker_shown *s)
{
  handover_message m = {.type = HANDOVER_GIVE, .worker = w->index};
  int fds[HANDOVER_FDS_MAX];
  fzr_udp_socket socket;
  const char *why = NULL;
  if (!s->cursor)
    s->newest = newest_socket(w->udp);
  uint32_t cursor = s->cursor, behind = cursor;
  while (m.fds < HANDOVER_FDS_MAX && fzr_udp_list_sockets(w->udp, &behind, &socket, 1)) {
    const unsigned kind = socket.listens ? HANDOVER_LISTEN : HANDOVER_PORTS;
    if (m.fds && kind != m.kind)
      break;
    m.kind = kind;
    fds[m.fds++] = socket.fd;
    cursor = behind;
  }
  if (m.kind == HANDOVER_LISTEN)
    tell_size(w->engine, &m);
  s->all = !m.fds;
  const int result = s->all ? 0 : handover_try_send(s->fd, &m, fds, m.fds, &why);
  s->full = result > 0;
  if (!result) {
    s->cursor = cursor;
    s->count += m.fds;
  }
  return why;
}

/* Messages that are sent before packets are relayed again: for a millisecond or so. */
#define SHOWN_AT_ONCE 8u

/* Under the lock, for whoever does not wait any longer closes the connection. */
static const char *show(worker *w)
{
  worker_shown *s = &w->shown;
  const char *why = NULL;
  pthread_mutex_lock(&w->lock);
  for (unsigned i = 0; i < SHOWN_AT_ONCE && s->fd >= 0 && !s->all && !why; i++) {
    why = show_some(w, s);
    if (s->full)
      break;
  }
  pthread_mutex_unlock(&w->lock);
  return why;
}

static const char *give(worker *w)
{
  const char *why = worker_parcel_fill(w->parcel, w->index, w->engine, w->udp, w->shown.newest, &w->before);
  const fzr_time now = w->parcel->workers[w->index].saved_at;
  return why ? why : worker_streams_give(w->streams, w->parcel, w->index, now, &w->left);
}

static const char *pause_reading(worker *w)
{
  w->halted = true;
  if (w->streams)
    streams_halt(w->streams); /* first: what was read is relayed, to sockets of UDP */
  event_glue_stop(w->glue);
  return fzr_udp_pause(w->udp, monotonic_now()) ? "a worker can't be paused" : NULL;
}

/* Nobody waits for what comes of it: it is said here. The allocations are here and nowhere else: to end would be the worst of all. */
static void read_on(worker *w)
{
  w->halted = false;
  fzr_udp_resume(w->udp, monotonic_now());
  if (w->streams)
    streams_go_on(w->streams);
  if (event_glue_restart(w->glue))
    log_error("relay", "Worker %u can't watch its sockets, and hears nothing until it can: %s", w->index,
              strerror(errno));
}

/* While the other process goes on. Without memory loading will say so. */
static void prepare(const worker *w)
{
  const handover_worker *from = &w->parcel->workers[w->index];
  fzr_engine_expect(w->engine, from->allocations, from->channels, from->permissions);
}

static const char *load(worker *w)
{
  if (worker_parcel_load(w->parcel, w->index, w->driver, w->udp, &w->before, w->unloadable) ||
      worker_streams_load(w->streams, w->parcel, w->index, w->driver, w->unloadable))
    return w->unloadable;
  worker_make_snapshot(w); /* what was counted so far, for whoever tells what was added since */
  return NULL;
}

/* Each allocation asks for its sockets, and finds them. */
static void take_over(const worker *w)
{
  const fzr_time now = monotonic_now();
  fzr_driver_on_deadline(w->driver, now);
  fzr_udp_resume(w->udp, now);
  worker_streams_take_over(w->streams, w->driver, now);
  event_glue_follow(w->glue, now);
}

void worker_obey(worker *w, unsigned commands)
{
  w->cpu = commands & HANDOVER_COMMANDS ? thread_cpu() : 0;
  if (commands & COMMAND_SHOW)
    tell_done(w, show(w));
  if (commands & COMMAND_PAUSE)
    tell_done(w, pause_reading(w));
  if (commands & COMMAND_GIVE)
    tell_done(w, give(w));
  if (commands & COMMAND_RESUME) {
    read_on(w);
    tell_done(w, NULL);
  }
  if (commands & COMMAND_PREPARE) {
    prepare(w);
    tell_done(w, NULL);
  }
  if (commands & COMMAND_LOAD)
    tell_done(w, load(w));
  if (commands & COMMAND_TAKE_OVER) {
    take_over(w);
    tell_done(w, NULL);
  }
  if (commands & COMMAND_LEAVE) {
    process_step_back(); /* the successor's workers come first */
    streams_leave(w->streams);
    tell_done(w, NULL);
  }
}

void worker_await_begin(worker *w)
{
  static const unsigned mine = COMMAND_PREPARE | COMMAND_LOAD | COMMAND_TAKE_OVER;
  pthread_mutex_lock(&w->lock);
  for (;;) {
    const unsigned orders = atomic_fetch_and(&w->commands, ~mine) & mine;
    if (!orders && w->begun)
      break;
    if (!orders) {
      pthread_cond_wait(&w->begins, &w->lock);
      continue;
    }
    pthread_mutex_unlock(&w->lock);
    worker_obey(w, orders);
    pthread_mutex_lock(&w->lock);
  }
  pthread_mutex_unlock(&w->lock);
}

/* ---- on the thread of who hands over ---- */

/* One that is still to be seen is obeyed once, and counts once; one that was just seen is not given again by being told of. */
static void order(worker *w, enum command c)
{
  pthread_mutex_lock(&w->lock);
  if (!(atomic_fetch_or(&w->commands, (unsigned)c) & (unsigned)c))
    w->ordered++;
  pthread_cond_signal(&w->begins);
  pthread_mutex_unlock(&w->lock);
  worker_wake(w);
}

void worker_pause(worker *w)
{
  w->pauses = true;
  order(w, COMMAND_PAUSE);
}

void worker_give(worker *w, handover_parcel *p)
{
  w->parcel = p;
  order(w, COMMAND_GIVE);
}

void worker_resume(worker *w)
{
  if (w->pauses)
    order(w, COMMAND_RESUME);
  w->pauses = false;
}

/* Under the lock. */
static const char *await_done(worker *w, fzr_time until)
{
  const struct timespec end = {(time_t)(until / FZR_SECOND), (long)(until % FZR_SECOND)};
  while (w->done < w->ordered)
    if (until == FZR_TIME_NEVER)
      pthread_cond_wait(&w->obeyed, &w->lock);
    else if (pthread_cond_timedwait(&w->obeyed, &w->lock, &end))
      return "a worker is busy";
  return NULL;
}

const char *worker_await(worker *w, fzr_time until)
{
  pthread_mutex_lock(&w->lock);
  const char *trouble = await_done(w, until);
  if (!trouble)
    trouble = w->trouble;
  pthread_mutex_unlock(&w->lock);
  return trouble;
}

const char *worker_await_former(worker *w, fzr_time until)
{
  pthread_mutex_lock(&w->lock);
  const char *trouble = await_done(w, until);
  pthread_mutex_unlock(&w->lock);
  return trouble;
}

static void show_to(worker *w, int fd)
{
  pthread_mutex_lock(&w->lock);
  w->shown = (worker_shown){.fd = fd};
  pthread_mutex_unlock(&w->lock);
}

/* Returns how it stands. */
static worker_shown shown_so_far(worker *w)
{
  pthread_mutex_lock(&w->lock);
  const worker_shown s = w->shown;
  pthread_mutex_unlock(&w->lock);
  return s;
}

const char *worker_show(worker *w, int fd, fzr_time until, uint32_t *count)
{
  worker_shown s = {0};
  const char *why = NULL;
  show_to(w, fd);
  while (!s.all && !why) {
    order(w, COMMAND_SHOW);
    why = worker_await(w, monotonic_now() + HANDOVER_WAIT);
    s = shown_so_far(w);
    if (!why && s.full)
      handover_await_room(fd, until, &why);
  }
  pthread_mutex_lock(&w->lock);
  w->shown.fd = -1;
  pthread_mutex_unlock(&w->lock);
  *count += s.count;
  return why;
}

/* They are the same from the start to the end. */
const char *worker_show_listeners(const worker *w, int fd, fzr_time until, uint32_t *count)
{
  int fds[STREAM_LISTENERS];
  const size_t n = w->streams ? streams_listeners(w->streams, fds) : 0;
  *count += (uint32_t)n;
  return handover_give_some(fd, HANDOVER_STREAM_LISTEN, w->index, fds, n, until);
}

unsigned worker_clients(const worker *w, enum stream_kind kind)
{
  return w->streams ? streams_clients(w->streams, kind) : 0;
}

void worker_leave(worker *w)
{
  w->gone = true;
  if (w->streams)
    order(w, COMMAND_LEAVE);
}

unsigned worker_left(const worker *w)
{
  return w->left;
}

void worker_prepare(worker *w, handover_parcel *p)
{
  w->parcel = p;
  order(w, COMMAND_PREPARE);
}

fzr_time worker_spent(worker *w)
{
  pthread_mutex_lock(&w->lock);
  const fzr_time spent = w->spent;
  pthread_mutex_unlock(&w->lock);
  return spent;
}

void worker_load(worker *w, handover_parcel *p)
{
  w->gone = true; /* it is the other process's still */
  w->parcel = p;
  order(w, COMMAND_LOAD);
}

void worker_take_over(worker *w)
{
  w->gone = false;
  order(w, COMMAND_TAKE_OVER);
}
