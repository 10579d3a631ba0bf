/* SPDX-License-Identifier: Apache-2.0 */
/* One engine, two adapters: clients by UDP, and clients on streams, here one at the other end of a socket pair. Each gets an
 * allocation, and each talks to the same peer, who by UDP sees no difference. Ends by itself.
 *
 *   cc two_adapters.c stream_adapter.c $(pkg-config --cflags --libs libfzrelay) -o two_adapters
 *   ./two_adapters
 */
#include "stream_adapter.h"

#include <firezone_relay/socket.h>
#include <firezone_relay/udp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL  0x4000u
#define PATIENCE (10 * FZR_SECOND)

typedef struct client {
  const char *name;
  int fd;
  int on_stream;
  uint8_t key[FZR_STUN_KEY_LEN];
  char nonce[128];
  size_t nonce_len;
  fzr_addr relayed;
} client;

static fzr_udp *udp;
static stream_adapter *streams;

static void fail(const char *what)
{
  fprintf(stderr, "failed: %s\n", what);
  exit(EXIT_FAILURE);
}

/* ---- the loop of both adapters ---- */

static int wait_ms(fzr_time end)
{
  const fzr_time deadline = fzr_udp_deadline(udp), now = fzr_udp_now();
  const fzr_time until = deadline < end ? deadline : end;
  return until <= now ? 0 : (int)((until - now) / FZR_MILLISECOND) + 1;
}

/* Waits until one of |fds| is ready, |ms| milliseconds at most. If a signal comes first, none is: poll leaves `revents` alone then. */
static void wait_for(struct pollfd *fds, size_t n, int ms)
{
  if (poll(fds, (nfds_t)n, ms) >= 0)
    return;
  if (errno != EINTR)
    fail("waiting");
  for (size_t i = 0; i < n; i++)
    fds[i].revents = 0;
}

/* Serves both until |fd|, which is a client's or peer's, has something to read. */
static void serve_until_readable(int fd)
{
  const fzr_time end = fzr_udp_now() + PATIENCE;
  for (;;) {
    struct pollfd fds[66];
    fds[0].fd = fd;
    fds[1].fd = fzr_udp_poll_fd(udp);
    fds[0].events = fds[1].events = POLLIN;
    const size_t n = stream_adapter_poll_fds(streams, fds + 2, 64);
    wait_for(fds, 2 + n, wait_ms(end));
    stream_adapter_on_ready(streams, fds + 2, n, fzr_udp_now());
    if (fzr_udp_poll(udp, 0))
      fail("the UDP adapter");
    if (fds[0].revents & POLLIN)
      return;
    if (fzr_udp_now() >= end)
      fail("nothing comes");
  }
}

/* Serves both until |port| is no live allocation's. */
static void serve_until_ended(const fzr_engine *engine, uint16_t port)
{
  const fzr_time end = fzr_udp_now() + PATIENCE;
  while (fzr_engine_port_is_live(engine, port, FZR_FAMILY_IPV4)) {
    struct pollfd fds[64];
    const size_t n = stream_adapter_poll_fds(streams, fds, 64);
    wait_for(fds, n, 0);
    stream_adapter_on_ready(streams, fds, n, fzr_udp_now());
    if (fzr_udp_poll(udp, FZR_MILLISECOND))
      fail("the UDP adapter");
    if (fzr_udp_now() >= end)
      fail("an allocation stays");
  }
}

/* ---- a client ---- */

static void put(const client *c, const uint8_t *data, size_t len)
{
  if (write(c->fd, data, len) != (ssize_t)len)
    fail("sending");
}

/* Reads |len| bytes of a stream. */
static void read_all(const client *c, uint8_t *out, size_t len)
{
  for (ssize_t n; len; out += n, len -= (size_t)n) {
    serve_until_readable(c->fd);
    n = read(c->fd, out, len);
    if (n <= 0)
      fail("reading");
  }
}

