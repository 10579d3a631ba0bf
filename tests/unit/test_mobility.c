/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that move with their clients: what tickets are, what the application is told, and what does not go. What is answered is
 * in tests/conformance/allocations.c, what several shards have to do with it in test_mobility_shards.c. */
#include "mobility_rig.h"
#include "saved_state.h"

#include "turn/ticket.h"

static fzt_relay relay;
static fzt_client_state client;
static unsigned moved_logs;
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};

static void note(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event != FZR_LOG_ALLOCATION_MOVED)
    return;
  moved_logs++;
  ck_assert(!fzr_addr_equal(record->client, record->former_client));
}

static void begin(enum fzr_replace replace)
{
  fzr_config config = fzt_config(&relay);
  config.mobility = true;
  config.replace_allocations = (uint8_t)replace;
  config.log = note;
  config.log_level = FZR_LOG_INFO;
  moved_logs = 0;
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(rig_allocate_mobile(&relay, &client), 0);
}

static void setup(void)
{
  begin(FZR_REPLACE_NEVER);
}

static void teardown(void)
{
  fzt_relay_free(&relay);
}

START_TEST(test_ticket)
{
  const fzri_siphash_key users = {1, 2}, others = {1, 3};
  const uint8_t name[16] = "a name";
  const fzri_siphash_key key = fzri_ticket_key(&users, name), other = fzri_ticket_key(&others, name);
  const fzri_ticket said = {.id = 0x0123456789abcdef, .generation = 0xfffffffe, .port = 50001};
  fzri_ticket next = said, read;
  uint8_t text[FZRI_TICKET_LEN], again[FZRI_TICKET_LEN], different[FZRI_TICKET_LEN];
  fzri_ticket_write(&key, &said, text);
  fzri_ticket_write(&key, &said, again);
  ck_assert_mem_eq(text, again, sizeof text);
  ck_assert(fzri_ticket_read(&key, text, sizeof text, &read));
  ck_assert(read.id == said.id && read.generation == said.generation && read.port == said.port);
  next.generation++;
  fzri_ticket_write(&key, &next, different);
  unsigned same = 0;
  for (size_t i = 0; i < sizeof text; i++)
    same += text[i] == different[i];
  ck_assert_uint_lt(same, 4); /* nothing of what it says shows */
  for (unsigned i = 0; i < 20000; i++, next.generation++) {
    fzri_ticket_write(&key, &next, different);
    ck_assert_ptr_null(memchr(different, 0, sizeof different)); /* there are clients to whom it is text */
    ck_assert(fzri_ticket_read(&key, different, sizeof different, &read));
    ck_assert_uint_eq(read.generation, next.generation);
  }
  ck_assert(!fzri_ticket_read(&other, text, sizeof text, &read));
  ck_assert(!fzri_ticket_read(&key, text, sizeof text - 1, &read));
  ck_assert(!fzri_ticket_read(&key, NULL, 0, &read));
  for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
    text[bit / 8] ^= (uint8_t)(1u << bit % 8);
    ck_assert(!fzri_ticket_read(&key, text, sizeof text, &read));
    text[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
}
END_TEST

/* The application hears that each channel ends at the old address, before it begins at the new one. */
START_TEST(test_events)
{
  const fzr_addr from = client.addr;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_uint_eq(relay.event_count, 1);
  const fzr_event bound = relay.events[0];
  client.addr = fzt_addr("192.0.2.99:1234");
  rig_move(&relay, &client);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert(fzr_addr_equal(&relay.events[0].client, &from));
  ck_assert_uint_eq(relay.events[0].flow, bound.flow);
  ck_assert_ptr_eq(relay.events[0].io, bound.io);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert(fzr_addr_equal(&relay.events[1].client, &client.addr));
  ck_assert_uint_eq(relay.events[1].channel, 0x4000);
  ck_assert_uint_eq(relay.events[0].flags, FZR_EVENT_GOES_ON);
  ck_assert_uint_eq(relay.events[1].flags, FZR_EVENT_GOES_ON);
  ck_assert_uint_eq(moved_logs, 1);
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert_uint_eq(stats.allocations_moved, 1);
  ck_assert_uint_eq(stats.allocations, 1);
  ck_assert_uint_eq(stats.channels, 1);
  /* It ends where it is. */
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &from, &client.server, relay.now),
                   FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_engine_end_allocation(relay.engine, &client.addr, &client.server, relay.now), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert(fzr_addr_equal(&relay.events[0].client, &client.addr));
  ck_assert_uint_eq(relay.events[0].flags, 0);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_PORT_CLOSE);
}
END_TEST

