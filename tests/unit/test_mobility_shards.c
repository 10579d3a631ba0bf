/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that move, and several shards: the kernel picks the one that hears a client, which may be another than the one with its
 * allocation. */
#include "mobility_rig.h"

#include "saved_state.h"
#include "turn/record.h"
#include "turn/saved.h"
#include "turn/users.h"

static fzt_client_state client;
static const fzr_addr peer = {{203, 0, 113, 9}, 0, 5000, FZR_FAMILY_IPV4, 0};

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
  ck_assert_int_eq(rig_allocate_mobile(&shards[0], &client), 0);
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
  rig_get_nonce(&shards[0], &client);
  through(&client.addr, buffer, rig_build_move(&shards[0], &client, buffer, sizeof buffer));
  ck_assert_uint_eq(shards[0].answer_count, 1);
  ck_assert(fzr_addr_equal(&shards[0].answers[0].to, &client.addr));
  ck_assert(fzr_addr_equal(&shards[0].answers[0].from, &client.server));
  ck_assert_int_eq(fzr_stun_read(shards[0].answers[0].data, shards[0].answers[0].len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_SUCCESS);
  rig_keep_ticket(&msg);
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
  rig_move(&shards[0], &client);
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
  rig_get_nonce(&shards[0], &client);
  through(&client.addr, buffer, rig_build_move(&shards[0], &client, buffer, sizeof buffer));
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
             rig_build_move(&shards[1], &client, buffer, sizeof buffer));
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
  rig_get_nonce(&shards[0], &client);
  through(&client.addr, buffer, rig_build_move(&shards[0], &client, buffer, sizeof buffer));
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
  rig_get_nonce(&shards[0], &client);
  through(&client.addr, buffer, rig_build_move(&shards[0], &client, buffer, sizeof buffer));
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

/* The client speaks IPv6 to the relay by now, and the allocation has an IPv4 address alone: within the host it goes by that. */
START_TEST(test_other_family)
{
  uint8_t buffer[512];
  begin_two(FZR_RELAY_CHANNELS);
  client.addr = fzt_addr("[2001:db8::7]:9");
  client.server = fzt_addr(FZT_LISTEN6);
  rig_get_nonce(&shards[0], &client);
  through(&client.addr, buffer, rig_build_move(&shards[0], &client, buffer, sizeof buffer));
  ck_assert_uint_eq(shards[0].answer_count, 1);
  ck_assert_uint_eq(shards[1].verdicts[0].to.family, FZR_FAMILY_IPV4);
  ck_assert_uint_eq(shards[1].verdicts[0].from.family, FZR_FAMILY_IPV4);
  through(&client.addr, buffer, channel_data(buffer, 10));
  ck_assert(fzr_addr_equal(&shards[0].verdicts[0].to, &peer));
  end_two();
}
END_TEST

/* Says in |s| that the clients of all its allocations are heard by another shard. */
static void say_tunnelled(fzt_state *s)
{
  for (unsigned i = 0; i < fzt_state_records(s); i++) {
    uint8_t *mobility = fzt_state_body(s, i, FZRI_RECORD_MOBILITY);
    if (mobility)
      mobility[2] |= FZRI_SAVED_TUNNELLED;
  }
  ck_assert(fzt_state_seal(s));
}

/* One allocation has a client that another shard hears, of all shards: a state that says so of a second one is damaged, and what comes from the
 * client still goes to the first. */
START_TEST(test_states_with_one_client)
{
  static fzt_relay after[2];
  static fzt_state states[2];
  uint8_t buffer[512];
  fzt_client_state twin;
  fzr_shared *other = fzt_shared_new(64);
  begin_two(FZR_RELAY_CHANNELS);
  fzt_client_init(&twin, "198.51.100.1:4000");
  ck_assert_int_eq(rig_allocate_mobile(&shards[1], &twin), 0);
  for (unsigned i = 0; i < 2; i++) {
    fzt_state_save(&states[i], shards[i].engine, shards[i].now);
    say_tunnelled(&states[i]);
    fzr_config config = fzt_shard_config(&after[i], i, other, 64);
    config.mobility = true;
    fzt_relay_init(&after[i], &config);
  }
  const unsigned first = (unsigned)_i;
  ck_assert_int_eq(
      fzr_engine_load(after[first].engine, states[first].data, states[first].len, after[first].now, NULL), 0);
  ck_assert_int_eq(
      fzr_engine_load(after[!first].engine, states[!first].data, states[!first].len, after[!first].now, NULL),
      FZR_ERR_STATE_DAMAGED);
  ck_assert_uint_eq(fzri_shared_moved_count(other), 1);
  fzt_pass(&after[first], FZR_SECOND);
  if (!first) {
    /* The other one has no allocation, and hears for this one. */
    fzt_client(&after[1], &client.addr, &client.server, buffer, channel_data(buffer, 100));
    ck_assert_uint_eq(after[1].verdict_count, 1);
    ck_assert_uint_eq(after[1].verdicts[0].to.port, client.relayed_port);
  }
  for (unsigned i = 0; i < 2; i++)
    fzt_relay_free(&after[i]);
  ck_assert_uint_eq(fzri_shared_moved_count(other), 0);
  fzr_shared_free(other);
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
  Suite *suite = suite_create("mobility-shards");
  TCase *tc = tcase_create("mobility-shards");
  tcase_add_test(tc, test_other_shard);
  tcase_add_test(tc, test_other_shard_after_the_end);
  tcase_add_test(tc, test_run_to_other_shard);
  tcase_add_test(tc, test_forged_tunnel);
  tcase_add_test(tc, test_other_family);
  tcase_add_loop_test(tc, test_states_with_one_client, 0, 2);
  tcase_add_test(tc, test_users_beside_moved);
  tcase_add_test(tc, test_no_memory_for_moved);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
