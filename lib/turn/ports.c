/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include <stdatomic.h>
#include <string.h>

/* A free port is found by guessing, which is uniform as long as it hits; when the range is nearly full, by rank among what is
 * free, which looks at 64 ports at a time: 256 words for the default range, of which nearly all are full and passed over.
 * Measured: see docs/benchmarks.md. */
#define GUESSES 24u

/* A user's slot: the upper 48 bits name him, the lower 16 count. A slot whose count is 0 may be taken by another. */
#define COUNT_MASK 0xffffu
#define PROBES     64u

struct fzr_shared {
  fzri_mem mem;
  uint16_t lowest, highest;
  uint32_t ports;
  uint32_t words;
  uint32_t user_mask; /* slots - 1 */
  _Atomic uint32_t in_use;
  _Atomic uint64_t *used; /* a bit per port, 1 = taken; bits past the range are 1 */
  _Atomic uint64_t *users;
};

static uint32_t user_slots(uint32_t ports)
{
  uint32_t slots = PROBES;
  while (slots < 2 * ports)
    slots *= 2;
  return slots;
}

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
  s->user_mask = user_slots(s->ports) - 1;
  s->used = fzri_mem_calloc(&s->mem, s->words, sizeof *s->used);
  s->users = fzri_mem_calloc(&s->mem, (size_t)s->user_mask + 1, sizeof *s->users);
  if (!s->used || !s->users) {
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
  fzri_mem_free(&mem, (void *)s->users, ((size_t)s->user_mask + 1) * sizeof *s->users);
  fzri_mem_free(&mem, s, sizeof *s);
}

uint32_t fzr_shared_ports_in_use(const fzr_shared *s)
{
  return s ? atomic_load(&s->in_use) : 0;
}

uint64_t fzri_shared_memory(const fzr_shared *s)
{
  return s->mem.used;
}

bool fzri_shared_covers(const fzr_shared *s, uint16_t lowest, uint16_t highest)
{
  return s->lowest == lowest && s->highest == highest;
}

/* Takes port number |i| of the range if it is free. Looking first is cheaper than a locked instruction for each wrong guess. */
static bool take(fzr_shared *s, uint32_t i)
{
  const uint64_t bit = (uint64_t)1 << i % 64;
  if (atomic_load_explicit(&s->used[i / 64], memory_order_relaxed) & bit)
    return false;
  return !(atomic_fetch_or(&s->used[i / 64], bit) & bit);
}

/* Without a table: processors older than the instruction for it are still about. */
static uint32_t count_bits(uint64_t x)
{
  x -= x >> 1 & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return (uint32_t)(x * 0x0101010101010101u >> 56);
}

/* The number of the |rank|-th free port, or |s->ports| if there are fewer by now. */
static uint32_t free_by_rank(fzr_shared *s, uint32_t rank)
{
  for (uint32_t w = 0; w < s->words; w++) {
    uint64_t bits = ~atomic_load_explicit(&s->used[w], memory_order_relaxed);
    if (!bits)
      continue;
    const uint32_t here = count_bits(bits);
    if (rank >= here) {
      rank -= here;
      continue;
    }
    while (rank--)
      bits &= bits - 1;
    return w * 64 + (uint32_t)__builtin_ctzll(bits);
  }
  return s->ports;
}

static uint32_t count_free(fzr_shared *s)
{
  uint32_t n = 0;
  for (uint32_t w = 0; w < s->words; w++) {
    const uint64_t bits = ~atomic_load_explicit(&s->used[w], memory_order_relaxed);
    if (bits)
      n += count_bits(bits);
  }
  return n;
}

/* splitmix64: more bits from those the caller drew. */
static uint64_t next_random(uint64_t *state)
{
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* A number below |n|, uniform to one part in 2^32 or better. */
static uint32_t below(uint64_t *state, uint32_t n)
{
  return (uint32_t)((next_random(state) >> 32) * n >> 32);
}

static uint32_t find(fzr_shared *s, uint64_t random)
{
  for (unsigned i = 0; i < GUESSES; i++) {
    const uint32_t guess = below(&random, s->ports);
    if (take(s, guess))
      return guess;
  }
  for (;;) {
    const uint32_t left = count_free(s);
    if (!left)
      return s->ports;
    const uint32_t found = free_by_rank(s, below(&random, left));
    if (found < s->ports && take(s, found))
      return found;
    /* Another shard was faster: there is progress, so this ends. */
  }
}

uint16_t fzri_shared_take_port(fzr_shared *s, uint64_t random)
{
  const uint32_t found = find(s, random);
  if (found == s->ports)
    return 0;
  atomic_fetch_add(&s->in_use, 1);
  return (uint16_t)(s->lowest + found);
}

void fzri_shared_give_port(fzr_shared *s, uint16_t port)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  atomic_fetch_and(&s->used[i / 64], ~((uint64_t)1 << i % 64));
  atomic_fetch_sub(&s->in_use, 1);
}

static uint64_t user_tag(uint64_t user)
{
  const uint64_t tag = user & ~(uint64_t)COUNT_MASK;
  return tag ? tag : (uint64_t)COUNT_MASK + 1;
}

/* The slot that counts |tag| now, or NULL. *|vacant| gets the first one that could. */
static _Atomic uint64_t *find_user(fzr_shared *s, uint64_t tag, _Atomic uint64_t **vacant)
{
  *vacant = NULL;
  for (uint32_t i = 0; i < PROBES; i++) {
    _Atomic uint64_t *slot = &s->users[((uint32_t)(tag >> 16) + i) & s->user_mask];
    const uint64_t value = atomic_load(slot);
    if ((value & ~(uint64_t)COUNT_MASK) == tag && (value & COUNT_MASK))
      return slot;
    if (!(value & COUNT_MASK) && !*vacant)
      *vacant = slot;
  }
  return NULL;
}

bool fzri_shared_user_enter(fzr_shared *s, uint64_t user, uint32_t limit)
{
  const uint64_t tag = user_tag(user);
  const uint64_t most = limit < COUNT_MASK ? limit : COUNT_MASK;
  for (;;) {
    _Atomic uint64_t *vacant;
    _Atomic uint64_t *slot = find_user(s, tag, &vacant);
    if (!slot && !vacant)
      return false; /* as good as impossible: 64 users in a row, in a table twice as large as the range */
    uint64_t value = atomic_load(slot ? slot : vacant);
    const bool mine = (value & ~(uint64_t)COUNT_MASK) == tag;
    const uint64_t count = value & COUNT_MASK;
    if (count && !mine)
      continue; /* the vacant slot was taken meanwhile */
    if (count >= most)
      return false;
    if (atomic_compare_exchange_strong(slot ? slot : vacant, &value, tag | (count + 1)))
      return true;
  }
}

void fzri_shared_user_leave(fzr_shared *s, uint64_t user)
{
  _Atomic uint64_t *vacant;
  _Atomic uint64_t *slot = find_user(s, user_tag(user), &vacant);
  if (slot)
    atomic_fetch_sub(slot, 1);
}
