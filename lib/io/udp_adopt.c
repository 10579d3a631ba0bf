/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets go from one adapter to another: descriptors may be sent to another process, which then has the same sockets, with all that waits
 * in them. While nobody reads, what comes waits in their receive buffers. Until the adopter is resumed it changes nothing of a socket:
 * whoever gave it away may take it back. */
#include "udp_adopt.h"

#include "../base/addr.h"
#include "udp_internal.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static_assert(sizeof(fzr_udp_socket) == 16, "frozen");
static_assert(sizeof(void *) != 8 || sizeof(fzr_udp_unsent) == 80, "frozen");

/* Of a family. */
#define PORTS ((size_t)UINT16_MAX + 1)

/* ---- giving away ---- */

int fzr_udp_pause(fzr_udp *udp, fzr_time now)
{
  if (!udp)
    return FZR_ERR_INVALID_ARGUMENT;
  if (!udp->driver || udp->halted || udp->common.on)
    return FZR_ERR_INVALID_STATE;
  fzri_lanes_begin(udp, now);
  fzri_recv_release(udp);
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (s->open && s->blocked)
      fzri_queue_flush(udp, s);
  }
  fzri_errors_settle(udp, now);
  fzri_errors_hear_all(udp); /* whoever adopts a socket does not know that it is deaf */
  fzri_recv_drop_pages(udp);
  udp->halted = true;
  return 0;
}

/* Whether |s| is one that another adapter can use: a listen socket proper, or that of an allocation. */
static bool is_given(const fzr_udp *udp, const fzri_socket *s)
{
  if (!s->open || s->addresses || s->common || s->fd < 0)
    return false;
  return !s->listens || s == udp->listen[s->family == FZR_FAMILY_IPV6];
}

size_t fzr_udp_list_sockets(const fzr_udp *udp, uint32_t *cursor, fzr_udp_socket *out, size_t room)
{
  size_t n = 0;
  if (!udp || !cursor || !out)
    return 0;
  for (; n < room && *cursor < fzri_pool_end(&udp->sockets); ++*cursor) {
    const fzri_socket *s = fzri_pool_at(&udp->sockets, *cursor);
    if (is_given(udp, s))
      out[n++] = (fzr_udp_socket){s->fd, s->port, s->family, s->listens, s->serial};
  }
  return n;
}

static fzr_udp_unsent describe(const fzr_udp *udp, const fzri_socket *s, const fzri_queued *node)
{
  const uint32_t at = node->sent * node->seg_len;
  return (fzr_udp_unsent){.to = node->to,
                          .from = node->from,
                          .data = node->data + at,
                          .len = node->bytes - at,
                          .seg = node->seg_len,
                          .count = (uint16_t)(node->count - node->sent),
                          .port = s->port,
                          .listens = s->listens,
                          .to_stranger = node->to_stranger,
                          .dont_fragment = node->dont_fragment,
                          .waited = udp->now > node->at ? udp->now - node->at : 0};
}

void fzr_udp_each_unsent(const fzr_udp *udp, void (*each)(void *ctx, const fzr_udp_unsent *unsent), void *ctx)
{
  if (!udp || !each)
    return;
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    const fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (!s->open || !s->queue)
      continue;
    for (const fzri_queued *node = s->queue->head; node; node = node->next) {
      const fzr_udp_unsent unsent = describe(udp, s, node);
      each(ctx, &unsent);
    }
  }
}

/* ---- taking over ---- */

/* Notes which options of |s| are on: while nobody reads there is no time to set those of all sockets that are as they have to be. */
static void read_options(fzri_socket *s)
{
  const bool v4 = s->family == FZR_FAMILY_IPV4;
  int gro, errors;
  socklen_t len = sizeof gro;
  if (getsockopt(s->fd, IPPROTO_UDP, UDP_GRO, &gro, &len))
    return;
  len = sizeof errors;
  if (getsockopt(s->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &errors, &len))
    return;
  s->gro = gro != 0;
  s->hears = errors != 0;
  s->as_read = true;
}

/* Makes an object for |fd|, which has to be a socket of UDP that is bound, and tells where. Returns 0, FZR_ERR_INVALID_ARGUMENT,
 * FZR_ERR_IO with errno, or FZR_ERR_NO_MEMORY. */
