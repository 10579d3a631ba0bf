/* SPDX-License-Identifier: Apache-2.0 */
/* What the UDP adapter tells the engine of the host by itself: its listen port, addresses, families; and where that can't be had. */
#include "udp_rig.h"

#include "io/udp_inside.h"
#include "io/udp_internal.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

/* ---- a kernel without netlink: --wrap=bind ---- */

int __real_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);

static bool no_groups, no_netlink;

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
  struct sockaddr_nl nl = {0};
  if (addr->sa_family == AF_NETLINK)
    memcpy(&nl, addr, len < sizeof nl ? len : sizeof nl);
  if (addr->sa_family == AF_NETLINK && (no_netlink || (no_groups && nl.nl_groups))) {
    errno = EPERM;
    return -1;
  }
  return __real_bind(fd, addr, len);
}

/* ---- signals: --wrap=poll ---- */

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

static unsigned signals; /* that come while the next calls wait */

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
  if (!signals)
    return __real_poll(fds, n, timeout);
  signals--;
  errno = EINTR;
  return -1;
}

/* A host with timers or children gets them whenever it likes: also while the adapter begins. */
START_TEST(test_signals_while_it_begins)
{
  signals = 3;
  rig_start(false, false, _i);
  ck_assert_uint_eq(signals, 0);
  ck_assert(rig_stats().follows_addrs);
  rig_stop();
}
END_TEST

static const fzr_addr *to_bind;

static void add_binding(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_CHANNEL_NUMBER, 0x4001u << 16);
  fzr_stun_add_addr(b, FZR_ATTR_XOR_PEER_ADDRESS, to_bind);
}

static int bind_to(const fzr_addr *peer)
{
  fzr_stun_msg msg;
  to_bind = peer;
  return rig_ask(FZR_STUN_CHANNEL_BIND, add_binding, &msg);
}

/* The engine was told of no listen port, so it has 3478; nobody reaches the one that the adapter really has. */
START_TEST(test_the_listen_port_is_out_of_reach)
{
  rig_start(_i & 1, false, _i & 2);
  ck_assert_uint_ne(rig.listen.port, 3478);
  ck_assert_int_eq(bind_to(&rig.listen), 403);
  fzr_addr other = rig.listen;
  other.port = (uint16_t)(other.port == 65535 ? other.port - 1 : other.port + 1);
  ck_assert_int_eq(bind_to(&other), 0);
  rig_stop();
}
END_TEST

static void ask_for(fzr_stun_builder *b, uint32_t family)
{
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add_u32(b, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, family << 24);
}

static void ask_for_ip4(fzr_stun_builder *b)
{
  ask_for(b, FZR_FAMILY_IPV4);
}

static void ask_for_ip6(fzr_stun_builder *b)
{
  ask_for(b, FZR_FAMILY_IPV6);
}

static void add_nothing(fzr_stun_builder *b)
{
  fzr_stun_add_u32(b, FZR_ATTR_LIFETIME, 0);
}

/* An adapter of one family has no sockets of the other, though the engine has public addresses of both. */
START_TEST(test_an_adapter_of_one_family)
{
  const bool ipv6 = _i;
  fzr_stun_msg msg;
  rig_only_family = ipv6 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
  rig_start(ipv6, false, true);
  rig_only_family = FZR_FAMILY_NONE;
  const fzr_udp_stats stats = rig_stats();
  ck_assert(stats.offered_ip4 == !ipv6 && stats.offered_ip6 == ipv6);
  ck_assert_uint_eq(stats.sockets, 2);
  ck_assert_int_eq(rig_ask(FZR_STUN_REFRESH, add_nothing, &msg), 0);
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, ipv6 ? ask_for_ip4 : ask_for_ip6, &msg), 440);
  ck_assert_uint_eq(rig_stats().sockets, 1);
  /* An engine that was told otherwise gets no socket all the same. */
  ck_assert_int_eq(fzr_engine_set_offered(rig.relay.engine, ipv6 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6, true),
                   0);
  ck_assert_int_eq(rig_ask(FZR_STUN_ALLOCATE, ipv6 ? ask_for_ip4 : ask_for_ip6, &msg), 508);
  ck_assert_uint_eq(rig_stats().sockets, 1);
  rig_stop();
}
END_TEST

