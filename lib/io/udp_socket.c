/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_socket.h"

#include "../base/addr.h"
#include "udp_internal.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define LISTEN_RECEIVE_BUFFER (4 << 20)
#define PORT_RECEIVE_BUFFER   (1 << 20)

bool fzri_socket_set(int fd, int level, int name, int value)
{
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static uint32_t get_option(int fd, int name)
{
  int value = 0;
  socklen_t len = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value > 0 ? (uint32_t)value : 0;
}

bool fzri_socket_is_local(const fzr_udp *udp, const fzri_socket *s)
{
  static const uint8_t localhost[16] = {[15] = 1};
  const bool v4 = s->family == FZR_FAMILY_IPV4;
  const fzr_addr *addr = v4 ? &udp->config.bind_ip4 : &udp->config.bind_ip6;
  return v4 ? addr->ip[0] == 127 : memcmp(addr->ip, localhost, sizeof localhost) == 0;
}

void fzri_socket_tell_buffers(fzr_udp *udp, const fzri_socket *s)
{
  udp->stats.receive_buffer = get_option(s->fd, SO_RCVBUF);
  udp->stats.send_buffer = get_option(s->fd, SO_SNDBUF);
}

void fzri_socket_set_buffers(fzr_udp *udp, const fzri_socket *s)
{
  const uint32_t configured = udp->config.receive_buffer;
  const int receive =
      s->listens || s->common ? (configured ? (int)configured : LISTEN_RECEIVE_BUFFER) : PORT_RECEIVE_BUFFER;
  fzri_socket_set(s->fd, SOL_SOCKET, SO_RCVBUF, receive);
  const int send = udp->config.send_buffer ? (int)udp->config.send_buffer
                   : s->listens            ? FZRI_LISTEN_SEND_BUFFER
                                           : 0;
  if (send)
    fzri_socket_set(s->fd, SOL_SOCKET, SO_SNDBUF, send);
  if (s->listens)
    fzri_socket_tell_buffers(udp, s);
}

/* Turns on what the kernel has of GRO, and of telling to which address a datagram came. */
static void set_features(const fzr_udp *udp, fzri_socket *s)
{
  if (udp->common.on && !s->listens)
    return; /* it only sends */
  s->gro = !udp->config.disable_gso && fzri_socket_set(s->fd, IPPROTO_UDP, UDP_GRO, 1);
  if (!s->wildcard || !s->listens)
    return;
  if (s->family == FZR_FAMILY_IPV4)
    fzri_socket_set(s->fd, IPPROTO_IP, IP_PKTINFO, 1);
  else
    fzri_socket_set(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

/* Binds, and tells the port that was taken. The first socket of a group is bound without SO_REUSEPORT, so that the kernel
 * refuses it if anybody has the port, sharing or not; only then the group is opened to its other members. */
static int bind_socket(const fzr_udp *udp, fzri_socket *s, const fzr_addr *to, bool join)
{
  fzr_sockaddr sa;
  fzr_addr addr;
  const socklen_t len = fzr_addr_to_sockaddr(to, &sa);
  if (join && !fzri_socket_set(s->fd, SOL_SOCKET, SO_REUSEPORT, 1))
    return FZR_ERR_IO;
  if (s->family == FZR_FAMILY_IPV6 && !fzri_socket_set(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
    return FZR_ERR_IO;
  if (bind(s->fd, &sa.any, len))
    return errno == EADDRINUSE ? FZR_ERR_IO_IN_USE : FZR_ERR_IO;
  if (s->listens && udp->config.reuse_port && !join && !fzri_socket_set(s->fd, SOL_SOCKET, SO_REUSEPORT, 1))
    return FZR_ERR_IO;
  socklen_t got = sizeof sa;
  if (getsockname(s->fd, &sa.any, &got))
    return FZR_ERR_IO;
  fzr_addr_from_sockaddr(&sa.any, got, &addr);
  s->port = addr.port;
  return 0;
}

static int open_error(void)
{
  return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ? FZR_ERR_IO_NO_SOCKET
                                                                                   : FZR_ERR_IO;
}

fzri_socket *fzri_socket_new(fzr_udp *udp, int fd)
{
  uint32_t index;
  fzri_socket *s = fzri_pool_take(&udp->sockets, &index);
  if (!s)
    return NULL;
  s->index = index;
  s->fd = fd;
  s->open = true;
  s->serial = ++udp->serials;
  s->runs = fzri_run_list_none();
  return s;
}

static int new_descriptor(const fzr_addr *addr)
{
  const int domain = addr->family == FZR_FAMILY_IPV4 ? AF_INET : AF_INET6;
  return socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
}

int fzri_socket_reopen(fzr_udp *udp, fzri_socket *s, const fzr_addr *addr)
{
  const int fd = new_descriptor(addr);
  if (fd < 0)
    return open_error();
  s->fd = fd;
  const int error = bind_socket(udp, s, addr, false);
  if (error) {
    const int keep = errno;
    close(fd);
    s->fd = -1;
    errno = keep;
    return error;
  }
  fzri_socket_set_buffers(udp, s);
  udp->stats.sockets++;
  return 0;
}

int fzri_socket_open(fzr_udp *udp, const fzr_addr *addr, bool listens, bool join, fzri_socket **out)
{
  const int fd = new_descriptor(addr);
  if (fd < 0)
    return open_error();
  fzri_socket *s = fzri_socket_new(udp, fd);
  if (!s) {
    close(fd);
    return FZR_ERR_NO_MEMORY;
  }
  s->listens = listens;
  s->family = addr->family;
  s->wildcard = fzri_is_unspecified(addr);
  const int error = bind_socket(udp, s, addr, join);
  if (error) {
    const int keep = errno;
    close(fd);
    fzri_pool_give(&udp->sockets, s->index);
    errno = keep;
    return error;
  }
  fzri_socket_set_buffers(udp, s);
  set_features(udp, s);
  udp->stats.sockets++;
  *out = s;
  return 0;
}

void fzri_socket_close(fzr_udp *udp, fzri_socket *s)
{
  if (!s->open)
    return;
  if (s->known)
    udp->config.unwatch(udp->config.watch_ctx, s->fd, s->slot);
  if (s->fd >= 0) {
    close(s->fd);
    if (!s->addresses)
      udp->stats.sockets--;
  }
  fzri_pool_give(&udp->sockets, s->index);
}

int fzri_socket_watch(fzr_udp *udp, fzri_socket *s)
{
  const unsigned events = (s->paused || s->resting ? 0 : FZR_WATCH_READ) | (s->blocked ? FZR_WATCH_WRITE : 0);
  if (s->known ? s->watched == events : s->fd < 0 || (udp->common.on && !events))
    return 0;
  const int error = udp->config.watch(udp->config.watch_ctx, s->fd, events, s, &s->slot);
  if (!error) {
    s->known = true;
    s->watched = (uint8_t)events;
  } else if (s->known) {
    udp->rearm.due = true;
  }
  return error;
}

void fzri_sockets_rearm(fzr_udp *udp)
{
  udp->rearm.due = false;
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (s->open && s->known)
      fzri_socket_watch(udp, s);
  }
}
