/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP adapter when a socket takes no more: what waits, who is not read meanwhile, and what becomes of it. */
#include "udp_rig.h"

#include "io/udp_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(test_blocked_relay_socket_queues_in_order)
{
  rig_start(false, false, false);
  rig_blocked_fd = rig_relay_fd();
  rig_send_mixed(0);
  rig_send_mixed(16);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_uint_eq(rig_stats().queued_packets, 32);
  ck_assert_uint_gt(rig_stats().queued_bytes, 0);
  /* The client still gets answers, and what its peer sends. */
  fzr_stun_msg msg;
  ck_assert_int_eq(rig_ask(FZR_STUN_REFRESH, NULL, &msg), 0);
  uint8_t buffer[16];
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(7, 10, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 7, 10, true);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned from = 0; from < 32; from += 16)
    for (unsigned i = 0; i < 16; i++)
      rig_expect(rig.peer_fd, from + i, rig_mixed[i], false);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig_stats().queue_dropped, 0);
  rig_stop();
}
END_TEST

START_TEST(test_blocked_listen_socket_pauses_its_sources)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  rig_blocked_fd = rig.host.fds[0];
  for (unsigned i = 0; i < 3; i++) {
    rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(i, 40, buffer));
    rig_serve(&rig.host, rig.udp, rig.relay.now);
  }
  /* The first one is queued; the source is not read any more, so the others wait in the kernel. */
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  ck_assert_uint_eq(rig.host.events[2], 0);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig.host.events[2], FZR_WATCH_READ);
  for (unsigned i = 0; i < 3; i++)
    rig_expect(rig.client_fd, i, 40, true);
  rig_stop();
}
END_TEST

START_TEST(test_who_feeds_a_blocked_socket_is_not_read)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  rig_client o = rig_add_client();
  rig_send(o.peer_fd, &o.relayed, buffer, rig_payload(0, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(o.client_fd, 0, 40, true);
  rig_blocked_fd = rig.host.fds[0];
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(1, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  const uint64_t received = rig_stats().received;
  rig_send(o.peer_fd, &o.relayed, buffer, rig_payload(2, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().received, received);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 1, 40, true);
  rig_expect(o.client_fd, 2, 40, true);
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

/* What waits for a blocked socket when a batch of sockets is read pauses who sent it, and not who is read last. */
START_TEST(test_the_other_family_goes_on)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  const fzr_addr listen4 = rig.listen;
  rig.listen = fzt_addr("::1");
  rig.listen.port = listen4.port;
  rig.ipv6 = true;
  rig_client o = rig_add_client();
  rig.ipv6 = false;
  rig.listen = listen4;
  rig_blocked_fd = rig.host.fds[0];
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(0, 40, buffer));
  for (unsigned i = 0; i < 40; i++)
    rig_send(o.peer_fd, &o.relayed, buffer, rig_payload(i, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  for (unsigned i = 0; i < 40; i++)
    rig_expect(o.client_fd, i, 40, true);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 0, 40, true);
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_queue_bound)
{
  static uint8_t buffer[1204];
  unsigned got = 0;
  rig_start(false, false, false);
  rig_blocked_fd = rig_relay_fd();
  for (unsigned i = 0; i < 2000; i++) { /* 2.4 MB against the bound of 1 MiB */
    fzr_channel_data_header(buffer, 0x4000, 1200);
    rig_payload(i, 1200, buffer + 4);
    rig_send(rig.client_fd, &rig.listen, buffer, sizeof buffer);
    if (i % 16 == 15)
      rig_serve(&rig.host, rig.udp, rig.relay.now);
  }
  const fzr_udp_stats full = rig_stats();
  ck_assert_uint_le(full.queued_bytes, 1 << 20);
  ck_assert_uint_eq(full.queued_packets + full.queue_dropped, 2000);
  rig_blocked_fd = -1;
  for (unsigned i = 0; i < full.queued_packets; i++) {
    if (i % 16 == 0)
      rig_serve(&rig.host, rig.udp, rig.relay.now);
    rig_expect(rig.peer_fd, i, 1200, false);
    got++;
  }
  ck_assert_uint_eq(got, full.queued_packets);
  rig_stop();
}
END_TEST

/* Datagrams without a byte take memory, too. */
START_TEST(test_queue_bound_of_empty_datagrams)
{
  uint8_t buffer[4];
  rig_start(false, false, false);
  rig_blocked_fd = rig_relay_fd();
  fzr_channel_data_header(buffer, 0x4000, 0);
  for (unsigned i = 0; i < 20480; i++) {
    rig_send(rig.client_fd, &rig.listen, buffer, sizeof buffer);
    if (i % 256 == 255)
      rig_serve(&rig.host, rig.udp, rig.relay.now);
  }
  const fzr_udp_stats full = rig_stats();
  ck_assert_uint_gt(full.queue_dropped, 0);
  ck_assert_uint_lt(full.queued_packets, (1 << 20) / 64);
  ck_assert_uint_eq(full.queued_packets + full.queue_dropped, 20480);
  rig_stop();
}
END_TEST

/* What waits for a socket that is closed is gone with it, whatever it waited for. */
START_TEST(test_deleting_an_allocation_that_is_blocked)
{
  rig_start(false, false, false);
  rig_blocked_fd = rig_relay_fd();
  rig_send_mixed(0);
  ck_assert_uint_eq(rig_stats().queued_packets, 16);
  rig.relay.now += 611 * FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().sockets, 2);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig_stats().queued_bytes, 0);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect_nothing(rig.peer_fd);
  rig_stop();
}
END_TEST

