/* SPDX-License-Identifier: Apache-2.0 */
/* Which of its addresses the host sends from. */
#ifndef NET_SOURCE_H
#define NET_SOURCE_H

#include "firezone_relay/types.h"

/* The address that the kernel would send to |peer| from, by a socket that is bound to none: asked of one that sends nothing. Returns
 * whether there is one; |out| has port 0 then. If |mtu| is not NULL, it gets that of the way there, as far as it is known: that of the
 * route, if it has one, or what was learned of the path, or the device's; it stays as it is if it is not known. */
bool source_towards(const fzr_addr *peer, fzr_addr *out, unsigned *mtu);

#endif
