/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that stand in for a listen socket whose buffer is held. */
#ifndef FZRI_UDP_SENDERS_H
#define FZRI_UDP_SENDERS_H

#include "udp_lanes.h"

/* Deals with senders that are stuck: if neighbours that do not answer hold their room, others take over. */
void fzri_senders_unstick(fzr_udp *udp);

#endif
