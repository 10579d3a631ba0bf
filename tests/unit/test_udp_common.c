/* SPDX-License-Identifier: Apache-2.0 */
/* One socket that hears for all allocations: what leads packets to it is played by recvmmsg, which tells another port than they came to. */
#include "udp_rig.h"

#include "io/udp_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int __real_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout);

#define IDLE_SOCKETS 4 /* two that listen, and two that hear */

/* What comes from a peer is led to a port. */
static struct {
  uint16_t from, to;
} led[4];
static unsigned led_count;
static unsigned begun, ended;
static fzr_addr last; /* that `direct` was told */
static int direct_error;
static uint32_t turns[2];

static int direct(void *ctx, const fzr_addr *at, bool begins)
{
  (void)ctx;
  last = *at;
  if (begins && direct_error)
    return direct_error;
  begun += begins;
  ended += !begins;
  return 0;
}

static void lead(struct msghdr *msg)
{
  fzr_addr from;
  ck_assert_int_eq(fzr_addr_from_sockaddr(msg->msg_name, msg->msg_namelen, &from), 0);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
    const bool told = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == 20) ||
                      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == 74);
    for (unsigned i = 0; told && i < led_count; i++) {
      const uint16_t port = htons(led[i].to);
      if (led[i].from == from.port)
        memcpy(CMSG_DATA(c) + offsetof(struct sockaddr_in, sin_port), &port, sizeof port);
    }
  }
}

int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
  const int got = __real_recvmmsg(fd, msgs, n, flags, timeout);
  for (int i = 0; i < got; i++)
    if (rig.udp && (fd == fzr_udp_common_socket(rig.udp, FZR_FAMILY_IPV4) ||
                    fd == fzr_udp_common_socket(rig.udp, FZR_FAMILY_IPV6)))
      lead(&msgs[i].msg_hdr);
  return got;
}

static fzr_addr name_of(int fd)
{
  fzr_sockaddr sa;
  fzr_addr addr;
  socklen_t len = sizeof sa;
  ck_assert_int_eq(getsockname(fd, &sa.any, &len), 0);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&sa.any, len, &addr), 0);
  return addr;
}

static fzr_addr common_addr(void)
{
  return name_of(fzr_udp_common_socket(rig.udp, rig.ipv6 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4));
}

static void start(bool ipv6)
{
  begun = ended = led_count = 0;
  direct_error = 0;
  rig_direct = direct;
  rig_start(ipv6, false, false);
  led[led_count].from = rig.peer.port;
  led[led_count++].to = rig.relayed.port;
}

/* The client sends payload |i|, which the peer gets from the relayed address. */
static void send_up(unsigned i)
{
  uint8_t buffer[64], got[64];
  fzr_sockaddr sa;
  fzr_addr from;
  socklen_t len = sizeof sa;
  fzr_channel_data_header(buffer, 0x4000, 40);
  rig_payload(i, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  ck_assert_int_eq(recvfrom(rig.peer_fd, got, sizeof got, MSG_DONTWAIT, &sa.any, &len), 40);
  ck_assert_mem_eq(got, buffer + 4, 40);
  ck_assert_int_eq(fzr_addr_from_sockaddr(&sa.any, len, &from), 0);
  ck_assert(memcmp(&from, &rig.relayed, sizeof from) == 0);
}

static void send_down(int peer_fd, int client_fd, unsigned i)
{
  uint8_t buffer[40];
  const fzr_addr to = common_addr();
  rig_payload(i, sizeof buffer, buffer);
  rig_send(peer_fd, &to, buffer, sizeof buffer);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(client_fd, i, sizeof buffer, true);
}

static void pass(fzr_time time)
{
  rig.relay.now += time;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
}

START_TEST(test_hears)
{
  start(_i);
  ck_assert_uint_eq(begun, 1);
  ck_assert(memcmp(&last, &rig.relayed, sizeof last) == 0);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  const rig_client other = rig_add_client();
  led[led_count].from = other.peer.port;
  led[led_count++].to = other.relayed.port;
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  for (unsigned i = 0; i < 10; i++)
    send_down(i % 2 ? other.peer_fd : rig.peer_fd, i % 2 ? other.client_fd : rig.client_fd, i);
  rig_expect_nothing(rig.client_fd);
  /* What was led to nobody's port is for nobody. */
  led_count = 1;
  const fzr_addr to = common_addr();
  rig_send(other.peer_fd, &to, "x", 1);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect_nothing(other.client_fd);
  rig_stop();
}
END_TEST

START_TEST(test_hears_runs)
{
  static uint8_t bulk[20 * 40];
  start(_i);
  for (unsigned i = 0; i < 20; i++)
    rig_payload(i, 40, bulk + i * 40u);
  const fzr_addr to = common_addr();
  memset(turns, 0, sizeof turns);
  rig.udp->config.direct_turn = turns;
  rig_send_run(rig.peer_fd, &to, bulk, 40, 20, 40);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  for (unsigned i = 0; i < 20; i++)
    rig_expect(rig.client_fd, i, 40, true);
  /* Before it was read, and after that. */
  ck_assert_uint_ge(turns[_i], 2);
  ck_assert_uint_eq(turns[_i] % 2, 0);
  ck_assert_uint_eq(turns[!_i], 0);
  rig_stop();
}
END_TEST

START_TEST(test_sends)
{
  start(_i);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  ck_assert_uint_eq(fzr_udp_deadline(rig.udp), fzr_driver_deadline(rig.udp->driver));
  send_up(0);
  send_up(1);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS + 1);
  ck_assert_uint_le(fzr_udp_deadline(rig.udp), rig.relay.now + 5 * FZR_SECOND);
  /* Who sends keeps it; who does not, loses it, and gets it back. */
  for (unsigned i = 2; i < 6; i++) {
    pass(5 * FZR_SECOND);
    ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS + 1);
    send_up(i);
  }
  pass(5 * FZR_SECOND);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS + 1);
  pass(5 * FZR_SECOND);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  send_down(rig.peer_fd, rig.client_fd, 6);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  send_up(7);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS + 1);
  rig_stop();
}
END_TEST

