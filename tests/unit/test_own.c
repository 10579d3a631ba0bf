/* SPDX-License-Identifier: Apache-2.0 */
/* What is the relay's own, as it comes to be known while it runs: addresses, a listen port, families. */
#include "relay.h"

#include "base/addr_set.h"

static fzt_relay relay;
static fzt_client_state client;

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static int bind_to(uint16_t channel, const char *peer)
{
  const fzr_addr addr = fzt_addr(peer);
  return fzt_bind(&relay, &client, channel, &addr);
}

static void own_is(const char *const *texts, size_t n)
{
  fzr_addr addrs[8];
  for (size_t i = 0; i < n; i++)
    addrs[i] = fzt_addr(texts[i]);
  ck_assert_int_eq(fzr_engine_set_own_addrs(relay.engine, addrs, n), 0);
}

#define OWN_IS(...)                                                                                          \
  own_is((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void add_own(const char *text)
{
  const fzr_addr addr = fzt_addr(text);
  ck_assert_int_eq(fzr_engine_add_own_addrs(relay.engine, &addr, 1), 0);
}

START_TEST(test_new_own_addresses_are_out_of_reach)
{
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:54"), 0);
  OWN_IS("203.0.113.8", "::", "2001:db8:9::8");
  add_own("203.0.113.9");
  fzt_pass(&relay, 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:53"), 403);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.9:53"), 403);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:3478"), 403);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.10:53"), 0);
  ck_assert_int_eq(bind_to(0x4002, "203.0.113.8:50000"), 0);
  ck_assert_uint_eq(relay.events[0].flags, FZR_EVENT_PEER_IS_OWN);
  /* What was told before is replaced, but for the public address. */
  OWN_IS("203.0.113.9");
  ck_assert_int_eq(bind_to(0x4003, "203.0.113.8:53"), 0);
  ck_assert_int_eq(bind_to(0x4004, "203.0.113.9:53"), 403);
  ck_assert_int_eq(bind_to(0x4004, "203.0.113.1:53"), 403);
}
END_TEST

START_TEST(test_live_channels_end)
{
  uint8_t data[8] = {0x40, 0, 0, 4, 1, 2, 3, 4};
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.9:53"), 0);
  add_own("203.0.113.8");
  ck_assert_uint_le(fzr_engine_deadline(relay.engine), relay.now);
  fzt_pass(&relay, 0);
  ck_assert_uint_gt(fzr_engine_deadline(relay.engine), relay.now);
  ck_assert_uint_eq(relay.event_count, 1);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[0].channel, 0x4000);
  ck_assert_uint_eq(relay.events[0].flags, 0); /* as it was told when it was bound */
  fzt_client(&relay, &client.addr, &client.server, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_CHANNEL);
  data[1] = 1;
  fzt_client(&relay, &client.addr, &client.server, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
  /* Its number is free for another peer. */
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.10:53"), 0);
}
END_TEST

/* To a port for allocations: it relays on, and an offload hears that it has to leave it alone. */
START_TEST(test_a_channel_that_may_stay_is_told_anew)
{
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:50000"), 0);
  ck_assert_uint_eq(relay.events[0].flags, 0);
  add_own("203.0.113.8");
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[0].flags, FZR_EVENT_GOES_ON);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert_uint_eq(relay.events[1].flags, FZR_EVENT_PEER_IS_OWN | FZR_EVENT_GOES_ON);
  add_own("203.0.113.8");
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 0);
  /* The address leaves: nothing is looked at for that alone, but with the next refresh an offload may have the channel. */
  OWN_IS("203.0.113.77");
  fzt_pass(&relay, 0);
  OWN_IS("203.0.113.8", "203.0.113.77");
  fzt_pass(&relay, 0);
  OWN_IS("203.0.113.77");
  ck_assert_uint_gt(fzr_engine_deadline(relay.engine), relay.now);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:50000"), 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[0].flags, FZR_EVENT_PEER_IS_OWN | FZR_EVENT_GOES_ON);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert_uint_eq(relay.events[1].flags, FZR_EVENT_GOES_ON);
  /* Another that comes has all of them looked at, which tells both ways. */
  add_own("203.0.113.8");
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
  OWN_IS("203.0.113.78");
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert_uint_eq(relay.events[1].flags, FZR_EVENT_GOES_ON);
  add_own("203.0.113.8");
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
  /* In one breath: what was not told need not be untold. */
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[0].flags, FZR_EVENT_PEER_IS_OWN);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_PORT_CLOSE);
}
END_TEST

