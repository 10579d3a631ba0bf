/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that are not there: the kernel's error queue, what clients hear of it, and that nobody loses a datagram by it. */
#include "udp_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

static unsigned turned_on, turned_off;

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
  if ((level == IPPROTO_IP && name == IP_RECVERR) || (level == IPPROTO_IPV6 && name == IPV6_RECVERR)) {
    int on;
    memcpy(&on, value, sizeof on);
    turned_on += on != 0;
    turned_off += on == 0;
  }
  return __real_setsockopt(fd, level, name, value, len);
}

static fzr_addr other; /* a second peer of the client, which is not there */

static void add_other(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, 0x4001u << 16);
  fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, &other);
}

/* A relay whose client has two channels: 0x4000 to a peer that is there, and 0x4001 to one that has gone. */
static void start(bool ipv6)
{
  fzr_stun_msg msg;
  turned_on = turned_off = 0;
  rig_start(ipv6, false, false);
  const rig_client o = rig_add_client();
  other = o.peer;
  close(o.client_fd);
  close(o.peer_fd);
  ck_assert_int_eq(rig_ask(FZR_STUN_CHANNEL_BIND, add_other, &msg), 0);
}

static void serve(void)
{
  rig_serve(&rig.host, rig.udp, rig.relay.now);
}

/* Payload |i| of 40 bytes, on |channel|. */
static void send_on(uint16_t channel, unsigned i)
{
  uint8_t buffer[44];
  fzr_channel_data_header(buffer, channel, 40);
  rig_payload(i, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, sizeof buffer);
}

/* The client is told that |peer| has no such port. */
static void expect_unreachable(const fzr_addr *peer)
{
  static uint8_t data[1500];
  fzr_stun_msg msg;
  fzr_stun_attr icmp;
  fzr_addr addr;
  const ssize_t n = recv(rig.client_fd, data, sizeof data, 0);
  ck_assert_msg(n > 0, "nothing is told");
  ck_assert_int_eq(fzr_stun_read(data, (size_t)n, &msg), 0);
  ck_assert_uint_eq(msg.method, FZR_STUN_DATA);
  ck_assert_uint_eq(msg.cls, FZR_STUN_INDICATION);
  ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_PEER_ADDRESS, &addr));
  ck_assert(fzr_addr_equal(&addr, peer));
  ck_assert(!fzr_stun_has(&msg, FZR_ATTR_DATA));
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_ICMP, &icmp));
  static const uint8_t ip4[8] = {0, 0, 3 << 1, 3}, ip6[8] = {0, 0, 1 << 1, 4};
  ck_assert_uint_eq(icmp.len, 8);
  ck_assert_mem_eq(icmp.value, rig.ipv6 ? ip6 : ip4, 8);
}

/* Once a second. */
START_TEST(test_client_hears)
{
  start(_i);
  for (unsigned i = 0; i < 5; i++) {
    send_on(0x4001, i);
    serve();
  }
  expect_unreachable(&other);
  rig_expect_nothing(rig.client_fd);
  rig.relay.now += FZR_SECOND;
  send_on(0x4001, 5);
  serve();
  expect_unreachable(&other);
  rig_expect_nothing(rig.client_fd);
  rig_stop();
}
END_TEST

/* Whatever the order, all reaches the peer that is there, though its datagrams follow others by the same socket that have just failed. */
START_TEST(test_others_lose_nothing)
{
  start(_i);
  for (unsigned round = 0; round < 8; round++) {
    unsigned sent = 0;
    for (unsigned i = 0; i < 12; i++) {
      const bool lives = 0x5a3u >> (i + round) % 12 & 1;
      send_on(lives ? 0x4000 : 0x4001, sent);
      sent += lives;
      if (round & 1)
        serve(); /* one by one */
    }
    serve();
    for (unsigned i = 0; i < sent; i++)
      rig_expect(rig.peer_fd, i, 40, false);
    rig_expect_nothing(rig.peer_fd);
  }
  rig_stop();
}
END_TEST

/* What the relay reads at once, and so sends at once: one datagram more is in the next call, which fails. */
START_TEST(test_next_call_loses_nothing)
{
  start(_i);
  for (unsigned alone = 0; alone < 2; alone++) {
    for (unsigned i = 0; i < 32; i++)
      send_on(0x4001, i);
    send_on(0x4000, 0);
    if (!alone) {
      send_on(0x4001, 1);
      send_on(0x4000, 2);
    }
    serve();
    rig_expect(rig.peer_fd, 0, 40, false);
    if (!alone)
      rig_expect(rig.peer_fd, 2, 40, false);
    rig_expect_nothing(rig.peer_fd);
  }
  ck_assert_uint_eq(rig_stats().send_errors, 0);
  rig_stop();
}
END_TEST

