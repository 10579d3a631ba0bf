/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host is the relay's own, as it comes to be known while the engine runs: addresses, ports, families. */
#ifndef FZRI_OWN_H
#define FZRI_OWN_H

#include "state.h"

/* Whether channels are to be looked at, because what is own has changed since they were bound. */
static inline bool fzri_own_due(const fzr_engine *e)
{
  return e->recheck != FZRI_POOL_NONE;
}

/* Looks at channels, up to |budget| items: those whose peer no client may reach any more end. Returns how many items it handled. */
size_t fzri_own_recheck(fzr_engine *e, size_t budget);

#endif
