/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF program drops: what the engine would drop, for the same reason, and nothing else. */
#include "scene.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#define RATE 10u

/* The addresses that the relay's sockets have, here as if the last worker had told of its channels. */
static void begin(uint32_t flags)
{
  const fzr_addr own[] = {fzt_addr(FZT_LISTEN), fzt_addr(FZT_LISTEN6), scene.world.channels.own_ip4,
                          scene.world.channels.own_ip6};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    ck_assert_int_eq(bpf_map_update_elem(scene.world.object.own, own[i].ip, &flags, BPF_ANY), 0);
}

static void set_up(void)
{
  fzt_scene_set_up();
  begin(FZX_OWN_ALL_CLIENTS);
}

static void expect_dropped(int reason, const char *what)
{
  const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
  const int counted = fzt_program_dropped(&scene.world.object),
            passed = fzt_program_reason(&scene.world.object);
  ck_assert_msg(action == XDP_DROP, "%s: action %u, passed for %s", what, action,
                passed >= 0 ? fzx_passed_name((unsigned)passed) : "-");
  ck_assert_msg(counted == reason, "%s: counted %d instead of %d", what, counted, reason);
  ck_assert_int_eq(passed, -1);
}

static void expect_passed(int reason, const char *what)
{
  fzt_scene_expect_passed(reason, what);
  ck_assert_int_eq(fzt_program_dropped(&scene.world.object), -1);
}

/* ---- to the listen port ---- */

#define COOKIE 0x21, 0x12, 0xa4, 0x42
#define TXID   1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12

/* What is dropped, or, with -1, goes on for `passed`. The first 24 bytes, or fewer; what is longer ends in zeros. */
static const struct {
  const char *name;
  uint8_t data[24];
  size_t len;
  int dropped, passed;
} packets[] = {
    {"nothing", {0}, 0, FZX_DROPPED_NOT_STUN, 0},
    {"text", "SSH-2.0-Test_1", 14, FZX_DROPPED_NOT_STUN, 0},
    {"text of some length", "SSH-2.0-Test_1", 300, FZX_DROPPED_NOT_STUN, 0},
    {"first byte 4", {4, 1}, 100, FZX_DROPPED_NOT_STUN, 0},
    {"first byte 0x3f", {0x3f}, 100, FZX_DROPPED_NOT_STUN, 0},
    {"first byte 0x50", {0x50}, 100, FZX_DROPPED_NOT_STUN, 0},
    {"RTP", {0x80, 0x60}, 100, FZX_DROPPED_NOT_STUN, 0},
    {"a greeting of TLS", {22, 3, 1}, 100, -1, FZX_PASSED_NOT_CHANNEL_DATA},
    {"one of DTLS", {22, 254, 253}, 100, -1, FZX_PASSED_NOT_CHANNEL_DATA},
    {"STUN without its header", {0, 1, 0, 0, COOKIE}, 19, FZX_DROPPED_STUN_TRUNCATED, 0},
    {"one byte of STUN", {0}, 1, FZX_DROPPED_STUN_TRUNCATED, 0},
    {"another cookie", {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43}, 20, FZX_DROPPED_STUN_COOKIE, 0},
    {"no cookie", {0, 1}, 20, FZX_DROPPED_STUN_COOKIE, 0},
    {"a length of 3", {0, 1, 0, 3, COOKIE}, 23, FZX_DROPPED_STUN_LENGTH, 0},
    {"a length of more", {0, 1, 0, 8, COOKIE}, 24, FZX_DROPPED_STUN_TRUNCATED, 0},
    {"a length of less", {0, 1, 0, 0, COOKIE}, 24, FZX_DROPPED_STUN_TRUNCATED, 0},
    {"a response", {1, 1, 0, 0, COOKIE, TXID}, 20, FZX_DROPPED_STUN_NOT_REQUEST, 0},
    {"an error", {1, 0x11, 0, 80, COOKIE, TXID}, 100, FZX_DROPPED_STUN_NOT_REQUEST, 0},
    {"an indication", {0, 0x16, 0, 80, COOKIE, TXID}, 100, -1, FZX_PASSED_NOT_CHANNEL_DATA},
    {"Binding", {0, 1, 0, 0, COOKIE, TXID}, 20, -1, FZX_PASSED_NOT_CHANNEL_DATA},
    {"Allocate", {0, 3, 0, 80, COOKIE, TXID}, 100, -1, FZX_PASSED_NOT_CHANNEL_DATA},
    {"ChannelData without its header", {0x40, 0, 0}, 3, FZX_DROPPED_CHANNEL_TRUNCATED, 0},
    {"ChannelData of more", {0x40, 0, 0, 97}, 100, FZX_DROPPED_CHANNEL_TRUNCATED, 0},
    {"ChannelData of less", {0x40, 0, 0, 90}, 100, -1, FZX_PASSED_CHANNEL_LENGTH},
    {"ChannelData, not bound", {0x4f, 0xff, 0, 96}, 100, -1, FZX_PASSED_NO_ENTRY},
};

