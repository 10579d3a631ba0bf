/* SPDX-License-Identifier: Apache-2.0 */
/* Two clients and a relay in memory, in virtual time, on memory_net.c: an adapter that has no sockets. The first client's relayed
 * address is the second's peer, so what they send each other passes the relay twice. A day goes by in an instant.
 *
 *   cc simulate.c memory_net.c $(pkg-config --cflags --libs libfzrelay) -o simulate
 *   ./simulate
 */
#include "memory_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 2
#define CHANNEL 0x4000

typedef struct client {
  memory_net *net;
  fzr_addr addr, listen, relayed;
  uint8_t key[FZR_STUN_KEY_LEN];
  char nonce[64];
  uint16_t nonce_len;
  uint32_t requests;
  int last_code;
  unsigned received;
} client;

static int not_random(void *ctx, uint8_t *out, size_t len)
{
  unsigned *state = (unsigned *)ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)((*state = *state * 1103515245u + 12345u) >> 16);
  return 0;
}

/* What a client gets: data of its channel, or an answer. */
static void receive(void *ctx, const fzr_addr *from, const fzr_addr *to, const uint8_t *data, size_t len)
{
  client *c = (client *)ctx;
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  uint16_t channel, payload;
  (void)from;
  (void)to;
  if (fzr_channel_data_read(data, len, &channel, &payload) == 0) {
    c->received += channel == CHANNEL;
    return;
  }
  if (fzr_stun_read(data, len, &msg))
    return;
  c->last_code = (int)fzr_stun_error_code(&msg);
  if (fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) && nonce.len <= sizeof c->nonce) {
    memcpy(c->nonce, nonce.value, nonce.len);
    c->nonce_len = nonce.len;
  }
  fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &c->relayed);
}

/* Asks, and once more if only the nonce was missing or stale. Returns 0 or the error code; -1 if no answer came. */
static int request(client *c, uint16_t method, const fzr_addr *peer)
{
  uint8_t buffer[512], txid[FZR_STUN_TXID_LEN] = {0};
  fzr_stun_builder b;
  for (int tries = 0; tries < 2; tries++) {
    c->requests++;
    memcpy(txid, &c->requests, sizeof c->requests);
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
    memory_net_send(c->net, &c->addr, &c->listen, buffer, (size_t)fzr_stun_build_finish(&b));
    memory_net_run(c->net, 100 * FZR_MILLISECOND);
    if (c->last_code != 401 && c->last_code != 438)
      break;
  }
  return c->last_code;
}

static void say_hello(client *c)
{
  uint8_t buffer[] = {0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
  fzr_channel_data_header(buffer, CHANNEL, 5);
  memory_net_send(c->net, &c->addr, &c->listen, buffer, sizeof buffer);
}

static int run(memory_net *net, client clients[CLIENTS], const fzr_engine *engine)
{
  client *a = &clients[0], *b = &clients[1];
  if (request(a, FZR_STUN_ALLOCATE, NULL) || request(b, FZR_STUN_ALLOCATE, NULL))
    return -1;
  for (int minutes = 0; minutes < 24 * 60; minutes += 5) {
    if (request(a, FZR_STUN_REFRESH, NULL) || request(b, FZR_STUN_REFRESH, NULL) ||
        request(a, FZR_STUN_CHANNEL_BIND, &b->relayed) || request(b, FZR_STUN_CHANNEL_BIND, &a->relayed))
      return -1;
    say_hello(a);
    say_hello(b);
    memory_net_run(net, 299 * FZR_SECOND);
  }
  printf("after a day: %u and %u datagrams arrived\n", a->received, b->received);
  memory_net_run(net, 600 * FZR_SECOND);
  say_hello(a);
  memory_net_run(net, FZR_SECOND);
  fzr_stats stats;
  memset(&stats, 0, sizeof stats);
  fzr_engine_stats(engine, &stats);
  printf("ten minutes later: %llu allocations\n", (unsigned long long)stats.allocations);
  return a->received == 288 && b->received == 288 && stats.allocations == 0 ? 0 : -1;
}

int main(void)
{
  static const fzr_user users[] = {{"user", "password", NULL}};
  static const char *const addresses[CLIENTS] = {"198.51.100.1:1000", "198.51.100.2:2000"};
  const memory_link link = {20 * FZR_MILLISECOND, 0, 0, 0};
  client clients[CLIENTS];
  fzr_engine *engine = NULL;
  fzr_addr listen, nowhere;
  unsigned seed = 1;
  int status = -1;
  fzr_config config = fzr_config_init();
  config.random = not_random;
  config.random_ctx = &seed;
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  memset(clients, 0, sizeof clients);
  memset(&nowhere, 0, sizeof nowhere);
  fzr_addr_parse("203.0.113.1", &config.public_ip4);
  fzr_addr_parse("203.0.113.1:3478", &listen);
  memory_net *net = memory_net_new(1, 0);
  if (net && fzr_engine_new(&config, &engine, 0) == 0 &&
      memory_net_add_relay(net, engine, &listen, &nowhere, &config.public_ip4, &nowhere, NULL, &status)) {
    memory_net_set_link(net, &link);
    for (int i = 0; i < CLIENTS; i++) {
      clients[i].net = net;
      clients[i].listen = listen;
      fzr_addr_parse(addresses[i], &clients[i].addr);
      fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)"user", 4, "firezone", "password",
                             clients[i].key);
      memory_net_add_host(net, &clients[i].addr, receive, &clients[i]);
    }
    status = run(net, clients, engine);
  }
  memory_net_free(net);
  fzr_engine_free(engine);
  return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
