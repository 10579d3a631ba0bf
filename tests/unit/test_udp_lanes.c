/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP adapter when neighbours that do not answer hold the listen socket's buffer: who goes on, by which socket, and until when. The
 * kernel lists neighbours as told: --wrap=fzri_netlink_list. */
#include "udp_rig.h"

#include "firezone_relay/socket.h"
#include "io/neighbours.h"
#include "io/netlink.h"
#include "io/udp_internal.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <sys/socket.h>
#include <unistd.h>

typedef void lister(void *ctx, const struct nlmsghdr *message);

int __wrap_fzri_netlink_list(uint16_t type, const void *body, size_t len, lister *each, void *ctx);
int __real_fzri_netlink_list(uint16_t type, const void *body, size_t len, lister *each, void *ctx);

static const char *gone; /* the host that does not answer; NULL: none */
static unsigned looks;

static unsigned crowd;   /* as many that do not answer, from 10.0.0.0 on */
static bool asks_kernel; /* its own table */

/* The message of the kernel's that |addr| is being asked for. */
static void list_one(const fzr_addr *addr, lister *each, void *ctx)
{
  const bool v4 = addr->family == FZR_FAMILY_IPV4;
  const size_t len = v4 ? 4 : 16;
  struct {
    struct nlmsghdr header;
    struct ndmsg neighbour;
    struct rtattr attr;
    uint8_t ip[16];
  } m = {.header = {.nlmsg_type = RTM_NEWNEIGH},
         .neighbour = {.ndm_family = v4 ? AF_INET : AF_INET6, .ndm_state = NUD_INCOMPLETE},
         .attr = {.rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = NDA_DST}};
  m.header.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof m.neighbour) + RTA_LENGTH(len));
  memcpy(m.ip, addr->ip, len);
  each(ctx, &m.header);
}

int __wrap_fzri_netlink_list(uint16_t type, const void *body, size_t len, lister *each, void *ctx)
{
  if (type != RTM_GETNEIGH || asks_kernel)
    return __real_fzri_netlink_list(type, body, len, each, ctx);
  looks++;
  for (unsigned i = 0; i < crowd; i++) {
    const uint8_t ip[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
    const fzr_addr addr = fzr_addr_ipv4(ip, 0);
    list_one(&addr, each, ctx);
  }
  if (gone) {
    const fzr_addr addr = fzt_addr(gone);
    list_one(&addr, each, ctx);
  }
  return 0;
}

static rig_client o; /* of the host that is gone */

static void start(bool ipv6)
{
  gone = NULL;
  looks = 0;
  rig_start(ipv6, false, true);
  if (!ipv6) /* one loopback address is all that IPv6 has */
    rig_own_host = "127.0.0.2";
  o = rig_add_client();
}

static void stop(void)
{
  rig_stop();
  close(o.client_fd);
  close(o.peer_fd);
}

static void to_client(const rig_client *c, unsigned i)
{
  uint8_t buffer[64];
  rig_send(c->peer_fd, &c->relayed, buffer, rig_payload(i, 40, buffer));
}

static rig_client mine(void)
{
  return (rig_client){rig.client_fd, rig.peer_fd, rig.peer, rig.relayed};
}

static void serve(void)
{
  rig_serve(&rig.host, rig.udp, rig.relay.now);
}

/* The listen socket is full, and stays so. */
static void hold_listen_socket(void)
{
  rig_blocked_fd = rig.host.fds[rig.ipv6 ? 1 : 0];
}

START_TEST(test_another_socket_takes_over)
{
  fzr_stun_msg msg;
  start(_i);
  const rig_client me = mine();
  hold_listen_socket();
  gone = _i ? "fd00::1" : "10.0.0.1";
  for (unsigned i = 0; i < 20; i++) {
    to_client(&me, i);
    to_client(&o, i);
  }
  serve();
  for (unsigned i = 0; i < 20; i++) {
    rig_expect(rig.client_fd, i, 40, true);
    rig_expect(o.client_fd, i, 40, true);
  }
  /* Clients' answers, too; and clients are heard as before. */
  ck_assert_int_eq(rig_ask(FZR_STUN_REFRESH, NULL, &msg), 0);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig_stats().queue_dropped + rig_stats().send_expired + rig_stats().unreached_dropped, 0);
  ck_assert_uint_eq(looks, 1);
  stop();
}
END_TEST

