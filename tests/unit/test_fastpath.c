/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of datagrams as GRO delivers them, batches, and stopping half-way. */
#include "relay.h"
#include "relay_cases.h"

#define SEG 104u /* 4 + 100 */

static fzt_relay relay;
static fzt_client_state client;
static fzr_addr peer;
static uint8_t data[65536];
static fzr_verdict out[256];

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  fzt_client_init(&client, "198.51.100.1:4000");
  peer = fzt_addr("203.0.113.9:5000");
  const fzr_addr second = fzt_addr("203.0.113.9:5001");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4001, &second), 0);
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static fzr_pkt client_pkt(size_t len, uint16_t seg)
{
  return (fzr_pkt){.data = data, .len = (uint32_t)len, .seg = seg, .from = client.addr, .to = client.server};
}

/* Writes |n| ChannelData of 100 bytes on |channel| at segment |at|. */
static void fill(unsigned at, unsigned n, uint16_t channel)
{
  for (unsigned i = at; i < at + n; i++) {
    fzr_channel_data_header(data + i * SEG, channel, 100);
    memset(data + i * SEG + 4, (int)i, 100);
  }
}

/* Puts |n| packets into |r|, with room for |max| verdicts in |out|. Returns how many there are. */
static size_t rx_at(fzt_relay *r, enum fzr_side side, fzr_pkt *pkt, size_t n, size_t max, size_t *consumed)
{
  fzr_batch batch = {.in = pkt, .count = n, .out = out, .room = max};
  ck_assert_int_eq(fzr_engine_rx(r->engine, side, &batch, r->now), 0);
  *consumed = batch.consumed;
  return batch.written;
}

static size_t rx(fzr_pkt *pkt, size_t n, size_t max, size_t *consumed)
{
  return rx_at(&relay, FZR_SIDE_CLIENT, pkt, n, max, consumed);
}

