/* SPDX-License-Identifier: Apache-2.0 */
/* Who shares a send buffer with whom. */
#ifndef FZRI_UDP_LANES_H
#define FZRI_UDP_LANES_H

#include "neighbours.h"
#include "udp_socket.h"

/* The listen socket, and those that may stand in for it. */
#define FZRI_SENDERS 4u

/* The sockets by which datagrams leave from one family's listen port. All but the listen socket only send, and are opened when they are
 * first wanted, which in most relays is never. */
typedef struct fzri_lanes {
  fzri_socket *sender;                /* the one of |senders| that is in use; NULL: the family is not */
  fzri_socket *senders[FZRI_SENDERS]; /* first the listen socket */
  fzri_socket *strangers;
  fzri_socket *unreached;
  fzr_time try_at; /* not before this is another sender looked for */
  bool stuck;      /* the sender refused something that has not been dealt with */
} fzri_lanes;

/* Neighbours that do not answer. */
typedef struct fzri_trouble {
  fzri_neighbours unresolved; /* as they were when they were last looked at */
  bool on;                    /* they hold room in a socket, or did some seconds ago */
  fzr_time looked_at;
  fzr_time look_after; /* not before this again */
  fzr_time calm_at;    /* then the trouble is over, if no neighbour is waited for until then */
} fzri_trouble;

/* At the beginning of a turn at |now|. */
void fzri_lanes_begin(fzr_udp *udp, fzr_time now);
/* Looks at the neighbours, if that is not too soon. */
void fzri_lanes_look(fzr_udp *udp);
/* Whether |to|, which was not reached when that was last looked at, is now: looked at again, if that is not too soon. For before something
 * is dropped because of it. */
bool fzri_lanes_found(fzr_udp *udp, const fzr_addr *to);
/* By which socket a datagram leaves for |to| in times of trouble. */
fzri_socket *fzri_lane_in_trouble(const fzr_udp *udp, const fzr_addr *to, bool to_stranger);

#endif
