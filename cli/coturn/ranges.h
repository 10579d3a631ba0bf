/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of addresses as the networks that they are made of. */
#ifndef CLI_COTURN_RANGES_H
#define CLI_COTURN_RANGES_H

#include "firezone_relay/firezone_relay.h"

#include <stdbool.h>
#include <stddef.h>

/* More networks than any range has: two of each length. */
#define RANGE_NETS_MAX 256u

/* Reads "10.0.0.1", "10.0.0.0-10.0.0.255" or "10.0.0.0/8", of either family, into networks: those in |out|, whose `allow` is |allow|, cover
 * just that. Returns how many, 0 if it is none of these. *|is_net|: it was written as a network. */
size_t range_nets(const char *text, bool allow, fzr_peer_rule out[RANGE_NETS_MAX], bool *is_net);

/* Whether all of |inner| is in |outer|. */
bool range_contains(const fzr_peer_rule *outer, const fzr_peer_rule *inner);

#endif
