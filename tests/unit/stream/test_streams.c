/* SPDX-License-Identifier: Apache-2.0 */
/* The table of connections, and those whose PROXY header has not come: what is not seen from outside, or hardly. */
#include "stream/streams.h"

#include "../net/certs.h"
#include "common/clock.h"
#include "net/tls_internal.h"
#include "proxy_header.h"
#include "relay.h"
#include "stream/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static fzt_relay relay;
static fzr_driver *driver;
static struct event_base *base;
static stream_prefixes *prefixes;
static streams *s;
static unsigned settled;

/* What the UDP adapter is said to have, and how much more each time. */
static uint64_t udp_queued, udp_growth;

int __wrap_fzr_udp_get_stats_sized(const fzr_udp *udp, fzr_udp_stats *stats, size_t size);

int __wrap_fzr_udp_get_stats_sized(const fzr_udp *udp, fzr_udp_stats *stats, size_t size)
{
  (void)udp;
  memset(stats, 0, size);
  stats->queued_bytes = udp_queued += udp_growth;
  return 0;
}

/* TLS has to tell the client something before it reads, and the socket is full. */
static bool tls_waits;

ssize_t __real_net_tls_read(net_tls *tls, uint8_t *out, size_t cap);
ssize_t __wrap_net_tls_read(net_tls *tls, uint8_t *out, size_t cap);

ssize_t __wrap_net_tls_read(net_tls *tls, uint8_t *out, size_t cap)
{
  return tls_waits ? NET_TLS_WANT_WRITE : __real_net_tls_read(tls, out, cap);
}

static void on_settled(void *ctx, fzr_time now)
{
  (void)ctx;
  (void)now;
  settled++;
}

static streams_config config;

/* Afresh, as |config| has it now. */
static void begin(void)
{
  streams_free(s);
  s = streams_new(&config);
  ck_assert_ptr_nonnull(s);
}

static void set_up(void)
{
  const fzr_config engine = fzt_config(&relay);
  fzt_relay_init(&relay, &engine);
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, &driver), 0);
  base = event_base_new();
  prefixes = stream_prefixes_new(0);
  ck_assert(base && prefixes);
  event_base_priority_init(base, STREAM_PRIORITIES);
  config = (streams_config){.base = base,
                            .driver = driver,
                            .settled = on_settled,
                            .prefixes = prefixes,
                            .queue_bytes = 65536,
                            .idle = 30 * FZR_SECOND,
                            .age = 120 * FZR_SECOND,
                            .unread = 10 * FZR_SECOND,
                            .strangers = 100,
                            .end_fd = 1000};
  s = NULL;
  settled = 0;
  begin();
}

static void tear_down(void)
{
  streams_free(s);
  stream_prefixes_free(prefixes);
  event_base_free(base);
  fzr_driver_free(driver);
  fzt_relay_free(&relay);
}

/* A connection between the two addresses; returns the client's end of it. */
static int connect_to(const char *client, const char *server)
{
  int fds[2];
  fzr_addr from = fzt_addr(client), to = fzt_addr(server);
  from.transport = to.transport = FZR_TRANSPORT_TCP;
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  streams_take(s, STREAM_TCP, fds[0], &from, &to, monotonic_now());
  return fds[1];
}

static bool is_open(int fd)
{
  char byte;
  const ssize_t n = recv(fd, &byte, 1, 0);
  return n < 0 && errno == EAGAIN;
}

static uint64_t ended(enum stream_end why)
{
  stream_stats stats[STREAM_KINDS];
  streams_stats(s, stats);
  return stats[STREAM_TCP].ended[why];
}

static uint64_t queued(void)
{
  stream_stats stats[STREAM_KINDS];
  streams_stats(s, stats);
  return stats[STREAM_TCP].queued_bytes;
}

