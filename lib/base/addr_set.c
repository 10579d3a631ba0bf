/* SPDX-License-Identifier: Apache-2.0 */
#include "addr_set.h"

#include "addr.h"

#include <string.h>

#define SMALLEST 16u
#define LARGEST  (1u << 30)

static uint32_t hash_of(const fzr_addr *addr)
{
  uint64_t words[2];
  memcpy(words, addr->ip, sizeof words);
  uint64_t h = (words[0] ^ addr->family) * 0x9e3779b97f4a7c15u;
  h = (h ^ h >> 32 ^ words[1]) * 0xbf58476d1ce4e5b9u;
  return (uint32_t)(h >> 32);
}

/* The slot of |addr|, or the empty one where it would be. There is an empty one. */
static fzr_addr *find(const fzri_addr_set *set, const fzr_addr *addr)
{
  uint32_t at = hash_of(addr);
  for (;; at++) {
    fzr_addr *slot = &set->slots[at & (set->capacity - 1)];
    if (!slot->family || (slot->family == addr->family && memcmp(slot->ip, addr->ip, sizeof slot->ip) == 0))
      return slot;
  }
}

bool fzri_addr_set_has(const fzri_addr_set *set, const fzr_addr *addr)
{
  return set->count && find(set, addr)->family;
}

bool fzri_addr_set_within(const fzri_addr_set *set, const fzri_addr_set *other)
{
  for (uint32_t i = 0; i < set->capacity; i++)
    if (set->slots[i].family && !fzri_addr_set_has(other, &set->slots[i]))
      return false;
  return true;
}

static void put(fzri_addr_set *set, const fzr_addr *addr)
{
  fzr_addr *slot = find(set, addr);
  if (slot->family)
    return;
  *slot = *addr;
  slot->port = 0;
  slot->scope_id = 0;
  slot->transport = 0;
  set->count++;
}

/* Sees to it that |n| more would fill half of the slots at most. */
static int reserve(fzri_addr_set *set, fzri_mem *mem, size_t n)
{
  uint32_t capacity = set->capacity ? set->capacity : SMALLEST;
  if (n > LARGEST / 2 - set->count)
    return FZR_ERR_NO_MEMORY;
  while (capacity / 2 < set->count + n)
    capacity *= 2;
  if (capacity == set->capacity)
    return 0;
  fzri_addr_set larger = {fzri_mem_calloc(mem, capacity, sizeof *larger.slots), capacity, 0};
  if (!larger.slots)
    return FZR_ERR_NO_MEMORY;
  for (uint32_t i = 0; i < set->capacity; i++)
    if (set->slots[i].family)
      put(&larger, &set->slots[i]);
  fzri_addr_set_free(set, mem);
  *set = larger;
  return 0;
}

int fzri_addr_set_add(fzri_addr_set *set, fzri_mem *mem, const fzr_addr *addrs, size_t n)
{
  const int error = reserve(set, mem, n);
  if (error)
    return error;
  for (size_t i = 0; i < n; i++)
    if (addrs[i].family && !fzri_is_unspecified(&addrs[i]))
      put(set, &addrs[i]);
  return 0;
}

void fzri_addr_set_free(fzri_addr_set *set, fzri_mem *mem)
{
  fzri_mem_free(mem, set->slots, set->capacity * sizeof *set->slots);
  memset(set, 0, sizeof *set);
}