START_TEST(test_one_run_is_one_verdict)
{
  size_t consumed;
  fill(0, 64, 0x4000);
  fzr_pkt pkt = client_pkt(64 * SEG, SEG);
  ck_assert_uint_eq(rx(&pkt, 1, 256, &consumed), 1);
  ck_assert_uint_eq(consumed, 1);
  ck_assert_uint_eq(out[0].action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(out[0].count, 64);
  ck_assert_uint_eq(out[0].len, 100);
  ck_assert_uint_eq(out[0].tail_len, 100);
  ck_assert_uint_eq(out[0].stride, SEG);
  ck_assert_uint_eq(out[0].hdr_len, 0);
  ck_assert_ptr_eq(out[0].data, data + 4);
  ck_assert(fzr_addr_equal(&out[0].to, &peer));
}
END_TEST

START_TEST(test_a_short_tail_belongs_to_the_run)
{
  size_t consumed;
  fill(0, 3, 0x4000);
  fzr_channel_data_header(data + 2 * SEG, 0x4000, 7);
  fzr_pkt pkt = client_pkt(2 * SEG + 4 + 7, SEG);
  ck_assert_uint_eq(rx(&pkt, 1, 256, &consumed), 1);
  ck_assert_uint_eq(out[0].count, 3);
  ck_assert_uint_eq(out[0].tail_len, 7);
}
END_TEST

START_TEST(test_a_shorter_length_in_a_full_segment_ends_the_run)
{
  size_t consumed;
  fill(0, 4, 0x4000);
  fzr_channel_data_header(data + SEG, 0x4000, 90); /* the rest of the segment is padding */
  fzr_pkt pkt = client_pkt(4 * SEG, SEG);
  ck_assert_uint_eq(rx(&pkt, 1, 256, &consumed), 2);
  ck_assert_uint_eq(out[0].count, 2);
  ck_assert_uint_eq(out[0].tail_len, 90);
  ck_assert_uint_eq(out[1].count, 2);
  ck_assert_ptr_eq(out[1].data, data + 2 * SEG + 4);
}
END_TEST

START_TEST(test_channels_and_rubbish_are_told_apart)
{
  size_t consumed;
  fill(0, 2, 0x4000);
  fill(2, 1, 0x4001);
  fill(3, 2, 0x4007); /* not bound */
  fill(5, 1, 0x4000);
  data[6 * SEG] = 0xff;
  fill(7, 1, 0x4000);
  fzr_pkt pkt = client_pkt(8 * SEG, SEG);
  ck_assert_uint_eq(rx(&pkt, 1, 256, &consumed), 6);
  ck_assert_uint_eq(out[0].count, 2);
  ck_assert_uint_eq(out[1].count, 1);
  ck_assert_uint_ne(out[0].flow, out[1].flow);
  ck_assert_uint_eq(out[2].action, FZR_ACT_DROP);
  ck_assert_uint_eq(out[2].reason, FZR_DROP_UNKNOWN_CHANNEL);
  ck_assert_uint_eq(out[2].count, 2);
  ck_assert_uint_eq(out[3].action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(out[3].flow, out[0].flow);
  ck_assert_uint_eq(out[4].reason, FZR_DROP_NOT_STUN);
  ck_assert_uint_eq(out[5].action, FZR_ACT_FORWARD);
}
END_TEST

START_TEST(test_stops_when_verdicts_are_full_and_goes_on)
{
  size_t consumed, got = 0;
  for (unsigned i = 0; i < 9; i++)
    fill(i, 1, i % 2 ? 0x4001 : 0x4000); /* each is a verdict of its own */
  fzr_pkt pkts[2] = {client_pkt(9 * SEG, SEG), client_pkt(SEG, 0)};
  fzr_pkt *next = pkts;
  size_t left = 2;
  while (left) {
    const size_t n = rx(next, left, 2, &consumed);
    for (size_t i = 0; i < n; i++, got++)
      ck_assert_ptr_eq(out[i].data, data + 4 + (got < 9 ? got * SEG : 0));
    ck_assert(n > 0);
    next += consumed;
    left -= consumed;
  }
  ck_assert_uint_eq(got, 10);
}
END_TEST

START_TEST(test_stops_when_answers_are_full)
{
  uint8_t requests[600][FZR_STUN_HEADER_LEN];
  static fzr_pkt pkts[600];
  static fzr_verdict verdicts[600];
  size_t answers = 0;
  fzr_transmit t;
  for (unsigned i = 0; i < 600; i++) {
    fzr_stun_builder b;
    const uint8_t txid[FZR_STUN_TXID_LEN] = {(uint8_t)i, (uint8_t)(i >> 8)};
    fzr_stun_build(&b, requests[i], sizeof requests[i], FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
    pkts[i] =
        (fzr_pkt){.data = requests[i], .len = sizeof requests[i], .from = client.addr, .to = client.server};
  }
  fzr_batch batch = {.in = pkts, .count = 600, .out = verdicts, .room = 600};
  for (size_t before = 0; batch.consumed < 600; before = batch.consumed) {
    ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
    ck_assert_uint_gt(batch.consumed, before);
    ck_assert_uint_le(batch.consumed - before, 256);
    ck_assert_uint_eq(batch.written, batch.consumed - before);
    ck_assert_uint_eq(verdicts[0].in_idx, before);
    while (fzr_engine_next_transmit(relay.engine, &t))
      answers++;
  }
  ck_assert_uint_eq(answers, 600);

  /* Called with a full ring it does not stop, but drops and counts. */
  batch = (fzr_batch){.in = pkts, .count = 257, .out = verdicts, .room = 600};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  ck_assert_uint_eq(batch.consumed, 256);
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  ck_assert_uint_eq(batch.consumed, 257);
  fzr_stats stats;
  fzr_engine_stats(relay.engine, &stats);
  ck_assert_uint_eq(stats.dropped[FZR_DROP_ANSWER_RING_FULL], 1);
}
END_TEST

/* Mistakes of the caller are told, and nothing is touched. A batch that is done has nothing more to do. */
START_TEST(test_batches_that_can_not_be)
{
  fill(0, 1, 0x4000);
  fzr_pkt pkt = client_pkt(SEG, 0);
  const fzr_batch good = {.in = &pkt, .count = 1, .out = out, .room = 1, .written = 77};
  fzr_batch batch = good;
  ck_assert_int_eq(fzr_engine_rx(NULL, FZR_SIDE_CLIENT, &batch, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_uint_eq(batch.written, 0);
  ck_assert_uint_eq(batch.consumed, 0);
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, NULL, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_engine_rx(relay.engine, (enum fzr_side)2, &batch, relay.now),
                   FZR_ERR_INVALID_ARGUMENT);
  batch.in = NULL;
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), FZR_ERR_INVALID_ARGUMENT);
  batch = good;
  batch.out = NULL;
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_PEER, &batch, relay.now), FZR_ERR_INVALID_ARGUMENT);
  batch = good;
  batch.room = 0;
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_PEER, &batch, relay.now), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_uint_eq(batch.written, 0);
  batch = good;
  ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
  ck_assert_uint_eq(batch.written, 1);
  for (size_t done = 1; done < 3; done++) {
    batch.consumed = done;
    ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
    ck_assert_uint_eq(batch.written, 0);
    ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_PEER, &batch, relay.now), 0);
    ck_assert_uint_eq(batch.written, 0);
    ck_assert_uint_eq(batch.consumed, done);
  }
}
END_TEST

