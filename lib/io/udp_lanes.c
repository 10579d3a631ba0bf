/* SPDX-License-Identifier: Apache-2.0 */
/* Who shares a send buffer with whom. What is sent to a host on a link of this one that answers neither ARP nor neighbour discovery keeps
 * its room in the buffer of the socket that sent it, for up to 3 s; a few such hosts take all of the listen socket's. So when that is full,
 * the kernel is asked which neighbours it waits for: their datagrams leave by a socket of their own from then on, those for strangers by
 * another, and while the listen socket's buffer is held, one with an empty buffer stands in for it. */
#include "udp_lanes.h"

#include "udp_internal.h"

/* Between two looks at the neighbours: at least; for each of them; and while there is trouble at most. */
#define LOOK_APART (10 * FZR_MILLISECOND)
#define LOOK_EACH  ((fzr_time)20000)
#define LOOK_AGAIN (100 * FZR_MILLISECOND)
/* With no neighbour waited for until then, the trouble is over. */
#define CALM_AFTER (5 * FZR_SECOND)

void fzri_lanes_look(fzr_udp *udp)
{
  if (udp->now < udp->trouble.look_after)
    return;
  fzri_neighbours_look(&udp->trouble.unresolved, &udp->mem);
  udp->trouble.looked_at = udp->now;
  udp->trouble.look_after = udp->now + LOOK_APART + udp->trouble.unresolved.seen * LOOK_EACH;
  if (!udp->trouble.unresolved.waiting)
    return;
  udp->trouble.on = true;
  udp->trouble.calm_at = udp->now + CALM_AFTER;
}

/* All is as if there had been no trouble; the sockets stay for the next one. */
static void calm(fzr_udp *udp)
{
  for (unsigned i = 0; i < 2; i++)
    if (udp->lanes[i].sender && udp->lanes[i].sender->blocked)
      return;
  for (unsigned i = 0; i < 2; i++)
    udp->lanes[i].sender = udp->lanes[i].senders[0];
  udp->trouble.on = false;
  fzri_neighbours_free(&udp->trouble.unresolved, &udp->mem);
}

void fzri_lanes_begin(fzr_udp *udp, fzr_time now)
{
  udp->now = now;
  if (!udp->trouble.on)
    return;
  if (now >= udp->trouble.looked_at + LOOK_AGAIN)
    fzri_lanes_look(udp);
  if (now >= udp->trouble.calm_at)
    calm(udp);
}

/* A host that the kernel asks for is found within a millisecond, mostly, and is not to miss what comes until the next look is due. */
bool fzri_lanes_found(fzr_udp *udp, const fzr_addr *to)
{
  fzri_lanes_look(udp);
  return !fzri_neighbours_has(&udp->trouble.unresolved, to);
}

fzri_socket *fzri_lane_in_trouble(const fzr_udp *udp, const fzr_addr *to, bool to_stranger)
{
  const fzri_lanes *l = &udp->lanes[to->family == FZR_FAMILY_IPV6];
  if (l->unreached && fzri_neighbours_has(&udp->trouble.unresolved, to))
    return l->unreached;
  return to_stranger && l->strangers ? l->strangers : l->sender;
}
