/* SPDX-License-Identifier: Apache-2.0 */
/* Send and Data indications as the data path makes runs of them, and the permissions that let them pass. */
#include "relay.h"

#include "turn/permission.h"

#include <stdio.h>
#include <time.h>

#define PAYLOAD 100u
#define SLOT    1500u

static fzt_relay relay;
static fzt_client_state client;
static fzr_addr peer;
static uint8_t data[65536];
static fzr_verdict out[256];
static fzr_log_record logged;
static unsigned log_count;

static void remember(void *ctx, const fzr_log_record *record)
{
  (void)ctx;
  if (record->event != FZR_LOG_PERMISSION_REVOKED)
    return;
  logged = *record;
  log_count++;
}

static void start(fzr_config *config)
{
  config->log = remember;
  config->log_level = FZR_LOG_INFO;
  log_count = 0;
  fzt_relay_init(&relay, config);
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
}

static void set_up(void)
{
  fzr_config config = fzt_config(&relay);
  peer = fzt_addr("203.0.113.9:5000");
  start(&config);
}

static void tear_down(void)
{
  fzt_relay_free(&relay);
}

static int permit(const char *text)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  const fzr_addr addr = fzt_addr(text);
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_CREATE_PERMISSION);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &addr);
  return fzt_finish(&relay, &client, &b, &msg);
}

/* An allocation with an IPv6 address, in place of the one that there is. */
static void allocate_ip6(void)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_addr relayed;
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  fzt_begin(&relay, &client, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, 2u << 24);
  ck_assert_int_eq(fzt_finish(&relay, &client, &b, &msg), 0);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
  client.relayed_port = relayed.port;
}

static fzr_stats stats(void)
{
  fzr_stats s;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &s), 0);
  return s;
}

/* Writes a Send indication with |len| bytes of |fill| for |to| to |at|. Returns its length. */
static uint16_t put_send(uint8_t *at, const fzr_addr *to, uint16_t len, uint8_t fill, bool data_first)
{
  uint8_t txid[FZR_STUN_TXID_LEN], payload[SLOT];
  fzr_stun_builder b;
  fzt_fill(&relay.prng, txid, sizeof txid);
  memset(payload, fill, len);
  fzr_stun_build(&b, at, SLOT, FZR_STUN_SEND, FZR_STUN_INDICATION, txid);
  if (data_first)
    fzr_stun_add(&b, FZR_ATTR_DATA, payload, len);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, to);
  if (!data_first)
    fzr_stun_add(&b, FZR_ATTR_DATA, payload, len);
  const int size = fzr_stun_build_finish(&b);
  ck_assert_int_gt(size, 0);
  return (uint16_t)size;
}

static fzr_pkt client_pkt(const uint8_t *at, size_t len, uint16_t seg)
{
  return (fzr_pkt){.data = at, .len = (uint32_t)len, .seg = seg, .from = client.addr, .to = client.server};
}

static fzr_pkt peer_pkt(const uint8_t *at, size_t len, uint16_t seg, const fzr_addr *from)
{
  return (fzr_pkt){.data = at,
                   .len = (uint32_t)len,
                   .seg = seg,
                   .from = *from,
                   .to = {.port = client.relayed_port, .family = from->family}};
}

/* Puts |n| packets in and returns how many verdicts they are, in |out|. All of them have to be taken by one call. */
static size_t rx(enum fzr_side side, fzr_pkt *pkts, size_t n)
{
  fzr_batch batch = {.in = pkts, .count = n, .out = out, .room = 256};
  ck_assert_int_eq(fzr_engine_rx(relay.engine, side, &batch, relay.now), 0);
  ck_assert_uint_eq(batch.consumed, n);
  return batch.written;
}

/* Payload |i| of |v| is |len| bytes of |fill|. */
static void expect_payload(const fzr_verdict *v, unsigned i, uint16_t len, uint8_t fill)
{
  const uint8_t *at = v->data + (size_t)i * v->stride;
  ck_assert_uint_eq(i + 1u == v->count ? v->tail_len : v->len, len);
  for (unsigned k = 0; k < len; k++)
    ck_assert_uint_eq(at[k], fill);
}