START_TEST(test_where_sockets_are_bound)
{
  fzr_addr local;
  rig_start(_i & 1, false, _i & 2);
  ck_assert_int_eq(fzr_udp_port_addr(rig.udp, rig.host.tokens[2], &local), 0);
  ck_assert(fzr_addr_equal(&local, &rig.relayed)); /* public and bound are the same here */
  ck_assert_int_eq(fzr_udp_port_addr(rig.udp, NULL, &local), FZR_ERR_INVALID_ARGUMENT);
  ck_assert_int_eq(fzr_udp_port_addr(NULL, rig.host.tokens[2], &local), FZR_ERR_INVALID_ARGUMENT);
  const fzr_udp_stats stats = rig_stats();
  ck_assert(stats.follows_addrs && stats.offered_ip4 && stats.offered_ip6);
  ck_assert(stats.own_ip4 == !!(_i & 2) && stats.own_ip6 == !!(_i & 2));
  rig_stop();
}
END_TEST

/* Where the kernel does not tell of changes, what there is at the start has to do. */
START_TEST(test_addresses_of_the_start)
{
  no_groups = true;
  rig_start(false, false, true);
  ck_assert(!rig_stats().follows_addrs);
  ck_assert_int_eq(rig.host.addrs_fd, 0);
  ck_assert_int_eq(bind_to(&rig.listen), 403);
  ck_assert_uint_eq(rig_stats().sockets, 3);
  rig_stop();
}
END_TEST

/* An embedder that does not know of the host's addresses learns that the adapter does not, either. */
START_TEST(test_no_netlink)
{
  rig_host h = {.count = 0};
  fzt_relay relay;
  fzr_udp *udp;
  fzr_config config = fzt_config(&relay);
  fzr_udp_config c = {.size = sizeof c, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &h};
  c.bind_ip4 = fzt_addr("127.0.0.1");
  c.ignore_host_addrs = _i;
  no_netlink = true;
  fzt_relay_init(&relay, &config);
  ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), 0);
  errno = 0;
  ck_assert_int_eq(fzr_udp_attach(udp, relay.engine), _i ? 0 : FZR_ERR_IO);
  if (!_i)
    ck_assert_int_eq(errno, EPERM);
  no_netlink = false; /* without forks the next test has it, too */
  fzr_udp_free(udp);
  fzt_relay_free(&relay);
}
END_TEST

/* Memory that runs out on the way leaves nothing behind. */
START_TEST(test_no_memory)
{
  int error = FZR_ERR_NO_MEMORY;
  for (uint64_t n = 1; error; n++) {
    rig_host h = {.count = 0};
    fzt_relay relay;
    fzt_mem mem;
    fzr_udp *udp;
    fzr_config config = fzt_config(&relay);
    fzt_mem_init(&mem);
    fzr_udp_config c = {
        .size = sizeof c, .mem = &mem.hooks, .watch = rig_watch, .unwatch = rig_unwatch, .watch_ctx = &h};
    c.bind_ip4 = fzt_addr("0.0.0.0");
    fzt_relay_init(&relay, &config);
    ck_assert_int_eq(fzr_udp_new(&c, &udp, NULL), 0);
    mem.count = 0;
    mem.fail_from = n;
    error = fzr_udp_attach(udp, relay.engine);
    ck_assert(error == 0 || error == FZR_ERR_NO_MEMORY || error == FZR_ERR_IO);
    fzr_udp_free(udp);
    ck_assert_uint_eq(mem.live, 0);
    fzt_relay_free(&relay);
  }
}
END_TEST

/* Behind a NAT the public address is not the host's: between live allocations it goes from socket to socket, and the client learns of
 * nothing but public addresses. Other programs' ports are left alone. */
