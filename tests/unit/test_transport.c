/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of an address: clients that differ in nothing else are two clients. */
#include "relay.h"
#include "saved_state.h"

#include "firezone_relay/offload.h"
#include "turn/state.h"

static fzt_relay relay;

static const uint8_t transports[] = {FZR_TRANSPORT_UDP, FZR_TRANSPORT_TCP, FZR_TRANSPORT_TLS,
                                     FZR_TRANSPORT_DTLS};
#define TRANSPORTS (sizeof transports)

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  config.relay_mode = FZR_RELAY_CHANNELS;
  fzt_relay_init(&relay, &config);
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static const char *const texts[] = {"198.51.100.1:4000", "[2001:db8::4]:4000"};

START_TEST(test_addresses)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr addr = fzt_addr(texts[_i]), same = addr;
  ck_assert_uint_eq(addr.transport, FZR_TRANSPORT_UDP);
  addr.transport = FZR_TRANSPORT_TLS;
  ck_assert(!fzr_addr_equal(&addr, &same));
  same.transport = FZR_TRANSPORT_TLS;
  ck_assert(fzr_addr_equal(&addr, &same));
  ck_assert_int_gt(fzr_addr_format(&addr, true, text, sizeof text), 0);
  ck_assert_str_eq(text, texts[_i]);
}
END_TEST

START_TEST(test_hashes)
{
  uint32_t clients[TRANSPORTS], peers[TRANSPORTS];
  for (unsigned i = 0; i < TRANSPORTS; i++) {
    fzr_addr addr = fzt_addr(texts[_i]);
    addr.transport = transports[i];
    clients[i] = fzri_hash_client(relay.engine, &addr);
    peers[i] = fzri_hash_peer(relay.engine, 0, &addr);
    for (unsigned k = 0; k < i; k++)
      ck_assert(clients[i] != clients[k] && peers[i] != peers[k]);
  }
}
END_TEST

/* A nonce is good for the client that it was made for. */
START_TEST(test_nonces)
{
  fzt_client_state udp, tcp;
  fzt_client_init(&udp, texts[0]);
  ck_assert_int_eq(fzt_allocate(&relay, &udp), 0);
  tcp = udp;
  tcp.addr.transport = tcp.server.transport = FZR_TRANSPORT_TCP;
  ck_assert_int_eq(fzt_refresh(&relay, &tcp, 600), 437);
  ck_assert_mem_ne(tcp.nonce, udp.nonce, udp.nonce_len); /* there was a 438 before */
  ck_assert_int_eq(fzt_refresh(&relay, &udp, 600), 0);
}
END_TEST

static void check_counts(const fzr_engine *engine, const uint64_t *expected)
{
  fzr_stats stats;
  uint64_t all = 0;
  ck_assert_int_eq(fzr_engine_stats(engine, &stats), 0);
  for (unsigned i = 0; i < TRANSPORTS; i++) {
    ck_assert_uint_eq(stats.allocations_by_transport[transports[i]], expected[i]);
    all += expected[i];
  }
  ck_assert_uint_eq(stats.allocations, all);
}

/* Allocations are counted by their clients' transport, those that another engine goes on with, too. */
START_TEST(test_counts)
{
  static fzt_state state;
  uint64_t expected[TRANSPORTS] = {0};
  fzt_client_state last;
  for (unsigned i = 0; i < TRANSPORTS; i++) {
    fzt_client_init(&last, texts[0]);
    last.addr.transport = last.server.transport = transports[i];
    ck_assert_int_eq(fzt_allocate(&relay, &last), 0);
    expected[i]++;
    check_counts(relay.engine, expected);
  }
  ck_assert_int_eq(fzt_refresh(&relay, &last, 0), 0);
  expected[TRANSPORTS - 1]--;
  check_counts(relay.engine, expected);
  fzt_state_save(&state, relay.engine, relay.now);
  fzt_relay_free(&relay);
  const fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  ck_assert_int_eq(fzr_engine_load(relay.engine, state.data, state.len, relay.now, NULL), 0);
  check_counts(relay.engine, expected);
  fzt_pass(&relay, 700 * FZR_SECOND);
  memset(expected, 0, sizeof expected);
  check_counts(relay.engine, expected);
}
END_TEST

/* One address and port, four transports: four allocations, each with its own channel. */
START_TEST(test_data)
{
  static fzt_client_state clients[TRANSPORTS];
  uint8_t data[8] = {0};
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  for (unsigned i = 0; i < TRANSPORTS; i++) {
    fzt_client_state *c = &clients[i];
    fzt_client_init(c, texts[_i]);
    c->addr.transport = c->server.transport = transports[i];
    ck_assert_int_eq(fzt_allocate(&relay, c), 0);
    ck_assert_int_eq(fzt_bind(&relay, c, (uint16_t)(0x4000 + i), &peer), 0);
    ck_assert_uint_eq(relay.event_count, 1);
    ck_assert(fzr_addr_equal(&relay.events[0].client, &c->addr));
    ck_assert(fzr_addr_equal(&relay.events[0].local, &c->server));
    /* What is outside this process knows UDP alone. */
    fzr_offload_channel channel;
    ck_assert_int_eq(fzr_offload_from_event(&relay.events[0], &channel), i ? FZR_ERR_UNSUPPORTED : 0);
  }
  for (unsigned i = 0; i < TRANSPORTS; i++) {
    const fzt_client_state *c = &clients[i];
    fzr_channel_data_header(data, (uint16_t)(0x4000 + i), 4);
    fzt_client(&relay, &c->addr, &c->server, data, sizeof data);
    ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
    ck_assert_uint_eq(relay.verdicts[0].from.port, c->relayed_port);
    ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &peer));
    ck_assert_uint_eq(relay.verdicts[0].from.transport, FZR_TRANSPORT_UDP);
    fzt_peer(&relay, &peer, c->relayed_port, data, sizeof data);
    ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
    ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &c->addr));
    ck_assert(fzr_addr_equal(&relay.verdicts[0].from, &c->server));
    /* On the others' transport the channel is not known. */
    const fzt_client_state *other = &clients[(i + 1) % TRANSPORTS];
    fzt_client(&relay, &other->addr, &other->server, data, sizeof data);
    ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_CHANNEL);
  }
  ck_assert_int_eq(fzt_refresh(&relay, &clients[1], 0), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &clients[1], 600), 437);
  ck_assert_int_eq(fzt_refresh(&relay, &clients[0], 600), 0);
}
END_TEST