/* While a port is quiet, another program may take it: what the client sends is lost then, and counted. */
START_TEST(test_taken)
{
  uint8_t buffer[44];
  fzr_sockaddr sa;
  start(_i);
  const int thief = socket(_i ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  const socklen_t len = fzr_addr_to_sockaddr(&rig.relayed, &sa);
  ck_assert_int_eq(bind(thief, &sa.any, len), 0);
  fzr_channel_data_header(buffer, 0x4000, 40);
  rig_payload(0, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_uint_eq(rig_stats().send_errors, 1);
  send_down(rig.peer_fd, rig.client_fd, 1);
  close(thief);
  /* It is asked for again once in 10 ms. */
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect_nothing(rig.peer_fd);
  ck_assert_uint_eq(rig_stats().send_errors, 2);
  pass(10 * FZR_MILLISECOND);
  send_up(2);
  ck_assert_uint_eq(rig_stats().send_errors, 2);
  rig_stop();
}
END_TEST

/* What a full socket does not take waits, and its socket is there for as long as that. */
START_TEST(test_blocked)
{
  start(false);
  send_up(0);
  SCRIPT(-EAGAIN);
  uint8_t buffer[44];
  fzr_channel_data_header(buffer, 0x4000, 40);
  rig_payload(1, 40, buffer + 4);
  rig_send(rig.client_fd, &rig.listen, buffer, 44);
  const fzr_udp_ready ready = {rig.host.tokens[0], FZR_WATCH_READ, 0};
  fzr_udp_on_ready_batch(rig.udp, &ready, 1, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  rig_serve(&rig.host, rig.udp, rig.relay.now);
  rig_expect(rig.peer_fd, 1, 40, false);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  pass(5 * FZR_SECOND);
  pass(5 * FZR_SECOND);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  send_up(2);
  rig_stop();
}
END_TEST

static void add_end(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, 0);
}

START_TEST(test_ends)
{
  fzr_stun_msg msg;
  start(false);
  send_up(0);
  ck_assert_int_eq(rig_ask(FZR_STUN_REFRESH, add_end, &msg), 0);
  ck_assert_uint_eq(ended, 1);
  ck_assert_uint_eq(last.port, rig.relayed.port);
  ck_assert_uint_eq(rig_stats().sockets, IDLE_SOCKETS);
  /* The host can't lead there: there is no such allocation. */
  direct_error = FZR_ERR_IO_NO_SOCKET;
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 508);
  direct_error = 0;
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, rig_add_transport, &msg), 0);
  rig_stop();
}
END_TEST

START_TEST(test_not_handed_over)
{
  fzr_udp *udp;
  start(false);
  ck_assert_int_eq(fzr_udp_pause(rig.udp, rig.relay.now), FZR_ERR_INVALID_STATE);
  fzr_udp_config config = fzr_udp_config_init();
  const fzr_udp_socket listen = {.fd = rig.host.fds[0]};
  config.direct = direct;
  ck_assert_int_eq(fzr_udp_adopt(&config, &listen, 1, &udp, NULL), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_common_socket(NULL, FZR_FAMILY_IPV4), -1);
  rig_stop();
}
END_TEST

/* Random packets of few ports: each port's come together, where the first of them was, and in order. */
START_TEST(test_regroup)
{
  fzr_pkt pkts[FZRI_COMMON_MSGS];
  uint8_t numbers[FZRI_COMMON_MSGS];
  srand((unsigned)_i + 1);
  const unsigned n = 1 + (unsigned)rand() % FZRI_COMMON_MSGS, ports = 1 + (unsigned)rand() % FZRI_COMMON_MSGS;
  memset(pkts, 0, sizeof pkts);
  for (unsigned i = 0; i < n; i++) {
    numbers[i] = (uint8_t)i;
    pkts[i].data = &numbers[i];
    pkts[i].to.port = (uint16_t)((unsigned)rand() % ports * 512 + 3);
  }
  fzr_pkt before[FZRI_COMMON_MSGS];
  memcpy(before, pkts, sizeof pkts);
  fzri_common_regroup(pkts, n);
  bool taken[FZRI_COMMON_MSGS] = {false};
  for (unsigned i = 0, at = 0; i < n; i++) {
    for (unsigned k = i; k < n && !taken[i]; k++) {
      if (before[k].to.port != before[i].to.port)
        continue;
      ck_assert_ptr_eq(pkts[at].data, before[k].data);
      ck_assert_uint_eq(pkts[at++].to.port, before[k].to.port);
      if (k != i)
        taken[k] = true;
    }
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_common");
  TCase *tc = tcase_create("udp_common");
  tcase_add_loop_test(tc, test_hears, 0, 2);
  tcase_add_loop_test(tc, test_hears_runs, 0, 2);
  tcase_add_loop_test(tc, test_sends, 0, 2);
  tcase_add_loop_test(tc, test_taken, 0, 2);
  tcase_add_test(tc, test_blocked);
  tcase_add_test(tc, test_ends);
  tcase_add_test(tc, test_not_handed_over);
  tcase_add_loop_test(tc, test_regroup, 0, 50);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
