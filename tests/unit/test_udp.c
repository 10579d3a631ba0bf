/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP adapter on real loopback sockets: byte for byte, in order, nothing twice, nothing lost; errors, and how it begins. */
#include "io/udp_internal.h"
#include "udp_rig.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const size_t lengths[] = {0,  1,    3,    4,    5, 99, 100, 100,  100,  100,
                                 33, 1200, 1200, 1200, 1, 0,  0,   1472, 9000, 65000};
#define LENGTHS (sizeof lengths / sizeof *lengths)

static void both_ways(void)
{
  static uint8_t buffer[70000];
  for (unsigned i = 0; i < LENGTHS; i++) {
    fzr_channel_data_header(buffer, 0x4000, (uint16_t)lengths[i]);
    rig_payload(i, lengths[i], buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer,
             4 + lengths[i] + (i % 3 && lengths[i] < 60000 ? 3 : 0)); /* padding of any size */
  }
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < LENGTHS; i++)
    rig_expect(rig.peer_fd, i, lengths[i], false);
  for (unsigned i = 0; i < LENGTHS; i++) {
    rig_payload(i, lengths[i], buffer);
    rig_send(rig.peer_fd, &rig.relayed, buffer, lengths[i]);
  }
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < LENGTHS; i++)
    rig_expect(rig.client_fd, i, lengths[i], true);
  rig_expect_nothing(rig.peer_fd);
  rig_expect_nothing(rig.client_fd);
}

START_TEST(test_single_datagrams)
{
  rig_start(_i & 1, _i & 2, _i & 4);
  rig.host.singly = _i & 8;
  both_ways();
  const fzr_udp_stats stats = rig_stats();
  ck_assert_uint_eq(stats.send_errors, 0);
  ck_assert_uint_eq(stats.queue_dropped, 0);
  ck_assert_uint_eq(stats.sockets, 3);
  if (_i & 2)
    ck_assert(!stats.gso && !stats.gro);
  rig_stop();
}
END_TEST

static void runs(uint16_t len, unsigned n, uint16_t tail)
{
  static uint8_t buffer[70000];
  for (unsigned i = 0; i < n; i++) {
    const uint16_t this_len = i + 1 == n ? tail : len;
    fzr_channel_data_header(buffer + i * (len + 4u), 0x4000, this_len);
    rig_payload(i, this_len, buffer + i * (len + 4u) + 4);
  }
  rig_send_run(rig.client_fd, &rig.listen, buffer, (uint16_t)(len + 4), n, (uint16_t)(tail + 4));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < n; i++)
    rig_expect(rig.peer_fd, i, i + 1 == n ? tail : len, false);
  for (unsigned i = 0; i < n; i++)
    rig_payload(i, i + 1 == n ? tail : len, buffer + (size_t)i * len);
  if (tail) {
    rig_send_run(rig.peer_fd, &rig.relayed, buffer, len, n, tail);
  } else { /* GSO has no empty tail */
    rig_send_run(rig.peer_fd, &rig.relayed, buffer, len, n - 1, len);
    rig_send(rig.peer_fd, &rig.relayed, buffer, 0);
  }
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < n; i++)
    rig_expect(rig.client_fd, i, i + 1 == n ? tail : len, true);
  rig_expect_nothing(rig.client_fd);
  rig_expect_nothing(rig.peer_fd);
}

START_TEST(test_runs)
{
  rig_start(_i & 1, _i & 2, _i & 4);
  runs(100, 64, 100);
  runs(1200, 40, 7);
  runs(1200, 50, 1200);
  runs(1, 64, 1);
  runs(1000, 2, 999);
  runs(500, 5, 0); /* an empty one at the end, which is no part of a GSO message */
  /* Peer to client this grows past the largest datagram with its headers, so it has to be split. */
  runs(1279, 51, 1200);
  const fzr_udp_stats stats = rig_stats();
  if (stats.gso)
    ck_assert_uint_lt(stats.send_calls, 60);
  ck_assert_uint_eq(stats.send_errors, 0);
  rig_stop();
}
END_TEST

