/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <stdio.h>

fzr_config fzt_config(fzt_relay *relay)
{
  memset(relay, 0, sizeof *relay);
  fzt_mem_init(&relay->mem);
  relay->prng.state = 1;
  relay->now = 1000 * FZR_SECOND;
  fzr_config config = fzr_config_init();
  config.mem = &relay->mem.hooks;
  config.random = fzt_random;
  config.random_ctx = &relay->prng;
  config.public_ip4 = fzt_addr("203.0.113.1");
  config.public_ip6 = fzt_addr("2001:db8:ffff::1");
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = FZT_SECRET;
  config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED;
  config.replace_allocations = FZR_REPLACE_NEVER; /* most tests give all clients one username */
  return config;
}

void fzt_relay_init(fzt_relay *relay, const fzr_config *config)
{
  ck_assert_int_eq(fzr_engine_new(config, &relay->engine, relay->now), 0);
  ck_assert_int_eq(fzr_engine_set_wallclock(relay->engine, FZT_UNIX_NOW, relay->now), 0);
}

void fzt_relay_free(fzt_relay *relay)
{
  fzr_engine_free(relay->engine);
  relay->engine = NULL;
  ck_assert_uint_eq(relay->mem.live, 0);
  ck_assert_uint_eq(relay->mem.live_blocks, 0);
}

#define FIRST_PORT 50000

fzr_shared *fzt_shared_new(uint16_t ports)
{
  fzr_shared *shared;
  ck_assert_int_eq(fzr_shared_new(FIRST_PORT, (uint16_t)(FIRST_PORT + ports - 1), NULL, &shared), 0);
  return shared;
}

fzr_config fzt_shard_config(fzt_relay *relay, unsigned i, fzr_shared *shared, uint16_t ports)
{
  fzr_config config = fzt_config(relay);
  relay->prng.state = 7 + i;
  config.shared = shared;
  config.lowest_port = FIRST_PORT;
  config.highest_port = (uint16_t)(FIRST_PORT + ports - 1);
  return config;
}

void fzt_shards_free(fzt_relay *one, fzt_relay *two, fzr_shared *shared)
{
  fzt_relay_free(one);
  fzt_relay_free(two);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 0);
  fzr_shared_free(shared);
}

static int next_open_error(fzt_relay *relay)
{
  if (!relay->open_error_count)
    return 0;
  const int error = relay->open_errors[0];
  relay->open_error_count--;
  memmove(relay->open_errors, relay->open_errors + 1, sizeof relay->open_errors - sizeof *relay->open_errors);
  return error;
}

/* The cookie of a socket: something that tells port and family. */
static void *cookie(uint16_t port, uint8_t family)
{
  return (void *)((uintptr_t)port << 2 | family);
}

static void drain(fzt_relay *relay)
{
  fzr_event event;
  fzr_transmit transmit;
  while (fzr_engine_next_event(relay->engine, &event)) {
    ck_assert_uint_lt(relay->event_count, FZT_MAX_EVENTS);
    relay->events[relay->event_count++] = event;
    if (event.type == FZR_EVENT_PORT_CLOSE)
      ck_assert_ptr_eq(event.io, cookie(event.port, event.family));
    if (event.type != FZR_EVENT_PORT_OPEN || relay->hold_opens)
      continue;
    const int error = next_open_error(relay);
    ck_assert_int_eq(fzr_engine_port_result(relay->engine, event.port, event.family, error,
                                            cookie(event.port, event.family), relay->now),
                     0);
  }
  while (fzr_engine_next_transmit(relay->engine, &transmit)) {
    ck_assert_uint_lt(relay->answer_count, FZT_MAX_ANSWERS);
    fzt_answer *answer = &relay->answers[relay->answer_count++];
    memcpy(answer->data, transmit.data, transmit.len);
    answer->len = transmit.len;
    answer->to_stranger = transmit.to_stranger;
    answer->to = transmit.to;
    answer->from = transmit.from;
  }
}

static void clear(fzt_relay *relay)
{
  relay->verdict_count = relay->answer_count = relay->event_count = 0;
}

/* Puts all of them in, which has to take one call. */
static void take(fzt_relay *relay, enum fzr_side side, fzr_pkt *pkts, size_t count)
{
  fzr_batch batch = {.in = pkts, .count = count, .out = relay->verdicts, .room = 256};
  clear(relay);
  ck_assert_int_eq(fzr_engine_rx(relay->engine, side, &batch, relay->now), 0);
  ck_assert_uint_eq(batch.consumed, count);
  relay->verdict_count = batch.written;
  drain(relay);
}

void fzt_client_run(fzt_relay *relay, fzr_pkt *pkts, size_t count)
{
  take(relay, FZR_SIDE_CLIENT, pkts, count);
}

void fzt_peer_run(fzt_relay *relay, fzr_pkt *pkts, size_t count)
{
  take(relay, FZR_SIDE_PEER, pkts, count);
}

void fzt_client(fzt_relay *relay, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  fzr_pkt pkt = {.data = data, .len = (uint32_t)len, .from = *from, .to = *to};
  fzt_client_run(relay, &pkt, 1);
}