START_TEST(test_peer_run)
{
  size_t consumed;
  fzr_pkt pkt = {.data = data, .len = 64 * 100 + 3, .seg = 100, .from = peer};
  pkt.to.family = FZR_FAMILY_IPV4;
  pkt.to.port = client.relayed_port;
  ck_assert_uint_eq(rx_at(&relay, FZR_SIDE_PEER, &pkt, 1, 1, &consumed), 1);
  ck_assert_uint_eq(out[0].count, 65);
  ck_assert_uint_eq(out[0].len, 100);
  ck_assert_uint_eq(out[0].tail_len, 3);
  ck_assert_uint_eq(out[0].hdr_len, 4);
  ck_assert_mem_eq(out[0].hdr, "\x40\x00\x00\x64", 4);
  ck_assert_uint_eq(out[0].flags, FZR_VERDICT_TAIL_HDR);
  ck_assert_ptr_eq(fzr_verdict_header(&out[0], 63), out[0].hdr);
  ck_assert_mem_eq(fzr_verdict_header(&out[0], 64), "\x40\x00\x00\x03", 4);
  ck_assert_ptr_null(out[0].io);
  ck_assert(fzr_addr_equal(&out[0].to, &client.addr));
  ck_assert(fzr_addr_equal(&out[0].from, &client.server));
}
END_TEST

START_TEST(test_shared_cases)
{
  const fzt_relay_case *c = &fzt_relay_cases[_i];
  const uint16_t len = fzt_relay_case_make(c, data);
  if (c->up)
    fzt_client(&relay, &client.addr, &client.server, data, len);
  else
    fzt_peer(&relay, &peer, client.relayed_port, data, len);
  const fzr_verdict *v = relay.verdicts;
  ck_assert_uint_eq(relay.verdict_count, 1);
  if (c->relayed < 0) {
    ck_assert_msg(v->action == FZR_ACT_DROP, "%s", c->name);
    return;
  }
  ck_assert_msg(v->action == FZR_ACT_FORWARD, "%s", c->name);
  ck_assert_uint_eq(v->count, 1);
  ck_assert_int_eq(v->tail_len, c->relayed);
  ck_assert_ptr_eq(v->data, data + (c->up ? FZR_CHANNEL_HEADER_LEN : 0));
  ck_assert_uint_eq(v->hdr_len, c->up ? 0 : FZR_CHANNEL_HEADER_LEN);
  ck_assert(fzr_addr_equal(&v->to, c->up ? &peer : &client.addr));
}
END_TEST

