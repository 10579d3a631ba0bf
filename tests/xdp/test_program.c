/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF program on single frames: what it relays is what the engine would send and what the reference makes of the frame, sums
 * computed in full; what it leaves alone it does not touch, and counts by its reason. */
#include "relay_cases.h"
#include "scene.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what the engine does with it ---- */

static void compare_with_engine(const fzt_relay_case *c, unsigned index)
{
  const fzt_channel *channel = &scene.world.bound[index];
  static uint8_t datagram[2048];
  fzt_relay_case here = *c;
  if (here.channel == FZT_CASE_CHANNEL)
    here.channel = channel->number;
  const uint16_t len = fzt_relay_case_make(&here, datagram);
  fzt_world_frame(&scene.world, index, c->up, datagram, len, &scene.in);
  if (c->up)
    fzt_client(&scene.world.relay, &channel->client, &channel->listen, datagram, len);
  else
    fzt_peer(&scene.world.relay, &channel->peer, channel->relayed.port, datagram, len);
  const fzr_verdict *v = &scene.world.relay.verdicts[0];
  ck_assert_uint_eq(scene.world.relay.verdict_count, 1);
  const uint8_t family = fzt_scene_family_out(index, c->up);
  const size_t udp = fzt_udp_at(family), headers = udp + 8 + (c->up ? 0 : 4);
  if (!c->in_kernel || headers + (size_t)c->relayed < FZX_FRAME_MIN) {
    ck_assert_uint_eq(fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out), XDP_PASS);
    ck_assert_mem_eq(scene.out.data, scene.in.data, scene.in.len);
    ck_assert_int_ge(fzt_program_reason(&scene.world.object), 0);
    return;
  }
  ck_assert_uint_eq(v->action, FZR_ACT_FORWARD);
  fzt_scene_expect_relayed(c->name);
  ck_assert(fzt_sums_are_right(&scene.out));
  /* Byte for byte what the engine says: header, payload, and where to. */
  ck_assert_uint_eq(scene.out.len, udp + 8 + v->hdr_len + v->tail_len + v->tail_pad);
  ck_assert(!v->hdr_len ||
            !memcmp(scene.out.data + udp + 8, fzr_verdict_header(v, v->count - 1u), v->hdr_len));
  ck_assert(!v->tail_len || !memcmp(scene.out.data + udp + 8 + v->hdr_len, v->data, v->tail_len));
  ck_assert_uint_eq(fzt_get16(scene.out.data + udp + 2), v->to.port);
  ck_assert_uint_eq(fzt_get16(scene.out.data + udp), v->from.port);
  ck_assert_mem_eq(scene.out.data + udp - (family == FZR_FAMILY_IPV4 ? 4 : 16), v->to.ip,
                   family == FZR_FAMILY_IPV4 ? 4 : 16);
}

START_TEST(test_shared_cases)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++)
    compare_with_engine(&fzt_relay_cases[_i], index);
}
END_TEST

/* ---- sizes ---- */

START_TEST(test_every_size)
{
  uint64_t bytes, before_bytes, sum = 0;
  const unsigned index = (unsigned)_i / 2;
  const bool up = _i % 2;
  const size_t head_out = fzt_udp_at(fzt_scene_family_out(index, up)) + 8 + (up ? 0 : 4);
  const size_t head_in = fzt_udp_at(fzt_scene_family_in(index, up)) + 8 + (up ? 4 : 0);
  const unsigned times = fzt_program_is_tcx() ? 2 : 1; /* that each is relayed: see scene.c */
  uint64_t packets = 0;
  const uint64_t before = fzt_program_relayed(&scene.world.object, &before_bytes);
  for (size_t len = 0; head_in + len <= 1514; len++) {
    fzt_scene_make(index, up, len);
    if (head_out + len < FZX_FRAME_MIN) {
      fzt_scene_expect_passed(FZX_PASSED_SHORT, "short");
    } else if (head_out + len > 1514) {
      fzt_scene_expect_passed(FZX_PASSED_MTU, "long");
    } else {
      fzt_scene_expect_relayed("size");
      fzt_check(fzt_sums_are_right(&scene.out));
      packets += times;
      sum += times * len;
    }
  }
  ck_assert_uint_eq(fzt_program_relayed(&scene.world.object, &bytes) - before, packets);
  ck_assert_uint_eq(bytes - before_bytes, sum);
}
END_TEST

