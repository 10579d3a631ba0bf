/* SPDX-License-Identifier: Apache-2.0 */
#include "allocation.h"

#include "channel.h"
#include "extra.h"
#include "journal.h"
#include "log.h"
#include "mobility.h"
#include "name.h"
#include "permission.h"
#include "reservation.h"
#include "room.h"
#include "usage.h"

#include "../base/crypto.h"

fzri_allocation *fzri_allocation_look_up(const fzr_engine *e, const fzr_addr *client, const fzr_addr *server)
{
  const uint32_t hash = fzri_hash_client(e, client);
  uint32_t probe = hash, index;
  while ((index = fzri_map_next(&e->clients, hash, &probe)) != FZRI_MAP_NONE) {
    fzri_allocation *a = fzri_allocation_at(e, index);
    if (fzri_addr_same(&a->client, client) && fzri_addr_same(&a->server, server))
      return a;
  }
  return NULL;
}

static void log_expired(const fzr_engine *e, const fzri_allocation *a)
{
  if (!fzri_log_wants(e, FZR_LOG_INFO))
    return;
  fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_ALLOCATION_EXPIRED);
  record.client = &a->client;
  record.port = a->port;
  e->log(e->log_ctx, &record);
}

fzri_allocation *fzri_allocation_find(fzr_engine *e, const fzr_addr *client, const fzr_addr *server)
{
  fzri_allocation *a = fzri_allocation_look_up(e, client, server);
  if (a && e->now >= a->expires) {
    fzri_allocation_expire(e, a);
    return NULL;
  }
  return a;
}

static int take_port(fzr_engine *e, uint8_t shape, bool again, uint16_t *port)
{
  uint64_t bits;
  if (e->random(e->random_ctx, (uint8_t *)&bits, sizeof bits))
    return FZR_ERR_NO_RANDOM;
  *port = fzri_shared_take_port(e->shared, (enum fzri_port_shape)shape, bits, again, e->now);
  return *port ? 0 : FZR_ERR_NO_PORT;
}

/* Gives back what take_port has taken. */
static void give_ports(fzr_engine *e, uint8_t shape, uint16_t port)
{
  fzri_shared_give_port(e->shared, port, e->now);
  if (shape == FZRI_PORT_PAIR)
    fzri_shared_give_port(e->shared, (uint16_t)(port + 1), e->now);
}

/* The port that was reserved. */
static int claim_port(fzr_engine *e, uint64_t token, uint16_t *port)
{
  *port = fzri_token_port(token);
  return fzri_shared_claim_port(e->shared, *port, token) ? 0 : FZR_ERR_NO_PORT;
}

int fzri_allocation_register(fzr_engine *e, const fzr_addr *client, uint16_t port, fzri_allocation **out)
{
  uint32_t index, origin_index;
  const uint32_t hash = fzri_hash_client(e, client);
  if (fzri_map_reserve(&e->clients, hash))
    return FZR_ERR_NO_MEMORY;
  fzri_allocation *a = fzri_pool_take(&e->allocations, &index);
  fzri_origin *origin = a ? fzri_pool_take(&e->origins, &origin_index) : NULL;
  if (a && !origin)
    fzri_pool_give(&e->allocations, index);
  if (!origin)
    return FZR_ERR_NO_MEMORY;
  FZRI_ASSERT(origin_index == index); /* both are taken and given back together */
  origin->name = FZRI_POOL_NONE;
  a->index = a->node.owner = index;
  a->client = *client;
  a->port = port;
  a->state = FZRI_ALLOCATION_OPENING;
  a->first_channel = a->first_permission = FZRI_POOL_NONE;
  a->pending = a->extra = FZRI_POOL_NONE;
  e->by_port[port - e->lowest_port] = index;
  *out = a;
  return 0;
}

/* The family of an allocation of one. */
static uint8_t one_family(uint8_t families)
{
  return families & FZRI_V6 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
}

