/* SPDX-License-Identifier: Apache-2.0 */
/* fzr-bench-turn: turns of the UDP adapter that find one datagram each, on loopback. instructions.sh counts what such a turn takes in user
 * mode. The next datagram is sent when the last one has come out, so that load changes nothing of what a turn finds. */
#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/socket.h"
#include "firezone_relay/udp.h"

#include "session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL 0x4000u
#define PAYLOAD 1200u
#define WATCHED 8u
#define WAIT_MS 10000 /* for what takes no time: more means that something is lost */

static void die(const char *what)
{
  fprintf(stderr, "fzr-bench-turn: %s\n", what);
  exit(1);
}

/* ---- a host of the adapter ---- */

typedef struct watched {
  int fd;
  void *token;
} watched;

typedef struct world {
  watched watched[WATCHED]; /* the listen socket is the first one, an allocation's the last */
  unsigned count;
  fzr_engine *engine;
  fzr_udp *udp;
  fzr_time now; /* it stands still: no timer is due in the middle of what is counted */
  session client;
  int peer;
  fzr_addr peer_addr;
} world;

static int watch(void *ctx, int fd, unsigned events, void *token, void **slot)
{
  world *w = ctx;
  (void)events;
  if (*slot)
    return 0;
  if (w->count == WATCHED)
    die("more sockets than expected");
  w->watched[w->count] = (watched){fd, token};
  *slot = &w->watched[w->count++];
  return 0;
}

static void unwatch(void *ctx, int fd, void *slot)
{
  (void)ctx;
  (void)fd;
  ((watched *)slot)->fd = -1;
}

static void wait_for(int fd)
{
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, WAIT_MS) != 1)
    die("a datagram is lost");
}

/* What is measured. Not to be inlined: instructions.sh counts what is executed below it. */
__attribute__((noinline)) static void bench_measured(world *w, const fzr_udp_ready *ready)
{
  fzr_udp_on_ready_batch(w->udp, ready, 1, w->now);
}

/* ---- a client with a channel to a peer ---- */

static int bind_socket(fzr_addr *addr)
{
  fzr_sockaddr name;
  socklen_t len = fzr_addr_to_sockaddr(addr, &name);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, &name.any, len) || getsockname(fd, &name.any, &len) ||
      fzr_addr_from_sockaddr(&name.any, len, addr))
    die("no socket");
  return fd;
}

/* Serves the client until it is in |state|. */
static void reach(world *w, enum session_state state)
{
  while (w->client.state != state) {
    if (w->client.state == SESSION_FAILED)
      die("a request was refused");
    wait_for(w->watched[0].fd);
    fzr_udp_on_ready(w->udp, w->watched[0].token, FZR_WATCH_READ, w->now);
    wait_for(w->client.fd);
    session_read(&w->client, w->now);
  }
}

static void start(world *w)
{
  static const fzr_user users[] = {{"bench", "bench"}};
  static credential who = {.username = "bench", .password = "bench"};
  fzr_peer_rule rule = {.prefix = 32, .allow = true};
  fzr_config config = fzr_config_init();
  fzr_udp_config io = fzr_udp_config_init();
  fzr_addr loopback;
  fzr_addr_parse("127.0.0.1", &loopback);
  rule.net = config.public_ip4 = io.bind_ip4 = w->peer_addr = loopback;
  config.random = fzr_udp_random;
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  config.peer_rules = &rule;
  config.peer_rule_count = 1;
  io.watch_ctx = w;
  io.watch = watch;
  io.unwatch = unwatch;
  w->now = FZR_SECOND;
  if (fzr_engine_new(&config, &w->engine, w->now) || fzr_udp_new(&io, &w->udp, NULL) ||
      fzr_udp_attach(w->udp, w->engine))
    die("no relay");
  w->peer = bind_socket(&w->peer_addr);
  loopback.port = fzr_udp_listen_port(w->udp);
  if (session_open(&w->client, &loopback, &who, 1))
    die("no client");
  session_allocate(&w->client, false, w->now);
  reach(w, SESSION_READY);
  session_bind(&w->client, CHANNEL, &w->peer_addr, w->now);
  reach(w, SESSION_READY);
}

/* ---- turns ---- */

/* The socket of the allocation, which was opened last. */
static const watched *last(const world *w)
{
  return &w->watched[w->count - 1];
}

static void turn(world *w, bool down)
{
  static uint8_t data[FZR_CHANNEL_HEADER_LEN + PAYLOAD], got[sizeof data];
  const watched *in = down ? last(w) : &w->watched[0];
  const int out = down ? w->client.fd : w->peer;
  const size_t want = down ? sizeof data : PAYLOAD;
  fzr_sockaddr to;
  const socklen_t to_len = fzr_addr_to_sockaddr(&w->client.relayed, &to);
  fzr_channel_data_header(data, CHANNEL, PAYLOAD);
  const ssize_t sent =
      down ? sendto(w->peer, data, PAYLOAD, 0, &to.any, to_len) : send(w->client.fd, data, sizeof data, 0);
  if (sent < 0)
    die("a datagram can't be sent");
  wait_for(in->fd);
  bench_measured(w, &(fzr_udp_ready){in->token, FZR_WATCH_READ, 0});
  wait_for(out);
  if (recv(out, got, sizeof got, MSG_DONTWAIT) != (ssize_t)want)
    die("another datagram came");
}

int main(int argc, char **argv)
{
  static world w;
  if (argc != 3 || (strcmp(argv[1], "up") != 0 && strcmp(argv[1], "down") != 0))
    die("usage: fzr-bench-turn up|down TURNS");
  const bool down = !strcmp(argv[1], "down");
  start(&w);
  for (long i = strtol(argv[2], NULL, 10); i > 0; i--)
    turn(&w, down);
  session_close(&w.client);
  close(w.peer);
  fzr_udp_free(w.udp);
  fzr_engine_free(w.engine);
  return 0;
}
