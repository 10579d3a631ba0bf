/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include "journal.h"
#include "log.h"

static void log_expired(const fzr_engine *e, const fzri_channel *c)
{
  if (!fzri_log_wants(e, FZR_LOG_INFO))
    return;
  const fzri_allocation *a = fzri_allocation_at(e, c->allocation);
  fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_CHANNEL_EXPIRED);
  record.client = &a->client;
  record.peer = &c->peer;
  record.port = a->port;
  record.channel = c->number;
  e->log(e->log_ctx, &record);
}

void fzri_channel_stop(fzr_engine *e, fzri_channel *c)
{
  if (!c->relaying)
    return;
  c->relaying = false;
  e->stats.channels--;
  fzri_journal_channel(e, c);
  if (c->exported)
    fzri_channel_tell(e, c);
}

void fzri_channel_set_own(fzr_engine *e, fzri_channel *c, bool own)
{
  if (c->own == own)
    return;
  c->own = own;
  if (c->exported)
    fzri_channel_tell(e, c);
}

void fzri_channel_release(fzr_engine *e, const fzri_channel *c)
{
  const uint32_t index = c->index;
  fzri_pool_give(&e->channel_rests, index);
  fzri_pool_give(&e->channels, index);
  fzri_shared_channels_leave(e->shared, 1);
}

static void leave_allocation(fzr_engine *e, const fzri_channel *c)
{
  fzri_allocation *a = fzri_allocation_at(e, c->allocation);
  if (c->prev == FZRI_POOL_NONE)
    a->first_channel = c->next;
  else
    fzri_channel_at(e, c->prev)->next = c->next;
  if (c->next != FZRI_POOL_NONE)
    fzri_channel_at(e, c->next)->prev = c->prev;
  a->channel_count--;
}

void fzri_channel_take_down(fzr_engine *e, fzri_channel *c)
{
  if (c->relaying) {
    c->relaying = false;
    e->stats.channels--;
  }
  fzri_map_remove(&e->numbers, c->number_hash, c->index);
  fzri_map_remove(&e->peers, c->peer_hash, c->index);
  fzri_timers_cancel(&e->channel_timers, &fzri_channel_rest_of(e, c)->timer);
  leave_allocation(e, c);
  c->dead = true;
  fzri_journal_channel_end(e, c);
}

void fzri_channel_end(fzr_engine *e, fzri_channel *c)
{
  fzri_channel_take_down(e, c);
  if (c->exported)
    fzri_channel_tell(e, c);
  if (!fzri_channel_rest_of(e, c)->node.queued)
    fzri_channel_release(e, c);
}

/* Ends |c| if its number and peer are free again: timers may not have noticed yet. */
static fzri_channel *unless_over(fzr_engine *e, fzri_channel *c)
{
  if (c && e->now >= c->relay_until + FZRI_CHANNEL_RESERVED) {
    fzri_channel_end(e, c);
    return NULL;
  }
  return c;
}

static fzri_channel *find_number(fzr_engine *e, const fzri_allocation *a, uint16_t number)
{
  const uint32_t hash = fzri_hash_number(e, a->index, number);
  return unless_over(e, fzri_channel_by_number(e, a->index, number, hash));
}

static fzri_channel *find_peer(fzr_engine *e, const fzri_allocation *a, const fzr_addr *peer)
{
  const uint32_t hash = fzri_hash_peer(e, a->index, peer);
  return unless_over(e, fzri_channel_by_peer(e, a->index, peer, hash));
}

bool fzri_channel_conflicts(fzr_engine *e, const fzri_allocation *a, uint16_t number, const fzr_addr *peer)
{
  const fzri_channel *by_number = find_number(e, a, number);
  const fzri_channel *by_peer = find_peer(e, a, peer);
  /* The second look-up may have ended what the first one found: only if both are the same, and then it is no conflict. */
  return by_number != by_peer;
}

static void start_relaying(fzr_engine *e, fzri_channel *c)
{
  c->relay_until = e->now + FZRI_CHANNEL_RELAYS;
  const bool relayed = c->relaying;
  c->relaying = true;
  fzri_journal_channel(e, c);
  if (relayed)
    return; /* the timer that is set finds the new time */
  e->stats.channels++;
  e->stats.channels_bound++;
  fzri_timers_set(&e->channel_timers, &fzri_channel_rest_of(e, c)->timer, c->relay_until);
  if (!c->exported)
    fzri_channel_tell(e, c);
}