/* Datagram |i| of |v| is a Data indication of |from|'s with a payload of |len| bytes, and nothing else in it. */
static void expect_data(const fzr_verdict *v, unsigned i, const fzr_addr *from, uint16_t len)
{
  uint8_t bytes[2048];
  fzr_stun_msg msg;
  fzr_stun_attr attr;
  fzr_addr addr;
  const bool tail = i + 1u == v->count;
  const unsigned pad = tail ? v->tail_pad : v->pad;
  ck_assert_uint_lt(i, v->count);
  ck_assert_uint_eq(tail ? v->tail_len : v->len, len);
  memcpy(bytes, fzr_verdict_header(v, i), v->hdr_len);
  memcpy(bytes + v->hdr_len, v->data + (size_t)i * v->stride, len);
  memset(bytes + v->hdr_len + len, 0, pad);
  ck_assert_int_eq(fzr_stun_read(bytes, (size_t)v->hdr_len + len + pad, &msg), 0);
  ck_assert_uint_eq(msg.method, FZR_STUN_DATA);
  ck_assert_uint_eq(msg.cls, FZR_STUN_INDICATION);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &addr) && fzr_addr_equal(&addr, from));
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_DATA, &attr));
  ck_assert_uint_eq(attr.len, len);
  ck_assert_uint_eq(v->hdr_len, from->family == FZR_FAMILY_IPV4 ? 36 : 48);
  ck_assert_uint_eq(v->flow, FZR_FLOW_NONE);
  ck_assert(fzr_addr_equal(&v->to, &client.addr) && fzr_addr_equal(&v->from, &client.server));
  for (unsigned k = 0; k < i; k++)
    ck_assert(memcmp(fzr_verdict_header(v, k) + 8, bytes + 8, FZR_STUN_TXID_LEN) != 0);
}

/* ---- Send ---- */

/* A GRO run, by each order of the attributes; the last one is shorter. */
START_TEST(test_a_run_of_sends_is_one_verdict)
{
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  uint16_t seg = 0, last = 0;
  size_t len = 0;
  for (unsigned i = 0; i < 20; i++, len += last) {
    last = put_send(data + len, &peer, i < 19 ? PAYLOAD : 7, (uint8_t)i, false);
    seg = i ? seg : last;
  }
  fzr_pkt pkt = client_pkt(data, len, seg);
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, &pkt, 1), 1);
  ck_assert_uint_eq(out[0].action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(out[0].count, 20);
  ck_assert_uint_eq(out[0].stride, seg);
  ck_assert_uint_eq(out[0].hdr_len, 0);
  ck_assert_uint_eq(out[0].flow, FZR_FLOW_NONE);
  ck_assert(fzr_addr_equal(&out[0].to, &peer));
  ck_assert_uint_eq(out[0].from.port, client.relayed_port);
  for (unsigned i = 0; i < 20; i++)
    expect_payload(&out[0], i, i < 19 ? PAYLOAD : 7, (uint8_t)i);
  ck_assert_uint_eq(stats().packets[0], 20);
  ck_assert_uint_eq(stats().indications[0], 20);
  ck_assert_uint_eq(stats().bytes[0], 19 * PAYLOAD + 7);
}
END_TEST

START_TEST(test_a_run_with_data_first)
{
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  size_t len = 0;
  uint16_t seg = 0;
  for (unsigned i = 0; i < 10; i++, len += seg)
    seg = put_send(data + len, &peer, PAYLOAD, (uint8_t)i, true);
  fzr_pkt pkt = client_pkt(data, len, seg);
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, &pkt, 1), 1);
  ck_assert_uint_eq(out[0].count, 10);
  for (unsigned i = 0; i < 10; i++)
    expect_payload(&out[0], i, PAYLOAD, (uint8_t)i);
}
END_TEST

/* Datagrams of one batch join, as far as they go to one peer; a shorter one ends the run. IPv6 addresses are hidden by another
 * transaction id each time. */
