/* SPDX-License-Identifier: Apache-2.0 */
#include "net/race.h"

#include "common/clock.h"
#include "firezone_relay/socket.h"
#include "net/resolve.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct runner {
  net_race *race;
  fzr_addr addr;
  int fd; /* -1: not started, or failed */
  struct event *event;
} runner;

struct net_race {
  struct event_base *base;
  struct event *next; /* starts the next runner */
  struct timeval timeout;
  net_raced done;
  void *ctx;
  runner runners[NET_MAX_ADDRS];
  size_t count;
  size_t started;
  size_t running;
  char error[160];
};

static void runner_stop(runner *r)
{
  if (r->event)
    event_free(r->event);
  r->event = NULL;
  if (r->fd >= 0)
    close(r->fd);
  r->fd = -1;
}

static void note_failure(const runner *r, int err)
{
  char addr[FZR_ADDR_TEXT_MAX] = "";
  fzr_addr_format(&r->addr, true, addr, sizeof addr);
  snprintf(r->race->error, sizeof r->race->error, "cannot connect to %s: %s", addr, strerror(err));
}

static void start_next_in(net_race *race, fzr_time delay)
{
  const struct timeval tv = timeval_of(delay);
  event_add(race->next, &tv);
}

static void runner_failed(runner *r, int err)
{
  net_race *race = r->race;
  note_failure(r, err);
  runner_stop(r);
  race->running--;
  if (race->started < race->count) {
    start_next_in(race, 0);
  } else if (race->running == 0) {
    event_del(race->next);
    race->done(race->ctx, -1, NULL, race->error);
  }
}

static void on_connected(evutil_socket_t fd, short what, void *ctx)
{
  runner *r = ctx;
  int err = 0;
  socklen_t len = sizeof err;
  if ((what & EV_TIMEOUT) != 0)
    err = ETIMEDOUT;
  else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
    err = errno;
  if (err != 0) {
    runner_failed(r, err);
    return;
  }
  net_race *race = r->race;
  const fzr_addr addr = r->addr;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  r->fd = -1;
  for (size_t i = 0; i < race->started; i++)
    runner_stop(&race->runners[i]);
  event_del(race->next);
  race->done(race->ctx, fd, &addr, NULL);
}

/* Returns 0, or what went wrong. */
static int runner_start(runner *r)
{
  fzr_sockaddr to;
  const socklen_t len = fzr_addr_to_sockaddr(&r->addr, &to);
  r->fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (r->fd < 0)
    return errno;
  if (connect(r->fd, &to.any, len) != 0 && errno != EINPROGRESS)
    return errno;
  r->event = event_new(r->race->base, r->fd, EV_WRITE, on_connected, r);
  if (!r->event || event_add(r->event, &r->race->timeout) != 0)
    return ENOMEM;
  return 0;
}

static void on_next(evutil_socket_t fd, short what, void *ctx)
{
  net_race *race = ctx;
  (void)fd;
  (void)what;
  runner *r = &race->runners[race->started++];
  race->running++;
  if (race->started < race->count)
    start_next_in(race, NET_RACE_STAGGER);
  const int err = runner_start(r);
  if (err != 0)
    runner_failed(r, err);
}

net_race *net_race_new(struct event_base *base, const fzr_addr *addrs, size_t count, fzr_time timeout,
                       net_raced done, void *ctx)
{
  net_race *race = calloc(1, sizeof *race);
  if (!race || count == 0) {
    free(race);
    return NULL;
  }
  race->base = base;
  race->timeout = timeval_of(timeout);
  race->done = done;
  race->ctx = ctx;
  race->count = count < NET_MAX_ADDRS ? count : NET_MAX_ADDRS;
  for (size_t i = 0; i < race->count; i++)
    race->runners[i] = (runner){race, addrs[i], -1, NULL};
  race->next = evtimer_new(base, on_next, race);
  if (!race->next) {
    free(race);
    return NULL;
  }
  start_next_in(race, 0);
  return race;
}

void net_race_free(net_race *race)
{
  if (!race)
    return;
  for (size_t i = 0; i < race->count; i++)
    runner_stop(&race->runners[i]);
  event_free(race->next);
  free(race);
}