/* Runs that follow each other are one, as far as a message goes: 4 of 50 and 3 alone, with a short tail in the middle. */
static void several_runs(uint16_t len, uint16_t tail)
{
  static uint8_t buffer[70000];
  static uint16_t want[203];
  unsigned sent = 0;
  for (unsigned up = 0; up < 2; up++, sent = 0) {
    const size_t header = up ? 4 : 0;
    for (unsigned k = 0; k < 4; k++) {
      for (unsigned i = 0; i < 50; i++, sent++) {
        want[sent] = k == 1 && i == 49 ? tail : len;
        if (up)
          fzr_channel_data_header(buffer + i * (len + header), 0x4000, want[sent]);
        rig_payload(sent, want[sent], buffer + i * (len + header) + header);
      }
      rig_send_run(up ? rig.client_fd : rig.peer_fd, up ? &rig.listen : &rig.relayed, buffer,
                   (uint16_t)(len + header), 50, (uint16_t)(want[sent - 1] + header));
    }
    for (unsigned i = 0; i < 3; i++, sent++) {
      want[sent] = len;
      if (up)
        fzr_channel_data_header(buffer, 0x4000, len);
      rig_payload(sent, len, buffer + header);
      rig_send(up ? rig.client_fd : rig.peer_fd, up ? &rig.listen : &rig.relayed, buffer, len + header);
    }
    rig_serve(&rig.host, rig.udp, rig.relay.now);
    for (unsigned i = 0; i < sent; i++)
      rig_expect(up ? rig.peer_fd : rig.client_fd, i, want[i], !up);
  }
  rig_expect_nothing(rig.client_fd);
  rig_expect_nothing(rig.peer_fd);
}

START_TEST(test_runs_are_joined_and_split)
{
  rig_start(_i & 1, _i & 2, false);
  several_runs(100, 33);
  if (rig_stats().gso)
    ck_assert_uint_eq(rig_most_segments, 64);
  several_runs(1200, 1);
  several_runs(1, 1);
  ck_assert_uint_eq(rig_stats().send_errors, 0);
  ck_assert_uint_eq(rig_stats().queue_dropped, 0);
  rig_stop();
}
END_TEST

/* One socket may not keep the others waiting: it is read up to the budget, and then it is their turn. */
START_TEST(test_budget)
{
  enum { BUDGET = 40, SENT = 150, RUN = 50 };
  static uint8_t buffer[RUN * 104];
  rig_budget = BUDGET;
  rig_start(false, false, false);
  rig_budget = 0;
  for (unsigned i = 0; i < SENT; i++) {
    fzr_channel_data_header(buffer, 0x4000, 100);
    rig_payload(i, 100, buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, 104);
  }
  for (unsigned done = 0; done < SENT; done += BUDGET) {
    const uint64_t before = rig_stats().received;
    fzr_udp_on_ready(rig.udp, rig.host.tokens[0], FZR_WATCH_READ, rig.relay.now);
    ck_assert_uint_eq(rig_stats().received - before, SENT - done < BUDGET ? SENT - done : BUDGET);
    /* All that was read has gone out: nothing waits for more. */
    for (unsigned i = done; i < done + BUDGET && i < SENT; i++)
      rig_expect(rig.peer_fd, i, 100, false);
    rig_expect_nothing(rig.peer_fd);
  }
  /* A run counts as many as it is: the batch that has the first one reaches the budget. */
  for (unsigned k = 0; k < 64; k++) {
    for (unsigned i = 0; i < RUN; i++)
      fzr_channel_data_header(buffer + i * 104, 0x4000, 100);
    rig_send_run(rig.client_fd, &rig.listen, buffer, 104, RUN, 104);
  }
  const uint64_t before = rig_stats().received;
  fzr_udp_on_ready(rig.udp, rig.host.tokens[0], FZR_WATCH_READ, rig.relay.now);
  ck_assert_uint_ge(rig_stats().received - before, BUDGET);
  ck_assert_uint_le(rig_stats().received - before, 32 * RUN);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_stop();
}
END_TEST

START_TEST(test_datagrams_of_one_batch_leave_as_one_run)
{
  uint8_t buffer[104];
  rig_start(false, false, false);
  const uint64_t before = rig_stats().send_calls;
  for (unsigned i = 0; i < 20; i++) {
    fzr_channel_data_header(buffer, 0x4000, 100);
    rig_payload(i, 100, buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, sizeof buffer);
  }
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < 20; i++)
    rig_expect(rig.peer_fd, i, 100, false);
  ck_assert_uint_eq(rig_stats().send_calls - before, 1);
  rig_stop();
}
END_TEST