/* On a link for it, packets of several buffers are relayed, too. */
START_TEST(test_jumbo)
{
  if (fzt_program_is_tcx())
    return; /* the kernel makes no socket buffer of more than a page here; test_xdp.py has larger ones */
  fzt_shell("ip link set fzt1 mtu 9000; ip link set fzt0 mtu 9000");
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      fzt_scene_make(index, up, 8000);
      fzt_scene_expect_relayed("jumbo");
      ck_assert(fzt_sums_are_right(&scene.out));
    }
  }
  fzt_shell("ip link set fzt1 mtu 1500; ip link set fzt0 mtu 1500");
}
END_TEST

/* ---- sums ---- */

/* Sets two bytes of the payload so that the UDP checksum is |wanted|. */
static void bring_sum_to(uint16_t wanted, uint8_t family, size_t at)
{
  fzt_put16(scene.in.data + at, 0);
  fzt_fix_udp_sum(&scene.in, family);
  /* Adding x to the data takes x off the field, in one's complement. */
  const uint32_t field = fzt_get16(scene.in.data + fzt_udp_at(family) + 6);
  const uint32_t x = field + (uint16_t)~wanted;
  fzt_put16(scene.in.data + at, (uint16_t)((x & 0xffff) + (x >> 16)));
  fzt_fix_udp_sum(&scene.in, family);
  ck_assert_uint_eq(fzt_get16(scene.in.data + fzt_udp_at(family) + 6), wanted);
}

START_TEST(test_sum_of_0xffff)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      fzt_scene_make(index, up, 100);
      bring_sum_to(0xffff, fzt_scene_family_in(index, up), scene.in.len - 20 - scene.in.len % 2);
      fzt_scene_expect_relayed("0xffff");
      ck_assert(fzt_sums_are_right(&scene.out));
    }
  }
}
END_TEST

/* One that would become 0, which means "none", has to leave as 0xffff. */
START_TEST(test_sum_that_becomes_0)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      bool met = false;
      for (uint32_t x = 0; x <= 0xffff && !met; x++) {
        fzt_scene_make(index, up, 100);
        fzt_put16(scene.in.data + scene.in.len - 20 - scene.in.len % 2, (uint16_t)x);
        fzt_fix_udp_sum(&scene.in, fzt_scene_family_in(index, up));
        met = fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected) == -1 &&
              fzt_get16(scene.expected.data + fzt_udp_at(fzt_scene_family_out(index, up)) + 6) == 0xffff;
      }
      ck_assert(met);
      fzt_scene_expect_relayed("becomes 0");
      ck_assert(fzt_sums_are_right(&scene.out));
    }
  }
}
END_TEST

/* It is not laundered: whoever gets it can tell. */
START_TEST(test_wrong_sum_stays_wrong)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      fzt_scene_make(index, up, 100);
      scene.in.data[scene.in.len - 1] ^= 0x10;
      ck_assert(!fzt_sums_are_right(&scene.in));
      ck_assert_uint_eq(fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out), XDP_TX);
      ck_assert(!fzt_sums_are_right(&scene.out));
      fzt_fix_udp_sum(&scene.out, fzt_scene_family_out(index, up));
      ck_assert_int_eq(fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected), -1);
      ck_assert_mem_eq(scene.out.data, scene.expected.data, scene.expected.len);
    }
  }
}
END_TEST

START_TEST(test_no_sum)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      fzt_scene_make(index, up, 100);
      fzt_put16(scene.in.data + fzt_udp_at(fzt_scene_family_in(index, up)) + 6, 0);
      if (fzt_scene_family_in(index, up) == FZR_FAMILY_IPV6 ||
          fzt_scene_family_out(index, up) == FZR_FAMILY_IPV6) {
        fzt_scene_expect_passed(FZX_PASSED_NO_CHECKSUM, "no checksum");
        continue;
      }
      fzt_scene_expect_relayed("no checksum");
      ck_assert_uint_eq(fzt_get16(scene.out.data + fzt_udp_at(FZR_FAMILY_IPV4) + 6), 0);
    }
  }
}
END_TEST

/* ---- reasons ---- */

static void edit_ip(size_t at, uint8_t value)
{
  scene.in.data[14 + at] = value;
  if (fzt_get16(scene.in.data + 12) == 0x0800)
    fzt_fix_ip_sum(&scene.in);
}