/* |packet| from the client of channel |index|. */
static void make_packet(size_t packet, unsigned index)
{
  uint8_t data[512] = {0};
  memcpy(data, packets[packet].data, sizeof packets[packet].data);
  fzt_world_frame(&scene.world, index, true, data, packets[packet].len, &scene.in);
}

START_TEST(test_to_the_listener)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index += 3) {
    make_packet((size_t)_i, index);
    if (packets[_i].dropped < 0)
      expect_passed(packets[_i].passed, packets[_i].name);
    else
      expect_dropped(packets[_i].dropped, packets[_i].name);
  }
}
END_TEST

/* Drivers hand over what they were sent, and Ethernet sends 60 bytes at least. */
START_TEST(test_padded_frames)
{
  make_packet(1, 0);
  while (scene.in.len < 60)
    scene.in.data[scene.in.len++] = 0;
  expect_dropped(FZX_DROPPED_NOT_STUN, "14 bytes, padded to 18");
  make_packet(2, 0);
  scene.in.len++;
  expect_passed(FZX_PASSED_LENGTH, "a longer one, padded");
  make_packet(2, 0);
  scene.in.len--;
  expect_passed(FZX_PASSED_LENGTH, "cut off");
  /* From a peer that has a channel. */
  fzt_scene_make(0, false, 10);
  while (scene.in.len < 60)
    scene.in.data[scene.in.len++] = 0;
  expect_passed(FZX_PASSED_LENGTH, "of a peer, padded");
  scene.in.data[35] ^= 1;
  fzt_fix_udp_sum(&scene.in, FZR_FAMILY_IPV4);
  expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "of another, padded");
}
END_TEST

/* Another host's: a relay on a router must not decide about it. */
START_TEST(test_sent_to_others)
{
  make_packet(1, 0);
  scene.in.data[33] ^= 8;
  fzt_fix_ip_sum(&scene.in);
  fzt_fix_udp_sum(&scene.in, FZR_FAMILY_IPV4);
  expect_passed(FZX_PASSED_NOT_CHANNEL_DATA, "to another address");
  make_packet(1, 3);
  scene.in.data[53] ^= 8;
  fzt_fix_udp_sum(&scene.in, FZR_FAMILY_IPV6);
  expect_passed(FZX_PASSED_NOT_CHANNEL_DATA, "to another address, IPv6");
}
END_TEST

/* Nothing is dropped before all channels are known. */
START_TEST(test_before_it_begins)
{
  for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
    const uint32_t action =
        (make_packet(i, 0), fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out));
    ck_assert_uint_eq(action, XDP_PASS);
  }
  (void)fzt_program_reason(&scene.world.object);
}
END_TEST

/* From another port of the client, which has no channel. */
static void other_port(unsigned index, bool up)
{
  const uint8_t family = fzt_scene_family_in(index, up);
  fzt_scene_make(index, up, 100);
  scene.in.data[fzt_udp_at(family) + 1] ^= 1;
  fzt_fix_udp_sum(&scene.in, family);
}