/* Several: all of them end before the first begins, so that clients may change places. */
START_TEST(test_events_of_several)
{
  fzr_addr other = peer;
  other.port++;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_uint_eq(relay.events[0].flags, 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4001, &other), 0);
  client.addr = fzt_addr("192.0.2.99:1234");
  rig_move(&relay, &client);
  ck_assert_uint_eq(relay.event_count, 4);
  for (unsigned i = 0; i < 4; i++) {
    ck_assert_uint_eq(relay.events[i].type, i < 2 ? FZR_EVENT_CHANNEL_UNBOUND : FZR_EVENT_CHANNEL_BOUND);
    ck_assert_uint_eq(relay.events[i].channel, 0x4001 - i % 2);
    ck_assert_uint_eq(relay.events[i].flags, FZR_EVENT_GOES_ON);
  }
  /* From then on they are like others. */
  fzr_event listed;
  uint32_t cursor = 0;
  ck_assert_uint_eq(fzr_engine_list_channels(relay.engine, &cursor, &listed, 1), 1);
  ck_assert_uint_eq(listed.flags, 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  ck_assert_uint_eq(relay.event_count, 3);
  ck_assert_uint_eq(relay.events[0].flags, 0);
  ck_assert_uint_eq(relay.events[1].flags, 0);
}
END_TEST

/* It moves and ends in one batch, before the application takes events: its channel ends once, at the address that was told. */
START_TEST(test_moved_and_ended_at_once)
{
  uint8_t first[512], second[512];
  fzr_stun_builder b;
  const fzr_addr from = client.addr;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  client.addr = fzt_addr("192.0.2.99:1234");
  rig_get_nonce(&relay, &client);
  const size_t first_len = rig_build_move(&relay, &client, first, sizeof first);
  fzt_begin(&relay, &client, &b, second, sizeof second, FZR_STUN_REFRESH);
  fzr_stun_add_u32(&b, FZR_ATTR_LIFETIME, 0);
  fzr_stun_add_integrity(&b, client.key, FZR_STUN_KEY_LEN);
  const int second_len = fzr_stun_build_finish(&b);
  fzr_pkt pkts[2] = {{.data = first, .len = (uint32_t)first_len, .from = client.addr, .to = client.server},
                     {.data = second, .len = (uint32_t)second_len, .from = client.addr, .to = client.server}};
  fzt_client_run(&relay, pkts, 2);
  ck_assert_uint_eq(relay.answer_count, 2);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert(fzr_addr_equal(&relay.events[0].client, &from));
  ck_assert_uint_eq(relay.events[0].flags, 0);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_PORT_CLOSE);
}
END_TEST

/* Twice within one batch: the second time there is no answer, and the client asks again. */
START_TEST(test_twice_at_once)
{
  uint8_t first[512], second[512];
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  fzt_client_state there = client;
  there.addr = fzt_addr("192.0.2.99:1234");
  rig_get_nonce(&relay, &there);
  const size_t len = rig_build_move(&relay, &there, first, sizeof first);
  /* The next ticket is not known before the answer: with the one that there is. */
  fzt_client_state further = client;
  further.addr = fzt_addr("192.0.2.98:1234");
  rig_get_nonce(&relay, &further);
  const size_t further_len = rig_build_move(&relay, &further, second, sizeof second);
  fzr_pkt pkts[2] = {
      {.data = first, .len = (uint32_t)len, .from = there.addr, .to = there.server},
      {.data = second, .len = (uint32_t)further_len, .from = further.addr, .to = further.server}};
  fzt_client_run(&relay, pkts, 2);
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert(fzr_addr_equal(&relay.answers[0].to, &there.addr));
  fzt_client(&relay, &further.addr, &further.server, second, further_len);
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert(fzr_addr_equal(&relay.answers[0].to, &further.addr));
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert(fzr_addr_equal(&relay.events[0].client, &there.addr));
  ck_assert(fzr_addr_equal(&relay.events[1].client, &further.addr));
}
END_TEST

