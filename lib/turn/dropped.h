/* SPDX-License-Identifier: Apache-2.0 */
/* What the log is told of Send indications that are dropped: no client hears of it, and without a word calls end in silence. Not of each
 * one: of an allocation once in ten seconds for each reason. */
#ifndef FZRI_DROPPED_H
#define FZRI_DROPPED_H

#include "state.h"

/* |client| sent one that is dropped for |reason|: for |peer|, if that could be read, else NULL; with the allocation |a|, or NULL. */
void fzri_dropped_send(fzr_engine *e, const fzri_allocation *a, const fzr_addr *client, const fzr_addr *peer,
                       enum fzr_drop_reason reason);

/* |client| sent one to |server|, where nobody takes any: FZR_RELAY_CHANNELS. Whoever has an allocation is a client that this relay can't
 * serve as it is set; that is told once an hour at a level that operators see. */
void fzri_dropped_by_mode(fzr_engine *e, const fzr_addr *client, const fzr_addr *server);

#endif