START_TEST(test_sends_of_one_batch_join)
{
  const bool ip6 = _i & 1, data_first = _i & 2;
  fzr_pkt pkts[8];
  fzr_addr to = ip6 ? fzt_addr("[2600::9]:5000") : peer, other = to;
  if (ip6)
    allocate_ip6();
  ck_assert_int_eq(permit(ip6 ? "2600::9" : "203.0.113.9"), 0);
  if (ip6)
    ck_assert_int_eq(permit("2600::a"), 0);
  other.ip[15] ^= ip6 ? 0x03 : 0; /* among the bytes that the transaction id hides */
  other.port = (uint16_t)(ip6 ? other.port : other.port + 1);
  for (unsigned i = 0; i < 8; i++) {
    uint8_t *at = data + (size_t)i * SLOT;
    pkts[i] =
        client_pkt(at, put_send(at, i == 5 ? &other : &to, i == 4 ? 10 : PAYLOAD, (uint8_t)i, data_first), 0);
  }
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, pkts, 8), 3);
  ck_assert_uint_eq(out[0].count, 5);
  ck_assert_uint_eq(out[0].stride, SLOT);
  for (unsigned i = 0; i < 5; i++)
    expect_payload(&out[0], i, i < 4 ? PAYLOAD : 10, (uint8_t)i);
  ck_assert(fzr_addr_equal(&out[1].to, &other));
  ck_assert_uint_eq(out[1].count, 1);
  ck_assert(fzr_addr_equal(&out[2].to, &to));
  ck_assert_uint_eq(out[2].count, 2);
  ck_assert_uint_eq(out[2].in_idx, 6);
  ck_assert_uint_eq(stats().indications[0], 8);
}
END_TEST

/* Two clients who send to one peer, in one batch: each from a port of its own. */
START_TEST(test_clients_do_not_mix)
{
  fzt_client_state other;
  ck_assert_int_eq(permit("203.0.113.9:1"), 0);
  fzt_client_init(&other, "198.51.100.2:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &other), 0);
  const fzt_client_state first = client;
  client = other;
  ck_assert_int_eq(permit("203.0.113.9:1"), 0);
  client = first;
  for (unsigned reverse = 0; reverse < 2; reverse++) {
    fzr_pkt pkts[4];
    for (unsigned i = 0; i < 4; i++) {
      uint8_t *at = data + i * SLOT;
      pkts[i] = client_pkt(at, put_send(at, &peer, PAYLOAD, (uint8_t)i, _i), 0);
      if ((i & 1) != reverse)
        pkts[i].from = other.addr;
    }
    ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, pkts, 4), 4);
    for (unsigned i = 0; i < 4; i++) {
      ck_assert_uint_eq(out[i].from.port, (i & 1) == reverse ? first.relayed_port : other.relayed_port);
      ck_assert_uint_eq(out[i].count, 1);
      expect_payload(&out[i], 0, PAYLOAD, (uint8_t)i);
    }
  }
}
END_TEST

/* Nothing joins what is of another kind: not ChannelData a Send, not a Send ChannelData, and not what only looks like the bytes that
 * stood before a payload. */
START_TEST(test_kinds_do_not_mix)
{
  fzr_pkt pkts[6];
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  memset(data, 0, sizeof data);
  for (unsigned i = 0; i < 6; i++) {
    uint8_t *at = data + (size_t)i * SLOT;
    uint16_t len = PAYLOAD + 4;
    if (i % 2 == 0)
      len = put_send(at, &peer, PAYLOAD, (uint8_t)i, false);
    else if (i < 5)
      fzr_channel_data_header(at, 0x4000, PAYLOAD);
    else
      memcpy(at, "\x00\x13\x00\x64", 4); /* type and length of DATA */
    pkts[i] = client_pkt(at, len, 0);
  }
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, pkts, 6), 6);
  for (unsigned i = 0; i < 5; i++) {
    ck_assert_uint_eq(out[i].action, FZR_ACT_FORWARD);
    ck_assert_uint_eq(out[i].count, 1);
    ck_assert_uint_eq(out[i].flow == FZR_FLOW_NONE, i % 2 == 0);
    ck_assert(fzr_addr_equal(&out[i].to, &peer));
  }
  ck_assert_uint_eq(out[5].action, FZR_ACT_DROP);
  ck_assert_uint_eq(stats().indications[0], 3);
}
END_TEST

