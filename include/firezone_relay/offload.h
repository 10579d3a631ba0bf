/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file offload.h
 * Plain keys and values that describe a bound channel to a data path outside this process, such as
 * a BPF program. All numbers are in network order. The structs are arrays of bytes without padding,
 * so they can be keys of a hash map as they are.
 */
#ifndef FIREZONE_RELAY_OFFLOAD_H
#define FIREZONE_RELAY_OFFLOAD_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Client to relay: who sends on which channel. 20 bytes. */
typedef struct fzr_offload_client_key {
  /** The client's address. IPv4 stands in the first four bytes, and the rest is zero. */
  uint8_t ip[16];
  /** The client's port. */
  uint8_t port[2];
  /** The channel's number: 0x4000 to 0x4FFF. */
  uint8_t channel[2];
} fzr_offload_client_key;

/** Peer to relay: who sends to which relayed port. 20 bytes. */
typedef struct fzr_offload_peer_key {
  /** The peer's address. IPv4 stands in the first four bytes, and the rest is zero. */
  uint8_t ip[16];
  /** The peer's port. */
  uint8_t port[2];
  /** The port of the relayed address that it sends to. */
  uint8_t relayed_port[2];
} fzr_offload_peer_key;

/** Both directions of a channel. 60 bytes. */
typedef struct fzr_offload_channel {
  /** What ChannelData of the client is found by. */
  fzr_offload_client_key client;
  /** What a peer's datagrams are found by. */
  fzr_offload_peer_key peer;
  /** The relay's address that the client sends to. It has the family of the client. */
  uint8_t listen_ip[16];
  /** The relay's port that the client sends to. */
  uint8_t listen_port[2];
  /** An enum fzr_family: that of the client. */
  uint8_t client_family;
  /** An enum fzr_family: that of the peer and of the relayed address. */
  uint8_t peer_family;
} fzr_offload_channel;

/**
 * `fzr_offload_from_event` describes the channel of |event| in |out|. The event is an
 * FZR_EVENT_CHANNEL_BOUND or FZR_EVENT_CHANNEL_UNBOUND, or one that fzr_engine_list_channels
 * wrote. Both pointers are the caller's. O(1). RFC 8656 section 12.
 *
 * Returns 0, or, with |out| untouched:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, or it is another event. Mend the call.
 * - FZR_ERR_UNSUPPORTED: the channel must stay with the engine. Its peer is one of the relay's own
 *   addresses (FZR_EVENT_PEER_IS_OWN), or the client does not talk UDP. Leave it out.
 */
FZR_API int fzr_offload_from_event(const fzr_event *event, fzr_offload_channel *out);

#ifdef __cplusplus
}
#endif

#endif
