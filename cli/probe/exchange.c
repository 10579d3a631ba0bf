/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include <string.h>

#define FIRST_WAIT (250 * FZR_MILLISECOND)

void probe_exchange_start(probe_exchange *x, bool is_stream, fzr_time patience, fzr_time now)
{
  x->sent = 0;
  x->is_stream = is_stream;
  x->began = x->next = now;
  x->end = now + patience;
}

bool probe_exchange_is_due(probe_exchange *x, fzr_time now)
{
  if (!x->len || now < x->next || now >= x->end)
    return false;
  /* Twice as long each time; on a stream once. */
  x->next = x->is_stream ? x->end : now + (FIRST_WAIT << x->sent);
  x->sent++;
  return true;
}

bool probe_exchange_is_over(const probe_exchange *x, fzr_time now)
{
  return x->len && now >= x->end;
}

fzr_time probe_exchange_deadline(const probe_exchange *x)
{
  return !x->len ? FZR_TIME_NEVER : x->next < x->end ? x->next : x->end;
}

bool probe_exchange_takes(const probe_exchange *x, const fzr_stun_msg *msg)
{
  return x->len && (msg->cls == FZR_STUN_SUCCESS || msg->cls == FZR_STUN_ERROR) &&
         memcmp(fzr_stun_txid(msg), x->txid, FZR_STUN_TXID_LEN) == 0;
}
