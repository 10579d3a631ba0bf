/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include "shared.h"

void fzri_room_is_short(fzr_engine *e, int error)
{
  atomic_store_explicit(&e->shared->short_of, error, memory_order_relaxed);
  atomic_store_explicit(&e->shared->short_until, e->now + FZRI_ROOM_SHORT, memory_order_relaxed);
}

void fzri_room_is_freed(fzr_engine *e)
{
  if (atomic_load_explicit(&e->shared->short_until, memory_order_relaxed))
    atomic_store_explicit(&e->shared->short_until, 0, memory_order_relaxed);
}

int fzr_shared_lacks(const fzr_shared *s, fzr_time now)
{
  if (!s)
    return 0;
  if (atomic_load_explicit(&s->in_use, memory_order_relaxed) >= s->ports)
    return FZR_ERR_NO_PORT;
  return now < atomic_load_explicit(&s->short_until, memory_order_relaxed)
             ? atomic_load_explicit(&s->short_of, memory_order_relaxed)
             : 0;
}
