/* SPDX-License-Identifier: Apache-2.0 */
/* Channels come and go: what the engine says of them is what the BPF program's maps hold. */
#include "gift.h"
#include "scene.h"

#include <stdio.h>

#include <bpf/bpf.h>

static int map_size(int map, size_t key_size)
{
  uint8_t key[32], next[32];
  int n = 0;
  ck_assert_uint_le(key_size, sizeof key);
  const void *from = NULL;
  while (!bpf_map_get_next_key(map, from, next)) {
    memcpy(key, next, sizeof key);
    from = key;
    n++;
  }
  return n;
}

static int entries(void)
{
  return map_size(scene.world.object.clients4, sizeof(struct fzx_key4)) +
         map_size(scene.world.object.peers4, sizeof(struct fzx_key4)) +
         map_size(scene.world.object.clients6, sizeof(struct fzx_key6)) +
         map_size(scene.world.object.peers6, sizeof(struct fzx_key6));
}

START_TEST(test_unbound_when_relaying_ends)
{
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
  /* Refreshes of the allocation keep the reservation, not the channel. */
  for (unsigned minutes = 0; minutes < 9; minutes += 3) {
    fzt_pass(&scene.world.relay, 180 * FZR_SECOND);
    fzt_world_tell(&scene.world);
    for (unsigned i = 0; i < 2; i++)
      ck_assert_int_eq(fzt_refresh(&scene.world.relay, &scene.world.clients[i], 3600), 0);
  }
  fzt_scene_make(0, true, 100);
  fzt_scene_expect_relayed("after nine minutes");
  fzt_pass(&scene.world.relay, 72 * FZR_SECOND);
  fzt_world_tell(&scene.world);
  fzt_scene_expect_passed(FZX_PASSED_NO_ENTRY, "after ten minutes");
  ck_assert_int_eq(entries(), 0);
  ck_assert_uint_eq(scene.world.channels.in_kernel, 0);
  fzt_world_bind(&scene.world, 0, scene.world.bound[0].number, &scene.world.bound[0].peer);
  fzt_scene_expect_relayed("bound again");
  ck_assert_int_eq(entries(), 2);
}
END_TEST

START_TEST(test_unbound_with_the_allocation)
{
  ck_assert_int_eq(fzt_refresh(&scene.world.relay, &scene.world.clients[0], 0), 0);
  fzt_world_tell(&scene.world);
  ck_assert_int_eq(entries(), 2 * 2);
  fzt_scene_make(0, false, 100);
  fzt_scene_expect_passed(FZX_PASSED_NO_ENTRY, "of a deleted allocation");
  fzt_scene_make(2, true, 100);
  fzt_scene_expect_relayed("of another allocation");
}
END_TEST

START_TEST(test_refresh_changes_nothing)
{
  fzt_world_bind(&scene.world, 0, scene.world.bound[0].number, &scene.world.bound[0].peer);
  ck_assert_uint_eq(scene.world.relay.event_count, 0);
  fzt_scene_make(0, true, 100);
  fzt_scene_expect_relayed("refreshed");
}
END_TEST

/* The relay's own public address as a peer: such a packet would leave and not come back. */
START_TEST(test_own_address_stays_in_user_space)
{
  const fzr_addr own = fzt_addr("203.0.113.1:50000");
  fzt_world_bind(&scene.world, 0, 0x4005, &own);
  ck_assert_uint_eq(scene.world.channels.left[XDP_LEFT_OWN_ADDRESS], 1);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
}
END_TEST

/* A client on the relay's own host: a packet for it must not leave. */
START_TEST(test_client_on_this_host_stays_in_user_space)
{
  static const char *const clients[] = {"127.0.0.9:4000", "[::1]:4000"};
  static const char *const locals[] = {"127.0.0.1:3478", "[::1]:3478"};
  for (unsigned i = 0; i < 2; i++) {
    const fzr_event event = {.type = FZR_EVENT_CHANNEL_BOUND,
                             .port = 50001,
                             .channel = 0x4005,
                             .family = FZR_FAMILY_IPV4,
                             .client = fzt_addr(clients[i]),
                             .local = fzt_addr(locals[i]),
                             .peer = fzt_addr("203.0.113.10:1000")};
    xdp_channels_event(&scene.world.channels, &event, NULL);
    ck_assert_uint_eq(scene.world.channels.left[XDP_LEFT_OWN_ADDRESS], i + 1);
  }
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
}
END_TEST

