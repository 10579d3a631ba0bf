/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

int fzr_engine_stats_sized(const fzr_engine *e, fzr_stats *stats, size_t size)
{
  if (!e || !stats || size < sizeof stats->size)
    return FZR_ERR_INVALID_ARGUMENT;
  fzr_stats all = e->stats;
  all.memory_bytes = e->mem.used + (e->owns_shared ? fzri_shared_memory(e->shared) : 0);
  all.size = size < sizeof all ? size : sizeof all;
  if (size > all.size)
    memset((uint8_t *)stats + all.size, 0, size - all.size);
  memcpy(stats, &all, all.size);
  return 0;
}
