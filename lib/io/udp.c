/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_flow.h"
#include "udp_internal.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* How long to wait before the host is asked again to watch what it refused. */
#define REARM_AFTER (10 * FZR_MILLISECOND)

/* How long a host may sleep for datagrams to come together. Of a client that sends singly and fast, 20 us take 0.41 of the CPU off each packet,
 * 30 us 0.47, 40 us 0.51. */
#define GATHER (30 * FZR_MILLISECOND / 1000)
/* The same where they come by that many sockets or more, which a turn is longer for: of 100 peers that send at once 30 us take 0.11 off, 50 us
 * 0.17. */
#define GATHER_FROM_MANY (50 * FZR_MILLISECOND / 1000)
#define MANY_SOCKETS     8u
/* With as many in a turn there is nothing to be gained by more, and time is short. */
#define GATHER_ENOUGH 256u

/* How often a free port for both families is looked for. */
#define PORT_TRIES 16u

/* Whether the kernel knows GSO for UDP; a device may refuse it all the same, which is seen when it does. */
static bool kernel_has_gso(const fzri_socket *s)
{
  int size;
  socklen_t len = sizeof size;
  return s && getsockopt(s->fd, IPPROTO_UDP, UDP_SEGMENT, &size, &len) == 0;
}

static void close_listeners(fzr_udp *udp)
{
  for (unsigned i = 0; i < 2; i++) {
    if (udp->listen[i])
      fzri_socket_close(udp, udp->listen[i]);
    udp->listen[i] = NULL;
  }
}

/* Opens the listen sockets of all families on the same |port|. A family that the kernel does not have is left out, but for the last one. */
static int open_listeners(fzr_udp *udp, uint16_t port, bool join)
{
  fzr_addr addrs[2] = {udp->config.bind_ip4, udp->config.bind_ip6};
  int error = 0;
  for (unsigned i = 0; i < 2; i++) {
    if (!addrs[i].family)
      continue;
    addrs[i].port = port;
    error = fzri_socket_open(udp, &addrs[i], true, join, &udp->listen[i]);
    if (error && errno == EAFNOSUPPORT && (udp->listen[0] || (!i && addrs[1].family)))
      continue;
    if (error) {
      const int keep = errno;
      close_listeners(udp);
      errno = keep;
      return error;
    }
    port = udp->listen[i]->port;
  }
  udp->port = port;
  for (unsigned i = 0; i < 2; i++)
    udp->lanes[i].sender = udp->lanes[i].senders[0] = udp->listen[i];
  return 0;
}

static int open_on_some_port(fzr_udp *udp)
{
  const fzr_udp *group = udp->config.group;
  const uint16_t port = group ? group->port : udp->config.listen_port;
  int error = 0;
  for (unsigned tries = 0; tries < PORT_TRIES; tries++) {
    error = open_listeners(udp, port, group != NULL);
    if (error != FZR_ERR_IO_IN_USE || port)
      break;
  }
  return error;
}

static int check_config(const fzr_udp_config *c)
{
  if (!c->watch != !c->unwatch)
    return FZR_ERR_INVALID_ARGUMENT;
  if ((c->bind_ip4.family && c->bind_ip4.family != FZR_FAMILY_IPV4) ||
      (c->bind_ip6.family && c->bind_ip6.family != FZR_FAMILY_IPV6))
    return FZR_ERR_CONFIG_ADDRESS;
  return 0;
}

/* With no address to bind to, all are meant. */
static void complete_config(fzr_udp_config *c)
{
  static const uint8_t any[16] = {0};
  if (c->bind_ip4.family || c->bind_ip6.family)
    return;
  c->bind_ip4 = fzr_addr_ipv4(any, 0);
  c->bind_ip6 = fzr_addr_ipv6(any, 0);
}

/* Nobody is a neighbour on loopback. */
static uint32_t neighbour_queue(const fzr_udp *udp)
{
  uint32_t most = 0;
  for (unsigned i = 0; i < 2; i++) {
    if (!udp->listen[i] || fzri_socket_is_local(udp, udp->listen[i]))
      continue;
    const uint32_t bytes = fzri_neighbours_queue_bytes(udp->listen[i]->family);
    most = bytes > most ? bytes : most;
  }
  return most;
}

