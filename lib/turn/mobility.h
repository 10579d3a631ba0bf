/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that move with their client to another 5-tuple (RFC 8016): a Refresh with a ticket takes one along, with its ports, channels
 * and permissions.
 *
 * The client has no nonce yet that was made for its new address. So the ticket stands in for it: the newest one is good for one move, and
 * is signed with the rest of the request, which therefore can't be used a second time. Who comes with an older one, because the answer
 * that had the newest was lost on the way to an address that he has left again, gets himself a nonce first. On the way between client and
 * relay a Refresh can be held up and used by another first; the client gets its allocation back by the same means. */
#ifndef FZRI_MOBILITY_H
#define FZRI_MOBILITY_H

#include "request.h"

/* Looks at the ticket of |r|, a Refresh, if it has one: r->ticket, and r->allocation, if it is to move. */
void fzri_mobility_look(fzr_engine *e, fzri_request *r);

/* Whether the ticket of |r| is as good as a nonce made for its source. */
static inline bool fzri_mobility_vouches(const fzri_request *r)
{
  return r->ticket == FZRI_TICKET_NEWEST || r->ticket == FZRI_TICKET_USED;
}

/* Whether |r| may be an Allocate that asks for tickets, or a Refresh that has one; authenticated. Returns 0 or the error code. */
unsigned fzri_mobility_check_allocate(const fzr_engine *e, fzri_request *r, bool *wanted);
unsigned fzri_mobility_check_refresh(const fzr_engine *e, fzri_request *r);

/* Whether |r| moves r->allocation to its 5-tuple. */
static inline bool fzri_mobility_moves(const fzri_request *r)
{
  return r->ticket == FZRI_TICKET_NEWEST || r->ticket == FZRI_TICKET_OLD;
}

/* Nothing is answered: the client will ask again. */
#define FZRI_MOVE_LATER 1u

/* Moves |a| to the 5-tuple of |r|. Returns 0; or FZRI_MOVE_LATER or the error code, with nothing changed. */
unsigned fzri_mobility_move(fzr_engine *e, fzri_request *r, fzri_allocation *a);

/* Appends the newest ticket of |a|, if it has any. */
void fzri_mobility_add_ticket(const fzr_engine *e, fzr_stun_builder *b, const fzri_allocation *a);

/* |a| is over: what its client sends goes nowhere any more. */
void fzri_mobility_end(fzr_engine *e, const fzri_allocation *a);

/* The application has been told by now that a channel of |a| is not at the client's former address any more. */
void fzri_mobility_told(const fzr_engine *e, const fzri_allocation *a);

#endif
