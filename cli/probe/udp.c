/* SPDX-License-Identifier: Apache-2.0 */
#include "udp.h"

#include "net/source.h"

#include "firezone_relay/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>
#include <netinet/in.h>

#define MOST_AT_ONCE 64

static int open_bound(const fzr_addr *local)
{
  const int on = 1;
  const bool v6 = local->family == FZR_FAMILY_IPV6;
  fzr_sockaddr sa;
  const socklen_t len = fzr_addr_to_sockaddr(local, &sa);
  const int fd = socket(sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0)
    return -1;
  if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on) ||
      bind(fd, &sa.any, len)) {
    close(fd);
    return -1;
  }
  return fd;
}

int probe_udp_open(const fzr_addr *to, fzr_addr *local, enum probe_failure *why, const char **text)
{
  fzr_sockaddr sa;
  socklen_t len = sizeof sa;
  errno = 0;
  if (!source_towards(to, local, NULL)) {
    *why = PROBE_FAILURE_UNREACHABLE;
    *text = "no route from this host";
    return -1;
  }
  const int fd = open_bound(local);
  if (fd < 0 || getsockname(fd, &sa.any, &len) || fzr_addr_from_sockaddr(&sa.any, len, local)) {
    *why = PROBE_FAILURE_OWN;
    *text = strerror(errno);
    if (fd >= 0)
      close(fd);
    return -1;
  }
  return fd;
}

void probe_udp_send(int fd, const fzr_addr *to, const uint8_t *data, size_t len)
{
  fzr_sockaddr sa;
  const socklen_t sa_len = fzr_addr_to_sockaddr(to, &sa);
  /* An error of an earlier datagram fails the call, once. */
  for (unsigned i = 0; i < 3; i++)
    if (sendto(fd, data, len, MSG_NOSIGNAL, &sa.any, sa_len) >= 0)
      return;
}

/* What an ICMP error means; it is told of if it is one of the way. */
static void take_error(int error, probe_missed *missed, void *ctx)
{
  if (error == ECONNREFUSED)
    missed(ctx, PROBE_FAILURE_REFUSED, strerror(error));
  else if (error == EHOSTUNREACH || error == ENETUNREACH || error == EACCES || error == EHOSTDOWN)
    missed(ctx, PROBE_FAILURE_UNREACHABLE, strerror(error));
}

/* Takes one error out of the queue. Returns whether there was one. */
static bool read_error(int fd, probe_missed *missed, void *ctx)
{
  uint8_t data[64];
  union {
    struct cmsghdr align;
    uint8_t bytes[512];
  } control;
  struct iovec part = {data, sizeof data};
  struct msghdr msg = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
    return false;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
    struct sock_extended_err e;
    const bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                          (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (!is_error || c->cmsg_len < CMSG_LEN(sizeof e))
      continue;
    memcpy(&e, CMSG_DATA(c), sizeof e);
    take_error((int)e.ee_errno, missed, ctx);
  }
  return true;
}

/* Returns whether there was a datagram, or an error in its place. */
static bool read_one(int fd, probe_got *got, void *ctx)
{
  uint8_t data[2048];
  fzr_sockaddr sa;
  fzr_addr from;
  socklen_t len = sizeof sa;
  const ssize_t n = recvfrom(fd, data, sizeof data, MSG_DONTWAIT, &sa.any, &len);
  if (n < 0)
    return errno != EAGAIN && errno != EWOULDBLOCK;
  if (fzr_addr_from_sockaddr(&sa.any, len, &from) == 0)
    got(ctx, &from, data, (size_t)n);
  return true;
}

void probe_udp_read(int fd, probe_got *got, probe_missed *missed, void *ctx)
{
  for (unsigned i = 0; i < MOST_AT_ONCE; i++) {
    const bool erred = read_error(fd, missed, ctx);
    if (!read_one(fd, got, ctx) && !erred)
      return;
  }
}
