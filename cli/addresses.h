/* SPDX-License-Identifier: Apache-2.0 */
/* What the log says at the start about the addresses that the relay announces and those that the host has. */
#ifndef RELAY_ADDRESSES_H
#define RELAY_ADDRESSES_H

#include "firezone_relay/udp.h"
#include "options.h"

/* Warns where peers will not see the public address, and of a family that the host does not have; |stats| are those of an adapter that
 * is attached. */
void addresses_explain(const options *o, const fzr_udp_stats *stats);

#endif
