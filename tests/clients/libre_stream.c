/* SPDX-License-Identifier: Apache-2.0 */
/* Two clients of libre's TURN in one process that reach each other through a relay, to which both come by TCP or TLS: each message comes
 * back. The last line of the output is JSON.
 *
 * Arguments: the relay's address and port; its name and a file with the authority of its certificate for TLS, or "-" "-" for TCP; username
 * and password of the one client, and of the other; and how many messages have to come back. */
/* What libre was built with; its headers need to be told, and its .pc file does not. */
#define HAVE_INTTYPES_H 1
#define HAVE_STDBOOL_H  1
#define HAVE_INET6      1
#include <re.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LARGEST = 1400,
  HEADROOM = 4,
  PATIENCE_MS = 30000,
  LIFETIME_S = 600,
  STUN_HEADER = 20,
  CHANNEL_HEADER = 4
};

struct end {
  const char *name, *user, *password;
  struct end *other;
  struct tcp_conn *tcp;
  struct tls_conn *secure;
  struct turnc *turnc;
  struct mbuf *unread; /* what has come and is no whole message yet */
  struct sa relayed;
};

static struct {
  struct sa server;
  const char *host, *ca; /* of TLS; "-": TCP */
  struct tls *tls;
  struct end left, right;
  unsigned allocated, bound;
  uint32_t wanted, sent, back;
  uint64_t bytes;
  int status;
} run;

static void fail(const char *who, const char *what, int error, unsigned code)
{
  (void)fprintf(stderr, "%s: %s: error %d (%s), code %u\n", who, what, error, strerror(error), code);
  run.status = EXIT_FAILURE;
  re_cancel();
}

/* Of every length, so that padding of each kind is met. */
static size_t length_of(uint32_t number)
{
  return 1 + number * 37u % LARGEST;
}

static void fill(uint8_t *out, uint32_t number)
{
  for (size_t i = 0; i < length_of(number); i++)
    out[i] = (uint8_t)(number + i);
}

static void send_to_other(struct end *from, const uint8_t *data, size_t len)
{
  /* libre puts the channel's header in front of the payload, and padding behind it. */
  struct mbuf *mb = mbuf_alloc(HEADROOM + LARGEST + 3);
  int error = mb ? 0 : ENOMEM;
  if (mb) {
    mb->pos = mb->end = HEADROOM;
    error = mbuf_write_mem(mb, data, len);
    mb->pos = HEADROOM;
  }
  if (!error)
    error = turnc_send(from->turnc, &from->other->relayed, mb);
  mem_deref(mb);
  if (error)
    fail(from->name, "send", error, 0);
}

static void send_next(void)
{
  uint8_t data[LARGEST];
  fill(data, run.sent);
  send_to_other(&run.left, data, length_of(run.sent++));
}

static void on_payload(struct end *end, const struct sa *source, const struct mbuf *mb)
{
  uint8_t expected[LARGEST];
  if (!sa_cmp(source, &end->other->relayed, SA_ALL)) {
    fail(end->name, "wrong source", 0, 0);
    return;
  }
  if (end == &run.right) {
    send_to_other(end, mbuf_buf(mb), mbuf_get_left(mb));
    return;
  }
  fill(expected, run.back);
  if (mbuf_get_left(mb) != length_of(run.back) || memcmp(mbuf_buf(mb), expected, mbuf_get_left(mb)) != 0) {
    fail(end->name, "wrong bytes", 0, 0);
    return;
  }
  run.bytes += mbuf_get_left(mb);
  if (++run.back < run.wanted)
    send_next();
  else
    re_cancel();
}

static size_t padded(size_t len)
{
  return (len + 3) & ~(size_t)3;
}

/* How long the message is that begins at the position of |mb|, without padding; 0 if that is not known yet. */
static size_t message_len(const struct mbuf *mb)
{
  const uint8_t *at = mbuf_buf(mb);
  if (mbuf_get_left(mb) < CHANNEL_HEADER)
    return 0;
  return (size_t)(at[2] << 8 | at[3]) + (at[0] & 0x40 ? CHANNEL_HEADER : STUN_HEADER);
}