/* A stream may carry a ChannelData that is too long for a datagram to the peer: none is made of it. */
START_TEST(test_more_than_a_datagram_holds)
{
  static uint8_t data[FZR_CHANNEL_HEADER_LEN + UINT16_MAX];
  static const uint16_t lengths[] = {FZR_UDP_PAYLOAD_MAX, FZR_UDP_PAYLOAD_MAX + 1, UINT16_MAX};
  const fzr_addr peer = fzt_addr("203.0.113.9:5000");
  fzt_client_state c;
  fzt_client_init(&c, texts[0]);
  c.addr.transport = c.server.transport = FZR_TRANSPORT_TCP;
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  for (unsigned i = 0; i < 3; i++) {
    fzr_channel_data_header(data, 0x4000, lengths[i]);
    fzt_client(&relay, &c.addr, &c.server, data, FZR_CHANNEL_HEADER_LEN + lengths[i]);
    ck_assert_uint_eq(relay.verdict_count, 1);
    ck_assert_uint_eq(relay.verdicts[0].action, i ? FZR_ACT_DROP : FZR_ACT_FORWARD);
    ck_assert_uint_eq(relay.verdicts[0].reason, i ? FZR_DROP_TOO_LARGE : FZR_DROP_NONE);
    if (!i)
      ck_assert_uint_eq(relay.verdicts[0].len, FZR_UDP_PAYLOAD_MAX);
  }
}
END_TEST

/* A peer talks UDP: what says otherwise is of another peer. */
START_TEST(test_peers)
{
  fzt_client_state c;
  uint8_t data[4] = {0};
  fzr_addr peer = fzt_addr("203.0.113.9:5000");
  fzt_client_init(&c, texts[0]);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peer), 0);
  peer.transport = FZR_TRANSPORT_TCP;
  fzt_peer(&relay, &peer, c.relayed_port, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_PEER);
}
END_TEST

/* Of addresses of the relay itself it is passed over. */
START_TEST(test_own_addresses)
{
  fzt_client_state c;
  fzr_addr own = fzt_addr("203.0.113.8"), bound = fzt_addr("203.0.113.7"), relayed;
  const fzr_addr peers[] = {fzt_addr("203.0.113.7:53"), fzt_addr("203.0.113.8:53"),
                            fzt_addr("203.0.113.1:53")};
  own.transport = bound.transport = FZR_TRANSPORT_TCP;
  fzt_relay_free(&relay);
  fzr_config config = fzt_config(&relay);
  config.public_ip4.transport = FZR_TRANSPORT_TLS;
  config.own_addrs = &bound;
  config.own_addr_count = 1;
  fzt_relay_init(&relay, &config);
  ck_assert(fzr_engine_public_addr(relay.engine, FZR_FAMILY_IPV4, &relayed));
  ck_assert_uint_eq(relayed.transport, FZR_TRANSPORT_UDP);
  ck_assert_int_eq(fzr_engine_set_own_addrs(relay.engine, &own, 1), 0);
  fzt_client_init(&c, texts[0]);
  ck_assert_int_eq(fzt_allocate(&relay, &c), 0);
  for (unsigned i = 0; i < 3; i++)
    ck_assert_int_eq(fzt_bind(&relay, &c, 0x4000, &peers[i]), 403);
}
END_TEST

/* A rule is about all that a peer's address can be, which is UDP: one that names another transport is a mistake. */
START_TEST(test_rules)
{
  fzr_engine *engine;
  fzr_peer_rule rule;
  ck_assert_int_eq(fzr_peer_rule_parse("10.0.0.0/8", true, &rule), 0);
  ck_assert_uint_eq(rule.net.transport, FZR_TRANSPORT_UDP);
  rule.net.transport = FZR_TRANSPORT_TCP;
  fzr_config config = fzr_config_init();
  config.random = fzt_random;
  config.random_ctx = &relay.prng;
  config.public_ip4 = fzt_addr("203.0.113.1");
  config.auth = FZR_AUTH_STAMP;
  config.auth_secret = FZT_SECRET;
  config.peer_rules = &rule;
  config.peer_rule_count = 1;
  ck_assert_int_eq(fzr_engine_new(&config, &engine, 0), FZR_ERR_CONFIG_RULE);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("transport");
  TCase *tc = tcase_create("transport");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_loop_test(tc, test_addresses, 0, 2);
  tcase_add_loop_test(tc, test_hashes, 0, 2);
  tcase_add_loop_test(tc, test_data, 0, 2);
  tcase_add_test(tc, test_counts);
  tcase_add_test(tc, test_more_than_a_datagram_holds);
  tcase_add_test(tc, test_nonces);
  tcase_add_test(tc, test_peers);
  tcase_add_test(tc, test_own_addresses);
  tcase_add_test(tc, test_rules);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
