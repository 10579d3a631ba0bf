/* SPDX-License-Identifier: Apache-2.0 */
/* fzr_shared: the pool of free ports and the number of allocations per user, lock-free, for all shards of a relay. */
#ifndef FZRI_PORTS_H
#define FZRI_PORTS_H

#include "../base/mem.h"
#include "firezone_relay/engine.h"

/* Whether |shared| was made for exactly this range. */
bool fzri_shared_covers(const fzr_shared *shared, uint16_t lowest, uint16_t highest);

/* Bytes taken for |shared|. */
uint64_t fzri_shared_memory(const fzr_shared *shared);

/* Takes a free port, each with the same probability, chosen by the 64 random bits |random|. Returns it, or 0 when all are
 * taken. O(1) in the number of ports in use, a nearly full range included. */
uint16_t fzri_shared_take_port(fzr_shared *shared, uint64_t random);
void fzri_shared_give_port(fzr_shared *shared, uint16_t port);

/* Counts one allocation more for the user with the hash |user| (not 0) if he has fewer than |limit|. Returns whether it did.
 * Shards that race for the same new user may let him overshoot by one each. */
bool fzri_shared_user_enter(fzr_shared *shared, uint64_t user, uint32_t limit);
void fzri_shared_user_leave(fzr_shared *shared, uint64_t user);

#endif
