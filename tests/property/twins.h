/* SPDX-License-Identifier: Apache-2.0 */
/* The two relays of prop_save.c, which get the same input: one that stays, and one that is handed over again and again. Whatever they say
 * is compared. */
#ifndef TWINS_H
#define TWINS_H

#include "relay.h"

#define SHARDS_MAX 3

/* One relay: shards that share their ports. */
typedef struct side {
  fzt_mem mem;
  fzr_shared *shared;
  fzt_relay shards[SHARDS_MAX];
} side;

enum count {
  COUNT_ALLOCATED,
  COUNT_AGAIN,
  COUNT_REFRESHED,
  COUNT_BOUND,
  COUNT_PERMITTED,
  COUNT_MOVED,
  COUNT_TUNNELLED,
  COUNT_RESERVED,
  COUNT_CLAIMED,
  COUNT_QUOTA,
  COUNT_TO_PEER,
  COUNT_TO_CLIENT,
  COUNT_SENT,
  COUNT_DATA,
  COUNT_LOADED,
  COUNT_LOADED_CHANNELS,
  COUNT_LOADED_PERMISSIONS,
  COUNT_EXPIRED,
  COUNTS
};

extern side sides[2]; /* the first one stays, the second one is handed over */
extern fzt_prng prng;
extern unsigned shard_count;
extern fzr_time began, now;
extern const char *const secrets[2];
extern int secret; /* which of them is good */
extern uint64_t counts[COUNTS];

/* Both begin, with |shard_count| shards each, at |now|, which is |began| too. */
void twins_make(const fzr_config *config);
/* Both are over: no memory is left. */
void twins_free(void);
/* The second relay is saved, and another one in its place is loaded with that. */
void twins_hand_over(void);
/* Both get |pkt| in a shard, and say the same. */
void twins_put(unsigned shard, enum fzr_side from, const fzr_pkt *pkt);
/* Through all deadlines of both, at the same moments. */
void twins_pass(fzr_time by);
void twins_change_secret(void);
/* Counters, allocations and ports are the same. */
void twins_compare(void);

#endif
