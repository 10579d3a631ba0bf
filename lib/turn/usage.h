/* SPDX-License-Identifier: Apache-2.0 */
/* What the application is told of an allocation: what it is and what was relayed for it. */
#ifndef FZRI_USAGE_H
#define FZRI_USAGE_H

#include "request.h"

/* fzri_allocation.serial: how many the engine had made when it began to live, itself included; those of earlier engines, from whose state it goes
 * on, count. 0: it does not live yet. */

/* The time at which an allocation began is kept in ticks of 2^27 ns, about 134 ms. They wrap: only how long ago it was can be told, up to 18
 * years. */
#define FZRI_USAGE_TICK (UINT64_C(1) << 27)

static inline uint32_t fzri_usage_tick(fzr_time at)
{
  return (uint32_t)(at / FZRI_USAGE_TICK);
}

/* When |a| began, which was not after |now|. */
static inline fzr_time fzri_usage_began(const fzri_allocation *a, fzr_time now)
{
  const uint32_t ago = fzri_usage_tick(now) - a->began;
  return (now / FZRI_USAGE_TICK - ago) * FZRI_USAGE_TICK;
}

/* Fills in |out|, all of it. */
void fzri_usage_describe(const fzr_engine *e, const fzri_allocation *a, fzr_allocation *out);

/* The name that |a|, which lives or has lived, has for good, also in an engine that goes on from this one: its relayed port, and bits that
 * no other one has had there. */
uint64_t fzri_usage_id(const fzr_engine *e, const fzri_allocation *a);

/* Tells the application, if it wants to know. |r|: the request that has bound a channel, else NULL. */
void fzri_usage_tell(fzr_engine *e, enum fzr_usage_type type, const fzri_allocation *a,
                     const fzri_request *r);

#endif
