/* SPDX-License-Identifier: Apache-2.0 */
/* What few allocations have: kept beside them, so that the others do not pay for it. */
#ifndef FZRI_EXTRA_H
#define FZRI_EXTRA_H

#include "state.h"

/* That of |a|, or NULL. */
static inline fzri_extra *fzri_extra_of(const fzr_engine *e, const fzri_allocation *a)
{
  return a->extra == FZRI_POOL_NONE ? NULL : fzri_pool_at(&e->extras, a->extra);
}

#endif