/* Datagrams come from the address that the client talks to, whichever socket they leave by. */
START_TEST(test_the_source_stays)
{
  fzr_sockaddr sa;
  socklen_t len = sizeof sa;
  uint8_t buffer[64];
  start(_i);
  const rig_client me = mine();
  hold_listen_socket();
  gone = _i ? "fd00::1" : "10.0.0.1";
  to_client(&me, 0);
  serve();
  ck_assert_int_gt(recvfrom(rig.client_fd, buffer, sizeof buffer, 0, &sa.any, &len), 0);
  fzr_addr from;
  ck_assert_int_eq(fzr_addr_from_sockaddr(&sa.any, len, &from), 0);
  ck_assert_mem_eq(from.ip, rig.listen.ip, sizeof from.ip);
  ck_assert_uint_eq(from.port, rig.listen.port);
  stop();
}
END_TEST

START_TEST(test_nobody_takes_over_where_the_neighbours_answer)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  to_client(&me, 0);
  serve();
  to_client(&me, 1);
  serve();
  ck_assert_uint_eq(looks, 1);
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  ck_assert_uint_eq(rig.host.events[2], 0);
  rig_blocked_fd = -1;
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  rig_expect(rig.client_fd, 1, 40, true);
  ck_assert_uint_eq(rig_stats().sockets, 4);
  stop();
}
END_TEST

/* Looking costs: it is not done with every datagram. */
START_TEST(test_looks_are_few)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  for (unsigned ms = 0; ms < 100; ms++, rig.relay.now += FZR_MILLISECOND) {
    to_client(&me, ms);
    fzr_udp_on_deadline(rig.udp, rig.relay.now);
    serve();
  }
  ck_assert_uint_ge(looks, 1);
  ck_assert_uint_le(looks, 11);
  stop();
}
END_TEST

static fzri_socket *unreached(void)
{
  return rig.udp->lanes[rig.ipv6].unreached;
}

/* What is for the host that is gone is dropped when its socket is full, and its peers are read on: they are not told to wait. */
START_TEST(test_who_is_gone_holds_up_nobody)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  gone = "127.0.0.2";
  to_client(&o, 0);
  serve();
  ck_assert(unreached());
  rig_expect(o.client_fd, 0, 40, true); /* in truth it would wait in the kernel */
  rig_blocked_fd = unreached()->fd;
  for (unsigned i = 1; i < 10; i++) {
    to_client(&o, i);
    to_client(&me, i);
    serve();
  }
  ck_assert_uint_eq(rig_stats().unreached_dropped, 9);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  for (unsigned i = 1; i < 10; i++)
    rig_expect(rig.client_fd, i, 40, true);
  rig_expect_nothing(o.client_fd);
  /* The next look finds it back. */
  gone = NULL;
  rig.relay.now += 150 * FZR_MILLISECOND;
  to_client(&o, 10);
  serve();
  rig_expect(o.client_fd, 10, 40, true);
  ck_assert_uint_eq(rig_stats().unreached_dropped, 9);
  stop();
}
END_TEST

/* Nothing is dropped because of an old look: one who is found meanwhile misses nothing. Looks stay apart, however much is dropped. */
START_TEST(test_who_is_found_misses_nothing)
{
  start(_i);
  const rig_client me = mine();
  hold_listen_socket();
  gone = _i ? "::1" : "127.0.0.2"; /* with IPv6 it is both of them */
  to_client(&me, 0);
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  rig_blocked_fd = unreached()->fd;
  for (unsigned i = 1; i < 6; i++) {
    to_client(&o, i);
    serve();
  }
  ck_assert_uint_eq(rig_stats().unreached_dropped, 5);
  ck_assert_uint_eq(looks, 1);
  rig.relay.now += 15 * FZR_MILLISECOND;
  to_client(&o, 6);
  to_client(&o, 7);
  serve();
  ck_assert_uint_eq(rig_stats().unreached_dropped, 7);
  ck_assert_uint_eq(looks, 2);
  rig_expect_nothing(o.client_fd);
  gone = NULL;
  rig.relay.now += 15 * FZR_MILLISECOND;
  for (unsigned i = 8; i < 12; i++)
    to_client(&o, i);
  serve();
  for (unsigned i = 8; i < 12; i++)
    rig_expect(o.client_fd, i, 40, true);
  ck_assert_uint_eq(rig_stats().unreached_dropped, 7);
  ck_assert_uint_eq(looks, 3);
  stop();
}
END_TEST