/* With the |n| sockets of |listen|, or such as it opens: NULL. */
static int make(const fzr_udp_config *config, const fzr_udp_socket *listen, size_t n, fzr_udp **out,
                int *sys_errno)
{
  fzr_udp_config c = {0};
  fzri_mem mem;
  if (!config || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  int error = fzri_config_copy(&c, sizeof c, config, sizeof c.size);
  if (!error)
    error = fzri_mem_init(&mem, c.mem);
  if (!error)
    error = listen && c.direct ? FZR_ERR_INVALID_ARGUMENT : check_config(&c);
  if (error)
    return error;
  complete_config(&c);
  fzr_udp *udp = fzri_mem_zalloc_lines(&mem, sizeof *udp);
  if (!udp)
    return FZR_ERR_NO_MEMORY;
  udp->mem = mem;
  udp->config = c;
  udp->waiting.look_at = FZR_TIME_NEVER;
  fzri_pool_init(&udp->sockets, &udp->mem, sizeof(fzri_socket));
  udp->epoll.fd = -1;
  udp->common.look_at = FZR_TIME_NEVER;
  error = fzri_recv_init(udp);
  if (!error && !c.watch)
    error = fzri_epoll_open(udp);
  if (!error)
    error = listen ? fzri_adopt_listeners(udp, listen, n) : open_on_some_port(udp);
  if (!error)
    error = fzri_common_start(udp);
  if (error) {
    if (sys_errno)
      *sys_errno = errno;
    fzr_udp_free(udp);
    return error;
  }
  udp->gso.on = !c.disable_gso && kernel_has_gso(udp->listen[0] ? udp->listen[0] : udp->listen[1]);
  udp->stats.neighbour_queue = neighbour_queue(udp);
  *out = udp;
  return 0;
}

int fzr_udp_new(const fzr_udp_config *config, fzr_udp **out, int *sys_errno)
{
  return make(config, NULL, 0, out, sys_errno);
}

int fzr_udp_adopt(const fzr_udp_config *config, const fzr_udp_socket *listen, size_t n, fzr_udp **out,
                  int *sys_errno)
{
  return listen ? make(config, listen, n, out, sys_errno) : FZR_ERR_INVALID_ARGUMENT;
}

void fzr_udp_free(fzr_udp *udp)
{
  if (!udp)
    return;
  fzri_addrs_stop(udp);
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (s->open)
      fzri_queue_end_socket(udp, s);
  }
  fzri_adopt_end(udp);
  fzr_driver_remove(udp->driver, FZR_TRANSPORT_UDP, udp);
  fzr_driver_free(udp->own_driver);
  fzri_neighbours_free(&udp->trouble.unresolved, &udp->mem);
  fzri_recv_free(udp);
  fzri_epoll_close(udp);
  fzri_pool_free(&udp->sockets);
  fzri_mem mem = udp->mem;
  fzri_mem_free_lines(&mem, udp, sizeof *udp);
}

uint16_t fzr_udp_listen_port(const fzr_udp *udp)
{
  return udp ? udp->port : 0;
}

/* ---- what the driver asks for ---- */

/* On the public address, where that is the host's own: peers see the address that was announced. It may have gone meanwhile. */
static int open_at_address(fzr_udp *udp, uint16_t port, uint8_t family, fzri_socket **out)
{
  fzr_addr room;
  const fzr_addr *bound = family == FZR_FAMILY_IPV4 ? &udp->config.bind_ip4 : &udp->config.bind_ip6;
  const fzr_addr *wanted = fzri_addrs_for_port(udp, family, &room);
  if (!bound->family)
    return FZR_ERR_IO_NO_SOCKET; /* the adapter has no such family */
  for (;;) {
    fzr_addr addr = *wanted;
    addr.port = port;
    const int error = fzri_socket_open(udp, &addr, false, false, out);
    if (error != FZR_ERR_IO || errno != EADDRNOTAVAIL || wanted == bound) {
      if (!error)
        (*out)->from_public = wanted != bound;
      return error;
    }
    wanted = bound;
  }
}

