/* SPDX-License-Identifier: Apache-2.0 */
/* A relay's engine in memory, whose channels go into the BPF program's maps as the relay's own do: clients and peers of both
 * families, and a channel between each client and each peer. */
#ifndef FZT_WORLD_H
#define FZT_WORLD_H

#include "program.h"
#include "reference.h"
#include "relay.h"

#define FZT_CHANNELS 4

typedef struct fzt_world {
  xdp_object object;
  xdp_channels channels;
  fzt_relay relay;
  fzt_client_state clients[2]; /* by family: 0 IPv4, 1 IPv6 */
  fzr_addr peers[2];
  fzt_channel bound[FZT_CHANNELS]; /* index: client's family * 2 + peer's */
  fzt_reference reference;
} fzt_world;

void fzt_world_make(fzt_world *world, bool swap);
void fzt_world_free(fzt_world *world);

/* Binds |channel| of a client to |peer|, and tells the maps. */
void fzt_world_bind(fzt_world *world, unsigned client, uint16_t channel, const fzr_addr *peer);
/* Tells the maps of the events of the engine's last input. */
void fzt_world_tell(fzt_world *world);

/* A frame of |len| bytes of |payload| from the client, or the peer, of channel |index|: as from a router at 02:…:11 to FZT_INGRESS. */
void fzt_world_frame(const fzt_world *world, unsigned index, bool up, const uint8_t *payload, size_t len,
                     fzt_frame *out);

/* The same with |len| bytes of data of no matter, behind a ChannelData header if |up|. */
void fzt_world_data(const fzt_world *world, unsigned index, bool up, size_t len, fzt_frame *out);

#endif