/* The same client at another address of the relay: its channel of the same number stays in user space, and its end takes nothing away. */
START_TEST(test_same_client_at_two_addresses)
{
  fzr_event event = {.type = FZR_EVENT_CHANNEL_BOUND,
                     .port = 50001,
                     .channel = scene.world.bound[0].number,
                     .family = FZR_FAMILY_IPV4,
                     .client = scene.world.bound[0].client,
                     .local = fzt_addr("192.0.2.2:3478"),
                     .peer = fzt_addr("203.0.113.10:1000")};
  xdp_channels_event(&scene.world.channels, &event, NULL);
  ck_assert_uint_eq(scene.world.channels.left[XDP_LEFT_TAKEN], 1);
  event.type = FZR_EVENT_CHANNEL_UNBOUND;
  xdp_channels_event(&scene.world.channels, &event, NULL);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
  fzt_scene_make(0, true, 100);
  fzt_scene_expect_relayed("the first one");
}
END_TEST

/* Family and MTU share two bytes: never more than the MTU is, at most one less, and whole up to what a packet can be. */
START_TEST(test_path)
{
  for (unsigned mtu = 0; mtu < 70000; mtu++)
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
      const uint16_t path = fzx_path(mtu, ipv6);
      ck_assert(!fzx_path_is_ipv6(path) == !ipv6);
      ck_assert_uint_le(fzx_path_mtu(path), mtu);
      ck_assert_uint_ge(fzx_path_mtu(path), mtu < 0xffff ? mtu - mtu % 2 : 0xfffe);
    }
}
END_TEST

START_TEST(test_full_map)
{
  unsigned bound = FZT_CHANNELS;
  for (unsigned i = 0; i < 1100; i++) {
    fzr_addr peer = scene.world.peers[0];
    peer.port = (uint16_t)(10000 + i);
    fzt_world_bind(&scene.world, 0, (uint16_t)(0x4100 + i), &peer);
    bound++;
  }
  ck_assert_uint_gt(scene.world.channels.left[XDP_LEFT_FULL], 0);
  ck_assert_uint_eq(scene.world.channels.in_kernel + scene.world.channels.left[XDP_LEFT_FULL], bound);
  /* None is there by half. */
  ck_assert_int_eq(entries(), 2 * (int)scene.world.channels.in_kernel);
  fzt_scene_make(0, true, 100);
  fzt_scene_expect_relayed("as before");
}
END_TEST

/* Another process goes on with these maps, and has no channel of the first two any more, nor the right to touch anything before it is told so. */
START_TEST(test_inherited)
{
  fzr_event live[FZT_CHANNELS + 1];
  uint32_t cursor = 0;
  static xdp_channels next;
  memset(&next, 0, sizeof next);
  next.object = &scene.world.object;
  next.own_ip4 = scene.world.channels.own_ip4;
  next.own_ip6 = scene.world.channels.own_ip6;
  ck_assert_uint_eq(fzr_engine_list_channels(scene.world.relay.engine, &cursor, live, FZT_CHANNELS + 1),
                    FZT_CHANNELS);
  xdp_channels_inherit(&next);
  for (unsigned i = 0; i < FZT_CHANNELS; i++) {
    fzr_event end = live[i];
    end.type = FZR_EVENT_CHANNEL_UNBOUND;
    xdp_channels_event(&next, &end, NULL);
  }
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
  atomic_store(&next.held, false);
  for (unsigned i = 2; i < FZT_CHANNELS; i++) {
    xdp_channels_event(&next, &live[i], NULL);
    xdp_channels_event(&next, &live[i], NULL); /* it may be told of twice */
  }
  live[FZT_CHANNELS] = live[2];
  live[FZT_CHANNELS].channel = 0x4005; /* and of one that is new */
  live[FZT_CHANNELS].peer.port++;
  live[FZT_CHANNELS].peer.ip[3]++;
  xdp_channels_event(&next, &live[FZT_CHANNELS], NULL);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS + 2);
  xdp_channels_settle(&next, true);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS - 2);
  ck_assert_uint_eq(next.in_kernel, FZT_CHANNELS - 1);
  for (unsigned i = 0; i < XDP_LEFT_REASONS; i++)
    ck_assert_uint_eq(next.left[i], 0);
  fzt_scene_make(FZT_CHANNELS - 1, true, 100);
  fzt_scene_expect_relayed("as before");
  /* From then on as ever. */
  live[FZT_CHANNELS].type = FZR_EVENT_CHANNEL_UNBOUND;
  xdp_channels_event(&next, &live[FZT_CHANNELS], NULL);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS - 4);
  ck_assert_uint_eq(next.in_kernel, FZT_CHANNELS - 2);
}
END_TEST