/* One GRO run of both: what follows it joins neither wrongly. */
START_TEST(test_kinds_within_a_run)
{
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  const uint16_t seg = put_send(data, &peer, PAYLOAD, 1, false);
  memset(data + seg, 0, seg);
  fzr_channel_data_header(data + seg, 0x4000, (uint16_t)(seg - 4));
  put_send(data + SLOT, &peer, PAYLOAD, 2, false);
  fzr_pkt pkts[2] = {client_pkt(data, 2u * seg, seg), client_pkt(data + SLOT, seg, 0)};
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, pkts, 2), 3);
  ck_assert_uint_eq(out[0].flow, FZR_FLOW_NONE);
  ck_assert_uint_ne(out[1].flow, FZR_FLOW_NONE);
  ck_assert_uint_eq(out[1].count, 1);
  ck_assert_uint_eq(out[2].flow, FZR_FLOW_NONE);
  expect_payload(&out[2], 0, PAYLOAD, 2);
}
END_TEST

/* What goes to another client of this relay is marked so that the adapter keeps it inside. */
START_TEST(test_sends_to_a_relayed_address_of_the_relay)
{
  fzr_addr own = fzt_addr("203.0.113.1:0");
  own.port = client.relayed_port;
  ck_assert_int_eq(permit("203.0.113.1"), 0);
  fzr_pkt pkt = client_pkt(data, put_send(data, &own, 5, 1, false), 0);
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, &pkt, 1), 1);
  ck_assert_uint_eq(out[0].action, FZR_ACT_FORWARD);
  ck_assert_uint_eq(out[0].flags, FZR_VERDICT_TO_OWN);
  fzr_pkt back = peer_pkt(data, 10, 0, &own);
  ck_assert_uint_eq(rx(FZR_SIDE_PEER, &back, 1), 1);
  expect_data(&out[0], 0, &own, 10);
}
END_TEST

/* ---- Data ---- */

/* The last one is shorter, and has another padding. */
START_TEST(test_a_run_of_a_peer_is_one_verdict)
{
  const uint16_t seg = _i ? 101 : 100, tail = _i ? 99 : 3;
  fzr_addr from = _i < 2 ? peer : fzt_addr("[2600::9]:5000");
  if (_i == 2)
    allocate_ip6();
  ck_assert_int_eq(permit(_i < 2 ? "203.0.113.9" : "2600::9"), 0);
  fzr_pkt pkt = peer_pkt(data, 40u * seg + tail, seg, &from);
  ck_assert_uint_eq(rx(FZR_SIDE_PEER, &pkt, 1), 1);
  ck_assert_uint_eq(out[0].count, 41);
  for (unsigned i = 0; i < 41; i++)
    expect_data(&out[0], i, &from, i < 40 ? seg : tail);
  ck_assert_uint_eq(stats().indications[1], 41);
  ck_assert_uint_eq(stats().bytes[1], 40u * seg + tail);
}
END_TEST

START_TEST(test_datagrams_of_one_batch_join)
{
  fzr_pkt pkts[7];
  fzr_addr second = peer;
  second.port++;
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  for (unsigned i = 0; i < 7; i++)
    pkts[i] = peer_pkt(data + (size_t)i * SLOT, i == 3 ? 50 : PAYLOAD, 0, i < 5 ? &peer : &second);
  ck_assert_uint_eq(rx(FZR_SIDE_PEER, pkts, 7), 3);
  ck_assert_uint_eq(out[0].count, 4);
  ck_assert_uint_eq(out[0].stride, SLOT);
  for (unsigned i = 0; i < 4; i++)
    expect_data(&out[0], i, &peer, i < 3 ? PAYLOAD : 50);
  expect_data(&out[1], 0, &peer, PAYLOAD);
  ck_assert_uint_eq(out[2].count, 2);
  expect_data(&out[2], 0, &second, PAYLOAD);
  expect_data(&out[2], 1, &second, PAYLOAD);
}
END_TEST

/* Of two peers with one address, the one with a channel and the other one without. */
START_TEST(test_channels_and_indications_beside_each_other)
{
  fzr_pkt pkts[4];
  fzr_addr second = peer;
  second.port++;
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  for (unsigned i = 0; i < 4; i++)
    pkts[i] = peer_pkt(data + (size_t)i * SLOT, PAYLOAD, 0, i % 2 ? &second : &peer);
  ck_assert_uint_eq(rx(FZR_SIDE_PEER, pkts, 4), 4);
  for (unsigned i = 0; i < 4; i++)
    if (i % 2)
      expect_data(&out[i], 0, &second, PAYLOAD);
    else
      ck_assert_mem_eq(out[i].hdr, "\x40\x00\x00\x64", 4);
}
END_TEST