/* What waits for the sender is no exception. */
START_TEST(test_who_waits_and_is_found_misses_nothing)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  gone = "10.0.0.1";
  to_client(&me, 0);
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  /* All senders are full, and the look that follows says of one who waits that he is gone. */
  static const int full[] = {-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN};
  rig_blocked_fd = unreached()->fd;
  gone = "127.0.0.2";
  rig.relay.now += 15 * FZR_MILLISECOND;
  rig_script(full, FZRI_SENDERS + 1);
  to_client(&me, 1);
  to_client(&o, 2);
  fzr_udp_ready ready[2] = {{rig.host.tokens[2], FZR_WATCH_READ, 0}, {rig.host.tokens[3], FZR_WATCH_READ, 0}};
  fzr_udp_on_ready_batch(rig.udp, ready, 2, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 2);
  ck_assert_uint_eq(looks, 2);
  gone = NULL;
  rig.relay.now += 15 * FZR_MILLISECOND;
  serve();
  rig_expect(rig.client_fd, 1, 40, true);
  rig_expect(o.client_fd, 2, 40, true);
  ck_assert_uint_eq(rig_stats().unreached_dropped, 0);
  ck_assert_uint_eq(looks, 3);
  stop();
}
END_TEST

/* A stranger's request, from where a peer is. */
static void ask_binding(void)
{
  static const uint8_t txid[12] = {1};
  uint8_t buffer[64];
  fzr_stun_builder b;
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_BINDING, FZR_STUN_REQUEST, txid);
  rig_send(o.peer_fd, &rig.listen, buffer, (size_t)fzr_stun_build_finish(&b));
}

START_TEST(test_strangers_have_a_socket_of_their_own)
{
  fzr_stun_msg msg;
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  gone = "10.0.0.1";
  to_client(&me, 0);
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  rig_blocked_fd = rig.udp->lanes[0].strangers->fd;
  ask_binding();
  serve();
  ck_assert_uint_eq(rig_stats().answers_dropped, 1);
  rig_expect_nothing(o.peer_fd);
  ck_assert_int_eq(rig_ask(FZR_STUN_REFRESH, NULL, &msg), 0);
  stop();
}
END_TEST

/* All senders are full, one after the other: their number is bounded, and the first that has room goes on with all that waits. */
START_TEST(test_senders_are_few)
{
  start(false);
  const rig_client me = mine();
  const uint64_t sockets = rig_stats().sockets;
  gone = "10.0.0.1";
  for (unsigned i = 0; i < 2 * FZRI_SENDERS; i++) {
    rig_blocked_fd = rig.udp->lanes[0].sender->fd;
    to_client(&me, i);
    serve();
    ck_assert_int_ne(rig.udp->lanes[0].sender->fd, rig_blocked_fd);
    rig_expect(rig.client_fd, i, 40, true);
    rig.relay.now += 20 * FZR_MILLISECOND;
  }
  ck_assert_uint_eq(rig_stats().sockets, sockets + 2 + FZRI_SENDERS - 1);
  static const int full[] = {-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN};
  rig_blocked_fd = -1;
  rig_script(full, FZRI_SENDERS + 1);
  to_client(&me, 100);
  to_client(&o, 101);
  fzr_udp_ready ready[2] = {{rig.host.tokens[2], FZR_WATCH_READ, 0}, {rig.host.tokens[3], FZR_WATCH_READ, 0}};
  fzr_udp_on_ready_batch(rig.udp, ready, 2, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 2);
  ck_assert_uint_eq(rig_script_left(), 0);
  serve();
  rig_expect(rig.client_fd, 100, 40, true);
  rig_expect(o.client_fd, 101, 40, true);
  stop();
}
END_TEST

