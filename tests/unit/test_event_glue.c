/* SPDX-License-Identifier: Apache-2.0 */
/* A UDP adapter in a libevent loop: what the loop refuses it is asked again. */
#include "relay.h"
#include "testing.h"

#include "event_glue.h"

#include "common/clock.h"
#include "firezone_relay/socket.h"
#include "gather.h"
#include "stream/streams.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int __real_event_add(struct event *ev, const struct timeval *timeout);
int __wrap_event_add(struct event *ev, const struct timeval *timeout);

static unsigned refused, refusals;

/* Refuses to watch; timers are none of that. */
int __wrap_event_add(struct event *ev, const struct timeval *timeout)
{
  if (timeout || refused >= refusals)
    return __real_event_add(ev, timeout);
  refused++;
  errno = ENOSPC;
  return -1;
}

static unsigned turns, sleeps; /* calls of these */

int __real_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

/* Of the glue alone: libevent is a library of its own. */
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
  turns++;
  return __real_epoll_wait(epoll, events, max, timeout);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
  (void)left;
  ck_assert_int_eq(time->tv_sec, 0);
  sleeps++;
  return 0;
}

static fzt_relay relay;
static fzr_udp *udp;
static struct event_base *base;
static event_glue *glue;
static int client;

static void start(void)
{
  fzr_udp_config config = fzr_udp_config_init();
  fzr_config engine = fzt_config(&relay);
  fzr_sockaddr to;
  fzr_addr server = fzt_addr("127.0.0.1");
  refused = refusals = turns = sleeps = 0;
  base = event_base_new();
  ck_assert_int_eq(event_base_priority_init(base, STREAM_PRIORITIES), 0);
  glue = event_glue_new(base);
  ck_assert_ptr_nonnull(glue);
  config.bind_ip4 = fzt_addr("127.0.0.1");
  event_glue_configure(glue, &config);
  ck_assert_int_eq(fzr_udp_new(&config, &udp, NULL), 0);
  fzt_relay_init(&relay, &engine);
  ck_assert_int_eq(fzr_udp_attach(udp, relay.engine), 0);
  ck_assert_int_eq(event_glue_start(glue, udp), 0);
  server.port = fzr_udp_listen_port(udp);
  const socklen_t len = fzr_addr_to_sockaddr(&server, &to);
  client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  ck_assert_int_eq(connect(client, &to.any, len), 0);
}

static void stop(void)
{
  event_glue_stop(glue);
  fzr_udp_free(udp);
  event_glue_free(glue);
  event_base_free(base);
  fzt_relay_free(&relay);
  close(client);
}

static void ask(void)
{
  static const uint8_t request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1};
  ck_assert_int_eq(send(client, request, sizeof request, 0), sizeof request);
}

static bool answered(void)
{
  uint8_t answer[256];
  return recv(client, answer, sizeof answer, 0) > 0;
}

START_TEST(test_what_can_not_be_watched_is_tried_again)
{
  start();
  event_glue_stop(glue);
  ask();
  event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert(!answered());
  refusals = (unsigned)_i;
  ck_assert_int_eq(event_glue_restart(glue), _i ? -1 : 0);
  while (!answered()) /* the test's own time limit ends it */
    event_base_loop(base, EVLOOP_ONCE);
  ck_assert_uint_eq(refused, (unsigned)_i);
  ask();
  while (!answered())
    event_base_loop(base, EVLOOP_ONCE);
  stop();
}
END_TEST

/* Somebody else pauses it before it could be watched: nothing is read then. */
START_TEST(test_stopped_while_it_is_tried)
{
  start();
  event_glue_stop(glue);
  refusals = 1;
  ck_assert_int_eq(event_glue_restart(glue), -1);
  event_glue_stop(glue);
  ask();
  ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 1); /* there is nothing to wait for */
  ck_assert(!answered());
  ck_assert_int_eq(event_glue_restart(glue), 0);
  while (!answered())
    event_base_loop(base, EVLOOP_ONCE);
  stop();
}
END_TEST

START_TEST(test_the_loop_turns_to_who_waits)
{
  atomic_uint waits = 1;
  start();
  event_glue_make_way(glue, &waits);
  ask();
  while (!answered()) /* packets are relayed all the same */
    event_base_loop(base, EVLOOP_ONCE);
  stop();
}
END_TEST

/* Has the loop see to what there is, and returns how often datagrams had their turn. */
static unsigned turns_of_one_loop(void)
{
  ask();
  turns = 0;
  event_base_loop(base, EVLOOP_NONBLOCK);
  ck_assert(answered());
  return turns;
}

START_TEST(test_connections_have_as_many_turns_as_datagrams)
{
  start();
  ck_assert_uint_eq(turns_of_one_loop(), 2); /* the second one has found nothing */
  do
    event_glue_follow(glue, monotonic_now());
  while (turns_of_one_loop() != 1); /* that may be long ago by now; the test's own time limit ends it */
  stop();
}
END_TEST

/* Connections are read, one after the other, some 160,000 a second, and there is nothing more to do after every fourth, or |other| alone. */
static void read_fast(unsigned windows, struct event *other)
{
  const fzr_time every = GATHER_WINDOW / 640;
  fzr_time now = monotonic_now();
  sleeps = 0;
  for (unsigned i = 0; i < windows * 640; i++, now += every) {
    event_glue_follow(glue, now);
    if (other)
      event_active(other, 0, 0);
    if (i % 4 == 0)
      event_base_loop(base, EVLOOP_NONBLOCK);
  }
}

START_TEST(test_sleeps_where_connections_are_read_fast)
{
  start();
  read_fast(8, NULL);
  ck_assert_uint_gt(sleeps, 0);
  event_base_loop(base, EVLOOP_NONBLOCK);
  sleeps = 0;
  event_base_loop(base, EVLOOP_NONBLOCK); /* nothing is read any more */
  ck_assert_uint_eq(sleeps, 0);
  stop();
}
END_TEST

START_TEST(test_no_sleep_while_somebody_waits)
{
  atomic_uint waits = 1;
  start();
  event_glue_make_way(glue, &waits);
  read_fast(8, NULL);
  ck_assert_uint_eq(sleeps, 0);
  stop();
}
END_TEST

static void shake_hands(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  (void)ctx;
}

START_TEST(test_no_sleep_while_there_are_handshakes)
{
  start();
  struct event *spare = event_new(base, -1, 0, shake_hands, NULL);
  ck_assert_int_eq(event_priority_set(spare, STREAM_SLOW_PRIORITY), 0);
  read_fast(8, spare);
  ck_assert_uint_eq(sleeps, 0);
  event_free(spare);
  stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("event-glue");
  TCase *tc = tcase_create("glue");
  tcase_set_timeout(tc, 30);
  tcase_add_loop_test(tc, test_what_can_not_be_watched_is_tried_again, 0, 4);
  tcase_add_test(tc, test_stopped_while_it_is_tried);
  tcase_add_test(tc, test_the_loop_turns_to_who_waits);
  tcase_add_test(tc, test_connections_have_as_many_turns_as_datagrams);
  tcase_add_test(tc, test_sleeps_where_connections_are_read_fast);
  tcase_add_test(tc, test_no_sleep_while_somebody_waits);
  tcase_add_test(tc, test_no_sleep_while_there_are_handshakes);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
