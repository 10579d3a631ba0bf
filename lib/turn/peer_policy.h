/* SPDX-License-Identifier: Apache-2.0 */
/* Which peers a client may name: the scope rule and CIDR rules. */
#ifndef FZRI_PEER_POLICY_H
#define FZRI_PEER_POLICY_H

#include "../base/addr_set.h"
#include "../base/mem.h"
#include "firezone_relay/engine.h"

#define FZRI_PORT_STUN 3478u /* IANA's, for STUN and TURN */

typedef struct fzri_peer_policy {
  fzr_peer_rule *rules;
  size_t rule_count;
  bool port_rules; /* some of them are about one port */
  fzr_addr *own;   /* public and bind addresses, ports and transports 0; wildcards left out */
  size_t own_count;
  size_t own_room;     /* what `own` was taken for */
  fzri_addr_set host;  /* the host's own, as they come and go */
  uint16_t *own_ports; /* never reachable on own addresses: listen ports (first), health, control */
  size_t listen_port_count;
  size_t own_port_count;
  uint16_t lowest_port, highest_port;
  uint8_t scope[3]; /* by family: that of the public address; peers below it are out of reach */
  fzri_mem *mem;
} fzri_peer_policy;

/* Copies what it needs of |config| (whose zero ports were already replaced by the defaults). Returns 0,
 * FZR_ERR_CONFIG_ADDRESS (a public address that nobody can have), FZR_ERR_CONFIG_RULE, or FZR_ERR_NO_MEMORY. */
int fzri_peer_policy_init(fzri_peer_policy *policy, fzri_mem *mem, const fzr_config *config);
void fzri_peer_policy_free(fzri_peer_policy *policy);

/* Puts the |count| rules at |rules| in place of those that there are. Returns 0, FZR_ERR_CONFIG_RULE or FZR_ERR_NO_MEMORY; after an
 * error nothing has changed. */
int fzri_peer_policy_set_rules(fzri_peer_policy *policy, const fzr_peer_rule *rules, size_t count);

/* Adds a port that the relay listens on. Returns 1 if it was added, 0 if it was there, or FZR_ERR_NO_MEMORY. */
int fzri_peer_policy_add_port(fzri_peer_policy *policy, uint16_t port);
/* Whether the relay listens on |port|. */
bool fzri_peer_policy_listens(const fzri_peer_policy *policy, uint16_t port);

/* Whether relays listen on |port|, this one or others. */
static inline bool fzri_peer_policy_relays_at(const fzri_peer_policy *policy, uint16_t port)
{
  return port == FZRI_PORT_STUN || fzri_peer_policy_listens(policy, port);
}

/* Whether it depends on the port of |peer|, beside fzri_peer_policy_relays_at, if it may be reached. */
bool fzri_peer_policy_minds_ports(const fzri_peer_policy *policy, const fzr_addr *peer);

/* What was decided about a peer, and why. */
typedef struct fzri_peer_judgement {
  enum fzr_peer_reason reason;
  const fzr_peer_rule *rule; /* the one that decided, NULL: none; the policy's */
  fzr_addr about; /* the address that was judged last: the peer's, or an IPv4 one that it carries */
} fzri_peer_judgement;

/* Judges |peer| by the built-in rules; |any_port|: whether any of its ports may be reached, whatever |peer| says. Fills in |out| and
 * returns its reason, FZR_PEER_ALLOWED if it may be reached. */
enum fzr_peer_reason fzri_peer_policy_judge(const fzri_peer_policy *policy, const fzr_addr *peer,
                                            bool any_port, fzri_peer_judgement *out);
/* Whether |peer|'s address is one of the relay's own. */
bool fzri_peer_policy_is_own(const fzri_peer_policy *policy, const fzr_addr *peer);

/* Whether the prefix of |rule| fits its family, no bits are set behind it, and no transport is named. */
bool fzri_peer_rule_is_sound(const fzr_peer_rule *rule);

#endif
