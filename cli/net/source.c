/* SPDX-License-Identifier: Apache-2.0 */
#include "net/source.h"

#include "firezone_relay/socket.h"

#include <unistd.h>

static void read_mtu(int fd, int family, unsigned *mtu)
{
  int value = 0;
  socklen_t len = sizeof value;
  const bool v4 = family == AF_INET;
  if (!getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &value, &len) && value > 0)
    *mtu = (unsigned)value;
}

bool source_towards(const fzr_addr *peer, fzr_addr *out, unsigned *mtu)
{
  static const uint8_t zero[16];
  fzr_sockaddr sa;
  const socklen_t len = fzr_addr_to_sockaddr(peer, &sa);
  const int fd = socket(sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0)
    return false;
  socklen_t got = sizeof sa;
  const bool known = !connect(fd, &sa.any, len) && !getsockname(fd, &sa.any, &got);
  if (known && mtu)
    read_mtu(fd, sa.any.sa_family, mtu);
  close(fd);
  if (!known || fzr_addr_from_sockaddr(&sa.any, got, out))
    return false;
  out->port = 0;
  return memcmp(out->ip, zero, sizeof zero) != 0;
}
