/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of load balancers, until their PROXY header has come. Not a byte of what follows it is read here: that is TLS, or
 * messages. They count for no prefix yet, for all of them come from the balancer's. It sends the header at once, or with the client's
 * first bytes: then silent clients of its are strangers, and there may be as many here as of those, the oldest going first. */
#include "common/clock.h"
#include "log/log.h"
#include "stream/internal.h"
#include "stream/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream_arrival {
  streams *owner;
  stream_arrival *before, *after; /* in owner->arrivals */
  enum stream_kind kind;
  int fd;
  fzr_addr proxy, server;
  fzr_time since;
  struct event *readable; /* and its time */
  size_t have, room;      /* bytes of the header that have come, and that there are */
  uint8_t *header;
};

bool stream_is_proxied(const streams *s, const fzr_addr *addr)
{
  return stream_proxy_is_among(s->config.proxies, s->config.proxy_count, addr);
}

/* Frees all of it but its descriptor. */
static void forget(stream_arrival *a)
{
  streams *s = a->owner;
  if (a->before)
    a->before->after = a->after;
  else
    s->arrivals = a->after;
  if (a->after)
    a->after->before = a->before;
  else
    s->oldest_arrival = a->before;
  s->arrival_count--;
  if (a->readable)
    event_free(a->readable);
  free(a->header);
  free(a);
}

/* It never became a connection. */
static void give_up(stream_arrival *a, enum stream_end why)
{
  stream_stats *stats = &a->owner->stats[a->kind];
  const int fd = a->fd;
  stats->accepted++;
  stats->ended[why]++;
  forget(a);
  close(fd);
}

/* A balancer that does not do as --proxy-protocol says loses all clients. One a minute is told of, the others for who asks for them. */
static void tell(const stream_arrival *a, const char *error, fzr_time now)
{
  streams *s = a->owner;
  const log_field fields[] = {{"proxy", LOG_ADDR, {.addr = &a->proxy}},
                              {"transport", LOG_STR, {.str = stream_kind_name(a->kind)}},
                              {"error", LOG_STR, {.str = error}}};
  const bool may_tell = stream_may_tell(&s->told_proxy, now);
  log_write(may_tell ? FZR_LOG_WARN : FZR_LOG_DEBUG, "relay", "A load balancer's connection was closed",
            fields, sizeof fields / sizeof *fields);
}

static fzr_time patience(const streams *s)
{
  return s->config.idle < STREAM_HANDSHAKE ? s->config.idle : STREAM_HANDSHAKE;
}

/* Waits for more, no longer than until its time is over. Returns false without memory. */
static bool wait_on(stream_arrival *a, fzr_time now)
{
  const fzr_time passed = now - a->since, most = patience(a->owner);
  const fzr_time left = passed < most ? most - passed : 0;
  const struct timeval time = {(time_t)(left / FZR_SECOND), (suseconds_t)(left % FZR_SECOND / 1000)};
  return event_add(a->readable, &time) == 0;
}

/* Its header has come: from here on it is as any other. */
static void pass_on(stream_arrival *a, const stream_proxy_header *header)
{
  streams *s = a->owner;
  const enum stream_kind kind = a->kind;
  const int fd = a->fd;
  const fzr_time since = a->since;
  fzr_addr client = header->has_addresses ? header->client : a->proxy;
  fzr_addr server = header->has_addresses ? header->server : a->server;
  client.transport = server.transport = a->server.transport;
  forget(a);
  streams_take(s, kind, fd, &client, &server, since);
}

static bool make_room(stream_arrival *a, size_t bytes)
{
  uint8_t *larger = bytes <= a->room ? a->header : realloc(a->header, bytes);
  if (!larger)
    return false;
  a->header = larger;
  a->room = bytes > a->room ? bytes : a->room;
  return true;
}

/* What has come of the header is looked at. Returns how many bytes it needs to go on; 0: |a| is gone. */
static size_t look_at(stream_arrival *a, fzr_time now)
{
  stream_proxy_header header;
  switch (stream_proxy_read(a->header, a->have, &header)) {
  case STREAM_PROXY_MORE:
    return header.want;
  case STREAM_PROXY_DONE:
    pass_on(a, &header);
    return 0;
  default:
    tell(a, header.error, now);
    give_up(a, STREAM_END_PROXY);
    return 0;
  }
}