START_TEST(test_deleting_an_allocation_that_is_paused)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  rig_client o = rig_add_client();
  rig_blocked_fd = rig.host.fds[0];
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(0, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_send(o.peer_fd, &o.relayed, buffer, rig_payload(1, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 2);
  /* Both sources wait now, with something to read. */
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(2, 40, buffer));
  rig_send(o.peer_fd, &o.relayed, buffer, rig_payload(3, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 2);
  rig.relay.now += 611 * FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().sockets, 2);
  /* What was taken over before is too old by now; nobody is read on behalf of those that are gone. */
  ck_assert_uint_eq(rig_stats().send_expired, 2);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect_nothing(rig.client_fd);
  rig_expect_nothing(o.client_fd);
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}
END_TEST

START_TEST(test_errors_while_the_queue_is_flushed)
{
  uint8_t byte[2000];
  unsigned got = 0;
  rig_start(false, _i == 1, false);
  rig_blocked_fd = rig_relay_fd();
  rig_send_mixed(0);
  rig_send_mixed(16);
  ck_assert_uint_eq(rig_stats().queued_packets, 32);
  const fzr_udp_stats before = rig_stats();
  rig_blocked_fd = -1;
  SCRIPT(-ECONNREFUSED, 0, -EINTR, -EPERM, 0, -EIO, -ENETUNREACH, 0, 0, -EAGAIN, -ENOBUFS);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  while (recv(rig.peer_fd, byte, sizeof byte, 0) >= 0)
    got++;
  const fzr_udp_stats after = rig_stats();
  ck_assert_uint_eq(after.queued_packets, 0);
  ck_assert_uint_eq(after.queued_bytes, 0);
  ck_assert_uint_gt(after.send_errors, before.send_errors);
  ck_assert_uint_eq(got + after.send_errors - before.send_errors, 32);
  ck_assert_uint_eq(after.sent - before.sent, got);
  /* Nothing has stopped. */
  rig_send_mixed(0);
  for (unsigned i = 0; i < 16; i++)
    rig_expect(rig.peer_fd, i, rig_mixed[i], false);
  rig_stop();
}
END_TEST

/* ---- a host that fails to change what it watches ---- */

/* It is asked again: what waits goes out, and who was paused is read, when the host is able to again. */
START_TEST(test_a_refused_change_is_asked_for_again)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  const bool refused_first = _i == 0; /* else when the socket has drained */
  rig_blocked_fd = rig.host.fds[0];
  rig.host.refuse_changes = refused_first;
  for (unsigned i = 0; i < 3; i++)
    rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(i, 40, buffer));
  fzr_udp_on_ready(rig.udp, rig.host.tokens[2], FZR_WATCH_READ, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 3);
  ck_assert_uint_eq(rig.host.events[0], refused_first ? FZR_WATCH_READ : FZR_WATCH_READ | FZR_WATCH_WRITE);
  rig.host.refuse_changes = true;
  rig_blocked_fd = -1;
  if (!refused_first)
    fzr_udp_on_ready(rig.udp, rig.host.tokens[0], FZR_WATCH_WRITE, rig.relay.now);
  /* Not at every turn, but soon; and as long as it takes. */
  unsigned before = rig.host.refused;
  fzr_udp_on_ready(rig.udp, rig.host.tokens[1], FZR_WATCH_READ, rig.relay.now);
  ck_assert_uint_eq(rig.host.refused, before);
  for (unsigned i = 0; i < 3; i++) {
    const fzr_time due = fzr_udp_deadline(rig.udp);
    ck_assert(due > rig.relay.now && due <= rig.relay.now + 100 * FZR_MILLISECOND);
    rig.relay.now = due;
    fzr_udp_on_deadline(rig.udp, rig.relay.now);
    ck_assert_uint_gt(rig.host.refused, before);
    before = rig.host.refused;
  }
  rig.host.refuse_changes = false;
  rig.relay.now = fzr_udp_deadline(rig.udp);
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert(fzr_udp_deadline(rig.udp) > rig.relay.now + 20 * FZR_MILLISECOND);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig.host.events[0], FZR_WATCH_READ);
  ck_assert_uint_eq(rig.host.events[2], FZR_WATCH_READ);
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(3, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < 4; i++)
    rig_expect(rig.client_fd, i, 40, true);
  rig_stop();
}
END_TEST

