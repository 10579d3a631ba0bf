/* SPDX-License-Identifier: Apache-2.0 */
/* In passes over the batch, so that each finds in the cache what the one before has asked for. */
#include "lookahead.h"

#include "../base/bytes.h"

static bool same_source(const fzr_pkt *a, const fzr_pkt *b)
{
  return fzri_addr_same(&a->from, &b->from) && fzri_addr_same(&a->to, &b->to);
}

static void prefetch_allocation(const fzri_allocation *a)
{
  __builtin_prefetch(a);
  __builtin_prefetch((const uint8_t *)a + FZRI_CACHE_LINE);
}

/* The channels of allocations with several of them: guesses by hash. */
static void look_ahead_channels(const fzr_engine *e, const fzri_map *map, fzri_ahead *l)
{
  for (fzri_guess *g = l->guesses; g < l->guesses + l->count; g++) {
    if (!g->channel_hash)
      continue;
    uint32_t probe = g->channel_hash;
    const uint32_t index = fzri_map_next(map, g->channel_hash, &probe);
    if (index == FZRI_MAP_NONE)
      continue;
    g->channel = fzri_channel_at(e, index);
    __builtin_prefetch(g->channel);
  }
}

void fzri_look_ahead_clients(const fzr_engine *e, const fzr_pkt *in, size_t n, fzri_ahead *l)
{
  FZRI_ASSERT(n >= 1 && n <= FZRI_AHEAD);
  bool several = false;
  uint32_t count = 0;
  for (size_t i = 0; i < n; i++) {
    __builtin_prefetch(in[i].data);
    if (!i || !same_source(&in[i], &in[i - 1])) {
      const uint32_t hash = fzri_hash_client(e, &in[i].from);
      fzri_map_prefetch(&e->clients, hash);
      l->guesses[count++] = (fzri_guess){.first = (uint32_t)i, .hash = hash};
    }
    l->of[i] = (uint8_t)(count - 1);
  }
  l->count = count;
  fzri_guess *const end = l->guesses + count;
  for (fzri_guess *g = l->guesses; g < end; g++) {
    uint32_t probe = g->hash;
    const uint32_t index = fzri_map_next(&e->clients, g->hash, &probe);
    if (index != FZRI_MAP_NONE)
      prefetch_allocation(g->allocation = fzri_allocation_at(e, index));
  }
  if (count == 1)
    return;
  for (fzri_guess *g = l->guesses; g < end; g++) {
    const fzri_allocation *a = g->allocation;
    if (!a)
      continue;
    if (a->channel_count == 1) {
      __builtin_prefetch(fzri_channel_at(e, a->first_channel));
    } else if (a->channel_count && in[g->first].len >= FZR_CHANNEL_HEADER_LEN) {
      several = true;
      g->channel_hash = fzri_hash_number(e, a->index, fzri_get16(in[g->first].data));
      fzri_map_prefetch(&e->numbers, g->channel_hash);
    }
  }
  if (several)
    look_ahead_channels(e, &e->numbers, l);
}

static bool same_peer(const fzr_pkt *a, const fzr_pkt *b)
{
  return a->to.port == b->to.port && a->to.family == b->to.family && fzri_addr_same(&a->from, &b->from);
}

void fzri_look_ahead_peers(const fzr_engine *e, const fzr_pkt *in, size_t n, fzri_ahead *l)
{
  FZRI_ASSERT(n >= 1 && n <= FZRI_AHEAD);
  bool several = false;
  uint32_t count = 0;
  for (size_t i = 0; i < n; i++) {
    if (!i || !same_peer(&in[i], &in[i - 1])) {
      fzri_allocation *a = fzri_allocation_by_port(e, in[i].to.port);
      if (a)
        prefetch_allocation(a);
      l->guesses[count++] = (fzri_guess){.first = (uint32_t)i, .allocation = a};
    }
    l->of[i] = (uint8_t)(count - 1);
  }
  l->count = count;
  const fzri_guess *const end = l->guesses + count;
  if (count == 1)
    return;
  for (fzri_guess *g = l->guesses; g < end; g++) {
    const fzri_allocation *a = g->allocation;
    if (!a)
      continue;
    if (a->channel_count == 1) {
      __builtin_prefetch(fzri_channel_at(e, a->first_channel));
    } else if (a->channel_count) {
      several = true;
      g->channel_hash = fzri_hash_peer(e, a->index, &in[g->first].from);
      fzri_map_prefetch(&e->peers, g->channel_hash);
    }
  }
  if (several)
    look_ahead_channels(e, &e->peers, l);
}