START_TEST(test_partial_sends)
{
  rig_start(false, false, false);
  SCRIPT(1, 2, -EINTR, 1, -EAGAIN);
  rig_send_mixed(0);
  rig_expect_mixed(0);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig_stats().queued_bytes, 0);
  SCRIPT(-EAGAIN, -EAGAIN, 0, -EAGAIN, -EINTR);
  rig_send_mixed(100);
  rig_expect_mixed(100);
  rig_stop();
}
END_TEST

START_TEST(test_gso_refused)
{
  static const int errors[] = {EINVAL, EIO, EOPNOTSUPP, EMSGSIZE};
  rig_start(false, false, false);
  if (errors[_i] == EINVAL || errors[_i] == EIO)
    SCRIPT(-errors[_i]);
  else
    SCRIPT(-errors[_i], -errors[_i]); /* the first one may be another peer's */
  rig_send_mixed(0);
  rig_expect_mixed(0);
  ck_assert_uint_eq(rig_stats().send_errors, 0);
  /* It was this peer's path: GSO is on for all others. */
  ck_assert(rig_stats().gso);
  ck_assert_uint_eq(rig_stats().gso_refused, 1);
  SCRIPT(2, -EAGAIN); /* and blocked in the midst of what is sent singly from now on */
  rig_send_mixed(50);
  rig_expect_mixed(50);
  rig_stop();
}
END_TEST

START_TEST(test_errors_are_counted_and_go_on)
{
  uint8_t buffer[16];
  rig_start(false, false, false);
  SCRIPT(-EPERM);
  fzr_channel_data_header(buffer, 0x4000, 4);
  rig_payload(0, 4, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 8);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_uint_eq(rig_stats().send_errors, 1);
  rig_send_mixed(0);
  rig_expect_mixed(0);
  rig_stop();
}
END_TEST

static void send_one(unsigned i)
{
  uint8_t buffer[64];
  fzr_channel_data_header(buffer, 0x4000, 40);
  rig_payload(i, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
}

/* It goes another way than several do: the same holds for it. */
START_TEST(test_a_datagram_alone)
{
  rig_start(_i & 1, false, _i & 2);
  SCRIPT(-EINTR, -EINTR, 0, -EAGAIN, -EAGAIN, 0, -EPERM);
  send_one(0);
  send_one(1);
  send_one(2);
  send_one(3);
  rig_expect(rig.peer_fd, 0, 40, false);
  rig_expect(rig.peer_fd, 1, 40, false);
  rig_expect(rig.peer_fd, 3, 40, false);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_uint_eq(rig_script_left(), 0);
  ck_assert_uint_eq(rig_stats().send_errors, 1);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  rig_stop();
}
END_TEST

START_TEST(test_what_many_sockets_received_leaves_in_one_call)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  rig_client o = rig_add_client();
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(0, 40, buffer));
  rig_send(o.peer_fd, &o.relayed, buffer, rig_payload(1, 50, buffer));
  const uint64_t calls = rig_stats().send_calls;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().send_calls, calls + 1);
  rig_expect(rig.client_fd, 0, 40, true);
  rig_expect(o.client_fd, 1, 50, true);
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

/* Sends a run of |n| to a client; returns how many system calls it took to relay it. */
static uint64_t relay_run(int from, const fzr_addr *to, unsigned n)
{
  static const uint8_t buffer[64 * 500];
  const uint64_t calls = rig_stats().send_calls;
  rig_send_run(from, to, buffer, 500, n, 500);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  return rig_stats().send_calls - calls;
}

/* 8 runs of 64 datagrams, each of which gets a header, are as much as one call has. */
START_TEST(test_eight_whole_runs_to_a_client_leave_in_one_call)
{
  static const uint8_t buffer[64 * 500];
  rig_start(false, false, false);
  for (unsigned i = 0; i < 8; i++)
    rig_send_run(rig.peer_fd, &rig.relayed, buffer, 500, 64, 500);
  const fzr_udp_stats before = rig_stats();
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().sent - before.sent, 8 * 64);
  ck_assert_uint_eq(rig_stats().send_calls - before.send_calls, 1);
  rig_stop();
}
END_TEST

