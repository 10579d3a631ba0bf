/* SPDX-License-Identifier: Apache-2.0 */
#include "users.h"

/* A user's slot: the upper 48 bits name him, the lower 16 count. A slot whose count is 0 may be taken by another. */
#define COUNT_MASK 0xffffu
#define PROBES     64u

uint32_t fzri_shared_user_slots(uint32_t ports)
{
  uint32_t slots = PROBES;
  while (slots < 2 * ports)
    slots *= 2;
  return slots;
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
