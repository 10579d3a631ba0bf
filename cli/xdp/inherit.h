/* SPDX-License-Identifier: Apache-2.0 */
/* What channels.c tells while maps are another process's. */
#ifndef XDP_INHERIT_H
#define XDP_INHERIT_H

#include "channels.h"
#include "entry.h"

/* There is such a channel, or is going to be: under the lock, while it inherits. */
void xdp_inherit_note(xdp_channels *channels, const xdp_entry *client, const xdp_entry *peer);

#endif