/* One datagram with a forged source, though its user has all that there is but what is sent to that address, points no peers at it. */
START_TEST(test_forged_source)
{
  const fzr_addr from = client.addr;
  uint8_t buffer[512];
  fzr_stun_msg msg;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  client.addr = fzt_addr("192.0.2.66:666");
  fzt_client(&relay, &client.addr, &client.server, buffer,
             rig_build_move(&relay, &client, buffer, sizeof buffer));
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
  ck_assert_uint_eq(fzr_stun_error_code(&msg), 438);
  ck_assert_uint_eq(relay.event_count, 0);
  ck_assert_uint_eq(moved_logs, 0);
  fzt_peer(&relay, &peer, client.relayed_port, (const uint8_t *)"data", 4);
  ck_assert_uint_eq(relay.verdict_count, 1);
  ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &from));
}
END_TEST

/* Who hears a Refresh and sends it on from an address of his own gets nothing. */
START_TEST(test_replayed)
{
  uint8_t heard[512];
  const fzr_addr thief = fzt_addr("192.0.2.66:666");
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  client.addr = fzt_addr("192.0.2.99:1234");
  rig_get_nonce(&relay, &client);
  const size_t len = rig_build_move(&relay, &client, heard, sizeof heard);
  fzt_client(&relay, &client.addr, &client.server, heard, len);
  ck_assert_uint_eq(relay.answer_count, 1);
  fzt_client(&relay, &thief, &client.server, heard, len);
  ck_assert_uint_eq(relay.answer_count, 1);
  fzr_stun_msg msg;
  ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
  ck_assert_uint_eq(fzr_stun_error_code(&msg), 438);
  fzt_peer(&relay, &peer, client.relayed_port, (const uint8_t *)"data", 4);
  ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &client.addr));
}
END_TEST

/* Addresses are the client's own affair, a hundred times; and nothing is left of any of it. */
START_TEST(test_there_and_back)
{
  const fzr_addr places[2] = {client.addr, fzt_addr("192.0.2.99:1234")};
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  const uint64_t memory = relay.mem.live;
  for (unsigned i = 1; i <= 100; i++) {
    client.addr = places[i % 2];
    rig_move(&relay, &client);
    fzt_peer(&relay, &peer, client.relayed_port, (const uint8_t *)"data", 4);
    ck_assert_uint_eq(relay.verdict_count, 1);
    ck_assert_uint_eq(relay.verdicts[0].action, FZR_ACT_FORWARD);
    ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &client.addr));
  }
  ck_assert_uint_eq(relay.mem.live, memory);
}
END_TEST

