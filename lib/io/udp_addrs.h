/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of the host. */
#ifndef FZRI_UDP_ADDRS_H
#define FZRI_UDP_ADDRS_H

#include "udp_socket.h"

/* The addresses of the host. Arrays of two are by family: 0 IPv4, 1 IPv6. */
typedef struct fzri_addrs {
  fzri_socket *socket; /* that tells of them; NULL: nobody does */
  uint32_t seq;        /* of the last question for all of them */
  bool asked;          /* and its answer has not ended */
  bool known;          /* the engine was told of one */
  bool stale;          /* it is to be asked, at `ask_at` */
  bool changed;        /* since what follows was judged */
  bool reach[2];       /* there is an address by which others can be reached */
  bool has_public[2];  /* the public address is among them */
  bool own_public[2];  /* the public address is the host's, and allocations' sockets belong to it */
  bool offered[2];     /* relayed addresses can be had */
  bool inside[2];      /* the public address is not the host's: what is sent there might not come back */
  fzr_addr public_addr[2];
  fzr_addr inner_addr
      [2]; /* where allocations' sockets are reached on this host; what they send there comes from it, too */
  fzr_time ask_at;
  fzr_addr *list; /* of the answer so far */
  size_t count, room;
} fzri_addrs;

/* Tells the engine which addresses the host has, and goes on telling; the same for what follows from them. Returns 0, FZR_ERR_NO_MEMORY,
 * FZR_ERR_IO (nobody tells) with errno, or what `watch` returned. */
int fzri_addrs_start(fzr_udp *udp);
void fzri_addrs_stop(fzr_udp *udp);
/* Reads what is there to read of them. */
void fzri_addrs_ready(fzr_udp *udp, fzr_time now);
fzr_time fzri_addrs_deadline(const fzr_udp *udp);
void fzri_addrs_settle(fzr_udp *udp, fzr_time now);
/* The address that an allocation's socket is to be bound to; |room| is for it to be in. */
const fzr_addr *fzri_addrs_for_port(fzr_udp *udp, uint8_t family, fzr_addr *room);
/* The address and port that |s|, an allocation's, is or would be bound to. */
void fzri_addrs_of_port(const fzr_udp *udp, const fzri_socket *s, fzr_addr *out);

#endif
