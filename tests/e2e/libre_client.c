/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talks through a TURN server with libre's client: allocates, binds a channel to each echoing peer, then sends packets one
 * after the other, each of which has to come back reversed from the peer it went to.
 *
 *   libre_client SERVER:PORT USER PASSWORD CLIENTS PACKETS PEER:PORT...
 */
/* What libre was built with; its headers need to be told, and its .pc file does not. */
#define HAVE_INTTYPES_H 1
#define HAVE_STDBOOL_H  1
#define HAVE_INET6      1
#include <re.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * libre puts the channel header in front of the payload, in the same buffer. Exactly this much room: what turnc_send sends goes
 * through libre's own helper on the socket once more, which wraps it a second time if there is room for that.
 */
#define HEADROOM 4

#define MAX_PEERS    8
#define LARGEST      1400u
#define PATIENCE_MS  20000
#define LIFETIME_S   600
#define TURN_LAYER   0
#define EXIT_TIMEOUT 3

struct peer {
  struct client *client;
  struct sa addr;
};

struct client {
  unsigned index;
  struct udp_sock *sock;
  struct turnc *turnc;
  struct peer peers[MAX_PEERS];
  unsigned bound;
  unsigned sent;
  uint32_t random;
  uint8_t payload[LARGEST];
  size_t payload_len;
};

static struct {
  struct sa server;
  const char *user, *password;
  unsigned clients, packets, peers;
  struct sa peer_addrs[MAX_PEERS];
  unsigned finished;
  int status;
} run;

static void fail(const struct client *c, const char *what, int error, unsigned code)
{
  (void)fprintf(stderr, "client %u: %s: error %d (%s), code %u\n", c->index, what, error, strerror(error),
                code);
  run.status = EXIT_FAILURE;
  re_cancel();
}

static uint32_t next_random(struct client *c)
{
  c->random = c->random * 1664525u + 1013904223u;
  return c->random >> 8;
}

static void send_next(struct client *c)
{
  struct peer *peer = &c->peers[c->sent % run.peers];
  struct mbuf *mb = mbuf_alloc(HEADROOM + LARGEST);
  if (!mb) {
    fail(c, "memory", ENOMEM, 0);
    return;
  }
  c->payload_len = 1 + next_random(c) % LARGEST;
  for (size_t i = 0; i < c->payload_len; i++)
    c->payload[i] = (uint8_t)next_random(c);
  mb->pos = mb->end = HEADROOM;
  int error = mbuf_write_mem(mb, c->payload, c->payload_len);
  mb->pos = HEADROOM;
  if (!error)
    error = turnc_send(c->turnc, &peer->addr, mb);
  mem_deref(mb);
  if (error)
    fail(c, "send", error, 0);
}

/* Whether |mb| is what was sent, reversed. */
static bool is_echo(const struct client *c, const struct mbuf *mb)
{
  if (mbuf_get_left(mb) != c->payload_len)
    return false;
  const uint8_t *got = mbuf_buf(mb);
  for (size_t i = 0; i < c->payload_len; i++)
    if (got[i] != c->payload[c->payload_len - 1 - i])
      return false;
  return true;
}

/* What the relay brought: libre's helper has taken off the channel header and put in the peer's address. */
static void on_data(const struct sa *source, struct mbuf *mb, void *arg)
{
  struct client *c = arg;
  if (c->bound < run.peers || !sa_cmp(source, &c->peers[c->sent % run.peers].addr, SA_ALL) ||
      !is_echo(c, mb)) {
    (void)fprintf(stderr, "client %u: packet %u: wrong bytes or wrong source\n", c->index, c->sent);
    run.status = EXIT_FAILURE;
    re_cancel();
    return;
  }
  if (++c->sent < run.packets)
    send_next(c);
  else if (++run.finished == run.clients)
    re_cancel();
}

static void on_channel(void *arg)
{
  struct peer *peer = arg;
  struct client *c = peer->client;
  if (++c->bound == run.peers)
    send_next(c);
}

static void on_turn(int error, uint16_t code, const char *reason, const struct sa *relayed,
                    const struct sa *mapped, const struct stun_msg *msg, void *arg)
{
  struct client *c = arg;
  struct sa local;
  (void)reason;
  (void)msg;
  if (error || code) {
    fail(c, "allocate", error, code);
    return;
  }
  error = udp_local_get(c->sock, &local);
  if (error || !mapped || !sa_cmp(mapped, &local, SA_ALL) || !relayed || !sa_port(relayed)) {
    fail(c, "mapped or relayed address", error, 0);
    return;
  }
  for (unsigned i = 0; i < run.peers && !error; i++) {
    c->peers[i] = (struct peer){c, run.peer_addrs[i]};
    error = turnc_add_chan(c->turnc, &c->peers[i].addr, on_channel, &c->peers[i]);
  }
  if (error)
    fail(c, "channel", error, 0);
}

static int start(struct client *c, unsigned index)
{
  struct sa local;
  c->index = index;
  c->random = index + 1;
  int error = sa_set_str(&local, sa_af(&run.server) == AF_INET6 ? "::1" : "127.0.0.1", 0);
  if (!error)
    error = udp_listen(&c->sock, &local, on_data, c);
  if (!error)
    error = turnc_alloc(&c->turnc, NULL, IPPROTO_UDP, c->sock, TURN_LAYER, &run.server, run.user,
                        run.password, LIFETIME_S, on_turn, c);
  if (error)
    fail(c, "start", error, 0);
  return error;
}

static void on_timeout(void *arg)
{
  (void)arg;
  (void)fprintf(stderr, "timeout: %u of %u clients are through\n", run.finished, run.clients);
  run.status = EXIT_TIMEOUT;
  re_cancel();
}

static unsigned read_count(const char *text)
{
  const unsigned long value = strtoul(text, NULL, 10);
  return value > 0 && value <= 1000000 ? (unsigned)value : 0;
}

static int read_arguments(int argc, char **argv)
{
  if (argc < 7 || argc > 6 + MAX_PEERS || sa_decode(&run.server, argv[1], strlen(argv[1])))
    return -1;
  run.user = argv[2];
  run.password = argv[3];
  run.clients = read_count(argv[4]);
  run.packets = read_count(argv[5]);
  run.peers = (unsigned)(argc - 6);
  for (unsigned i = 0; i < run.peers; i++)
    if (sa_decode(&run.peer_addrs[i], argv[6 + i], strlen(argv[6 + i])))
      return -1;
  return run.clients && run.packets ? 0 : -1;
}

int main(int argc, char **argv)
{
  struct tmr timeout = {0};
  if (read_arguments(argc, argv)) {
    (void)fprintf(stderr, "usage: libre_client SERVER:PORT USER PASSWORD CLIENTS PACKETS PEER:PORT...\n");
    return 2;
  }
  struct client *clients = calloc(run.clients, sizeof *clients);
  if (!clients || libre_init())
    return EXIT_FAILURE;
  tmr_init(&timeout);
  tmr_start(&timeout, PATIENCE_MS, on_timeout, NULL);
  int error = 0;
  for (unsigned i = 0; i < run.clients && !error; i++)
    error = start(&clients[i], i);
  if (!error)
    error = re_main(NULL);
  tmr_cancel(&timeout);
  for (unsigned i = 0; i < run.clients; i++) {
    mem_deref(clients[i].turnc);
    mem_deref(clients[i].sock);
  }
  free(clients);
  libre_close();
  printf("%u of %u clients, %u packets each\n", run.finished, run.clients, run.packets);
  return error ? EXIT_FAILURE : run.status;
}