/* Reads a message: on a stream as long as its header says, else a datagram. */
static size_t get(const client *c, uint8_t *out, size_t cap)
{
  if (!c->on_stream) {
    serve_until_readable(c->fd);
    const ssize_t n = read(c->fd, out, cap);
    if (n < 0)
      fail("receiving");
    return (size_t)n;
  }
  read_all(c, out, 4);
  const size_t told = (size_t)out[2] << 8 | out[3];
  const size_t len = out[0] & 0x40 ? 4 + (told + 3) / 4 * 4 : FZR_STUN_HEADER_LEN + told;
  if (len > cap)
    fail("a message too long");
  read_all(c, out + 4, len - 4);
  return len;
}

static void begin(const client *c, fzr_stun_builder *b, uint8_t *buffer, size_t cap, uint16_t method)
{
  uint8_t txid[FZR_STUN_TXID_LEN];
  fzr_udp_random(NULL, txid, sizeof txid);
  fzr_stun_build(b, buffer, cap, method, FZR_STUN_REQUEST, txid);
  if (!c->nonce_len)
    return;
  fzr_stun_add(b, FZR_ATTR_USERNAME, "alice", 5);
  fzr_stun_add(b, FZR_ATTR_REALM, "firezone", 8);
  fzr_stun_add(b, FZR_ATTR_NONCE, c->nonce, c->nonce_len);
}

static int ask(const client *c, fzr_stun_builder *b, uint8_t *answer, size_t cap, fzr_stun_msg *msg)
{
  if (c->nonce_len)
    fzr_stun_add_integrity(b, c->key, sizeof c->key);
  const int len = fzr_stun_build_finish(b);
  if (len < 0)
    fail("building a request");
  put(c, b->data, (size_t)len);
  if (fzr_stun_read(answer, get(c, answer, cap), msg))
    fail("reading an answer");
  return (int)fzr_stun_error_code(msg);
}

static void allocate(client *c)
{
  uint8_t buffer[512], answer[1500];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  begin(c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  if (ask(c, &b, answer, sizeof answer, &msg) != 401 || !fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce) ||
      nonce.len > sizeof c->nonce)
    fail("the first Allocate");
  memcpy(c->nonce, nonce.value, nonce.len);
  c->nonce_len = nonce.len;
  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)"alice", 5, "firezone", "wonderland", c->key);
  begin(c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (ask(c, &b, answer, sizeof answer, &msg) ||
      !fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &c->relayed))
    fail("the second Allocate");
}

static void bind_channel(const client *c, const fzr_addr *peer)
{
  uint8_t buffer[512], answer[1500];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  begin(c, &b, buffer, sizeof buffer, FZR_STUN_CHANNEL_BIND);
  fzr_stun_add_u32(&b, FZR_ATTR_CHANNEL_NUMBER, CHANNEL << 16);
  fzr_stun_add_addr(&b, FZR_ATTR_XOR_PEER_ADDRESS, peer);
  if (ask(c, &b, answer, sizeof answer, &msg))
    fail("ChannelBind");
}

/* Sends |text| to the peer, who sends it back to where it came from. */
static void talk(const client *c, int peer, const char *text)
{
  uint8_t message[128] = {0}, got[128];
  const size_t len = (size_t)snprintf((char *)message + 4, sizeof message - 4, "%s", text);
  fzr_sockaddr name;
  socklen_t name_len = sizeof name;
  fzr_addr from;
  char from_text[FZR_ADDR_TEXT_MAX];

  fzr_channel_data_header(message, CHANNEL, (uint16_t)len);
  put(c, message, c->on_stream ? 4 + (len + 3) / 4 * 4 : 4 + len);
  serve_until_readable(peer);
  const ssize_t n = recvfrom(peer, got, sizeof got, 0, &name.any, &name_len);
  if (n != (ssize_t)len || memcmp(got, message + 4, len) != 0 ||
      fzr_addr_from_sockaddr(&name.any, name_len, &from) || !fzr_addr_equal(&from, &c->relayed))
    fail("data for the peer");
  sendto(peer, got, len, 0, &name.any, name_len);
  if (get(c, got, sizeof got) < 4 + len || memcmp(got, message, 4 + len) != 0)
    fail("data from the peer");
  fzr_addr_format(&c->relayed, true, from_text, sizeof from_text);
  printf("%s: \"%s\" went out from %s and came back\n", c->name, text, from_text);
}