START_TEST(test_unknown_clients)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    other_port(index, true);
    expect_dropped(FZX_DROPPED_UNKNOWN_CLIENT, "of another port");
    fzt_scene_make(index, true, 100);
    fzt_scene_expect_relayed("of the client");
  }
  /* Some did not get into the map: whoever is not there may be one of them. */
  begin(0);
  other_port(0, true);
  expect_passed(FZX_PASSED_NO_ENTRY, "of one that may be known");
}
END_TEST

/* Has the guard itself say which addresses are the relay's. */
static void listed(void)
{
  xdp_guard *g = &scene.world.channels.guard;
  g->bound[0] = scene.world.clients[0].server;
  g->bound[1] = scene.world.clients[1].server;
  xdp_guard_listed(g);
}

/* While another process may have more clients than this one knows. */
START_TEST(test_held)
{
  xdp_guard *g = &scene.world.channels.guard;
  listed();
  for (int held = 0; held < 2; held++) {
    other_port(0, true);
    expect_dropped(FZX_DROPPED_UNKNOWN_CLIENT, "of another port");
    xdp_guard_hold(g, true);
    xdp_guard_refresh(g);
    for (unsigned index = 0; index < FZT_CHANNELS; index++) {
      other_port(index, true);
      expect_passed(FZX_PASSED_NO_ENTRY, "of a client that the other process may know");
    }
    xdp_guard_hold(g, false);
  }
}
END_TEST

/* What is sent to a family that the relay does not serve is other programs'. */
START_TEST(test_family_of_others)
{
  xdp_guard *g = &scene.world.channels.guard;
  g->idle[_i] = true;
  listed();
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    const bool ip6 = fzt_scene_family_in(index, true) == FZR_FAMILY_IPV6;
    other_port(index, true);
    if (ip6 == (_i == 1))
      expect_passed(FZX_PASSED_NO_ENTRY, "to an address of another program");
    else
      expect_dropped(FZX_DROPPED_UNKNOWN_CLIENT, "to an address of the relay");
  }
}
END_TEST

START_TEST(test_channels_come_and_go)
{
  fzt_scene_make(0, true, 100);
  ck_assert_int_eq(fzt_refresh(&scene.world.relay, &scene.world.clients[0], 0), 0);
  fzt_world_tell(&scene.world);
  expect_dropped(FZX_DROPPED_UNKNOWN_CLIENT, "of a client whose allocation has ended");
  fzt_scene_make(0, false, 100);
  expect_passed(FZX_PASSED_NO_ENTRY, "to a port without channels");
  fzt_scene_make(2, true, 100);
  fzt_scene_expect_relayed("of another client");
}
END_TEST

/* A channel that user space alone has: its client is known, and its port takes from anybody. */
START_TEST(test_channels_that_are_left)
{
  const fzr_addr own = fzt_addr("203.0.113.1:50000");
  other_port(0, false);
  expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "of another port of the peer");
  fzt_world_bind(&scene.world, 0, 0x4005, &own);
  ck_assert_uint_eq(scene.world.channels.left[XDP_LEFT_OWN_ADDRESS], 1);
  other_port(0, false);
  expect_passed(FZX_PASSED_NO_ENTRY, "of somebody");
  other_port(3, false);
  expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "to another allocation");
}
END_TEST

START_TEST(test_unknown_peers)
{
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    other_port(index, false);
    expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "of another port of the peer");
    fzt_scene_make(index, false, 100);
    fzt_scene_expect_relayed("of the peer");
    /* Nobody of ours listens there: another program may. */
    const uint8_t family = fzt_scene_family_in(index, false);
    fzt_put16(scene.in.data + fzt_udp_at(family) + 2, 60000);
    fzt_fix_udp_sum(&scene.in, family);
    expect_passed(FZX_PASSED_NO_ENTRY, "to another port");
  }
}
END_TEST

