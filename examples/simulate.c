/* SPDX-License-Identifier: Apache-2.0 */
/* Two clients and a relay in memory, in virtual time: an adapter that has no sockets but queues. The first client's relayed
 * address is the second's peer, so what they send each other passes the relay twice. A day goes by in an instant. */
#include <firezone_relay/firezone_relay.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 2
#define CHANNEL 0x4000

typedef struct client {
  fzr_addr addr;
  fzr_addr relayed;
  uint8_t key[FZR_STUN_KEY_LEN];
  char nonce[64];
  uint16_t nonce_len;
  int last_code;
  unsigned received;
} client;

typedef struct world {
  fzr_driver *driver;
  fzr_engine *engine;
  fzr_time now;
  fzr_addr listen;
  client clients[CLIENTS];
  unsigned seed;
  /* A datagram on its way to a relayed port: at most one at a time here. */
  uint8_t data[256];
  fzr_pkt in_flight;
  bool pending;
} world;

static int not_random(void *ctx, uint8_t *out, size_t len)
{
  unsigned *state = ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)((*state = *state * 1103515245u + 12345u) >> 16);
  return 0;
}

/* ---- the adapter ---- */

static int open_port(void *io, uint16_t port, enum fzr_family family, void **cookie)
{
  (void)port;
  (void)family;
  *cookie = io;
  return 0;
}

static void close_port(void *io, uint16_t port, enum fzr_family family, void *cookie)
{
  (void)io;
  (void)port;
  (void)family;
  (void)cookie;
}

/* Which client has |addr|, or -1. */
static int client_at(const world *w, const fzr_addr *addr)
{
  for (int i = 0; i < CLIENTS; i++)
    if (fzr_addr_equal(&w->clients[i].addr, addr))
      return i;
  return -1;
}

static void forward(void *io, const fzr_verdict *v, size_t n)
{
  world *w = io;
  for (size_t i = 0; i < n; i++) {
    if (v[i].action != FZR_ACT_FORWARD)
      continue;
    const int c = client_at(w, &v[i].to);
    if (c >= 0) {
      w->clients[c].received++;
    } else if (v[i].len <= sizeof w->data) { /* to a relayed port of this relay */
      memcpy(w->data, v[i].data, v[i].len);
      memset(&w->in_flight, 0, sizeof w->in_flight);
      w->in_flight.data = w->data;
      w->in_flight.len = v[i].len;
      w->in_flight.from = v[i].from;
      w->in_flight.to = v[i].to;
      w->pending = true;
    }
  }
}

static void transmit(void *io, const fzr_transmit *t, size_t n)
{
  world *w = io;
  for (size_t i = 0; i < n; i++) {
    fzr_stun_msg msg;
    fzr_stun_attr nonce;
    const int to = client_at(w, &t[i].to);
    if (to < 0 || fzr_stun_read(t[i].data, t[i].len, &msg))
      continue;
    client *c = &w->clients[to];
    c->last_code = (int)fzr_stun_error_code(&msg);
    if (fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) && nonce.len <= sizeof c->nonce) {
      memcpy(c->nonce, nonce.value, nonce.len);
      c->nonce_len = nonce.len;
    }
    fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &c->relayed);
  }
}

/* ---- the clients ---- */

static void send_bytes(world *w, client *c, const uint8_t *data, size_t len)
{
  fzr_pkt pkt;
  memset(&pkt, 0, sizeof pkt);
  pkt.data = data;
  pkt.len = (uint32_t)len;
  pkt.from = c->addr;
  pkt.to = w->listen;
  fzr_driver_rx(w->driver, FZR_SIDE_CLIENT, &pkt, 1, w->now);
  while (w->pending) {
    w->pending = false;
    pkt = w->in_flight;
    fzr_driver_rx(w->driver, FZR_SIDE_PEER, &pkt, 1, w->now);
  }
}