static int take(fzr_udp *udp, int fd, fzr_addr *at, fzri_socket **out)
{
  fzr_sockaddr sa;
  int protocol = 0;
  socklen_t len = sizeof protocol, sa_len = sizeof sa;
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) || getsockname(fd, &sa.any, &sa_len))
    return FZR_ERR_IO;
  if (protocol != IPPROTO_UDP || fzr_addr_from_sockaddr(&sa.any, sa_len, at) || !at->port)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_socket *s = fzri_socket_new(udp, fd);
  if (!s)
    return FZR_ERR_NO_MEMORY;
  s->family = at->family;
  s->port = at->port;
  s->wildcard = fzri_is_unspecified(at);
  read_options(s);
  udp->stats.sockets++;
  *out = s;
  return 0;
}

/* Forgets |s|, whose descriptor is its caller's again. */
static void give_back(fzr_udp *udp, const fzri_socket *s)
{
  udp->stats.sockets--;
  fzri_pool_give(&udp->sockets, s->index);
}

static const fzr_addr *bound_of(const fzr_udp *udp, uint8_t family)
{
  return family == FZR_FAMILY_IPV6 ? &udp->config.bind_ip6 : &udp->config.bind_ip4;
}

static int adopt_listener(fzr_udp *udp, const fzr_udp_socket *given)
{
  fzr_addr at;
  fzri_socket *s;
  const int error = take(udp, given->fd, &at, &s);
  if (error)
    return error;
  const unsigned slot = s->family == FZR_FAMILY_IPV6;
  const fzr_addr *bound = bound_of(udp, s->family);
  const bool here = bound->family && memcmp(bound->ip, at.ip, sizeof at.ip) == 0;
  if (!here || udp->listen[slot] || (udp->port && udp->port != s->port)) {
    give_back(udp, s);
    return here ? FZR_ERR_INVALID_ARGUMENT : FZR_ERR_CONFIG_ADDRESS;
  }
  s->listens = true;
  fzri_socket_tell_buffers(udp, s);
  udp->listen[slot] = udp->lanes[slot].sender = udp->lanes[slot].senders[0] = s;
  udp->port = s->port;
  return 0;
}

int fzri_adopt_listeners(fzr_udp *udp, const fzr_udp_socket *listen, size_t n)
{
  int error = n ? 0 : FZR_ERR_INVALID_ARGUMENT;
  for (size_t i = 0; i < n && !error; i++)
    error = adopt_listener(udp, &listen[i]);
  for (unsigned i = 0; error && i < 2; i++) {
    if (udp->listen[i])
      give_back(udp, udp->listen[i]);
    udp->listen[i] = NULL;
  }
  udp->halted = udp->adopted = true;
  return error;
}

/* Where it says which socket of an allocation was inherited. NULL: there is no memory for such. */
static uint32_t *place_of(fzr_udp *udp, uint8_t family, uint16_t port)
{
  const unsigned slot = family == FZR_FAMILY_IPV6;
  if (!udp->inherited[slot])
    udp->inherited[slot] = fzri_mem_calloc(&udp->mem, PORTS, sizeof *udp->inherited[slot]);
  return udp->inherited[slot] ? &udp->inherited[slot][port] : NULL;
}

/* The socket of an allocation that was inherited; NULL: there is none. */
static fzri_socket *inherited_at(const fzr_udp *udp, unsigned slot, uint32_t port)
{
  const uint32_t *places = udp->inherited[slot];
  return places && places[port] ? fzri_pool_at(&udp->sockets, places[port] - 1) : NULL;
}

int fzr_udp_adopt_port(fzr_udp *udp, int fd)
{
  fzr_addr at;
  fzri_socket *s;
  if (!udp)
    return FZR_ERR_INVALID_ARGUMENT;
  if (!udp->adopted)
    return FZR_ERR_INVALID_STATE;
  int error = take(udp, fd, &at, &s);
  if (error)
    return error;
  uint32_t *place = place_of(udp, s->family, s->port);
  fzri_socket *former = inherited_at(udp, s->family == FZR_FAMILY_IPV6, s->port);
  const fzr_addr *bound = bound_of(udp, s->family);
  s->from_public = memcmp(bound->ip, at.ip, sizeof at.ip) != 0;
  if (!place)
    error = FZR_ERR_NO_MEMORY;
  else if (former && former->claimed)
    error = FZR_ERR_INVALID_ARGUMENT;
  else
    error = bound->family ? fzri_socket_watch(udp, s) : FZR_ERR_CONFIG_ADDRESS;
  if (error) {
    give_back(udp, s);
    return error;
  }
  if (former)
    fzri_queue_end_socket(udp, former);
  *place = s->index + 1;
  return 0;
}

