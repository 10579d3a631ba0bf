/* SPDX-License-Identifier: Apache-2.0 */
#include "mobility.h"

#include "allocation.h"
#include "channel.h"
#include "extra.h"
#include "journal.h"
#include "log.h"
#include "ticket.h"
#include "tunnel.h"
#include "users.h"

/* How much a move may cost, in channels to tell of anew: one that has them all moves about once a second in the long run, and a few times
 * in a row; one with few, as often as it likes. */
#define TOLD_A_SECOND UINT64_C(4096)
#define TOLD_AT_ONCE  (4 * TOLD_A_SECOND)

/* Looks up |ticket|, which is one of ours. */
static void judge(fzr_engine *e, fzri_request *r, const fzri_ticket *ticket)
{
  fzri_allocation *a = fzri_allocation_by_port(e, ticket->port);
  const fzri_extra *extra = a ? fzri_extra_of(e, a) : NULL;
  const bool lives = a && (a->state == FZRI_ALLOCATION_LIVE || a->state == FZRI_ALLOCATION_RESUMING);
  if (!lives || !extra || !extra->mobile || extra->id != ticket->id || e->now >= a->expires ||
      ticket->generation > extra->generation) {
    r->ticket = FZRI_TICKET_OVER;
    return;
  }
  if (r->allocation == a) {
    r->ticket = ticket->generation == extra->generation ? FZRI_TICKET_HERE : FZRI_TICKET_USED;
  } else if (r->allocation) {
    r->ticket = FZRI_TICKET_OVER; /* the 5-tuple has another one */
  } else {
    r->ticket = FZRI_TICKET_MOVES;
    r->allocation = a;
  }
}

void fzri_mobility_look(fzr_engine *e, fzri_request *r)
{
  fzr_stun_attr attr;
  fzri_ticket ticket;
  if (!e->mobility || r->msg.method != FZR_STUN_REFRESH ||
      !fzr_stun_get(&r->msg, FZR_ATTR_MOBILITY_TICKET, &attr))
    return;
  r->ticket = FZRI_TICKET_BAD;
  if (fzri_ticket_read(&e->ticket_key, attr.value, attr.len, &ticket))
    judge(e, r, &ticket);
}

unsigned fzri_mobility_check_allocate(const fzr_engine *e, fzri_request *r, bool *wanted)
{
  fzr_stun_attr attr;
  *wanted = fzr_stun_get(&r->msg, FZR_ATTR_MOBILITY_TICKET, &attr);
  if (!*wanted)
    return 0;
  if (!e->mobility)
    return 405;
  return attr.len ? fzri_refuse_attribute(r, FZR_ATTR_MOBILITY_TICKET) : 0;
}

unsigned fzri_mobility_check_refresh(const fzr_engine *e, fzri_request *r)
{
  if (!fzr_stun_has(&r->msg, FZR_ATTR_MOBILITY_TICKET))
    return 0;
  if (!e->mobility)
    return 405;
  switch (r->ticket) {
  case FZRI_TICKET_OVER:
    return 437;
  case FZRI_TICKET_USED:
    return 0;
  case FZRI_TICKET_MOVES:
    return r->allocation->user == r->user ? 0 : 441;
  default:
    /* None of ours; or one that is not needed here (RFC 8016 section 3.2.2). */
    return fzri_refuse_attribute(r, FZR_ATTR_MOBILITY_TICKET);
  }
}

static void log_moved(const fzr_engine *e, const fzri_request *r, const fzri_allocation *a,
                      const fzr_addr *former)
{
  if (!fzri_log_wants(e, FZR_LOG_INFO))
    return;
  fzr_log_record record = fzri_log_request(e, FZR_LOG_INFO, FZR_LOG_ALLOCATION_MOVED, r);
  record.port = a->port;
  record.former_client = former;
  e->log(e->log_ctx, &record);
}

/* Has the application told that the channels of |a| are at another address of the client's by now. */
static void tell_again(fzr_engine *e, fzri_allocation *a, fzri_extra *extra)
{
  for (uint32_t i = a->first_channel; i != FZRI_POOL_NONE;) {
    fzri_channel *c = fzri_channel_at(e, i);
    i = c->next;
    if (!c->exported)
      continue;
    c->moved = true;
    extra->untold++;
    fzri_channel_tell(e, c);
  }
}

/* Has the shard that hears the 5-tuple of |r|, which is another one, send to |a| what comes from there. Returns whether there was room to say
 * so. */
static bool enter_tunnel(fzr_engine *e, const fzri_request *r, const fzri_allocation *a, fzri_extra *extra)
{
  const uint64_t hash = e->tunnelled ? fzri_tunnel_hash(&e->tunnel_key, r->from, r->to) : 0;
  if (hash && !fzri_shared_set_moved(e->shared, hash, a->port))
    return false;
  fzri_mobility_end(e, a);
  extra->tunnel = hash;
  return true;
}

void fzri_mobility_end(fzr_engine *e, const fzri_allocation *a)
{
  fzri_extra *extra = fzri_extra_of(e, a);
  if (!extra || !extra->tunnel)
    return;
  fzri_shared_unset_moved(e->shared, extra->tunnel, a->port);
  extra->tunnel = 0;
}

/* Whether |a| may move now, which it pays for. */
static bool may_move(const fzr_engine *e, const fzri_allocation *a, fzri_extra *extra)
{
  const uint64_t cost = 1 + (uint64_t)a->channel_count;
  return fzri_bucket_take(&extra->moves, TOLD_A_SECOND, TOLD_AT_ONCE,
                          cost < TOLD_AT_ONCE ? cost : TOLD_AT_ONCE, e->now);
}

unsigned fzri_mobility_move(fzr_engine *e, fzri_request *r, fzri_allocation *a)
{
  fzri_extra *extra = fzri_extra_of(e, a);
  const uint32_t hash = fzri_hash_client(e, r->from);
  /* It has moved within this batch, and nobody was told of that yet; or too often. The client will ask again. */
  if (extra->untold || !may_move(e, a, extra))
    return FZRI_MOVE_LATER;
  if (fzri_map_reserve(&e->clients, hash) || !enter_tunnel(e, r, a, extra))
    return fzri_refuse_for_lack(r, FZR_ERR_NO_MEMORY);
  fzri_map_remove(&e->clients, fzri_hash_client(e, &a->client), a->index);
  extra->former_client = a->client;
  extra->former_server = a->server;
  extra->generation++;
  fzri_allocation_count(e, a, false);
  a->client = *r->from;
  fzri_allocation_count(e, a, true);
  a->server = *r->to;
  fzri_map_insert(&e->clients, hash, a->index);
  tell_again(e, a, extra);
  e->stats.allocations_moved++;
  fzri_journal_allocation(e, a);
  log_moved(e, r, a, &extra->former_client);
  return 0;
}

void fzri_mobility_add_ticket(const fzr_engine *e, fzr_stun_builder *b, const fzri_allocation *a)
{
  uint8_t bytes[FZRI_TICKET_LEN];
  const fzri_extra *extra = fzri_extra_of(e, a);
  if (!extra || !extra->mobile)
    return;
  const fzri_ticket ticket = {.id = extra->id, .generation = extra->generation, .port = a->port};
  fzri_ticket_write(&e->ticket_key, &ticket, bytes);
  fzr_stun_add(b, FZR_ATTR_MOBILITY_TICKET, bytes, sizeof bytes);
}

void fzri_mobility_told(const fzr_engine *e, const fzri_allocation *a)
{
  fzri_extra *extra = fzri_extra_of(e, a);
  FZRI_ASSERT(extra && extra->untold);
  extra->untold--;
}