START_TEST(test_bandwidth_cuts_a_run)
{
  size_t consumed;
  fzt_relay limited;
  fzt_client_state c;
  fzr_config config = fzt_config(&limited);
  config.max_bandwidth_per_allocation = 1000;
  fzt_relay_init(&limited, &config);
  fzt_client_init(&c, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&limited, &c), 0);
  ck_assert_int_eq(fzt_bind(&limited, &c, 0x4000, &peer), 0);
  uint8_t big[65000];
  fzr_channel_data_header(big, 0x4000, 65000 - 4);
  fzt_client(&limited, &c.addr, &c.server, big, sizeof big); /* nearly all of the burst */
  ck_assert_uint_eq(limited.verdicts[0].action, FZR_ACT_FORWARD);
  fill(0, 10, 0x4000);
  fzr_pkt pkt = {.data = data, .len = 10 * SEG, .seg = SEG, .from = c.addr, .to = c.server};
  ck_assert_uint_eq(rx_at(&limited, FZR_SIDE_CLIENT, &pkt, 1, 256, &consumed), 2);
  ck_assert_uint_eq(out[0].action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(out[0].count, (65507 - 64996) / 100);
  ck_assert_uint_eq(out[1].reason, FZR_DROP_BANDWIDTH);
  ck_assert_uint_eq(out[0].count + out[1].count, 10);
  /* With room for one verdict only, the counter alone tells. */
  fzt_pass(&limited, FZR_SECOND / 5);
  pkt = (fzr_pkt){.data = data, .len = 10 * SEG, .seg = SEG, .from = c.addr, .to = c.server};
  ck_assert_uint_eq(rx_at(&limited, FZR_SIDE_CLIENT, &pkt, 1, 1, &consumed), 1);
  ck_assert_uint_eq(consumed, 1);
  fzr_stats stats;
  fzr_engine_stats(limited.engine, &stats);
  ck_assert_uint_eq(stats.dropped[FZR_DROP_BANDWIDTH] + stats.packets[0], 21);
  fzt_relay_free(&limited);
}
END_TEST

/* Packet |i| of single datagrams in slots of |slot| bytes. */
static fzr_pkt slot_pkt(unsigned i, size_t slot, uint16_t channel, uint16_t len)
{
  fzr_channel_data_header(data + i * slot, channel, len);
  return (fzr_pkt){.data = data + i * slot, .len = len + 4u, .from = client.addr, .to = client.server};
}

START_TEST(test_datagrams_of_one_flow_are_one_verdict)
{
  enum { SLOT = 1500, N = 40 };
  fzr_pkt pkts[N];
  size_t consumed;
  for (unsigned i = 0; i < N; i++)
    pkts[i] = slot_pkt(i, SLOT, 0x4000, i < 20 ? 100 : i == 20 ? 60 : 80);
  pkts[30] = slot_pkt(30, SLOT, 0x4000, 0);  /* an empty one is no tail */
  pkts[35] = slot_pkt(35, SLOT, 0x4001, 80); /* another channel */
  pkts[37].data += SLOT / 2;                 /* not where the run goes on */
  fzr_channel_data_header(data + 37 * SLOT + SLOT / 2, 0x4000, 80);
  ck_assert_uint_eq(rx(pkts, N, 256, &consumed), 7);
  ck_assert_uint_eq(consumed, N);
  static const struct {
    unsigned first, count, len, tail;
  } want[7] = {{0, 21, 100, 60}, {21, 9, 80, 80}, {30, 1, 0, 0},  {31, 4, 80, 80},
               {35, 1, 80, 80},  {36, 2, 80, 80}, {38, 2, 80, 80}};
  for (unsigned i = 0; i < 7; i++) {
    ck_assert_uint_eq(out[i].in_idx, want[i].first);
    ck_assert_uint_eq(out[i].len, want[i].len);
    ck_assert_uint_eq(out[i].tail_len, want[i].tail);
    ck_assert_ptr_eq(out[i].data, pkts[want[i].first].data + 4);
    ck_assert_uint_eq(out[i].count, want[i].count);
  }
  ck_assert_uint_eq(out[0].stride, SLOT);
  fzr_stats stats;
  fzr_engine_stats(relay.engine, &stats);
  ck_assert_uint_eq(stats.packets[0], N);
  uint64_t bytes = 0;
  for (unsigned i = 0; i < N; i++)
    bytes += pkts[i].len - 4;
  ck_assert_uint_eq(stats.bytes[0], bytes);
}
END_TEST

