/* SPDX-License-Identifier: Apache-2.0 */
/* Events. The queue holds objects, not events: what there is to tell follows from how what the application was told differs from what
 * is. So what was undone before it was told is never told. */
#include "allocation.h"
#include "channel.h"
#include "extra.h"
#include "mobility.h"

static void event_of_channel(const fzr_engine *e, const fzri_channel *c, enum fzr_event_type type,
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
  event->flags = (uint8_t)((own ? FZR_EVENT_PEER_IS_OWN : 0) | (c->goes_on ? FZR_EVENT_GOES_ON : 0));
  event->flow = c->index * 2;
  event->client = a->client;
  event->local = a->server;
  event->peer = c->peer;
  if (type == FZR_EVENT_CHANNEL_UNBOUND && c->moved) {
    const fzri_extra *extra = fzri_extra_of(e, a);
    event->client = extra->former_client;
    event->local = extra->former_server;
  }
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
  /* It was told as another kind, or at another address: it ends, and begins anew. */
  const bool other = c->exported && (c->exported_own != c->own || c->moved);
  if (relaying == c->exported && !(relaying && other))
    return false;
  const enum fzr_event_type type = relaying && !other ? FZR_EVENT_CHANNEL_BOUND : FZR_EVENT_CHANNEL_UNBOUND;
  const bool goes_on = relaying && other;
  c->goes_on |= goes_on;
  event_of_channel(e, c, type, event);
  c->goes_on = goes_on;
  if (c->moved)
    fzri_mobility_told(e, fzri_allocation_at(e, c->allocation));
  c->moved = false;
  c->exported = type == FZR_EVENT_CHANNEL_BOUND;
  c->exported_own = c->exported && c->own;
  return true;
}

/* The first of the queue is the channel |c|. */
static bool take_channel(fzr_engine *e, fzri_channel *c, fzr_event *event)
{
  fzri_event_queue_pop(&e->events);
  const bool told = channel_event(e, c, event);
  if (c->dead)
    fzri_channel_release(e, c);
  else if (told && relays(e, c) && !c->exported)
    /* As what it is now. Not that of a closing allocation: it would come behind the allocation, which frees it. */
    fzri_channel_tell(e, c);
  return told;
}

/* A closing allocation, which is queued behind all its channels that were, unbinds the rest, then closes its ports; one step a call. False: nothing is left to tell. */
static bool closing_event(fzr_engine *e, fzri_allocation *a, fzr_event *event)
{
  while (a->first_channel != FZRI_POOL_NONE) {
    fzri_channel *c = fzri_channel_at(e, a->first_channel);
    /* From the allocation's list, too: packets may still be looked up between two events. */
    fzri_channel_take_down(e, c);
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

/* The first of the queue is the allocation |a|; it stays there as long as it has something to tell. */
static bool take_allocation(fzr_engine *e, fzri_allocation *a, fzr_event *event)
{
  const bool closing = a->state == FZRI_ALLOCATION_CLOSING;
  if (closing ? closing_event(e, a, event) : living_event(a, event))
    return true;
  fzri_event_queue_pop(&e->events);
  /* A socket that is still being opened keeps the port: nobody else may be given it meanwhile. */
  if (closing && !a->told)
    e->release_allocation = a->index;
  return false;
}

static bool take(fzr_engine *e, const fzri_event_node *node, fzr_event *event)
{
  if (node->kind == FZRI_NODE_CHANNEL)
    return take_channel(e, fzri_channel_at(e, node->owner), event);
  return take_allocation(e, fzri_allocation_at(e, node->owner), event);
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
    const fzri_event_node *first = fzri_event_queue_first(&e->events);
    if (!first)
      return false;
    if (take(e, first, event))
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
    if (!c->number || !c->relaying || c->dead ||
        fzri_allocation_at(e, c->allocation)->state != FZRI_ALLOCATION_LIVE)
      continue;
    event_of_channel(e, c, FZR_EVENT_CHANNEL_BOUND, &out[n]);
    out[n++].flags &= FZR_EVENT_PEER_IS_OWN;
  }
  return n;
}
