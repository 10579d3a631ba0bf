/* SPDX-License-Identifier: Apache-2.0 */
#include "allocation.h"
#include "channel.h"
#include "extra.h"
#include "load.h"
#include "name.h"
#include "peer_scope.h"
#include "permission.h"
#include "reservation.h"
#include "saved.h"
#include "tunnel.h"
#include "usage.h"
#include "users.h"

#include "../auth/key.h"
#include "../base/addr.h"

/* The longest that anything lasts from when it was made or refreshed, which was not after the state was saved. */
#define ALLOCATION_LASTS (FZRI_LIFETIME_MAX * FZR_SECOND + FZRI_GRACE)
/* Permissions lapse at a tick, to the next of which those of another clock are rounded. */
#define PERMISSION_LASTS (FZRI_PERMISSION_LASTS + FZRI_PERMISSION_TICK)

/* ---- allocations ---- */

/* What their record says. */
typedef struct saved {
  fzr_addr client;
  fzr_addr server;
  uint64_t user; /* whom fzr_shared knows it by, of whatever transport */
  fzr_time expires;
  uint16_t port;
  uint8_t families;
  uint8_t flags;
  uint32_t lifetime;
  fzri_origin origin;
  uint8_t name[FZR_USER_NAME_MAX];
  uint8_t name_len;
} saved;

/* What a state of minor version 1 has more. By others it begins now, nothing was relayed for it yet, and its number is one that others will hardly
 * come to. */
static void read_usage(const fzri_loading *l, fzri_record *record, saved *s, fzri_allocation *a)
{
  a->began = fzri_usage_tick(l->reader.base);
  a->serial = UINT32_MAX - s->port;
  if (!record->left)
    return;
  a->serial = fzri_take_u32(record);
  a->began = fzri_usage_tick(fzri_take_time(record, &l->reader, 0));
  for (unsigned i = 0; i < 2; i++) {
    a->packets[i] = fzri_take_u64(record);
    a->bytes[i] = fzri_take_u64(record);
  }
  s->name_len = fzri_take_u8(record);
  if (s->name_len > sizeof s->name)
    record->bad = true;
  else
    fzri_take_bytes(record, s->name, s->name_len);
}

/* Reads the rest into |a|, of which no look-up is known yet. */
static void read_plain(fzri_loading *l, fzri_record *record, saved *s, fzri_allocation *a)
{
  s->port = fzri_take_u16(record);
  s->families = fzri_take_u8(record);
  a->missing = fzri_take_u8(record);
  s->flags = fzri_take_u8(record);
  a->key_algorithm = fzri_take_u8(record);
  const uint8_t key_len = fzri_take_u8(record);
  fzri_take_u8(record);
  s->expires = fzri_take_time(record, &l->reader, ALLOCATION_LASTS);
  /* Whatever the rate was: a bucket from which more is missing than it holds is an empty one. */
  a->bandwidth.full_at = fzri_take_time(record, &l->reader, FZRI_STATE_SPAN);
  s->lifetime = fzri_take_u32(record);
  fzri_take_bytes(record, s->origin.txid, sizeof s->origin.txid);
  fzri_take_bytes(record, s->origin.credential_tag, sizeof s->origin.credential_tag);
  a->key_expires = fzri_take_u64(record);
  a->user = fzri_take_u64(record);
  s->user = fzri_take_u64(record);
  s->client = fzri_take_addr(record);
  s->server = fzri_take_addr(record);
  if (key_len > sizeof a->key || fzri_key_len(a->key_algorithm) != key_len)
    record->bad = true;
  else
    fzri_take_bytes(record, a->key, key_len);
  read_usage(l, record, s, a);
}

static bool is_sound(const saved *s, const fzri_allocation *a)
{
  return s->families && !(s->families & ~(FZRI_V4 | FZRI_V6)) && a->missing <= FZR_FAMILY_IPV6 &&
         s->client.port && s->client.family == s->server.family &&
         s->client.transport == s->server.transport && s->lifetime <= FZRI_LIFETIME_MAX;
}

