/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that move with their client to another 5-tuple (RFC 8016): a Refresh with a ticket takes one along, with its ports, channels
 * and permissions.
 *
 * The client has no nonce yet that was made for its new address: it is answered 438 first. A ticket does not stand in for that. Who has
 * one could send a Refresh in the name of anybody, to whom all that peers send would go from then on; the nonce shows that he hears what
 * is sent there. With it an older ticket is as good as the newest: the answer that had that may have been lost.
 *
 * RFC 8016 section 3.2.2 has the server go on with the former 5-tuple, too, until the client has sent data from the new one. Here it is
 * over at once: the data path looks for one address of each client, and data of peers goes where the client has just been heard. It loses
 * what it sends from the former address until it has the answer. */
#ifndef FZRI_MOBILITY_H
#define FZRI_MOBILITY_H

#include "request.h"

/* Looks at the ticket of |r|, a Refresh, if it has one: r->ticket, and r->allocation, if it is to move. */
void fzri_mobility_look(fzr_engine *e, fzri_request *r);

/* Whether |r| may be an Allocate that asks for tickets, or a Refresh that has one; authenticated. Returns 0 or the error code. */
unsigned fzri_mobility_check_allocate(const fzr_engine *e, fzri_request *r, bool *wanted);
unsigned fzri_mobility_check_refresh(const fzr_engine *e, fzri_request *r);

/* Whether |r| moves r->allocation to its 5-tuple. */
static inline bool fzri_mobility_moves(const fzri_request *r)
{
  return r->ticket == FZRI_TICKET_MOVES;
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
