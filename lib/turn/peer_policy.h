/* SPDX-License-Identifier: Apache-2.0 */
/* Which peers a client may name: the scope rule and CIDR rules. */
#ifndef FZRI_PEER_POLICY_H
#define FZRI_PEER_POLICY_H

#include "../base/mem.h"
#include "firezone_relay/engine.h"

typedef struct fzri_peer_policy {
  fzr_peer_rule *rules;
  size_t rule_count;
  fzr_addr *own; /* public and bind addresses, ports 0; wildcards left out */
  size_t own_count;
  size_t own_room;     /* what `own` was taken for */
  uint16_t *own_ports; /* never reachable on own addresses: listen, health, control */
  size_t own_port_count;
  uint16_t lowest_port, highest_port;
  uint8_t scope[3]; /* by family: that of the public address; peers below it are out of reach */
  fzri_mem *mem;
} fzri_peer_policy;

/* Copies what it needs of |config| (whose zero ports were already replaced by the defaults). Returns 0,
 * FZR_ERR_CONFIG_ADDRESS (a public address that nobody can have), FZR_ERR_CONFIG_RULE, or FZR_ERR_NO_MEMORY. */
int fzri_peer_policy_init(fzri_peer_policy *policy, fzri_mem *mem, const fzr_config *config);
void fzri_peer_policy_free(fzri_peer_policy *policy);

/* Whether |peer| may be reached by the built-in rules. */
bool fzri_peer_policy_allows(const fzri_peer_policy *policy, const fzr_addr *peer);
/* Whether |peer|'s address is one of the relay's own. */
bool fzri_peer_policy_is_own(const fzri_peer_policy *policy, const fzr_addr *peer);

#endif
