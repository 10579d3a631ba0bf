/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of events. It holds objects, not events: what there is to tell follows from how what the application was told
 * differs from what is. So nothing can be lost for want of memory, and what was undone before it was told is never told. */
#ifndef FZRI_EVENTS_H
#define FZRI_EVENTS_H

#include "state.h"

/* Puts the object at the end of the queue. An allocation that is in it already moves behind all that is there now; a channel
 * stays where it is. */
void fzri_events_queue_allocation(fzr_engine *e, fzri_allocation *a);
void fzri_events_queue_channel(fzr_engine *e, fzri_channel *c);

/* Describes |c| as an event of |type|. */
void fzri_event_of_channel(const fzr_engine *e, const fzri_channel *c, enum fzr_event_type type,
                           fzr_event *event);

#endif
