/* SPDX-License-Identifier: Apache-2.0 */
/* All permissions last equally long. So they stand in one list, those that were renewed last at its end, and what lapses is at its
 * begin: no timers are needed. A permission takes 40 bytes, and up to 22 of the table, of the 64 that it may cost. */
#include "permission.h"

#include "journal.h"
#include "log.h"
#include "reach.h"
#include "shared.h"

static_assert(sizeof(fzri_permission) == 40, "bytes per permission");

static uint32_t find(const fzr_engine *e, const fzri_allocation *a, const fzr_addr *peer)
{
  uint64_t key[2];
  fzri_permission_key(peer, key);
  return fzri_permission_look_up(e, a->index, key, fzri_hash_permission(e, a->index, key));
}

/* ---- the list by age ---- */

static void leave_ages(fzr_engine *e, const fzri_permission *p)
{
  if (p->older == FZRI_POOL_NONE)
    e->oldest_permission = p->newer;
  else
    fzri_permission_at(e, p->older)->newer = p->newer;
  if (p->newer == FZRI_POOL_NONE)
    e->newest_permission = p->older;
  else
    fzri_permission_at(e, p->newer)->older = p->older;
}

/* As the last one to lapse, at the tick |lapses|. */
static void enter_ages_at(fzr_engine *e, uint32_t index, uint32_t lapses)
{
  fzri_permission *p = fzri_permission_at(e, index);
  p->lapses = lapses;
  p->newer = FZRI_POOL_NONE;
  p->older = e->newest_permission;
  if (p->older == FZRI_POOL_NONE)
    e->oldest_permission = index;
  else
    fzri_permission_at(e, p->older)->newer = index;
  e->newest_permission = index;
}

static void enter_ages(fzr_engine *e, uint32_t index)
{
  enter_ages_at(e, index, fzri_permission_tick(e->now + FZRI_PERMISSION_LASTS) + 1);
}

/* ---- ends ---- */

static void leave_allocation(fzr_engine *e, const fzri_permission *p)
{
  fzri_allocation *a = fzri_allocation_at(e, p->allocation);
  if (p->prev == FZRI_POOL_NONE)
    a->first_permission = p->next;
  else
    fzri_permission_at(e, p->prev)->next = p->next;
  if (p->next != FZRI_POOL_NONE)
    fzri_permission_at(e, p->next)->prev = p->prev;
  a->permission_count--;
}

static void end(fzr_engine *e, uint32_t index)
{
  const fzri_permission *p = fzri_permission_at(e, index);
  fzri_map_remove(&e->permitted, fzri_hash_permission(e, p->allocation, p->ip), index);
  leave_ages(e, p);
  leave_allocation(e, p);
  fzri_journal_permission_end(e, p);
  fzri_pool_give(&e->permissions, index);
  fzri_shared_channels_leave(e->shared, 1);
  e->stats.permissions--;
}

void fzri_permissions_undo(fzr_engine *e, fzri_allocation *a, uint32_t count)
{
  for (; count; count--)
    end(e, a->first_permission);
}

void fzri_permissions_end(fzr_engine *e, fzri_allocation *a, uint8_t families)
{
  uint32_t index = a->first_permission;
  while (index != FZRI_POOL_NONE) {
    const fzri_permission *p = fzri_permission_at(e, index);
    const uint32_t next = p->next;
    if (families & (fzri_permission_is_ipv4(p->ip) ? FZRI_V4 : FZRI_V6))
      end(e, index);
    index = next;
  }
}

fzr_time fzri_permissions_deadline(const fzr_engine *e)
{
  if (e->oldest_permission == FZRI_POOL_NONE)
    return FZR_TIME_NEVER;
  const int32_t left =
      (int32_t)(fzri_permission_at(e, e->oldest_permission)->lapses - fzri_permission_tick(e->now));
  return left <= 0 ? e->now : ((e->now >> FZRI_TICK_SHIFT) + (uint32_t)left) << FZRI_TICK_SHIFT;
}

size_t fzri_permissions_expire(fzr_engine *e, size_t budget)
{
  size_t done = 0;
  for (; done < budget && e->oldest_permission != FZRI_POOL_NONE; done++) {
    if (fzri_permission_holds(e, fzri_permission_at(e, e->oldest_permission)))
      break;
    end(e, e->oldest_permission);
  }
  return done;
}

/* ---- installing ---- */

/* What of |p|'s address the policy says now. */
static void judge(const fzr_engine *e, fzri_permission *p, const fzr_addr *peer)
{
  p->own = fzri_peer_policy_is_own(&e->policy, peer);
  p->minds_ports = e->policy_fn || fzri_peer_policy_minds_ports(&e->policy, peer);
}