static int open_port(void *io, uint16_t port, enum fzr_family family, void **cookie)
{
  fzr_udp *udp = io;
  fzri_socket *s = udp->adopted ? fzri_adopt_inherited(udp, port, (uint8_t)family) : NULL;
  if (s) {
    *cookie = s;
    return 0;
  }
  int error = open_at_address(udp, port, (uint8_t)family, &s);
  if (error)
    return error;
  if (!udp->common.on)
    fzri_errors_hear(udp, s);
  error = udp->common.on ? fzri_common_lead(udp, s) : fzri_socket_watch(udp, s);
  if (error) {
    fzri_socket_close(udp, s);
    return error;
  }
  *cookie = s;
  return 0;
}

static void close_port(void *io, uint16_t port, enum fzr_family family, void *cookie)
{
  (void)port;
  (void)family;
  fzr_udp *udp = io;
  fzri_socket *s = cookie;
  /* What was forwarded before the allocation ended goes out before its socket does. */
  if (s->runs.first != FZRI_NO_RUN)
    fzri_send_flush(udp);
  fzri_adopt_forget(udp, s);
  if (udp->common.on)
    fzri_common_leave(udp, s);
  fzri_queue_end_socket(udp, s);
}

static void on_channel(void *io, const fzr_event *event)
{
  const fzr_udp *udp = io;
  if (udp->channel_hook)
    udp->channel_hook(udp->channel_hook_ctx, event);
}

const fzr_io_ops *fzr_udp_ops(void)
{
  static const fzr_io_ops ops = {sizeof ops,         open_port,         close_port,
                                 fzri_send_verdicts, fzri_send_answers, on_channel};
  return &ops;
}

/* Begins to relay, with |driver|. */
static int begin(fzr_udp *udp, fzr_driver *driver)
{
  int error = fzr_driver_add(driver, FZR_TRANSPORT_UDP, fzr_udp_ops(), udp);
  if (error)
    return error;
  udp->driver = driver;
  udp->engine = fzr_driver_engine(driver);
  udp->errors.wanted = fzr_engine_wants_peer_errors(udp->engine);
  if (udp->epoll.fd >= 0)
    fzri_epoll_tell_wallclock(udp, fzr_udp_now()); /* other adapters may have input before the first turn */
  error = fzr_engine_add_listen_port(udp->engine, udp->port);
  for (unsigned i = 0; i < 2 && !error; i++)
    if (udp->listen[i])
      error = fzri_socket_watch(udp, udp->listen[i]);
  if (!error)
    error = fzri_common_watch(udp);
  if (!error)
    error = fzri_addrs_start(udp);
  return error;
}

int fzr_udp_attach_to(fzr_udp *udp, fzr_driver *driver)
{
  if (!udp || !driver)
    return FZR_ERR_INVALID_ARGUMENT;
  return udp->driver ? FZR_ERR_INVALID_STATE : begin(udp, driver);
}

int fzr_udp_attach(fzr_udp *udp, fzr_engine *engine)
{
  if (!udp || !engine)
    return FZR_ERR_INVALID_ARGUMENT;
  if (udp->driver)
    return FZR_ERR_INVALID_STATE;
  int error = fzr_driver_new(engine, &udp->mem.hooks, &udp->own_driver);
  if (error)
    return error;
  error = begin(udp, udp->own_driver);
  if (!udp->driver) { /* not even added: it may be tried again */
    fzr_driver_free(udp->own_driver);
    udp->own_driver = NULL;
  }
  return error;
}

/* ---- what the host calls ---- */

static void on_ready(fzr_udp *udp, fzri_socket *s, unsigned events, fzr_time now)
{
  if (!s || !s->open)
    return;
  if (s->addresses) {
    fzri_addrs_ready(udp, now);
    return;
  }
  if (events & FZR_WATCH_WRITE)
    fzri_queue_flush(udp, s);
  if (!(events & FZR_WATCH_READ))
    return;
  /* Where many allocations feed one listen socket, each would read one batch more to find out that it is blocked. */
  if (!s->paused && !s->resting && !fzri_flow_blocked(udp, s))
    fzri_recv(udp, s, now);
  else if (s->hears)
    fzri_errors_read(udp, s); /* they keep it ready whether it is watched or not */
}