fzri_socket *fzri_adopt_inherited(const fzr_udp *udp, uint16_t port, uint8_t family)
{
  fzri_socket *s = inherited_at(udp, family == FZR_FAMILY_IPV6, port);
  if (!s || s->claimed)
    return NULL;
  s->claimed = true;
  return s;
}

void fzri_adopt_forget(const fzr_udp *udp, const fzri_socket *s)
{
  const unsigned slot = s->family == FZR_FAMILY_IPV6;
  if (inherited_at(udp, slot, s->port) == s)
    udp->inherited[slot][s->port] = 0;
}

void fzri_adopt_end(fzr_udp *udp)
{
  for (unsigned slot = 0; slot < 2; slot++) {
    fzri_mem_free(&udp->mem, udp->inherited[slot], PORTS * sizeof *udp->inherited[slot]);
    udp->inherited[slot] = NULL;
  }
}

/* The socket that |unsent| waits for; NULL: there is none. */
static fzri_socket *waits_for(const fzr_udp *udp, const fzr_udp_unsent *unsent)
{
  const unsigned slot = unsent->to.family == FZR_FAMILY_IPV6;
  if (unsent->listens)
    return udp->listen[slot];
  return inherited_at(udp, slot, unsent->port);
}

int fzr_udp_adopt_unsent(fzr_udp *udp, const fzr_udp_unsent *unsent, fzr_time now)
{
  if (!udp || !unsent || (unsent->len && !unsent->data))
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_socket *s = waits_for(udp, unsent);
  const uint64_t before = unsent->count ? (unsent->count - 1u) * (uint64_t)unsent->seg : 0;
  const bool whole =
      unsent->count == 1 || (unsent->count && unsent->len > before && unsent->len <= before + unsent->seg);
  if (!s || !whole || unsent->len > FZR_UDP_PAYLOAD_MAX)
    return FZR_ERR_INVALID_ARGUMENT;
  udp->now = now;
  return fzri_queue_adopt(udp, s, unsent);
}

/* Closes sockets of allocations that are not there: they had ended, or could not be loaded. */
static void close_unclaimed(fzr_udp *udp)
{
  for (unsigned slot = 0; slot < 2; slot++) {
    for (uint32_t port = 0; udp->inherited[slot] && port < PORTS; port++) {
      fzri_socket *s = inherited_at(udp, slot, port);
      if (s && !s->claimed)
        fzri_queue_end_socket(udp, s);
    }
  }
  fzri_adopt_end(udp);
}

/* What the former adapter had turned on may not be what this one wants. */
static void set_options(fzr_udp *udp, fzri_socket *s)
{
  const bool wanted = !udp->config.disable_gso;
  if (!s->as_read || s->gro != wanted)
    s->gro = fzri_socket_set(s->fd, IPPROTO_UDP, UDP_GRO, wanted) && wanted;
  if (s->listens)
    fzri_socket_set_buffers(udp, s);
  else if (!s->as_read || s->hears != udp->errors.wanted)
    fzri_errors_hear_or_not(udp, s);
}

int fzr_udp_resume(fzr_udp *udp, fzr_time now)
{
  if (!udp)
    return FZR_ERR_INVALID_ARGUMENT;
  if (!udp->driver || !udp->halted)
    return FZR_ERR_INVALID_STATE;
  if (udp->adopted)
    close_unclaimed(udp);
  for (uint32_t i = 0; udp->adopted && i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (is_given(udp, s))
      set_options(udp, s);
  }
  udp->halted = udp->adopted = false;
  fzri_lanes_begin(udp, now);
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (s->open && s->blocked)
      fzri_queue_flush(udp, s);
  }
  return 0;
}