/* A reservation, too: else a refresh would have it relay again. */
START_TEST(test_reserved_channels_end)
{
  ck_assert_int_eq(fzt_refresh(&relay, &client, 3600), 0);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 0);
  fzt_pass(&relay, 700 * FZR_SECOND);
  add_own("203.0.113.8");
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 0);
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.10:53"), 0);
}
END_TEST

/* Thousands of channels are not looked at in one go. */
START_TEST(test_the_budget)
{
  const unsigned channels = 4000;
  for (unsigned i = 0; i < channels; i++) {
    fzr_addr peer = fzt_addr(i % 2 ? "203.0.113.8:1000" : "203.0.113.9:1000");
    peer.port = (uint16_t)(5000 + i);
    ck_assert_int_eq(fzt_bind(&relay, &client, (uint16_t)(0x4000 + i), &peer), 0);
  }
  add_own("203.0.113.8");
  unsigned calls = 0, ended = 0;
  fzr_event event;
  while (fzr_engine_deadline(relay.engine) <= relay.now) {
    ck_assert_int_le(fzr_engine_on_deadline(relay.engine, 10, relay.now), 10);
    unsigned now_ended = 0;
    while (fzr_engine_next_event(relay.engine, &event)) {
      ck_assert_uint_eq(event.type, FZR_EVENT_CHANNEL_UNBOUND);
      ck_assert_uint_eq(event.channel % 2, 1);
      now_ended++;
    }
    ck_assert_uint_le(now_ended, 160);
    ended += now_ended;
    calls++;
  }
  ck_assert_uint_eq(ended, channels / 2);
  ck_assert_uint_ge(calls, channels / 160);
}
END_TEST