/* Asks, and once more if only the nonce was missing or stale. */
static int request(world *w, client *c, uint16_t method, const fzr_addr *peer)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  for (int tries = 0; tries < 2; tries++) {
    uint8_t txid[FZR_STUN_TXID_LEN];
    not_random(&w->seed, txid, sizeof txid);
    fzr_stun_build(&b, buffer, sizeof buffer, method, FZR_STUN_REQUEST, txid);
    if (method == FZR_STUN_ALLOCATE)
      fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
    if (peer) {
      fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, (uint32_t)CHANNEL << 16);
      fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
    }
    if (c->nonce_len) {
      fzr_stun_add(&b, FZR_ATTR_USERNAME, "user", 4);
      fzr_stun_add(&b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
      fzr_stun_add_integrity(&b, c->key, sizeof c->key);
    }
    c->last_code = -1;
    send_bytes(w, c, buffer, (size_t)fzr_stun_build_finish(&b));
    if (c->last_code != 401 && c->last_code != 438)
      break;
  }
  return c->last_code;
}

static void say_hello(world *w, client *c)
{
  uint8_t buffer[] = {0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
  fzr_channel_data_header(buffer, CHANNEL, 5);
  send_bytes(w, c, buffer, sizeof buffer);
}

static void pass(world *w, fzr_time by)
{
  const fzr_time end = w->now + by;
  while (fzr_driver_deadline(w->driver) <= end) {
    if (fzr_driver_deadline(w->driver) > w->now)
      w->now = fzr_driver_deadline(w->driver);
    fzr_driver_on_deadline(w->driver, w->now);
  }
  w->now = end;
}

static int run(world *w)
{
  client *a = &w->clients[0], *b = &w->clients[1];
  for (int i = 0; i < CLIENTS; i++)
    if (request(w, &w->clients[i], FZR_STUN_ALLOCATE, NULL))
      return -1;
  for (int minutes = 0; minutes < 24 * 60; minutes += 5) {
    if (request(w, a, FZR_STUN_REFRESH, NULL) || request(w, b, FZR_STUN_REFRESH, NULL) ||
        request(w, a, FZR_STUN_CHANNEL_BIND, &b->relayed) ||
        request(w, b, FZR_STUN_CHANNEL_BIND, &a->relayed))
      return -1;
    say_hello(w, a);
    say_hello(w, b);
    pass(w, 300 * FZR_SECOND);
  }
  printf("after a day: %u and %u datagrams arrived\n", a->received, b->received);
  pass(w, 600 * FZR_SECOND);
  say_hello(w, a);
  fzr_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.size = sizeof stats;
  fzr_engine_stats(w->engine, &stats);
  printf("ten minutes later: %llu allocations\n", (unsigned long long)stats.allocations);
  return a->received == 288 && b->received == 288 && stats.allocations == 0 ? 0 : -1;
}

int main(void)
{
  static const fzr_user users[] = {{"user", "password"}};
  fzr_io_ops ops;
  world w;
  memset(&ops, 0, sizeof ops);
  ops.size = sizeof ops;
  ops.open_port = open_port;
  ops.close_port = close_port;
  ops.forward = forward;
  ops.transmit = transmit;
  memset(&w, 0, sizeof w);
  w.seed = 1;
  fzr_config config = fzr_config_init();
  config.random = not_random;
  config.random_ctx = &w.seed;
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  fzr_addr_parse("203.0.113.1", &config.public_ip4);
  fzr_addr_parse("203.0.113.1:3478", &w.listen);
  fzr_addr_parse("198.51.100.1:1000", &w.clients[0].addr);
  fzr_addr_parse("198.51.100.2:2000", &w.clients[1].addr);
  for (int i = 0; i < CLIENTS; i++)
    fzr_auth_long_term_key((const uint8_t *)"user", 4, "firezone", "password", w.clients[i].key);
  int status = fzr_engine_new(&config, 0, &w.engine);
  if (!status)
    status = fzr_driver_new(w.engine, &ops, &w, NULL, &w.driver);
  if (!status)
    status = run(&w);
  fzr_driver_free(w.driver);
  fzr_engine_free(w.engine);
  return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