/* Makes what |request| wants beside the usual, if it wants any, of an allocation at |port|. */
static int make_extra(fzr_engine *e, const fzri_allocation_request *request, uint16_t port, uint32_t *index)
{
  int error = 0;
  *index = FZRI_POOL_NONE;
  if (!request->mobile && request->shape != FZRI_PORT_PAIR)
    return 0;
  fzri_extra *extra = fzri_pool_take(&e->extras, index);
  if (!extra)
    return FZR_ERR_NO_MEMORY;
  extra->mobile = request->mobile;
  if (extra->mobile && e->random(e->random_ctx, (uint8_t *)&extra->id, sizeof extra->id))
    error = FZR_ERR_NO_RANDOM;
  if (!error && request->shape == FZRI_PORT_PAIR)
    error = fzri_reservation_make(e, extra, (uint16_t)(port + 1), one_family(request->families));
  if (error)
    fzri_pool_give(&e->extras, *index);
  return error;
}

static void drop_extra(fzr_engine *e, uint32_t index)
{
  if (index == FZRI_POOL_NONE)
    return;
  fzri_reservation_end(e, fzri_pool_at(&e->extras, index));
  fzri_pool_give(&e->extras, index);
}

static void enter(fzr_engine *e, fzri_allocation *a, fzr_time expires)
{
  fzri_map_insert(&e->clients, fzri_hash_client(e, &a->client), a->index);
  fzri_allocation_set_expiry(e, a, expires);
  fzri_event_queue_push_last(&e->events, &a->node);
}

/* Makes an allocation at |port|, which was taken, and what goes with it. Returns 0, or the error with nothing left. */
static int make_allocation(fzr_engine *e, const fzri_allocation_request *request, uint16_t port,
                           fzri_allocation **out, fzri_pending **pending)
{
  uint32_t pending_index, extra;
  int error = make_extra(e, request, port, &extra);
  if (error) {
    give_ports(e, request->shape, port);
    return error;
  }
  *pending = fzri_pool_take(&e->pendings, &pending_index);
  error = *pending ? fzri_allocation_register(e, request->client, port, out) : FZR_ERR_NO_MEMORY;
  if (error) {
    if (*pending)
      fzri_pool_give(&e->pendings, pending_index);
    drop_extra(e, extra);
    fzri_shared_give_port(e->shared, port, e->now);
    return error;
  }
  (*out)->extra = extra;
  (*out)->pending = pending_index;
  return 0;
}

int fzri_allocation_begin(fzr_engine *e, const fzri_allocation_request *request, fzri_allocation **out,
                          fzri_pending **pending)
{
  uint16_t port;
  fzri_allocation *a;
  int error =
      request->token ? claim_port(e, request->token, &port) : take_port(e, request->shape, false, &port);
  if (!error)
    error = make_allocation(e, request, port, &a, pending);
  if (error)
    return error;
  (*pending)->shape = request->shape;
  (*pending)->fixed = request->token;
  a->server = *request->server;
  a->families = request->families;
  a->missing = request->missing;
  a->lifetime = (uint16_t)request->lifetime;
  a->shared_user = request->user;
  enter(e, a, e->now + request->lifetime * FZR_SECOND + FZRI_GRACE);
  *out = a;
  return 0;
}

/* Takes a port of the shape that was asked for, and reserves the other one of a pair instead of that of |old|. */
static int take_other_port(fzr_engine *e, fzri_allocation *old, uint8_t shape, uint16_t *port)
{
  int error = take_port(e, shape, true, port);
  if (error || shape != FZRI_PORT_PAIR)
    return error;
  fzri_extra *extra = fzri_extra_of(e, old);
  fzri_reservation_end(e, extra);
  error = fzri_reservation_make(e, extra, (uint16_t)(*port + 1), one_family(old->families));
  if (error)
    give_ports(e, shape, *port);
  return error;
}

