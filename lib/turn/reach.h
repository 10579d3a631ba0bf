/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a client may reach a peer: policy and application together. */
#ifndef FZRI_REACH_H
#define FZRI_REACH_H

#include "state.h"

/* Brings |peer|, as the request names it, into the form that sockets know it in: a mapped IPv4 address is the IPv4 one. Returns 0; or 443 if
 * |a| has no relayed address of its family (RFC 8656 section 12.2). */
unsigned fzri_peer_family(const fzri_allocation *a, fzr_addr *peer);

/* Whether the client at |client| may name |peer|: the built-in policy, then the application's. |any_port|: whatever its port. Returns 0; 403, with
 * the reason in |out|; or 443 for a mapped IPv4 address of an allocation without IPv4. */
unsigned fzri_peer_check(const fzr_engine *e, const fzr_addr *client, const fzr_addr *peer, bool any_port,
                         fzri_peer_judgement *out);

#endif