/* Whether the engine offers the relayed addresses that the client of |s| was told. */
static int check_addresses(const fzri_loading *l, const saved *s)
{
  for (unsigned slot = 0; slot < 2; slot++) {
    const fzr_addr *was = &l->public_addr[slot], *is = &l->e->public_addr[slot];
    if (!(s->families & fzri_family_bit(fzri_family_at(slot))))
      continue;
    if (was->family != fzri_family_at(slot))
      return FZR_ERR_STATE_DAMAGED;
    if (was->family == is->family && memcmp(was->ip, is->ip, sizeof was->ip) == 0)
      continue;
    l->result->address = *was;
    l->result->port = s->port;
    return FZR_ERR_STATE_ADDRESS;
  }
  return 0;
}

/* Where a newer allocation replaces the older, users are counted another way than where it does not. One that came from there is nobody's: none of
 * several would be the newest. */
static uint64_t user_of(const fzri_loading *l, const saved *s)
{
  if (!s->user || (l->e->replaces && !l->replaces))
    return 0;
  return l->e->replaces ? fzri_user_by_transport(s->user, s->client.transport) : s->user;
}

/* Makes |a| the newest one of its user, which has no other that says so, in this state or in that of another shard. In a journal it may have one, to
 * which a newer one in another shard was no news yet; then nobody knows which, and both go on. */
static int enter_newest(const fzri_loading *l, fzri_allocation *a)
{
  fzr_engine *e = l->e;
  uint16_t older;
  if (!fzri_shared_set_newest(e->shared, a->shared_user, a->port, &older)) {
    a->shared_user = 0; /* as good as impossible */
    return 0;
  }
  if (!older || older == a->port)
    return 0;
  fzri_shared_set_newest(e->shared, a->shared_user, older, &older);
  a->shared_user = 0;
  return l->journal ? 0 : FZR_ERR_STATE_DAMAGED;
}

/* Returns 0, or FZR_ERR_STATE_DAMAGED with nothing of the user's changed. */
static int enter_user(const fzri_loading *l, const saved *s, fzri_allocation *a)
{
  fzr_engine *e = l->e;
  a->shared_user = user_of(l, s);
  a->uncounted = !e->replaces && a->shared_user && s->flags & FZRI_SAVED_UNCOUNTED;
  if (!a->shared_user || a->uncounted)
    return 0;
  if (e->replaces && s->flags & FZRI_SAVED_NEWEST)
    return enter_newest(l, a);
  if (e->replaces) /* it was replaced, and its shard had not looked yet */
    fzri_shared_mark(e->shared, a->port);
  else if (!fzri_shared_user_enter(e->shared, a->shared_user, UINT32_MAX))
    a->shared_user = 0; /* as good as impossible */
  return 0;
}

/* When |a| has to be looked at: when its client was told that it is over, if somebody counts that, and when it is. */
static fzr_time next_look(const fzri_loading *l, const fzri_allocation *a)
{
  const fzr_time told = a->expires > FZRI_GRACE ? a->expires - FZRI_GRACE : 0;
  const bool counts = a->shared_user && !l->e->replaces && !a->uncounted;
  return !counts && told <= l->reader.base ? a->expires : told;
}

/* Puts |from|, and what |s| says, into all look-ups. Returns 0 or FZR_ERR_STATE_DAMAGED. */
static int enter(const fzri_loading *l, const saved *s, const fzri_allocation *from, fzri_allocation *a)
{
  fzr_engine *e = l->e;
  a->server = s->server;
  a->families = s->families;
  a->state = FZRI_ALLOCATION_RESUMING;
  a->expires = s->expires;
  a->missing = from->missing;
  a->bandwidth = from->bandwidth;
  *fzri_origin_of(e, a) = s->origin;
  fzri_origin_of(e, a)->name =
      e->keeps_names ? fzri_name_keep(&e->names, s->name, s->name_len) : FZRI_POOL_NONE;
  a->began = from->began;
  a->serial = from->serial;
  memcpy(a->packets, from->packets, sizeof a->packets);
  memcpy(a->bytes, from->bytes, sizeof a->bytes);
  memcpy(a->key, from->key, sizeof a->key);
  a->lifetime = (uint16_t)s->lifetime;
  a->key_algorithm = from->key_algorithm;
  a->key_expires = from->key_expires;
  a->user = from->user;
  const int error = enter_user(l, s, a);
  fzri_map_insert(&e->clients, fzri_hash_client(e, &a->client), a->index);
  fzri_timers_set(&e->allocation_timers, &a->timer, next_look(l, a));
  fzri_event_queue_push(&e->events, &a->node);
  fzri_allocation_count(e, a, true);
  l->result->allocations++;
  return error;
}

