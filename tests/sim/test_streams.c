/* SPDX-License-Identifier: Apache-2.0 */
/* Clients on streams that deliver as much as they like: each gets an allocation and a channel, talks with a peer, and loses all of it with its
 * connection. Between relay and peer it is UDP, which here loses nothing. */
#include "firezone_relay/socket.h"
#include "firezone_relay/stream.h"
#include "relay.h"

#include <stdio.h>

#define CLIENTS  24
#define MESSAGES 60
#define PIPE     (1u << 20)
#define ROOM     8u
#define CHANNEL  0x4000u

typedef struct pipe_bytes {
  uint8_t data[PIPE];
  size_t from, to;
} pipe_bytes;

typedef struct client {
  fzt_client_state state;
  fzr_stream *at_relay, *at_client; /* framing is the same at both ends */
  pipe_bytes up, down;
  enum { STRANGER, ALLOCATING, BINDING, TALKING } stage;
  unsigned sent, heard;
  fzt_prng says; /* what it says, and, from the same seed again, what it hears */
  fzt_prng hears;
  bool gone;
} client;

static fzt_relay relay;
static fzr_driver *driver;
static client *clients;
static fzt_prng prng;
static unsigned open_ports;
static fzr_addr peer;

/* ---- bytes ---- */

static void put(pipe_bytes *p, const void *data, size_t len)
{
  fzt_check(p->to + len <= PIPE);
  memcpy(p->data + p->to, data, len);
  p->to += len;
}

static void put_message(pipe_bytes *p, const struct iovec *parts, size_t count)
{
  static const uint8_t zeros[3];
  size_t len = 0;
  for (size_t i = 0; i < count; len += parts[i++].iov_len)
    put(p, parts[i].iov_base, parts[i].iov_len);
  put(p, zeros, fzr_stream_padding(len));
}

/* Some of what is on the way: now a few bytes, now all. */
static size_t some(const pipe_bytes *p)
{
  const size_t all = p->to - p->from;
  return fzt_below(&prng, 3) ? 1 + (size_t)fzt_below(&prng, all) : all;
}

/* ---- adapters ---- */

static client *client_at(const fzr_addr *addr)
{
  fzt_check(addr->transport == FZR_TRANSPORT_TCP && addr->port - 4000u < CLIENTS);
  return &clients[addr->port - 4000];
}

static void to_clients(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  (void)io;
  (void)now;
  for (size_t i = 0; i < n; i++)
    for (uint16_t k = 0; verdicts[i].action == FZR_ACT_FORWARD && k < verdicts[i].count; k++) {
      struct iovec parts[FZR_DATAGRAM_IOVECS];
      put_message(&client_at(&verdicts[i].to)->down, parts, fzr_verdict_iovecs(&verdicts[i], k, parts));
    }
}

static void answer_clients(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  (void)io;
  (void)now;
  for (size_t i = 0; i < n; i++)
    put_message(&client_at(&answers[i].to)->down,
                &(struct iovec){(void *)(uintptr_t)answers[i].data, answers[i].len}, 1);
}

static int open_port(void *io, uint16_t port, enum fzr_family family, void **cookie)
{
  (void)io;
  (void)family;
  *cookie = (void *)(uintptr_t)port;
  open_ports++;
  return 0;
}

static void close_port(void *io, uint16_t port, enum fzr_family family, void *cookie)
{
  (void)io;
  (void)family;
  fzt_check(cookie == (void *)(uintptr_t)port);
  open_ports--;
}

/* What the peer has to send back: it is asked for after the call, for adapters do not call into the driver. */
static struct echo {
  uint8_t data[1500];
  uint16_t len, port;
} echoes[256];
static size_t echo_count;

