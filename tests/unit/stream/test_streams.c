/* SPDX-License-Identifier: Apache-2.0 */
/* The table of connections: what is not seen from outside, or hardly. */
#include "stream/streams.h"

#include "relay.h"
#include "stream/internal.h"

#include <errno.h>
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

static void set_up(void)
{
  const fzr_config engine = fzt_config(&relay);
  fzt_relay_init(&relay, &engine);
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, &driver), 0);
  base = event_base_new();
  prefixes = stream_prefixes_new(0);
  ck_assert(base && prefixes);
  event_base_priority_init(base, STREAM_PRIORITIES);
  const streams_config config = {.base = base,
                                 .driver = driver,
                                 .settled = on_settled,
                                 .prefixes = prefixes,
                                 .queue_bytes = 65536,
                                 .idle = 30 * FZR_SECOND,
                                 .end_fd = 1000};
  s = streams_new(&config);
  ck_assert_ptr_nonnull(s);
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

/* A client's port that comes again has left the connection that it had. */
START_TEST(test_again)
{
  const int former = connect_to("198.51.100.1:1000", "192.0.2.1:3478");
  const int neighbour = connect_to("198.51.100.1:1000", "192.0.2.2:3478");
  ck_assert(is_open(former) && is_open(neighbour));
  streams_pause(s->by_time.first); /* so that nobody sees what becomes of it */
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

int main(void)
{
  Suite *suite = suite_create("streams");
  TCase *tc = tcase_create("streams");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_again);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
