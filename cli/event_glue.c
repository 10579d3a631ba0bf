/* SPDX-License-Identifier: Apache-2.0 */
/* All sockets of an adapter hang on one epoll descriptor, and that one on libevent: a struct event for each of 16,384 sockets would
 * cost more memory than the relay's own state, and libevent's dispatch more time than the engine. */
#include "event_glue.h"

#include "common/clock.h"
#include "gather.h"
#include "log/log.h"
#include "process.h"
#include "stream/streams.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define READY 64
/* Turns of the inner loop before libevent gets its turn again. */
#define TURNS 8
/* Or one, while connections were read so lately: they get their turn as often. */
#define SHARED FZR_MILLISECOND

/* How long to wait before the loop is asked again to watch what it could not. */
#define RETRY (10 * FZR_MILLISECOND)

/* Written in each turn: no other worker's glue is in its cache line. */
#define CACHE_LINE 64

struct event_glue {
  _Alignas(CACHE_LINE) struct event_base *base;
  struct event *ready;
  struct event *timer;
  struct event *rest; /* when there is nothing more to do */
  gather gather;
  fzr_time followed; /* when there was input by another adapter */
  fzr_udp *udp;
  bool deaf;                /* the loop could not watch it, and is asked again */
  const atomic_uint *waits; /* not 0: somebody waits for the loop; NULL: nobody ever does */
  fzr_time armed;           /* what the timer is set to; FZR_TIME_NEVER: not at all */
  int epoll;
  int end_fd; /* sockets of allocations, and clients' connections, have descriptors below this */
};

/* The last descriptors are left to what keeps a full relay alive: its portal, health checks, metrics. New descriptors are always the
 * lowest that are free. */
static int find_end(void)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > INT_MAX)
    return INT_MAX;
  return (int)(limit.rlim_cur - process_spare(limit.rlim_cur));
}

static int watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  const event_glue *glue = ctx;
  struct epoll_event e = {.data = {.ptr = token}};
  if (!*slot && fd >= glue->end_fd)
    return FZR_ERR_IO_NO_SOCKET;
  if (events & FZR_WATCH_READ)
    e.events |= EPOLLIN;
  if (events & FZR_WATCH_WRITE)
    e.events |= EPOLLOUT;
  const int op = *slot ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(glue->epoll, op, fd, &e))
    return errno == ENOSPC || errno == ENOMEM ? FZR_ERR_IO_NO_SOCKET : FZR_ERR_IO;
  *slot = token;
  return 0;
}

