/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/offload.h"

#include "../base/bytes.h"

#include <assert.h>

static_assert(sizeof(fzr_offload_client_key) == 20, "no padding");
static_assert(sizeof(fzr_offload_peer_key) == 20, "no padding");
static_assert(sizeof(fzr_offload_channel) == 60, "no padding");

int fzr_offload_from_event(const fzr_event *event, fzr_offload_channel *out)
{
  if (!event || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  if (event->type != FZR_EVENT_CHANNEL_BOUND && event->type != FZR_EVENT_CHANNEL_UNBOUND)
    return FZR_ERR_INVALID_ARGUMENT;
  if (event->flags & FZR_EVENT_PEER_IS_OWN || event->client.transport != FZR_TRANSPORT_UDP)
    return FZR_ERR_UNSUPPORTED;
  memcpy(out->client.ip, event->client.ip, sizeof out->client.ip);
  fzri_put16(out->client.port, event->client.port);
  fzri_put16(out->client.channel, event->channel);
  memcpy(out->peer.ip, event->peer.ip, sizeof out->peer.ip);
  fzri_put16(out->peer.port, event->peer.port);
  fzri_put16(out->peer.relayed_port, event->port);
  memcpy(out->listen_ip, event->local.ip, sizeof out->listen_ip);
  fzri_put16(out->listen_port, event->local.port);
  out->client_family = event->client.family;
  out->peer_family = event->peer.family;
  return 0;
}
