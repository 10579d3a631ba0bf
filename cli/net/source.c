/* SPDX-License-Identifier: Apache-2.0 */
#include "net/source.h"

#include "net/sockaddr.h"

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
  struct sockaddr_storage sa;
  const socklen_t len = to_sockaddr(peer, &sa);
  const int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0)
    return false;
  socklen_t got = sizeof sa;
  const bool known =
      !connect(fd, (const struct sockaddr *)&sa, len) && !getsockname(fd, (struct sockaddr *)&sa, &got);
  if (known && mtu)
    read_mtu(fd, sa.ss_family, mtu);
  close(fd);
  if (!known || !from_sockaddr((const struct sockaddr *)&sa, out))
    return false;
  out->port = 0;
  return memcmp(out->ip, zero, sizeof zero) != 0;
}