/* Reads what there is of the header, and no more. Returns whether it is still to be waited for; if not, |a| is gone. */
static bool read_header(stream_arrival *a, fzr_time now)
{
  size_t want = a->room ? a->room : STREAM_PROXY_START;
  while (want) {
    if (!make_room(a, want)) {
      give_up(a, STREAM_END_MEMORY);
      return false;
    }
    const ssize_t n = recv(a->fd, a->header + a->have, want - a->have, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return true;
    if (n <= 0) {
      /* Balancers also look whether the port is open, and say nothing. */
      give_up(a, n < 0 ? STREAM_END_ERROR : STREAM_END_CLIENT);
      return false;
    }
    a->have += (size_t)n;
    want = look_at(a, now);
  }
  return false;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
  stream_arrival *a = ctx;
  const fzr_time now = monotonic_now();
  (void)fd;
  if (what & EV_TIMEOUT) {
    tell(a, a->have ? "its PROXY header did not come to an end in time" : "no PROXY header came in time",
         now);
    give_up(a, STREAM_END_PROXY_TIME);
  } else if (read_header(a, now) && !wait_on(a, now)) {
    give_up(a, STREAM_END_MEMORY);
  }
}

/* The newest one. NULL without memory. */
static stream_arrival *new_arrival(streams *s, enum stream_kind kind, int fd, const fzr_addr *proxy,
                                   const fzr_addr *server, fzr_time since)
{
  stream_arrival *a = calloc(1, sizeof *a);
  if (!a)
    return NULL;
  *a = (stream_arrival){
      .owner = s, .kind = kind, .fd = fd, .proxy = *proxy, .server = *server, .since = since};
  a->after = s->arrivals;
  if (a->after)
    a->after->before = a;
  else
    s->oldest_arrival = a;
  s->arrivals = a;
  s->arrival_count++;
  a->readable = event_new(s->config.base, fd, EV_READ, on_readable, a);
  return a;
}

void stream_await(streams *s, enum stream_kind kind, int fd, const fzr_addr *proxy, const fzr_addr *server)
{
  const fzr_time now = monotonic_now();
  stream_arrival *a = new_arrival(s, kind, fd, proxy, server, now);
  if (!a) {
    s->stats[kind].accepted++;
    s->stats[kind].ended[STREAM_END_MEMORY]++;
    close(fd);
    return;
  }
  if (fd >= s->config.end_fd)
    give_up(a, STREAM_END_DESCRIPTORS);
  else if (!a->readable || !wait_on(a, now))
    give_up(a, STREAM_END_MEMORY);
  if (s->arrival_count > s->config.strangers) {
    tell(s->oldest_arrival,
         "there are as many that wait for their PROXY header as --max-connections-without-allocation allows",
         now);
    give_up(s->oldest_arrival, STREAM_END_CROWD);
  }
}

void stream_arrivals_free(streams *s)
{
  for (stream_arrival *a = s->arrivals, *after; a; a = after) {
    after = a->after;
    give_up(a, STREAM_END_CLIENT);
  }
}

/* ---- a hand-over ---- */

void stream_arrivals_halt(streams *s)
{
  for (stream_arrival *a = s->arrivals; a; a = a->after)
    event_del(a->readable);
}

void stream_arrivals_go_on(streams *s, fzr_time now)
{
  for (stream_arrival *a = s->arrivals, *after; a; a = after) {
    after = a->after;
    if (!wait_on(a, now))
      give_up(a, STREAM_END_MEMORY);
  }
}

bool stream_arrivals_save(const streams *s, bool (*each)(void *ctx, const stream_saved *saved, int fd),
                          void *ctx)
{
  for (const stream_arrival *a = s->oldest_arrival; a; a = a->before) {
    const stream_saved saved = {.kind = a->kind,
                                .flags = STREAM_SAVED_ARRIVAL,
                                .client = a->proxy,
                                .server = a->server,
                                .heard = a->since,
                                .held = a->header,
                                .held_len = a->have};
    if (!each(ctx, &saved, a->fd))
      return false;
  }
  return true;
}

void stream_arrivals_leave(streams *s)
{
  for (stream_arrival *a = s->arrivals; a; a = a->after) {
    close(a->fd);
    a->fd = -1;
  }
}

const char *stream_arrivals_load(streams *s, const stream_saved *saved, int fd)
{
  stream_proxy_header header = {.want = 0};
  if (saved->held_len && (saved->held_len > STREAM_PROXY_MAX ||
                          stream_proxy_read(saved->held, saved->held_len, &header) != STREAM_PROXY_MORE)) {
    close(fd);
    return "what is said of a balancer's connection can't be";
  }
  stream_arrival *a = new_arrival(s, saved->kind, fd, &saved->client, &saved->server, saved->heard);
  if (!a)
    close(fd);
  else if (a->readable && (!header.want || make_room(a, header.want)) && wait_on(a, monotonic_now())) {
    if (saved->held_len)
      memcpy(a->header, saved->held, saved->held_len);
    a->have = saved->held_len;
    return NULL;
  }
  return "out of memory";
}
