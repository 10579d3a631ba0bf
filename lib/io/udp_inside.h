/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations of one relay that are each other's peers, where the public address is that of a NAT. */
#ifndef FZRI_UDP_INSIDE_H
#define FZRI_UDP_INSIDE_H

#include "firezone_relay/udp.h"

/* Where to send what is for |to|, an own address: to the allocation's socket on this host, in |room|, if |to| is a live one's that the network
 * need not bring back; else |to|. */
const fzr_addr *fzri_inside_to(const fzr_udp *udp, const fzr_addr *to, fzr_addr *room);
/* What came from |from| to an allocation's socket: if that is another one's socket, it came from its relayed address. */
void fzri_inside_from(const fzr_udp *udp, fzr_addr *from);

#endif
