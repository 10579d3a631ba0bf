/* SPDX-License-Identifier: Apache-2.0 */
/* A channel as the BPF program's maps have it: an entry for each direction. */
#ifndef XDP_ENTRY_H
#define XDP_ENTRY_H

#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/offload.h"
#include "fzx_shared.h"

/* The value, which begins with its key. */
typedef struct xdp_entry {
  uint8_t family; /* enum fzr_family of the packets that it is for */
  union {
    struct fzx_value4 v4;
    struct fzx_value6 v6;
  } value;
} xdp_entry;

/* Fills in what to do with packets from the client, and from the peer, of |channel|; |own_ip| is the relay's address towards the
 * peer, 16 bytes; |mtu| that of the way to whom they are for, the peer and the client. */
void xdp_entry_from_client(const fzr_offload_channel *channel, const uint8_t *own_ip, unsigned mtu,
                           xdp_entry *out);
void xdp_entry_from_peer(const fzr_offload_channel *channel, const uint8_t *own_ip, unsigned mtu,
                         xdp_entry *out);

/* Whether both are entries of the same channel, wherever they leave from. */
bool xdp_entry_same_channel(const xdp_entry *a, const xdp_entry *b);

#endif
