/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that move with their clients: what tickets are, what the application is told, and what does not go. What is answered is
 * in tests/conformance/allocations.c. */
#include "relay.h"

#include "turn/ticket.h"
#include "turn/users.h"

static fzt_relay relay;
static fzt_client_state client;
static uint8_t ticket[64];
static uint16_t ticket_len;
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

static void keep_ticket(const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  ck_assert(fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &attr));
  ck_assert_uint_le(attr.len, sizeof ticket);
  memcpy(ticket, attr.value, attr.len);
  ticket_len = attr.len;
}

/* An Allocate that asks for tickets. */
static int allocate_mobile(fzt_relay *r, fzt_client_state *c)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  ck_assert_int_eq(fzt_allocate(r, c), 0); /* for a nonce */
  ck_assert_int_eq(fzt_refresh(r, c, 0), 0);
  fzt_begin(r, c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
  const int code = fzt_finish(r, c, &b, &msg);
  if (code == 0) {
    fzr_addr relayed;
    ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
    c->relayed_port = relayed.port;
    keep_ticket(&msg);
  }
  return code;
}

/* A nonce for where |c| is now. */
static void get_nonce(fzt_relay *r, fzt_client_state *c)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  c->nonce_len = 0;
  ck_assert_int_eq(fzt_refresh(r, c, 600), 401);
  ck_assert_int_eq(fzr_stun_read(r->answers[0].data, r->answers[0].len, &msg), 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(c->nonce, nonce.value, nonce.len);
  c->nonce_len = nonce.len;
}

/* The Refresh that takes the allocation to where |c| is now, with the nonce that it has. */
static size_t build_move(fzt_relay *r, const fzt_client_state *c, uint8_t *buffer, size_t cap)
{
  fzr_stun_builder b;
  fzt_begin(r, c, &b, buffer, cap, FZR_STUN_REFRESH);
  fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, ticket, ticket_len);
  fzr_stun_add_integrity(&b, c->key, FZR_STUN_KEY_LEN);
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  return (size_t)len;
}

/* Takes the allocation to where |c| is now: answered, with the next ticket. */
static void move(fzt_relay *r, fzt_client_state *c)
{
  uint8_t buffer[512];
  fzr_stun_msg msg;
  get_nonce(r, c);
  const size_t len = build_move(r, c, buffer, sizeof buffer);
  fzt_client(r, &c->addr, &c->server, buffer, len);
  ck_assert_uint_eq(r->answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(r->answers[0].data, r->answers[0].len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_SUCCESS);
  ck_assert(fzr_stun_verify(&msg, c->key, FZR_STUN_KEY_LEN));
  ck_assert(fzr_addr_equal(&r->answers[0].to, &c->addr));
  keep_ticket(&msg);
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
  ck_assert_int_eq(allocate_mobile(&relay, &client), 0);
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
  move(&relay, &client);
  ck_assert_uint_eq(relay.event_count, 2);
  ck_assert_uint_eq(relay.events[0].type, FZR_EVENT_CHANNEL_UNBOUND);
  ck_assert(fzr_addr_equal(&relay.events[0].client, &from));
  ck_assert_uint_eq(relay.events[0].flow, bound.flow);
  ck_assert_ptr_eq(relay.events[0].io, bound.io);
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_CHANNEL_BOUND);
  ck_assert(fzr_addr_equal(&relay.events[1].client, &client.addr));
  ck_assert_uint_eq(relay.events[1].channel, 0x4000);
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
  ck_assert_uint_eq(relay.events[1].type, FZR_EVENT_PORT_CLOSE);
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
  get_nonce(&relay, &client);
  const size_t first_len = build_move(&relay, &client, first, sizeof first);
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
  get_nonce(&relay, &there);
  const size_t len = build_move(&relay, &there, first, sizeof first);
  /* The next ticket is not known before the answer: with the one that there is. */
  fzt_client_state further = client;
  further.addr = fzt_addr("192.0.2.98:1234");
  get_nonce(&relay, &further);
  const size_t further_len = build_move(&relay, &further, second, sizeof second);
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
             build_move(&relay, &client, buffer, sizeof buffer));
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
  get_nonce(&relay, &client);
  const size_t len = build_move(&relay, &client, heard, sizeof heard);
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
    move(&relay, &client);
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
  get_nonce(&relay, c);
  fzr_pkt pkt = {.data = buffer, .from = c->addr, .to = c->server};
  pkt.len = (uint32_t)build_move(&relay, c, buffer, sizeof buffer);
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