static void to_peer(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  (void)io;
  (void)now;
  for (size_t i = 0; i < n; i++)
    for (uint16_t k = 0; verdicts[i].action == FZR_ACT_FORWARD && k < verdicts[i].count; k++) {
      const fzr_verdict *v = &verdicts[i];
      struct echo *e = &echoes[echo_count++];
      fzt_check(fzr_addr_equal(&v->to, &peer) && echo_count <= 256);
      e->len = k + 1 == v->count ? v->tail_len : v->len;
      e->port = v->from.port;
      memcpy(e->data, v->data + (size_t)k * v->stride, e->len);
    }
}

static void no_answers(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  (void)io;
  (void)answers;
  (void)now;
  fzt_check(n == 0); /* nobody asks by UDP */
}

static void echo_all(void)
{
  const size_t n = echo_count;
  echo_count = 0;
  for (size_t i = 0; i < n; i++) {
    fzr_pkt pkt = {.data = echoes[i].data, .len = echoes[i].len, .from = peer};
    pkt.to.family = FZR_FAMILY_IPV4;
    pkt.to.port = echoes[i].port;
    fzr_driver_rx(driver, FZR_SIDE_PEER, &pkt, 1, relay.now);
  }
}

/* ---- clients ---- */

static void ask(client *c, uint16_t method)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzt_begin(&relay, &c->state, &b, buffer, sizeof buffer, method);
  if (method == FZR_STUN_ALLOCATE)
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (method == FZR_STUN_CHANNEL_BIND) {
    fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, CHANNEL << 16);
    fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, &peer);
  }
  fzr_stun_add_integrity(&b, c->state.key, sizeof c->state.key);
  const int len = fzr_stun_build_finish(&b);
  fzt_check(len > 0);
  put(&c->up, buffer, (size_t)len);
}

static uint16_t phrase(fzt_prng *words, uint8_t *out)
{
  const uint16_t len = (uint16_t)fzt_below(words, 1300);
  fzt_fill(words, out, len);
  return len;
}

static void say(client *c)
{
  uint8_t data[4 + 1300 + 3] = {0};
  const uint16_t len = phrase(&c->says, data + 4);
  fzr_channel_data_header(data, CHANNEL, len);
  memset(data + 4 + len, 0, 3);
  put(&c->up, data, 4u + len + fzr_stream_padding(len));
  c->sent++;
}

static void hear_answer(client *c, const fzr_pkt *pkt)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  fzt_check(fzr_stun_read(pkt->data, pkt->len, &msg) == FZR_DROP_NONE);
  const unsigned code = fzr_stun_error_code(&msg);
  if (code == 401 && c->stage == STRANGER) {
    fzt_check(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) && nonce.len <= sizeof c->state.nonce);
    memcpy(c->state.nonce, nonce.value, nonce.len);
    c->state.nonce_len = nonce.len;
    c->stage = ALLOCATING;
    ask(c, FZR_STUN_ALLOCATE);
    return;
  }
  fzt_check(code == 0 && c->stage != STRANGER);
  if (c->stage == ALLOCATING)
    ask(c, FZR_STUN_CHANNEL_BIND);
  c->stage++;
}

static void hear(client *c, const fzr_pkt *pkt)
{
  uint8_t expected[1300];
  if (pkt->data[0] < 4) {
    hear_answer(c, pkt);
    return;
  }
  const uint16_t len = phrase(&c->hears, expected);
  fzt_check(pkt->len == 4u + len && memcmp(pkt->data + 4, expected, len) == 0);
  c->heard++;
}

/* Moves some bytes of |p| into |s|. What comes out goes to the relay, or to the client. */
static void deliver(client *c, pipe_bytes *p, fzr_stream *s)
{
  fzr_pkt pkts[ROOM];
  fzr_stream_batch b = {.data = p->data + p->from, .len = some(p), .out = pkts, .room = ROOM};
  p->from += b.len;
  while (b.len) {
    fzt_check(fzr_stream_read(s, &b) == 0 && !b.reason);
    if (s == c->at_relay && b.written)
      fzr_driver_rx(driver, FZR_SIDE_CLIENT, pkts, b.written, relay.now);
    for (size_t i = 0; s == c->at_client && i < b.written; i++)
      hear(c, &pkts[i]);
    echo_all();
  }
}

