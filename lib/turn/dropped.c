/* SPDX-License-Identifier: Apache-2.0 */
#include "dropped.h"

#include "allocation.h"
#include "log.h"

static void tell(const fzr_engine *e, enum fzr_log_level level, const fzri_allocation *a,
                 const fzr_addr *client, const fzr_addr *peer, enum fzr_drop_reason reason)
{
  fzr_log_record record = fzri_log_record(e, level, FZR_LOG_INDICATION_DROPPED);
  record.method = FZR_STUN_SEND;
  record.client = client;
  record.port = a ? a->port : 0;
  record.peer = peer;
  record.drop_reason = (uint8_t)reason;
  e->log(e->log_ctx, &record);
}

void fzri_dropped_send(fzr_engine *e, const fzri_allocation *a, const fzr_addr *client, const fzr_addr *peer,
                       enum fzr_drop_reason reason)
{
  if (fzri_log_wants(e, FZR_LOG_DEBUG) &&
      fzri_told_dropped(e->told, client, a ? a->port : 0, (unsigned)reason, e->now))
    tell(e, FZR_LOG_DEBUG, a, client, peer, reason);
}

void fzri_dropped_by_mode(fzr_engine *e, const fzr_addr *client, const fzr_addr *server)
{
  const bool debug = fzri_log_wants(e, FZR_LOG_DEBUG);
  if (!debug && (!fzri_log_wants(e, FZR_LOG_INFO) || fzri_told_has_mode(e->told, e->now)))
    return;
  const fzri_allocation *a = fzri_allocation_find(e, client, server);
  if (a && fzri_told_mode(e->told, e->now))
    tell(e, FZR_LOG_INFO, a, client, NULL, FZR_DROP_STUN_NOT_REQUEST);
  else
    fzri_dropped_send(e, a, client, NULL, FZR_DROP_STUN_NOT_REQUEST);
}