/* What peers send is read, though there are errors to be read, too. */
START_TEST(test_peers_are_heard)
{
  uint8_t buffer[40];
  start(_i);
  send_on(0x4001, 0);
  serve();
  expect_unreachable(&other);
  for (unsigned i = 0; i < 8; i++) {
    send_on(0x4001, i);
    rig_payload(i, 40, buffer);
    rig_send(rig.peer_fd, &rig.relayed, buffer, sizeof buffer);
  }
  serve();
  for (unsigned i = 0; i < 8; i++)
    rig_expect(rig.client_fd, i, 40, true);
  rig_expect_nothing(rig.client_fd);
  rig_stop();
}
END_TEST

/* A socket with too many errors hears of none for the rest of a second, and relays on. */
START_TEST(test_too_many)
{
  start(_i);
  const unsigned on = turned_on;
  ck_assert_uint_eq(on, 2); /* a socket of either client's */
  for (unsigned i = 0; i < 200; i++) {
    send_on(0x4001, i);
    send_on(0x4000, i);
    serve();
    rig_expect(rig.peer_fd, i, 40, false);
  }
  ck_assert_uint_eq(turned_off, 1);
  ck_assert_uint_eq(turned_on, on);
  ck_assert_uint_le(rig_stats().receive_errors, 64);
  expect_unreachable(&other);
  rig_expect_nothing(rig.client_fd);
  const fzr_time due = fzr_udp_deadline(rig.udp);
  ck_assert(due <= rig.relay.now + FZR_SECOND);
  rig.relay.now += FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(turned_on, on + 1);
  send_on(0x4001, 0);
  serve();
  expect_unreachable(&other);
  rig_stop();
}
END_TEST

/* An error that is the datagram's own is not asked about for ever, and is no other one's. */
START_TEST(test_own_errors)
{
  start(_i);
  SCRIPT(-ENETUNREACH, -ENETUNREACH);
  send_on(0x4000, 0);
  serve();
  ck_assert_uint_eq(rig_script_left(), 0);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_uint_eq(rig_stats().send_errors, 1);
  /* One that was another's. */
  SCRIPT(-ENETUNREACH);
  send_on(0x4000, 1);
  serve();
  rig_expect(rig.peer_fd, 1, 40, false);
  ck_assert_uint_eq(rig_stats().send_errors, 1);
  /* A run that a path of another peer's would have been too narrow for goes as a run. */
  SCRIPT(-EMSGSIZE);
  send_on(0x4000, 2);
  send_on(0x4000, 3);
  serve();
  rig_expect(rig.peer_fd, 2, 40, false);
  rig_expect(rig.peer_fd, 3, 40, false);
  ck_assert_uint_eq(rig_stats().gso_refused, 0);
  rig_stop();
}
END_TEST

/* While what clients are sent waits, the socket of their peers is not read; errors of it are, for they would keep it ready. */
START_TEST(test_paused)
{
  uint8_t buffer[40];
  start(_i);
  rig_blocked_fd = rig.host.fds[_i];
  for (unsigned i = 0; i < 2; i++) {
    rig_payload(i, 40, buffer);
    rig_send(rig.peer_fd, &rig.relayed, buffer, sizeof buffer);
    serve();
  }
  ck_assert_uint_eq(rig.host.events[2] & FZR_WATCH_READ, 0);
  send_on(0x4001, 0);
  serve(); /* comes to an end */
  rig_blocked_fd = -1;
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  expect_unreachable(&other);
  rig_expect(rig.client_fd, 1, 40, true);
  rig_stop();
}
END_TEST

/* Where peers are reached through channels alone, the kernel is not asked for errors. */
START_TEST(test_channels_mode)
{
  rig_relay_mode = FZR_RELAY_CHANNELS;
  start(_i);
  rig_relay_mode = FZR_RELAY_FULL;
  send_on(0x4001, 0);
  send_on(0x4000, 1);
  serve();
  rig_expect(rig.peer_fd, 1, 40, false);
  rig_expect_nothing(rig.client_fd);
  ck_assert_uint_eq(turned_on, 0);
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_errors");
  TCase *tc = tcase_create("udp_errors");
  tcase_add_loop_test(tc, test_client_hears, 0, 2);
  tcase_add_loop_test(tc, test_others_lose_nothing, 0, 2);
  tcase_add_loop_test(tc, test_next_call_loses_nothing, 0, 2);
  tcase_add_loop_test(tc, test_peers_are_heard, 0, 2);
  tcase_add_loop_test(tc, test_too_many, 0, 2);
  tcase_add_loop_test(tc, test_own_errors, 0, 2);
  tcase_add_loop_test(tc, test_paused, 0, 2);
  tcase_add_loop_test(tc, test_channels_mode, 0, 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