/* Where the room for headers ends in the middle of a packet, the next call goes on with what is left of it. */
START_TEST(test_stops_within_a_packet_when_headers_are_full)
{
  enum { ALL = 3 * 700 };
  fzr_pkt pkts[3];
  unsigned seen = 0, calls = 0;
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  for (unsigned i = 0; i < ALL; i++)
    data[i] = (uint8_t)(i * 31 >> 3);
  for (unsigned i = 0; i < 3; i++)
    pkts[i] = peer_pkt(data + (size_t)i * 700, 700, 1, &peer);
  fzr_batch batch = {.in = pkts, .count = 3, .out = out, .room = 256};
  for (; batch.consumed < 3; calls++) {
    ck_assert_uint_lt(calls, 20);
    ck_assert_int_eq(fzr_engine_rx(relay.engine, FZR_SIDE_PEER, &batch, relay.now), 0);
    ck_assert_uint_gt(batch.written, 0);
    for (size_t k = 0; k < batch.written; k++)
      for (unsigned i = 0; i < out[k].count; i++, seen++) {
        ck_assert_uint_eq(out[k].data[(size_t)i * out[k].stride], data[seen]);
        ck_assert_mem_eq(fzr_verdict_header(&out[k], i) + 32, "\x00\x13\x00\x01", 4);
      }
  }
  ck_assert_uint_eq(seen, ALL);
  ck_assert_uint_gt(calls, 3);
  ck_assert_uint_eq(stats().packets[1], ALL);
}
END_TEST

/* The bandwidth ends in the packet in which the room for headers would: the headers of what is dropped are not written, so that the
 * batch goes on, and no datagram is relayed twice or lost uncounted. */
START_TEST(test_bandwidth_ends_where_headers_would)
{
  /* 409 of LEN, and 67 bytes more, are 65,507. */
  enum { LEN = 160, MANY = 400, CUT = 100, FIT = 9, SMALL = 20 };
  fzr_config config = fzr_config_init();
  config.max_bandwidth_per_allocation = 65507;
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  fzr_pkt pkts[4] = {
      peer_pkt(data, MANY * LEN, LEN, &peer),
      peer_pkt(data, CUT * LEN, LEN, &peer),
      peer_pkt(data, SMALL, 0, &peer),
      peer_pkt(data, SMALL, 0, &peer),
  };
  unsigned forwarded[4] = {0};
  const size_t n = rx(FZR_SIDE_PEER, pkts, 4);
  for (size_t k = 0; k < n; k++)
    if (out[k].action == FZR_ACT_FORWARD)
      forwarded[out[k].in_idx] += out[k].count;
  ck_assert_uint_eq(forwarded[0], MANY);
  ck_assert_uint_eq(forwarded[1], FIT);
  ck_assert_uint_eq(forwarded[2], 1);
  ck_assert_uint_eq(forwarded[3], 1);
  ck_assert_uint_eq(stats().packets[1], MANY + FIT + 2);
  ck_assert_uint_eq(stats().dropped[FZR_DROP_BANDWIDTH], CUT - FIT);
}
END_TEST

/* ---- permissions ---- */

/* An engine that goes takes what it has of the bound of all shards along, permissions too. */
START_TEST(test_permissions_end_with_their_engine)
{
  static const char *const peers[] = {"203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"};
  fzr_shared *shared;
  fzt_relay_free(&relay);
  fzr_config config;
  ck_assert_int_eq(fzr_shared_new(50000, 50001, NULL, &shared), 0);
  for (unsigned round = 0; round < 4; round++) {
    config = fzt_config(&relay);
    config.shared = shared;
    config.lowest_port = 50000;
    config.highest_port = 50001;
    config.max_channels = 10;
    start(&config);
    for (unsigned i = 0; i < 4; i++)
      ck_assert_int_eq(permit(peers[i]), 0);
    fzt_relay_free(&relay);
  }
  config = fzt_config(&relay);
  start(&config);
  fzr_shared_free(shared);
}
END_TEST

