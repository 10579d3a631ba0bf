/* SPDX-License-Identifier: Apache-2.0 */
/* Reading from sockets, and relaying what comes. */
#ifndef FZRI_UDP_RECV_H
#define FZRI_UDP_RECV_H

#include "udp_msg.h"
#include "udp_socket.h"

#include "../base/mem.h"

/* Messages of one recvmmsg. More do not pay on loopback; each has a slot of buffer for the largest datagram. */
#define FZRI_RECV_MSGS 32u
/* The same where one socket hears for all: what the kernel sorts into sockets is told apart here, and more of it lies side by side then. */
#define FZRI_COMMON_MSGS 128u
/* Slots are not a power of two apart, so that the first lines of all of them do not fall into the same cache sets. */
#define FZRI_RECV_SLOT (65536u + 192u)

typedef struct fzri_receiving {
  uint8_t *slots;      /* |count| of FZRI_RECV_SLOT */
  unsigned count;      /* FZRI_RECV_MSGS, or as many as the common sockets take */
  unsigned held;       /* of them, whose datagrams wait in runs for the end of the turn */
  bool hold;           /* they may wait: more sockets are to be read in this turn */
  bool resting;        /* some sockets are, until `rest_until` */
  fzr_time rest_until; /* when the last rest ended, or will end */
  fzr_time rest_for;   /* how long that rest is */
  struct mmsghdr msgs[FZRI_COMMON_MSGS];
  struct iovec iovs[FZRI_COMMON_MSGS];
  fzr_sockaddr names[FZRI_COMMON_MSGS];
  fzri_control controls[FZRI_COMMON_MSGS];
  fzr_pkt pkts[FZRI_COMMON_MSGS];
} fzri_receiving;

/* Makes the receive buffers. Returns 0 or FZR_ERR_NO_MEMORY. */
int fzri_recv_init(fzr_udp *udp);
/* Gives the system the memory of the slots, of which none is in use, until they are used again. */
void fzri_recv_drop_pages(fzr_udp *udp);
void fzri_recv_free(fzr_udp *udp);
/* Reads from |s| up to the budget and relays it; with `hold`, what peers sent may wait in runs for fzri_recv_release. */
void fzri_recv(fzr_udp *udp, fzri_socket *s, fzr_time now);
/* Sends what is held: all slots are free again. */
void fzri_recv_release(fzr_udp *udp);
/* Sockets that rest are read again when that is due, at FZR_TIME_NEVER if none does. */
fzr_time fzri_recv_deadline(const fzr_udp *udp);
void fzri_recv_settle(fzr_udp *udp, fzr_time now);

#endif