/* ---- what waits too long ---- */

START_TEST(test_what_waits_for_a_listen_socket_expires)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  rig_blocked_fd = rig.host.fds[0];
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(0, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  const fzr_time due = fzr_udp_deadline(rig.udp);
  ck_assert(due > rig.relay.now + 10 * FZR_MILLISECOND && due < rig.relay.now + 100 * FZR_MILLISECOND);
  rig.relay.now = due - 1;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().send_expired, 0);
  rig.relay.now = due;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().send_expired, 1);
  ck_assert_uint_eq(rig_stats().queue_dropped, 0);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert(fzr_udp_deadline(rig.udp) > due + FZR_SECOND / 10);
  /* Who was not read meanwhile is read again, and what is new goes out. */
  ck_assert_uint_eq(rig.host.events[2], FZR_WATCH_READ);
  rig_blocked_fd = -1;
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(1, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 1, 40, true);
  rig_expect_nothing(rig.client_fd);
  rig_stop();
}
END_TEST

/* A slow link takes little, but takes it: all of it goes out, however long that takes. */
START_TEST(test_what_moves_does_not_expire)
{
  uint8_t buffer[64];
  const unsigned count = 8;
  rig_start(false, true, false);
  const int full = rig.host.fds[0];
  rig_blocked_fd = full;
  for (unsigned i = 0; i < count; i++)
    rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(i, 40 + i, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, count);
  rig_blocked_fd = -1;
  for (unsigned i = 0; i < count; i++) {
    rig.relay.now += 50 * FZR_MILLISECOND;
    SCRIPT(1, -EAGAIN);
    fzr_udp_on_ready(rig.udp, rig.host.tokens[0], FZR_WATCH_WRITE, rig.relay.now);
    fzr_udp_on_deadline(rig.udp, rig.relay.now);
    rig_expect(rig.client_fd, i, 40 + i, true);
  }
  ck_assert_uint_eq(rig_stats().send_expired, 0);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  rig_stop();
}
END_TEST

/* Allocations' own sockets hold up nobody but their client; that one, too, is better served with what is new. */
START_TEST(test_what_waits_for_a_port_expires)
{
  rig_start(false, false, false);
  rig_blocked_fd = rig_relay_fd();
  rig_send_mixed(0);
  rig.relay.now += 50 * FZR_MILLISECOND;
  rig_send_mixed(16);
  ck_assert_uint_eq(rig_stats().queued_packets, 2 * RIG_MIXED);
  /* What is old goes, what is newer stays until it is, no longer than half as long again. */
  rig.relay.now = fzr_udp_deadline(rig.udp);
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().send_expired, RIG_MIXED);
  ck_assert_uint_eq(rig_stats().queued_packets, RIG_MIXED);
  for (unsigned i = 0; i < 2; i++) {
    ck_assert(fzr_udp_deadline(rig.udp) <= rig.relay.now + 40 * FZR_MILLISECOND);
    rig.relay.now = fzr_udp_deadline(rig.udp);
    fzr_udp_on_deadline(rig.udp, rig.relay.now);
  }
  ck_assert_uint_eq(rig_stats().send_expired, 2 * RIG_MIXED);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert(fzr_udp_deadline(rig.udp) > rig.relay.now + FZR_SECOND / 10);
  rig_blocked_fd = -1;
  rig_send_mixed(0);
  rig_expect_mixed(0);
  rig_stop();
}
END_TEST