/* ---- channels that go on as others ---- */

#define MOVED 3u

static fzr_event moved[MOVED];

/* Three channels of one client, to ports of one peer. */
static void bind_three(void)
{
  for (unsigned i = 0; i < MOVED; i++) {
    fzr_addr peer = scene.world.peers[0];
    peer.port = (uint16_t)(peer.port + i);
    fzt_world_bind(&scene.world, 0, (uint16_t)(0x4000 + 2 * i), &peer);
    moved[i] = (fzr_event){.port = scene.world.clients[0].relayed_port,
                           .channel = (uint16_t)(0x4000 + 2 * i),
                           .family = FZR_FAMILY_IPV4,
                           .flags = FZR_EVENT_GOES_ON,
                           .client = scene.world.clients[0].addr,
                           .local = scene.world.clients[0].server,
                           .peer = peer};
  }
}

static void tell_moved(unsigned i, enum fzr_event_type type)
{
  moved[i].type = (uint16_t)type;
  xdp_channels_event(&scene.world.channels, &moved[i], NULL);
}

/* From the peer of the channel |i| of those. */
static void from_peer(unsigned i)
{
  fzt_scene_make(0, false, 100);
  fzt_put16(scene.in.data + 34, (uint16_t)(scene.world.peers[0].port + i));
  fzt_fix_udp_sum(&scene.in, FZR_FAMILY_IPV4);
}

static void expect_none_dropped(unsigned step)
{
  for (unsigned i = 0; i < MOVED; i++) {
    from_peer(i);
    const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
    ck_assert_msg(action != XDP_DROP, "step %u: of the peer of channel %u", step, i);
    (void)fzt_program_reason(&scene.world.object);
  }
  ck_assert_int_eq(fzt_program_dropped(&scene.world.object), -1);
}

/* The client has moved, to |to|, of which the maps hear channel by channel. */
static void move(const char *to)
{
  for (unsigned i = 0; i < MOVED; i++) {
    tell_moved(i, FZR_EVENT_CHANNEL_UNBOUND);
    expect_none_dropped(i);
  }
  for (unsigned i = 0; i < MOVED; i++) {
    moved[i].client = fzt_addr(to);
    tell_moved(i, FZR_EVENT_CHANNEL_BOUND);
    expect_none_dropped(MOVED + i);
  }
}

/* What their peers send while the maps do not have them is the engine's, which relays it. */
START_TEST(test_channels_that_move)
{
  bind_three();
  for (unsigned times = 0; times < 3; times++) {
    move(times % 2 ? "198.51.100.1:4000" : "198.51.100.2:4000");
    ck_assert_uint_eq(scene.world.channels.in_kernel, FZT_CHANNELS + MOVED - 1);
    /* And no longer than that. */
    from_peer(MOVED);
    expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "of another port of the peer");
  }
  scene.world.bound[0].client = fzt_addr("198.51.100.2:4000");
  fzt_scene_make(0, false, 100);
  fzt_scene_expect_relayed("to where it is");
}
END_TEST

/* One of which user space alone can be told where the client is now, and one that ends. */
START_TEST(test_channels_that_move_out_of_the_kernel)
{
  bind_three();
  move("127.0.0.9:4000");
  ck_assert_uint_eq(scene.world.channels.in_kernel, FZT_CHANNELS - 1);
  from_peer(MOVED);
  expect_passed(FZX_PASSED_NO_ENTRY, "of somebody");
  move("198.51.100.2:4000");
  ck_assert_uint_eq(scene.world.channels.in_kernel, FZT_CHANNELS + MOVED - 1);
  from_peer(MOVED);
  expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "of another port of the peer");
  moved[1].flags = 0;
  tell_moved(1, FZR_EVENT_CHANNEL_UNBOUND);
  from_peer(1);
  expect_dropped(FZX_DROPPED_UNKNOWN_PEER, "of one whose channel has ended");
}
END_TEST