/* A path that takes no runs is one client's: another one's still leave as runs, and so do the first one's after a while. */
START_TEST(test_gso_refused_to_one_of_two)
{
  rig_start(false, false, false);
  rig_own_host = "127.0.0.2";
  rig_client o = rig_add_client();
  SCRIPT(-EMSGSIZE);
  relay_run(rig.peer_fd, &rig.relayed, 2);
  ck_assert_uint_eq(rig_stats().gso_refused, 1);
  const uint64_t sent = rig_stats().sent;
  ck_assert_uint_eq(relay_run(o.peer_fd, &o.relayed, 64), 1);
  ck_assert_uint_eq(rig_stats().sent, sent + 64);
  ck_assert_uint_gt(relay_run(rig.peer_fd, &rig.relayed, 64), 1); /* 64 messages do not fit one sendmmsg */
  for (unsigned i = 0; i < 10000 / 64; i++)
    relay_run(rig.peer_fd, &rig.relayed, 64);
  ck_assert_uint_eq(relay_run(rig.peer_fd, &rig.relayed, 64), 1);
  ck_assert_uint_eq(rig_stats().gso_refused, 1);
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_deleting_an_allocation_closes_its_socket)
{
  fzr_stun_msg msg;
  rig_start(false, false, false);
  ck_assert_uint_eq(rig_stats().sockets, 3);
  rig.relay.now += 611 * FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().sockets, 2);
  /* A token of a closed socket is harmless. */
  fzr_udp_on_ready(rig.udp, rig.host.tokens[2], FZR_WATCH_READ | FZR_WATCH_WRITE, rig.relay.now);
  ck_assert_int_eq(rig_ask(FZR_STUN_REFRESH, NULL, &msg), 437);
  rig_stop();
}
END_TEST

START_TEST(test_host_that_can_watch_no_more)
{
  fzr_stun_msg msg;
  rig_start(false, false, false);
  rig.relay.now += 611 * FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  rig.host.refuse = true;
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 508);
  ck_assert_uint_eq(rig_stats().sockets, 2);
  rig.host.refuse = false;
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 0);
  ck_assert_uint_eq(rig_stats().sockets, 3);
  rig_stop();
}
END_TEST

static unsigned bound, unbound;

static void on_channel(void *ctx, const fzr_event *event)
{
  ck_assert_ptr_eq(ctx, &bound);
  ck_assert_uint_eq(event->channel, 0x4000);
  bound += event->type == FZR_EVENT_CHANNEL_BOUND;
  unbound += event->type == FZR_EVENT_CHANNEL_UNBOUND;
}

START_TEST(test_channel_hook)
{
  rig_start(false, false, false);
  fzr_udp_set_channel_hook(rig.udp, on_channel, &bound);
  rig_client c = rig_add_client();
  ck_assert_uint_eq(bound, 1);
  ck_assert_uint_eq(unbound, 0);
  rig.relay.now += 611 * FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(unbound, 2); /* of the channel that was there before, too */
  rig_stop();
  close(c.client_fd);
  close(c.peer_fd);
}
END_TEST

/* A caller that was compiled with a longer struct reads zeros where this library knows nothing. */
START_TEST(test_longer_statistics)
{
  struct {
    fzr_udp_stats stats;
    uint64_t more;
  } longer;
  memset(&longer, 0xff, sizeof longer);
  rig_start(false, false, false);
  ck_assert_int_eq(fzr_udp_get_stats_sized(rig.udp, &longer.stats, sizeof longer), 0);
  ck_assert_uint_eq(longer.stats.sockets, 3);
  ck_assert_uint_eq(longer.stats.size, sizeof longer.stats);
  ck_assert_uint_eq(longer.more, 0);
  memset(&longer, 0xff, sizeof longer);
  ck_assert_int_eq(fzr_udp_get_stats(rig.udp, &longer.stats), 0);
  ck_assert_uint_eq(longer.stats.sockets, 3);
  ck_assert_uint_eq(longer.more, UINT64_MAX);
  ck_assert_int_eq(fzr_udp_get_stats_sized(rig.udp, &longer.stats, sizeof(size_t) - 1),
                   FZR_ERR_INVALID_ARGUMENT);
  rig_stop();
}
END_TEST

