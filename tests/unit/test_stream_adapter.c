/* SPDX-License-Identifier: Apache-2.0 */
/* The example of an adapter for streams: what two_adapters.c, which has well-behaved clients, does not meet. */
#include "relay.h"

#include "../../examples/stream_adapter.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static fzt_relay relay;
static fzr_driver *driver;
static stream_adapter *streams;

static void set_up(void)
{
  int error;
  fzr_config config = fzt_config(&relay);
  fzt_relay_init(&relay, &config);
  ck_assert_int_eq(fzr_driver_new(relay.engine, NULL, &driver), 0);
  fzr_addr listen = fzt_addr("192.0.2.1:443");
  listen.transport = FZR_TRANSPORT_TLS;
  streams = stream_adapter_new(driver, &listen, &error);
  ck_assert_ptr_nonnull(streams);
}

static void tear_down(void)
{
  stream_adapter_free(streams, relay.now);
  fzr_driver_free(driver);
  fzt_relay_free(&relay);
}

/* Has the adapter do what is to do on its connections, which are ready to be read. Returns how many those are. */
static size_t serve(void)
{
  struct pollfd fds[4];
  const size_t n = stream_adapter_poll_fds(streams, fds, 4);
  for (size_t i = 0; i < n; i++)
    fds[i].revents = POLLIN;
  stream_adapter_on_ready(streams, fds, n, relay.now);
  return n;
}

/* It asks and leaves before the answer: nobody reads that, and the relay lives on. */
START_TEST(test_client_that_does_not_wait)
{
  static const uint8_t txid[FZR_STUN_TXID_LEN] = {1, 2, 3};
  const fzr_addr from = fzt_addr("198.51.100.1:4000");
  uint8_t request[64];
  fzr_stun_builder b;
  int ends[2];
  signal(SIGPIPE, SIG_DFL);
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  ck_assert_int_eq(stream_adapter_add(streams, ends[1], &from), 0);
  fzr_stun_build(&b, request, sizeof request, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  ck_assert_int_eq(write(ends[0], request, (size_t)len), len);
  close(ends[0]);
  fzr_stats before, after;
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &before), 0);
  ck_assert_uint_eq(serve(), 1);
  ck_assert_int_eq(fzr_engine_stats(relay.engine, &after), 0);
  ck_assert_uint_eq(after.responses[FZR_STAT_BINDING][0], before.responses[FZR_STAT_BINDING][0] + 1);
  ck_assert_uint_eq(serve(), 1); /* reads the end of it */
  ck_assert_uint_eq(serve(), 0);
}
END_TEST

/* What is relayed is UDP: the port of a stream's listener leads a client nowhere here, and elsewhere it is a peer's like any. */
START_TEST(test_its_port_may_be_a_peers)
{
  fzt_client_state client;
  const fzr_addr own = fzt_addr("203.0.113.1:443"), peer = fzt_addr("203.0.113.8:443");
  fzt_client_init(&client, "198.51.100.1:4000");
  ck_assert_int_eq(fzt_allocate(&relay, &client), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4000, &peer), 0);
  ck_assert_int_eq(fzt_bind(&relay, &client, 0x4001, &own), 403);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("stream_adapter");
  TCase *tc = tcase_create("stream_adapter");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_client_that_does_not_wait);
  tcase_add_test(tc, test_its_port_may_be_a_peers);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