/* ---- the relay ---- */

/* A UDP socket on loopback; |addr| becomes its address. */
static int open_udp(fzr_addr *addr)
{
  fzr_sockaddr name;
  fzr_addr_parse("127.0.0.1", addr);
  socklen_t len = fzr_addr_to_sockaddr(addr, &name);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, &name.any, len) || getsockname(fd, &name.any, &len) ||
      fzr_addr_from_sockaddr(&name.any, len, addr))
    fail("a UDP socket");
  return fd;
}

static client udp_client(const fzr_addr *server)
{
  client c;
  fzr_addr own;
  fzr_sockaddr name;
  memset(&c, 0, sizeof c);
  c.name = "by UDP";
  c.fd = open_udp(&own);
  const socklen_t len = fzr_addr_to_sockaddr(server, &name);
  if (connect(c.fd, &name.any, len))
    fail("connecting");
  return c;
}

/* One end of a socket pair is the adapter's, as a connection that accept(2) gave. */
static client stream_client(void)
{
  client c;
  int ends[2];
  fzr_addr from;
  memset(&c, 0, sizeof c);
  c.name = "on a stream";
  c.on_stream = 1;
  fzr_addr_parse("192.0.2.7:50000", &from);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || fcntl(ends[1], F_SETFL, O_NONBLOCK) ||
      stream_adapter_add(streams, ends[1], &from))
    fail("a socket pair");
  c.fd = ends[0];
  return c;
}

static fzr_engine *new_engine(void)
{
  static const fzr_user users[] = {{"alice", "wonderland", NULL}};
  fzr_engine *engine = NULL;
  fzr_peer_rule rule;
  memset(&rule, 0, sizeof rule);
  fzr_addr_parse("127.0.0.1", &rule.net);
  rule.prefix = 32;
  rule.allow = true; /* the peer of this example; a relay for others must not */
  fzr_config config = fzr_config_init();
  config.random = fzr_udp_random;
  config.auth = FZR_AUTH_STATIC;
  config.users = users;
  config.user_count = 1;
  config.peer_rules = &rule;
  config.peer_rule_count = 1;
  fzr_addr_parse("127.0.0.1", &config.public_ip4);
  if (fzr_engine_new(&config, &engine, fzr_udp_now()))
    fail("the engine");
  return engine;
}

int main(void)
{
  fzr_engine *engine = new_engine();
  fzr_driver *driver = NULL;
  fzr_udp_config config = fzr_udp_config_init();
  int error;
  fzr_addr server, peer;

  fzr_addr_parse("127.0.0.1", &config.bind_ip4);
  if (fzr_driver_new(engine, NULL, &driver) || fzr_udp_new(&config, &udp, NULL) ||
      fzr_udp_attach_to(udp, driver))
    fail("the UDP adapter");
  server = config.bind_ip4;
  server.port = fzr_udp_listen_port(udp);
  fzr_addr listen = server;
  listen.transport = FZR_TRANSPORT_TCP;
  streams = stream_adapter_new(driver, &listen, &error);
  if (!streams)
    fail(fzr_strerror(error));

  const int peer_fd = open_udp(&peer);
  client clients[2];
  clients[0] = udp_client(&server);
  clients[1] = stream_client();
  for (int i = 0; i < 2; i++) {
    allocate(&clients[i]);
    bind_channel(&clients[i], &peer);
  }
  talk(&clients[0], peer_fd, "hello");
  talk(&clients[1], peer_fd, "hello");
  talk(&clients[1], peer_fd, "again, and longer");
  talk(&clients[0], peer_fd, "again");

  close(clients[1].fd);
  serve_until_ended(engine, clients[1].relayed.port);
  printf("the stream has ended, and its allocation with it\n");
  talk(&clients[0], peer_fd, "and still by UDP");

  close(clients[0].fd);
  close(peer_fd);
  stream_adapter_free(streams, fzr_udp_now());
  fzr_udp_free(udp);
  fzr_driver_free(driver);
  fzr_engine_free(engine);
  return EXIT_SUCCESS;
}
