/* SPDX-License-Identifier: Apache-2.0 */
/* The order of events, and that what was undone before it was told is never told. */
#include "relay.h"

static fzt_relay relay;
static fzt_client_state client;
static fzr_addr peer;

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  peer = fzt_addr("203.0.113.9:5000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static void expect_events(const uint16_t *types, size_t n)
{
  ck_assert_uint_eq(relay.event_count, n);
  for (size_t i = 0; i < n; i++)
    ck_assert_uint_eq(relay.events[i].type, types[i]);
}

#define EXPECT(...)                                                                                          \
  expect_events((const uint16_t[]){__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}) / 2)

START_TEST(test_bind_refresh_expire)
{
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  EXPECT(FZR_EVENT_CHANNEL_BOUND);
  const fzr_event *e = &relay.events[0];
  ck_assert_uint_eq(e->channel, 0x4000);
  ck_assert_uint_eq(e->port, client.relayed_port);
  ck_assert(fzr_addr_equal(&e->client, &client.addr));
  ck_assert(fzr_addr_equal(&e->local, &client.server));
  ck_assert(fzr_addr_equal(&e->peer, &peer));
  ck_assert_uint_eq(e->flags, 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_uint_eq(relay.event_count, 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 3600), 0);
  fzt_pass(&relay, 609 * FZR_SECOND);
  ck_assert_uint_eq(relay.event_count, 0);
  fzt_pass(&relay, 2 * FZR_SECOND);
  EXPECT(FZR_EVENT_CHANNEL_UNBOUND); /* when relaying ends, not when the reservation does */
  fzt_pass(&relay, 400 * FZR_SECOND);
  ck_assert_uint_eq(relay.event_count, 0);
}
END_TEST

START_TEST(test_delete_unbinds_before_it_closes)
{
  const fzr_addr second = fzt_addr("203.0.113.9:5001");
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4001, &second), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  EXPECT(FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_PORT_CLOSE);
  ck_assert_uint_eq(relay.events[2].port, client.relayed_port);
}
END_TEST

START_TEST(test_expiry_unbinds_before_it_closes)
{
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  fzt_pass(&relay, 611 * FZR_SECOND);
  EXPECT(FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_PORT_CLOSE);
}
END_TEST

/* A host may take events one by one, with packets in between: the allocation is closing, and has lost its channel already. */
START_TEST(test_packets_between_the_events_of_an_end)
{
  const fzr_addr stranger = fzt_addr("203.0.113.77:7");
  uint8_t byte = 0;
  fzr_event event;
  fzr_verdict out[4];
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  relay.now += 611 * FZR_SECOND;
  fzr_engine_on_deadline(relay.engine, 100, relay.now);
  ck_assert(fzr_engine_next_event(relay.engine, &event));
  ck_assert_uint_eq(event.type, FZR_EVENT_CHANNEL_UNBOUND);
  fzr_addr to = fzt_addr("192.0.2.1:1");
  to.port = client.relayed_port;
  fzr_pkt in[2] = {{.data = &byte, .len = 1, .to = to, .from = peer},
                   {.data = &byte, .len = 1, .to = to, .from = stranger}};
  fzr_batch batch = {.in = in, .count = 2, .out = out, .room = 4};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_PEER, &batch, relay.now), 0);
  ck_assert_uint_eq(batch.consumed, 2);
  ck_assert_uint_eq(batch.written, 2);
  for (unsigned i = 0; i < 2; i++) {
    ck_assert_uint_eq(out[i].action, FZR_ACT_DROP);
    ck_assert_uint_eq(out[i].reason, FZR_DROP_UNKNOWN_PORT);
  }
  ck_assert(fzr_engine_next_event(relay.engine, &event));
  ck_assert_uint_eq(event.type, FZR_EVENT_PORT_CLOSE);
}
END_TEST

/* An event names its channel as the verdicts do. */
START_TEST(test_flow_is_that_of_the_verdicts)
{
  uint8_t data[8];
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  const fzr_addr second = fzt_addr("203.0.113.9:5001");
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4001, &second), 0);
  EXPECT(FZR_EVENT_CHANNEL_BOUND);
  const uint32_t flow = relay.events[0].flow;
  fzr_channel_data_header(data, 0x4001, 4);
  memset(data + 4, 0, 4);
  fzt_client(&relay, &client.addr, &client.server, data, sizeof data);
  ck_assert_uint_eq(relay.verdict_count, 1);
  ck_assert_uint_eq(relay.verdicts[0].flow, flow);
  fzt_peer(&relay, &second, client.relayed_port, data, sizeof data);
  ck_assert_uint_eq(relay.verdict_count, 1);
  ck_assert_uint_eq(relay.verdicts[0].flow, flow + 1);
}
END_TEST