/* Sources that wait for one sender are read again when another has taken over; one of them may end meanwhile. */
START_TEST(test_sources_change_over)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  to_client(&me, 0);
  to_client(&o, 0);
  serve();
  ck_assert_uint_eq(rig_stats().queued_packets, 2);
  to_client(&me, 1);
  to_client(&o, 1);
  serve(); /* both are paused now */
  ck_assert_uint_eq(rig_stats().queued_packets, 2);
  gone = "10.0.0.1";
  rig.relay.now += 20 * FZR_MILLISECOND;
  ask_binding(); /* the answer finds the socket full, and another takes over */
  serve();
  for (unsigned i = 0; i < 2; i++) {
    rig_expect(rig.client_fd, i, 40, true);
    rig_expect(o.client_fd, i, 40, true);
  }
  /* Blocked again, by all; the allocations end. */
  static const int full[] = {-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN};
  rig.relay.now += 20 * FZR_MILLISECOND;
  rig_script(full, FZRI_SENDERS + 1);
  to_client(&me, 2);
  fzr_udp_on_ready(rig.udp, rig.host.tokens[2], FZR_WATCH_READ, rig.relay.now);
  ck_assert_uint_eq(rig.host.events[2], 0);
  rig.relay.now += 700 * FZR_SECOND;
  fzr_udp_on_deadline(rig.udp, rig.relay.now);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
  ck_assert_uint_eq(rig_stats().send_expired, 1);
  stop();
}
END_TEST

/* Some seconds after the last neighbour was waited for all is as before. */
START_TEST(test_trouble_ends)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  gone = "10.0.0.1";
  to_client(&me, 0);
  serve();
  ck_assert(rig.udp->trouble.on);
  rig_blocked_fd = -1;
  gone = NULL;
  for (unsigned i = 0; i < 60; i++, rig.relay.now += 100 * FZR_MILLISECOND) {
    ck_assert(rig.udp->trouble.on == (i <= 50));
    fzr_udp_on_deadline(rig.udp, rig.relay.now);
  }
  ck_assert_ptr_eq(rig.udp->lanes[0].sender, rig.udp->listen[0]);
  const unsigned before = looks;
  to_client(&me, 1);
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  rig_expect(rig.client_fd, 1, 40, true);
  ck_assert_uint_eq(looks, before);
  stop();
}
END_TEST

