/* SPDX-License-Identifier: Apache-2.0 */
/* Who shares a send buffer with whom. What is sent to a host on a link of this one that answers neither ARP nor neighbour discovery keeps
 * its room in the buffer of the socket that sent it, for up to 3 s; a few such hosts take all of the listen socket's. So when that is full,
 * the kernel is asked which neighbours it waits for: their datagrams leave by a socket of their own from then on, those for strangers by
 * another, and while the listen socket's buffer is held, one with an empty buffer stands in for it. */
#include "udp_internal.h"

/* Between two looks at the neighbours: at least; for each of them; and while there is trouble at most. */
#define LOOK_APART (10 * FZR_MILLISECOND)
#define LOOK_EACH  ((fzr_time)20000)
#define LOOK_AGAIN (100 * FZR_MILLISECOND)
/* With no neighbour waited for until then, the trouble is over. */
#define CALM_AFTER (5 * FZR_SECOND)
/* While all senders are full, and where none can be opened. */
#define TRY_AFTER  FZR_MILLISECOND
#define OPEN_AFTER FZR_SECOND

static void look(fzr_udp *udp)
{
  if (udp->now < udp->look_after)
    return;
  fzri_neighbours_look(&udp->unresolved, &udp->mem);
  udp->looked_at = udp->now;
  udp->look_after = udp->now + LOOK_APART + udp->unresolved.seen * LOOK_EACH;
  if (!udp->unresolved.waiting)
    return;
  udp->troubled = true;
  udp->calm_at = udp->now + CALM_AFTER;
}

/* All is as if there had been no trouble; the sockets stay for the next one. */
static void calm(fzr_udp *udp)
{
  for (unsigned i = 0; i < 2; i++)
    if (udp->lanes[i].sender && udp->lanes[i].sender->blocked)
      return;
  for (unsigned i = 0; i < 2; i++)
    udp->lanes[i].sender = udp->lanes[i].senders[0];
  udp->troubled = false;
  fzri_neighbours_free(&udp->unresolved, &udp->mem);
}

void fzri_lanes_begin(fzr_udp *udp, fzr_time now)
{
  udp->now = now;
  if (!udp->troubled)
    return;
  if (now >= udp->looked_at + LOOK_AGAIN)
    look(udp);
  if (now >= udp->calm_at)
    calm(udp);
}

fzri_socket *fzri_lane_in_trouble(const fzr_udp *udp, const fzr_addr *to, bool to_stranger)
{
  const fzri_lanes *l = &udp->lanes[to->family == FZR_FAMILY_IPV6];
  if (l->unreached && fzri_neighbours_has(&udp->unresolved, to))
    return l->unreached;
  return to_stranger && l->strangers ? l->strangers : l->sender;
}

/* ---- when a sender is stuck ---- */

static bool open_lanes(fzr_udp *udp, fzri_lanes *l)
{
  if (!l->unreached)
    l->unreached = fzri_socket_open_sender(udp, l->senders[0], FZRI_LANE_UNREACHED);
  if (l->unreached && !l->strangers)
    l->strangers = fzri_socket_open_sender(udp, l->senders[0], FZRI_LANE_STRANGERS);
  return l->strangers;
}

/* Sender number |i|; NULL if there can be none. The host has to know it, for it may come to be blocked. */
static fzri_socket *sender_at(fzr_udp *udp, fzri_lanes *l, unsigned i)
{
  if (l->senders[i])
    return l->senders[i];
  fzri_socket *s = fzri_socket_open_sender(udp, l->senders[0], FZRI_LANE_QUEUES);
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
static bool take_turns(fzr_udp *udp, fzri_lanes *l)
{
  for (unsigned turn = 1, at = number_of(l); turn <= FZRI_SENDERS; turn++) {
    fzri_socket *next = sender_at(udp, l, (at + turn) % FZRI_SENDERS);
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
  if (fzri_socket_is_local(udp, l->senders[0]))
    return;
  look(udp);
  if (!udp->troubled || udp->now < l->try_at)
    return;
  if (!open_lanes(udp, l))
    l->try_at = udp->now + OPEN_AFTER;
  else if (!take_turns(udp, l))
    l->try_at = udp->now + TRY_AFTER;
}

void fzri_lanes_unstick(fzr_udp *udp)
{
  for (unsigned i = 0; i < 2; i++)
    if (udp->lanes[i].stuck)
      unstick(udp, &udp->lanes[i]);
}