START_TEST(test_listen_port)
{
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.1:50001"), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:50001"), 0);
  ck_assert_int_eq(bind_to(0x4002, "203.0.113.8:50002"), 0);
  ck_assert_int_eq(fzr_engine_add_listen_port(relay.engine, 50001), 0);
  ck_assert_int_eq(fzr_engine_add_listen_port(relay.engine, 50001), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:50001"), 403); /* no relay's listen port is a peer's */
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.1:3478"), 403);
  ck_assert_int_eq(fzr_engine_add_listen_port(relay.engine, 0), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_add_listen_port(NULL, 1), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

static int ask_for(uint16_t type, uint8_t family, fzr_stun_msg *msg)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (type)
    fzr_stun_add_u32(&b, type, (uint32_t)family << 24);
  return fzt_finish(&relay, &client, &b, msg);
}

/* Families that the host does not have: 440 for those alone, the other one for both. RFC 8656 section 7.2 */
START_TEST(test_families)
{
  fzr_stun_msg msg;
  fzr_stun_attr error;
  for (unsigned slot = 0; slot < 2; slot++) {
    const enum fzr_family off = slot ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
    const enum fzr_family on = slot ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
    fzt_refresh(&relay, &client, 0);
    ck_assert_int_eq(fzr_engine_set_offered(relay.engine, off, false), 0);
    ck_assert_int_eq(ask_for(FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint8_t)off, NULL), 440);
    ck_assert_int_eq(ask_for(0, 0, NULL), 0); /* whatever there is */
    fzt_refresh(&relay, &client, 0);
    ck_assert_int_eq(ask_for(FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, FZR_FAMILY_IPV6, &msg), 0);
    ck_assert(fzr_stun_get(&msg, FZR_ATTR_ADDRESS_ERROR_CODE, &error));
    ck_assert_uint_eq(error.value[0], off);
    fzr_addr relayed;
    ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
    ck_assert_uint_eq(relayed.family, on);
    fzt_refresh(&relay, &client, 0);
    /* None at all. */
    ck_assert_int_eq(fzr_engine_set_offered(relay.engine, on, false), 0);
    ck_assert_int_eq(ask_for(FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, FZR_FAMILY_IPV6, NULL), 440);
    ck_assert_int_eq(fzr_engine_set_offered(relay.engine, on, true), 0);
    ck_assert_int_eq(fzr_engine_set_offered(relay.engine, off, true), 0);
    ck_assert_int_eq(ask_for(FZR_ATTR_REQUESTED_ADDRESS_FAMILY, (uint8_t)off, NULL), 0);
  }
  ck_assert_int_eq(fzr_engine_set_offered(relay.engine, FZR_FAMILY_NONE, true), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

/* A family without a public address is none that could be offered. */
START_TEST(test_no_public_address)
{
  fzr_addr addr;
  fzt_relay_free(&relay);
  fzr_config config = fzt_config(&relay);
  memset(&config.public_ip6, 0, sizeof config.public_ip6);
  fzt_relay_init(&relay, &config);
  ck_assert_int_eq(fzr_engine_set_offered(relay.engine, FZR_FAMILY_IPV6, true), 0);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  ck_assert_int_eq(ask_for(FZR_ATTR_REQUESTED_ADDRESS_FAMILY, FZR_FAMILY_IPV6, NULL), 440);
  const fzr_addr untouched = addr = fzt_addr("192.0.2.9:9");
  ck_assert(!fzr_engine_public_addr(relay.engine, FZR_FAMILY_IPV6, &addr));
  ck_assert(fzr_addr_equal(&addr, &untouched));
  ck_assert(fzr_engine_public_addr(relay.engine, FZR_FAMILY_IPV4, &addr));
  ck_assert(fzr_addr_equal(&addr, &config.public_ip4));
  ck_assert(!fzr_engine_public_addr(relay.engine, FZR_FAMILY_NONE, &addr));
}
END_TEST

/* Whatever is not to be had: what was told before holds on. */
START_TEST(test_no_memory)
{
  fzr_addr addrs[100] = {0};
  for (unsigned i = 0; i < 100; i++) {
    addrs[i] = fzt_addr("203.0.113.1");
    addrs[i].ip[2] = (uint8_t)i;
  }
  OWN_IS("203.0.113.8");
  relay.mem.count = 0;
  relay.mem.fail_from = 1;
  ck_assert_int_eq(fzr_engine_set_own_addrs(relay.engine, addrs, 100), FZR_ERR_NO_MEMORY);
  ck_assert_int_eq(fzr_engine_add_own_addrs(relay.engine, addrs, 100), FZR_ERR_NO_MEMORY);
  ck_assert_int_eq(fzr_engine_add_listen_port(relay.engine, 50001), FZR_ERR_NO_MEMORY);
  relay.mem.fail_from = 0;
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.8:53"), 403);
  ck_assert_int_eq(bind_to(0x4000, "203.0.99.1:53"), 0);
  ck_assert_int_eq(fzr_engine_set_own_addrs(NULL, addrs, 1), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_own_addrs(relay.engine, NULL, 1), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_add_own_addrs(relay.engine, NULL, 1), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_set_own_addrs(relay.engine, NULL, 0), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.8:53"), 0);
}
END_TEST

/* All shards know which ports are live ones, each family by itself; and a verdict says when it leads to an own address. */
START_TEST(test_live_ports)
{
  fzr_shared *shared;
  fzt_relay other;
  fzt_relay_free(&relay);
  fzr_config config = fzt_config(&relay);
  ck_assert_int_eq(fzr_shared_new(50000, 50099, NULL, &shared), 0);
  config.shared = shared;
  config.lowest_port = 50000;
  config.highest_port = 50099;
  fzt_relay_init(&relay, &config);
  fzr_config second = fzt_config(&other);
  second.shared = shared;
  second.lowest_port = 50000;
  second.highest_port = 50099;
  fzt_relay_init(&other, &second);
  relay.hold_opens = true;
  ck_assert_int_eq(fzt_allocate(&relay, &client), -1);
  const uint16_t port = relay.events[0].port;
  ck_assert(!fzr_engine_port_is_live(other.engine, port, FZR_FAMILY_IPV4)); /* taken, but not open */
  ck_assert_int_eq(fzr_engine_port_result(relay.engine, port, FZR_FAMILY_IPV4, 0,
                                          (void *)(uintptr_t)(port * 4u + FZR_FAMILY_IPV4), relay.now),
                   0);
  relay.hold_opens = false;
  ck_assert(fzr_engine_port_is_live(other.engine, port, FZR_FAMILY_IPV4));
  ck_assert(!fzr_engine_port_is_live(other.engine, port, FZR_FAMILY_IPV6));
  for (unsigned i = 49900; i < 50300; i++)
    ck_assert(fzr_engine_port_is_live(relay.engine, (uint16_t)i, FZR_FAMILY_IPV4) == (i == port));
  ck_assert(!fzr_engine_port_is_live(relay.engine, 0, FZR_FAMILY_IPV4));
  ck_assert(!fzr_engine_port_is_live(relay.engine, 65535, FZR_FAMILY_IPV4));
  ck_assert(!fzr_engine_port_is_live(relay.engine, port, FZR_FAMILY_NONE));
  ck_assert(!fzr_engine_port_is_live(NULL, port, FZR_FAMILY_IPV4));
  const uint8_t data[2][8] = {{0x40, 0, 0, 4}, {0x40, 1, 0, 4}};
  ck_assert_int_eq(bind_to(0x4000, "203.0.113.1:50050"), 0);
  ck_assert_int_eq(bind_to(0x4001, "203.0.113.9:50050"), 0);
  for (unsigned i = 0; i < 2; i++) {
    fzt_client(&relay, &client.addr, &client.server, data[i], sizeof data[i]);
    ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
    ck_assert_uint_eq(relay.verdicts[0].flags, i == 0 ? FZR_VERDICT_TO_OWN : 0);
  }
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  ck_assert(!fzr_engine_port_is_live(other.engine, port, FZR_FAMILY_IPV4));
  /* An engine that goes takes its own along. */
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert(fzr_engine_port_is_live(other.engine, client.relayed_port, FZR_FAMILY_IPV4));
  fzt_relay_free(&relay);
  ck_assert(!fzr_engine_port_is_live(other.engine, client.relayed_port, FZR_FAMILY_IPV4));
  fzt_relay_free(&other);
  fzr_shared_free(shared);
  set_up(); /* for the end */
}
END_TEST

/* A peer's allocation ends, and another user gets its port: what is still sent there reaches nobody who has not asked for it. */
START_TEST(test_the_port_of_an_own_peer_changes_hands)
{
  uint8_t data[8] = {0x40, 0, 0, 4, 1, 2, 3, 4};
  fzt_client_state second, third;
  fzr_addr relayed = fzt_addr("203.0.113.1:1"), target = relayed;
  fzt_relay_free(&relay);
  fzr_config config = fzt_config(&relay);
  config.lowest_port = 50000;
  config.highest_port = 50001;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  fzt_client_init(&second, "198.51.100.2:4000");
  fzt_client_init(&third, "198.51.100.3:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_allocate(&relay, &second), 0);
  relayed.port = client.relayed_port;
  target.port = second.relayed_port;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &target), 0);
  ck_assert_int_eq(fzt_bind(&relay, &second, 0x4000, &relayed), 0);
  fzt_peer(&relay, &relayed, target.port, data, 4);
  ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert_int_eq(fzt_refresh(&relay, &second, 0), 0);
  ck_assert(!fzr_engine_port_is_live(relay.engine, target.port, FZR_FAMILY_IPV4));
  fzt_peer(&relay, &relayed, target.port, data, 4);
  ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_PORT);
  ck_assert_int_eq(fzt_allocate(&relay, &third), 0);
  ck_assert_uint_eq(third.relayed_port, target.port);
  fzt_client(&relay, &client.addr, &client.server, data, sizeof data);
  ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &target));
  fzt_peer(&relay, &relayed, target.port, data, 4);
  ck_assert_uint_eq(relay.verdicts[0].reason, FZR_DROP_UNKNOWN_PEER);
  ck_assert_int_eq(fzt_bind(&relay, &third, 0x4000, &relayed), 0); /* now it has asked */
  fzt_peer(&relay, &relayed, target.port, data, 4);
  ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &third.addr));
}
END_TEST

