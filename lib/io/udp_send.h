/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting what is to be sent, and sending it. */
#ifndef FZRI_UDP_SEND_H
#define FZRI_UDP_SEND_H

#include "udp_msg.h"
#include "udp_socket.h"

/* Messages and iovecs of one sendmmsg. A message has up to FZRI_SEGMENT_IOVS for each of its segments, most have two or less: there is
 * room for 8 of those that are as long as can be, and the last one may still turn out to have the most. */
#define FZRI_SEND_MSGS 32u
#define FZRI_SEND_IOVS ((size_t)(FZRI_SEND_MSGS / 4 * 2 + FZRI_SEGMENT_IOVS - 2) * FZRI_GSO_SEGMENTS)

typedef struct fzri_sending {
  fzri_runs runs;
  /* What is collected may wait: this adapter has read it. Else the bytes are another one's. */
  bool may_wait;
  /* Sockets with runs, in order of their first one. */
  fzri_socket *pending;
  fzri_socket *last_pending;
  /* The one by which the last of what peers sent left; NULL: none did since that was cleared. */
  fzri_socket *to_clients;
  struct mmsghdr msgs[FZRI_SEND_MSGS];
  struct iovec iovs[FZRI_SEND_IOVS];
  fzr_sockaddr names[FZRI_SEND_MSGS];
  fzri_control controls[FZRI_SEND_MSGS];
} fzri_sending;

/* The functions of fzr_io_ops that send; |io| is the adapter. Runs are held until fzri_send_flush. */
void fzri_send_verdicts(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now);
void fzri_send_answers(void *io, const fzr_transmit *answers, size_t n, fzr_time now);
void fzri_send_flush(fzr_udp *udp);

#endif
