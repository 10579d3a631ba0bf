/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for a socket that is full: how much of it, and how long. */
#ifndef FZRI_UDP_QUEUE_H
#define FZRI_UDP_QUEUE_H

#include "udp_socket.h"

/* Datagrams waiting for a socket to become writable: one run, headers in place. */
typedef struct fzri_queued {
  struct fzri_queued *next;
  fzr_addr to;
  fzr_addr from;
  uint32_t bytes;   /* of all segments */
  uint32_t room;    /* bytes taken for `data` */
  uint16_t seg_len; /* of all but the last */
  uint16_t count;
  uint32_t sent; /* segments of a run that went singly and was interrupted */
  bool to_stranger;
  bool dont_fragment;
  fzr_time at; /* when it began to wait */
  uint8_t data[];
} fzri_queued;

typedef struct fzri_queue {
  fzri_queued *head;
  fzri_queued *tail;
  uint32_t bytes;
  uint32_t packets;
  uint32_t runs;
  uint32_t strangers; /* of the bound, what answers to strangers take */
  fzr_time moved;     /* when the socket last took something, or what it had taken was seen to get less */
  int held;           /* bytes that it had taken when that was last looked at */
} fzri_queue;

/* Those for whom something waits. */
typedef struct fzri_waiting {
  fzri_socket *sockets; /* that are blocked, and some that were */
  fzr_time look_at;     /* when to look at them; FZR_TIME_NEVER: there are none */
} fzri_waiting;

/* Appends |run| from its segment |from_segment| on, as far as the bound goes, and sees to it that |s| is watched. What does not fit is
 * counted; so is all of a run that may not wait, or of a socket that does not queue. */
void fzri_queue_append(fzr_udp *udp, fzri_socket *s, const fzri_run *run, uint32_t from_segment);
/* Appends what waited for |s| in another adapter. Returns 0, or FZR_ERR_NO_MEMORY: it does not fit, and is counted as dropped. */
int fzri_queue_adopt(fzr_udp *udp, fzri_socket *s, const fzr_udp_unsent *unsent);
/* Sends what is queued, as far as the socket takes it; when all is gone, those that fed it are read again. */
void fzri_queue_flush(fzr_udp *udp, fzri_socket *s);
/* Appends what waits for |from| to what waits for |to|, with the sources that are paused for it. */
void fzri_queue_move(fzr_udp *udp, fzri_socket *from, fzri_socket *to);
/* Drops, and counts, what has waited too long for sockets that take nothing, if it is time for that (`look_at`). */
void fzri_queues_expire(fzr_udp *udp);
/* Closes |s|, with all that waits for it, which is counted as dropped. */
void fzri_queue_end_socket(fzr_udp *udp, fzri_socket *s);

#endif