int fzri_allocation_retry(fzr_engine *e, fzri_allocation *old, bool known)
{
  fzri_pending *pending = fzri_pool_at(&e->pendings, old->pending);
  uint16_t port;
  fzri_allocation *a;
  pending->tries = (uint8_t)(pending->tries + (known ? FZRI_PORT_TRIES_KNOWN : 1));
  if (pending->tries >= FZRI_PORT_TRIES || pending->fixed)
    return FZR_ERR_INVALID_STATE;
  int error = take_other_port(e, old, pending->shape, &port);
  if (error)
    return error;
  error = fzri_allocation_register(e, &old->client, port, &a);
  if (error) {
    fzri_shared_give_port(e->shared, port, e->now);
    return error;
  }
  a->server = old->server;
  a->families = old->families;
  a->missing = old->missing;
  a->pending = old->pending;
  memcpy(a->key, old->key, sizeof a->key);
  a->lifetime = old->lifetime;
  a->key_algorithm = old->key_algorithm;
  a->key_expires = old->key_expires;
  a->user = old->user;
  a->shared_user = old->shared_user;
  a->uncounted = old->uncounted;
  /* They are the new one's now. */
  fzri_origin *origin = fzri_origin_of(e, old);
  *fzri_origin_of(e, a) = *origin;
  origin->name = FZRI_POOL_NONE;
  old->shared_user = 0;
  old->pending = FZRI_POOL_NONE;
  a->extra = old->extra;
  old->extra = FZRI_POOL_NONE;
  const fzr_time expires = old->expires;
  fzri_allocation_end(e, old, FZR_END_NONE);
  enter(e, a, expires);
  return 0;
}

static void drop_pending(fzr_engine *e, fzri_allocation *a)
{
  if (a->pending == FZRI_POOL_NONE)
    return;
  fzri_pool_give(&e->pendings, a->pending);
  a->pending = FZRI_POOL_NONE;
}

void fzri_allocation_set_live(fzr_engine *e, const fzri_allocation *a, uint8_t families, bool live)
{
  for (unsigned slot = 0; slot < 2; slot++)
    if (families & fzri_family_bit(fzri_family_at(slot)))
      fzri_shared_set_live(e->shared, a->port, fzri_family_at(slot), live);
}

void fzri_allocation_live(fzr_engine *e, fzri_allocation *a)
{
  fzri_allocation_set_live(e, a, a->families, true);
  a->state = FZRI_ALLOCATION_LIVE;
  drop_pending(e, a);
  fzri_allocation_count(e, a, true);
  a->serial = (uint32_t)++e->stats.allocations_created;
  a->began = fzri_usage_tick(e->now);
  fzri_journal_allocation(e, a);
}

void fzri_allocation_leave_user(fzr_engine *e, fzri_allocation *a)
{
  if (a->shared_user && e->replaces)
    fzri_shared_unset_newest(e->shared, a->shared_user, a->port);
  else if (a->shared_user && !a->uncounted)
    fzri_shared_user_leave(e->shared, a->shared_user);
  a->shared_user = 0;
}

/* The client was told that |a| is over by now: another one may take its place among those of its user. */
static void stop_counting(fzr_engine *e, fzri_allocation *a)
{
  if (e->replaces || !a->shared_user || a->uncounted)
    return;
  a->uncounted = true;
  fzri_shared_user_leave(e->shared, a->shared_user);
  fzri_journal_allocation(e, a);
}

/* A late Refresh has saved |a|: it counts, even if there are others since. */
static void count_again(fzr_engine *e, fzri_allocation *a)
{
  if (a->uncounted && a->shared_user && !fzri_shared_user_enter(e->shared, a->shared_user, UINT32_MAX))
    a->shared_user = 0; /* as good as impossible: it does not count */
  a->uncounted = false;
}

