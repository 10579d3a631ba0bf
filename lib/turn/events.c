/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include "allocation.h"
#include "channel.h"

static uint32_t *next_link(fzr_engine *e, uint32_t handle)
{
  if (handle & FZRI_QUEUED_CHANNEL)
    return &fzri_channel_at(e, handle & ~FZRI_QUEUED_CHANNEL)->next_queued;
  return &fzri_allocation_at(e, handle)->next_queued;
}

static void push(fzr_engine *e, uint32_t handle)
{
  *next_link(e, handle) = FZRI_POOL_NONE;
  if (e->events.tail == FZRI_POOL_NONE)
    e->events.head = handle;
  else
    *next_link(e, e->events.tail) = handle;
  e->events.tail = handle;
}

static void pop(fzr_engine *e)
{
  e->events.head = *next_link(e, e->events.head);
  if (e->events.head == FZRI_POOL_NONE)
    e->events.tail = FZRI_POOL_NONE;
}

void fzri_events_queue_allocation(fzr_engine *e, fzri_allocation *a)
{
  if (a->queued) {
    a->requeue = true;
    return;
  }
  a->queued = true;
  push(e, a->index);
}

void fzri_events_queue_channel(fzr_engine *e, fzri_channel *c)
{
  if (c->queued)
    return;
  c->queued = true;
  push(e, c->index | FZRI_QUEUED_CHANNEL);
}

void fzri_event_of_channel(const fzr_engine *e, const fzri_channel *c, enum fzr_event_type type,
                           fzr_event *event)
{
  const fzri_allocation *a = fzri_allocation_at(e, c->allocation);
  memset(event, 0, sizeof *event);
  event->type = (uint16_t)type;
  event->io = a->io[fzri_family_slot(c->peer.family)];
  event->port = a->port;
  event->channel = c->number;
  event->family = c->peer.family;
  const bool own = type == FZR_EVENT_CHANNEL_UNBOUND ? c->exported_own : c->own;
  event->flags = own ? FZR_EVENT_PEER_IS_OWN : 0;
  event->flow = c->index * 2;
  event->client = a->client;
  event->local = a->server;
  event->peer = c->peer;
}

static void port_event(const fzri_allocation *a, uint8_t family, enum fzr_event_type type, fzr_event *event)
{
  memset(event, 0, sizeof *event);
  event->type = (uint16_t)type;
  event->port = a->port;
  event->family = family;
  if (type == FZR_EVENT_PORT_CLOSE)
    event->io = a->io[fzri_family_slot(family)];
}

/* That of a closing allocation relays no more, though nobody has looked at it yet. */
static bool relays(const fzr_engine *e, const fzri_channel *c)
{
  return c->relaying && fzri_allocation_at(e, c->allocation)->state != FZRI_ALLOCATION_CLOSING;
}

/* What there is to tell of |c|, if anything. */
static bool channel_event(fzr_engine *e, fzri_channel *c, fzr_event *event)
{
  const bool relaying = relays(e, c);
  const bool other =
      c->exported && c->exported_own != c->own; /* it was told as another kind: it ends, and begins anew */
  if (relaying == c->exported && !(relaying && other))
    return false;
  const enum fzr_event_type type = relaying && !other ? FZR_EVENT_CHANNEL_BOUND : FZR_EVENT_CHANNEL_UNBOUND;
  fzri_event_of_channel(e, c, type, event);
  c->exported = type == FZR_EVENT_CHANNEL_BOUND;
  c->exported_own = c->exported && c->own;
  return true;
}

/* The head of the queue is a channel. */
static bool take_channel(fzr_engine *e, fzr_event *event)
{
  fzri_channel *c = fzri_channel_at(e, e->events.head & ~FZRI_QUEUED_CHANNEL);
  pop(e);
  c->queued = false;
  const bool told = channel_event(e, c, event);
  if (c->dead)
    fzri_channel_release(e, c);
  else if (told && relays(e, c) && !c->exported)
    /* As what it is now. Not that of a closing allocation: it would come behind the allocation, which frees it. */
    fzri_events_queue_channel(e, c);
  return told;
}

