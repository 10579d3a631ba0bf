/* SPDX-License-Identifier: Apache-2.0 */
#include "flows.h"

void sim_write_label(uint8_t out[SIM_PAYLOAD], const sim_label *l)
{
  memset(out, 0, SIM_PAYLOAD);
  out[0] = l->client;
  out[1] = l->channel;
  out[2] = l->back;
  for (unsigned i = 0; i < 8; i++)
    out[8 + i] = (uint8_t)(l->number >> (8 * i));
  for (unsigned i = 16; i < SIM_PAYLOAD; i++)
    out[i] = (uint8_t)(out[8] * 31u + out[0] * 7u + out[1] * 3u + i);
}

sim_label sim_read_label(const uint8_t *in, size_t len)
{
  uint8_t again[SIM_PAYLOAD];
  sim_label l = {in[0], in[1], in[2], 0};
  fzt_check(len == SIM_PAYLOAD);
  for (unsigned i = 0; i < 8; i++)
    l.number |= (uint64_t)in[8 + i] << (8 * i);
  sim_write_label(again, &l);
  fzt_check(memcmp(again, in, SIM_PAYLOAD) == 0);
  fzt_check(l.client < SIM_CLIENTS && l.channel < SIM_CHANNELS && l.back < 2);
  return l;
}

static sim_flow *flow_of(sim_world *w, const sim_label *l)
{
  sim_channel *channel = &w->clients[l->client].channels[l->channel];
  return l->back ? &channel->back : &channel->out;
}

void sim_arrived(sim_flow *flow, uint64_t number)
{
  fzt_check(number < flow->sent);
  flow->received++;
  if (number >= flow->next)
    flow->next = number + 1;
}

const uint8_t *sim_read_indication(const uint8_t *data, size_t len, uint16_t method, fzr_addr *peer)
{
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  if (len < FZR_STUN_HEADER_LEN || data[0] > 3 || fzr_stun_read(data, len, &msg) != 0 ||
      msg.cls != FZR_STUN_INDICATION || msg.method != method)
    return NULL;
  fzt_check(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, peer));
  fzt_check(fzr_stun_get(&msg, FZR_ATTR_DATA, &attr) && attr.len == SIM_PAYLOAD);
  return attr.value;
}

void sim_lost(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  uint16_t channel, payload;
  fzr_addr peer;
  (void)from;
  (void)to;
  const uint8_t *sent = sim_read_indication(data, len, FZR_STUN_SEND, &peer);
  if (!sent)
    sent = sim_read_indication(data, len, FZR_STUN_DATA, &peer);
  if (sent)
    data = sent;
  else if (len == SIM_PAYLOAD + 4u && fzr_channel_data_read(data, len, &channel, &payload) == 0)
    data += 4;
  else if (len != SIM_PAYLOAD)
    return; /* STUN: its sender tries again */
  const sim_label l = sim_read_label(data, SIM_PAYLOAD);
  flow_of(ctx, &l)->lost++;
}

bool sim_flow_adds_up(const sim_flow *flow)
{
  return flow->sent == flow->received + flow->lost;
}

void sim_peer_receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  sim_peer *peer = ctx;
  sim_world *w = peer->world;
  sim_label l = sim_read_label(data, len);
  uint8_t echo[SIM_PAYLOAD];
  const sim_client *client = &w->clients[l.client];
  fzt_check(!l.back);
  sim_channel *channel = &w->clients[l.client].channels[l.channel];
  fzt_check(fzr_addr_equal(&channel->peer, to));
  /* It comes from the allocation's address of the peer's family; where clients roam it may be that of the last one. */
  fzt_check(w->other_engine || fzr_addr_equal(from, &client->relayed[to->family == FZR_FAMILY_IPV6]));
  sim_arrived(&channel->out, l.number);
  l.back = 1;
  l.number = channel->back.sent++;
  sim_write_label(echo, &l);
  memory_net_send(w->net, to, from, echo, sizeof echo);
}