static void vlan(void)
{
  memmove(scene.in.data + 16, scene.in.data + 12, scene.in.len - 12);
  fzt_put16(scene.in.data + 12, 0x8100);
  fzt_put16(scene.in.data + 14, 7);
  scene.in.len += 4;
}
static void qinq(void)
{
  vlan();
  fzt_put16(scene.in.data + 12, 0x88a8);
}
static void arp(void)
{
  fzt_put16(scene.in.data + 12, 0x0806);
}
static void only_a_mac_header(void)
{
  scene.in.len = 14;
  fzt_put16(scene.in.data + 12, 0x88cc);
}
static void multicast(void)
{
  scene.in.data[0] = 1;
}
static void broadcast(void)
{
  memset(scene.in.data, 0xff, 6);
}
static void from_multicast(void)
{
  scene.in.data[6] |= 1;
}
static void tcp4(void)
{
  edit_ip(9, 6);
}
static void options4(void)
{
  edit_ip(0, 0x46);
}
static void version5(void)
{
  edit_ip(0, 0x55);
}
static void first_fragment(void)
{
  edit_ip(6, 0x20);
}
static void later_fragment(void)
{
  edit_ip(7, 0x05);
}
static void ttl1(void)
{
  edit_ip(8, 1);
}
static void ttl0(void)
{
  edit_ip(8, 0);
}
static void ip_sum(void)
{
  scene.in.data[24] ^= 1;
}
static void ip_shorter(void)
{
  edit_ip(3, (uint8_t)(scene.in.data[17] - 1));
}
static void ip_longer(void)
{
  edit_ip(3, (uint8_t)(scene.in.data[17] + 1));
}
static void frame_padded(void)
{
  memset(scene.in.data + scene.in.len, 0, 6);
  scene.in.len += 6;
}
static void frame_cut(void)
{
  scene.in.len -= 1;
}
static void cut_in_headers(void)
{
  scene.in.len = 41;
}
static void udp_shorter4(void)
{
  fzt_put16(scene.in.data + 38, (uint16_t)(fzt_get16(scene.in.data + 38) - 2));
}
static void udp_of_7(void)
{
  fzt_put16(scene.in.data + 38, 7);
}
static void other_port4(void)
{
  fzt_put16(scene.in.data + 36, 3479);
}
static void below_range4(void)
{
  fzt_put16(scene.in.data + 36, FZT_LOWEST - 1);
}
static void unfinished4(void)
{
  fzt_unfinish_udp_sum(&scene.in, FZR_FAMILY_IPV4);
}
static void unfinished6(void)
{
  fzt_unfinish_udp_sum(&scene.in, FZR_FAMILY_IPV6);
}
static void stun4(void)
{
  fzt_put16(scene.in.data + 42, 0x0001);
}
static void channel_3fff(void)
{
  fzt_put16(scene.in.data + 42, 0x3fff);
}
static void channel_5000(void)
{
  fzt_put16(scene.in.data + 42, 0x5000);
}
static void channel_unbound(void)
{
  fzt_put16(scene.in.data + 42, 0x4fff);
}
static void channel_longer(void)
{
  fzt_put16(scene.in.data + 44, 101);
}
static void channel_padding(void)
{
  fzt_put16(scene.in.data + 44, 97);
}
static void other_client_port(void)
{
  scene.in.data[35] ^= 1;
}
static void other_client_ip(void)
{
  edit_ip(15, 77);
}
static void other_destination(void)
{
  edit_ip(19, 250);
}
static void tcp6(void)
{
  scene.in.data[20] = 6;
}
static void icmp6(void)
{
  scene.in.data[20] = 58;
}
static void hop_by_hop(void)
{
  scene.in.data[20] = 0;
}
static void routing_header(void)
{
  scene.in.data[20] = 43;
}
static void auth_header(void)
{
  scene.in.data[20] = 51;
}
static void destination_options(void)
{
  scene.in.data[20] = 60;
}
static void fragment6(void)
{
  scene.in.data[20] = 44;
}
static void version7(void)
{
  scene.in.data[14] = (uint8_t)(0x70 | (scene.in.data[14] & 15));
}
static void hop_limit1(void)
{
  scene.in.data[21] = 1;
}
static void ip6_longer(void)
{
  scene.in.data[19]++;
}
static void cut_in_headers6(void)
{
  scene.in.len = 61;
}
static void no_sum6(void)
{
  fzt_put16(scene.in.data + 60, 0);
}
static void other_destination6(void)
{
  scene.in.data[53] ^= 0x80;
}
static void other_peer6(void)
{
  scene.in.data[37] ^= 1;
}
static void group6(void)
{
  scene.in.data[0] = 0x33;
}

