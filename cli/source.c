/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "sockaddr.h"

#include <unistd.h>

bool source_towards(const fzr_addr *peer, fzr_addr *out)
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
  (void)close(fd);
  if (!known || !from_sockaddr((const struct sockaddr *)&sa, out))
    return false;
  out->port = 0;
  return memcmp(out->ip, zero, sizeof zero) != 0;
}
