/* SPDX-License-Identifier: Apache-2.0 */
/* A relay with random clients, of which each step is one call of the engine: for prop_journal.c. The same seed gives the same history. */
#ifndef JOURNAL_WORLD_H
#define JOURNAL_WORLD_H

#include "saved_state.h"

#define WORLD_CLIENTS 7
#define WORLD_OPENS   16

typedef struct world_client {
  fzr_addr addr;
  fzr_addr server;
  char username[32];
  uint8_t key[FZR_STUN_KEY_LEN];
  char nonce[128];
  size_t nonce_len;
  uint8_t ticket[64];
  size_t ticket_len;
  uint8_t token[8];
  bool has_token;
} world_client;

typedef struct world {
  fzt_relay relay;
  fzr_config config;
  fzt_prng prng;
  bool brief; /* no step takes longer than a second */
  world_client clients[WORLD_CLIENTS];
  fzr_event opens[WORLD_OPENS]; /* ports to be opened */
  unsigned open_count;
  fzr_time ended[1 << 16]; /* when the last allocation at this port had its end; 0: never */
} world;

/* What has happened in all worlds. */
enum world_count {
  WORLD_ALLOCATED,
  WORLD_REFRESHED,
  WORLD_BOUND,
  WORLD_PERMITTED,
  WORLD_MOVED,
  WORLD_RESERVED,
  WORLD_CLAIMED,
  WORLD_ENDED,
  WORLD_COUNTS
};
extern uint64_t world_counts[WORLD_COUNTS];
extern const char *const world_count_names[WORLD_COUNTS];

/* Begins one of |seed|. */
void world_init(world *w, uint64_t seed, bool brief);
void world_free(world *w);
/* Gives |w| something to do, which is one call of its engine at |w->relay.now|: world_prepare moves that on, world_step does the rest. */
void world_prepare(world *w);
void world_step(world *w);
/* An engine like that of |w|, with nothing in it, in |out|. */
void world_make_other(const world *w, fzt_relay *out);

/* How many ports rest in |w| since an allocation has ended there; aborts if one of them does not rest so long in |other|. */
unsigned world_check_rest(const world *w, const fzt_relay *other);

/* A number for what |engine| is at |now|, the same for the same state, whenever it is asked for; |full|: with which permissions are over, which
 * depends on when. Ports at rest, reservations and counters are not in it. */
uint64_t world_state(const fzr_engine *engine, fzr_time now, bool full);

#endif