/* One line a minute, each by itself. */
START_TEST(test_may_tell)
{
  fzr_time told[2] = {0};
  ck_assert(stream_may_tell(&told[0], 5 * FZR_SECOND));
  ck_assert(!stream_may_tell(&told[0], 5 * FZR_SECOND));
  ck_assert(!stream_may_tell(&told[0], 65 * FZR_SECOND - 1));
  ck_assert(stream_may_tell(&told[1], 65 * FZR_SECOND - 1));
  ck_assert(stream_may_tell(&told[0], 65 * FZR_SECOND));
  ck_assert(!stream_may_tell(&told[0], 66 * FZR_SECOND));
}
END_TEST

/* A client's port that comes again has left the connection that it had. */
START_TEST(test_again)
{
  const int former = connect_to("198.51.100.1:1000", "192.0.2.1:3478");
  const int neighbour = connect_to("198.51.100.1:1000", "192.0.2.2:3478");
  ck_assert(is_open(former) && is_open(neighbour));
  streams_pause(s->lists[STREAM_BY_TIME].first, monotonic_now()); /* so that nobody sees what becomes of it */
  const int now = connect_to("198.51.100.1:1000", "192.0.2.1:3478");
  ck_assert(!is_open(former));
  ck_assert(is_open(neighbour) && is_open(now));
  ck_assert_uint_eq(ended(STREAM_END_CLIENT), 1);
  ck_assert_uint_eq(s->count, 2);
  ck_assert_uint_eq(settled, 1);
  close(former);
  close(neighbour);
  close(now);
}
END_TEST

/* Has the client at |addr| make an allocation, on the connection that it has. */
static void allocate(const char *addr)
{
  fzt_client_state client;
  fzt_client_init(&client, addr);
  client.addr.transport = client.server.transport = FZR_TRANSPORT_TCP;
  relay.now = monotonic_now(); /* as the adapter has it */
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
}

/* Turns the loop until a connection has ended for |why|. With a client at |fd|, that asks all the time, and may read the
 * answers. */
