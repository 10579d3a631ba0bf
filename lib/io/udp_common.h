/* SPDX-License-Identifier: Apache-2.0 */
/* One socket of each family that hears for all allocations, where the host leads packets there (fzr_udp_config.direct). Allocations have
 * sockets only to send by, and only while they do: what is idle takes no memory of the kernel. */
#ifndef FZRI_UDP_COMMON_H
#define FZRI_UDP_COMMON_H

#include "udp_socket.h"

typedef struct fzri_common {
  bool on;                 /* allocations are heard by what follows */
  fzri_socket *sockets[2]; /* by family: 0 IPv4, 1 IPv6 */
  uint32_t at;             /* the next of all sockets to be looked at */
  fzr_time look_at;        /* when; FZR_TIME_NEVER: nothing was opened since the start */
} fzri_common;

/* Opens the sockets, for the families that listen sockets have. Returns 0, or what fzri_socket_open returns. */
int fzri_common_start(fzr_udp *udp);
/* Has the host watch them. Returns what it returned. */
int fzri_common_watch(fzr_udp *udp);
/* |s| is a new allocation's, bound: has what comes for it led to the common socket, and closes its descriptor again, which has shown that the
 * port is free. Returns 0, or what the host returned. */
int fzri_common_lead(fzr_udp *udp, fzri_socket *s);
/* What comes for |s|, which ends, is led nowhere any more. */
void fzri_common_leave(const fzr_udp *udp, const fzri_socket *s);
/* |s| is about to send: opens its descriptor if need be. Returns false, with errno, if that can't be had. */
static inline bool fzri_common_may_send(fzr_udp *udp, fzri_socket *s);
/* Closes, when it is time, the descriptors of those that have not sent for a while. */
void fzri_common_settle(fzr_udp *udp, fzr_time now);
/* The turn has heard |n| packets of many allocations: puts those of each one together, in the order in which they came. */
void fzri_common_regroup(fzr_pkt *pkts, unsigned n);

bool fzri_common_reopen(fzr_udp *udp, fzri_socket *s);
static inline bool fzri_common_may_send(fzr_udp *udp, fzri_socket *s)
{
  s->quiet = false;
  return s->fd >= 0 || fzri_common_reopen(udp, s);
}

#endif
