/* SPDX-License-Identifier: Apache-2.0 */
/* To whom datagrams may go in runs (UDP_SEGMENT), as far as the kernel's refusals have shown. No socket is needed for it. */
#ifndef FZRI_UDP_GSO_H
#define FZRI_UDP_GSO_H

#include "firezone_relay/types.h"

/* What one GSO send may carry: UDP_MAX_SEGMENTS of all kernels that have it. */
#define FZRI_GSO_SEGMENTS 64u

#define FZRI_REFUSALS 64u

/* A destination to which runs were refused: its path takes no segments of |limit| bytes or more, or its device no runs at all. */
typedef struct fzri_refusal {
  fzr_addr to;
  uint16_t limit;
  uint16_t left; /* datagrams until it is tried again: paths change; 0: not in use */
} fzri_refusal;

/* All zero but for `on`: nothing has been refused. */
typedef struct fzri_gso {
  bool on;                              /* the kernel has it, and not all devices refuse it */
  uint32_t count;                       /* entries in use */
  uint32_t in_a_row;                    /* refused by devices, with no run taken since */
  uint64_t refused;                     /* runs, since the start */
  fzri_refusal refusals[FZRI_REFUSALS]; /* by hash of the address: a collision forgets the older one */
} fzri_gso;

/* The limit for |to|, while some have one. */
uint16_t fzri_gso_limit_of(const fzri_gso *gso, const fzr_addr *to);
/* Segments to |to| may go in runs if they are shorter than what this returns: 0 if never. */
static inline uint16_t fzri_gso_limit(const fzri_gso *gso, const fzr_addr *to)
{
  if (!gso->on)
    return 0;
  return gso->count ? fzri_gso_limit_of(gso, to) : UINT16_MAX;
}
/* |count| datagrams to |to|, which would have been a run, go singly. */
void fzri_gso_single(fzri_gso *gso, const fzr_addr *to, uint16_t count);
/* A run was taken. */
static inline void fzri_gso_taken(fzri_gso *gso)
{
  gso->in_a_row = 0;
}

/* What to do after sending to |to| failed with |error|; |seg_len| is the segments' size of a run in one message, else 0. A run that was
 * refused for being one is remembered. */
enum fzri_send_outcome { FZRI_SEND_BLOCKED, FZRI_SEND_AGAIN, FZRI_SEND_SINGLY, FZRI_SEND_LOST };
enum fzri_send_outcome fzri_gso_outcome(fzri_gso *gso, const fzr_addr *to, int error, uint16_t seg_len);

#endif
