/* SPDX-License-Identifier: Apache-2.0 */
/* Where the BPF program sends to when the host's routing table decides, and when it leaves that to user space. */
#include "world.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <net/if.h>

static fzt_world world;
static fzt_frame in, out, expected;

/* Everybody by a neighbour on the interface that frames come in by, but for the IPv4 peer, who is behind the other one. */
static void set_up(void)
{
  fzt_shell(
      "for f in ipv4 ipv6; do for i in fzt0 fzt2; do sysctl -qw net.$f.conf.$i.forwarding=1; done; done");
  fzt_shell("ip addr add 192.0.2.77/24 dev fzt0; ip addr add 2001:db8::77/64 dev fzt0 nodad");
  fzt_shell("ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:aa dev fzt0 nud permanent");
  fzt_shell("ip neigh replace 2001:db8::fe lladdr 02:00:00:00:00:ab dev fzt0 nud permanent");
  fzt_shell("ip addr add 192.0.3.1/24 dev fzt2; ip neigh replace 192.0.3.254 lladdr 02:00:00:00:00:ac dev "
            "fzt2 nud permanent");
  fzt_shell(
      "ip route replace 198.51.100.0/24 via 192.0.2.254; ip route replace 203.0.113.0/24 via 192.0.3.254");
  fzt_shell("ip -6 route replace 2001:db8:1::/48 via 2001:db8::fe; ip -6 route replace 2001:db8:2::/48 via "
            "2001:db8::fe");
  fzt_world_make(&world, false);
  const uint32_t index = if_nametoindex(FZT_EGRESS);
  ck_assert_int_eq(bpf_map_update_elem(world.object.targets, &index, &index, BPF_ANY), 0);
}

static void tear_down(void)
{
  fzt_world_free(&world);
  fzt_shell("ip addr flush dev fzt0; ip addr flush dev fzt2; ip route flush root 203.0.113.0/24");
}

static void make(unsigned index, bool up, size_t len)
{
  fzt_world_data(&world, index, up, len, &in);
}

static void expect(uint32_t action, uint8_t mac, uint8_t own)
{
  const uint8_t macs[12] = {2, 0, 0, 0, 0, mac, 2, 0, 0, 0, 0, own};
  ck_assert_int_eq(fzt_reference_relay(&world.reference, &in, &expected), -1);
  memcpy(expected.data, macs, sizeof macs);
  ck_assert_uint_eq(fzt_program_run(&world.object, &in, 0, &out), action);
  ck_assert_int_eq(fzt_program_reason(&world.object), -1);
  ck_assert_uint_eq(out.len, expected.len);
  ck_assert_mem_eq(out.data, expected.data, out.len);
}

static void expect_passed(int reason)
{
  ck_assert_uint_eq(fzt_program_run(&world.object, &in, 0, &out), XDP_PASS);
  ck_assert_int_eq(fzt_program_reason(&world.object), reason);
  ck_assert_uint_eq(out.len, in.len);
  ck_assert_mem_eq(out.data, in.data, in.len);
}

START_TEST(test_back_by_the_same_interface)
{
  make(0, false, 100); /* IPv4 peer to IPv4 client */
  expect(XDP_TX, 0xaa, 0x10);
  make(1, false, 100); /* IPv6 peer to IPv4 client */
  expect(XDP_TX, 0xaa, 0x10);
  make(1, true, 100); /* IPv4 client to IPv6 peer */
  expect(XDP_TX, 0xab, 0x10);
  make(3, true, 100);
  expect(XDP_TX, 0xab, 0x10);
  make(3, false, 100);
  expect(XDP_TX, 0xab, 0x10);
}
END_TEST

START_TEST(test_by_another_interface)
{
  make(0, true, 100);
  expect(XDP_REDIRECT, 0xac, 0x12);
  make(2, true, 100); /* IPv6 client to IPv4 peer */
  expect(XDP_REDIRECT, 0xac, 0x12);
}
END_TEST

