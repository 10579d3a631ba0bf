/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's state as a file. load.c reads it, save_objects.h has its records, record.h their frames, and docs/state-format.md says what each
 * of them is. */
#include "save_objects.h"
#include "saved_counters.h"

static void save_allocations(fzri_writer *w, const fzr_engine *e)
{
  for (uint32_t i = 0; i < fzri_pool_end(&e->allocations); i++) {
    const fzri_allocation *a = fzri_allocation_at(e, i);
    if (!fzri_is_saved(a))
      continue;
    fzri_save_allocation(w, e, a);
    fzri_save_extra(w, e, a);
    fzri_save_channels(w, e, a);
  }
}

/* In the order in which they lapse. Those that are closing or being opened have none. */
static void save_permissions(fzri_writer *w, const fzr_engine *e)
{
  uint32_t index = e->oldest_permission;
  for (; index != FZRI_POOL_NONE; index = fzri_permission_at(e, index)->newer)
    fzri_save_permission(w, e, fzri_permission_at(e, index));
}

int fzr_engine_save(const fzr_engine *e, fzr_save_fn write, void *ctx, fzr_time now)
{
  fzri_writer w;
  if (!e || !write)
    return FZR_ERR_INVALID_ARGUMENT;
  fzri_writer_init(&w, write, ctx, now > e->now ? now : e->now);
  fzri_save_engine(&w, e);
  fzri_counters_write(&w, &e->stats);
  save_allocations(&w, e);
  save_permissions(&w, e);
  fzri_save_ports(&w, e);
  return fzri_writer_finish(&w);
}