/* Both families or none: the socket of the first is closed again when the port is taken in the second. */
START_TEST(test_port_taken_in_one_family)
{
  rig_host h = {.count = 0};
  fzr_udp *udp = NULL, *only6, *only4;
  int sys_errno = 0;
  fzr_udp_config c = {.size = sizeof c, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &h};
  c.bind_ip6 = fzt_addr("::1");
  ck_assert_int_eq(fzr_udp_new(&c, &only6, NULL), 0);
  c.listen_port = fzr_udp_listen_port(only6);
  c.bind_ip4 = fzt_addr("127.0.0.1");
  ck_assert_int_eq(fzr_udp_new(&c, &udp, &sys_errno), FZR_ERR_IO_IN_USE);
  ck_assert_int_eq(sys_errno, EADDRINUSE);
  ck_assert_ptr_null(udp);
  memset(&c.bind_ip6, 0, sizeof c.bind_ip6);
  ck_assert_int_eq(fzr_udp_new(&c, &only4, NULL), 0);
  fzr_udp_free(only4);
  fzr_udp_free(only6);
}
END_TEST

/* The port belongs to whoever has it first, also if he would share it. */
START_TEST(test_a_taken_port_is_refused)
{
  rig_host h = {.count = 0};
  fzr_udp *first, *second = NULL, *joined;
  int sys_errno = 0;
  fzr_udp_config c = {
      .size = sizeof c, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &h, .reuse_port = true};
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.bind_ip6 = fzt_addr("::1");
  ck_assert_int_eq(fzr_udp_new(&c, &first, NULL), 0);
  c.listen_port = fzr_udp_listen_port(first);
  ck_assert_int_eq(fzr_udp_new(&c, &second, &sys_errno), FZR_ERR_IO_IN_USE);
  ck_assert_int_eq(sys_errno, EADDRINUSE);
  ck_assert_ptr_null(second);
  c.group = first;
  ck_assert_int_eq(fzr_udp_new(&c, &joined, NULL), 0);
  ck_assert_uint_eq(fzr_udp_listen_port(joined), fzr_udp_listen_port(first));
  c.group = NULL;
  ck_assert_int_eq(fzr_udp_new(&c, &second, NULL), FZR_ERR_IO_IN_USE);
  /* Each is written by a thread of its own. */
  ck_assert_uint_eq((uintptr_t)first % 64, 0);
  ck_assert_uint_eq((uintptr_t)joined % 64, 0);
  fzr_udp_free(joined);
  fzr_udp_free(first);
}
END_TEST

/* ---- beside another adapter ---- */

static void other_forward(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  (void)verdicts;
  (void)now;
  *(size_t *)io += n;
}

static void other_transmit(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  (void)answers;
  (void)now;
  *(size_t *)io += n;
}

static unsigned refused;

static int refuse_ports(void *io, uint16_t port, enum fzr_family family, void **cookie)
{
  ck_assert_ptr_eq(io, rig.udp);
  (void)port;
  (void)family;
  (void)cookie;
  refused++;
  return FZR_ERR_IO_NO_SOCKET;
}

/* An engine, its driver with an adapter for streams, and two for UDP that are not attached yet: the rig's, and *|second|. */
static fzr_driver *shared_driver(rig_host *h, fzr_udp **second, size_t *taken)
{
  static const fzr_io_ops other = {
      .size = sizeof other, .forward = other_forward, .transmit = other_transmit};
  fzr_driver *driver;
  memset(&rig, 0, sizeof rig);
  fzr_config config = fzt_config(&rig.relay);
  config.public_ip4 = fzt_addr("127.0.0.1");
  fzt_relay_init(&rig.relay, &config);
  ck_assert_int_eq(fzr_driver_new(rig.relay.engine, NULL, &driver), 0);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &other, taken), 0);
  fzr_udp_config c = {.size = sizeof c, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &rig.host};
  c.bind_ip4 = rig.listen = fzt_addr("127.0.0.1");
  ck_assert_int_eq(fzr_udp_new(&c, &rig.udp, NULL), 0);
  c.watch_ctx = h;
  ck_assert_int_eq(fzr_udp_new(&c, second, NULL), 0);
  rig.listen.port = fzr_udp_listen_port(rig.udp);
  rig.client_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  ck_assert_int_ge(rig.client_fd, 0);
  return driver;
}