/* A socket that is not watched as it has to be would stay queued, or unread, for ever. */
static inline void settle(fzr_udp *udp, fzr_time now)
{
  fzri_addrs_settle(udp, now);
  fzri_queues_expire(udp);
  fzri_recv_settle(udp, now);
  if (udp->common.on)
    fzri_common_settle(udp, now);
  if (udp->errors.held || udp->errors.deaf)
    fzri_errors_settle(udp, now);
  if (!udp->rearm.due || now < udp->rearm.at)
    return;
  fzri_sockets_rearm(udp);
  udp->rearm.at = now + REARM_AFTER;
}

void fzr_udp_on_ready(fzr_udp *udp, void *token, unsigned events, fzr_time now)
{
  if (!udp || !udp->driver || udp->halted)
    return;
  fzri_lanes_begin(udp, now);
  on_ready(udp, token, events, now);
  settle(udp, now);
}

void fzr_udp_on_ready_batch(fzr_udp *udp, const fzr_udp_ready *ready, size_t n, fzr_time now)
{
  if (!udp || !udp->driver || !ready || udp->halted)
    return;
  fzri_lanes_begin(udp, now);
  udp->turn = (fzri_turn){udp->stats.sent, udp->stats.send_calls, udp->stats.receive_calls};
  udp->recv.hold = true;
  for (size_t i = 0; i < n; i++)
    on_ready(udp, ready[i].token, ready[i].events, now);
  udp->recv.hold = false;
  fzri_recv_release(udp);
  settle(udp, now);
}

fzr_time fzr_udp_gather_time(const fzr_udp *udp)
{
  if (!udp)
    return 0;
  const uint64_t sent = udp->stats.sent - udp->turn.sent;
  const uint64_t calls = udp->stats.send_calls - udp->turn.send_calls;
  if (!calls || sent < 2 * calls || sent >= GATHER_ENOUGH)
    return 0;
  const bool many = udp->common.on || udp->stats.receive_calls - udp->turn.receive_calls >= MANY_SOCKETS;
  return many ? GATHER_FROM_MANY : GATHER;
}

fzr_time fzr_udp_deadline(const fzr_udp *udp)
{
  if (!udp || udp->halted)
    return FZR_TIME_NEVER;
  const fzr_time others[] = {fzri_addrs_deadline(udp), udp->waiting.look_at,
                             fzri_recv_deadline(udp),  fzri_errors_deadline(udp),
                             udp->common.look_at,      udp->rearm.due ? udp->rearm.at : FZR_TIME_NEVER};
  fzr_time deadline = fzr_driver_deadline(udp->driver);
  for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
    if (others[i] < deadline)
      deadline = others[i];
  return deadline;
}

void fzr_udp_on_deadline(fzr_udp *udp, fzr_time now)
{
  if (!udp || !udp->driver || udp->halted)
    return;
  fzri_lanes_begin(udp, now);
  fzr_driver_on_deadline(udp->driver, now);
  fzri_send_flush(udp);
  settle(udp, now);
}

int fzr_udp_port_addr(const fzr_udp *udp, const void *io, fzr_addr *out)
{
  const fzri_socket *s = io;
  if (!udp || !s || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_addrs_of_port(udp, s, out);
  return 0;
}

int fzr_udp_get_stats_sized(const fzr_udp *udp, fzr_udp_stats *stats, size_t size)
{
  if (!udp || !stats || size < sizeof stats->size)
    return FZR_ERR_INVALID_ARGUMENT;
  fzr_udp_stats all = udp->stats;
  all.gro = true;
  for (unsigned i = 0; i < 2; i++)
    all.gro = all.gro && (!udp->listen[i] || udp->listen[i]->gro);
  all.gso = udp->gso.on;
  all.gso_refused = udp->gso.refused;
  all.own_ip4 = udp->addrs.own_public[0];
  all.own_ip6 = udp->addrs.own_public[1];
  all.offered_ip4 = udp->addrs.offered[0];
  all.offered_ip6 = udp->addrs.offered[1];
  all.size = size < sizeof all ? size : sizeof all;
  if (size > all.size)
    memset((uint8_t *)stats + all.size, 0, size - all.size);
  memcpy(stats, &all, all.size);
  return 0;
}

void fzr_udp_set_channel_hook(fzr_udp *udp, void (*hook)(void *ctx, const fzr_event *event), void *ctx)
{
  if (!udp)
    return;
  udp->channel_hook = hook;
  udp->channel_hook_ctx = ctx;
}
