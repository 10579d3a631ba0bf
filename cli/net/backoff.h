/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next try: exponential, with jitter, so that relays that lost their portal together do not come
 * back together. */
#ifndef NET_BACKOFF_H
#define NET_BACKOFF_H

#include "firezone_relay/types.h"

#define NET_BACKOFF_FIRST (500 * FZR_MILLISECOND)
#define NET_BACKOFF_MAX   (60 * FZR_SECOND)

typedef struct net_backoff {
  fzr_time first;   /* the mean of the first wait */
  fzr_time max;     /* no wait is longer */
  fzr_time current; /* the mean of the next wait */
} net_backoff;

/* |first| and |max|: 0 means NET_BACKOFF_FIRST and NET_BACKOFF_MAX. */
void net_backoff_init(net_backoff *backoff, fzr_time first, fzr_time max);

/* The next wait, from half of its mean to one and a half of it by |random| (any 32 random bits); the mean then grows by half, up
 * to two thirds of the maximum: the jitter stays whole at the cap. */
fzr_time net_backoff_next(net_backoff *backoff, uint32_t random);

/* Begin anew. */
void net_backoff_reset(net_backoff *backoff);

/* Halves the mean so many times, down to that of the first wait. */
void net_backoff_relax(net_backoff *backoff, uint64_t times);

#endif