START_TEST(test_shared_driver)
{
  rig_host h = {.count = 0};
  fzr_udp *udp;
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  size_t taken = 0;
  fzr_driver *driver = shared_driver(&h, &udp, &taken);
  ck_assert_int_eq(fzr_udp_attach_to(NULL, driver), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_attach_to(udp, NULL), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_attach_to(udp, driver), 0);
  ck_assert_int_eq(fzr_udp_attach_to(udp, driver), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_attach(udp, rig.relay.engine), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_attach_to(rig.udp, driver), FZR_ERR_INVALID_STATE); /* there is one */
  ck_assert_uint_eq(fzr_udp_deadline(udp), fzr_driver_deadline(driver));
  /* It gives its place to another one, and then functions in front of those come. When it ends it takes away neither. */
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, udp);
  ck_assert_int_eq(fzr_udp_attach_to(rig.udp, driver), 0);
  fzr_io_ops in_front = *fzr_udp_ops();
  in_front.open_port = refuse_ports;
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, rig.udp);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, &in_front, rig.udp), 0);
  fzr_udp_free(udp);
  fzt_client_init(&rig.client, "127.0.0.1:1");
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 401);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(rig.client.nonce, nonce.value, nonce.len);
  rig.client.nonce_len = nonce.len;
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 508);
  ck_assert_uint_gt(refused, 0);
  ck_assert_uint_eq(rig_stats().sockets, 1);
  /* Without them there are ports. */
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, rig.udp);
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_UDP, fzr_udp_ops(), rig.udp), 0);
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 0);
  ck_assert_uint_eq(rig_stats().sockets, 2);
  ck_assert_uint_eq(taken, 0);
  fzr_udp_free(rig.udp);
  fzr_driver_free(driver);
  fzt_relay_free(&rig.relay);
  close(rig.client_fd);
}
END_TEST

/* Nobody takes an adapter off but who says which one it is; in the end it leaves by itself. */
START_TEST(test_freed_adapter_leaves_its_driver)
{
  rig_host h = {.count = 0};
  fzr_udp *udp;
  size_t taken = 0;
  fzr_driver *driver = shared_driver(&h, &udp, &taken);
  ck_assert_int_eq(fzr_udp_attach_to(udp, driver), 0);
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, rig.udp);
  fzr_driver_remove(driver, FZR_TRANSPORT_UDP, NULL);
  ck_assert_int_eq(fzr_udp_attach_to(rig.udp, driver), FZR_ERR_INVALID_STATE);
  fzr_udp_free(udp);
  ck_assert_int_eq(fzr_udp_attach_to(rig.udp, driver), 0);
  fzr_udp_free(rig.udp);
  fzr_driver_free(driver);
  fzt_relay_free(&rig.relay);
  close(rig.client_fd);
}
END_TEST

/* The bytes that another adapter relays are its own as soon as fzr_driver_rx returns: nothing of them waits for a turn of this one. */
START_TEST(test_what_another_adapter_relays_leaves_at_once)
{
  static const fzr_io_ops other = {
      .size = sizeof other, .forward = other_forward, .transmit = other_transmit};
  size_t taken = 0;
  uint8_t bytes[64];
  rig_start(false, _i, false);
  fzr_driver *driver = rig.udp->driver; /* the rig's adapter made it */
  ck_assert_int_eq(fzr_driver_add(driver, FZR_TRANSPORT_TCP, &other, &taken), 0);
  fzr_pkt pkts[3];
  for (unsigned i = 0; i < 3; i++) {
    fzr_channel_data_header(bytes + i * 20, 0x4000, 16);
    rig_payload(i, 16, bytes + i * 20 + 4);
    pkts[i] = (fzr_pkt){.data = bytes + i * 20, .len = 20, .from = rig_client_addr(), .to = rig.listen};
  }
  fzr_driver_rx(driver, FZR_SIDE_CLIENT, pkts, 3, rig.relay.now);
  memset(bytes, 0, sizeof bytes);
  for (unsigned i = 0; i < 3; i++)
    rig_expect(rig.peer_fd, i, 16, false);
  rig_stop();
}
END_TEST

