/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next try: exponential, with jitter, so that relays that lost their portal together do not come
 * back together. */
#ifndef PORTAL_BACKOFF_H
#define PORTAL_BACKOFF_H

#include "firezone_relay/types.h"

#define PORTAL_BACKOFF_FIRST (500 * FZR_MILLISECOND)
#define PORTAL_BACKOFF_MAX   (60 * FZR_SECOND)

typedef struct portal_backoff {
  fzr_time first;   /* the mean of the first wait */
  fzr_time max;     /* no wait is longer */
  fzr_time current; /* the mean of the next wait */
} portal_backoff;

/* |first| and |max|: 0 means PORTAL_BACKOFF_FIRST and PORTAL_BACKOFF_MAX. */
void portal_backoff_init(portal_backoff *backoff, fzr_time first, fzr_time max);

/* The next wait, from half of its mean to one and a half of it by |random| (any 32 random bits); the mean then grows by half, up
 * to two thirds of the maximum: the jitter stays whole at the cap. */
fzr_time portal_backoff_next(portal_backoff *backoff, uint32_t random);

/* Begin anew. */
void portal_backoff_reset(portal_backoff *backoff);

/* Halves the mean so many times, down to that of the first wait. */
void portal_backoff_relax(portal_backoff *backoff, uint64_t times);

#endif