void fzt_peer(fzt_relay *relay, const fzr_addr *from, uint16_t port, const uint8_t *data, size_t len)
{
  fzr_pkt pkt = {.data = data, .len = (uint32_t)len, .from = *from};
  pkt.to.family = from->family;
  pkt.to.port = port;
  take(relay, FZR_SIDE_PEER, &pkt, 1);
}

void fzt_pass(fzt_relay *relay, fzr_time by)
{
  const fzr_time end = relay->now + by;
  clear(relay);
  for (;;) {
    const fzr_time deadline = fzr_engine_deadline(relay->engine);
    if (deadline > end)
      break;
    if (deadline > relay->now)
      relay->now = deadline;
    ck_assert_int_ge(fzr_engine_on_deadline(relay->engine, 64, relay->now), 0);
    drain(relay);
  }
  relay->now = end;
}

void fzt_client_init(fzt_client_state *client, const char *addr)
{
  char password[FZR_STAMP_PASSWORD_LEN + 1];
  memset(client, 0, sizeof *client);
  client->addr = fzt_addr(addr);
  client->server = fzt_addr(client->addr.family == FZR_FAMILY_IPV6 ? FZT_LISTEN6 : FZT_LISTEN);
  snprintf(client->username, sizeof client->username, "%s", FZT_USERNAME);
  ck_assert_int_gt(fzr_auth_stamp_password(FZT_SECRET, 1892160000, (const uint8_t *)"n23JJ2wKKtt30oXi", 16,
                                           password, sizeof password),
                   0);
  ck_assert_int_eq(fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)client->username,
                                          strlen(client->username), "firezone", password, client->key),
                   FZR_STUN_KEY_LEN);
}

void fzt_begin(fzt_relay *relay, const fzt_client_state *client, fzr_stun_builder *b, uint8_t *buffer,
               size_t cap, uint16_t method)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzt_fill(&relay->prng, txid, sizeof txid);
  fzr_stun_build(b, buffer, cap, method, FZR_STUN_REQUEST, txid);
  fzr_stun_add(b, FZR_ATTR_USERNAME, client->username, strlen(client->username));
  fzr_stun_add(b, FZR_ATTR_REALM, "firezone", 8);
  if (client->nonce_len)
    fzr_stun_add(b, FZR_ATTR_NONCE, client->nonce, client->nonce_len);
}

int fzt_finish(fzt_relay *relay, const fzt_client_state *client, fzr_stun_builder *b, fzr_stun_msg *msg)
{
  fzr_stun_msg answer;
  if (!msg)
    msg = &answer;
  fzr_stun_add_integrity(b, client->key, sizeof client->key);
  const int len = fzr_stun_build_finish(b);
  ck_assert_int_gt(len, 0);
  fzt_client(relay, &client->addr, &client->server, b->data, (size_t)len);
  if (!relay->answer_count)
    return -1;
  const fzt_answer *last = &relay->answers[relay->answer_count - 1];
  ck_assert_int_eq(fzr_stun_read(last->data, last->len, msg), 0);
  ck_assert(fzr_addr_equal(&last->to, &client->addr));
  ck_assert(fzr_addr_equal(&last->from, &client->server));
  ck_assert_mem_eq(fzr_stun_txid(msg), b->data + 8, FZR_STUN_TXID_LEN);
  ck_assert_uint_eq(msg->cls, fzr_stun_has(msg, FZR_ATTR_ERROR_CODE) ? FZR_STUN_ERROR : FZR_STUN_SUCCESS);
  return (int)fzr_stun_error_code(msg);
}

static void keep_nonce(fzt_client_state *client, const fzr_stun_msg *msg)
{
  fzr_stun_attr nonce;
  ck_assert(fzr_stun_get(msg, FZR_ATTR_NONCE, &nonce));
  ck_assert_uint_le(nonce.len, sizeof client->nonce);
  memcpy(client->nonce, nonce.value, nonce.len);
  client->nonce_len = nonce.len;
}

int fzt_allocate(fzt_relay *relay, fzt_client_state *client)
{
  uint8_t buffer[FZT_USERNAME_MAX + 512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  int code = 401;
  for (int tries = 0; tries < 2 && (code == 401 || code == 438); tries++) {
    fzt_begin(relay, client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    code = fzt_finish(relay, client, &b, &msg);
    if (code == 401 || code == 438)
      keep_nonce(client, &msg);
  }
  fzr_addr relayed;
  if (code == 0 && fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed))
    client->relayed_port = relayed.port;
  return code;
}

int fzt_refresh(fzt_relay *relay, fzt_client_state *client, uint32_t lifetime)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  int code = 438;
  for (int tries = 0; tries < 2 && code == 438; tries++) {
    fzt_begin(relay, client, &b, buffer, sizeof buffer, FZR_STUN_REFRESH);
    fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, lifetime);
    code = fzt_finish(relay, client, &b, &msg);
    if (code == 438)
      keep_nonce(client, &msg);
  }
  return code;
}

int fzt_bind(fzt_relay *relay, fzt_client_state *client, uint16_t channel, const fzr_addr *peer)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  int code = 438;
  for (int tries = 0; tries < 2 && code == 438; tries++) {
    fzt_begin(relay, client, &b, buffer, sizeof buffer, FZR_STUN_CHANNEL_BIND);
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)channel << 16);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
    code = fzt_finish(relay, client, &b, &msg);
    if (code == 438)
      keep_nonce(client, &msg);
  }
  return code;
}