static void wait_for_end(enum stream_end why, int fd, bool reads)
{
  static const uint8_t request[FZR_STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  const fzr_time until = monotonic_now() + 10 * FZR_SECOND;
  while (!ended(why)) {
    ck_assert_uint_lt(monotonic_now(), until);
    if (fd >= 0 && send(fd, request, sizeof request, MSG_NOSIGNAL) < 0)
      ck_assert_int_eq(errno, EAGAIN);
    char answers[4096];
    while (reads && recv(fd, answers, sizeof answers, 0) > 0)
      continue;
    event_base_loop(base, fd >= 0 ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
    ck_assert_uint_le(queued(), 8192);
  }
}

/* Three packets of a peer, one behind the other, for the channel 0x4000 of the client at |addr|. */
static void receive_from_peer(const char *addr)
{
  fzt_client_state client;
  fzr_pkt pkts[3];
  const fzr_addr peer = fzt_addr("192.0.2.77:7000");
  fzt_client_init(&client, addr);
  client.addr.transport = client.server.transport = FZR_TRANSPORT_TCP;
  relay.now = monotonic_now();
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  for (unsigned i = 0; i < 3; i++)
    pkts[i] = (fzr_pkt){.from = peer,
                        .to = {.family = peer.family, .port = client.relayed_port},
                        .data = (const uint8_t *)"packet",
                        .len = 4 + i};
  stream_look_at(s->lists[STREAM_BY_TIME].first, relay.now);
  fzr_driver_rx(driver, FZR_SIDE_PEER, pkts, 3, relay.now);
}

/* What a peer has sent goes out at once, before the loop turns, and no memory stays behind. */
START_TEST(test_at_once)
{
  static const uint8_t expected[] = "\x40\x00\x00\x04pack"
                                    "\x40\x00\x00\x05packe\0\0\0"
                                    "\x40\x00\x00\x06packet\0";
  uint8_t got[100];
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  const stream_connection *c = s->lists[STREAM_BY_TIME].first;
  receive_from_peer("198.51.100.1:1000");
  ck_assert_int_eq(recv(fd, got, sizeof got, 0), sizeof expected);
  ck_assert_mem_eq(got, expected, sizeof expected);
  ck_assert(!c->dirty);
  ck_assert_ptr_null(c->queue.data);
  ck_assert_uint_eq(queued(), 0);
  close(fd);
}
END_TEST

/* A connection that turns out to be broken meanwhile does not end within the call of the driver, but in this turn of the loop. */
START_TEST(test_broken_at_once)
{
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  const stream_connection *c = s->lists[STREAM_BY_TIME].first;
  event_del(c->readable); /* nobody has seen yet that it is over */
  close(fd);
  receive_from_peer("198.51.100.1:1000");
  ck_assert(c->broken);
  ck_assert_uint_eq(s->count, 1);
  wait_for_end(STREAM_END_ERROR, -1, false);
  ck_assert_uint_eq(s->count, 0);
  ck_assert_uint_eq(settled, 1);
}
END_TEST

/* Of too many the oldest stranger goes; who has an allocation is none. */
START_TEST(test_crowd)
{
  config.strangers = 3;
  begin();
  const int user = connect_to("198.51.100.1:1000", FZT_LISTEN);
  allocate("198.51.100.1:1000");
  int strangers[5];
  for (unsigned i = 0; i < 5; i++) {
    char addr[32];
    snprintf(addr, sizeof addr, "203.0.113.%u:1000", i);
    strangers[i] = connect_to(addr, FZT_LISTEN);
  }
  ck_assert(is_open(user) && !is_open(strangers[0]) && !is_open(strangers[1]));
  ck_assert(is_open(strangers[2]) && is_open(strangers[3]) && is_open(strangers[4]));
  ck_assert_uint_eq(ended(STREAM_END_CROWD), 2);
  for (unsigned i = 0; i < 5; i++)
    close(strangers[i]);
  close(user);
}
END_TEST

/* The client's end of a connection for TLS. */
static int connect_tls(const char *client)
{
  int fds[2];
  fzr_addr from = fzt_addr(client), to = fzt_addr(FZT_LISTEN);
  from.transport = to.transport = FZR_TRANSPORT_TLS;
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  streams_take(s, STREAM_TLS, fds[0], &from, &to, monotonic_now());
  return fds[1];
}

/* Before anything has come of it, a connection has no state of TLS. */
START_TEST(test_silent)
{
  const int fd = connect_tls("198.51.100.1:1000");
  const stream_connection *c = s->lists[STREAM_BY_TIME].first;
  ck_assert(c && !c->tls && stream_shakes_hands(c));
  event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert(is_open(fd));
  close(fd);
  for (unsigned i = 0; i < 100 && s->count; i++)
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_uint_eq(s->count, 0);
}
END_TEST

static net_tls_identity *make_identity(void)
{
  static const fzt_cert_spec spec = {.common_name = "Relay"};
  static fzt_cert cert;
  char error[NET_TLS_ERROR_MAX];
  fzt_cert_make(&spec, NULL, NULL, &cert);
  net_tls_identity *identity = net_tls_identity_new((const uint8_t *)cert.cert, strlen(cert.cert) + 1,
                                                    (const uint8_t *)cert.key, strlen(cert.key) + 1, error);
  ck_assert_msg(identity != NULL, "%s", error);
  return identity;
}

/* Always has something to do again, in the loop's next turn. */
static void on_busy(evutil_socket_t fd, short what, void *ctx)
{
  struct event *const *busy = ctx;
  const struct timeval at_once = {0};
  (void)fd;
  (void)what;
  event_add(*busy, &at_once);
  event_base_loopbreak(base); /* else the loop goes on for as long as something of lower priority waits */
}

/* In a loop that is never without something else to do, handshakes have their share, and no more. */
START_TEST(test_handshakes_share)
{
  enum { COUNT = 50 };
  static const char no_hello[] = "\x16\x03\x01\x00\x0d" /* a record of 13 bytes */
                                 "\x02\x00\x00\x09" /* with the message of a server */ "GET / HTT";
  const struct timeval at_once = {0};
  int fds[COUNT];
  struct event *busy = event_new(base, -1, 0, on_busy, &busy);
  streams_set_identity(s, make_identity());
  for (unsigned i = 0; i < COUNT; i++) {
    char addr[32];
    snprintf(addr, sizeof addr, "203.0.113.%u:1000", i);
    fds[i] = connect_tls(addr);
    ck_assert_int_eq(send(fds[i], no_hello, 18, 0), 18);
  }
  event_add(busy, &at_once);
  const stream_list *line = &s->lists[STREAM_IN_LINE];
  const fzr_time begin = monotonic_now();
  unsigned turns = 0, rests = 0;
  while (s->count) {
    const uint32_t before = line->count;
    const fzr_time rests_until = s->rests_until;
    event_base_loop(base, EVLOOP_ONCE);
    const fzr_time now = monotonic_now();
    ck_assert_uint_lt(now - begin, 10 * FZR_SECOND);
    rests += now < rests_until;
    if (line->count < before) {
      turns++;
      ck_assert_uint_ge(now, rests_until);
    }
  }
  ck_assert_uint_ge(turns, 2);
  ck_assert_uint_ge(rests, turns);
  event_free(busy);
  for (unsigned i = 0; i < COUNT; i++)
    close(fds[i]);
}
END_TEST

/* Nothing goes out in clear before the handshake, not even if the engine has something for whom that connection would be. */
START_TEST(test_nothing_in_clear)
{
  static const uint8_t request[FZR_STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  fzr_addr from = fzt_addr("198.51.100.1:1000"), to = fzt_addr(FZT_LISTEN);
  from.transport = to.transport = FZR_TRANSPORT_TLS;
  const int fd = connect_tls("198.51.100.1:1000");
  fzr_pkt pkt = {.from = from, .to = to, .data = request, .len = sizeof request};
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, &pkt, 1, monotonic_now());
  event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert(is_open(fd));
  ck_assert_uint_eq(stream_queue_len(&s->lists[STREAM_BY_TIME].first->queue), 0);
  stream_stats stats[STREAM_KINDS];
  streams_stats(s, stats);
  ck_assert_uint_eq(stats[STREAM_TLS].dropped, 1);
  close(fd);
}
END_TEST

/* It does not go on without what it could not read. */
START_TEST(test_no_hole)
{
  const int fd = connect_tls("198.51.100.1:1000");
  stream_connection *c = s->lists[STREAM_BY_TIME].first;
  tls_waits = true;
  c->established = true;
  c->tls = calloc(1, sizeof *c->tls);
  ck_assert_ptr_nonnull(c->tls);
  ck_assert_int_eq(send(fd, "record", 6, 0), 6);
  event_base_loop(base, EVLOOP_NONBLOCK);
  stream_stats stats[STREAM_KINDS];
  streams_stats(s, stats);
  ck_assert_uint_eq(stats[STREAM_TLS].ended[STREAM_END_ERROR], 1);
  tls_waits = false;
  close(fd);
}
END_TEST

/* Whoever asks and does not read the answers. */
START_TEST(test_unread)
{
  const int least = 1;
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  setsockopt(s->lists[STREAM_BY_TIME].first->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  wait_for_end(STREAM_END_UNREAD, fd, false);
  ck_assert_uint_eq(queued(), 0);
  close(fd);
}
END_TEST

/* Or stops asking when the socket is full. */
START_TEST(test_unread_for_long)
{
  const int least = 1;
  config.idle = 6 * FZR_SECOND;
  config.unread = FZR_SECOND / 10;
  begin();
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  const stream_connection *c = s->lists[STREAM_BY_TIME].first;
  setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  static const uint8_t request[FZR_STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  for (unsigned i = 0; i < 1000 && !c->blocked; i++) {
    ck_assert_int_eq(send(fd, request, sizeof request, 0), sizeof request);
    event_base_loop(base, EVLOOP_NONBLOCK);
  }
  ck_assert(c->blocked);
  wait_for_end(STREAM_END_UNREAD, -1, false);
  close(fd);
}
END_TEST

/* What |count| requests give, and |more| bytes that are none, which end it; or the end of what the client has to say. The answers are
 * there, then the end. */
START_TEST(test_last_words)
{
  static const uint8_t request[FZR_STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  static const struct {
    unsigned count, more;
    enum stream_end why;
  } cases[] = {
      {1, 100, STREAM_END_NO_MESSAGE}, {200, 100, STREAM_END_NO_MESSAGE}, {200, 0, STREAM_END_CLIENT}};
  const int least = 1;
  uint8_t out[200 * sizeof request + 100], in[32768];
  size_t len = 0, got = 0;
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  setsockopt(s->lists[STREAM_BY_TIME].first->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  for (unsigned i = 0; i < cases[_i].count; i++, len += sizeof request)
    memcpy(out + len, request, sizeof request);
  memset(out + len, 0xff, cases[_i].more);
  len += cases[_i].more;
  ck_assert_int_eq(send(fd, out, len, 0), (ssize_t)len);
  if (!cases[_i].more)
    shutdown(fd, SHUT_WR);
  const fzr_time begin = monotonic_now();
  bool is_over = false;
  while (!is_over) {
    event_base_loop(base, EVLOOP_NONBLOCK);
    if (!ended(cases[_i].why))
      continue;
    const ssize_t n = recv(fd, in + got, sizeof in - got, 0);
    ck_assert(n >= 0 || errno == EAGAIN);
    is_over = n == 0;
    got += n > 0 ? (size_t)n : 0;
    ck_assert_uint_lt(monotonic_now() - begin, 10 * FZR_SECOND);
  }
  ck_assert_uint_eq(got, cases[_i].count * 32);
  ck_assert_uint_eq(s->count, 0);
  close(fd);
  while (s->lists[STREAM_BY_TIME].count)
    event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert_uint_eq(s->lists[STREAM_STRANGERS].count, 0);
  ck_assert_uint_eq(queued(), 0);
}
END_TEST

/* Who does not take them is not waited for for long. */
START_TEST(test_last_words_unread)
{
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  ck_assert_int_eq(send(fd, "\xff", 1, 0), 1);
  while (!ended(STREAM_END_NO_MESSAGE))
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_uint_eq(s->lists[STREAM_BY_TIME].count, 1);
  ck_assert_uint_eq(s->lists[STREAM_STRANGERS].count, 1);
  const fzr_time begin = monotonic_now();
  while (s->lists[STREAM_BY_TIME].count)
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_uint_ge(monotonic_now() - begin, FZR_SECOND);
  ck_assert_uint_lt(monotonic_now() - begin, 10 * FZR_SECOND);
  close(fd);
}
END_TEST

/* Others keep the queues to peers long: who has added to them is read again all the same. */
START_TEST(test_paused)
{
  static const uint8_t request[FZR_STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  uint8_t answer[64];
  config.udp = (const fzr_udp *)(const void *)&config;
  begin();
  udp_queued = 100000;
  udp_growth = 1000;
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  const stream_connection *c = s->lists[STREAM_BY_TIME].first;
  for (unsigned i = 0; i < 3; i++) {
    ck_assert_int_eq(send(fd, request, sizeof request, 0), sizeof request);
    const fzr_time since = monotonic_now();
    while (recv(fd, answer, sizeof answer, 0) < 0) {
      event_base_loop(base, EVLOOP_ONCE);
      ck_assert_uint_lt(monotonic_now() - since, 5 * FZR_SECOND);
    }
    ck_assert(c->paused);
  }
  /* Or at once when they have become short. */
  udp_queued = 0;
  udp_growth = 0;
  for (unsigned i = 0; i < 100 && c->paused; i++)
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert(!c->paused && !s->paused);
  close(fd);
}
END_TEST

/* However much it says. */
START_TEST(test_age)
{
  config.age = FZR_SECOND / 10;
  begin();
  const int user = connect_to("198.51.100.1:1000", FZT_LISTEN);
  allocate("198.51.100.1:1000");
  const int stranger = connect_to("203.0.113.1:1000", FZT_LISTEN);
  wait_for_end(STREAM_END_AGE, stranger, true);
  ck_assert(is_open(user));
  ck_assert_uint_eq(s->count, 1);
  close(stranger);
  close(user);
}
END_TEST

/* The strangers are in the order of their times, whatever becomes of them. */
static void check_order(void)
{
  fzr_time last = 0;
  for (const stream_connection *c = s->lists[STREAM_STRANGERS].first; c;
       c = c->links[STREAM_STRANGERS].after) {
    ck_assert_uint_ge(c->stranger_since, last);
    last = c->stranger_since;
  }
}

/* Who ends his own connection does not keep those that came after it beyond their time. */
START_TEST(test_age_behind_last_words)
{
  /* Half of it has to do for one turn of the loop, however busy the machine is. */
  config.age = 3 * FZR_SECOND;
  begin();
  const int first = connect_to("198.51.100.1:1000", FZT_LISTEN);
  const int second = connect_to("203.0.113.1:1000", FZT_LISTEN);
  const fzr_time since = monotonic_now();
  while (monotonic_now() - since < config.age / 2)
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_int_eq(send(first, "\xff", 1, 0), 1);
  while (!ended(STREAM_END_NO_MESSAGE)) {
    ck_assert_uint_eq(ended(STREAM_END_AGE), 0);
    event_base_loop(base, EVLOOP_ONCE);
  }
  ck_assert_uint_eq(s->lists[STREAM_STRANGERS].count, 2); /* it has its last words to say */
  check_order();
  wait_for_end(STREAM_END_AGE, -1, false);
  check_order();
  close(first);
  close(second);
}
END_TEST

/* Whose time is over still gets what waits for him. */
START_TEST(test_last_words_of_age)
{
  static const uint8_t request[FZR_STUN_HEADER_LEN] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  const int least = 1;
  config.age = FZR_SECOND;
  begin();
  const int fd = connect_to("198.51.100.1:1000", FZT_LISTEN);
  const stream_connection *c = s->lists[STREAM_BY_TIME].first;
  setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  size_t asked = 0, got = 0;
  for (; asked < 200 || !c->blocked; asked++) {
    ck_assert_uint_lt(asked, 1000);
    ck_assert_int_eq(send(fd, request, sizeof request, 0), sizeof request);
    event_base_loop(base, EVLOOP_NONBLOCK);
  }
  wait_for_end(STREAM_END_AGE, -1, false);
  ck_assert_uint_eq(s->lists[STREAM_BY_TIME].count, 1);
  char answers[4096];
  while (s->lists[STREAM_BY_TIME].count) {
    const ssize_t n = recv(fd, answers, sizeof answers, 0);
    got += n > 0 ? (size_t)n : 0;
    event_base_loop(base, EVLOOP_NONBLOCK);
  }
  for (ssize_t n; (n = recv(fd, answers, sizeof answers, 0)) > 0;)
    got += (size_t)n;
  ck_assert_uint_eq(got, asked * 32);
  close(fd);
}
END_TEST

/* ---- behind a load balancer ---- */

#define BALANCER "10.0.0.1:700"
#define OWN      "192.0.2.1:3478"

static fzt_proxy_header header;

/* The balancer's end of a connection whose header is to come. */
static int await(void)
{
  int fds[2];
  fzr_addr from = fzt_addr(BALANCER), to = fzt_addr(OWN);
  from.transport = to.transport = FZR_TRANSPORT_TCP;
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  stream_await(s, STREAM_TCP, fds[0], &from, &to);
  return fds[1];
}

static void put(int fd, const void *data, size_t len)
{
  ck_assert_int_eq(send(fd, data, len, 0), (ssize_t)len);
  event_base_loop(base, EVLOOP_NONBLOCK);
}

static void make_header(const char *client, const char *server)
{
  const fzr_addr from = fzt_addr(client), to = fzt_addr(server);
  fzt_proxy_tcp(&header, &from, &to);
}

/* The only connection is between the two. */
static void check_connection(const char *client, const char *server)
{
  fzr_addr from = fzt_addr(client), to = fzt_addr(server);
  from.transport = to.transport = FZR_TRANSPORT_TCP;
  ck_assert_uint_eq(s->count, 1);
  ck_assert_ptr_null(s->arrivals);
  ck_assert(fzr_addr_equal(&s->lists[STREAM_BY_TIME].first->client, &from));
  ck_assert(fzr_addr_equal(&s->lists[STREAM_BY_TIME].first->server, &to));
}

/* Cut at every place, with a message behind it that is none of its bytes. */
START_TEST(test_header_in_pieces)
{
  static const uint8_t junk[4] = {0xff};
  make_header("198.51.100.1:1000", "203.0.113.1:443");
  fzt_proxy_tlv(&header, 4, "padding", 7);
  for (size_t at = 1; at <= header.len; at++) {
    const int fd = await();
    put(fd, header.data, at);
    if (at < header.len) {
      ck_assert(is_open(fd) && s->arrivals && s->count == 0);
      put(fd, header.data + at, header.len - at);
    }
    check_connection("198.51.100.1:1000", "203.0.113.1:443");
    ck_assert(is_open(fd));
    put(fd, junk, sizeof junk); /* it is read as a message, and is none */
    event_base_loop(base, EVLOOP_NONBLOCK);
    ck_assert(!is_open(fd) && s->count == 0);
    close(fd);
  }
  ck_assert_uint_eq(ended(STREAM_END_NO_MESSAGE), header.len);
}
END_TEST

START_TEST(test_own_addresses)
{
  const int fd = await();
  fzt_proxy_begin(&header, 0, 0);
  put(fd, header.data, header.len);
  check_connection(BALANCER, OWN);
  close(fd);
}
END_TEST

/* What is no header ends it, and so does a balancer that only looks whether the port is open. */
START_TEST(test_no_header)
{
  int fd = await();
  put(fd, "PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\n", 33);
  ck_assert(!is_open(fd) && !s->arrivals);
  close(fd);
  ck_assert_uint_eq(ended(STREAM_END_PROXY), 1);
  ck_assert_uint_ne(s->told_proxy, 0);
  s->told_proxy = 0;
  fd = await();
  close(fd);
  event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert_ptr_null(s->arrivals);
  ck_assert_uint_eq(ended(STREAM_END_CLIENT), 1);
  ck_assert_uint_eq(s->told_proxy, 0);
  ck_assert_uint_eq(s->count, 0);
}
END_TEST

/* Those that wait in any order; streams_free closes the last. */
START_TEST(test_several)
{
  int fds[4];
  for (unsigned i = 0; i < 4; i++)
    fds[i] = await();
  s->config.end_fd = 0;
  const int late = await();
  ck_assert(!is_open(late));
  ck_assert_uint_eq(ended(STREAM_END_DESCRIPTORS), 1);
  s->config.end_fd = 1000;
  make_header("198.51.100.1:1000", "203.0.113.1:443");
  static const unsigned order[] = {1, 3, 0};
  for (unsigned i = 0; i < 3; i++) {
    header.data[25]++; /* another port */
    put(fds[order[i]], header.data, header.len);
    ck_assert_uint_eq(s->count, i + 1);
  }
  ck_assert_ptr_nonnull(s->arrivals);
  for (unsigned i = 0; i < 4; i++)
    ck_assert(is_open(fds[i]));
  streams_free(s);
  s = NULL;
  for (unsigned i = 0; i < 4; i++) {
    ck_assert(!is_open(fds[i]));
    close(fds[i]);
  }
  close(late);
}
END_TEST

/* Who waits for his header is no less a stranger: there may be as many, and the oldest goes. */
START_TEST(test_crowd_of_arrivals)
{
  config.strangers = 4;
  begin();
  int fds[7];
  for (unsigned i = 0; i < 5; i++)
    fds[i] = await();
  ck_assert_uint_eq(ended(STREAM_END_CROWD), 1);
  ck_assert(!is_open(fds[0]));
  make_header("198.51.100.1:1000", "203.0.113.1:443");
  put(fds[1], header.data, header.len); /* the oldest has come */
  fds[5] = await();
  ck_assert_uint_eq(ended(STREAM_END_CROWD), 1);
  fds[6] = await();
  ck_assert_uint_eq(ended(STREAM_END_CROWD), 2);
  ck_assert_uint_eq(s->arrival_count, 4);
  ck_assert(!is_open(fds[2]));
  ck_assert(is_open(fds[1]) && is_open(fds[3]) && is_open(fds[4]) && is_open(fds[5]) && is_open(fds[6]));
  for (unsigned i = 0; i < 7; i++)
    close(fds[i]);
  while (s->arrivals)
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_ptr_null(s->oldest_arrival);
  ck_assert_uint_eq(s->arrival_count, 0);
}
END_TEST

/* The same client's address once more: as if it came without a balancer. */
START_TEST(test_same_client_twice)
{
  make_header("198.51.100.1:1000", "203.0.113.1:443");
  const int former = await();
  put(former, header.data, header.len);
  const int now = await();
  put(now, header.data, header.len);
  ck_assert(!is_open(former) && is_open(now));
  check_connection("198.51.100.1:1000", "203.0.113.1:443");
  header.data[20] = 192; /* to another address of the balancer's: another 5-tuple */
  const int other = await();
  put(other, header.data, header.len);
  ck_assert(is_open(now) && is_open(other));
  ck_assert_uint_eq(s->count, 2);
  close(former);
  close(now);
  close(other);
}
END_TEST

/* Bytes that trickle in do not prolong it; and what has passed is taken off the handshake's time. */
START_TEST(test_late_header)
{
  config.idle = 100 * FZR_MILLISECOND;
  begin();
  make_header("198.51.100.1:1000", "203.0.113.1:443");
  const int in_time = await(), silent = await(), slow = await();
  const fzr_time begin = monotonic_now();
  put(in_time, header.data, header.len);
  ck_assert_uint_le(s->lists[STREAM_BY_TIME].first->heard, begin);
  size_t sent = 0;
  while (s->arrivals) {
    if (sent < header.len - 1 && send(slow, header.data + sent, 1, MSG_NOSIGNAL) == 1)
      sent++;
    event_base_loop(base, EVLOOP_ONCE);
  }
  ck_assert_uint_ge(monotonic_now() - begin, 90 * FZR_MILLISECOND);
  ck_assert_uint_eq(ended(STREAM_END_PROXY_TIME), 2);
  ck_assert(!is_open(silent) && !is_open(slow));
  close(in_time);
  close(silent);
  close(slow);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("streams");
  TCase *tc = tcase_create("streams");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_may_tell);
  tcase_add_test(tc, test_again);
  tcase_add_test(tc, test_at_once);
  tcase_add_test(tc, test_broken_at_once);
  tcase_add_test(tc, test_crowd);
  tcase_add_test(tc, test_silent);
  tcase_add_test(tc, test_handshakes_share);
  tcase_add_test(tc, test_nothing_in_clear);
  tcase_add_test(tc, test_no_hole);
  tcase_add_test(tc, test_unread);
  tcase_add_test(tc, test_unread_for_long);
  tcase_add_loop_test(tc, test_last_words, 0, 3);
  tcase_add_test(tc, test_last_words_unread);
  tcase_add_test(tc, test_paused);
  tcase_add_test(tc, test_age);
  tcase_add_test(tc, test_age_behind_last_words);
  tcase_add_test(tc, test_last_words_of_age);
  tcase_add_test(tc, test_header_in_pieces);
  tcase_add_test(tc, test_own_addresses);
  tcase_add_test(tc, test_no_header);
  tcase_add_test(tc, test_several);
  tcase_add_test(tc, test_crowd_of_arrivals);
  tcase_add_test(tc, test_same_client_twice);
  tcase_add_test(tc, test_late_header);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
