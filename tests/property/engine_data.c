/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_data.h"

#include "engine_model.h"

void data_of_client(int c)
{
  uint8_t data[64];
  const int channel = (int)fzt_below(&prng, CHANNELS);
  const uint16_t len = (uint16_t)fzt_below(&prng, 60);
  fzr_channel_data_header(data, (uint16_t)(0x4000 + channel), len);
  fzt_client(&relay, &clients[c].addr, &clients[c].server, data, 4u + len);
  fzt_check(relay.verdict_count == 1);
  const fzr_verdict *v = &relay.verdicts[0];
  if (!model_alive(c)) {
    fzt_check(v->action == FZR_ACT_DROP && v->reason == FZR_DROP_UNKNOWN_CLIENT);
  } else if (!model_relays(&model[c].channels[channel])) {
    fzt_check(v->action == FZR_ACT_DROP && v->reason == FZR_DROP_UNKNOWN_CHANNEL);
  } else {
    fzt_check(v->action == FZR_ACT_FORWARD && v->len == len && v->count == 1);
    fzt_check(fzr_addr_equal(&v->to, &peers[model[c].channels[channel].peer]));
    fzt_check(v->from.port == clients[c].relayed_port);
  }
}

/* Whether |v| is about |count| Data indications of |peer|'s, all alike but in their transaction ids. */
static bool is_data(const fzr_verdict *v, int peer, unsigned count, uint16_t len)
{
  uint8_t last[FZR_STUN_TXID_LEN] = {0};
  if (v->action != FZR_ACT_FORWARD || v->count != count || v->len != len || v->flow != FZR_FLOW_NONE)
    return false;
  for (unsigned i = 0; i < count; i++) {
    uint8_t bytes[256];
    fzr_stun_msg msg;
    fzr_stun_attr attr;
    fzr_addr from;
    memcpy(bytes, fzr_verdict_header(v, i), v->hdr_len);
    memcpy(bytes + v->hdr_len, v->data + (size_t)i * v->stride, len);
    memset(bytes + v->hdr_len + len, 0, v->pad);
    if (fzr_stun_read(bytes, (size_t)v->hdr_len + len + v->pad, &msg) || msg.method != FZR_STUN_DATA ||
        msg.cls != FZR_STUN_INDICATION || !fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &from) ||
        !fzr_addr_equal(&from, &peers[peer]) || !fzr_stun_get(&msg, FZR_ATTR_DATA, &attr) || attr.len != len)
      return false;
    if (memcmp(last, fzr_stun_txid(&msg), sizeof last) == 0)
      return false;
    memcpy(last, fzr_stun_txid(&msg), sizeof last);
  }
  return true;
}

void data_indications(int c)
{
  uint8_t data[2][160];
  fzr_pkt pkts[2];
  const int peer = (int)fzt_below(&prng, PEERS);
  const uint16_t len = (uint16_t)fzt_below(&prng, 60);
  const unsigned n = 1 + (unsigned)fzt_below(&prng, 2);
  const bool data_first = fzt_below(&prng, 2), software = !fzt_below(&prng, 4);
  for (unsigned i = 0; i < n; i++) {
    fzr_stun_builder b;
    uint8_t payload[64] = {(uint8_t)i}, txid[FZR_STUN_TXID_LEN];
    fzt_fill(&prng, txid, sizeof txid);
    fzr_stun_build(&b, data[i], sizeof data[i], FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
    if (data_first)
      fzr_stun_add(&b, FZR_ATTR_DATA, payload, len);
    if (software)
      fzr_stun_add(&b, FZR_ATTR_SOFTWARE, "x", 1);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peers[peer]);
    if (!data_first)
      fzr_stun_add(&b, FZR_ATTR_DATA, payload, len);
    pkts[i] = (fzr_pkt){.data = data[i],
                        .len = (uint32_t)fzr_stun_build_finish(&b),
                        .from = clients[c].addr,
                        .to = clients[c].server};
  }
  fzt_client_run(&relay, pkts, n);
  unsigned forwarded = 0;
  for (size_t i = 0; i < relay.verdict_count; i++) {
    const fzr_verdict *v = &relay.verdicts[i];
    const enum fzr_drop_reason reason = (enum fzr_drop_reason)v->reason;
    if (!full) {
      fzt_check(v->action == FZR_ACT_DROP && reason == FZR_DROP_STUN_NOT_REQUEST);
    } else if (!model_alive(c)) {
      fzt_check(v->action == FZR_ACT_DROP && reason == FZR_DROP_UNKNOWN_CLIENT);
    } else if (!model_permits(c, model_address_of(peer)) || (peer == PEERS - 1 && !model[c].dual)) {
      fzt_check(v->action == FZR_ACT_DROP && reason == FZR_DROP_NO_PERMISSION);
    } else if (!allowed[peer]) {
      fzt_check(v->action == FZR_ACT_DROP && reason == FZR_DROP_PEER_PORT);
    } else {
      fzt_check(v->action == FZR_ACT_FORWARD && v->len == len && !v->hdr_len);
      fzt_check(fzr_addr_equal(&v->to, &peers[peer]) && v->from.port == clients[c].relayed_port);
      for (unsigned k = 0; k < v->count && len; k++)
        fzt_check(v->data[(size_t)k * v->stride] == forwarded + k);
      forwarded += v->count;
    }
  }
  fzt_check(!forwarded || (forwarded == n && relay.verdict_count == (len ? 1 : n)));
}

void data_of_peer(int c)
{
  uint8_t data[2][64] = {{0}};
  const int peer = (int)fzt_below(&prng, PEERS);
  int channel = -1;
  const uint16_t port = clients[c].relayed_port;
  /* The port may be another client's by now. */
  int owner = -1;
  for (int i = 0; i < CLIENTS; i++)
    if (model_alive(i) && clients[i].relayed_port == port)
      owner = i;
  const uint16_t len = (uint16_t)fzt_below(&prng, 60);
  fzr_pkt pkts[2];
  const unsigned n = len ? 1 + (unsigned)fzt_below(&prng, 2) : 1;
  for (unsigned i = 0; i < n; i++)
    pkts[i] = (fzr_pkt){
        .data = data[i], .len = len, .from = peers[peer], .to = {.port = port, .family = peers[peer].family}};
  fzt_peer_run(&relay, pkts, n);
  const fzr_verdict *v = &relay.verdicts[0];
  if (owner < 0 || (peer == PEERS - 1 && !model[owner].dual)) {
    fzt_check(v->action == FZR_ACT_DROP && v->reason == FZR_DROP_UNKNOWN_PORT);
    return;
  }
  for (int i = 0; i < CHANNELS; i++)
    if (model_relays(&model[owner].channels[i]) && model[owner].channels[i].peer == peer)
      channel = i;
  if (channel < 0) {
    if (!full || !model_permits(owner, model_address_of(peer)))
      fzt_check(v->action == FZR_ACT_DROP && v->reason == FZR_DROP_UNKNOWN_PEER);
    else if (!allowed[peer])
      fzt_check(v->action == FZR_ACT_DROP && v->reason == FZR_DROP_PEER_PORT);
    else
      fzt_check(relay.verdict_count == 1 && is_data(v, peer, n, len) &&
                fzr_addr_equal(&v->to, &clients[owner].addr));
    return;
  }
  fzt_check(v->action == FZR_ACT_FORWARD && fzr_addr_equal(&v->to, &clients[owner].addr));
  fzt_check(((unsigned)v->hdr[0] << 8 | v->hdr[1]) == 0x4000u + (unsigned)channel);
}