/* In full mode peers may have permissions, which the program knows nothing of. */
START_TEST(test_full_mode)
{
  fzr_addr peer = scene.world.peers[0];
  scene.world.channels.guard.ports = false;
  ck_assert_int_eq(fzt_refresh(&scene.world.relay, &scene.world.clients[0], 0), 0);
  fzt_world_tell(&scene.world);
  ck_assert_int_eq(fzt_allocate(&scene.world.relay, &scene.world.clients[0]), 0);
  scene.world.bound[0].relayed.port = scene.world.clients[0].relayed_port;
  fzt_world_bind(&scene.world, 0, scene.world.bound[0].number, &peer);
  other_port(0, false);
  expect_passed(FZX_PASSED_NO_ENTRY, "of somebody who may be permitted");
}
END_TEST

START_TEST(test_port_zero)
{
  for (int up = 0; up < 2; up++) {
    fzt_scene_make(0, up, 100);
    fzt_put16(scene.in.data + 34, 0);
    fzt_fix_udp_sum(&scene.in, FZR_FAMILY_IPV4);
    expect_dropped(FZX_DROPPED_SOURCE_PORT, "from port 0");
  }
}
END_TEST

/* Four seconds' worth of a prefix at once, and then no more; of others', their own. */
START_TEST(test_rate)
{
  const uint8_t request[20] = {0, 1, 0, 0, COOKIE, TXID};
  for (unsigned index = 0; index < FZT_CHANNELS; index += 3) {
    unsigned passed = 0;
    fzt_world_frame(&scene.world, index, true, request, sizeof request, &scene.in);
    for (unsigned i = 0; i < 8 * RATE; i++)
      passed += fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out) == XDP_PASS;
    ck_assert_uint_ge(passed, 4 * RATE);
    ck_assert_uint_le(passed, 5 * RATE);
    (void)fzt_program_reason(&scene.world.object);
    (void)fzt_program_dropped(&scene.world.object);
    expect_dropped(FZX_DROPPED_RATE_LIMITED, "one more");
    /* With credentials, that have to be looked at; and ChannelData. */
    make_packet(20, index);
    expect_passed(FZX_PASSED_NOT_CHANNEL_DATA, "Allocate");
    fzt_scene_make(index, true, 100);
    fzt_scene_expect_relayed("of the client");
    /* The next prefix: /24 and /48. */
    const uint8_t family = fzt_scene_family_in(index, true);
    fzt_world_frame(&scene.world, index, true, request, sizeof request, &scene.in);
    scene.in.data[family == FZR_FAMILY_IPV4 ? 28 : 27] ^= 1;
    if (family == FZR_FAMILY_IPV4)
      fzt_fix_ip_sum(&scene.in);
    fzt_fix_udp_sum(&scene.in, family);
    expect_passed(FZX_PASSED_NOT_CHANNEL_DATA, "of another prefix");
  }
}
END_TEST

/* ---- at random, against the engine ---- */

static fzt_prng prng;

static uint8_t random_byte(void)
{
  return (uint8_t)fzt_next(&prng);
}

/* Nearly a packet of some kind, from somebody who is nearly known. Returns its length. */
static size_t random_payload(uint8_t *data, size_t most)
{
  size_t len = fzt_below(&prng, 4) ? fzt_below(&prng, 60) : fzt_below(&prng, most);
  fzt_fill(&prng, data, most);
  switch (fzt_below(&prng, 4)) {
  case 0:
    break;
  case 1: /* ChannelData */
    fzt_put16(data, (uint16_t)(0x4000 + fzt_below(&prng, 3)));
    fzt_put16(data + 2, (uint16_t)(len - 4 + fzt_below(&prng, 3) - 1));
    break;
  default: /* STUN */
    len -= fzt_below(&prng, 8) ? len % 4 : 0;
    fzt_put16(data, (uint16_t)(fzt_next(&prng) & 0x0113));
    fzt_put16(data + 2, (uint16_t)(len - 20));
    if (fzt_below(&prng, 8))
      memcpy(data + 4, (const uint8_t[]){COOKIE}, 4);
    if (fzt_below(&prng, 8) == 0)
      data[fzt_below(&prng, 24)] ^= random_byte();
  }
  return len;
}