START_TEST(test_rebinding_a_free_number)
{
  const fzr_addr other = fzt_addr("203.0.113.10:5000");
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 3600), 0);
  /* No deadline is seen to: the bind itself finds that the old channel is over. */
  relay.now += 910 * FZR_SECOND;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &other), 0);
  EXPECT(FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_CHANNEL_BOUND);
  ck_assert(fzr_addr_equal(&relay.events[0].peer, &peer));
  ck_assert(fzr_addr_equal(&relay.events[1].peer, &other));
}
END_TEST

/* A ChannelBind of 0x4000 to |peer| and a Refresh that ends the allocation, in one call. */
static void bind_and_end_in_one_call(void)
{
  uint8_t buffers[2][512];
  fzr_pkt pkts[2];
  fzr_verdict verdicts[4];
  for (int i = 0; i < 2; i++) {
    fzr_stun_builder b;
    fzt_begin(&relay, &client, &b, buffers[i], sizeof buffers[i],
              i ? FZR_STUN_REFRESH : FZR_STUN_CHANNEL_BIND);
    if (i)
      fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 0);
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, 0x4000u << 16);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
    fzr_stun_add_integrity(&b, client.key, sizeof client.key);
    pkts[i] = (fzr_pkt){.data = buffers[i],
                        .len = (uint32_t)fzr_stun_build_finish(&b),
                        .from = client.addr,
                        .to = client.server};
  }
  fzr_batch batch = {.in = pkts, .count = 2, .out = verdicts, .room = 4};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  ck_assert_uint_eq(batch.written, 2);
}

/* Without taking events in between, the last state counts. */
START_TEST(test_what_was_undone_is_not_told)
{
  fzr_event event;
  bind_and_end_in_one_call();
  ck_assert(fzr_engine_next_event(relay.engine, &event));
  ck_assert_uint_eq(event.type, FZR_EVENT_PORT_CLOSE);
  ck_assert(!fzr_engine_next_event(relay.engine, &event));
}
END_TEST

/* A channel that had lapsed unnoticed is bound anew, and its allocation ends: it is not queued behind what frees it. */
START_TEST(test_lapsed_rebound_and_ended_in_one_call)
{
  fzr_event event;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 3600), 0);
  relay.now += 610 * FZR_SECOND; /* no deadline is seen to */
  bind_and_end_in_one_call();
  ck_assert(fzr_engine_next_event(relay.engine, &event));
  ck_assert_uint_eq(event.type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert(fzr_engine_next_event(relay.engine, &event));
  ck_assert_uint_eq(event.type, FZR_EVENT_PORT_CLOSE);
  for (int i = 0; i < 3; i++)
    ck_assert(!fzr_engine_next_event(relay.engine, &event));
  /* The queue is whole. */
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  EXPECT(FZR_EVENT_CHANNEL_BOUND);
}
END_TEST

START_TEST(test_dropping_a_family_closes_its_port)
{
  fzt_client_state dual;
  fzr_stun_builder b;
  uint8_t buffer[512];
  const fzr_addr peer6 = fzt_addr("[2600::9]:5000");
  fzt_client_init(&dual, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_refresh(&relay, &dual, 600), 401);
  memcpy(dual.nonce, client.nonce, sizeof dual.nonce);
  ck_assert_int_eq(fzt_bind(&relay, &dual, 0x4000, &peer), 401);
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(dual.nonce, nonce.value, nonce.len);
  dual.nonce_len = nonce.len;
  fzt_begin(&relay, &dual, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &dual, &b, NULL), 0);
  EXPECT(FZR_EVENT_PORT_OPEN, FZR_EVENT_PORT_OPEN);
  ck_assert_uint_eq(relay.events[0].port, relay.events[1].port);
  ck_assert_int_eq(fzt_bind(&relay, &dual, 0x4001, &peer6), 0);
  fzt_begin(&relay, &dual, &b, buffer, sizeof buffer, FZR_STUN_REFRESH);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 0);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &dual, &b, NULL), 0);
  EXPECT(FZR_EVENT_CHANNEL_UNBOUND, FZR_EVENT_PORT_CLOSE);
  ck_assert_uint_eq(relay.events[1].family, FZR_FAMILY_IPV6);
  ck_assert_int_eq(fzt_refresh(&relay, &dual, 0), 0);
  EXPECT(FZR_EVENT_PORT_CLOSE);
  ck_assert_uint_eq(relay.events[0].family, FZR_FAMILY_IPV4);
}
END_TEST

