/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_senders.h"

#include "udp_internal.h"

#include <string.h>
#include <unistd.h>

/* While all senders are full, and where none can be opened. */
#define TRY_AFTER  FZR_MILLISECOND
#define OPEN_AFTER FZR_SECOND

/* Nobody sends to this port of this address. (IPv6 has one loopback address alone: there the socket is deaf once it is connected.) Bound
 * to the listen socket's own address it would be one of its SO_REUSEPORT group, whose size decides which worker hears which client. */
static const uint8_t sender_ip4[4] = {127, 101, 102, 103};
#define DISCARD 9

static void share_port(const fzr_udp *udp, uint8_t family, bool share)
{
  const fzri_lanes *l = &udp->lanes[family == FZR_FAMILY_IPV6];
  const fzri_socket *all[FZRI_SENDERS + 2] = {l->strangers, l->unreached};
  memcpy(all + 2, l->senders, sizeof l->senders);
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i])
      fzri_socket_set(all[i]->fd, SOL_SOCKET, SO_REUSEPORT, share);
}

static bool bind_sender(const fzr_udp *udp, const fzri_socket *s)
{
  fzr_sockaddr sa;
  fzr_addr addr = {.family = s->family, .port = s->port};
  if (s->family == FZR_FAMILY_IPV4)
    memcpy(addr.ip, sender_ip4, sizeof sender_ip4);
  else
    addr.ip[15] = 1;
  const bool alone = !udp->config.reuse_port;
  if (!fzri_socket_set(s->fd, SOL_SOCKET, SO_REUSEPORT, 1) ||
      (s->family == FZR_FAMILY_IPV6 && !fzri_socket_set(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)))
    return false;
  /* A listen socket that is alone shares its port for no longer than this takes, so that no other program slips in beside it. */
  if (alone)
    share_port(udp, s->family, true);
  socklen_t len = fzr_addr_to_sockaddr(&addr, &sa);
  bool bound = bind(s->fd, &sa.any, len) == 0;
  addr.port = DISCARD;
  len = fzr_addr_to_sockaddr(&addr, &sa);
  bound = bound && connect(s->fd, &sa.any, len) == 0;
  if (alone) {
    share_port(udp, s->family, false);
    fzri_socket_set(s->fd, SOL_SOCKET, SO_REUSEPORT, 0);
  }
  return bound;
}

/* Opens a socket that sends from the listen port of |listener|, from whatever local address each datagram says, and receives nothing. The
 * host does not know it. NULL if that can't be. */
static fzri_socket *open_sender(fzr_udp *udp, const fzri_socket *listener, enum fzri_lane lane)
{
  const int domain = listener->family == FZR_FAMILY_IPV4 ? AF_INET : AF_INET6;
  const int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  fzri_socket *s = fd < 0 ? NULL : fzri_socket_new(udp, fd);
  if (!s) {
    if (fd >= 0)
      close(fd);
    return NULL;
  }
  s->listens = s->wildcard = s->paused = true;
  s->family = listener->family;
  s->port = listener->port;
  s->lane = (uint8_t)lane;
  if (!bind_sender(udp, s)) {
    close(fd);
    fzri_pool_give(&udp->sockets, s->index);
    return NULL;
  }
  fzri_socket_set(fd, SOL_SOCKET, SO_SNDBUF,
                  udp->config.send_buffer ? (int)udp->config.send_buffer : FZRI_LISTEN_SEND_BUFFER);
  udp->stats.sockets++;
  return s;
}

/* ---- when a sender is stuck ---- */

static bool open_lanes(fzr_udp *udp, fzri_lanes *l, const fzri_socket *listener)
{
  if (!l->unreached)
    l->unreached = open_sender(udp, listener, FZRI_LANE_UNREACHED);
  if (l->unreached && !l->strangers)
    l->strangers = open_sender(udp, listener, FZRI_LANE_STRANGERS);
  return l->strangers;
}

/* Sender number |i|; NULL if there can be none. The host has to know it, for it may come to be blocked. */
static fzri_socket *sender_at(fzr_udp *udp, fzri_lanes *l, const fzri_socket *listener, unsigned i)
{
  if (l->senders[i])
    return l->senders[i];
  fzri_socket *s = open_sender(udp, listener, FZRI_LANE_QUEUES);
  if (s && fzri_socket_watch(udp, s)) {
    fzri_socket_close(udp, s);
    s = NULL;
  }
  return l->senders[i] = s;
}

static unsigned number_of(const fzri_lanes *l)
{
  unsigned i = 0;
  while (i + 1 < FZRI_SENDERS && l->senders[i] != l->sender)
    i++;
  return i;
}

/* Has the next sender take over from the one in use, and so on until one takes all that waits, or all have refused. */
static bool take_turns(fzr_udp *udp, fzri_lanes *l, const fzri_socket *listener)
{
  for (unsigned turn = 1, at = number_of(l); turn <= FZRI_SENDERS; turn++) {
    fzri_socket *next = sender_at(udp, l, listener, (at + turn) % FZRI_SENDERS);
    if (!next || next == l->sender)
      continue;
    fzri_socket *before = l->sender;
    l->sender = next;
    fzri_queue_move(udp, before, next);
    fzri_queue_flush(udp, next);
    if (!next->blocked)
      return true;
  }
  return false;
}

static void unstick(fzr_udp *udp, fzri_lanes *l)
{
  l->stuck = false;
  /* What was collected for a sender just before another took over. */
  for (unsigned i = 0; i < FZRI_SENDERS; i++)
    if (l->senders[i] && l->senders[i] != l->sender && l->senders[i]->blocked)
      fzri_queue_move(udp, l->senders[i], l->sender);
  const fzri_socket *listener = l->senders[0];
  if (fzri_socket_is_local(udp, listener))
    return;
  fzri_lanes_look(udp);
  if (!udp->trouble.on || udp->now < l->try_at)
    return;
  if (!open_lanes(udp, l, listener))
    l->try_at = udp->now + OPEN_AFTER;
  else if (!take_turns(udp, l, listener))
    l->try_at = udp->now + TRY_AFTER;
}

void fzri_senders_unstick(fzr_udp *udp)
{
  for (unsigned i = 0; i < 2; i++)
    if (udp->lanes[i].stuck)
      unstick(udp, &udp->lanes[i]);
}
