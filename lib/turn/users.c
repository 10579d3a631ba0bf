/* SPDX-License-Identifier: Apache-2.0 */
#include "users.h"

/* A user's slot: the upper 46 bits name him, the next two say what the lower 16 are: the number of his allocations, or the port of
 * the newest one; or the port of an allocation whose client has moved, for the upper bits may name a 5-tuple, too. A slot where they are 0
 * may be taken by another. Clients that have moved have a table of their own, so that users find room however many there are. */
#define COUNT_MASK 0xffffu
#define PROBES     64u

#define KIND_BITS ((uint64_t)3 << 16)

enum kind { KIND_COUNT = 0, KIND_NEWEST = 1, KIND_MOVED = 2 };

uint32_t fzri_shared_user_slots(uint32_t ports)
{
  uint32_t slots = PROBES;
  while (slots < 2 * ports)
    slots *= 2;
  return slots;
}

int fzri_shared_user_key(fzr_shared *s, fzr_random_fn random, void *random_ctx, fzri_siphash_key *key)
{
  uint64_t words[2];
  for (unsigned i = 0; i < 2; i++) {
    words[i] = atomic_load(&s->user_key[i]);
    if (words[i])
      continue;
    uint64_t drawn = 0, unset = 0;
    if (random(random_ctx, (uint8_t *)&drawn, sizeof drawn))
      return FZR_ERR_NO_RANDOM;
    drawn += !drawn;
    /* Whichever engine is first: each word is set once. */
    words[i] = atomic_compare_exchange_strong(&s->user_key[i], &unset, drawn) ? drawn : unset;
  }
  *key = (fzri_siphash_key){words[0], words[1]};
  return 0;
}

int fzri_shared_make_moved(fzr_shared *s)
{
  const size_t slots = (size_t)s->user_mask + 1;
  if (atomic_load(&s->moved_slots))
    return 0;
  fzri_mem mem = s->mem; /* what that counts is not for several threads */
  _Atomic uint64_t *made = fzri_mem_calloc(&mem, slots, sizeof *made), *none = NULL;
  if (!made)
    return FZR_ERR_NO_MEMORY;
  if (!atomic_compare_exchange_strong(&s->moved_slots, &none, made))
    fzri_mem_free(&mem, (void *)made, slots * sizeof *made); /* another engine was first */
  return 0;
}

bool fzri_shared_set_user_key(fzr_shared *s, const fzri_siphash_key *key)
{
  const uint64_t words[2] = {key->k0, key->k1};
  for (unsigned i = 0; i < 2; i++) {
    uint64_t unset = 0;
    if (!atomic_compare_exchange_strong(&s->loaded_key[i], &unset, words[i]) && unset != words[i])
      return false;
  }
  for (unsigned i = 0; i < 2; i++)
    atomic_store(&s->user_key[i], words[i]);
  return true;
}

/* |kind| keeps the uses of the table apart. */
static uint64_t user_tag(uint64_t user, enum kind kind)
{
  const uint64_t tag = user & ~(KIND_BITS | COUNT_MASK);
  return (tag ? tag : KIND_BITS + COUNT_MASK + 1) | (uint64_t)kind << 16;
}

/* The table for |kind|; NULL: there is none. */
static _Atomic uint64_t *table_for(const fzr_shared *s, enum kind kind)
{
  return kind == KIND_MOVED ? atomic_load(&s->moved_slots) : s->users;
}

