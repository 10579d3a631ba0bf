/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_common.h"

#include "udp_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifndef IP_RECVORIGDSTADDR
#define IP_RECVORIGDSTADDR 20
#endif
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif

/* Who has not sent for that long, or up to twice as long, is closed. */
#define QUIET (5 * FZR_SECOND)
/* Of all sockets, so many are looked at in a turn, and so many closed: others wait meanwhile. */
#define LOOKS  512u
#define CLOSES 32u
/* Until the next turn of the same look at all of them. */
#define NEXT (2 * FZR_MILLISECOND)
/* A descriptor that could not be had is asked for once in that time. */
#define RETRY (10 * FZR_MILLISECOND)

int fzri_common_start(fzr_udp *udp)
{
  static const uint8_t localhost4[4] = {127, 0, 0, 1}, localhost6[16] = {[15] = 1};
  for (unsigned i = 0; i < 2 && udp->config.direct; i++) {
    fzri_socket *s;
    if (!udp->listen[i])
      continue;
    /* It has to be bound to be led to: where nobody else reaches it, and what comes there is for no allocation. */
    const fzr_addr at = i ? fzr_addr_ipv6(localhost6, 0) : fzr_addr_ipv4(localhost4, 0);
    const int error = fzri_socket_open(udp, &at, false, false, &s);
    if (error)
      return error;
    s->common = true;
    udp->common.sockets[i] = s;
    fzri_socket_set_buffers(udp, s);
    const bool told = i ? fzri_socket_set(s->fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
                        : fzri_socket_set(s->fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
    if (!told)
      return FZR_ERR_IO;
  }
  udp->common.on = udp->config.direct != NULL;
  return 0;
}

int fzri_common_watch(fzr_udp *udp)
{
  int error = 0;
  for (unsigned i = 0; i < 2 && !error; i++)
    if (udp->common.sockets[i])
      error = fzri_socket_watch(udp, udp->common.sockets[i]);
  return error;
}

int fzr_udp_common_socket(const fzr_udp *udp, enum fzr_family family)
{
  const fzri_socket *s = udp ? udp->common.sockets[family == FZR_FAMILY_IPV6] : NULL;
  return s ? s->fd : -1;
}

/* ---- those that send ---- */

static void close_descriptor(fzr_udp *udp, fzri_socket *s)
{
  if (s->known)
    udp->config.unwatch(udp->config.watch_ctx, s->fd, s->slot);
  s->known = false;
  s->slot = NULL;
  close(s->fd);
  s->fd = -1;
  udp->stats.sockets--;
}

/* The host may have no room for one more descriptor: it says so when it is to watch it. */
static int admit(fzr_udp *udp, fzri_socket *s)
{
  void *slot = NULL;
  const int error = udp->config.watch(udp->config.watch_ctx, s->fd, 0, s, &slot);
  if (!error)
    udp->config.unwatch(udp->config.watch_ctx, s->fd, slot);
  return error;
}

int fzri_common_lead(fzr_udp *udp, fzri_socket *s)
{
  fzr_addr at;
  s->paused = true; /* it only sends */
  fzri_addrs_of_port(udp, s, &at);
  close_descriptor(udp, s);
  return udp->config.direct(udp->config.direct_ctx, &at, true);
}

void fzri_common_leave(const fzr_udp *udp, const fzri_socket *s)
{
  fzr_addr at;
  fzri_addrs_of_port(udp, s, &at);
  udp->config.direct(udp->config.direct_ctx, &at, false);
}

static bool reopen(fzr_udp *udp, fzri_socket *s)
{
  fzr_addr at;
  fzri_addrs_of_port(udp, s, &at);
  if (fzri_socket_reopen(udp, s, &at))
    return false;
  if (admit(udp, s)) {
    close_descriptor(udp, s);
    errno = EMFILE;
    return false;
  }
  return true;
}

/* Who can't have a descriptor would try again by some system calls with each batch that his client sends. */
bool fzri_common_reopen(fzr_udp *udp, fzri_socket *s)
{
  const uint32_t in = (uint32_t)(udp->now / RETRY) | 1u << 31;
  if (s->failed_in == in) {
    errno = EAGAIN;
    return false;
  }
  if (!reopen(udp, s)) {
    s->failed_in = in;
    return false;
  }
  if (udp->common.look_at == FZR_TIME_NEVER)
    udp->common.look_at = udp->now + QUIET;
  return true;
}

void fzri_common_settle(fzr_udp *udp, fzr_time now)
{
  fzri_common *c = &udp->common;
  if (now < c->look_at)
    return;
  unsigned closes = 0;
  const uint32_t end = fzri_pool_end(&udp->sockets);
  for (unsigned looks = 0; looks < LOOKS && closes < CLOSES && c->at < end; looks++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, c->at++);
    if (!s->open || !s->port || s->listens || s->common || s->addresses || s->fd < 0 || s->blocked)
      continue;
    if (s->quiet) {
      close_descriptor(udp, s);
      closes++;
    }
    s->quiet = true;
  }
  c->look_at = now + (c->at < end ? NEXT : QUIET);
  if (c->at >= end)
    c->at = 0;
}

/* ---- what was heard ---- */

#define PLACES (4 * FZRI_COMMON_MSGS)
#define NONE   UINT8_MAX
_Static_assert(FZRI_COMMON_MSGS < NONE, "places are numbers of packets");

/* Numbers of packets, in lists by port. */
typedef struct groups {
  uint8_t first[PLACES]; /* by hash of the port; NONE: free */
  uint8_t last[FZRI_COMMON_MSGS];
  uint8_t next[FZRI_COMMON_MSGS];
  uint8_t leaders[FZRI_COMMON_MSGS]; /* of each list, in order */
  unsigned count;
} groups;

static void group(groups *g, const fzr_pkt *pkts, uint8_t i)
{
  unsigned place = pkts[i].to.port % PLACES;
  g->next[i] = NONE;
  while (g->first[place] != NONE && pkts[g->first[place]].to.port != pkts[i].to.port)
    place = (place + 1) % PLACES;
  const uint8_t leader = g->first[place];
  if (leader == NONE) {
    g->first[place] = g->last[i] = g->leaders[g->count++] = i;
    return;
  }
  g->next[g->last[leader]] = i;
  g->last[leader] = i;
}

void fzri_common_regroup(fzr_pkt *pkts, unsigned n)
{
  groups g;
  fzr_pkt copy[FZRI_COMMON_MSGS];
  memset(g.first, NONE, sizeof g.first);
  g.count = 0;
  for (unsigned i = 0; i < n; i++)
    group(&g, pkts, (uint8_t)i);
  if (g.count == n || g.count <= 1)
    return;
  memcpy(copy, pkts, n * sizeof *pkts);
  for (unsigned k = 0, at = 0; k < g.count; k++)
    for (uint8_t i = g.leaders[k]; i != NONE; i = g.next[i])
      pkts[at++] = copy[i];
}
