/* SPDX-License-Identifier: Apache-2.0 */
#include "resume.h"

#include "allocation.h"
#include "channel.h"
#include "extra.h"
#include "log.h"
#include "mobility.h"
#include "permission.h"
#include "ports.h"
#include "reservation.h"

/* All sockets of |a| are there. */
static void resume(fzr_engine *e, fzri_allocation *a)
{
  a->state = FZRI_ALLOCATION_LIVE;
  fzri_allocation_set_live(e, a, a->families, true);
  for (uint32_t i = a->first_channel; i != FZRI_POOL_NONE; i = fzri_channel_at(e, i)->next)
    if (fzri_channel_at(e, i)->relaying)
      fzri_channel_tell(e, fzri_channel_at(e, i));
}

static void log_lost(const fzr_engine *e, const fzri_allocation *a, int error)
{
  if (!fzri_log_wants(e, FZR_LOG_INFO))
    return;
  fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_ALLOCATION_LOST);
  record.client = &a->client;
  record.port = a->port;
  record.adapter_error = error;
  e->log(e->log_ctx, &record);
}

void fzri_resume_port_result(fzr_engine *e, fzri_allocation *a, enum fzr_family family, int error, void *io)
{
  const uint8_t bit = fzri_family_bit((uint8_t)family);
  if (error) {
    a->told &= (uint8_t)~bit;
    log_lost(e, a, error);
    fzri_allocation_end(e, a, FZR_END_LOST);
    return;
  }
  a->opened |= bit;
  a->io[fzri_family_slot((uint8_t)family)] = io;
  if (a->opened == a->families)
    resume(e, a);
}

static void undo(fzr_engine *e, fzri_allocation *a)
{
  while (a->first_channel != FZRI_POOL_NONE) {
    fzri_channel *c = fzri_channel_at(e, a->first_channel);
    fzri_channel_take_down(e, c);
    fzri_channel_release(e, c);
  }
  fzri_permissions_end(e, a, FZRI_V4 | FZRI_V6);
  fzri_allocation_leave_user(e, a);
  fzri_mobility_end(e, a);
  fzri_extra *extra = fzri_extra_of(e, a);
  if (extra && fzri_timer_is_set(&extra->timer)) {
    fzri_timers_cancel(&e->reservation_timers, &extra->timer);
    fzri_shared_untake_port(e->shared, fzri_token_port(extra->token));
  }
  if (extra)
    fzri_pool_give(&e->extras, a->extra);
  fzri_map_remove(&e->clients, fzri_hash_client(e, &a->client), a->index);
  fzri_timers_cancel(&e->allocation_timers, &a->timer);
  e->by_port[a->port - e->lowest_port] = FZRI_POOL_NONE;
  fzri_shared_untake_port(e->shared, a->port);
  fzri_allocation_give(e, a);
}

/* Gives back what |map|, which is empty, has grown to; without memory for a new one it stays. */
static void renew_map(fzr_engine *e, fzri_map *map)
{
  fzri_map fresh;
  if (fzri_map_init(&fresh, &e->mem))
    return;
  fzri_map_free(map);
  *map = fresh;
}

static void renew_pool(fzr_engine *e, fzri_pool *pool)
{
  const uint32_t size = pool->object_size;
  fzri_pool_free(pool);
  fzri_pool_init(pool, &e->mem, size);
}

void fzri_resume_undo(fzr_engine *e)
{
  e->events = (fzri_event_queue){NULL, NULL};
  for (uint32_t i = 0; i < fzri_pool_end(&e->allocations); i++)
    if (fzri_allocation_at(e, i)->state)
      undo(e, fzri_allocation_at(e, i));
  e->stats.allocations = 0;
  memset(e->stats.allocations_by_transport, 0, sizeof e->stats.allocations_by_transport);
  renew_map(e, &e->clients);
  renew_map(e, &e->numbers);
  renew_map(e, &e->peers);
  renew_map(e, &e->permitted);
  renew_pool(e, &e->allocations);
  renew_pool(e, &e->origins);
  renew_pool(e, &e->names);
  renew_pool(e, &e->channels);
  renew_pool(e, &e->channel_rests);
  renew_pool(e, &e->permissions);
  renew_pool(e, &e->extras);
  /* A wheel remembers for a while that there was something in it. */
  fzri_timers_init(&e->allocation_timers, e->now);
  fzri_timers_init(&e->channel_timers, e->now);
  fzri_timers_init(&e->reservation_timers, e->now);
}
