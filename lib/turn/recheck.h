/* SPDX-License-Identifier: Apache-2.0 */
/* Channels and permissions that there are, held against what clients may reach now. */
#ifndef FZRI_RECHECK_H
#define FZRI_RECHECK_H

#include "state.h"

/* What is own has changed: all channels and permissions are looked at, from the first on, also where that had begun before. Those whose
 * peer is own are judged, and channels to the number of a listen port; |all|: each is, for the rules have changed. */
void fzri_recheck_start(fzr_engine *e, bool all);

/* Whether there are some to be looked at. */
static inline bool fzri_recheck_due(const fzr_engine *e)
{
  return e->recheck != FZRI_POOL_NONE;
}

/* Looks at them, up to |budget| items: those whose peer no client may reach any more end. Returns how many items it handled. */
size_t fzri_recheck(fzr_engine *e, size_t budget);

#endif
