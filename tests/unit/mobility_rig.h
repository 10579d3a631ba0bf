/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of mobility share: a client with a ticket, which it takes along. */
#ifndef FZT_MOBILITY_RIG_H
#define FZT_MOBILITY_RIG_H

#include "relay.h"

/* The last ticket that any client got. */
extern uint8_t rig_ticket[64];
extern uint16_t rig_ticket_len;

/* An Allocate that asks for tickets. Returns its error code. */
int rig_allocate_mobile(fzt_relay *r, fzt_client_state *c);
/* Brings |c| a nonce for where it is now. */
void rig_get_nonce(fzt_relay *r, fzt_client_state *c);
/* The Refresh that takes the allocation to where |c| is now, with the nonce that it has. Returns its length. */
size_t rig_build_move(fzt_relay *r, const fzt_client_state *c, uint8_t *buffer, size_t cap);
/* Takes the allocation to where |c| is now: answered, with the next ticket. */
void rig_move(fzt_relay *r, fzt_client_state *c);
/* Keeps the ticket in |msg|, which has one. */
void rig_keep_ticket(const fzr_stun_msg *msg);

#endif
