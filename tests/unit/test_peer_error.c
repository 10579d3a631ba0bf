/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are told of ICMP errors about their peers, and what they are not. RFC 8656 section 11.6. */
#include "relay.h"

static fzt_relay relay;
static fzt_client_state client;
static fzr_addr permitted; /* an address, of whose ports one is the peer's */

static int permit(const fzr_addr *peer)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
  return fzt_finish(&relay, &client, &b, NULL);
}

/* A client with one relayed address, and a permission. */
static void start(uint8_t mode, bool ipv6)
{
  fzr_config config = fzt_config(&relay);
  uint8_t buffer[512];
  fzr_stun_builder b;
  relay.prng.state = 4;
  config.relay_mode = mode;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:40000");
  permitted = fzt_addr(ipv6 ? "[2001:db8:1::5]:700" : "203.0.113.77:700");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  if (ipv6) { /* on the same 5-tuple, with the other family */
    ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
    fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, 2u << 24);
    fzr_stun_msg msg;
    fzr_addr relayed;
    ck_assert_int_eq(fzt_finish(&relay, &client, &b, &msg), 0);
    ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
    client.relayed_port = relayed.port;
  }
  ck_assert_int_eq(permit(&permitted), 0);
}

static fzr_peer_error error_of(const fzr_addr *peer, uint8_t type, uint8_t code, uint32_t mtu)
{
  return (fzr_peer_error){*peer, mtu, client.relayed_port, type, code};
}

/* Gives |error| to the engine. Returns whether the client is told, in |msg| if that is not NULL. */
static bool tells(const fzr_peer_error *error, fzr_stun_msg *msg)
{
  static fzr_transmit t;
  fzr_transmit none;
  fzr_stats before, after;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &before), 0);
  ck_assert_int_eq(fzr_engine_peer_error(relay.engine, error, relay.now), 0);
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &after), 0);
  const bool told = fzr_engine_next_transmit(relay.engine, &t);
  ck_assert(!fzr_engine_next_transmit(relay.engine, &none));
  ck_assert_uint_eq(after.peer_errors[0] - before.peer_errors[0], told);
  ck_assert_uint_eq(after.peer_errors[1] - before.peer_errors[1], !told);
  if (told) {
    ck_assert(fzr_addr_equal(&t.to, &client.addr));
    ck_assert(fzr_addr_equal(&t.from, &client.server));
    ck_assert(!t.to_stranger);
  }
  if (told && msg)
    ck_assert_int_eq(fzr_stun_read(t.data, t.len, msg), 0);
  return told;
}

/* A second later, so that the time alone is no reason. */
static bool tells_later(const fzr_peer_error *error)
{
  relay.now += FZR_SECOND;
  return tells(error, NULL);
}

/* Type, code and the MTU are in the ICMP attribute as RFC 8656 section 18.13 draws it, and there is no DATA. */
START_TEST(test_indication)
{
  static const struct {
    bool ipv6;
    uint8_t type, code;
    uint32_t mtu;
    uint8_t value[8];
  } rows[] = {
      {false, 3, 3, 99, {0, 0, 6, 3, 0, 0, 0, 0}},     {false, 3, 1, 0, {0, 0, 6, 1, 0, 0, 0, 0}},
      {false, 3, 13, 0, {0, 0, 6, 13, 0, 0, 0, 0}},    {false, 3, 4, 1400, {0, 0, 6, 4, 0, 0, 0x05, 0x78}},
      {false, 11, 0, 1400, {0, 0, 22, 0, 0, 0, 0, 0}}, {false, 11, 255, 0, {0, 0, 22, 255, 0, 0, 0, 0}},
      {true, 1, 4, 99, {0, 0, 2, 4, 0, 0, 0, 0}},      {true, 2, 0, 0x01020304, {0, 0, 4, 0, 1, 2, 3, 4}},
      {true, 3, 4, 1400, {0, 0, 6, 4, 0, 0, 0, 0}},
  };
  start(FZR_RELAY_FULL, rows[_i].ipv6);
  const fzr_peer_error error = error_of(&permitted, rows[_i].type, rows[_i].code, rows[_i].mtu);
  fzr_stun_msg msg;
  fzr_stun_attr icmp;
  fzr_addr peer;
  ck_assert(tells(&error, &msg));
  ck_assert_uint_eq(msg.method, FZR_STUN_DATA);
  ck_assert_uint_eq(msg.cls, FZR_STUN_INDICATION);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &peer));
  ck_assert(fzr_addr_equal(&peer, &permitted));
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_ICMP, &icmp));
  ck_assert_uint_eq(icmp.len, 8);
  ck_assert_mem_eq(icmp.value, rows[_i].value, 8);
  ck_assert(!fzr_stun_has(&msg, FZR_ATTR_DATA));
  ck_assert_uint_eq(msg.len, rows[_i].ipv6 ? 56 : 44);
  uint8_t txid[FZR_STUN_TXID_LEN];
  memcpy(txid, fzr_stun_txid(&msg), sizeof txid);
  relay.now += FZR_SECOND;
  ck_assert(tells(&error, &msg));
  ck_assert_mem_ne(txid, fzr_stun_txid(&msg), sizeof txid);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_other_types)
{
  start(FZR_RELAY_FULL, _i);
  unsigned told = 0;
  for (unsigned type = 0; type < 256; type++) {
    const fzr_peer_error error = error_of(&permitted, (uint8_t)type, 0, 0);
    told += tells_later(&error);
    relay.now += FZR_SECOND;
  }
  ck_assert_uint_eq(told, _i ? 3 : 2);
  fzt_relay_free(&relay);
}
END_TEST