START_TEST(test_the_engine_would_have_dropped_it)
{
  uint8_t data[600];
  uint64_t dropped = 0;
  prng.state = fzt_seed("xdp_guard");
  for (uint64_t round = 0; round < fzt_rounds(6000); round++) {
    const unsigned index = (unsigned)fzt_below(&prng, FZT_CHANNELS);
    const bool up = fzt_below(&prng, 3);
    const fzt_channel *c = &scene.world.bound[index];
    const fzt_channel saved = *c;
    const size_t len = random_payload(data, sizeof data);
    if (fzt_below(&prng, 2))
      scene.world.bound[index].client.port ^= 1, scene.world.bound[index].peer.port ^= 1;
    fzt_world_frame(&scene.world, index, up, data, len, &scene.in);
    const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
    const int reason = fzt_program_dropped(&scene.world.object);
    (void)fzt_program_reason(&scene.world.object);
    /* The engine's clock stands still, so it has another idea of a rate. */
    if (action == XDP_DROP && reason != FZX_DROPPED_RATE_LIMITED) {
      dropped++;
      if (up)
        fzt_client(&scene.world.relay, &c->client, &c->listen, data, len);
      else
        fzt_peer(&scene.world.relay, &c->peer, c->relayed.port, data, len);
      const fzr_verdict *v = &scene.world.relay.verdicts[0];
      if (reason < 0 || scene.world.relay.verdict_count != 1 || v->action != FZR_ACT_DROP ||
          (v->reason != fzx_drop_reason((unsigned)reason) && reason != FZX_DROPPED_STUN_NOT_REQUEST))
        ck_abort_msg("round %llu: dropped for %d, and the engine: %u, for %u", (unsigned long long)round,
                     reason, v->action, v->reason);
    }
    scene.world.bound[index] = saved;
  }
  ck_assert_uint_gt(dropped, fzt_rounds(6000) / 4);
}
END_TEST

/* With --tcx it is the program of tcx. */
int main(int argc, char **argv)
{
  if (!fzt_program_prepare())
    return FZT_SKIP;
  if (argc > 1 && strcmp(argv[1], "--tcx") == 0)
    fzt_program_use_tcx();
  fzt_program_use_guard(RATE);
  Suite *suite = suite_create("xdp-guard");
  TCase *tc = tcase_create("guard");
  tcase_add_checked_fixture(tc, set_up, fzt_scene_tear_down);
  tcase_add_loop_test(tc, test_to_the_listener, 0, (int)(sizeof packets / sizeof *packets));
  tcase_add_test(tc, test_padded_frames);
  tcase_add_test(tc, test_sent_to_others);
  tcase_add_test(tc, test_unknown_clients);
  tcase_add_test(tc, test_channels_come_and_go);
  tcase_add_test(tc, test_channels_that_are_left);
  tcase_add_test(tc, test_unknown_peers);
  tcase_add_test(tc, test_channels_that_move);
  tcase_add_test(tc, test_channels_that_move_out_of_the_kernel);
  tcase_add_test(tc, test_full_mode);
  tcase_add_test(tc, test_port_zero);
  tcase_add_test(tc, test_rate);
  tcase_add_test(tc, test_the_engine_would_have_dropped_it);
  suite_add_tcase(suite, tc);
  TCase *early = tcase_create("early");
  tcase_add_checked_fixture(early, fzt_scene_set_up, fzt_scene_tear_down);
  tcase_add_test(early, test_before_it_begins);
  tcase_add_test(early, test_held);
  tcase_add_loop_test(early, test_family_of_others, 0, 2);
  suite_add_tcase(suite, early);
  return fzt_run(suite);
}