/* The set beside a plain array. */
START_TEST(test_set)
{
  fzri_mem mem;
  fzri_addr_set set = {0};
  fzt_prng prng = {fzt_seed("own")};
  static bool in[2][4096];
  memset(in, 0, sizeof in);
  ck_assert_int_eq(fzri_mem_init(&mem, NULL), 0);
  uint32_t count = 0;
  for (unsigned n = 0; n < 6000; n++) {
    const unsigned family = (unsigned)fzt_below(&prng, 2), which = (unsigned)fzt_below(&prng, 4096);
    fzr_addr addr = fzt_addr(family ? "[2001:db8::1]:7" : "10.0.0.1:7");
    addr.ip[family ? 14 : 2] = (uint8_t)(which >> 8);
    addr.ip[family ? 15 : 3] = (uint8_t)which;
    addr.scope_id = which % 3;
    ck_assert_int_eq(fzri_addr_set_has(&set, &addr), in[family][which]);
    if (n % 2)
      continue;
    ck_assert_int_eq(fzri_addr_set_add(&set, &mem, &addr, 1), 0);
    count += !in[family][which];
    in[family][which] = true;
    ck_assert_uint_eq(set.count, count);
  }
  fzri_addr_set_free(&set, &mem);
  ck_assert_uint_eq(mem.used, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("own");
  TCase *tc = tcase_create("own");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_new_own_addresses_are_out_of_reach);
  tcase_add_test(tc, test_live_channels_end);
  tcase_add_test(tc, test_a_channel_that_may_stay_is_told_anew);
  tcase_add_test(tc, test_reserved_channels_end);
  tcase_add_test(tc, test_the_budget);
  tcase_add_test(tc, test_listen_port);
  tcase_add_test(tc, test_families);
  tcase_add_test(tc, test_no_public_address);
  tcase_add_test(tc, test_no_memory);
  tcase_add_test(tc, test_live_ports);
  tcase_add_test(tc, test_the_port_of_an_own_peer_changes_hands);
  tcase_add_test(tc, test_set);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
