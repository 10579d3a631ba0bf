/* SPDX-License-Identifier: Apache-2.0 */
/* The number of allocations per user in fzr_shared. */
#ifndef FZRI_USERS_H
#define FZRI_USERS_H

#include "shared.h"

/* How many slots users need where there are |ports| ports; a power of two. */
uint32_t fzri_shared_user_slots(uint32_t ports);

/* Counts one allocation more for the user with the hash |user| (not 0) if he has fewer than |limit|. Returns whether it did.
 * Shards that race for the same new user may let him overshoot by one each. */
bool fzri_shared_user_enter(fzr_shared *shared, uint64_t user, uint32_t limit);
void fzri_shared_user_leave(fzr_shared *shared, uint64_t user);

#endif
