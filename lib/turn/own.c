/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

#include "channel.h"
#include "log.h"
#include "request.h"
#include "shared.h"

/* To look at a channel is a small part of the work of expiring one. */
#define LOOKS_PER_ITEM 16u

/* All channels are looked at, from the first on, also where that had begun before. */
static void start_recheck(fzr_engine *e)
{
  e->recheck = fzri_pool_end(&e->channels) ? 0 : FZRI_POOL_NONE;
}

int fzr_engine_set_own_addrs(fzr_engine *e, const fzr_addr *addrs, size_t count)
{
  if (!e || (!addrs && count))
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_addr_set set = {0};
  const int error = fzri_addr_set_add(&set, &e->mem, addrs, count);
  if (error)
    return error;
  /* One that has left is in no hurry: a channel's next refresh sees that. */
  const bool news = !fzri_addr_set_within(&set, &e->policy.host);
  fzri_addr_set_free(&e->policy.host, &e->mem);
  e->policy.host = set;
  if (news)
    start_recheck(e);
  return 0;
}

int fzr_engine_add_own_addrs(fzr_engine *e, const fzr_addr *addrs, size_t count)
{
  if (!e || (!addrs && count))
    return FZR_ERR_INVALID_ARGUMENT;
  const uint32_t before = e->policy.host.count;
  const int error = fzri_addr_set_add(&e->policy.host, &e->mem, addrs, count);
  if (e->policy.host.count != before)
    start_recheck(e);
  return error;
}

int fzr_engine_add_listen_port(fzr_engine *e, uint16_t port)
{
  if (!e || !port)
    return FZR_ERR_INVALID_ARGUMENT;
  const int added = fzri_peer_policy_add_port(&e->policy, port);
  if (added < 0)
    return added;
  if (added)
    start_recheck(e);
  return 0;
}

int fzr_engine_set_offered(fzr_engine *e, enum fzr_family family, bool offered)
{
  const uint8_t bit = fzri_family_bit((uint8_t)family);
  if (!e || !bit)
    return FZR_ERR_INVALID_ARGUMENT;
  if (offered && e->public_addr[fzri_family_slot((uint8_t)family)].family)
    e->families |= bit;
  else
    e->families &= (uint8_t)~bit;
  return 0;
}

bool fzr_engine_public_addr(const fzr_engine *e, enum fzr_family family, fzr_addr *out)
{
  if (!e || !out || !fzri_family_bit((uint8_t)family))
    return false;
  *out = e->public_addr[fzri_family_slot((uint8_t)family)];
  return out->family != FZR_FAMILY_NONE;
}

bool fzr_engine_port_is_live(const fzr_engine *e, uint16_t port, enum fzr_family family)
{
  return e && fzri_family_bit((uint8_t)family) && fzri_shared_is_live(e->shared, port, (uint8_t)family);
}

static void log_ended(const fzr_engine *e, const fzri_channel *c)
{
  if (!c->relaying || !fzri_log_wants(e, FZR_LOG_INFO))
    return;
  const fzri_allocation *a = fzri_allocation_at(e, c->allocation);
  fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_CHANNEL_REVOKED);
  record.client = &a->client;
  record.peer = &c->peer;
  record.port = a->port;
  record.channel = c->number;
  e->log(e->log_ctx, &record);
}

/* |c|'s peer may be the relay's own by now, or no longer. */
static void recheck_channel(fzr_engine *e, fzri_channel *c)
{
  fzri_peer_judgement judgement;
  const fzr_addr *client = &fzri_allocation_at(e, c->allocation)->client;
  const bool own = fzri_peer_policy_is_own(&e->policy, &c->peer);
  /* The listen port's number is no peer's, at whatever address. */
  const bool listens = fzri_peer_policy_listens(&e->policy, c->peer.port);
  if ((own || listens) && fzri_peer_check(e, client, &c->peer, false, &judgement)) {
    log_ended(e, c);
    fzri_channel_end(e, c);
    return;
  }
  fzri_channel_set_own(e, c, own);
}

size_t fzri_own_recheck(fzr_engine *e, size_t budget)
{
  size_t looks = 0;
  const uint32_t end = fzri_pool_end(&e->channels);
  while (e->recheck < end && looks / LOOKS_PER_ITEM < budget) {
    fzri_channel *c = fzri_channel_at(e, e->recheck++);
    looks++;
    /* Those of a closing allocation end with its events. */
    if (c->number && !c->dead && fzri_allocation_at(e, c->allocation)->state != FZRI_ALLOCATION_CLOSING)
      recheck_channel(e, c);
  }
  if (e->recheck >= end)
    e->recheck = FZRI_POOL_NONE;
  return looks / LOOKS_PER_ITEM + (looks % LOOKS_PER_ITEM != 0);
}