START_TEST(test_datagrams_of_one_peer_are_one_verdict)
{
  enum { SLOT = 1500, N = 6 };
  fzr_pkt pkts[N];
  size_t consumed;
  const fzr_addr second = fzt_addr("203.0.113.9:5001");
  for (unsigned i = 0; i < N; i++) {
    pkts[i] =
        (fzr_pkt){.data = data + (size_t)i * SLOT, .len = i == 3 ? 50 : 100, .from = i < 5 ? peer : second};
    pkts[i].to.family = FZR_FAMILY_IPV4;
    pkts[i].to.port = client.relayed_port;
  }
  ck_assert_uint_eq(rx_at(&relay, FZR_SIDE_PEER, pkts, N, 256, &consumed), 3);
  ck_assert_uint_eq(out[0].count, 4);
  ck_assert_uint_eq(out[0].stride, SLOT);
  ck_assert_mem_eq(out[0].hdr, "\x40\x00\x00\x64", 4);
  ck_assert_mem_eq(fzr_verdict_header(&out[0], 2), "\x40\x00\x00\x64", 4);
  ck_assert_mem_eq(fzr_verdict_header(&out[0], 3), "\x40\x00\x00\x32", 4);
  ck_assert_uint_eq(out[1].count, 1);
  ck_assert_uint_eq(out[1].in_idx, 4);
  ck_assert_mem_eq(out[2].hdr, "\x40\x01\x00\x64", 4);
}
END_TEST

/* However many verdicts there is room for: the engine's room for headers is another bound, and where it ends, the next call goes on. */
START_TEST(test_stops_when_headers_are_full)
{
  enum { N = 5000 };
  static fzr_pkt pkts[N];
  static fzr_verdict verdicts[N];
  const fzr_addr second = fzt_addr("203.0.113.9:5001");
  for (unsigned i = 0; i < N; i++) {
    pkts[i] = (fzr_pkt){.data = data, .len = 1 + i % 1000, .from = i % 2 ? second : peer};
    pkts[i].to.family = FZR_FAMILY_IPV4;
    pkts[i].to.port = client.relayed_port;
  }
  fzr_batch batch = {.in = pkts, .count = N, .out = verdicts, .room = N};
  unsigned calls = 0;
  for (size_t before = 0; batch.consumed < N; before = batch.consumed, calls++) {
    ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_PEER, &batch, relay.now), 0);
    ck_assert_uint_gt(batch.written, 0);
    ck_assert_uint_eq(batch.written, batch.consumed - before);
    for (size_t i = 0; i < batch.written; i++) {
      uint8_t want[FZR_CHANNEL_HEADER_LEN];
      const size_t at = before + i;
      fzr_channel_data_header(want, at % 2 ? 0x4001 : 0x4000, (uint16_t)(1 + at % 1000));
      ck_assert_uint_eq(verdicts[i].in_idx, at);
      ck_assert_uint_eq(verdicts[i].hdr_len, FZR_CHANNEL_HEADER_LEN);
      ck_assert_mem_eq(verdicts[i].hdr, want, sizeof want);
    }
  }
  ck_assert_uint_ge(calls, 3);
}
END_TEST

/* A packet in between that is of no use, and verdicts that are full: nothing joins what it does not follow. */
START_TEST(test_nothing_joins_across_a_drop)
{
  enum { SLOT = 1500 };
  fzr_pkt pkts[5];
  size_t consumed;
  for (unsigned i = 0; i < 5; i++)
    pkts[i] = slot_pkt(i, SLOT, i == 1 ? 0x4007 : 0x4000, 100);
  ck_assert_uint_eq(rx(pkts, 5, 256, &consumed), 3);
  ck_assert_uint_eq(out[1].reason, FZR_DROP_UNKNOWN_CHANNEL);
  ck_assert_uint_eq(out[2].count, 3);
  ck_assert_uint_eq(out[2].in_idx, 2);
  fzr_batch batch = {.in = pkts, .count = 5, .out = out, .room = 1};
  static const unsigned done[3] = {1, 2, 5}; /* more of the same run need no room */
  for (unsigned i = 0; i < 3; i++) {
    ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_CLIENT, &batch, relay.now), 0);
    ck_assert_uint_eq(batch.written, 1);
    ck_assert_uint_eq(batch.consumed, done[i]);
    ck_assert_uint_eq(out[0].in_idx, i);
    ck_assert_uint_eq(out[0].count, i == 2 ? 3 : 1);
  }
}
END_TEST

