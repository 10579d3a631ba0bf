/* SPDX-License-Identifier: Apache-2.0 */
#include "save_objects.h"

#include "extra.h"
#include "name.h"
#include "reservation.h"
#include "saved.h"
#include "usage.h"
#include "users.h"

#include "../auth/key.h"

bool fzri_is_saved(const fzri_allocation *a)
{
  return a->state == FZRI_ALLOCATION_LIVE || a->state == FZRI_ALLOCATION_RESUMING;
}

void fzri_save_engine(fzri_writer *w, const fzr_engine *e)
{
  fzri_record_begin(w, FZRI_RECORD_ENGINE);
  fzri_put_u32(w, e->replaces ? FZRI_SAVED_REPLACES : 0);
  fzri_put_u64(w, w->base + e->nonce_offset);
  fzri_put_u64(w, (uint64_t)e->wall_unix + (w->now - e->wall_at) / FZR_SECOND);
  fzri_put_u64(w, e->nonces.key.k0);
  fzri_put_u64(w, e->nonces.key.k1);
  fzri_put_u64(w, e->hash_key.k0);
  fzri_put_u64(w, e->hash_key.k1);
  fzri_put_u64(w, e->user_key.k0);
  fzri_put_u64(w, e->user_key.k1);
  fzri_put_u64(w, e->txid_state);
  fzri_put_u32(w, e->txid_start);
  fzri_put_time(w, e->look_at);
  for (unsigned slot = 0; slot < 2; slot++) {
    const fzr_addr *addr = &e->public_addr[slot];
    fzri_put_u8(w, addr->family);
    fzri_put_bytes(w, addr->ip, sizeof addr->ip);
  }
  fzri_record_end(w);
}

static bool is_newest(const fzr_engine *e, const fzri_allocation *a)
{
  return e->replaces && a->shared_user && fzri_shared_newest(e->shared, a->shared_user) == a->port;
}

/* His hash as if he were counted over all transports. */
static uint64_t plain_user(const fzr_engine *e, const fzri_allocation *a)
{
  return e->replaces && a->shared_user ? fzri_user_by_transport(a->shared_user, a->client.transport)
                                       : a->shared_user;
}

/* What has come with minor version 1. */
static void put_usage(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a)
{
  const fzri_origin *origin = fzri_origin_of(e, a);
  uint8_t name[FZR_USER_NAME_MAX];
  const size_t len = fzri_name_read(&e->names, origin->name, name);
  fzri_put_u32(w, a->serial);
  fzri_put_time(w, fzri_usage_began(a, w->now));
  for (unsigned i = 0; i < 2; i++) {
    fzri_put_u64(w, a->packets[i]);
    fzri_put_u64(w, a->bytes[i]);
  }
  fzri_put_u8(w, (uint8_t)len);
  fzri_put_bytes(w, name, len);
}

void fzri_save_allocation(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a)
{
  const fzri_origin *origin = fzri_origin_of(e, a);
  const uint8_t key_len = (uint8_t)fzri_key_len(a->key_algorithm);
  fzri_record_begin(w, FZRI_RECORD_ALLOCATION);
  fzri_put_u16(w, a->port);
  fzri_put_u8(w, a->families);
  fzri_put_u8(w, a->missing);
  fzri_put_u8(
      w, (uint8_t)((a->uncounted ? FZRI_SAVED_UNCOUNTED : 0) | (is_newest(e, a) ? FZRI_SAVED_NEWEST : 0)));
  fzri_put_u8(w, a->key_algorithm);
  fzri_put_u8(w, key_len);
  fzri_put_u8(w, 0);
  fzri_put_time(w, a->expires);
  fzri_put_time(w, a->bandwidth.full_at);
  fzri_put_u32(w, a->lifetime);
  fzri_put_bytes(w, origin->txid, sizeof origin->txid);
  fzri_put_bytes(w, origin->credential_tag, sizeof origin->credential_tag);
  fzri_put_u64(w, a->key_expires);
  fzri_put_u64(w, a->user);
  fzri_put_u64(w, plain_user(e, a));
  fzri_put_addr(w, &a->client);
  fzri_put_addr(w, &a->server);
  fzri_put_bytes(w, a->key, key_len);
  put_usage(w, e, a);
  fzri_record_end(w);
}

void fzri_save_extra(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a)
{
  const fzri_extra *extra = fzri_extra_of(e, a);
  if (extra && extra->mobile) {
    fzri_record_begin(w, FZRI_RECORD_MOBILITY);
    fzri_put_u16(w, a->port);
    fzri_put_u8(w, extra->tunnel ? FZRI_SAVED_TUNNELLED : 0);
    fzri_put_u32(w, extra->generation);
    fzri_put_u64(w, extra->id);
    fzri_put_time(w, extra->moves.full_at);
    fzri_record_end(w);
  }
  /* The token stays in the answer to the Allocate, should that come again. */
  if (extra && extra->token) {
    const bool reserved = fzri_timer_is_set(&extra->timer) &&
                          fzri_shared_is_reserved(e->shared, fzri_token_port(extra->token), extra->token);
    fzri_record_begin(w, FZRI_RECORD_RESERVATION);
    fzri_put_u16(w, a->port);
    fzri_put_u8(w, reserved ? FZRI_SAVED_RESERVED : 0);
    fzri_put_u64(w, extra->token);
    fzri_put_time(w, reserved ? extra->timer.due : w->base);
    fzri_record_end(w);
  }
}

void fzri_save_channel(fzri_writer *w, const fzri_allocation *a, const fzri_channel *c)
{
  fzri_record_begin(w, FZRI_RECORD_CHANNEL);
  fzri_put_u16(w, a->port);
  fzri_put_u16(w, c->number);
  fzri_put_u8(w, c->relaying ? FZRI_SAVED_RELAYING : 0);
  fzri_put_time(w, c->relay_until);
  fzri_put_addr(w, &c->peer);
  fzri_record_end(w);
}

void fzri_save_channels(fzri_writer *w, const fzr_engine *e, const fzri_allocation *a)
{
  uint32_t index = a->first_channel, last = FZRI_POOL_NONE;
  for (; index != FZRI_POOL_NONE; index = fzri_channel_at(e, index)->next)
    last = index;
  for (; last != FZRI_POOL_NONE; last = fzri_channel_at(e, last)->prev)
    fzri_save_channel(w, a, fzri_channel_at(e, last));
}

void fzri_save_permission(fzri_writer *w, const fzr_engine *e, const fzri_permission *p)
{
  const fzr_addr peer = fzri_permission_peer(p);
  fzri_record_begin(w, FZRI_RECORD_PERMISSION);
  fzri_put_u16(w, fzri_allocation_at(e, p->allocation)->port);
  fzri_put_time(w, fzri_permission_lapses(e, p));
  fzri_put_addr(w, &peer);
  fzri_record_end(w);
}

/* In records of so many that each is short. */
void fzri_save_ports(fzri_writer *w, const fzr_engine *e)
{
  unsigned n = 0;
  for (uint32_t port = e->lowest_port; port <= e->highest_port; port++) {
    fzr_time until;
    bool held;
    if (!fzri_shared_port_rests(e->shared, (uint16_t)port, w->now, &until, &held))
      continue;
    if (!n)
      fzri_record_begin(w, FZRI_RECORD_PORTS);
    fzri_put_u16(w, (uint16_t)port);
    fzri_put_u8(w, held ? FZRI_SAVED_HELD : 0);
    fzri_put_time(w, until);
    if (++n == FZRI_SAVED_PORTS) {
      fzri_record_end(w);
      n = 0;
    }
  }
  if (n)
    fzri_record_end(w);
}