static bool reaches(const char *text)
{
  const fzr_addr to = fzt_addr(text);
  fzr_pkt pkt = client_pkt(data, put_send(data, &to, 5, 1, false), 0);
  ck_assert_uint_eq(rx(FZR_SIDE_CLIENT, &pkt, 1), 1);
  return out[0].action == FZR_ACT_FORWARD;
}

/* A rule that comes later ends permissions, and says so. */
START_TEST(test_rules_end_permissions)
{
  fzr_peer_rule rules[2];
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  ck_assert_int_eq(permit("203.0.113.8"), 0);
  ck_assert_int_eq(fzr_peer_rule_parse("203.0.113.9", false, &rules[0]), 0);
  ck_assert_int_eq(fzr_peer_rule_parse("203.0.113.8:53", false, &rules[1]), 0);
  ck_assert_int_eq(fzr_engine_set_peer_rules(relay.engine, rules, 2), 0);
  fzt_pass(&relay, 0);
  ck_assert_uint_eq(stats().permissions, 1);
  ck_assert_uint_eq(log_count, 1);
  ck_assert_uint_eq(logged.peer_reason, FZR_PEER_DENIED);
  ck_assert_uint_eq(logged.port, client.relayed_port);
  ck_assert(!reaches("203.0.113.9:5000"));
  ck_assert_uint_eq(out[0].reason, FZR_DROP_NO_PERMISSION);
  ck_assert(reaches("203.0.113.8:54"));
  ck_assert(!reaches("203.0.113.8:53"));
  ck_assert_uint_eq(out[0].reason, FZR_DROP_PEER_PORT);
}
END_TEST

/* An address that becomes the host's own: its ports but those for allocations are out of reach at once. */
START_TEST(test_own_addresses)
{
  const fzr_addr own = fzt_addr("203.0.113.9:0");
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  ck_assert(reaches("203.0.113.9:5000") && !(out[0].flags & FZR_VERDICT_TO_OWN));
  ck_assert_int_eq(fzr_engine_set_own_addrs(relay.engine, &own, 1), 0);
  fzt_pass(&relay, 0);
  ck_assert(!reaches("203.0.113.9:5000"));
  ck_assert(reaches("203.0.113.9:50000") && (out[0].flags & FZR_VERDICT_TO_OWN));
}
END_TEST

/* And a port at which the relay begins to listen. */
START_TEST(test_listen_ports)
{
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  ck_assert(reaches("203.0.113.9:5000"));
  ck_assert_int_eq(fzr_engine_add_listen_port(relay.engine, 5000), 0);
  ck_assert(!reaches("203.0.113.9:5000"));
  ck_assert_uint_eq(out[0].reason, FZR_DROP_PEER_PORT);
  ck_assert(reaches("203.0.113.9:5001"));
}
END_TEST

static bool even_ports(void *ctx, const fzr_addr *from, const fzr_addr *to, bool by_default)
{
  (void)ctx, (void)from;
  return by_default && to->port % 2 == 0;
}

/* The application is asked about the port that is meant. */
START_TEST(test_the_application_judges_ports)
{
  fzt_relay_free(&relay);
  fzr_config config = fzt_config(&relay);
  config.peer_policy = even_ports;
  start(&config);
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  ck_assert(reaches("203.0.113.9:5000"));
  ck_assert(!reaches("203.0.113.9:5001"));
  ck_assert_uint_eq(out[0].reason, FZR_DROP_PEER_PORT);
  fzr_addr odd = fzt_addr("203.0.113.9:5001");
  fzr_pkt pkt = peer_pkt(data, 10, 0, &odd);
  ck_assert_uint_eq(rx(FZR_SIDE_PEER, &pkt, 1), 1);
  ck_assert_uint_eq(out[0].reason, FZR_DROP_PEER_PORT);
}
END_TEST

