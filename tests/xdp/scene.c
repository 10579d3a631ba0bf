/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <linux/bpf.h>

fzt_scene scene;
static uint8_t payload[FZT_FRAME_MAX];

void fzt_scene_set_up(void)
{
  fzt_world_make(&scene.world, true);
  for (size_t i = 0; i < sizeof payload; i++)
    payload[i] = (uint8_t)(i * 13 + 5);
}

void fzt_scene_tear_down(void)
{
  fzt_world_free(&scene.world);
}

uint8_t fzt_scene_family_in(unsigned index, bool up)
{
  return up ? scene.world.bound[index].client.family : scene.world.bound[index].peer.family;
}

uint8_t fzt_scene_family_out(unsigned index, bool up)
{
  return fzt_scene_family_in(index, !up);
}

void fzt_scene_make(unsigned index, bool up, size_t len)
{
  if (up) {
    fzt_put16(payload, scene.world.bound[index].number);
    fzt_put16(payload + 2, (uint16_t)len);
  }
  fzt_world_frame(&scene.world, index, up, payload, up ? len + 4 : len, &scene.in);
  /* Once in 65,536 a full sum looks like an unfinished one: another payload then. */
  if (len &&
      fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected) == FZX_PASSED_UNFINISHED) {
    scene.in.data[scene.in.len - 1] ^= 1;
    fzt_fix_udp_sum(&scene.in, fzt_scene_family_in(index, up));
  }
}

void fzt_scene_expect_passed(int reason, const char *what)
{
  uint64_t bytes;
  const uint64_t before = fzt_program_relayed(&scene.world.object, &bytes);
  const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
  const int counted = fzt_program_reason(&scene.world.object);
  ck_assert_msg(action == XDP_PASS, "%s: action %u", what, action);
  ck_assert_msg(counted == reason, "%s: counted %d (%s) instead of %s", what, counted,
                counted >= 0 ? fzx_passed_name((unsigned)counted) : "-", fzx_passed_name((unsigned)reason));
  ck_assert_msg(scene.out.len == scene.in.len && !memcmp(scene.out.data, scene.in.data, scene.in.len),
                "%s: touched", what);
  ck_assert_uint_eq(fzt_program_relayed(&scene.world.object, &bytes), before);
}

static void expect_relayed(const char *what)
{
  const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
  const int counted = fzt_program_reason(&scene.world.object);
  ck_assert_msg(action == XDP_TX, "%s: action %u, counted %s", what, action,
                counted >= 0 ? fzx_passed_name((unsigned)counted) : "-");
  ck_assert_int_eq(counted, -1);
  ck_assert_msg(scene.out.len == scene.expected.len, "%s: %zu bytes instead of %zu", what, scene.out.len,
                scene.expected.len);
  for (size_t i = 0; i < scene.out.len; i++)
    if (scene.out.data[i] != scene.expected.data[i])
      ck_abort_msg("%s: byte %zu is %02x instead of %02x", what, i, scene.out.data[i],
                   scene.expected.data[i]);
}

/* At tcx twice: what is written depends on whether a device has summed the packet up. */
void fzt_scene_expect_relayed(const char *what)
{
  ck_assert_msg(fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected) == -1,
                "%s: not for the reference", what);
  for (int sums = 0; sums < (fzt_program_is_tcx() ? 2 : 1); sums++) {
    fzt_program_sum_up(sums);
    expect_relayed(what);
  }
  fzt_program_sum_up(false);
}