void fzri_allocation_end(fzr_engine *e, fzri_allocation *a, enum fzr_end_reason reason)
{
  const bool saved = fzri_is_saved(a);
  if (saved) {
    a->ended = (uint8_t)reason;
    fzri_allocation_set_live(e, a, a->families, false);
    fzri_allocation_count(e, a, false);
    e->stats.allocations_ended++;
    fzri_room_is_freed(e);
  }
  a->state = FZRI_ALLOCATION_CLOSING;
  if (saved)
    fzri_journal_allocation_end(e, a);
  fzri_map_remove(&e->clients, fzri_hash_client(e, &a->client), a->index);
  fzri_timers_cancel(&e->allocation_timers, &a->timer);
  drop_pending(e, a);
  if (fzri_extra_of(e, a))
    fzri_reservation_end(e, fzri_extra_of(e, a));
  fzri_mobility_end(e, a);
  fzri_allocation_leave_user(e, a);
  fzri_permissions_end(e, a, FZRI_V4 | FZRI_V6);
  fzri_wipe(a->key, sizeof a->key);
  fzri_event_queue_push_last(&e->events, &a->node);
}

void fzri_allocation_expire(fzr_engine *e, fzri_allocation *a)
{
  log_expired(e, a);
  fzri_allocation_end(e, a, FZR_END_EXPIRED);
}

void fzri_allocation_drop_family(fzr_engine *e, fzri_allocation *a, uint8_t family)
{
  a->families &= (uint8_t)~fzri_family_bit(family);
  fzri_allocation_set_live(e, a, fzri_family_bit(family), false);
  fzri_journal_allocation(e, a);
  uint32_t index = a->first_channel;
  while (index != FZRI_POOL_NONE) {
    fzri_channel *c = fzri_channel_at(e, index);
    index = c->next;
    if (c->peer.family == family)
      fzri_channel_end(e, c);
  }
  fzri_permissions_end(e, a, fzri_family_bit(family));
  fzri_event_queue_push_last(&e->events, &a->node);
}

void fzri_allocation_set_expiry(fzr_engine *e, fzri_allocation *a, fzr_time expires)
{
  const fzr_time told = expires - FZRI_GRACE;
  a->expires = expires;
  count_again(e, a);
  fzri_journal_allocation(e, a);
  /* A timer that fires too early finds the new time itself; so a refresh rarely touches the wheel. */
  if (!fzri_timer_is_set(&a->timer) || told < a->timer.due)
    fzri_timers_set(&e->allocation_timers, &a->timer, told);
}

size_t fzri_allocations_expire(fzr_engine *e, size_t budget)
{
  const size_t before = budget;
  fzri_timer *timer;
  while ((timer = fzri_timers_pop(&e->allocation_timers, e->now, &budget)) != NULL) {
    fzri_allocation *a = (fzri_allocation *)((char *)timer - offsetof(fzri_allocation, timer));
    if (e->now < a->expires) {
      const bool lapsed = fzri_allocation_lapsed(e, a);
      if (lapsed)
        stop_counting(e, a);
      fzri_timers_set(&e->allocation_timers, &a->timer, lapsed ? a->expires : a->expires - FZRI_GRACE);
      continue;
    }
    /* Its channels are ended when the events are taken: that is work, too. So are its permissions. */
    const size_t work = (size_t)a->channel_count + a->permission_count;
    budget -= work < budget ? work : budget;
    fzri_allocation_expire(e, a);
  }
  return before - budget;
}

void fzri_allocation_give(fzr_engine *e, const fzri_allocation *a)
{
  const uint32_t index = a->index;
  fzri_name_drop(&e->names, fzri_origin_of(e, a)->name);
  fzri_pool_give(&e->origins, index);
  fzri_pool_give(&e->allocations, index);
}

void fzri_allocation_release(fzr_engine *e, fzri_allocation *a)
{
  if (a->ended)
    fzri_usage_tell(e, FZR_USAGE_ENDED, a, NULL);
  e->by_port[a->port - e->lowest_port] = FZRI_POOL_NONE;
  fzri_shared_give_port(e->shared, a->port, e->now);
  drop_extra(e, a->extra);
  fzri_allocation_give(e, a);
}
