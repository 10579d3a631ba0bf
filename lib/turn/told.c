/* SPDX-License-Identifier: Apache-2.0 */
#include "told.h"

/* Begins a period of |length| at |now| unless one goes on. Of shards that try at once, one does. */
static bool begin(_Atomic fzr_time *until, fzr_time length, fzr_time now)
{
  fzr_time seen = atomic_load_explicit(until, memory_order_relaxed);
  return seen <= now && atomic_compare_exchange_strong(until, &seen, now + length);
}

bool fzri_told_refusal(fzri_told *told, const fzri_peer_judgement *judged, fzr_time now)
{
  return begin(&told->refused[judged->reason][fzri_scope_of(&judged->about)], FZRI_TOLD_REFUSED, now);
}

bool fzri_told_memory(fzri_told *told, unsigned which, fzr_time now)
{
  return begin(&told->memory[which], FZRI_TOLD_LIMITED, now);
}

bool fzri_told_full(fzri_told *told, fzr_time now)
{
  return begin(&told->full, FZRI_TOLD_FULL, now);
}

bool fzri_told_tls(fzri_told *told, fzr_time now)
{
  return begin(&told->tls, FZRI_TOLD_TLS, now);
}

bool fzri_told_proofs(fzri_told *told, fzr_time now)
{
  return begin(&told->proofs, FZRI_TOLD_LIMITED, now);
}

/* The prefix of |source| as a number: never 0. */
static uint64_t prefix_of(const fzr_addr *source)
{
  const unsigned bytes = source->family == FZR_FAMILY_IPV4 ? 3 : 6;
  uint64_t prefix = source->family;
  for (unsigned i = 0; i < bytes; i++)
    prefix = prefix << 8 | source->ip[i];
  return prefix;
}

/* Begins a period of |length| for |what|, not 0, which has no other one in |table|; *|count| gets how often that was asked since the one
 * before began. False, too, if there is no room. */
static bool begin_one(fzri_told_one *table, uint64_t what, fzr_time length, fzr_time now, uint32_t *count)
{
  const uint64_t set = (what * 0x9e3779b97f4a7c15u) >> 32 & (FZRI_TOLD_SETS - 1);
  fzri_told_one *first = &table[set * FZRI_TOLD_WAYS], *vacant = NULL;
  bool same = false;
  for (fzri_told_one *one = first; one < first + FZRI_TOLD_WAYS && !same; one++) {
    const bool over = atomic_load_explicit(&one->until, memory_order_relaxed) <= now;
    same = atomic_load_explicit(&one->what, memory_order_relaxed) == what;
    if (same && !over) {
      atomic_fetch_add_explicit(&one->untold, 1, memory_order_relaxed);
      return false;
    }
    if (over && (same || !vacant))
      vacant = one;
  }
  if (!vacant || !begin(&vacant->until, length, now))
    return false;
  *count = 1 + atomic_exchange_explicit(&vacant->untold, 0, memory_order_relaxed);
  if (!same)
    *count = 1;
  atomic_store_explicit(&vacant->what, what, memory_order_relaxed);
  return true;
}

bool fzri_told_limited(fzri_told *told, const fzr_addr *source, fzr_time now)
{
  uint32_t count;
  return begin_one(told->limited, prefix_of(source), FZRI_TOLD_LIMITED, now, &count);
}

bool fzri_told_login(fzri_told *told, const fzr_addr *source, unsigned reason, fzr_time now, uint32_t *count)
{
  return begin_one(told->logins, prefix_of(source) ^ (uint64_t)reason << 58, FZRI_TOLD_LIMITED, now, count);
}

bool fzri_told_dropped(fzri_told *told, const fzr_addr *source, uint16_t port, unsigned reason, fzr_time now)
{
  uint32_t count;
  const uint64_t whose = port ? port : prefix_of(source);
  return begin_one(told->dropped, whose ^ (uint64_t)reason << 58, FZRI_TOLD_DROPPED, now, &count);
}

bool fzri_told_mode(fzri_told *told, fzr_time now)
{
  return begin(&told->mode, FZRI_TOLD_MODE, now);
}

bool fzri_told_has_mode(fzri_told *told, fzr_time now)
{
  return atomic_load_explicit(&told->mode, memory_order_relaxed) > now;
}
