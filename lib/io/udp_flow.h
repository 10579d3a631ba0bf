/* SPDX-License-Identifier: Apache-2.0 */
/* Back-pressure: who is not read while the socket that its data leave by is full. Allocations' sockets feed a sender to clients; the listen
 * sockets themselves go on, for they feed many. */
#ifndef FZRI_UDP_FLOW_H
#define FZRI_UDP_FLOW_H

#include "udp_socket.h"

/* What came by |source| left by |sender|. If that is blocked, |source| is not read until it is not. */
void fzri_flow_feeds(fzr_udp *udp, fzri_socket *source, fzri_socket *sender);
/* Stops reading |source|, whose sender is blocked. */
void fzri_flow_pause(fzr_udp *udp, fzri_socket *source);
/* Stops reading |source| if the sender that it feeds is blocked. Returns whether it is. */
static inline bool fzri_flow_blocked(fzr_udp *udp, fzri_socket *source)
{
  if (!source->feed.sender || !source->feed.sender->blocked)
    return false;
  fzri_flow_pause(udp, source);
  return true;
}
/* Reads those again that are paused for |sender|. */
void fzri_flow_resume(fzr_udp *udp, fzri_socket *sender);
/* Those that are paused for |from| feed |to| from now on, and are paused for it. */
void fzri_flow_move(fzri_socket *from, fzri_socket *to);
/* |source| is about to be closed. */
void fzri_flow_leave(const fzri_socket *source);

#endif