/* RFC 8656 section 12.5: in a stream messages follow each other, each padded to a multiple of four. */
static void on_bytes(struct mbuf *came, void *arg)
{
  struct end *end = arg;
  struct mbuf *mb = end->unread;
  const size_t before = mb->pos;
  mb->pos = mb->end;
  if (mbuf_write_mem(mb, mbuf_buf(came), mbuf_get_left(came))) {
    fail(end->name, "memory", ENOMEM, 0);
    return;
  }
  mb->pos = before;
  for (size_t len; (len = message_len(mb)) > 0 && mbuf_get_left(mb) >= padded(len);) {
    const size_t next = mb->pos + padded(len), last = mb->end;
    struct sa source;
    mb->end = mb->pos + len;
    const int error = turnc_recv(end->turnc, &source, mb);
    if (error) {
      fail(end->name, "receive", error, 0);
      return;
    }
    if (mbuf_get_left(mb) > 0)
      on_payload(end, &source, mb);
    mb->pos = next;
    mb->end = last;
  }
  const size_t left = mbuf_get_left(mb);
  memmove(mb->buf, mbuf_buf(mb), left);
  mb->pos = 0;
  mb->end = left;
}

static void on_channel(void *arg)
{
  (void)arg;
  if (++run.bound == 2)
    send_next();
}

static void on_allocated(int error, uint16_t code, const char *reason, const struct sa *relayed,
                         const struct sa *mapped, const struct stun_msg *msg, void *arg)
{
  struct end *end = arg;
  (void)reason;
  (void)mapped;
  (void)msg;
  if (error || code) {
    fail(end->name, "allocate", error, code);
    return;
  }
  end->relayed = *relayed;
  if (++run.allocated < 2)
    return;
  error = turnc_add_chan(run.left.turnc, &run.right.relayed, on_channel, NULL);
  if (!error)
    error = turnc_add_chan(run.right.turnc, &run.left.relayed, on_channel, NULL);
  if (error)
    fail(end->name, "channel", error, 0);
}

static void on_connected(void *arg)
{
  struct end *end = arg;
  const int error = turnc_alloc(&end->turnc, NULL, IPPROTO_TCP, end->tcp, 0, &run.server, end->user,
                                end->password, LIFETIME_S, on_allocated, end);
  if (error)
    fail(end->name, "allocate", error, 0);
}

static void on_closed(int error, void *arg)
{
  const struct end *end = arg;
  fail(end->name, "the connection has ended", error, 0);
}

static int start(struct end *end, struct end *other, const char *name, char **user)
{
  end->name = name;
  end->other = other;
  end->user = user[0];
  end->password = user[1];
  end->unread = mbuf_alloc(LARGEST);
  int error = end->unread ? 0 : ENOMEM;
  if (!error)
    error = tcp_connect(&end->tcp, &run.server, on_connected, on_bytes, on_closed, end);
  if (!error && run.tls)
    error = tls_start_tcp(&end->secure, run.tls, end->tcp, 0);
  if (!error && run.tls)
    error = tls_set_verify_server(end->secure, run.host);
  return error;
}

static int prepare_tls(void)
{
  if (strcmp(run.host, "-") == 0)
    return 0;
  const int error = tls_alloc(&run.tls, TLS_METHOD_SSLV23, NULL, NULL);
  return error ? error : tls_add_ca(run.tls, run.ca);
}

static void on_timeout(void *arg)
{
  (void)arg;
  fail("both", "timeout", ETIMEDOUT, 0);
}

static void end_of(struct end *end)
{
  mem_deref(end->turnc);
  mem_deref(end->secure);
  mem_deref(end->tcp);
  mem_deref(end->unread);
}

int main(int argc, char **argv)
{
  struct tmr timeout = {0};
  if (argc != 10 || sa_set_str(&run.server, argv[1], (uint16_t)atoi(argv[2]))) {
    (void)fprintf(stderr, "usage: %s ADDRESS PORT NAME|- CA|- USER PASSWORD USER PASSWORD COUNT\n", argv[0]);
    return 2;
  }
  run.host = argv[3];
  run.ca = argv[4];
  run.wanted = (uint32_t)atoi(argv[9]);
  if (libre_init())
    return EXIT_FAILURE;
  tmr_init(&timeout);
  tmr_start(&timeout, PATIENCE_MS, on_timeout, NULL);
  int error = prepare_tls();
  if (!error)
    error = start(&run.left, &run.right, "left", argv + 5);
  if (!error)
    error = start(&run.right, &run.left, "right", argv + 7);
  if (error)
    fail("both", "start", error, 0);
  else
    error = re_main(NULL);
  tmr_cancel(&timeout);
  end_of(&run.left);
  end_of(&run.right);
  mem_deref(run.tls);
  libre_close();
  printf("{\"back\": %u, \"bytes\": %llu}\n", run.back, (unsigned long long)run.bytes);
  return error ? EXIT_FAILURE : run.status;
}
