/* SPDX-License-Identifier: Apache-2.0 */
/* Memory is taken before it is needed: while an engine is loaded nobody reads, and what the system has to find, clear and map meanwhile costs a
 * third of that time. */
#include "shared.h"
#include "state.h"

#include "firezone_relay/save.h"

static uint32_t at_most(uint32_t count, uint32_t most)
{
  return count < most ? count : most;
}

int fzr_engine_expect(fzr_engine *e, uint32_t allocations, uint32_t channels, uint32_t permissions)
{
  if (!e)
    return FZR_ERR_INVALID_ARGUMENT;
  if (e->allocations.used || e->channels.used || e->permissions.used)
    return FZR_ERR_INVALID_STATE;
  allocations = at_most(allocations, e->shared->ports);
  channels = at_most(channels, e->max_all_channels);
  permissions = at_most(permissions, e->full ? e->max_all_channels : 0);
  if (!fzri_pool_expect(&e->allocations, allocations) || !fzri_pool_expect(&e->origins, allocations) ||
      !fzri_pool_expect(&e->channels, channels) || !fzri_pool_expect(&e->channel_rests, channels) ||
      !fzri_pool_expect(&e->permissions, permissions))
    return FZR_ERR_NO_MEMORY;
  int error = fzri_map_expect(&e->clients, allocations);
  if (!error)
    error = fzri_map_expect(&e->numbers, channels);
  if (!error)
    error = fzri_map_expect(&e->peers, channels);
  if (!error)
    error = fzri_map_expect(&e->permitted, permissions);
  fzri_shared_expect(e->shared, allocations);
  return error;
}
