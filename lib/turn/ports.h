/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of ports in fzr_shared. A port that was given back rests before it is given out again, and one that another program
 * was seen to hold is passed over, both as long as there are others. */
#ifndef FZRI_PORTS_H
#define FZRI_PORTS_H

#include "shared.h"

/* How long a port rests: what is still on its way to its last owner must not reach the next one. */
#define FZRI_PORT_RESTS (10 * FZR_SECOND)
/* How long a port that another program held is not tried first. */
#define FZRI_PORT_HELD (60 * FZR_SECOND)

/* What kind of port is sought. */
enum fzri_port_shape {
  FZRI_PORT_ANY = 0,
  FZRI_PORT_EVEN = 1,
  FZRI_PORT_PAIR = 2 /* an even one; the next higher is taken with it */
};

/* In all tokens of reservations. */
#define FZRI_TOKEN ((uint64_t)1 << 63)

/* Takes a free port, chosen by the 64 random bits |random|: each with the same probability that neither rests at |now| nor was seen
 * held within the last minute; with |again|, for somebody who has just met one that is held, none that was seen held since it
 * was last opened. Where there is none of these, one that rests; else one that was seen held. Returns it, or 0 when all of that |shape| are
 * taken. O(1) in the number of ports in use, a nearly full range included. */
uint16_t fzri_shared_take_port(fzr_shared *shared, enum fzri_port_shape shape, uint64_t random, bool again,
                               fzr_time now);

/* Keeps |port|, which was taken, for whoever comes with |token|, in whichever shard. */
void fzri_shared_reserve_port(fzr_shared *shared, uint16_t port, uint64_t token);

/* Takes |port|, any number, if it is reserved under |token|, any value; of those who try at once, one gets it. Returns whether it did. It is
 * theirs then, as one that was taken. */
bool fzri_shared_claim_port(fzr_shared *shared, uint16_t port, uint64_t token);

/* Gives back a port that was taken: it rests from |now| on. */
void fzri_shared_give_port(fzr_shared *shared, uint16_t port, fzr_time now);

/* For states that are saved and loaded. */

/* Takes |port|, any number. Returns whether it is one of the range and was free. */
bool fzri_shared_take_this_port(fzr_shared *shared, uint16_t port);
/* Takes that back: it does not rest. */
void fzri_shared_untake_port(fzr_shared *shared, uint16_t port);
/* The token under which |port|, any number, is reserved, or 0. */
uint64_t fzri_shared_token(const fzr_shared *shared, uint16_t port);
/* Whether |port|, one of the range, is reserved under |token|. */
bool fzri_shared_is_reserved(const fzr_shared *shared, uint16_t port, uint64_t token);
/* Whether |port|, one of the range, is free and better left alone at |now|, or was held by another program when it was tried last. */
bool fzri_shared_port_rests(const fzr_shared *shared, uint16_t port, fzr_time now, fzr_time *until,
                            bool *held);
/* Has |port|, any number, if it is free, rest until |until| at least. */
void fzri_shared_rest_port(fzr_shared *shared, uint16_t port, fzr_time until, bool held);

/* Remembers that another program holds |port|, which was taken and is to be given back. Returns whether that was known. */
bool fzri_shared_port_is_held(fzr_shared *shared, uint16_t port, fzr_time now);

/* Forgets that: |port|, which was taken, could be opened. */
void fzri_shared_port_is_ours(fzr_shared *shared, uint16_t port);

#endif
