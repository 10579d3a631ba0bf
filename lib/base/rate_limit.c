/* SPDX-License-Identifier: Apache-2.0 */
#include "rate_limit.h"

__extension__ typedef unsigned __int128 wide;

/* |tokens| at |rate| a second as time: rounded up, saturating. */
static fzr_time time_for(uint64_t tokens, uint64_t rate)
{
  const uint64_t seconds = tokens / rate, rest = tokens % rate;
  /* rest < rate, so the fraction is below a second; 128 bits hold rest * 10^9. */
  const uint64_t fraction = (uint64_t)(((wide)rest * FZR_SECOND + rate - 1) / rate);
  if (seconds >= UINT64_MAX / FZR_SECOND)
    return UINT64_MAX;
  return seconds * FZR_SECOND + fraction;
}

bool fzri_bucket_take(fzri_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t amount, fzr_time now)
{
  const fzr_time capacity = time_for(burst, rate), cost = time_for(amount, rate);
  /* What is missing from a full bucket is the time until it is full again. */
  const fzr_time missing = bucket->full_at > now ? bucket->full_at - now : 0;
  if (cost > capacity || missing > capacity - cost)
    return false;
  const fzr_time full_in = missing + cost;
  bucket->full_at = full_in > UINT64_MAX - now ? UINT64_MAX : now + full_in;
  return true;
}

int fzri_rate_limit_init(fzri_rate_limit *limit, fzri_mem *mem, uint64_t rate, uint64_t burst,
                         const fzri_siphash_key *key)
{
  *limit = (fzri_rate_limit){NULL, rate, burst, *key, mem};
  if (!rate)
    return 0;
  limit->entries = fzri_mem_calloc(mem, (size_t)FZRI_RATE_SETS * FZRI_RATE_WAYS, sizeof *limit->entries);
  return limit->entries ? 0 : FZR_ERR_NO_MEMORY;
}

void fzri_rate_limit_free(fzri_rate_limit *limit)
{
  if (limit->entries)
    fzri_mem_free(limit->mem, limit->entries,
                  (size_t)FZRI_RATE_SETS * FZRI_RATE_WAYS * sizeof *limit->entries);
  limit->entries = NULL;
}

static uint64_t prefix_hash(const fzri_rate_limit *limit, const fzr_addr *source)
{
  uint8_t prefix[7] = {source->family};
  const size_t len = source->family == FZR_FAMILY_IPV4 ? 3 : 6;
  for (size_t i = 0; i < len; i++)
    prefix[1 + i] = source->ip[i];
  const uint64_t hash = fzri_siphash13(&limit->key, prefix, 1 + len);
  return hash ? hash : 1;
}

bool fzri_rate_limit_take(fzri_rate_limit *limit, const fzr_addr *source, fzr_time now)
{
  if (!limit->entries)
    return true;
  const uint64_t tag = prefix_hash(limit, source);
  fzri_rate_entry *set = &limit->entries[(tag & (FZRI_RATE_SETS - 1)) * FZRI_RATE_WAYS];
  fzri_rate_entry *entry = set;
  for (unsigned i = 0; i < FZRI_RATE_WAYS; i++) {
    if (set[i].tag == tag)
      return fzri_bucket_take(&set[i].bucket, limit->rate, limit->burst, 1, now);
    if (set[i].bucket.full_at < entry->bucket.full_at)
      entry = &set[i];
  }
  /* The newcomer takes the bucket as it is, not a full one: or a flood from many prefixes would never run dry. */
  entry->tag = tag;
  return fzri_bucket_take(&entry->bucket, limit->rate, limit->burst, 1, now);
}