/* The channel (client's family * 2 + peer's), the direction, what is wrong, and what is counted. */
static const struct {
  const char *name;
  void (*edit)(void);
  unsigned index;
  bool up;
  int reason;
} rows[] = {
    {"ARP", arp, 0, true, FZX_PASSED_NOT_UDP},
    {"nothing but a MAC header", only_a_mac_header, 0, true, FZX_PASSED_NOT_UDP},
    {"TCP", tcp4, 0, true, FZX_PASSED_NOT_UDP},
    {"VLAN", vlan, 0, true, FZX_PASSED_VLAN},
    {"802.1ad", qinq, 3, false, FZX_PASSED_VLAN},
    {"multicast MAC", multicast, 0, true, FZX_PASSED_GROUP},
    {"broadcast MAC", broadcast, 0, false, FZX_PASSED_GROUP},
    {"from a multicast MAC", from_multicast, 0, true, FZX_PASSED_GROUP},
    {"from a multicast MAC, IPv6", from_multicast, 3, false, FZX_PASSED_GROUP},
    {"IPv4 options", options4, 0, true, FZX_PASSED_OPTIONS},
    {"IPv4 of version 5", version5, 0, true, FZX_PASSED_OPTIONS},
    {"first fragment", first_fragment, 0, true, FZX_PASSED_FRAGMENT},
    {"later fragment", later_fragment, 0, false, FZX_PASSED_FRAGMENT},
    {"TTL 1", ttl1, 0, true, FZX_PASSED_TTL},
    {"TTL 0", ttl0, 0, false, FZX_PASSED_TTL},
    {"IPv4 header sum", ip_sum, 0, true, FZX_PASSED_IP_CHECKSUM},
    {"IP length of less", ip_shorter, 0, true, FZX_PASSED_LENGTH},
    {"IP length of more", ip_longer, 0, false, FZX_PASSED_LENGTH},
    {"Ethernet padding", frame_padded, 0, true, FZX_PASSED_LENGTH},
    {"Ethernet padding, down", frame_padded, 3, false, FZX_PASSED_LENGTH},
    {"cut off", frame_cut, 0, true, FZX_PASSED_LENGTH},
    {"cut off in the headers", cut_in_headers, 0, true, FZX_PASSED_LENGTH},
    {"UDP length of less", udp_shorter4, 0, true, FZX_PASSED_LENGTH},
    {"UDP length of 7", udp_of_7, 0, false, FZX_PASSED_LENGTH},
    {"another port", other_port4, 0, true, FZX_PASSED_PORT},
    {"below the range", below_range4, 0, false, FZX_PASSED_PORT},
    {"unfinished sum, up", unfinished4, 0, true, FZX_PASSED_UNFINISHED},
    {"unfinished sum, down", unfinished4, 0, false, FZX_PASSED_UNFINISHED},
    {"unfinished sum, IPv6, up", unfinished6, 3, true, FZX_PASSED_UNFINISHED},
    {"unfinished sum, IPv6, down", unfinished6, 3, false, FZX_PASSED_UNFINISHED},
    {"a STUN message", stun4, 0, true, FZX_PASSED_NOT_CHANNEL_DATA},
    {"channel 0x3fff", channel_3fff, 0, true, FZX_PASSED_NOT_CHANNEL_DATA},
    {"channel 0x5000", channel_5000, 0, true, FZX_PASSED_NOT_CHANNEL_DATA},
    {"channel length of more", channel_longer, 0, true, FZX_PASSED_CHANNEL_LENGTH},
    {"channel padding", channel_padding, 0, true, FZX_PASSED_CHANNEL_LENGTH},
    {"channel not bound", channel_unbound, 0, true, FZX_PASSED_NO_ENTRY},
    {"another port of the client", other_client_port, 0, true, FZX_PASSED_NO_ENTRY},
    {"another address of the client", other_client_ip, 0, true, FZX_PASSED_NO_ENTRY},
    {"another port of the peer", other_client_port, 0, false, FZX_PASSED_NO_ENTRY},
    {"another peer, IPv6", other_peer6, 3, false, FZX_PASSED_NO_ENTRY},
    {"another destination, up", other_destination, 0, true, FZX_PASSED_DESTINATION},
    {"another destination, down", other_destination, 0, false, FZX_PASSED_DESTINATION},
    {"another destination, IPv6", other_destination6, 3, true, FZX_PASSED_DESTINATION},
    {"another destination, IPv6, down", other_destination6, 3, false, FZX_PASSED_DESTINATION},
    {"TCP over IPv6", tcp6, 3, true, FZX_PASSED_NOT_UDP},
    {"ICMPv6", icmp6, 3, true, FZX_PASSED_NOT_UDP},
    {"hop-by-hop options", hop_by_hop, 3, true, FZX_PASSED_OPTIONS},
    {"routing header", routing_header, 3, true, FZX_PASSED_OPTIONS},
    {"authentication header", auth_header, 3, true, FZX_PASSED_OPTIONS},
    {"destination options", destination_options, 3, false, FZX_PASSED_OPTIONS},
    {"IPv6 fragment", fragment6, 3, true, FZX_PASSED_FRAGMENT},
    {"IPv6 of version 7", version7, 3, true, FZX_PASSED_OPTIONS},
    {"hop limit 1", hop_limit1, 3, true, FZX_PASSED_TTL},
    {"IPv6 length of more", ip6_longer, 3, false, FZX_PASSED_LENGTH},
    {"IPv6, cut off in the headers", cut_in_headers6, 3, true, FZX_PASSED_LENGTH},
    {"IPv6 without a checksum", no_sum6, 3, true, FZX_PASSED_NO_CHECKSUM},
    {"IPv6 multicast MAC", group6, 3, true, FZX_PASSED_GROUP},
};

