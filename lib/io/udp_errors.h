/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about what allocations' sockets have sent: read off the kernel's error queue (IP_RECVERR), and told to the engine at the end of
 * the turn. With them the kernel has a socket fail at what it does next, whatever that is: nothing may be lost by it. */
#ifndef FZRI_UDP_ERRORS_H
#define FZRI_UDP_ERRORS_H

#include "udp_socket.h"

/* Errors of a turn that are told; those beyond are not. */
#define FZRI_ERRORS_HELD 64u

typedef struct fzri_errors {
  bool wanted;      /* the engine tells clients of them */
  bool deaf;        /* some sockets are, until |hear_at| */
  uint8_t tries;    /* of one message that may have failed for an error about another */
  uint8_t held;     /* of |found| */
  fzr_time hear_at; /* when those hear again that had too many */
  uint64_t done;    /* datagrams, sent or given up, when |tries| began */
  fzr_peer_error found[FZRI_ERRORS_HELD];
} fzri_errors;

/* Has |s|, an allocation's socket, hear of errors, if they are wanted. */
void fzri_errors_hear(const fzr_udp *udp, fzri_socket *s);
/* The same for one that another adapter had: it may hear of them although they are not wanted. */
void fzri_errors_hear_or_not(const fzr_udp *udp, fzri_socket *s);
/* Reads the errors of |s|, which hears of them. Returns whether there were any: who has failed for one may try again. */
bool fzri_errors_read(fzr_udp *udp, fzri_socket *s);
/* What to do after |s| has failed to send to |to|, as fzri_gso_outcome says it; but the error may be about another datagram. */
enum fzri_send_outcome fzri_errors_outcome(fzr_udp *udp, fzri_socket *s, const fzr_addr *to, int error,
                                           uint16_t seg_len);
/* Tells the engine what was read, and has those hear again whose time has come. */
void fzri_errors_settle(fzr_udp *udp, fzr_time now);
/* Has all hear again, whose time has come or not. */
void fzri_errors_hear_all(fzr_udp *udp);
/* When that is next due; FZR_TIME_NEVER: it is not. */
fzr_time fzri_errors_deadline(const fzr_udp *udp);

#endif
