/* SPDX-License-Identifier: Apache-2.0 */
/* Two clients of this relay may be each other's peers. Behind a NAT their relayed addresses are not the host's, and many a NAT does not turn
 * around what the host sends to its own public address. So it goes from socket to socket within the host, whichever worker has them. The
 * port has to be a live allocation's: other programs' ports on this host are none of the clients' business. */
#include "udp_inside.h"

#include "udp_internal.h"

#include <string.h>

const fzr_addr *fzri_inside_to(const fzr_udp *udp, const fzr_addr *to, fzr_addr *room)
{
  const unsigned slot = to->family == FZR_FAMILY_IPV6;
  const fzri_addrs *a = &udp->addrs;
  if (!a->inside[slot] || memcmp(to->ip, a->public_addr[slot].ip, sizeof to->ip) != 0 ||
      !fzr_engine_port_is_live(udp->engine, to->port, (enum fzr_family)to->family))
    return to;
  *room = a->inner_addr[slot];
  room->port = to->port;
  return room;
}

void fzri_inside_from(const fzr_udp *udp, fzr_addr *from)
{
  const unsigned slot = from->family == FZR_FAMILY_IPV6;
  const fzri_addrs *a = &udp->addrs;
  if (memcmp(from->ip, a->inner_addr[slot].ip, sizeof from->ip) == 0 &&
      fzr_engine_port_is_live(udp->engine, from->port, (enum fzr_family)from->family))
    memcpy(from->ip, a->public_addr[slot].ip, sizeof from->ip);
}