START_TEST(test_failed_second_socket_closes_the_first)
{
  fzt_client_state c;
  fzt_client_init(&c, "198.51.100.3:4000");
  relay.open_errors[0] = 0;
  relay.open_errors[1] = FZR_ERR_IO_NO_SOCKET;
  relay.open_error_count = 2;
  fzr_stun_builder b;
  uint8_t buffer[512];
  memcpy(c.nonce, "x", 1);
  c.nonce_len = 1;
  ck_assert_int_eq(fzt_refresh(&relay, &c, 0), 437); /* takes a nonce on the way */
  fzt_begin(&relay, &c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &c, &b, NULL), 508);
  EXPECT(FZR_EVENT_PORT_OPEN, FZR_EVENT_PORT_OPEN, FZR_EVENT_PORT_CLOSE);
  ck_assert_uint_eq(relay.events[2].family, FZR_FAMILY_IPV4);
}
END_TEST

START_TEST(test_own_peers_are_marked)
{
  const fzr_addr own = fzt_addr("203.0.113.1:50000");
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &own), 0);
  EXPECT(FZR_EVENT_CHANNEL_BOUND);
  ck_assert_uint_eq(relay.events[0].flags, FZR_EVENT_PEER_IS_OWN);
  fzr_offload_channel channel;
  ck_assert_int_eq(fzr_offload_from_event(&relay.events[0], &channel), FZR_ERR_UNSUPPORTED);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4001, &peer), 0);
  ck_assert_int_eq(fzr_offload_from_event(&relay.events[0], &channel), 0);
  ck_assert_mem_eq(channel.peer.ip, peer.ip, 16);
  ck_assert_uint_eq(channel.client.channel[1], 0x01);
  ck_assert_uint_eq((unsigned)channel.peer.relayed_port[0] << 8 | channel.peer.relayed_port[1],
                    client.relayed_port);
  relay.events[0].type = FZR_EVENT_PORT_OPEN;
  ck_assert_int_eq(fzr_offload_from_event(&relay.events[0], &channel), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_offload_from_event(NULL, &channel), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_listing_channels)
{
  enum { N = 300 };
  static fzr_event listed[N + 8];
  uint32_t cursor = 0, passed = 0;
  size_t n = 0, got;
  for (unsigned i = 0; i < N; i++) {
    fzr_addr p = peer;
    p.port = (uint16_t)(6000 + i);
    ck_assert_int_eq(fzt_bind(&relay, &client, (uint16_t)(0x4000 + i), &p), 0);
  }
  /* What comes and goes meanwhile is told of once: by a list if it stands behind the cursor, else by its event. */
  while ((got = fzr_engine_list_channels(relay.engine, &cursor, listed + n, 7)) > 0) {
    for (size_t i = n; i < n + got; i++) {
      ck_assert_uint_ge(listed[i].flow, 2 * passed);
      ck_assert_uint_lt(listed[i].flow, 2 * cursor);
    }
    passed = cursor;
    n += got;
  }
  ck_assert_uint_eq(n, N);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 3600), 0);
  relay.now += 609 * FZR_SECOND;
  fzr_addr first = peer;
  first.port = 6000;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &first), 0);
  relay.event_count = 0;
  const fzr_time end = relay.now + 2 * FZR_SECOND;
  fzr_event event;
  while (fzr_engine_deadline(relay.engine) <= end) {
    relay.now = fzr_engine_deadline(relay.engine) > relay.now ? fzr_engine_deadline(relay.engine) : relay.now;
    fzr_engine_on_deadline(relay.engine, 50, relay.now);
    while (fzr_engine_next_event(relay.engine, &event))
      ck_assert_uint_eq(event.type, FZR_EVENT_CHANNEL_UNBOUND);
  }
  cursor = 0;
  ck_assert_uint_eq(fzr_engine_list_channels(relay.engine, &cursor, listed, 10), 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("events");
  TCase *tc = tcase_create("events");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_bind_refresh_expire);
  tcase_add_test(tc, test_delete_unbinds_before_it_closes);
  tcase_add_test(tc, test_expiry_unbinds_before_it_closes);
  tcase_add_test(tc, test_packets_between_the_events_of_an_end);
  tcase_add_test(tc, test_flow_is_that_of_the_verdicts);
  tcase_add_test(tc, test_rebinding_a_free_number);
  tcase_add_test(tc, test_what_was_undone_is_not_told);
  tcase_add_test(tc, test_lapsed_rebound_and_ended_in_one_call);
  tcase_add_test(tc, test_dropping_a_family_closes_its_port);
  tcase_add_test(tc, test_failed_second_socket_closes_the_first);
  tcase_add_test(tc, test_own_peers_are_marked);
  tcase_add_test(tc, test_listing_channels);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