START_TEST(test_reasons)
{
  fzt_scene_make(rows[_i].index, rows[_i].up, 100);
  fzt_scene_expect_relayed("before it was changed");
  rows[_i].edit();
  fzt_scene_expect_passed(rows[_i].reason, rows[_i].name);
  /* The reference agrees, so that it can be trusted with random frames. */
  ck_assert_int_eq(fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected), rows[_i].reason);
}
END_TEST

START_TEST(test_shorter_than_a_channel_header)
{
  for (size_t len = 0; len < 4; len++) {
    fzt_world_frame(&scene.world, 0, true, (const uint8_t *)"\x40\x00\x00", len, &scene.in);
    fzt_scene_expect_passed(FZX_PASSED_NOT_CHANNEL_DATA, "cut off in the channel header");
  }
}
END_TEST

/* As much metadata of another program in front of the frame as the kernel allows leaves no room to grow into. */
START_TEST(test_no_headroom)
{
  fzt_scene_make(0, false, 100);
  const unsigned metadata = 216;
  const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, metadata, &scene.out);
  if (action == FZT_REFUSED)
    return; /* another kernel, another limit */
  ck_assert_uint_eq(action, XDP_PASS);
  ck_assert_int_eq(fzt_program_reason(&scene.world.object), FZX_PASSED_NO_HEADROOM);
  ck_assert_uint_eq(scene.out.len, scene.in.len + metadata);
  ck_assert_mem_eq(scene.out.data + metadata, scene.in.data, scene.in.len);
}
END_TEST

/* What looks just like a packet that is relayed, but stands for several. Some makers of them do not say how many. */
START_TEST(test_runs_are_for_user_space)
{
  if (!fzt_program_is_tcx())
    return;
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      fzt_scene_make(index, up, 400);
      fzt_scene_expect_relayed("as one packet");
      ck_assert_uint_eq(fzt_program_run_gso(&scene.world.object, &scene.in, 200, &scene.out), XDP_PASS);
      ck_assert_int_eq(fzt_program_reason(&scene.world.object), FZX_PASSED_RUN);
      ck_assert_uint_eq(scene.out.len, scene.in.len);
      ck_assert_mem_eq(scene.out.data, scene.in.data, scene.in.len);
    }
  }
}
END_TEST