/* With other sockets on the port, nobody else gets in beside the relay, sharing or not; and a host that watches no more is no end. */
START_TEST(test_the_port_stays_the_relays)
{
  start(_i);
  const rig_client me = mine();
  hold_listen_socket();
  gone = "10.0.0.1";
  to_client(&me, 0);
  serve();
  ck_assert(unreached());
  for (unsigned share = 0; share < 2; share++) {
    fzr_udp *second = NULL;
    fzr_udp_config config = {.size = sizeof config,
                             .watch = rig_watch,
                             .unwatch = rig_unwatch,
                             .watch_ctx = &rig.host,
                             .reuse_port = share,
                             .listen_port = rig.listen.port};
    config.bind_ip4 = fzt_addr("0.0.0.0");
    config.bind_ip6 = fzt_addr("::");
    ck_assert_int_eq(fzr_udp_new(&config, &second, NULL), FZR_ERR_IO_IN_USE);
    const int one = 1, fd = socket(_i ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    fzr_sockaddr sa;
    fzr_addr addr = rig.listen;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    const socklen_t len = fzr_addr_to_sockaddr(&addr, &sa);
    ck_assert_int_eq(bind(fd, &sa.any, len), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    close(fd);
  }
  stop();
}
END_TEST

START_TEST(test_a_host_that_watches_no_more)
{
  start(false);
  const rig_client me = mine();
  hold_listen_socket();
  gone = "10.0.0.1";
  rig.host.refuse = true;
  to_client(&me, 0);
  serve();
  ck_assert_uint_eq(rig_stats().queued_packets, 1);
  rig_blocked_fd = -1;
  serve();
  rig_expect(rig.client_fd, 0, 40, true);
  stop();
}
END_TEST

/* The kernel's own table is read, whatever is in it. */
START_TEST(test_the_kernel_is_asked)
{
  fzri_mem mem;
  fzri_neighbours n = {0};
  ck_assert_int_eq(fzri_mem_init(&mem, NULL), 0);
  asks_kernel = true;
  ck_assert_int_eq(fzri_neighbours_look(&n, &mem), 0);
  asks_kernel = false;
  ck_assert_uint_le(n.count, n.seen);
  gone = NULL;
  crowd = 3000;
  ck_assert_int_eq(fzri_neighbours_look(&n, &mem), 0);
  crowd = 0;
  ck_assert(n.seen == 3000 && n.waiting == 3000);
  ck_assert_uint_eq(n.count, FZRI_NEIGHBOURS_MAX);
  unsigned found = 0;
  for (unsigned i = 0; i < 3000; i++) {
    fzr_addr addr = {.family = FZR_FAMILY_IPV4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}, .port = 7};
    found += fzri_neighbours_has(&n, &addr);
  }
  ck_assert_uint_ge(found + 100, FZRI_NEIGHBOURS_MAX);
  ck_assert_uint_le(found, FZRI_NEIGHBOURS_MAX);
  fzri_neighbours_free(&n, &mem);
}
END_TEST

/* The padding behind the last message or attribute may be missing; what is behind the end is not looked at. */
START_TEST(test_messages_end_where_they_end)
{
  _Alignas(struct nlmsghdr) uint8_t part[64] = {0};
  struct nlmsghdr header = {.nlmsg_len = 18};
  struct rtattr attr = {.rta_len = 5, .rta_type = 1};
  const uint8_t *at = part;
  size_t rest = 38, len = 0;
  memset(part, 0xff, sizeof part);
  memcpy(part, &header, sizeof header);
  memcpy(part + 20, &header, sizeof header);
  ck_assert_ptr_eq(fzri_netlink_next(&at, &rest), part);
  ck_assert_ptr_eq(fzri_netlink_next(&at, &rest), part + 20);
  ck_assert_uint_eq(rest, 0);
  ck_assert_ptr_null(fzri_netlink_next(&at, &rest));
  for (rest = 0; rest < 18; rest++) {
    at = part;
    ck_assert_ptr_null(fzri_netlink_next(&at, &rest));
  }
  /* An attribute behind the end, just where the next one would be. */
  memcpy(part, &attr, sizeof attr);
  attr.rta_type = 2;
  memcpy(part + 8, &attr, sizeof attr);
  for (rest = 5; rest < 13; rest++) {
    ck_assert_ptr_eq(fzri_netlink_attribute(part, rest, 1, &len), part + 4);
    ck_assert_uint_eq(len, 1);
    ck_assert_ptr_null(fzri_netlink_attribute(part, rest, 2, &len));
  }
  ck_assert_ptr_eq(fzri_netlink_attribute(part, 13, 2, &len), part + 12);
  ck_assert_ptr_null(fzri_netlink_attribute(part, 4, 1, &len));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp-lanes");
  TCase *tc = tcase_create("udp");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, test_another_socket_takes_over, 0, 2);
  tcase_add_loop_test(tc, test_the_source_stays, 0, 2);
  tcase_add_test(tc, test_nobody_takes_over_where_the_neighbours_answer);
  tcase_add_test(tc, test_looks_are_few);
  tcase_add_test(tc, test_who_is_gone_holds_up_nobody);
  tcase_add_loop_test(tc, test_who_is_found_misses_nothing, 0, 2);
  tcase_add_test(tc, test_who_waits_and_is_found_misses_nothing);
  tcase_add_test(tc, test_strangers_have_a_socket_of_their_own);
  tcase_add_test(tc, test_senders_are_few);
  tcase_add_test(tc, test_sources_change_over);
  tcase_add_test(tc, test_trouble_ends);
  tcase_add_loop_test(tc, test_the_port_stays_the_relays, 0, 2);
  tcase_add_test(tc, test_a_host_that_watches_no_more);
  tcase_add_test(tc, test_the_kernel_is_asked);
  tcase_add_test(tc, test_messages_end_where_they_end);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
