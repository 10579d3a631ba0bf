/* SPDX-License-Identifier: Apache-2.0 */
/* The table of connections: what is not seen from outside, or hardly. */
#include "stream/streams.h"

#include "common/clock.h"
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

static void on_settled(void *ctx)
{
  (void)ctx;
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
  streams_take(s, STREAM_TCP, fds[0], &from, &to);
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

/* A client's port that comes again has left the connection that it had. */
START_TEST(test_again)
{
  const int former = connect_to("198.51.100.1:1000", "192.0.2.1:3478");
  const int neighbour = connect_to("198.51.100.1:1000", "192.0.2.2:3478");
  ck_assert(is_open(former) && is_open(neighbour));
  streams_pause(s->lists[STREAM_BY_TIME].first); /* so that nobody sees what becomes of it */
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

int main(void)
{
  Suite *suite = suite_create("streams");
  TCase *tc = tcase_create("streams");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_again);
  tcase_add_test(tc, test_crowd);
  tcase_add_test(tc, test_unread);
  tcase_add_test(tc, test_unread_for_long);
  tcase_add_test(tc, test_age);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
