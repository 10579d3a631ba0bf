/* SPDX-License-Identifier: Apache-2.0 */
/* Looking ahead over a batch of datagrams: which allocation and channel each is of, by guesses, with their cache misses
 * overlapping. */
#ifndef FZRI_LOOKAHEAD_H
#define FZRI_LOOKAHEAD_H

#include "allocation.h"

/* How many datagrams are looked ahead at, to bring what they need into the cache: their misses overlap. */
#define FZRI_AHEAD 16u

/* What a look ahead found for the datagrams of one source that follow each other: guesses, to be verified. */
typedef struct fzri_guess {
  fzri_allocation *allocation;
  fzri_channel
      *channel; /* of an allocation with several channels: where there is but one, no guess is needed */
  uint32_t hash;
  uint32_t channel_hash; /* 0: not looked for */
  uint32_t first;        /* of those datagrams */
} fzri_guess;

typedef struct fzri_ahead {
  fzri_guess guesses[FZRI_AHEAD];
  uint32_t count;
  uint8_t of[FZRI_AHEAD]; /* which guess is a datagram's */
} fzri_ahead;

/* The guess for one packet alone: there is nothing to overlap with. */
static inline void fzri_guess_client(const fzr_engine *e, const fzr_pkt *pkt, fzri_ahead *l)
{
  const uint32_t hash = fzri_hash_client(e, &pkt->from);
  uint32_t probe = hash;
  const uint32_t index = fzri_map_next(&e->clients, hash, &probe);
  l->guesses[0] =
      (fzri_guess){.hash = hash, .allocation = index == FZRI_MAP_NONE ? NULL : fzri_allocation_at(e, index)};
  l->of[0] = 0;
}

/* The same for a peer's. */
static inline void fzri_guess_peer(const fzr_engine *e, const fzr_pkt *pkt, fzri_ahead *l)
{
  l->guesses[0] = (fzri_guess){.allocation = fzri_allocation_by_port(e, pkt->to.port)};
  l->of[0] = 0;
}

/* Guesses for |n| packets (1 to FZRI_AHEAD) of clients, or of peers. */
void fzri_look_ahead_clients(const fzr_engine *e, const fzr_pkt *in, size_t n, fzri_ahead *l);
void fzri_look_ahead_peers(const fzr_engine *e, const fzr_pkt *in, size_t n, fzri_ahead *l);

#endif