/* One that comes after another finds the ports of that: it may begin when they are over, and has kept nothing until then. */
START_TEST(test_next_adapter_waits_for_the_end)
{
  rig_host h = {.count = 0};
  fzr_udp *next;
  rig_start(false, false, false);
  fzr_udp_config c = {.size = sizeof c, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &h};
  c.bind_ip4 = fzt_addr("127.0.0.1");
  ck_assert_int_eq(fzr_udp_new(&c, &next, NULL), 0);
  fzr_udp_free(rig.udp);
  rig.udp = next;
  ck_assert_int_eq(fzr_udp_attach(next, rig.relay.engine), FZR_ERR_INVALID_STATE);
  ck_assert_int_eq(fzr_udp_attach(next, rig.relay.engine), FZR_ERR_INVALID_STATE);
  fzr_allocation one;
  uint32_t cursor = 0;
  while (fzr_engine_list_allocations(rig.relay.engine, &cursor, &one, 1))
    ck_assert_int_eq(fzr_engine_end_allocation(rig.relay.engine, &one.client, &one.server, rig.relay.now), 0);
  ck_assert_int_eq(fzr_udp_attach(next, rig.relay.engine), 0);
  rig_stop();
}
END_TEST

START_TEST(test_config)
{
  rig_host h = {.count = 0};
  fzr_udp *udp;
  fzr_udp_config c = {.size = sizeof c, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &h};
  c.bind_ip4 = fzt_addr("::1");
  ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), FZR_ERR_CONFIG_ADDRESS);
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.watch = NULL;
  ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_new(NULL, &udp, NULL), FZR_ERR_INVALID_ARGUMENT);
  c.watch = rig_watch;
  c.bind_ip4 = fzt_addr("203.0.113.1"); /* not an address of this host */
  int sys_errno = 0;
  ck_assert_int_eq(fzr_udp_new(&c, &udp, &sys_errno), FZR_ERR_IO);
  ck_assert_int_eq(sys_errno, EADDRNOTAVAIL);
  fzt_mem mem;
  fzt_mem_init(&mem);
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.mem = &mem.hooks;
  int error = FZR_ERR_NO_MEMORY;
  for (uint64_t n = 1; error; n++) {
    mem.count = 0;
    mem.fail_from = n;
    error = fzr_udp_new(&c, &udp, NULL);
    ck_assert(error == 0 || error == FZR_ERR_NO_MEMORY);
    if (error)
      ck_assert_uint_eq(mem.live, 0);
  }
  fzr_udp_free(udp);
  ck_assert_uint_eq(mem.live, 0);
  fzr_udp_free(NULL);
  ck_assert_uint_eq(fzr_udp_listen_port(NULL), 0);
  ck_assert_uint_eq(fzr_udp_deadline(NULL), FZR_TIME_NEVER);
  ck_assert_int_eq(fzr_udp_attach(NULL, NULL), FZR_ERR_INVALID_ARGUMENT);
  fzr_udp_on_ready(NULL, NULL, 0, 0);
  fzr_udp_on_deadline(NULL, 0);
  fzr_udp_set_channel_hook(NULL, NULL, NULL);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp");
  TCase *tc = tcase_create("udp");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, test_single_datagrams, 0, 16);
  tcase_add_loop_test(tc, test_runs, 0, 8);
  tcase_add_loop_test(tc, test_runs_are_joined_and_split, 0, 4);
  tcase_add_test(tc, test_budget);
  tcase_add_test(tc, test_datagrams_of_one_batch_leave_as_one_run);
  tcase_add_test(tc, test_partial_sends);
  tcase_add_loop_test(tc, test_gso_refused, 0, 4);
  tcase_add_test(tc, test_errors_are_counted_and_go_on);
  tcase_add_loop_test(tc, test_a_datagram_alone, 0, 4);
  tcase_add_test(tc, test_what_many_sockets_received_leaves_in_one_call);
  tcase_add_test(tc, test_eight_whole_runs_to_a_client_leave_in_one_call);
  tcase_add_test(tc, test_gso_refused_to_one_of_two);
  tcase_add_test(tc, test_deleting_an_allocation_closes_its_socket);
  tcase_add_test(tc, test_host_that_can_watch_no_more);
  tcase_add_test(tc, test_channel_hook);
  tcase_add_test(tc, test_longer_statistics);
  tcase_add_test(tc, test_port_taken_in_one_family);
  tcase_add_test(tc, test_a_taken_port_is_refused);
  tcase_add_test(tc, test_shared_driver);
  tcase_add_test(tc, test_freed_adapter_leaves_its_driver);
  tcase_add_loop_test(tc, test_what_another_adapter_relays_leaves_at_once, 0, 2);
  tcase_add_test(tc, test_next_adapter_waits_for_the_end);
  tcase_add_test(tc, test_config);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