/* A batch of many sources in any mixture gives each its own verdict: the look-ahead must not mix them up. */
START_TEST(test_random_batches)
{
  enum { CLIENTS = 40, BATCH = 64 };
  static fzt_client_state clients[CLIENTS];
  static uint8_t payloads[BATCH][12];
  fzr_pkt pkts[BATCH];
  size_t consumed;
  fzt_prng prng = {fzt_seed("random_batches")};
  for (unsigned i = 0; i < CLIENTS; i++) {
    fzr_addr p = peer;
    fzt_client_init(&clients[i], "198.51.100.1:4000");
    clients[i].addr.port = (uint16_t)(5000 + i);
    p.port = (uint16_t)(7000 + i);
    if (i % 4 == 3)
      continue; /* a stranger */
    ck_assert_int_eq(fzt_allocate(&relay, &clients[i]), 0);
    ck_assert_int_eq(fzt_bind(&relay, &clients[i], (uint16_t)(0x4000 + i % 3), &p), 0);
  }
  for (uint64_t round = 0; round < fzt_rounds(200); round++) {
    unsigned who[BATCH];
    const size_t n = 1 + (size_t)fzt_below(&prng, BATCH);
    for (size_t i = 0; i < n; i++) {
      who[i] = (unsigned)fzt_below(&prng, CLIENTS);
      fzr_channel_data_header(payloads[i], (uint16_t)(0x4000 + who[i] % 3), 8);
      pkts[i] = (fzr_pkt){
          .data = payloads[i], .len = 12, .from = clients[who[i]].addr, .to = clients[who[i]].server};
    }
    const size_t got = rx(pkts, n, 256, &consumed);
    ck_assert_uint_eq(consumed, n);
    size_t next = 0; /* every packet is in exactly one verdict, in order */
    for (size_t i = 0; i < got; i++) {
      ck_assert_uint_eq(out[i].in_idx, next);
      for (size_t k = 0; k < out[i].count; k++, next++) {
        const unsigned w = who[next];
        ck_assert_uint_eq(out[i].action, w % 4 == 3 ? FZR_ACT_DROP : FZR_ACT_FORWARD);
        if (w % 4 == 3)
          continue;
        ck_assert_uint_eq(out[i].to.port, 7000 + w);
        ck_assert_ptr_eq(out[i].data + k * out[i].stride, payloads[next] + 4);
      }
    }
    ck_assert_uint_eq(next, n);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("fastpath");
  TCase *tc = tcase_create("fastpath");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_one_run_is_one_verdict);
  tcase_add_test(tc, test_a_short_tail_belongs_to_the_run);
  tcase_add_test(tc, test_a_shorter_length_in_a_full_segment_ends_the_run);
  tcase_add_test(tc, test_channels_and_rubbish_are_told_apart);
  tcase_add_test(tc, test_stops_when_verdicts_are_full_and_goes_on);
  tcase_add_test(tc, test_stops_when_answers_are_full);
  tcase_add_test(tc, test_batches_that_can_not_be);
  tcase_add_test(tc, test_peer_run);
  tcase_add_loop_test(tc, test_shared_cases, 0, (int)FZT_RELAY_CASES);
  tcase_add_test(tc, test_bandwidth_cuts_a_run);
  tcase_add_test(tc, test_datagrams_of_one_flow_are_one_verdict);
  tcase_add_test(tc, test_datagrams_of_one_peer_are_one_verdict);
  tcase_add_test(tc, test_stops_when_headers_are_full);
  tcase_add_test(tc, test_nothing_joins_across_a_drop);
  tcase_add_test(tc, test_random_batches);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