START_TEST(test_between_own_allocations)
{
  fzr_addr room;
  rig_start(_i & 1, false, true);
  const unsigned slot = _i & 1;
  fzri_addrs *a = &rig.udp->addrs;
  const fzri_addrs before = *a;
  const fzr_addr inner = rig.relayed;
  a->public_addr[slot] = fzt_addr(slot ? "2001:db8:ffff::1" : "203.0.113.1");
  a->inner_addr[slot] = inner;
  a->inside[slot] = true;
  fzr_addr to = a->public_addr[slot];
  to.port = rig.relayed.port;
  const fzr_addr *sent = fzri_inside_to(rig.udp, &to, &room);
  ck_assert_ptr_eq(sent, &room);
  ck_assert(fzr_addr_equal(sent, &inner));
  /* And back: it seems to have come from the relayed address. */
  fzr_addr from = room;
  fzri_inside_from(rig.udp, &from);
  ck_assert(fzr_addr_equal(&from, &to));
  /* No live allocation's port. */
  fzr_addr dead = to;
  dead.port ^= 1;
  ck_assert_ptr_eq(fzri_inside_to(rig.udp, &dead, &room), &dead);
  from = inner;
  from.port ^= 1;
  const fzr_addr program = from;
  fzri_inside_from(rig.udp, &from);
  ck_assert(fzr_addr_equal(&from, &program));
  /* Another address; and a public one that is the host's. */
  fzr_addr other = to;
  other.ip[3] ^= 1;
  ck_assert_ptr_eq(fzri_inside_to(rig.udp, &other, &room), &other);
  from = other;
  fzri_inside_from(rig.udp, &from);
  ck_assert(fzr_addr_equal(&from, &other));
  a->inside[slot] = false;
  ck_assert_ptr_eq(fzri_inside_to(rig.udp, &to, &room), &to);
  *a = before;
  rig_stop();
}
END_TEST

/* What is for an allocation of another shard is not sent once that is over: the port may be another program's by now. */
START_TEST(test_to_another_shard)
{
  uint8_t got[8];
  rig_start(false, false, false);
  fzr_verdict v = {.data = (const uint8_t *)"data", .stride = 4, .count = 1, .len = 4, .tail_len = 4};
  v.action = FZR_ACT_FORWARD;
  v.to = rig.peer;
  v.from = rig.listen;
  v.flags = FZR_VERDICT_TO_OWN | FZR_VERDICT_TO_SHARD;
  fzri_send_verdicts(rig.udp, &v, 1, rig.relay.now);
  ck_assert_int_eq(recv(rig.peer_fd, got, sizeof got, MSG_DONTWAIT), -1);
  v.flags = FZR_VERDICT_TO_OWN;
  fzri_send_verdicts(rig.udp, &v, 1, rig.relay.now);
  ck_assert_int_eq(recv(rig.peer_fd, got, sizeof got, MSG_DONTWAIT), 4);
  v.to = rig.relayed;
  v.flags = FZR_VERDICT_TO_OWN | FZR_VERDICT_TO_SHARD;
  fzri_send_verdicts(rig.udp, &v, 1, rig.relay.now);
  ck_assert_int_eq(recv(rig_relay_fd(), got, sizeof got, MSG_DONTWAIT), 4);
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp-addrs");
  TCase *tc = tcase_create("udp-addrs");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, test_signals_while_it_begins, 0, 2);
  tcase_add_loop_test(tc, test_the_listen_port_is_out_of_reach, 0, 4);
  tcase_add_loop_test(tc, test_an_adapter_of_one_family, 0, 2);
  tcase_add_loop_test(tc, test_where_sockets_are_bound, 0, 4);
  tcase_add_test(tc, test_addresses_of_the_start);
  tcase_add_loop_test(tc, test_no_netlink, 0, 2);
  tcase_add_test(tc, test_no_memory);
  tcase_add_loop_test(tc, test_between_own_allocations, 0, 2);
  tcase_add_test(tc, test_to_another_shard);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
