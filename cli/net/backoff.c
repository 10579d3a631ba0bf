/* SPDX-License-Identifier: Apache-2.0 */
#include "net/backoff.h"

void net_backoff_init(net_backoff *backoff, fzr_time first, fzr_time max)
{
  backoff->max = max != 0 ? max : NET_BACKOFF_MAX;
  backoff->first = first != 0 ? first : NET_BACKOFF_FIRST;
  net_backoff_reset(backoff);
}

static fzr_time capped(const net_backoff *backoff, fzr_time mean)
{
  const fzr_time cap = backoff->max / 3 * 2;
  return mean < cap ? mean : cap;
}

fzr_time net_backoff_next(net_backoff *backoff, uint32_t random)
{
  const fzr_time mean = backoff->current;
  /* mean * random / 2^32 without overflow, to a precision that jitter does not need. */
  const fzr_time spread = (mean >> 16) * (random >> 16) + (((mean & 0xffff) * (random >> 16)) >> 16);
  backoff->current = capped(backoff, mean + mean / 2);
  return mean / 2 + spread;
}

void net_backoff_reset(net_backoff *backoff)
{
  backoff->current = capped(backoff, backoff->first);
}

void net_backoff_relax(net_backoff *backoff, uint64_t times)
{
  const fzr_time least = capped(backoff, backoff->first);
  const fzr_time mean = times < 64 ? backoff->current >> times : 0;
  backoff->current = mean > least ? mean : least;
}