/* Takes |port| for an allocation. In a journal it may still be reserved, though this is who has claimed it. */
static bool take_port(const fzri_loading *l, uint16_t port)
{
  if (fzri_shared_take_this_port(l->e->shared, port))
    return true;
  const uint64_t token = l->journal ? fzri_shared_token(l->e->shared, port) : 0;
  return token && fzri_shared_claim_port(l->e->shared, port, token);
}

int fzri_load_allocation(fzri_loading *l, fzri_record *record)
{
  fzr_engine *e = l->e;
  saved s = {0};
  fzri_allocation from = {0}, *a;
  read_plain(l, record, &s, &from);
  if (record->bad || !is_sound(&s, &from))
    return FZR_ERR_STATE_DAMAGED;
  int error = check_addresses(l, &s);
  if (error)
    return error;
  if (fzri_allocation_by_port(e, s.port) || fzri_allocation_look_up(e, &s.client, &s.server))
    return FZR_ERR_STATE_DAMAGED; /* the state has another one there */
  if (!take_port(l, s.port)) {
    l->result->port = s.port;
    return FZR_ERR_STATE_PORT;
  }
  error = fzri_allocation_register(e, &s.client, s.port, &a);
  if (error) {
    fzri_shared_untake_port(e->shared, s.port);
    return error;
  }
  return enter(l, &s, &from, a);
}

/* The allocation that a record is about. It has come before. */
static fzri_allocation *take_allocation(const fzri_loading *l, fzri_record *record)
{
  return fzri_allocation_by_port(l->e, fzri_take_u16(record));
}

/* ---- channels and permissions ---- */

/* Whether |peer| can be one of |a|'s. */
static bool is_peer(const fzri_allocation *a, const fzr_addr *peer)
{
  return a->families & fzri_family_bit(peer->family) && !peer->transport && !fzri_is_mapped(peer);
}

/* There are more of them than there may be. */
static int too_many(const fzri_loading *l, const fzri_allocation *a)
{
  l->result->port = a->port;
  return FZR_ERR_STATE_LIMIT;
}

int fzri_load_channel(fzri_loading *l, fzri_record *record)
{
  fzr_engine *e = l->e;
  fzri_allocation *a = take_allocation(l, record);
  const uint16_t number = fzri_take_u16(record);
  const uint8_t flags = fzri_take_u8(record);
  const fzr_time relay_until = fzri_take_time(record, &l->reader, FZRI_CHANNEL_RELAYS);
  const fzr_addr peer = fzri_take_addr(record);
  if (record->bad || !a || number < FZR_CHANNEL_MIN || number > FZR_CHANNEL_MAX || !peer.port ||
      !is_peer(a, &peer) ||
      fzri_channel_by_number(e, a->index, number, fzri_hash_number(e, a->index, number)) ||
      fzri_channel_by_peer(e, a->index, &peer, fzri_hash_peer(e, a->index, &peer)))
    return FZR_ERR_STATE_DAMAGED;
  if (!fzri_shared_channel_enter(e->shared, e->max_all_channels))
    return too_many(l, a);
  fzri_channel *c = fzri_channel_make(e, a, number, &peer);
  if (!c) {
    fzri_shared_channels_leave(e->shared, 1);
    return FZR_ERR_NO_MEMORY;
  }
  c->relay_until = relay_until;
  c->relaying = flags & FZRI_SAVED_RELAYING;
  e->stats.channels += c->relaying;
  fzri_timers_set(&e->channel_timers, &fzri_channel_rest_of(e, c)->timer,
                  c->relaying ? relay_until : relay_until + FZRI_CHANNEL_RESERVED);
  l->result->channels++;
  return 0;
}

