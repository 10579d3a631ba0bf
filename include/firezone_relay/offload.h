/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file offload.h
 * Plain keys and values that describe a bound channel to a data path outside this process, such as
 * a BPF program. All numbers in network order, no implicit padding.
 */
#ifndef FIREZONE_RELAY_OFFLOAD_H
#define FIREZONE_RELAY_OFFLOAD_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Client to relay: who sends on which channel. IPv4 in the first four bytes, the rest zero. */
typedef struct fzr_offload_client_key {
  uint8_t ip[16];
  uint8_t port[2];
  uint8_t channel[2];
} fzr_offload_client_key;

/** Peer to relay: who sends to which relayed port. */
typedef struct fzr_offload_peer_key {
  uint8_t ip[16];
  uint8_t port[2];
  uint8_t relayed_port[2];
} fzr_offload_peer_key;

/** Both directions of a channel. */
typedef struct fzr_offload_channel {
  fzr_offload_client_key client;
  fzr_offload_peer_key peer;
  /** The address the client sends to. */
  uint8_t listen_ip[16];
  uint8_t listen_port[2];
  /** An enum fzr_family. */
  uint8_t client_family;
  uint8_t peer_family;
} fzr_offload_channel;

/**
 * `fzr_offload_from_event` describes the channel of the CHANNEL_BOUND or CHANNEL_UNBOUND |event| in
 * |out|.
 * Returns 0, FZR_ERR_INVALID_ARGUMENT (NULL, or another event), or FZR_ERR_UNSUPPORTED if the
 * channel must stay with the engine (FZR_EVENT_PEER_IS_OWN, or the client does not talk UDP).
 */
FZR_API int fzr_offload_from_event(const fzr_event *event, fzr_offload_channel *out);

#ifdef __cplusplus
}
#endif

#endif
