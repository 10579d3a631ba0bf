/* SPDX-License-Identifier: Apache-2.0 */
/* What fzr_shared knows of users: how many allocations each has, or, where a newer one replaces the older, which is the newest. */
#ifndef FZRI_USERS_H
#define FZRI_USERS_H

#include "shared.h"

/* How many slots users need where there are |ports| ports; a power of two. */
uint32_t fzri_shared_user_slots(uint32_t ports);

/* The key that users are hashed with, so that nobody can tell which names share slots. The first engine of |shared| sets it, of bits
 * from |random|; all of them get the same. Returns 0 or FZR_ERR_NO_RANDOM. */
int fzri_shared_user_key(fzr_shared *shared, fzr_random_fn random, void *random_ctx, fzri_siphash_key *key);

/* Puts |key|, whose words are not 0, in its place: that of the relay that all engines of |shared| go on from. Returns whether it is the one that
 * others of them came with, if any did. */
bool fzri_shared_set_user_key(fzr_shared *shared, const fzri_siphash_key *key);

/* The hash of a user for fzr_shared, of that of his name, where he may have one allocation for each |transport|; the same again undoes it. */
static inline uint64_t fzri_user_by_transport(uint64_t user, uint8_t transport)
{
  return user ^ transport * UINT64_C(0x9e3779b97f4a7c15);
}

/* Counts one allocation more for the user with the hash |user| (not 0) if he has fewer than |limit|. Returns whether it did.
 * Shards that race for the same new user may let him overshoot by one each. */
bool fzri_shared_user_enter(fzr_shared *shared, uint64_t user, uint32_t limit);
void fzri_shared_user_leave(fzr_shared *shared, uint64_t user);

/* Makes the allocation at |port| the newest one of |user|, and *|older| the port of the one before, or 0. Returns whether there was
 * room for him. Shards that race for the same new user end up with one newest allocation all the same. */
bool fzri_shared_set_newest(fzr_shared *shared, uint64_t user, uint16_t port, uint16_t *older);
/* The port of |user|'s newest allocation, or 0. */
uint16_t fzri_shared_newest(fzr_shared *shared, uint64_t user);
/* |user|'s allocation at |port| is over: forgets it, if it is the newest. */
void fzri_shared_unset_newest(fzr_shared *shared, uint64_t user, uint16_t port);

/* Makes room for as many clients that have moved as there may be allocations: the first engine of |shared| whose allocations may move to
 * where another one hears them. Returns 0 or FZR_ERR_NO_MEMORY. */
int fzri_shared_make_moved(fzr_shared *shared);
/* The allocation at |port| has a client whose 5-tuple, with the hash |client|, another shard hears. Returns whether there was room to say
 * so. */
bool fzri_shared_set_moved(fzr_shared *shared, uint64_t client, uint16_t port);
/* The same for one of a state, in which another allocation must not have that client. Returns |port|, 0 without room, or the port of the other one,
 * which keeps it. */
uint16_t fzri_shared_claim_moved(fzr_shared *shared, uint64_t client, uint16_t port);
/* The port of that allocation, or 0. */
uint16_t fzri_shared_moved(fzr_shared *shared, uint64_t client);
/* Forgets that. */
void fzri_shared_unset_moved(fzr_shared *shared, uint64_t client, uint16_t port);
/* How many such clients there are. */
static inline uint32_t fzri_shared_moved_count(const fzr_shared *shared)
{
  return atomic_load_explicit(&shared->moved, memory_order_relaxed);
}

/* Marks |port|: whoever has the allocation there should look whether it is still the newest of its user. */
void fzri_shared_mark(fzr_shared *shared, uint16_t port);
void fzri_shared_unmark(fzr_shared *shared, uint16_t port);
/* Changes with each mark. */
uint32_t fzri_shared_marks(const fzr_shared *shared);
/* The first marked port after |after|, or 0. */
uint16_t fzri_shared_next_mark(const fzr_shared *shared, uint16_t after);

#endif