int fzri_load_permission(fzri_loading *l, fzri_record *record)
{
  fzri_allocation *a = take_allocation(l, record);
  const fzr_time from = l->reader.base, until = from + PERMISSION_LASTS;
  const fzr_time lapses = fzri_take_time(record, &l->reader, PERMISSION_LASTS + FZRI_PERMISSION_TICK);
  const fzr_addr peer = fzri_take_addr(record);
  if (record->bad || !a || peer.port || peer.scope_id || !is_peer(a, &peer))
    return FZR_ERR_STATE_DAMAGED;
  /* What lapsed before is over now, too; permissions know no time that is far from that. Nor does rounding add up from one load to the
   * next. */
  switch (fzri_permission_restore(l->e, a, &peer, lapses < from ? from : lapses < until ? lapses : until)) {
  case FZRI_PERMIT_NEW:
    l->result->permissions++;
    return 0;
  case FZRI_PERMIT_FULL:
    return too_many(l, a);
  case FZRI_PERMIT_NO_MEMORY:
    return FZR_ERR_NO_MEMORY;
  default:
    return FZR_ERR_STATE_DAMAGED;
  }
}

/* ---- what few allocations have ---- */

/* That of |a|, which is made if there is none. NULL without memory. */
static fzri_extra *extra_of(fzr_engine *e, fzri_allocation *a)
{
  return a->extra == FZRI_POOL_NONE ? fzri_pool_take(&e->extras, &a->extra) : fzri_extra_of(e, a);
}

int fzri_load_mobility(fzri_loading *l, fzri_record *record)
{
  fzr_engine *e = l->e;
  fzri_allocation *a = take_allocation(l, record);
  const uint8_t flags = fzri_take_u8(record);
  const uint32_t generation = fzri_take_u32(record);
  const uint64_t id = fzri_take_u64(record);
  const fzr_time moves = fzri_take_time(record, &l->reader, FZRI_STATE_SPAN);
  if (record->bad || !a || (fzri_extra_of(e, a) && fzri_extra_of(e, a)->mobile))
    return FZR_ERR_STATE_DAMAGED;
  fzri_extra *extra = extra_of(e, a);
  if (!extra)
    return FZR_ERR_NO_MEMORY;
  extra->mobile = true;
  extra->id = id;
  extra->generation = generation;
  extra->moves.full_at = moves;
  if (flags & FZRI_SAVED_TUNNELLED && e->tunnels) {
    const fzri_siphash_key key = fzri_tunnel_key(&l->user_key);
    const uint64_t hash = fzri_tunnel_hash(&key, &a->client, &a->server);
    const uint16_t port = fzri_shared_claim_moved(e->shared, hash, a->port);
    if (port && port != a->port && !l->journal)
      return FZR_ERR_STATE_DAMAGED; /* an allocation of another shard has that client */
    /* As good as impossible that there is no room: the client's next Refresh will be heard as if it had moved. */
    if (port == a->port)
      extra->tunnel = hash;
  }
  return 0;
}

int fzri_load_reservation(fzri_loading *l, fzri_record *record)
{
  fzr_engine *e = l->e;
  fzri_allocation *a = take_allocation(l, record);
  const uint8_t flags = fzri_take_u8(record);
  const uint64_t token = fzri_take_u64(record);
  const fzr_time until = fzri_take_time(record, &l->reader, FZRI_RESERVATION_LASTS);
  const uint16_t port = fzri_token_port(token);
  if (record->bad || !a || !(token & FZRI_TOKEN) || (fzri_extra_of(e, a) && fzri_extra_of(e, a)->token))
    return FZR_ERR_STATE_DAMAGED;
  fzri_extra *extra = extra_of(e, a);
  if (!extra)
    return FZR_ERR_NO_MEMORY;
  extra->token = token;
  /* A state is good without a port that nobody has yet: out of the range, or of another one by now. */
  if (!(flags & FZRI_SAVED_RESERVED) || l->claimed || (l->journal && until <= l->reader.base) ||
      !fzri_shared_take_this_port(e->shared, port))
    return 0;
  fzri_shared_reserve_port(e->shared, port, token);
  fzri_timers_set(&e->reservation_timers, &extra->timer, until);
  return 0;
}