fzri_channel *fzri_channel_make(fzr_engine *e, fzri_allocation *a, uint16_t number, const fzr_addr *peer)
{
  uint32_t index, rest_index;
  const uint32_t number_hash = fzri_hash_number(e, a->index, number);
  const uint32_t peer_hash = fzri_hash_peer(e, a->index, peer);
  if (fzri_map_reserve(&e->numbers, number_hash) || fzri_map_reserve(&e->peers, peer_hash))
    return NULL;
  fzri_channel *c = fzri_pool_take(&e->channels, &index);
  fzri_channel_rest *rest = c ? fzri_pool_take(&e->channel_rests, &rest_index) : NULL;
  if (c && !rest)
    fzri_pool_give(&e->channels, index);
  if (!rest)
    return NULL;
  FZRI_ASSERT(rest_index == index); /* both are taken and given back together */
  c->index = rest->node.owner = index;
  rest->node.kind = FZRI_NODE_CHANNEL;
  c->allocation = a->index;
  c->peer = *peer;
  c->number = number;
  c->own = fzri_peer_policy_is_own(&e->policy, peer);
  c->number_hash = number_hash;
  c->peer_hash = peer_hash;
  fzri_map_insert(&e->numbers, c->number_hash, index);
  fzri_map_insert(&e->peers, c->peer_hash, index);
  c->prev = FZRI_POOL_NONE;
  c->next = a->first_channel;
  if (c->next != FZRI_POOL_NONE)
    fzri_channel_at(e, c->next)->prev = index;
  a->first_channel = index;
  a->channel_count++;
  return c;
}

enum fzri_bind_result fzri_channel_bind(fzr_engine *e, fzri_allocation *a, uint16_t number,
                                        const fzr_addr *peer)
{
  fzri_channel *c = find_number(e, a, number);
  if (c) {
    if (e->now >= c->relay_until)
      fzri_channel_stop(e, c); /* reserved: it begins anew */
    const bool relayed = c->relaying;
    start_relaying(e, c);
    fzri_channel_set_own(e, c, fzri_peer_policy_is_own(&e->policy, peer));
    return relayed ? FZRI_BIND_REFRESHED : FZRI_BIND_NEW;
  }
  if (a->channel_count >= e->max_channels)
    return FZRI_BIND_LIMIT;
  if (!fzri_shared_channel_enter(e->shared, e->max_all_channels))
    return FZRI_BIND_FULL;
  c = fzri_channel_make(e, a, number, peer);
  if (!c) {
    fzri_shared_channels_leave(e->shared, 1);
    return FZRI_BIND_NO_MEMORY;
  }
  start_relaying(e, c);
  return FZRI_BIND_NEW;
}

/* The timer of |c| fired: it was refreshed meanwhile, or relaying is over, or the reservation is. */
static void on_timer(fzr_engine *e, fzri_channel *c)
{
  const fzr_time free_at = c->relay_until + FZRI_CHANNEL_RESERVED;
  if (e->now < c->relay_until) {
    fzri_timers_set(&e->channel_timers, &fzri_channel_rest_of(e, c)->timer, c->relay_until);
    return;
  }
  if (c->relaying)
    log_expired(e, c);
  if (e->now >= free_at) {
    fzri_channel_end(e, c);
    return;
  }
  fzri_channel_stop(e, c);
  fzri_timers_set(&e->channel_timers, &fzri_channel_rest_of(e, c)->timer, free_at);
}

size_t fzri_channels_expire(fzr_engine *e, size_t budget)
{
  const size_t before = budget;
  fzri_timer *timer;
  while ((timer = fzri_timers_pop(&e->channel_timers, e->now, &budget)) != NULL) {
    const fzri_channel_rest *rest = (fzri_channel_rest *)((char *)timer - offsetof(fzri_channel_rest, timer));
    fzri_channel *c = fzri_channel_at(e, rest->node.owner);
    /* Those of a closing allocation end with its events. */
    if (fzri_allocation_at(e, c->allocation)->state != FZRI_ALLOCATION_CLOSING)
      on_timer(e, c);
  }
  return before - budget;
}
