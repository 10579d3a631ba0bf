/* SPDX-License-Identifier: Apache-2.0 */
/* A hierarchical timer wheel: setting, cancelling and the next deadline are O(1) whatever the number of timers. */
#ifndef FZRI_TIMERS_H
#define FZRI_TIMERS_H

#include "firezone_relay/types.h"

/* Length of a tick: 2^27 ns, about 134 ms. A timer never fires early and at most one tick late. */
#define FZRI_TICK_SHIFT   27
#define FZRI_WHEEL_LEVELS 4
#define FZRI_WHEEL_SLOTS  64

/* Embedded in what it times out. Zeroed memory is an idle timer. One that is set is not moved, copied or freed. */
typedef struct fzri_timer {
  struct fzri_timer *next;
  struct fzri_timer **pprev; /* NULL: idle */
  fzr_time due;
} fzri_timer;

typedef struct fzri_timers {
  uint64_t tick;                        /* the next tick to be handled */
  uint64_t occupied[FZRI_WHEEL_LEVELS]; /* a bit per slot that may hold timers */
  fzri_timer *slots[FZRI_WHEEL_LEVELS][FZRI_WHEEL_SLOTS];
  fzri_timer *due; /* taken from the wheel, not yet popped */
} fzri_timers;

void fzri_timers_init(fzri_timers *timers, fzr_time now);

/* Sets |timer| to |due| (also in the past: it is due at once); one that is set already is moved. FZR_TIME_NEVER cancels. */
void fzri_timers_set(fzri_timers *timers, fzri_timer *timer, fzr_time due);
void fzri_timers_cancel(fzri_timers *timers, fzri_timer *timer);
static inline bool fzri_timer_is_set(const fzri_timer *timer)
{
  return timer->pprev != NULL;
}

/* When fzri_timers_pop wants to be called next: never later than a tick after the earliest timer's due, perhaps earlier
 * than it (to move timers between levels). FZR_TIME_NEVER when no timer is set. O(1). */
fzr_time fzri_timers_deadline(const fzri_timers *timers);

/* Takes the next timer that is due at |now| off the wheel and returns it (idle then), or NULL. Each timer moved or popped
 * takes one from *|budget|; when it reaches 0 the result is NULL and fzri_timers_deadline stays in the past while
 * anything is due. */
fzri_timer *fzri_timers_pop(fzri_timers *timers, fzr_time now, size_t *budget);

#endif
