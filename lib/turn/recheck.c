/* SPDX-License-Identifier: Apache-2.0 */
#include "recheck.h"

#include "channel.h"
#include "log.h"
#include "permission.h"
#include "reach.h"

/* To look at a channel is a small part of the work of expiring one. */
#define LOOKS_PER_ITEM 16u

void fzri_recheck_start(fzr_engine *e, bool all)
{
  if (!fzri_pool_end(&e->channels) && !fzri_pool_end(&e->permissions))
    return;
  e->recheck = e->recheck_permission = 0;
  e->recheck_all = e->recheck_all || all; /* what one pass has not judged, the next one has to */
}

/* |c|'s peer may be the relay's own by now, or no longer, or out of reach for whatever reason. */
static void recheck_channel(fzr_engine *e, fzri_channel *c)
{
  fzri_peer_judgement judgement;
  const fzr_addr *client = &fzri_allocation_at(e, c->allocation)->client;
  const bool own = fzri_peer_policy_is_own(&e->policy, &c->peer);
  /* The listen port's number is no peer's, at whatever address. */
  const bool listens = fzri_peer_policy_listens(&e->policy, c->peer.port);
  if ((own || listens || e->recheck_all) && fzri_peer_check(e, client, &c->peer, false, &judgement)) {
    if (c->relaying)
      fzri_log_revoked(e, FZR_LOG_CHANNEL_REVOKED, fzri_allocation_at(e, c->allocation), &c->peer, c->number,
                       &judgement);
    fzri_channel_end(e, c);
    return;
  }
  fzri_channel_set_own(e, c, own);
}

/* Looks at the channels from e->recheck on, as far as |budget| looks go. Returns how many there were. */
static size_t recheck_channels(fzr_engine *e, size_t budget)
{
  size_t looks = 0;
  for (; e->recheck < fzri_pool_end(&e->channels) && looks < budget; looks++) {
    fzri_channel *c = fzri_channel_at(e, e->recheck++);
    /* Those of a closing allocation end with its events. */
    if (c->number && !c->dead && fzri_allocation_at(e, c->allocation)->state != FZRI_ALLOCATION_CLOSING)
      recheck_channel(e, c);
  }
  return looks;
}

/* The same for permissions. A closing allocation has none. */
static size_t recheck_permissions(fzr_engine *e, size_t budget)
{
  size_t looks = 0;
  for (; e->recheck_permission < fzri_pool_end(&e->permissions) && looks < budget; looks++) {
    const uint32_t index = e->recheck_permission++;
    if (fzri_permission_at(e, index)->used)
      fzri_permission_recheck(e, index, e->recheck_all);
  }
  return looks;
}

size_t fzri_recheck(fzr_engine *e, size_t budget)
{
  const size_t most = budget < SIZE_MAX / LOOKS_PER_ITEM ? budget * LOOKS_PER_ITEM : SIZE_MAX;
  size_t looks = recheck_channels(e, most);
  looks += recheck_permissions(e, most - looks);
  if (e->recheck >= fzri_pool_end(&e->channels) && e->recheck_permission >= fzri_pool_end(&e->permissions)) {
    e->recheck = e->recheck_permission = FZRI_POOL_NONE;
    e->recheck_all = false;
  }
  return looks / LOOKS_PER_ITEM + (looks % LOOKS_PER_ITEM != 0);
}