/* The slot of |user|, in use, or NULL. *|vacant| gets the first one that could. */
static _Atomic uint64_t *find_user(const fzr_shared *s, uint64_t user, enum kind kind,
                                   _Atomic uint64_t **vacant)
{
  const uint64_t tag = user_tag(user, kind);
  _Atomic uint64_t *table = table_for(s, kind);
  *vacant = NULL;
  for (uint32_t i = 0; table && i < PROBES; i++) {
    _Atomic uint64_t *slot = &table[((uint32_t)(tag >> 16) + i) & s->user_mask];
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
  const uint64_t tag = user_tag(user, KIND_COUNT);
  const uint64_t most = limit < COUNT_MASK ? limit : COUNT_MASK;
  for (;;) {
    _Atomic uint64_t *vacant;
    _Atomic uint64_t *slot = find_user(s, user, KIND_COUNT, &vacant);
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
  _Atomic uint64_t *slot = find_user(s, user, KIND_COUNT, &vacant);
  if (slot)
    atomic_fetch_sub(slot, 1);
}

/* Makes |port| that of |user|, and *|older| the one before, or 0. Returns whether there was room for him. */
static bool set_port(fzr_shared *s, uint64_t user, enum kind kind, uint16_t port, uint16_t *older)
{
  const uint64_t tag = user_tag(user, kind);
  for (;;) {
    _Atomic uint64_t *vacant;
    _Atomic uint64_t *slot = find_user(s, user, kind, &vacant);
    if (!slot)
      slot = vacant;
    if (!slot)
      return false;
    uint64_t value = atomic_load(slot);
    const bool mine = (value & ~(uint64_t)COUNT_MASK) == tag;
    if (value & COUNT_MASK && !mine)
      continue; /* the vacant slot was taken meanwhile */
    *older = mine ? (uint16_t)value : 0;
    if (atomic_compare_exchange_strong(slot, &value, tag | port))
      return true;
  }
}

static uint16_t port_of(fzr_shared *s, uint64_t user, enum kind kind)
{
  _Atomic uint64_t *vacant;
  const _Atomic uint64_t *slot = find_user(s, user, kind, &vacant);
  return slot ? (uint16_t)atomic_load(slot) : 0;
}

/* Returns how many slots it has emptied: shards that raced for a new user may have left him two. */
static unsigned unset_port(fzr_shared *s, uint64_t user, enum kind kind, uint16_t port)
{
  const uint64_t tag = user_tag(user, kind);
  _Atomic uint64_t *table = table_for(s, kind);
  unsigned n = 0;
  for (uint32_t i = 0; table && i < PROBES; i++) {
    _Atomic uint64_t *slot = &table[((uint32_t)(tag >> 16) + i) & s->user_mask];
    uint64_t value = tag | port;
    if (atomic_load(slot) == value) /* cheaper than a locked instruction for each */
      n += atomic_compare_exchange_strong(slot, &value, tag);
  }
  return n;
}

bool fzri_shared_set_newest(fzr_shared *s, uint64_t user, uint16_t port, uint16_t *older)
{
  return set_port(s, user, KIND_NEWEST, port, older);
}

uint16_t fzri_shared_newest(fzr_shared *s, uint64_t user)
{
  return port_of(s, user, KIND_NEWEST);
}

void fzri_shared_unset_newest(fzr_shared *s, uint64_t user, uint16_t port)
{
  unset_port(s, user, KIND_NEWEST, port);
}

bool fzri_shared_set_moved(fzr_shared *s, uint64_t client, uint16_t port)
{
  uint16_t older;
  if (!set_port(s, client, KIND_MOVED, port, &older))
    return false;
  if (!older)
    atomic_fetch_add(&s->moved, 1);
  return true;
}

uint16_t fzri_shared_claim_moved(fzr_shared *s, uint64_t client, uint16_t port)
{
  uint16_t older, undone;
  if (!set_port(s, client, KIND_MOVED, port, &older))
    return 0;
  if (older && older != port) {
    set_port(s, client, KIND_MOVED, older, &undone);
    return older;
  }
  if (!older)
    atomic_fetch_add(&s->moved, 1);
  return port;
}

uint16_t fzri_shared_moved(fzr_shared *s, uint64_t client)
{
  return port_of(s, client, KIND_MOVED);
}

void fzri_shared_unset_moved(fzr_shared *s, uint64_t client, uint16_t port)
{
  atomic_fetch_sub(&s->moved, unset_port(s, client, KIND_MOVED, port));
}

void fzri_shared_mark(fzr_shared *s, uint16_t port)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  atomic_fetch_or(&s->marked[i / 64], (uint64_t)1 << i % 64);
  atomic_fetch_add(&s->marks, 1);
}

void fzri_shared_unmark(fzr_shared *s, uint16_t port)
{
  const uint32_t i = (uint32_t)port - s->lowest;
  const uint64_t bit = (uint64_t)1 << i % 64;
  if (atomic_load(&s->marked[i / 64]) & bit)
    atomic_fetch_and(&s->marked[i / 64], ~bit);
}

uint32_t fzri_shared_marks(const fzr_shared *s)
{
  return atomic_load(&s->marks);
}

uint16_t fzri_shared_next_mark(const fzr_shared *s, uint16_t after)
{
  uint32_t i = after < s->lowest ? 0 : (uint32_t)after - s->lowest + 1;
  for (; i < s->ports; i = (i | 63) + 1) {
    const uint64_t bits = atomic_load_explicit(&s->marked[i / 64], memory_order_relaxed) >> i % 64;
    if (bits)
      return (uint16_t)(s->lowest + i + (uint32_t)__builtin_ctzll(bits));
  }
  return 0;
}
