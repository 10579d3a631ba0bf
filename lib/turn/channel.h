/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: bindings of a number and a peer within an allocation. RFC 8656 section 12. */
#ifndef FZRI_CHANNEL_H
#define FZRI_CHANNEL_H

#include "state.h"

/* The channel of |number|, or to |peer|, within allocation |allocation|; bound or reserved. NULL if there is none. */
static inline fzri_channel *fzri_channel_by_number(const fzr_engine *e, uint32_t allocation, uint16_t number,
                                                   uint32_t hash)
{
  uint32_t probe = hash, index;
  while ((index = fzri_map_next(&e->numbers, hash, &probe)) != FZRI_MAP_NONE) {
    fzri_channel *c = fzri_channel_at(e, index);
    if (c->allocation == allocation && c->number == number)
      return c;
  }
  return NULL;
}

static inline fzri_channel *fzri_channel_by_peer(const fzr_engine *e, uint32_t allocation,
                                                 const fzr_addr *peer, uint32_t hash)
{
  uint32_t probe = hash, index;
  while ((index = fzri_map_next(&e->peers, hash, &probe)) != FZRI_MAP_NONE) {
    fzri_channel *c = fzri_channel_at(e, index);
    if (c->allocation == allocation && fzri_addr_same(&c->peer, peer))
      return c;
  }
  return NULL;
}

enum fzri_bind_result {
  FZRI_BIND_NEW = 0,
  FZRI_BIND_REFRESHED = 1,
  FZRI_BIND_LIMIT = 2,    /* the allocation has as many as it may: 508 */
  FZRI_BIND_FULL = 3,     /* all shards together have as many as there may be: 508 */
  FZRI_BIND_NO_MEMORY = 4 /* 508 */
};

/* Whether binding |number| to |peer| would conflict with what |a| has: the number is bound to another peer, or the peer to another
 * number. */
bool fzri_channel_conflicts(fzr_engine *e, const fzri_allocation *a, uint16_t number, const fzr_addr *peer);

/* Binds |number| to |peer| within |a|, or refreshes that binding, for FZRI_CHANNEL_RELAYS from now. It must not
 * conflict. */
enum fzri_bind_result fzri_channel_bind(fzr_engine *e, fzri_allocation *a, uint16_t number,
                                        const fzr_addr *peer);

/* Makes a channel of |a|, which conflicts with none of it, and puts it into all look-ups; it relays not yet. Returns NULL without memory. */
fzri_channel *fzri_channel_make(fzr_engine *e, fzri_allocation *a, uint16_t number, const fzr_addr *peer);

/* Takes |c| out of all look-ups and its allocation's list; it relays no more. Its object lives on. */
void fzri_channel_take_down(fzr_engine *e, fzri_channel *c);

/* Takes |c| down; its object lives until its UNBOUND was taken. */
void fzri_channel_end(fzr_engine *e, fzri_channel *c);

/* Expires what is due, up to |budget| items. Returns how many items it handled. */
size_t fzri_channels_expire(fzr_engine *e, size_t budget);

/* Gives the object back. */
void fzri_channel_release(fzr_engine *e, const fzri_channel *c);

/* Queues what there is to tell of |c|. */
static inline void fzri_channel_tell(fzr_engine *e, const fzri_channel *c)
{
  fzri_event_queue_push(&e->events, &fzri_channel_rest_of(e, c)->node);
}

/* Says whether the peer of |c| is the relay itself; queues UNBOUND and BOUND if the application was told otherwise: an offload has to
 * leave it alone from now on, or may have it. */
void fzri_channel_set_own(fzr_engine *e, fzri_channel *c, bool own);

/* Stops relaying; queues UNBOUND if the application knows of the channel. */
void fzri_channel_stop(fzr_engine *e, fzri_channel *c);

#endif
