/* SPDX-License-Identifier: Apache-2.0 */
/* Where a known attribute stands in fzr_stun_msg.at. */
#ifndef FZRI_ATTR_INDEX_H
#define FZRI_ATTR_INDEX_H

#include "firezone_relay/stun.h"

/* How many there are. */
#define FZRI_KNOWN_ATTRS 28

/* The place of |type|, or -1 if it is none of enum fzr_stun_attr_type. */
int fzri_attr_index(uint16_t type);

#endif
