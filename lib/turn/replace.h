/* SPDX-License-Identifier: Apache-2.0 */
/* A user's newer allocation ends his older one: a client whose NAT has given it another port cannot reach that any more, and must not
 * find it again as it was when it gets the first port back.
 *
 * All shards of a relay see in fzr_shared which port the newest allocation of a user has. An allocation with another port is over as
 * soon as a request on its 5-tuple comes; its shard learns of it within a second anyhow, from a mark at its port. */
#ifndef FZRI_REPLACE_H
#define FZRI_REPLACE_H

#include "allocation.h"

/* How often a shard with allocations looks for what others have replaced, if no request makes it look. */
#define FZRI_LOOK_EVERY FZR_SECOND

/* |a| has begun to live: it is its user's newest one, and the older one ends, here or in another shard. */
void fzri_replace_older(fzr_engine *e, fzri_allocation *a);

/* The allocation of the 5-tuple, as fzri_allocation_find has it; one in whose place a newer one has come is ended, and NULL. */
fzri_allocation *fzri_replace_find(fzr_engine *e, const fzr_addr *client, const fzr_addr *server);

/* |a|, which lives on, is from now on |user|'s, as fzr_shared knows him: his newest one. */
void fzri_replace_user(fzr_engine *e, fzri_allocation *a, uint64_t user);

/* |user| gets no new allocation, because all ports are taken: his older one ends, so that there is one when he asks again. Returns whether
 * a port is about to become free, his or another user's. */
bool fzri_replace_make_room(fzr_engine *e, uint64_t user);

/* Ends those of this shard's allocations that others have replaced since the last call. Costs a look at a counter if there are none. */
void fzri_replace_look(fzr_engine *e);

/* When fzr_engine_on_deadline has to call that, or FZR_TIME_NEVER. */
fzr_time fzri_replace_deadline(const fzr_engine *e);

#endif
