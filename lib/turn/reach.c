/* SPDX-License-Identifier: Apache-2.0 */
#include "reach.h"

#include "peer_scope.h"

unsigned fzri_peer_family(const fzri_allocation *a, fzr_addr *peer)
{
  if (fzri_is_mapped(peer) && a->families & FZRI_V4)
    *peer = fzr_addr_ipv4(peer->ip + 12, peer->port);
  return a->families & fzri_family_bit(peer->family) ? 0 : 443;
}

unsigned fzri_peer_check(const fzr_engine *e, const fzr_addr *client, const fzr_addr *peer, bool any_port,
                         fzri_peer_judgement *out)
{
  bool allowed = fzri_peer_policy_judge(&e->policy, peer, any_port, out) == FZR_PEER_ALLOWED;
  if (e->policy_fn) {
    fzr_addr asked = *peer;
    if (any_port && !asked.port)
      asked.port = e->lowest_port;
    if (!e->policy_fn(e->policy_ctx, client, &asked, allowed)) {
      if (allowed)
        *out = (fzri_peer_judgement){.reason = FZR_PEER_APPLICATION, .about = *peer};
      return 403;
    }
    allowed = true;
  }
  if (!allowed)
    return 403;
  return fzri_is_mapped(peer) ? 443 : 0;
}
