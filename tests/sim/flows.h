/* SPDX-License-Identifier: Apache-2.0 */
/* The data of a simulated world: each datagram says whose it is, and the how-manieth, so that every one is accounted for. */
#ifndef FZT_FLOWS_H
#define FZT_FLOWS_H

#include "world.h"

#define SIM_PAYLOAD 24u

typedef struct sim_label {
  uint8_t client, channel, back;
  uint64_t number;
} sim_label;

void sim_write_label(uint8_t out[SIM_PAYLOAD], const sim_label *l);
/* Checks that the |len| bytes are those that a label was written as. */
sim_label sim_read_label(const uint8_t *in, size_t len);
/* Datagram |number| of |flow| has come. */
void sim_arrived(sim_flow *flow, uint64_t number);
/* The payload of an indication of |method|, with the peer in |peer|; NULL if it is none, or the bytes are anything else. */
const uint8_t *sim_read_indication(const uint8_t *data, size_t len, uint16_t method, fzr_addr *peer);
/* What a link lost, of the world |ctx|: the label stands at the start, behind a ChannelData header, or in an indication. */
void sim_lost(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len);
/* The peer |ctx| sends back what it gets, to where it came from. */
void sim_peer_receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len);

#endif