/* ---- two shards: the kernel picks the one that hears a client ---- */

static fzt_relay shards[2];
static fzr_shared *shared;

static void begin_two(enum fzr_relay_mode mode)
{
  shared = fzt_shared_new(64);
  for (unsigned i = 0; i < 2; i++) {
    fzr_config config = fzt_shard_config(&shards[i], i, shared, 64);
    config.mobility = true;
    config.relay_mode = (uint8_t)mode;
    fzt_relay_init(&shards[i], &config);
  }
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(allocate_mobile(&shards[0], &client), 0);
  ck_assert_int_eq(fzt_bind(&shards[0], &client, 0x4000, &peer), 0);
}

static void end_two(void)
{
  for (unsigned i = 0; i < 2; i++)
    fzt_relay_free(&shards[i]);
  ck_assert_uint_eq(fzr_shared_ports_in_use(shared), 0);
  ck_assert_uint_eq(fzri_shared_moved_count(shared), 0);
  fzr_shared_free(shared);
}

/* The datagrams of |v|, as they come to the port that they were sent to. Returns their length, each in a slot of |stride|. */
static size_t assemble(const fzr_verdict *v, uint8_t *out, size_t stride)
{
  size_t len = 0;
  for (uint16_t i = 0; i < v->count; i++) {
    len = i * stride;
    memcpy(out + len, fzr_verdict_header(v, i), v->hdr_len);
    len += v->hdr_len;
    const uint16_t payload = i + 1 == v->count ? v->tail_len : v->len;
    memcpy(out + len, v->data + (size_t)i * v->stride, payload);
    len += payload;
  }
  return len;
}

/* |data| comes to the second shard, which sends it on to the first. */
static void through(const fzr_addr *from, const uint8_t *data, size_t len)
{
  uint8_t datagram[2048];
  fzt_client(&shards[1], from, &client.server, data, len);
  ck_assert_uint_eq(shards[1].verdict_count, 1);
  const fzr_verdict *v = &shards[1].verdicts[0];
  ck_assert_uint_eq(v->action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(v->to.port, client.relayed_port);
  ck_assert_uint_eq(v->flags, FZR_VERDICT_TO_OWN | FZR_VERDICT_TO_SHARD);
  ck_assert_uint_eq(v->flow, FZR_FLOW_NONE);
  ck_assert_ptr_null(v->io);
  ck_assert_uint_eq(shards[1].answer_count, 0);
  const size_t sent = assemble(v, datagram, sizeof datagram);
  fzt_peer(&shards[0], &v->from, v->to.port, datagram, sent);
}

static size_t channel_data(uint8_t *out, uint16_t payload)
{
  memset(out, 'x', 4u + payload);
  fzr_channel_data_header(out, 0x4000, payload);
  return 4u + payload;
}

static uint64_t relayed(unsigned shard, unsigned direction)
{
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(shards[shard].engine, &stats), 0);
  return stats.packets[direction];
}

/* What comes to the second shard from where the client is by now reaches its allocation in the first one: the Refresh itself, data,
 * requests. Nothing is counted twice. */
