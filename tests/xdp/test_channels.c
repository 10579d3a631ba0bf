/* SPDX-License-Identifier: Apache-2.0 */
/* Channels come and go: what the engine says of them is what the BPF program's maps hold. */
#include "scene.h"

#include <bpf/bpf.h>
#include <stdio.h>

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
  return map_size(world.object.clients4, sizeof(struct fzx_key4)) +
         map_size(world.object.peers4, sizeof(struct fzx_key4)) +
         map_size(world.object.clients6, sizeof(struct fzx_key6)) +
         map_size(world.object.peers6, sizeof(struct fzx_key6));
}

START_TEST(test_unbound_when_relaying_ends)
{
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
  /* Refreshes of the allocation keep the reservation, not the channel. */
  for (unsigned minutes = 0; minutes < 9; minutes += 3) {
    fzt_pass(&world.relay, 180 * FZR_SECOND);
    fzt_world_tell(&world);
    for (unsigned i = 0; i < 2; i++)
      ck_assert_int_eq(fzt_refresh(&world.relay, &world.clients[i], 3600), 0);
  }
  make(0, true, 100);
  expect_relayed("after nine minutes");
  fzt_pass(&world.relay, 62 * FZR_SECOND);
  fzt_world_tell(&world);
  expect_passed(FZX_PASSED_NO_ENTRY, "after ten minutes");
  ck_assert_int_eq(entries(), 0);
  ck_assert_uint_eq(world.channels.in_kernel, 0);
  fzt_world_bind(&world, 0, world.bound[0].number, &world.bound[0].peer);
  expect_relayed("bound again");
  ck_assert_int_eq(entries(), 2);
}
END_TEST

START_TEST(test_unbound_with_the_allocation)
{
  ck_assert_int_eq(fzt_refresh(&world.relay, &world.clients[0], 0), 0);
  fzt_world_tell(&world);
  ck_assert_int_eq(entries(), 2 * 2);
  make(0, false, 100);
  expect_passed(FZX_PASSED_NO_ENTRY, "of a deleted allocation");
  make(2, true, 100);
  expect_relayed("of another allocation");
}
END_TEST

START_TEST(test_refresh_changes_nothing)
{
  fzt_world_bind(&world, 0, world.bound[0].number, &world.bound[0].peer);
  ck_assert_uint_eq(world.relay.event_count, 0);
  make(0, true, 100);
  expect_relayed("refreshed");
}
END_TEST

/* The relay's own public address as a peer: such a packet would leave and not come back. */
START_TEST(test_own_address_stays_in_user_space)
{
  const fzr_addr own = fzt_addr("203.0.113.1:50000");
  fzt_world_bind(&world, 0, 0x4005, &own);
  ck_assert_uint_eq(world.channels.left[XDP_LEFT_OWN_ADDRESS], 1);
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
    xdp_channels_event(&world.channels, &event);
    ck_assert_uint_eq(world.channels.left[XDP_LEFT_OWN_ADDRESS], i + 1);
  }
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
}
END_TEST

/* The same client at another address of the relay: its channel of the same number stays in user space, and its end takes nothing away. */
START_TEST(test_same_client_at_two_addresses)
{
  fzr_event event = {.type = FZR_EVENT_CHANNEL_BOUND,
                     .port = 50001,
                     .channel = world.bound[0].number,
                     .family = FZR_FAMILY_IPV4,
                     .client = world.bound[0].client,
                     .local = fzt_addr("192.0.2.2:3478"),
                     .peer = fzt_addr("203.0.113.10:1000")};
  xdp_channels_event(&world.channels, &event);
  ck_assert_uint_eq(world.channels.left[XDP_LEFT_TAKEN], 1);
  event.type = FZR_EVENT_CHANNEL_UNBOUND;
  xdp_channels_event(&world.channels, &event);
  ck_assert_int_eq(entries(), 2 * FZT_CHANNELS);
  make(0, true, 100);
  expect_relayed("the first one");
}
END_TEST

START_TEST(test_full_map)
{
  unsigned bound = FZT_CHANNELS;
  for (unsigned i = 0; i < 1100; i++) {
    fzr_addr peer = world.peers[0];
    peer.port = (uint16_t)(10000 + i);
    fzt_world_bind(&world, 0, (uint16_t)(0x4100 + i), &peer);
    bound++;
  }
  ck_assert_uint_gt(world.channels.left[XDP_LEFT_FULL], 0);
  ck_assert_uint_eq(world.channels.in_kernel + world.channels.left[XDP_LEFT_FULL], bound);
  /* None is there by half. */
  ck_assert_int_eq(entries(), 2 * (int)world.channels.in_kernel);
  make(0, true, 100);
  expect_relayed("as before");
}
END_TEST

int main(void)
{
  const char *missing = fzt_program_missing();
  if (missing) {
    printf("skipped: %s\n", missing);
    return FZT_SKIP;
  }
  fzt_namespace();
  Suite *suite = suite_create("xdp-channels");
  TCase *tc = tcase_create("channels");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_unbound_when_relaying_ends);
  tcase_add_test(tc, test_unbound_with_the_allocation);
  tcase_add_test(tc, test_refresh_changes_nothing);
  tcase_add_test(tc, test_own_address_stays_in_user_space);
  tcase_add_test(tc, test_client_on_this_host_stays_in_user_space);
  tcase_add_test(tc, test_same_client_at_two_addresses);
  tcase_add_test(tc, test_full_map);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