/* They are counted, and lapse without being asked for; the bound on channels counts them, too. */
START_TEST(test_many_permissions)
{
  char text[32];
  for (unsigned i = 0; i < 1024; i++) {
    snprintf(text, sizeof text, "203.0.%u.%u", 100 + i / 200, 1 + i % 200);
    ck_assert_int_eq(permit(text), 0);
  }
  ck_assert_int_eq(permit("203.0.200.1"), 508);
  ck_assert_int_eq(permit("203.0.100.1"), 0); /* it is there */
  ck_assert_uint_eq(stats().permissions, 1024);
  ck_assert_uint_eq(stats().permissions_installed, 1024);
  ck_assert(reaches("203.0.100.7:9") && reaches("203.0.104.7:9"));
  fzt_pass(&relay, 200 * FZR_SECOND);
  ck_assert_int_eq(permit("203.0.100.7"), 0);
  fzt_pass(&relay, 111 * FZR_SECOND);
  ck_assert_uint_eq(stats().permissions, 1);
  ck_assert(reaches("203.0.100.7:9") && !reaches("203.0.104.7:9"));
  ck_assert_int_eq(permit("203.0.200.1"), 0);
  ck_assert_int_eq(fzt_refresh(&relay, &client, 0), 0);
  ck_assert_uint_eq(stats().permissions, 0);
}
END_TEST

/* CPU time of many that are refused, of an allocation that has all it may have. */
static double time_refused(fzri_allocation *a)
{
  const fzr_addr another = fzt_addr("203.0.200.1:1");
  const clock_t begin = clock();
  for (unsigned i = 0; i < 20000; i++)
    fzt_check(fzri_permission_install(relay.engine, a, &another) == FZRI_PERMIT_LIMIT);
  return (double)(clock() - begin);
}

/* One that is refused costs as little with many permissions as with few, for none has lapsed. */
START_TEST(test_refused_at_the_limit)
{
  char text[32];
  double taken[2];
  fzr_config config = fzr_config_init();
  fzri_allocation *a = fzri_allocation_at(relay.engine, 0);
  for (unsigned round = 0, i = 0; round < 2; round++) {
    config.max_permissions_per_allocation = round ? 1024 : 2;
    ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
    for (; i < config.max_permissions_per_allocation; i++) {
      snprintf(text, sizeof text, "203.0.%u.%u", 100 + i / 200, 1 + i % 200);
      ck_assert_int_eq(permit(text), 0);
    }
    taken[round] = time_refused(a);
  }
  ck_assert_msg(taken[1] < 5 * (taken[0] + 1000), "%.0f us with 2, %.0f with 1024", taken[0], taken[1]);
}
END_TEST

/* A limit that is set later holds for what comes later. */
START_TEST(test_limits_may_change)
{
  fzr_config config = fzr_config_init();
  config.max_permissions_per_allocation = 2;
  ck_assert_int_eq(permit("203.0.113.7"), 0);
  ck_assert_int_eq(permit("203.0.113.8"), 0);
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  ck_assert_int_eq(fzr_engine_set_limits(relay.engine, &config), 0);
  ck_assert_int_eq(permit("203.0.113.9"), 0);
  ck_assert_int_eq(permit("203.0.113.6"), 508);
  ck_assert_uint_eq(stats().permissions, 3);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("indications");
  TCase *tc = tcase_create("indications");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_a_run_of_sends_is_one_verdict);
  tcase_add_test(tc, test_a_run_with_data_first);
  tcase_add_loop_test(tc, test_sends_of_one_batch_join, 0, 4);
  tcase_add_loop_test(tc, test_clients_do_not_mix, 0, 2);
  tcase_add_test(tc, test_kinds_do_not_mix);
  tcase_add_test(tc, test_kinds_within_a_run);
  tcase_add_test(tc, test_sends_to_a_relayed_address_of_the_relay);
  tcase_add_loop_test(tc, test_a_run_of_a_peer_is_one_verdict, 0, 3);
  tcase_add_test(tc, test_datagrams_of_one_batch_join);
  tcase_add_test(tc, test_channels_and_indications_beside_each_other);
  tcase_add_test(tc, test_stops_within_a_packet_when_headers_are_full);
  tcase_add_test(tc, test_bandwidth_ends_where_headers_would);
  tcase_add_test(tc, test_permissions_end_with_their_engine);
  tcase_add_test(tc, test_rules_end_permissions);
  tcase_add_test(tc, test_own_addresses);
  tcase_add_test(tc, test_listen_ports);
  tcase_add_test(tc, test_the_application_judges_ports);
  tcase_add_test(tc, test_many_permissions);
  tcase_add_test(tc, test_refused_at_the_limit);
  tcase_add_test(tc, test_limits_may_change);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