static void hang_up(client *c)
{
  fzr_allocation found;
  fzr_engine_end_allocation(relay.engine, &c->state.addr, &c->state.server, relay.now);
  fzr_driver_on_deadline(driver, relay.now);
  fzt_check(!fzr_engine_find_allocation(relay.engine, &c->state.addr, &c->state.server, &found));
  fzr_stream_free(c->at_relay);
  fzr_stream_free(c->at_client);
  c->gone = true;
}

/* ---- the world ---- */

static void start(void)
{
  fzr_config config = fzt_config(&relay);
  fzr_io_ops udp = fzr_io_ops_init(), tcp = fzr_io_ops_init();
  config.unauthenticated_rate = config.error_rate = FZR_UNLIMITED;
  config.replace_allocations = FZR_REPLACE_NEVER; /* they have one name */
  fzt_relay_init(&relay, &config);
  udp.open_port = open_port;
  udp.close_port = close_port;
  udp.forward = to_peer;
  udp.transmit = no_answers;
  tcp.forward = to_clients;
  tcp.transmit = answer_clients;
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, &driver), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &udp, NULL), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &tcp, NULL), 0);
  peer = fzt_addr("203.0.113.9:5000");
  clients = calloc(CLIENTS, sizeof *clients);
  ck_assert_ptr_nonnull(clients);
  for (uint16_t i = 0; i < CLIENTS; i++) {
    client *c = &clients[i];
    fzt_client_init(&c->state, "198.51.100.1:4000");
    c->state.addr.port = (uint16_t)(4000 + i);
    c->state.addr.transport = c->state.server.transport = FZR_TRANSPORT_TCP;
    c->says.state = c->hears.state = fzt_next(&prng);
    ck_assert_int_eq(fzr_stream_new(&c->state.addr, &c->state.server, NULL, &c->at_relay), 0);
    ck_assert_int_eq(fzr_stream_new(&c->state.addr, &c->state.server, NULL, &c->at_client), 0);
    ask(c, FZR_STUN_ALLOCATE);
  }
}

/* One of the clients does one thing. Returns whether it has not done all yet. */
static void step(client *c)
{
  pipe_bytes *ways[] = {&c->up, &c->down};
  const unsigned way = (unsigned)fzt_below(&prng, 2);
  if (c->stage == TALKING && c->sent < MESSAGES && !fzt_below(&prng, 3))
    say(c);
  if (ways[way]->to > ways[way]->from)
    deliver(c, ways[way], way ? c->at_client : c->at_relay);
}

START_TEST(test_life_on_streams)
{
  prng.state = fzt_seed("streams");
  start();
  unsigned done = 0, left = 0;
  for (uint64_t steps = 0; done + left < CLIENTS; steps++) {
    client *c = &clients[fzt_below(&prng, CLIENTS)];
    fzt_check(steps < 10000000);
    if (c->gone)
      continue;
    step(c);
    relay.now += FZR_MILLISECOND / 10;
    const bool all = c->heard == MESSAGES;
    /* Some leave in the middle of whatever they do. */
    if (all || !fzt_below(&prng, 4000)) {
      hang_up(c);
      done += all;
      left += !all;
    }
  }
  printf("%u clients heard all that they said, %u left before\n", done, left);
  ck_assert_uint_gt(done, 0);
  ck_assert_uint_eq(open_ports, 0);
  fzr_stats stats;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &stats), 0);
  ck_assert_uint_eq(stats.allocations, 0);
  ck_assert_uint_ge(stats.packets[0], (uint64_t)done * MESSAGES);
  ck_assert_uint_eq(stats.packets[1], stats.packets[0]);
  free(clients);
  fzr_driver_free(driver);
  fzt_relay_free(&relay);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sim_streams");
  TCase *tc = tcase_create("streams");
  tcase_set_timeout(tc, 200);
  tcase_add_test(tc, test_life_on_streams);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
