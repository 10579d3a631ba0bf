/* SPDX-License-Identifier: Apache-2.0 */
/* From shard to shard. The kernel picks the worker that hears a client by its address, so a client that moves (mobility.h) may be heard by
 * another one than that which has its allocation and the sockets of it. What it sends goes on from there to the allocation's own port,
 * within the host, behind a header that says where it came from; no adapter has to know of it. What goes to the client needs no way
 * round: any worker may send it.
 *
 * Nobody else can make such a header: it has a MAC under a key of all shards, good for one port and a few seconds. It leaves the host
 * never: the adapter does not send it once the allocation is over. */
#ifndef FZRI_TUNNEL_H
#define FZRI_TUNNEL_H

#include "batch.h"

/* The key of all shards' tunnels, made of |users|. */
fzri_siphash_key fzri_tunnel_key(const fzri_siphash_key *users);

/* The hash by which all shards know the 5-tuple; never 0. |key| is that of their tunnels. */
uint64_t fzri_tunnel_hash(const fzri_siphash_key *key, const fzr_addr *client, const fzr_addr *server);

/* The port of the allocation, one of another shard, to which the datagram |data| of the packet |pkt| is to go: its client has moved
 * here, or asks to move. 0: it is to stay. The 5-tuple has no allocation here. */
uint16_t fzri_tunnel_to(const fzr_engine *e, const fzr_pkt *pkt, const uint8_t *data, uint32_t len);

/* Sends what is left of the packet from |off| on to |port|. Returns how many datagrams that is, or 0 without room. */
uint16_t fzri_tunnel_send(fzri_batch *b, uint32_t off, uint16_t port);

/* Reads one datagram |data| that came to |port|, an allocation's. Returns whether it is one of another shard, with what came to that
 * in |inner|. */
bool fzri_tunnel_read(const fzr_engine *e, uint16_t port, const uint8_t *data, uint32_t len, fzr_pkt *inner);

#endif
