/* SPDX-License-Identifier: Apache-2.0 */
/* The data path of those who need no channel: Send indications of clients, and datagrams of peers that leave in Data indications. */
#ifndef FZRI_INDICATIONS_H
#define FZRI_INDICATIONS_H

#include "batch.h"
#include "indication.h"

/* The Send indication in the segment of |seg_len| bytes at |off| of the packet, and those behind it that go to the same peer, with segments of
 * |seg| bytes (0: there is one alone). |a| is the client's allocation; NULL: it has none. Returns how many segments were done. */
uint16_t fzri_take_send(fzri_batch *b, fzri_allocation *a, uint32_t off, uint32_t seg_len, uint16_t seg);

/* Whether |pkt|, of the same client as the one before it, is a Send indication like that; it has joined the last verdict then, which
 * fzri_may_join_indications. */
bool fzri_send_goes_on(fzri_batch *b, const fzr_pkt *pkt);

/* The packet of a peer without a channel: |count| segments of |seg_len| bytes. Returns how many segments were done: not all where the room for
 * headers ends, for which there is room for one at least. */
uint16_t fzri_take_data(fzri_batch *b, fzri_allocation *a, const fzr_pkt *pkt, uint32_t seg_len,
                        uint16_t count);

/* Whether |pkt|, of the same peer as the one before it, has joined the last verdict, which fzri_may_join_indications. */
bool fzri_data_goes_on(fzri_batch *b, const fzr_pkt *pkt);

#endif
