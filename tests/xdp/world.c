/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

static int allocate_both(fzt_relay *relay, fzt_client_state *client)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_addr relayed;
  ck_assert_int_eq(fzt_allocate(relay, client), 0); /* for the nonce */
  ck_assert_int_eq(fzt_refresh(relay, client, 0), 0);
  fzt_begin(relay, client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, (uint32_t)FZR_FAMILY_IPV6 << 24);
  const int code = fzt_finish(relay, client, &b, &msg);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
  client->relayed_port = relayed.port;
  return code;
}

void fzt_world_tell(fzt_world *w)
{
  for (size_t i = 0; i < w->relay.event_count; i++)
    if (w->relay.events[i].type == FZR_EVENT_CHANNEL_BOUND ||
        w->relay.events[i].type == FZR_EVENT_CHANNEL_UNBOUND)
      xdp_channels_event(&w->channels, &w->relay.events[i], NULL);
}

void fzt_world_bind(fzt_world *w, unsigned client, uint16_t channel, const fzr_addr *peer)
{
  ck_assert_int_eq(fzt_bind(&w->relay, &w->clients[client], channel, peer), 0);
  fzt_world_tell(w);
}

void fzt_world_make(fzt_world *w, bool swap)
{
  fzr_config config = fzt_config(&w->relay);
  if (fzt_program_guards())
    config.relay_mode = FZR_RELAY_CHANNELS;
  fzt_relay_init(&w->relay, &config);
  fzt_program_load(&w->object, swap);
  memset(&w->channels, 0, sizeof w->channels);
  w->channels.object = &w->object;
  w->channels.guard.on = w->channels.guard.ports = fzt_program_guards();
  xdp_guard_init(&w->channels.guard, &w->object, 1);
  w->channels.own_ip4 = fzt_addr("192.0.2.77");
  w->channels.own_ip6 = fzt_addr("2001:db8::77");
  fzt_client_init(&w->clients[0], "198.51.100.1:4000");
  fzt_client_init(&w->clients[1], "[2001:db8:1::1]:4001");
  w->peers[0] = fzt_addr("203.0.113.9:5000");
  w->peers[1] = fzt_addr("[2001:db8:2::9]:5001");
  for (unsigned i = 0; i < FZT_CHANNELS; i++) {
    fzt_client_state *client = &w->clients[i / 2];
    if (i % 2 == 0)
      ck_assert_int_eq(allocate_both(&w->relay, client), 0);
    const uint16_t number = (uint16_t)(0x4000 + i % 2);
    fzt_world_bind(w, i / 2, number, &w->peers[i % 2]);
    w->bound[i] = (fzt_channel){.client = client->addr,
                                .listen = client->server,
                                .peer = w->peers[i % 2],
                                .relayed = i % 2 ? w->channels.own_ip6 : w->channels.own_ip4,
                                .number = number};
    w->bound[i].relayed.port = client->relayed_port;
  }
  ck_assert_uint_eq(w->channels.in_kernel, FZT_CHANNELS);
  w->reference = (fzt_reference){.settings = {FZT_LISTEN_PORT, FZT_LOWEST, FZT_HIGHEST, FZX_ROUTE_SWAP},
                                 .channels = w->bound,
                                 .count = FZT_CHANNELS};
}

void fzt_world_free(fzt_world *w)
{
  xdp_guard_free(&w->channels.guard);
  fzt_program_unload(&w->object);
  fzt_relay_free(&w->relay);
}

void fzt_world_frame(const fzt_world *w, unsigned index, bool up, const uint8_t *payload, size_t len,
                     fzt_frame *out)
{
  const fzt_channel *c = &w->bound[index];
  const fzt_packet p = {.to_mac = {2, 0, 0, 0, 0, 0x10},
                        .from_mac = {2, 0, 0, 0, 0, 0x11},
                        .from = up ? c->client : c->peer,
                        .to = up ? c->listen : c->relayed,
                        .ttl = 64,
                        .tos = 0xb9,
                        .id = 0x1234,
                        .df = true,
                        .flow_label = 0x54321,
                        .payload = payload,
                        .len = len};
  fzt_frame_make(out, &p);
}

void fzt_world_data(const fzt_world *w, unsigned index, bool up, size_t len, fzt_frame *out)
{
  static uint8_t payload[8192];
  memset(payload, 0x42, sizeof payload);
  if (up) {
    fzt_put16(payload, w->bound[index].number);
    fzt_put16(payload + 2, (uint16_t)len);
  }
  fzt_world_frame(w, index, up, payload, up ? len + 4 : len, out);
}