/* Makes one that is in no list by age yet. */
static enum fzri_permit_result make(fzr_engine *e, fzri_allocation *a, const fzr_addr *peer, uint32_t *made)
{
  uint32_t index;
  uint64_t key[2];
  fzri_permission_key(peer, key);
  const uint32_t hash = fzri_hash_permission(e, a->index, key);
  if (fzri_map_reserve(&e->permitted, hash))
    return FZRI_PERMIT_NO_MEMORY;
  fzri_permission *p = fzri_pool_take(&e->permissions, &index);
  if (!p)
    return FZRI_PERMIT_NO_MEMORY;
  memcpy(p->ip, key, sizeof p->ip);
  p->allocation = a->index & 0xffffffu;
  p->used = 1;
  judge(e, p, peer);
  fzri_map_insert(&e->permitted, hash, index);
  p->prev = FZRI_POOL_NONE;
  p->next = a->first_permission;
  if (p->next != FZRI_POOL_NONE)
    fzri_permission_at(e, p->next)->prev = index;
  a->first_permission = index;
  a->permission_count++;
  e->stats.permissions++;
  *made = index;
  return FZRI_PERMIT_NEW;
}

static enum fzri_permit_result add(fzr_engine *e, fzri_allocation *a, const fzr_addr *peer)
{
  uint32_t index;
  const enum fzri_permit_result result = make(e, a, peer, &index);
  if (result != FZRI_PERMIT_NEW)
    return result;
  enter_ages(e, index);
  return FZRI_PERMIT_NEW;
}

/* Whether |a| has as many as it may. Those that are over do not count, though nobody may have looked at them. */
static bool is_at_limit(fzr_engine *e, const fzri_allocation *a)
{
  if (a->permission_count < e->max_permissions)
    return false;
  /* Where the oldest of all holds, each does: who asks again and again does not have all of them looked at. */
  if (fzri_permission_holds(e, fzri_permission_at(e, e->oldest_permission)))
    return true;
  for (uint32_t index = a->first_permission; index != FZRI_POOL_NONE;) {
    const fzri_permission *p = fzri_permission_at(e, index);
    const uint32_t next = p->next;
    if (!fzri_permission_holds(e, p))
      end(e, index);
    index = next;
  }
  return a->permission_count >= e->max_permissions;
}

enum fzri_permit_result fzri_permission_install(fzr_engine *e, fzri_allocation *a, const fzr_addr *peer)
{
  const uint32_t index = find(e, a, peer);
  if (index != FZRI_POOL_NONE && fzri_permission_holds(e, fzri_permission_at(e, index)))
    return FZRI_PERMIT_OLD;
  if (index != FZRI_POOL_NONE)
    end(e, index);
  if (is_at_limit(e, a))
    return FZRI_PERMIT_LIMIT;
  if (!fzri_shared_channel_enter(e->shared, e->max_all_channels))
    return FZRI_PERMIT_FULL;
  const enum fzri_permit_result result = add(e, a, peer);
  if (result != FZRI_PERMIT_NEW)
    fzri_shared_channels_leave(e->shared, 1);
  return result;
}

enum fzri_permit_result fzri_permission_restore(fzr_engine *e, fzri_allocation *a, const fzr_addr *peer,
                                                fzr_time at)
{
  uint32_t index;
  const uint32_t lapses = fzri_permission_tick(at + (FZRI_PERMISSION_TICK - 1));
  if (find(e, a, peer) != FZRI_POOL_NONE)
    return FZRI_PERMIT_OLD;
  if (e->newest_permission != FZRI_POOL_NONE &&
      (int32_t)(lapses - fzri_permission_at(e, e->newest_permission)->lapses) < 0)
    return FZRI_PERMIT_LIMIT;
  if (!fzri_shared_channel_enter(e->shared, e->max_all_channels))
    return FZRI_PERMIT_FULL;
  const enum fzri_permit_result result = make(e, a, peer, &index);
  if (result == FZRI_PERMIT_NEW)
    enter_ages_at(e, index, lapses);
  else
    fzri_shared_channels_leave(e->shared, 1);
  return result;
}

void fzri_permission_renew(fzr_engine *e, const fzri_allocation *a, const fzr_addr *peer)
{
  const uint32_t index = find(e, a, peer);
  FZRI_ASSERT(index != FZRI_POOL_NONE);
  leave_ages(e, fzri_permission_at(e, index));
  enter_ages(e, index);
  judge(e, fzri_permission_at(e, index), peer);
  fzri_journal_permission(e, fzri_permission_at(e, index));
}

/* ---- what may be reached ---- */

bool fzri_permission_allows(const fzr_engine *e, const fzri_allocation *a, const fzri_permission *p,
                            const fzr_addr *peer)
{
  fzri_peer_judgement judged;
  if (!p->minds_ports)
    return peer->port && !fzri_peer_policy_relays_at(&e->policy, peer->port);
  return fzri_peer_check(e, &a->client, peer, false, &judged) == 0;
}

void fzri_permission_recheck(fzr_engine *e, uint32_t index, bool all)
{
  fzri_peer_judgement judged;
  fzri_permission *p = fzri_permission_at(e, index);
  const fzr_addr peer = fzri_permission_peer(p);
  judge(e, p, &peer);
  if (!p->own && !all)
    return;
  if (!fzri_peer_check(e, &fzri_allocation_at(e, p->allocation)->client, &peer, true, &judged))
    return;
  fzri_log_revoked(e, FZR_LOG_PERMISSION_REVOKED, fzri_allocation_at(e, p->allocation), &peer, 0, &judged);
  end(e, index);
}