/* A closing allocation unbinds its channels, then closes its ports; one step a call. False: nothing is left to tell. */
static bool closing_event(fzr_engine *e, fzri_allocation *a, fzr_event *event)
{
  while (a->first_channel != FZRI_POOL_NONE) {
    fzri_channel *c = fzri_channel_at(e, a->first_channel);
    a->first_channel = c->next;
    a->channel_count--; /* packets may still be looked up between two events */
    fzri_map_remove(&e->numbers, c->number_hash, c->index);
    fzri_map_remove(&e->peers, c->peer_hash, c->index);
    fzri_timers_cancel(&e->channel_timers, &c->timer);
    if (c->relaying) {
      c->relaying = false;
      e->stats.channels--;
    }
    const bool told = channel_event(e, c, event);
    fzri_channel_release(e, c);
    if (told)
      return true;
  }
  for (unsigned slot = 0; slot < 2; slot++) {
    const uint8_t family = fzri_family_at(slot);
    const uint8_t bit = fzri_family_bit(family);
    if (a->opened & bit) {
      a->opened &= (uint8_t)~bit;
      a->told &= (uint8_t)~bit;
      port_event(a, family, FZR_EVENT_PORT_CLOSE, event);
      return true;
    }
  }
  return false;
}

/* An allocation that goes on wants ports opened, or the one of a dropped family closed. */
static bool living_event(fzri_allocation *a, fzr_event *event)
{
  for (unsigned slot = 0; slot < 2; slot++) {
    const uint8_t family = fzri_family_at(slot);
    const uint8_t bit = fzri_family_bit(family);
    if (a->families & ~a->told & bit) {
      a->told |= bit;
      port_event(a, family, FZR_EVENT_PORT_OPEN, event);
      return true;
    }
    if (a->opened & ~a->families & bit) {
      a->opened &= (uint8_t)~bit;
      a->told &= (uint8_t)~bit;
      port_event(a, family, FZR_EVENT_PORT_CLOSE, event);
      return true;
    }
  }
  return false;
}

/* The head of the queue is an allocation; it stays there as long as it has something to tell. */
static bool take_allocation(fzr_engine *e, fzr_event *event)
{
  fzri_allocation *a = fzri_allocation_at(e, e->events.head);
  const bool closing = a->state == FZRI_ALLOCATION_CLOSING;
  if (a->requeue) {
    /* It was queued before channels whose UNBOUND has to come first; none may be freed while queued, either. */
    a->requeue = false;
    pop(e);
    push(e, a->index);
    return false;
  }
  if (closing ? closing_event(e, a, event) : living_event(a, event))
    return true;
  pop(e);
  a->queued = false;
  /* A socket that is still being opened keeps the port: nobody else may be given it meanwhile. */
  if (closing && !a->told)
    e->release_allocation = a->index;
  return false;
}

bool fzr_engine_next_event(fzr_engine *e, fzr_event *event)
{
  if (!e || !event)
    return false;
  for (;;) {
    if (e->release_allocation != FZRI_POOL_NONE) {
      fzri_allocation *a = fzri_allocation_at(e, e->release_allocation);
      e->release_allocation = FZRI_POOL_NONE;
      fzri_allocation_release(e, a);
    }
    if (e->events.head == FZRI_POOL_NONE)
      return false;
    const bool told =
        e->events.head & FZRI_QUEUED_CHANNEL ? take_channel(e, event) : take_allocation(e, event);
    if (told)
      return true;
  }
}

size_t fzr_engine_list_channels(const fzr_engine *e, uint32_t *cursor, fzr_event *out, size_t max)
{
  if (!e || !cursor || !out)
    return 0;
  size_t n = 0;
  for (; *cursor < fzri_pool_end(&e->channels) && n < max; (*cursor)++) {
    const fzri_channel *c = fzri_channel_at(e, *cursor);
    if (c->number && c->relaying && !c->dead &&
        fzri_allocation_at(e, c->allocation)->state == FZRI_ALLOCATION_LIVE)
      fzri_event_of_channel(e, c, FZR_EVENT_CHANNEL_BOUND, &out[n++]);
  }
  return n;
}
