/* SPDX-License-Identifier: Apache-2.0 */
/* What does not come in one piece: frames in two buffers, and entries that become another channel's while they are read. */
#include "scene.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdio.h>

static uint8_t family_of(const fzt_frame *frame)
{
  return fzt_get16(frame->data + 12) == 0x0800 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
}

/* ---- frames ---- */

/* The program needs the headers, ChannelData's too, in the first buffer, and nothing else. */
static void split_at(unsigned index, bool up, size_t len)
{
  fzt_scene_make(index, up, len);
  const unsigned head = (unsigned)fzt_udp_at(family_of(&scene.in)) + 8 + (up ? 4 : 0);
  for (unsigned linear = 14; linear < 120; linear++) {
    const uint32_t action = fzt_program_run_split(&scene.world.object, &scene.in, linear, &scene.out);
    const int counted = fzt_program_reason(&scene.world.object);
    if (linear < head) {
      ck_assert_uint_eq(action, XDP_PASS);
      ck_assert_int_eq(counted, FZX_PASSED_NOT_LINEAR);
      ck_assert_uint_eq(scene.out.len, scene.in.len);
      ck_assert_mem_eq(scene.out.data, scene.in.data, scene.in.len);
      continue;
    }
    ck_assert_msg(action == XDP_TX, "%u bytes in front: action %u, counted %d", linear, action, counted);
    ck_assert_int_eq(counted, -1);
    ck_assert_int_eq(fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected), -1);
    ck_assert_uint_eq(scene.out.len, scene.expected.len);
    ck_assert_mem_eq(scene.out.data, scene.expected.data, scene.expected.len);
  }
}

START_TEST(test_frames_in_two_buffers)
{
  fzt_scene_make(0, true, 100);
  if (fzt_program_run_split(&scene.world.object, &scene.in, 42, &scene.out) == FZT_REFUSED) {
    printf("not tested: Linux before 6.18 runs no program on such frames\n");
    return;
  }
  (void)fzt_program_reason(&scene.world.object);
  for (unsigned index = 0; index < FZT_CHANNELS; index++) {
    for (int up = 0; up < 2; up++) {
      split_at(index, up, 120);
      split_at(index, up, 1400);
    }
  }
}
END_TEST

START_TEST(test_not_even_a_mac_header)
{
  fzt_scene_make(0, true, 100);
  const uint32_t action = fzt_program_run_split(&scene.world.object, &scene.in, 13, &scene.out);
  if (action == FZT_REFUSED)
    return; /* the kernel wants one */
  ck_assert_uint_eq(action, XDP_PASS);
  ck_assert_int_eq(fzt_program_reason(&scene.world.object), FZX_PASSED_NOT_UDP);
  ck_assert_mem_eq(scene.out.data, scene.in.data, scene.in.len);
}
END_TEST

/* ---- entries ---- */

/* An entry, its map, and its value as words. */
typedef struct place {
  int map;
  uint32_t words[sizeof(struct fzx_value6) / 4];
  unsigned count, key_words;
} place;

static place look_up(unsigned index, bool up)
{
  const fzt_channel *c = &scene.world.bound[index];
  const fzr_addr *from = up ? &c->client : &c->peer;
  const bool is4 = from->family == FZR_FAMILY_IPV4;
  uint8_t key[sizeof(struct fzx_key6)];
  const size_t ip = is4 ? 4 : 16;
  memcpy(key, from->ip, ip);
  fzt_put16(key + ip, from->port);
  fzt_put16(key + ip + 2, up ? c->number : c->relayed.port);
  place p = {.map = is4 ? (up ? scene.world.object.clients4 : scene.world.object.peers4)
                        : (up ? scene.world.object.clients6 : scene.world.object.peers6),
             .count = (unsigned)(is4 ? sizeof(struct fzx_value4) : sizeof(struct fzx_value6)) / 4,
             .key_words = (unsigned)(ip + 4) / 4};
  ck_assert_int_eq(bpf_map_lookup_elem(p.map, key, p.words), 0);
  ck_assert_mem_eq(p.words, key, ip + 4);
  return p;
}

/* A copy of |p| where the words of |mask| are those of |other|. */
static place mix(const place *p, const place *other, uint32_t mask)
{
  place mixed = *p;
  for (unsigned i = 0; i < p->count; i++)
    if (mask >> i & 1)
      mixed.words[i] = other->words[i];
  return mixed;
}

static void expect_mixture(const place *p, const place *other, uint32_t mask)
{
  const place mixed = mix(p, other, mask);
  ck_assert_int_eq(bpf_map_update_elem(p->map, p->words, mixed.words, BPF_EXIST), 0);
  const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
  const int counted = fzt_program_reason(&scene.world.object);
  if (!memcmp(mixed.words, p->words, p->count * 4)) {
    fzt_check(action == XDP_TX);
    return;
  }
  if (action != XDP_PASS || counted != FZX_PASSED_CHANGED || scene.out.len != scene.in.len ||
      memcmp(scene.out.data, scene.in.data, scene.in.len))
    ck_abort_msg("words %x of another channel: action %u, counted %d", mask, action, counted);
}

/* A frame that finds an entry, some of whose words are those of another channel of the same map: each word, all that a copy in order
 * could leave, and any others. */
START_TEST(test_entries_of_two_channels)
{
  const unsigned index = (unsigned)_i / 2;
  const bool up = _i % 2;
  fzt_prng prng = {.state = fzt_seed("xdp_pieces")};
  /* Of the same client, with the same peer's address: as much alike as can be. */
  fzr_addr other_peer = scene.world.peers[index % 2];
  other_peer.port++;
  fzt_world_bind(&scene.world, index / 2, 0x4a00, &other_peer);
  const place p = look_up(index, up);
  const fzt_channel saved = scene.world.bound[index];
  scene.world.bound[index].number = 0x4a00;
  scene.world.bound[index].peer = other_peer;
  const place other = look_up(index, up);
  scene.world.bound[index] = saved;
  fzt_scene_make(index, up, 100);
  const uint32_t all = (1u << p.count) - 1;
  for (unsigned i = 0; i < p.count; i++) {
    expect_mixture(&p, &other, 1u << i);
    expect_mixture(&p, &other, (1u << i) - 1);
    expect_mixture(&p, &other, all & ~((1u << i) - 1));
    expect_mixture(&p, &other, all & ~(1u << i));
  }
  expect_mixture(&p, &other, all);
  for (uint64_t round = 0; round < fzt_rounds(4000); round++)
    expect_mixture(&p, &other, (uint32_t)fzt_next(&prng) & all);
}
END_TEST

/* With --tcx it is the program of tcx. */
int main(int argc, char **argv)
{
  if (!fzt_program_prepare())
    return FZT_SKIP;
  if (argc > 1 && strcmp(argv[1], "--tcx") == 0)
    fzt_program_use_tcx();
  Suite *suite = suite_create("xdp-pieces");
  TCase *tc = tcase_create("pieces");
  tcase_add_checked_fixture(tc, fzt_scene_set_up, fzt_scene_tear_down);
  tcase_add_test(tc, test_frames_in_two_buffers);
  tcase_add_test(tc, test_not_even_a_mac_header);
  tcase_add_loop_test(tc, test_entries_of_two_channels, 0, FZT_CHANNELS * 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
