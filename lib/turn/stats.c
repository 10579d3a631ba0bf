/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

int fzr_engine_stats(const fzr_engine *e, fzr_stats *stats)
{
  if (!e || !stats || stats->size < sizeof stats->size)
    return FZR_ERR_INVALID_ARGUMENT;
  fzr_stats all = e->stats;
  all.size = stats->size;
  all.memory_bytes = e->mem.used + (e->owns_shared ? fzri_shared_memory(e->shared) : 0);
  const size_t known = stats->size < sizeof all ? stats->size : sizeof all;
  if (stats->size > known)
    memset((uint8_t *)stats + known, 0, stats->size - known);
  memcpy(stats, &all, known);
  return 0;
}
