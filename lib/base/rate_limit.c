/* SPDX-License-Identifier: Apache-2.0 */
#include "rate_limit.h"

#include "precondition.h"

#include <string.h>

/* |rest| of |rate| tokens, rest < rate, as a part of a second, rounded up. */
static uint64_t fraction_for(uint64_t rest, uint64_t rate)
{
#ifdef __SIZEOF_INT128__
  __extension__ typedef unsigned __int128 wide;
  return (uint64_t)(((wide)rest * FZR_SECOND + rate - 1) / rate);
#else
  /* Long division, a decimal place of the nine at a time. Of rates that leave no room for ten times as much, the last bits go: that is
   * less than a nanosecond. */
  for (; rate > UINT64_MAX / 10; rate >>= 1)
    rest = (rest >> 1) + (rest & 1);
  uint64_t fraction = 0;
  for (uint64_t place = FZR_SECOND / 10; place; place /= 10) {
    rest *= 10;
    fraction += rest / rate * place;
    rest %= rate;
  }
  return fraction + (rest != 0);
#endif
}

/* |tokens| at |rate| a second as time: rounded up, saturating. */
static fzr_time time_for(uint64_t tokens, uint64_t rate)
{
  const uint64_t seconds = tokens / rate, rest = tokens % rate;
  if (seconds >= UINT64_MAX / FZR_SECOND)
    return UINT64_MAX;
  return seconds * FZR_SECOND + fraction_for(rest, rate);
}

bool fzri_bucket_has(const fzri_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t amount, fzr_time now)
{
  fzri_bucket copy = *bucket;
  return fzri_bucket_take(&copy, rate, burst, amount, now);
}

bool fzri_bucket_take(fzri_bucket *bucket, uint64_t rate, uint64_t burst, uint64_t amount, fzr_time now)
{
  FZRI_ASSERT(rate);
  const fzr_time capacity = time_for(burst, rate), cost = time_for(amount, rate);
  /* What is missing from a full bucket is the time until it is full again: no longer than it takes to fill an empty one, though what
   * was taken was taken at another rate. */
  fzr_time missing = bucket->full_at > now ? bucket->full_at - now : 0;
  if (missing > capacity) {
    missing = capacity;
    bucket->full_at = now + capacity;
  }
  if (cost > capacity || missing > capacity - cost)
    return false;
  const fzr_time full_in = missing + cost;
  bucket->full_at = full_in > UINT64_MAX - now ? UINT64_MAX : now + full_in;
  return true;
}

int fzri_rate_limit_init(fzri_rate_limit *limit, fzri_mem *mem, uint64_t rate, uint64_t burst,
                         const fzri_siphash_key *key)
{
  FZRI_ASSERT(!rate || burst);
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

static uint64_t tag_of(const fzri_rate_limit *limit, const void *bytes, size_t len)
{
  if (!limit->entries)
    return 0;
  const uint64_t hash = fzri_siphash13(&limit->key, bytes, len);
  return hash ? hash : 1;
}

uint64_t fzri_rate_prefix(const fzri_rate_limit *limit, const fzr_addr *source, unsigned kind)
{
  uint8_t prefix[8] = {source->family, (uint8_t)kind};
  const size_t len = source->family == FZR_FAMILY_IPV4 ? 3 : 6;
  memcpy(prefix + 2, source->ip, len);
  return tag_of(limit, prefix, 2 + len);
}

uint64_t fzri_rate_tuple(const fzri_rate_limit *limit, const fzr_addr *client, const fzr_addr *server,
                         unsigned kind)
{
  uint8_t tuple[1 + 2 * sizeof *client] = {(uint8_t)kind};
  memcpy(tuple + 1, client, sizeof *client);
  memcpy(tuple + 1 + sizeof *client, server, sizeof *server);
  return tag_of(limit, tuple, sizeof tuple);
}

uint64_t fzri_rate_each(const fzri_rate_limit *limit, uint64_t who, uint64_t what)
{
  const uint64_t both[] = {who, what};
  return tag_of(limit, both, sizeof both);
}

/* The bucket of |who|, or the one of its set that is nearest to full. */
static fzri_rate_entry *find(const fzri_rate_limit *limit, uint64_t who)
{
  FZRI_ASSERT(who);
  fzri_rate_entry *set = &limit->entries[(who & (FZRI_RATE_SETS - 1)) * FZRI_RATE_WAYS];
  fzri_rate_entry *entry = set;
  for (unsigned i = 0; i < FZRI_RATE_WAYS; i++) {
    if (set[i].tag == who)
      return &set[i];
    if (set[i].bucket.full_at < entry->bucket.full_at)
      entry = &set[i];
  }
  return entry;
}

bool fzri_rate_limit_take(fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now)
{
  if (!limit->entries)
    return true;
  fzri_rate_entry *entry = find(limit, who);
  entry->tag = who;
  return fzri_bucket_take(&entry->bucket, limit->rate, limit->burst, amount, now);
}

bool fzri_rate_limit_has(const fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now)
{
  return !limit->entries ||
         fzri_bucket_has(&find(limit, who)->bucket, limit->rate, limit->burst, amount, now);
}

bool fzri_rate_limit_take_own(fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now)
{
  if (!limit->entries)
    return true;
  fzri_rate_entry *entry = find(limit, who);
  if (entry->tag != who)
    *entry = (fzri_rate_entry){who, {0}};
  return fzri_bucket_take(&entry->bucket, limit->rate, limit->burst, amount, now);
}

bool fzri_rate_limit_has_own(const fzri_rate_limit *limit, uint64_t who, uint64_t amount, fzr_time now)
{
  if (!limit->entries)
    return true;
  const fzri_rate_entry *entry = find(limit, who);
  const fzri_bucket full = {0};
  return fzri_bucket_has(entry->tag == who ? &entry->bucket : &full, limit->rate, limit->burst, amount, now);
}