static void unwatch(void *ctx, int fd, void *slot)
{
  const event_glue *glue = ctx;
  (void)slot;
  epoll_ctl(glue->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* Sets the timer to the adapter's deadline, if that has changed. */
static void arm(event_glue *glue, fzr_time now)
{
  const fzr_time deadline = glue->deaf ? now + RETRY : fzr_udp_deadline(glue->udp);
  if (deadline == glue->armed && evtimer_pending(glue->timer, NULL))
    return;
  glue->armed = deadline;
  if (deadline == FZR_TIME_NEVER) {
    evtimer_del(glue->timer);
    return;
  }
  const fzr_time wait = deadline > now ? deadline - now : 0;
  /* Rounded up, so that the timer does not fire just before the deadline, again and again. */
  const struct timeval tv = timeval_of(wait + 999);
  evtimer_add(glue->timer, &tv);
}

static unsigned events_of(const struct epoll_event *e)
{
  /* An error is read like data: recvmmsg takes it off the socket. */
  return (e->events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? FZR_WATCH_READ : 0) |
         (e->events & EPOLLOUT ? FZR_WATCH_WRITE : 0);
}

static bool is_waited_for(const event_glue *glue)
{
  return glue->waits && atomic_load_explicit(glue->waits, memory_order_relaxed);
}

/* Where packets come fast, they come together after a short sleep. */
static void sleep_for(fzr_time wait)
{
  const struct timespec time = {.tv_nsec = (long)wait};
  if (wait)
    nanosleep(&time, NULL);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  event_glue *glue = ctx;
  struct epoll_event events[READY];
  fzr_udp_ready ready[READY];
  fzr_time now = monotonic_now();
  for (unsigned turn = 0; turn < TURNS; turn++) {
    const int n = epoll_wait(glue->epoll, events, READY, 0);
    if (n <= 0)
      break;
    for (int i = 0; i < n; i++)
      ready[i] = (fzr_udp_ready){events[i].data.ptr, events_of(&events[i]), 0};
    fzr_udp_on_ready_batch(glue->udp, ready, (size_t)n, now);
    sleep_for(fzr_udp_gather_time(glue->udp));
    now = monotonic_now();
    if (is_waited_for(glue) || now - glue->followed < SHARED)
      break;
  }
  arm(glue, now);
}

/* Of the lowest priority, as handshakes are, which have their turn before anybody sleeps. */
static void on_rest(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  event_glue *glue = ctx;
  const bool busy = event_base_get_num_events(glue->base, EVENT_BASE_COUNT_ACTIVE) > 0;
  if (gather_sleeps(&glue->gather) && !busy && !is_waited_for(glue))
    sleep_for(GATHER_TIME);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  event_glue *glue = ctx;
  const fzr_time now = monotonic_now();
  if (glue->deaf && !event_add(glue->ready, NULL)) {
    glue->deaf = false;
    log_info("relay", "Sockets are watched again");
  }
  fzr_udp_on_deadline(glue->udp, now);
  arm(glue, now);
}

event_glue *event_glue_new(struct event_base *base)
{
  event_glue *glue = aligned_alloc(CACHE_LINE, sizeof *glue);
  if (!glue)
    return NULL;
  memset(glue, 0, sizeof *glue);
  glue->base = base;
  glue->armed = FZR_TIME_NEVER;
  glue->end_fd = find_end();
  glue->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (glue->epoll >= 0) {
    glue->ready = event_new(base, glue->epoll, EV_READ | EV_PERSIST, on_ready, glue);
    glue->timer = evtimer_new(base, on_timer, glue);
    glue->rest = evtimer_new(base, on_rest, glue);
  }
  if (!glue->ready || !glue->timer || !glue->rest || event_priority_set(glue->rest, STREAM_SLOW_PRIORITY)) {
    event_glue_free(glue);
    return NULL;
  }
  return glue;
}

void event_glue_make_way(event_glue *glue, const atomic_uint *waits)
{
  glue->waits = waits;
}

void event_glue_configure(event_glue *glue, fzr_udp_config *config)
{
  config->watch = watch;
  config->unwatch = unwatch;
  config->watch_ctx = glue;
}

int event_glue_start(event_glue *glue, fzr_udp *udp)
{
  glue->udp = udp;
  if (event_add(glue->ready, NULL))
    return -1;
  arm(glue, monotonic_now());
  return 0;
}

int event_glue_restart(event_glue *glue)
{
  const int result = event_add(glue->ready, NULL), keep = errno;
  glue->deaf = result != 0;
  arm(glue, monotonic_now());
  errno = keep;
  return result;
}

void event_glue_stop(event_glue *glue)
{
  glue->deaf = false;
  event_del(glue->ready);
  event_del(glue->rest);
  evtimer_del(glue->timer);
}

void event_glue_follow(event_glue *glue, fzr_time now)
{
  arm(glue, now);
  glue->followed = now;
  if (gather_read(&glue->gather, now))
    event_active(glue->rest, 0, 0); /* once: it may be that already */
}

int event_glue_end_fd(const event_glue *glue)
{
  return glue->end_fd;
}

void event_glue_free(event_glue *glue)
{
  if (!glue)
    return;
  if (glue->ready)
    event_free(glue->ready);
  if (glue->timer)
    event_free(glue->timer);
  if (glue->rest)
    event_free(glue->rest);
  if (glue->epoll >= 0)
    close(glue->epoll);
  free(glue);
}