/* Whether a Refresh moves the allocation to where |c| is; takes any number of events. */
static bool moves(fzt_client_state *c, unsigned *events)
{
  uint8_t buffer[512];
  fzr_stun_msg msg;
  fzr_transmit answer;
  fzr_event event;
  rig_get_nonce(&relay, c);
  fzr_pkt pkt = {.data = buffer, .from = c->addr, .to = c->server};
  pkt.len = (uint32_t)rig_build_move(&relay, c, buffer, sizeof buffer);
  fzr_batch batch = {.in = &pkt, .count = 1, .out = relay.verdicts, .room = 256};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  for (*events = 0; fzr_engine_next_event(relay.engine, &event); ++*events)
    ;
  if (!fzr_engine_next_transmit(relay.engine, &answer))
    return false;
  ck_assert_int_eq(fzr_stun_read(answer.data, answer.len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_SUCCESS);
  return true;
}

/* A move of thousands of channels is work: it comes a few times in a row, and then about once a second. */
START_TEST(test_moves_that_cost)
{
  const fzr_addr places[2] = {client.addr, fzt_addr("192.0.2.99:1234")};
  unsigned events, n = 0, in_time = 0;
  for (uint16_t i = 0; i < 4096; i++) {
    fzr_addr to = peer;
    to.port = (uint16_t)(20000 + i);
    ck_assert_int_eq(fzt_bind(&relay, &client, (uint16_t)(0x4000 + i), &to), 0);
  }
  for (;; n++) {
    client.addr = places[!(n % 2)];
    if (!moves(&client, &events))
      break;
    ck_assert_uint_eq(events, 2 * 4096);
    ck_assert_uint_lt(n, 5);
  }
  ck_assert_uint_eq(n, 3);
  ck_assert_uint_eq(events, 0);
  fzr_addr to = peer;
  to.port = 20000;
  fzt_peer(&relay, &to, client.relayed_port, (const uint8_t *)"data", 4);
  ck_assert(fzr_addr_equal(&relay.verdicts[0].to, &places[1])); /* where it was */
  for (unsigned tries = 0; tries < 100; tries++, relay.now += FZR_SECOND / 10) {
    client.addr = places[!(n % 2)];
    if (!moves(&client, &events))
      continue;
    n++;
    in_time++;
  }
  ck_assert_uint_ge(in_time, 9);
  ck_assert_uint_le(in_time, 11);
}
END_TEST

/* A user has a newest allocation for each transport: one that has moved to another is the newest there, and is none where it was. */
START_TEST(test_other_transport)
{
  fzt_client_state again, other;
  fzt_relay_free(&relay);
  begin(FZR_REPLACE_ALWAYS);
  again = client;
  client.addr.transport = client.server.transport = FZR_TRANSPORT_TCP;
  rig_move(&relay, &client);
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert_uint_eq(stats.allocations_by_transport[FZR_TRANSPORT_UDP], 0);
  ck_assert_uint_eq(stats.allocations_by_transport[FZR_TRANSPORT_TCP], 1);
  ck_assert_int_eq(fzt_allocate(&relay, &again), 0); /* from where it was */
  ck_assert_int_eq(fzt_refresh(&relay, &client, 600), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &again, 600), 0);
  fzt_client_init(&other, "198.51.100.1:4001");
  other.addr.transport = other.server.transport = FZR_TRANSPORT_TCP;
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 600), 437);
  ck_assert_int_eq(fzt_refresh(&relay, &again, 600), 0);
}
END_TEST

/* A client moves while the sockets of its allocation, which was loaded, are not there yet: it is heard when they are. */
START_TEST(test_moves_while_it_resumes)
{
  static fzt_state state;
  uint8_t move[512];
  fzr_stun_msg msg;
  fzt_state_save(&state, relay.engine, relay.now);
  fzt_relay_free(&relay);
  fzr_config config = fzt_config(&relay);
  config.mobility = true;
  fzt_relay_init(&relay, &config);
  relay.hold_opens = true;
  ck_assert_int_eq(fzr_engine_load(relay.engine, state.data, state.len, relay.now, NULL), 0);
  fzt_pass(&relay, 0);
  client.addr = fzt_addr("192.0.2.99:1234");
  rig_get_nonce(&relay, &client);
  const size_t len = rig_build_move(&relay, &client, move, sizeof move);
  fzt_client(&relay, &client.addr, &client.server, move, len);
  ck_assert_uint_eq(relay.answer_count, 0);
  ck_assert_int_eq(
      fzr_engine_port_result(relay.engine, client.relayed_port, FZR_FAMILY_IPV4, 0, NULL, relay.now), 0);
  fzt_client(&relay, &client.addr, &client.server, move, len);
  ck_assert_uint_eq(relay.answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(relay.answers[0].data, relay.answers[0].len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_SUCCESS);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("mobility");
  TCase *tc = tcase_create("mobility");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, test_ticket);
  tcase_add_test(tc, test_events);
  tcase_add_test(tc, test_events_of_several);
  tcase_add_test(tc, test_moved_and_ended_at_once);
  tcase_add_test(tc, test_twice_at_once);
  tcase_add_test(tc, test_forged_source);
  tcase_add_test(tc, test_replayed);
  tcase_add_test(tc, test_moves_while_it_resumes);
  tcase_add_test(tc, test_there_and_back);
  tcase_add_test(tc, test_moves_that_cost);
  tcase_add_test(tc, test_other_transport);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
