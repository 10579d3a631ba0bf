/* SPDX-License-Identifier: Apache-2.0 */
#include "shared.h"

#include "users.h"

#define PAGE 4096u /* of the system's memory, or a part of one */

int fzr_shared_new(uint16_t lowest, uint16_t highest, const fzr_mem *hooks, fzr_shared **out)
{
  fzri_mem mem;
  if (!out)
    return FZR_ERR_INVALID_ARGUMENT;
  if (!lowest || lowest > highest)
    return FZR_ERR_CONFIG_PORTS;
  const int error = fzri_mem_init(&mem, hooks);
  if (error)
    return error;
  fzr_shared *s = fzri_mem_zalloc(&mem, sizeof *s);
  if (!s)
    return FZR_ERR_NO_MEMORY;
  s->mem = mem; /* which counts this object, too */
  s->lowest = lowest;
  s->highest = highest;
  s->ports = (uint32_t)highest - lowest + 1;
  s->words = (s->ports + 63) / 64;
  s->user_mask = fzri_shared_user_slots(s->ports) - 1;
  s->used = fzri_mem_calloc(&s->mem, s->words, sizeof *s->used);
  s->rest = fzri_mem_calloc(&s->mem, s->ports, sizeof *s->rest);
  s->users = fzri_mem_calloc(&s->mem, (size_t)s->user_mask + 1, sizeof *s->users);
  s->marked = fzri_mem_calloc(&s->mem, s->words, sizeof *s->marked);
  for (unsigned i = 0; i < 2; i++)
    s->live[i] = fzri_mem_calloc(&s->mem, s->words, sizeof *s->live[i]);
  if (!s->used || !s->rest || !s->users || !s->marked || !s->live[0] || !s->live[1]) {
    fzr_shared_free(s);
    return FZR_ERR_NO_MEMORY;
  }
  if (s->ports % 64)
    atomic_store(&s->used[s->words - 1], ~(uint64_t)0 << s->ports % 64);
  *out = s;
  return 0;
}

void fzr_shared_free(fzr_shared *s)
{
  if (!s)
    return;
  fzri_mem mem = s->mem;
  fzri_mem_free(&mem, (void *)s->used, s->words * sizeof *s->used);
  fzri_mem_free(&mem, (void *)s->marked, s->words * sizeof *s->marked);
  fzri_mem_free(&mem, (void *)s->rest, s->ports * sizeof *s->rest);
  for (unsigned i = 0; i < 2; i++)
    fzri_mem_free(&mem, (void *)s->live[i], s->words * sizeof *s->live[i]);
  fzri_mem_free(&mem, (void *)s->users, ((size_t)s->user_mask + 1) * sizeof *s->users);
  fzri_mem_free(&mem, (void *)atomic_load(&s->moved_slots), ((size_t)s->user_mask + 1) * sizeof *s->users);
  fzri_mem_free(&mem, s, sizeof *s);
}

/* Writes to each page of the |count| numbers at |table|, and changes none. */
static void touch(_Atomic uint64_t *table, uint32_t count)
{
  for (uint32_t i = 0; i < count; i += PAGE / sizeof *table)
    atomic_fetch_or_explicit(&table[i], 0, memory_order_relaxed);
}

void fzri_shared_expect(fzr_shared *s, uint32_t users)
{
  const uint32_t slots = s->user_mask + 1;
  if (users < slots / (PAGE / sizeof *s->users))
    return; /* most of its pages stay unused */
  touch(s->users, slots);
  touch(s->rest, s->ports);
}

void fzri_shared_set_live(fzr_shared *s, uint16_t port, uint8_t family, bool live)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  const uint64_t bit = (uint64_t)1 << i % 64;
  _Atomic uint64_t *word = &s->live[family == FZR_FAMILY_IPV6][i / 64];
  if (live)
    atomic_fetch_or(word, bit);
  else
    atomic_fetch_and(word, ~bit);
}

uint64_t fzri_shared_memory(const fzr_shared *s)
{
  return s->mem.used;
}

bool fzri_shared_covers(const fzr_shared *s, uint16_t lowest, uint16_t highest)
{
  return s->lowest == lowest && s->highest == highest;
}

bool fzri_shared_channel_enter(fzr_shared *s, uint32_t limit)
{
  uint32_t count = atomic_load_explicit(&s->channels, memory_order_relaxed);
  while (count < limit)
    if (atomic_compare_exchange_weak_explicit(&s->channels, &count, count + 1, memory_order_relaxed,
                                              memory_order_relaxed))
      return true;
  return false;
}

void fzri_shared_channels_leave(fzr_shared *s, uint32_t count)
{
  atomic_fetch_sub_explicit(&s->channels, count, memory_order_relaxed);
}
