/* SPDX-License-Identifier: Apache-2.0 */
/* What fzr_shared is made of. ports.c, users.c and told.c each keep their part of it; all of it is lock-free. */
#ifndef FZRI_SHARED_H
#define FZRI_SHARED_H

#include "../base/mem.h"
#include "../base/siphash.h"
#include "firezone_relay/engine.h"
#include "told.h"

#include <stdatomic.h>

struct fzr_shared {
  fzri_mem mem;
  uint16_t lowest, highest;
  uint32_t ports;
  uint32_t words;
  uint32_t user_mask; /* slots - 1 */
  _Atomic uint32_t in_use;
  _Atomic uint64_t *used; /* a bit per port, 1 = taken; bits past the range are 1 */
  _Atomic uint64_t *rest; /* of each port: see ports.c */
  _Atomic uint64_t
      best[3]; /* by enum fzri_port_shape: how good free ports are at most, and until when; see ports.c */
  _Atomic uint64_t *users;
  _Atomic uint64_t user_key[2];   /* of the users' hashes; 0: not set yet */
  _Atomic uint64_t loaded_key[2]; /* the same of the relay that this one goes on from; 0: of none yet */
  _Atomic uint64_t *marked;       /* a bit per port, see users.h */
  _Atomic uint32_t channels;      /* of all shards */
  _Atomic uint32_t moved;         /* clients that another shard hears than their allocation's, see users.h */
  _Atomic uint32_t marks;         /* how many there ever were */
  _Atomic uint64_t
      *live[2]; /* by fzri_family_slot, a bit per port: a live allocation has it, of whichever shard */
  _Atomic fzr_time short_until; /* something did not fit, and until then nothing is expected to: see room.h */
  _Atomic int short_of;         /* for want of what: an enum fzr_error */
  fzri_told told;               /* of what the log was told lately */
  /* As many as |users|, for clients that have moved; NULL: none may. */
  _Atomic uint64_t *_Atomic moved_slots;
};

/* Touches what many users take: see fzr_engine_expect. */
void fzri_shared_expect(fzr_shared *shared, uint32_t users);

/* Whether |shared| was made for exactly this range. */
bool fzri_shared_covers(const fzr_shared *shared, uint16_t lowest, uint16_t highest);

/* Whether a live allocation, of whichever shard, has a relayed address of |family| with |port|. */
static inline bool fzri_shared_is_live(const fzr_shared *s, uint16_t port, uint8_t family)
{
  const uint32_t i = (uint32_t)port - s->lowest; /* ports below the range become large */
  return i < s->ports &&
         atomic_load_explicit(&s->live[family == FZR_FAMILY_IPV6][i / 64], memory_order_relaxed) >> i % 64 &
             1;
}

/* Says so, or no longer. */
void fzri_shared_set_live(fzr_shared *shared, uint16_t port, uint8_t family, bool live);

/* Counts one channel more if there are fewer than |limit|. Returns whether it did. */
bool fzri_shared_channel_enter(fzr_shared *shared, uint32_t limit);
void fzri_shared_channels_leave(fzr_shared *shared, uint32_t count);

/* Bytes taken for |shared|, which is one engine's: so no client is heard by another one. */
uint64_t fzri_shared_memory(const fzr_shared *shared);

#endif