START_TEST(test_an_interface_that_is_not_ours)
{
  const uint32_t index = if_nametoindex(FZT_EGRESS);
  ck_assert_int_eq(bpf_map_delete_elem(world.object.targets, &index), 0);
  make(0, true, 100);
  expect_passed(FZX_PASSED_INTERFACE);
}
END_TEST

START_TEST(test_forwarding_off)
{
  fzt_shell("sysctl -qw net.ipv4.conf.fzt0.forwarding=0");
  make(0, true, 100);
  expect_passed(FZX_PASSED_NO_FORWARDING);
  make(3, true, 100);
  expect(XDP_TX, 0xab, 0x10);
  fzt_shell("sysctl -qw net.ipv6.conf.fzt0.forwarding=0");
  /* It took the routes' neighbours along; a route is needed to get as far. */
  expect_passed(FZX_PASSED_NO_FORWARDING);
}
END_TEST

START_TEST(test_neighbour_unknown)
{
  fzt_shell("ip neigh del 192.0.2.254 dev fzt0; ip neigh del 2001:db8::fe dev fzt0");
  make(0, false, 100);
  expect_passed(FZX_PASSED_NO_NEIGHBOUR);
  make(3, true, 100);
  expect_passed(FZX_PASSED_NO_NEIGHBOUR);
}
END_TEST

START_TEST(test_no_route)
{
  fzt_shell("ip route replace blackhole 203.0.113.0/24");
  make(0, true, 100);
  expect_passed(FZX_PASSED_NO_ROUTE);
  fzt_shell("ip route del 203.0.113.0/24");
  expect_passed(FZX_PASSED_NO_ROUTE);
}
END_TEST

/* Down grows by 4, so 1,468 bytes of payload are the most for IPv4 at 1,500; 24 from IPv6 to IPv4 are taken off, and so on. */
START_TEST(test_mtu_of_the_link)
{
  make(0, false, 1468);
  expect(XDP_TX, 0xaa, 0x10);
  make(0, false, 1469);
  expect_passed(FZX_PASSED_MTU);
  make(1, true, 1452);
  expect(XDP_TX, 0xab, 0x10);
  make(1, true, 1453);
  expect_passed(FZX_PASSED_MTU);
  make(2, false, 1448);
  expect(XDP_TX, 0xab, 0x10);
  make(2, false, 1449);
  expect_passed(FZX_PASSED_MTU);
}
END_TEST

START_TEST(test_mtu_of_the_route)
{
  fzt_shell("ip route replace 203.0.113.0/24 via 192.0.3.254 mtu lock 1300");
  make(0, true, 1272);
  expect(XDP_REDIRECT, 0xac, 0x12);
  make(0, true, 1273);
  expect_passed(FZX_PASSED_MTU);
}
END_TEST

/* To an address of the host itself: the packet would leave and not come back. */
START_TEST(test_to_the_host_itself)
{
  fzt_shell("ip addr add 203.0.113.9/32 dev fzt2");
  make(0, true, 100);
  expect_passed(FZX_PASSED_NO_ROUTE);
  fzt_shell("ip addr del 203.0.113.9/32 dev fzt2");
}
END_TEST

/* With --tcx it is the program of tcx. */
int main(int argc, char **argv)
{
  if (!fzt_program_prepare())
    return FZT_SKIP;
  if (argc > 1 && strcmp(argv[1], "--tcx") == 0)
    fzt_program_use_tcx();
  Suite *suite = suite_create("xdp-route");
  TCase *tc = tcase_create("route");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_back_by_the_same_interface);
  tcase_add_test(tc, test_by_another_interface);
  tcase_add_test(tc, test_an_interface_that_is_not_ours);
  tcase_add_test(tc, test_forwarding_off);
  tcase_add_test(tc, test_neighbour_unknown);
  tcase_add_test(tc, test_no_route);
  tcase_add_test(tc, test_mtu_of_the_link);
  tcase_add_test(tc, test_mtu_of_the_route);
  tcase_add_test(tc, test_to_the_host_itself);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