START_TEST(test_other_shard)
{
  uint8_t buffer[512];
  fzr_stun_msg msg;
  begin_two(FZR_RELAY_CHANNELS);
  client.addr = fzt_addr("192.0.2.99:1234");
  get_nonce(&shards[0], &client);
  through(&client.addr, buffer, build_move(&shards[0], &client, buffer, sizeof buffer));
  ck_assert_uint_eq(shards[0].answer_count, 1);
  ck_assert(fzr_addr_equal(&shards[0].answers[0].to, &client.addr));
  ck_assert(fzr_addr_equal(&shards[0].answers[0].from, &client.server));
  ck_assert_int_eq(fzr_stun_read(shards[0].answers[0].data, shards[0].answers[0].len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_SUCCESS);
  keep_ticket(&msg);
  ck_assert_uint_eq(fzri_shared_moved_count(shared), 1);

  through(&client.addr, buffer, channel_data(buffer, 100));
  ck_assert_uint_eq(shards[0].verdict_count, 1);
  ck_assert_uint_eq(shards[0].verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert(fzr_addr_equal(&shards[0].verdicts[0].to, &peer));
  ck_assert_uint_eq(shards[0].verdicts[0].len, 100);
  ck_assert_uint_eq(relayed(0, 0), 1);
  ck_assert_uint_eq(relayed(0, 1) + relayed(1, 0) + relayed(1, 1), 0);

  fzt_peer(&shards[0], &peer, client.relayed_port, (const uint8_t *)"data", 4);
  ck_assert_uint_eq(shards[0].verdicts[0].action, FZR_ACT_FORWARD);
  ck_assert(fzr_addr_equal(&shards[0].verdicts[0].to, &client.addr));
  ck_assert_uint_eq(relayed(0, 1), 1);

  /* Back again, to where the first shard hears it. */
  const fzr_addr there = client.addr;
  client.addr = fzt_addr("198.51.100.1:4000");
  move(&shards[0], &client);
  ck_assert_uint_eq(fzri_shared_moved_count(shared), 0);
  fzt_client(&shards[1], &there, &client.server, buffer, channel_data(buffer, 100));
  ck_assert_uint_eq(shards[1].verdicts[0].action, FZR_ACT_DROP);
  end_two();
}
END_TEST

/* When the allocation is over, what comes is the second shard's own affair again. */
START_TEST(test_other_shard_after_the_end)
{
  uint8_t buffer[512];
  begin_two(FZR_RELAY_FULL);
  client.addr = fzt_addr("192.0.2.99:1234");
  get_nonce(&shards[0], &client);
  through(&client.addr, buffer, build_move(&shards[0], &client, buffer, sizeof buffer));
  ck_assert_uint_eq(shards[0].answer_count, 1);
  ck_assert_int_eq(fzr_engine_end_allocation_at(shards[0].engine, client.relayed_port, shards[0].now), 0);
  fzt_pass(&shards[0], 0);
  ck_assert_uint_eq(fzri_shared_moved_count(shared), 0);
  fzt_client_state fresh = client;
  fresh.nonce_len = 0;
  ck_assert_int_eq(fzt_allocate(&shards[1], &fresh), 0);
  /* The ticket is good for nothing, and says so here. */
  client.addr = fzt_addr("192.0.2.98:1234");
  fzt_client(&shards[1], &client.addr, &client.server, buffer,
             build_move(&shards[1], &client, buffer, sizeof buffer));
  ck_assert_uint_eq(shards[1].answer_count, 1);
  end_two();
}
END_TEST

/* Runs of datagrams go on as runs, and each counts by itself: data, a short one, what is none. */
START_TEST(test_run_to_other_shard)
{
  static uint8_t data[4 * 104], datagrams[4 * 256];
  uint8_t buffer[512];
  begin_two(FZR_RELAY_FULL);
  client.addr = fzt_addr("192.0.2.99:1234");
  get_nonce(&shards[0], &client);
  through(&client.addr, buffer, build_move(&shards[0], &client, buffer, sizeof buffer));
  for (unsigned i = 0; i < 4; i++)
    channel_data(data + (size_t)i * 104, 100);
  fzr_pkt pkt = {.data = data, .len = 3 * 104 + 50, .seg = 104, .from = client.addr, .to = client.server};
  fzr_channel_data_header(data + 3 * 104, 0x4000, 46);
  fzt_client_run(&shards[1], &pkt, 1);
  ck_assert_uint_eq(shards[1].verdict_count, 1);
  const fzr_verdict *v = &shards[1].verdicts[0];
  ck_assert_uint_eq(v->count, 4);
  const uint16_t seg = (uint16_t)(v->hdr_len + v->len);
  const size_t len = assemble(v, datagrams, seg);
  fzr_pkt in = {.data = datagrams, .len = (uint32_t)len, .seg = seg, .from = v->from, .to = v->to};
  fzr_verdict out[8];
  fzr_batch batch = {.in = &in, .count = 1, .out = out, .room = 2};
  fzr_stats stats;
  /* There is not room for all at once. */
  ck_assert_int_eq(fzr_engine_rx(shards[0].engine, FZR_SIDE_PEER, &batch, shards[0].now), 0);
  ck_assert_uint_eq(batch.consumed, 0);
  ck_assert_uint_eq(batch.written, 2);
  ck_assert_int_eq(fzr_engine_rx(shards[0].engine, FZR_SIDE_PEER, &batch, shards[0].now), 0);
  ck_assert_uint_eq(batch.consumed, 1);
  ck_assert_uint_eq(batch.written, 2);
  ck_assert_uint_eq(out[1].len, 46);
  ck_assert(fzr_addr_equal(&out[1].to, &peer));
  ck_assert_uint_eq(relayed(0, 0), 4);
  /* One that is not from there among them is counted, too. */
  datagrams[seg] ^= 1;
  in = (fzr_pkt){.data = datagrams, .len = (uint32_t)len, .seg = seg, .from = v->from, .to = v->to};
  fzt_peer_run(&shards[0], &in, 1);
  ck_assert_uint_eq(relayed(0, 0), 7);
  ck_assert_int_eq(fzr_engine_stats(shards[0].engine, &stats), 0);
  ck_assert_uint_eq(stats.dropped[FZR_DROP_UNKNOWN_PEER], 1);
  end_two();
}
END_TEST

/* A peer can't speak for a client: what is not from a shard is a peer's datagram, from the relay's own address, too. */
START_TEST(test_forged_tunnel)
{
  uint8_t buffer[512], datagram[1024];
  begin_two(FZR_RELAY_FULL);
  const fzr_addr from = client.addr;
  client.addr = fzt_addr("192.0.2.99:1234");
  get_nonce(&shards[0], &client);
  through(&client.addr, buffer, build_move(&shards[0], &client, buffer, sizeof buffer));
  fzt_client(&shards[1], &client.addr, &client.server, buffer, channel_data(buffer, 100));
  const fzr_verdict v = shards[1].verdicts[0];
  const size_t len = assemble(&v, datagram, sizeof datagram);
  for (size_t byte = 0; byte < v.hdr_len; byte++) {
    datagram[byte] ^= 1;
    fzt_peer(&shards[0], &v.from, v.to.port, datagram, len);
    ck_assert_uint_eq(shards[0].verdict_count, 1);
    ck_assert_uint_eq(shards[0].verdicts[0].action, FZR_ACT_DROP);
    datagram[byte] ^= 1;
  }
  for (size_t short_len = 0; short_len < v.hdr_len; short_len++) {
    fzt_peer(&shards[0], &v.from, v.to.port, datagram, short_len);
    ck_assert_uint_eq(shards[0].verdicts[0].action, FZR_ACT_DROP);
  }
  fzt_peer(&shards[0], &v.from, v.to.port, datagram, len);
  ck_assert_uint_eq(shards[0].verdicts[0].action, FZR_ACT_FORWARD);
  /* For no other allocation's port. */
  fzt_client_state another;
  fzt_client_init(&another, "198.51.100.7:4007");
  ck_assert_int_eq(fzt_allocate(&shards[0], &another), 0);
  fzt_peer(&shards[0], &v.from, another.relayed_port, datagram, len);
  ck_assert_uint_eq(shards[0].verdicts[0].action, FZR_ACT_DROP);
  /* From the old address nothing goes, by either way. */
  fzt_client(&shards[1], &from, &client.server, buffer, channel_data(buffer, 100));
  ck_assert_uint_eq(shards[1].verdicts[0].action, FZR_ACT_DROP);
  /* It is good for a few seconds, though another call may have been told an earlier time; and it is again at no time. */
  for (unsigned second = 0; second < 300; second++, shards[0].now += FZR_SECOND) {
    fzt_peer(&shards[0], &v.from, v.to.port, datagram, len);
    ck_assert_uint_eq(shards[0].verdicts[0].action, second <= 3 ? FZR_ACT_FORWARD : FZR_ACT_DROP);
  }
  end_two();
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
  move(&relay, &client);
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

/* The client speaks IPv6 to the relay by now, and the allocation has an IPv4 address alone: within the host it goes by that. */
START_TEST(test_other_family)
{
  uint8_t buffer[512];
  begin_two(FZR_RELAY_CHANNELS);
  client.addr = fzt_addr("[2001:db8::7]:9");
  client.server = fzt_addr(FZT_LISTEN6);
  get_nonce(&shards[0], &client);
  through(&client.addr, buffer, build_move(&shards[0], &client, buffer, sizeof buffer));
  ck_assert_uint_eq(shards[0].answer_count, 1);
  ck_assert_uint_eq(shards[1].verdicts[0].to.family, FZR_FAMILY_IPV4);
  ck_assert_uint_eq(shards[1].verdicts[0].from.family, FZR_FAMILY_IPV4);
  through(&client.addr, buffer, channel_data(buffer, 10));
  ck_assert(fzr_addr_equal(&shards[0].verdicts[0].to, &peer));
  end_two();
}
END_TEST

/* However many clients have moved, each other user finds room: with as many of both as there are ports. */
START_TEST(test_users_beside_moved)
{
  enum { PORTS = 4096 };
  fzt_prng prng = {.state = 5};
  static uint64_t hashes[2][PORTS];
  shared = fzt_shared_new(PORTS);
  ck_assert(!fzri_shared_set_moved(shared, 1, 50000)); /* no engine lets any of them move */
  ck_assert_uint_eq(fzri_shared_moved(shared, 1), 0);
  for (unsigned i = 0; i < 2; i++)
    ck_assert_int_eq(fzri_shared_make_moved(shared), 0);
  for (unsigned i = 0; i < PORTS; i++) {
    hashes[0][i] = fzt_next(&prng);
    hashes[1][i] = fzt_next(&prng);
    ck_assert(fzri_shared_set_moved(shared, hashes[0][i], (uint16_t)(50000 + i)));
  }
  for (unsigned i = 0; i < PORTS; i++)
    ck_assert(fzri_shared_user_enter(shared, hashes[1][i], 1));
  ck_assert_uint_eq(fzri_shared_moved_count(shared), PORTS);
  for (unsigned i = 0; i < PORTS; i++) {
    ck_assert(!fzri_shared_user_enter(shared, hashes[1][i], 1));
    ck_assert_uint_eq(fzri_shared_moved(shared, hashes[0][i]), 50000 + i);
    fzri_shared_unset_moved(shared, hashes[0][i], (uint16_t)(50000 + i));
    ck_assert_uint_eq(fzri_shared_moved(shared, hashes[0][i]), 0);
    fzri_shared_user_leave(shared, hashes[1][i]);
  }
  ck_assert_uint_eq(fzri_shared_moved_count(shared), 0);
  fzr_shared_free(shared);
}
END_TEST

/* Where there is no memory for that, there is no engine; and without mobility nobody asks for it. */
START_TEST(test_no_memory_for_moved)
{
  fzr_engine *engine;
  fzt_mem mem;
  fzt_mem_init(&mem);
  ck_assert_int_eq(fzr_shared_new(50000, 50063, &mem.hooks, &shared), 0);
  fzr_config config = fzt_config(&shards[0]);
  config.shared = shared;
  config.lowest_port = 50000;
  config.highest_port = 50063;
  mem.fail_from = mem.count + 1;
  ck_assert_int_eq(fzr_engine_new(&config, &engine, 0), 0);
  fzr_engine_free(engine);
  config.mobility = true;
  ck_assert_int_eq(fzr_engine_new(&config, &engine, 0), FZR_ERR_NO_MEMORY);
  mem.fail_from = 0;
  ck_assert_int_eq(fzr_engine_new(&config, &engine, 0), 0);
  fzr_engine_free(engine);
  fzr_shared_free(shared);
  ck_assert_uint_eq(mem.live, 0);
  ck_assert_uint_eq(shards[0].mem.live, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("mobility");
  TCase *tc = tcase_create("mobility");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, test_ticket);
  tcase_add_test(tc, test_events);
  tcase_add_test(tc, test_moved_and_ended_at_once);
  tcase_add_test(tc, test_twice_at_once);
  tcase_add_test(tc, test_forged_source);
  tcase_add_test(tc, test_replayed);
  tcase_add_test(tc, test_there_and_back);
  tcase_add_test(tc, test_moves_that_cost);
  tcase_add_test(tc, test_other_transport);
  suite_add_tcase(suite, tc);
  tc = tcase_create("shards");
  tcase_add_test(tc, test_other_shard);
  tcase_add_test(tc, test_other_shard_after_the_end);
  tcase_add_test(tc, test_run_to_other_shard);
  tcase_add_test(tc, test_forged_tunnel);
  tcase_add_test(tc, test_other_family);
  tcase_add_test(tc, test_users_beside_moved);
  tcase_add_test(tc, test_no_memory_for_moved);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
