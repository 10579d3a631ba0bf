/* SPDX-License-Identifier: Apache-2.0 */
/* Which of its addresses the host sends from. */
#ifndef RELAY_SOURCE_H
#define RELAY_SOURCE_H

#include "firezone_relay/types.h"

/* The address that the kernel would send to |peer| from, by a socket that is bound to none: asked of one that sends nothing. Returns
 * whether there is one; |out| has port 0 then. */
bool source_towards(const fzr_addr *peer, fzr_addr *out);

#endif
