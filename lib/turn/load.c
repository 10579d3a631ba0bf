/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what save.c writes. Nothing in it is believed: what does not fit together is damage. First the frames and checksums of all records
 * are looked at; then the objects are made, one record after the other; and only when all of them are there does anything of the engine
 * change that can't be taken back. */
#include "load.h"

#include "ports.h"
#include "recheck.h"
#include "replace.h"
#include "resume.h"
#include "saved.h"
#include "saved_counters.h"
#include "ticket.h"
#include "tunnel.h"
#include "users.h"

#include "../base/crypto.h"

#include <assert.h>

static_assert(sizeof(fzr_load_result) == 96, "frozen");

static fzri_siphash_key take_key(fzri_record *record)
{
  const uint64_t k0 = fzri_take_u64(record);
  return (fzri_siphash_key){k0, fzri_take_u64(record)};
}

static int load_engine(fzri_loading *l, fzri_record *record)
{
  if (l->has_engine)
    return FZR_ERR_STATE_DAMAGED;
  l->has_engine = true;
  l->replaces = fzri_take_u32(record) & FZRI_SAVED_REPLACES;
  l->nonce_time = fzri_take_u64(record);
  fzri_take_u64(record); /* Unix time: whoever loads has his own clock */
  l->nonce_key = take_key(record);
  l->name_key = take_key(record);
  l->user_key = take_key(record);
  l->txid_state = fzri_take_u64(record);
  l->txid_start = fzri_take_u32(record);
  l->look_at = fzri_take_time(record, &l->reader, FZRI_LOOK_EVERY);
  for (unsigned slot = 0; slot < 2; slot++) {
    fzr_addr *addr = &l->public_addr[slot];
    addr->family = fzri_take_u8(record);
    fzri_take_bytes(record, addr->ip, sizeof addr->ip);
    if (addr->family != FZR_FAMILY_NONE && addr->family != fzri_family_at(slot))
      record->bad = true;
  }
  return record->bad || !l->user_key.k0 || !l->user_key.k1 ? FZR_ERR_STATE_DAMAGED : 0;
}

int fzri_load_ports(const fzri_loading *l, fzri_record *record, bool apply)
{
  while (record->left) {
    const uint16_t port = fzri_take_u16(record);
    const uint8_t flags = fzri_take_u8(record);
    /* All shards write them, each as of another moment. */
    const fzr_time until = fzri_take_time(record, &l->reader, FZRI_STATE_SPAN);
    const fzr_time last = l->reader.base + (flags & FZRI_SAVED_HELD ? FZRI_PORT_HELD : FZRI_PORT_RESTS);
    if (record->bad)
      return FZR_ERR_STATE_DAMAGED;
    if (apply)
      fzri_shared_rest_port(l->e->shared, port, until < last ? until : last, flags & FZRI_SAVED_HELD);
  }
  return 0;
}

int fzri_load_record(fzri_loading *l, fzri_record *record)
{
  /* All others want to know something that it says. */
  if (!l->has_engine && !l->journal && record->type != FZRI_RECORD_ENGINE)
    return FZR_ERR_STATE_DAMAGED;
  switch (record->type) {
  case FZRI_RECORD_ENGINE:
    return load_engine(l, record);
  case FZRI_RECORD_ALLOCATION:
    return fzri_load_allocation(l, record);
  case FZRI_RECORD_CHANNEL:
    return fzri_load_channel(l, record);
  case FZRI_RECORD_PERMISSION:
    return fzri_load_permission(l, record);
  case FZRI_RECORD_MOBILITY:
    return fzri_load_mobility(l, record);
  case FZRI_RECORD_RESERVATION:
    return fzri_load_reservation(l, record);
  case FZRI_RECORD_COUNTERS:
    return fzri_counters_read(record, &l->counters) ? 0 : FZR_ERR_STATE_DAMAGED;
  case FZRI_RECORD_PORTS:
    return fzri_load_ports(l, record, false);
  default:
    l->result->skipped++;
    return record->flags & FZRI_RECORD_REQUIRED ? FZR_ERR_STATE_VERSION : 0;
  }
}

static int load_records(fzri_loading *l)
{
  fzri_record record;
  l->reader.offset = FZRI_STATE_HEADER_LEN;
  while (fzri_reader_next(&l->reader, &record)) {
    l->result->offset = record.offset;
    const int error = fzri_load_record(l, &record);
    if (error)
      return error;
  }
  l->result->offset = l->reader.len;
  return l->has_engine ? 0 : FZR_ERR_STATE_DAMAGED;
}

static void add_counters(fzr_stats *stats, const fzr_stats *more)
{
  const size_t first = offsetof(fzr_stats, allocations);
  uint64_t *to = (uint64_t *)(void *)((uint8_t *)stats + first);
  const uint64_t *from = (const uint64_t *)(const void *)((const uint8_t *)more + first);
  for (size_t i = 0; i < (sizeof *stats - first) / sizeof *to; i++)
    to[i] += from[i];
}

static void apply_ports(fzri_loading *l)
{
  fzri_record record;
  l->reader.offset = FZRI_STATE_HEADER_LEN;
  while (fzri_reader_next(&l->reader, &record))
    if (record.type == FZRI_RECORD_PORTS)
      fzri_load_ports(l, &record, true);
}

int fzri_load_commit(fzri_loading *l)
{
  static const uint8_t tickets[16] = "mobility ticket";
  fzr_engine *e = l->e;
  if (!fzri_shared_set_user_key(e->shared, &l->user_key))
    return FZR_ERR_STATE_FOREIGN;
  fzri_engine_advance(e, l->reader.base);
  e->user_key = l->user_key;
  e->ticket_key = fzri_ticket_key(&e->user_key, tickets);
  e->tunnel_key = fzri_tunnel_key(&e->user_key);
  e->nonces.key = l->nonce_key;
  e->nonce_offset = l->nonce_time - l->reader.base;
  e->hash_key = l->name_key; /* the tables keep the engine's own seed, which no state can choose */
  if (!l->journal) {         /* else it is where they were when that began */
    e->txid_state = l->txid_state;
    e->txid_start = l->txid_start;
  }
  e->look_at = l->look_at;
  add_counters(&e->stats, &l->counters);
  e->due = true;
  fzri_recheck_start(e, true);
  return 0;
}

bool fzri_load_may_begin(const fzr_engine *e)
{
  return !e->allocations.used && !e->extras.used && !e->events.head && !e->stats.allocations_created &&
         e->release_allocation == FZRI_POOL_NONE && !e->journal;
}

static int load(fzri_loading *l)
{
  int error = fzri_reader_check(&l->reader, &l->result->major, &l->result->minor);
  l->result->offset = l->reader.offset;
  if (error)
    return error;
  error = load_records(l);
  if (!error)
    error = fzri_load_commit(l);
  if (error)
    fzri_resume_undo(l->e);
  else
    apply_ports(l);
  return error;
}

int fzr_engine_load(fzr_engine *e, const uint8_t *data, size_t len, fzr_time saved_at,
                    fzr_load_result *result)
{
  fzr_load_result unseen;
  if (!result)
    result = &unseen;
  *result = (fzr_load_result){0};
  if (!e || (!data && len))
    return FZR_ERR_INVALID_ARGUMENT;
  if (!fzri_load_may_begin(e))
    return FZR_ERR_INVALID_STATE;
  fzri_loading l = {.e = e, .reader = {data, len, 0, saved_at, saved_at}, .result = result};
  const int error = load(&l);
  fzri_wipe(&l, sizeof l);
  return error;
}