/* What tries drivers leaves packets as they were. */
static uint32_t found(unsigned metadata)
{
  xdp_object probe = scene.world.object;
  uint32_t interface = if_nametoindex(FZT_INGRESS), head = 0;
  probe.program = probe.probe;
  const uint32_t action = fzt_program_run(&probe, &scene.in, metadata, &scene.out);
  if (action == FZT_REFUSED)
    return FZX_HEAD_FIXED; /* another kernel, another limit */
  ck_assert_uint_eq(action, XDP_PASS);
  ck_assert_uint_eq(scene.out.len, scene.in.len + metadata);
  ck_assert_mem_eq(scene.out.data + metadata, scene.in.data, scene.in.len);
  ck_assert_int_eq(bpf_map_lookup_elem(probe.heads, &interface, &head), 0);
  return head;
}

START_TEST(test_whether_packets_can_grow)
{
  if (fzt_program_is_tcx())
    return;
  fzt_scene_make(0, false, 100);
  ck_assert_uint_eq(found(0), FZX_HEAD_MOVES);
  ck_assert_uint_eq(found(216), FZX_HEAD_FIXED);
}
END_TEST

static void add_reasons(TCase *tc)
{
  tcase_add_test(tc, test_whether_packets_can_grow);
  tcase_add_test(tc, test_runs_are_for_user_space);
  tcase_add_loop_test(tc, test_reasons, 0, (int)(sizeof rows / sizeof *rows));
  tcase_add_test(tc, test_shorter_than_a_channel_header);
  tcase_add_test(tc, test_no_headroom);
}

/* Whether the object can be loaded by a process with these capabilities alone. */
static bool loads_with(uint64_t mask)
{
  int status = 1;
  const pid_t child = fork();
  if (child == 0) {
    xdp_object object;
    fzt_keep_capabilities(mask);
    const xdp_object_config config = {.settings = {FZT_LISTEN_PORT, FZT_LOWEST, FZT_HIGHEST, FZX_ROUTE_FIB},
                                      .entries = 16};
    const int error = xdp_object_load(&config, &object);
    _exit(error == 0 ? 0 : error == -EPERM || error == -EACCES ? 1 : 2);
  }
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
  return WEXITSTATUS(status) == 0;
}

#define TWO_CAPABILITIES (1ull << CAP_BPF | 1ull << CAP_NET_ADMIN)

START_TEST(test_it_takes_both_capabilities)
{
  ck_assert(loads_with(TWO_CAPABILITIES));
  ck_assert(!loads_with(1ull << CAP_BPF));
  ck_assert(!loads_with(1ull << CAP_NET_ADMIN));
}
END_TEST

/* The bar is 20,000, however privileged the loader is. */
START_TEST(test_effort_of_the_verifier)
{
  struct bpf_prog_info info;
  uint32_t len = sizeof info;
  memset(&info, 0, sizeof info);
  ck_assert_int_eq(bpf_obj_get_info_by_fd(scene.world.object.program, &info, &len), 0);
  printf("%u instructions verified, %u bytes of machine code\n", info.verified_insns, info.jited_prog_len);
  ck_assert_uint_lt(info.verified_insns, 20000);
}
END_TEST

/* With --tcx it is the program of tcx; with --two-capabilities everything is done with just CAP_BPF and CAP_NET_ADMIN. */
int main(int argc, char **argv)
{
  if (!fzt_program_prepare())
    return FZT_SKIP;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--two-capabilities") == 0)
      fzt_keep_capabilities(TWO_CAPABILITIES);
    if (strcmp(argv[i], "--tcx") == 0)
      fzt_program_use_tcx();
  }
  Suite *suite = suite_create("xdp-program");
  TCase *tc = tcase_create("program");
  tcase_add_checked_fixture(tc, fzt_scene_set_up, fzt_scene_tear_down);
  tcase_add_loop_test(tc, test_shared_cases, 0, (int)FZT_RELAY_CASES);
  tcase_add_loop_test(tc, test_every_size, 0, FZT_CHANNELS * 2);
  tcase_add_test(tc, test_jumbo);
  tcase_add_test(tc, test_sum_of_0xffff);
  tcase_add_test(tc, test_sum_that_becomes_0);
  tcase_add_test(tc, test_wrong_sum_stays_wrong);
  tcase_add_test(tc, test_no_sum);
  tcase_add_test(tc, test_effort_of_the_verifier);
  tcase_add_test(tc, test_it_takes_both_capabilities);
  add_reasons(tc);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