static size_t binding_request(uint8_t *out, size_t cap)
{
  static const uint8_t txid[12] = {1};
  fzr_stun_builder b;
  fzr_stun_build(&b, out, cap, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  return (size_t)fzr_stun_build_finish(&b);
}

static void expect_answer(int fd)
{
  uint8_t answer[256];
  const ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
  ck_assert(n >= 20 && answer[0] == 1 && answer[1] == 1);
}

/* A full link is no reason to leave a newcomer without an answer: some of them wait. A flood of them takes no more room than these. */
START_TEST(test_few_answers_to_strangers_wait)
{
  uint8_t buffer[64], payload[64];
  rig_start(false, false, false);
  rig_client stranger = rig_add_client();
  const size_t len = binding_request(buffer, sizeof buffer);
  rig_blocked_fd = rig.host.fds[0];
  rig_send(stranger.peer_fd, &rig.listen, buffer, len);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().answers_dropped, 0);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  expect_answer(stranger.peer_fd);
  rig_blocked_fd = rig.host.fds[0];
  for (unsigned i = 0; i < 200; i++) {
    rig_send(stranger.peer_fd, &rig.listen, buffer, len);
    rig_serve(&rig.host, rig.udp, rig.relay.now);
  }
  const uint64_t waiting = rig_stats().queued_packets;
  ck_assert(waiting >= 20 && waiting < 100 && rig_stats().queued_bytes <= 8192);
  ck_assert_uint_eq(rig_stats().answers_dropped, 200 - waiting);
  /* What relays is not held back by them: it has the rest of the bound. */
  rig_send(rig.peer_fd, &rig.relayed, payload, rig_payload(0, 40, payload));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, waiting + 1);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 0, 40, true);
  for (unsigned i = 0; i < waiting; i++)
    expect_answer(stranger.peer_fd);
  rig_expect_nothing(stranger.peer_fd);
  /* And their room is free again; what is too old goes like the rest. */
  rig_blocked_fd = rig.host.fds[0];
  rig_send(stranger.peer_fd, &rig.listen, buffer, len);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  rig.relay.now += FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig_stats().send_expired, 1);
  rig_stop();
  close(stranger.client_fd);
  close(stranger.peer_fd);
}
END_TEST

/* While neighbours are missing, strangers may be who fills the sockets. */
START_TEST(test_answers_to_strangers_do_not_wait)
{
  uint8_t buffer[64];
  rig_start(false, false, false);
  rig_client stranger = rig_add_client();
  rig_blocked_fd = rig.host.fds[0];
  rig.udp->trouble.on = true;
  rig.udp->trouble.calm_at = FZR_TIME_NEVER;
  rig_send(stranger.peer_fd, &rig.listen, buffer, binding_request(buffer, sizeof buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().answers_dropped, 1);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig.host.events[0], FZR_WATCH_READ);
  /* Behind what waits, too. */
  rig_send(rig.peer_fd, &rig.relayed, buffer, rig_payload(0, 40, buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_send(stranger.peer_fd, &rig.listen, buffer, binding_request(buffer, sizeof buffer));
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().answers_dropped, 2);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  rig_blocked_fd = -1;
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.client_fd, 0, 40, true);
  rig_expect_nothing(stranger.peer_fd);
  rig_stop();
  close(stranger.client_fd);
  close(stranger.peer_fd);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp-blocked");
  TCase *tc = tcase_create("udp");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, test_blocked_relay_socket_queues_in_order);
  tcase_add_test(tc, test_blocked_listen_socket_pauses_its_sources);
  tcase_add_test(tc, test_who_feeds_a_blocked_socket_is_not_read);
  tcase_add_test(tc, test_the_other_family_goes_on);
  tcase_add_test(tc, test_queue_bound);
  tcase_add_test(tc, test_queue_bound_of_empty_datagrams);
  tcase_add_test(tc, test_deleting_an_allocation_that_is_blocked);
  tcase_add_test(tc, test_deleting_an_allocation_that_is_paused);
  tcase_add_loop_test(tc, test_errors_while_the_queue_is_flushed, 0, 2);
  tcase_add_loop_test(tc, test_a_refused_change_is_asked_for_again, 0, 2);
  tcase_add_test(tc, test_what_waits_for_a_listen_socket_expires);
  tcase_add_test(tc, test_what_moves_does_not_expire);
  tcase_add_test(tc, test_what_waits_for_a_port_expires);
  tcase_add_test(tc, test_few_answers_to_strangers_wait);
  tcase_add_test(tc, test_answers_to_strangers_do_not_wait);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