/* If not all have told, none is taken for over, and each is counted that is there, until it ends. */
START_TEST(test_inherited_without_an_answer)
{
  static xdp_channels next;
  fzr_event live[FZT_CHANNELS];
  uint32_t cursor = 0;
  memset(&next, 0, sizeof next);
  next.object = &scene.world.object;
  fzr_engine_list_channels(scene.world.relay.engine, &cursor, live, FZT_CHANNELS);
  xdp_channels_inherit(&next);
  atomic_store(&next.held, false);
  xdp_channels_event(&next, &live[0], NULL);
  xdp_channels_settle(&next, false);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
  ck_assert_uint_eq(next.in_kernel, FZT_CHANNELS);
  for (unsigned i = 0; i < FZT_CHANNELS; i++) {
    live[i].type = FZR_EVENT_CHANNEL_UNBOUND;
    xdp_channels_event(&next, &live[i], NULL);
    ck_assert_uint_eq(next.in_kernel, FZT_CHANNELS - 1 - i);
  }
}
END_TEST

/* What is said of a program is read as it was written, and nonsense is not. */
START_TEST(test_gift)
{
  const xdp_gift said = {.hook = XDP_HOOK_TCX,
                         .no_frags = true,
                         .mark = 0xfedcba9876543210u,
                         .left = {1, 2, 3, 4, 5, UINT64_MAX}};
  offload_gift gift = {.count = XDP_OBJECT_FDS};
  xdp_gift heard;
  xdp_gift_write(&said, gift.about);
  ck_assert(xdp_gift_read(&gift, &heard));
  ck_assert(heard.hook == said.hook && heard.no_frags && heard.mark == said.mark);
  ck_assert_int_eq(memcmp(heard.left, said.left, sizeof said.left), 0);
  strcat(gift.about, " 7"); /* of a later version */
  ck_assert(xdp_gift_read(&gift, &heard));
  snprintf(gift.about, sizeof gift.about, "1 0 12");
  ck_assert(xdp_gift_read(&gift, &heard));
  ck_assert_uint_eq(heard.left[0], 0);
  gift.count--;
  ck_assert(!xdp_gift_read(&gift, &heard));
  gift.count++;
  static const char *const nonsense[] = {"", "1 0", "one", "9 0 12", "1 0 x"};
  for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
    snprintf(gift.about, sizeof gift.about, "%s", nonsense[i]);
    ck_assert_msg(!xdp_gift_read(&gift, &heard), "%s", nonsense[i]);
  }
}
END_TEST

/* Any difference in what is relayed, or how, is another program. */
START_TEST(test_mark)
{
  xdp_object_config config = {.settings = {.listen_port = 3478, .lowest_port = 50000, .highest_port = 50199},
                              .entries = 1024};
  const uint64_t mark = xdp_object_mark(&config);
  ck_assert_uint_eq(xdp_object_mark(&config), mark);
  config.settings.highest_port++;
  ck_assert_uint_ne(xdp_object_mark(&config), mark);
  config.settings.highest_port--;
  config.entries++;
  ck_assert_uint_ne(xdp_object_mark(&config), mark);
  config.entries--;
  config.no_frags = true;
  ck_assert_uint_ne(xdp_object_mark(&config), mark);
  config.no_frags = false;
  config.hook = XDP_HOOK_TCX;
  ck_assert_uint_ne(xdp_object_mark(&config), mark);
  config.hook = XDP_HOOK_NATIVE;
  ck_assert_uint_eq(xdp_object_mark(&config), mark);
}
END_TEST

/* With --tcx it is the program of tcx. */
int main(int argc, char **argv)
{
  if (!fzt_program_prepare())
    return FZT_SKIP;
  if (argc > 1 && strcmp(argv[1], "--tcx") == 0)
    fzt_program_use_tcx();
  Suite *suite = suite_create("xdp-channels");
  TCase *tc = tcase_create("channels");
  tcase_add_checked_fixture(tc, fzt_scene_set_up, fzt_scene_tear_down);
  tcase_add_test(tc, test_unbound_when_relaying_ends);
  tcase_add_test(tc, test_unbound_with_the_allocation);
  tcase_add_test(tc, test_refresh_changes_nothing);
  tcase_add_test(tc, test_own_address_stays_in_user_space);
  tcase_add_test(tc, test_client_on_this_host_stays_in_user_space);
  tcase_add_test(tc, test_same_client_at_two_addresses);
  tcase_add_test(tc, test_path);
  tcase_add_test(tc, test_full_map);
  tcase_add_test(tc, test_inherited);
  tcase_add_test(tc, test_inherited_without_an_answer);
  tcase_add_test(tc, test_gift);
  tcase_add_test(tc, test_mark);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