/* The address alone counts, at whatever port; without a permission or a channel nothing is told, nor when they are over. */
START_TEST(test_permission)
{
  start(FZR_RELAY_FULL, false);
  fzr_addr peer = permitted;
  peer.port = 701;
  fzr_peer_error error = error_of(&peer, 3, 3, 0);
  ck_assert(tells_later(&error));
  fzr_addr stranger = fzt_addr("203.0.113.78:700");
  const fzr_peer_error foreign = error_of(&stranger, 3, 3, 0);
  ck_assert(!tells_later(&foreign));
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &stranger), 0);
  ck_assert(tells_later(&foreign));
  /* The permission is over after 300 s, and what the program allows beyond; the channel is not. */
  fzt_pass(&relay, 330 * FZR_SECOND);
  ck_assert(!tells(&error, NULL));
  ck_assert(tells(&foreign, NULL));
  ck_assert_int_eq(permit(&permitted), 0);
  ck_assert(tells(&error, NULL));
  fzt_relay_free(&relay);
}
END_TEST

/* Ports that no peer may have are no peer's. */
START_TEST(test_port_out_of_reach)
{
  start(FZR_RELAY_FULL, false);
  fzr_addr peer = permitted;
  peer.port = 3478;
  const fzr_peer_error error = error_of(&peer, 3, 3, 0);
  ck_assert(!tells_later(&error));
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_nobodys)
{
  start(FZR_RELAY_FULL, false);
  fzr_peer_error error = error_of(&permitted, 3, 3, 0);
  error.port++;
  ck_assert(!tells_later(&error));
  error.port = 1;
  ck_assert(!tells_later(&error));
  /* The allocation has no such family. */
  const fzr_addr ip6 = fzt_addr("[2001:db8:1::5]:700");
  const fzr_peer_error other = error_of(&ip6, 1, 4, 0);
  ck_assert(!tells_later(&other));
  error.port = client.relayed_port;
  ck_assert(tells_later(&error));
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  ck_assert(!tells_later(&error));
  fzt_relay_free(&relay);
}
END_TEST

/* Of each flow one a second. Of all together so many that none is left out but by chance, and no more. */
START_TEST(test_limits)
{
  start(FZR_RELAY_FULL, false);
  const fzr_peer_error error = error_of(&permitted, 3, 3, 0);
  ck_assert(tells(&error, NULL));
  relay.now += FZR_SECOND - 1;
  ck_assert(!tells(&error, NULL));
  relay.now += 1;
  ck_assert(tells(&error, NULL));
  relay.now += 10 * FZR_SECOND;
  unsigned told = 0;
  for (unsigned i = 0; i < 8; i++)
    for (unsigned port = 10000; port < 30000; port++) {
      fzr_addr peer = permitted;
      peer.port = (uint16_t)port;
      const fzr_peer_error flood = error_of(&peer, 3, 3, 0);
      told += tells(&flood, NULL);
    }
  ck_assert_uint_le(told, 1024);
  ck_assert_uint_ge(told, 1000);
  fzt_relay_free(&relay);
}
END_TEST

/* Answers that nobody takes fill their ring; what does not fit is counted. */
START_TEST(test_ring_full)
{
  start(FZR_RELAY_FULL, false);
  fzr_stats stats;
  for (unsigned port = 10000; port < 12000; port++) {
    fzr_addr peer = permitted;
    peer.port = (uint16_t)port;
    const fzr_peer_error error = error_of(&peer, 3, 3, 0);
    ck_assert_int_eq(fzr_engine_peer_error(relay.engine, &error, relay.now), 0);
  }
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert_uint_eq(stats.peer_errors[0], 256);
  ck_assert_uint_eq(stats.peer_errors[1], 2000 - 256);
  ck_assert_uint_eq(stats.dropped[FZR_DROP_ANSWER_RING_FULL], 0);
  fzt_relay_free(&relay);
}
END_TEST

START_TEST(test_channels_mode)
{
  start(FZR_RELAY_CHANNELS, false);
  ck_assert(!fzr_engine_wants_peer_errors(relay.engine));
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &permitted), 0);
  const fzr_peer_error error = error_of(&permitted, 3, 3, 0);
  ck_assert(!tells_later(&error));
  fzt_relay_free(&relay);
  start(FZR_RELAY_FULL, false);
  ck_assert(fzr_engine_wants_peer_errors(relay.engine));
  fzt_relay_free(&relay);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("peer_error");
  TCase *tc = tcase_create("peer_error");
  tcase_add_loop_test(tc, test_indication, 0, 9);
  tcase_add_loop_test(tc, test_other_types, 0, 2);
  tcase_add_test(tc, test_permission);
  tcase_add_test(tc, test_port_out_of_reach);
  tcase_add_test(tc, test_nobodys);
  tcase_add_test(tc, test_limits);
  tcase_add_test(tc, test_ring_full);
  tcase_add_test(tc, test_channels_mode);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
